"""What comes of commands and transfers: tuples of the sizes that are known, and every way a command can end."""

from __future__ import annotations

import copy
import pickle
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.host import (
    CommandFailed,
    CommandStatus,
    Expect,
    ExpectResult,
    FileTransfer,
    Results,
    RunResult,
    ShellCommand,
    Status,
    TransferError,
    TransferResult,
)
from dockerpty.host.results import answers, commands_of

GOOD = CommandStatus.of("true", 0)
BAD = CommandStatus.of("false", 1)
WORSE = CommandStatus.of("exit 7", 7)

# A status -------------------------------------------------------------------------------------------------------------


def test_a_status_has_the_values_that_programs_know() -> None:
    assert {each.name: each.value for each in Status} == {
        "Success": 0,
        "Failed": 1,
        "Error": 2,
        "Unstable": 3,
        "Skipped": 4,
    }


def test_success_and_skipped_are_ok() -> None:
    assert [each for each in Status if each.is_ok] == [Status.Success, Status.Skipped]


# A tuple of four ------------------------------------------------------------------------------------------------------


def test_what_came_of_a_command_is_a_tuple_of_four() -> None:
    done = CommandStatus.of("echo hi", 0, b"hi\n", duration=2.5, session_lost=True)
    command, output, status, retcode = done
    assert (command, output, status, retcode) == ("echo hi", "hi", Status.Success, 0) == done
    assert (done.command, done.output, done.status, done.retcode) == done
    assert isinstance(done, tuple)
    assert len(done) == 4
    assert done[1] == "hi"
    assert done._asdict() == {"command": "echo hi", "output": "hi", "status": Status.Success, "retcode": 0}
    match done:
        case (_, found, Status.Success, 0):
            assert found == "hi"
        case _:
            pytest.fail("it matches as a tuple does")


def test_it_is_made_as_the_tuple_is_made() -> None:
    four = ("echo", "hi", Status.Unstable, 3)
    assert CommandStatus(*four) == CommandStatus._make(four) == four
    assert CommandStatus(command="echo", output="hi", status=Status.Unstable, retcode=3) == four
    assert CommandStatus._make(four).stdout == b""


def test_only_the_four_are_compared_and_hashed() -> None:
    one = CommandStatus.of("echo hi", 0, b"hi", duration=1.0)
    other = CommandStatus.of("echo hi", 0, b"hi\n", duration=2.0)
    assert one == other
    assert hash(one) == hash(other) == hash(tuple(one))
    assert {one: 1}[other] == 1
    assert one != CommandStatus.of("echo hi", 1, b"hi")


def test_it_is_shown_with_the_four_and_no_more() -> None:
    done = CommandStatus.of("echo hi", 0, b"hi\n", error="secret")
    assert repr(done) == (
        "CommandStatus(command='echo hi', output='hi', status=<Status.Success: 0>, retcode=0)"
    )


@pytest.mark.parametrize(
    "remade",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda it, n=number: pickle.loads(pickle.dumps(it, n)) for number in range(2, 6)),
        lambda it: it._replace(),
        lambda it: it.__replace__(),
    ],
)
def test_a_copy_has_all_that_it_has(remade: Any) -> None:
    done = CommandStatus.of(
        "x", 5, b"\xff\n", b"e", started=datetime(2026, 1, 2, tzinfo=UTC), dropped_bytes=7, host="web"
    )
    again = remade(done)
    assert type(again) is CommandStatus
    assert again == done
    assert vars(again) == vars(done)
    assert (again.stdout, again.stderr, again.dropped_bytes, again.host) == (b"\xff\n", b"e", 7, "web")
    assert again.started == datetime(2026, 1, 2, tzinfo=UTC)


def test_a_copy_may_differ_in_any_of_it() -> None:
    done = CommandStatus.of("x", 5, b"out", session_lost=False)
    again = done._replace(retcode=6, session_lost=True)
    assert (again.command, again.retcode, again.stdout, again.session_lost) == ("x", 6, b"out", True)
    assert (done.retcode, done.session_lost) == (5, False)
    with pytest.raises(TypeError, match="the status of a command has no colour"):
        done._replace(colour="red")


