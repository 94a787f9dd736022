"""Keys sent to a shell's terminal, and answers waited for."""

from __future__ import annotations

import re
from typing import Any

import pexpect
import pytest

from dockerpty.host.errors import SessionLostError
from dockerpty.host.shell.shell import Ring
from dockerpty.host.shell.waiting import LONGEST_LINE, expect, send
from dockerpty.host.unmatched import ExpectEOF, ExpectTimeout
from tests.unit.host.bench import IDS, KINDS, Bench, benches
from tests.unit.host.channels import DEADLINE_S

PROMPT = r"\$ $"

typed = benches([kind for kind in KINDS if kind[1]], [each for each in IDS if "terminal" in each])


def test_a_line_that_is_sent_shows_its_output_and_the_next_prompt(typed: Bench) -> None:
    typed.send("echo raw\n")
    found = typed.expect(PROMPT)
    assert (found.index, found.before, found.after, found.text) == (0, "raw\n", "$ ", "raw\n$ ")
    shell = typed.shell
    assert (shell.before, shell.after, shell.buffer) == ("raw\n", "$ ", "")
    assert shell.match.group() == "$ "
    assert shell.touched


def test_the_prompt_of_a_command_of_ours_is_not_the_next_one(typed: Bench) -> None:
    for number in range(5):
        assert typed.run("echo ours").output == "ours"
        typed.send(f"echo {number}\n")
        assert typed.expect(PROMPT).text == f"{number}\n$ "


def test_what_a_shell_says_of_its_jobs_is_seen_and_its_prompt_is_not(typed: Bench) -> None:
    typed.run("(while ! [ -e now ]; do sleep 0.01; done; echo from the job) &")
    (typed.folder / "now").touch()
    assert typed.expect("job\n").text == "from the job\n"
    typed.send("echo mine\n")
    typed.expect("mine\n")


def test_output_of_commands_is_not_for_expect(typed: Bench) -> None:
    typed.run("echo ours")
    with pytest.raises(ExpectTimeout):
        typed.expect("ours", 0)


def test_a_program_is_talked_to(typed: Bench) -> None:
    typed.send("printf 'name: '; read name; echo hello $name\n")
    typed.expect("name: $")
    typed.send("you\n")
    found = typed.expect([pexpect.EOF, pexpect.TIMEOUT, r"hello (?P<who>\w+)\n"])
    assert (found.index, found.match["who"]) == (2, "you")
    typed.expect(PROMPT)
    assert typed.run("echo $name").output == "you"


def test_the_first_in_the_stream_is_found_then_the_first_in_the_list(typed: Bench) -> None:
    typed.send("echo abc; echo def\n")
    assert typed.expect(["def", "b", "bc", re.compile("ABC", re.I)]).index == 3
    assert typed.expect([b"def", "e"]).index == 0


def test_texts_are_found_as_they_are(typed: Bench) -> None:
    typed.send("echo 'a.c' '[x]'\n")
    found = typed.expect(["a?c", "[x]"], exact=True)
    assert (found.index, found.before) == (1, "a.c ")


def test_a_time_that_is_over_is_an_error_and_what_came_can_still_be_matched(typed: Bench) -> None:
    typed.send("echo some\n")
    typed.expect("so")
    with pytest.raises(ExpectTimeout, match=r"it did not come within 0\.1 s") as caught:
        typed.expect("never", 0.1)
    assert isinstance(caught.value, (pexpect.TIMEOUT, TimeoutError))
    assert caught.value.patterns == ["never"]
    assert caught.value.before.startswith("me\n")
    assert typed.expect("me").after == "me"


def test_the_end_of_the_time_may_be_expected(typed: Bench) -> None:
    found = typed.expect(["never", pexpect.TIMEOUT], 0.05)
    assert (found.index, found.after) == (1, pexpect.TIMEOUT)


def test_without_a_limit_it_is_waited_for(typed: Bench) -> None:
    typed.send("sleep 0.2; echo late\n")
    assert typed.expect("late\n", None).after == "late\n"


def test_the_end_of_the_shell_is_an_error_once_and_then_it_is_lost(typed: Bench) -> None:
    typed.send("echo last; exit 3\n")
    with pytest.raises(ExpectEOF, match="the shell ended with 3") as caught:
        typed.expect("never", DEADLINE_S)
    assert isinstance(caught.value, (pexpect.EOF, EOFError))
    assert "last\n" in caught.value.partial
    shell = typed._shell
    assert shell is not None
    assert shell.over
    for again in (expect(shell, "never"), send(shell, "x")):
        with pytest.raises(SessionLostError, match="the shell ended with 3") as lost:
            typed.drive(again)
        assert lost.value.exit_code == 3


def test_the_end_of_the_shell_may_be_expected(typed: Bench) -> None:
    typed.send("echo last; exit 3\n")
    found = typed.expect([pexpect.EOF, "never"], DEADLINE_S)
    assert (found.index, found.after) == (0, pexpect.EOF)
    assert "last\n" in found.before


def test_a_shell_that_ended_while_nobody_looked_is_lost(typed: Bench) -> None:
    shell = typed.open()
    typed.here.opened[-1].process.kill()
    typed.here.opened[-1].process.wait(DEADLINE_S)
    with pytest.raises(SessionLostError) as caught:
        typed.drive(send(shell, "x\n"))
    assert caught.value.exit_code == 137


def test_what_is_sent_is_a_state_that_can_be_lost(typed: Bench) -> None:
    typed.send("A=1\n")
    typed.expect(PROMPT)
    typed.here.opened[-1].process.kill()
    typed.here.opened[-1].process.wait(DEADLINE_S)
    assert typed.many("true").only.session_lost


def test_keys_are_sent_as_they_are(typed: Bench) -> None:
    typed.send("cat\n")
    typed.send("no newline")
    typed.send(b"\x04\x04")
    assert typed.expect(PROMPT).before == "no newline"


def test_much_is_sent_as_fast_as_it_is_taken(typed: Bench) -> None:
    typed.send("cat >got; echo finished\n")
    typed.send(("x" * 99 + "\n") * 5000)
    typed.send(b"\x04")
    typed.expect("finished", DEADLINE_S)
    assert (typed.folder / "got").stat().st_size == 500_000


def test_a_line_that_no_terminal_keeps_is_told(typed: Bench, caplog: pytest.LogCaptureFixture) -> None:
    typed.send("cat\n" + "x" * LONGEST_LINE + "\n")
    assert caplog.records == []
    typed.send("x" * (LONGEST_LINE + 1))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(LONGEST_LINE) in record.getMessage()
    assert "xx" not in record.getMessage()


@pytest.mark.parametrize("what", [lambda shell: send(shell, "x"), lambda shell: expect(shell, "x")])
def test_without_a_terminal_there_are_no_keys(tmp_path: Any, what: Any) -> None:
    with Bench("dash", False, tmp_path) as bench, pytest.raises(ValueError, match="tty=True"):
        bench.drive(what(bench.open()))


def test_a_ring_keeps_the_last_and_counts_the_rest() -> None:
    ring = Ring(4)
    for data in (b"ab", b"cde", b""):
        ring.add(data)
    assert (ring.peek(), ring.dropped) == (b"bcde", 1)
    ring.add(b"0123456789")
    assert (ring.take(), ring.dropped, ring.peek()) == (b"6789", 11, b"")
