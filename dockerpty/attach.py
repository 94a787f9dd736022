"""A container's first process behind the user's terminal: attach to it, and start it if it is not running."""

from __future__ import annotations

import os
import sys
import time

from dockerpty import log
from dockerpty import plain_signal as signal
from dockerpty.bridge import Options
from dockerpty.container import attachment, ending
from dockerpty.container.reference import identity
from dockerpty.container.state import STANDS_STILL, is_ready, refusal
from dockerpty.engine import calls
from dockerpty.errors import APIError, DockerptyError, EngineUnreachable, NotFound, SessionLost
from dockerpty.io import Demuxer, Pump, Stream
from dockerpty.operation import ANSWER_LIMIT_S, EngineOperation
from dockerpty.result import KILLED_CODE
from dockerpty.signals import name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, Self

    from dockerpty.engine.client import Pending
    from dockerpty.loop import Loop
    from dockerpty.result import Reason, SessionResult

_log = log.get(__name__)

#: For the rest of the output of a container that ended as we attached to it.
_ENDED_SILENCE_S = 0.5
#: The end of a container follows that of its streams at once. One that runs still has lost its connection.
_END_FOLLOWS_S = 2.0
_OUTPUT_ENDED = "its output has ended, and it still runs"
#: Pulling up volumes and networks may take the engine minutes.
_START_LIMIT_S = 300.0

#: What docker gives a container for its end, unless it was created with another time.
_STOP_TIMEOUT_S = 10.0
#: ... and what one of ours has whose reader has gone.
_ABANDONED_S = 2.0

#: The removal of what never started is done also where nobody waits for it any longer.
_REMOVAL_S = 10.0

#: What a session attaches to, unless it is told otherwise.
STREAMS = ("stdin", "stdout", "stderr")


