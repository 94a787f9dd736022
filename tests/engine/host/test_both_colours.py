"""A container as a host, on a real engine: one table of behaviours, for the face that waits and the one on a loop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from dockerpty.host.aio import DockerContainerHost
from dockerpty.host.aio import container as host_of
from dockerpty.host.errors import (
    HostClosedError,
    HostNotRunningError,
    SessionBusyError,
    SessionLostError,
    SessionStartError,
    ShellNotFoundError,
)
from dockerpty.host.failure import CommandFailed
from dockerpty.host.results import ShellCommand, Status
from dockerpty.host.sync import container_sync
from dockerpty.host.unmatched import ExpectTimeout
from tests.bed.engine import Bench, id_of
from tests.bed.waiting import SLACK, wait_for
from tests.engine.conftest import Sessions
from tests.engine.host.conftest import commands
from tests.engine.host.faces import Face, Proxy

SOAK = os.environ.get("DPTY_SOAK") == "1"


@pytest.fixture(params=["waiting", "on a loop"])
def face(request: pytest.FixtureRequest) -> Iterator[Face]:
    """Either of the two faces."""
    made = Face(request.param)
    yield made
    made.close()


@pytest.fixture
def own(bench: Bench) -> Container:
    """A container of the test's own."""
    return bench.container(start=True)


@pytest.fixture
def host(face: Face, own: Container) -> Proxy:
    """A host of it, with a terminal."""
    return face.host(None, id_of(own))


@pytest.fixture(params=[True, False], ids=["terminal", "pipes"])
def either(request: pytest.FixtureRequest, face: Face, own: Container) -> Proxy:
    """A host whose sessions have a terminal, or none."""
    return face.host(None, id_of(own), tty=request.param)


def shells(container: Container) -> list[str]:
    """Shells that are open in a container, helpers among them."""
    return [line for line in commands(container) if line.startswith(("sh", "/bin/sh"))]


def no_shell_is_left(container: Container) -> None:
    """Wait until none is."""
    wait_for(lambda: not shells(container), 10, "the shells to end")


# State ----------------------------------------------------------------------------------------------------------------


def test_a_session_keeps_its_state(either: Proxy) -> None:
    assert either.run("cd /tmp; A=1; f() { echo in f; }").only.ok
    assert either.run("pwd; echo $A; f").only.output == "/tmp\n1\nin f"


def test_exit_codes_and_output_are_results(either: Proxy) -> None:
    found = either.run(["echo out", "exit_with() { return $1; }; exit_with 3", "echo again"])
    assert [each.retcode for each in found] == [0, 3, 0]
    assert [each.status for each in found] == [Status.Success, Status.Failed, Status.Success]
    assert (found[0].output, found[2].output) == ("out", "again")
    assert found.status is Status.Failed


def test_a_time_limit_ends_the_command_and_keeps_the_state(either: Proxy) -> None:
    either.run("cd /tmp; X=kept")
    slow = either.run("echo begun; sleep 777", timeout=0.5).only
    assert slow.output == "begun"
    assert (slow.status, slow.retcode, slow.timed_out) == (Status.Error, -1, True)
    after = either.run("pwd; echo $X").only
    assert (after.output, after.session_lost) == ("/tmp\nkept", False)
    assert not any("sleep 777" in line for line in commands_of(either))


def commands_of(host: Proxy) -> list[str]:
    found: list[str] = host.oneshot(["ps", "-o", "args"]).output.splitlines()
    return found


def test_a_sequence_stops_at_a_failure_if_asked_and_checks_if_asked(host: Proxy) -> None:
    found = host.run(["true", "false", "echo never"], stop_on_error=True)
    assert [each.skipped for each in found] == [False, False, True]
    with pytest.raises(CommandFailed):
        host.run("false", check=True)
    with pytest.raises(CommandFailed):
        host.oneshot("exit 9", check=True)


def test_a_command_reads_stdin_and_answers_are_given(either: Proxy) -> None:
    assert either.run("cat", stdin=b"one\ntwo").only.output == "one\ntwo"
    asked = ShellCommand("printf 'name? '; read -r a; echo got $a", expects=("name\\? ", "me\n"))
    assert either.run(asked, timeout=10).only.output.endswith("got me")