def test_what_is_not_known_of_it_is_nothing() -> None:
    done = CommandStatus("x", "", Status.Success, 0)
    assert (done.stdout, done.stderr, done.dropped_bytes, done.duration, done.error) == (b"", b"", 0, 0, "")
    assert (done.timed_out, done.skipped, done.interrupted, done.truncated) == (False,) * 4
    assert (done.shell_exited, done.session_lost, done.started, done.signal) == (False, False, None, None)


def test_an_attribute_that_there_is_not_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="has no timedout"):
        CommandStatus.of("x", 0, timedout=True)


def test_later_names_are_aliases() -> None:
    done = CommandStatus.of("x", 5, b"out\n")
    assert (done.value, done.exit_code) == ("out", 5)


# Its output -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdout", "output"),
    [
        (b"", ""),
        (b"a", "a"),
        (b"a\n", "a"),
        (b"a\n\n", "a\n"),
        (b"\n", ""),
        (b"\n\n x \n\n", "\n\n x \n"),
        (b"a\r\n", "a\r"),
        (b"\n\nx\ry\n\n", "\n\nx\ry\n"),
    ],
)
def test_host_f07_one_final_newline_is_left_off_and_nothing_else(stdout: bytes, output: str) -> None:
    done = CommandStatus.of("x", 0, stdout)
    assert (done.output, done.stdout) == (output, stdout)


@pytest.mark.parametrize(
    ("stdout", "output"),
    [
        (b"a\r\nb\r\n", "a\nb"),
        (b"a\r\n\r\n", "a\n"),
        (b"10%\r20%\r\n", "10%\r20%"),
        (b"a\r\r\n", "a\r"),
        (b"a\r", "a\r"),
        (b"\r\n\r\nx\ry\r\n\r\n", "\n\nx\ry\n"),
        (b"\x1b[1mb\x1b[0m\n", "\x1b[1mb\x1b[0m"),
    ],
)
def test_what_came_through_a_terminal_has_its_lines_ends_and_keeps_all_other_returns(
    stdout: bytes, output: str
) -> None:
    done = CommandStatus.of("x", 0, stdout, terminal=True)
    assert (done.output, done.stdout, done.stderr) == (output, stdout, b"")


def test_without_a_terminal_it_is_stdout_and_then_stderr() -> None:
    done = CommandStatus.of("x", 0, b"o1\no2\n", b"e1\ne2\n")
    assert (done.output, done.stdout, done.stderr) == ("o1\no2\ne1\ne2", b"o1\no2\n", b"e1\ne2\n")
    assert CommandStatus.of("x", 0, b"o\n", b"").output == "o"
    assert CommandStatus.of("x", 0, b"o", b"e").output == "oe"


def test_half_a_character_of_one_stream_is_not_made_whole_by_the_other() -> None:
    done = CommandStatus.of("x", 0, b"a\xc3", b"\xa9b")
    assert done.output == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


def test_bytes_that_are_no_text_are_as_it_was_said() -> None:
    assert CommandStatus.of("x", 0, b"\xe9", encoding="latin-1").output == "é"
    assert CommandStatus.of("x", 0, b"\xff", errors="surrogateescape").output == "\udcff"
    with pytest.raises(UnicodeDecodeError):
        CommandStatus.of("x", 0, b"\xff", errors="strict")


@given(st.text("a\r\n é", max_size=20))
def test_through_a_terminal_and_back_output_is_the_same(text: str) -> None:
    through = text.replace("\n", "\r\n").encode()
    assert CommandStatus.of("x", 0, through, terminal=True).output == text.removesuffix("\n")


def test_truncated_is_whether_something_was_dropped() -> None:
    assert not CommandStatus.of("x", 0, b"out").truncated
    assert CommandStatus.of("x", 0, b"out", dropped_bytes=1).truncated


