"""A named shell of a host, as programs have it: on a loop, and where one waits. The rules are in `core`.

One session does one thing at a time. On a loop, calls are served in their order; where one waits, a session belongs to
one thread at a time, and the other is told so.
"""

from __future__ import annotations

from typing import NamedTuple

from dockerpty.host.running_command import RunningCommand, RunningCommandSync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from dockerpty.host.core import HostCore
    from dockerpty.host.drivers import LoopDriver, ThreadDriver
    from dockerpty.host.results import ExpectResult, RunResult, ShellCommand
    from dockerpty.host.sessions import SessionCore

    OnOutput = Callable[[int, bytes], object]

#: Seconds, of `run` in a session and of `expect`.
TIMEOUT_S = 10.0

# Keys with Ctrl that are no letters, as a terminal sends them.
_CONTROLS = {
    "@": 0,
    "`": 0,
    "[": 27,
    "{": 27,
    "\\": 28,
    "|": 28,
    "]": 29,
    "}": 29,
    "^": 30,
    "~": 30,
    "_": 31,
    "?": 127,
}


class ShellInfo(NamedTuple):
    """Which shell a session has.

    Attributes:
        path: as it was started: a name or a path.
        dialect: which kind it said that it is: `bash`, `ash`, `dash`, `zsh`, `ksh` or `posix`; empty before.
    """

    path: str
    dialect: str


class _Session:
    """What both faces have in common: what is known of a session without asking."""

    def __init__(self, core: HostCore, session: SessionCore, let_go: Callable[[str], None]) -> None:
        self._core = core
        self._session = session
        self._let_go = let_go

    @property
    def name(self) -> str:
        """The name that it was opened under; empty for the host's own."""
        return self._session.name

    @property
    def alive(self) -> bool:
        """Whether its shell is there, as far as is known. The next use opens another one if it is not."""
        return self._session.alive

    @property
    def tty(self) -> bool:
        """Whether it has a terminal."""
        return self._session.options.tty

    @property
    def shell(self) -> ShellInfo:
        """Which shell it has."""
        shell = self._session.shell
        if shell is None:
            return ShellInfo(self._session.options.shell, "")
        return ShellInfo(shell.path, shell.dialect)

    @property
    def pid(self) -> int | None:
        """The shell's number in the container; None before it is opened."""
        shell = self._session.shell
        return shell.pid if shell is not None else None

    @property
    def exec_id(self) -> str | None:
        """The engine's id of the shell's process; None before it is opened."""
        shell = self._session.shell
        return shell.channel.exec_id if shell is not None else None

    @property
    def restarted(self) -> int:
        """How often another shell was opened in place of one that was gone."""
        return self._session.restarted

    @property
    def busy(self) -> bool:
        """Whether a command runs in it."""
        shell = self._session.shell
        return shell is not None and not shell.over and shell.busy

    @property
    def before(self) -> Any:
        """What came before the last match of an `expect`."""
        return self._matched("before")

    @property
    def after(self) -> Any:
        """What matched; `pexpect.TIMEOUT` or `pexpect.EOF` if it was that."""
        return self._matched("after")

    @property
    def match(self) -> Any:
        """The match, by which its groups can be had."""
        return self._matched("match")

    @property
    def buffer(self) -> Any:
        """What came and was not matched yet."""
        return self._matched("buffer") or ""

    def spilled(self) -> bytes:
        """Give, and forget, the last 64 KiB that belonged to no command: prompts, jobs, late writers."""
        shell = self._session.shell
        if shell is None:
            return b""
        if not shell.over and not shell.busy:
            shell.take()
        return shell.spilled.take()

    def _matched(self, what: str) -> Any:
        shell = self._session.shell
        return None if shell is None else getattr(shell, what)

    def __repr__(self) -> str:
        state = "alive" if self.alive else "closed" if self._session.closed else "not open"
        return f"<{type(self).__name__} {self.name!r} of {self._core.name}: {state}>"


