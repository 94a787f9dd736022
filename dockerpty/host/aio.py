"""A container as a host, for programs on an event loop; where one waits it is `sync`.

The rules are in `core`, who drives them in `drivers`: here are the names and the arguments.
"""

from __future__ import annotations

import asyncio

from dockerpty.errors import NotFound
from dockerpty.host.base import ContainerHost, bridged
from dockerpty.host.drivers import LoopDriver
from dockerpty.host.errors import HostConnectionError, HostNotRunningError
from dockerpty.host.parents import parent_of
from dockerpty.host.repeat import Repeats
from dockerpty.host.session import TIMEOUT_S, HostSession
from dockerpty.host.shell.shell import PROMPT
from dockerpty.host.transfer import files, getting, putting
from dockerpty.host.transfer.filing import Handover, in_thread, on_this_loop, threads_of_its_own, work_on
from dockerpty.host.transfer.getting import BYTES_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from datetime import datetime
    from os import PathLike
    from typing import Any, Self, TypeVar

    from dockerpty.host.repeat import Found, Seconds
    from dockerpty.host.results import CommandStatus, RunResult, TransferResult
    from dockerpty.host.session import OnOutput
    from dockerpty.host.sessions import Environment, Options, SessionCore
    from dockerpty.host.transfer.inside import Inside
    from dockerpty.host.transfer.look import Look
    from dockerpty.host.transfer.stop import Progress

    T = TypeVar("T")


