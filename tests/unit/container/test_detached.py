"""What somebody has detached from is remembered, in a file that stays small and private."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dockerpty.container import detached


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DPTY_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "dockerpty"


def test_what_was_detached_from_is_remembered(home: Path) -> None:
    assert detached.remembered() == set()
    detached.remember("a" * 64)
    detached.remember("b" * 64)
    assert detached.remembered() == {"a" * 64, "b" * 64}


def test_it_is_nobody_elses_business(home: Path) -> None:
    detached.remember("a" * 64)
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "detached").stat().st_mode & 0o777 == 0o600


def test_dpty_home_counts_more(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPTY_HOME", str(tmp_path / "other"))
    detached.remember("a" * 64)
    assert (tmp_path / "other" / "detached").read_text() == "a" * 64 + "\n"
    assert not home.exists()


def test_the_oldest_go_when_there_are_too_many(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "_LIMIT", 10 * 65)
    for number in range(50):
        detached.remember(f"{number:064}")
    kept = detached.remembered()
    assert len(kept) <= 12
    assert {f"{number:064}" for number in range(45, 50)} <= kept
    assert all(len(each) == 64 for each in kept)


@pytest.mark.parametrize("when", ["pread", "ftruncate"])
def test_while_the_oldest_go_nobody_else_notes_or_reads(
    when: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        detached.remember(f"{number:064}")
    monkeypatch.setattr(detached, "_LIMIT", 3 * 65)
    seen: list[frozenset[str]] = []
    others = [
        threading.Thread(target=detached.remember, args=("a" * 64,)),
        threading.Thread(target=lambda: seen.append(detached.remembered())),
    ]
    step: Callable[..., object] = getattr(os, when)

    def meanwhile(*arguments: int) -> object:
        monkeypatch.setattr(os, when, step)
        done = step(*arguments)
        for other in others:
            other.start()
        for other in others:
            other.join(0.2)  # it waits for us, or is done now
        return done

    monkeypatch.setattr(os, when, meanwhile)
    detached.remember("b" * 64)
    for other in others:
        other.join(10)
    assert detached.remembered() == {f"{3:064}", "a" * 64, "b" * 64}
    assert seen[0] >= {f"{3:064}", "b" * 64}


def test_a_filesystem_without_locks_is_no_reason_to_forget(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    detached.remember("a" * 64)
    assert detached.remembered() == {"a" * 64}


def test_where_nothing_can_be_written_nothing_is_remembered(home: Path) -> None:
    home.parent.joinpath("dockerpty").write_text("in the way")
    detached.remember("a" * 64)
    assert detached.remembered() == set()
