"""`dpty attach` on a real engine: what it joins, what it refuses, and what it leaves running."""

from __future__ import annotations

import signal
import threading

import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench
from tests.bed.proxy import Proxy
from tests.bed.terminal import CURSOR_QUERY, NULL, PIPE
from tests.engine.command import DETACH, Done, docker, dpty, only, shell, typed
from tests.engine.conftest import Sessions

ECHOES = "while read line; do echo got $line; done"
TICKS = "while sleep 0.1; do echo tick; done"


def seen(done: Done) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


def name_of(container: Container) -> str:
    return str(container.name)


def in_state(bench: Bench, state: str) -> Container:
    container = bench.container("exit 0" if state == "exited" else ("tail", "-f", "/dev/null"))
    if state != "created":
        container.start()
    if state == "exited":
        bench.wait_for_exit(container)
    if state == "paused":
        container.pause()
    return container


def test_what_is_piped_in_arrives_and_the_code_comes_back(bench: Bench, sessions: Sessions) -> None:
    ours, theirs = (
        bench.container("wc -c; echo err >&2; exit 7", stdin_open=True, start=True) for _ in range(2)
    )
    data = b"x" * 300_000
    done = dpty(sessions, "attach", name_of(ours), stdin=data)
    assert seen(done) == (7, b"300000\n", b"err\n")
    assert seen(docker(sessions, "attach", name_of(theirs), stdin=data)) == seen(done)


