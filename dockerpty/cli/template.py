"""Formats as docker has them, `{{.Names}} {{.Label "x"}}`: what of Go's templates such lines are made of. Pure.

Fields, texts, whole numbers, `true` and `false`, functions, pipelines, `if` with `else`, and the dashes that eat white
space. `printf` knows %s, %q, %d and %v, with a width. Not here: loops, variables, `with`, `else if`, templates within
templates, comments, `nil`, other numbers, parts of a field; `lt` and its like, `index`, `slice`, `call`, and what
quotes for HTML, JavaScript and addresses. They are refused.
"""

from __future__ import annotations

import json
import re

from dockerpty.cli.grammar import UsageError
from dockerpty.cli.units import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<end>(?:(?<=\s)-)?\}\}) |
        (?P<text>"(?:\\.|[^"\\])*" | `[^`]*`) |
        (?P<number>[-+]?\d{1,18}(?!\w)) |
        (?P<field>\.[A-Za-z_]\w*) |
        (?P<dot>\.) |
        (?P<truth>(?:true|false)\b) |
        (?P<name>[A-Za-z_]\w*) |
        (?P<sign>[|()])
    )""",
    re.VERBOSE,
)
_VERB = re.compile(r"%(-?)([0-9]*)(?:\.([0-9]+))?(.?)", re.DOTALL)
# More blanks than any line has use for, and few enough for any memory.
_WIDEST = 1000
_KEYWORDS = ("if", "else", "end", "range", "with", "define", "template", "block", "break", "continue")


class Subject:
    """What a template is about.

    Args:
        fields: a value for each name.
        label: gives what `.Label NAME` stands for.
        header: it is the titles of a table: functions leave them as they are.
    """

    def __init__(self, fields: dict[str, Any], label: Callable[[str], str], *, header: bool = False) -> None:
        self.fields = fields
        self.label = label
        self.header = header


class Template:
    r"""A format that was read.

    Args:
        text: the format; `\t` and `\n` in it, spelled out, are a tab and a new line.

    Raises:
        UsageError: it makes no sense.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._reader = _Reader(text.replace("\\t", "\t").replace("\\n", "\n"), self._wrong)
        try:
            self._nodes = self._reader.nodes()
        except RecursionError as error:
            raise self._wrong("there is too much within each other in it") from error

    def render(self, subject: Subject) -> str:
        """Give the text for a subject.

        Raises:
            UsageError: it has no such field, or a function cannot take what it is given.
        """
        try:
            return "".join(self._rendered(self._nodes, subject))
        except RecursionError as error:
            raise self._wrong("there is too much within each other in it") from error

    def _rendered(self, nodes: Sequence[Any], subject: Subject) -> list[str]:
        pieces: list[str] = []
        for node in nodes:
            if isinstance(node, str):
                pieces.append(node)
            elif len(node) == 1:
                pieces.append(_shown(self._piped(node[0], subject)))
            else:
                condition, then, otherwise = node
                pieces += self._rendered(then if self._piped(condition, subject) else otherwise, subject)
        return pieces

    def _piped(self, commands: Sequence[Any], subject: Subject) -> Any:
        given: tuple[Any, ...] = ()
        for operands in commands:
            given = (self._result(operands, given, subject),)
        return given[0]

    def _result(self, operands: Sequence[Any], given: tuple[Any, ...], subject: Subject) -> Any:
        (kind, value), *rest = operands
        arguments = (*(self._value(each, subject) for each in rest), *given)
        if kind == "name":
            return self._call(value, arguments, subject)
        if (kind, value) == ("field", "Label"):
            if len(arguments) != 1 or not isinstance(arguments[0], str):
                raise self._wrong(".Label takes the name of one label", 'write {{.Label "NAME"}}')
            return subject.label(arguments[0])
        if arguments:
            raise self._wrong(f"{_spelled(kind, value)} takes no arguments")
        return self._value((kind, value), subject)

    def _value(self, operand: tuple[str, Any], subject: Subject) -> Any:
        kind, value = operand
        if kind == "field":
            if value not in subject.fields:
                raise self._wrong(
                    f"there is no field {value}", f"there are: {', '.join(sorted(subject.fields))}, Label"
                )
            return subject.fields[value]
        if kind == "dot":
            return _All((name, subject.fields[name]) for name in subject.fields)
        if kind == "pipe":
            return self._piped(value, subject)
        if kind == "name":
            return self._call(value, (), subject)
        return value

    def _call(self, name: str, arguments: tuple[Any, ...], subject: Subject) -> Any:
        if name not in _FUNCTIONS:
            raise self._wrong(f"there is no function {name}", f"there are: {', '.join(sorted(_FUNCTIONS))}")
        kinds, function = _FUNCTIONS[name]
        if subject.header and name in _NOT_FOR_HEADERS:
            return arguments[0] if arguments and isinstance(arguments[0], str) else ""
        wanted = kinds
        if kinds[-1] is ...:
            *first, more = kinds[:-1]
            wanted = (*first, *(more,) * (len(arguments) - len(first)))
        if len(arguments) != len(wanted) or not all(map(isinstance, arguments, wanted)):
            takes = " and ".join(_KINDS[kind] for kind in wanted)
            raise self._wrong(f"{name} takes {takes}")
        try:
            return function(*arguments)
        except ValueError as error:
            raise self._wrong(str(error)) from error

    def _wrong(self, reason: str, hint: str = "see dpty ps --help") -> UsageError:
        return UsageError("use", f"the format {self.text!r}", reason, hint)


