"""How a command line ends: the one place where errors become a line on stderr and an exit code.

Codes below zero are deaths by that signal, as in `subprocess`. Lines are written only when no terminal is raw.
"""

from __future__ import annotations

import errno
import os
import sys

from dockerpty.cli.grammar import UsageError
from dockerpty.errors import APIError, DockerptyError, SessionLost, SessionTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Command

FAILED = 125  # ours or the engine's fault, when the code belongs to a process; and any bad usage
TIMED_OUT = 124  # as timeout(1)
LOST = 255  # as ssh
ERROR = 1  # a known error of a command whose code is its own
BUG = 3  # ... and an error that nobody foresaw

# The same everywhere; `signal` itself is not loaded for a `--version`.
SIGINT = 2
SIGPIPE = 13


def code_of(error: BaseException, command: Command, debug: bool) -> int:
    """Say on stderr what went wrong, and return the exit code for it.

    Args:
        command: which one failed: its code may belong to a process, which must not be taken for ours.
        debug: show where the error came from.

    Raises:
        SystemExit: when that is the error: somebody decided on the code already.
    """
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, KeyboardInterrupt):
        return -SIGINT
    # Writing to the engine breaks inside its own errors: a bare one is our stdout.
    if isinstance(error, BrokenPipeError) and not isinstance(error, DockerptyError):
        return -SIGPIPE
    if debug:
        _trace(error)
    if not isinstance(error, (DockerptyError, OSError)):
        say(
            f"{type(error).__name__}: {error}; this is a fault of dpty:"
            " please report it with what it prints when called as `dpty -D ...`"
        )
        return FAILED if command.ends_with_process else BUG
    say(str(error))
    if isinstance(error, SessionTimeout):
        return TIMED_OUT
    if isinstance(error, SessionLost):
        return LOST
    if not command.ends_with_process:
        return FAILED if isinstance(error, UsageError) else ERROR
    if isinstance(error, APIError) and error.action == "start":
        from dockerpty.result import start_error_code

        return start_error_code(error.explanation, FAILED)
    return FAILED


def say(text: str, prefix: str = "dpty: ") -> None:
    """Write a line to stderr, or nothing where there is no stderr any more."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{prefix}{text}\n")
        sys.stderr.flush()
    except OSError:
        # It is closed or full, and it is where this would have to be told.
        return


def show(text: str) -> None:
    """Write a line to stdout; where there is none, it is lost like any other."""
    if sys.stdout is not None:
        sys.stdout.write(f"{text}\n")


def finish(code: int) -> int:
    """Write out what stdout still holds, and die by a signal if that is how this ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # Else the interpreter tries again at its exit, and prints an error of its own.
        sys.stdout = None
        if error.errno == errno.EPIPE:
            code = code or -SIGPIPE
        else:
            say(f"cannot write to stdout: {os.strerror(error.errno or 0)}")
            code = code or FAILED
    if code >= 0:
        return code
    from dockerpty.signals import die_by

    die_by(-code)
    # The first process of a PID namespace does not die by default actions.
    return 128 - code


def _trace(error: BaseException) -> None:
    import traceback

    say("".join(traceback.format_exception(error)).rstrip(), prefix="")
