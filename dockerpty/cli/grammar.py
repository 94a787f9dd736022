"""Reading a command line as docker reads one. Pure: a table's command and words in, values or a UsageError out.

The rules are those of docker's own parser (spf13/pflag, which ends options at the first positional):

- `--flag value`, `--flag=value`, `-f value`, `-fvalue`, `-f=value`;
- short flags combine, and the last may take a value: `-itu0`;
- a flag that is a statement takes its value only after `=`, in Go's spellings of true and false: `--sig-proxy=0`;
- so does one with an optional value: `--tty=auto`; `-t web sh` is never the terminal "web";
- the first word that is no flag ends them: in `exec web ls -l` the `-l` belongs to `ls`. `--` ends them, too.

Which flags there are stands in `table`.
"""

from __future__ import annotations

from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# Kinds of flags.
BOOL = "bool"  # a statement: there, or `=false`
OFF = "off"  # the opposite of another flag's statement, under the same `dest`
OPTIONAL = "optional"  # a statement that knows further words after "="
TEXT = "text"  # takes a value; the last one counts
LIST = "list"  # takes a value; all count
SECONDS = "seconds"  # takes a number above 0, most often of seconds
NUMBER = "number"  # takes a whole number, from 0 on
CHOICE = "choice"  # takes one of its words
SIZE = "size"  # takes ROWSxCOLS

UNSAID = "unsaid"

# Go's strconv.ParseBool knows exactly these.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


class UsageError(DockerptyError):
    """The command line makes no sense; nothing was done."""


class Flag:
    """A row of the table.

    Args:
        names: all spellings with blanks between them, the short one first: `"-i --interactive"`.
        dest: the key of its value.
        kind: one of the kinds above.
        help: a sentence without its full stop.
        metavar: what its value is called in help.
        default: the value without the flag; `None` stands for what the kind implies. Of a statement UNSAID: `None`
            without the flag, so that something else may decide.
        words: OPTIONAL: what it takes beside true and false; "#" stands for a whole number. CHOICE: all it takes.
    """

    __slots__ = ("default", "dest", "help", "kind", "metavar", "names", "words")

    def __init__(
        self,
        names: str,
        dest: str,
        kind: str,
        help: str,
        metavar: str = "",
        default: Any = None,
        words: tuple[str, ...] = (),
    ) -> None:
        self.names = tuple(names.split())
        self.dest = dest
        self.kind = kind
        self.help = help
        self.metavar = metavar
        self.default = default
        self.words = words

    @property
    def takes_value(self) -> bool:
        """Whether the next word is its value when none is attached."""
        return self.kind in (TEXT, LIST, SECONDS, NUMBER, CHOICE, SIZE)


