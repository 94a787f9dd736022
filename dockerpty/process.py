"""Attached processes for programs: many in one event loop, with the names of `asyncio.subprocess`.

`exec_` starts a process in a container, `attach` joins a container's first one. Both give a `Process`, whose streams
are here and whose end its `returncode` tells. What takes time (a request and its answer) is done in a few threads that
all processes share, see `pool`; the streams are served by the loop itself, see `streams`.
"""

from __future__ import annotations

import asyncio
import select
import socket

from dockerpty import log, unstarted
from dockerpty.container import attachment, ending
from dockerpty.container.creation import create_exec
from dockerpty.container.reference import identity, name_for
from dockerpty.container.spec import environment_list, exec_config
from dockerpty.container.state import is_ready, refusal
from dockerpty.engine import calls
from dockerpty.engine.transport import SocketTransport
from dockerpty.engine.twins import conflict
from dockerpty.errors import APIError, DockerptyError, NotFound, SessionLost, StartRefused
from dockerpty.frames import encode
from dockerpty.plan import drive_on_loop
from dockerpty.pool import way_to
from dockerpty.signals import STARTS_WITHIN_S, Resizer, end_unseen, marker, name_of, reap
from dockerpty.streams import Output, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any, Self

    from dockerpty.container.attachment import AtEnd, Attachment
    from dockerpty.container.ending import Asking, Ending
    from dockerpty.engine.interface import Engine, Pending
    from dockerpty.engine.transport import Transport
    from dockerpty.pool import Way
    from dockerpty.streams import Reader

__all__ = ["Process", "attach", "exec_"]

_log = log.get(__name__)

#: Bytes of each output stream that are kept for the program.
LIMIT = 64 * 1024

#: After so long a silence it is looked whether the process has ended: not every engine ends its stream then. What is
#: silent for longer is looked at less often.
_SILENCE_S, _LONGEST_SILENCE_S = 10.0, 60.0
#: The same for a container that had ended as it was attached to.
_ENDED_SILENCE_S = 0.5
#: The end of a container follows that of its stream at once. One that runs still has lost its connection.
_END_FOLLOWS_S = 2.0
#: A resize past this fails; Engine 20.10 takes ten seconds to refuse one for an exec that does not run.
_RESIZE_LIMIT_S = 10.0
#: For the exec that signals another one. Nobody sits at a terminal and waits.
_REAP_PATIENCE_S = 10.0
#: What `communicate` writes at once.
_PIECE = 64 * 1024


