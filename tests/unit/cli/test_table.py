"""The commands and flags of `dpty`, written down a second time: by hand, from what was promised to its users.

All other tests of flags ask the table itself. This one notices a row that is gone, has another default, or takes
another kind of value. A new flag is added here as well, with the reason to have it in mind.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dockerpty.cli.grammar import Command, UsageError, read
from dockerpty.cli.table import COMMANDS, COMMON

# A statement that nothing is said about: `None` leaves it to something else.
Row = tuple[str, str, Any]

INTERACTIVE: Row = ("-i --interactive --stdin", "bool", False)
DETACH: Row = ("-d --detach", "bool", False)
NO_INPUT: Row = ("-n --no-input", "bool", False)
DETACH_KEYS: Row = ("--detach-keys", "text", None)
SIG_PROXY: Row = ("--sig-proxy", "bool", True)
TIMEOUT: Row = ("--timeout", "seconds", None)
IDLE_TIMEOUT: Row = ("--idle-timeout", "seconds", None)
RECORD: Row = ("--record", "text", None)
RECORD_INPUT: Row = ("--record-input", "bool", False)
FORCE: Row = ("--force", "bool", False)
EXPECT: Row = ("--expect", "text", None)
SIZE: Row = ("--size", "size", None)
LATEST: Row = ("-l --latest", "bool", False)
WAIT: Row = ("--wait", "seconds", None)
RECONNECT: Row = ("--reconnect", "optional number", False)
JSON: Row = ("--json", "bool", False)
QUIET: Row = ("--quiet", "bool", False)
HELP: Row = ("-h --help", "bool", False)

TTY: list[Row] = [("-t --tty", "optional auto", False), ("-T --no-tty", "off", None)]
KEPT = [RECORD, RECORD_INPUT, FORCE, EXPECT, TIMEOUT, IDLE_TIMEOUT, SIZE]
PROCESS: list[Row] = [
    ("-e --env", "list", []),
    ("--env-file", "list", []),
    ("--term-env", "bool", False),
    ("-u --user", "text", None),
    ("-w --workdir", "text", None),
    ("--privileged", "bool", False),
]

# What `docker run` has beside the terminal and the process: first what was asked for by name, then the rest of it.
CONTAINER: list[Row] = [
    ("--rm", "bool", False),
    ("--name", "text", None),
    ("--entrypoint", "text", None),
    ("-v --volume", "list", []),
    ("--mount", "list", []),
    ("-p --publish", "list", []),
    ("-P --publish-all", "bool", False),
    ("--network --net", "list", []),
    ("-h --hostname", "text", None),
    ("--init", "bool", None),
    ("--stop-signal", "text", None),
    ("--stop-timeout", "text", None),
    ("--restart", "text", None),
    ("-l --label", "list", []),
    ("--label-file", "list", []),
    ("--cidfile", "text", None),
    ("--read-only", "bool", False),
    ("--tmpfs", "list", []),
    ("-m --memory", "text", None),
    ("--cpus", "text", None),
    ("--cap-add", "list", []),
    ("--cap-drop", "list", []),
    ("--security-opt", "list", []),
    ("--ulimit", "list", []),
    ("--device", "list", []),
    ("--add-host", "list", []),
    ("--dns", "list", []),
    ("--group-add", "list", []),
    ("--pid", "text", None),
    ("--ipc", "text", None),
    ("--userns", "text", None),
    ("--platform", "text", None),
    ("--gpus", "list", []),
    ("--log-driver", "text", None),
    ("--log-opt", "list", []),
    ("--shm-size", "text", None),
    ("--health-cmd", "text", None),
    ("--health-interval", "text", None),
    ("--health-timeout", "text", None),
    ("--health-start-period", "text", None),
    ("--health-start-interval", "text", None),
    ("--health-retries", "text", None),
    ("--no-healthcheck", "bool", False),
    ("--pull", "always missing never", "missing"),
    ("--oom-kill-disable", "bool", False),
    ("--oom-score-adj", "text", None),
    ("--isolation", "text", None),
    ("--annotation", "list", []),
    ("--blkio-weight", "text", None),
    ("--blkio-weight-device", "list", []),
    ("--cgroup-parent", "text", None),
    ("--cgroupns", "text", None),
    ("--cpu-period", "text", None),
    ("--cpu-quota", "text", None),
    ("--cpu-rt-period", "text", None),
    ("--cpu-rt-runtime", "text", None),
    ("-c --cpu-shares", "text", None),
    ("--cpuset-cpus", "text", None),
    ("--cpuset-mems", "text", None),
    ("--device-cgroup-rule", "list", []),
    ("--device-read-bps", "list", []),
    ("--device-read-iops", "list", []),
    ("--device-write-bps", "list", []),
    ("--device-write-iops", "list", []),
    ("--disable-content-trust", "bool", True),
    ("--dns-option --dns-opt", "list", []),
    ("--dns-search", "list", []),
    ("--domainname", "text", None),
    ("--expose", "list", []),
    ("--ip", "text", None),
    ("--ip6", "text", None),
    ("--kernel-memory", "text", None),
    ("--link", "list", []),
    ("--link-local-ip", "list", []),
    ("--mac-address", "text", None),
    ("--memory-reservation", "text", None),
    ("--memory-swap", "text", None),
    ("--memory-swappiness", "text", None),
    ("--network-alias --net-alias", "list", []),
    ("--pids-limit", "text", None),
    ("--runtime", "text", None),
    ("--storage-opt", "list", []),
    ("--sysctl", "list", []),
    ("--uts", "text", None),
    ("--volume-driver", "text", None),
    ("--volumes-from", "list", []),
]

# By command: its operands as a person types them, and its flags.
PROMISED: dict[str, tuple[list[str], list[Row]]] = {
    "": (
        ["ps"],
        [
            ("-H --host", "text", None),
            ("-c --context", "text", None),
            ("--config", "text", None),
            ("--tls", "bool", None),
            ("--tlsverify", "bool", None),
            ("--tlscacert", "text", None),
            ("--tlscert", "text", None),
            ("--tlskey", "text", None),
            ("--jump", "text", None),
            ("--ssh-client", "text", None),
            ("--connect-timeout", "seconds", 10.0),
            ("-D --debug", "bool", False),
            ("-l --log-level", "debug info warn error fatal", None),
            ("-v --version", "bool", False),
            HELP,
        ],
    ),
    "exec": (
        ["web", "ls"],
        [
            *(INTERACTIVE, *TTY, DETACH, NO_INPUT, DETACH_KEYS, SIG_PROXY, *KEPT, *PROCESS),
            *(LATEST, WAIT, JSON, ("--no-reap", "bool", False), QUIET, HELP),
        ],
    ),
    "run": (
        ["busybox", "ls"],
        [
            *(INTERACTIVE, *TTY, DETACH, NO_INPUT, DETACH_KEYS, SIG_PROXY, *KEPT, *PROCESS, *CONTAINER),
            *(RECONNECT, JSON),
            ("-a --attach", "list", []),
            ("-q --quiet", "bool", False),
            ("--help", "bool", False),
        ],
    ),
    "attach": (
        ["web"],
        [
            ("--no-stdin", "bool", False),
            *(NO_INPUT, DETACH_KEYS, SIG_PROXY, *KEPT, LATEST, WAIT, RECONNECT, QUIET, HELP),
        ],
    ),
    "start": (
        ["web"],
        [
            ("-a --attach", "bool", False),
            *(INTERACTIVE, NO_INPUT, DETACH_KEYS, SIG_PROXY, *KEPT, LATEST, RECONNECT, QUIET, HELP),
        ],
    ),
    "ps": (
        [],
        [
            ("-a --all", "bool", False),
            ("-f --filter", "list", []),
            ("--format", "text", None),
            ("-n --last", "number", None),
            LATEST,
            ("--no-trunc", "bool", False),
            ("-q --quiet", "bool", False),
            ("-s --size", "bool", None),
            HELP,
        ],
    ),
    "cp": (
        ["web:/x", "-"],
        [
            ("-a --archive", "bool", False),
            ("-L --follow-link", "bool", False),
            ("-n --no-clobber", "bool", False),
            ("--mode", "text", None),
            ("--owner", "text", None),
            ("--progress", "auto always never", "auto"),
            ("-q --quiet", "bool", False),
            HELP,
        ],
    ),
    "shell": (
        ["web"],
        [
            ("--shell", "text", None),
            ("--login", "bool", False),
            ("--toolbox", "text", None),
            *(NO_INPUT, DETACH_KEYS, SIG_PROXY, *KEPT, *PROCESS, LATEST, WAIT, QUIET, HELP),
        ],
    ),
    "script": (
        ["web"],
        [
            ("-c --command", "list", []),
            ("-k --keep-going", "bool", False),
            ("-x --trace", "bool", False),
            ("-t --tty", "bool", False),
            ("-T --no-tty", "off", False),
            ("--answer", "list", []),
            ("--timeout", "seconds", None),
            ("--budget", "seconds", None),
            ("-e --env", "list", []),
            ("--env-file", "list", []),
            ("-u --user", "text", None),
            ("-w --workdir", "text", None),
            ("--shell", "text", None),
            ("--start", "bool", False),
            *(JSON, HELP),
        ],
    ),
    "watch": (["web"], [RECORD, FORCE, TIMEOUT, IDLE_TIMEOUT, LATEST, WAIT, RECONNECT, QUIET, HELP]),
    "replay": (
        ["web.cast"],
        [
            ("--speed", "seconds", 1.0),
            ("--idle-limit", "seconds", None),
            ("--to-end", "bool", False),
            HELP,
        ],
    ),
    "prune": ([], [("--dry-run", "bool", False), ("-f --force", "bool", False), HELP]),
    "completion": (["bash"], [HELP]),
    "version": ([], [JSON, HELP]),
    "help": ([], [HELP]),
}
ROWS = [(name, row) for name, (_, rows) in PROMISED.items() for row in rows]


def ids(value: Any) -> str:
    return value if isinstance(value, str) else value[0]


def command_named(name: str) -> Command:
    return COMMANDS[name] if name else COMMON


def test_there_are_these_commands_and_no_others() -> None:
    assert {"", *COMMANDS} == {*PROMISED}


@pytest.mark.parametrize("name", PROMISED)
def test_a_command_has_these_flags_and_no_others(name: str) -> None:
    promised = {spelling for row in PROMISED[name][1] for spelling in row[0].split()}
    assert {spelling for flag in command_named(name).flags for spelling in flag.names} == promised


@pytest.mark.parametrize(("name", "row"), ROWS, ids=ids)
def test_without_a_flag_its_value_is_the_default(name: str, row: Row) -> None:
    spellings, kind, default = row
    if kind != "off":
        assert value_of(name, spellings.split()[0], []) == default


@pytest.mark.parametrize(("name", "row"), ROWS, ids=ids)
def test_every_spelling_of_a_flag_is_read_as_what_it_is(name: str, row: Row) -> None:
    spellings, kind, _ = row
    for spelling in spellings.split():
        for words, value in lines(spelling, kind):
            assert value_of(name, spelling, words) == value, words
        for words in refused(spelling, kind):
            with pytest.raises(UsageError):
                value_of(name, spelling, words)


def value_of(name: str, spelling: str, words: list[str]) -> Any:
    """What a flag of this spelling is worth on a line with these words."""
    command = command_named(name)
    (flag,) = (flag for flag in command.flags if spelling in flag.names)
    # The newest container takes the place of one on the line, which some commands have no second one beside.
    anything = copy.copy(command)
    anything.most = None
    line = read(anything, [*words, *PROMISED[name][0]])
    if not line.values.get("help"):
        assert line.words == PROMISED[name][0]
    return line.values[flag.dest]


def with_value(spelling: str, value: str) -> list[list[str]]:
    """The ways to give a flag its value."""
    ways = [[spelling, value], [f"{spelling}={value}"]]
    return ways if spelling.startswith("--") else [*ways, [spelling + value]]


def lines(spelling: str, kind: str) -> list[tuple[list[str], Any]]:
    """What may be typed, and what it means."""
    if kind == "text":
        return [(words, "x") for words in with_value(spelling, "x")]
    if kind == "list":
        return [(words * 2, ["x", "x"]) for words in with_value(spelling, "x")]
    if kind == "size":
        return [(words, (30, 100)) for words in with_value(spelling, "30x100")]
    if kind == "seconds":
        return [(words, 2.5) for words in with_value(spelling, "2.5")]
    if kind == "number":
        return [(words, 3) for words in with_value(spelling, "3")]
    if kind in ("bool", "off") or kind.startswith("optional "):
        said = kind != "off"
        found: list[tuple[list[str], Any]] = [
            ([spelling], said),
            ([f"{spelling}=true"], said),
            ([f"{spelling}=false"], not said),
        ]
        if kind == "optional auto":
            found.append(([f"{spelling}=auto"], "auto"))
        if kind == "optional number":
            found.append(([f"{spelling}=3"], 3))
        return found
    return [(words, choice) for choice in kind.split() for words in with_value(spelling, choice)]


def refused(spelling: str, kind: str) -> list[list[str]]:
    """What may not be typed."""
    if kind in ("text", "list"):
        return []
    if kind == "number":
        return [[f"{spelling}=x"], [f"{spelling}=2.5"]]
    return [[f"{spelling}=nonsense"]]
