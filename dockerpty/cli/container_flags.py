"""The flags of `dpty run` that say what its container is: rows of the table. Pure.

Names, kinds and defaults are docker's; what each becomes in the container's configuration is in `container.spec` and
`container.options`.
"""

from __future__ import annotations

from dockerpty.cli.grammar import BOOL, CHOICE, LIST, TEXT, UNSAID, Flag

# What many ask for, and what is no part of the configuration.
_PLAIN = (
    Flag("--rm", "rm", BOOL, "Remove the container when it has ended"),
    Flag("--name", "name", TEXT, "Name of the container", "NAME"),
    Flag("--cidfile", "cidfile", TEXT, "Write the container's id to a new file", "FILE"),
    Flag(
        "--pull",
        "pull",
        CHOICE,
        "When to fetch the image: always, missing or never",
        "WHEN",
        "missing",
        ("always", "missing", "never"),
    ),
    Flag("--platform", "platform", TEXT, "Platform of the image, where there are several", "OS[/ARCH]"),
    Flag(
        "--disable-content-trust",
        "disable_content_trust",
        BOOL,
        "For docker's sake: signatures are never checked",
        default=True,
    ),
    Flag("--entrypoint", "entrypoint", TEXT, "Replace the image's entry point", "COMMAND"),
    Flag("-h --hostname", "hostname", TEXT, "Host name in the container", "NAME"),
    Flag("--network --net", "network", LIST, "Network of the container", "NETWORK"),
    Flag("-v --volume", "volume", LIST, "Mount a directory or a volume", "[SOURCE:]TARGET[:OPTIONS]"),
    Flag("-l --label", "label", LIST, "Put a label on the container", "NAME[=VALUE]"),
    Flag("--label-file", "label_file", LIST, "Put on the labels in a file", "FILE"),
    Flag("--init", "init", BOOL, "Let an init be its first process: it passes signals on", default=UNSAID),
)

