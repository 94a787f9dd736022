"""Each way out of a command line: its exit code, and its one line on stderr."""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dockerpty.cli import outcome, session, watch
from dockerpty.cli.grammar import Command, UsageError, read
from dockerpty.cli.table import COMMANDS
from dockerpty.errors import (
    APIError,
    CannotStart,
    DetachKeysError,
    DockerptyError,
    EngineUnreachable,
    NotFound,
    ProtocolError,
    SessionLost,
    SessionTimeout,
    StartRefused,
    TerminalError,
)
from dockerpty.result import KILLED_CODE, STDOUT_CLOSED_CODE, SessionResult, start_error_code

if TYPE_CHECKING:
    from dockerpty.result import Reason

PAGE = (Path(__file__).parents[3] / "docs" / "exit-codes.md").read_text(encoding="utf-8")
PROCESS = Command("exec", "", "", (), ends_with_process=True)
OTHER = Command("ps", "", "", ())


def refused(code: int) -> StartRefused:
    return StartRefused("start", "web", "why", status_code=400, explanation="why", exit_code=code)


@pytest.mark.parametrize(
    ("error", "code", "code_of_others"),
    [
        (UsageError("use", "--x"), 125, 125),
        (DockerptyError("do", "it"), 125, 1),
        (NotFound("exec in", "web", status_code=404), 125, 1),
        (APIError("exec in", "web", "it is paused", status_code=409), 125, 1),
        (EngineUnreachable("reach", "the engine"), 125, 1),
        (ProtocolError("read"), 125, 1),
        (DetachKeysError("use", "the detach keys"), 125, 1),
        (TerminalError("make raw"), 125, 1),
        (OSError(24, "Too many open files"), 125, 1),
        (SessionTimeout("go on with", "web"), 124, 124),
        (SessionLost("go on with", "web"), 255, 255),
        (refused(127), 127, 1),
        (refused(126), 126, 1),
        (APIError("start", "web", "no such file or directory", status_code=500), 125, 1),
        (CannotStart("open a shell in", "web", "it has none"), 127, 1),
        (CannotStart("see the files of", "web", "it is another's", exit_code=126), 126, 1),
        (KeyError("x"), 125, 3),
        (AssertionError(), 125, 3),
    ],
)
def test_each_error_has_its_code(
    error: Exception, code: int, code_of_others: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome.code_of(error, PROCESS, debug=False) == code
    assert outcome.code_of(error, OTHER, debug=False) == code_of_others
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("dpty: ") for line in lines)


