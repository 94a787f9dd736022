"""Each flag of `run` ends where the engine looks for it; the notations have tests of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dockerpty.cli.container_flags import ASKED, CONTAINER
from dockerpty.cli.grammar import BOOL, LIST, TEXT
from dockerpty.container.options import NAMES
from dockerpty.container.spec import container_config
from dockerpty.errors import DockerptyError

ROOT = Path(__file__).parents[3]


def asked(**values: Any) -> dict[str, Any]:
    """What is asked, without what every container has: of the configuration, `HostConfig` among it."""
    plain = container_config("image")
    made = container_config("image", asked=values)
    host, plain_host = made.pop("HostConfig"), plain["HostConfig"]
    changed = {key: value for key, value in host.items() if plain_host.get(key) != value}
    own = {key: value for key, value in made.items() if plain.get(key) != value}
    return {**own, "HostConfig": changed} if changed else own


def test_every_flag_of_the_table_is_known_and_no_other() -> None:
    assert {*ASKED, "network"} == NAMES
    kinds = {flag.dest: flag.kind for flag in CONTAINER}
    assert {kinds[name] for name in NAMES} == {BOOL, LIST, TEXT}
    assert len({name for flag in CONTAINER for name in flag.names}) == sum(
        len(flag.names) for flag in CONTAINER
    )


def test_a_container_without_any_of_them_does_not_load_them() -> None:
    code = (
        "import sys; from dockerpty.container.spec import container_config\n"
        "container_config('image', networks=['net'], volumes=['/own'], asked={})\n"
        "print(*(name for name in sys.modules if name.startswith('dockerpty.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {*done.stdout.split()} & {
        f"dockerpty.container.{name}" for name in ("options", "notation", "mounts", "networks")
    } == set()


@pytest.mark.parametrize("nothing", [None, False, []])
def test_what_is_not_asked_for_is_left_to_the_engine(nothing: Any) -> None:
    assert asked(**dict.fromkeys(NAMES, nothing)) == {}


@pytest.mark.parametrize(
    ("name", "value", "key", "engines"),
    [
        ("add_host", ["a:1.2.3.4"], "ExtraHosts", ["a:1.2.3.4"]),
        ("cap_drop", ["all"], "CapDrop", ["ALL"]),
        ("cgroupns", "private", "CgroupnsMode", "private"),
        ("cidfile", "file", "ContainerIDFile", "file"),
        ("cpu_shares", "0x10", "CpuShares", 16),
        ("cpus", "1.5", "NanoCpus", 1_500_000_000),
        ("dns_option", ["ndots:1"], "DnsOptions", ["ndots:1"]),
        ("ipc", "shareable", "IpcMode", "shareable"),
        ("link", ["a", "b:c"], "Links", ["a", "b:c"]),
        ("log_opt", ["a=b"], "LogConfig", {"Type": "", "Config": {"a": "b"}}),
        ("memory", "1k", "Memory", 1024),
        ("memory_swap", "-1", "MemorySwap", -1),
        ("memory_swappiness", "0", "MemorySwappiness", 0),
        ("mount", ["dst=/d"], "Mounts", [{"Type": "volume", "Target": "/d"}]),
        ("oom_kill_disable", True, "OomKillDisable", True),
        ("pid", "container:x", "PidMode", "container:x"),
        ("publish_all", True, "PublishAllPorts", True),
        ("read_only", True, "ReadonlyRootfs", True),
        ("restart", "on-failure:3", "RestartPolicy", {"Name": "on-failure", "MaximumRetryCount": 3}),
        ("security_opt", ["no-new-privileges"], "SecurityOpt", ["no-new-privileges"]),
        ("sysctl", ["net.a="], "Sysctls", {"net.a": ""}),
        ("tmpfs", ["/a", "/b:size=1m"], "Tmpfs", {"/a": "", "/b": "size=1m"}),
        ("userns", "host", "UsernsMode", "host"),
        ("volumes_from", ["a:ro"], "VolumesFrom", ["a:ro"]),
    ],
)
def test_what_is_about_its_surroundings_is_the_hosts(name: str, value: Any, key: str, engines: Any) -> None:
    assert asked(**{name: value}) == {"HostConfig": {key: engines}}


@pytest.mark.parametrize(
    ("values", "config"),
    [
        ({"domainname": "d"}, {"Domainname": "d"}),
        ({"stop_signal": "INT"}, {"StopSignal": "INT"}),
        ({"stop_timeout": "0"}, {"StopTimeout": 0}),
        ({"expose": ["7"]}, {"ExposedPorts": {"7/tcp": {}}}),
        ({"health_cmd": "c"}, {"Healthcheck": {"Test": ["CMD-SHELL", "c"]}}),
        (
            {"health_interval": "1s", "health_retries": "2"},
            {"Healthcheck": {"Interval": 10**9, "Retries": 2}},
        ),
        ({"health_start_interval": "1m"}, {"Healthcheck": {"StartInterval": 60 * 10**9}}),
        ({"no_healthcheck": True}, {"Healthcheck": {"Test": ["NONE"]}}),
        ({"health_interval": "0", "health_cmd": "", "domainname": "", "pid": "", "mac_address": ""}, {}),
        ({"memory": "0", "cpus": "0", "memory_swappiness": "-1", "restart": "no"}, {}),
    ],
)
def test_what_is_about_itself_is_its_own(values: dict[str, Any], config: dict[str, Any]) -> None:
    assert asked(**values) == config


def test_a_mac_address_stands_where_old_and_where_new_engines_look() -> None:
    made = container_config("image", networks=["name=net,mac-address=92:d0:c6:0a:29:33"])
    assert made["HostConfig"]["NetworkMode"] == "net"
    assert made["MacAddress"] == "92:d0:c6:0a:29:33"
    assert made["NetworkingConfig"] == {"EndpointsConfig": {"net": {"MacAddress": "92:d0:c6:0a:29:33"}}}


def test_devices_of_cdi_are_requested_beside_gpus() -> None:
    host = asked(device=["/dev/a", "maker.com/kind=one"], gpus=["all"])["HostConfig"]
    assert [device["PathOnHost"] for device in host["Devices"]] == ["/dev/a"]
    assert [request["Driver"] for request in host["DeviceRequests"]] == ["", "cdi"]
    assert host["DeviceRequests"][1]["DeviceIDs"] == ["maker.com/kind=one"]


def test_system_paths_are_opened_by_two_empty_lists() -> None:
    assert asked(security_opt=["systempaths=unconfined"]) == {
        "HostConfig": {"MaskedPaths": [], "ReadonlyPaths": []}
    }


def test_a_seccomp_profile_is_sent_and_not_its_name(tmp_path: Path) -> None:
    path = tmp_path / "profile"
    path.write_text('{ "names": ["ä", 1e3],\n "x": null }\n')
    (option,) = asked(security_opt=[f"seccomp={path}"])["HostConfig"]["SecurityOpt"]
    name, _, profile = option.partition("=")
    assert (name, json.loads(profile)) == ("seccomp", {"names": ["ä", 1000.0], "x": None})
    assert not set(profile) & {" ", "\n"}
    for known in ("unconfined", "builtin"):
        assert asked(security_opt=[f"seccomp={known}"])["HostConfig"]["SecurityOpt"] == [f"seccomp={known}"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pid": "x"}, "cannot use --pid x: it is none of host, container:NAME"),
        ({"uts": "container:x"}, "cannot use --uts container:x: it is none of host"),
        (
            {"memory": ""},
            "cannot use an empty --memory: it is no size; write a number and b, k, m or g, for example 512m",
        ),
        ({"memory_swappiness": "101"}, "cannot use --memory-swappiness 101: it is above 100"),
        (
            {"restart": ":3"},
            "cannot use --restart :3: there is no policy before the colon; write on-failure:3",
        ),
        ({"restart": "always:x"}, "cannot use --restart always:x: 'x' is no whole number"),
        ({"link": ["a:b:c"]}, "cannot use --link a:b:c: it is no link; write CONTAINER[:ALIAS]"),
        (
            {"security_opt": ["apparmor"]},
            "cannot use --security-opt apparmor: it has no value; write NAME=VALUE",
        ),
        (
            {"security_opt": ["seccomp=/no/such"]},
            "cannot use --security-opt seccomp=/no/such: the profile cannot be read: No such file or directory",
        ),
        (
            {"security_opt": ["seccomp=/dev/null"]},
            "cannot use --security-opt seccomp=/dev/null: the profile is no JSON",
        ),
        (
            {"log_driver": "none", "log_opt": ["a=b"]},
            "cannot use --log-opt a=b: the log driver none has no options",
        ),
        (
            {"no_healthcheck": True, "health_retries": "1"},
            "cannot use --no-healthcheck: a flag --health-... is there, too; leave out one of them",
        ),
        ({"health_retries": "-1"}, "cannot use --health-retries -1: it is below 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        asked(**values)
    assert str(caught.value) == message


def test_a_profile_of_which_no_end_of_brackets_can_be_seen_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "deep"
    path.write_text("[" * 100_000)
    with pytest.raises(DockerptyError, match="the profile is no JSON"):
        asked(security_opt=[f"seccomp={path}"])


def test_what_is_removed_at_its_end_is_not_started_again() -> None:
    with pytest.raises(
        DockerptyError, match="cannot use --restart always: what --rm removes is not started again"
    ):
        container_config("image", remove=True, asked={"restart": "always"})
    container_config("image", remove=True, asked={"restart": "no"})