_MORE = (
    # Network
    Flag("-p --publish", "publish", LIST, "Publish a port, or a range", "[[IP:]HOST_PORT:]PORT[/PROTOCOL]"),
    Flag("-P --publish-all", "publish_all", BOOL, "Publish all ports that it exposes, on any that are free"),
    Flag("--expose", "expose", LIST, "Expose a port, or a range", "PORT[/PROTOCOL]"),
    Flag("--network-alias --net-alias", "network_alias", LIST, "A further name in its network", "NAME"),
    Flag("--ip", "ip", TEXT, "Its IPv4 address", "ADDRESS"),
    Flag("--ip6", "ip6", TEXT, "Its IPv6 address", "ADDRESS"),
    Flag("--link-local-ip", "link_local_ip", LIST, "A link-local address of it", "ADDRESS"),
    Flag("--mac-address", "mac_address", TEXT, "Its MAC address", "ADDRESS"),
    Flag("--link", "link", LIST, "Let it know another container by name", "CONTAINER[:ALIAS]"),
    Flag("--add-host", "add_host", LIST, "Let it know a host; host-gateway is the engine's", "NAME:ADDRESS"),
    Flag("--dns", "dns", LIST, "A DNS server", "ADDRESS"),
    Flag("--dns-search", "dns_search", LIST, "A domain to search", "DOMAIN"),
    Flag("--dns-option --dns-opt", "dns_option", LIST, "An option of the resolver", "OPTION"),
    Flag("--domainname", "domainname", TEXT, "Domain name in the container", "NAME"),
    # Files
    Flag(
        "--mount",
        "mount",
        LIST,
        "Mount a directory, a volume or memory",
        "type=TYPE,source=SOURCE,target=TARGET",
    ),
    Flag("--tmpfs", "tmpfs", LIST, "Mount memory as a directory", "TARGET[:OPTIONS]"),
    Flag(
        "--volumes-from", "volumes_from", LIST, "Mount what another container has mounted", "CONTAINER[:ro]"
    ),
    Flag("--volume-driver", "volume_driver", TEXT, "Driver of its volumes", "DRIVER"),
    Flag("--read-only", "read_only", BOOL, "Let it write only to what is mounted"),
    Flag("--storage-opt", "storage_opt", LIST, "Option of the storage driver", "NAME=VALUE"),
    Flag("--shm-size", "shm_size", TEXT, "Size of /dev/shm", "SIZE"),
    # What it may use
    Flag("-m --memory", "memory", TEXT, "Limit of its memory", "SIZE"),
    Flag("--memory-reservation", "memory_reservation", TEXT, "The same where memory is short", "SIZE"),
    Flag("--memory-swap", "memory_swap", TEXT, "Limit of memory and swap together, -1 for none", "SIZE"),
    Flag(
        "--memory-swappiness", "memory_swappiness", TEXT, "How readily it is swapped, from 0 to 100", "NUMBER"
    ),
    Flag("--kernel-memory", "kernel_memory", TEXT, "Limit of the kernel's memory for it", "SIZE"),
    Flag("--oom-kill-disable", "oom_kill_disable", BOOL, "Let nobody kill it for want of memory"),
    Flag(
        "--oom-score-adj",
        "oom_score_adj",
        TEXT,
        "How soon it is killed for that, from -1000 to 1000",
        "NUMBER",
    ),
    Flag("--cpus", "cpus", TEXT, "Number of CPUs, as 1.5", "NUMBER"),
    Flag("-c --cpu-shares", "cpu_shares", TEXT, "Its weight where CPUs are short", "NUMBER"),
    Flag("--cpu-period", "cpu_period", TEXT, "Period of the CPU scheduler", "MICROSECONDS"),
    Flag("--cpu-quota", "cpu_quota", TEXT, "Its share of each period", "MICROSECONDS"),
    Flag("--cpu-rt-period", "cpu_rt_period", TEXT, "The same for real time", "MICROSECONDS"),
    Flag("--cpu-rt-runtime", "cpu_rt_runtime", TEXT, "Its share of that", "MICROSECONDS"),
    Flag("--cpuset-cpus", "cpuset_cpus", TEXT, "CPUs that it may use, as 0-3 or 0,1", "CPUS"),
    Flag("--cpuset-mems", "cpuset_mems", TEXT, "Memory nodes that it may use", "NODES"),
    Flag("--pids-limit", "pids_limit", TEXT, "Limit of its processes, -1 for none", "NUMBER"),
    Flag("--ulimit", "ulimit", LIST, "Limit of a resource, as nofile=1024", "NAME=SOFT[:HARD]"),
    Flag(
        "--blkio-weight", "blkio_weight", TEXT, "Its weight where disks are busy, from 10 to 1000", "NUMBER"
    ),
    Flag("--blkio-weight-device", "blkio_weight_device", LIST, "The same for one disk", "DEVICE:NUMBER"),
    Flag("--device-read-bps", "device_read_bps", LIST, "Limit of reading, in bytes a second", "DEVICE:SIZE"),
    Flag(
        "--device-write-bps", "device_write_bps", LIST, "Limit of writing, in bytes a second", "DEVICE:SIZE"
    ),
    Flag("--device-read-iops", "device_read_iops", LIST, "Limit of reads a second", "DEVICE:NUMBER"),
    Flag("--device-write-iops", "device_write_iops", LIST, "Limit of writes a second", "DEVICE:NUMBER"),
    Flag("--device", "device", LIST, "Give it a device", "SOURCE[:TARGET][:rwm]"),
    Flag("--device-cgroup-rule", "device_cgroup_rule", LIST, "Let it use devices, as c 1:3 rw", "RULE"),
    Flag("--gpus", "gpus", LIST, "Give it GPUs: all, a number, or fields", "GPUS"),
    # What it may do
    Flag("--cap-add", "cap_add", LIST, "Give it a capability", "NAME"),
    Flag("--cap-drop", "cap_drop", LIST, "Take a capability from it", "NAME"),
    Flag("--security-opt", "security_opt", LIST, "Option of security, as no-new-privileges", "NAME[=VALUE]"),
    Flag("--group-add", "group_add", LIST, "A further group of its user", "GROUP"),
    Flag("--userns", "userns", TEXT, "User namespace: host", "MODE"),
    Flag("--pid", "pid", TEXT, "PID namespace: host or container:NAME", "MODE"),
    Flag("--ipc", "ipc", TEXT, "IPC namespace: private, shareable, host or container:NAME", "MODE"),
    Flag("--uts", "uts", TEXT, "UTS namespace: host", "MODE"),
    Flag("--cgroupns", "cgroupns", TEXT, "Cgroup namespace: host or private", "MODE"),
    Flag("--cgroup-parent", "cgroup_parent", TEXT, "The cgroup that its own is made in", "CGROUP"),
    Flag("--sysctl", "sysctl", LIST, "Set a parameter of its kernel namespaces", "NAME=VALUE"),
    Flag("--runtime", "runtime", TEXT, "The runtime that starts it", "NAME"),
    Flag("--isolation", "isolation", TEXT, "How it is kept apart, on Windows", "MODE"),
    # Its life
    Flag("--restart", "restart", TEXT, "When to start it again: no, always, on-failure[:N]...", "POLICY"),
    Flag("--stop-signal", "stop_signal", TEXT, "The signal that stops it", "SIGNAL"),
    Flag("--stop-timeout", "stop_timeout", TEXT, "Seconds from that to its being killed", "SECONDS"),
    Flag("--health-cmd", "health_cmd", TEXT, "Command that checks its health", "COMMAND"),
    Flag("--health-interval", "health_interval", TEXT, "Time between checks, as 30s or 1m30s", "DURATION"),
    Flag("--health-timeout", "health_timeout", TEXT, "How long a check may take", "DURATION"),
    Flag("--health-start-period", "health_start_period", TEXT, "How long failures do not count", "DURATION"),
    Flag(
        "--health-start-interval",
        "health_start_interval",
        TEXT,
        "Time between checks in that time (API 1.44)",
        "DURATION",
    ),
    Flag("--health-retries", "health_retries", TEXT, "Failures in a row that count", "NUMBER"),
    Flag("--no-healthcheck", "no_healthcheck", BOOL, "Do not check its health, whatever the image says"),
    Flag("--log-driver", "log_driver", TEXT, "Where its output is logged", "DRIVER"),
    Flag("--log-opt", "log_opt", LIST, "Option of that", "NAME=VALUE"),
)

#: Whose values are handed on as they are, when they are given.
ASKED = ("cidfile", *(flag.dest for flag in _MORE))
CONTAINER = (*_PLAIN, *_MORE)
