r"""A script that types in place of a person: what to wait for, what to send.

Pure, but for `load`: the script is text, what a container writes comes in as bytes, and what is to be typed goes out
as bytes. Who moves them is `typist`, and who looks for what is waited for is `matching`. A script has a line each:

    expect REGEX [SECONDS]   wait until this is in the output; 10 seconds if no number ends the line
    send TEXT                type this; \n \t \r \\ \xNN and ${NAME}, a variable's value, are understood
    eof                      end the input: Ctrl-D at a terminal
    exit CODE                end the session now, and the process, with this exit code
    # ...                    a comment
"""

from __future__ import annotations

import re
import time

from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Seconds, unless a line says otherwise: those of expect(1).
TIMEOUT_S = 10.0
#: Characters: how much of a match may have come before the last read. So memory is bounded, and the time for a
#: character of output is, too.
WINDOW = 8192
#: Characters of a script.
_LARGEST = 1024 * 1024
#: Characters of what was seen, in messages.
_SHOWN = 200

EXPECT, SEND, EOF, EXIT = "expect", "send", "eof", "exit"

_LINE = re.compile(r"[ \t]*(\S+)(?:[ \t](.*))?", re.DOTALL)
_WITH_SECONDS = re.compile(r"(.*\S)[ \t]+([0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.DOTALL)
_SPECIAL = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)?|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{", re.DOTALL)
_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", "\\": b"\\", "$": b"$"}


class Step:
    """One line of a script.

    Attributes:
        kind: `expect`, `send`, `eof` or `exit`.
        number: of the line.
        pattern, seconds: of `expect`.
        data: of `send`.
        code: of `exit`.
    """

    __slots__ = ("code", "data", "kind", "number", "pattern", "seconds")

    def __init__(
        self,
        kind: str,
        number: int,
        *,
        pattern: re.Pattern[str] | None = None,
        seconds: float = TIMEOUT_S,
        data: bytes = b"",
        code: int = 0,
    ) -> None:
        self.kind = kind
        self.number = number
        self.pattern = pattern
        self.seconds = seconds
        self.data = data
        self.code = code


class Script:
    """A script that was read.

    Args:
        text: its lines.
        name: what messages call it.
        variables: for `${NAME}`.

    Raises:
        DockerptyError: a line makes no sense; which one, and why.
    """

    def __init__(
        self, text: str, name: str = "the script", variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.steps: list[Step] = []
        for number, line in enumerate(text.split("\n"), 1):
            found = _LINE.match(line.rstrip("\r"))
            if found is None or found[1].startswith("#"):
                continue
            try:
                self.steps.append(_step(number, found[1], found[2] or "", variables or {}, self.steps))
            except ValueError as error:
                raise DockerptyError("use", name, f"line {number}: {error}") from error

    @property
    def types(self) -> bool:
        """Whether it sends anything."""
        return any(step.kind == SEND for step in self.steps)


class Machine:
    """Follow a script: output in, what to type out.

    Args:
        clock: seconds that never decrease.

    Attributes:
        to_send: what is to be typed and was not taken yet.
        input_ends: nothing more will be typed.
        code: of `exit`, once that was reached.
        failure: what was not found, and what was seen in its place; empty while all is well.
    """

    def __init__(self, script: Script, clock: Callable[[], float] = time.monotonic) -> None:
        from dockerpty.matching import Matcher

        self.to_send = b""
        self.input_ends = False
        self.code: int | None = None
        self.failure = ""
        self._script = script
        self._next = 0
        self._clock = clock
        self._until: float | None = None
        # One character more than it searches, by which `^` is known from the edge of the window.
        self._matcher = Matcher(window=WINDOW, limit=WINDOW + 1)

    def begin(self) -> None:
        """Do what comes before the first wait."""
        self._go_on()

    def feed(self, data: bytes | memoryview) -> None:
        """Look at what the process wrote, and do what the script says about it."""
        if self._matcher.waits and self._matcher.feed(data) is not None:
            self._found()
            self._go_on()

    def expire(self) -> None:
        """Give up waiting if the deadline has passed."""
        step = self._waits_for()
        if step is not None and self._until is not None and self._until <= self._clock():
            self._fail(step, f"it did not come within {step.seconds:g} s")

    def end(self) -> None:
        """The output is over: what is waited for will not come."""
        step = self._waits_for()
        if step is not None:
            self._fail(step, "the output ended without it")

    def deadline(self) -> float | None:
        """Say until when something is waited for; None for nothing."""
        return self._until

    def take(self) -> bytes:
        """Give what is to be typed, once."""
        data, self.to_send = self.to_send, b""
        return data

    def _waits_for(self) -> Step | None:
        return self._script.steps[self._next] if self._matcher.waits else None

    def _go_on(self) -> None:
        """Take the steps up to the next wait."""
        steps = self._script.steps
        while self._next < len(steps) and not self._matcher.waits and self.code is None:
            step = steps[self._next]
            if step.kind == EXPECT:
                self._until = self._clock() + step.seconds
                if self._matcher.expect(step.pattern) is not None:
                    self._found()
                continue
            if step.kind == SEND:
                self.to_send += step.data
            elif step.kind == EOF:
                self.input_ends = True
            else:
                self.code = step.code
            self._next += 1
        if self._next == len(steps) or self.code is not None:
            self.input_ends = True

    def _found(self) -> None:
        self._until = None
        self._next += 1

    def _fail(self, step: Step, why: str) -> None:
        self._matcher.timeout()
        seen = self._matcher.before[-_SHOWN:]
        what = f"the last that came is {seen!r}" if seen else "nothing came"
        assert step.pattern is not None
        self.failure = f"{step.pattern.pattern!r} (line {step.number} of {self._script.name}): {why}; {what}"
        self._until = None
        self.input_ends = True


def load(path: str) -> Script:
    """Read a script from a file, with the variables of this process.

    Raises:
        DockerptyError: it cannot be read, or a line makes no sense.
    """
    import os

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise DockerptyError("read", path, os.strerror(error.errno or 0)) from error
    except ValueError as error:
        raise DockerptyError("read", path, "it is not UTF-8") from error
    if len(text) > _LARGEST:
        raise DockerptyError("read", path, f"a script of more than {_LARGEST} characters is something else")
    return Script(text, path, os.environ)


def _step(number: int, word: str, rest: str, variables: Mapping[str, str], before: Sequence[Step]) -> Step:
    """Read one line; a ValueError says what is wrong with it."""
    last = before[-1].kind if before else ""
    if last == EXIT:
        raise ValueError("nothing is done after exit")
    if word == EXPECT:
        return _expect(number, rest.strip(" \t"))
    if word == SEND:
        if not rest:
            raise ValueError("send needs a text")
        if any(step.kind == EOF for step in before):
            raise ValueError("nothing can be sent after eof")
        return Step(SEND, number, data=_sent(rest, variables))
    rest = rest.strip(" \t")
    if word == EOF:
        if rest:
            raise ValueError(f"eof takes no {rest!r}")
        return Step(EOF, number)
    if word == EXIT:
        if not (rest.isascii() and rest.isdecimal() and int(rest) <= 255):
            raise ValueError(f"exit needs a code from 0 to 255, not {rest!r}")
        return Step(EXIT, number, code=int(rest))
    raise ValueError(f"{word!r} is none of expect, send, eof and exit")


def _expect(number: int, rest: str) -> Step:
    seconds = TIMEOUT_S
    found = _WITH_SECONDS.fullmatch(rest)
    if found is not None:
        rest, seconds = found[1], float(found[2])
    if not rest:
        raise ValueError("expect needs a pattern")
    try:
        # As pexpect compiles what it is given: a dot is any character.
        pattern = re.compile(rest, re.DOTALL)
    except re.error as error:
        raise ValueError(f"{rest!r} is no regular expression: {error}") from error
    return Step(EXPECT, number, pattern=pattern, seconds=seconds)


def _sent(text: str, variables: Mapping[str, str]) -> bytes:
    data = b""
    at = 0
    for found in _SPECIAL.finditer(text):
        data += text[at : found.start()].encode("utf-8", "surrogateescape")
        at = found.end()
        escape, name = found[1], found[2]
        if name is not None:
            if name not in variables:
                raise ValueError(f"the variable {name} is not set")
            data += variables[name].encode("utf-8", "surrogateescape")
        elif found[0] == "${":
            raise ValueError("after ${ come a name and }")
        elif escape is not None and len(escape) == 3:
            data += bytes([int(escape[1:], 16)])
        elif escape in _ESCAPES:
            data += _ESCAPES[escape]
        else:
            raise ValueError(f"{found[0]!r} is none of \\n, \\t, \\r, \\\\, \\$ and \\xNN")
    return data + text[at:].encode("utf-8", "surrogateescape")
