"""Who draws on a terminal, in which colours, and that nothing which others wrote commands it."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator
from typing import IO

import pytest

from dockerpty.cli.looks import can_draw, clean, colour_of, console


@pytest.fixture
def terminal() -> Iterator[IO[str]]:
    master, slave = pty.openpty()
    with open(slave, "w") as stream:
        yield stream
    os.close(master)


def test_a_terminal_can_draw_unless_it_knows_nothing_but_text(
    terminal: IO[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, can in (("xterm", True), ("dumb", False), ("unknown", False), ("", False)):
        monkeypatch.setenv("TERM", name)
        assert can_draw(terminal) is can
    monkeypatch.delenv("TERM")
    assert not can_draw(terminal)


def test_a_pipe_cannot_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not can_draw(io.StringIO())
    assert not can_draw(None)


@pytest.mark.parametrize(("no_color", "shown"), [("", "\x1b[32mup\x1b[0m\n"), ("1", "up\n")])
def test_colours_are_left_out_where_they_are_not_wanted(
    no_color: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setenv("NO_COLOR", no_color)
    out = io.StringIO()
    console(out).print("up", style="green")
    assert out.getvalue() == shown


def test_the_cursor_is_never_hidden() -> None:
    out = io.StringIO()
    drawing = console(out)
    assert not drawing.show_cursor(False)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("status", "colour"),
    [
        ("Up 3 minutes", "green"),
        ("Up 3 minutes (healthy)", "green"),
        ("Up 3 minutes (unhealthy)", "red"),
        ("Up 3 minutes (health: starting)", "yellow"),
        ("Up 3 minutes (Paused)", "yellow"),
        ("Restarting (1) 2 seconds ago", "yellow"),
        ("Exited (0) 3 minutes ago", "bright_black"),
        ("Exited (137) 3 minutes ago", "red"),
        ("Created", "cyan"),
        ("Dead", "red"),
        ("running", "green"),
        ("exited", "bright_black"),
        ("something new", ""),
        ("", ""),
    ],
)
def test_a_status_has_the_colour_of_its_state(status: str, colour: str) -> None:
    assert colour_of(status) == colour


def test_what_others_wrote_cannot_command_the_terminal() -> None:
    assert clean("web\x1b[2J\x07\n日本") == "web?[2J??日本"
