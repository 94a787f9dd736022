"""What a container is created with, beside what was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockerpty.attach import RunOperation
from dockerpty.engine.client import from_environment
from dockerpty.errors import APIError
from tests.unit.loopback import ScriptedEngine, answer

CREATED = answer(201, b'{"Id":"c0ffee","Warnings":[]}', Api_Version="1.44")
NO_MORE = answer(500, b'{"message":"that is enough"}')


@pytest.fixture(autouse=True)
def own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)


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


def test_without_a_terminal_there_is_no_size(window: int, tmp_path: Path) -> None:
    config = {"Image": "busybox", "Tty": False}
    assert created_with(config, window, tmp_path) == config
