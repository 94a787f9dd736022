"""Attaching to a container: its connections, in the order in which nothing is missed."""

from __future__ import annotations

from dockerpty import keys, log
from dockerpty.engine import calls
from dockerpty.engine.interface import Pending
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from dockerpty.engine.calls import Call, Reply
    from dockerpty.engine.interface import Control, Engine
    from dockerpty.engine.transport import Transport

    AtEnd = Literal["close", "half-close", "eot", "keep"]


_log = log.get(__name__)

#: Before, a wait knew no condition, answered of what had not started yet at once, and gave its head at the end.
_CONDITIONS_SINCE = (1, 30)


class Attachment:
    """The connections to a container's streams, which whoever has this closes.

    Attributes:
        output: what the container writes; None where nobody wants that.
        input: what it reads; None where it is not attached. It is `output` where the two share one connection.
        wait: the answer to when it ends, and with which code; None if this client cannot wait, or not yet (see
            `wait_late`).
        was_running: it ran before it was attached to.
        has_ended: it ended just before, or just as, it was attached to: its stream may never end.
    """

    __slots__ = ("has_ended", "input", "output", "wait", "was_running")

    def __init__(self, was_running: bool) -> None:
        self.was_running = was_running
        self.output: Transport | None = None
        self.input: Transport | None = None
        self.wait: Pending | None = None
        self.has_ended = False

    def close(self) -> None:
        """Close all connections."""
        for each in (self.wait, self.input, self.output):
            if each is not None:
                each.close()


def attach(
    engine: Engine,
    info: dict[str, Any],
    *,
    subject: str,
    stdin: bool,
    stdout: bool = True,
    stderr: bool = True,
    logs: bool = False,
    output: Transport | None = None,
) -> Attachment:
    """Attach to a container, before it is started or while it runs.

    Args:
        info: its inspection.
        subject: what messages call it.
        stdin, stdout, stderr: which of its streams.
        logs: also what it has written before.
        output: the connection to take for its output, in place of a new one.

    Raises:
        EngineError: as `Engine.hijack`.
    """
    full, tty = str(info["Id"]), bool(info["Config"].get("Tty"))
    made = Attachment(bool(info["State"].get("Running")))
    try:
        # Podman 4.3 looks now and then whether it runs, and overlooks an end after which it is started again at once.
        condition = "not-running" if made.was_running and not engine.is_podman else "next-exit"
        if not _knows_conditions(engine):
            made.wait = wait_late(engine, full) if made.was_running else None
        else:
            made.wait = engine.begin(calls.wait_container(full, condition), subject=subject)
        # The backlog of Podman 4.3 has frames whose length is wrong: there it is left out.
        backlog = logs and not engine.is_podman and _keeps_log(info)
        # Input has its own connection: its end takes no output with it on any transport. Podman 4.3 closes one that
        # carries the input of a terminal alone; there a terminal's input never ends by closing.
        shared = stdin and tty and bool(engine.is_podman)
        if stdout or stderr or shared:
            call = calls.attach_container(
                full, stdin=shared, stdout=stdout, stderr=stderr, logs=backlog, detach_keys=keys.NEUTRAL
            )
            made.output = output or engine.hijack(call, subject=subject)
            made.input = made.output if shared else None
        if stdin and not shared:
            call = calls.attach_container(full, stdin=True, detach_keys=keys.NEUTRAL)
            made.input = engine.hijack(call, subject=subject)
        if made.was_running:
            # If it ended just before we attached, that was accepted all the same, and the stream would never end.
            now = engine.send(calls.inspect_container(full), subject=subject).json()
            made.has_ended = not now["State"].get("Running")
            if made.has_ended and made.wait is not None and condition == "next-exit":
                # There may be no next one; its code is inspected.
                made.wait.close()
    except BaseException:
        made.close()
        raise
    return made


def wait_late(engine: Engine, container: str) -> Pending | None:
    """Begin to wait for the end of a container that was started, where that could not be done before (API below 1.30).

    Returns:
        None where it was done before, or cannot be done now: who waits is to ask instead.
    """
    if _knows_conditions(engine):
        return None
    try:
        return _Waiting(engine.control(), calls.wait_container(container))
    except DockerptyError as error:
        _log.debug("not waited for: %s", error)
        return None


def _knows_conditions(engine: Engine) -> bool:
    # Podman answers an older version as its newest.
    return engine.is_podman or engine.api_version is None or engine.api_version >= _CONDITIONS_SINCE


class _Waiting(Pending):
    """The only call of a control, for an answer whose head is late as well."""

    def __init__(self, control: Control, call: Call) -> None:
        self._control = control
        control.submit(call, self._answered, float("inf"))

    def interest(self) -> list[tuple[int, int]]:
        return [] if self.done else self._control.interest()

    def serve(self) -> None:
        if not self.done:
            self._control.serve()
        if self.done:
            self._control.close()

    def deadline(self) -> float | None:
        due = None if self.done else self._control.deadline()
        return None if due == float("inf") else due

    def close(self) -> None:
        self.done = True
        self._control.close()

    def _answered(self, outcome: Reply | DockerptyError) -> None:
        self.done = True
        if isinstance(outcome, DockerptyError):
            self.error = outcome
        else:
            self.reply = outcome


def at_end_of_input(info: dict[str, Any], engine: Engine, can_half_close: bool) -> AtEnd:
    """Say what tells a container that its input has ended.

    Args:
        info: its inspection.
        can_half_close: whether the input's connection can end one direction alone.
    """
    if info["Config"].get("Tty"):
        return "eot"
    # Without StdinOnce an end does not reach the process, and must not end the output. Podman, which always says that
    # it is false, passes it on.
    if not (info["Config"].get("StdinOnce") or engine.is_podman):
        return "keep"
    # A close could drop what an ssh, or a thread, has not passed on yet.
    return "half-close" if can_half_close else "close"


def _keeps_log(info: dict[str, Any]) -> bool:
    """Say whether there is anything to show from: who asks for what is not kept gets nothing at all (Engine 20.10)."""
    log = (info.get("HostConfig") or {}).get("LogConfig") or {}
    return bool(log.get("Type") != "none")
