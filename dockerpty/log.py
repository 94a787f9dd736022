"""Loggers that cost nothing unless the program uses logging.

`logging` is never imported here: only a program that has imported it can have asked for our lines. We add
no handler and set no level. Lines tell of lengths, never of payloads.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

# Lines kept while a terminal is raw; the oldest give way, for a session may last for days.
HELD_LINES = 1000

_DEBUG, _INFO, _WARNING = 10, 20, 30
_raw_terminals: list[None] = []
_held: list[tuple[logging.Logger, logging.LogRecord]] = []


class Log:
    """A logger of this name, for as long as the program has one."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def debug(self, message: str, *args: object) -> None:
        """Tell a step of one operation: `started`, `complete`, `failed`, with key=value."""
        self._log(_DEBUG, message, args)

    def warning(self, message: str, *args: object) -> None:
        """Tell what went wrong and did not end the operation."""
        self._log(_WARNING, message, args)

    def info(self, message: str, *args: object, **more: object) -> None:
        """Tell what somebody asked to be told, with `more` as attributes of the record."""
        self._log(_INFO, message, args, more)

    def enabled_for_info(self) -> bool:
        """Say whether anybody wants such a line, for who has work to do for one."""
        logging = sys.modules.get("logging")
        return logging is not None and bool(logging.getLogger(self.name).isEnabledFor(_INFO))

    def _log(
        self, level: int, message: str, args: tuple[object, ...], more: dict[str, object] | None = None
    ) -> None:
        logging = sys.modules.get("logging")
        if logging is None:
            return
        logger = logging.getLogger(self.name)
        if not logger.isEnabledFor(level):
            return
        # The line is the caller's: two frames of this file are left out.
        file, line, function, stack = logger.findCaller(False, 3)
        record = logger.makeRecord(self.name, level, file, line, message, args, None, function, more, stack)
        if _raw_terminals:
            _held.append((logger, record))
            del _held[:-HELD_LINES]
        else:
            logger.handle(record)


def get(name: str) -> Log:
    """Return the logger of a module: `log.get(__name__)`."""
    return Log(name)


def hold() -> None:
    """Keep the lines back: a terminal is raw, and nothing writes to it but the stream. Calls nest."""
    _raw_terminals.append(None)


def release() -> None:
    """End one `hold`; after the last, hand out the lines kept back, in order and with their own times."""
    _raw_terminals.pop()
    while _held and not _raw_terminals:
        logger, record = _held.pop(0)
        logger.handle(record)
