"""A container's networks, published ports and names: the flags of `run` about them, in the engine's form."""

from __future__ import annotations

import socket

from dockerpty.container.notation import fields, integer, refusal
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# What is longer is no port, and Python refuses to count thousands of them.
_DIGITS = 10
_PROTOCOLS = ("tcp", "udp", "sctp")
# Networks that the engine has by itself; names and links are for those that somebody made.
_BUILT_IN = ("", "default", "bridge", "host", "none")
# What a network's own fields are called, and the flag that says the same of the first one.
_FIELDS = {
    "alias": "network_alias",
    "ip": "ip",
    "ip6": "ip6",
    "mac-address": "mac_address",
    "link-local-ip": "link_local_ip",
    "driver-opt": "",
    "gw-priority": "",
}
_HOST_GATEWAY = "host-gateway"


def ports(
    published: Iterable[str], exposed: Iterable[str]
) -> tuple[dict[str, list[dict[str, str]]], dict[str, dict[str, str]]]:
    """Read `--publish` and `--expose`.

    Returns:
        what is bound where, and every port that the container shows.
    """
    bound: dict[str, list[dict[str, str]]] = {}
    for text in published:
        for port, binding in _published(text):
            bound.setdefault(port, []).append(binding)
    shown = {port: dict[str, str]() for port in bound}
    for text in exposed:
        numbers, _, protocol = text.partition("/")
        first, last = _range("--expose", text, numbers)
        shown.update((f"{number}/{protocol or 'tcp'}", {}) for number in range(first, last + 1))
    return bound, shown


def hosts(flag: str, given: Iterable[str]) -> list[str]:
    """Read `NAME=ADDRESS` or `NAME:ADDRESS`; the address may be `host-gateway`, or stand in brackets."""
    found = []
    for text in given:
        mark = "=" if "=" in text else ":"
        name, _, where = text.partition(mark)
        if not name or not where or ":" in name:
            raise refusal(flag, text, "it has no name or no address", "write NAME:ADDRESS")
        if where != _HOST_GATEWAY:
            if len(where) > 2 and where[0] == "[" and where[-1] == "]":
                where = where[1:-1]
            try:
                address(flag, where)
            except DockerptyError as error:
                raise refusal(flag, text, f"{where!r} is no IP address") from error
        found.append(f"{name}:{where}")
    return found


def domains(flag: str, given: Iterable[str]) -> list[str]:
    """Read domains to search; `.` stands for none."""
    found = []
    for text in given:
        domain = text.strip(" ")
        labels = domain.removesuffix(".").split(".")
        if domain != "." and not (
            any(letter.isalpha() for letter in domain) and all(_is_label(label) for label in labels)
        ):
            raise refusal(flag, text, "it is no domain")
        found.append(domain)
    return [domain if domain == "." else domain.removesuffix(".") for domain in found]


def endpoints(asked: Mapping[str, Any]) -> tuple[str, dict[str, dict[str, Any]]]:
    """Read `--network` and the flags that say more of the first network.

    Returns:
        the first network's name, "" if none was asked for, and how the container is on each that has something of
        its own.
    """
    networks = [_network(text) for text in asked.get("network") or ()]
    first: dict[str, Any] = networks[0] if networks else {"name": ""}
    for field, dest in _FIELDS.items():
        if dest and asked.get(dest):
            if first.get(field):
                flag = f"--{dest.replace('_', '-')}"
                raise refusal(flag, _shown(asked[dest]), f"--network says {field} of {first['name']}, too")
            first[field] = asked[dest]
    if asked.get("link") and first["name"] and _is_made(first["name"]):
        first["link"] = asked["link"]
    networks = networks or [first]
    found: dict[str, dict[str, Any]] = {}
    for network in networks:
        name = network["name"] or "default"
        endpoint = _endpoint(network)
        if name in found:
            raise refusal("--network", name, "it is asked for twice")
        if endpoint or len(networks) > 1:
            found[name] = endpoint
    if len({_is_made(network["name"]) for network in networks}) > 1:
        names = ", ".join(network["name"] for network in networks)
        raise refusal("--network", names, "one of the engine's own networks stands alone")
    return first["name"], found


def address(flag: str, text: str, families: Sequence[int] = (socket.AF_INET, socket.AF_INET6)) -> str:
    """Read an IP address, and give its shortest spelling."""
    for family in families:
        try:
            packed = socket.inet_pton(family, text.strip())
        except (OSError, ValueError):
            continue  # of the other family, or none
        if packed[:12] == bytes(10) + b"\xff\xff":
            # Go gives out an IPv4 address in IPv6's clothes without them.
            return socket.inet_ntop(socket.AF_INET, packed[12:])
        return socket.inet_ntop(family, packed)
    kind = "IP" if len(families) > 1 else "IPv4" if families[0] == socket.AF_INET else "IPv6"
    raise refusal(flag, text, f"it is no {kind} address")


def mac_address(flag: str, text: str) -> str:
    """Check a MAC address, of six octets."""
    octets = text.replace("-", ":").split(":")
    if len(octets) != 6 or not all(
        len(each) == 2 and not set(each.lower()) - set("0123456789abcdef") for each in octets
    ):
        raise refusal(flag, text, "it is no MAC address", "write for example 92:d0:c6:0a:29:33")
    return text


