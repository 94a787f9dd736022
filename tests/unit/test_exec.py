"""What is refused before an exec is asked for, and what one is created with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockerpty.container.spec import exec_config
from dockerpty.engine.client import from_environment
from dockerpty.engine.interface import Engine
from dockerpty.errors import DockerptyError
from dockerpty.exec import ExecOperation
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
