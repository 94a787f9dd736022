"""A container as a host, for programs that wait: the twin of `aio`, where everything is explained."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from dockerpty.errors import NotFound
from dockerpty.host.base import ContainerHost, bridged
from dockerpty.host.drivers import ThreadDriver
from dockerpty.host.errors import HostConnectionError, HostNotRunningError
from dockerpty.host.parents import parent_of_sync
from dockerpty.host.repeat import RepeatsSync
from dockerpty.host.session import TIMEOUT_S, HostSessionSync
from dockerpty.host.shell.shell import PROMPT
from dockerpty.host.transfer import files, getting, putting
from dockerpty.host.transfer.filing import Handover, work_on
from dockerpty.host.transfer.getting import BYTES_LIMIT
from dockerpty.host.transfer.stop import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
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


class DockerContainerHostSync(ContainerHost):
    """A container as a host that a script drives, for programs that wait; see `ContainerHost` for the arguments.

    Making one asks nobody. `with` closes it at the end of the block. Several threads may use it at once, each with
    sessions of its own.
    """

    def _begin(self) -> None:
        self._driver = ThreadDriver(self._engine_ref, self.name)
        self._handles: dict[str, HostSessionSync] = {}
        self._default = self._handle(self._core.default)
        self._repeats = RepeatsSync(self.oneshot, host=self.name)

    def _parent_of(self, parent: Any, options: Options) -> Any:
        about = {"user": options.user, "workdir": options.workdir, "env": options.environment}
        return parent_of_sync(parent, self.container_ref, **about)

    # ---- commands ----------------------------------------------------------------------------------------------------

    def run(
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
        """Run commands in the default session, whose state stays, as there."""
        self._need_engine("run")
        return self._default.run(
            cmds,
            expects,
            timeout,
            stdin=stdin,
            merge=merge,
            stop_on_error=stop_on_error,
            check=check,
            on_output=on_output,
        )

    def oneshot(
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
        """Run a command in a process of its own, without a terminal; any number at once, as there."""
        self._core.check_open()
        if self._typed is not None:
            self._refuse_if_typed(stdin=stdin, user=user, workdir=workdir, env=env, on_output=on_output)
            status: CommandStatus = self._typed.oneshot(cmd, timeout)
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
        return self._driver.drive(plan)

    exec = oneshot

    # ---- sessions ----------------------------------------------------------------------------------------------------

    def open_session(
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
    ) -> HostSessionSync:
        """Open a persistent shell of its own, or give the one that is open under this name, as there."""
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
        return self._handle(session).open()

    def send(self, text: str | bytes, *, log: bool = True) -> None:
        """Send keys to the default session, as they are, without a newline; see `HostSessionSync.send`."""
        self._need_engine("send")
        self._default.send(text, log=log)

    def expect(self, pattern: Any, timeout: float | None = TIMEOUT_S) -> str:
        """Wait for a pattern in what comes from the default session; see `HostSessionSync.expect`."""
        self._need_engine("expect")
        return self._default.expect(pattern, timeout)

    def interrupt(self) -> bool:
        """Interrupt what runs in the default session, also from beside; say whether the shell is back."""
        self._need_engine("interrupt")
        return self._default.interrupt()

    def interact(
        self, command: Any = None, *, detach_keys: str | None = None, user: str | None = None
    ) -> int | None:
        """Give the user's terminal to a shell of the container, in a process of its own, as there."""
        self._need_engine("interact")
        found = self._driver.drive(self._core.found())
        engine = self._driver.engine()
        options = self._core.options
        return bridged(engine, found.id, options, command, detach_keys, user, self.name)

    login = interact

    # ---- files -------------------------------------------------------------------------------------------------------

    def put(
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
        """Copy files and directories into a directory of the container, as there."""
        self._core.check_open()
        if self._typed is not None:
            self._refuse_if_typed(mode=mode, owner=owner, name=name)
            moved: TransferResult = self._typed.put(src_files, dest_dir, timeout)
            return moved
        return self._work(
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
                progress=progress,
            ),
            timeout,
        )

    def get(
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
            moved: TransferResult = self._typed.get(src_files, dest_dir, timeout)
            return moved
        return self._work(
            lambda inside: getting.get(
                inside,
                src_files,
                dest_dir,
                follow_links=follow_links,
                overwrite=overwrite,
                preserve=preserve,
                progress=progress,
                max_bytes=max_bytes,
            ),
            timeout,
        )

    def put_bytes(self, data: bytes, path: str, mode: int | str = 0o644) -> None:
        """Write a file of the container; see `putting.put_bytes`."""
        self._work(lambda inside: putting.put_bytes(inside, data, path, mode))

    def get_bytes(self, path: str, max_bytes: int = BYTES_LIMIT) -> bytes:
        """Read a file of the container; see `getting.get_bytes`."""
        return self._work(lambda inside: getting.get_bytes(inside, path, max_bytes))

    def iter_get(self, path: str) -> Iterator[bytes]:
        """Read a file of the container piece by piece, in a thread of its own; see there."""
        handover = Handover()
        with ThreadPoolExecutor(1, "dockerpty-iter-get") as threads:
            reading = threads.submit(
                self._work, lambda inside: getting.get_stream(inside, path, handover.put, slowly=True)
            )
            reading.add_done_callback(lambda _: handover.end())
            try:
                while (piece := handover.get()) is not None:
                    yield piece
                reading.result()
            finally:
                handover.leave()

    def put_stream(self, iterable: Iterable[bytes], path: str, size: int, mode: int | str = 0o644) -> None:
        """Write a file of the container from pieces, which are asked for in a thread; see `putting.put_stream`."""
        self._work(lambda inside: putting.put_stream(inside, iterable, path, size, mode))

    def exists(self, path: str) -> bool:
        """Say whether there is something at a path of the container."""
        return self._work(lambda inside: files.exists(inside, path))

    def stat(self, path: str, *, follow_links: bool = True) -> Look:
        """Say what is at a path of the container; FileNotFoundError if nothing is."""
        return self._work(lambda inside: files.stat(inside, path, follow_links=follow_links))

    def ls(self, path: str = ".") -> list[str]:
        """List the names in a directory of the container."""
        return self._work(lambda inside: files.ls(inside, path))

    def glob(self, pattern: str) -> list[str]:
        """List the paths of the container that a pattern (`*?[`) stands for."""
        return self._work(lambda inside: files.glob(inside, pattern))

    def read_bytes(self, path: str, max_bytes: int = BYTES_LIMIT) -> bytes:
        """Read a file of the container."""
        return self.get_bytes(path, max_bytes)

    def read_file(
        self, path: str, *, encoding: str = "utf-8", errors: str = "strict", max_bytes: int = BYTES_LIMIT
    ) -> str:
        """Read a file of the container as text."""
        return self.get_bytes(path, max_bytes).decode(encoding, errors)

    def write_bytes(self, path: str, data: bytes, mode: int | str = 0o644) -> None:
        """Write a file of the container."""
        self.put_bytes(data, path, mode)

    def write_file(self, path: str, text: str, mode: int | str = 0o644, *, encoding: str = "utf-8") -> None:
        """Write a file of text of the container."""
        self.put_bytes(text.encode(encoding), path, mode)

    def mkdir(self, path: str, mode: int = 0o755, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a directory in the container."""
        self._work(lambda inside: files.mkdir(inside, path, mode, parents=parents, exist_ok=exist_ok))

    def rm(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file of the container, or with `recursive` a directory."""
        self._work(lambda inside: files.rm(inside, path, recursive=recursive, missing_ok=missing_ok))

    def mv(self, source: str, target: str) -> None:
        """Rename a file or a directory of the container."""
        self._work(lambda inside: files.mv(inside, source, target))

    # ---- the container -----------------------------------------------------------------------------------------------

    def refresh(self) -> Self:
        """Look the container up again, and start nothing, as there."""
        self._need_engine("refresh")
        self._driver.drive(self._core.refresh())
        return self

    def is_running(self) -> bool:
        """Ask whether it runs, and does not stand still; starts nothing."""
        self._core.check_open()
        if self._typed is not None:
            return bool((self._typed.oneshot(":")).ok)
        return self._driver.drive(self._core.is_running())

    def wait_running(self, timeout: float | None = None) -> Self:
        """Wait until it runs, also for one that is not there yet; HostNotRunningError if it does not in this time."""
        self._need_engine("wait_running")
        self._driver.drive(self._core.wait_running(timeout))
        return self

    def wait_healthy(self, timeout: float | None = None) -> Self:
        """Wait until its own check says that it is healthy; HostNotRunningError if it does not in this time."""
        self._need_engine("wait_healthy")
        self._driver.drive(self._core.wait_healthy(timeout))
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
        """Run commands again and again, each by `oneshot`, in a thread; see `repeat.RepeatsSync.start`."""
        self._core.check_open()
        self._repeats.start(name, cmds, interval, times, duration, until, on_result, max_history)

    def stop_repeat(self, name: str) -> None:
        """Stop one; nothing happens if there is none."""
        self._repeats.stop(name)

    def stop_all_repeats(self) -> None:
        """Stop all of them."""
        self._repeats.stop_all()

    def repeat_results(self, name: str) -> list[Found]:
        """Give what came of the last runs of one, each with its time."""
        return self._repeats.results(name)

    # ---- the end -----------------------------------------------------------------------------------------------------

    def as_user(self, user: str) -> DockerContainerHostSync:
        """Give the same container as another user, without a password: a host of its own, for `with`."""
        return type(self)(**{**self._given, "parent": self._given_parent, "user": user})

    def rebuild_connections(self) -> None:
        """Drop every connection and session; see `ContainerHost.rebuild_connections`. No coroutine."""
        self._core.let_go(self._driver.is_held)
        self._driver.drop()

    def close(self) -> None:
        """Stop repeats, then end sessions and whatever runs in them. Idempotent, as there."""
        if self._core.closed:
            return
        self._repeats.stop_all()
        self._core.closed = True
        for each in (self._default, *[*self._handles.values()]):
            each.close()
        self._driver.drive(self._core.close())
        self._driver.drop()
        if self._owns_parent:
            self.parent.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handle(self, session: SessionCore) -> HostSessionSync:
        handle = self._handles.get(session.name) if session.name else None
        if handle is None:
            handle = HostSessionSync(self._core, session, self._driver, self._forget)
            if session.name:
                self._handles[session.name] = handle
        return handle

    def _forget(self, name: str) -> None:
        self._handles.pop(name, None)

    def _engine_ref(self) -> Any:
        return self.parent.engine()

    def _work(self, work: Callable[[Inside], T], timeout: float | None = None) -> T:
        """Do something with files in a thread; once more if the container was replaced."""
        self._need_engine("work on files")
        found = self._driver.drive(self._core.there())
        for is_last in (False, True):
            engine, container = self._driver.engine(), found.id
            try:
                with Stop() as stop:
                    return work_on(self._core, engine, container, work, stop=stop, timeout=timeout)
            except HostConnectionError:
                # The way to it may be another one by now.
                self._driver.drop()
                raise
            except HostNotRunningError as error:
                if is_last or not isinstance(error.__cause__, NotFound):
                    raise
            found = self._driver.drive(self._core.refresh())
        raise AssertionError


def container_sync(ref: str, *, parent: Any = None, **options: Any) -> DockerContainerHostSync:
    """Give a container as a host, the short way: `container_sync("web")`, `container_sync("compose://shop/api")`.

    Args:
        ref: see `ContainerHost`'s `container_id`.
        options: all others of `ContainerHost`.
    """
    return DockerContainerHostSync(parent, ref, **options)
