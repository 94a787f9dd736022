"""Your own terminal becomes the container's.

`start` attaches to a container, `exec_command` runs a process in one; both are a `PseudoTerminal` that drives an
operation. What one session does, and in which order, is in `bridge`; how bytes move is in `io` and `pumps`; the
operations are in `attach` and `exec`.
"""

from __future__ import annotations

import time

from dockerpty import keys, log
from dockerpty import plain_signal as signal
from dockerpty.attach import RunOperation
from dockerpty.bridge import Bridge, Options
from dockerpty.container.creation import create_exec
from dockerpty.container.reference import identity, name_for
from dockerpty.container.spec import environment_list, exec_config, with_term
from dockerpty.engine.client import engine_of
from dockerpty.errors import DockerptyError, EngineError
from dockerpty.exec import ExecOperation
from dockerpty.loop import Loop
from dockerpty.operation import EngineOperation, Operation
from dockerpty.result import SessionResult
from dockerpty.signals import Coalescer, kept_from_readline
from dockerpty.tty import first_size, is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from dockerpty.loop import Watched

__all__ = [
    "ExecOperation",
    "Operation",
    "PseudoTerminal",
    "RunOperation",
    "SessionResult",
    "WINCHHandler",
    "exec_command",
    "exec_create",
    "start",
    "start_exec",
]

_log = log.get(__name__)

#: A thread that is not the main one gets no SIGWINCH: it looks at the size this often.
_SIZE_POLL_S = 0.25


class PseudoTerminal:
    """The host's terminal as the terminal of an operation.

    Attributes:
        client, operation: what was given.
        result: a `SessionResult` once `start` was called, also when it raised.
    """

    def __init__(
        self,
        client: Any,
        operation: Any,
        *,
        notice: Callable[[str], None] | None = None,
        beside: Watched | None = None,
    ) -> None:
        self.client = client
        self.operation = operation
        self.result: SessionResult | None = None
        self._notice = notice
        # Served in the session's loop: what it raises there ends the session, as what a signal handler raises does.
        self._beside = beside

    def sockets(self) -> Any:
        """Attach now, so that nothing is missed of what the caller starts afterwards."""
        return self.operation.sockets()

    def start(self, sockets: Any = None) -> int | None:
        """Bridge until the process ends or the user detaches.

        Args:
            sockets: what `sockets()` returned, if the caller attached before.

        Returns:
            The exit code, 141 if stdout was closed, or None after a detach.

        Raises:
            SessionTimeout, SessionLost: the session ended without an exit code; `result` says how far it came.
            EngineError: the engine refused, or could not be reached.
            DockerptyError: stdout cannot be written to, or another thread has the terminal.

        What a signal handler of the caller's raises comes through, with everything as it was before.
        """
        operation = self.operation
        result = self.result = SessionResult()
        places = (operation.stdout, operation.stdin, operation.stderr)
        loop = Loop()
        if self._beside is not None:
            loop.watch(self._beside)
        options = getattr(operation, "_options", None) or Options()
        result.size = options.size or first_size(*places)
        # Also where the size is not known yet: somebody may be about to set it.
        follows = options.resize and options.size is None and any(is_terminal(place) for place in places)
        window = WINCHHandler(self, loop=loop) if follows else _NoWindow()
        if isinstance(window, WINCHHandler) and not isinstance(operation, EngineOperation):
            window._burst.event()  # the first size; our own operations send it when they know that it can be taken
        try:
            return Bridge(operation, loop, window, result, options, self._notice or _log_notice).run(sockets)
        except DockerptyError as error:
            error.result = result
            raise

    def resize(self, size: tuple[int, int] | None = None) -> None:
        """Set the remote terminal's size.

        Args:
            size: `(rows, cols)`; None is that of the session, or of the host's terminal, and does nothing without one.
        """
        operation = self.operation
        if not operation.is_tty():
            return
        if size is None:
            options = getattr(operation, "_options", None) or Options()
            size = options.size or first_size(operation.stdout, operation.stdin, operation.stderr)
        if size is not None:
            rows, cols = size
            try:
                operation.resize(height=rows, width=cols)
            except (EngineError, OSError) as error:
                _log.debug("resize failed: %s", error)  # it has just ended

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.operation.describe()})"


