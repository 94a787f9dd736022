"""`--mount`, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockerpty.container.mounts import mounts
from dockerpty.errors import DockerptyError


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("dst=/d", {"Type": "volume", "Target": "/d"}),
        ("type=BIND,source=/s,destination=/d", {"Type": "bind", "Source": "/s", "Target": "/d"}),
        ("src=s,target=/d,ro", {"Type": "volume", "Source": "s", "Target": "/d", "ReadOnly": True}),
        ("dst=/d,readonly=F", {"Type": "volume", "Target": "/d", "ReadOnly": False}),
        ("dst=/d,consistency=Cached", {"Type": "volume", "Target": "/d", "Consistency": "cached"}),
        (
            "type=bind,dst=/d,bind-propagation=RSlave,bind-nonrecursive",
            {"Type": "bind", "Target": "/d", "BindOptions": {"Propagation": "rslave", "NonRecursive": True}},
        ),
        (
            "type=bind,dst=/d,ro,bind-recursive=writable",
            {"Type": "bind", "Target": "/d", "ReadOnly": True, "BindOptions": {"ReadOnlyNonRecursive": True}},
        ),
        (
            "type=bind,dst=/d,ro,bind-propagation=rprivate,bind-recursive=readonly",
            {
                "Type": "bind",
                "Target": "/d",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rprivate", "ReadOnlyForceRecursive": True},
            },
        ),
        ("type=bind,dst=/d,bind-recursive=enabled", {"Type": "bind", "Target": "/d", "BindOptions": {}}),
        (
            "dst=/d,volume-nocopy,volume-label=a=b,volume-label=c,volume-driver=v,volume-opt=o=p,volume-opt==q",
            {
                "Type": "volume",
                "Target": "/d",
                "VolumeOptions": {
                    "NoCopy": True,
                    "Labels": {"a": "b", "c": ""},
                    "DriverConfig": {"Name": "v", "Options": {"o": "p"}},
                },
            },
        ),
        ("dst=/d,volume-subpath=p", {"Type": "volume", "Target": "/d", "VolumeOptions": {"Subpath": "p"}}),
        (
            "type=tmpfs,dst=/d,tmpfs-size=1m,tmpfs-mode=1777",
            {"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}},
        ),
        (
            "type=image,src=i,dst=/d,image-subpath=p",
            {"Type": "image", "Source": "i", "Target": "/d", "ImageOptions": {"Subpath": "p"}},
        ),
    ],
)
def test_each_key_has_its_place(text: str, mount: dict[str, Any]) -> None:
    assert mounts("--mount", [text]) == [mount]


def test_a_source_that_begins_with_a_dot_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [
        mount["Source"] for mount in mounts("--mount", ["src=./a,dst=/d", "src=..,dst=/e", "src=a,dst=/f"])
    ]
    assert sources == [f"{tmp_path}/a", str(tmp_path.parent), "a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is nothing in it"),
        ("type=bind,src=/s", "it has no target; write target=PATH"),
        ("dst=/d,size", "'size' has no value; write KEY=VALUE,KEY=VALUE"),
        ("dst=/d,size=5", "there is no key 'size'"),
        ("dst=/d, ro", "' ro' has no value; write KEY=VALUE,KEY=VALUE"),
        ("dst=/d,volume-size=5", "there is no key 'volume-size'"),
        ("type=,dst=/d", "its type is empty; write for example type=bind"),
        ("dst=/d,ro=maybe", "'maybe' for ro is neither true nor false"),
        ("type=bind,dst=/d,volume-nocopy", "volume-nocopy is not for the type bind"),
        ("dst=/d,tmpfs-mode=1777", "tmpfs-mode is not for the type volume"),
        (
            f"type=tmpfs,dst=/d,tmpfs-mode={'7' * 24}",
            f"'{'7' * 24}' is no mode; write it in octal digits, for example 1777",
        ),
        ("type=tmpfs,dst=/d,tmpfs-mode=9", "'9' is no mode; write it in octal digits, for example 1777"),
        (
            "type=bind,dst=/d,bind-recursive=true",
            "bind-recursive is none of enabled, disabled, writable, readonly",
        ),
        ("type=bind,dst=/d,bind-recursive=writable", "this bind-recursive needs readonly"),
        (
            "type=bind,dst=/d,ro,bind-recursive=readonly",
            "bind-recursive=readonly needs bind-propagation=rprivate",
        ),
    ],
)
def test_what_makes_no_mount_is_refused(text: str, words: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        mounts("--mount", [text])
    shown = f"--mount {text}" if text else "an empty --mount"
    assert str(caught.value) == f"cannot use {shown}: {words}"


def test_a_size_that_is_none_is_told_with_its_key() -> None:
    with pytest.raises(DockerptyError, match="cannot use --mount tmpfs-size x: it is no size"):
        mounts("--mount", ["type=tmpfs,dst=/d,tmpfs-size=x"])
