"""What a container's host does, in both colours: plans over its container, its sessions and their helper.

Who drives them has the locks, see `drivers`: what is done with one session is driven under that session's name. Two
things are said by the plans themselves to be done alone: to look the container up, and to have a helper.
"""

from __future__ import annotations

from dataclasses import replace

from dockerpty import log
from dockerpty.container.spec import environment_list
from dockerpty.errors import DockerptyError
from dockerpty.host import resolve, transcript
from dockerpty.host.channel import Channel
from dockerpty.host.errors import HostClosedError, SessionLostError, is_away
from dockerpty.host.oneshot import oneshot
from dockerpty.host.processes import kill
from dockerpty.host.reference import of_host
from dockerpty.host.requests import Alone, Close, Meanwhile
from dockerpty.host.sessions import Options, SessionCore, SessionOptions, Told
from dockerpty.host.shell import waiting
from dockerpty.host.shell.helpers import Helpers
from dockerpty.host.shell.opening import open_shell
from dockerpty.host.shell.recovery import interrupt as interrupt_idle
from dockerpty.host.shell.sequence import live, run_many, settle
from dockerpty.host.shell.shell import PROMPT
from dockerpty.host.shell.started import Started, start
from dockerpty.host.transfer.inside import Survey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from dockerpty.host.requests import Plan
    from dockerpty.host.resolve import Resolved, Start
    from dockerpty.host.results import CommandStatus, ExpectResult, RunResult, ShellCommand
    from dockerpty.host.sessions import Environment
    from dockerpty.host.shell.helper import Helper
    from dockerpty.host.shell.shell import Shell

    T = TypeVar("T")

_log = log.get(__name__)

#: The name of the session that a host's own `run`, `send` and `expect` use.
DEFAULT = ""

_CONTAINER = "the container"
# Exit code of a command that an interrupt ended.
_INTERRUPTED_CODE = 130


