"""What a `PseudoTerminal` drives, and what attaching to a container and starting an exec have in common."""

from __future__ import annotations

import sys
import time

from dockerpty import keys
from dockerpty.bridge import Options
from dockerpty.engine import calls
from dockerpty.engine.client import engine_of
from dockerpty.errors import DockerptyError, SessionLost
from dockerpty.host_io import NoInput, flush, open_input, open_output, same_target, unless_closed
from dockerpty.io import Pump, Stream
from dockerpty.modes import ModeTracker
from dockerpty.plan import drive
from dockerpty.pumps import InputPump, OutputPump, WatchPump
from dockerpty.signals import Resizer
from dockerpty.tty import first_size, is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeVar

    from dockerpty.container.ending import Asking, Ending
    from dockerpty.engine.calls import Reply
    from dockerpty.engine.client import Control, Engine
    from dockerpty.errors import SessionTimeout
    from dockerpty.loop import Loop
    from dockerpty.result import Reason, SessionResult
    from dockerpty.typist import Typist

    T = TypeVar("T")

#: A resize past this closes the control connection: Engine 20.10 takes ten seconds to refuse one for an exec that does
#: not run yet, and a signal would wait behind it. Elsewhere than on this machine the way itself may take some of them.
_LOCAL_RESIZE_S, _RESIZE_S = 2.0, 10.0
#: So long a signal, or a question, that is sent inside the loop has for its answer.
ANSWER_LIMIT_S = 10.0


class Operation:
    """What a `PseudoTerminal` drives.

    A subclass needs `israw`, `start`, `resize`, `sockets` and the attributes `stdin`, `stdout`, `stderr`.
    """

    stdin: Any = None
    stdout: Any = None
    stderr: Any = None

    def israw(self, **kwargs: Any) -> bool:
        """Say whether the host's terminal is to be raw."""
        raise NotImplementedError

    def start(self, **kwargs: Any) -> list[Pump]:
        """Begin, and return the pumps that move its bytes."""
        raise NotImplementedError

    def resize(self, height: int, width: int, **kwargs: Any) -> None:
        """Set the size of the remote terminal, in rows and columns."""
        raise NotImplementedError

    def sockets(self) -> Any:
        """Attach, and return the streams."""
        raise NotImplementedError

    def is_tty(self) -> bool:
        """Say whether the far side has a terminal, which has a size."""
        return bool(self.israw())

    def is_running(self) -> bool:
        """Say whether the process runs."""
        return True

    def exit_code(self) -> int | None:
        """Return the exit code once the process has ended; None if it is not known."""
        return None

    def send_signal(self, sig: int) -> bool:
        """Pass a signal on; False if that cannot be done."""
        return False

    def describe(self) -> str:
        """Return what messages call it."""
        return type(self).__name__

    # What a session asks beyond that; the defaults serve operations that know nothing of it.

    _options = Options()
    #: Once the process has ended, its stream may be silent for so long before the session is over.
    _silence_s = 10.0
    _failure: DockerptyError | None = None
    _over = False

    #: What is to be done about a session that was lost.
    _if_lost = ""

    #: When the time limit is over, on the monotonic clock, for a session that goes on with an earlier one.
    _until: float | None = None

    #: Somebody decides by what passes by, and is to be asked after each turn of the loop.
    _observes = False

    def _prepare(self) -> None:
        """Make ready what may fail for a plain reason, before anything is started."""

    def _attach(self) -> Any:
        return None

    def _observe(self, inputs: list[InputPump], outputs: list[OutputPump]) -> None:
        """The session's pumps are there, and nothing has passed through them."""

    def _verdict(self) -> int | SessionTimeout | None:
        """Return the exit code, or the error, with which the session ends whatever became of the process."""
        return None

    def _keep_record(self) -> str:
        """The session is over: finish what was kept of it. Return what is missing in it."""
        return ""

    def _bind(self, loop: Loop) -> None:
        """Take the loop that serves this session: calls go through it from now on."""

    def _settled(self) -> bool:
        return True

    def _has_said_all(self) -> bool:
        """Say whether each call that was handed to the loop has its answer."""
        return True

    def _silent(self) -> None:
        """Nothing has come for a while: find out whether the process has ended."""

    def _redraw(self) -> None:
        """Make a program draw its screen again."""

    def _ignores_signals(self) -> bool:
        return False

    def _abandoned(self, sig: int, timed_out: bool = False) -> str:
        """We leave in the middle: end what was started, as far as it is ours. Return what went wrong."""
        return ""

    def _last_will(self) -> Callable[[], None] | None:
        """Return what a forked child is to do if this process is killed, None for nothing."""
        return None

    def _stalled(self, tell: Callable[[str], None]) -> None:
        """What was typed has no answer: tell the user why, if that can be found out."""

    def _finish(self, result: SessionResult) -> Reason:
        """Learn the exit code, and how it came to that: `exited`, `removed` or `lost`."""
        result.exit_code = self.exit_code()
        return "exited"

    def _identify(self, result: SessionResult) -> None:
        """Write down whose session it was."""

    def _close(self) -> None:
        """Close what the session has opened."""