class HostSession(_Session):
    """A persistent shell of a host, for programs on an event loop. Made by `open_session`; `async with` closes it."""

    def __init__(
        self, core: HostCore, session: SessionCore, driver: LoopDriver, let_go: Callable[[str], None]
    ) -> None:
        super().__init__(core, session, let_go)
        self._driver = driver

    async def run(
        self,
        cmds: Any,
        expects: Any = None,
        timeout: float | None = TIMEOUT_S,
        *,
        stdin: Any = None,
        merge: bool = False,
        stop_on_error: bool = False,
        check: bool = False,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run commands in this shell; see `DockerContainerHost.run`, which has no time limit by itself."""
        core, session = self._core, self._session
        plan = core.run(
            session,
            cmds,
            expects,
            timeout,
            stdin=stdin,
            merge=merge,
            stop_on_error=stop_on_error,
            check=check,
            on_output=on_output,
        )
        return await self._driver.alone(session.key, plan, lambda: core.tidy(session))

    async def start(
        self, cmd: ShellCommand | str, timeout: float | None = None, *, merge: bool = False
    ) -> RunningCommand:
        """Start a command, and go on: what it writes is read, and it is written to, while it runs.

        Args:
            timeout: seconds, of which those count in which somebody reads or waits.
            merge: stderr comes where stdout does.

        Raises:
            HostNotRunningError, HostConnectionError, ShellNotFoundError, SessionBusyError, ValueError: as `run`.
        """
        core, session, driver = self._core, self._session, self._driver
        release = await driver.hold(session.key)
        try:
            started = await driver.drive(core.start(session, cmd, timeout, merge=merge))
        except BaseException:
            release()
            raise
        return RunningCommand(started, release, lambda: core.tidy(session), driver)

    async def send(self, text: str | bytes, *, log: bool = True) -> None:
        """Send keys as they are, without a newline, and wait until they are taken.

        Args:
            log: False keeps a secret out of the transcript.

        Raises:
            SessionLostError: the shell has ended; said once, then another one is opened.
            ValueError: the session has no terminal.
        """
        session = self._session
        await self._driver.alone(session.key, self._core.send(session, text, log=log))

    async def sendline(self, text: str | bytes = "", *, log: bool = True) -> None:
        """Send a line with its newline; raises as `send`."""
        await self.send(_line(text), log=log)

    async def sendcontrol(self, char: str) -> None:
        """Send a key with Ctrl; raises as `send`, and ValueError for what is no such key."""
        await self.send(control(char))

    async def sendeof(self) -> None:
        """Send Ctrl-D, at the beginning of a line the end of input; raises as `send`."""
        await self.send("\x04")

    async def expect(
        self, pattern: Any, timeout: float | None = TIMEOUT_S, *, window: int | None = -1
    ) -> str:
        """Wait for a pattern in what comes, and give all up to the end of its match.

        Args:
            pattern: a regular expression, as `str` or `bytes` or compiled; or `pexpect.EOF`, `pexpect.TIMEOUT`.
            timeout: seconds; 0 looks at what is there, None waits for ever, -1 is ten seconds.
            window: how much of a match may have come before the last read; None for all that is kept, -1 for 64 KiB.

        Raises:
            ExpectTimeout, ExpectEOF: it did not come in time, or the shell ended before.
            SessionLostError: the shell had ended; said once, then another one is opened.
            ValueError: the session has no terminal.
        """
        return (await self._expect(pattern, timeout, window=window)).text

    async def expect_exact(
        self, text: str | bytes, timeout: float | None = TIMEOUT_S, *, window: int | None = -1
    ) -> str:
        """Wait for a text that is no regular expression; otherwise as `expect`."""
        return (await self._expect(text, timeout, window=window, exact=True)).text

    async def expect_any(
        self, patterns: list[Any], timeout: float | None = TIMEOUT_S, *, window: int | None = -1
    ) -> ExpectResult:
        """Wait for the first of some patterns, and tell which it was; otherwise as `expect`."""
        return await self._expect(patterns, timeout, window=window)

    async def interrupt(self) -> bool:
        """Interrupt what runs in the shell, also from beside; say whether the shell is back."""
        session, driver = self._session, self._driver
        return await driver.drive(self._core.interrupt(session, is_held=lambda: driver.is_held(session.key)))

    async def open(self) -> Self:
        """Have the shell there already; else the first use opens it."""
        session = self._session
        await self._driver.alone(session.key, self._core.open(session), lambda: self._core.tidy(session))
        return self

    async def close(self) -> None:
        """End the shell and what runs in it; what another task runs there ends with it. Idempotent."""
        session = self._session
        self._let_go(session.name)
        await self._driver.drive(self._core.hang_up(session))
        await self._driver.finish(session.key, self._core.closed_up(session))

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _expect(self, patterns: Any, timeout: float | None, **more: Any) -> ExpectResult:
        session = self._session
        return await self._driver.alone(session.key, self._core.expect(session, patterns, timeout, **more))


class HostSessionSync(_Session):
    """A persistent shell of a host, for programs that wait. Made by `open_session`; closes itself after `with`.

    It belongs to one thread at a time: a second one that uses it meanwhile gets a SessionBusyError.
    """

    def __init__(
        self, core: HostCore, session: SessionCore, driver: ThreadDriver, let_go: Callable[[str], None]
    ) -> None:
        super().__init__(core, session, let_go)
        self._driver = driver

    def run(
        self,
        cmds: Any,
        expects: Any = None,
        timeout: float | None = TIMEOUT_S,
        *,
        stdin: Any = None,
        merge: bool = False,
        stop_on_error: bool = False,
        check: bool = False,
        on_output: OnOutput | None = None,
    ) -> RunResult:
        """Run commands in this shell, as `HostSession.run`. A Ctrl-C interrupts the command, then is raised."""
        core, session = self._core, self._session
        plan = core.run(
            session,
            cmds,
            expects,
            timeout,
            stdin=stdin,
            merge=merge,
            stop_on_error=stop_on_error,
            check=check,
            on_output=on_output,
        )
        return self._driver.alone(session.key, plan, lambda: core.tidy(session))

    def start(
        self, cmd: ShellCommand | str, timeout: float | None = None, *, merge: bool = False
    ) -> RunningCommandSync:
        """Start a command, and go on, as `HostSession.start`."""
        core, session, driver = self._core, self._session, self._driver
        release = driver.hold(session.key)
        try:
            started = driver.drive(core.start(session, cmd, timeout, merge=merge))
        except BaseException:
            release()
            raise
        return RunningCommandSync(started, release, lambda: core.tidy(session), driver)

    def send(self, text: str | bytes, *, log: bool = True) -> None:
        """Send keys as they are, as `HostSession.send`."""
        session = self._session
        self._driver.alone(session.key, self._core.send(session, text, log=log))

    def sendline(self, text: str | bytes = "", *, log: bool = True) -> None:
        """Send a line with its newline."""
        self.send(_line(text), log=log)

    def sendcontrol(self, char: str) -> None:
        """Send a key with Ctrl."""
        self.send(control(char))

    def sendeof(self) -> None:
        """Send Ctrl-D."""
        self.send("\x04")

    def expect(self, pattern: Any, timeout: float | None = TIMEOUT_S, *, window: int | None = -1) -> str:
        """Wait for a pattern in what comes, as `HostSession.expect`."""
        return self._expect(pattern, timeout, window=window).text

    def expect_exact(
        self, text: str | bytes, timeout: float | None = TIMEOUT_S, *, window: int | None = -1
    ) -> str:
        """Wait for a text that is no regular expression."""
        return self._expect(text, timeout, window=window, exact=True).text

    def expect_any(
        self, patterns: list[Any], timeout: float | None = TIMEOUT_S, *, window: int | None = -1
    ) -> ExpectResult:
        """Wait for the first of some patterns, and tell which it was."""
        return self._expect(patterns, timeout, window=window)

    def interrupt(self) -> bool:
        """Interrupt what runs in the shell, also from another thread; say whether the shell is back."""
        session, driver = self._session, self._driver
        return driver.drive(self._core.interrupt(session, is_held=lambda: driver.is_held(session.key)))

    def open(self) -> Self:
        """Have the shell there already; else the first use opens it."""
        session = self._session
        self._driver.alone(session.key, self._core.open(session), lambda: self._core.tidy(session))
        return self

    def close(self) -> None:
        """End the shell and what runs in it; what another thread runs there ends with it. Idempotent."""
        session = self._session
        self._let_go(session.name)
        self._driver.drive(self._core.hang_up(session))
        self._driver.finish(session.key, self._core.closed_up(session))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _expect(self, patterns: Any, timeout: float | None, **more: Any) -> ExpectResult:
        session = self._session
        return self._driver.alone(session.key, self._core.expect(session, patterns, timeout, **more))


def control(char: str) -> str:
    """Give what a terminal sends for a key with Ctrl.

    Raises:
        ValueError: there is no such key.
    """
    lower = char.lower()
    if len(char) == 1 and "a" <= lower <= "z":
        return chr(ord(lower) - ord("a") + 1)
    if char not in _CONTROLS:
        raise ValueError(f"no terminal has a key for Ctrl and {char!r}")
    return chr(_CONTROLS[char])


def _line(text: str | bytes) -> str | bytes:
    return text + "\n" if isinstance(text, str) else text + b"\n"