class _All(dict[str, object]):
    """The whole subject, which is good for `json` only."""


class _Reader:
    """Reads a format: a list of texts, of `(pipeline,)`, and of `(pipeline, then, otherwise)`.

    A pipeline is a list of commands, a command a list of operands, an operand a kind and its value.
    """

    def __init__(self, text: str, wrong: Callable[[str], UsageError]) -> None:
        self._text = text
        self._wrong = wrong
        self._at = 0
        self._trims = False

    def nodes(self) -> list[Any]:
        return self._until(())[0]

    def _until(self, ends: tuple[str, ...]) -> tuple[list[Any], str]:
        """Read nodes up to an action that is one of these words, or to the end of all for none."""
        found: list[Any] = []
        while True:
            begin = self._text.find("{{", self._at)
            plain = self._text[self._at : begin if begin >= 0 else None]
            if self._trims:
                plain = plain.lstrip()
            if begin < 0:
                if ends:
                    raise self._wrong("an if has no end")
                return [*found, plain], ""
            self._at = begin + 2
            if (
                self._text[self._at : self._at + 1] == "-"
                and self._text[self._at + 1 : self._at + 2].isspace()
            ):
                self._at += 1
                plain = plain.rstrip()
            found.append(plain)
            tokens = self._tokens()
            word = tokens[0][1] if tokens and tokens[0][0] == "name" else ""
            if word in ends and len(tokens) == 1:
                return found, word
            if word == "if":
                condition = self._pipeline(tokens[1:])
                then, end = self._until(("else", "end"))
                otherwise = self._until(("end",))[0] if end == "else" else []
                found.append((condition, then, otherwise))
            elif word in _KEYWORDS:
                raise self._wrong(f"{word} cannot be used here")
            else:
                found.append((self._pipeline(tokens),))

    def _tokens(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        while True:
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                rest = self._text[self._at :].split("}}")[0].strip()
                raise self._wrong("an action is not closed" if not rest else f"{rest!r} makes no sense in it")
            self._at = match.end()
            kind, text = str(match.lastgroup), match[str(match.lastgroup)]
            if kind == "end":
                self._trims = text.startswith("-")
                return found
            found.append((kind, self._read(kind, text)))

    def _read(self, kind: str, text: str) -> Any:
        if kind == "number":
            return int(text)
        if kind == "truth":
            return text == "true"
        if kind == "field":
            return text[1:]
        if kind == "text":
            if text[0] == "`":
                return text[1:-1]
            try:
                # Tabs and new lines were spelled out, and JSON wants them so again.
                return json.loads(text, strict=False)
            except ValueError as error:
                raise self._wrong(f"{text} is no text") from error
        return text

    def _pipeline(self, tokens: list[tuple[str, Any]]) -> list[Any]:
        left = list(reversed(tokens))
        commands = self._commands(left)
        if left:
            raise self._wrong("a bracket is closed that was not opened")
        return commands

    def _commands(self, left: list[tuple[str, Any]]) -> list[Any]:
        """Read up to a closing bracket or the end; `left` is the tokens in reverse."""
        commands: list[Any] = [[]]
        while left and left[-1] != ("sign", ")"):
            kind, value = left.pop()
            if (kind, value) == ("sign", "|"):
                commands.append([])
            elif (kind, value) == ("sign", "("):
                commands[-1].append(("pipe", self._commands(left)))
                if not left:
                    raise self._wrong("a bracket is not closed")
                left.pop()
            else:
                commands[-1].append((kind, value))
        if not all(commands):
            raise self._wrong("an action is empty")
        return commands


def as_json(value: Any) -> str:
    """Give a value as JSON on one line, as Go writes it; of a whole subject also `<`, `>` and `&` as numbers."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    marks = "<>&\u2028\u2029" if isinstance(value, _All) else "\u2028\u2029"
    for mark in marks:
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _shown(value: Any) -> str:
    """Give a value as Go prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{' '.join(map(_shown, value))}]"
    return as_json(value) if isinstance(value, dict) else str(value)