class Command:
    """What may stand on the line of one command.

    Args:
        name: as it is typed; "" is `dpty` itself.
        operands: what follows the flags, as help shows it.
        summary: one line on what it does.
        flags: its rows.
        least: how many operands it needs.
        most: how many it takes; `None` for any number.
        drops_dashes: a `--` after its first operand is left out, as kubectl does it.
        ends_with_process: its exit code belongs to a process in a container, so that our own errors are 125.
        examples: lines that help shows.
    """

    __slots__ = (
        "drops_dashes",
        "ends_with_process",
        "examples",
        "flags",
        "least",
        "most",
        "name",
        "operands",
        "summary",
    )

    def __init__(
        self,
        name: str,
        operands: str,
        summary: str,
        flags: Sequence[Flag],
        *,
        least: int = 0,
        most: int | None = None,
        drops_dashes: bool = False,
        ends_with_process: bool = False,
        examples: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.operands = operands
        self.summary = summary
        self.flags = tuple(flags)
        self.least = least
        self.most = most
        self.drops_dashes = drops_dashes
        self.ends_with_process = ends_with_process
        self.examples = tuple(examples)

    @property
    def title(self) -> str:
        """The command as it is typed, with `dpty` before it."""
        return f"dpty {self.name}".rstrip()

    @property
    def see(self) -> str:
        """The hint that ends every error on its line."""
        return f"see {self.title} --help"


class Line:
    """A command line that was read.

    Attributes:
        values: of every flag of the command, by `dest`.
        words: the operands.
        common: the line of the global options before it, which `main` sets; itself, if it is that.
        configuration: docker's client configuration, once somebody has asked for it. That of `common` counts.
        way: to an engine, where one has to be closed with the command. That of `common` counts.
    """

    __slots__ = ("command", "common", "configuration", "values", "way", "words")

    def __init__(self, command: Command, values: dict[str, Any], words: list[str]) -> None:
        self.command = command
        self.values = values
        self.words = words
        self.common = self
        self.configuration: Any = None
        self.way: Any = None


def read(command: Command, argv: Sequence[str]) -> Line:
    """Read the words after a command's name.

    A flag with the `dest` "help" ends the reading at once. With one that has the `dest` "latest" the first operand is
    not on the line.

    Raises:
        UsageError: a flag that it has not, a value that the flag does not take, too few operands or too many, or a
            first one that is empty.
    """
    known: dict[str, Flag] = {}
    values: dict[str, Any] = {}
    for flag in command.flags:
        for name in flag.names:
            known[name] = flag
        if flag.kind != OFF:
            values[flag.dest] = _default(flag)
    rest = list(argv)
    # Popped off its end: what is left is the operands, whatever ended the flags.
    rest.reverse()
    while rest and rest[-1].startswith("-") and rest[-1] != "-":
        word = rest.pop()
        if word == "--":
            break
        read_word = _long if word.startswith("--") else _shorts
        read_word(command, known, values, word, rest)
        if values.get("help"):
            return Line(command, values, [])
    rest.reverse()
    # The newest container takes the place of the first operand: there is one less to come.
    named = not (values.get("latest") and command.least)
    fewer = 0 if named else 1
    if command.drops_dashes and named and rest[1:2] == ["--"]:
        del rest[1]
    if len(rest) < command.least - fewer:
        raise UsageError("run", command.title, f"it needs {_in_words(command, named)}", command.see)
    if command.most is not None and len(rest) > command.most - fewer:
        raise _too_many(command, fewer, rest)
    if command.least and named and not rest[0]:
        raise UsageError("run", command.title, f"its {command.operands.split()[0]} is empty", command.see)
    return Line(command, values, rest)


def size_of(text: str) -> tuple[int, int]:
    """Read the size of a terminal.

    Raises:
        ValueError: it is not written as `24x80`, or one of the numbers is not from 1 to 65535.
    """
    numbers = [int(each) for each in text.split("x") if each.isascii() and each.isdigit() and len(each) < 6]
    if text.count("x") != 1 or len(numbers) != 2 or not all(0 < number <= 65535 for number in numbers):
        raise ValueError("it takes ROWSxCOLS, for example 24x80")
    return numbers[0], numbers[1]


def unknown_command(name: str, known: Sequence[str]) -> UsageError:
    """Make the error for a command that there is not."""
    return UsageError(
        "run", f"dpty {name}", "there is no such command", _nearest(name, known, "see dpty --help")
    )


def _default(flag: Flag) -> Any:
    if flag.kind == LIST:
        return []
    if flag.default == UNSAID:
        return None
    if flag.kind in (BOOL, OPTIONAL):
        return bool(flag.default)
    return flag.default


def _long(
    command: Command, known: dict[str, Flag], values: dict[str, Any], word: str, rest: list[str]
) -> None:
    name, equals, text = word.partition("=")
    flag = known.get(name)
    if flag is None:
        raise _unknown(command, known, name)
    _set(command, flag, name, values, _value(command, flag, name, text if equals else None, rest))


def _shorts(
    command: Command, known: dict[str, Flag], values: dict[str, Any], word: str, rest: list[str]
) -> None:
    letters = word[1:]
    while letters:
        name, letters = "-" + letters[0], letters[1:]
        flag = known.get(name)
        if flag is None:
            raise _unknown(command, known, name if len(word) == 2 else word, name)
        attached = None
        # As pflag: an "=" with nothing behind it is no sign, so that `-u=` is the user "=".
        if len(letters) > 1 and letters[0] == "=":
            attached, letters = letters[1:], ""
        elif flag.takes_value and letters:
            attached, letters = letters, ""
        _set(command, flag, name, values, _value(command, flag, name, attached, rest))
        if values.get("help"):
            return


def _value(command: Command, flag: Flag, name: str, attached: str | None, rest: list[str]) -> str | None:
    """The text that belongs to a flag, `None` where it has and needs none."""
    if attached is not None or not flag.takes_value:
        return attached
    if not rest:
        raise UsageError("use", name, f"it needs a value: {name} {flag.metavar}", command.see)
    return rest.pop()


def _set(command: Command, flag: Flag, name: str, values: dict[str, Any], text: str | None) -> None:
    kind = flag.kind
    if kind == TEXT:
        values[flag.dest] = text
    elif kind == LIST:
        values[flag.dest].append(text)
    elif kind == SECONDS:
        values[flag.dest] = _seconds(command, flag, name, text or "")
    elif kind == NUMBER:
        values[flag.dest] = _number(command, f"{name} {text}", text or "")
    elif kind == SIZE:
        try:
            values[flag.dest] = size_of(text or "")
        except ValueError as error:
            raise UsageError("use", f"{name} {text}", str(error), command.see) from None
    elif kind == CHOICE:
        if text not in flag.words:
            raise UsageError(
                "use", f"{name} {text}", f"{text!r} is none of {', '.join(flag.words)}", command.see
            )
        values[flag.dest] = text
    elif text in flag.words:
        values[flag.dest] = text
    elif text is not None and "#" in flag.words and (text in ("0", "1") or text not in _BOOLEANS):
        # Of one and nought Go would make a statement; here they are as many as they say.
        values[flag.dest] = _number(command, f"{name}={text}", text)
    else:
        statement = True if text is None else _BOOLEANS.get(text)
        if statement is None:
            takes = ", ".join(("true", "false", *flag.words))
            raise UsageError("use", f"{name}={text}", f"{text!r} is none of {takes}", command.see)
        values[flag.dest] = statement != (kind == OFF)


def _seconds(command: Command, flag: Flag, name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # Written so that nan is refused as well.
    if not 0.0 < seconds < float("inf"):
        number = "a number of seconds" if flag.metavar == "SECONDS" else "a number"
        raise UsageError("use", f"{name} {text}", f"it takes {number} above 0", command.see)
    return seconds


def _number(command: Command, typed: str, text: str) -> int:
    # No longer than what a program in Go would take: Python itself refuses thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UsageError("use", typed, "it takes a whole number", command.see)
    return int(text)


def _unknown(command: Command, known: dict[str, Flag], typed: str, letter: str = "") -> UsageError:
    subject = f"{letter} in {typed}" if letter and letter != typed else typed
    return UsageError(
        "use", subject, f"{command.title} has no such flag", _nearest(typed, list(known), command.see)
    )


def _nearest(typed: str, known: Sequence[str], otherwise: str) -> str:
    # Here, because it is needed once in a while and costs more than all the rest of a line's reading.
    from difflib import get_close_matches

    # Without dashes, so that -tty is near --tty; a letter alone is near everything and tells nothing.
    names = {name.lstrip("-"): name for name in known}
    near = get_close_matches(typed.lstrip("-"), [bare for bare in names if len(bare) > 1], n=1)
    return f"did you mean {names[near[0]]}?" if near else otherwise


def _too_many(command: Command, fewer: int, words: list[str]) -> UsageError:
    """Make the error for a word that would be passed over, by whoever meant something by it."""
    taken = [name.strip("[]") for name in command.operands.split()[fewer : command.most]]
    reason = f"it takes no {words[len(taken)]!r}"
    if len(taken) == 1:
        reason = f"it takes one {taken[0].lower()}, and no {words[1]!r} beside it"
    elif taken:
        reason = f"it takes {' and '.join(taken)}, and no {words[len(taken)]!r} beside them"
    hint = command.see
    names = {name for flag in command.flags for name in flag.names}
    if taken and any(word.partition("=")[0] in names for word in words):
        hint = f"flags stand before {taken[0]}; {hint}"
    return UsageError("run", command.title, reason, hint)


def _in_words(command: Command, named: bool) -> str:
    needed = [word for word in command.operands.split() if not word.startswith("[")][: command.least]
    if not named:
        del needed[0]
    return " and ".join(f"a {word}" if word[0] not in "AEIOU" else f"an {word}" for word in needed)
