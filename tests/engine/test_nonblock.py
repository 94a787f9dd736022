"""No file status flag of the caller's descriptors is ever changed (O_NONBLOCK never reaches the caller)."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.bed.terminal import PIPE, SCRIPTS, TTY, Terminal
from tests.conftest import missing
from tests.engine.conftest import Sessions


@pytest.mark.parametrize("kind", [TTY, PIPE])
def test_the_flags_never_change_during_a_session(kind: str, box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(
        box, "for i in $(seq 30); do echo line $i; usleep 20000; done; cat", term_stdin=kind, term_stdout=kind
    )
    seen: set[tuple[int, int]] = set()

    def over() -> bool:
        seen.update((fd, terminal.flags_of(fd) & os.O_NONBLOCK) for fd in (0, 1, 2))
        seen.add((-1, terminal.flags() & os.O_NONBLOCK))
        return b"line 30" in (terminal.output if kind == TTY else terminal.stdout)

    terminal.wait_until(over, what="the last line")
    assert {flag for _, flag in seen} == {0}
    terminal.send("\x04")
    terminal.feed(b"", end=kind == PIPE)
    assert terminal.wait() == 0
    assert terminal.flags() == terminal.flags_before


def test_a_sibling_can_write_to_the_terminal_all_the_while(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "echo up; cat")
    terminal.expect("up")
    terminal.reading = False
    source = (
        "from tests.bed.scripts.report import report; import os\n"
        "report('writing'); report('written', count=os.write(1, b'x' * 200000))"
    )
    sibling = sessions.add(Terminal.python(source, stdout=terminal.slave, stderr=PIPE))
    sibling.report("writing")
    # It waits, as it would without a session, for a terminal that takes nothing.
    sibling.read_for(0.2)
    assert sibling.process.poll() is None
    assert len(sibling.reports) == 1
    terminal.reading = True
    terminal.wait_until(lambda: terminal.output.count(b"x") == 200_000, 20, "all that the sibling wrote")
    assert sibling.report("written")["count"] == 200_000
    assert sibling.wait() == 0


def test_strace_sees_no_flag_being_set_on_the_standard_streams(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        missing("no strace here")
    assert strace is not None
    log = tmp_path / "log"
    options = f'{{"args": ["{box.id}", ["sh", "-c", "echo up; read line"]], "kwargs": {{}}}}'
    argv = [strace, "-f", "-o", str(log), "-e", "trace=fcntl,ioctl", sys.executable]
    terminal = sessions.add(
        Terminal([*argv, str(SCRIPTS / "session.py"), "exec_command", options], env=sessions.env)
    )
    terminal.expect("up")
    terminal.send("x\r")
    terminal.wait()
    assert not re.findall(r"fcntl\([012], F_SETFL.*|ioctl\([012], FIONBIO.*", log.read_text())
