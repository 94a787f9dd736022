"""A machine that is reached by SSH: the engine that runs there, and the machine itself.

The engine's unix socket comes here through one connection, and is served as a private socket of this machine: whatever
speaks to an engine speaks to that one, and knows nothing of SSH. The socket outlives the connection. Where that was
lost, the next client of the socket has it made again.

Only this file knows asyncssh. What is said to the far side's shell is in `far_side`, the blocking face in `ssh_sync`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, NamedTuple, Self, TypeVar, cast

from dockerpty import log
from dockerpty.host.errors import (
    HostAuthError,
    HostClosedError,
    HostConnectionError,
    HostError,
    HostKeyError,
    JumpError,
    ParentError,
    SessionStartError,
)
from dockerpty.host.results import CommandStatus, RunResult, ShellCommand, TransferResult
from dockerpty.host.ssh import far_side
from dockerpty.host.ssh.command import Command
from dockerpty.host.ssh.far_side import Address, AfterMark, FarSide
from dockerpty.host.ssh.relay import PING, PONG, Answer, Far, Near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    import asyncssh

__all__ = ["SSHHost", "UnixHost"]

_log = log.get(__name__)

T = TypeVar("T")

#: Silent for so many of its intervals, a connection is given up: asyncssh counts those past the number it is given.
_KEEPALIVES = 3
#: Between two attempts to have a lost connection again.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
#: For an orderly end of the connection.
_FAREWELL_S = 2.0
#: A unix socket's address has 108 bytes on Linux and 104 elsewhere.
_LONGEST_DIRECTORY = 80
_PONG_WITHIN_S = 10.0
#: Of a message of somebody else's.
_WORDS = 300

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


class SSHHost:
    """A machine behind SSH, as the parent of its containers and as a host itself. Made without any input or output.

    There is one connection, opened at the first use and shared by all; a lost one is opened again by the next use. It
    belongs to the event loop that it was first used on; that loop has to run for as long as somebody speaks to the
    engine, so what blocks must not be called on it. When the loop ends, as at the end of `asyncio.run`, everything of
    it is closed, and the host can be used on another one.

    Args:
        host: a name, an address, an alias of `~/.ssh/config`, or `ssh://user@host:port`.
        port, user: before those of the address and of the configuration.
        password: for this host alone, not for those on the way.
        client_keys: private keys, as a path or several; None for those of the configuration or the usual ones.
        passphrase: of encrypted keys.
        known_hosts: files of host keys; "default" for those of the configuration or the usual ones; None does not
            verify who answers, and says so in a WARNING.
        jump: the host on the way: another `SSHHost`, which stays the caller's, or as `ssh -J` writes it; None for the
            one of the configuration.
        config: whether `~/.ssh/config` is read; or a file, or several, to read in its place.
        agent: whether the agent's keys are used. It is never forwarded.
        engine_socket: of the engine over there; None to look for it.
        connect_timeout: seconds until a connection must stand, logged in.
        keepalive: seconds of silence until the far side is asked whether it is there; the third question without
            an answer ends the connection. 0 never asks.
        name: what the host is called in ids and messages; its address by default.

    Attributes:
        id, name: the name given, else the host.
        resources: the caller's set of tags.
        log: whether commands are logged.
    """

    def __init__(
        self,
        host: str,
        *,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        client_keys: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        passphrase: str | None = None,
        known_hosts: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = "default",
        jump: SSHHost | str | None = None,
        config: bool | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = True,
        agent: bool = True,
        engine_socket: str | None = None,
        connect_timeout: float = 15,
        keepalive: float = 15,
        name: str | None = None,
    ) -> None:
        address = far_side.read_address(host)
        if connect_timeout <= 0:
            raise ValueError(f"a connection takes some time, and not {connect_timeout} seconds")
        if keepalive < 0:
            raise ValueError(f"keepalive is seconds, or 0 for never, and not {keepalive}")
        if jump is not None and not isinstance(jump, (str, SSHHost)):
            raise TypeError("jump is another SSHHost, or hosts as ssh -J takes them")
        self.id = self.name = name or address.host
        self.resources: set[str] = set()
        self.log = True
        self._address = Address(
            address.host, port if port is not None else address.port, user or address.user
        )
        socket = engine_socket or address.path
        self._engine_socket = far_side.socket_path(socket) if socket else ""
        self._password = password
        self._passphrase = passphrase
        self._client_keys = _paths(client_keys)
        self._known_hosts = known_hosts if known_hosts in ("default", None) else _paths(known_hosts)
        self._config = config if isinstance(config, bool) else _paths(config)
        self._agent = agent
        self._connect_timeout = connect_timeout
        self._keepalive = keepalive
        self._jump = jump if isinstance(jump, SSHHost) else None
        # Those on the way that we made ourselves end with us; a configuration's are known when it has been read.
        self._own_jumps: list[SSHHost] = []
        if isinstance(jump, str):
            self._jump = self._jump_over(jump)
        self._lock = threading.Lock()
        self._link: _Link | None = None
        self._closed = False
        self._directory: _Directory | None = None
        self._warned = False

    # ---- the engine ------------------------------------------------------------------------------------------------

    async def engine(self) -> str:
        """Give the base URL of the engine over there, as docker-py and we take it.

        The URL stays the same for as long as this host lives. It leads to somewhere while this host's loop runs: after
        `rebuild_connections`, or on a new loop, this has to be called again before it is used.

        Raises:
            HostConnectionError: the machine cannot be reached (a `HostKeyError`, `HostAuthError` or `JumpError` by what
                is wrong), or no engine there that we may use.
            HostClosedError: this host was closed.
        """
        return f"unix://{await self._here().listen()}"

    # ---- the machine itself ----------------------------------------------------------------------------------------

    async def oneshot(
        self,
        cmd: str | Sequence[str],
        timeout: float | None = None,
        *,
        stdin: Any = None,
        merge: bool = False,
        workdir: str | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = False,
        on_output: Callable[[int, bytes], None] | None = None,
    ) -> CommandStatus:
        """Run a command on the machine itself, in a process of its own without terminal.

        Args:
            cmd: a text for `sh -c`, or a program and what it is given.
            timeout: seconds, from its start; then it is killed, with what it started.
            stdin: text, bytes, a path or a binary file; None is an end of file at once.
            merge: stderr goes where stdout goes, in exact order.
            check: raise unless it went well.
            on_output: called with 1 or 2, and all bytes as they come.

        Raises:
            HostConnectionError: the machine cannot be reached, or opens no session.
            CommandFailed: only with `check`.
        """
        command = Command(cmd, timeout, stdin, merge, workdir, env, on_output, self.name)
        link = self._here()
        process = await link.start(command.line)
        status = await command.run(process, link.lost, link.kill, link.in_background)
        return status.check() if check else status

    exec = oneshot

    async def run(
        self,
        cmds: str | ShellCommand | Sequence[str | ShellCommand],
        expects: Any = None,
        timeout: float | None = None,
        *,
        stdin: Any = None,
        merge: bool = False,
        stop_on_error: bool = False,
        check: bool = False,
        on_output: Callable[[int, bytes], None] | None = None,
    ) -> RunResult:
        """Run commands on the machine itself, one after the other.

        Each is a `oneshot`: **no state is kept** from one to the next, other than in a container's shell.

        Args:
            cmds: one, or several in order. A failed one does not stop the rest.
            expects: nothing can be answered without terminal; has to be None.
            timeout: seconds, for several the time of all; when it is over the rest is not run.
            stdin, merge, on_output: as `oneshot` takes them, for each.
            stop_on_error: the first that fails does stop the rest.
            check: raise for the first that failed, at the end.

        Raises:
            HostConnectionError, CommandFailed: as `oneshot`.
            ParentError: there are `expects`.
        """
        wanted = [cmds] if isinstance(cmds, (str, ShellCommand)) else list(cmds)
        each_one = [one if isinstance(one, ShellCommand) else ShellCommand(one) for one in wanted]
        if any(one.expects is not None for one in each_one) or expects is not None:
            raise ParentError(
                "answer a command on", self.name, "there it has no terminal", "give it stdin=", host=self.name
            )
        if timeout is not None and timeout <= 0:
            raise ValueError(f"a command takes some time, and not {timeout} seconds")
        until = None if timeout is None else time.monotonic() + timeout
        done: list[CommandStatus] = []
        failed = must_go_well = False
        for one in each_one:
            left = None if until is None else until - time.monotonic()
            if failed or (left is not None and left <= 0):
                why = "a command before it failed" if failed else "the time of all commands was over"
                done.append(CommandStatus.unrun(one.cmd, why, host=self.name))
                continue
            limits = [each for each in (left, one.timeout) if each is not None]
            status = await self.oneshot(
                one.cmd,
                min(limits, default=None),
                stdin=stdin if one.stdin is None else one.stdin,
                merge=merge,
                on_output=on_output,
            )
            done.append(status)
            must_go_well = check if one.check is None else one.check
            failed = not status and (stop_on_error or must_go_well)
            if failed and must_go_well and not check:
                status.check()
        result = RunResult(done)
        return result.check() if check else result

    async def put(
        self,
        src_files: Any,
        dest_dir: str,
        *,
        mode: int | str | None = None,
        follow_links: bool = False,
        overwrite: bool = True,
        timeout: float | None = None,
    ) -> TransferResult:
        """Copy files and directories of this machine into a directory over there, by SFTP.

        Args:
            src_files: a path or several, with different base names.
            dest_dir: made, with its parents, if it is not there; relative to the user's home.
            mode: of files, as a number or in octal digits; else as they have it here.
            follow_links: copy what links lead to.
            overwrite: replace what is there; else it is skipped. A file is replaced at once, when all of it is there.
            timeout: seconds for all.

        Raises:
            HostConnectionError: the machine cannot be reached, or has no SFTP.
            ValueError: two sources have one base name, or there is no such mode.
        """
        from dockerpty.host.ssh.files import Put

        transfer = Put(src_files, dest_dir, mode, follow_links, overwrite, self.name)
        link = self._here()
        async with link.files() as sftp:
            return await transfer.run(sftp, link.lost, timeout)

    async def get(
        self,
        src_files: Any,
        dest_dir: str | os.PathLike[str],
        *,
        follow_links: bool = False,
        overwrite: bool = True,
        preserve: bool = True,
        timeout: float | None = None,
    ) -> TransferResult:
        """Copy files and directories over there into a directory of this machine, by SFTP.

        Args:
            src_files: a path or several, with different base names; relative to the user's home.
            dest_dir: made, with its parents, if it is not there.
            preserve: keep permissions and times.
            follow_links, overwrite, timeout: as `put` takes them.

        Raises:
            HostConnectionError, ValueError: as `put`.
        """
        from dockerpty.host.ssh.files import Get

        transfer = Get(src_files, dest_dir, preserve, follow_links, overwrite, self.name)
        link = self._here()
        async with link.files() as sftp:
            return await transfer.run(sftp, link.lost, timeout)

    # ---- its life --------------------------------------------------------------------------------------------------

    def rebuild_connections(self) -> None:
        """Drop the connection and the private socket, whatever state they are in; the next use opens them anew.

        Not a coroutine. It waits for nothing, needs no event loop, and may be called from any thread, also after the
        loop that the connection belonged to has been closed. A loop that still runs clears up by itself.
        """
        with self._lock:
            link, self._link = self._link, None
            if self._directory is not None:
                _unlink(self._directory.socket)
        if link is not None:
            link.abandon()
        for jump in self._own_jumps:
            jump.rebuild_connections()

    async def close(self) -> None:
        """Close the connection and remove the private socket. Idempotent; a caller's own `jump` stays open."""
        link = self._shut()
        if link is not None:
            await link.end()
        for jump in self._own_jumps:
            await jump.close()

    aclose = close

    def retire(self) -> None:
        """Close without waiting, from any thread; a loop that still runs clears up by itself. Not a coroutine."""
        link = self._shut()
        if link is not None:
            link.abandon()
        for jump in self._own_jumps:
            jump.retire()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _shut(self) -> _Link | None:
        """Have nothing more, and give what is there to be ended."""
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
            if self._directory is not None:
                self._directory.remove()
        return link

    def _here(self) -> _Link:
        """Give what belongs to the running loop.

        Raises:
            HostClosedError: this host was closed.
            RuntimeError: it is in use on another loop, which runs.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise HostClosedError("use", self.name, "it was closed", host=self.name)
            link = self._link
            if link is not None and link.loop is loop and not link.over:
                return link
            if link is not None and link.loop is not loop and link.loop.is_running() and not link.over:
                raise RuntimeError(
                    f"{self.name} is in use on another event loop; rebuild_connections() takes it away from there"
                )
            self._link = _Link(self, loop)
        if link is not None:
            link.abandon()
        return self._link

    def _socket(self) -> str:
        """Give the place of the private socket, in a directory that is ours alone and goes with this host."""
        with self._lock:
            if self._closed:
                raise HostClosedError("use", self.name, "it was closed", host=self.name)
            if self._directory is None:
                self._directory = _Directory(self)
            return self._directory.socket

    def _jump_over(self, hosts: str) -> SSHHost:
        """Make hosts on the way, each by the one before it, of what may be told to another machine than ours."""
        jump: SSHHost | None = None
        for address in far_side.read_jumps(hosts):
            jump = SSHHost(
                address.host,
                port=address.port,
                user=address.user,
                client_keys=self._client_keys,
                passphrase=self._passphrase,
                known_hosts=self._known_hosts,
                jump=jump,
                config=self._config,
                agent=self._agent,
                connect_timeout=self._connect_timeout,
                keepalive=self._keepalive,
            )
            self._own_jumps.append(jump)
        assert jump is not None
        return jump

    async def _log_in(self) -> asyncssh.SSHClientConnection:
        """Connect and log in, once.

        Raises:
            HostConnectionError: as `engine`, for what trying again does not help.
            OSError, asyncssh.Error: for the rest.
        """
        import asyncssh

        settings = await self._settings()
        jump = self._jump
        if jump is None and isinstance(settings.tunnel, str) and settings.tunnel:
            jump = self._jump = self._jump_over(settings.tunnel)
        tunnel = await self._pass(jump) if jump is not None else None
        known, files = self._known(settings)
        shown: list[asyncssh.SSHKey] = []

        class Owner(asyncssh.SSHClient):
            def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                shown.append(key)
                return False

        try:
            connection = await asyncssh.connect(
                **self._where(),
                tunnel=tunnel,
                client_factory=Owner,
                known_hosts=known,
                server_host_key_algs=_kinds(settings, known),
                password=self._password,
                client_keys=() if self._client_keys is None else self._client_keys,
                passphrase=self._passphrase,
                agent_path=() if self._agent else None,
                agent_forwarding=False,
                x11_forwarding=False,
                command=None,
                keepalive_interval=self._keepalive,
                keepalive_count_max=_KEEPALIVES - 1,
                connect_timeout=None,
                login_timeout=self._connect_timeout,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            if not shown:  # a certificate, or a key that was revoked
                raise HostKeyError("connect to", self.name, _words(error), host=self.name) from error
            host, port = settings.host_key_alias or settings.host, settings.port
            fingerprint = shown[-1].get_fingerprint()
            if any(_keys_of(known, settings)):
                reason, hint = far_side.changed_key(host, port, fingerprint, files[0])
            else:
                via = far_side.login(jump._address) if jump is not None else ""
                reason, hint = far_side.unknown_key(host, port, fingerprint, files[0], via)
            raise HostKeyError("connect to", self.name, reason, hint, host=self.name) from error
        except asyncssh.PermissionDenied as error:
            raise self._not_let_in(settings.username) from error
        except asyncssh.ProtocolError as error:
            if "authentication failures" not in error.reason:
                raise
            raise HostAuthError(
                "log in to",
                self.name,
                _words(error),
                "sshd lets nobody try more keys: name the right one with client_keys=, and agent=False",
                host=self.name,
            ) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise HostAuthError(
                "log in to",
                self.name,
                f"a private key cannot be read: {_words(error)}",
                "give its passphrase=, or load it into the agent",
                host=self.name,
            ) from error
        except FileNotFoundError as error:
            # Before anything was sent: asyncssh reads the keys first.
            raise HostAuthError(
                "log in to", self.name, f"no such private key: {error.filename}", host=self.name
            ) from error
        except asyncssh.ChannelOpenError as error:
            if jump is None:
                raise
            raise JumpError(
                "connect to",
                self.name,
                f"{jump.name} does not lead there: {_words(error)}",
                f"does `{far_side.login(jump._address)}` work, and may it forward to "
                f"{settings.host} port {settings.port}?",
                hop=jump.id,
                host=self.name,
            ) from error
        return connection

    def _where(self) -> dict[str, Any]:
        address = self._address
        return {
            "host": address.host,
            "port": () if address.port is None else address.port,
            "username": () if address.user is None else address.user,
            "config": {True: (), False: None}.get(self._config)
            if isinstance(self._config, bool)
            else self._config,
        }

    async def _settings(self) -> asyncssh.SSHClientConnectionOptions:
        """Read the configuration: who is meant, who is on the way, and where host keys are."""
        import asyncssh

        try:
            settings: asyncssh.SSHClientConnectionOptions = (
                await asyncssh.SSHClientConnectionOptions.construct(
                    **self._where(), client_keys=None, agent_path=None
                )
            )
        except (ValueError, OSError) as error:
            raise HostConnectionError(
                "connect to",
                self.name,
                f"the configuration of ssh cannot be read: {_words(error)}",
                host=self.name,
            ) from error
        return settings

    def _known(self, settings: asyncssh.SSHClientConnectionOptions) -> tuple[Any, list[str]]:
        """Read the known hosts, and say where they are; None does not verify who answers."""
        import asyncssh

        if self._known_hosts is None:
            if not self._warned:
                self._warned = True
                _log.warning("the host key of %s is not verified: whoever answers is believed", self.name)
            return None, [""]
        if self._known_hosts == "default":
            # "none" in the configuration is no file, and so nobody who is known.
            config = settings.config
            files = [
                *_strings(config.get("UserKnownHostsFile", _USER_KNOWN_HOSTS)),
                *_strings(config.get("GlobalKnownHostsFile", _GLOBAL_KNOWN_HOSTS)),
            ]
        else:
            files = list(self._known_hosts)
        text = []
        for file in files:
            # As ssh does: who has no such file knows nobody.
            with suppress(FileNotFoundError), open(os.path.expanduser(file), encoding="utf-8") as opened:
                text.append(opened.read())
        try:
            return asyncssh.import_known_hosts("\n".join(text)), files or [_USER_KNOWN_HOSTS[0]]
        except ValueError as error:
            raise HostKeyError(
                "connect to", self.name, f"the known hosts cannot be read: {_words(error)}", host=self.name
            ) from error

    async def _pass(self, jump: SSHHost) -> asyncssh.SSHClientConnection:
        """Give the connection to the host on the way."""
        try:
            return await jump._here().connection()
        except HostError as error:
            raise JumpError(
                "connect to",
                self.name,
                f"{jump.name}, which is on the way, cannot be passed: {error.reason}",
                error.hint,
                hop=error.hop if isinstance(error, JumpError) else jump.id,
                host=self.name,
            ) from error

    def _not_let_in(self, user: str) -> HostAuthError:
        tried = "no key, and not the password," if self._password is not None else "no key"
        hint = "is the password right?" if self._password is not None else "give client_keys= or password="
        return HostAuthError("log in to", self.name, f"{tried} was taken for {user}", hint, host=self.name)


UnixHost = SSHHost
"""The name in programs that were written for the library whose place this layer takes."""


# ---- what belongs to one loop --------------------------------------------------------------------------------------


class _Shared(Generic[T]):
    """Work that is done once for all who ask for it meanwhile, whoever of them gives up waiting."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], gone: Callable[[], Exception]) -> None:
        self._work = work
        self._gone = gone
        self._task: asyncio.Task[T] | None = None

    async def result(self) -> T:
        """Wait for the work that is under way, or begin it."""
        task = self._task
        if task is None or task.done():
            task = self._task = asyncio.get_running_loop().create_task(self._work())
            # Nobody may be left who hears of its error.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            asker = asyncio.current_task()
            if task.cancelled() and not (asker and asker.cancelling()):
                raise self._gone() from None
            raise

    def cancel(self) -> None:
        """Stop the work; who waits for it is told."""
        if self._task is not None:
            self._task.cancel()


