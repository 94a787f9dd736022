"""What `run` can be asked beyond the plain: docker's flags, and where in a container's configuration each stands.

Loaded by `spec` only for a container that asks for one of them. The texts are read by `notation`, `mounts` and
`networks`. A fact about docker's own command is from version 28.2 speaking API 1.41.
"""

from __future__ import annotations

import os

from dockerpty.container import notation
from dockerpty.container.mounts import mounts
from dockerpty.container.networks import address, domains, endpoints, hosts, ports
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    # From a flag and what was given to it to the engine's value.
    Reader = Callable[[str, Any], Any]


def _as_it_is(flag: str, value: Any) -> Any:
    return value


def _whole(least: int = -(1 << 63), most: int = (1 << 63) - 1) -> Reader:
    return lambda flag, text: notation.integer(flag, text, least, most)


def _one_of(*words: str) -> Reader:
    def read(flag: str, text: str) -> str:
        kind, colon, name = text.partition(":")
        if text and text not in words and not (f"{kind}{colon}NAME" in words and name):
            raise notation.refusal(flag, text, f"it is none of {', '.join(words)}")
        return text

    return read


def _addresses(flag: str, given: Sequence[str]) -> list[str]:
    return [address(flag, text) for text in given]


def _links(flag: str, given: Sequence[str]) -> list[str]:
    for text in given:
        if not text or text.count(":") > 1:
            raise notation.refusal(flag, text, "it is no link", "write CONTAINER[:ALIAS]")
    return list(given)


def _temporary(flag: str, given: Sequence[str]) -> dict[str, str]:
    return {path: options for path, _, options in (text.partition(":") for text in given)}


# By what is asked, which is the flag with underscores: the key in `HostConfig`, and how to read it.
_HOST: dict[str, tuple[str, Reader]] = {
    "add_host": ("ExtraHosts", hosts),
    "blkio_weight": ("BlkioWeight", _whole(0, 65535)),
    "blkio_weight_device": ("BlkioWeightDevice", notation.weights),
    "cap_add": ("CapAdd", notation.capabilities),
    "cap_drop": ("CapDrop", notation.capabilities),
    "cgroup_parent": ("CgroupParent", _as_it_is),
    "cgroupns": ("CgroupnsMode", _one_of("host", "private")),
    "cidfile": ("ContainerIDFile", _as_it_is),
    "cpu_period": ("CpuPeriod", _whole()),
    "cpu_quota": ("CpuQuota", _whole()),
    "cpu_rt_period": ("CpuRealtimePeriod", _whole()),
    "cpu_rt_runtime": ("CpuRealtimeRuntime", _whole()),
    "cpu_shares": ("CpuShares", _whole()),
    "cpus": ("NanoCpus", notation.nano_cpus),
    "cpuset_cpus": ("CpusetCpus", _as_it_is),
    "cpuset_mems": ("CpusetMems", _as_it_is),
    "device_cgroup_rule": ("DeviceCgroupRules", notation.device_rules),
    "device_read_bps": ("BlkioDeviceReadBps", notation.byte_rates),
    "device_read_iops": ("BlkioDeviceReadIOps", notation.operation_rates),
    "device_write_bps": ("BlkioDeviceWriteBps", notation.byte_rates),
    "device_write_iops": ("BlkioDeviceWriteIOps", notation.operation_rates),
    "dns": ("Dns", _addresses),
    "dns_option": ("DnsOptions", _as_it_is),
    "dns_search": ("DnsSearch", domains),
    "gpus": ("DeviceRequests", notation.gpus),
    "group_add": ("GroupAdd", _as_it_is),
    "ipc": ("IpcMode", _as_it_is),
    "isolation": ("Isolation", _as_it_is),
    "kernel_memory": ("KernelMemory", notation.size),
    "link": ("Links", _links),
    "memory": ("Memory", notation.size),
    "memory_reservation": ("MemoryReservation", notation.size),
    "memory_swap": ("MemorySwap", notation.swap),
    "memory_swappiness": ("MemorySwappiness", _whole(-1, 100)),
    "mount": ("Mounts", mounts),
    "oom_kill_disable": ("OomKillDisable", _as_it_is),
    "oom_score_adj": ("OomScoreAdj", _whole()),
    "pid": ("PidMode", _one_of("host", "container:NAME")),
    "pids_limit": ("PidsLimit", _whole()),
    "publish_all": ("PublishAllPorts", _as_it_is),
    "read_only": ("ReadonlyRootfs", _as_it_is),
    "runtime": ("Runtime", _as_it_is),
    "shm_size": ("ShmSize", notation.size),
    "storage_opt": ("StorageOpt", notation.full_pairs),
    "sysctl": ("Sysctls", notation.full_pairs),
    "tmpfs": ("Tmpfs", _temporary),
    "ulimit": ("Ulimits", notation.ulimits),
    "userns": ("UsernsMode", _one_of("host")),
    "uts": ("UTSMode", _one_of("host")),
    "volume_driver": ("VolumeDriver", _as_it_is),
    "volumes_from": ("VolumesFrom", _as_it_is),
}
# The same for the configuration itself.
_OWN: dict[str, tuple[str, Reader]] = {
    "domainname": ("Domainname", _as_it_is),
    "stop_signal": ("StopSignal", _as_it_is),
    "stop_timeout": ("StopTimeout", _whole()),
}
_HEALTH: dict[str, tuple[str, Reader]] = {
    "health_interval": ("Interval", notation.nanoseconds),
    "health_timeout": ("Timeout", notation.nanoseconds),
    "health_start_period": ("StartPeriod", notation.nanoseconds),
    "health_start_interval": ("StartInterval", notation.nanoseconds),
    "health_retries": ("Retries", _whole(0)),
}
# What 0 says that silence does not.
_ZERO_COUNTS = ("memory_swappiness", "stop_timeout")
_NETWORK = ("network", "network_alias", "ip", "ip6", "link", "link_local_ip", "mac_address")
# Read together, below.
_GROUPS = (
    *("device", "expose", "health_cmd", "log_driver", "log_opt", "no_healthcheck", "publish", "restart"),
    *("security_opt", *_NETWORK, *_HEALTH),
)
#: Everything that can be asked.
NAMES = frozenset((*_HOST, *_OWN, *_GROUPS))


