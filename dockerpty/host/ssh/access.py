"""How to get into a machine, as values, and what a connection to it can do: what both clients of SSH have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dockerpty.host.errors import HostAuthError, HostConnectionError, HostKeyError
from dockerpty.host.ssh.far_side import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Protocol

    #: Gives the connection to the host on the way: the caller's, else the one that the configuration names.
    Way = Callable[[str], Awaitable["Connection | None"]]

    class Connection(Protocol):
        """A connection that was logged in on, whichever client has it.

        Attributes:
            access: to whom.
            failure: what is raised where it is lost, or something over there refused.
        """

        access: Access
        failure: type[Exception]

        def is_closed(self) -> bool: ...
        async def open_socket(self, protocol: Any, path: str) -> None: ...
        async def open_command(self, protocol: Any, line: str) -> None: ...
        async def start(self, line: str) -> Any: ...
        async def files(self) -> Any: ...
        def close(self) -> None: ...
        async def wait_closed(self) -> None: ...


#: Silent for so many of its intervals, a connection is given up.
KEEPALIVES = 3
#: Of a message of somebody else's.
WORDS = 300

TOO_MANY_KEYS = "sshd lets nobody try more keys: name the right one with client_keys=, and agent=False"


@dataclass(frozen=True)
class Access:
    """Who is meant, and what is told to get in; see `SSHHost`.

    Attributes:
        name: for messages.
        client_keys, known_hosts, config: paths; None, "default" and booleans as `SSHHost` takes them.
    """

    name: str
    address: Address
    password: str | None = None
    client_keys: list[str] | None = None
    passphrase: str | None = None
    known_hosts: Any = "default"
    config: bool | list[str] = True
    agent: bool = True
    connect_timeout: float = 15
    keepalive: float = 15

    def unreachable(self, reason: str, hint: str = "") -> HostConnectionError:
        """Say that there is no connection."""
        return HostConnectionError("connect to", self.name, reason, hint, host=self.name)

    def unknown(self, reason: str, hint: str = "") -> HostKeyError:
        """Say that nobody knows who answers."""
        return HostKeyError("connect to", self.name, reason, hint, host=self.name)

    def refused(self, reason: str, hint: str = "") -> HostAuthError:
        """Say that we are not let in."""
        return HostAuthError("log in to", self.name, reason, hint, host=self.name)


def words(error: BaseException) -> str:
    """Give an error's words on one line, without what a terminal would obey."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = getattr(error, "reason", None) or str(error) or type(error).__name__
    return plain(str(text))


def plain(text: str) -> str:
    """Give somebody else's words on one line, without what a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in text)[:WORDS].strip().rstrip(".")
