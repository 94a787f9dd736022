from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from dockerpty.guardian import Guardian
from tests.bed.waiting import wait_for

WILL = """
import os, sys
from dockerpty.guardian import Guardian
path, ending = sys.argv[1:]
guardian = Guardian(lambda: open(path, "w").close())
if ending == "killed":
    os.kill(os.getpid(), 9)
guardian.dismiss()
"""


def run(path: str, ending: str) -> int:
    return subprocess.run([sys.executable, "-c", WILL, path, ending], check=False, timeout=20).returncode


def test_the_last_will_is_done_when_the_process_was_killed(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "done")
    assert run(path, "killed") == -signal.SIGKILL
    wait_for(lambda: os.path.exists(path), 10, "the last will")


def test_nothing_is_done_after_a_farewell_and_no_child_is_left(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "done")
    assert run(path, "dismissed") == 0
    assert not os.path.exists(path)


def test_a_refused_fork_leaves_the_session_without_a_guardian(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr("dockerpty.guardian._alone", lambda: True)
    monkeypatch.setattr(os, "fork", refuse)
    Guardian(lambda: None).dismiss()


def test_too_few_descriptors_leave_the_session_without_a_guardian(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("dockerpty.guardian._alone", lambda: True)
    monkeypatch.setattr(os, "pipe", refuse)
    Guardian(lambda: None).dismiss()


def test_beside_other_threads_there_is_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    def forked() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", forked)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        Guardian(lambda: None).dismiss()
    finally:
        stop.set()
        thread.join()
