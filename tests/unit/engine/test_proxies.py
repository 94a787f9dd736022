"""Which variables the proxies of docker's configuration become."""

from __future__ import annotations

from typing import Any

import pytest

from dockerpty.engine.proxies import with_proxies

ENGINE = "tcp://there:2375"


def test_each_proxy_becomes_a_variable_in_capitals_and_one_in_small_letters_behind_those_that_are_given() -> (
    None
):
    default = {"httpProxy": "a", "httpsProxy": "b", "noProxy": "c", "ftpProxy": "d", "allProxy": "e"}
    assert with_proxies(["X=1"], {"default": default}, ENGINE) == [
        *("X=1", "HTTP_PROXY=a", "http_proxy=a", "HTTPS_PROXY=b", "https_proxy=b"),
        *("NO_PROXY=c", "no_proxy=c", "FTP_PROXY=d", "ftp_proxy=d", "ALL_PROXY=e", "all_proxy=e"),
    ]


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ("http_proxy=mine", ["HTTP_PROXY=a"]),
        ("HTTP_PROXY=mine", ["http_proxy=a"]),
        ("HTTP_PROXY=", ["http_proxy=a"]),
        ("HTTP_PROXY", ["http_proxy=a"]),
        ("Http_Proxy=mine", ["HTTP_PROXY=a", "http_proxy=a"]),
    ],
)
def test_what_is_given_counts_and_only_in_its_own_spelling(given: str, added: list[str]) -> None:
    assert with_proxies([given], {"default": {"httpProxy": "a"}}, ENGINE) == [given, *added]


def test_an_engine_may_have_its_own_and_then_has_none_of_the_others() -> None:
    proxies = {"default": {"httpProxy": "a", "noProxy": "b"}, ENGINE: {"httpProxy": "c"}}
    assert with_proxies([], proxies, ENGINE) == ["HTTP_PROXY=c", "http_proxy=c"]
    assert with_proxies([], proxies, "tcp://elsewhere:2375")[:2] == ["HTTP_PROXY=a", "http_proxy=a"]
    assert with_proxies([], {**proxies, ENGINE: {}}, ENGINE) == []


@pytest.mark.parametrize(
    "proxies",
    [{}, {"default": None}, {"default": "a"}, {"default": {"httpProxy": "", "noProxy": 7, "other": "x"}}],
)
def test_what_is_no_proxy_becomes_nothing(proxies: dict[str, Any]) -> None:
    assert with_proxies(["X=1"], proxies, ENGINE) == ["X=1"]
