"""One session: the host's terminal made raw, the loop that serves it, and every way out.

The order of things is the point of this file. Raw mode comes as late as possible and goes first; signals are noted
before anything can need them; whatever happens in between, the terminal, the handlers and the descriptors are as they
were. What is peculiar to a container or to an exec is asked of the operation.
"""

from __future__ import annotations

import os
import time

from dockerpty import log
from dockerpty import plain_signal as signal
from dockerpty.errors import DockerptyError, SessionLost, SessionTimeout
from dockerpty.guardian import Guardian
from dockerpty.host_io import may_need_thread
from dockerpty.pumps import InputPump, OutputPump
from dockerpty.result import STDOUT_CLOSED_CODE
from dockerpty.signals import Signals, die_by, forwardable, name_of, undisturbed
from dockerpty.tty import Terminal, give_back_for_parent, held_descriptors, is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from dockerpty.io import Pump
    from dockerpty.loop import Loop
    from dockerpty.result import Reason, SessionResult

    class WindowWatch(Protocol):
        """What follows the size of the host's terminal."""

        def start(self) -> None: ...
        def stop(self) -> None: ...


_log = log.get(__name__)

#: What was typed has had no answer for so long: is the container paused?
STALLED_S = 2.0
#: So many signals that ask to end, within so many seconds, end us and not only the container.
INSISTENCE, INSISTENCE_S = 3, 5.0
#: Who is over by then needs no guardian, whose fork takes as long as a tenth of the shortest command.
_GUARDED_AFTER_S = 0.1
#: What is said to the engine when our terminal has gone has so long to be answered.
FAREWELL_S = 2.0
#: A SIGHUP that is no older tells of the same end of the terminal as the terminal itself.
SAME_HANG_UP_S = 1.0


class Options:
    """How a session behaves; what each means stands with `dockerpty.start`."""

    __slots__ = (
        "detach_keys",
        "detach_timeout",
        "idle_timeout",
        "raw",
        "read_only",
        "resize",
        "sig_proxy",
        "size",
        "stdin_eof",
        "timeout",
    )

    def __init__(
        self,
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
    ) -> None:
        if stdin_eof not in ("auto", "close", "eot", "ignore"):
            raise ValueError(f"stdin_eof is {stdin_eof!r}, not one of auto, close, eot, ignore")
        for name, seconds in (
            ("timeout", timeout),
            ("idle_timeout", idle_timeout),
            ("detach_timeout", detach_timeout),
        ):
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"{name} is {seconds!r}, not a number of seconds")
        if size is not None and not (len(size) == 2 and all(0 < number <= 65535 for number in size)):
            raise ValueError(f"size is {size!r}, not rows and columns from 1 to 65535")
        self.detach_keys = detach_keys
        self.sig_proxy = sig_proxy
        self.resize = resize
        self.raw = raw
        self.timeout = timeout
        self.idle_timeout = idle_timeout
        self.read_only = read_only
        self.stdin_eof = stdin_eof
        self.detach_timeout = detach_timeout
        self.size = size


