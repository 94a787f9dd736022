"""This machine as a parent: its engine, commands in processes of ours, copies from file to file.

There is no shell that keeps its state here: each command has a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path

from dockerpty.engine.client import from_environment
from dockerpty.host.errors import ParentError
from dockerpty.host.in_order import InOrder
from dockerpty.host.results import (
    CommandStatus,
    FileTransfer,
    RunResult,
    Status,
    TransferResult,
)
from dockerpty.plan import drive, drive_on_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self, TypeAlias

    from dockerpty.engine.interface import Engine

    Command: TypeAlias = str | Sequence[str]
    Source: TypeAlias = str | os.PathLike[str]

OUTPUT_LIMIT = 16 * 1024 * 1024
"""Bytes of each output stream that are kept."""

STDOUT, STDERR = 1, 2
NOT_FOUND, NOT_RUNNABLE = 127, 126

_READ = 64 * 1024
# A process that has closed its output ends soon, as a rule.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.001, 0.05


class Child:
    """A process of this machine, with its streams. Nothing here waits but the end of one that was killed.

    Attributes:
        ended: nothing more comes from its output.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        merge: bool = False,
        cwd: Source | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start it, in a session and so in a group of its own.

        Args:
            stdin: all of its input.
            merge: stderr goes where stdout goes.
            env: variables beside ours.

        Raises:
            OSError: it cannot be started.
        """
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            bufsize=0,
            start_new_session=True,
        )
        self._rest = memoryview(stdin)
        streams = {STDOUT: self._process.stdout, STDERR: self._process.stderr}
        self._outputs = {each.fileno(): number for number, each in streams.items() if each is not None}
        self._input = self._process.stdin
        for fd in (*self._outputs, *([self._input.fileno()] if self._input else [])):
            os.set_blocking(fd, False)

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of its output."""
        return not self._outputs

    def interest(self) -> list[tuple[int, int]]:
        """Give the descriptors to poll, with poll's events."""
        found = [(fd, select.POLLIN) for fd in self._outputs]
        return found if self._input is None else [*found, (self._input.fileno(), select.POLLOUT)]

    def serve(self) -> list[tuple[int, bytes]]:
        """Write and read what goes; return what has come, as (1 for stdout or 2 for stderr, bytes)."""
        self._feed()
        found = []
        for fd, number in list(self._outputs.items()):
            try:
                data = os.read(fd, _READ)
            except BlockingIOError:
                continue  # it was not this one
            if data:
                found.append((number, data))
            else:
                del self._outputs[fd]
        return found

    def code(self) -> int | None:
        """Give the exit code, 128 + n if signal n killed it; `None` while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def close(self) -> None:
        """Close its streams, and kill what runs on of its group. Idempotent."""
        self._outputs = {}
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what a program did not read is nobody's error now
                    stream.close()
        self._input = None
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except PermissionError:
                return  # it is somebody else's by now, as with sudo: it ends when it wants to
            self._process.wait()

    def _feed(self) -> None:
        if self._input is None:
            return
        try:
            while len(self._rest):
                self._rest = self._rest[os.write(self._input.fileno(), self._rest) :]
        except BlockingIOError:
            return  # the rest when there is room
        except BrokenPipeError:
            pass  # it has read what it wanted
        self._input.close()
        self._input = None


class _Wait:
    """Wait for a process until a time, or only until then."""

    __slots__ = ("child", "until")

    def __init__(self, until: float | None, child: Child | None = None) -> None:
        self.until = until
        self.child = child

    def interest(self) -> list[tuple[int, int]]:
        return [] if self.child is None else self.child.interest()

    def left(self) -> float | None:
        return None if self.until is None else max(0.0, self.until - time.monotonic())


def _wait(request: _Wait) -> None:
    poll = select.poll()
    for fd, events in request.interest():
        poll.register(fd, events)
    left = request.left()
    # Rounded up: who wakes up too early would only wait again.
    poll.poll(None if left is None else left * 1000 + 1)


async def _wait_on_loop(request: _Wait) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    watched = request.interest()
    for fd, events in watched:
        watch = loop.add_reader if events & select.POLLIN else loop.add_writer
        watch(fd, _tell, ready)
    left = request.left()
    timer = None if left is None else loop.call_later(left, _tell, ready)
    try:
        await ready
    finally:
        if timer is not None:
            timer.cancel()
        for fd, events in watched:
            (loop.remove_reader if events & select.POLLIN else loop.remove_writer)(fd)


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


# ---- commands: plans -----------------------------------------------------------------------------------------------


def _oneshot(
    command: Command,
    timeout: float | None,
    *,
    stdin: bytes | str | None = None,
    merge: bool = False,
    workdir: Source | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = False,
    output_limit: int = OUTPUT_LIMIT,
    host: str = "",
) -> Generator[_Wait, None, CommandStatus]:
    if timeout is not None and timeout <= 0:
        raise ValueError("a time limit is some seconds, or None")
    text = command if isinstance(command, str) else " ".join(command)
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    data = stdin.encode() if isinstance(stdin, str) else stdin or b""
    begun = time.monotonic()
    about: dict[str, Any] = {"started": datetime.now(UTC), "host": host}
    try:
        child = Child(argv, stdin=data, merge=merge, cwd=workdir, env=env)
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE
        said = f"{error.filename or argv[0]}: {error.strerror}\n".encode()
        status = CommandStatus.of(text, code, b"", said, **about)
        return status.check() if check else status
    kept = {STDOUT: bytearray(), STDERR: bytearray()}
    dropped = 0
    until = None if timeout is None else begun + timeout
    pause, code_known, timed_out = _FIRST_PAUSE_S, None, False
    try:
        while True:
            for stream, piece in child.serve():
                room = output_limit - len(kept[stream])
                kept[stream] += piece[:room]
                dropped += max(0, len(piece) - room)
            code_known = child.code() if child.ended else None
            if code_known is not None:
                break
            now = time.monotonic()
            if until is not None and now >= until:
                timed_out = True
                break
            if child.ended:
                # It has closed its output, and no descriptor tells of its end.
                yield _Wait(now + pause if until is None else min(until, now + pause))
                pause = min(2 * pause, _LAST_PAUSE_S)
            else:
                yield _Wait(until, child)
    finally:
        child.close()
    status = CommandStatus.of(
        text,
        code_known,
        bytes(kept[STDOUT]),
        bytes(kept[STDERR]),
        timed_out=timed_out,
        dropped_bytes=dropped,
        duration=time.monotonic() - begun,
        **about,
    )
    return status.check() if check else status


def _run(
    cmds: Any,
    expects: Any,
    timeout: float | None,
    *,
    stdin: Any = None,
    merge: bool = False,
    stop_on_error: bool = False,
    check: bool = False,
    host: str = "",
) -> Generator[_Wait, None, RunResult]:
    in_order = InOrder(cmds, timeout, stop_on_error=stop_on_error, check=check, host=host)
    if expects or any(each.expects for each in in_order.commands):
        raise ParentError(
            "answer a command on", host, "no command has a terminal there", "leave out expects=", host=host
        )
    for each in in_order:
        given = stdin if each.stdin is None else each.stdin
        status = yield from _oneshot(each.cmd, each.timeout, stdin=given, merge=merge, host=host)
        in_order.add(each, status)
    return in_order.result()


# ---- files ---------------------------------------------------------------------------------------------------------


def sources_of(src_files: Any) -> list[Any]:
    """Give the sources of a transfer, of which no two go to the same name.

    Args:
        src_files: a path, or any number of them.

    Raises:
        ValueError: two of them have the same name, or one has none.
    """
    single = isinstance(src_files, (str, os.PathLike))
    sources = [src_files] if single else list(src_files)
    names = set()
    for source in sources:
        name = name_of(source)
        if name in ("", ".", ".."):
            raise ValueError(f"{os.fspath(source)!r} has no name that its copy could have")
        if name in names:
            raise ValueError(f"two sources are called {name!r}: the one would overwrite the other")
        names.add(name)
    return sources


def name_of(source: Source) -> str:
    """Give the name that the copy of a source has."""
    return os.path.basename(os.fspath(source).rstrip("/"))


def copy(src_files: Any, dest_dir: Source, *, host: str = "") -> TransferResult:
    """Copy files and directories into a directory, which is made where it is missing. Links stay links.

    Raises:
        ValueError: as `sources_of`.
    """
    sources, target = sources_of(src_files), Path(dest_dir)
    begun = time.monotonic()
    found = []
    for source in sources:
        place = target / name_of(source)
        try:
            target.mkdir(parents=True, exist_ok=True)
            count = _copy(Path(source), place)
        except OSError as error:
            why = error.strerror or str(error)
            found.append(FileTransfer(source, str(place), Status.Error, error=why))
        else:
            found.append(FileTransfer(source, str(place), Status.Success, count))
    return TransferResult.of(found, duration=time.monotonic() - begun, host=host)


def _copy(source: Path, place: Path) -> int:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
        return sum(
            each.lstat().st_size for each in source.rglob("*") if each.is_file() and not each.is_symlink()
        )
    if place.is_dir() and not place.is_symlink():
        raise IsADirectoryError(21, "a directory is there", str(place))
    shutil.copy2(source, place, follow_symlinks=False)
    return 0 if place.is_symlink() else place.stat().st_size


# ---- the faces -----------------------------------------------------------------------------------------------------


class _Here:
    """What both faces have in common.

    Args:
        base_url: of the engine; by default the one that docker's client would use (DOCKER_HOST, contexts, TLS).
        name: what to call this machine.
        resources: tags of the caller's, kept and not interpreted.
        log: whether a transcript is kept of what is done here.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        name: str = "localhost",
        resources: Iterable[Any] = (),
        log: bool = True,
    ) -> None:
        self.id = self.name = name
        self.resources = set(resources)
        self.log = log
        self._base_url = base_url
        self._engine: Engine | None = None

    def rebuild_connections(self) -> None:
        """Drop the connection to the engine; the next use opens another one."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _found(self) -> Engine:
        # One for all hosts on this machine, which so share the connections to it.
        if self._engine is None:
            self._engine = from_environment(host=self._base_url)
        return self._engine


class LocalHost(_Here):
    """This machine, for programs on an event loop."""

    async def engine(self) -> Engine:
        """Give the engine, which is connected to when it is used.

        Raises:
            DockerptyError: its address makes no sense, or there is no such context.
        """
        return self._found()

    async def oneshot(
        self,
        cmd: Command,
        timeout: float | None = None,
        *,
        stdin: bytes | str | None = None,
        merge: bool = False,
        workdir: Source | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = False,
        output_limit: int = OUTPUT_LIMIT,
    ) -> CommandStatus:
        """Run a command in a process of its own.

        Args:
            cmd: a text for `sh -c`, or a list without a shell.
            timeout: seconds, after which its whole group is killed; so it is when this is cancelled.
            stdin: all of its input; without any it reads the end of it at once.
            merge: stderr goes where stdout goes, in exact order.
            workdir, env: its directory, and variables beside ours.
            check: raise if it fails.
            output_limit: bytes of each stream that are kept; the rest is read, counted and dropped.

        Raises:
            CommandFailed: it failed, and was to be checked.
        """
        plan = _oneshot(
            cmd,
            timeout,
            stdin=stdin,
            merge=merge,
            workdir=workdir,
            env=env,
            check=check,
            output_limit=output_limit,
            host=self.name,
        )
        return await drive_on_loop(plan, _wait_on_loop)

    async def run(
        self,
        cmds: Any,
        expects: Any = None,
        timeout: float | None = None,
        *,
        stdin: bytes | str | None = None,
        merge: bool = False,
        stop_on_error: bool = False,
        check: bool = False,
    ) -> RunResult:
        """Run commands one after another, each in a process of its own: no state goes from one to the next.

        Args:
            cmds: a text, a `ShellCommand`, or a sequence of both.
            expects: nothing: no command has a terminal here.
            timeout: seconds, for all of them together.
            stop_on_error: do not run those behind one that failed.

        Raises:
            ParentError: there are `expects`.
            CommandFailed: one failed, and was to be checked.
        """
        plan = _run(
            cmds,
            expects,
            timeout,
            stdin=stdin,
            merge=merge,
            stop_on_error=stop_on_error,
            check=check,
            host=self.name,
        )
        return await drive_on_loop(plan, _wait_on_loop)

    async def put(self, src_files: Any, dest_dir: Source) -> TransferResult:
        """Copy files and directories into a directory; see `copy`. In a thread, which goes on if this is cancelled."""
        return await asyncio.to_thread(copy, src_files, dest_dir, host=self.name)

    async def get(self, src_files: Any, dest_dir: Source) -> TransferResult:
        """Do the same as `put`: both sides are here."""
        return await self.put(src_files, dest_dir)

    async def close(self) -> None:
        """Close the connection to the engine. Idempotent; whoever uses it afterwards opens another one."""
        self.rebuild_connections()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class LocalHostSync(_Here):
    """This machine, for programs that wait."""

    def engine(self) -> Engine:
        """Give the engine, as `LocalHost.engine`."""
        return self._found()

    def oneshot(
        self,
        cmd: Command,
        timeout: float | None = None,
        *,
        stdin: bytes | str | None = None,
        merge: bool = False,
        workdir: Source | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = False,
        output_limit: int = OUTPUT_LIMIT,
    ) -> CommandStatus:
        """Run a command in a process of its own, as `LocalHost.oneshot`."""
        plan = _oneshot(
            cmd,
            timeout,
            stdin=stdin,
            merge=merge,
            workdir=workdir,
            env=env,
            check=check,
            output_limit=output_limit,
            host=self.name,
        )
        return drive(plan, _wait)

    def run(
        self,
        cmds: Any,
        expects: Any = None,
        timeout: float | None = None,
        *,
        stdin: bytes | str | None = None,
        merge: bool = False,
        stop_on_error: bool = False,
        check: bool = False,
    ) -> RunResult:
        """Run commands one after another, as `LocalHost.run`."""
        plan = _run(
            cmds,
            expects,
            timeout,
            stdin=stdin,
            merge=merge,
            stop_on_error=stop_on_error,
            check=check,
            host=self.name,
        )
        return drive(plan, _wait)

    def put(self, src_files: Any, dest_dir: Source) -> TransferResult:
        """Copy files and directories into a directory; see `copy`."""
        return copy(src_files, dest_dir, host=self.name)

    def get(self, src_files: Any, dest_dir: Source) -> TransferResult:
        """Do the same as `put`: both sides are here."""
        return self.put(src_files, dest_dir)

    def close(self) -> None:
        """Close the connection to the engine. Idempotent; whoever uses it afterwards opens another one."""
        self.rebuild_connections()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
