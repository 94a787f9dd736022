"""What was done on a host and what it said, for whoever wants to read along: lines of the logger dockerpty.transcript.

It has no handler of its own and no level: nothing is told until the program asks for INFO there. A line is
`@<name> | <command>` or `@<name> > | <output>`. Its record has the attributes `host`, the name, and `console`, the
host's `log_stdout`, for filters.
"""

from __future__ import annotations

import codecs
from contextvars import ContextVar

from dockerpty import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

_log = log.get("dockerpty.transcript")

#: Characters that are kept of a line whose end has not come: a longer one is told in pieces.
LONGEST = 4096

# What would command the terminal of whoever reads the log; a tab does not.
_ODD = {number: f"\\x{number:02x}" for number in (*range(9), *range(10, 32), *range(127, 160))}

# By identity: a host may have an equality of its own.
_silent: ContextVar[frozenset[int]] = ContextVar("dockerpty.transcript", default=frozenset())


class SuppressCommandOutput:
    """A `with` block in which a host tells nothing to its transcript, in the task or thread that is in the block.

    Args:
        host: whatever has `name`, `log` and `log_stdout`.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self._tokens: list[Any] = []

    def __enter__(self) -> Self:
        self._tokens.append(_silent.set(_silent.get() | {id(self._host)}))
        return self

    def __exit__(self, *_: object) -> None:
        _silent.reset(self._tokens.pop())


def is_told(host: Any, wanted: bool = True) -> bool:
    """Say whether what is done on a host just now is told, for who has work to do for that.

    Args:
        host: whatever has `log`.
        wanted: what the call itself was given as `log`.
    """
    return bool(wanted and host.log and id(host) not in _silent.get()) and _log.enabled_for_info()


def tell(host: Any, text: str, *, wanted: bool = True) -> None:
    """Tell a command, or what is sent, a line for each of its lines.

    Args:
        host: whatever has `name`, `log` and `log_stdout`.
        wanted: what the call itself was given as `log`: False for a secret.
    """
    if is_told(host, wanted):
        for line in text.removesuffix("\n").split("\n"):
            _tell(host, "@%s | %s", line)


class Output:
    """The output of one command as lines of the transcript, however it is cut. Costs nothing if nobody reads along.

    Args:
        host: whatever has `name`, `log` and `log_stdout`.
        encoding, errors: of the bytes, as for `bytes.decode`.
        wanted: what the call itself was given as `log`.
    """

    def __init__(
        self, host: Any, encoding: str = "utf-8", errors: str = "replace", *, wanted: bool = True
    ) -> None:
        self._host = host
        self._told = is_told(host, wanted)
        self._rest = ""
        if self._told:
            self._decoder = codecs.getincrementaldecoder(encoding)(errors)

    def feed(self, data: bytes) -> None:
        """Tell the lines that are complete with this; of a stream of its own: two have a rest each."""
        if self._told:
            self._add(self._decoder.decode(data))

    def end(self) -> None:
        """Tell what is left, which has no newline."""
        if self._told:
            self._add(self._decoder.decode(b"", True))
            if self._rest:
                _tell(self._host, "@%s > | %s", self._rest)
            self._rest = ""
            self._decoder.reset()

    def _add(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        while len(self._rest) > LONGEST:
            lines.append(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]
        for line in lines:
            _tell(self._host, "@%s > | %s", line.removesuffix("\r"))


def _tell(host: Any, form: str, line: str) -> None:
    name = str(host.name)
    _log.info(form, name, line.translate(_ODD), host=name, console=bool(host.log_stdout))