class Bridge:
    """Run one session of an operation, once.

    Args:
        operation: a `dockerpty.pty.Operation`.
        loop: which serves it all.
        window: watches the size of the host's terminal; started and stopped with the loop.
        result: filled as the session goes.
        notice: takes a line for the user, only while the terminal is not raw.
    """

    def __init__(
        self,
        operation: Any,
        loop: Loop,
        window: WindowWatch,
        result: SessionResult,
        options: Options,
        notice: Callable[[str], None],
    ) -> None:
        self._operation = operation
        self._loop = loop
        self._window = window
        self._result = result
        self._options = options
        self._notice = notice
        self._terminal = Terminal(None, raw=False)
        self._holds_log = False
        self._signals = Signals(self._signalled, self._meanwhile)
        self._pumps: list[Pump] = []
        self._inputs: list[InputPump] = []
        self._outputs: list[OutputPump] = []
        self._waited_for: list[Pump] = []
        self._die_by: int | None = None
        #: Our end was insisted on before there was a loop.
        self._gives_up = False
        self._timed_out = ""
        self._verdict: int | SessionTimeout | None = None
        self._insisted: list[float] = []
        self._heard_hang_up = False
        self._passed_on_hang_up_at = -SAME_HANG_UP_S
        self._notices: list[str] = []
        self._guardian: Guardian | None = None
        self._guarded_at: float | None = None
        self._typed_at: float | None = None
        #: When something moved last; and when it was asked last why nothing does, which moves nothing.
        self._active = 0.0
        self._asked_at = 0.0

    def run(self, sockets: Any) -> int | None:
        """Bridge until the session ends. See `dockerpty.pty.PseudoTerminal.start` for what is returned and raised."""
        operation = self._operation
        self._result.started = time.time()
        code = None
        try:
            undisturbed(self._listen)
            operation._prepare()
            if sockets is None:
                sockets = self._attach()
            operation._bind(self._loop)
            try:
                undisturbed(self._enter_terminal)
                self._begin(sockets)
                self._serve()
                if operation._over or not self._withholds():
                    self._verdict = operation._verdict()
            except BaseException as error:
                if isinstance(error, SessionLost):
                    self._result.reason = "lost"  # it may have been started all the same
                undisturbed(self._leave_terminal)
                # Whatever ended us here, what was started for us is not to live on. A stdout that is full is no better
                # than one that is closed.
                unwritable = isinstance(error, DockerptyError) and error.action == "write to"
                problem = operation._abandoned(
                    signal.SIGPIPE if unwritable else self._die_by or signal.SIGTERM
                )
                _log.debug("abandoned: %s", problem)
                raise
            undisturbed(self._leave)
            code = self._end()
        except SystemExit:
            if not self._gives_up:
                raise
        finally:
            try:
                undisturbed(self._restore)
                operation._identify(self._result)
                self._warn(operation._keep_record())
            finally:
                operation._close()
        if self._die_by is not None:
            if self._gives_up:
                # Callers that wait with us have something to put in order, too: Ctrl-C is theirs as it was before us.
                signal.raise_signal(self._die_by)
            die_by(self._die_by)
            # The first process of a PID namespace does not die by default actions.
            raise SystemExit(128 + self._die_by)
        return code

    # In and out of the terminal --------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._signals.start()
        if self._options.sig_proxy:
            self._signals.note(forwardable())

    def _attach(self) -> Any:
        """Attach, which may take as long as the engine likes: it may be stuck."""
        try:
            return self._operation._attach()
        except SystemExit:
            if self._die_by is not None:
                # What was asked for may be done yet.
                self._warn(self._operation._abandoned(self._die_by))
            raise

    def _meanwhile(self, number: int) -> None:
        """In a handler, before the loop: a signal is kept for the process, and whoever insists need not wait for it."""
        if number in (signal.SIGINT, signal.SIGTERM) and self._insists():
            self._die_by, self._gives_up = number, True
            raise SystemExit(128 + number)

    def _leave(self) -> None:
        self._leave_terminal()
        self._signals.stop()

    def _enter_terminal(self) -> None:
        operation = self._operation
        self._terminal = Terminal(operation.stdin, raw=bool(operation.israw()))
        if self._terminal.raw:
            # Noted before the terminal is raw: there is no moment in which a signal would leave it so.
            self._signals.note(forwardable(), only_default=True)
            self._signals.note({signal.SIGTSTP, signal.SIGCONT}, only_default=True)
            log.hold()
            self._holds_log = True
            self._terminal.start()
        elif operation.is_tty() and is_terminal(operation.stdout):
            # Nobody types, but what the far side switches on here is to be switched off, whatever ends us.
            self._signals.note(forwardable(), only_default=True)
        places = ((operation.stdin, os.R_OK), (operation.stdout, os.W_OK), (operation.stderr, os.W_OK))
        if any(may_need_thread(place, mode) for place, mode in places):
            self._appoint_guardian()  # beside a thread nobody can be forked any more
        else:
            self._guarded_at = time.monotonic() + _GUARDED_AFTER_S
            self._loop.at(lambda: self._guarded_at, lambda: undisturbed(self._appoint_guardian))
        self._loop.watch(self._signals)

    def _leave_terminal(self) -> None:
        """Give the terminal and the log back, and then say what had to wait. A second call does nothing."""
        cut = b""
        if self._result.reason is not None:
            cut = b"\r\n" if self._terminal.original_attributes is not None else b""
        elif isinstance(self._verdict, SessionTimeout) and self._operation.is_tty():
            cut = b"\n"  # where a script types, ours was never raw
        try:
            for pump in self._outputs:
                if pump.modes is not None and not pump.to_stream.closed:
                    # In the middle of the remote's line: what is said next begins a line of its own.
                    undo = pump.modes.undo() + cut
                    if undo:
                        pump.to_stream.write(undo)
                pump.settle()
        except OSError as error:  # the terminal is gone, and with it what was switched on
            _log.debug("modes not undone: %s", error)
        finally:
            self._terminal.stop()
            if self._holds_log:
                self._holds_log = False
                log.release()
            self._window.stop()
        while self._notices:
            self._notice(self._notices.pop(0))

    def _appoint_guardian(self) -> None:
        """Somebody has to act if we are killed: for an exec that would live on, and a terminal that would stay raw."""
        self._guarded_at = None
        will = self._operation._last_will()
        held = held_descriptors()
        if self._guardian is not None or (will is None and not held):
            return

        def last_will() -> None:
            give_back_for_parent()
            if will is not None:
                will()

        self._guardian = Guardian(last_will, held)

    def _suspend(self) -> None:
        """SIGTSTP: stop as we were asked to, with the terminal as it was, and take it again afterwards."""
        self._signals.forget(signal.SIGTSTP)
        for pump in self._outputs:
            pump.settle()
        undisturbed(self._terminal.suspend)
        signal.raise_signal(signal.SIGTSTP)
        self._signals.note({signal.SIGTSTP}, only_default=True)
        self._resume()

    def _resume(self) -> None:
        undisturbed(self._retake_terminal)
        self._operation._redraw()

    def _retake_terminal(self) -> None:
        self._terminal.start()
        self._terminal.suspended()
        self._appoint_guardian()  # of a session that came up in the background

    # While it runs ---------------------------------------------------------------------------------------------------

    def _begin(self, sockets: Any) -> None:
        # Before the size is read and sent: of a change in between nobody else would tell.
        self._window.start()
        self._pumps = self._operation.start(sockets=sockets)
        self._inputs = [pump for pump in self._pumps if isinstance(pump, InputPump)]
        self._outputs = [pump for pump in self._pumps if isinstance(pump, OutputPump)]
        for output in self._outputs:
            output.questions = self._inputs
        self._operation._observe(self._inputs, self._outputs)
        self._waited_for = [pump for pump in self._pumps if pump.wait_for_output] or self._pumps
        for pump in self._pumps:
            self._loop.pump(pump)
            if isinstance(pump, (InputPump, OutputPump)):
                self._loop.at(pump.release_at, pump.release)
        self._active = time.monotonic()
        if self._options.timeout is not None:
            until = self._operation._until or self._active + self._options.timeout
            self._loop.at(
                lambda: until, lambda: self._time_out(f"it took longer than {self._options.timeout:g} s")
            )
        if self._options.idle_timeout is not None:
            self._loop.at(self._idle_until, self._idle)
        self._loop.at(self._silent_until, self._silent)
        if self._terminal.original_attributes is None:
            self._loop.at(self._stalled_at, self._stalled)

    def _serve(self) -> None:
        # What is noted is counted when it is acted on.
        self._signals.meanwhile = None
        self._insisted.clear()
        while not self._is_over():
            self._loop.turn(linger=self._may_linger())
            if self._count():
                self._active = self._loop.moved_at
        if self._options.sig_proxy and self._is_terminal_gone():
            self._pass_on_hang_up()

    def _pass_on_hang_up(self) -> None:
        """Our terminal is gone: the process is told once, whether the signal has come, will come or never does."""
        now = time.monotonic()
        until = now + FAREWELL_S
        self._loop.at(lambda: until, lambda: None)
        if now - self._passed_on_hang_up_at >= SAME_HANG_UP_S and self._signals.notes(signal.SIGHUP):
            self._operation.send_signal(signal.SIGHUP)
        while not self._operation._has_said_all() and time.monotonic() < until:
            self._loop.turn()

    def _is_terminal_gone(self) -> bool:
        return any(pump.hung_up for pump in self._inputs) or any(pump.hung_up for pump in self._outputs)

    def _may_linger(self) -> bool:
        """Bytes may pass by themselves, but where somebody decides by them, or pumps are not ours."""
        if self._operation._observes:
            return False
        watched = self._terminal.original_attributes is None and bool(self._inputs)
        return not watched and len(self._inputs) + len(self._outputs) == len(self._pumps)

    def _is_over(self) -> bool:
        # Asked after each turn: plain loops, since a generator for each question costs more than the question.
        result, operation = self._result, self._operation
        for pump in self._inputs:
            if pump.hung_up or pump.lost:
                result.reason = "lost"
            elif pump.detached:
                result.reason = "detached"
        for output in self._outputs:
            if output.hung_up:
                result.reason = "lost"
            elif output.stdout_closed:
                result.reason = result.reason or "stdout-closed"
            elif output.lost:
                result.reason = result.reason or "lost"
        if operation._failure is not None:
            raise operation._failure
        if self._timed_out:
            result.reason = result.reason or "timeout"
        if self._die_by is not None or result.reason is not None or operation._over:
            return True
        for waited_for in self._waited_for:
            if not waited_for.is_done():
                return False
        return bool(operation._settled())

    def _signalled(self, number: int) -> None:
        if number == signal.SIGTSTP:
            self._suspend()
        elif number == signal.SIGCONT:
            self._resume()
        elif not self._options.sig_proxy:
            self._die_by = number
        else:
            self._forward(number)

    def _forward(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._heard_hang_up = True
            if self._is_terminal_gone():
                return  # `_pass_on_hang_up` tells the process of both
            self._passed_on_hang_up_at = time.monotonic()
        if number in (signal.SIGINT, signal.SIGTERM):
            if self._insists():
                self._die_by = number
                return
            if len(self._insisted) == 2 and self._operation._ignores_signals():
                self._tell(
                    f"sent {name_of(number)} twice: the first process of a container ignores it unless it handles it;"
                    " `docker stop` ends it, `--init` avoids this, and one more signal ends only me"
                )
        if not self._operation.send_signal(number):
            self._die_by = number

    def _insists(self) -> bool:
        """Say whether this signal that asks to end is one of many."""
        now = time.monotonic()
        self._insisted = [at for at in self._insisted if now - at < INSISTENCE_S] + [now]
        return len(self._insisted) >= INSISTENCE

    def _tell(self, line: str) -> None:
        if self._terminal.original_attributes is None:
            self._notice(line)
        else:
            self._notices.append(line)

    def _count(self) -> bool:
        """Count what has moved; say whether anything has."""
        result = self._result
        before = result.bytes_in, result.bytes_out
        result.bytes_in = result.bytes_out = 0
        for pump in self._inputs:
            result.bytes_in += pump.moved
        for output in self._outputs:
            result.bytes_out += output.moved
        if result.bytes_out != before[1]:
            self._typed_at = None
        elif result.bytes_in != before[0]:
            self._typed_at = time.monotonic()
        return (result.bytes_in, result.bytes_out) != before

    # Time ------------------------------------------------------------------------------------------------------------

    def _time_out(self, why: str) -> None:
        self._timed_out = why

    def _idle_until(self) -> float | None:
        return self._active + (self._options.idle_timeout or 0.0)

    def _idle(self) -> None:
        # What came in this very turn is counted after it.
        if self._count():
            self._active = time.monotonic()
        else:
            self._time_out(f"nothing moved for {self._options.idle_timeout:g} s")

    def _silent_until(self) -> float | None:
        # Only while we were ready to take something: a stopped terminal is no silence of the far side's.
        for output in self._outputs:
            if not output.eof and output.has_room():
                return max(self._active, self._asked_at) + float(self._operation._silence_s)
        return None

    def _stalled_at(self) -> float | None:
        return None if self._typed_at is None else self._typed_at + STALLED_S

    def _stalled(self) -> None:
        self._typed_at = None
        self._operation._stalled(self._tell)

    def _silent(self) -> None:
        # What came in this very turn is no silence: we may have been stopped for a while.
        self._asked_at = time.monotonic()
        if self._count():
            self._active = self._asked_at
        else:
            self._operation._silent()

    # The end ---------------------------------------------------------------------------------------------------------

    def _end(self) -> int | None:
        """Learn what became of the process, with the terminal given back and the caller's own handlers in place."""
        result, operation = self._result, self._operation
        self._count()
        unserved = self._signals.unserved()
        if (
            self._die_by is None
            and unserved
            and (not self._options.sig_proxy or not operation._ignores_signals())
        ):
            self._die_by = unserved[0]
        if self._die_by is not None or result.reason is not None:
            self._release()  # nobody will learn any more whether this was the text of a failed start
        try:
            if self._die_by is not None:
                self._warn(operation._abandoned(self._die_by))
                return None
            if result.reason == "stdout-closed":
                self._warn(operation._abandoned(signal.SIGPIPE))
                result.exit_code = STDOUT_CLOSED_CODE
                return STDOUT_CLOSED_CODE
            if result.reason == "timeout":
                self._warn(operation._abandoned(signal.SIGTERM, timed_out=True))
                raise SessionTimeout("go on with", operation.describe(), self._timed_out)
            if result.reason == "detached":
                return None
            if result.reason == "lost":
                if self._is_terminal_gone():
                    self._warn(operation._abandoned(signal.SIGHUP))
                    # Of our controlling terminal the kernel also tells by SIGHUP, and then we die by that.
                    heard = self._heard_hang_up or signal.SIGHUP in unserved
                    if heard and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
                        self._die_by = signal.SIGHUP
                        return None
                    gone = SessionLost("go on with", operation.describe(), "the terminal is gone")
                    gone.on_our_side = True
                    raise gone
                failures = [pump.failure for pump in self._outputs] + [pump.failure for pump in self._inputs]
                failure = next(filter(None, failures), None)
                reason = str(failure or "the connection ended in the middle of a frame")
                raise SessionLost("go on with", operation.describe(), reason, operation._if_lost) from failure
            ended = None
            if self._withholds() and not operation._over:
                # A script may wait for that very text.
                ended = self._finish()
                self._verdict = operation._verdict()
            self._release()
            verdict = self._verdict
            if verdict is not None:
                # A script has the last word; the process ends as at a time limit.
                self._warn(operation._abandoned(signal.SIGTERM, timed_out=True))
                if isinstance(verdict, SessionTimeout):
                    raise verdict
                result.reason, result.exit_code = "exited", verdict
            else:
                result.reason = ended or self._finish()
            for pump in self._outputs:
                pump.drain()
                if pump.stdout_closed:
                    result.reason, result.exit_code = "stdout-closed", STDOUT_CLOSED_CODE
            return result.exit_code
        except (SessionLost, SessionTimeout) as error:
            result.reason = "timeout" if isinstance(error, SessionTimeout) else "lost"
            error.result = result
            raise
        finally:
            self._count()
            result.ended = time.time()

    def _finish(self) -> Reason:
        """Learn how the process ended. What was withheld is output, unless that takes it: nothing was started."""
        try:
            ended: Reason = self._operation._finish(self._result)
        finally:
            self._release()
        if ended == "lost":
            operation, reason = self._operation, "the engine no longer knows it"
            raise SessionLost("learn the exit code of", operation.describe(), reason, operation._if_lost)
        return ended

    def _withholds(self) -> bool:
        return any(pump.holds for pump in self._outputs)

    def _release(self) -> None:
        for pump in self._outputs:
            pump.release()

    def _warn(self, problem: str) -> None:
        if problem:
            self._notice(problem)

    def _restore(self) -> None:
        """Whatever happened: the terminal, the handlers and the children are as before."""
        self._leave()
        self._count()
        if self._guardian is not None:
            self._guardian.dismiss()
        if self._result.ended is None:
            self._result.ended = time.time()
