"""An engine behind ssh by another client than the system's: asyncssh or paramiko, for one command's life.

The way is opened when it is first gone, as any other: until then this is only an address.
"""

from __future__ import annotations

from dockerpty.cli.grammar import UsageError
from dockerpty.engine.endpoint import Endpoint
from dockerpty.errors import EngineUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.host.ssh.sync import SSHHostSync

#: By the name of `--ssh-client`, what kind of connection it is then.
KINDS = {"asyncssh": "unix", "paramiko": "paramiko"}


class FarEndpoint(Endpoint):
    """The address of an engine behind ssh, whose way is opened by a client that is a library.

    Args:
        found: the address.
        client: the library's name.
        timeout: seconds to connect.

    Raises:
        UsageError: the library cannot go there.
    """

    __slots__ = ("_found", "_opened", "_timeout")

    def __init__(self, found: Endpoint, client: str, timeout: float) -> None:
        self._found = found
        self._timeout = timeout
        self._opened: Any = None
        super().__init__(KINDS[client], found.name, host=found.host, port=found.port, user=found.user)
        if client == "paramiko" and (found.jump or found.path):
            what = "--jump" if found.jump else "a socket's path"
            raise UsageError(
                "use", f"{what} with paramiko", "it only runs docker's command over there", "leave it to ssh"
            )

    @property
    def path(self) -> str:
        """The private socket that asyncssh's connection serves."""
        if self.kind != "unix":
            return ""
        if self._opened is None:
            from dockerpty.host.ssh.sync import SSHHostSync

            found = self._found
            self._opened = SSHHostSync(
                found.host,
                port=found.port or None,
                user=found.user or None,
                jump=found.jump or None,
                engine_socket=found.path or None,
                connect_timeout=self._timeout,
            )
        host: SSHHostSync = self._opened
        return host.engine().removeprefix("unix://")

    @path.setter
    def path(self, path: str) -> None:
        """Be made as any other."""

    @property
    def client(self) -> Any:
        """A client of paramiko's that is connected."""
        if self.kind == "paramiko" and self._opened is None:
            self._opened = _paramiko(self._found, self._timeout)
        return self._opened

    @client.setter
    def client(self, client: Any) -> None:
        """Be made as any other."""

    def close(self) -> None:
        """Close the way, if it was ever opened."""
        if self._opened is not None:
            self._opened.close()


def _paramiko(found: Endpoint, timeout: float) -> Any:
    """Log in with paramiko, as docker-py does: by the user's ssh configuration, to hosts that are known."""
    subject = f"the engine at {found.name}"
    try:
        import paramiko
    except ImportError as error:
        raise EngineUnreachable(
            "reach", subject, f"paramiko cannot be loaded ({error})", "pip install 'dockerpty[paramiko]'"
        ) from error
    import os

    file = os.path.expanduser("~/.ssh/config")
    client = paramiko.SSHClient()  # refuses who is not known
    try:
        settings = (
            paramiko.SSHConfig.from_path(file) if os.path.exists(file) else paramiko.SSHConfig()
        ).lookup(found.host)
        client.load_system_host_keys()
        client.connect(
            settings["hostname"],
            found.port or int(settings.get("port", 22)),
            found.user or settings.get("user"),
            key_filename=settings.get("identityfile"),
            sock=paramiko.ProxyCommand(settings["proxycommand"]) if "proxycommand" in settings else None,
            timeout=timeout,
        )
    except (paramiko.SSHException, OSError, EOFError) as error:
        client.close()
        hint = f"does `ssh {found.user and found.user + '@'}{found.host}` let you in?"
        raise EngineUnreachable("reach", subject, f"paramiko says: {error}", hint) from error
    return client