@pytest.mark.parametrize(("disposition", "code"), [(signal.SIG_DFL, -1), (signal.SIG_IGN, 255)])
def test_without_our_terminal_it_is_a_death_by_sighup_unless_that_is_ignored(
    disposition: signal.Handlers, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = SessionLost("go on with", "web", "the terminal is gone")
    error.on_our_side = True
    before = signal.signal(signal.SIGHUP, disposition)
    try:
        assert outcome.code_of(error, PROCESS, debug=False) == code
    finally:
        signal.signal(signal.SIGHUP, before)
    assert capsys.readouterr().err == "dpty: cannot go on with web: the terminal is gone\n"


def test_ctrl_c_is_a_death_by_its_signal_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome.code_of(KeyboardInterrupt(), PROCESS, debug=False) == -2
    assert capsys.readouterr() == ("", "")


def test_a_closed_stdout_is_a_death_by_sigpipe_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome.code_of(BrokenPipeError(), OTHER, debug=False) == -13
    assert capsys.readouterr() == ("", "")


def test_who_decided_on_a_code_keeps_it() -> None:
    with pytest.raises(SystemExit, match="7"):
        outcome.code_of(SystemExit(7), PROCESS, debug=False)


def test_a_fault_of_ours_says_so_and_how_to_report_it(capsys: pytest.CaptureFixture[str]) -> None:
    outcome.code_of(ZeroDivisionError("division by zero"), PROCESS, debug=False)
    assert capsys.readouterr().err == (
        "dpty: ZeroDivisionError: division by zero; this is a fault of dpty:"
        " please report it with what it prints when called as `dpty -D ...`\n"
    )


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise DockerptyError("do", "it")
    except DockerptyError as error:
        outcome.code_of(error, PROCESS, debug=True)
    told = capsys.readouterr().err
    assert "Traceback (most recent call last):" in told
    assert told.endswith("\ndpty: cannot do it\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(24, "Too many open files"), "cannot go on: Too many open files; raise `ulimit -n`"),
        (OSError(5, "Input/output error", "/x"), "cannot go on with /x: Input/output error"),
        (TimeoutError(), "cannot go on: TimeoutError"),
    ],
)
def test_an_error_of_the_system_is_a_sentence(
    error: OSError, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome.code_of(error, PROCESS, debug=False)
    assert capsys.readouterr().err == f"dpty: {message}\n"


class Failing(io.StringIO):
    """A stream that fails as told."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error

    def flush(self) -> None:
        raise self._error


@pytest.mark.parametrize("stream", [None, Failing(OSError(9, "closed")), Failing(BrokenPipeError())])
def test_without_a_stderr_nothing_is_told_and_the_code_stays(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    assert outcome.code_of(DockerptyError("do", "it"), PROCESS, debug=False) == 125


def test_a_line_for_stdout_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    outcome.show("what")
    outcome.flush()
    assert capsys.readouterr() == ("what\n", "")


def test_without_a_stdout_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    outcome.show("what")
    outcome.flush()
    assert outcome.finish(0) == 0


def test_a_full_stdout_is_an_error_that_says_so_and_is_met_once(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(28, os.strerror(28))
    monkeypatch.setattr(sys, "stdout", Failing(full))
    with pytest.raises(DockerptyError, match="cannot write to stdout: No space left on device"):
        outcome.flush()
    assert sys.stdout is None
    assert outcome.finish(1) == 1


def test_a_stdout_that_nobody_reads_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(BrokenPipeError()))
    with pytest.raises(BrokenPipeError):
        outcome.show("what")


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_a_code_is_given_to_the_process(code: int) -> None:
    assert outcome.finish(code) == code


@pytest.mark.parametrize("number", [2, 13, 15])
def test_a_code_below_zero_is_a_death_by_that_signal(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[int] = []
    monkeypatch.setattr("dockerpty.signals.die_by", died.append)
    assert outcome.finish(-number) == 128 + number
    assert died == [number]


# What others wrote


OTHERS = "denied:\x1b[2J\x07 no\r\nsecond\ud800 line\n"


def test_every_line_of_what_is_said_is_told_to_be_ours(capsys: pytest.CaptureFixture[str]) -> None:
    outcome.say("one\ntwo\n")
    outcome.say("")
    outcome.say("plain\nand simple", prefix="")
    assert capsys.readouterr().err == "dpty: one\ndpty: two\ndpty: \nplain\nand simple\n"


def test_a_terminal_is_not_commanded_by_what_others_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    try:
        with open(slave, "w", closefd=False) as stderr:
            monkeypatch.setattr(sys, "stderr", stderr)
            outcome.say(OTHERS)
            outcome.code_of(DockerptyError("pull", "x", OTHERS), PROCESS, debug=False)
        told = b""
        # What was written comes through a terminal in pieces of any length.
        while told.count(b"\n") < 4 and select.select([master], [], [], 10)[0]:
            told += os.read(master, 4096)
    finally:
        os.close(master)
        os.close(slave)
    assert told.decode().split("\r\n") == [
        "dpty: denied:?[2J? no",
        "dpty: second? line",
        "dpty: cannot pull x: denied:?[2J? no",
        "dpty: second? line",
        "",
    ]


def test_in_a_file_it_stays_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    outcome.say("denied:\x1b[2J")
    assert capsys.readouterr().err == "dpty: denied:\x1b[2J\n"


# The page that tells of all this


def rows_of(heading: str) -> list[list[str]]:
    """The cells of each row of the first table below a heading of the page, its own headings left out."""
    lines = PAGE[PAGE.index(f"# {heading}\n") :].splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| --"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[begin + 1 :])
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def code_of(error: BaseException, command: Command = PROCESS) -> int:
    return outcome.code_of(error, command, debug=False)


def left_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """What `watch` ends with when it is interrupted so."""

    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr(watch, "container_of", interrupted)
    monkeypatch.setattr(watch, "engine_of", lambda common: Closed())
    return watch.command(read(COMMANDS["watch"], ["web"]))


class Closed:
    """An engine that nobody asks."""

    def close(self) -> None:
        """Nothing is open."""


class Ended:
    """A session that ended so, as `bridge` sees it."""

    def __init__(self, code: int | None, reason: Reason) -> None:
        self.result = SessionResult()
        self.result.reason = reason
        self._code = code

    def start(self) -> int | None:
        return self._code


def bridged(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(session, "PseudoTerminal", lambda *_, **__: ended)
    return session.bridge(Closed(), Web(), read(COMMANDS["exec"], ["web", "ls"]))  # type: ignore[arg-type]  # an engine and a container that are played


class Web:
    """What a session was of."""

    def describe(self) -> str:
        return "web"


def test_the_page_has_every_way_out_and_the_code_that_it_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = " ".join(name for name, command in COMMANDS.items() if not command.ends_with_process)
    killed = SessionResult()
    killed.exit_code = 128 + 9
    assert killed.signal == 9
    not_found, not_executable = (
        code_of(refused(start_error_code(f'exec: "x": {why}', 0)))
        for why in ("executable file not found in $PATH", "permission denied")
    )
    ours, theirs = code_of(DockerptyError("do", "it")), code_of(DockerptyError("do", "it"), OTHER)
    assert {ours} == {code_of(UsageError("use", "--x")), code_of(NotFound("exec in", "web", status_code=404))}
    usage, fault = code_of(UsageError("use", "--x"), OTHER), code_of(KeyError("x"), OTHER)
    in_time = code_of(SessionTimeout("find", "what it waited for"))
    limit, lost = code_of(SessionTimeout("go on with", "web")), code_of(SessionLost("go on with", "web"))
    left = left_with(KeyboardInterrupt(), monkeypatch)
    closed = bridged(Ended(STDOUT_CLOSED_CODE, "stdout-closed"), monkeypatch)
    assert (128 - closed, -closed) == (STDOUT_CLOSED_CODE, signal.SIGPIPE)
    assert code_of(KeyboardInterrupt()) == -signal.SIGINT
    capsys.readouterr()
    detached = bridged(Ended(None, "detached"), monkeypatch)
    assert capsys.readouterr() == ("", "dpty: detached from web\n")
    said = dict(rows_of("Exit codes"))
    assert said == {
        "The process has ended": "its own; 128 + n if signal n killed it",
        "The command was not found in the container": f"{not_found}",
        "It was found and cannot be executed": f"{not_executable}",
        "An error of ours or of the engine, bad usage, no such container": (
            f"{ours}; of `{others}` an error is {theirs}, bad usage {usage}, a fault of `dpty` {fault}"
        ),
        "A script of `--expect` did not find what it waited for": f"{in_time}",
        "`watch` was left with Ctrl-C": f"{left}",
        "`--timeout`, `--idle-timeout` or `--budget`": f"{limit}",
        "The session was lost and the exit code is not known": f"{lost}",
        "Detached": f"{detached}, and one line on stderr",
        "The container was removed meanwhile": f"{KILLED_CODE}",
        "Standard output was closed (`dpty ... \\| head -1`)": f"dies by SIGPIPE; a shell shows {128 - closed}",
        "The terminal is gone (its window was closed)": (
            f"dies by SIGHUP; a shell shows {128 + signal.SIGHUP}; {lost} where SIGHUP is ignored"
        ),
        "Ctrl-C or another signal that is not passed on": "dies by that signal; a shell shows 128 + n",
    }


def test_its_section_on_signals_has_every_command_with_a_process() -> None:
    named = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows_of("Signals")))
    assert sorted(named) == sorted(name for name, command in COMMANDS.items() if command.ends_with_process)
    (watching,) = (row for row in rows_of("Signals") if row[0] == "`watch`")
    has_flag = {name for name, each in COMMANDS.items() for flag in each.flags if flag.dest == "sig_proxy"}
    assert {*named} - has_flag == {"script", "watch"}
    assert "no such flag" in watching[1]
