"""Keys sent to a shell's terminal, and answers waited for, as with pexpect."""

from __future__ import annotations

import re
import time

from dockerpty import log
from dockerpty.host.errors import SessionLostError
from dockerpty.host.requests import Wait
from dockerpty.host.results import ExpectResult
from dockerpty.host.shell.departure import Vigil, learn_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.host.requests import Plan
    from dockerpty.host.shell.shell import Shell

_log = log.get(__name__)

#: Seconds that `expect` waits.
TIMEOUT_S = 10.0
#: Bytes of a line that a terminal in its usual mode keeps; the rest is dropped (N_TTY_BUF_SIZE - 1 of Linux).
LONGEST_LINE = 4095

_ENDS_OF_LINES = re.compile(rb"[\r\n\x04]")
# Of what came in place of what was expected, in messages.
_SHOWN = 200


def send(shell: Shell, text: str | bytes, *, encoding: str = "utf-8") -> Plan[None]:
    """Send keys to a shell's terminal, as they are, and wait until they are taken.

    Raises:
        ValueError: the shell has no terminal.
        SessionLostError: it has ended.
    """
    _refuse_without_terminal(shell, "send to")
    data = text.encode(encoding, "surrogateescape") if isinstance(text, str) else bytes(text)
    longest = max(map(len, _ENDS_OF_LINES.split(data)))
    if longest > LONGEST_LINE:
        _log.warning(
            "%d bytes without a newline are sent to the terminal of %s: unless a program made it raw, it keeps %d",
            *(longest, shell.host, LONGEST_LINE),
        )
    shell.catch_up()
    if not shell.channel.ended:
        shell.used = shell.touched = True
        shell.type(data)
    while not shell.channel.ended:
        if not shell.channel.unsent:
            return
        yield Wait((shell.channel,))
        shell.take()
    yield from learn_end(shell)
    raise _lost(shell, "send to")


def expect(
    shell: Shell,
    patterns: Any,
    timeout: float | None = TIMEOUT_S,
    *,
    exact: bool = False,
    window: int | None = -1,
) -> Plan[ExpectResult]:
    """Wait until one of some patterns is in what came from a shell's terminal and was not matched before.

    Args:
        patterns: one, or a list: regular expressions as `str` or `bytes` or compiled, `pexpect.EOF`, `pexpect.TIMEOUT`.
        timeout: seconds; 0 looks at what is there, None waits for ever, -1 is TIMEOUT_S.
        exact: they are no regular expressions, but what is to come itself.
        window: how much of a match may have come before the last read; None for all that is kept, -1 for 64 KiB.

    Raises:
        ExpectTimeout: the time is over, and `pexpect.TIMEOUT` is none of the patterns.
        ExpectEOF: the shell ended, and `pexpect.EOF` is none of the patterns.
        SessionLostError: it had ended before; or its connection broke.
        ValueError: the shell has no terminal.
        TypeError, re.error: something is no pattern.
    """
    _refuse_without_terminal(shell, "expect of")
    matcher = shell.matcher
    seconds = TIMEOUT_S if timeout == -1 else timeout
    until = None if seconds is None else time.monotonic() + seconds
    was_over, vigil = shell.over, Vigil(shell)
    if matcher.expect(patterns, exact=exact, window=window) is None:
        while True:
            shell.take()
            if not matcher.waits:
                break
            if (yield from vigil.sees_the_end()):
                yield from learn_end(shell)
                if matcher.eof() is None:
                    raise _ended(shell, patterns, was_over)
                break
            if until is not None and time.monotonic() >= until:
                if matcher.timeout() is None:
                    raise _too_late(shell, patterns, seconds)
                break
            yield Wait((shell.channel,), vigil.until if until is None else min(until, vigil.until))
    assert matcher.index is not None
    return ExpectResult(matcher.index, matcher.before, matcher.after, matcher.match, matcher.text)


def _refuse_without_terminal(shell: Shell, action: str) -> None:
    if not shell.tty:
        raise ValueError(f"cannot {action} a shell without a terminal: open the session with tty=True")


def _lost(shell: Shell, action: str) -> SessionLostError:
    return SessionLostError(
        action, "the shell", shell.why or "it has ended", exit_code=shell.exit_code, host=shell.host
    )


def _ended(shell: Shell, patterns: Any, was_over: bool) -> Exception:
    if was_over or shell.channel.error is not None:
        return _lost(shell, "expect of")
    from dockerpty.host.unmatched import ExpectEOF

    before = shell.matcher.before
    reason = f"{shell.why or 'the shell ended'}; {_seen(before)}"
    return ExpectEOF(
        "find", _told(patterns), reason, before=before, patterns=_listed(patterns), host=shell.host
    )


def _too_late(shell: Shell, patterns: Any, seconds: float | None) -> Exception:
    from dockerpty.host.unmatched import ExpectTimeout

    before = shell.matcher.before
    reason = f"it did not come within {seconds:g} s; {_seen(before)}"
    return ExpectTimeout(
        "find", _told(patterns), reason, before=before, patterns=_listed(patterns), host=shell.host
    )


def _listed(patterns: Any) -> list[Any]:
    return list(patterns) if isinstance(patterns, (list, tuple)) else [patterns]


def _told(patterns: Any) -> str:
    return " or ".join(repr(getattr(each, "pattern", each)) for each in _listed(patterns))


def _seen(before: Any) -> str:
    return f"the last that came is {before[-_SHOWN:]!r}" if before else "nothing came"
