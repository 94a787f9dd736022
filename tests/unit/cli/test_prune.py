"""`dpty prune`: who is asked, what is said where, and the exit code."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import pytest

from dockerpty.cli import prune
from dockerpty.cli.grammar import UsageError, read
from dockerpty.cli.table import COMMANDS
from dockerpty.container.leftovers import Leftover
from dockerpty.errors import APIError


class Nobody:
    """An engine that is only closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def leftover(name: str) -> Leftover:
    container = {
        "Id": name * 64,
        "Names": [f"/{name}"],
        "Labels": {"dockerpty.role": "toolbox"},
        "State": "running",
    }
    return Leftover(container, "its time is over")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Nobody:
    engine = Nobody()
    monkeypatch.setattr(prune, "engine_of", lambda common: engine)
    monkeypatch.setattr(prune, "find", lambda _: [leftover("a"), leftover("b")])
    return engine


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def remove(engine: Any, each: Leftover) -> bool:
        names.append(each.name)
        return True

    monkeypatch.setattr(prune, "remove", remove)
    return names


def run(*argv: str) -> int:
    return prune.command(read(COMMANDS["prune"], list(argv)))


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    monkeypatch.setattr(prune, "is_terminal", lambda _: True)


def test_a_dry_run_only_says_what_would_be_removed(
    engine: Nobody, removed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--dry-run") == 0
    assert (removed, engine.closed) == ([], True)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "would remove a (aaaaaaaaaaaa, toolbox, running): its time is over",
        "would remove b (bbbbbbbbbbbb, toolbox, running): its time is over",
    ]
    assert err == ""


def test_force_removes_without_a_question_and_says_so(
    engine: Nobody, removed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-f") == 0
    assert removed == ["a", "b"]
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == "removed b (bbbbbbbbbbbb, toolbox, running): its time is over"
    assert err == ""


@pytest.mark.parametrize(
    ("answer", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1), ("yo\n", 1)]
)
def test_a_person_is_asked_with_the_list_before_them(
    answer: str,
    code: int,
    engine: Nobody,
    removed: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, answer)
    assert run() == code
    assert removed == (["a", "b"] if code == 0 else [])
    out, err = capsys.readouterr()
    assert err.startswith("dpty: would remove a ")
    assert "remove these 2 containers? [y/N] " in err
    assert out.count("removed ") == len(removed)


def test_where_nobody_can_be_asked_it_is_refused_before_anything_is_done(
    engine: Nobody, removed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(UsageError, match="stdin is no terminal; say --force, or look with --dry-run"):
            run()
    assert removed == []


def test_without_leftovers_nobody_is_asked(
    engine: Nobody, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "find", lambda _: [])
    answering(monkeypatch, "")
    assert run() == 0
    assert run("--force") == 0
    assert capsys.readouterr() == ("", "dpty: nothing was left behind\n" * 2)


def test_one_that_cannot_be_removed_does_not_keep_the_others(
    engine: Nobody, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(engine: Any, each: Leftover) -> bool:
        if each.name == "a":
            raise APIError("remove", "a", "the device is busy", status_code=500)
        return False

    monkeypatch.setattr(prune, "remove", remove)
    assert run("--force") == 1
    out, err = capsys.readouterr()
    assert out == "b (bbbbbbbbbbbb, toolbox, running) had gone by itself\n"
    assert err == "dpty: cannot remove a: the device is busy\n"