def _network(text: str) -> dict[str, Any]:
    if not text.strip():
        raise refusal("--network", text, "it has no name")
    if not _is_long(text):
        return {"name": text}
    network: dict[str, Any] = {"name": ""}
    for field in fields("--network", text):
        key, equals, value = (part.strip() for part in field.partition("="))
        if not equals or (key not in _FIELDS and key != "name"):
            known = ", ".join(("name", *_FIELDS))
            raise refusal("--network", text, f"there is no field {key!r}", f"there are {known}")
        if key in ("alias", "link-local-ip"):
            network.setdefault(key, []).append(value)
        elif key == "driver-opt":
            name, equals, value = (part.strip() for part in value.partition("="))
            if not equals or not name:
                raise refusal("--network", text, "its driver-opt has no name or no =")
            network.setdefault(key, {})[name] = value
        else:
            network[key] = value
    if not network["name"]:
        raise refusal("--network", text, "it has no name", "write name=NETWORK")
    return network


def _endpoint(network: dict[str, Any]) -> dict[str, Any]:
    """Make what the engine is told of a network, {} for nothing."""
    endpoint: dict[str, Any] = {}
    name = network["name"]
    if network.get("alias"):
        if not _is_made(name):
            hint = "make one with docker network create"
            raise refusal(
                "--network-alias",
                _shown(network["alias"]),
                f"the network {name or 'default'} has no aliases",
                hint,
            )
        endpoint["Aliases"] = list(network["alias"])
    if network.get("link"):
        endpoint["Links"] = list(network["link"])
    if network.get("driver-opt"):
        endpoint["DriverOpts"] = network["driver-opt"]
    if network.get("gw-priority"):
        endpoint["GwPriority"] = integer("--network gw-priority", network["gw-priority"])
    own: dict[str, Any] = {}
    if network.get("ip"):
        own["IPv4Address"] = address("--ip", network["ip"], (socket.AF_INET,))
    if network.get("ip6"):
        own["IPv6Address"] = address("--ip6", network["ip6"], (socket.AF_INET6,))
    if network.get("link-local-ip"):
        own["LinkLocalIPs"] = [address("--link-local-ip", each) for each in network["link-local-ip"]]
    if own:
        endpoint["IPAMConfig"] = own
    if network.get("mac-address"):
        endpoint["MacAddress"] = mac_address("--mac-address", network["mac-address"])
    return endpoint


def _published(text: str) -> list[tuple[str, dict[str, str]]]:
    """Read `[[IP:][HOST_PORT]:]PORT[/PROTOCOL]`, of ports or ranges, or the fields `published=,target=,protocol=`."""
    spelled = _short(text) if "=" in text else text
    *before, inside = spelled.split(":")
    outside = before.pop() if before else ""
    ip = ":".join(before)
    if ip[:1] == "[" and ip[-1:] == "]":
        ip = ip[1:-1]
    numbers, _, protocol = inside.partition("/")
    protocol = protocol.partition("/")[0].lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise refusal("--publish", text, f"{protocol!r} is none of {', '.join(_PROTOCOLS)}")
    if ip:
        try:
            address("--publish", ip)
        except DockerptyError as error:
            raise refusal("--publish", text, f"{ip!r} is no IP address") from error
    first, last = _range("--publish", text, numbers)
    if not outside:
        return [(f"{port}/{protocol}", {"HostIp": ip, "HostPort": ""}) for port in range(first, last + 1)]
    here, here_last = _range("--publish", text, outside)
    if first == last:
        # Of a range here the engine takes one that is free.
        bound = str(here) if here == here_last else f"{here}-{here_last}"
        return [(f"{first}/{protocol}", {"HostIp": ip, "HostPort": bound})]
    if last - first != here_last - here:
        raise refusal("--publish", text, "its two ranges have different lengths")
    return [
        (f"{port}/{protocol}", {"HostIp": ip, "HostPort": str(here + port - first)})
        for port in range(first, last + 1)
    ]


def _short(text: str) -> str:
    parts = {"protocol": "tcp", "published": "", "target": ""}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals or key not in parts:
            raise refusal("--publish", text, f"there is no field {field!r}", "write HOST_PORT:PORT")
        parts[key] = value
    return f"{parts['published']}:{parts['target']}/{parts['protocol']}"


def _range(flag: str, text: str, numbers: str) -> tuple[int, int]:
    first, dash, last = numbers.partition("-")
    ports = [
        int(each)
        for each in ((first, last) if dash else (first, first))
        if each.isascii() and each.isdigit() and len(each) < _DIGITS
    ]
    if len(ports) != 2 or ports[0] > ports[1] or ports[1] > 65535:
        reason = f"{numbers!r} is no port from 0 to 65535, and no range" if numbers else "it has no port"
        raise refusal(flag, text, reason)
    return ports[0], ports[1]


def _is_long(text: str) -> bool:
    """Say whether it is written as fields: an = between two letters, digits or underscores."""
    return any(
        mark == "=" and (before.isalnum() or before == "_") and (after.isalnum() or after == "_")
        for before, mark, after in zip(text, text[1:], text[2:], strict=False)
    )


def _is_made(name: str) -> bool:
    return name not in _BUILT_IN and not name.startswith("container:")


def _is_label(label: str) -> bool:
    bare = label.replace("-", "a")
    return bare.isascii() and bare.isalnum() and label[0] != "-" and label[-1] != "-"


def _shown(value: Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
