"""What `ps` tells of a container, from what the engine's list says of it: docker's fields, titles and words."""

from __future__ import annotations

import re
import time

from dockerpty.cli.units import cut, duration, quoted, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TITLES = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}

_ID_LENGTH = 12
_COMMAND_WIDTH = 20
_MOUNT_WIDTH = 15

# A reference's end, as the registry's grammar has it. 64 hexadecimal digits are an id, and nothing is a name there.
_DIGEST = re.compile(r"@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}$")
_REGISTRIES = ("docker.io/", "index.docker.io/")


def fields(container: dict[str, Any], *, short: bool, now: float) -> dict[str, Any]:
    """Give all fields of a container by name.

    Args:
        container: as the engine lists it.
        short: cut ids, commands and the like, as docker does without `--no-trunc`.
        now: seconds since 1970, by our clock, as docker counts `RunningFor` by its own.
    """
    created = int(container.get("Created") or 0)
    mounts = container.get("Mounts") or []
    command = container.get("Command") or ""
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "ID": short_id(container["Id"]) if short else container["Id"],
        "Names": names(container.get("Names") or [], short),
        "Image": image(container.get("Image") or "", container.get("ImageID") or "", short),
        "Command": quoted(cut(command, _COMMAND_WIDTH) if short else command),
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(created)),
        "RunningFor": f"{duration(now - created)} ago",
        "Ports": ports(container.get("Ports") or []),
        "State": container.get("State") or "",
        "Status": container.get("Status") or "",
        "Size": sizes(container.get("SizeRw") or 0, container.get("SizeRootFs") or 0),
        "Labels": ",".join(sorted(f"{key}={value}" for key, value in labels(container).items())),
        "Mounts": ",".join(_mount(mount, short) for mount in mounts),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in mounts)),
        "Networks": ",".join(networks),
        # Engines tell it from API 1.48 on.
        "Platform": (container.get("ImageManifestDescriptor") or {}).get("platform"),
    }


def labels(container: dict[str, Any]) -> dict[str, str]:
    """Give a container's labels."""
    return container.get("Labels") or {}


def label_title(name: str) -> str:
    """Give the title of a label's column: the last part of its name, in words."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def short_id(identity: str) -> str:
    """Cut an id to the length that docker shows; what stands before a colon is left out."""
    return identity.partition(":")[2][:_ID_LENGTH] if ":" in identity else identity[:_ID_LENGTH]


def names(given: list[str], short: bool) -> str:
    """Give the names without their slash; a short list has the one that is no link of another container."""
    bare = [name.removeprefix("/") for name in given]
    if short:
        bare = [name for name in bare if "/" not in name][:1] or bare
    return ",".join(bare)


def image(reference: str, identity: str, short: bool) -> str:
    """Give the image as a person would name it: short, without the digest and without docker's own registry."""
    if not reference:
        return "<no image>"
    if not short:
        return reference
    if short_id(identity) == short_id(reference):
        return short_id(reference)
    name = _DIGEST.sub("", reference)
    for registry in _REGISTRIES:
        name = name.removeprefix(registry)
    bare = name.removeprefix("library/")
    return name if "/" in bare else bare


def ports(given: list[dict[str, Any]]) -> str:
    """Give the ports, published and exposed; neighbours with the same number on both sides become a range."""
    groups: dict[tuple[str, str], tuple[int, int]] = {}
    done: list[str] = []
    mapped: list[str] = []
    for port in sorted(given, key=_order):
        ip, private, public, kind = _of(port)
        if ip and public != private:
            mapped.append(f"{_joined(ip, str(public))}->{private}/{kind}")
            continue
        first, last = groups.get((ip, kind), (private, private - 1))
        if private != last + 1:
            done.append(_group(ip, kind, first, last))
            first = private
        groups[ip, kind] = (first, private)
    return ", ".join([*done, *(_group(*key, *ends) for key, ends in groups.items()), *mapped])


def sizes(own: int, root: int) -> str:
    """Give what a container has written, and that with its image below it."""
    return f"{size(own)} (virtual {size(root)})" if root > 0 else size(own)


def _of(port: dict[str, Any]) -> tuple[str, int, int, str]:
    return (
        port.get("IP") or "",
        port.get("PrivatePort") or 0,
        port.get("PublicPort") or 0,
        port.get("Type") or "",
    )


def _order(port: dict[str, Any]) -> tuple[int, str, int, str]:
    ip, private, public, kind = _of(port)
    return private, ip, public, kind


def _group(ip: str, kind: str, first: int, last: int) -> str:
    numbers = str(first) if first == last else f"{first}-{last}"
    return f"{_joined(ip, numbers)}->{numbers}/{kind}" if ip else f"{numbers}/{kind}"


def _joined(ip: str, numbers: str) -> str:
    return f"[{ip}]:{numbers}" if ":" in ip else f"{ip}:{numbers}"


def _mount(mount: dict[str, Any], short: bool) -> str:
    name: str = mount.get("Name") or mount.get("Source") or ""
    return cut(name, _MOUNT_WIDTH) if short else name
