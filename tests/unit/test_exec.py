"""What is refused before an exec is asked for, what one is created with, and what is learned of its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dockerpty import exec as execs
from dockerpty.engine.client import from_environment
from dockerpty.engine.interface import Engine
from dockerpty.errors import DockerptyError
from dockerpty.exec import ExecOperation, _is_younger, end_of, exec_config
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


# How one has ended


def info(running: Any = False, code: int | None = 0, **more: int) -> dict[str, Any]:
    return {"Running": running, "ExitCode": code, **more}


@pytest.mark.parametrize(
    ("ended", "code", "started"),
    [
        (info(code=0, Pid=9), 0, True),
        (info(code=127, Pid=9), 127, True),
        # Podman has no number for what has ended.
        (info(code=7), 7, True),
        (info(code=125), 125, False),
        (info(code=126, Pid=0), 126, False),
        (info(code=127, Pid=0), 127, False),
        # ... and -1 for what it does not know.
        (info(code=-1), None, True),
        (info(code=None), None, True),
        (info(running=None, code=3, Pid=9), 3, True),
    ],
    ids=str,
)
def test_an_exec_has_ended_or_was_never_started_by_its_number_and_its_code(
    ended: dict[str, Any], code: int | None, started: bool
) -> None:
    answers = [info(True, None, Pid=9), info(True, 0, Pid=9), ended]
    assert end_of(lambda: answers.pop(0)) == (code, started)
    assert answers == []


def test_a_code_that_does_not_come_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execs, "_EXIT_CODE_WAIT_S", 0.02)
    assert end_of(lambda: info(True, 0)) == (None, True)


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


@pytest.mark.parametrize(
    ("created", "date", "younger"),
    [
        ("2026-11-21T16:14:20.123456789Z", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        # The same second tells nothing: of the date what is below it is not known.
        ("2026-11-21T16:14:22.999999999Z", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        ("2026-11-21T16:14:23Z", "Sat, 21 Nov 2026 16:14:22 GMT", True),
        ("2026-11-21T18:14:22+02:00", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        ("2026-11-21T18:14:23+02:00", "Sat, 21 Nov 2026 16:14:22 GMT", True),
        ("2026-11-21T16:14:23Z", "", False),
        ("some day", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        ("2026-11-21T16:14:23", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        (None, "Sat, 21 Nov 2026 16:14:22 GMT", False),
    ],
)
def test_a_container_that_was_made_after_an_answer_is_not_the_one_that_was_asked_about(
    created: str | None, date: str, younger: bool
) -> None:
    assert _is_younger({"Created": created}, date) is younger