# How it ended ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "status", "retcode"),
    [
        (CommandStatus.of("x", 0), Status.Success, 0),
        (CommandStatus.of("x", 1), Status.Failed, 1),
        (CommandStatus.of("x", 255), Status.Failed, 255),
        (CommandStatus.of("x", 137), Status.Failed, 137),
        (CommandStatus.of("x", 130, interrupted=True), Status.Failed, 130),
        (CommandStatus.of("x", None, timed_out=True), Status.Error, -1),
        (CommandStatus.of("x", 130, timed_out=True), Status.Error, -1),
        (CommandStatus.of("x", 0, timed_out=True), Status.Error, -1),
        (CommandStatus.unrun("x", "the time was spent"), Status.Error, -1),
        (CommandStatus.of("x", 0, shell_exited=True), Status.Success, 0),
        (CommandStatus.of("x", 3, shell_exited=True), Status.Error, 3),
        (CommandStatus.of("x", 137, shell_exited=True, error="killed (137)"), Status.Error, 137),
        (CommandStatus.of("x", None, shell_exited=True), Status.Error, -1),
        (CommandStatus.of("x", None, session_lost=True), Status.Error, -1),
        (CommandStatus.of("x", 0, session_lost=True), Status.Success, 0),
    ],
)
def test_each_way_to_end_has_its_status_and_its_code(
    done: CommandStatus, status: Status, retcode: int
) -> None:
    assert (done.status, done.retcode, done.ok, bool(done)) == (
        status,
        retcode,
        status is Status.Success,
        status is Status.Success,
    )


def test_a_command_that_was_not_run_says_why() -> None:
    done = CommandStatus.unrun("x", "the time was spent", host="web")
    assert (done.skipped, done.error, done.output, done.stdout, done.host) == (
        True,
        "the time was spent",
        "",
        b"",
        "web",
    )


def test_what_came_before_a_time_limit_is_kept() -> None:
    done = CommandStatus.of("x", None, b"so far\n", timed_out=True)
    assert (done.timed_out, done.output, done.stdout) == (True, "so far", b"so far\n")


@pytest.mark.parametrize(
    ("retcode", "signal"),
    [(0, None), (1, None), (127, None), (128, None), (129, 1), (137, 9), (192, 64), (193, None), (255, None)],
)
def test_host_f12_who_was_killed_by_a_signal_has_its_number(retcode: int, signal: int | None) -> None:
    assert CommandStatus.of("x", retcode).signal == signal


def test_no_code_is_no_signal() -> None:
    assert CommandStatus.of("x", None).signal is None


# Checked --------------------------------------------------------------------------------------------------------------


def test_who_went_well_is_given_back_by_its_check() -> None:
    assert GOOD.check() is GOOD
    skipped = CommandStatus("x", "", Status.Skipped, 0)
    assert skipped.check() is skipped


