"""How a command line ends: the one place where errors become a line on stderr and an exit code.

Codes below zero are deaths by that signal, as in `subprocess`. Lines are written only when no terminal is raw.
"""

from __future__ import annotations

import os
import sys

from dockerpty.cli.grammar import UsageError
from dockerpty.errors import CannotStart, DockerptyError, SessionLost, SessionTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Command

FAILED = 125  # ours or the engine's fault, when the code belongs to a process; and any bad usage
TIMED_OUT = 124  # as timeout(1)
LOST = 255  # as ssh
ERROR = 1  # a known error of a command whose code is its own
BUG = 3  # ... and an error that nobody foresaw

# The same everywhere; `signal` itself is not loaded for a `--version`.
SIGHUP = 1
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
    say(str(error) if isinstance(error, DockerptyError) else _of_the_system(error))
    if isinstance(error, SessionTimeout):
        return TIMED_OUT
    if isinstance(error, SessionLost):
        return _gone() if error.on_our_side else LOST
    if not command.ends_with_process:
        return FAILED if isinstance(error, UsageError) else ERROR
    return error.exit_code if isinstance(error, CannotStart) else FAILED


def _gone() -> int:
    """Give the code for the loss of our own terminal, of which the signal comes later or not to us."""
    from signal import SIG_IGN, getsignal

    return LOST if getsignal(SIGHUP) is SIG_IGN else -SIGHUP


def _of_the_system(error: OSError) -> str:
    what = f" with {error.filename}" if error.filename else ""
    # `errno` itself is not worth loading: these two are the same everywhere.
    hint = {23: "; the whole machine has too many open", 24: "; raise `ulimit -n`"}.get(error.errno or 0, "")
    return f"cannot go on{what}: {error.strerror or str(error) or type(error).__name__}{hint}"


def say(text: str, prefix: str = "dpty: ") -> None:
    """Write a text to stderr, every line of it with the prefix; or nothing where there is no stderr any more.

    A registry, an engine or whoever made a container wrote some of it: that does not command the user's terminal.
    """
    from dockerpty.cli.looks import clean
    from dockerpty.tty import is_terminal

    if sys.stderr is None:
        return
    lines = text.splitlines() or [""]
    if is_terminal(sys.stderr):
        lines = [clean(line) for line in lines]
    try:
        sys.stderr.write("".join(f"{prefix}{line}\n" for line in lines))
        sys.stderr.flush()
    except OSError:
        # It is closed or full, and it is where this would have to be told.
        return


def show(text: str) -> None:
    """Write a line to stdout; where there is none, it is lost like any other.

    Raises:
        BrokenPipeError: whoever read it has gone.
        DockerptyError: it cannot be written to.
    """
    _to_stdout(f"{text}\n")


def flush() -> None:
    """Write out what stdout still holds; raises as `show`."""
    _to_stdout("")


def finish(code: int) -> int:
    """Give the exit code to the process that we are, or die by a signal if that is how this ends."""
    try:
        flush()
    except (DockerptyError, BrokenPipeError):
        # Only after an error, which has been told: nothing else comes here with anything left to write.
        code = code or FAILED
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        # The interpreter would try once more at its exit, and end with a code of its own.
        sys.stderr = None
    if code >= 0:
        return code
    from dockerpty.signals import die_by

    die_by(-code)
    # The first process of a PID namespace does not die by default actions.
    return 128 - code


def _to_stdout(text: str) -> None:
    stdout = sys.stdout
    if stdout is None:
        return
    # Away while it is used: after an error nobody must write to it again, not even the interpreter at its exit.
    sys.stdout = None
    try:
        stdout.write(text)
        if not text:
            stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DockerptyError("write to", "stdout", os.strerror(error.errno or 0)) from error
    sys.stdout = stdout


def _trace(error: BaseException) -> None:
    import traceback

    say("".join(traceback.format_exception(error)).rstrip(), prefix="")
