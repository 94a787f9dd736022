"""A process run in a container, behind the user's terminal: an exec."""

from __future__ import annotations

import binascii
import time

from dockerpty import keys, log, unstarted
from dockerpty import plain_signal as signal
from dockerpty.bridge import Options
from dockerpty.container import ending
from dockerpty.container.creation import create_exec
from dockerpty.container.reference import identity, name_for
from dockerpty.container.spec import environment_list, exec_config, with_term
from dockerpty.engine import calls
from dockerpty.engine.interface import TIMEOUT
from dockerpty.engine.twins import conflict
from dockerpty.errors import DockerptyError, NotFound
from dockerpty.io import Demuxer, Pump, Stream
from dockerpty.operation import ANSWER_LIMIT_S, EngineOperation
from dockerpty.signals import marker, reap
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from dockerpty.engine.client import Engine
    from dockerpty.errors import SessionTimeout
    from dockerpty.result import Reason, SessionResult

_log = log.get(__name__)

#: For each answer that the guardian waits for, once we are gone.
_GUARDIAN_PATIENCE_S = 30.0
#: What is only to be told beside the result is worth no longer wait.
_ASIDE_S = 1.0
#: A process that ignores the signal at its time limit is killed after this.
_KILL_AFTER_S = 2.0


class ExecOperation(EngineOperation):
    """Start an exec that was created before.

    Args:
        client: as for `RunOperation`.
        exec_id: an id, or the dict that `exec_create` returned.
        tty: what the exec was created with; None asks the engine.
        container: what messages call its container.
        Others: as `dockerpty.start_exec` takes them.
    """

    def __init__(
        self,
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
        tty: bool | None = None,
        container: str = "",
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
        found: Any = exec_id.get("Id") if isinstance(exec_id, dict) else exec_id
        if not isinstance(found, str) or not found:
            raise DockerptyError(
                "find", "the exec", "it is no id and no dict with an Id", "pass what `exec_create` returned"
            )
        self.exec_id = found
        self._tty = tty
        self._container = container
        self._info: dict[str, Any] | None = None
        self._attached: Any = None
        # Of an exec that we have created: whose it is, and by what its processes are found.
        self._container_reference = ""
        self._created_at = ""
        self._marker = ""
        self._user = ""
        self._words: list[str] = []
        self._never_started = False
        self._if_lost = "its process may still run: look before you start it again"

    @classmethod
    def create(
        cls,
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
        reap: bool = True,
        **session: Any,
    ) -> Self:
        """Create an exec and return the operation that will start it.

        Args:
            tty: None gives it a terminal if stdin is one and the session is interactive.
            reap: mark its processes so that they can be found: with `sig_proxy` what ends us ends them, with a limit
                or a script its time does.
            Others: as `dockerpty.exec_command` takes them.
        """
        operation = cls(client, "-", interactive, stdout, stderr, stdin, **session)
        try:
            operation._create(container, command, tty, environment, user, workdir, privileged, reap)
        except BaseException:
            operation._close()
            raise
        return operation

    def _create(
        self,
        container: Any,
        command: list[str] | str,
        tty: bool | None,
        environment: Any,
        user: str,
        workdir: str | None,
        privileged: bool,
        reap: bool,
    ) -> None:
        if tty is None:
            tty = self._reads_input() and is_terminal(self.stdin)
        variables = environment_list(environment)
        if tty:
            variables = with_term(variables)
        limits = (self.timeout, self.idle_timeout, self.expect)
        if reap and (self.sig_proxy or any(limit is not None for limit in limits)):
            self._marker = marker()
            variables.append(self._marker)
        config = exec_config(command, tty, self._reads_input(), variables, user, workdir, privileged)
        now = self._host_size() if tty else None
        if now is not None:
            config["ConsoleSize"] = list(now)  # from API 1.42 on; older engines pass over it
        self._container_reference, self._container = identity(container), name_for(container)
        self._tty, self._user = tty, user
        self._words = list(config["Cmd"])
        reply = create_exec(self._engine, self._container_reference, config, self._container)
        self.exec_id = reply.json()["Id"]
        self._created_at = reply.headers.get("date", "")

    def is_process_tty(self) -> bool:
        """Say whether the exec was created with a terminal."""
        if self._tty is None:
            self._tty = bool(self._exec_info()["ProcessConfig"].get("tty"))
        return self._tty

    def is_tty(self) -> bool:
        return self.is_process_tty()

    def is_running(self) -> bool:
        """Ask the engine whether the exec runs."""
        return bool(self._inspect()["Running"])

    def exit_code(self) -> int | None:
        """Ask the engine for the exit code; None while it runs."""
        info = self._inspect()
        return None if info["Running"] else info["ExitCode"]

    def _command(self) -> list[str]:
        process = (self._info or {}).get("ProcessConfig") or {}
        return self._words or [
            each for each in (process.get("entrypoint"), *(process.get("arguments") or ())) if each
        ]

    def describe(self) -> str:
        return self._container or f"the exec {self.exec_id[:12]}"

    def send_signal(self, sig: int) -> bool:
        """An exec cannot be signalled through the engine: the session ends, and then its processes are looked for."""
        return False

    def sockets(self) -> Stream | Demuxer:
        """Start the exec, which is attaching to it, and return its stream.

        Raises:
            NotFound: there is no such exec.
            APIError: it has been started before.
        """
        tty = self.is_process_tty()
        if self._info is not None:
            self._refuse_second_start(self._info)
        now = self._host_size() if tty else None
        call = calls.start_exec(self.exec_id, tty=tty, size=now)
        subject = f"in {self._container}" if self._container else self.exec_id[:12]
        stream = self._keep(self.transport or self._engine.hijack(call, subject=subject))
        attached = stream if tty else Demuxer(stream)
        self._attached = attached
        return attached

    def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
        """Return the pumps, after starting the exec if `sockets()` has not done that."""
        stream = self.sockets() if sockets is None else sockets
        tty = self.is_process_tty()
        pumps = self._output_pumps(stream, None, may_fail_to_start=True)
        if self._reads_input():
            remote = stream.stream if isinstance(stream, Demuxer) else stream
            pumps += self._input_pump(remote, "eot" if tty else "half-close", self._engine_keys())
        now = self._host_size()
        if self._resizer is not None and now is not None:
            self._resizer.first(*now)
        return pumps

    def _refuse_second_start(self, info: dict[str, Any]) -> None:
        # The engine says so within the stream only, and the code it then tells is the old one.
        if info["Running"] or info.get("Pid") or info["ExitCode"]:
            raise conflict("start", self.describe(), "it has been started before", "create another exec")

    def _attach(self) -> Any:
        return self.sockets() if self._attached is None else self._attached

    def _identify(self, result: SessionResult) -> None:
        result.exec_id = self.exec_id
        if result.container_id is None and result.reason in ("detached", "timeout", "stdout-closed"):
            try:
                info = self._info or self._inspect(_ASIDE_S)
                result.container_id = info.get("ContainerID")
            except DockerptyError as error:
                _log.debug("container unknown: %s", error)

    def _close(self) -> None:
        self._attached = None
        super()._close()

    def _exec_info(self) -> dict[str, Any]:
        return self._inspect() if self._info is None else self._info

    def _inspect(self, patience: float = TIMEOUT) -> dict[str, Any]:
        info: dict[str, Any] = self._engine.send(
            calls.inspect_exec(self.exec_id), subject=self.exec_id[:12], timeout=patience
        ).json()
        self._info = info
        return info

    def _resize_call(self, rows: int, cols: int) -> calls.Call:
        return calls.resize_exec(self.exec_id, rows, cols)

    def _engine_keys(self) -> bytes:
        """Return the keys that the engine watches for on an exec that we did not create."""
        if self._container_reference or not self.is_process_tty():
            return b""
        encoded = self._exec_info().get("DetachKeys") or ""
        return binascii.a2b_base64(encoded) or keys.parse(None)

    def _silent(self) -> None:
        output = self._output
        moved = 0 if output is None else output.moved

        def answered(answer: Any) -> None:
            if isinstance(answer, NotFound):
                # With its container, whose end Engine 20.10 does not always tell on the stream of an exec.
                self._over = True
                return
            if isinstance(answer, DockerptyError) or (output is not None and output.moved != moved):
                return
            info = answer.json()
            # Without a code it has not started yet.
            self._over = not info["Running"] and info["ExitCode"] is not None

        self._controlled().submit(calls.inspect_exec(self.exec_id), answered, ANSWER_LIMIT_S)

    def _abandoned(self, sig: int, timed_out: bool = False) -> str:
        # A mark that is there for the limits alone is of no use to what ends only us.
        if not self._marker or not (timed_out or self.sig_proxy):
            return ""
        # Output that nobody takes any more would keep the engine busy, and the second exec waiting.
        self._hang_up()
        # A closed stdout is TERM to whoever wrote to it: they see no broken pipe, the engine takes all they write.
        numbers = [signal.SIGTERM if sig == signal.SIGPIPE else sig]
        if self.is_process_tty():
            numbers.append(signal.SIGHUP)  # its terminal has gone with us: a shell there ignores TERM
        problem = self._reap(numbers)
        if timed_out and not problem and not self._ends_within(_KILL_AFTER_S):
            problem = self._reap([signal.SIGKILL])
        return f"the process in {self.describe()} may still run: {problem}" if problem else ""

    def _reap(self, numbers: list[int]) -> str:
        where = self._container_now(self._engine, _KILL_AFTER_S)
        return reap(self._engine, where, self._marker, numbers, user=self._user)

    def _container_now(self, engine: Engine, patience: float) -> str:
        """Return the container's id: the name that it was given by may be another's by now."""
        try:
            info = engine.send(calls.inspect_exec(self.exec_id), timeout=patience).json()
        except DockerptyError as error:
            _log.debug("container unknown: %s", error)
            return self._container_reference
        return str(info.get("ContainerID") or self._container_reference)

    def _ends_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        try:
            while self._inspect(seconds)["Running"]:
                if time.monotonic() >= until:
                    return False
                time.sleep(0.05)
        except DockerptyError as error:
            _log.debug("cannot see whether it has ended: %s", error)
        return True

    def _last_will(self) -> Callable[[], None] | None:
        engine = self._engine.again() if self._marker and self.sig_proxy else None
        if engine is None:
            return None
        # What sshd does to the processes of a connection that is gone. Nobody waits for the guardian.
        return lambda: _discard(
            reap(
                engine,
                self._container_now(engine, _GUARDIAN_PATIENCE_S),
                self._marker,
                [signal.SIGHUP],
                user=self._user,
                patience=_GUARDIAN_PATIENCE_S,
            )
        )

    def _stalled(self, tell: Callable[[str], None]) -> None:
        def answered(answer: Any) -> None:
            if not isinstance(answer, DockerptyError):
                self._tell_if_paused(answer.json().get("ContainerID", ""), tell)

        # By its id: the name that it was given by may be another's by now, and of an exec made elsewhere there is none.
        self._controlled().submit(calls.inspect_exec(self.exec_id), answered, ANSWER_LIMIT_S)

    def _finish(self, result: SessionResult) -> Reason:
        container = (self._info or {}).get("ContainerID") or self._container_reference
        end = self._learn(ending.of_exec(self.exec_id, container, self._created_at))
        result.container_id = end.info.get("ContainerID")
        result.exit_code = end.code
        if end.reason == "exited":
            self._place_output(end.info, result)
        return end.reason

    def _verdict(self) -> int | SessionTimeout | None:
        # A script that waits for what a process says was not disappointed by one that there never was.
        return None if self._never_started else super()._verdict()

    def _place_output(self, info: dict[str, Any], result: SessionResult) -> None:
        """What was withheld is output, or why nothing was started: that belongs on stderr, and sets the code."""
        output = self._output
        if output is None:
            return
        if not unstarted.never_started(info):
            output.release()
            return
        text = output.take_withheld()
        if not text:
            return
        self._never_started = True
        result.exit_code = unstarted.exit_code(text, info["ExitCode"])
        output.say_on_stderr(text.rstrip() + b"\n")


def _discard(problem: str) -> None:
    _log.debug("last will: %s", problem)
