"""What may stand where the cursor is on a command line that is being typed. Pure: its words in, a `Wish` out.

Where the cursor is, our own reader says: a probe stands in the line in place of the word there, and turns up as a flag,
as a flag's value, or among the operands. So what is completed is always what would be read.
"""

from __future__ import annotations

from dockerpty.cli.grammar import BOOL, LIST, TEXT, Command, Flag, Line, UsageError, read
from dockerpty.cli.table import COMMANDS, COMMON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Where words come from that the table does not have.
RUNNING = "running containers"
STOPPED = "stopped containers"
CONTAINERS = "all containers"
PATHS = "all containers, as the start of a path"
IMAGES = "images"
NETWORKS = "networks"
USERS = "users of the container"
CONTEXTS = "contexts"
VARIABLES = "variables here"
FILES = "files here"

_OPERANDS = {
    "exec": RUNNING,
    "attach": RUNNING,
    "watch": RUNNING,
    "shell": RUNNING,
    "script": RUNNING,
    "start": STOPPED,
    "run": IMAGES,
    "cp": PATHS,
    "replay": FILES,
}
# Of any number of operands those are completed that are no words of somebody else's.
_COMPLETED = {"cp": 1000, "start": 1000}

_SOURCES = {
    "context": CONTEXTS,
    "config": FILES,
    "ssh_client": FILES,
    "user": USERS,
    "env": VARIABLES,
    "toolbox": IMAGES,
    "network": NETWORKS,
    "volumes_from": CONTAINERS,
    "link": RUNNING,
}
# What a flag is likely to be given, where it takes other values as well.
_LIKELY = {
    ("", "host"): ("unix://", "tcp://", "ssh://"),
    ("", "ssh_client"): ("openssh", "asyncssh", "paramiko"),
    ("run", "attach"): ("stdin", "stdout", "stderr"),
    ("ps", "format"): ("table", "json"),
    **{
        ("run", dest): words
        for dest, words in {
            "restart": ("no", "always", "on-failure", "unless-stopped"),
            "pid": ("host", "container:"),
            "ipc": ("private", "shareable", "host", "container:"),
            "uts": ("host",),
            "userns": ("host",),
            "cgroupns": ("host", "private"),
            "gpus": ("all",),
        }.items()
    },
}
_NO_KEYS = ("none",)
_FILTERS = {
    "ancestor": (),
    "before": (),
    "exited": (),
    "expose": (),
    "health": ("starting", "healthy", "unhealthy", "none"),
    "id": (),
    "label": (),
    "name": (),
    "network": (),
    "publish": (),
    "since": (),
    "status": ("created", "restarting", "running", "removing", "paused", "exited", "dead"),
    "volume": (),
}
_SHELLS = ("bash", "zsh", "fish")

# No word of a command line has a NUL; as a flag it is one only where a flag may stand.
_PROBE = "--\0"
_AT_FLAG = "\0"


class Wish:
    """What is wanted at the cursor.

    Attributes:
        prefix: what stands in the word before what is completed, as `--user=`; it stays.
        text: what is to be completed.
        words: what may stand there, without asking anybody: words, and what to say of each.
        source: where more of them come from, one of the constants here; "" for nowhere.
        files: whether files here may stand there, too.
        taken: operands that are on the line already.
        container: which one the line is about, as far as it says; "" if it does not.
        latest: it is about the newest.
        common: the global options.
    """

    __slots__ = ("common", "container", "files", "latest", "prefix", "source", "taken", "text", "words")

    def __init__(self, common: Line, text: str, prefix: str = "") -> None:
        self.common = common
        self.text = text
        self.prefix = prefix
        self.words: list[tuple[str, str]] = []
        self.source = ""
        self.files = False
        self.taken: list[str] = []
        self.container = ""
        self.latest = False


def wish(before: Sequence[str], word: str, after: Sequence[str] = ()) -> Wish | None:
    """Say what is wanted at the cursor; nothing, where nothing can be said or the line makes no sense.

    Args:
        before: the words behind `dpty` and before the cursor's.
        word: that one, up to the cursor.
        after: the words behind it.
    """
    try:
        common = line = read(_lenient(COMMON), [*before, _PROBE, *after])
        command = COMMON
        if not _has_probe(common):
            # The word at the cursor may be a value that a later one takes the place of.
            name, *rest = common.words or [""]
            if name not in COMMANDS:
                return None
            command = COMMANDS[name]
            line = read(_lenient(command), rest)
    except UsageError:
        return None
    found = Wish(common, word)
    found.latest = bool(command.least and line.values.get("latest"))
    flag = _value_at(command, line)
    if flag is not None:
        _add_values(found, command, flag)
    elif line.values[_AT_FLAG] and word.startswith("-"):
        _add_flags(found, command)
    else:
        _add_operands(found, command, line)
    if found.source == USERS and line.words and not found.latest:
        found.container = line.words[0]
    return found