class WINCHHandler:
    """Calls `pty.resize()` after the window has changed: outside the signal handler, once for a burst of changes.

    Construction has no effect. In a thread that is not the main one there are no signals: the size is looked at four
    times a second instead.

    Attributes:
        pty: what was given.
        original_handler: of SIGWINCH, while started; restored by `stop`.
    """

    def __init__(self, pty: Any, *, loop: Loop | None = None) -> None:
        self.pty = pty
        self.original_handler: Any = None
        self._put_back: Callable[[bool], None] | None = None
        self._came = False
        self._loop = loop
        self._started = False
        self._burst = Coalescer()
        self._thread: Any = None
        self._wake: Any = None
        self._size: tuple[int, int] | None = None
        self._look_at: float | None = None

    def start(self) -> None:
        """Begin to follow the window. Without a session's loop a thread makes the calls."""
        if self._started:
            return
        self._started = True
        try:
            foreign = kept_from_readline(signal.SIGWINCH)
            previous = signal.signal(signal.SIGWINCH, self._changed)
            self._put_back = foreign if previous in (None, signal.SIG_DFL) else None
            # Any other handler that was not Python's own cannot be put back: the default takes its place.
            self.original_handler = signal.SIG_DFL if previous is None else previous
        except (ValueError, AttributeError):
            self._size = self._current()
            self._look_at = time.monotonic() + _SIZE_POLL_S
        if self._loop is not None:
            self._loop.at(self._due, self._act)
        else:
            import threading

            # A lock as a flag that can be raised: a second signal may come in the middle of our handler, and what
            # threading makes of locks (an Event) would wait there for itself.
            self._wake = threading.Lock()
            self._wake.acquire()
            self._thread = threading.Thread(target=self._run, name="dockerpty-window", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Put the previous handler back."""
        if not self._started:
            return
        self._started = False
        if self.original_handler is not None:
            signal.signal(signal.SIGWINCH, self.original_handler)
            self.original_handler = None
            if self._put_back is not None:
                self._put_back(self._came)
                self._put_back = None
        if self._thread is not None:
            self._wake_up()
            self._thread.join()
            self._thread = None

    def __enter__(self) -> WINCHHandler:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _changed(self, number: int, frame: object) -> None:
        self._came = True
        self._burst.event()
        if self._wake is not None:
            self._wake_up()

    def _wake_up(self) -> None:
        try:
            self._wake.release()
        except RuntimeError:  # it is awake already
            pass

    def _due(self) -> float | None:
        due = self._burst.due() if self._started else None
        return due if due is not None or not self._started else self._look_at

    def _act(self) -> None:
        if self._look_at is not None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _SIZE_POLL_S
            now = self._current()
            if now != self._size:
                self._size = now
                self.pty.resize()
        if self._burst.take():
            self.pty.resize()

    def _run(self) -> None:
        while self._started:
            due = self._due()
            self._wake.acquire(timeout=-1 if due is None else max(0.0, due - time.monotonic()))
            if self._started:
                self._act()

    def _current(self) -> tuple[int, int] | None:
        operation = getattr(self.pty, "operation", None)
        places = (getattr(operation, name, None) for name in ("stdout", "stdin", "stderr"))
        return first_size(*places)


class _NoWindow:
    """No terminal, no window to follow."""

    def start(self) -> None:
        """Nothing changes."""

    def stop(self) -> None:
        """Nothing was started."""


def start(
    client: Any,
    container: Any,
    interactive: bool = True,
    stdout: Any = None,
    stderr: Any = None,
    stdin: Any = None,
    logs: Any = None,
    *,
    detach_keys: str | None = None,
    sig_proxy: bool = False,
    resize: bool = True,
    raw: bool | None = None,
    timeout: float | None = None,
    idle_timeout: float | None = None,
    read_only: bool = False,
    stdin_eof: str = "auto",
    detach_timeout: float = 0.5,
    size: tuple[int, int] | None = None,
    record: Any = None,
    expect: Any = None,
    transport: Any = None,
) -> int | None:
    """Attach to a container, start it if it is not running, and bridge until it ends or the user detaches.

    Args:
        client: `docker.DockerClient`, `docker.APIClient`, or an object with the same low-level methods.
        container: id, name, dict with `Id`, or an object with `id`.
        interactive: read stdin, if the container was created to read it.
        stdout, stderr, stdin: a file object, a descriptor's number, or an object with only `write` or `read`; None is
            the present `sys.stdout` and so on.
        logs: True also shows what a running container has written before.
        detach_keys: as Docker spells them; None is `ctrl-p,ctrl-q`, `""` or `"none"` switch detaching off.
        sig_proxy: pass signals on to the container instead of dying by them.
        resize: keep the remote terminal's size as the host's.
        raw: True or False overrides whether the host's terminal is made raw.
        timeout, idle_timeout: seconds; past them the session ends with `SessionTimeout`.
        read_only: never send a byte.
        stdin_eof: what the end of input does: `close` ends the process's stdin, `eot` sends Ctrl-D, `ignore` nothing;
            `auto` is `eot` for a terminal and `close` otherwise.
        detach_timeout: seconds until a withheld first detach key is released.
        size: `(rows, cols)` of the process's terminal, in place of the host's, which is then not followed.
        record: keep the session as asciicast: a path that does not exist yet, a file open for writing, or a
            `dockerpty.recording.Recording`, which can also keep what is typed, and write over a file.
        expect: what types in place of stdin: the text of a script, or a `dockerpty.expect.Script`. What it waits for in
            vain ends the session with `SessionTimeout`.
        transport: a connection that was taken over already, to use for the output. For tests.

    Returns:
        The exit code; 141 if stdout was closed; None after a detach.

    Raises:
        NotFound, APIError, EngineUnreachable: also docker-py's classes of these.
        SessionTimeout, SessionLost, DetachKeysError, DockerptyError: see `dockerpty.errors`.
        ValueError: a keyword has a value that it does not take.
    """
    operation = RunOperation(
        client,
        container,
        interactive,
        stdout,
        stderr,
        stdin,
        logs,
        detach_keys=detach_keys,
        sig_proxy=sig_proxy,
        resize=resize,
        raw=raw,
        timeout=timeout,
        idle_timeout=idle_timeout,
        read_only=read_only,
        stdin_eof=stdin_eof,
        detach_timeout=detach_timeout,
        size=size,
        record=record,
        expect=expect,
        transport=transport,
    )
    return PseudoTerminal(client, operation).start()


def exec_command(
    client: Any,
    container: Any,
    command: list[str] | str,
    interactive: bool = True,
    stdout: Any = None,
    stderr: Any = None,
    stdin: Any = None,
    *,
    tty: bool | None = None,
    environment: Any = None,
    user: str = "",
    workdir: str | None = None,
    privileged: bool = False,
    detach_keys: str | None = None,
    sig_proxy: bool = False,
    resize: bool = True,
    raw: bool | None = None,
    timeout: float | None = None,
    idle_timeout: float | None = None,
    read_only: bool = False,
    stdin_eof: str = "auto",
    detach_timeout: float = 0.5,
    size: tuple[int, int] | None = None,
    record: Any = None,
    expect: Any = None,
    transport: Any = None,
) -> int | None:
    """Run a command in a running container and bridge it.

    Args:
        command: a list as it is, or a string that is split as a shell would; no shell runs it.
        tty: give it a terminal; None does so if stdin is a terminal and the session is interactive.
        environment: a dict, or a list of `NAME=value`.
        user: name or uid, optionally `:group`.
        workdir: where it runs; None is the container's own.
        privileged: with all capabilities.
        Others: as `start` takes them. With `sig_proxy` the command's processes are found and signalled, then we die.

    Returns:
        The exit code; 127 or 126 if it could not be started (why is written to stderr); None after a detach.

    What is raised is that of `start`.
    """
    operation = ExecOperation.create(
        client,
        container,
        command,
        interactive,
        stdout,
        stderr,
        stdin,
        tty=tty,
        environment=environment,
        user=user,
        workdir=workdir,
        privileged=privileged,
        detach_keys=detach_keys,
        sig_proxy=sig_proxy,
        resize=resize,
        raw=raw,
        timeout=timeout,
        idle_timeout=idle_timeout,
        read_only=read_only,
        stdin_eof=stdin_eof,
        detach_timeout=detach_timeout,
        size=size,
        record=record,
        expect=expect,
        transport=transport,
    )
    return PseudoTerminal(client, operation).start()


def start_exec(
    client: Any,
    exec_id: Any,
    interactive: bool = True,
    stdout: Any = None,
    stderr: Any = None,
    stdin: Any = None,
    *,
    detach_keys: str | None = None,
    sig_proxy: bool = False,
    resize: bool = True,
    raw: bool | None = None,
    timeout: float | None = None,
    idle_timeout: float | None = None,
    read_only: bool = False,
    stdin_eof: str = "auto",
    detach_timeout: float = 0.5,
    size: tuple[int, int] | None = None,
    record: Any = None,
    expect: Any = None,
    transport: Any = None,
) -> int | None:
    """Bridge an exec that was created and not started.

    Args:
        exec_id: its id, or the dict that `exec_create` returned.
        Others: as `start` takes them.

    What is returned and raised is that of `exec_command`.
    """
    operation = ExecOperation(
        client,
        exec_id,
        interactive,
        stdout,
        stderr,
        stdin,
        detach_keys=detach_keys,
        sig_proxy=sig_proxy,
        resize=resize,
        raw=raw,
        timeout=timeout,
        idle_timeout=idle_timeout,
        read_only=read_only,
        stdin_eof=stdin_eof,
        detach_timeout=detach_timeout,
        size=size,
        record=record,
        expect=expect,
        transport=transport,
    )
    return PseudoTerminal(client, operation).start()


def exec_create(
    client: Any,
    container: Any,
    command: list[str] | str,
    interactive: bool = True,
    *,
    tty: bool | None = None,
    stdin: bool | None = None,
    environment: Any = None,
    user: str = "",
    workdir: str | None = None,
    privileged: bool = False,
    detach_keys: str | None = None,
    console_size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Create an exec, to be started later and perhaps elsewhere.

    Args:
        tty, stdin: both default to `interactive`, whatever the stdin of this process is.
        detach_keys: those that the engine is to watch for; None gives it keys that nobody types.
        console_size: `(rows, cols)` of its first moment (API 1.42 and newer).
        Others: as `exec_command` takes them.

    Returns:
        The engine's answer, a dict with the exec's `Id`.
    """
    has_terminal = interactive if tty is None else tty
    variables = environment_list(environment)
    config = exec_config(
        command,
        has_terminal,
        interactive if stdin is None else stdin,
        with_term(variables) if has_terminal else variables,
        user,
        workdir,
        privileged,
    )
    if detach_keys is not None:
        keys.parse(detach_keys)
        config["DetachKeys"] = detach_keys if detach_keys not in ("", "none") else keys.NEUTRAL
    if console_size is not None:
        config["ConsoleSize"] = list(console_size)
    engine = engine_of(client)
    try:
        reply = create_exec(engine, identity(container), config, name_for(container))
    finally:
        if engine is not client:
            engine.close()
    created: dict[str, Any] = reply.json()
    return created


def _log_notice(line: str) -> None:
    _log.warning("%s", line)