def test_a_person_joins_a_shell_leaves_it_running_and_joins_it_again(
    bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(("sh",), tty=True, stdin_open=True, start=True)
    for turn in ("first", "second"):
        terminal = typed(sessions, "attach", name_of(container), rows=31, cols=97)
        terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
        terminal.send("until [ \"$(stty size)\" = '31 97' ]; do sleep 0.05; done\r")
        terminal.send(f"echo {turn} END''MARK\r")
        terminal.expect(f"{turn} ENDMARK")
        # The terminal's answer is for the shell: after the session it would be shown as if it had been typed.
        terminal.expect(CURSOR_QUERY)
        terminal.send(DETACH)
        assert terminal.wait() == 0
        assert terminal.output.endswith(b"dpty: detached from %s\r\n" % name_of(container).encode())
        assert terminal.is_as_before()
    assert bench.is_running(container)


@pytest.mark.parametrize(
    ("state", "hint"),
    [("created", "start it first"), ("exited", "start it first"), ("paused", "unpause it first")],
)
def test_what_does_not_run_is_refused_by_its_states_name_and_not_started(
    state: str, hint: str, bench: Bench, sessions: Sessions
) -> None:
    container = in_state(bench, state)
    done = dpty(sessions, "attach", name_of(container))
    name = name_of(container)
    assert seen(done) == (125, b"", f"dpty: cannot attach to {name}: it is {state}; {hint}\n".encode())
    assert bench.state(container)["Status"] == state
    if state == "paused":
        container.unpause()


@pytest.mark.parametrize("verb", ["attach", "exec"])
def test_what_restarts_is_refused(verb: str, bench: Bench, sessions: Sessions) -> None:
    bench.needs_pauses_between_restarts()
    container = bench.container("exit 1", host={"restart_policy": {"Name": "always"}}, start=True)
    argv = [verb, name_of(container), *(["true"] if verb == "exec" else [])]

    def refusal() -> Done | None:
        if not bench.state(container)["Restarting"]:
            return None
        done = dpty(sessions, *argv)
        # It may have begun to run in the meantime, if only until its exec was to start.
        return done if "it is restarting" in done.stderr.decode() else None

    # The engine waits ever longer between two restarts: soon there is time enough.
    done = bench.wait_for(refusal, 30, "a refusal")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.decode().startswith(f"dpty: cannot {'attach to' if verb == 'attach' else 'exec in'} ")
    assert done.stderr.decode().endswith(": it is restarting; wait until it runs\n")
    assert done.stderr.count(b"\n") == 1


def test_what_ends_between_the_look_and_the_attach_gives_its_code(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("trap 'exit 6' TERM; while :; do sleep 0.1; done", start=True)
    ended = threading.Event()
    # An attach to what has ended is accepted, and would hang for ever.
    proxy.on("POST", "/attach", hold_request=ended)
    terminal = typed(sessions, "attach", name_of(container))
    proxy.wait_for_request("POST", "/attach")
    container.kill("TERM")
    bench.wait_for_exit(container)
    ended.set()
    assert terminal.wait(20) == 6


@pytest.mark.parametrize("flag", ["--no-stdin", "-n"])
def test_without_input_nothing_is_read_and_the_terminal_stays_as_it_is(
    flag: str, bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(f"trap 'exit 9' INT; {TICKS}", tty=True, stdin_open=True, start=True)
    terminal = typed(sessions, "attach", flag, name_of(container))
    terminal.expect("tick")
    assert not terminal.is_raw()
    terminal.send("\x03")  # typed at our terminal, not at the container's
    assert terminal.wait() == -signal.SIGINT
    assert bench.is_running(container)


def test_without_input_a_loops_input_is_left_to_the_loop(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(f"{ECHOES}; exit 3", stdin_open=True, start=True)
    script = f"printf 'a\\nb\\n' | (dpty attach --no-stdin --timeout 1 {name_of(container)}; cat)"
    assert shell(sessions, script).stdout == b"a\nb\n"


def test_control_c_goes_to_a_process_without_a_terminal(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(f"trap 'exit 9' INT; {TICKS}", start=True)
    terminal = typed(sessions, "attach", name_of(container))
    terminal.expect("tick")
    terminal.send("\x03")
    assert terminal.wait() == 9


def test_a_signal_that_cannot_be_passed_on_leaves_the_session_as_it_is(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container(
        "for i in 1 2; do read it; echo $i $it; done; exit 6", stdin_open=True, start=True
    )
    terminal = typed(sessions, "attach", name_of(container), stdin=PIPE, stdout=PIPE, stderr=PIPE)
    terminal.feed(b"is up\n")
    terminal.expect_stdout("1 is up")
    proxy.refuse_connections()
    terminal.signal(signal.SIGTERM)
    assert terminal.read_for(0.3) == b""
    terminal.feed(b"goes on\n", end=True)
    terminal.expect_stdout("2 goes on")
    assert terminal.wait() == 6, terminal.stderr


def test_a_session_that_is_lost_says_what_to_do(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    container = bench.container(TICKS, start=True)
    terminal = typed(sessions, "attach", name_of(container), stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("tick")
    proxy.refuse_connections()
    proxy.drop_connections()
    assert terminal.wait(30) == 255
    assert terminal.stderr.endswith(b"; it may still run: if it does, attach to it again\n"), terminal.stderr


def test_a_second_word_is_refused_before_anything_is_done(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    done = dpty(sessions, "attach", "web", "sh")
    assert seen(done)[:2] == (125, b"")
    assert done.stderr == (
        b"dpty: cannot run dpty attach: it takes one container, and no 'sh' beside it; see dpty attach --help\n"
    )
    assert proxy.count("POST") == 0


def test_two_at_once_see_the_same_and_both_can_type(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(ECHOES, tty=True, stdin_open=True, start=True)
    both = [typed(sessions, "attach", name_of(container)) for _ in range(2)]
    for terminal in both:
        terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    for number, terminal in enumerate(both):
        terminal.send(f"line{number}\r")
        for each in both:
            each.expect(f"got line{number}")


def test_a_time_limit_leaves_the_container_as_it_is(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(TICKS, start=True)
    done = dpty(sessions, "attach", "--timeout", "0.5", name_of(container))
    assert (done.returncode, done.stdout[:5]) == (124, b"tick\n")
    assert bench.is_running(container)


def test_an_idle_limit_leaves_the_container_as_it_is(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("for i in 1 2 3; do echo $i; sleep 0.3; done; exec sleep 60", start=True)
    done = dpty(sessions, "attach", "--idle-timeout", "1.5", name_of(container))
    said = f"dpty: cannot go on with {name_of(container)}: nothing moved for 1.5 s\n"
    assert (done.returncode, done.stderr.decode()) == (124, said)
    # As many of them as came after it had attached.
    assert b"1\n2\n3\n".endswith(done.stdout)
    assert bench.is_running(container)


def test_other_keys_detach_where_they_were_chosen_and_the_usual_ones_are_keys(
    bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(
        "stty raw -echo; while :; do head -c 3 | od -An -tx1; done", tty=True, stdin_open=True, start=True
    )
    terminal = typed(sessions, "attach", "--detach-keys", "ctrl-a,d", name_of(container))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send(DETACH + b"z")
    terminal.expect("10 11 7a")
    terminal.send(b"\x01d")
    terminal.expect(f"dpty: detached from {name_of(container)}\r\n")
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert bench.is_running(container)


# Which one, and when


def test_the_newest_running_container_needs_no_name(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    older = bench.container(start=True)
    newest = bench.container("read line; echo newest; exit 4", stdin_open=True, start=True)
    idle = bench.container()  # newer, and does not run
    only(proxy, older, newest, idle)
    assert seen(dpty(sessions, "attach", "-l", stdin=b"\n")) == (4, b"newest\n", b"")


def test_a_container_is_waited_for_until_it_runs(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("read line; echo $line; exit 5", tty=True, stdin_open=True)
    terminal = typed(sessions, "attach", "--wait", "20", name_of(container))
    assert terminal.read_for(0.5) == b""
    container.start()
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("there\r")
    assert terminal.wait() == 5
    assert b"there\r\nthere\r\n" in terminal.output


def test_the_wait_can_be_broken_off(bench: Bench, sessions: Sessions) -> None:
    container = bench.container()
    terminal = typed(sessions, "attach", "--wait", "60", name_of(container))
    terminal.read_for(0.5)
    terminal.send("\x03")
    assert terminal.wait() == -signal.SIGINT


def test_the_wait_has_an_end_and_names_the_state(bench: Bench, sessions: Sessions) -> None:
    container = bench.container()
    done = dpty(sessions, "attach", "--wait", "0.3", name_of(container))
    assert seen(done)[:2] == (125, b"")
    assert b"it is created after 0.3 s; start it first" in done.stderr


def test_quiet_says_nothing_of_ours(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(ECHOES, tty=True, stdin_open=True, start=True)
    terminal = typed(sessions, "attach", "--quiet", name_of(container))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send(DETACH)
    assert terminal.wait() == 0
    assert b"dpty:" not in terminal.output


def test_input_that_is_empty_ends_a_terminals_input(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("cat; exit 8", tty=True, stdin_open=True, start=True)
    terminal = typed(sessions, "attach", name_of(container), stdin=NULL, stdout=PIPE)
    assert terminal.wait() == 8