def _lenient(command: Command) -> Command:
    """Give the command with values of any kind taken, and nothing that it needs: the line is not complete."""
    flags = [
        Flag(
            " ".join(flag.names),
            # Only of a whole line help is the end.
            flag.dest if flag.dest != "help" else "",
            TEXT if flag.takes_value and flag.kind != LIST else flag.kind,
            "",
            default=flag.default,
            words=flag.words,
        )
        for flag in command.flags
    ]
    flags.append(Flag(_PROBE, _AT_FLAG, BOOL, ""))
    return Command(command.name, command.operands, "", flags, drops_dashes=command.drops_dashes)


def _has_probe(line: Line) -> bool:
    return line.values[_AT_FLAG] or _value_at(COMMON, line) is not None or line.words[:1] == [_PROBE]


def _value_at(command: Command, line: Line) -> Flag | None:
    """Find the flag whose value is at the cursor."""
    for flag in command.flags:
        value = line.values[flag.dest] if flag.takes_value else None
        if value == _PROBE or (isinstance(value, list) and _PROBE in value):
            return flag
    return None


def _add_flags(found: Wish, command: Command) -> None:
    word = found.text
    known = {name: flag for flag in command.flags for name in flag.names}
    name, equals, text = word.partition("=")
    if word.startswith("--") and equals:
        if name in known:
            found.prefix, found.text = f"{name}=", text
            _add_values(found, command, known[name])
        return
    if not word.startswith("--") and len(word) > 2:
        # Short flags together: nothing, unless one of them takes the rest as its value.
        for at, letter in enumerate(word[1:], start=2):
            flag = known.get(f"-{letter}")
            if flag is None:
                return
            if flag.takes_value:
                found.prefix, found.text = word[:at], word[at:]
                _add_values(found, command, flag)
                return
        return
    for name, flag in known.items():
        # What is so anyhow is only ever switched off.
        off = name.startswith("--") and flag.kind == BOOL and flag.default is True
        found.words.append((f"{name}=false" if off else name, flag.help))


def _add_values(found: Wish, command: Command, flag: Flag) -> None:
    where, dest = command.name, flag.dest
    if not flag.takes_value:
        _add(found, (*(word for word in flag.words if word != "#"), "true", "false"))
    elif (where, dest) == ("ps", "filter"):
        _add_filters(found)
    elif flag.metavar == "FILE" or (dest == "volume" and found.text[:1] in ("/", ".", "~")):
        found.files = ":" not in found.text or dest != "volume"
    elif _SOURCES.get(dest) == FILES:
        found.files = True
    else:
        _add(found, flag.words or _LIKELY.get((where, dest)) or (_NO_KEYS if dest == "detach_keys" else ()))
        found.source = _SOURCES.get(dest, "")
        # What stands behind a colon or an equals sign is of another kind: a group, an alias, a value.
        if found.source in (USERS, VARIABLES, CONTAINERS, RUNNING) and any(
            sign in found.text for sign in ":="
        ):
            found.source = ""


def _add_filters(found: Wish) -> None:
    key, equals, _ = found.text.partition("=")
    if equals:
        _add(found, (f"{key}={value}" for value in _FILTERS.get(key, ())))
    else:
        _add(found, (f"{key}=" for key in _FILTERS))


def _add_operands(found: Wish, command: Command, line: Line) -> None:
    at = line.words.index(_PROBE) if _PROBE in line.words else 0
    if not command.name:
        found.words = [(each.name, each.summary) for each in COMMANDS.values()]
        return
    # The newest container stands for the first operand: the cursor is at a later one.
    at += found.latest
    if at >= (_COMPLETED.get(command.name, 1) if command.most is None else command.most):
        return
    if command.name == "help":
        found.words = [(each.name, each.summary) for each in COMMANDS.values()]
    elif command.name == "completion":
        _add(found, _SHELLS)
    elif command.name == "script" and at:
        found.files = not line.values["command"]
        return
    found.source = _OPERANDS.get(command.name, "")
    found.taken = [word for word in line.words if word != _PROBE]
    if found.source == FILES:
        found.source, found.files = "", True
    elif found.source == PATHS:
        # A path in a container cannot be looked up; one here has no colon before its first slash.
        here = "/" in found.text or found.text[:1] in (".", "~")
        found.files = ":" not in found.text.partition("/")[0]
        if here or not found.files:
            found.source = ""
        # One side is here and the other is not. Of files here there may be several before the container's turn.
        sides = {_is_here(other) for other in found.taken}
        if False in sides:
            found.source = ""
        if len(sides) == 2 or "-" in found.taken:
            found.files = False


def _is_here(word: str) -> bool:
    """Say whether `cp` takes this operand for a place here, or for a stream."""
    return ":" not in word or word.startswith(("/", ".", "~"))


def _add(found: Wish, words: Iterable[str]) -> None:
    found.words += [(word, "") for word in words]