class HostCore:
    """A container as a host: what is known of it and what is open in it.

    Args:
        container_id, compose_project, service: which it is, see `reference`.
        start: what to do about one that does not run.
        name: for messages.
        teller: whose transcript is told what is done: has `name`, `log` and `log_stdout`.

    Attributes:
        default: the session of the host's own `run`, `send` and `expect`.
        sessions: the others, by their names.
        survey: what operations on files have found out.
    """

    def __init__(
        self,
        container_id: str,
        options: Options,
        *,
        compose_project: str = "",
        service: str = "",
        start: Start = False,
        name: str = "",
        teller: Any = None,
    ) -> None:
        self.name = name
        self.options = options
        self.state = resolve.State(of_host(container_id, compose_project, service), start=start, host=name)
        own = SessionOptions(
            options.tty, options.shell, options.user or "", options.workdir, options.environment
        )
        self.default = SessionCore(DEFAULT, own)
        self.sessions: dict[str, SessionCore] = {}
        self.survey = Survey()
        self.closed = False
        self._teller = teller
        self.helpers = Helpers(self._shells)
        self._discarded: list[Channel] = []
        # Shells that were let go of, and that no helper ends.
        self._orphans: list[Shell] = []

    # ---- the container -----------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise HostClosedError if this was closed."""
        if self.closed:
            raise HostClosedError("use", self.name, "it was closed", host=self.name)

    def found(self) -> Plan[Resolved]:
        """Give the container, running: as it was found last if it did run then."""
        self.check_open()
        known = self.state.known
        if known is not None and known.ready:
            return known
        return (yield from self._alone(resolve.current(self.state)))

    def found_again(self, before: Resolved | None) -> Plan[Resolved]:
        """Give the container, running, and not as it was known `before`."""
        return (yield from self._alone(self._again(before)))

    def in_container(self, work: Callable[[Resolved], Plan[T]], *, anew: bool = False) -> Plan[T]:
        """Do something in the container; once more if it turns out that it was replaced, or has to be started.

        Args:
            anew: what was known of it is doubtful: the engine is asked first.
        """
        yield from self._sweep()
        before = self.state.known
        found = (yield from self.found_again(before)) if anew else (yield from self.found())
        try:
            return (yield from work(found))
        except DockerptyError as error:
            if not is_away(error):
                raise
        return (yield from work((yield from self.found_again(found))))

    def refresh(self) -> Plan[Resolved]:
        """Look the container up, and start nothing."""
        self.check_open()
        return (yield from self._alone(resolve.refresh(self.state)))

    def there(self) -> Plan[Resolved]:
        """Give the container in whatever state: its files are there also when it does not run."""
        self.check_open()
        return self.state.known or (yield from self.refresh())

    def point_at(self, container_id: str, compose_project: str, service: str) -> None:
        """Be the host of another container from now on; connections to the old one are dropped before."""
        reference = of_host(container_id, compose_project, service)
        self.state = resolve.State(reference, start=self.state.start, host=self.name)
        self.survey = Survey()

    def is_running(self) -> Plan[bool]:
        """Ask whether it runs."""
        self.check_open()
        return (yield from self._alone(resolve.is_running(self.state)))

    def wait_running(self, timeout: float | None) -> Plan[Resolved]:
        """Wait until it runs."""
        self.check_open()
        return (yield from resolve.wait_running(self.state, timeout))

    def wait_healthy(self, timeout: float | None) -> Plan[Resolved]:
        """Wait until it says that it is healthy."""
        self.check_open()
        return (yield from resolve.wait_healthy(self.state, timeout))

    def _alone(self, plan: Plan[T]) -> Plan[T]:
        """Do something with what is known of the container, while nobody else does."""
        result: T = yield Alone(_CONTAINER, plan)
        return result

    def _again(self, before: Resolved | None) -> Plan[Resolved]:
        known = self.state.known
        # Whoever came before has asked already.
        if known is not None and known is not before and known.ready:
            return known
        return (yield from resolve.again(self.state))

    # ---- commands ----------------------------------------------------------------------------------------------------

    def oneshot(
        self,
        command: str | Sequence[str],
        timeout: float | None = None,
        *,
        user: str | None = None,
        workdir: str | None = None,
        env: Environment | None = None,
        **more: Any,
    ) -> Plan[CommandStatus]:
        """Run a command in a process of its own; see `oneshot.oneshot`."""
        options = self.options
        told = self._told(command)
        if told is not None:
            more["on_output"] = told.also(more.get("on_output"))

        def work(found: Resolved) -> Plan[CommandStatus]:
            return oneshot(
                found.id,
                command,
                timeout,
                user=options.user or "" if user is None else user,
                workdir=options.workdir if workdir is None else workdir,
                environment=(*options.environment, *environment_list(env)),
                privileged=options.privileged,
                output_limit=options.output_limit,
                keep=options.keep,
                encoding=options.encoding,
                errors=options.errors,
                host=self.name,
                **more,
            )

        try:
            return (yield from self.in_container(work))
        finally:
            if told is not None:
                told.end()

    def run(
        self,
        session: SessionCore,
        commands: Any,
        expects: Any = None,
        timeout: float | None = None,
        **more: Any,
    ) -> Plan[RunResult]:
        """Run commands in a session; see `running.run_many`."""

        def give_shell() -> Plan[Shell]:
            return self.shell_of(session)

        before = session.interrupts
        result = yield from run_many(
            commands,
            give_shell,
            expects=expects,
            timeout=timeout,
            **self._manner(),
            **more,
        )
        if session.interrupts > before:
            return type(result)(
                each._replace(interrupted=True) if each.retcode == _INTERRUPTED_CODE else each
                for each in result
            )
        return result

    def start(
        self,
        session: SessionCore,
        command: ShellCommand | str,
        timeout: float | None = None,
        *,
        merge: bool = False,
    ) -> Plan[Started]:
        """Start a command in a session; see `started.start`."""
        shell = yield from self.shell_of(session)
        return (yield from start(shell, command, timeout=timeout, merge=merge, **self._manner()))

    def _manner(self) -> dict[str, Any]:
        """Give how every command of this host is run."""
        options = self.options
        return {
            "output_limit": options.output_limit,
            "keep": options.keep,
            "encoding": options.encoding,
            "errors": options.errors,
            "recover": self.helpers.recover,
            "has_terminal": self.helpers.has_terminal,
            "follow": self._told,
        }

    # ---- sessions ----------------------------------------------------------------------------------------------------

    def session(
        self,
        name: str,
        is_held: Callable[[str], bool],
        *,
        env: Environment | None = None,
        prompt: str | None = PROMPT,
        **given: Any,
    ) -> SessionCore:
        """Give the session of a name: the one that is open, or a new one that opens at its first use.

        Args:
            is_held: whether a plan of this key is driven, and may be opening the session.
            env, prompt, given: of `SessionOptions`. What is None, of the prompt what is usual, is not asked for: a
                new one has it as the host.

        Raises:
            ValueError: one is open, and has other options.
        """
        self.check_open()
        if not name:
            raise ValueError("a session has a name: the one without is the host's own")
        chosen = {option: value for option, value in given.items() if value is not None}
        if env is not None:
            chosen["environment"] = (*self.options.environment, *environment_list(env))
        if prompt != PROMPT:
            chosen["prompt"] = prompt
        known = self.sessions.get(name)
        if known is None:
            known = self.sessions[name] = SessionCore(name, replace(self.default.options, **chosen))
        elif known.alive or is_held(known.key):
            for option, value in chosen.items():
                has = getattr(known.options, option)
                if value != has:
                    raise ValueError(f"the session {name!r} is open with {option}={has!r}, and not {value!r}")
        else:
            # Whoever still has the one whose shell is gone, or never came, shares what comes now.
            known.options = replace(self.default.options, **chosen)
        return known

    def open(self, session: SessionCore) -> Plan[None]:
        """Have the shell of a session there."""
        yield from self.shell_of(session)

    def shell_of(self, session: SessionCore) -> Plan[Shell]:
        """Give the shell of a session, ready for a command: the one there was, or another one."""
        self.check_open()
        if session.closed:
            raise HostClosedError("use", f"the session {session.name!r}", "it was closed", host=self.name)
        if session.discarded:
            for channel in session.discarded:
                yield Close(channel)
            session.discarded.clear()

        def reopen() -> Plan[Shell]:
            opened = yield from self.in_container(open_there, anew=session.shell is not None)
            session.restarted += session.shell is not None
            return opened

        def open_there(found: Resolved) -> Plan[Shell]:
            options, own = self.options, session.options
            return (
                yield from open_shell(
                    found.id,
                    own.shell,
                    tty=own.tty,
                    user=own.user,
                    workdir=own.workdir,
                    environment=own.environment,
                    size=options.size,
                    privileged=options.privileged,
                    login=own.login,
                    prompt=own.prompt,
                    encoding=options.encoding,
                    errors=options.errors,
                    host=self.name,
                )
            )

        before = session.shell
        shell = yield from live(before, reopen, self.helpers.recover)
        session.shell, session.untold = shell, False
        if shell is not before:
            # One without a terminal ends by itself when we do.
            yield Meanwhile(self.helpers.guard(shell), optional=not shell.tty)
        return shell

    def send(self, session: SessionCore, text: str | bytes, *, log: bool = True) -> Plan[None]:
        """Send keys to the terminal of a session."""
        shell = yield from self._shell_for_keys(session)
        if transcript.is_told(self._teller, log):
            told = text if isinstance(text, str) else text.decode(self.options.encoding, "replace")
            transcript.tell(self._teller, told)
        yield from waiting.send(shell, text, encoding=self.options.encoding)

    def expect(
        self, session: SessionCore, patterns: Any, timeout: float | None, **more: Any
    ) -> Plan[ExpectResult]:
        """Wait for what comes from the terminal of a session."""
        shell = yield from self._shell_for_keys(session)
        return (yield from waiting.expect(shell, patterns, timeout, **more))

    def interrupt(self, session: SessionCore, *, is_held: Callable[[], bool]) -> Plan[bool]:
        """Interrupt what runs in a session.

        Args:
            is_held: whether somebody drives a plan of the session, and so reads what its shell says.

        Returns:
            whether the shell is back.
        """
        self.check_open()
        shell = session.shell
        if shell is None or shell.over:
            return True
        if is_held():
            session.interrupts += 1
            return (yield from self.helpers.interrupt_beside(shell, is_held))
        helper = yield from self.helpers.of(shell)
        back: bool = yield Alone(session.key, _interrupted(shell, helper))
        return back

    def tidy(self, session: SessionCore) -> Plan[None]:
        """Bring the shell of a session back from a command that was given up."""
        shell = session.shell
        if shell is not None and not shell.over:
            yield from settle(shell, self.helpers.recover)
            session.untold = shell.over

    def hang_up(self, session: SessionCore) -> Plan[None]:
        """End a session, also under the hands of whoever uses it."""
        session.closed = True
        self.sessions.pop(session.name, None)
        shell = session.shell
        if shell is not None and not shell.over:
            # With the host its helper goes, and all that it ends: too late for who waits for the end of its command.
            if shell.busy or not (self.closed and self.helpers.ends(shell)):
                yield from self.helpers.end(shell)
            shell.channel.cut()

    def closed_up(self, session: SessionCore) -> Plan[None]:
        """Close what a session has, once nobody uses it any more."""
        channels, session.discarded = session.discarded, []
        if session.shell is not None:
            session.shell.over = True
            channels.append(session.shell.channel)
        for channel in channels:
            yield Close(channel)

    def close(self) -> Plan[None]:
        """End all that is open in the container; sessions are closed before."""
        self.closed = True
        yield from self.helpers.close()
        yield from self._sweep()

    def let_go(self, is_held: Callable[[str], bool]) -> None:
        """Drop every connection, without waiting for anything: the next use opens others.

        Args:
            is_held: whether a plan of this key may be at it, and reads the connection.
        """
        guarded = self.helpers.let_go()
        for session in self._all():
            shell = session.shell
            if shell is None or shell.over:
                continue
            shell.over, shell.why = True, "its connections were rebuilt"
            if shell.pid not in guarded and not shell.channel.ended:
                self._orphans.append(shell)
            shell.channel.cut()
            if is_held(session.key):
                session.discarded.append(shell.channel)
            else:
                shell.channel.close()

    # ---- what they have in common ------------------------------------------------------------------------------------

    def _told(self, command: str | Sequence[str]) -> Told | None:
        """Tell a command to the transcript; what it says goes the same way."""
        if not transcript.is_told(self._teller):
            return None
        transcript.tell(self._teller, command if isinstance(command, str) else " ".join(command))
        return Told(self._teller, self.options.encoding, self.options.errors)

    def _all(self) -> list[SessionCore]:
        return [self.default, *self.sessions.values()]

    def _shells(self) -> list[Shell]:
        return [each.shell for each in self._all() if each.alive and each.shell is not None]

    def _shell_for_keys(self, session: SessionCore) -> Plan[Shell]:
        shell = session.shell
        if session.untold and shell is not None:
            session.untold = False
            why = shell.why or "it has ended"
            raise SessionLostError("use", "the shell", why, exit_code=shell.exit_code, host=self.name)
        if shell is None or shell.over or shell.busy or session.closed or self.closed:
            shell = yield from self.shell_of(session)
        return shell

    def _sweep(self) -> Plan[None]:
        """End what was let go of."""
        orphans, self._orphans = self._orphans, []
        if orphans:
            yield Meanwhile(_end_all(orphans))


def _interrupted(shell: Shell, helper: Helper | None) -> Plan[bool]:
    try:
        return (yield from interrupt_idle(shell, helper))
    except GeneratorExit:
        raise
    except BaseException:
        # What is typed next would be dropped with the key: the shell is to be seen back first.
        yield from interrupt_idle(shell, helper)
        raise


def _end_all(shells: list[Shell]) -> Plan[None]:
    for shell in shells:
        problem = yield from kill(shell.channel)
        _log.debug("a shell that was let go of: %s", problem or "ended")
