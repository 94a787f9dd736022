"""Whose engine a container is on: what a host asks of its parent, and parents that have no engine for us.

A parent with an engine is the rule: `local.LocalHost`, `ssh.SSHHost`, whatever has a coroutine function `engine`. Any
other object that runs commands and moves files is wrapped by `CommandParent`, which types docker's commands there.
"""

from __future__ import annotations

import inspect
import os
import posixpath
import secrets
import shlex
from collections.abc import Awaitable
from typing import Protocol

from dockerpty import log
from dockerpty.engine.client import engine_of, from_environment
from dockerpty.engine.interface import Engine
from dockerpty.host.errors import ParentError
from dockerpty.host.local import LocalHost, LocalHostSync, name_of, sources_of
from dockerpty.host.reference import of_text
from dockerpty.host.requests import Invoke
from dockerpty.host.results import NO_CODE, CommandStatus, FileTransfer, Status, TransferResult
from dockerpty.host.turns import InTurns
from dockerpty.plan import drive, drive_on_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn, TypeAlias

    from dockerpty.host.local import Command
    from dockerpty.host.requests import Plan, Request

    #: What `Parent.engine` gives: a base URL as docker's, an `Engine`, or a client of docker-py.
    EngineRef: TypeAlias = Any

_log = log.get(__name__)

# Where the files of a transfer lie on the parent, each time in a directory of their own.
_STAGING = "/tmp/dpty-"
_NEEDS = "it requires an SSH-based UnixHost parent or one that offers engine()"


class Parent(Protocol):
    """The host that owns the engine, as a container's host sees it.

    Attributes:
        id: the name given, else the machine's.
        name: for logs.
        resources: tags of the caller's.
        log: whether a transcript is kept.
    """

    id: str
    name: str
    resources: set[Any]
    log: bool

    async def engine(self) -> EngineRef:
        """Give the engine's base URL, or a client: valid as long as this lives."""

    def oneshot(self, cmd: Any, timeout: float | None = None) -> Awaitable[Any]:
        """Run a command there, without any state."""

    def run(self, cmds: Any, expects: Any = None, timeout: float | None = None) -> Awaitable[Any]:
        """Run commands there."""

    def put(self, src_files: Any, dest_dir: Any) -> Awaitable[Any]:
        """Copy files from here to there."""

    def get(self, src_files: Any, dest_dir: Any) -> Awaitable[Any]:
        """Copy files from there to here."""

    def close(self) -> Awaitable[None]:
        """Close it; its containers' hosts notice."""

    def rebuild_connections(self) -> None:
        """Drop every connection; the next use opens others."""


def parent_of(parent: Any, container: str = "", **options: Any) -> Any:
    """Give what a host on a loop works with: the parent itself if it has an engine, else a `CommandParent` around it.

    Args:
        parent: None for this machine.
        container, options: what a `CommandParent` is made with.
    """
    if parent is None:
        return LocalHost()
    return parent if has_engine(parent) else CommandParent(parent, container, **options)


def parent_of_sync(parent: Any, container: str = "", **options: Any) -> Any:
    """Do the same for a host that waits."""
    if parent is None:
        return LocalHostSync()
    return parent if has_engine(parent, sync=True) else CommandParentSync(parent, container, **options)


def has_engine(parent: Any, *, sync: bool = False) -> bool:
    """Say whether a parent's `engine` is a coroutine function; with `sync`, a plain one.

    Looked up without asking the object: a mock has every attribute that it is asked for.
    """
    found = inspect.getattr_static(parent, "engine", None)
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    if inspect.iscoroutinefunction(found):
        return not sync
    return sync and inspect.isroutine(found)


def engine_behind(reference: EngineRef) -> Engine:
    """Give the engine that a parent's `engine` named, which other threads have by `again`.

    Raises:
        DockerptyError: it is an address that makes no sense.
    """
    engine = from_environment(host=reference) if isinstance(reference, str) else engine_of(reference)
    return InTurns(engine) if engine.again() is None else engine


# ---- docker's commands, typed on the parent: plans -----------------------------------------------------------------


