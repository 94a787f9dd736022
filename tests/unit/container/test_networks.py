"""Ports, names, addresses and networks."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.container.networks import address, domains, endpoints, hosts, mac_address, ports
from dockerpty.errors import DockerptyError

PORTS = st.integers(1, 65535)


def at(ip: str, port: str) -> dict[str, str]:
    return {"HostIp": ip, "HostPort": port}


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("80", {"80/tcp": [at("", "")]}),
        ("8080:80", {"80/tcp": [at("", "8080")]}),
        ("8080:80/UDP", {"80/udp": [at("", "8080")]}),
        ("127.0.0.1:8080:80", {"80/tcp": [at("127.0.0.1", "8080")]}),
        ("127.0.0.1::80", {"80/tcp": [at("127.0.0.1", "")]}),
        (":80", {"80/tcp": [at("", "")]}),
        ("[::1]:8080:80", {"80/tcp": [at("::1", "8080")]}),
        ("::1:8080:80", {"80/tcp": [at("::1", "8080")]}),
        ("9000-9010:80", {"80/tcp": [at("", "9000-9010")]}),
        ("9000-9001:80-81", {"80/tcp": [at("", "9000")], "81/tcp": [at("", "9001")]}),
        ("80-81", {"80/tcp": [at("", "")], "81/tcp": [at("", "")]}),
        ("published=8080,target=80,protocol=udp", {"80/udp": [at("", "8080")]}),
        ("target=80", {"80/tcp": [at("", "")]}),
    ],
)
def test_a_port_is_published_where_it_says(text: str, bound: dict[str, list[dict[str, str]]]) -> None:
    assert ports([text], []) == (bound, {port: {} for port in bound})


def test_a_port_may_be_published_more_than_once() -> None:
    assert ports(["1:80", "2:80"], [])[0] == {"80/tcp": [at("", "1"), at("", "2")]}


def test_what_is_exposed_and_what_is_published_is_shown() -> None:
    assert ports(["80"], ["90-91/udp", "7", "8/"])[1] == {
        "80/tcp": {},
        "90/udp": {},
        "91/udp": {},
        "7/tcp": {},
        "8/tcp": {},
    }


@given(PORTS, PORTS, st.integers(0, 20))
def test_two_ranges_go_side_by_side(here: int, there: int, more: int) -> None:
    if max(here, there) + more > 65535:
        return
    bound, _ = ports([f"{here}-{here + more}:{there}-{there + more}"], [])
    assert bound == {f"{there + n}/tcp": [at("", str(here + n))] for n in range(more + 1)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no port"),
        ("80:", "it has no port"),
        ("x", "'x' is no port from 0 to 65535, and no range"),
        ("65536", "'65536' is no port"),
        ("9" * 5000, "9' is no port"),
        ("90-80", "'90-80' is no port"),
        ("80-", "'80-' is no port"),
        ("x:80", "'x' is no port"),
        ("1:2:3", "'1' is no IP address"),
        ("[::1:2:3", r"'\[::1' is no IP address"),
        ("80/foo", "'foo' is none of tcp, udp, sctp"),
        ("80-81:90-95", "its two ranges have different lengths"),
        ("80=81", "there is no field '80=81'; write HOST_PORT:PORT"),
    ],
)
def test_what_is_no_port_is_refused(text: str, words: str) -> None:
    with pytest.raises(DockerptyError, match=words):
        ports([text], [])


@pytest.mark.parametrize("text", ["", "80:90", "90-80", "x", "/udp"])
def test_what_is_no_port_is_not_exposed(text: str) -> None:
    with pytest.raises(DockerptyError, match="--expose"):
        ports([], [text])


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("a:1.2.3.4", "a:1.2.3.4"),
        ("a=1.2.3.4", "a:1.2.3.4"),
        ("a:::1", "a:::1"),
        ("a=[::1]", "a:::1"),
        ("a:host-gateway", "a:host-gateway"),
    ],
)
def test_a_host_has_a_name_and_an_address(text: str, passed: str) -> None:
    assert hosts("--add-host", [text]) == [passed]


@pytest.mark.parametrize("text", ["", "a", "a:", ":1.2.3.4", "a:b", "a:b=1.2.3.4", "a:300.1.1.1", "a=[]"])
def test_a_host_without_either_is_refused(text: str) -> None:
    with pytest.raises(DockerptyError, match="--add-host"):
        hosts("--add-host", [text])


def test_domains_are_names_or_a_dot() -> None:
    assert domains("--dns-search", ["example.com.", " a-b.c ", ".", "x"]) == [
        "example.com",
        "a-b.c",
        ".",
        "x",
    ]
    for text in ("", "-x", "x-", "a_b", "a..b", "5", "ä.de"):
        with pytest.raises(DockerptyError, match="it is no domain"):
            domains("--dns-search", [text])


@given(st.ip_addresses())
def test_an_address_has_its_shortest_spelling(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    assert ipaddress.ip_address(address("--dns", ip.exploded)) == (mapped or ip)


def test_an_address_of_the_wrong_kind_is_refused() -> None:
    assert address("--ip", " 1.2.3.4 ", (socket.AF_INET,)) == "1.2.3.4"
    with pytest.raises(DockerptyError, match="cannot use --ip ::1: it is no IPv4 address"):
        address("--ip", "::1", (socket.AF_INET,))
    with pytest.raises(DockerptyError, match=r"cannot use --ip6 1\.2\.3\.4: it is no IPv6 address"):
        address("--ip6", "1.2.3.4", (socket.AF_INET6,))
    with pytest.raises(DockerptyError, match=r"cannot use --dns 1\.2\.3: it is no IP address"):
        address("--dns", "1.2.3")


def test_a_mac_address_has_six_octets() -> None:
    for text in ("92:d0:c6:0a:29:33", "92-D0-C6-0A-29-33"):
        assert mac_address("--mac-address", text) == text
    for text in ("", "92:d0:c6:0a:29", "92:d0:c6:0a:29:3x", "92:d0:c6:0a:29:333"):
        with pytest.raises(DockerptyError, match="it is no MAC address; write for example"):
            mac_address("--mac-address", text)


@pytest.mark.parametrize(
    ("asked", "mode", "ends"),
    [
        ({}, "", {}),
        ({"network": ["net"]}, "net", {}),
        ({"network": ["name=net"]}, "net", {}),
        ({"network": ["name="]}, "name=", {}),
        ({"network": ["container:x"]}, "container:x", {}),
        ({"network": ["a", "b"]}, "a", {"a": {}, "b": {}}),
        ({"network": ["net"], "network_alias": ["x", "y"]}, "net", {"net": {"Aliases": ["x", "y"]}}),
        ({"network": ["name=net,alias=x,alias=y"]}, "net", {"net": {"Aliases": ["x", "y"]}}),
        ({"network": ["net"], "link": ["a:b"]}, "net", {"net": {"Links": ["a:b"]}}),
        ({"link": ["a:b"]}, "", {}),
        ({"network": ["bridge"], "link": ["a:b"]}, "bridge", {}),
        ({"ip": "1.2.3.4"}, "", {"default": {"IPAMConfig": {"IPv4Address": "1.2.3.4"}}}),
        (
            {
                "network": ["name=net,ip6=::1,gw-priority=-5,driver-opt=a=b,driver-opt=c=d=e", "other"],
                "ip": "1.2.3.4",
            },
            "net",
            {
                "net": {
                    "IPAMConfig": {"IPv4Address": "1.2.3.4", "IPv6Address": "::1"},
                    "GwPriority": -5,
                    "DriverOpts": {"a": "b", "c": "d=e"},
                },
                "other": {},
            },
        ),
        (
            {"network": ["net"], "link_local_ip": ["169.254.1.1"], "mac_address": "92:d0:c6:0a:29:33"},
            "net",
            {"net": {"IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}, "MacAddress": "92:d0:c6:0a:29:33"}},
        ),
    ],
)
def test_what_is_said_of_a_network_stands_with_it(
    asked: dict[str, Any], mode: str, ends: dict[str, dict[str, Any]]
) -> None:
    assert endpoints(asked) == (mode, ends)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"network": [""]}, "cannot use an empty --network: it has no name"),
        ({"network": ["alias=x"]}, "it has no name; write name=NETWORK"),
        ({"network": ["name=a,b"]}, "there is no field 'b'; there are name, alias, ip,"),
        ({"network": ["name=a,size=5"]}, "there is no field 'size'"),
        ({"network": ["name=a,driver-opt=x"]}, "its driver-opt has no name or no ="),
        ({"network": ["name=a,gw-priority=x"]}, "it is no whole number"),
        ({"network": ["name=a,ip=x"]}, "cannot use --ip x: it is no IPv4 address"),
        ({"network": ["a", "a"]}, "cannot use --network a: it is asked for twice"),
        ({"network": ["host", "a"]}, "one of the engine's own networks stands alone"),
        ({"network_alias": ["x"]}, "cannot use --network-alias x: the network default has no aliases"),
        ({"network": ["host"], "network_alias": ["x", "y"]}, "the network host has no aliases"),
        ({"network": ["name=a,alias=x"], "network_alias": ["y"]}, "--network says alias of a, too"),
        (
            {"network": ["name=a,ip=1.1.1.1"], "ip": "1.1.1.2"},
            "cannot use --ip 1.1.1.2: --network says ip of a, too",
        ),
    ],
)
def test_what_makes_no_sense_of_networks_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        endpoints(asked)
    assert words in str(caught.value)
