"""What a command of a session reads: a fifo beside the shell, in each shell, with and without a terminal."""

from __future__ import annotations

import io
import os
import stat
from asyncio import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockerpty.errors import StartRefused
from dockerpty.host.requests import Open
from dockerpty.host.shell.feeding import open_feeder, release
from dockerpty.host.shell.running import run_one
from dockerpty.host.stdin import Stdin
from tests.unit.host.bench import IDS, KINDS, Bench, benches
from tests.unit.host.channels import DEADLINE_S

bench = benches(KINDS, IDS)


def fifos(bench: Bench) -> list[str]:
    """Those that were made in a test and are still there."""
    names = [each.command[-1] for each in bench.here.requests if isinstance(each, Open)]
    paths = [f"{folder}/.dpty-{name}" for folder in ("/dev/shm", "/tmp") for name in names if "/" not in name]
    return [path for path in paths if os.path.exists(path)]


def test_without_stdin_there_is_nothing_to_read(bench: Bench) -> None:
    if not bench.tty:
        assert bench.run("cat; read x; echo $?").output == "1"


def test_with_a_terminal_the_terminal_is_read(bench: Bench) -> None:
    if bench.tty:
        done = bench.run("printf '?'; read x; echo $x", expects=(r"\?", "typed\n"), timeout=DEADLINE_S)
        assert done.output == "?typed"


@pytest.mark.parametrize("empty", [b"", ""])
def test_nothing_is_read_where_nothing_is_given(bench: Bench, empty: Any) -> None:
    assert bench.run("cat; echo end", stdin=empty).output == "end"


@pytest.mark.parametrize("given", [b"a\nb", "a\nb", io.BytesIO(b"a\nb"), io.StringIO("a\nb")])
def test_all_kinds_of_stdin_are_read_to_their_end(bench: Bench, given: Any) -> None:
    if hasattr(given, "seek"):
        given.seek(0)
    assert bench.run("cat; echo ' end'", stdin=given).output == "a\nb end"
    assert fifos(bench) == []
    assert bench.run("echo alive").output == "alive"


def test_much_arrives_exactly_and_only_what_was_read_was_taken(bench: Bench) -> None:
    data = os.urandom(1 << 20) * 5
    bench.run("cat >got", stdin=data)
    assert (bench.folder / "got").read_bytes() == data

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    endless = Endless()
    assert bench.run("head -c 10 >ten; echo end", stdin=endless).output == "end"
    assert (bench.folder / "ten").read_bytes() == bytes(10)
    assert endless.given < 4 << 20


def test_a_command_that_reads_nothing_keeps_nobody_waiting(bench: Bench) -> None:
    assert bench.run("echo done", stdin=bytes(1 << 20)).output == "done"
    assert bench.run("if then", stdin=b"x").retcode in (1, 2)
    assert bench.run("exit 3", stdin=b"x").retcode == 3
    assert fifos(bench) == []
    for channel in bench.here.opened:
        channel.process.wait(DEADLINE_S)


@pytest.mark.parametrize("told", [False, True])
def test_the_fifo_is_nobody_elses_and_is_gone_without_a_command(
    bench: Bench, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockerpty.host.shell.feeding._OPENED_S", 0.1)
    shell = bench.open()
    feeder = bench.drive(open_feeder(shell, Stdin(b"x")))
    mode = os.stat(feeder.path).st_mode
    assert stat.S_ISFIFO(mode)
    assert stat.S_IMODE(mode) == 0o600
    # Whoever waits for a command that does not come is let go.
    if told:
        feeder.tell()
    bench.drive(release(shell, feeder))
    assert not os.path.exists(feeder.path)
    bench.here.opened[1].process.wait(DEADLINE_S)


def test_where_there_is_no_way_to_make_a_fifo_another_way_is_named(bench: Bench) -> None:
    shell = bench.open()
    opens = bench._open

    def without_mkfifo(request: Open) -> Any:
        command = tuple(each.replace("mkfifo", "no-such-program") for each in request.command)
        return opens(replace(request, command=command))

    bench.here.opens = without_mkfifo
    with pytest.raises(ValueError, match=r"oneshot\(stdin=\)"):
        bench.run("cat", stdin=b"x")

    def refused(request: Open) -> Any:
        raise StartRefused("start", "sh", "no room", exit_code=126)

    bench.here.opens = refused
    with pytest.raises(ValueError, match=r"oneshot\(stdin=\)"):
        bench.run("cat", stdin=b"x")
    assert not shell.used
    assert bench.run("echo alive").output == "alive"


def test_a_feeder_that_dies_does_not_keep_the_shell_waiting(bench: Bench) -> None:
    bench.open()
    opens = bench._open

    def dying(request: Open) -> Any:
        command = tuple(each.replace('exec >"$p"', "exit 1") for each in request.command)
        return opens(replace(request, command=command))

    bench.here.opens = dying
    done = bench.run("cat; echo end", stdin=b"x", timeout=DEADLINE_S)
    # Whether it had come to open the fifo, or finds it gone.
    assert done.output == "end" or done.retcode in (1, 2)
    assert not done.timed_out
    assert bench.run("echo alive").output == "alive"


def test_without_a_terminal_answers_come_through_the_fifo(bench: Bench) -> None:
    text = "printf 'one?'; read a; printf 'two?' >&2; read b; echo $a-$b"
    done = bench.run(text, expects=[(r"one\?", "1\n"), (r"two\?", "2\n")], timeout=DEADLINE_S)
    assert done.ok
    assert b"1-2\n" in done.stdout


def test_a_file_that_is_not_there_is_told_before_anything_is_sent(bench: Bench, tmp_path: Path) -> None:
    shell = bench.open()
    with pytest.raises(FileNotFoundError):
        bench.run("cat", stdin=tmp_path / "missing")
    with pytest.raises(TypeError):
        bench.run("cat", stdin=42)
    assert not shell.used


def test_a_cancellation_at_any_request_leaves_nothing_behind_and_a_shell_for_the_next(bench: Bench) -> None:
    for number in range(100):
        plan = run_one(bench.shell, "cat; echo end", stdin=b"x" * 100_000)
        answered, over = 0, False
        request = next(plan)
        try:
            while answered < number:
                request = plan.send(bench.here.answer(request))
                answered += 1
            cancelled = plan.throw(CancelledError())
            while True:
                # What is done on the way out is done.
                cancelled = plan.send(bench.here.answer(cancelled))
        except CancelledError:
            pass  # it has come through
        except StopIteration:
            over = True
        assert bench.many("echo alive").only.output == "alive"
        # Of one that was not told yet the feeder itself removes it.
        for channel in bench.here.closed:
            channel.process.wait(DEADLINE_S)
        assert fifos(bench) == []
        if over:
            break
    assert over
    assert number > 3


def test_each_command_of_a_sequence_has_its_own_stdin(bench: Bench) -> None:
    from dockerpty.host.results import ShellCommand

    done = bench.many(["cat", ShellCommand("cat", stdin=b"mine")], stdin=b"all")
    assert [each.output for each in done] == ["all", "mine"]
