"""What a command line makes of a session: its terminal, its settings, docker's configuration."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

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
        "raw": None,
    }
    flags = "--detach-keys none --sig-proxy=false --timeout 2 --idle-timeout 1.5"
    assert session.keywords(line_of(flags), tty=True) == {
        "detach_keys": "none",
        "sig_proxy": False,
        "timeout": 2.0,
        "idle_timeout": 1.5,
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
    assert session.configured_detach_keys() is None


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_a_broken_configuration_is_told_of_and_left_alone(
    text: str, configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration.write_bytes(text.encode(errors="surrogateescape"))
    assert session.configured_detach_keys() is None
    told = capsys.readouterr().err
    assert told.startswith(f"dpty: cannot read {configuration}: ")
    assert told.endswith("; the detach keys are the default ones\n")
    assert told.count("\n") == 1


def test_keys_in_the_configuration_that_nobody_can_type_are_told_of_and_left_alone(
    configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration.write_text('{"detachKeys": "ctrl-ä"}')
    assert session.configured_detach_keys() is None
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
    assert session.configured_detach_keys() is None
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text('{"detachKeys": "ctrl-a"}')
    assert session.configured_detach_keys() == "ctrl-a"
