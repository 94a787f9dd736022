"""Commands run in an open shell, one or several: to their end, to the end of their time, or to the shell's.

What a command writes is its own from its begin mark to its end mark. What is a matter of the whole session, such as
who opens a shell anew, is given to these plans as plans.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from dockerpty import log
from dockerpty.host.departure import Vigil, give_up, learn_end
from dockerpty.host.errors import SessionBusyError
from dockerpty.host.feeding import NOTHING, free, open_feeder, release
from dockerpty.host.framing import STDERR, STDOUT, Begin, End, Go, Probed
from dockerpty.host.oneshot import OUTPUT_LIMIT, Output
from dockerpty.host.requests import Wait
from dockerpty.host.results import CommandStatus, RunResult, ShellCommand, Status, answers
from dockerpty.host.stdin import Stdin
from dockerpty.matching import Responder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from dockerpty.host.feeding import Feeder
    from dockerpty.host.oneshot import OnOutput
    from dockerpty.host.requests import Plan
    from dockerpty.host.shell import Shell

    #: Interrupts what runs in a shell, and says whether the shell is back, with its state. It is given the shell, and
    #: when its command was sent, by `time.monotonic`.
    Recover = Callable[[Shell, float], Plan[bool]]
    #: Says whether a shell has its own terminal, and no program that it started.
    HasTerminal = Callable[[Shell], Plan[bool]]

_log = log.get(__name__)

#: Of a command that was interrupted by a key: 128 + SIGINT.
INTERRUPTED_CODE = 130

# How often a key is tried, what it takes until the line behind it is not dropped with it, and until the shell is back.
_TRIES, _KEY_S, _TRY_S = 3, 0.05, 0.5
# For a program that was sent to the shell to give its terminal back, and how often that is looked at.
_TERMINAL_S, _LOOK_S = 0.5, 0.02


class _Run:
    """A command on its way: what it has written, and what it is answered."""

    def __init__(self, output: Output, expects: Any, encoding: str, errors: str) -> None:
        self.output = output
        self.began = self.interrupted = False
        self.code: int | None = None
        self.answer: Callable[[bytes], None] = lambda data: None
        # What comes on the one stream is no part of what comes on the other.
        listed = answers(expects)
        streams = (STDOUT, STDERR) if listed else ()
        self._responders = {stream: Responder(listed, encoding, errors) for stream in streams}

    def take(self, stream: int, data: bytes) -> None:
        """Take output of the command."""
        self.output.take(stream, data)
        if self._responders:
            for response in self._responders[stream].feed(data):
                self.answer(response)

    @property
    def expects(self) -> bool:
        """Whether there is anything to answer to."""
        return bool(self._responders)


def by_keys(shell: Shell, started: float) -> Plan[bool]:
    """Interrupt what runs in a shell by its terminal, and say whether the shell is back."""
    if not shell.tty:
        return False
    for _ in range(_TRIES):
        shell.channel.write(b"\x03")
        yield from _watch(shell, time.monotonic() + _KEY_S)
        shell.channel.write(shell.framing.probe())
        if (yield from _watch(shell, time.monotonic() + _TRY_S)):
            return True
    return False


def _watch(shell: Shell, until: float) -> Plan[bool]:
    """Read until a probe has come back, or the time is over."""
    while True:
        if any(isinstance(event, Probed) for event in shell.take()):
            return True
        if shell.channel.ended or time.monotonic() >= until:
            return False
        yield Wait((shell.channel,), until)


def live(shell: Shell | None, reopen: Callable[[], Plan[Shell]], recover: Recover = by_keys) -> Plan[Shell]:
    """Give a shell that takes commands: this one, brought back to its prompt if it was left, or else another one.

    That the state of the old one is gone is said in the log, and by the next command's result.

    Args:
        shell: the one of the last command; None before there was any.
        reopen: opens another one.
    """
    if shell is not None and not shell.over:
        shell.take()
        if shell.busy and not shell.channel.ended:
            back = yield from recover(shell, shell.sent)
            if not back and not shell.channel.ended:
                yield from give_up(shell, "it could not be brought back from a command that was given up")
        if shell.channel.ended:
            yield from learn_end(shell)
    if shell is not None and not shell.over:
        return shell
    opened = yield from reopen()
    if shell is not None and (shell.used or shell.replaces):
        opened.replaces = True
        _log.warning("the shell of %s is another one: %s", shell.host, shell.why or "it had ended with 0")
    return opened


def run_one(
    shell: Shell,
    command: ShellCommand | str,
    *,
    timeout: float | None = None,
    stdin: Any = None,
    expects: Any = None,
    merge: bool = False,
    output_limit: int = OUTPUT_LIMIT,
    on_output: OnOutput | None = None,
    encoding: str = "utf-8",
    errors: str = "replace",
    recover: Recover = by_keys,
    has_terminal: HasTerminal | None = None,
) -> Plan[CommandStatus]:
    """Run a command in a shell that is ready for it.

    Args:
        command: what it leaves open of `timeout`, `stdin` and `expects` is as given here.
        timeout: seconds from when it is sent; then it is interrupted, and the shell is brought back.
        stdin: bytes, text, a path of this machine, or a file. None: without a terminal nothing, with one that.
        expects: what to answer to; see `results.answers`. Without a terminal through a fifo, up to the end of `stdin`.
            Each stream is searched, and counted, by itself.
        merge: stderr goes where stdout goes, in exact order.
        output_limit: bytes that are kept of each stream, the first.
        on_output: called with each piece of output, also of what is not kept, as (stream, bytes).
        encoding, errors: of `output`, of responses, and of `stdin` that is text.
        recover: brings the shell back when the time is over.
        has_terminal: asked when something was sent raw before.

    Raises:
        ValueError: a command that no shell can take; a `timeout` of 0 or less; no way to give it `stdin`.
        SessionBusyError: a program has the terminal. Nothing was sent.
        RuntimeError: a command runs in this shell.
    """
    if isinstance(command, str):
        command = ShellCommand(command)
    limit = check_timeout(timeout if command.timeout is None else command.timeout)
    wanted = expects if command.expects is None else command.expects
    run = _Run(Output(on_output, output_limit), wanted, encoding, errors)
    yield from _await_terminal(shell, has_terminal)
    started, begin = datetime.now(UTC), time.monotonic()
    source = None
    feeder: Feeder | None = None
    abandoned = False
    try:
        given = stdin if command.stdin is None else command.stdin
        if given is not None:
            source = Stdin(given, encoding)
        path = ""
        if isinstance(given, (str, bytes)) and not given:
            path = NOTHING
        elif source is not None or (run.expects and not shell.tty):
            # Before anything is started.
            shell.framing.check(command.cmd)
            feeder = yield from open_feeder(shell, source)
            path = feeder.path
        run.answer = shell.channel.write if shell.tty or feeder is None else feeder.write
        until = None if limit is None else time.monotonic() + limit
        shell.sink = run.take
        in_time = yield from _follow(shell, run, command.cmd, path, merge, feeder, until)
        if not in_time:
            yield from _bring_back(shell, recover)
    except GeneratorExit:
        abandoned = True
        raise
    finally:
        shell.sink = None
        if source is not None:
            source.close()
        if feeder is not None and not abandoned:
            yield from release(shell, feeder)
    if in_time and run.code is None and not run.interrupted:
        yield from learn_end(shell)
    return _status(
        shell,
        run,
        command.cmd,
        timed_out=not in_time,
        encoding=encoding,
        errors=errors,
        started=started,
        duration=time.monotonic() - begin,
    )


def check_timeout(seconds: float | None) -> float | None:
    """Give a time limit back.

    Raises:
        ValueError: it is none: 0 or less.
    """
    if seconds is not None and not seconds > 0:
        raise ValueError(f"a time limit is more than 0 seconds, not {seconds}; None is no limit")
    return seconds


def _await_terminal(shell: Shell, has_terminal: HasTerminal | None) -> Plan[None]:
    """Wait until what was sent raw is done with the terminal: what is typed into a program cannot be taken back."""
    if not shell.touched or has_terminal is None:
        return
    until = time.monotonic() + _TERMINAL_S
    while not (yield from has_terminal(shell)):
        if shell.channel.ended:
            return
        if time.monotonic() >= until:
            raise SessionBusyError(
                "run a command in",
                "the shell",
                "a program that was started by send() has its terminal",
                "end that first, or call interrupt()",
                host=shell.host,
            )
        # What it writes meanwhile is there for `expect`.
        yield Wait((), time.monotonic() + _LOOK_S)
        shell.take()


def _follow(
    shell: Shell, run: _Run, text: str, stdin: str, merge: bool, feeder: Feeder | None, until: float | None
) -> Plan[bool]:
    """Send a command, and read until its end or the shell's; False if its time was over before."""
    channel = shell.channel
    request = shell.framing.request(text, stdin, merge=merge)
    shell.used, shell.touched, shell.sent = True, False, time.monotonic()
    channel.write(request.first)
    freed, vigil = False, Vigil(shell)
    while True:
        for event in shell.take():
            if isinstance(event, Begin):
                run.began = True
            elif isinstance(event, Go):
                channel.write(request.rest)
            elif isinstance(event, End):
                run.code = event.code
            elif isinstance(event, Probed):
                # Somebody else has interrupted it.
                run.interrupted = run.code is None
        if not shell.busy or (yield from vigil.sees_the_end()):
            return True
        now = time.monotonic()
        if until is not None and now >= until:
            return False
        next_look, waits_for = vigil.until, [channel]
        if feeder is not None:
            if feeder.serve():
                next_look = now
            if not feeder.channel.ended:
                waits_for.append(feeder.channel)
            elif not feeder.opened and not freed:
                # Nobody else would open it any more, and the shell wait for that for ever.
                freed = True
                yield from free(shell, feeder)
        yield Wait(tuple(waits_for), next_look if until is None else min(until, next_look))


