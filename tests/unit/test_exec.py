"""What is refused before an exec is asked for, and what one is created with."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockerpty import pumps
from dockerpty.container.spec import exec_config
from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.client import from_environment
from dockerpty.engine.interface import TIMEOUT, Engine
from dockerpty.errors import DockerptyError, EngineUnreachable, SessionLost
from dockerpty.exec import ExecOperation
from dockerpty.frames import STDOUT, encode
from dockerpty.pty import PseudoTerminal
from dockerpty.result import SessionResult
from tests.unit.loopback import ScriptedEngine, answer


@pytest.mark.parametrize("exec_id", [None, "", {}, {"Id": ""}, {"Id": None}, 7])
def test_what_names_no_exec_is_refused(exec_id: Any) -> None:
    with pytest.raises(DockerptyError) as caught:
        ExecOperation(Engine(), exec_id)
    assert str(caught.value) == (
        "cannot find the exec: it is no id and no dict with an Id; pass what `exec_create` returned"
    )


@pytest.mark.parametrize("exec_id", ["4ad", {"Id": "4ad"}])
def test_an_exec_is_named_by_its_id_or_by_what_created_it(exec_id: Any) -> None:
    assert ExecOperation(Engine(), exec_id).exec_id == "4ad"


def test_a_command_with_an_open_quote_is_refused() -> None:
    with pytest.raises(DockerptyError) as caught:
        exec_config("sh -c 'ls", False, False, [], "", None, False)
    assert str(caught.value) == (
        """cannot split the command "sh -c 'ls": no closing quotation; give a list, which is taken as it is"""
    )


def says(text: bytes) -> Callable[[socket.socket], None]:
    """Start an exec that says this, and ends."""

    def step(sock: socket.socket) -> None:
        sock.sendall(answer(101) + encode(STDOUT, text))
        sock.shutdown(socket.SHUT_RDWR)

    return step


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        # Removed with its container.
        ([answer(404, b"{}"), answer(404, b"{}")], 137),
        # Forgotten by an engine that was started anew.
        ([answer(404, b"{}"), answer(200, b'{"Id":"4ad","Config":{},"State":{"Status":"running"}}')], None),
        # Nobody can be asked.
        ([None, None], None),
        ([answer(200, b'{"ID":"e4ec","Running":false,"ExitCode":4,"Pid":9}')], 4),
    ],
    ids=["removed", "lost", "away", "exited"],
)
def test_what_looked_like_the_text_of_a_failed_start_is_output_however_it_ended(
    ends: list[Any], code: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pumps, "START_ERROR_WAIT_S", 60.0)
    created = answer(201, b'{"Id":"e4ec"}', Api_Version="1.41")
    engine = ScriptedEngine(str(tmp_path / "engine"), created, says(b"one line\r\n"), *ends)
    client = from_environment(engine.url)
    with (tmp_path / "out").open("wb") as out:
        operation = ExecOperation.create(client, "web", ["true"], False, out, out)
        terminal = PseudoTerminal(client, operation)
        if code is None:
            with pytest.raises(SessionLost):
                terminal.start()
        else:
            assert terminal.start() == code
    client.close()
    engine.close()
    assert (tmp_path / "out").read_bytes() == b"one line\r\n"


class Hangs(Engine):
    """An engine that takes a call, and as much time as it is given."""

    def __init__(self) -> None:
        self.patience: list[float] = []

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        self.patience.append(timeout)
        raise EngineUnreachable("reach", "the engine")


def test_nobody_who_has_detached_waits_long_for_an_engine_that_hangs() -> None:
    engine, result = Hangs(), SessionResult()
    result.reason = "detached"
    operation = ExecOperation(engine, "e4ec")
    operation._identify(result)
    assert (result.exec_id, result.container_id, engine.patience) == ("e4ec", None, [1])


def test_the_look_whether_a_process_has_ended_at_its_time_limit_takes_no_longer_than_that() -> None:
    engine = Hangs()
    assert ExecOperation(engine, "e4ec")._ends_within(2)
    assert engine.patience == [2]


@pytest.mark.parametrize(("tty", "size"), [(True, [31, 97]), (False, None)])
def test_an_exec_with_a_terminal_is_told_its_size_at_its_creation_and_at_its_start(
    tty: bool, size: list[int] | None, window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    created = answer(201, b'{"Id":"e4ec"}', Api_Version="1.44")
    engine = ScriptedEngine(str(tmp_path / "engine"), created, answer(101))
    client = from_environment(engine.url)
    operation = ExecOperation.create(client, "web", ["true"], False, window, tty=tty)
    operation.sockets()
    operation._close()
    client.close()
    engine.close()
    assert engine.lines == ["POST /containers/web/exec", "POST /v1.44/exec/e4ec/start"]
    assert [json.loads(each.body).get("ConsoleSize") for each in engine.requests] == [size, size]