class _Typed:
    """A container on a parent without an engine for us: what both faces have in common.

    Args:
        parent: has `oneshot(cmd, timeout=)`, `put(files, dir)`, `get(files, dir)`.
        container: id or name.
        user, workdir, env: of each command, where they are not the container's own; env as `NAME=value`.

    Raises:
        ValueError: it is no id and no name.
        ParentError: it is to be found by labels, for which an engine is asked.
    """

    def __init__(
        self,
        parent: Any,
        container: str,
        *,
        user: str | None = None,
        workdir: str | None = None,
        env: Sequence[str] = (),
    ) -> None:
        name = of_text(container).name
        self.parent = parent
        named = getattr(parent, "id", None), getattr(parent, "name", None), getattr(parent, "host", None)
        # A mock has all of them, and none is a text.
        self.id = self.name = next((each for each in named if isinstance(each, str) and each), "parent")
        if not name:
            raise self._lacking(f"find {container} through" if container else "find the container of")
        if name.startswith("-"):
            raise ValueError(f"{container!r} is no container: no name begins with a dash")
        self.container = name
        self._flags = []
        for flag, value in (("-u", user), ("-w", workdir), *(("-e", each) for each in env)):
            if value:
                self._flags += [flag, value]

    def run(self, *_: object, **__: object) -> NoReturn:
        """Refuse: a shell that keeps its state needs the engine.

        Raises:
            ParentError: always.
        """
        raise self._lacking("run commands in a shell through")

    def open_session(self, *_: object, **__: object) -> NoReturn:
        """Refuse, as `run`."""
        raise self._lacking("open a session through")

    def send(self, *_: object, **__: object) -> NoReturn:
        """Refuse, as `run`."""
        raise self._lacking("send keys through")

    def expect(self, *_: object, **__: object) -> NoReturn:
        """Refuse, as `run`."""
        raise self._lacking("expect output through")

    def interact(self, *_: object, **__: object) -> NoReturn:
        """Refuse, as `run`."""
        raise self._lacking("interact through")

    def refuse(self, what: str) -> None:
        """Refuse an argument that needs the engine, such as the stdin of a command.

        Raises:
            ParentError: always.
        """
        raise self._lacking(f"{what} through")

    def _lacking(self, action: str) -> ParentError:
        return ParentError(action, f"the parent {self.name}", _NEEDS, host=self.name)

    def _oneshot(self, cmd: Command, timeout: float | None) -> Plan[CommandStatus]:
        words = ["sh", "-c", cmd] if isinstance(cmd, str) else [*cmd]
        text = cmd if isinstance(cmd, str) else " ".join(cmd)
        result = yield self._type(["docker", "exec", "-i", *self._flags, self.container, *words], timeout)
        return status_of(text, result, self.name)

    def _put(self, src_files: Any, dest_dir: Any, timeout: float | None) -> Plan[TransferResult]:
        sources = sources_of(src_files)
        target = _absolute(os.fspath(dest_dir))
        staging = yield from self._stage(timeout)
        if isinstance(staging, CommandStatus):
            return _all_failed(sources, target, _why(staging), self.name)
        try:
            moved = yield Invoke(lambda: self.parent.put(sources, staging))
            if not _is_ok(moved):
                return _all_failed(sources, target, _message(moved), self.name)
            made = yield from self._oneshot(["mkdir", "-p", target], timeout)
            if not made.ok and any(os.path.isdir(source) for source in sources):
                # Of a directory `docker cp` would make the target, where that is missing.
                return _all_failed(sources, target, _why(made), self.name)
            found = []
            for source in sources:
                name = name_of(source)
                # The slash: a file never becomes the target, where that is missing.
                words = ["docker", "cp", f"{staging}/{name}", f"{self.container}:{target.rstrip('/')}/"]
                done = status_of(shlex.join(words), (yield self._type(words, timeout)), self.name)
                found.append(_transferred(source, posixpath.join(target, name), done))
            return TransferResult.of(found, host=self.name)
        finally:
            yield from self._unstage(staging)

    def _get(self, src_files: Any, dest_dir: Any, timeout: float | None) -> Plan[TransferResult]:
        sources = sources_of(src_files)
        for source in sources:
            _absolute(os.fspath(source))
        staging = yield from self._stage(timeout)
        if isinstance(staging, CommandStatus):
            return _all_failed(sources, os.fspath(dest_dir), _why(staging), self.name)
        try:
            found = []
            for source in sources:
                name = name_of(source)
                words = ["docker", "cp", f"{self.container}:{os.fspath(source).rstrip('/')}", f"{staging}/"]
                done = status_of(shlex.join(words), (yield self._type(words, timeout)), self.name)
                place = os.path.join(os.fspath(dest_dir), name)
                found.append(_transferred(source, place, done))
            there = [f"{staging}/{name_of(each.source)}" for each in found if each.status.is_ok]
            if there:
                moved = yield Invoke(lambda: self.parent.get(there, dest_dir))
                if not _is_ok(moved):
                    why = _message(moved)
                    found = [
                        each._replace(status=Status.Error, error=why) if each.status.is_ok else each
                        for each in found
                    ]
            return TransferResult.of(found, host=self.name)
        finally:
            yield from self._unstage(staging)

    def _stage(self, timeout: float | None) -> Plan[str | CommandStatus]:
        """Make a directory on the parent that nobody else has or can guess; its path, or what went wrong."""
        staging = f"{_STAGING}{secrets.token_hex(16)}"
        words = ["mkdir", "-p", "-m", "700", staging]
        try:
            made = status_of(shlex.join(words), (yield self._type(words, timeout)), self.name)
        except BaseException:
            # Nobody knows whether it was made.
            yield from self._unstage(staging)
            raise
        return staging if made.ok else made

    def _unstage(self, staging: str) -> Plan[None]:
        words = ["rm", "-rf", staging]
        try:
            done = status_of(shlex.join(words), (yield self._type(words, None)), self.name)
        except Exception as error:  # noqa: BLE001  # what went wrong before it is what counts
            _log.warning("left behind on %s: %s: %s", self.name, staging, error)
        else:
            if not done.ok:
                _log.warning("left behind on %s: %s: %s", self.name, staging, _why(done))

    def _type(self, words: Sequence[str], timeout: float | None) -> Invoke:
        """Type a line on the parent: each word of it is one there, too, whatever is in it."""
        line = shlex.join(words)
        return Invoke(lambda: self.parent.oneshot(line, timeout=timeout))


