"""What goes wrong with a host: a branch of the tree of `dockerpty.errors`.

A command that fails, or is too slow, or ends its shell, is a result and no error until it is checked. Three classes
that are also somebody else's have files of their own, so that nobody else is loaded before there is need: `failure` has
the one that is subprocess's, `unmatched` the two that are pexpect's.

HostError
├── HostNotRunningError (RuntimeError)          stopped, created, removed, or never there
│   └── HostPausedError                         ... paused
├── HostConnectionError (ConnectionError)       the engine, or the way to it, is away
│   ├── HostKeyError                            ... a host key that is unknown or has changed
│   ├── HostAuthError                           ... who we are is not believed
│   ├── JumpError                               ... a host on the way
│   └── SessionStartError                       ... no session could be opened
├── ParentError (NotImplementedError)           this parent cannot do that
├── SessionLostError (SessionLost)              the shell or the container ended while something was sent or expected
├── SessionBusyError                            a program has the terminal
├── ExpectTimeout (TimeoutError, TIMEOUT)       what was expected did not come in time
├── ExpectEOF (EOFError, EOF)                   the output ended without it
├── CommandFailed (CalledProcessError)          a command failed, and was checked
├── TransferError                               files were not moved, and it was checked; an archive was a trap
├── HostClosedError                             this host was closed
└── ShellNotFoundError (FileNotFoundError)      no shell that can be used is in the image
"""

from __future__ import annotations

from dockerpty.errors import APIError, DockerptyError, EngineUnreachable, ProtocolError, SessionLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What engines say of a container that is not there or does not run: Podman with a status that says nothing.
_AWAY = ("on running containers", "currently in state paused", "no such container")


class HostError(DockerptyError):
    """Something went wrong with a host: what, on what, why, and what to do, as in all errors of this project.

    Args:
        host: the host's name.
    """

    host: str

    def __init__(
        self, action: str, subject: str = "", reason: str = "", hint: str = "", *, host: str = ""
    ) -> None:
        super().__init__(action, subject, reason, hint)
        self.host = host


class HostNotRunningError(HostError, RuntimeError):
    """The container is stopped, was never started, was removed, or never was.

    Args:
        state: the engine's word for it; empty for one that is not there.
    """

    state: str

    def __init__(self, *parts: str, state: str = "", **named: str) -> None:
        super().__init__(*parts, **named)
        self.state = state


class HostPausedError(HostNotRunningError):
    """The container is paused."""


class HostConnectionError(HostError, ConnectionError):
    """The engine, or the machine that it is on, cannot be reached."""


class HostKeyError(HostConnectionError):
    """The key of an SSH host is unknown, or is another one than it was."""


class HostAuthError(HostConnectionError):
    """An SSH host does not let us in."""


class JumpError(HostConnectionError):
    """A host on the way to an SSH host cannot be passed.

    Args:
        hop: which of them.
    """

    hop: str

    def __init__(self, *parts: str, hop: str = "", **named: str) -> None:
        super().__init__(*parts, **named)
        self.hop = hop


class SessionStartError(HostConnectionError):
    """No session could be opened."""


class ParentError(HostError, NotImplementedError):
    """The parent of a container cannot do what was asked of it; `.reason` names what it lacks."""


class SessionLostError(HostError, SessionLost):
    """The shell or the container ended while something was sent or expected.

    Args:
        exit_code: the shell's, if it is known.
    """

    exit_code: int | None

    def __init__(self, *parts: str, exit_code: int | None = None, **named: str) -> None:
        super().__init__(*parts, **named)
        self.exit_code = exit_code


class SessionBusyError(HostError):
    """A program that was started by `send` has the terminal, and would take what is typed for its own."""


class TransferError(HostError):
    """Files were not moved.

    Args:
        transfer: the `TransferResult` that was checked, if one was.
    """

    transfer: Any

    def __init__(self, *parts: str, transfer: Any = None, **named: str) -> None:
        super().__init__(*parts, **named)
        self.transfer = transfer


class HostClosedError(HostError):
    """The host was closed before."""


class ShellNotFoundError(HostError, FileNotFoundError):
    """The image has no shell that can be used; commands as lists, and files, need none."""


def of_engine(error: DockerptyError, host: str = "") -> HostError:
    """Make a host's error of an engine's, which is to be its cause."""
    parts = error.action, error.subject, error.reason
    if isinstance(error, (EngineUnreachable, ProtocolError)):
        return HostConnectionError(*parts, error.hint, host=host)
    if is_away(error):
        return HostNotRunningError(*parts, error.hint or "try again: it went as it was used", host=host)
    return HostError(*parts, error.hint or "the engine's own log may say more", host=host)


def is_away(error: BaseException) -> bool:
    """Say whether a refusal tells that a container is not there, or does not run."""
    if not isinstance(error, APIError):
        return False
    words = error.explanation.lower()
    return error.status_code in (404, 409) or any(each in words for each in _AWAY)
