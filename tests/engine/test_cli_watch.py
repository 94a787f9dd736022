"""`dpty watch` on a real engine: it shows, it never sends, and it keeps nobody waiting."""

from __future__ import annotations

import re
import signal

import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench
from tests.bed.proxy import Proxy
from tests.bed.terminal import PIPE
from tests.engine.command import dpty, only, shell, typed
from tests.engine.conftest import Sessions

TICKS = "i=0; while sleep 0.1; do i=$((i+1)); echo tick $i; done"


def name_of(container: Container) -> str:
    return str(container.name)


def test_it_shows_what_is_written_and_ends_with_the_containers_code(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("sleep 1; echo out; echo err >&2; exit 7", start=True)
    done = dpty(sessions, "watch", name_of(container))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_nothing_that_is_typed_arrives_and_the_terminal_stays_as_it_is(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container(
        f"(while read line; do echo got $line; done) & {TICKS}", tty=True, stdin_open=True, start=True
    )
    terminal = typed(sessions, "watch", name_of(container))
    terminal.expect("tick")
    assert terminal.is_as_before()
    terminal.send("hello\r\x04\x10\x11")
    terminal.expect("tick")
    terminal.expect("tick")
    assert b"got" not in terminal.output
    terminal.send("\x03")
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert bench.is_running(container)
    attaches = proxy.seen("POST", "/attach")
    assert len(attaches) == 1
    assert "stdin=0" in attaches[0].path
    assert proxy.count("POST", "/kill") == 0


def test_input_is_left_to_who_reads_it_next(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("sleep 1; echo shown", stdin_open=True, start=True)
    done = shell(sessions, f"printf left | (dpty watch {name_of(container)}; cat)")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"shown\nleft", b"")


def test_who_stops_reading_misses_some_and_keeps_nobody_waiting(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    # It writes more than all buffers on the way hold, then goes on slowly.
    script = "read line; head -c 4000000 /dev/zero | tr '\\0' x; echo; echo ALL''WRITTEN; " + TICKS
    container = bench.container(script, tty=True, stdin_open=True, start=True)
    slow = typed(sessions, "watch", name_of(container))
    proxy.wait_for_request("POST", "/attach")
    fast = typed(sessions, "attach", name_of(container), stdout=PIPE)
    fast.wait_until(fast.is_raw, 10, "the raw terminal")
    slow.reading = False
    fast.send("\r")
    fast.expect_stdout("ALLWRITTEN", timeout=30)
    slow.reading = True
    slow.expect(re.compile(rb"\[(\d+) bytes skipped\]"), timeout=20)
    slow.expect("tick", timeout=10)
    skipped = sum(int(number) for number in re.findall(rb"\[(\d+) bytes skipped\]", slow.output))
    assert skipped > 3_000_000
    assert slow.peak_mib() < 80
    slow.send("\x03")
    assert slow.wait() == 0


def test_a_stopped_terminal_can_be_left(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(f"head -c 1000000 /dev/zero | tr '\\0' x; {TICKS}", tty=True)
    terminal = typed(sessions, "watch", "--wait", "20", name_of(container))
    terminal.reading = False
    container.start()
    bench.wait_for_log(container, b"tick 3", 20)
    terminal.send("\x03")
    terminal.wait_until(lambda: terminal.process.poll() is not None, 10, "the end of the watch")
    terminal.reading = True
    assert terminal.wait() == 0


def test_a_screen_is_drawn_for_who_comes_later(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("trap 'echo drawn $(stty size)' WINCH; while :; do sleep 0.1; done", tty=True)
    container.start()
    bench.wait_for(lambda: bench.is_running(container), 10)
    terminal = typed(sessions, "watch", name_of(container), rows=20, cols=70)
    terminal.expect("drawn 20 70")
    terminal.send("\x03")
    assert terminal.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_another_signal_is_what_it_dies_of(number: int, bench: Bench, sessions: Sessions) -> None:
    terminal = typed(sessions, "watch", name_of(bench.container(TICKS, start=True)))
    terminal.expect("tick")
    terminal.signal(number)
    assert terminal.wait() == -number


@pytest.mark.parametrize("way", ["control-c", "signal"])
def test_what_was_switched_on_in_the_terminal_is_switched_off(
    way: str, bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(
        f"read line; printf '\\033[?1049h\\033[?25l'; {TICKS}", tty=True, stdin_open=True
    )
    container.start()
    terminal = typed(sessions, "watch", name_of(container))
    writer = typed(sessions, "attach", name_of(container))
    writer.wait_until(writer.is_raw, 10, "the raw terminal")
    terminal.read_for(0.3)
    writer.send("\r")
    terminal.expect("tick 2")
    terminal.send("\x03") if way == "control-c" else terminal.signal(signal.SIGTERM)
    assert terminal.wait() == (0 if way == "control-c" else -signal.SIGTERM)
    assert b"\x1b[?25h\x1b[?1049l" in terminal.output


def test_the_wait_for_a_container_is_left_with_control_c_too(bench: Bench, sessions: Sessions) -> None:
    terminal = typed(sessions, "watch", "--wait", "60", name_of(bench.container()))
    terminal.read_for(0.5)
    terminal.send("\x03")
    assert terminal.wait() == 0


def test_a_time_limit_is_124_and_the_newest_needs_no_name(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container(TICKS, start=True)
    only(proxy, container)
    done = dpty(sessions, "watch", "-l", "--timeout", "0.6")
    assert done.returncode == 124
    assert done.stdout.startswith(b"tick")
    assert bench.is_running(container)


def test_an_idle_limit_is_124(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("exec sleep 60", start=True)
    done = dpty(sessions, "watch", "--idle-timeout", "0.6", name_of(container))
    said = f"dpty: cannot go on with {name_of(container)}: nothing moved for 0.6 s\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (124, b"", said)
    assert bench.is_running(container)


@pytest.mark.parametrize(("flags", "notices"), [([], 1), (["--quiet"], 0)])
def test_quiet_says_nothing_of_ours_but_errors(
    flags: list[str], notices: int, bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container(TICKS, start=True)
    terminal = typed(sessions, "watch", "--reconnect", *flags, name_of(container), stderr=PIPE)
    terminal.expect("tick")
    proxy.drop_connections()
    proxy.wait_for_request("POST", "/attach", 2)
    terminal.expect("tick")
    assert terminal.stderr.count(b"dpty: lost ") == notices
    terminal.send("\x03")
    assert terminal.wait() == 0
    assert terminal.stderr.count(b"dpty: ") == notices
    refused = dpty(sessions, "watch", *flags, "no-such-container")
    assert (refused.returncode, refused.stderr.startswith(b"dpty: cannot ")) == (125, True)


def test_what_does_not_run_is_refused(bench: Bench, sessions: Sessions) -> None:
    done = dpty(sessions, "watch", name_of(bench.container()))
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"it is created; start it first" in done.stderr
