"""An engine of nothing but containers, and a clock: what answers the plans that look for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from dockerpty.engine.calls import Reply
from dockerpty.errors import APIError, NotFound
from dockerpty.host.requests import Ask, Invoke, Request, Wait
from dockerpty.plan import drive

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

T = TypeVar("T")

PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
NUMBER, ONE_OFF = "com.docker.compose.container-number", "com.docker.compose.oneoff"


def service(project: str, service: str, number: int = 1, *, one_off: bool = False) -> dict[str, str]:
    """The labels that docker compose gives."""
    return {PROJECT: project, SERVICE: service, NUMBER: str(number), ONE_OFF: str(one_off)}


class Containers:
    """Answers as an engine does, and goes through time as it is waited for.

    Attributes:
        asked: the calls, as "METHOD path".
        now: seconds.
        at: what happens at which time.
    """

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.now = 1000.0
        self.at: list[tuple[float, Callable[[], object]]] = []
        self._lives = 0

    def add(
        self,
        name: str,
        identity: str = "",
        *,
        status: str = "running",
        labels: dict[str, str] | None = None,
        **config: Any,
    ) -> dict[str, Any]:
        """Make a container; its inspection, which may be changed."""
        number = len(self.made) + 1
        info = {
            "Id": (identity or f"{number:x}").ljust(64, "0"),
            "Name": f"/{name}",
            "Config": {"Labels": labels or {}, "Image": "busybox", **config},
            "State": {},
            "HostConfig": {},
        }
        self.made.insert(0, info)
        self.change(info, status)
        return info

    def change(self, info: dict[str, Any], status: str, code: int = 0) -> None:
        """Bring a container into a state."""
        before = info["State"].get("StartedAt", "0001-01-01T00:00:00Z")
        info["State"] = {
            "Status": status,
            "Running": status in ("running", "paused", "restarting"),
            "Paused": status == "paused",
            "Restarting": status == "restarting",
            "ExitCode": code,
            "StartedAt": before,
        }
        if status == "running":
            self._lives += 1
            info["State"]["StartedAt"] = f"life {self._lives}"

    def remove(self, info: dict[str, Any]) -> None:
        self.made.remove(info)

    def after(self, seconds: float, happens: Callable[[], object]) -> None:
        """Have something happen when so much time has been waited for."""
        self.at.append((self.now + seconds, happens))

    def drive(self, plan: Plan[T]) -> T:
        return drive(plan, self.answer)

    def answer(self, request: Request) -> Any:
        if isinstance(request, Ask):
            return self._ask(request)
        if isinstance(request, Invoke):
            return request.function()
        assert isinstance(request, Wait)
        assert request.channels == ()
        assert request.until is not None
        assert request.until > self.now, "a wait for what is over is a loop that does not end"
        self.now = request.until
        for each in sorted((each for each in self.at if each[0] <= self.now), key=lambda each: each[0]):
            self.at.remove(each)
            each[1]()
        return False

    def clock(self) -> float:
        return self.now

    def _ask(self, request: Ask) -> Reply:
        call = request.call
        self.asked.append(f"{call.method} {call.path}")
        if call.name == "containers":
            return _reply([_listed(each) for each in self.made if _fits(each, call.kwargs["filters"])])
        info = self._named(str(call.kwargs["container"]), call)
        if call.name == "start":
            happens = self.starts
            happens(info)
            return Reply(204, {}, b"")
        assert call.name == "inspect_container"
        return _reply(info)

    def starts(self, info: dict[str, Any]) -> None:
        """Start a container."""
        self.change(info, "running")

    def _named(self, text: str, call: Any) -> dict[str, Any]:
        exact = [each for each in self.made if each["Id"] == text]
        exact += [each for each in self.made if each["Name"][1:] == text]
        found = exact[:1] or [each for each in self.made if each["Id"].startswith(text)]
        if len(found) > 1:
            words = f"Multiple IDs found with provided prefix: {text}"
            raise APIError(call.action, text, words, status_code=500, explanation=words)
        if not found:
            words = f"No such container: {text}"
            raise NotFound(call.action, text, words, status_code=404, explanation=words)
        return found[0]


def _fits(info: dict[str, Any], filters: dict[str, list[str]] | None) -> bool:
    given = {f"{key}={value}" for key, value in info["Config"]["Labels"].items()}
    return not filters or given.issuperset(filters["label"])


def _listed(info: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": info["Id"],
        "Names": [info["Name"]],
        "State": info["State"]["Status"],
        "Labels": info["Config"]["Labels"],
    }


def _reply(content: Any) -> Reply:
    return Reply(200, {}, json.dumps(content).encode())
