"""Which container a host is just now: found, brought up where that was asked for, and found again. Plans.

What is known is a `State`. Whoever drives a plan over one holds the host's lock meanwhile; here is none.

- `current` asks nobody as long as what was found last did run then.
- `again` is for who was told otherwise: by an answer (`errors.is_away`), or by the end of a stream. It asks the engine.
- A name and labels are looked up anew each time: compose makes a new container under the old name. An id is one
  container for ever, and so is a name that turned out to be the beginning of an id.
- `Resolved.life` is another one once the container was replaced or started again: what ran in it before is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dockerpty.container.state import is_ready, why_not_ready
from dockerpty.engine import calls
from dockerpty.errors import APIError, DockerptyError
from dockerpty.host.errors import HostError, HostNotRunningError, HostPausedError
from dockerpty.host.reference import Reference, can_be, described
from dockerpty.host.requests import Ask, Invoke, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from dockerpty.host.reference import Listed
    from dockerpty.host.requests import Plan

    # A function that brings a container up and gives its id, or nothing if it is to be looked up; on a loop it may be
    # a coroutine function.
    Start: TypeAlias = bool | Callable[[], Any]

#: Seconds that a container between two restarts is waited for.
RESTARTING_S = 10.0
# Between two questions: the first comes soon, for a container that is just about to run.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 0.5
# A container that goes between its list and its inspection is looked up this often.
_LOOK_UPS = 3
# The same in Podman's words, with a status that says nothing.
_GONE = "no such container"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A container as the engine described it.

    Attributes:
        id: the full one.
        started: when it was started last, as the engine writes it.
        name: its own, without a slash.
        labels: of the container and its image.
        image: what it was made of, as its maker wrote it.
        state: docker's word: "running", "paused", "restarting", "exited", "created", ...
        ready: its processes can be got at: it runs, and does not stand still.
        exit_code: that of its last life, for one that has ended.
        health: "starting", "healthy" or "unhealthy"; empty without a check.
        user, workdir: of its own processes; empty for root and for `/`.
        tmpfs: where a tmpfs is mounted, of which the engine sees nothing in archives.
        mounts: where anything else is: volumes, directories of the engine's machine.
    """

    id: str
    started: str
    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    image: str = ""
    state: str = "running"
    ready: bool = True
    exit_code: int | None = None
    health: str = ""
    user: str = ""
    workdir: str = ""
    tmpfs: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()

    @classmethod
    def of(cls, info: dict[str, Any]) -> Resolved:
        """Read an inspection."""
        state, config = info["State"], info["Config"]
        ready = is_ready(state)
        word = "running" if ready else why_not_ready(state)[0].removeprefix("it is ")
        mounts = info.get("Mounts") or []
        # Those of `--tmpfs` are no mounts in Docker's inspection, and are in Podman's.
        tmpfs = [*((info.get("HostConfig") or {}).get("Tmpfs") or {})]
        tmpfs += [each["Destination"] for each in mounts if each.get("Type") == "tmpfs"]
        others = [each["Destination"] for each in mounts if each.get("Type") != "tmpfs"]
        return cls(
            str(info["Id"]),
            str(state.get("StartedAt") or ""),
            str(info.get("Name") or "").removeprefix("/"),
            config.get("Labels") or {},
            str(config.get("Image") or ""),
            word,
            ready,
            state.get("ExitCode") if word == "exited" else None,
            str((state.get("Health") or {}).get("Status") or ""),
            str(config.get("User") or ""),
            str(config.get("WorkingDir") or ""),
            tuple(dict.fromkeys(tmpfs)),
            tuple(dict.fromkeys(others)),
        )

    @property
    def life(self) -> tuple[str, str]:
        """What is another one once the container was replaced, or started again."""
        return self.id, self.started


