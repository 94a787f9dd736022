"""What a line of `dpty script` asks for, and what comes of its commands."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dockerpty.cli.grammar import Line, UsageError, read
from dockerpty.cli.script import Script, answers_of, command, commands_of
from dockerpty.cli.table import COMMANDS
from dockerpty.errors import DockerptyError
from dockerpty.frames import STDERR, STDOUT
from dockerpty.host.results import CommandStatus, RunResult, ShellCommand, Status


def line_of(*argv: str) -> Line:
    return read(COMMANDS["script"], argv)


def typed(line: Line) -> list[tuple[str, str]]:
    return [(pattern.pattern, response) for pattern, response in answers_of(line)]


class Ran:
    """A session in which each text ends as it was told beforehand."""

    exec_id = "e" * 64
    container_id = "c" * 64
    container_ref = "web"

    def __init__(self, *ends: CommandStatus | Exception, takes: float = 0.0) -> None:
        self.ends = list(ends)
        self.commands: list[ShellCommand] = []
        self.now = 0.0
        self._takes = takes

    def run(self, command: ShellCommand, timeout: float | None, on_output: Any) -> RunResult:
        assert timeout is None
        self.commands.append(command)
        self.now += self._takes
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        for stream, data in ((STDOUT, end.stdout), (STDERR, end.stderr)):
            if data:
                on_output(stream, data)
        return RunResult([end])

    @property
    def texts(self) -> list[str]:
        return [each.cmd for each in self.commands]


def ended(retcode: int | None = 0, out: bytes = b"", err: bytes = b"", **more: Any) -> CommandStatus:
    return CommandStatus.of("text", retcode, out, err, **more)


def run(ran: Ran, texts: Sequence[str], *argv: str) -> int:
    either: Any = ran
    return Script(line_of(*argv, "web"), either, either, []).run(list(texts))


def test_each_c_is_a_command() -> None:
    assert commands_of(line_of("-c", "a", "-c", "b", "web")) == ["a", "b"]


def test_a_file_is_one_command_and_its_bytes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"a\nb \xff\n")
    (text,) = commands_of(line_of("web", str(tmp_path / "script")))
    assert text.encode(errors="surrogateescape") == b"a\nb \xff\n"


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    assert commands_of(line_of("web", "-")) == ["a\nb\n"]


def test_standard_input_that_is_closed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DockerptyError, match="cannot read stdin: it is closed"):
        commands_of(line_of("web", "-"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["web"], "it needs a FILE, - for standard input, or -c COMMAND"),
        (["-c", "a", "web", "file"], "it takes -c or a file, and not 'file' beside -c"),
    ],
)
def test_commands_come_from_one_place(argv: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        commands_of(line_of(*argv))


@pytest.mark.parametrize("file", ["/no/such", "/"])
def test_a_file_that_cannot_be_read_is_an_error(file: str) -> None:
    with pytest.raises(DockerptyError, match=f"cannot read {file}: "):
        commands_of(line_of("web", file))


def test_what_a_terminal_shows_is_no_result() -> None:
    with pytest.raises(UsageError, match="--json with -t"):
        command(line_of("--json", "-t", "-c", "a", "web"))


def test_a_response_is_a_line_and_the_first_equals_sign_is_before_it() -> None:
    assert typed(line_of("--answer", "a=b=c", "--answer", "name: =", "web")) == [
        ("a", "b=c\n"),
        ("name: ", "\n"),
    ]


def test_a_response_may_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "it = so")
    assert typed(line_of("--answer", "word:=env:SECRET", "web")) == [("word:", "it = so\n")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("secret", "takes PATTERN=RESPONSE"),
        ("=secret", "takes PATTERN=RESPONSE"),
        ("a(=secret", "its pattern is none"),
        ("a=env:NO_SUCH_VARIABLE", "there is no variable NO_SUCH_VARIABLE here"),
    ],
)
def test_an_answer_that_is_none_is_refused_without_telling_its_response(answer: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        answers_of(line_of("--answer", answer, "web"))
    assert "secret" not in str(caught.value)


def test_the_first_that_fails_ends_it_with_its_code() -> None:
    ran = Ran(ended(), ended(7), ended())
    assert (run(ran, ["a", "b", "c"]), ran.texts) == (7, ["a", "b"])


def test_a_shell_that_ends_well_ends_it_as_well() -> None:
    ran = Ran(ended(0, shell_exited=True), ended())
    assert (run(ran, ["exit 0", "b"]), ran.texts) == (0, ["exit 0"])


def test_all_are_run_with_k_and_the_worst_code_counts(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(ended(7), ended(9, shell_exited=True, error="the shell ended with 9"), ended(session_lost=True))
    assert (run(ran, ["a", "b", "c"], "-k"), ran.texts) == (9, ["a", "b", "c"])
    assert capsys.readouterr().err == (
        "dpty: the shell in web is another one: the state of the one before is gone\n"
    )


def test_state_that_was_lost_in_between_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(ended(), ended(session_lost=True), ended())
    assert (run(ran, ["a", "b", "c"]), ran.texts) == (255, ["a", "b"])
    assert "the state of the one before is gone" in capsys.readouterr().err


def test_a_connection_that_was_lost_is_255_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Ran(ended(None, session_lost=True, error="cut")), ["a"]) == 255
    assert capsys.readouterr().err == "dpty: cannot go on with 'text' in web: cut\n"


def test_a_shell_that_says_goodbye_with_its_container_is_no_success(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = ended(0, shell_exited=True, error="the container stopped")._replace(status=Status.Error)
    assert run(Ran(status), ["a"]) == 125
    assert "the container stopped" in capsys.readouterr().err


def test_a_time_limit_is_124_and_each_command_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(ended(), ended(None, timed_out=True), ended())
    assert run(ran, ["a", "b", "c"], "--timeout", "2") == 124
    assert [each.timeout for each in ran.commands] == [2.0, 2.0]
    assert capsys.readouterr().err == "dpty: cannot go on with 'text' in web: it took longer than 2 s\n"


def test_the_budget_is_that_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = Ran(ended(), ended(), ended(None, timed_out=True), takes=2.0)
    monkeypatch.setattr(time, "monotonic", lambda: ran.now)
    assert run(ran, ["a", "b", "c", "d", "e"], "-k", "--timeout", "3", "--budget", "5") == 124
    assert [each.timeout for each in ran.commands] == [3.0, 3.0, 1.0]
    assert capsys.readouterr().err.splitlines() == [
        "dpty: cannot go on with 'text' in web: the 5 s of --budget are over",
        "dpty: the 5 s of --budget are over: 2 commands were not run",
    ]


def test_x_says_what_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    run(Ran(ended(), ended(1)), ["echo one\necho two", "b"], "-x")
    assert capsys.readouterr().err == "+ echo one\n+ echo two\n+ b\n"


def test_each_result_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(ended(0, b"out\n", b"\xff"), ended(None, timed_out=True), ended(4))
    assert run(ran, ["a", "b", "c"], "--json", "-k", "--timeout", "1") == 124
    first, second, third = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["container"], first["exec"], first["command"]) == ("c" * 64, "e" * 64, ["text"])
    assert (first["stdout"], first["stderr"], first["stderr_b64"]) == ("out\n", "\ufffd", "/w==")
    assert (second["exit_code"], second["reason"], second["timed_out"]) == (None, "timeout", True)
    assert (third["exit_code"], third["reason"], third["session_lost"]) == (4, "exited", False)


def test_a_text_that_no_shell_takes_is_an_error_and_no_fault() -> None:
    with pytest.raises(DockerptyError, match=r"cannot run 'a\\x00b': it has a NUL"):
        run(Ran(ValueError("it has a NUL")), ["a\0b"])
