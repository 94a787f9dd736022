"""All of a machine behind SSH that belongs to one event loop: its connection, and its engine's socket, served here.

The private socket outlives the connection: where that was lost, the next client of the socket has it made again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from dockerpty import log
from dockerpty.host.errors import HostConnectionError, HostError, SessionStartError
from dockerpty.host.ssh import far_side
from dockerpty.host.ssh.access import words
from dockerpty.host.ssh.far_side import AfterMark, FarSide
from dockerpty.host.ssh.relay import PING, PONG, Answer, Far, Near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.host.ssh.access import Access, Connection

_log = log.get(__name__)

T = TypeVar("T")
G = TypeVar("G")

#: Between two attempts to have a lost connection again.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
#: sshd counts a session that has just ended for a moment longer: with MaxSessions 1 that is one too many.
_SESSION_PAUSES_S = (0.02, 0.1)
#: For an orderly end of the connection.
_FAREWELL_S = 2.0
_PONG_WITHIN_S = 10.0


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

    connection: Connection
    path: str
    argv: tuple[str, ...] = ()

    async def open(self, sink: Any) -> Far:
        """Open a channel to the engine, whose bytes go to `sink`: as an asyncio transport, as far as it is used."""
        if not self.argv:
            far = Far(sink, None)
            await self.connection.open_socket(far, self.path)
            return far
        nonce = secrets.token_hex(8)
        far = Far(sink, AfterMark(nonce))
        await self.connection.open_command(far, far_side.marked(nonce, self.argv))
        return far


class Link:
    """What there is of a machine on one event loop.

    Args:
        access: whose it is.
        engine_socket: of the engine over there; or empty, to look for it.
        log_in: makes a connection, once.
        place: gives the path of the private socket.
        loop: that one.

    Attributes:
        over: nothing of it is to be used any more.
    """

    def __init__(
        self,
        access: Access,
        engine_socket: str,
        log_in: Callable[[], Awaitable[Connection]],
        place: Callable[[], str],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.loop = loop
        self.over = False
        self._access = access
        self._engine_socket = engine_socket
        self._log_in = log_in
        self._place = place
        self._connection: Connection | None = None
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
        self._keeper = loop.create_task(self._keep(), name=f"ssh {access.name}")

    # ---- what it is asked for --------------------------------------------------------------------------------------

    async def connection(self) -> Connection:
        """Give the connection, opened if there is none or it was lost."""
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._connecting.result()
        return connection

    @property
    def failure(self) -> type[Exception]:
        """What is raised where the connection is lost, or something over there refused."""
        return OSError if self._connection is None else self._connection.failure

    async def listen(self) -> str:
        """Give the path of the private socket, which is served, once the engine over there has answered."""
        await self._to_engine()
        return await self._serving.result() if self._server is None else self._place()

    async def start(self, line: str) -> Any:
        """Give the login shell over there a line, in a session without terminal; a process, as asyncssh has one.

        Raises:
            SessionStartError: there is no session for it.
            HostConnectionError: there is no connection.
        """
        return await self._session("run a command on", lambda connection: connection.start(line))

    async def files(self) -> Any:
        """Give a session for files: asyncssh's client for SFTP, not yet entered. Raises as `start`."""
        return await self._session("move files to or from", lambda connection: connection.files())

    async def _session(self, action: str, do: Callable[[Connection], Awaitable[Any]]) -> Any:
        for pause in (*_SESSION_PAUSES_S, None):
            try:
                return await self._once_more(self.connection, lambda connection: connection, do)
            except self.failure as error:
                if isinstance(error, HostError):
                    raise
                if pause is None:
                    raise self.no_session(action, words(error)) from error
            await asyncio.sleep(pause)
        raise AssertionError

    def no_session(self, action: str, reason: str) -> SessionStartError:
        """Say that the far side opens no session."""
        name = self._access.name
        return SessionStartError(
            action,
            name,
            f"no session was opened: {reason}",
            "its sshd may allow fewer at once (MaxSessions), or none (ForceCommand, Subsystem)",
            host=name,
        )

    async def kill(self, pid: int) -> None:
        """Kill a process over there and its group, in a session of its own, if there is a connection."""
        connection = self._connection
        if connection is None or connection.is_closed():
            return
        with suppress(connection.failure, OSError):  # without a connection nothing can be done over there
            killing = await connection.start(f"sh -c 'kill -KILL -{pid}; kill -KILL {pid}'")
            await _output(killing)

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have something ended over there that nobody waits for, but that a close gives some time."""
        self._do(work, self._endings)

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

    # ---- its life --------------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> None:
        task = self.loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _tell_end(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def _gone(self) -> HostConnectionError:
        return self._access.unreachable("it was closed here meanwhile")

    async def _keep(self) -> None:
        try:
            await self._end
        except asyncio.CancelledError:
            await self._wind_up()
            raise
        await self._wind_up()

    async def _wind_up(self) -> None:
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

    async def _connect(self) -> Connection:
        """Open the connection: at once, or, if there was one before, as soon as the far side is back."""
        access = self._access
        had_one = self._connection is not None
        until = self.loop.time() + access.connect_timeout
        pause = _SHORTEST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout_at(until) as limit:
                    self._connection = await self._log_in()
            except HostError:
                raise
            except OSError as error:
                if limit.expired():
                    raise access.unreachable(
                        f"it did not answer within {access.connect_timeout:g} s"
                    ) from error
                if not had_one or self.loop.time() + pause >= until:
                    raise access.unreachable(words(error)) from error
            else:
                _log.debug("connected host=%s again=%s", access.name, had_one)
                return self._connection
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _once_more(
        self,
        give: Callable[[], Awaitable[G]],
        by: Callable[[G], Connection],
        do: Callable[[G], Awaitable[T]],
    ) -> T:
        """Do something over the connection; if that is lost on the way, once more over another one."""
        given = await give()
        try:
            return await do(given)
        except by(given).failure:
            if not by(given).is_closed():
                raise
        return await do(await give())

    # ---- finding the engine ----------------------------------------------------------------------------------------

    async def _to_engine(self) -> _Way:
        """Give the way to the engine by the connection that stands."""
        connection = await self.connection()
        if self._way is None or self._way.connection is not connection:
            self._way = await self._finding.result()
        return self._way

    async def _find(self) -> _Way:
        """Find the engine over there, and see it answer."""
        connection = await self.connection()
        asked = self._engine_socket
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
                _log.debug("by dial-stdio host=%s", self._access.name)
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
        name = self._access.name
        return HostConnectionError("reach the engine of", name, reason, hint, host=name)

    async def _look_round(self, connection: Connection, asked: str) -> FarSide | None:
        """Look for engines over there; None if nothing can be run.

        Also where nothing has to be found: sshd sends small packets at once (TCP_NODELAY) only after a first session,
        with a terminal or without (seen in OpenSSH 9.2). That stays when the session ends; which it does, since there
        may be one at most.
        """
        nonce = secrets.token_hex(8)
        try:
            async with asyncio.timeout(self._access.connect_timeout):
                said = await _output(await connection.start(far_side.look(nonce, asked)))
        except TimeoutError:
            return None
        except connection.failure as error:
            if connection.is_closed():
                raise self._access.unreachable(words(error)) from error
            return None
        return far_side.seen(nonce, said)

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
        except way.connection.failure as error:
            if way.connection.is_closed():
                raise self._access.unreachable(words(error)) from error
            return words(error)
        finally:
            if far is not None:
                far.close()
        if PONG in answer.heard:
            return ""
        said = " ".join(far.said.decode("utf-8", "replace").split())
        return said or "what answers is no engine"

    # ---- the private socket ----------------------------------------------------------------------------------------

    async def _serve(self) -> str:
        path = self._place()
        with suppress(OSError):  # it was not served before
            os.unlink(path)
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
            return await self._once_more(
                self._to_engine, lambda way: way.connection, lambda way: way.open(client.transport)
            )
        except (HostError, OSError, self.failure) as error:
            _log.warning("the engine of %s cannot be reached: %s", self._access.name, words(error))
            return None


async def _output(process: Any) -> bytes:
    """Wait for the end of a command over there, and give what it printed."""
    try:
        out, _ = await asyncio.gather(process.stdout.read(), process.stderr.read())
        await process.wait_closed()
        return bytes(out)
    finally:
        process.close()