class _Way(NamedTuple):
    """How the engine over there is reached by a connection: by its socket, or by a command."""

    connection: asyncssh.SSHClientConnection
    path: str
    argv: tuple[str, ...] = ()

    async def open(self, sink: Any) -> Far:
        """Open a channel to the engine, whose bytes go to `sink`: as an asyncio transport, as far as it is used."""
        nonce = secrets.token_hex(8)
        far = Far(sink, AfterMark(nonce) if self.argv else None)

        def factory() -> Any:  # a session of asyncssh's is whatever has its methods
            return far

        if self.argv:
            line = far_side.marked(nonce, self.argv)
            await self.connection.create_session(factory, line, encoding=None, request_pty=False)
        else:
            await self.connection.create_unix_connection(factory, self.path)
        return far


class _Link:
    """All of a host that belongs to one event loop: its connection, the private socket, and who is served there.

    Attributes:
        loop: that one.
        over: nothing of it is to be used any more.
    """

    def __init__(self, host: SSHHost, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.over = False
        self._host = host
        self._connection: asyncssh.SSHClientConnection | None = None
        self._way: _Way | None = None
        self._server: asyncio.Server | None = None
        self._clients: set[Near] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._endings: set[asyncio.Task[Any]] = set()
        self._connecting = _Shared(self._connect, self._gone)
        self._finding = _Shared(self._find, self._gone)
        self._serving = _Shared(self._serve, self._gone)
        self._end = loop.create_future()
        # A task, since a loop that ends cancels its tasks before it is closed: so nothing is left open.
        self._keeper = loop.create_task(self._keep(), name=f"ssh {host.name}")

    async def connection(self) -> asyncssh.SSHClientConnection:
        """Give the connection, opened if there is none or it was lost."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._connecting.result()
        return connection

    async def listen(self) -> str:
        """Give the path of the private socket, which is served, once the engine over there has answered."""
        await self.way()
        return await self._serving.result() if self._server is None else self._host._socket()

    async def way(self) -> _Way:
        """Give the way to the engine by the connection that stands."""
        connection = await self.connection()
        if self._way is None or self._way.connection is not connection:
            self._way = await self._finding.result()
        return self._way

    async def open(self, sink: Any) -> Far:
        """Open a channel to the engine; if the connection is lost on the way, once more over another one."""
        way = await self.way()
        try:
            return await way.open(sink)
        except self.lost:
            if not way.connection.is_closed():
                raise
        return await (await self.way()).open(sink)

    @property
    def lost(self) -> type[Exception]:
        """What is raised where the connection is lost, or something over there refused."""
        import asyncssh

        return asyncssh.Error

    async def start(self, line: str) -> asyncssh.SSHClientProcess[bytes]:
        """Give the login shell over there a line, in a session without terminal.

        Raises:
            SessionStartError: there is no session for it.
            HostConnectionError: there is no connection.
        """
        for last in (False, True):
            connection = await self.connection()
            try:
                return await connection.create_process(line, encoding=None, request_pty=False)
            except self.lost as error:
                if connection.is_closed() and not last:
                    continue
                raise self._no_session("run a command on", error) from error
        raise AssertionError

    @asynccontextmanager
    async def files(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """Give a session for files."""
        connection = await self.connection()
        try:
            sftp = await connection.start_sftp_client()
        except self.lost as error:
            raise self._no_session("move files to or from", error) from error
        async with sftp:
            yield sftp

    def _no_session(self, action: str, error: Exception) -> SessionStartError:
        name = self._host.name
        return SessionStartError(
            action,
            name,
            f"no session was opened: {_words(error)}",
            "its sshd may allow fewer at once (MaxSessions), or none (ForceCommand, Subsystem)",
            host=name,
        )

    async def kill(self, pid: int) -> None:
        """Kill a process over there and its group, in a session of its own, if there is a connection."""
        connection = self._connection
        if connection is None or connection.is_closed():
            return
        with suppress(self.lost, OSError):  # without a connection nothing can be done over there
            await connection.run(
                f"sh -c 'kill -KILL -{pid}; kill -KILL {pid}'", encoding=None, request_pty=False
            )

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have something ended over there that nobody waits for, but that a close gives some time."""
        self._do(work, self._endings)

    def _do(self, work: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> None:
        task = self.loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def abandon(self) -> None:
        """Have it ended by its own loop, if that runs some time. From any thread."""
        self.over = True
        with suppress(RuntimeError):  # the loop is closed: all was ended before
            self.loop.call_soon_threadsafe(self._tell_end)

    async def end(self) -> None:
        """End it; on another loop than its own only tell it to end."""
        self.abandon()
        if asyncio.get_running_loop() is self.loop:
            await asyncio.wait([self._keeper])

    def _tell_end(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def _gone(self) -> HostConnectionError:
        name = self._host.name
        return HostConnectionError("connect to", name, "it was closed here meanwhile", host=name)

    async def _keep(self) -> None:
        try:
            await self._end
        finally:
            self.over = True
            if self._server is not None:
                self._server.close()
            for work in (self._connecting, self._finding, self._serving):
                work.cancel()
            # Who is cancelled together with us has something to end first.
            await asyncio.sleep(0)
            if self._endings:
                await asyncio.wait(self._endings, timeout=_FAREWELL_S)
            for task in [*self._tasks, *self._endings]:
                task.cancel()
            for client in [*self._clients]:
                client.close()
            if self._connection is not None:
                self._connection.close()
                with suppress(TimeoutError):  # left as it is then
                    async with asyncio.timeout(_FAREWELL_S):
                        await self._connection.wait_closed()

    # ---- connecting ------------------------------------------------------------------------------------------------

    async def _connect(self) -> asyncssh.SSHClientConnection:
        """Open the connection: at once, or, if there was one before, as soon as the far side is back."""
        host = self._host
        _need_library(host.name)
        import asyncssh

        had_one = self._connection is not None
        seconds = host._connect_timeout
        until = self.loop.time() + seconds
        pause = _SHORTEST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout_at(until):
                    connection = await host._log_in()
            except TimeoutError as error:
                if not isinstance(error, HostError) and self.loop.time() >= until:
                    raise self._unreachable(f"it did not answer within {seconds:g} s") from error
                raised: Exception = error
            except (OSError, self.lost) as error:
                raised = error
            except ValueError as error:
                raise self._unreachable(_words(error)) from error
            else:
                _log.debug("connected host=%s again=%s", host.name, had_one)
                self._connection = connection
                return connection
            if isinstance(raised, HostError):
                raise raised
            # A refusal is not repeated: too many of them, and some hosts shut their door.
            gone = isinstance(raised, (OSError, asyncssh.ConnectionLost))
            if not (had_one and gone) or self.loop.time() + pause >= until:
                raise self._unreachable(_words(raised)) from raised
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _unreachable(self, reason: str, hint: str = "") -> HostConnectionError:
        return HostConnectionError("connect to", self._host.name, reason, hint, host=self._host.name)

    # ---- finding the engine ----------------------------------------------------------------------------------------

    async def _find(self) -> _Way:
        """Find the engine over there, and see it answer."""
        connection = await self.connection()
        asked = self._host._engine_socket
        far = await self._look_round(connection, asked)
        where = asked or (far.docker_host if far else "") or far_side.USUAL_SOCKET
        wrong = []
        if far is None or far.open:
            way = _Way(connection, far.open[0] if far else where)
            where = way.path
            if not (said := await self._trial(way)):
                return way
            wrong.append(said)
        elif far.shut:
            group, path = far.shut[0]
            raise self._no_engine(
                f"permission denied on {path}",
                f"add {far.user} to the group {group} over there, and log in anew: "
                f"sudo usermod -aG {group} {far.user}",
            )
        if far is not None and far.docker:
            argv = (far.docker, *(("--host", f"unix://{asked}") if asked else ()), "system", "dial-stdio")
            way = _Way(connection, "", argv)
            if not (said := await self._trial(way)):
                _log.debug("by dial-stdio host=%s", self._host.name)
                return way
            wrong.append(f"docker system dial-stdio says: {said}")
        if far is None or far.open:
            hint = (
                "does the engine run? If so, sshd over there forwards no unix sockets: set "
                "AllowStreamLocalForwarding yes in its configuration, or install docker's command there"
            )
        else:
            wrong.insert(0, "no socket is there")
            hint = "start the engine, or say where it listens: engine_socket="
        raise self._no_engine(f"{where}: {'; '.join(wrong)}", hint)

    def _no_engine(self, reason: str, hint: str) -> HostConnectionError:
        name = self._host.name
        return HostConnectionError("reach the engine of", name, reason, hint, host=name)

    async def _look_round(self, connection: asyncssh.SSHClientConnection, asked: str) -> FarSide | None:
        """Look for engines over there; None if nothing can be run.

        Also where nothing has to be found: sshd sends small packets at once (TCP_NODELAY) only after a first session,
        with a terminal or without (seen in OpenSSH 9.2). That stays when the session ends; which it does, since there
        may be one at most. Without terminal: to record who has one, sshd may stand still, and with it all else.
        """
        nonce = secrets.token_hex(8)
        line = far_side.look(nonce, asked)
        try:
            async with asyncio.timeout(self._host._connect_timeout):
                async with connection.create_process(line, encoding=None, request_pty=False) as asking:
                    done = await asking.wait()
        except TimeoutError:
            return None
        except self.lost as error:
            if connection.is_closed():
                raise self._unreachable(_words(error)) from error
            return None
        return far_side.seen(nonce, cast("bytes", done.stdout))

    async def _trial(self, way: _Way) -> str:
        """Have the engine answer by this way; say what was wrong, or nothing."""
        answer = Answer()
        far = None
        try:
            async with asyncio.timeout(_PONG_WITHIN_S):
                far = await way.open(answer)
                far.write(PING)
                await answer.settled.wait()
        except TimeoutError:
            return "it does not answer"
        except self.lost as error:
            if way.connection.is_closed():
                raise self._unreachable(_words(error)) from error
            return _words(error)
        finally:
            if far is not None:
                far.close()
        if PONG in answer.heard:
            return ""
        words = " ".join(far.said.decode("utf-8", "replace").split())
        return words or "what answers is no engine"

    # ---- the private socket ----------------------------------------------------------------------------------------

    async def _serve(self) -> str:
        path = self._host._socket()
        _unlink(path)
        server = await self.loop.create_unix_server(lambda: Near(self), path, backlog=128)
        if self.over:
            server.close()
            raise self._gone()
        self._server = server
        return path

    def joined(self, client: Near) -> None:
        """Serve a client of the private socket."""
        self._clients.add(client)
        self._do(client.open_far(), self._tasks)

    def left(self, client: Near) -> None:
        """Forget a client."""
        self._clients.discard(client)

    async def far_of(self, client: Near) -> Far | None:
        """Open the channel of a client; None if there is none to be had: the client sees its connection end."""
        try:
            return await self.open(client.transport)
        except (HostError, OSError, self.lost) as error:
            _log.warning("the engine of %s cannot be reached: %s", self._host.name, _words(error))
            return None


# ---- small things --------------------------------------------------------------------------------------------------


def _need_library(name: str) -> None:
    """Load asyncssh, when the first connection is made.

    Raises:
        HostConnectionError: it is not installed.
    """
    try:
        import asyncssh  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise HostConnectionError(
            "connect to",
            name,
            f"asyncssh cannot be loaded ({error})",
            "pip install 'dockerpty[ssh]'",
            host=name,
        ) from error


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


def _words(error: BaseException) -> str:
    """Give an error's words on one line, without what a terminal would obey."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = getattr(error, "reason", None) or str(error) or type(error).__name__
    return "".join(each if each.isprintable() else " " for each in str(text))[:_WORDS].rstrip(".")


def _strings(value: Any) -> list[str]:
    return [str(each) for each in value]


def _paths(value: Any) -> Any:
    """Give paths as a list of texts; None stays None."""
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)):
        value = [value]
    return [os.path.expanduser(os.fspath(each)) for each in value]


class _Directory:
    """Where the private socket is: a directory for nobody but us, which goes with its host, or at exit.

    Attributes:
        socket: the path of the private socket.
        remove: does so, once.
    """

    def __init__(self, host: SSHHost) -> None:
        parent = tempfile.gettempdir()
        if len(os.fsencode(parent)) > _LONGEST_DIRECTORY:
            parent = "/tmp"
        path = tempfile.mkdtemp(prefix="dockerpty-", dir=parent)
        self.socket = os.path.join(path, "engine.sock")
        self.remove = weakref.finalize(host, _remove, path, os.getpid())


def _unlink(path: str) -> None:
    with suppress(OSError):  # somebody has tidied up
        os.unlink(path)


def _remove(directory: str, pid: int) -> None:
    # A forked child has a copy of the host, and the directory is still the parent's.
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)
