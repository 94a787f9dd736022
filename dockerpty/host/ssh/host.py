"""A machine that is reached by SSH: the engine that runs there, and the machine itself.

The engine's unix socket comes here through one connection, and is served as a private socket of this machine: whatever
speaks to an engine speaks to that one, and knows nothing of SSH. What belongs to one event loop is in `link`; how one
logs in in `login`, by asyncssh, and in `openssh`, by the system's ssh; the blocking face in `sync`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, Self

from dockerpty import log
from dockerpty.host.errors import HostClosedError, HostError, JumpError, ParentError
from dockerpty.host.in_order import InOrder
from dockerpty.host.results import CommandStatus, RunResult, ShellCommand, TransferResult
from dockerpty.host.ssh import far_side
from dockerpty.host.ssh.access import Access, plain
from dockerpty.host.ssh.command import Command
from dockerpty.host.ssh.far_side import Address
from dockerpty.host.ssh.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from dockerpty.host.ssh.access import Connection

__all__ = ["SSHHost", "UnixHost"]

_log = log.get(__name__)

#: A unix socket's address has 108 bytes on Linux and 104 elsewhere. Behind this there are the directory's name, of 20,
#: a socket's, and what ssh adds to it for a moment, 17.
_LONGEST_PARENT = 56


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
        ssh_client: "asyncssh"; or "openssh" for the system's `ssh`, with all that it knows of hardware keys, Kerberos
            and commands of a company's on the way. It asks nothing, and so takes no password; and it moves no files
            of the machine itself.

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
        ssh_client: Literal["asyncssh", "openssh"] = "asyncssh",
    ) -> None:
        address = far_side.read_address(host)
        if connect_timeout <= 0:
            raise ValueError(f"a connection takes some time, and not {connect_timeout} seconds")
        if keepalive < 0:
            raise ValueError(f"keepalive is seconds, or 0 for never, and not {keepalive}")
        if ssh_client not in ("asyncssh", "openssh"):
            raise ValueError(f"ssh_client is 'asyncssh' or 'openssh', and not {ssh_client!r}")
        if ssh_client == "openssh" and (password is not None or passphrase is not None):
            raise ValueError(
                "the system's ssh takes no password and no passphrase: load the key into an agent"
            )
        if jump is not None and not isinstance(jump, (str, SSHHost)):
            raise TypeError("jump is another SSHHost, or hosts as ssh -J takes them")
        if isinstance(jump, SSHHost) and jump._ssh_client != ssh_client:
            raise ValueError(f"{jump.name}, which is on the way, has another ssh_client")
        self.name: str = name or address.host
        self.id = self.name
        self.resources: set[str] = set()
        self.log = True
        socket = engine_socket or address.path
        self._engine_socket = far_side.socket_path(socket) if socket else ""
        self._ssh_client: Literal["asyncssh", "openssh"] = ssh_client
        self._access = Access(
            self.name,
            Address(address.host, port if port is not None else address.port, user or address.user),
            password,
            _paths(client_keys),
            passphrase,
            known_hosts if known_hosts in ("default", None) else _paths(known_hosts),
            config if isinstance(config, bool) else _paths(config),
            agent,
            connect_timeout,
            keepalive,
        )
        self._jump = jump if isinstance(jump, SSHHost) else None
        # Those on the way that we made ourselves end with us; a configuration's are known when it has been read.
        self._own_jumps: list[SSHHost] = []
        if isinstance(jump, str):
            self._jump = self._jump_over(jump)
        self._lock = threading.Lock()
        self._link: Link | None = None
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
        status = await command.run(process, link.failure, link.kill, link.in_background)
        ended = not status.timed_out and not status.session_lost
        if ended and (said := command.unheard) is not None:
            why = plain(said) or f"the login shell there ended with {status.retcode}"
            raise link.no_session("run a command on", why)
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
            timeout, stop_on_error, check: as for a container's.
            stdin, merge, on_output: as `oneshot` takes them, for each.

        Raises:
            HostConnectionError, CommandFailed: as `oneshot`.
            ParentError: there are `expects`.
        """
        in_order = InOrder(cmds, timeout, stop_on_error=stop_on_error, check=check, host=self.name)
        if expects is not None or any(each.expects is not None for each in in_order.commands):
            raise ParentError(
                "answer a command on", self.name, "there it has no terminal", "give it stdin=", host=self.name
            )
        for each in in_order:
            given = stdin if each.stdin is None else each.stdin
            status = await self.oneshot(each.cmd, each.timeout, stdin=given, merge=merge, on_output=on_output)
            in_order.add(each, status)
        return in_order.result()

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
        async with await link.files() as sftp:
            return await transfer.run(sftp, link.failure, timeout)

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
        async with await link.files() as sftp:
            return await transfer.run(sftp, link.failure, timeout)

    # ---- its life --------------------------------------------------------------------------------------------------

    def rebuild_connections(self) -> None:
        """Drop the connection and the private socket, whatever state they are in; the next use opens them anew.

        Not a coroutine. It waits for nothing, needs no event loop, and may be called from any thread, also after the
        loop that the connection belonged to has been closed. A loop that still runs clears up by itself.
        """
        with self._lock:
            link, self._link = self._link, None
            if self._directory is not None:
                self._directory.unlink()
        if link is not None:
            link.abandon()
        for jump in self._own_jumps:
            jump.rebuild_connections()

    async def close(self) -> None:
        """Close the connection and remove the private socket. Idempotent; a caller's own `jump` stays open."""
        link = self._shut()
        try:
            if link is not None:
                await link.end()
            for jump in self._own_jumps:
                await jump.close()
        finally:
            # Only now: what is ended over there may be ended by a socket that is in it.
            if self._directory is not None:
                self._directory.remove()

    aclose = close

    def retire(self) -> None:
        """Close without waiting, from any thread; a loop that still runs clears up by itself. Not a coroutine."""
        link = self._shut()
        if link is not None:
            link.abandon()
        for jump in self._own_jumps:
            jump.retire()
        if self._directory is not None:
            self._directory.remove()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _shut(self) -> Link | None:
        """Have nothing more, and give what is there to be ended."""
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
            if self._directory is not None:
                self._directory.unlink()
        return link

    def _here(self) -> Link:
        """Give what belongs to the running loop.

        Raises:
            HostClosedError: this host was closed.
            RuntimeError: it is in use on another loop, which runs.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise self._is_closed()
            link = self._link
            if link is not None and link.loop is loop and not link.over:
                return link
            if link is not None and link.loop is not loop and link.loop.is_running() and not link.over:
                raise RuntimeError(
                    f"{self.name} is in use on another event loop; rebuild_connections() takes it away from there"
                )
            self._link = Link(
                self._access, self._engine_socket, self._log_in, lambda: self._place().socket, loop
            )
        if link is not None:
            link.abandon()
        return self._link

    def _place(self) -> _Directory:
        """Give the directory of sockets that is ours alone and goes with this host."""
        with self._lock:
            if self._closed:
                raise self._is_closed()
            if self._directory is None:
                self._directory = _Directory(self)
            return self._directory

    def _is_closed(self) -> HostClosedError:
        return HostClosedError("use", self.name, "it was closed", host=self.name)

    def _jump_over(self, hosts: str) -> SSHHost:
        """Make hosts on the way, each by the one before it, of what may be told to another machine than ours."""
        access, jump = self._access, None
        for address in far_side.read_jumps(hosts):
            jump = SSHHost(
                address.host,
                port=address.port,
                user=address.user,
                client_keys=access.client_keys,
                passphrase=access.passphrase,
                known_hosts=access.known_hosts,
                jump=jump,
                config=access.config,
                agent=access.agent,
                connect_timeout=access.connect_timeout,
                keepalive=access.keepalive,
                ssh_client=self._ssh_client,
            )
            self._own_jumps.append(jump)
        assert jump is not None
        return jump

    async def _log_in(self) -> Connection:
        """Connect and log in, once; see `login.connect`."""
        if self._access.known_hosts is None and not self._warned:
            self._warned = True
            _log.warning("the host key of %s is not verified: whoever answers is believed", self.name)
        if self._ssh_client == "openssh":
            from dockerpty.host.ssh import openssh

            return await openssh.connect(self._access, self._pass, self._place().path)
        from dockerpty.host.ssh import login

        return await login.connect(self._access, self._pass)

    async def _pass(self, configured: str) -> Connection | None:
        """Give the connection to the host on the way: the one that is known, or else configured."""
        if self._jump is None and configured:
            self._jump = self._jump_over(configured)
        jump = self._jump
        if jump is None:
            return None
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


UnixHost = SSHHost
"""The name in programs that were written for the library whose place this layer takes."""


def _paths(value: Any) -> Any:
    """Give paths as a list of texts; None stays None."""
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)):
        value = [value]
    return [os.path.expanduser(os.fspath(each)) for each in value]


class _Directory:
    """Where the sockets of ours are: a directory for nobody but us, which goes with its host, or at exit.

    Attributes:
        path: of it.
        socket: the path of the private socket.
        remove: does so, once.
    """

    def __init__(self, host: SSHHost) -> None:
        parent = tempfile.gettempdir()
        if len(os.fsencode(parent)) > _LONGEST_PARENT:
            parent = "/tmp"
        self.path = tempfile.mkdtemp(prefix="dockerpty-", dir=parent)
        self.socket = os.path.join(self.path, "engine.sock")
        self.remove = weakref.finalize(host, _remove, self.path, os.getpid())

    def unlink(self) -> None:
        """Take the private socket away, and leave its place."""
        with suppress(OSError):  # there was none
            os.unlink(self.socket)


def _remove(directory: str, pid: int) -> None:
    # A forked child has a copy of the host, and the directory is still the parent's.
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)
