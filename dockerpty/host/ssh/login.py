"""A connection by asyncssh, which only this file knows: who is meant, host keys, logging in, channels."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from dockerpty.host.errors import HostConnectionError, JumpError
from dockerpty.host.ssh import far_side
from dockerpty.host.ssh.access import KEEPALIVES, TOO_MANY_KEYS, Access, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncssh

    from dockerpty.host.ssh.access import Way

#: Signatures by host keys, and the kind of the key: what ssh asks for, in its order.
_HOST_KEYS = {
    "ssh-ed25519": "ssh-ed25519",
    "ecdsa-sha2-nistp256": "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384": "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521": "ecdsa-sha2-nistp521",
    "rsa-sha2-512": "ssh-rsa",
    "rsa-sha2-256": "ssh-rsa",
}
_GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")


class Connection:
    """A connection of asyncssh's; see the protocol in `access`."""

    def __init__(self, access: Access, raw: asyncssh.SSHClientConnection) -> None:
        import asyncssh

        self.access = access
        self.failure: type[Exception] = asyncssh.Error
        self.raw = raw

    def is_closed(self) -> bool:
        """Whether it has ended, or was lost."""
        return self.raw.is_closed()

    # A session of asyncssh's is whatever has its methods.

    async def open_socket(self, protocol: Any, path: str) -> None:
        """Open a channel to a unix socket over there."""
        await self.raw.create_unix_connection(lambda: protocol, path)

    async def open_command(self, protocol: Any, line: str) -> None:
        """Open a channel to the streams of a command."""
        await self.raw.create_session(lambda: protocol, line, encoding=None, request_pty=False)

    async def start(self, line: str) -> Any:
        """Give the login shell over there a line, in a session without terminal."""
        return await self.raw.create_process(line, encoding=None, request_pty=False)

    async def files(self) -> Any:
        """Give a session for files."""
        return await self.raw.start_sftp_client()

    def close(self) -> None:
        """Say farewell."""
        self.raw.close()

    async def wait_closed(self) -> None:
        """Wait until the far side has heard it."""
        await self.raw.wait_closed()


