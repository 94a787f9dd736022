"""Every command as a person meets it, at a terminal of pexpect's: what is seen, what keys do, and the exit status."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pexpect
import pytest
from docker.models.containers import Container

from dockerpty import __version__
from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.waiting import SLACK
from tests.engine.command import DPTY, environment, only
from tests.engine.conftest import Sessions
from tests.engine.test_cli_prune import made, of_a_process_that_has_ended

Person = Callable[..., Any]
# Until the window has the size that it was given: an engine before API 1.42 is a moment late with it.
SIZE = "until [ \"$(stty size 2>&-)\" = '{0} {1}' ]; do sleep 0.05; done; echo it is {0}x''{1}"


@pytest.fixture
def person(sessions: Sessions, tmp_path: Path) -> Iterator[Person]:
    """Types `dpty` and these words, at a terminal of 24 rows and 80 columns."""
    children = []

    def types(*words: str) -> Any:
        child = pexpect.spawn(
            DPTY[0],
            [*DPTY[1:], *words],
            env=environment(sessions, TERM="xterm", NO_COLOR="1"),
            cwd=str(tmp_path),
            timeout=20 * SLACK,
            dimensions=(24, 80),
        )
        # Nobody waits here before typing; what must have come first is expected.
        child.delaybeforesend = None
        children.append(child)
        return child

    yield types
    for child in children:
        child.close(force=True)


def name_of(container: Container) -> str:
    return str(container.name)


def end_of(child: Any) -> int:
    """Wait for the end: the exit status, below zero for a signal. The terminal echoes again what is typed."""
    child.expect(pexpect.EOF)
    assert child.getecho()
    child.close()
    status: int | None = child.exitstatus
    return -child.signalstatus if status is None else status


def all_of(child: Any) -> tuple[int, list[str]]:
    """Wait for the end of what asks nothing: its exit status, and the lines that it shows, without their looks."""
    status = end_of(child)
    return status, re.sub(r"\x1b\[[0-9;]*m", "", child.before.decode()).splitlines()


# Sessions


def test_exec(box: Container, person: Person) -> None:
    child = person("exec", "-it", "-e", "PS1=in> ", name_of(box), "sh")
    child.expect_exact("in> ")
    assert not child.getecho()
    child.sendline("tty; " + SIZE.format(24, 80))
    child.expect(r"/dev/pts/\d+\r\nit is 24x80\r\n")
    child.setwinsize(30, 100)
    child.sendline(SIZE.format(30, 100))
    child.expect_exact("it is 30x100\r\n")
    # It says so itself: a shell that is interrupted between two commands may begin the second all the same.
    child.sendline("sh -c \"echo work''ing; exec sleep 100\"")
    child.expect_exact("working\r\n")
    child.sendintr()
    child.expect_exact("in> ")
    child.sendline("exit 5")
    assert end_of(child) == 5


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["{box}", "no-such-program"], 127, "no-such-program"),
        (["{box}", "/etc"], 126, "permission denied"),
        (["no-such-container", "true"], 125, "dpty: cannot exec in no-such-container: no such container; "),
        (["--no-such-flag", "{box}", "true"], 125, "dpty: cannot use --no-such-flag: "),
    ],
)
def test_exec_of_what_cannot_be(
    words: list[str], status: int, said: str, box: Container, person: Person
) -> None:
    code, lines = all_of(person("exec", "-it", *(word.format(box=box.name) for word in words)))
    assert code == status
    assert said in " ".join(lines)


def test_run(bench: Bench, person: Person) -> None:
    name = bench.name()
    words = ("--rm", "-it", "--network", "none", "--name", name, "-e", "PS1=own> ", IMAGE, "sh")
    child = person("run", *words)
    child.expect_exact("own> ")
    child.sendline("hostname; " + SIZE.format(24, 80))
    child.expect_exact(f"{id_of(bench.client.containers.get(name))[:12]}\r\nit is 24x80\r\n")
    child.sendline("(exit 6)")
    child.expect_exact("own> ")
    child.sendeof()
    assert end_of(child) == 6

    def gone() -> bool:
        try:
            bench.api.inspect_container(name)
        except docker.errors.NotFound:
            return True
        return False

    bench.wait_for(gone, 10, "the removal")


def test_run_in_the_background(bench: Bench, person: Person) -> None:
    status, lines = all_of(person("run", "-d", "--network", "none", IMAGE, "sleep", "100"))
    (identity,) = lines
    assert (status, len(identity)) == (0, 64)
    assert bench.is_running(bench.adopt(identity))


def test_start_detach_and_attach(bench: Bench, person: Person) -> None:
    script = "echo ready; while read line; do echo got $line; [ $line != end ] || exit 4; done"
    container = bench.container(script, tty=True, stdin_open=True)
    child = person("start", "-ai", name_of(container))
    child.expect_exact("ready\r\n")
    child.sendline("one")
    child.expect_exact("got one\r\n")
    child.send("\x10\x11")
    child.expect_exact(f"dpty: detached from {container.name}\r\n")
    assert end_of(child) == 0
    assert bench.is_running(container)
    again = person("attach", name_of(container))
    assert again.waitnoecho(20 * SLACK)
    again.sendline("two")
    again.expect_exact("got two\r\n")
    again.sendline("end")
    again.expect_exact("got end\r\n")
    assert end_of(again) == 4
    refused = person("attach", name_of(container))
    status, lines = all_of(refused)
    assert status == 125
    assert lines == [f"dpty: cannot attach to {container.name}: it is exited; start it first"]


def test_start_of_several(bench: Bench, person: Person) -> None:
    first, second = bench.container(), bench.container()
    assert all_of(person("start", name_of(first), name_of(second))) == (0, [first.name, second.name])
    assert bench.is_running(second)


def test_watch(bench: Bench, person: Person) -> None:
    script = "(while read line; do echo got $line; done) & while sleep 0.1; do echo tick; done"
    container = bench.container(script, tty=True, stdin_open=True, start=True)
    child = person("watch", name_of(container))
    child.expect_exact("tick")
    assert child.getecho()
    child.sendline("nothing of this")
    child.expect_exact("tick")
    child.expect_exact("tick")
    child.sendintr()
    assert end_of(child) == 0
    assert b"got" not in child.before
    assert bench.is_running(container)


def test_shell(box: Container, person: Person) -> None:
    child = person("shell", "-e", "PS1=best> ", name_of(box))
    child.expect_exact("best> ")
    child.sendline("echo $0 on $(tty)")
    child.expect(r"/bin/sh on /dev/pts/\d+\r\n")
    child.sendline("exit 3")
    assert end_of(child) == 3


def test_shell_beside_a_container_that_has_none(bench: Bench, bare_image: str, person: Person) -> None:
    target = bench.container(["/bin/sleep", "3600"], image=bare_image, start=True)
    child = person("shell", name_of(target))
    child.expect_exact(f"dpty: {target.name} has no shell: this is one from busybox")
    child.expect_exact("/proc/1/root # ")
    child.sendline("ls bin; cat /proc/1/cmdline | tr '\\0' ' '; echo")
    child.expect_exact("cat")
    child.expect_exact("sleep")
    child.expect_exact("/bin/sleep 3600 \r\n")
    child.sendline("exit 4")
    assert end_of(child) == 4
    assert id_of(target) not in str(bench.api.containers(filters={"label": "dockerpty.role=toolbox"}))


# Everything else


def test_ps(bench: Bench, person: Person) -> None:
    container = bench.container(start=True)
    status, lines = all_of(person("ps", "--filter", f"name={container.name}"))
    assert status == 0
    head, row = (line.rstrip() for line in lines)
    assert head.split()[:4] == ["CONTAINER", "ID", "IMAGE", "COMMAND"]
    assert row.startswith(id_of(container)[:12])
    assert row.endswith(name_of(container))
    # In columns, of which none is wider than the window.
    assert len(row) <= 80
    words = ("ps", "-a", "--filter", f"id={container.id}", "--format", "{{.Names}} {{.State}}")
    assert all_of(person(*words)) == (0, [f"{container.name} running"])
    status, lines = all_of(person("ps", "--filter", "no-such-filter=1"))
    assert status == 1
    assert lines[0].startswith("dpty: cannot ")


def test_cp(bench: Bench, person: Person, tmp_path: Path) -> None:
    container = bench.container(start=True)
    (tmp_path / "here").write_text("some text\n")
    status, lines = all_of(person("cp", "here", f"{container.name}:/there"))
    assert (status, lines) == (0, [f"Successfully copied 2.05kB to {container.name}:/there"])
    status, lines = all_of(person("cp", f"{container.name}:/there", "back"))
    assert (status, lines) == (0, [f"Successfully copied 2.05kB to {tmp_path}/back"])
    assert (tmp_path / "back").read_text() == "some text\n"
    status, lines = all_of(person("cp", f"{container.name}:/no/such", "."))
    assert status == 1
    assert lines[0].startswith("dpty: cannot ")
    status, lines = all_of(person("cp", f"{container.name}:/there", "-"))
    assert status == 1
    assert lines[0].startswith("dpty: cannot write a tar archive to the terminal: ")


def test_replay_of_what_was_recorded(box: Container, person: Person, tmp_path: Path) -> None:
    child = person("exec", "-it", "--record", "a.cast", name_of(box), "sh", "-c", "echo shown; read line")
    child.expect_exact("shown\r\n")
    child.sendline("")
    assert end_of(child) == 0
    assert (tmp_path / "a.cast").stat().st_mode & 0o777 == 0o600
    status, lines = all_of(person("replay", "--to-end", "a.cast"))
    assert (status, lines[0]) == (0, "shown")


def test_replay_is_paused_and_left_by_keys(person: Person, tmp_path: Path) -> None:
    events = [f'[{number / 10}, "o", "at {number}\\r\\n"]' for number in range(1, 1000)]
    (tmp_path / "a.cast").write_text("\n".join(['{"version": 2, "width": 80, "height": 24}', *events]) + "\n")
    child = person("replay", "a.cast")
    child.expect_exact("at 2\r\n")
    child.send(" ")
    # What was under way may still come, and then nothing more: no half second passes without a line while it plays.
    assert any(child.expect([pexpect.TIMEOUT, r"at \d+\r\n"], timeout=0.5) == 0 for _ in range(50))
    child.send(" ")
    child.expect(r"at (\d+)\r\n")
    child.send("q")
    assert end_of(child) == 0
    child = person("replay", "a.cast")
    child.expect_exact("at 1\r\n")
    child.sendintr()
    assert end_of(child) == -signal.SIGINT


@pytest.mark.parametrize("answer", ["n", "y"])
def test_prune_asks(answer: str, bench: Bench, proxy: Proxy, person: Person) -> None:
    left = made(bench, "run-rm", of_a_process_that_has_ended())
    # Whatever others have left is none of this test's business.
    only(proxy, left)
    child = person("prune")
    child.expect_exact(f"dpty: would remove {left.name} ({id_of(left)[:12]}, run-rm, running): ")
    child.expect_exact("dpty: remove this container? [y/N] ")
    child.sendline(answer)
    if answer == "n":
        child.expect_exact("dpty: nothing was removed\r\n")
        assert end_of(child) == 1
        assert bench.is_running(left)
        return
    child.expect_exact(f"removed {left.name} ")
    assert end_of(child) == 0
    with pytest.raises(docker.errors.NotFound):
        bench.api.inspect_container(id_of(left))


def test_completion(person: Person) -> None:
    for shell in ("bash", "zsh", "fish"):
        status, lines = all_of(person("completion", shell))
        assert status == 0
        assert any(line.startswith(f"# Completion of dpty for {shell}") for line in lines[:2])
    status, lines = all_of(person("completion"))
    assert status == 125
    assert lines == ["dpty: cannot run dpty completion: it needs a bash|zsh|fish; see dpty completion --help"]


def test_version(person: Person) -> None:
    status, lines = all_of(person("version"))
    assert status == 0
    assert lines[0] == "Client:"
    assert re.search(rf"Version: +{re.escape(__version__)}$", lines[1])
    assert "Server:" in " ".join(lines)
    assert all_of(person("--version")) == (0, [f"dpty {__version__}"])


def test_help(person: Person) -> None:
    status, lines = all_of(person("help"))
    assert (status, lines[0]) == (0, "Usage: dpty [OPTIONS] COMMAND [ARG...]")
    assert all(any(line.split()[:1] == [name] for line in lines) for name in ("exec", "prune", "watch"))
    for words in (("help", "exec"), ("exec", "--help"), ("exec", "-h")):
        status, lines = all_of(person(*words))
        assert (status, lines[0]) == (0, "Usage: dpty exec [OPTIONS] CONTAINER COMMAND [ARG...]")
        assert all(len(line) <= 80 for line in lines)
    status, lines = all_of(person("exce"))
    assert (status, lines) == (
        125,
        ["dpty: cannot run dpty exce: there is no such command; did you mean exec?"],
    )