def test_host_f09_a_shell_that_exits_says_with_what_and_the_next_says_that_state_was_lost(
    either: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    either.run("A=1")
    ended = either.run("exit 3").only
    assert (ended.status, ended.retcode, ended.shell_exited) == (Status.Error, 3, True)
    with caplog.at_level(logging.WARNING, "dockerpty.host"):
        after = either.run("echo ${A-gone}").only
        again = either.run("true").only
    assert (after.output, after.session_lost, again.session_lost) == ("gone", True, False)
    assert len([line for line in caplog.records if line.levelno == logging.WARNING]) == 1


def test_a_command_is_read_from_and_written_to_while_it_runs(either: Proxy) -> None:
    session = either.open_session("talk")
    session.run("A=kept")
    with session.start("while read -r x; do echo got $x; done") as command:
        command.write("one\n")
        seen = b""
        while b"got one" not in seen:
            seen += command.next_piece()
    assert session.run("echo $A").only.output == "kept"
    command = session.start("cat; exit_code() { return 4; }; exit_code")
    command.write("last\n")
    command.close_stdin()
    status = command.wait()
    assert (status.output, status.retcode) == ("last", 4)


# oneshot --------------------------------------------------------------------------------------------------------------


def test_oneshot_has_no_state_and_takes_what_it_is_given(host: Proxy) -> None:
    host.run("cd /tmp; A=1")
    assert host.oneshot("pwd; echo ${A-none}").output == "/\nnone"
    assert host.exec(["echo", "$HOME"]).output == "$HOME"
    assert host.oneshot("pwd; id -un; echo $B", workdir="/tmp", user="daemon", env={"B": "2"}).output == (
        "/tmp\ndaemon\n2"
    )
    assert host.oneshot("cat", stdin="text").output == "text"


def test_a_host_gives_its_user_its_directory_and_its_environment_to_all(face: Face, own: Container) -> None:
    host = face.host(None, id_of(own), user="daemon", workdir="/tmp", env={"A": "1"})
    wanted = "daemon\n/tmp\n1"
    assert host.run("id -un; pwd; echo $A").only.output == wanted
    assert host.oneshot("id -un; pwd; echo $A").output == wanted
    with host.as_user("root") as root:
        assert root.run("id -un; pwd").only.output == "root\n/tmp"
    assert host.run("id -un").only.output == "daemon"


# Named sessions -------------------------------------------------------------------------------------------------------


def test_named_sessions_are_shells_of_their_own(host: Proxy) -> None:
    one, two = host.open_session("one"), host.open_session("two", tty=False)
    one.run("A=1")
    two.run("A=2")
    host.run("A=0")
    assert [each.run("echo $A").only.output for each in (one, two, host)] == ["1", "2", "0"]
    assert (one.name, one.tty, two.tty, one.alive, one.restarted) == ("one", True, False, True, 0)
    assert one.pid
    assert one.pid != two.pid
    assert one.shell == ("sh", "ash")


def test_the_same_name_is_the_same_session_unless_its_options_differ(host: Proxy) -> None:
    one = host.open_session("one")
    one.run("A=1")
    assert host.open_session("one", tty=True).run("echo $A").only.output == "1"
    with pytest.raises(ValueError, match="tty"):
        host.open_session("one", tty=False)
    one.close()
    assert not one.alive
    assert host.open_session("one", tty=False).run("echo ${A-new}").only.output == "new"
    with pytest.raises(HostClosedError):
        one.run("true")


def test_a_dead_session_is_replaced_also_with_other_options(host: Proxy) -> None:
    one = host.open_session("one")
    one.run("exit 0")
    assert host.open_session("one", tty=False).run("[ -t 0 ] || echo none").only.output == "none"


def test_a_session_that_could_not_be_opened_is_opened_under_its_name_as_it_is_asked_for_next(
    host: Proxy,
) -> None:
    with pytest.raises(ShellNotFoundError):
        host.open_session("one", shell="nosuchshell")
    assert host.open_session("one").run("echo here").only.output == "here"
    with pytest.raises(SessionStartError, match="chdir") as raised:
        host.open_session("two", workdir="/nosuch")
    assert "workdir" in raised.value.hint
    begun = time.monotonic()
    with pytest.raises(SessionStartError, match="unable to find user"):
        host.open_session("two", user="nosuchuser")
    # Engine 20.10 would refuse the size of its terminal after ten.
    assert time.monotonic() - begun < 9
    assert host.open_session("two", workdir="/tmp").run("pwd").only.output == "/tmp"


def test_a_session_reads_its_profile_if_it_is_asked_to(either: Proxy) -> None:
    either.write_file("/etc/profile", "echo noise; echo more >&2; FROM=profile; alias l='echo alias'\n")
    login = either.open_session("login", login=True)
    assert login.run("echo $FROM").only.output == "profile"
    assert login.run("true").only.stdout == b""
    assert either.open_session("login").run("echo $FROM").only.output == "profile"
    assert either.open_session("plain").run("echo ${FROM-none}").only.output == "none"
    with pytest.raises(ValueError, match="login"):
        either.open_session("login", login=False)
    assert not login.run("exit 0").only.session_lost
    # Another shell in its place is one of the same kind.
    assert login.run("echo $FROM").only.output == "profile"


def test_a_session_has_the_prompt_that_is_asked_for_or_that_of_its_image(host: Proxy) -> None:
    mine = host.open_session("mine", prompt="mine> ")
    assert mine.run("echo a").only.output == "a"
    mine.sendline("echo b")
    assert mine.expect("mine> $") == "b\nmine> "
    images = host.open_session("image's", prompt=None, env={"PS1": "image[] "})
    assert images.run("echo a; echo $PS1").only.output == "a\nimage[]"
    images.sendline("echo b")
    # Nobody knows what it shows, and so what it has shown before.
    images.expect_exact("b\n")
    assert images.expect_exact("image[] ") == "image[] "
    assert images.run("echo c").only.output == "c"
    assert images.run("sleep 999", timeout=0.3).only.timed_out
    assert images.run("echo d").only.output == "d"
    assert host.open_session("mine").name == "mine"
    with pytest.raises(ValueError, match="prompt"):
        host.open_session("mine", prompt="> ")


def test_a_command_that_is_started_is_told_to_the_transcript(
    either: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    session = either.open_session("one")
    with caplog.at_level(logging.INFO, "dockerpty.transcript"):
        session.start("echo a; printf b").wait()
        with session.start("echo c; sleep 999") as command:
            assert command.next_piece() == b"c\n"
    told = [
        line.getMessage().partition(" ")[2] for line in caplog.records if line.name.endswith("transcript")
    ]
    assert told == ["| echo a; printf b", "> | a", "> | b", "| echo c; sleep 999", "> | c"]


def test_a_shell_that_is_not_there_is_said_and_argv_works(face: Face, bare: Callable[..., Container]) -> None:
    host = face.host(None, id_of(bare()))
    with pytest.raises(ShellNotFoundError):
        host.run("true")
    assert host.oneshot(["/bin/cat", "/etc/group"]).output.startswith("root:x:0:")


# Keys -----------------------------------------------------------------------------------------------------------------


def test_what_is_sent_is_answered_and_expected(host: Proxy) -> None:
    host.send("echo a$((1+1))\n")
    assert host.expect("a2").endswith("a2")
    assert host.expect(r"\$ $").endswith("$ ")
    with pytest.raises(ExpectTimeout):
        host.expect("never", timeout=0.2)
    session = host.open_session("other")
    session.sendline("cat")
    session.sendline("hello")
    assert session.expect_any(["nothing", "hel+o"]).index == 1
    session.sendcontrol("c")
    session.expect_exact("$ ")
    assert session.run("echo back").only.output == "back"


def test_a_command_is_not_typed_into_a_program_that_was_started_by_hand(host: Proxy) -> None:
    host.run("A=1")
    host.send("cat\n")
    wait_for(lambda: any(line == "cat" for line in commands_of(host)), 10, "cat to run")
    with pytest.raises(SessionBusyError):
        host.run("echo no")
    assert host.interrupt()
    assert host.run("echo $A").only.output == "1"


def test_keys_for_a_shell_that_has_ended_say_so_once(host: Proxy, own: Container) -> None:
    host.run("A=1")
    host.send("exit 4\n")
    wait_for(lambda: len(shells(own)) < 2, 10, "the shell to end")
    with pytest.raises(SessionLostError) as lost:
        host.send("echo hello\n")
    assert lost.value.exit_code == 4
    host.send("echo hello\n")
    host.expect("hello")


# The container --------------------------------------------------------------------------------------------------------


def test_host_f14_a_container_started_again_is_used_again_and_says_what_was_lost(
    either: Proxy, own: Container
) -> None:
    either.run("A=1")
    own.restart(timeout=0)
    again = either.run("echo ${A-gone}").only
    assert (again.output, again.session_lost, again.ok) == ("gone", True, True)
    assert not either.run("true").only.session_lost


def test_host_f13_a_container_replaced_under_its_name_is_found_again(face: Face, bench: Bench) -> None:
    name = bench.name()
    first = bench.container(name=name, start=True)
    host = face.host(None, name, "shop", "web")
    session = host.open_session("kept")
    session.run("A=1")
    known, before = host.id, host.container_id
    assert before == id_of(first)
    first.remove(force=True)
    second = bench.container(name=name, start=True)
    again = session.run("echo ${A-gone}").only
    assert (again.output, again.session_lost, session.restarted) == ("gone", True, 1)
    assert (host.container_id, host.id) == (id_of(second), known)
    assert host.oneshot("echo here").output == "here"


def test_host_f24_a_container_that_does_not_run_is_said_and_started_if_asked(
    face: Face, bench: Bench
) -> None:
    stopped = bench.container()
    host = face.host(None, id_of(stopped))
    assert not host.is_running()
    with pytest.raises(HostNotRunningError):
        host.run("true")
    started = face.host(None, id_of(stopped), start=True)
    assert started.run("echo up").only.output == "up"
    assert host.is_running()
    assert host.refresh().state == "running"
    # Podman gives it the name of where it would be found.
    assert (str(host.image).removeprefix("docker.io/library/"), host.container_id) == (
        "busybox:latest",
        id_of(stopped),
    )


def test_what_ends_with_its_container_is_a_result(either: Proxy, own: Container) -> None:
    either.run("A=1")
    killer = threading.Timer(0.5, own.kill)
    killer.start()
    try:
        ended = either.run("echo begun; sleep 777").only
    finally:
        killer.join()
    assert ended.status is Status.Error
    assert ended.output == "begun"
    assert "stopped" in ended.error
    with pytest.raises(HostNotRunningError):
        either.run("true")


# Connections ----------------------------------------------------------------------------------------------------------


def test_connections_are_rebuilt_after_their_loop_has_ended(either: Proxy, own: Container) -> None:
    session = either.open_session("kept")
    session.run("A=1")
    either.run("A=0")
    either.face.new_loop()
    either.target.rebuild_connections()
    again = session.run("echo ${A-gone}").only
    assert (again.output, again.session_lost, session.restarted) == ("gone", True, 1)
    assert either.run("echo ${A-gone}").only.output == "gone"
    # Two shells and a helper, and none of those before.
    wait_for(lambda: len(shells(own)) <= 3, 10, "the old shells to end")


def test_host_f16_rebuilding_leaves_no_shell_behind_also_from_another_thread(
    host: Proxy, own: Container
) -> None:
    for _ in range(3):
        host.run("A=1")
        thread = threading.Thread(target=host.target.rebuild_connections)
        thread.start()
        thread.join()
    assert host.run("echo alive").only.output == "alive"
    wait_for(lambda: len(shells(own)) <= 2, 10, "the old shells to end")


def test_closing_ends_all_that_was_opened_and_a_closed_host_says_so(host: Proxy, own: Container) -> None:
    session = host.open_session("other")
    session.run("sleep 888 &")
    host.run("sleep 889 &")
    host.close()
    host.close()
    no_shell_is_left(own)
    assert not any("sleep 88" in line for line in commands(own))
    for use in (host.run, host.oneshot, session.run):
        with pytest.raises(HostClosedError):
            use("true")
    with pytest.raises(HostClosedError):
        host.is_running()


def test_context_managers_close(face: Face, own: Container) -> None:
    with face.host(None, id_of(own)) as host:
        with host.open_session("one") as session:
            assert session.run("echo hi").only.output == "hi"
        assert not session.alive
        host.run("true")
    no_shell_is_left(own)


# Files and repeats ----------------------------------------------------------------------------------------------------


def test_files_go_there_and_back(host: Proxy, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert host.put(tmp_path / "a", "/srv/new").check().files[0].target == "/srv/new/a"
    assert host.run("cat /srv/new/a").only.output == "content"
    host.write_file("/srv/new/b", "text")
    assert (host.read_file("/srv/new/b"), host.ls("/srv/new")) == ("text", ["a", "b"])
    assert host.get(["/srv/new/a", "/srv/new/b"], tmp_path / "back").ok
    assert (tmp_path / "back" / "b").read_text() == "text"
    host.rm("/srv/new", recursive=True)
    assert not host.exists("/srv/new/a")
    host.mkdir("/srv/dir")
    host.mv("/srv/dir", "/srv/other")
    assert host.stat("/srv/other").is_dir


def test_a_file_is_read_and_written_piece_by_piece(host: Proxy) -> None:
    size = 3 * 1024 * 1024
    host.put_stream((b"x" * 1024 for _ in range(size // 1024)), "/srv/large", size)
    assert sum(len(piece) for piece in host.iterated("iter_get", "/srv/large")) == size
    # Nobody waits for the rest of one that is left.
    assert host.first_of("iter_get", "/srv/large").startswith(b"xxx")
    with pytest.raises(FileNotFoundError):
        host.iterated("iter_get", "/srv/none")


def test_commands_are_repeated(host: Proxy) -> None:
    host.start_repeat("beat", "echo beat", 0.1, times=3)
    wait_for(lambda: len(host.repeat_results("beat")) == 3 or host.is_running() is None, 20, "three beats")
    assert [found[1][0].output for found in host.repeat_results("beat")] == ["beat"] * 3
    host.stop_repeat("beat")
    host.stop_all_repeats()


def test_the_transcript_tells_commands_and_output(host: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dockerpty.transcript"):
        host.run("echo one; echo two")
        host.oneshot("echo three")
        host.send("echo secret\n", log=False)
    lines = [each.getMessage() for each in caplog.records if each.name == "dockerpty.transcript"]
    name = host.name
    assert lines == [
        f"@{name} | echo one; echo two",
        f"@{name} > | one",
        f"@{name} > | two",
        f"@{name} | echo three",
        f"@{name} > | three",
    ]


INTERACTS = {
    "waiting": """
import sys
from dockerpty.host import container_sync
with container_sync(sys.argv[1], env={"A": "1"}) as host:
    print("\\nended with", host.interact(), flush=True)
    print("detached", host.login("cat", detach_keys="ctrl-]"), flush=True)
""",
    "on a loop": """
import asyncio, sys
from dockerpty.host import container
async def main():
    async with container(sys.argv[1], env={"A": "1"}) as host:
        print("\\nended with", await host.interact(), flush=True)
        print("detached", await host.login("cat", detach_keys="ctrl-]"), flush=True)
asyncio.run(main())
""",
}


@pytest.mark.parametrize("colour", list(INTERACTS))
def test_host_f21_a_person_has_a_shell_until_it_ends_and_detaches(
    colour: str, own: Container, sessions: Sessions
) -> None:
    with sessions.python(INTERACTS[colour], id_of(own)) as terminal:
        terminal.expect("# ")
        terminal.send("echo a=$A; exit 5\n")
        terminal.expect("a=1\r\n")
        terminal.expect("ended with 5")
        terminal.send("hello\n")
        terminal.expect("hello\r\n")
        terminal.expect("hello\r\n")
        terminal.send("\x1d")
        terminal.expect("detached None")
        assert terminal.wait() == 0
        assert terminal.is_as_before()


CANCELLED = """
import asyncio, sys
from dockerpty.host import container
async def main():
    async with container(sys.argv[1]) as host:
        task = asyncio.create_task(host.interact("stty size; sleep 4321"))
        while "sleep 4321" not in (await host.oneshot(["ps", "-o", "args"])).output:
            await asyncio.sleep(0.05)
        task.cancel()
        found = await asyncio.gather(task, return_exceptions=True)
        print("\\ngiven up:", type(found[0]).__name__, flush=True)
        sys.stdin.readline()
asyncio.run(main())
"""


def test_a_person_s_session_that_is_cancelled_ends_and_gives_the_terminal_back(
    own: Container, sessions: Sessions
) -> None:
    with sessions.python(CANCELLED, id_of(own)) as terminal:
        terminal.expect("given up: CancelledError")
        assert terminal.is_as_before()
        terminal.send("on\n")
        assert terminal.wait() == 0
    wait_for(lambda: not any("sleep 4321" in line for line in commands(own)), 10, "the command to end")


# On a loop ------------------------------------------------------------------------------------------------------------


def on_loop(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 60 * SLACK), debug=True)


def test_host_f06_two_tasks_on_one_session_are_two_commands_one_after_the_other(own: Container) -> None:
    async def work() -> list[str]:
        async with host_of(id_of(own)) as host:
            found = await asyncio.gather(
                host.run("sleep 0.3; echo a"), host.run("echo b"), host.run("echo c")
            )
            return [each.only.output for each in found]

    assert on_loop(work()) == ["a", "b", "c"]


def test_different_sessions_and_oneshots_do_not_wait_for_each_other(own: Container) -> None:
    async def work() -> tuple[str, str]:
        async with host_of(id_of(own)) as host:
            await host.oneshot("mkfifo /tmp/fifo")
            slow = asyncio.create_task(host.run("read -r x < /tmp/fifo; echo $x"))
            other = await host.open_session("other")
            first = (await other.run("echo quick")).only.output
            await host.oneshot("echo done > /tmp/fifo")
            return first, (await slow).only.output

    assert on_loop(work()) == ("quick", "done")


def test_a_cancelled_task_leaves_a_clean_shell(own: Container) -> None:
    async def work() -> tuple[bool, str]:
        async with host_of(id_of(own)) as host:
            await host.run("A=kept")
            task = asyncio.create_task(host.run("sleep 666"))
            await until(host, "sleep 666")
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            at_once = time.monotonic() - began < 0.2 * SLACK
            return at_once, (await host.run("echo $A")).only.output

    assert on_loop(work()) == (True, "kept")
    assert not any("sleep 666" in line for line in commands(own))


async def until(host: DockerContainerHost, words: str) -> None:
    while words not in (await host.oneshot(["ps", "-o", "args"])).output:
        await asyncio.sleep(0.02)


def test_a_host_is_closed_at_once_also_behind_a_cancelled_task(own: Container) -> None:
    async def work() -> float:
        host = host_of(id_of(own))
        await host.run("true")
        task = asyncio.create_task(host.run("sleep 4567"))
        await until(host, "sleep 4567")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        began = time.monotonic()
        await host.close()
        return time.monotonic() - began

    # To wait in vain for an end that nobody brings about takes more than two seconds.
    assert on_loop(work()) < 0.5 * SLACK
    assert not any("sleep 4567" in line for line in commands(own))


def test_an_interrupt_that_is_cancelled_at_any_moment_leaves_a_clean_shell(own: Container) -> None:
    async def work() -> list[str]:
        async with host_of(id_of(own)) as host:
            await host.run("A=kept")
            said = []
            for turns in (1, 3, 5, 8, 12, 16):
                task = asyncio.create_task(host.interrupt())
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                said.append((await host.run("echo $A", timeout=5 * SLACK)).only.output)
            return said

    assert on_loop(work()) == ["kept"] * 6


def test_a_session_whose_opening_is_cancelled_leaves_no_shell(own: Container) -> None:
    async def work() -> None:
        async with host_of(id_of(own)) as host:
            await host.run("true")
            for pause in (0, 0.01, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2):
                task = asyncio.create_task(host.open_session("given up"))
                await asyncio.sleep(pause)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    on_loop(work())
    no_shell_is_left(own)


def test_a_task_cancelled_while_it_waits_for_its_turn_disturbs_nobody(own: Container) -> None:
    async def work() -> list[str]:
        async with host_of(id_of(own)) as host:
            await host.run("true")
            first = asyncio.create_task(host.run("sleep 0.5; echo first"))
            second = asyncio.create_task(host.run("echo second"))
            third = asyncio.create_task(host.run("echo third"))
            await asyncio.sleep(0)
            second.cancel()
            found = await asyncio.gather(first, third)
            return [each.only.output for each in found]

    assert on_loop(work()) == ["first", "third"]


def test_a_command_is_interrupted_from_beside(own: Container) -> None:
    async def work(tty: bool) -> tuple[bool, int, bool, str]:
        async with host_of(id_of(own), tty=tty) as host:
            await host.run("A=kept")
            task = asyncio.create_task(host.run("sleep 555"))
            await until(host, "sleep 555")
            back = await host.interrupt()
            ended = (await task).only
            return back, ended.retcode, ended.interrupted, (await host.run("echo $A")).only.output

    for tty in (True, False):
        assert on_loop(work(tty)) == (True, 130, True, "kept")


def test_a_host_is_used_on_one_loop_after_the_other_and_keeps_its_state(own: Container) -> None:
    host = host_of(id_of(own))

    async def first() -> None:
        await host.run("A=kept")

    async def second() -> str:
        async with host:
            return (await host.run("echo $A")).only.output

    on_loop(first())
    assert on_loop(second()) == "kept"


def test_rebuilding_ends_a_command_that_runs(own: Container) -> None:
    async def work() -> tuple[bool, str]:
        async with host_of(id_of(own)) as host:
            task = asyncio.create_task(host.run("sleep 444"))
            await until(host, "sleep 444")
            host.rebuild_connections()
            ended = (await task).only
            return ended.ok, (await host.run("echo new")).only.output

    assert on_loop(work()) == (False, "new")
    wait_for(lambda: not any("sleep 444" in line for line in commands(own)), 10, "the command to end")


def test_closing_ends_a_command_that_runs(own: Container) -> None:
    async def work() -> bool:
        host = host_of(id_of(own))
        task = asyncio.create_task(host.run("sleep 333"))
        await until(host, "sleep 333")
        await host.close()
        return (await task).only.ok

    assert on_loop(work()) is False
    no_shell_is_left(own)


def test_fifty_sessions_at_once(own: Container) -> None:
    async def work() -> list[str]:
        async with host_of(id_of(own)) as host:

            async def one(number: int) -> str:
                session = await host.open_session(f"s{number}", tty=number % 2 == 0)
                await session.run(f"N={number}", timeout=60)
                return (await session.run("echo $N", timeout=60)).only.output

            return await asyncio.gather(*(one(number) for number in range(50)))

    before = len(os.listdir("/dev/fd"))
    assert on_loop(work()) == [str(number) for number in range(50)]
    # The connections that are kept for calls are closed in a thread.
    wait_for(lambda: len(os.listdir("/dev/fd")) <= before, 10, "the connections to be closed")
    no_shell_is_left(own)


# Where one waits ------------------------------------------------------------------------------------------------------


def test_a_ctrl_c_interrupts_the_command_restores_the_shell_and_is_raised(own: Container) -> None:
    with container_sync(id_of(own)) as host:
        host.run("A=kept")
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            host.run("sleep 222")
        timer.join()
        assert host.run("echo $A").only.output == "kept"
        assert not any("sleep 222" in line for line in commands(own))


def test_a_session_that_another_thread_uses_says_so_and_others_go_on(own: Container) -> None:
    with container_sync(id_of(own)) as host:
        host.run("true")
        thread = threading.Thread(target=host.run, args=("sleep 1",))
        thread.start()
        wait_for(lambda: any("sleep 1" in line for line in commands(own)), 10, "the command to run")
        with pytest.raises(SessionBusyError, match="another thread"):
            host.run("true")
        assert host.open_session("mine").run("echo mine").only.output == "mine"
        thread.join()
        assert host.run("echo free").only.output == "free"


# Growth ---------------------------------------------------------------------------------------------------------------


def test_a_thousand_commands_open_nothing_more(either: Proxy) -> None:
    either.run("true")
    either.oneshot("true")
    before = len(os.listdir("/dev/fd"))
    for number in range(10_000 if SOAK else 1000):
        assert either.run(f"echo {number}").only.output == str(number)
    assert len(os.listdir("/dev/fd")) <= before