class CommandParent(_Typed):
    """A container on a parent that only runs commands and moves files, for programs on an event loop."""

    async def oneshot(self, cmd: Command, timeout: float | None = None) -> CommandStatus:
        """Run a command by `docker exec`, typed on the parent; exit code and output are as the parent gives them.

        Args:
            cmd: a text for `sh -c`, or a list without a shell.
            timeout: seconds, for the parent to keep to.
        """
        return await drive_on_loop(self._oneshot(cmd, timeout), _answer_on_loop)

    async def put(self, src_files: Any, dest_dir: Any, timeout: float | None = None) -> TransferResult:
        """Copy files from here into a directory of the container, by way of the parent's disk.

        Args:
            src_files: a path, or several.
            dest_dir: absolute; made where it is missing.
            timeout: seconds for each command on the parent.

        Raises:
            ValueError: two sources have one name, or the directory is not absolute.
        """
        return await drive_on_loop(self._put(src_files, dest_dir, timeout), _answer_on_loop)

    async def get(self, src_files: Any, dest_dir: Any, timeout: float | None = None) -> TransferResult:
        """Copy files of the container into a directory here, by way of the parent's disk; arguments as for `put`."""
        return await drive_on_loop(self._get(src_files, dest_dir, timeout), _answer_on_loop)


class CommandParentSync(_Typed):
    """The same for programs that wait, on a parent whose methods do."""

    def oneshot(self, cmd: Command, timeout: float | None = None) -> CommandStatus:
        """Run a command by `docker exec`, as `CommandParent.oneshot`."""
        return drive(self._oneshot(cmd, timeout), _answer)

    def put(self, src_files: Any, dest_dir: Any, timeout: float | None = None) -> TransferResult:
        """Copy files into the container, as `CommandParent.put`."""
        return drive(self._put(src_files, dest_dir, timeout), _answer)

    def get(self, src_files: Any, dest_dir: Any, timeout: float | None = None) -> TransferResult:
        """Copy files of the container, as `CommandParent.get`."""
        return drive(self._get(src_files, dest_dir, timeout), _answer)


def status_of(command: str, result: Any, host: str = "") -> CommandStatus:
    """Make our result of a parent's: four values as ours, or an object with two of them.

    Args:
        command: the caller's own, in place of what was typed.
    """
    if isinstance(result, CommandStatus):
        return result._replace(command=command, host=host)
    if isinstance(result, tuple) and len(result) == 4:
        _, output, status, code = result
    else:
        output = getattr(result, "output", None) or getattr(result, "value", "")
        status, code = getattr(result, "status", None), getattr(result, "retcode", NO_CODE)
    code = code if isinstance(code, int) else NO_CODE
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else str(output)
    # Somebody else's status, with values and names as ours.
    value = getattr(status, "value", status)
    known = next((each for each in Status if each.value == value), None)
    ours = known or (Status.Success if code == 0 else Status.Error if code == NO_CODE else Status.Failed)
    return CommandStatus(command, text, ours, code, stdout=text.encode(), host=host)


def _is_ok(moved: Any) -> bool:
    """Say whether a transfer by the parent went well, which gives a pair of status and message."""
    status = moved[0] if isinstance(moved, tuple) and moved else getattr(moved, "status", moved)
    value = getattr(status, "value", status)
    return any(each.is_ok and each.value == value for each in Status)


def _message(moved: Any) -> str:
    text = moved[1] if isinstance(moved, tuple) and len(moved) > 1 else getattr(moved, "message", "")
    return str(text) or "the parent did not move it"


def _why(done: CommandStatus) -> str:
    return done.error or done.output.strip() or f"{done.command} ended with {done.retcode}"


def _transferred(source: Any, place: str, done: CommandStatus) -> FileTransfer:
    return FileTransfer(source, place, done.status, error="" if done.ok else _why(done))


def _all_failed(sources: list[Any], target: str, why: str, host: str) -> TransferResult:
    places = ((each, posixpath.join(target, name_of(each))) for each in sources)
    return TransferResult.of([FileTransfer(*each, Status.Error, error=why) for each in places], host=host)


def _absolute(path: str) -> str:
    # `docker cp` would take it from the root, and a shell from the working directory.
    if not path.startswith("/"):
        raise ValueError(
            f"{path!r} is not absolute: nobody knows a container's directories through this parent"
        )
    return path


def _answer(request: Request) -> Any:
    assert isinstance(request, Invoke)
    return request.function()


async def _answer_on_loop(request: Request) -> Any:
    given = _answer(request)
    return await given if isinstance(given, Awaitable) else given
