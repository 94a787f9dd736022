"""What `--json` keeps of a session, and the document that it makes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dockerpty.cli import capture
from dockerpty.cli.capture import Capture, document
from dockerpty.cli.grammar import read
from dockerpty.cli.table import COMMANDS
from dockerpty.errors import NotFound, SessionTimeout
from dockerpty.result import SessionResult

LINE = read(COMMANDS["exec"], ["--json", "web", "ls", "-l"])


def result(code: int | None = 0, reason: Any = "exited") -> SessionResult:
    made = SessionResult()
    made.exit_code, made.reason = code, reason
    made.container_id, made.exec_id = "c" * 64, "e" * 64
    return made


def made_of(out: bytes, err: bytes = b"", limit: int = 100, code: int = 0) -> dict[str, Any]:
    kept = Capture(limit), Capture(limit)
    for each, data in zip(kept, (out, err), strict=True):
        each.write(data)
    return document("web", ["ls"], result(code), *kept, 1.23456)


def test_the_document_has_the_result_of_the_process() -> None:
    assert made_of("gemütlich\n".encode(), b"oh\n", code=137) == {
        "container": "c" * 64,
        "exec": "e" * 64,
        "command": ["ls"],
        "exit_code": 137,
        "reason": "exited",
        "signal": 9,
        "stdout": "gemütlich\n",
        "stderr": "oh\n",
        "truncated": False,
        "duration": 1.235,
    }


def test_what_is_no_text_has_a_twin_with_its_bytes() -> None:
    found = made_of(b"\xff\x00", b"text")
    assert found["stdout"] == "\ufffd\x00"
    assert base64.b64decode(found["stdout_b64"]) == b"\xff\x00"
    assert "stderr_b64" not in found


def test_what_is_too_much_is_cut_and_that_is_told() -> None:
    found = made_of(b"123456", b"x", limit=5)
    assert (found["stdout"], found["stderr"], found["truncated"]) == ("12345", "x", True)
    assert not made_of(b"12345", limit=5)["truncated"]


def test_a_character_that_the_limit_cuts_is_left_out() -> None:
    found = made_of("1234ä".encode(), limit=5)
    assert found["stdout"] == "1234"
    assert "stdout_b64" not in found


def test_half_a_character_at_an_end_that_is_none_of_ours_is_no_text() -> None:
    assert "stdout_b64" in made_of("ä".encode()[:1])


def test_nothing_beyond_the_limit_is_kept_in_memory() -> None:
    kept = Capture(10)
    for _ in range(1000):
        assert kept.write(b"x" * 1000) == 1000
    assert kept.data == b"x" * 10


class Ends:
    """A terminal whose session writes something and comes to an end."""

    def __init__(self, end: int | Exception, reason: str) -> None:
        self.operation = self
        self.stdout: Any = None
        self.stderr: Any = None
        self.result: SessionResult | None = None
        self._end, self._reason = end, reason

    def describe(self) -> str:
        return "web"

    def start(self) -> int:
        self.stdout.write(b"written")
        self.result = result(self._end if isinstance(self._end, int) else None, self._reason)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


def test_the_output_goes_into_the_document_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert capture.start(Ends(7, "exited"), LINE) == 7  # type: ignore[arg-type]  # a terminal that is played
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["exit_code"], found["stdout"], found["command"]) == (7, "written", ["ls", "-l"])
    assert shown.out.count("\n") == 1
    assert shown.err == ""


def test_a_session_that_ran_out_of_time_has_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SessionTimeout):
        capture.start(Ends(SessionTimeout("go on with"), "timeout"), LINE)  # type: ignore[arg-type]  # a terminal that is played
    found = json.loads(capsys.readouterr().out)
    assert (found["exit_code"], found["reason"], found["stdout"]) == (None, "timeout", "written")


def test_what_never_began_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound):
        capture.start(Ends(NotFound("exec in"), ""), LINE)  # type: ignore[arg-type]  # a terminal that is played
    assert capsys.readouterr().out == ""


def test_the_command_is_all_there_is_where_the_container_is_not_on_the_line() -> None:
    assert capture.command_of(LINE) == ["ls", "-l"]
    assert capture.command_of(read(COMMANDS["exec"], ["-l", "ls", "-l"])) == ["ls", "-l"]
    assert capture.command_of(read(COMMANDS["run"], ["busybox"])) == []