class EngineOperation(Operation):
    """What attaching to a container and starting an exec have in common."""

    def __init__(
        self,
        client: Any,
        interactive: bool,
        stdout: Any,
        stderr: Any,
        stdin: Any,
        transport: Any,
        options: Options,
        record: Any = None,
        expect: Any = None,
    ) -> None:
        self.client = client
        self.interactive = interactive
        self.stdin = unless_closed(sys.stdin if stdin is None else stdin)
        self.stdout = unless_closed(sys.stdout if stdout is None else stdout)
        self.stderr = unless_closed(sys.stderr if stderr is None else stderr)
        # The session's keywords are attributes until it starts; `resize` is a method, and keeps its word behind it.
        self.detach_keys = options.detach_keys
        self.sig_proxy = options.sig_proxy
        self.raw = options.raw
        self.timeout = options.timeout
        self.idle_timeout = options.idle_timeout
        self.read_only = options.read_only
        self.stdin_eof = options.stdin_eof
        self.detach_timeout = options.detach_timeout
        self.size = options.size
        self.transport = transport
        self.record = _recording(record)
        self.expect = _script(expect)
        self._typist: Typist | None = None
        if self.expect is not None:
            # It types in place of whoever is at stdin.
            self.interactive, self.stdin = True, None
        self._follows_size = options.resize
        self._engine = engine_of(client)
        self._owns_engine = self._engine is not client
        self._loop: Loop | None = None
        self._control: Control | None = None
        self._resizer: Resizer | None = None
        self._output: OutputPump | None = None
        self._streams: list[Stream] = []
        self._host_streams: list[Stream] = []
        keys.parse(options.detach_keys)

    @property
    def _options(self) -> Options:  # type: ignore[override]  # a plain attribute of the base, made anew here
        return Options(
            self.detach_keys,
            self.sig_proxy,
            self._follows_size,
            self.raw,
            self.timeout,
            self.idle_timeout,
            self.read_only,
            self.stdin_eof,
            self.detach_timeout,
            self.size,
        )

    def israw(self, **kwargs: Any) -> bool:
        """Say whether the host's terminal is to be raw: both sides are terminals, and the session reads stdin."""
        if self.raw is not None:
            return self.raw and is_terminal(self.stdin)
        return is_terminal(self.stdin) and self._reads_input() and self.is_tty()

    def resize(self, height: int, width: int, **kwargs: Any) -> None:
        """Set the size of the remote terminal, in rows and columns. In a session this does not wait."""
        if not (0 < height <= 65535 and 0 < width <= 65535):
            return  # the engine would answer 200 to -1 and to 70000
        if self._resizer is not None:
            self._resizer.send(height, width)
            if self.record is not None:
                self.record.resize(height, width)
        else:
            self._engine.send(
                self._resize_call(height, width), subject=self.describe(), timeout=self._resize_limit()
            )

    def _reads_input(self) -> bool:
        return self.interactive and not self.read_only

    def _prepare(self) -> None:
        self.record, self.expect = _recording(self.record), _script(self.expect)
        self._observes = self.expect is not None
        if self.record is not None:
            self.record.open()
        if self.expect is not None:
            from dockerpty.typist import Typist

            self._typist = Typist(self.expect, self._end_by_script)
            self.stdin = self._typist.stdin

    def _observe(self, inputs: list[InputPump], outputs: list[OutputPump]) -> None:
        record, typist = self.record, self._typist
        if record is not None:
            record.begin(
                self._host_size(), has_terminal=self.is_tty(), command=self._command(), title=self.describe()
            )
            for output in outputs:
                output.observer = _both(output.observer, record.output)
            if record.keeps_input:
                for pump in inputs:
                    pump.observer = record.input
        if typist is not None and self.expect is not None:
            if self.expect.types and not inputs:
                raise DockerptyError(
                    "type into", self.describe(), "its stdin is closed", "create it with -i, or send nothing"
                )
            for output in outputs:
                output.observer = _both(output.observer, typist.look)
            typist.begin()

    def _verdict(self) -> int | SessionTimeout | None:
        return None if self._typist is None else self._typist.verdict()

    def _keep_record(self) -> str:
        return "" if self.record is None else str(self.record.close())

    def _end_by_script(self) -> None:
        self._over = True

    def _command(self) -> list[str]:
        """Return the words of the process's command, as far as they are known."""
        return []

    def _resize_limit(self) -> float:
        return _LOCAL_RESIZE_S if self._engine.is_local else _RESIZE_S

    def _resize_call(self, rows: int, cols: int) -> calls.Call:
        raise NotImplementedError

    def _bind(self, loop: Loop) -> None:
        self._loop = loop
        for observer in (self.record, self._typist):
            if observer is not None:
                loop.watch(observer)
        # A size that was asked for is sent once, whether or not the window is followed.
        if self.is_tty() and (self._follows_size or self.size is not None):
            self._resizer = Resizer(self._controlled(connects=True), self._resize_call, self._resize_limit())
            loop.at(self._resizer.again_at, self._resizer.again)

    def _controlled(self, *, connects: bool = False) -> Control:
        """Return what takes calls inside the loop. Before that runs it may connect and fail; later a call is told."""
        assert self._loop is not None
        if self._control is None:
            self._control = self._engine.control(connects=connects)
            self._loop.calls(self._control)
        return self._control

    def _has_said_all(self) -> bool:
        return self._control is None or self._control.idle

    #: Whether output is skipped where the caller is too slow for it.
    _skips = False

    def _redraw(self) -> None:
        now = self._host_size()
        if self._resizer is not None and now is not None:
            self._resizer.redraw(*now)

    def _tell_if_paused(self, container: str, tell: Callable[[str], None]) -> None:
        def answered(answer: Reply | DockerptyError) -> None:
            if not isinstance(answer, DockerptyError) and answer.json()["State"].get("Paused"):
                tell(f"{self.describe()} is paused: what you type waits until it is unpaused")

        if container:
            self._controlled().submit(calls.inspect_container(container), answered, ANSWER_LIMIT_S)

    def _learn(self, asking: Asking) -> Ending:
        """Ask what became of the process.

        Raises:
            SessionLost: the engine could not be asked.
        """
        end = ask(self._engine, asking)
        if end.engine_is_away:
            reason = str(end.error)
            raise SessionLost("learn the exit code of", self.describe(), reason, self._if_lost) from end.error
        return end

    def _host_size(self) -> tuple[int, int] | None:
        return self.size or first_size(self.stdout, self.stdin, self.stderr)

    def _output_pumps(self, out: Any, err: Any, *, may_fail_to_start: bool = False) -> list[Pump]:
        """Return the pumps of what the container writes: one, or two where stdout and stderr come on their own."""
        shared = same_target(self.stdout, self.stderr)
        host_out = self._keep_host(open_output(self.stdout, "stdout"))
        if shared:
            host_err = host_out
            flush(self.stderr)
        else:
            host_err = self._keep_host(open_output(self.stderr, "stderr", may_be_closed=True))
        modes = ModeTracker() if is_terminal(self.stdout) else None
        pumps: list[Pump] = []
        if self._skips:
            sink_of_errors = None if shared else host_err
            self._output = WatchPump(out, host_out, sink_of_errors, modes=modes, redraw=self._redraw)
            return [self._output]
        if out is not None and (err is None or err is out):
            pumps.append(
                OutputPump(
                    out,
                    host_out,
                    None if shared else host_err,
                    modes=modes,
                    may_fail_to_start=may_fail_to_start,
                )
            )
        else:
            pumps += [
                OutputPump(source, sink, modes=modes)
                for source, sink in ((out, host_out), (err, host_err))
                if source is not None
            ]
        self._output = pumps[0] if pumps and isinstance(pumps[0], OutputPump) else None
        return pumps

    def _input_pump(self, remote: Any, at_end: str, engine_keys: bytes = b"") -> list[Pump]:
        """Return the pump of what is typed, if there is any; without input its end comes at once."""
        host_in = self._keep_host(open_input(self.stdin) or Stream(NoInput()))
        typed = is_terminal(self.stdin)
        chosen = {
            "close": at_end if at_end in ("close", "half-close") else "half-close",
            "eot": "eot",
            "ignore": "keep",
        }
        pump = InputPump(
            host_in,
            remote,
            matcher=keys.Matcher(keys.parse(self.detach_keys), engine_keys)
            if typed and self.is_tty()
            else None,
            detach_timeout=self.detach_timeout,
            at_end=chosen.get(self.stdin_eof, at_end),
            is_terminal=typed,
        )
        return [pump]

    def _keep(self, transport: Any) -> Stream:
        stream = Stream(transport)
        self._streams.append(stream)
        return stream

    def _keep_host(self, stream: Stream) -> Stream:
        self._host_streams.append(stream)
        return stream

    def _hang_up(self) -> None:
        for stream in self._streams:
            stream.abandon()
        self._streams.clear()

    def _close(self) -> None:
        for stream in self._host_streams:
            stream.abandon()
        self._host_streams.clear()
        if self._typist is not None:
            self._typist.close()
            self._typist = self.stdin = None
        self._keep_record()  # of a session that never began
        self._hang_up()
        if self._control is not None:
            self._control.close()
            self._control = self._resizer = None
        self._loop = None
        if self._owns_engine:
            self._engine.close()


def ask(engine: Engine, asking: Generator[calls.Call | float, Any, T]) -> T:
    """Run a plan to its end that yields calls, and seconds to wait before the next one."""

    def answer(request: calls.Call | float) -> Reply | None:
        if isinstance(request, float):
            time.sleep(request)
            return None
        return engine.send(request)

    return drive(asking, answer)


def _recording(record: Any) -> Any:
    """Return what keeps the session: a `Recording`, made from a path or a file if it is none."""
    if record is None:
        return None
    from dockerpty.recording import Recording

    return record if isinstance(record, Recording) else Recording(record)


def _script(expect: Any) -> Any:
    """Return what types: a `Script`, made from its text if it is none."""
    if not isinstance(expect, str):
        return expect
    import os

    from dockerpty.expect import Script

    return Script(expect, variables=os.environ)


def _both(first: Callable[[memoryview], None] | None, second: Callable[[memoryview], None]) -> Any:
    if first is None:
        return second
    one = first

    def observe(piece: memoryview) -> None:
        one(piece)
        second(piece)

    return observe