def _bring_back(shell: Shell, recover: Recover) -> Plan[None]:
    back = yield from recover(shell, shell.sent)
    if shell.channel.ended:
        yield from learn_end(shell)
    elif not back:
        yield from give_up(shell, "a command whose time was over could not be interrupted")


def _status(shell: Shell, run: _Run, text: str, *, timed_out: bool, **more: Any) -> CommandStatus:
    code, error = run.code, ""
    if shell.over:
        error = shell.why
        if not timed_out:
            code = shell.exit_code
            more["shell_exited"] = shell.channel.error is None
            more["session_lost"] = shell.channel.error is not None
            more["skipped"] = not run.began and shell.channel.error is None
    elif run.interrupted:
        code = INTERRUPTED_CODE
        more["interrupted"] = True
    if shell.replaces:
        shell.replaces, more["session_lost"] = False, True
    status = CommandStatus.of(
        text,
        code,
        run.output.kept(STDOUT),
        run.output.kept(STDERR),
        terminal=shell.tty,
        timed_out=timed_out,
        dropped_bytes=run.output.dropped,
        error=error,
        host=shell.host,
        **more,
    )
    # A shell that said goodbye in a container that stopped has not done what it was asked.
    return status._replace(status=Status.Error) if status.ok and error else status


def run_many(
    commands: str | ShellCommand | Sequence[str | ShellCommand],
    give_shell: Callable[[], Plan[Shell]],
    *,
    timeout: float | None = None,
    stop_on_error: bool = False,
    check: bool = False,
    **more: Any,
) -> Plan[RunResult]:
    """Run commands one after the other, also after one that failed.

    Args:
        commands: one or several.
        give_shell: gives a shell that takes commands (see `live`); asked before each.
        timeout: seconds: of a single command its limit, of a sequence the budget of all. What comes after that is
            not run.
        stop_on_error: nothing is run after a failure.
        check: a failure is raised at once, also where a command says so itself.
        more: as for `run_one`, for all.

    Raises:
        CommandFailed: a command that is checked failed.
        ValueError, SessionBusyError: as `run_one`.
        Whatever `give_shell` raises.
    """
    alone = isinstance(commands, (str, ShellCommand))
    listed = [
        ShellCommand(each) if isinstance(each, str) else each
        for each in ([commands] if isinstance(commands, (str, ShellCommand)) else commands)
    ]
    for each in listed:
        check_timeout(each.timeout)
    check_timeout(timeout)
    until = None if timeout is None else time.monotonic() + timeout
    done: list[CommandStatus] = []
    for each in listed:
        left = None if until is None else until - time.monotonic()
        if stop_on_error and done and not done[-1].ok:
            why = done[-1].error if done[-1].skipped else "a command before it failed"
            status = CommandStatus.unrun(each.cmd, why)
        elif left is not None and left <= 0 and not alone:
            status = CommandStatus.unrun(each.cmd, f"the {timeout:g} s for all commands were over")
        else:
            if left is not None and not alone:
                each = replace(each, timeout=left if each.timeout is None else min(left, each.timeout))
            elif each.timeout is None:
                each = replace(each, timeout=timeout)
            status = yield from _run_anyway(give_shell, each, more)
        done.append(status)
        if check if each.check is None else each.check:
            status.check()
    return RunResult(done)


def _run_anyway(
    give_shell: Callable[[], Plan[Shell]], command: ShellCommand, more: dict[str, Any]
) -> Plan[CommandStatus]:
    """Run a command, in another shell if the first had ended before it got it."""
    status = yield from run_one((yield from give_shell()), command, **more)
    given = more.get("stdin") if command.stdin is None else command.stdin
    # Of a file some may have been read.
    if status.skipped and status.shell_exited and not hasattr(given, "read"):
        status = yield from run_one((yield from give_shell()), command, **more)
    return status
