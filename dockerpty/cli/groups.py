"""How flags are shown to a reader: under which heading, and how one is spelled. For help and the manual page; pure."""

from __future__ import annotations

from dockerpty.cli.grammar import Command, Flag

# A command with fewer flags needs no headings to find one.
_MANY = 12

# Where a flag stands in the help of a command that has many, by its `dest`. What is in none comes last.
GROUPS = {
    "The commands": ("command", "keep_going", "trace", "answer"),
    "Terminal and streams": (
        *("interactive", "tty", "no_input", "no_stdin", "attach", "detach"),
        *("detach_keys", "sig_proxy"),
    ),
    "The process": (
        *("env", "env_file", "term_env", "user", "workdir", "privileged", "entrypoint"),
        *("shell", "login", "toolbox"),
    ),
    "The container": (
        *(
            "latest",
            "wait",
            "start",
            "rm",
            "name",
            "cidfile",
            "pull",
            "platform",
            "disable_content_trust",
            "hostname",
        ),
        *("label", "label_file", "init", "restart", "stop_signal", "stop_timeout"),
    ),
    "The session": (
        *("timeout", "idle_timeout", "reconnect", "no_reap", "record", "record_input", "force", "expect"),
        *("budget", "size", "json", "quiet"),
    ),
    "Network": (
        *("network", "publish", "publish_all", "expose", "network_alias", "ip", "ip6", "link_local_ip"),
        *("mac_address", "link", "add_host", "dns", "dns_search", "dns_option", "domainname"),
    ),
    "Files": (
        *(
            "volume",
            "mount",
            "tmpfs",
            "volumes_from",
            "volume_driver",
            "read_only",
            "storage_opt",
            "shm_size",
        ),
    ),
    "What it may use": (
        *("memory", "memory_reservation", "memory_swap", "memory_swappiness", "kernel_memory"),
        *("oom_kill_disable", "oom_score_adj", "cpus", "cpu_shares", "cpu_period", "cpu_quota"),
        *("cpu_rt_period", "cpu_rt_runtime", "cpuset_cpus", "cpuset_mems", "pids_limit", "ulimit"),
        *("blkio_weight", "blkio_weight_device", "device_read_bps", "device_write_bps"),
        *("device_read_iops", "device_write_iops", "device", "device_cgroup_rule", "gpus"),
    ),
    "What it may do": (
        *("cap_add", "cap_drop", "security_opt", "group_add", "userns", "pid", "ipc", "uts", "cgroupns"),
        *("cgroup_parent", "sysctl", "runtime", "annotation", "isolation"),
    ),
    "Health and logs": (
        *("health_cmd", "health_interval", "health_timeout", "health_start_period", "health_start_interval"),
        *("health_retries", "no_healthcheck", "log_driver", "log_opt"),
    ),
    "The engine": (
        *("host", "context", "config", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey"),
        *("jump", "ssh_client", "connect_timeout"),
    ),
}
OTHERS = "Options"


def grouped(command: Command) -> dict[str, list[Flag]]:
    """Give a command's flags by heading, in the order of the headings and of the table."""
    if len(command.flags) <= _MANY:
        return {OTHERS: list(command.flags)}
    heading_of = {dest: heading for heading, dests in GROUPS.items() for dest in dests}
    found: dict[str, list[Flag]] = {heading: [] for heading in (*GROUPS, OTHERS)}
    for flag in command.flags:
        found[heading_of.get(flag.dest, OTHERS)].append(flag)
    return {heading: flags for heading, flags in found.items() if flags}


def spelled(flag: Flag) -> str:
    """Give a flag's names, and what its value is; in brackets what it takes only after `=`."""
    names = ", ".join(flag.names)
    if flag.takes_value:
        return f"{names} {flag.metavar}"
    if flag.words:
        return f"{names}[={'|'.join('N' if word == '#' else word for word in flag.words)}]"
    return f"{names}[=false]" if flag.default is True else names