def apply(config: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """Put what was asked into a container's configuration.

    Args:
        config: with a `HostConfig`; changed in place.
        asked: of `NAMES`, what was given: a text, a list of texts, or a statement. None, False and [] are nothing.

    Raises:
        DockerptyError: a value that its flag does not take, two flags that exclude each other, or a file that cannot
            be read.
    """
    host = config["HostConfig"]
    for target, rows in ((host, _HOST), (config, _OWN)):
        for name in asked:
            if name in rows and _is_given(asked[name]):
                key, read = rows[name]
                value = read(_flag(name), asked[name])
                if value or name in _ZERO_COUNTS:
                    target[key] = value
    if host.get("MemorySwappiness") == -1:
        del host["MemorySwappiness"]
    if any(asked.get(name) for name in _NETWORK):
        mode, ends = endpoints(asked)
        if mode:
            host["NetworkMode"] = mode
        if ends:
            config["NetworkingConfig"] = {"EndpointsConfig": ends}
            # Engines before API 1.44 know only the container's, newer ones want it where the network is.
            mac = next(iter(ends.values())).get("MacAddress")
            if mac:
                config["MacAddress"] = mac
    if asked.get("publish") or asked.get("expose"):
        bound, shown = ports(asked.get("publish") or (), asked.get("expose") or ())
        if bound:
            host["PortBindings"] = bound
        config["ExposedPorts"] = shown
    if asked.get("device"):
        mapped, named = notation.devices("--device", asked["device"])
        if mapped:
            host["Devices"] = mapped
        if named:
            host.setdefault("DeviceRequests", []).append({"Driver": "cdi", "DeviceIDs": named})
    if asked.get("restart"):
        _restart(host, asked["restart"])
    if asked.get("security_opt"):
        _security(host, asked["security_opt"])
    if asked.get("log_driver") or asked.get("log_opt"):
        _log(host, asked.get("log_driver") or "", asked.get("log_opt") or ())
    _health(config, asked)


def _restart(host: dict[str, Any], text: str) -> None:
    policy, _, most = text.partition(":")
    if not policy:
        raise notation.refusal("--restart", text, "there is no policy before the colon", "write on-failure:3")
    if host.get("AutoRemove") and policy != "no":
        raise notation.refusal(
            "--restart", text, "what --rm removes is not started again", "leave out one of them"
        )
    if text != "no":
        host["RestartPolicy"] = {"Name": policy}
    if most:
        try:
            host["RestartPolicy"]["MaximumRetryCount"] = notation.integer("--restart", most)
        except DockerptyError as error:
            raise notation.refusal("--restart", text, f"{most!r} is no whole number") from error


def _security(host: dict[str, Any], given: Sequence[str]) -> None:
    options = []
    for text in given:
        if text == "systempaths=unconfined":
            # Not known to the engine by this name: it hides what these two lists say.
            host["MaskedPaths"], host["ReadonlyPaths"] = [], []
            continue
        name, _, value = text.partition("=" if "=" in text else ":")
        if not value and name != "no-new-privileges":
            raise notation.refusal("--security-opt", text, "it has no value", "write NAME=VALUE")
        if name == "seccomp" and value not in ("unconfined", "builtin"):
            text = f"seccomp={_profile(text, value)}"
        options.append(text)
    if options:
        host["SecurityOpt"] = options


def _profile(text: str, path: str) -> str:
    """Read a seccomp profile: the engine, which may be elsewhere, is sent what is in the file."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            profile = json.load(file)
    except OSError as error:
        reason = f"the profile cannot be read: {os.strerror(error.errno or 0)}"
        raise notation.refusal("--security-opt", text, reason) from error
    except (ValueError, RecursionError) as error:
        raise notation.refusal("--security-opt", text, "the profile is no JSON") from error
    return json.dumps(profile, separators=(",", ":"), ensure_ascii=False)


def _log(host: dict[str, Any], driver: str, options: Sequence[str]) -> None:
    if driver == "none" and options:
        raise notation.refusal("--log-opt", options[0], "the log driver none has no options")
    host["LogConfig"] = {"Type": driver, "Config": notation.pairs(options)}


def _health(config: dict[str, Any], asked: Mapping[str, Any]) -> None:
    health: dict[str, Any] = {}
    if asked.get("health_cmd"):
        health["Test"] = ["CMD-SHELL", asked["health_cmd"]]
    for name, (key, read) in _HEALTH.items():
        if _is_given(asked.get(name)):
            value = read(_flag(name), asked[name])
            if value:
                health[key] = value
    if asked.get("no_healthcheck"):
        if health:
            raise DockerptyError(
                "use", "--no-healthcheck", "a flag --health-... is there, too", "leave out one of them"
            )
        health["Test"] = ["NONE"]
    if health:
        config["Healthcheck"] = health


def _is_given(value: Any) -> bool:
    """Say whether there is anything to be read: an empty text is, and most flags do not take it."""
    return bool(value) or value == ""


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
