"""`--mount`: what is mounted into a container, in docker's long notation of `KEY=VALUE,KEY=VALUE`.

The short one, `--volume`, is read in `spec`.
"""

from __future__ import annotations

import os

from dockerpty.container.notation import boolean, fields, refusal, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# What the kernel takes for one, and far from what an engine cannot read.
_MODE_DIGITS = 10
_SWITCHES = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive")
# What only one kind has begins with its name, and stands in an object of its own.
_KINDS = ("bind", "volume", "tmpfs", "image")
_RECURSIONS = {
    "enabled": "",
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}


def mounts(flag: str, given: Iterable[str]) -> list[dict[str, Any]]:
    """Read mounts into the engine's form.

    Raises:
        DockerptyError: a key that there is not or that is another kind's, a bad value, or no target.
    """
    return [_mount(flag, text) for text in given]


def _mount(flag: str, text: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"Type": "volume"}
    keys: list[str] = []
    for field in fields(flag, text):
        key, equals, value = field.partition("=")
        if not equals:
            if key not in _SWITCHES:
                # Behind an option it may be the rest of a password with a comma in it.
                what = "a field" if keys and keys[-1] == "volume-opt" else repr(field)
                raise refusal(flag, text, f"{what} has no value", "write KEY=VALUE,KEY=VALUE")
            value = "true"
        keys.append(key)
        if key in ("source", "src"):
            mount["Source"] = os.path.abspath(value) if value.startswith(".") else value
        elif key in ("target", "dst", "destination"):
            mount["Target"] = value
        elif key in ("readonly", "ro"):
            mount["ReadOnly"] = boolean(flag, text, key, value)
        elif key in ("type", "consistency"):
            mount[key.capitalize()] = value.lower()
        else:
            _option(flag, text, mount, key, value)
    kind = mount["Type"]
    if not kind:
        raise refusal(flag, text, "its type is empty", "write for example type=bind")
    if not mount.get("Target"):
        raise refusal(flag, text, "it has no target", "write target=PATH")
    for key in keys:
        owner, dash, _ = key.partition("-")
        if dash and owner != kind:
            raise refusal(flag, text, f"{key} is not for the type {kind}")
    recursion = mount.get("BindOptions", {})
    if not mount.get("ReadOnly") and any(name.startswith("ReadOnly") for name in recursion):
        raise refusal(flag, text, "this bind-recursive needs readonly")
    if "ReadOnlyForceRecursive" in recursion and recursion.get("Propagation") != "rprivate":
        raise refusal(flag, text, "bind-recursive=readonly needs bind-propagation=rprivate")
    return mount


def _option(flag: str, text: str, mount: dict[str, Any], key: str, value: str) -> None:
    """Set what only one kind of mount has."""
    owner = key.partition("-")[0]
    options = mount.setdefault(f"{owner.capitalize()}Options", {}) if owner in _KINDS else {}
    if key in ("bind-nonrecursive", "volume-nocopy"):
        name = "NonRecursive" if key[0] == "b" else "NoCopy"
        options[name] = boolean(flag, text, key, value)
    elif key == "bind-propagation":
        options["Propagation"] = value.lower()
    elif key == "bind-recursive":
        if value not in _RECURSIONS:
            raise refusal(flag, text, f"bind-recursive is none of {', '.join(_RECURSIONS)}")
        if _RECURSIONS[value]:
            options[_RECURSIONS[value]] = True
    elif key == "volume-label":
        _add(options.setdefault("Labels", {}), value)
    elif key == "volume-driver":
        options.setdefault("DriverConfig", {})["Name"] = value
    elif key == "volume-opt":
        _add(options.setdefault("DriverConfig", {}).setdefault("Options", {}), value)
    elif key in ("volume-subpath", "image-subpath"):
        options["Subpath"] = value
    elif key == "tmpfs-size":
        options["SizeBytes"] = size(f"{flag} tmpfs-size", value)
    elif key == "tmpfs-mode":
        if not value or set(value) - set("01234567") or len(value.lstrip("0")) > _MODE_DIGITS:
            raise refusal(flag, text, f"{value!r} is no mode", "write it in octal digits, for example 1777")
        options["Mode"] = int(value, 8)
    else:
        raise refusal(flag, text, f"there is no key {key!r}")


def _add(target: dict[str, str], text: str) -> None:
    name, _, value = text.partition("=")
    if name:
        target[name] = value