@pytest.mark.parametrize(
    ("done", "message"),
    [
        (CommandStatus.of("false", 1, host="local:web"), "cannot run false on local:web: it exited with 1"),
        (CommandStatus.of("false", 1), "cannot run false: it exited with 1"),
        (CommandStatus.of("yes", 137), "cannot run yes: it was killed by signal 9"),
        (CommandStatus.of("yes", None, timed_out=True), "cannot run yes: its time was over"),
        (CommandStatus.of("yes", None), "cannot run yes: its exit code is not known"),
        (
            CommandStatus.of("exit 3", 3, shell_exited=True, error="the shell ended with 3"),
            "cannot run exit 3: the shell ended with 3",
        ),
        (CommandStatus.unrun("x", "the time was spent"), "cannot run x: the time was spent"),
    ],
)
def test_who_did_not_is_an_error_that_says_why(done: CommandStatus, message: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        done.check()
    assert str(caught.value) == message
    assert caught.value.status is done
    assert caught.value.host == done.host


def test_of_a_long_command_a_message_has_the_beginning_on_one_line() -> None:
    done = CommandStatus.of("cat <<X\n\x1b[2J" + "secret " * 100 + "\nX\n", 1, b"output")
    with pytest.raises(CommandFailed) as caught:
        done.check()
    message = str(caught.value)
    assert message.startswith("cannot run cat <<X  [2Jsecret")
    assert message.isprintable()
    assert len(message) < 120
    assert "output" not in message


# Some commands --------------------------------------------------------------------------------------------------------


def test_the_results_of_some_commands_are_a_sequence() -> None:
    result = RunResult([GOOD, BAD, WORSE])
    assert (len(result), result[1], list(result)) == (3, BAD, [GOOD, BAD, WORSE])
    assert result.statuses == [GOOD, BAD, WORSE]
    assert BAD in result
    assert Results is RunResult


def test_their_status_is_that_of_the_first_that_did_not_go_well() -> None:
    late = CommandStatus.of("x", None, timed_out=True)
    assert (RunResult([GOOD, GOOD]).status, RunResult([GOOD, BAD, late]).status) == (
        Status.Success,
        Status.Failed,
    )
    result = RunResult([GOOD, late, BAD])
    assert (result.status, result.first_failure, bool(result)) == (Status.Error, late, False)
    assert (RunResult([GOOD]).first_failure, bool(RunResult([GOOD]))) == (None, True)


def test_what_was_to_be_left_out_did_not_go_wrong() -> None:
    assert RunResult([CommandStatus("x", "", Status.Skipped, 0)]).status is Status.Success


def test_of_no_command_nothing_went_wrong() -> None:
    result = RunResult()
    assert (result.status, bool(result), result.check(), result.statuses) == (
        Status.Success,
        True,
        result,
        [],
    )


def test_the_only_one_is_that_of_a_single_command() -> None:
    assert RunResult([BAD]).only is BAD
    for several in (RunResult(), RunResult([GOOD, BAD])):
        with pytest.raises(ValueError, match=f"the status of {len(several)} commands"):
            several.only  # noqa: B018  # to ask for it is what raises


def test_checked_together_the_first_failure_is_the_error() -> None:
    result = RunResult([GOOD, GOOD])
    assert result.check() is result
    with pytest.raises(CommandFailed) as caught:
        RunResult([GOOD, BAD, WORSE]).check()
    assert caught.value.status is BAD


def test_results_are_copied_and_shown_whole() -> None:
    result = RunResult([CommandStatus.of("x", 0, b"out\n", duration=3.0)])
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is RunResult
    assert (again, again.only.duration) == (result, 3.0)
    assert repr(result) == f"RunResult([{result.only!r}])"
    assert hash(copy.copy(result)) == hash(result)


# Files ----------------------------------------------------------------------------------------------------------------

MOVED = FileTransfer("a.txt", "/srv/a.txt", Status.Success, 10)
THERE = FileTransfer("b.txt", "/srv/b.txt", Status.Skipped, 0, "it exists")
REFUSED = FileTransfer("c.txt", "/srv/c.txt", Status.Failed, 4, "no space left on device")
UNREACHED = FileTransfer("d.txt", "/srv/d.txt", Status.Error)


def test_what_came_of_a_transfer_is_a_tuple_of_two() -> None:
    status, message = TransferResult.of([MOVED, THERE])
    assert (status, message) == (Status.Success, "")
    done = TransferResult.of([MOVED, THERE, REFUSED, UNREACHED], duration=1.5, host="local:web")
    assert done == (Status.Failed, "c.txt (local:web): no space left on device")
    assert (len(done), hash(done)) == (2, hash(tuple(done)))
    assert (done.files, done.bytes, done.duration) == ((MOVED, THERE, REFUSED, UNREACHED), 14, 1.5)
    assert repr(done).startswith("TransferResult(status=<Status.Failed: 1>, message=")


def test_each_source_is_found_as_it_was_passed() -> None:
    done = TransferResult.of([MOVED, REFUSED, UNREACHED])
    assert done.value == {"a.txt": MOVED, "c.txt": REFUSED, "d.txt": UNREACHED}
    assert done.value["d.txt"].status is Status.Error


def test_a_transfer_that_went_wrong_is_false_and_an_error_when_checked() -> None:
    good, bad = TransferResult.of([MOVED]), TransferResult.of([UNREACHED], host="web")
    assert (bool(good), good.ok, good.check()) == (True, True, good)
    assert (bool(bad), bad.ok, bad.message) == (False, False, "d.txt (web): it was not moved")
    with pytest.raises(TransferError) as caught:
        bad.check()
    assert str(caught.value) == "cannot transfer files: d.txt (web): it was not moved"
    assert (caught.value.transfer, caught.value.host) == (bad, "web")


def test_a_transfer_of_nothing_went_well() -> None:
    done = TransferResult.of([])
    assert (done, done.bytes, done.value, bool(done)) == ((Status.Success, ""), 0, {}, True)


@pytest.mark.parametrize("remade", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_of_a_transfer_has_all_that_it_has(remade: Any) -> None:
    again = remade(TransferResult.of([MOVED, REFUSED], duration=2.0))
    assert type(again) is TransferResult
    assert (again.files, again.duration, again.status) == ((MOVED, REFUSED), 2.0, Status.Failed)


# Asked ----------------------------------------------------------------------------------------------------------------


def test_commands_are_a_text_or_one_with_more_or_any_number_of_these() -> None:
    other = ShellCommand("b", timeout=1)
    assert commands_of("a") == [ShellCommand("a")]
    assert commands_of(other) == [other]
    assert commands_of(each for each in ("a", other)) == [ShellCommand("a"), other]
    assert commands_of([]) == []


NO_TEXT: Any = b"a"


@pytest.mark.parametrize(
    "given", [NO_TEXT, None, [NO_TEXT], [None], ["a", 3], [["a"]], ShellCommand(NO_TEXT)]
)
def test_what_is_no_command_is_said_before_anything_is_run(given: Any) -> None:
    with pytest.raises(TypeError, match="a command for a shell is a text, not"):
        commands_of(given)


def test_a_command_may_be_given_with_what_is_different_for_it() -> None:
    command = ShellCommand("su", [("word: ", "secret\n")], 5.0)
    assert (command.cmd, command.timeout, command.stdin, command.check) == ("su", 5.0, None, None)
    assert ShellCommand("ls") == ShellCommand("ls", expects=None, timeout=None, stdin=None, check=None)


PATTERN = re.compile("a", re.I)


@pytest.mark.parametrize(
    ("expects", "written_out"),
    [
        (None, []),
        ([], []),
        (("a", "b"), [("a", "b", None)]),
        ([("a", "b"), (b"c", b"d")], [("a", "b", None), (b"c", b"d", None)]),
        ((("a", "b"), ("c", "d")), [("a", "b", None), ("c", "d", None)]),
        ((PATTERN, "b"), [(PATTERN, "b", None)]),
        (Expect("a", "b"), [("a", "b", 1)]),
        (Expect("a", "b", count=None), [("a", "b", None)]),
        ([("a", "b"), Expect(PATTERN, b"d", 3)], [("a", "b", None), (PATTERN, b"d", 3)]),
    ],
)
def test_expects_are_a_pair_or_a_list_of_pairs(expects: Any, written_out: list[Any]) -> None:
    assert answers(expects) == written_out


@pytest.mark.parametrize(
    "expects",
    ["a", 1, ("a",), ("a", "b", "c"), ["a", "b"], [("a", 1)], [(1, "a")], {"a": "b"}, [("a", "hunter2", 1)]],
)
def test_what_is_no_pair_is_a_type_error_that_tells_no_response(expects: Any) -> None:
    with pytest.raises(TypeError, match="is no pair of pattern and response") as caught:
        answers(expects)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("count", [0, -1])
def test_a_response_that_is_never_given_is_a_mistake(count: int) -> None:
    with pytest.raises(ValueError, match="once at least"):
        Expect("a", "b", count)


def test_what_was_found_has_its_parts_by_name() -> None:
    found = ExpectResult(index=1, before="a", after="b", match=None, text="ab")
    assert (found.index, found.before, found.after, found.match, found.text) == (1, "a", "b", None, "ab")
