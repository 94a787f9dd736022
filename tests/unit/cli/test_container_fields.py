"""What `ps` tells of a container: docker's words, from the engine's list."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dockerpty.cli.container_fields import TITLES, fields, image, label_title, names, ports, short_id

IDENTITY = "01cfd79c2209a847e2afd5fac72a6ff8e82486d3924c4bd2ba7c80d167474d42"
DIGEST = "sha256:dba41360bd03e91d58866192bdf2dad7412deead871a296b3be0ba2df12221a9"
NOW = 1795268568.0
WEB: dict[str, Any] = {
    "Id": IDENTITY,
    "Names": ["/front/link", "/web"],
    "Image": "busybox:latest",
    "ImageID": DIGEST,
    "Command": "sh -c 'head -n 1; sleep 1; echo late'",
    "Created": int(NOW) - 65,
    "Ports": [{"PrivatePort": 80, "Type": "tcp"}],
    "Labels": {"b": "2", "a": "1"},
    "State": "running",
    "Status": "Up About a minute",
    "SizeRw": 5,
    "SizeRootFs": 1_978_000,
    "NetworkSettings": {"Networks": {"bridge": {}, "other": {}}},
    "Mounts": [
        {"Name": "a-volume-with-a-long-name", "Driver": "local", "Source": "/var/lib/x"},
        {"Source": "/etc"},
    ],
}


def test_every_field_has_its_title_and_a_value() -> None:
    assert set(fields(WEB, short=True, now=NOW)) == set(TITLES)


def test_fields_are_cut_as_docker_cuts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        found = fields(WEB, short=True, now=NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == {
        "ID": "01cfd79c2209",
        "Names": "web",
        "Image": "busybox:latest",
        "Command": '"sh -c \'head -n 1; s…"',
        "CreatedAt": "2026-11-21 22:41:43 +0900 JST",
        "RunningFor": "About a minute ago",
        "Ports": "80/tcp",
        "State": "running",
        "Status": "Up About a minute",
        "Size": "5B (virtual 1.98MB)",
        "Labels": "a=1,b=2",
        "Mounts": "a-volume-with-…,/etc",
        "LocalVolumes": "1",
        "Networks": "bridge,other",
        "Platform": None,
    }


def test_nothing_is_cut_if_that_was_asked_for() -> None:
    found = fields(WEB, short=False, now=NOW)
    assert found["ID"] == IDENTITY
    assert found["Names"] == "front/link,web"
    assert found["Command"] == "\"sh -c 'head -n 1; sleep 1; echo late'\""
    assert found["Mounts"] == "a-volume-with-a-long-name,/etc"


def test_an_engine_that_says_little_is_enough() -> None:
    nothing = dict.fromkeys(set(WEB) - {"Id"})
    for said in ({"Id": "x"}, {"Id": "x", **nothing}):
        found = fields(said, short=True, now=NOW)
        assert (found["ID"], found["Image"], found["Command"], found["Size"]) == (
            "x",
            "<no image>",
            '""',
            "0B",
        )


@pytest.mark.parametrize(
    ("given", "short", "shown"),
    [
        (["/web"], True, "web"),
        (["/a/b", "/web", "/other"], True, "web"),
        (["/a/b", "/web"], False, "a/b,web"),
        (["/a/b", "/c/d"], True, "a/b,c/d"),
        ([], True, ""),
    ],
)
def test_a_link_is_no_name_of_its_own(given: list[str], short: bool, shown: str) -> None:
    assert names(given, short) == shown


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("busybox", "busybox"),
        ("busybox:1.36", "busybox:1.36"),
        ("docker.io/library/busybox", "busybox"),
        ("index.docker.io/library/busybox:1", "busybox:1"),
        ("library/busybox", "busybox"),
        ("docker.io/some/busybox", "some/busybox"),
        ("docker.io/library/some/busybox", "library/some/busybox"),
        ("there:5000/some/busybox:1", "there:5000/some/busybox:1"),
        (f"there:5000/busybox@{DIGEST}", "there:5000/busybox"),
        (f"busybox:1@{DIGEST}", "busybox:1"),
        (DIGEST, "dba41360bd03"),
        ("dba41360bd03", "dba41360bd03"),
        ("a" * 64, "a" * 64),
        ("", "<no image>"),
    ],
)
def test_an_image_has_the_name_that_a_person_types(reference: str, shown: str) -> None:
    assert image(reference, DIGEST, True) == shown
    assert image(reference, DIGEST, False) == (reference or "<no image>")


def port(private: int, public: int = 0, ip: str = "", kind: str = "tcp") -> dict[str, Any]:
    return {"PrivatePort": private, "Type": kind, **({"PublicPort": public, "IP": ip} if ip else {})}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(81), port(80), port(82)], "80-82/tcp"),
        ([port(80), port(82)], "80/tcp, 82/tcp"),
        ([port(80), port(81, kind="udp")], "80/tcp, 81/udp"),
        ([port(80, 8080, "0.0.0.0")], "0.0.0.0:8080->80/tcp"),
        ([port(80, 80, "0.0.0.0"), port(81, 81, "0.0.0.0")], "0.0.0.0:80-81->80-81/tcp"),
        ([port(80, 80, "0.0.0.0"), port(80, 80, "::")], "0.0.0.0:80->80/tcp, [::]:80->80/tcp"),
        ([port(80, 8080, "::")], "[::]:8080->80/tcp"),
        ([port(443), port(80, 8080, "0.0.0.0"), port(444)], "443-444/tcp, 0.0.0.0:8080->80/tcp"),
    ],
)
def test_neighbouring_ports_are_joined(given: list[dict[str, Any]], shown: str) -> None:
    assert ports(given) == shown


def test_titles_and_ids_are_short() -> None:
    assert label_title("com.example.some-role_here") == "some role here"
    assert short_id(DIGEST) == "dba41360bd03"