class DockerContainerHost(ContainerHost):
    """A container as a host that a script drives, for programs on an event loop; see `ContainerHost` for the arguments.

    Making one asks nobody. `async with` closes it at the end of the block. It may be used on one loop after the other,
    and keeps its sessions.
    """

    def _begin(self) -> None:
        self._driver = LoopDriver(self._engine_ref, self.name)
        self._handles: dict[str, HostSession] = {}
        self._default = self._handle(self._core.default)
        self._repeats = Repeats(self._repeated, host=self.name)

    def _parent_of(self, parent: Any, options: Options) -> Any:
        about = {"user": options.user, "workdir": options.workdir, "env": options.environment}
        return parent_of(parent, self.container_ref, **about)

    # ---- commands ----------------------------------------------------------------------------------------------------

    async def run(
        self,
        cmds: Any,
        expects: Any = None,
        timeout: float | None = None,
        *,
        stdin: Any = None,
        merge: bool = False,
        stop_on_error: bool = False,
        check: bool = False,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run commands in the default session, whose state stays.

        Args:
            cmds: a text, a `ShellCommand`, or a sequence of both, which are run in order, also after one that failed.
            expects: a pair of pattern and response, an `Expect`, or a list of these: what to answer to output.
            timeout: seconds: of a single command its limit, of a sequence the budget of all; None for no limit. A
                command whose time is over is interrupted, and the shell keeps its state.
            stdin: what each reads: bytes, text, a path, or a file object. None: without terminal nothing, with one
                that.
            merge: stderr goes where stdout goes, in exact order.
            stop_on_error: nothing is run after a failure.
            check: a failure is raised.
            on_output: called with each piece of output, as (stream, bytes).

        Returns:
            what came of each; a command that fails, is too slow or ends its shell is a result, too.

        Raises:
            HostNotRunningError, HostConnectionError, ShellNotFoundError: no container, no engine, no shell.
            SessionBusyError: a program that `send` started has the terminal.
            CommandFailed: a command that is checked failed.
            ValueError: a command that no shell can take, or a `timeout` of 0 or less.
        """
        self._need_engine("run")
        return await self._default.run(
            cmds,
            expects,
            timeout,
            stdin=stdin,
            merge=merge,
            stop_on_error=stop_on_error,
            check=check,
            on_output=on_output,
        )

    async def oneshot(
        self,
        cmd: str | Sequence[str],
        timeout: float | None = None,
        *,
        stdin: Any = None,
        merge: bool = False,
        user: str | None = None,
        workdir: str | None = None,
        env: Environment | None = None,
        check: bool = False,
        on_output: OnOutput | None = None,
    ) -> CommandStatus:
        """Run a command in a process of its own, without a terminal; any number at once.

        Args:
            cmd: a `str` is for `sh -c`; a list is taken as it is, without a shell.
            timeout: seconds, after which it is killed in the container, with its children; None for no limit.
            user, workdir, env: in place of the host's; `env` besides the host's.
            Others: as for `run`.

        Raises:
            HostNotRunningError, HostConnectionError, CommandFailed, ValueError: as `run`.
        """
        self._core.check_open()
        if self._typed is not None:
            self._refuse_if_typed(stdin=stdin, user=user, workdir=workdir, env=env, on_output=on_output)
            status: CommandStatus = await self._typed.oneshot(cmd, timeout)
            return status.check() if check else status
        plan = self._core.oneshot(
            cmd,
            timeout,
            stdin=stdin,
            merge=merge,
            user=user,
            workdir=workdir,
            env=env,
            check=check,
            on_output=on_output,
        )
        return await self._driver.drive(plan)

    exec = oneshot

    # ---- sessions ----------------------------------------------------------------------------------------------------

    async def open_session(
        self,
        name: str,
        *,
        tty: bool | None = None,
        shell: str | None = None,
        user: str | None = None,
        workdir: str | None = None,
        env: Environment | None = None,
        login: bool | None = None,
        prompt: str | None = PROMPT,
    ) -> HostSession:
        """Open a persistent shell of its own, or give the one that is open under this name.

        Args:
            tty, shell, user, workdir: in place of the host's.
            env: besides the host's.
            login: it reads its profiles.
            prompt: what a shell with a terminal shows when it waits for a line; None leaves it as the image has it.

        Raises:
            ValueError: it is open, with other options.
            HostNotRunningError, HostConnectionError, SessionStartError, ShellNotFoundError: it cannot be opened.
        """
        self._need_engine("open_session")
        session = self._core.session(
            name,
            self._driver.is_held,
            tty=tty,
            shell=shell,
            user=user,
            workdir=workdir,
            env=env,
            login=login,
            prompt=prompt,
        )
        return await self._handle(session).open()

    async def send(self, text: str | bytes, *, log: bool = True) -> None:
        """Send keys to the default session, as they are, without a newline; see `HostSession.send`."""
        self._need_engine("send")
        await self._default.send(text, log=log)

    async def expect(self, pattern: Any, timeout: float | None = TIMEOUT_S) -> str:
        """Wait for a pattern in what comes from the default session; see `HostSession.expect`."""
        self._need_engine("expect")
        return await self._default.expect(pattern, timeout)

    async def interrupt(self) -> bool:
        """Interrupt what runs in the default session, also from beside; say whether the shell is back."""
        self._need_engine("interrupt")
        return await self._default.interrupt()

    async def interact(
        self, command: Any = None, *, detach_keys: str | None = None, user: str | None = None
    ) -> int | None:
        """Give the user's terminal to a shell of the container, in a process of its own.

        A cancellation ends that process, and gives the terminal back first.

        Args:
            command: in place of the best shell there is: a text for `sh -c`, or a list.
            detach_keys: as Docker spells them; None is `ctrl-p,ctrl-q`.
            user: in place of the host's.

        Returns:
            the exit code; None after a detach.

        Raises:
            TerminalError: this process has no terminal.
            CannotStart: there is no shell, or no such command.
        """
        self._need_engine("interact")
        found = await self._driver.drive(self._core.found())
        engine = await self._driver.engine()
        options = self._core.options
        return await in_thread(
            lambda stop: bridged(engine, found.id, options, command, detach_keys, user, self.name, stop),
            sees_out=True,
        )

    login = interact

    # ---- files -------------------------------------------------------------------------------------------------------

    async def put(
        self,
        src_files: Any,
        dest_dir: Any,
        *,
        mode: int | str | None = None,
        owner: str | tuple[int, int] | None = None,
        follow_links: bool = False,
        overwrite: bool = True,
        name: str | None = None,
        glob: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> TransferResult:
        """Copy files and directories into a directory of the container; see `putting.put`, and for errors there.

        Args:
            timeout: seconds for all of it.
            progress: is called on this loop.
        """
        self._core.check_open()
        if self._typed is not None:
            self._refuse_if_typed(mode=mode, owner=owner, name=name)
            moved: TransferResult = await self._typed.put(src_files, dest_dir, timeout)
            return moved
        report = on_this_loop(progress)
        return await self._work(
            lambda inside: putting.put(
                inside,
                src_files,
                dest_dir,
                mode=mode,
                owner=owner,
                follow_links=follow_links,
                overwrite=overwrite,
                name=name,
                glob=glob,
                progress=report,
            ),
            timeout,
        )

    async def get(
        self,
        src_files: Any,
        dest_dir: str | PathLike[str],
        *,
        follow_links: bool = False,
        overwrite: bool = True,
        preserve: bool = True,
        progress: Progress | None = None,
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> TransferResult:
        """Copy files and directories of the container into a directory here; see `getting.get`, and `put`."""
        self._core.check_open()
        if self._typed is not None:
            self._refuse_if_typed(max_bytes=max_bytes)
            moved: TransferResult = await self._typed.get(src_files, dest_dir, timeout)
            return moved
        report = on_this_loop(progress)
        return await self._work(
            lambda inside: getting.get(
                inside,
                src_files,
                dest_dir,
                follow_links=follow_links,
                overwrite=overwrite,
                preserve=preserve,
                progress=report,
                max_bytes=max_bytes,
            ),
            timeout,
        )

    async def put_bytes(self, data: bytes, path: str, mode: int | str = 0o644) -> None:
        """Write a file of the container; see `putting.put_bytes`."""
        await self._work(lambda inside: putting.put_bytes(inside, data, path, mode))

    async def get_bytes(self, path: str, max_bytes: int = BYTES_LIMIT) -> bytes:
        """Read a file of the container; see `getting.get_bytes`."""
        return await self._work(lambda inside: getting.get_bytes(inside, path, max_bytes))

    async def iter_get(self, path: str) -> AsyncIterator[bytes]:
        """Read a file of the container piece by piece, of whatever size it is; raises as `get_bytes`.

        Where nothing runs to read it, Docker does nothing else for the container before the last piece is taken.
        """
        handover, threads = Handover(), threads_of_its_own()
        loop = asyncio.get_running_loop()
        reading = asyncio.ensure_future(
            self._work(lambda inside: getting.get_stream(inside, path, handover.put, slowly=True))
        )
        reading.add_done_callback(lambda _: handover.end())
        try:
            while (piece := await loop.run_in_executor(threads, handover.get)) is not None:
                yield piece
            await reading
        finally:
            handover.leave()
            reading.cancel()
            threads.shutdown(wait=False)

    async def put_stream(
        self, iterable: Iterable[bytes], path: str, size: int, mode: int | str = 0o644
    ) -> None:
        """Write a file of the container from pieces, which are asked for in a thread; see `putting.put_stream`."""
        await self._work(lambda inside: putting.put_stream(inside, iterable, path, size, mode))

    async def exists(self, path: str) -> bool:
        """Say whether there is something at a path of the container."""
        return await self._work(lambda inside: files.exists(inside, path))

    async def stat(self, path: str, *, follow_links: bool = True) -> Look:
        """Say what is at a path of the container; FileNotFoundError if nothing is."""
        return await self._work(lambda inside: files.stat(inside, path, follow_links=follow_links))

    async def ls(self, path: str = ".") -> list[str]:
        """List the names in a directory of the container."""
        return await self._work(lambda inside: files.ls(inside, path))

    async def glob(self, pattern: str) -> list[str]:
        """List the paths of the container that a pattern (`*?[`) stands for."""
        return await self._work(lambda inside: files.glob(inside, pattern))

    async def read_bytes(self, path: str, max_bytes: int = BYTES_LIMIT) -> bytes:
        """Read a file of the container."""
        return await self.get_bytes(path, max_bytes)

    async def read_file(
        self, path: str, *, encoding: str = "utf-8", errors: str = "strict", max_bytes: int = BYTES_LIMIT
    ) -> str:
        """Read a file of the container as text."""
        return (await self.get_bytes(path, max_bytes)).decode(encoding, errors)

    async def write_bytes(self, path: str, data: bytes, mode: int | str = 0o644) -> None:
        """Write a file of the container."""
        await self.put_bytes(data, path, mode)

    async def write_file(
        self, path: str, text: str, mode: int | str = 0o644, *, encoding: str = "utf-8"
    ) -> None:
        """Write a file of text of the container."""
        await self.put_bytes(text.encode(encoding), path, mode)

    async def mkdir(
        self, path: str, mode: int = 0o755, *, parents: bool = False, exist_ok: bool = False
    ) -> None:
        """Make a directory in the container."""
        await self._work(lambda inside: files.mkdir(inside, path, mode, parents=parents, exist_ok=exist_ok))

    async def rm(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file of the container, or with `recursive` a directory."""
        await self._work(lambda inside: files.rm(inside, path, recursive=recursive, missing_ok=missing_ok))

    async def mv(self, source: str, target: str) -> None:
        """Rename a file or a directory of the container."""
        await self._work(lambda inside: files.mv(inside, source, target))

    # ---- the container -----------------------------------------------------------------------------------------------

    async def refresh(self) -> Self:
        """Look the container up again, and start nothing.

        Raises:
            HostNotRunningError: it is not there.
        """
        self._need_engine("refresh")
        await self._driver.drive(self._core.refresh())
        return self

    async def is_running(self) -> bool:
        """Ask whether it runs, and does not stand still; starts nothing."""
        self._core.check_open()
        if self._typed is not None:
            return bool((await self._typed.oneshot(":")).ok)
        return await self._driver.drive(self._core.is_running())

    async def wait_running(self, timeout: float | None = None) -> Self:
        """Wait until it runs, also for one that is not there yet; HostNotRunningError if it does not in this time."""
        self._need_engine("wait_running")
        await self._driver.drive(self._core.wait_running(timeout))
        return self

    async def wait_healthy(self, timeout: float | None = None) -> Self:
        """Wait until its own check says that it is healthy; HostNotRunningError if it does not in this time."""
        self._need_engine("wait_healthy")
        await self._driver.drive(self._core.wait_healthy(timeout))
        return self

    # ---- repeats -----------------------------------------------------------------------------------------------------

    def start_repeat(
        self,
        name: str,
        cmds: Any,
        interval: Seconds,
        times: int = -1,
        duration: Seconds | None = None,
        until: datetime | Callable[[list[CommandStatus]], Any] | None = None,
        on_result: Callable[[list[CommandStatus]], Any] | None = None,
        max_history: int = 1000,
    ) -> None:
        """Run commands again and again, each by `oneshot`, in a task; see `repeat.Repeats.start`."""
        self._core.check_open()
        self._repeats.start(name, cmds, interval, times, duration, until, on_result, max_history)

    async def stop_repeat(self, name: str) -> None:
        """Stop one; nothing happens if there is none."""
        await self._repeats.stop(name)

    async def stop_all_repeats(self) -> None:
        """Stop all of them."""
        await self._repeats.stop_all()

    def repeat_results(self, name: str) -> list[Found]:
        """Give what came of the last runs of one, each with its time."""
        return self._repeats.results(name)

    async def _repeated(self, command: str, timeout: float | None) -> CommandStatus:
        return await self.oneshot(command, timeout)

    # ---- the end -----------------------------------------------------------------------------------------------------

    def as_user(self, user: str) -> DockerContainerHost:
        """Give the same container as another user, without a password: a host of its own, for `async with`."""
        return type(self)(**{**self._given, "parent": self._given_parent, "user": user})

    def rebuild_connections(self) -> None:
        """Drop every connection and session; see `ContainerHost.rebuild_connections`. No coroutine."""
        self._core.let_go(self._driver.is_held)
        self._driver.drop()

    async def close(self) -> None:
        """Stop repeats, then end sessions and whatever runs in them. Idempotent.

        The parent is left alone, unless it was made here.
        """
        if self._core.closed:
            return
        await self._repeats.stop_all()
        self._core.closed = True
        await asyncio.gather(self._default.close(), *(each.close() for each in [*self._handles.values()]))
        await self._driver.settle()
        await self._driver.drive(self._core.close())
        await self._driver.settle()
        self._driver.drop()
        if self._owns_parent:
            await self.parent.close()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _handle(self, session: SessionCore) -> HostSession:
        handle = self._handles.get(session.name) if session.name else None
        if handle is None:
            handle = HostSession(self._core, session, self._driver, self._forget)
            if session.name:
                self._handles[session.name] = handle
        return handle

    def _forget(self, name: str) -> None:
        self._handles.pop(name, None)

    async def _engine_ref(self) -> Any:
        return await self.parent.engine()

    async def _work(self, work: Callable[[Inside], T], timeout: float | None = None) -> T:
        """Do something with files in a thread; once more if the container was replaced."""
        self._need_engine("work on files")
        found = await self._driver.drive(self._core.there())
        for is_last in (False, True):
            engine, container = await self._driver.engine(), found.id
            try:
                return await in_thread(
                    lambda stop, engine=engine, container=container: work_on(  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
                        self._core, engine, container, work, stop=stop, timeout=timeout
                    )
                )
            except HostConnectionError:
                # The way to it may be another one by now.
                self._driver.drop()
                raise
            except HostNotRunningError as error:
                if is_last or not isinstance(error.__cause__, NotFound):
                    raise
            found = await self._driver.drive(self._core.refresh())
        raise AssertionError


def container(ref: str, *, parent: Any = None, **options: Any) -> DockerContainerHost:
    """Give a container as a host, the short way: `container("web")`, `container("compose://shop/api")`.

    Args:
        ref: see `ContainerHost`'s `container_id`.
        options: all others of `ContainerHost`.
    """
    return DockerContainerHost(parent, ref, **options)