class RunOperation(EngineOperation):
    """Attach to a container, and start it if it is not running.

    Args:
        client: `docker.DockerClient`, `docker.APIClient`, an `Engine`, or an object with the same low-level methods.
        container: id, name, dict with `Id`, or an object with `id`.
        logs: also show what it has written before.
        Others: as `dockerpty.start` takes them.
    """

    def __init__(
        self,
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
    ) -> None:
        options = Options(
            detach_keys,
            sig_proxy,
            resize,
            raw,
            timeout,
            idle_timeout,
            read_only,
            stdin_eof,
            detach_timeout,
            size,
        )
        super().__init__(client, interactive, stdout, stderr, stdin, transport, options, record, expect)
        self.container = container
        self.logs = logs
        self._reference = identity(container)
        self._info: dict[str, Any] | None = None
        self._to_create: calls.Call | None = None
        self._tell_created: Callable[[dict[str, Any]], None] | None = None
        self._created = False
        self._attached: Any = None
        self._attached_now = False
        self._started_at: str | None = None
        self._was_running = self._has_ended = False
        self._starting = self._has_started = False
        self._wait: Pending | None = None
        #: When to look whether it still runs, though a connection of its streams has ended; and what that has shown.
        self._look_again_at: float | None = None
        self._looking = False
        self._cut = ""
        #: Whether what does not run is started; else it is refused.
        self._starts = True
        #: What is attached of the container's streams.
        self._chosen: Collection[str] = STREAMS
        self._inputs: list[Pump] = []
        self._if_lost = "it may still run: if it does, attach to it again"
        self._outputs: list[Pump] = []

    @classmethod
    def attach(cls, client: Any, container: Any, *args: Any, looks_on: bool = False, **session: Any) -> Self:
        """Return the operation that attaches to a container which runs, and never starts one.

        Args:
            looks_on: only look: no byte is sent, output is always read and skipped where the terminal is too slow for
                it, so that nobody else waits for us. The text `[n bytes skipped]` stands where some was.
            Others: as the class takes them.
        """
        operation = cls(client, container, *args, **session)
        operation._starts = False
        if looks_on:
            operation.read_only = True
            operation._skips = True
        return operation

    @classmethod
    def create(
        cls,
        client: Any,
        config: dict[str, Any],
        *args: Any,
        name: str | None = None,
        platform: str | None = None,
        streams: Collection[str] = STREAMS,
        created: Callable[[dict[str, Any]], None] | None = None,
        **session: Any,
    ) -> Self:
        """Return the operation that will create a container, and start it.

        The container is created when the session begins: a signal that comes from then on is remembered until it has
        started, and what never starts is removed if it was to be removed at its end.

        Args:
            config: the body of `POST /containers/create` (Engine API).
            name, platform: of the container, both optional.
            streams: what to attach of `stdin`, `stdout` and `stderr`. With neither output the session ends with the
                input, and the container lives on.
            created: is told the engine's answer as soon as there is the container.
            Others: as the class takes them, from `interactive` on.
        """
        operation = cls(client, "-", *args, **session)
        now = operation._host_size() if config.get("Tty") else None
        if now is not None:
            # From API 1.42 on the process sees its size from the first moment; older engines pass over it.
            config = {**config, "HostConfig": {**(config.get("HostConfig") or {}), "ConsoleSize": list(now)}}
        operation._chosen, operation._tell_created = streams, created
        operation._to_create = calls.create_container(config, name, platform)
        operation._info = {
            "Id": "",
            "Name": f"/{name}" if name else "",
            "Config": config,
            "HostConfig": config.get("HostConfig") or {},
            "State": {},
        }
        return operation

    def is_tty(self) -> bool:
        return bool(self._container_info()["Config"].get("Tty"))

    def is_running(self) -> bool:
        """Ask the engine whether the container runs."""
        return bool(self._inspect()["State"].get("Running"))

    def exit_code(self) -> int | None:
        """Ask the engine for the exit code; None while it runs."""
        state = self._inspect()["State"]
        return None if state.get("Running") else state.get("ExitCode")

    def _command(self) -> list[str]:
        info = self._container_info()
        if info.get("Path"):
            return [info["Path"], *(info.get("Args") or ())]
        config = info["Config"]
        return [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]

    def describe(self) -> str:
        name = (self._info or {}).get("Name", "").lstrip("/")
        if name or self._info is None:
            return name or self._reference
        return self._reference[:12]

    def again(self) -> None:
        """After a session that was lost, or that a restart has ended: the next one attaches, and starts nothing."""
        self._starts = self._starting = False
        self._has_started = True

    def send_signal(self, sig: int) -> bool:
        """Send a signal to the container's first process; in a session without waiting for the answer."""
        reads = self._reads_input() and self._is_open()
        if sig == signal.SIGINT and not self._starts and self.is_tty() and not reads:
            # It was typed at a terminal that is not the container's: it asks us to leave.
            return False
        call = calls.kill_container(self._full_id(), name_of(sig))
        if self._loop is None:
            self._engine.send(call, subject=self.describe())
        else:
            # In line behind the start, if that is not answered yet. A refusal means that it has ended: nothing to do.
            self._controlled().submit(
                call, lambda answer: _log.debug("kill answered %r", answer), ANSWER_LIMIT_S
            )
        return True

    def sockets(self) -> tuple[Stream | None, Stream | Demuxer | None, Stream | Demuxer | None]:
        """Attach, and return `(stdin, stdout, stderr)`, None for what is not attached.

        Without a TTY stdout and stderr come on one connection, in their order: both are the same `Demuxer`.

        Raises:
            NotFound: there is no such container.
            APIError: it is paused, restarting or dead.
        """
        self._let_go()
        self._over = self._has_ended = self._looking = False
        self._failure, self._silence_s = None, EngineOperation._silence_s
        self._look_again_at, self._cut = None, ""
        info = self._create() if self._to_create is not None else self._inspect()
        state, config = info["State"], info["Config"]
        self._refuse(state)
        self._was_running = bool(state.get("Running"))
        self._started_at = state.get("StartedAt")
        if self._was_running and self.logs is None:
            _warn_about_logs()
        made = attachment.attach(
            self._engine,
            info,
            subject=self.describe(),
            stdin=self._reads_input() and self._is_open(),
            stdout="stdout" in self._chosen,
            stderr="stderr" in self._chosen,
            logs=bool(self.logs),
            output=self.transport,
        )
        self._wait = made.wait
        out = None if made.output is None else self._keep(made.output)
        source: Stream | Demuxer | None = None
        if out is not None and self._shows():
            # What it wrote may be there even if it has ended.
            source = out if config.get("Tty") else Demuxer(out)
        stdin = out if made.input is made.output else None
        if made.input is not None and stdin is None:
            stdin = self._keep(made.input)
        if made.has_ended:
            self._has_ended = True
            self._silence_s = _ENDED_SILENCE_S
        attached = (stdin, source, None if config.get("Tty") else source)
        self._attached = attached
        return attached

    def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
        """Start the container if it has not run since it was attached to, and return the pumps.

        Args:
            sockets: what `sockets()` returned, or three streams of the caller's own.
        """
        if sockets is None:
            sockets = self._attach()
        stdin, out, err = sockets
        info = self._container_info()
        self._inputs, self._outputs = [], self._output_pumps(out, err)
        pumps = list(self._outputs)
        if stdin is not None and self._reads_input():
            can = getattr(getattr(stdin, "fd", None), "can_half_close", None)
            at_end = attachment.at_end_of_input(info, self._engine, can is not None and can())
            self._inputs = self._input_pump(stdin, at_end)
            pumps += self._inputs
        if self._has_run():
            self._has_started = True  # be it by the caller: it is nobody's to remove
            self._wait_late()
        else:
            self._start_container()
        if not self._has_ended:
            self._first_size()
        return pumps

    def israw(self, **kwargs: Any) -> bool:
        return super().israw() and self._is_open()

    def _is_open(self) -> bool:
        """Say whether the container takes input, and that is attached."""
        return "stdin" in self._chosen and bool(self._container_info()["Config"].get("OpenStdin"))

    def _container_info(self) -> dict[str, Any]:
        return self._inspect() if self._info is None else self._info

    def _inspect(self) -> dict[str, Any]:
        info: dict[str, Any] = self._engine.send(
            calls.inspect_container(self._reference), subject=self._reference
        ).json()
        self._info, self._reference = info, info["Id"]
        return info

    def _full_id(self) -> str:
        return str(self._container_info()["Id"])

    def _resize_call(self, rows: int, cols: int) -> calls.Call:
        return calls.resize_container(self._full_id(), rows, cols)

    def _refuse(self, state: dict[str, Any]) -> None:
        may_be_started = self._starts and not any(state.get(each) for each in STANDS_STILL)
        if not (may_be_started or is_ready(state)):
            raise refusal("attach to", self.describe(), state)

    def _shows(self) -> bool:
        return "stdout" in self._chosen or "stderr" in self._chosen

    def _create(self) -> dict[str, Any]:
        call, self._to_create = self._to_create, None
        assert call is not None
        assert self._info is not None
        answer = self._engine.send(call, timeout=_START_LIMIT_S).json()
        self._reference = str(answer["Id"])
        self._created = True
        self._info["Id"] = self.container = self._reference
        if self._tell_created is not None:
            self._tell_created(answer)
        return self._info

    def _attach(self) -> Any:
        if self._attached is None:
            self.sockets()
            self._attached_now = True
        return self._attached

    def _has_run(self) -> bool:
        if self._was_running:
            return True
        if self._attached_now:
            return False
        # The caller attached some time ago and may have started it since; it may even have ended (fault F7).
        before = self._started_at
        state = self._inspect()["State"]
        return bool(state.get("Running")) or (before is not None and state.get("StartedAt") != before)

    def _start_container(self) -> None:
        call = calls.start_container(self._full_id())
        if self._loop is None:
            self._engine.send(call, subject=self.describe(), timeout=_START_LIMIT_S)
            self._has_started = True
        else:
            self._starting = self._has_started = True
            self._controlled(connects=True).submit(call, self._start_answered, _START_LIMIT_S)

    def _start_answered(self, answer: Any) -> None:
        self._starting = False
        self._has_started = not isinstance(answer, APIError)
        if isinstance(answer, EngineUnreachable):
            reason = answer.reason or "the engine did not answer"
            self._failure = SessionLost("learn whether it started:", self.describe(), reason, self._if_lost)
        elif isinstance(answer, DockerptyError):
            answer.subject = self.describe()
            self._failure = answer
        else:
            self._wait_late()

    def _wait_late(self) -> None:
        if self._wait is None and self._loop is not None:
            self._wait = attachment.wait_late(self._engine, self._full_id())
            if self._wait is not None:
                self._loop.calls(self._wait)

    def _first_size(self) -> None:
        now = self._host_size()
        if self._resizer is None or now is None:
            return
        if self._was_running:
            self._resizer.redraw(*now)
        else:
            self._resizer.first(*now)

    def _prepare(self) -> None:
        super()._prepare()
        # Known before anything is created or started.
        if self.expect is None or not self.expect.types or (self._reads_input() and self._is_open()):
            return
        if self.read_only:
            reason, hint = "the session is read-only", "leave that out, or send nothing"
        else:
            reason, hint = "its stdin is closed", "create it with -i, or send nothing"
        raise DockerptyError("type into", self.describe(), reason, hint)

    def _bind(self, loop: Loop) -> None:
        super()._bind(loop)
        if self._wait is not None:
            loop.calls(self._wait)
        loop.at(self._look_at, self._look)

    def _settled(self) -> bool:
        if self._starting:
            return False
        if self._wait is None or self._wait.reply is not None or self._has_ended:
            return True
        if self._shows():
            # The stream has ended: the wait tells the code in a moment, or the engine is asked for it.
            return self._wait.done
        # Where nothing is shown, there is nothing left to do when the input is there.
        return all(pump.eof and not pump.to_stream.needs_write() for pump in self._inputs)

    def _silent(self) -> None:
        if self._has_ended or (self._wait is not None and self._wait.reply is not None):
            # The exit is known and nothing comes any more: a server that never closes the stream.
            self._over = True
        elif self._wait is not None and self._wait.done and not self._starting:
            moved = self._moved()
            self._ask_whether_it_runs(lambda runs: self._end_if(not runs and self._moved() == moved))

    def _moved(self) -> int:
        return 0 if self._output is None else self._output.moved

    def _end_if(self, is_over: bool) -> None:
        self._over = self._over or is_over

    def _look_at(self) -> float | None:
        """Say when to look whether it still runs: a container that runs ends none of its streams."""
        if self._look_again_at is None and not self._looking and self._what_ended():
            self._look_again_at = time.monotonic() + _END_FOLLOWS_S
        return self._look_again_at

    def _look(self) -> None:
        def told(runs: bool) -> None:
            self._cut = self._what_ended() if runs else ""
            # Of what has ended there may be output to come.
            self._end_if(runs or self._has_output_ended())

        self._look_again_at, self._looking = None, True
        self._ask_whether_it_runs(told)

    def _has_output_ended(self) -> bool:
        for pump in self._outputs:
            if not pump.eof:
                return False
        return bool(self._outputs)

    def _what_ended(self) -> str:
        """Say which connection has ended that ends with the container; "" if none has."""
        if self._starting:
            return ""
        if self._has_output_ended():
            return _OUTPUT_ENDED
        for pump in self._inputs:
            # With a terminal a process cannot close its stdin: neither what is typed nor the keys reach anybody.
            if pump.eof and not pump.sinks() and self.is_tty():
                return "its input has ended, and it still runs"
        return ""

    def _ask_whether_it_runs(self, told: Callable[[bool], None]) -> None:
        def answered(answer: Any) -> None:
            self._looking = False
            if isinstance(answer, NotFound):
                told(False)
            elif not isinstance(answer, DockerptyError):
                told(bool(answer.json()["State"].get("Running")))

        self._controlled().submit(calls.inspect_container(self._full_id()), answered, ANSWER_LIMIT_S)

    def _ignores_signals(self) -> bool:
        return True

    def _abandoned(self, sig: int, timed_out: bool = False) -> str:
        host = self._container_info().get("HostConfig") or {}
        ours = self._created and (timed_out or host.get("AutoRemove"))
        if not ours or (not timed_out and sig != signal.SIGPIPE):
            return ""
        # Engine 20.10 does not answer to the kill of a container whose output waits for a reader.
        self._hang_up()
        full = self._full_id()
        patience = _stop_timeout(self._container_info()["Config"]) if timed_out else _ABANDONED_S
        try:
            self._engine.send(calls.kill_container(full, "TERM"), subject=self.describe())
            until = time.monotonic() + patience
            while self.is_running():
                if time.monotonic() >= until:
                    self._engine.send(calls.kill_container(full, "KILL"), subject=self.describe())
                    break
                time.sleep(0.05)
        except APIError:
            return ""  # it has ended by itself
        except DockerptyError as error:
            return str(error)
        return ""

    def _stalled(self, tell: Callable[[str], None]) -> None:
        self._tell_if_paused(self._full_id(), tell)

    def _finish(self, result: SessionResult) -> Reason:
        if not self._shows() and self._wait is not None and not self._wait.done:
            return "detached"
        if self._cut:
            raise SessionLost("go on with", self.describe(), self._cut, "attach to it again")
        asking = ending.of_container(
            self._full_id(),
            None if self._wait is None else ending.waited_code(self._wait.reply),
            was_running=self._was_running,
            removes_itself=bool((self._container_info().get("HostConfig") or {}).get("AutoRemove")),
            # A client that cannot wait is asked for as long as the container runs.
            until_it_ends=self._wait is None,
        )
        end = self._learn(asking)
        if end.reason == "lost" and end.info and end.info["State"].get("Running"):
            raise SessionLost("go on with", self.describe(), _OUTPUT_ENDED, "attach to it again")
        result.exit_code = end.code
        if end.code == KILLED_CODE and end.info:
            result.oom_killed = bool(end.info["State"].get("OOMKilled"))
        return end.reason

    def _close(self) -> None:
        self._let_go()
        try:
            self._remove_unstarted()
        finally:
            super()._close()

    def _let_go(self) -> None:
        """Close what an earlier attach has opened."""
        if self._wait is not None:
            self._wait.close()
            self._wait = None
        self._attached, self._attached_now = None, False
        self._hang_up()

    def _identify(self, result: SessionResult) -> None:
        result.container_id = (self._info or {}).get("Id") or None
        if result.reason in ("detached", "lost"):
            self._leave_to_user()

    def _leave_to_user(self) -> None:
        info = self._info or {}
        ours = "dockerpty.role" in (info.get("Config", {}).get("Labels") or {})
        if ours and (info.get("HostConfig") or {}).get("AutoRemove"):
            from dockerpty.container import detached

            # Not left behind by us: whoever has left it running, or lost it on the way, may come back.
            detached.remember(info["Id"])

    def _remove_unstarted(self) -> None:
        host = self._container_info().get("HostConfig") or {} if self._created else {}
        if self._has_started or not host.get("AutoRemove"):
            return
        # What never started never ends, and the engine removes only what has ended.
        try:
            self._engine.send(calls.remove_container(self._full_id(), force=True), timeout=_REMOVAL_S)
        except DockerptyError as error:
            _log.debug("not removed: %s", error)


def _stop_timeout(config: dict[str, Any]) -> float:
    """Return how long a container has for its end before it is killed; below zero docker never does that."""
    seconds = config.get("StopTimeout")
    if seconds is None:
        return _STOP_TIMEOUT_S
    return float(seconds) if seconds >= 0 else float("inf")


def _warn_about_logs() -> None:
    import warnings

    package = os.path.dirname(os.path.abspath(__file__)) + os.sep
    level, frame = 1, sys._getframe()
    while (
        frame is not None
        and os.path.abspath(frame.f_code.co_filename).startswith(package)
        and frame.f_back is not None
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        "what the running container has written before is no longer shown; logs=True shows it, logs=False is silent",
        DeprecationWarning,
        stacklevel=level,
    )
