"""What a command line makes of a session: its terminal, its settings, docker's configuration."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.cli import session
from dockerpty.cli.grammar import Line, UsageError, read
from dockerpty.cli.table import COMMANDS
from dockerpty.errors import DetachKeysError, TerminalError


def line_of(text: str) -> Line:
    return read(COMMANDS["exec"], [*text.split(), "web", "sh"])


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def nothing() -> Iterator[int]:
    fd = os.open(os.devnull, os.O_RDWR)
    yield fd
    os.close(fd)


def standard(monkeypatch: pytest.MonkeyPatch, stdin: int | None, stdout: int | None) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys, "stdout", stdout)


@pytest.mark.parametrize(
    ("flags", "reads"),
    [
        ("", False),
        ("-i", True),
        ("-t", False),
        ("-n", False),
        ("-i -n", False),
        ("-n -i", False),
        ("-i=false", False),
    ],
)
def test_stdin_is_read_with_i_and_without_n_only(flags: str, reads: bool) -> None:
    assert session.is_interactive(line_of(flags)) is reads


@pytest.mark.parametrize("flags", ["-it", "-ti", "-t -i", "--tty=true -i"])
def test_a_persons_terminal_needs_a_terminal_at_stdin(
    flags: str, terminal: int, nothing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard(monkeypatch, terminal, nothing)
    assert session.wants_tty(line_of(flags)) is True
    for stdin in (nothing, None):
        standard(monkeypatch, stdin, terminal)
        with pytest.raises(TerminalError, match="the input device is not a TTY; use --tty=auto"):
            session.wants_tty(line_of(flags))


@pytest.mark.parametrize("flags", ["-t", "-itn", "-itd"])
def test_a_terminal_that_nobody_types_at_needs_none_here(
    flags: str, nothing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard(monkeypatch, nothing, nothing)
    assert session.wants_tty(line_of(flags)) is True


def test_auto_takes_a_terminal_only_where_stdin_and_stdout_are_terminals(
    terminal: int, nothing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stdin, stdout, wanted in (
        (terminal, terminal, True),
        (terminal, nothing, False),
        (nothing, terminal, False),
        (None, terminal, False),
        (terminal, None, False),
    ):
        standard(monkeypatch, stdin, stdout)
        assert session.wants_tty(line_of("-i --tty=auto")) is wanted
        assert session.wants_tty(line_of("--tty=auto")) is wanted


@pytest.mark.parametrize("flags", ["", "-i", "-T", "-t -T", "--tty=false"])
def test_without_t_there_is_no_terminal(flags: str, terminal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    standard(monkeypatch, terminal, terminal)
    assert session.wants_tty(line_of(flags)) is False


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_settings_are_the_librarys_keywords(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NORAW", raising=False)
    assert session.keywords(line_of(""), tty=True) == {
        "detach_keys": None,
        "sig_proxy": True,
        "timeout": None,
        "idle_timeout": None,
        "size": None,
        "raw": None,
    }
    flags = "--detach-keys none --sig-proxy=false --timeout 2 --idle-timeout 1.5 --size 30x100"
    assert session.keywords(line_of(flags), tty=True) == {
        "detach_keys": "none",
        "sig_proxy": False,
        "timeout": 2.0,
        "idle_timeout": 1.5,
        "size": (30, 100),
        "raw": None,
    }


@pytest.mark.parametrize(("value", "raw"), [("1", False), ("no", False), ("", None)])
def test_noraw_keeps_the_terminal_as_it_is(
    value: str, raw: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORAW", value)
    assert session.keywords(line_of(""), tty=False)["raw"] is raw


def test_detach_keys_come_from_the_line_then_from_dockers_configuration(configuration: Path) -> None:
    configuration.write_text('{"detachKeys": "ctrl-a,d"}')
    assert session.keywords(line_of(""), tty=True)["detach_keys"] == "ctrl-a,d"
    assert session.keywords(line_of("--detach-keys ctrl-x"), tty=True)["detach_keys"] == "ctrl-x"
    assert session.keywords(line_of("--detach-keys="), tty=True)["detach_keys"] == ""


def test_without_a_terminal_dockers_configuration_is_not_read(configuration: Path) -> None:
    configuration.write_text("{")
    assert session.keywords(line_of(""), tty=False)["detach_keys"] is None


@pytest.mark.parametrize("text", ["{}", '{"detachKeys": ""}', '{"detachKeys": null}', '{"detachKeys": 7}'])
def test_a_configuration_without_keys_leaves_the_default(text: str, configuration: Path) -> None:
    configuration.write_text(text)
    assert session.configured_detach_keys(line_of("")) is None


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_a_broken_configuration_is_told_of_and_left_alone(
    text: str, configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration.write_bytes(text.encode(errors="surrogateescape"))
    assert session.configured_detach_keys(line_of("")) is None
    told = capsys.readouterr().err
    assert told.startswith(f"dpty: cannot read {configuration}: ")
    assert told.endswith("; none of its settings count\n")
    assert told.count("\n") == 1


def test_keys_in_the_configuration_that_nobody_can_type_are_told_of_and_left_alone(
    configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration.write_text('{"detachKeys": "ctrl-ä"}')
    assert session.configured_detach_keys(line_of("")) is None
    assert capsys.readouterr().err == (
        f"dpty: cannot use detachKeys in {configuration}: 'ctrl-ä' is not a key; the detach keys are the default ones\n"
    )


@pytest.mark.parametrize("flag", ["--timeout", "--idle-timeout"])
def test_a_time_limit_that_nobody_is_there_to_keep_is_refused(flag: str) -> None:
    with pytest.raises(UsageError, match=f"cannot use {flag}: nobody is there to keep it with --detach"):
        session.refuse_session_flags(line_of(f"-d {flag} 5"))
    session.refuse_session_flags(line_of("-d --detach-keys ctrl-x"))


def test_detach_keys_that_nobody_can_type_are_refused_also_where_none_are_needed() -> None:
    with pytest.raises(DetachKeysError, match="'xx' is not a key"):
        session.refuse_session_flags(line_of("-d --detach-keys xx"))


def test_dockers_configuration_is_found_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert session.configured_detach_keys(line_of("")) is None
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text('{"detachKeys": "ctrl-a"}')
    assert session.configured_detach_keys(line_of("")) == "ctrl-a"


# What the newer flags make of a line


@pytest.mark.parametrize("flags", ["--json", "--json --tty=auto", "--json -t -T"])
def test_a_result_as_json_has_no_terminal(flags: str, terminal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    standard(monkeypatch, terminal, terminal)
    assert session.wants_tty(line_of(flags)) is False


@pytest.mark.parametrize("flags", ["--json -t", "--json -it", "-td --json"])
def test_a_result_as_json_and_a_terminal_exclude_each_other(flags: str) -> None:
    with pytest.raises(UsageError, match="cannot use --json with -t: what a terminal shows is no result"):
        session.wants_tty(line_of(flags))


def test_colours_are_passed_on_only_if_asked_for_and_what_was_given_counts_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("NO_COLOR", "")
    assert session.variables_of(line_of("-e A=1")) == ["A=1"]
    assert session.variables_of(line_of("-e A=1 --term-env")) == ["A=1", "COLORTERM=truecolor", "NO_COLOR="]
    assert session.variables_of(line_of("-e COLORTERM=no --term-env")) == ["COLORTERM=no", "NO_COLOR="]
    monkeypatch.delenv("COLORTERM")
    monkeypatch.delenv("NO_COLOR")
    assert session.variables_of(line_of("--term-env")) == []


@pytest.mark.parametrize("flag", ["--record file", "--expect file"])
def test_what_only_a_session_can_do_is_refused_without_one(flag: str) -> None:
    name = flag.partition(" ")[0]
    with pytest.raises(UsageError, match=f"cannot use {name}: nobody is there to keep it with --detach"):
        session.refuse_session_flags(line_of(f"-d {flag}"))


@pytest.mark.parametrize(("flag", "refused"), [("--reconnect", True), ("--reconnect=3", True), ("", False)])
def test_nothing_is_attached_to_again_that_is_not_attached_to(flag: str, refused: bool) -> None:
    line = read(COMMANDS["start"], [*flag.split(), "web"])
    if refused:
        with pytest.raises(UsageError, match="cannot use --reconnect: nobody is there to keep it without -a"):
            session.refuse_session_flags(line, "without -a or -i")
    else:
        session.refuse_session_flags(line, "without -a or -i")


def test_the_container_is_the_first_word_and_no_engine_is_asked_for_it() -> None:
    nobody: Any = None
    assert session.container_of(nobody, line_of("")) == ("web", ["sh"])


def test_quiet_says_nothing_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    session.notices(line_of("--quiet"))("it is paused")
    assert capsys.readouterr().err == ""
    session.notices(line_of(""))("it is paused")
    assert capsys.readouterr().err == "dpty: it is paused\n"


def test_who_only_looks_on_has_no_keys_and_passes_no_signals_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NORAW", raising=False)
    made = session.keywords(read(COMMANDS["watch"], ["--timeout", "3", "web"]), False)
    assert made["detach_keys"] is None
    assert made["sig_proxy"] is False
    assert made["timeout"] == 3.0


def test_who_follows_a_session_is_made_ready_before_anything_is_started(
    configuration: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("expect a\n")
    flags = f"--record {tmp_path / 'a.cast'} --record-input --expect {script}"
    found = session.keywords(line_of(flags), tty=False)
    assert found["record"].keeps_input
    assert [step.kind for step in found["expect"].steps] == ["expect"]
    assert not (tmp_path / "a.cast").exists()  # it is made when the session begins


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--record-input", "cannot use --record-input: nothing is recorded without --record FILE"),
        ("--force", "cannot use --force: nothing is recorded without --record FILE"),
    ],
)
def test_how_to_record_needs_where(flags: str, reason: str, configuration: Path) -> None:
    with pytest.raises(UsageError, match=reason):
        session.keywords(line_of(flags), tty=False)


def test_a_script_is_what_is_read_and_needs_no_terminal(
    nothing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard(monkeypatch, nothing, nothing)
    assert session.is_interactive(line_of("--expect file"))
    assert session.wants_tty(line_of("-it --expect file")) is True


@pytest.mark.parametrize("flag", ["--record", "--expect"])
def test_nobody_follows_what_is_left_in_the_background(flag: str) -> None:
    with pytest.raises(UsageError, match=f"cannot use {flag}: nobody is there to keep it with --detach"):
        session.refuse_session_flags(line_of(f"-d {flag} file"))