def _spelled(kind: str, value: Any) -> str:
    return {"field": f".{value}", "dot": ".", "pipe": "what is in brackets", "truth": _shown(value)}.get(
        kind, repr(value)
    )


def _pad(text: str, before: int, after: int) -> str:
    return f"{' ' * min(before, _WIDEST)}{text}{' ' * min(after, _WIDEST)}" if text else ""


def _print(*values: Any) -> str:
    """Put values together; between two that are no texts goes a blank."""
    text = ""
    for before, value in zip(("", *values), values, strict=False):
        text += f"{'' if isinstance(before, str) or isinstance(value, str) else ' '}{_shown(value)}"
    return text


def _printf(form: str, *values: Any) -> str:
    """Put values into a text, as Go's `fmt.Sprintf` does it; what it cannot do is a ValueError."""
    left = list(values)

    def put(found: re.Match[str]) -> str:
        to_the_left, room, most, verb = found.groups()
        if found[0] == "%%":
            return "%"
        kind = {"s": str, "q": str, "d": int, "v": object}.get(verb)
        if kind is None:
            raise ValueError(f"printf knows %s, %q, %d, %v and %%, and no %{verb}")
        if not left:
            raise ValueError(f"printf has no value for its %{verb}")
        value = left.pop(0)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"the %{verb} of printf takes {_KINDS[kind]}")
        if most and isinstance(value, str):
            value = value[: int(most[:4])]
        shown = quoted(value) if verb == "q" else _shown(value)
        columns = min(int(room[:4] or 0), _WIDEST)
        return shown.ljust(columns) if to_the_left else shown.rjust(columns)

    text = _VERB.sub(put, form)
    if left:
        raise ValueError("printf has a value more than its text has use for")
    return text


def _equal(one: Any, *others: Any) -> bool:
    """Say whether it equals any of the others. A number is no truth here, as it is in Python."""
    return any(type(one) is type(other) and one == other for other in others)


_KINDS = {str: "a text", int: "a number", list: "a list", (str, list): "a text or a list", object: "a value"}
# By name what it takes, what stands before an ellipsis any number of times, and what it does.
_FUNCTIONS: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {
    "json": ((object,), as_json),
    "split": ((str, str), lambda text, sign: text.split(sign) if sign else list(text)),
    "join": ((list, str), lambda texts, sign: sign.join(map(_shown, texts))),
    "title": ((str,), lambda text: re.sub(r"\b[a-z]", lambda found: found[0].upper(), text)),
    "lower": ((str,), str.lower),
    "upper": ((str,), str.upper),
    "pad": ((str, int, int), _pad),
    "truncate": ((str, int), lambda text, room: text[: max(0, room)]),
    "len": (((str, list),), len),
    "eq": ((object, object, object, ...), _equal),
    "ne": ((object, object), lambda one, other: not _equal(one, other)),
    "not": ((object,), lambda value: not value),
    "and": (
        (object, object, ...),
        lambda *values: next((value for value in values if not value), values[-1]),
    ),
    "or": ((object, object, ...), lambda *values: next((value for value in values if value), values[-1])),
    "print": ((object, object, ...), _print),
    "printf": ((str, object, ...), _printf),
    "println": ((object, object, ...), lambda *values: " ".join(map(_shown, values)) + "\n"),
}
_NOT_FOR_HEADERS = ("json", "split", "join", "title", "lower", "upper", "truncate")