class State:
    """What a host knows of its container.

    Attributes:
        reference: which one is meant.
        start: what to do about one that does not run: nothing, start it, or call this.
        host: the host's name, for errors.
        known: as it was found last; `None` if it was not, or was not there any more.
    """

    __slots__ = ("_by_name", "_clock", "_id", "host", "known", "reference", "start")

    def __init__(
        self,
        reference: Reference,
        *,
        start: Start = False,
        host: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nobody yet.

        Args:
            clock: that of `Wait.until`.
        """
        self.reference = reference
        self.start = start
        self.host = host
        self.known: Resolved | None = None
        self._clock = clock
        # Full, of the only container that this can ever be.
        self._id = ""
        # It was found by its name, and only one of that name is it.
        self._by_name = False

    def now(self) -> float:
        """Give the time by which waits are counted."""
        return self._clock()

    def sought(self) -> Reference:
        """Give what to look up now."""
        return Reference(self.reference.text or self._id, self._id) if self._id else self.reference

    def take(self, found: Resolved, *, brought: bool = False) -> Resolved:
        """Keep what was found.

        Args:
            brought: by the program itself, which says that this is the one, whatever id it was made with.
        """
        if not self.reference.labels:
            self._by_name = found.name == self.reference.name
            if self._by_name:
                self._id = ""
            elif brought or found.id.startswith(self.reference.name):
                self._id = found.id
        self.known = found
        return found

    def is_another(self, found: Resolved) -> bool:
        """Say whether what was found has the name for an id, or the beginning of its id for a name."""
        return found.id != self._id if self._id else self._by_name and found.name != self.reference.name


# ---- one look ------------------------------------------------------------------------------------------------------


def find(reference: Reference, *, host: str = "") -> Plan[Resolved]:
    """Look a container up, whatever state it is in.

    Raises:
        HostNotRunningError: there is none; it names those that are nearly it.
        HostError: there are several, and none of them is the one.
        APIError, EngineUnreachable: the engine refused, or was not there to ask.
    """
    if not reference:
        raise HostNotRunningError(
            "find",
            "the container of the host" if host else "the container",
            "it is not running: no container was named",
            "name one, or let start= bring it up",
            host=host,
        )
    if reference.name and not can_be(reference.name):
        # An engine would take some of that for a path of its own.
        raise _missing(reference, host, (yield from _all()))
    for _ in range(_LOOK_UPS):
        name = reference.name or (yield from _by_labels(reference, host))
        if not name:
            break
        try:
            return Resolved.of((yield Ask(calls.inspect_container(name), reference.text)).json())
        except APIError as error:
            if reference.name:
                listed = yield from _all()
                # To Podman an id with several continuations is one that is not there.
                _refuse_several(reference, host, listed, error)
                if _is_gone(error):
                    raise _missing(reference, host, listed) from error
            if not _is_gone(error):
                raise
    raise _missing(reference, host, (yield from _all()))


def _by_labels(reference: Reference, host: str) -> Plan[str]:
    """Give the id of the container with these labels, "" if there is none."""
    reply = yield Ask(calls.list_containers(all=True, filters=reference.filters), reference.text)
    fitting = reference.best_of(reply.json())
    if len(fitting) > 1:
        raise _several(reference, host, fitting)
    return str(fitting[0]["Id"]) if fitting else ""


def _refuse_several(reference: Reference, host: str, listed: list[Listed], error: APIError) -> None:
    """Say so where an id has several continuations: each engine refuses it with a status and words of its own."""
    several = [each for each in listed if str(each["Id"]).startswith(reference.name)]
    if len(several) > 1:
        raise _several(reference, host, several) from error


def _several(reference: Reference, host: str, fitting: list[Listed]) -> HostError:
    listed = ", ".join(sorted(described(each) for each in fitting))
    hint = "give the name or the id of one of them"
    return HostError("find", reference.text, f"{len(fitting)} containers fit: {listed}", hint, host=host)


def _missing(reference: Reference, host: str, listed: list[Listed]) -> HostNotRunningError:
    near = reference.nearest(listed)
    hint = f"is it {' or '.join(near)}?" if near else "`dpty ps -a` lists those that there are"
    reason = "it is not running: there is no such container"
    return HostNotRunningError("find", reference.text, reason, hint, host=host)


def _all() -> Plan[list[Listed]]:
    """List what there is, for a message: where that fails, there is nothing."""
    try:
        listed: list[Listed] = (yield Ask(calls.list_containers(all=True))).json()
    except DockerptyError:
        return []
    return listed


def _is_gone(error: APIError) -> bool:
    return error.status_code == 404 or _GONE in error.explanation.lower()


# ---- what a host does ----------------------------------------------------------------------------------------------


def refresh(state: State) -> Plan[Resolved]:
    """Look the container up again, whatever state it is in. Starts nothing.

    Raises:
        HostNotRunningError: it is not there.
        HostError, APIError, EngineUnreachable: as `find`.
    """
    sought = state.sought()
    try:
        found = yield from find(sought, host=state.host)
        if state.is_another(found):
            raise _missing(sought, state.host, (yield from _all()))
    except HostNotRunningError:
        state.known = None
        raise
    return state.take(found)


def current(state: State) -> Plan[Resolved]:
    """Give the container, running: as it was found last if it did run then, else as `again` finds it.

    Raises:
        HostNotRunningError, HostError, APIError, EngineUnreachable: as `again`.
    """
    known = state.known
    return known if known is not None and known.ready else (yield from again(state))


def again(state: State) -> Plan[Resolved]:
    """Look the container up, and have it run; one between two restarts is waited for.

    Raises:
        HostPausedError: it is paused, which nobody but who paused it undoes.
        HostNotRunningError: it is not there, or does not run and nobody asked for its start, or its start failed.
        HostError, APIError, EngineUnreachable: as `find`.
        TypeError: the program's own `start` gave something that is no id.
        Exception: whatever that raises.
    """
    found: Resolved | None
    try:
        found = yield from refresh(state)
    except HostNotRunningError:
        if not callable(state.start):
            raise
        found = None
    started, until, pause = False, 0.0, _FIRST_PAUSE_S
    while found is None or not found.ready:
        if found is not None and found.state == "paused":
            raise _stopped(state, found, HostPausedError)
        if found is not None and found.state == "restarting":
            until = until or state.now() + RESTARTING_S
            if state.now() >= until:
                raise _stopped(state, found)
            yield Wait((), min(until, state.now() + pause))
            pause = min(pause * 2, _LAST_PAUSE_S)
            found = yield from refresh(state)
        elif state.start and not started:
            started = True
            found = yield from _bring_up(state, found)
        else:
            assert found is not None  # who was called to bring one up has
            raise _stopped(state, found, started=started)
    return found


def _bring_up(state: State, found: Resolved | None) -> Plan[Resolved]:
    start = state.start
    if not isinstance(start, bool):
        given = yield Invoke(start)
        if given is not None and not isinstance(given, str):
            raise TypeError(f"start= gave a {type(given).__name__} and no container's id")
        if given:
            return state.take((yield from find(Reference(given, given), host=state.host)), brought=True)
    else:
        assert found is not None  # else there is nothing to start
        try:
            yield Ask(calls.start_container(found.id), found.name)
        except APIError as error:
            reason = f"it is not running: it could not be started: {error.explanation or error.reason}"
            raise HostNotRunningError(
                "use", _shown(state, found), reason, error.hint, host=state.host, state=found.state
            ) from error
    return (yield from refresh(state))


def _stopped(
    state: State,
    found: Resolved,
    kind: type[HostNotRunningError] = HostNotRunningError,
    *,
    started: bool = False,
) -> HostNotRunningError:
    """Make the error for a container that does not run."""
    why, hint = {
        "paused": ("it is paused", "unpause it first"),
        "restarting": (
            "it is restarting, again and again",
            "see its logs: it ends as soon as it was started",
        ),
        "dead": ("it is dead", "remove it"),
        "created": ("it was never started", "start it first, or use start=True"),
        "exited": (f"it ended with {found.exit_code}", "start it first, or use start=True"),
    }.get(found.state, (f"it is {found.state}", ""))
    if started:
        why, hint = f"it was started, and {why.removeprefix('it ')}", "see its logs"
    reason = f"it is not running: {why}"
    return kind("use", _shown(state, found), reason, hint, host=state.host, state=found.state)


def _shown(state: State, found: Resolved) -> str:
    return state.reference.text or found.name or found.id[:12]


def is_running(state: State) -> Plan[bool]:
    """Ask whether the container is there, runs, and does not stand still. Starts nothing.

    Raises:
        HostError, APIError, EngineUnreachable: as `find`.
    """
    try:
        return (yield from refresh(state)).ready
    except HostNotRunningError:
        return False


def wait_running(state: State, timeout: float | None = None) -> Plan[Resolved]:
    """Wait until the container runs, also for one that is not there yet. Starts nothing.

    Args:
        timeout: seconds; None for no limit.

    Raises:
        HostNotRunningError: it does not in this time.
        HostError, APIError, EngineUnreachable: as `find`.
    """
    return (yield from _until(state, timeout, lambda found: found.ready, "to run"))


def wait_healthy(state: State, timeout: float | None = None) -> Plan[Resolved]:
    """Wait until the container's own check says that it is healthy.

    Args:
        timeout: seconds; None for no limit.

    Raises:
        HostNotRunningError: it does not in this time.
        HostError: it has no check; or as `find`.
        APIError, EngineUnreachable: as `find`.
    """

    def is_healthy(found: Resolved) -> bool:
        if found.ready and not found.health:
            hint = "give it one (HEALTHCHECK, --health-cmd), or wait_running()"
            raise HostError(
                "wait for", _shown(state, found), "it has no check of its health", hint, host=state.host
            )
        return found.ready and found.health == "healthy"

    return (yield from _until(state, timeout, is_healthy, "to be healthy"))


def _until(
    state: State, timeout: float | None, is_so: Callable[[Resolved], bool], what: str
) -> Plan[Resolved]:
    until = None if timeout is None else state.now() + timeout
    pause = _FIRST_PAUSE_S
    while True:
        try:
            found = yield from refresh(state)
        except HostNotRunningError as error:
            last, word = error.reason, ""
        else:
            if is_so(found):
                return found
            word = found.state
            last = f"it is {found.health}" if found.ready else _stopped(state, found).reason
        now = state.now()
        if until is not None and now >= until:
            text = state.reference.text or "the container"
            reason = f"{last}, after {timeout:g} s"
            raise HostNotRunningError("wait for", f"{text} {what}", reason, host=state.host, state=word)
        yield Wait((), now + pause if until is None else min(until, now + pause))
        pause = min(pause * 2, _LAST_PAUSE_S)