async def connect(access: Access, way: Way) -> Connection:
    """Connect and log in, once.

    Raises:
        HostConnectionError: trying again does not help; a kind of it by what is wrong.
        OSError: nobody is there, or not any more.
    """
    try:
        import asyncssh
    except ImportError as error:
        raise access.unreachable(
            f"asyncssh cannot be loaded ({error})", "pip install 'dockerpty[ssh]'"
        ) from error
    try:
        settings = await asyncssh.SSHClientConnectionOptions.construct(
            **_where(access), client_keys=None, agent_path=None
        )
    except (ValueError, OSError) as error:
        raise access.unreachable(f"the configuration of ssh cannot be read: {words(error)}") from error
    jump = await way(settings.tunnel if isinstance(settings.tunnel, str) else "")
    known, files = _known(access, settings)
    shown: list[asyncssh.SSHKey] = []

    class Owner(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            shown.append(key)
            return False

    try:
        raw = await asyncssh.connect(
            **_where(access),
            tunnel=getattr(jump, "raw", None),
            client_factory=Owner,
            known_hosts=known,
            server_host_key_algs=_kinds(settings, known),
            password=access.password,
            client_keys=() if access.client_keys is None else access.client_keys,
            passphrase=access.passphrase,
            agent_path=() if access.agent else None,
            agent_forwarding=False,
            x11_forwarding=False,
            command=None,
            keepalive_interval=access.keepalive,
            # asyncssh counts those past the number that it is given.
            keepalive_count_max=KEEPALIVES - 1,
            connect_timeout=None,
            login_timeout=access.connect_timeout,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        if not shown:  # a certificate, or a key that was revoked
            raise access.unknown(words(error)) from error
        host, port = settings.host_key_alias or settings.host, settings.port
        told = host, port, shown[-1].get_fingerprint(), files[0]
        if any(_keys_of(known, settings)):
            raise access.unknown(*far_side.changed_key(*told)) from error
        via = far_side.login(jump.access.address) if jump is not None else ""
        raise access.unknown(*far_side.unknown_key(*told, via)) from error
    except asyncssh.PermissionDenied as error:
        given = access.password is not None
        raise access.refused(
            f"{'no key, and not the password,' if given else 'no key'} was taken for {settings.username}",
            "is the password right?" if given else "give client_keys= or password=",
        ) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise access.refused(
            f"a private key cannot be read: {words(error)}", "give its passphrase=, or load it into the agent"
        ) from error
    except FileNotFoundError as error:
        # Before anything was sent: asyncssh reads the keys first.
        raise access.refused(f"no such private key: {error.filename}") from error
    except asyncssh.ConnectionLost as error:
        raise ConnectionResetError(words(error)) from error
    except asyncssh.Error as error:
        raise _refusal(access, jump, settings, error) from error
    except ValueError as error:
        raise access.unreachable(words(error)) from error
    return Connection(access, raw)


def _refusal(access: Access, jump: Any, settings: Any, error: Exception) -> HostConnectionError:
    import asyncssh

    if "authentication failures" in words(error):
        return access.refused(words(error), TOO_MANY_KEYS)
    if jump is None or not isinstance(error, asyncssh.ChannelOpenError):
        return access.unreachable(words(error))
    hop = jump.access
    return JumpError(
        "connect to",
        access.name,
        f"{hop.name} does not lead there: {words(error)}",
        f"does `{far_side.login(hop.address)}` work, and may it forward to {settings.host} port {settings.port}?",
        hop=hop.name,
        host=access.name,
    )


def _where(access: Access) -> dict[str, Any]:
    # asyncssh takes an empty tuple for what is not said.
    address = access.address
    return {
        "host": address.host,
        "port": () if address.port is None else address.port,
        "username": () if address.user is None else address.user,
        "config": () if access.config is True else access.config or None,
    }


def _known(access: Access, settings: asyncssh.SSHClientConnectionOptions) -> tuple[Any, list[str]]:
    """Read the known hosts, and say where they are; None does not verify who answers."""
    import asyncssh

    if access.known_hosts is None:
        return None, [""]
    if access.known_hosts == "default":
        # "none" in the configuration is no file, and so nobody who is known.
        config = settings.config
        user: Any = config.get("UserKnownHostsFile", _USER_KNOWN_HOSTS)
        machine: Any = config.get("GlobalKnownHostsFile", _GLOBAL_KNOWN_HOSTS)
        files = [str(each) for each in (*user, *machine)]
    else:
        files = access.known_hosts
    text = []
    for file in files:
        # As ssh does: who has no such file knows nobody.
        with suppress(FileNotFoundError), open(os.path.expanduser(file), encoding="utf-8") as opened:
            text.append(opened.read())
    try:
        return asyncssh.import_known_hosts("\n".join(text)), files or [_USER_KNOWN_HOSTS[0]]
    except ValueError as error:
        raise access.unknown(f"the known hosts cannot be read: {words(error)}") from error


def _keys_of(known: Any, settings: asyncssh.SSHClientConnectionOptions) -> Any:
    """Give what is known of a host: keys, authorities, revoked keys."""
    import asyncssh

    port = settings.port if settings.port != far_side.SSH_PORT else None
    return asyncssh.match_known_hosts(known, settings.host_key_alias or settings.host, "", port)[:3]


def _kinds(settings: asyncssh.SSHClientConnectionOptions, known: Any) -> Any:
    """Say which kinds of host keys to ask for: those that are known first, as ssh does.

    asyncssh asks for no others. Then a host whose key was changed for one of another kind just hangs up.
    """
    if known is None or settings.config.get("HostKeyAlgorithms"):
        return ()
    keys, authorities, _ = _keys_of(known, settings)
    kinds = {key.get_algorithm() for key in keys}
    if authorities or not kinds or not kinds <= set(_HOST_KEYS.values()):
        return ()
    return sorted(_HOST_KEYS, key=lambda one: _HOST_KEYS[one] not in kinds)
