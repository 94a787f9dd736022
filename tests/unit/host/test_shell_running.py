"""Commands in an open shell: what comes of them, in each shell, with and without a terminal."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from dockerpty.host.errors import SessionBusyError
from dockerpty.host.failure import CommandFailed
from dockerpty.host.requests import Wait
from dockerpty.host.results import Expect, ShellCommand, Status
from dockerpty.host.shell.framing import MAX_TEXT
from dockerpty.host.shell.running import run_one
from tests.unit.host.bench import IDS, KINDS, Bench, benches
from tests.unit.host.channels import DEADLINE_S

bench = benches(KINDS, IDS)
pipes = benches([kind for kind in KINDS if not kind[1]], [each for each in IDS if "pipes" in each])
typed = benches([kind for kind in KINDS if kind[1]], [each for each in IDS if "terminal" in each])


def four(bench: Bench, command: Any, **more: Any) -> tuple[str, Status, int]:
    done = bench.run(command, **more)
    return done.output, done.status, done.retcode


# The faults that were: host.md, section 10


def test_host_f01_a_here_document_is_a_command_like_any(bench: Bench) -> None:
    assert four(bench, "cat <<X\na\nX") == ("a", Status.Success, 0)


def test_host_f02_a_comment_at_the_end_swallows_nothing(bench: Bench) -> None:
    assert four(bench, "true # done") == ("", Status.Success, 0)


def test_host_f03_a_job_and_a_syntax_error_end_at_once(bench: Bench) -> None:
    assert four(bench, "sleep 777 & echo $! >pid")[1:] == (Status.Success, 0)
    for text in ("if then", "echo 'open", "if true; then", "for", "echo $(", "{"):
        done = bench.run(text)
        assert done.status is Status.Failed, text
        assert done.retcode in (1, 2), text
        assert done.output, text
        assert bench.run("echo alive").output == "alive", text
    assert bench.run("kill -9 $(cat pid)").ok


def test_host_f04_a_long_command_is_not_cut(bench: Bench) -> None:
    assert four(bench, "echo " + "x" * 5000) == ("x" * 5000, Status.Success, 0)


def test_host_f05_bytes_that_are_no_text_are_kept_and_end_nothing(bench: Bench) -> None:
    done = bench.run(r"printf '\377\200a'")
    assert (done.stdout, done.output, done.status) == (b"\xff\x80a", "\ufffd\ufffda", Status.Success)
    assert bench.run("echo alive").output == "alive"


def test_host_f06_a_second_command_waits_or_is_refused_and_never_mixed(bench: Bench) -> None:
    shell = bench.open()
    first = run_one(shell, "sleep 0.1; echo a")
    request = next(first)
    with pytest.raises(RuntimeError, match="a command runs"):
        bench.drive(run_one(shell, "echo b"))

    def rest() -> Any:
        reply = bench.here.answer(request)
        while True:
            try:
                again = first.send(reply)
            except StopIteration as end:
                return end.value
            reply = bench.here.answer(again)

    # The first one is what it would have been.
    assert rest().output == "a"


def test_host_f07_blank_lines_and_carriage_returns_are_output(bench: Bench) -> None:
    done = bench.run(r"printf '\n\nx\ry\n\n'")
    assert (done.stdout, done.output) == (b"\n\nx\ry\n\n", "\n\nx\ry\n")


ASKING = r"""printf 'a\nb?'; read one; printf 'Go ON:'; read two; printf '%s\n' "$one$two" 'aa' 'end'"""


def test_host_f08_answers_see_many_lines_and_keep_their_patterns_apart(bench: Bench) -> None:
    expects = [(r"a\nb\?", "first\n"), (re.compile("go on:", re.I), "second\n"), (r"(z)\1", "never\n")]
    done = bench.run(ASKING, expects=expects, timeout=DEADLINE_S)
    assert done.ok
    assert done.stdout.endswith(b"a\nb?Go ON:firstsecond\naa\nend\n")


def test_host_f08_an_answer_to_everything_does_not_eat_the_end(bench: Bench) -> None:
    done = bench.run("echo one; echo two", expects=("(?s).+", ""), timeout=DEADLINE_S)
    assert (done.output, done.status) == ("one\ntwo", Status.Success)


def test_host_f09_an_exit_has_its_code(bench: Bench) -> None:
    done = bench.run("echo bye; exit 3")
    assert (done.status, done.retcode, done.shell_exited) == (Status.Error, 3, True)
    assert done.output.startswith("bye")
    assert done.error == "the shell ended with 3"


def test_host_f12_a_command_that_a_signal_killed_has_failed(bench: Bench) -> None:
    done = bench.run("sh -c 'kill -9 $$'")
    assert (done.status, done.retcode, done.signal) == (Status.Failed, 137, 9)


def test_host_f23_a_trace_and_a_log_of_the_session_end_nothing(bench: Bench) -> None:
    bench.run("set -x")
    assert bench.run("echo traced").output.splitlines()[-1:] == ["traced"] or not bench.tty
    bench.run("set +x")
    bench.run("set >all")
    assert bench.run("cat all; echo end").output.endswith("end")


# The table of awkward commands, 2.4


def test_an_empty_command_is_a_success(bench: Bench) -> None:
    for text in ("", "  ", "# nothing", "\n\n"):
        assert four(bench, text) == ("", Status.Success, 0), text


def test_the_state_of_the_shell_stays(bench: Bench) -> None:
    (bench.folder / "sub").mkdir()
    bench.run("cd sub; A=1; f() { echo f$A; }; umask 077; set -f")
    assert bench.run("f; umask; echo *; pwd").output == f"f1\n0077\n*\n{bench.folder}/sub"
    (bench.folder / "sub").rmdir()
    assert bench.run("echo still $A").output == "still 1"


def test_output_without_a_final_newline_is_apart_from_the_end(bench: Bench) -> None:
    done = bench.run("printf abc")
    assert (done.stdout, done.output) == (b"abc", "abc")


def test_binary_output_arrives_exactly(bench: Bench) -> None:
    data = bytes(range(256)) * 1000
    (bench.folder / "data").write_bytes(data)
    assert bench.run("cat data").stdout == data


def test_what_cannot_be_a_command_is_refused_and_nothing_is_sent(bench: Bench) -> None:
    shell = bench.open()
    for text, why in (("echo \0", "NUL"), ("x" * (MAX_TEXT + 1), "sh FILE")):
        for more in ({}, {"stdin": b"some"}):
            with pytest.raises(ValueError, match=why):
                bench.run(text, **more)
    assert not shell.used
    assert bench.run("echo alive").output == "alive"


def test_a_text_that_the_terminal_would_take_for_keys_arrives(bench: Bench) -> None:
    assert bench.run("printf %s '\x03\x04\x1a\x7f'").stdout == b"\x03\x04\x1a\x7f"


def test_stdout_and_stderr_are_apart_without_a_terminal_and_one_with_it(bench: Bench) -> None:
    done = bench.run("echo o; echo e >&2")
    assert (done.stdout, done.stderr) == ((b"o\ne\n", b"") if bench.tty else (b"o\n", b"e\n"))
    assert done.output == "o\ne"


def test_merged_streams_come_in_exact_order(bench: Bench) -> None:
    text = "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"
    done = bench.run(text, merge=True)
    assert done.output.split() == [f"{each}{i}" for i in range(1, 10) for each in "oe"]
    assert done.stderr == b""
    after = bench.run("echo e >&2")
    assert after.stderr == (b"" if bench.tty else b"e\n")


def test_a_syntax_error_is_merged_too(bench: Bench) -> None:
    done = bench.run("if then", merge=True)
    assert done.stdout
    assert not done.stderr
    assert done.status is Status.Failed


def test_the_beginning_of_much_output_is_kept_and_all_of_it_handed_on(bench: Bench) -> None:
    seen = bytearray()
    done = bench.run(
        "head -c 300000 /dev/zero; echo end",
        output_limit=1000,
        on_output=lambda stream, data: seen.extend(data),
    )
    assert (done.stdout, done.truncated, done.dropped_bytes) == (bytes(1000), True, 300000 + 4 - 1000)
    assert bytes(seen) == bytes(300000) + b"end\n"
    assert done.ok


def test_the_end_of_much_output_is_kept_where_that_is_wanted(bench: Bench) -> None:
    done = bench.run("head -c 300000 /dev/zero; printf end", output_limit=5, keep="tail")
    assert (done.stdout, done.truncated, done.dropped_bytes) == (b"\0\0end", True, 300000 + 3 - 5)
    assert bench.run("printf end", output_limit=5, keep="tail").stdout == b"end"


def test_each_stream_has_a_limit_of_its_own(pipes: Bench) -> None:
    done = pipes.run("echo 12345; echo 678 >&2", output_limit=5)
    assert (done.stdout, done.stderr, done.dropped_bytes) == (b"12345", b"678\n", 1)


def test_what_an_observer_raises_comes_out_and_the_shell_can_still_be_used(bench: Bench) -> None:
    def observe(stream: int, data: bytes) -> None:
        raise KeyError("mine")

    bench.open()
    with pytest.raises(KeyError, match="mine"):
        bench.run("echo a", on_output=observe)
    assert bench.many("echo alive").only.output == "alive"


def test_what_no_command_wrote_is_spilled(bench: Bench) -> None:
    bench.run("(while ! [ -e now ]; do sleep 0.01; done; echo late) &")
    (bench.folder / "now").touch()
    shell = bench.shell
    bench.until(lambda: b"late\n" in shell.spilled.peek())
    assert b"late" not in bench.run("echo next").stdout
    assert b"late\n" in shell.spilled.take()
    assert b"late" not in shell.spilled.peek()


def test_a_result_has_its_time(bench: Bench) -> None:
    done = bench.run("sleep 0.05")
    assert 0.05 <= done.duration < DEADLINE_S
    assert done.started is not None
    assert done.started.tzinfo is not None
    assert done.host == "here"


def runs(pid: int) -> bool:
    try:
        return b" Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False


def test_a_job_that_ends_while_nothing_runs_does_not_end_the_shell(bench: Bench) -> None:
    bench.run("(while ! [ -e now ]; do sleep 0.01; done) & echo $! >pid")
    pid = int((bench.folder / "pid").read_text())
    (bench.folder / "now").touch()
    deadline = time.monotonic() + DEADLINE_S
    while runs(pid):
        assert time.monotonic() < deadline
    done = bench.many("wait; echo alive").only
    assert (done.output.splitlines()[-1], done.session_lost, bench.opened) == ("alive", False, 1)


# Answers


def test_an_answer_may_be_limited(bench: Bench) -> None:
    patience = "0.2" if bench.name == "bash" else "1"
    text = f"for i in 1 2 3; do printf 'more?'; read -t {patience} x || x=none; echo $x; done"
    if bench.name == "dash":
        text = "for i in 1 2; do printf 'more?'; read x; echo $x; done"
        done = bench.run(text, expects=[Expect(r"more\?", "yes\n", 2)], timeout=DEADLINE_S)
        assert done.stdout.count(b"yes\n") == 2
        return
    done = bench.run(text, expects=[Expect(r"more\?", "yes\n", 2)], timeout=DEADLINE_S)
    assert re.findall(rb"yes|none", done.stdout) == [b"yes", b"yes", b"none"]


def test_a_pattern_that_is_never_seen_is_no_failure(bench: Bench) -> None:
    assert bench.run("echo a", expects=("password:", "secret\n")).output == "a"


def test_a_command_has_its_own_answers(bench: Bench) -> None:
    asking = ShellCommand("printf 'name?'; read x; echo hello $x", expects=(r"name\?", "you\n"))
    done = bench.many([asking, "echo plain"], expects=("nothing", "x"), timeout=DEADLINE_S)
    assert "hello you" in done[0].output
    assert done[1].output == "plain"


# Time


def test_a_command_that_takes_too_long_is_interrupted_and_the_state_kept(typed: Bench) -> None:
    typed.run("A=kept; cd /")
    for text in ("sleep 777", "while :; do :; done", "yes"):
        done = typed.run(text, timeout=0.2, output_limit=100)
        assert (done.status, done.retcode, done.timed_out) == (Status.Error, -1, True), text
    done = typed.many("pwd; echo $A").only
    assert (done.output, done.session_lost) == ("/\nkept", False)


def test_what_a_command_wrote_before_its_time_was_over_is_kept(typed: Bench) -> None:
    done = typed.run("echo some; sleep 777", timeout=0.2)
    # Without what the shell says to an interrupt.
    assert (done.stdout, done.timed_out) == (b"some\n", True)
    last = "trap 'echo bye; exit 1' INT; while :; do sleep 0.01; done"
    heard: list[bytes] = []
    done = typed.run(f'sh -c "{last}"', timeout=0.3, on_output=lambda _, data: heard.append(data))
    assert done.stdout == b"".join(heard) == b"bye\n"


def test_a_shell_that_does_not_come_back_is_replaced_and_that_is_said(bench: Bench) -> None:
    bench.run("A=1")

    def in_vain(shell: Any, started: float) -> Any:
        assert time.monotonic() - DEADLINE_S < started < time.monotonic()
        yield Wait((), time.monotonic())
        return False

    done = bench.many("sleep 777", timeout=0.1, recover=in_vain).only
    assert (done.status, done.timed_out, done.shell_exited) == (Status.Error, True, False)
    assert "could not be interrupted" in done.error
    after = bench.many("echo ${A-gone}").only
    assert (after.output, after.session_lost) == ("gone", True)
    assert not bench.many("true").only.session_lost


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_time_limit_that_is_none_is_refused(bench: Bench, seconds: float) -> None:
    for command, more in (("true", {"timeout": seconds}), (ShellCommand("true", timeout=seconds), {})):
        with pytest.raises(ValueError, match="time limit"):
            bench.many(command, **more)


def test_a_command_that_was_given_up_is_ended_before_the_next_one(typed: Bench) -> None:
    shell = typed.open()
    typed.run("A=kept")
    plan = run_one(shell, "sleep 777")
    request = next(plan)
    while not shell.framing.busy:
        request = plan.send(typed.here.answer(request))
    with pytest.raises(KeyboardInterrupt):
        plan.throw(KeyboardInterrupt())
    assert shell.busy
    done = typed.many("echo $A").only
    assert (done.output, done.session_lost, typed.opened) == ("kept", False, 1)


# Several commands


def test_a_failure_does_not_stop_the_rest_unless_it_is_asked_for(bench: Bench) -> None:
    done = bench.many(["echo a", "false", ShellCommand("echo b")])
    assert [each.output for each in done] == ["a", "", "b"]
    assert (done.status, done.first_failure) == (Status.Failed, done[1])
    stopped = bench.many(["echo a", "false", "echo b", "echo c"], stop_on_error=True)
    assert [each.skipped for each in stopped] == [False, False, True, True]
    assert stopped[3].error == "a command before it failed"
    assert stopped[3].retcode == -1


def test_a_checked_failure_is_raised_at_once(bench: Bench) -> None:
    with pytest.raises(CommandFailed, match="it exited with 3"):
        bench.many(["(exit 3)", "touch not-reached"], check=True)
    assert bench.many([ShellCommand("false", check=False)], check=True).status is Status.Failed
    with pytest.raises(CommandFailed):
        bench.many([ShellCommand("false", check=True)])
    assert not (bench.folder / "not-reached").exists()


def test_a_sequence_has_one_budget_and_the_rest_is_not_run(typed: Bench) -> None:
    typed.open()
    done = typed.many(["echo a", "sleep 777", "echo c"], timeout=0.5)
    assert [each.timed_out for each in done] == [False, True, False]
    assert (done[2].skipped, done[2].status, done[2].retcode) == (True, Status.Error, -1)
    assert "0.5 s" in done[2].error


def test_a_command_of_a_sequence_may_have_less_time_than_is_left(typed: Bench) -> None:
    done = typed.many([ShellCommand("sleep 777", timeout=0.1), "echo next"], timeout=DEADLINE_S)
    assert [each.timed_out for each in done] == [True, False]
    assert done[1].output == "next"


# The shell's end, 2.5


def test_an_exit_with_0_is_a_success_that_says_so(bench: Bench) -> None:
    done = bench.run("exit 0")
    assert (done.status, done.retcode, done.shell_exited, done.error) == (Status.Success, 0, True, "")


def test_a_shell_that_becomes_another_program_ends_with_that(bench: Bench) -> None:
    done = bench.run("exec sh -c 'exit 5'")
    assert (done.status, done.retcode, done.shell_exited) == (Status.Error, 5, True)


def test_a_shell_that_kills_itself_has_the_code_of_the_signal(bench: Bench) -> None:
    done = bench.run("kill -9 $$")
    assert (done.status, done.retcode, done.signal, done.shell_exited) == (Status.Error, 137, 9, True)


def test_after_an_exit_the_next_command_has_another_shell_and_says_so(bench: Bench) -> None:
    done = bench.many(["A=1", "exit 3", "echo ${A-gone}", "true"])
    assert [each.session_lost for each in done] == [False, False, True, False]
    assert done[2].output == "gone"
    assert bench.opened == 2


def test_a_shell_that_was_never_used_has_nothing_to_lose(bench: Bench) -> None:
    shell = bench.open()
    bench.here.opened[-1].process.kill()
    bench.here.opened[-1].process.wait(DEADLINE_S)
    done = bench.many("echo a").only
    assert (done.output, done.session_lost, shell.over) == ("a", False, True)


def test_host_f14_a_shell_that_went_away_between_commands_is_never_lost_in_silence(bench: Bench) -> None:
    bench.many("A=1")
    bench.here.opened[-1].process.kill()
    bench.here.opened[-1].process.wait(DEADLINE_S)
    done = bench.many(["echo ${A-gone}", "true"])
    assert [each.session_lost for each in done] == [True, False]
    assert (done[0].output, done[0].ok) == ("gone", True)


def test_a_program_that_has_the_terminal_keeps_a_command_from_being_sent(typed: Bench) -> None:
    shell = typed.open()
    typed.send("cat\n")
    asked = []

    def never(which: Any) -> Any:
        asked.append(which)
        yield Wait((), time.monotonic())
        return False

    with pytest.raises(SessionBusyError, match=r"send\(\)"):
        typed.run("echo typed", has_terminal=never)
    assert set(asked) == {shell}
    assert len(asked) > 1
    typed.send(b"\x04")

    def soon(which: Any) -> Any:
        asked.append(which)
        yield Wait((), time.monotonic())
        return len(asked) > 3

    del asked[:]
    assert typed.run("echo run", has_terminal=soon).output == "run"
    assert len(asked) == 4
    # Nobody is asked again until something is sent again.
    assert typed.run("echo again", has_terminal=never).output == "again"


def test_the_log_tells_once_that_a_state_is_lost(pipes: Bench, caplog: pytest.LogCaptureFixture) -> None:
    pipes.many(["A=1", "exit 3", "true", "true"])
    told = [each.getMessage() for each in caplog.records if "another one" in each.getMessage()]
    assert told == ["the shell of here is another one: the shell ended with 3"]


def test_a_command_may_read_a_file_of_this_machine(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(b"one\ntwo\n")
    assert bench.run("cat", stdin=tmp_path / "given").output == "one\ntwo"
