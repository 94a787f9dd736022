"""What a container is created with, beside what was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockerpty.attach import RunOperation
from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.client import from_environment
from dockerpty.engine.interface import Engine, Pending
from dockerpty.engine.transport import Transport
from dockerpty.errors import APIError, DockerptyError
from dockerpty.pty import PseudoTerminal
from tests.unit.loopback import ScriptedEngine, answer

CREATED = answer(201, b'{"Id":"c0ffee","Warnings":[]}', Api_Version="1.44")
NO_MORE = answer(500, b'{"message":"that is enough"}')


@pytest.fixture(autouse=True)
def own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)


class Opened(Transport, Pending):
    """A connection that knows whether it is open still."""

    closed = False

    def __init__(self) -> None:
        super().__init__("here")

    def fileno(self) -> int:
        return -1

    def interest(self) -> list[tuple[int, int]]:
        return []

    def deadline(self) -> float | None:
        return None

    def close(self) -> None:
        self.closed = True


class Kept(Engine):
    """An engine with one container, which keeps all that it opens."""

    def __init__(self) -> None:
        self.runs = False
        self.opened: list[Opened] = []
        self.asked: list[str] = []

    def send(self, call: Call, *, subject: str = "", timeout: float = 0) -> Reply:
        self.asked.append(f"{call.method} {call.path}")
        info = {
            "Id": "c0ffee",
            "Config": {},
            "HostConfig": {"AutoRemove": True},
            "State": {"Running": self.runs},
        }
        return Reply(200, {}, json.dumps(info).encode())

    def hijack(self, call: Call, *, subject: str = "", timeout: float = 0) -> Opened:
        self.opened.append(Opened())
        return self.opened[-1]

    begin = hijack


def created_with(config: dict[str, Any], stdout: int, folder: Path) -> dict[str, Any]:
    """The body that an engine of a newer API gets."""
    engine = ScriptedEngine(str(folder / "engine"), CREATED, NO_MORE)
    client = from_environment(engine.url)
    operation = RunOperation.create(client, config, False, stdout)
    with pytest.raises(APIError, match="that is enough"):
        operation.sockets()
    operation._close()
    client.close()
    engine.close()
    asked, then = engine.requests
    assert (asked.line, then.line) == (
        "POST /containers/create",
        "POST /v1.44/containers/c0ffee/wait?condition=next-exit",
    )
    body: dict[str, Any] = json.loads(asked.body)
    return body


def test_a_container_with_a_terminal_is_told_its_size_when_it_is_created(window: int, tmp_path: Path) -> None:
    config = {"Image": "busybox", "Tty": True, "HostConfig": {"Memory": 1}}
    sized = {**config, "HostConfig": {"Memory": 1, "ConsoleSize": [31, 97]}}
    assert created_with(config, window, tmp_path) == sized
    assert config["HostConfig"] == {"Memory": 1}


def test_a_container_that_the_caller_has_started_is_not_removed_as_one_that_never_was(tmp_path: Path) -> None:
    client = Kept()
    config = {"Image": "busybox", "Tty": False, "HostConfig": {"AutoRemove": True}}
    with (tmp_path / "out").open("wb") as out:
        operation = RunOperation.create(client, config, False, out, out)
        sockets = operation.sockets()
        client.runs = True
        operation.start(sockets)
        operation._close()
    assert client.asked == ["POST /containers/create", "GET /containers/c0ffee/json"]


def test_who_attaches_anew_has_no_more_connections_than_before() -> None:
    client = Kept()
    operation = RunOperation(client, "c0ffee", logs=False)
    operation.sockets()
    operation.sockets()
    assert [each.closed for each in client.opened] == [True] * 2 + [False] * 2
    operation._close()
    assert [each.closed for each in client.opened] == [True] * 4


@pytest.mark.parametrize(
    ("opened", "read_only", "why"),
    [
        (False, False, "its stdin is closed; create it with -i, or send nothing"),
        (True, True, "the session is read-only; leave that out, or send nothing"),
    ],
)
def test_a_script_that_cannot_type_is_refused_before_anything_is_created(
    opened: bool, read_only: bool, why: str
) -> None:
    client = Kept()
    config = {"Image": "busybox", "OpenStdin": opened}
    operation = RunOperation.create(client, config, name="web", read_only=read_only, expect="send a")
    with pytest.raises(DockerptyError, match=f"cannot type into web: {why}$"):
        PseudoTerminal(client, operation).start()
    assert client.asked == []


def test_a_script_that_cannot_type_is_refused_before_its_container_is_started() -> None:
    client = Kept()
    with pytest.raises(DockerptyError, match="its stdin is closed"):
        PseudoTerminal(client, RunOperation(client, "web", expect="send a")).start()
    assert client.asked == ["GET /containers/web/json"]


def test_without_a_terminal_there_is_no_size(window: int, tmp_path: Path) -> None:
    config = {"Image": "busybox", "Tty": False}
    assert created_with(config, window, tmp_path) == config