class Process:
    """A process in a container, whose streams are here. Made by `exec_` and `attach`, and bound to their event loop.

    `async with` closes its connection at the end of the block, and no more than that: the process goes on unless it was
    told to end. When the process has ended, the connection is closed by itself.

    stdout and stderr share one connection. So a reader that is full stops both, and in the end the process: read both
    at once, or call `communicate`. Who is attached to a container and reads nothing makes all others who are attached
    to it wait as well.

    Attributes:
        stdin: where to write, like an `asyncio.StreamWriter`; None unless it was asked for.
        stdout: an `asyncio.StreamReader`.
        stderr: the same; None if the process has a terminal, whose one stream is stdout.
        container_id: the container's full id.
        exec_id: the exec's id; None for a container's first process.
        pid: its number on the engine's machine; None where that is not known.
    """

    __slots__ = (
        *("__weakref__", "_closing", "_error", "_finishing", "_look", "_loop", "_name", "_order", "_output"),
        *("_over", "_patience_s", "_returncode", "_silence_s", "_size", "_timer", "_transport", "_waiters"),
        *("_way", "container_id", "exec_id", "pid", "stderr", "stdin", "stdout"),
    )

    stdin: Writer | None
    stdout: Reader
    stderr: Reader | None
    container_id: str
    exec_id: str | None
    pid: int | None

    def __init__(
        self,
        way: Way,
        name: str,
        transport: Transport,
        *,
        tty: bool,
        limit: int,
        gate: unstarted.StartError | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._way = way
        self._name = name
        self._transport = transport
        self._output = Output(
            transport,
            name,
            way.buffer,
            tty=tty,
            limit=limit,
            ended=self._stream_ended,
            in_thread=way.soon,
            gate=gate,
        )
        self.stdin = None
        self.stdout, self.stderr = self._output.out, self._output.err
        self.exec_id = self.pid = None
        self._returncode: int | None = None
        self._error: DockerptyError | None = None
        #: The result is known.
        self._over = False
        self._waiters: list[asyncio.Future[None]] = []
        self._finishing: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._order: asyncio.Lock | None = None
        self._size: tuple[int, int] | None = None
        self._silence_s = self._patience_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.Task[None] | None = None

    @property
    def returncode(self) -> int | None:
        """The exit code, 128 + n if signal n killed the process; None until its output has ended and it is known."""
        return self._returncode

    async def wait(self) -> int:
        """Wait for the end of the process and return its `returncode`.

        Somebody has to read what it writes meanwhile, else it may never end.

        Raises:
            SessionLost: the connection broke or was closed, or the engine does not know the exit code.
            ProtocolError: what came is no stream of an engine's.
        """
        if not self._over:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        if self._error is not None:
            raise self._error
        assert self._returncode is not None
        return self._returncode

    async def communicate(
        self, input: bytes | bytearray | memoryview | None = None
    ) -> tuple[bytes, bytes | None]:
        """Write all of `input` and end it, read all of the output, and wait for the end.

        Returns:
            what came on stdout and on stderr; None for stderr if the process has a terminal.

        Raises:
            SessionLost, ProtocolError: as `wait`.
            ValueError: there is input, and the process was not given a stdin.
        """
        if input and self.stdin is None:
            raise ValueError("there is input, and no stdin: ask for it with stdin=True")
        feeding = _nothing() if self.stdin is None else _feed(self.stdin, input or b"")
        errors = _nothing() if self.stderr is None else self.stderr.read()
        _, out, err = await _together(feeding, self.stdout.read(), errors)
        await self.wait()
        return out, err

    def send_signal(self, signal: int) -> asyncio.Future[None]:
        """Send a signal, without waiting. Who awaits what this returns learns whether it was sent.

        An exec is signalled by a second one, which finds it and all its children by a mark in their environment. For
        that the container needs `sh`, `tr`, `grep` and `kill`.

        Raises:
            ProcessLookupError: the process has ended.
            DockerptyError: (when awaited) it could not be sent.
        """
        if self._returncode is not None:
            raise ProcessLookupError
        return self._in_order(self._signal(int(signal)))

    def terminate(self) -> asyncio.Future[None]:
        """Send SIGTERM; see `send_signal`."""
        return self.send_signal(15)

    def kill(self) -> asyncio.Future[None]:
        """Send SIGKILL; see `send_signal`."""
        return self.send_signal(9)

    def resize(self, rows: int, cols: int) -> asyncio.Future[None]:
        """Set the size of the process's terminal, without waiting. Of many sizes the last one counts.

        Raises:
            ValueError: no terminal has that size.
            APIError: the process has no terminal, or (when awaited) the engine refused.
        """
        if self.stderr is not None:
            raise conflict("resize the terminal of", self._name, "it has none", "ask for one with tty=True")
        self._size = _size(rows, cols)
        return self._in_order(self._resize())

    async def aclose(self) -> None:
        """Close the connection; the process goes on. Who reads or waits gets `SessionLost`."""
        self._settle(error=SessionLost("go on with", self._name, "its connection was closed here"))
        await asyncio.shield(self._hang_up())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Process in {self._name} returncode={self._returncode}>"

    # Its life --------------------------------------------------------------------------------------------------------

    def _begin(self, silence_s: float) -> None:
        # Until the connection is closed.
        self._way.hold()
        self._silence_s = self._patience_s = silence_s
        self._output.start()
        self._listen()

    def _silent(self) -> None:
        """Silence ends nothing, but the stream of a process that has ended."""
        if self._output.moved or not self._output.reads:
            self._patience_s = self._silence_s
            self._listen()
        else:
            self._look = self._loop.create_task(self._look_whether_ended())

    def _listen(self) -> None:
        self._output.moved = False
        self._timer = self._loop.call_later(self._patience_s, self._silent)

    async def _look_whether_ended(self) -> None:
        try:
            ended = await self._has_ended()
        except DockerptyError as error:
            _log.debug("cannot see whether it has ended: %s", error)
            ended = False
        if ended and self._output.reads and not self._output.moved:
            self._output.stop()
            self._stream_ended(None)
        else:
            self._patience_s = min(self._patience_s * 2, _LONGEST_SILENCE_S)
            self._listen()

    def _stream_ended(self, error: DockerptyError | None) -> None:
        if self._over or self._finishing is not None:
            return
        if error is not None:
            self._settle(error=error)
            self._hang_up()
            return
        if not self._output.holds():
            self._output.finish()
        self._finishing = self._loop.create_task(self._finish())

    async def _finish(self) -> None:
        """Learn the exit code, and close the connection before anybody is told."""
        code: int | None = None
        error: DockerptyError | None = SessionLost(
            "learn the exit code of", self._name, "the engine no longer knows it"
        )
        try:
            code = await self._learn_code()
            if code is not None:
                error = None
        except DockerptyError as caught:
            error = caught
        finally:
            # Also when the loop ends: nothing is to stay open, and nobody to wait for ever.
            try:
                await asyncio.shield(self._hang_up())
            finally:
                self._settle(code, error)

    async def _learn_code(self) -> int | None:
        return (await self._ending()).code

    async def _ending(self) -> Ending:
        end = await drive_on_loop(await self._asking(), self._way.answer)
        if end.engine_is_away:
            raise SessionLost("learn the exit code of", self._name, str(end.error)) from end.error
        return end

    def _settle(self, code: int | None = None, error: DockerptyError | None = None) -> None:
        """Tell everybody how it ended. The first time counts."""
        if self._over:
            return
        self._over = True
        self._returncode, self._error = code, error
        self._output.finish(error)
        for each in (self._timer, self._look, self._finishing):
            if each is not None and each is not asyncio.current_task():
                each.cancel()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _hang_up(self) -> asyncio.Future[None]:
        """Close the connection, in a thread: an ssh has to be seen out."""
        if self._closing is None:
            self._output.stop()
            if self.stdin is not None:
                self.stdin.lose()
            self._closing = self._way.soon(self._close)
            self._way.release()
        return self._closing

    def _close(self) -> None:
        self._transport.close()

    def _in_order(self, request: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Make requests one after the other: of two signals the first one arrives first."""
        if self._order is None:
            self._order = asyncio.Lock()
        return self._loop.create_task(_locked(self._order, request))

    async def _resize(self) -> None:
        size, self._size = self._size, None
        if size is not None:
            await self._way.send(self._resize_call(*size), timeout=_RESIZE_LIMIT_S)

    # What the two kinds do in their own way --------------------------------------------------------------------------

    async def _signal(self, number: int) -> None:
        raise NotImplementedError

    def _resize_call(self, rows: int, cols: int) -> calls.Call:
        raise NotImplementedError

    async def _has_ended(self) -> bool:
        """Ask whether the process has ended, though its stream has not."""
        raise NotImplementedError

    async def _asking(self) -> Asking:
        """Give the plan by which the exit code is learned."""
        raise NotImplementedError


class _Exec(Process):
    """A process that was started in a container."""

    __slots__ = ("_created", "_mark", "_user")

    exec_id: str

    def __init__(
        self,
        way: Way,
        name: str,
        transport: Transport,
        *,
        container: str,
        exec_id: str,
        created: str,
        mark: str,
        user: str,
        tty: bool,
        limit: int,
    ) -> None:
        super().__init__(way, name, transport, tty=tty, limit=limit, gate=unstarted.StartError(not tty))
        self.container_id = container
        self.exec_id = exec_id
        self._created = created
        self._mark = mark
        self._user = user

    async def _started(self, size: tuple[int, int] | None) -> None:
        """Wait until it runs, or could not be started, and give its terminal the first size."""
        until, pause = self._loop.time() + STARTS_WITHIN_S, 0.015
        try:
            if size is not None:
                await self._first_size(size)
            while self._runs():
                info = await self._inspect()
                if self.pid or info["ExitCode"] is not None or self._loop.time() >= until:
                    return
                await asyncio.sleep(pause)
                pause *= 1.5
        except DockerptyError as error:
            # It went with its container, or with the engine: its stream tells.
            _log.debug("not seen to run: %s", error)

    async def _first_size(self, size: tuple[int, int]) -> None:
        for attempt in range(Resizer.RETRIES + 1):
            try:
                await self._way.send(self._resize_call(*size), timeout=_RESIZE_LIMIT_S)
                return
            except DockerptyError as error:
                _log.debug("resize failed: %s", error)
            if not self._runs():
                return
            await asyncio.sleep(Resizer.RETRY_STEP_S * (attempt + 1))

    def _runs(self) -> bool:
        return self._finishing is None and not self._over

    async def _inspect(self) -> dict[str, Any]:
        info: dict[str, Any] = (await self._way.send(calls.inspect_exec(self.exec_id))).json()
        self._know(info)
        return info

    def _know(self, info: dict[str, Any]) -> None:
        self.container_id = info.get("ContainerID") or self.container_id
        self.pid = info.get("Pid") or self.pid

    async def _signal(self, number: int) -> None:
        problem = await self._way.run(lambda engine: self._reap(engine, number))
        # Where nobody reads what it writes, its end may keep the engine from telling us of the other exec at all.
        if problem and not await self._has_ended():
            raise DockerptyError(f"send {name_of(number)} to", f"the process in {self._name}", problem)

    def _reap(self, engine: Engine, number: int) -> str:
        where, patience = self.container_id, _REAP_PATIENCE_S
        return reap(engine, where, self._mark, [number], user=self._user, patience=patience)

    def _resize_call(self, rows: int, cols: int) -> calls.Call:
        return calls.resize_exec(self.exec_id, rows, cols)

    async def _has_ended(self) -> bool:
        try:
            info = await self._inspect()
        except NotFound:
            # With its container, whose end Engine 20.10 does not always tell on the stream of an exec.
            return True
        # Without a code it has not started yet.
        return not info["Running"] and info["ExitCode"] is not None

    async def _asking(self) -> Asking:
        return ending.of_exec(self.exec_id, self.container_id, self._created)

    async def _learn_code(self) -> int | None:
        end = await self._ending()
        self._know(end.info)
        if end.code is None or not (end.info and unstarted.never_started(end.info)):
            return end.code
        text = self._output.never_started()
        return unstarted.exit_code(text, end.code) if text else end.code


class _Refused(_Exec):
    """A process that the engine refused to start: other engines write why into the stream, this one answered it."""

    __slots__ = ("_code",)

    def __init__(self, way: Way, name: str, refused: StartRefused, *, tty: bool, **more: Any) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            text = refused.explanation.rstrip().encode() + b"\n"
            theirs.sendall(text if tty else encode(2, text))
        super().__init__(way, name, SocketTransport(ours, name), tty=tty, **more)
        self._code = refused.exit_code

    async def _started(self, size: tuple[int, int] | None) -> None:
        """It never will be."""

    async def _learn_code(self) -> int | None:
        return self._code


class _Attached(Process):
    """The first process of a container."""

    __slots__ = ("_made", "_removes_itself")

    def __init__(
        self, way: Way, name: str, made: Attachment, at_end: AtEnd, info: dict[str, Any], limit: int
    ) -> None:
        assert made.output is not None
        super().__init__(way, name, made.output, tty=bool(info["Config"].get("Tty")), limit=limit)
        self.container_id = str(info["Id"])
        self.pid = info["State"].get("Pid") or None
        self._made = made
        self._removes_itself = bool((info.get("HostConfig") or {}).get("AutoRemove"))
        if made.input is not None:
            self.stdin = Writer(made.input, at_end, self._loop, lambda: way.soon(self._close_input))

    def _close_input(self) -> None:
        assert self._made.input is not None
        self._made.input.close()

    def _close(self) -> None:
        self._made.close()

    async def _signal(self, number: int) -> None:
        call = calls.kill_container(self.container_id, name_of(number))
        try:
            await self._way.send(call, subject=self._name)
        except APIError:
            # Docker's engine and Podman's have several answers for a container that has just ended.
            if await self._runs():
                raise

    def _resize_call(self, rows: int, cols: int) -> calls.Call:
        return calls.resize_container(self.container_id, rows, cols)

    async def _has_ended(self) -> bool:
        wait = self._made.wait
        if wait is not None:
            wait.serve()
            if wait.reply is not None or not wait.done:
                return wait.reply is not None
        # Nobody waits for it, or what did has broken.
        return not await self._runs()

    async def _runs(self) -> bool:
        """Ask whether it runs, or has yet to be started."""
        try:
            state = (await self._way.send(calls.inspect_container(self.container_id))).json()["State"]
        except NotFound:
            return False
        return bool(state.get("Running")) or _is_new(state)

    async def _asking(self) -> Asking:
        wait = self._made.wait
        if wait is not None:
            try:
                await asyncio.wait_for(_complete(wait), _END_FOLLOWS_S)
            except TimeoutError:
                _log.debug("its stream has ended, and nothing tells that it has")
        return ending.of_container(
            self.container_id,
            None if wait is None else ending.waited_code(wait.reply),
            was_running=self._made.was_running,
            removes_itself=self._removes_itself,
            until_it_ends=wait is None,
        )


async def exec_(
    client: Any,
    container: Any,
    command: list[str] | str,
    *,
    tty: bool = False,
    stdin: bool = False,
    environment: Any = None,
    user: str = "",
    workdir: str | None = None,
    privileged: bool = False,
    size: tuple[int, int] | None = None,
    limit: int = LIMIT,
) -> Process:
    """Start a process in a running container. Returns when it runs, or could not be started.

    A command that is not there, or may not be run, is no error: its `returncode` is 127 or 126, and stderr says why.

    Args:
        client: `docker.DockerClient`, `docker.APIClient`, an `Engine`, or an object with the same low-level methods.
        container: id, name, dict with `Id`, or an object with `id`.
        command: a list as it is, or a text that is split as a shell would, and run without one.
        tty: with a terminal, whose one stream is `stdout`.
        stdin: with an input that can be written to.
        environment: a dict, or a list of `NAME=value`.
        user, workdir, privileged: as docker's `exec` has them.
        size: of the terminal, as (rows, cols).
        limit: bytes of each output stream that are kept for the program.

    Raises:
        NotFound: there is no such container.
        APIError: it does not run, or is paused.
        EngineUnreachable: the engine did not answer.
    """
    name, mark = name_for(container), marker()
    config = exec_config(
        command, tty, stdin, [*environment_list(environment), mark], user, workdir, privileged
    )
    if size is not None and tty:
        # From API 1.42 on; older engines pass over it.
        config["ConsoleSize"] = list(_size(*size))
    way = way_to(client)
    try:
        reference = identity(container)
        created = await way.run(lambda engine: create_exec(engine, reference, config, name))
        exec_id = str(created.json()["Id"])
        start = calls.start_exec(exec_id, tty=tty, size=size)

        def take_back(engine: Engine, transport: Transport) -> None:
            transport.close()
            end_unseen(engine, exec_id, mark, user, _REAP_PATIENCE_S)

        about: Any = {
            "container": reference,
            "exec_id": exec_id,
            "created": created.headers.get("date", ""),
            "mark": mark,
            "user": user,
            "tty": tty,
            "limit": limit,
        }
        try:
            transport = await way.run(lambda engine: engine.hijack(start, subject=f"in {name}"), take_back)
            process = _Exec(way, name, transport, **about)
        except StartRefused as refused:
            process = _Refused(way, name, refused, **about)
        if stdin:
            # An exec has one connection for both directions.
            at_end: AtEnd = "eot" if tty else "half-close"
            process.stdin = Writer(process._transport, at_end, process._loop, _not_closed)
        process._begin(_SILENCE_S)
        try:
            await process._started(size if tty else None)
        except BaseException:
            # Nobody will have a hold of it.
            process._settle(error=SessionLost("go on with", name, "its start was cancelled"))
            process._hang_up()
            way.ask(lambda engine: end_unseen(engine, exec_id, mark, user, _REAP_PATIENCE_S))
            raise
        return process
    finally:
        way.release()


async def attach(
    client: Any,
    container: Any,
    *,
    tty: bool | None = None,
    stdin: bool = False,
    logs: bool | None = None,
    limit: int = LIMIT,
) -> Process:
    """Attach to the first process of a container that runs, or that was created and never started.

    Attach before you start it and nothing of its output is missed. Do not let the start block the loop: a container may
    write more before the engine has answered than fits on the way.

    Args:
        client, container, limit: as `exec_` takes them.
        tty: whether the container has a terminal; None asks the engine.
        stdin: with an input that can be written to; the container must have been created with one.
        logs: begin with what it has written before.

    Raises:
        NotFound: there is no such container.
        APIError: it has ended, is paused or restarting, or has no stdin.
        EngineUnreachable: the engine did not answer.
    """
    name = name_for(container)
    way = way_to(client)
    try:
        reference = identity(container)
        info = (await way.send(calls.inspect_container(reference), subject=name)).json()
        config, state = info["Config"], info["State"]
        if not (is_ready(state) or _is_new(state)):
            raise refusal("attach to", name, state)
        if stdin and not config.get("OpenStdin"):
            raise conflict("write to", name, "its stdin is closed", "create it with stdin_open=True")
        if tty is not None:
            config["Tty"] = tty
        made, at_end = await way.run(
            lambda engine: _attach(engine, info, name, stdin, bool(logs)), lambda _, opened: opened[0].close()
        )
        process = _Attached(way, name, made, at_end, info, limit)
        process._begin(_ENDED_SILENCE_S if made.has_ended else _SILENCE_S)
        return process
    finally:
        way.release()


def _attach(
    engine: Engine, info: dict[str, Any], name: str, stdin: bool, logs: bool
) -> tuple[Attachment, AtEnd]:
    made = attachment.attach(engine, info, subject=name, stdin=stdin, logs=logs)
    can = made.input is not None and made.input.can_half_close()
    return made, attachment.at_end_of_input(info, engine, can)


def _is_new(state: dict[str, Any]) -> bool:
    """Say whether a container has never run; Podman's word for that is another one."""
    return state.get("Status") in ("created", "configured")


async def _complete(wait: Pending) -> None:
    """Read an answer to its end, while the loop goes on."""
    loop = asyncio.get_running_loop()
    while not wait.done:
        if wait.deadline() is None:
            ready = loop.create_future()
            for fd, events in wait.interest():
                if events & select.POLLIN:
                    loop.add_reader(fd, _tell, ready)
                if events & select.POLLOUT:
                    loop.add_writer(fd, _tell, ready)
            try:
                await ready
            finally:
                for fd, _ in wait.interest():
                    loop.remove_reader(fd)
                    loop.remove_writer(fd)
        wait.serve()


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _locked(lock: asyncio.Lock, work: Coroutine[Any, Any, None]) -> None:
    async with lock:
        await work


async def _feed(stdin: Writer, data: bytes | bytearray | memoryview) -> None:
    view = memoryview(data).cast("B")
    try:
        for start in range(0, len(view), _PIECE):
            stdin.write(view[start : start + _PIECE])
            await stdin.drain()
    except BrokenPipeError:
        pass  # it has read what it wanted
    stdin.close()


async def _nothing() -> None:
    """Stand in for a stream that is not there."""


async def _together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do all of it at once; what goes wrong with one ends the others."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _not_closed() -> None:
    """Leave the connection open: the output comes over it."""


def _size(rows: int, cols: int) -> tuple[int, int]:
    # The engine would answer 200 to -1 and to 70000.
    if not (0 < rows <= 65535 and 0 < cols <= 65535):
        raise ValueError(f"no terminal has {rows} rows and {cols} columns")
    return rows, cols
