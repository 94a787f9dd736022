"""A script's lines, and the machine that follows them: output in, typing out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty import expect
from dockerpty.errors import DockerptyError
from dockerpty.expect import Machine, Script, load
from dockerpty.typist import Typist
from tests.unit import strategies


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def following(text: str, clock: Clock | None = None) -> Machine:
    machine = Machine(Script(text), clock or Clock())
    machine.begin()
    return machine


# The file -------------------------------------------------------------------------------------------------------------


def test_a_script_has_a_step_for_each_line_that_says_one() -> None:
    script = Script("# a comment\n\nexpect login: $\r\n  send root\\n\n\texpect [#$] 2.5\neof\nexit 7\n")
    assert [(step.number, step.kind) for step in script.steps] == [
        (3, "expect"),
        (4, "send"),
        (5, "expect"),
        (6, "eof"),
        (7, "exit"),
    ]
    assert script.steps[0].pattern is not None
    assert script.steps[0].pattern.pattern == "login: $"
    assert [step.seconds for step in script.steps[:3:2]] == [10.0, 2.5]
    assert script.steps[1].data == b"root\n"
    assert script.steps[4].code == 7


@pytest.mark.parametrize(
    ("line", "pattern", "seconds"),
    [
        ("expect a b", "a b", 10),
        ("expect a b 3", "a b", 3),
        ("expect a b .5", "a b", 0.5),
        ("expect step [3]", "step [3]", 10),
        ("expect 3", "3", 10),
        ("expect   3   4  ", "3", 4),
        ("expect [0-9]+ 60", "[0-9]+", 60),
    ],
)
def test_a_number_that_ends_the_line_is_the_time_to_wait(line: str, pattern: str, seconds: float) -> None:
    (step,) = Script(line).steps
    assert step.pattern is not None
    assert (step.pattern.pattern, step.seconds) == (pattern, seconds)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("ls -l  ", b"ls -l  "),
        (" two", b" two"),
        (r"a\n\t\r\\n", b"a\n\t\r\\n"),
        (r"\x04\xff\x1b[A", b"\x04\xff\x1b[A"),
        ("é", "é".encode()),
        ("${USER}@${HOST_2}!", b"me@there!"),
        (r"\${USER} $USER $", b"${USER} $USER $"),
        ("${RAW}", b"\xff"),
    ],
)
def test_what_is_sent_knows_escapes_and_variables(text: str, data: bytes) -> None:
    variables = {"USER": "me", "HOST_2": "there", "RAW": os.fsdecode(b"\xff")}
    (step,) = Script(f"send {text}", variables=variables).steps
    assert step.data == data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("expct a", "line 1: 'expct' is none of expect, send, eof and exit"),
        ("#\n\nexpect", "line 3: expect needs a pattern"),
        ("expect   ", "line 1: expect needs a pattern"),
        (
            "expect (a",
            "line 1: '(a' is no regular expression: missing ), unterminated subpattern at position 0",
        ),
        ("send", "line 1: send needs a text"),
        ("send ", "line 1: send needs a text"),
        ("send \\q", r"line 1: '\\q' is none of \n, \t, \r, \\, \$ and \xNN"),
        ("send a\\", r"line 1: '\\' is none of \n, \t, \r, \\, \$ and \xNN"),
        ("send \\xg0", r"line 1: '\\x' is none of \n, \t, \r, \\, \$ and \xNN"),
        ("send ${NOT_SET}", "line 1: the variable NOT_SET is not set"),
        ("send ${", "line 1: after ${ come a name and }"),
        ("send ${a-b}", "line 1: after ${ come a name and }"),
        ("eof now", "line 1: eof takes no 'now'"),
        ("eof\nsend a", "line 2: nothing can be sent after eof"),
        ("exit", "line 1: exit needs a code from 0 to 255, not ''"),
        ("exit 256", "line 1: exit needs a code from 0 to 255, not '256'"),
        ("exit -1", "line 1: exit needs a code from 0 to 255, not '-1'"),
        ("exit 1\nexpect a", "line 2: nothing is done after exit"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(text: str, reason: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        Script(text, "login.expect")
    assert str(caught.value) == f"cannot use login.expect: {reason}"


def test_a_value_that_is_sent_is_in_no_error() -> None:
    with pytest.raises(DockerptyError) as caught:
        Script("send ${SECRET}\\q", variables={"SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_file_is_read_with_the_variables_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    path = tmp_path / "a"
    path.write_text("send ${PASSWORD}\\n\n")
    assert load(str(path)).steps[0].data == b"hunter2\n"


def test_a_file_that_is_no_script_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DockerptyError, match=r"cannot read .*/none: No such file or directory"):
        load(str(tmp_path / "none"))
    (tmp_path / "bytes").write_bytes(b"send \xff")
    with pytest.raises(DockerptyError, match="it is not UTF-8"):
        load(str(tmp_path / "bytes"))
    with pytest.raises(DockerptyError, match="is something else"):
        load("/dev/zero")


# The machine ----------------------------------------------------------------------------------------------------------


def test_it_types_when_what_it_waits_for_is_there() -> None:
    machine = following("expect ogin:\nsend root\\n\nexpect word:\nsend secret\\n\n")
    machine.feed(b"Lo")
    assert machine.take() == b""
    machine.feed(b"gin: ")
    assert machine.take() == b"root\n"
    machine.feed(b"root\r\nPassword: ")
    assert machine.take() == b"secret\n"
    assert machine.input_ends
    assert (machine.failure, machine.code, machine.deadline()) == ("", None, None)


def test_what_comes_before_the_first_wait_is_typed_at_once() -> None:
    machine = following("send a\nsend b\neof\nexpect done")
    assert machine.take() == b"ab"
    assert machine.take() == b""
    assert machine.input_ends


def test_what_one_line_has_found_the_next_does_not_find_again() -> None:
    machine = following("expect a\nexpect a\nexit 3")
    machine.feed(b"xa")
    assert machine.code is None
    machine.feed(b"-a")
    assert machine.code == 3


def test_what_came_together_is_found_by_one_line_after_the_other() -> None:
    machine = following("expect a\nsend 1\nexpect b\nsend 2\nexpect c\nexit 0")
    machine.feed(b"..a..b..c..")
    assert (machine.take(), machine.code) == (b"12", 0)


def test_what_does_not_come_in_time_fails_and_says_what_came() -> None:
    clock = Clock()
    machine = following("\nexpect [$#] 2", clock)
    machine.feed(b"Welcome\r\n")
    assert machine.deadline() == 1002.0
    clock.now = 1001.9
    machine.expire()
    assert machine.failure == ""
    clock.now = 1002.0
    machine.expire()
    assert machine.failure == (
        "'[$#]' (line 2 of the script): it did not come within 2 s; the last that came is 'Welcome\\r\\n'"
    )
    assert machine.input_ends
    machine.feed(b"$")
    assert machine.code is None


def test_each_line_has_its_own_time() -> None:
    clock = Clock()
    machine = following("expect a 5\nexpect b 5", clock)
    clock.now = 1004.0
    machine.feed(b"a")
    assert machine.deadline() == 1009.0


def test_the_end_of_the_output_ends_a_wait() -> None:
    machine = following("expect a")
    machine.end()
    assert machine.failure == "'a' (line 1 of the script): the output ended without it; nothing came"
    machine = following("expect a")
    machine.feed(b"a")
    machine.end()
    assert machine.failure == ""


def test_a_character_in_two_reads_is_one_character() -> None:
    machine = following("expect caf.!\nexit 0")
    for byte in "café!".encode():
        machine.feed(bytes([byte]))
    assert machine.code == 0


def test_a_dot_is_also_the_end_of_a_line() -> None:
    machine = following("expect a.+b\nexit 0")
    machine.feed(b"a\r\nb")
    assert machine.code == 0


@given(st.lists(st.sampled_from(["ab", "b.a", "xyz"]), max_size=6), strategies.cuts)
def test_however_the_reads_cut_it_the_same_is_typed(words: list[str], cuts: list[int]) -> None:
    text = "".join(f"expect {word.replace('.', '[.]')}\nsend {number}\n" for number, word in enumerate(words))
    data = "-".join(words).encode()
    whole, cut = following(text), following(text)
    whole.feed(data)
    for piece in strategies.cut(data, cuts):
        cut.feed(piece)
    assert whole.take() == cut.to_send == "".join(map(str, range(len(words)))).encode()


def test_only_a_window_of_what_came_is_kept() -> None:
    machine = following("expect END")
    for _ in range(50):
        machine.feed(b"x" * 65536)
    assert len(machine._matcher.buffer) == expect.WINDOW + 1
    machine.feed(b"EN")
    machine.feed(b"D")
    assert machine.input_ends


def test_a_flood_takes_time_by_its_length_alone() -> None:
    def seconds(chunks: int) -> float:
        machine = following("expect END")
        start = time.process_time()
        for _ in range(chunks):
            machine.feed(b"y\n" * 2048)
        return time.process_time() - start

    seconds(20)
    few, many = seconds(50), seconds(500)
    assert many < 10 * few * 5


# The typist -----------------------------------------------------------------------------------------------------------


def read(typist: Typist) -> bytes:
    os.set_blocking(typist.stdin, False)
    try:
        return os.read(typist.stdin, 1 << 20)
    except BlockingIOError:
        return b"nothing"


def test_a_typist_writes_to_what_is_stdin_and_closes_it_at_the_end() -> None:
    over: list[bool] = []
    typist = Typist(Script("send a\nexpect b\nsend c"), lambda: over.append(True))
    typist.begin()
    assert (read(typist), read(typist)) == (b"a", b"nothing")
    typist.look(b"b")
    assert (read(typist), read(typist)) == (b"c", b"")
    assert typist.verdict() is None
    assert not over
    typist.close()


def test_more_than_a_pipe_takes_waits_for_room() -> None:
    typist = Typist(Script("send " + "x" * 300_000), lambda: None)
    typist.begin()
    got = b""
    while piece := read(typist):
        got += piece
        for fd, _ in typist.interest():
            typist.serve({fd: 4})
    assert got == b"x" * 300_000
    assert typist.interest() == []
    typist.close()


def test_exit_ends_the_session_with_its_code() -> None:
    over: list[bool] = []
    typist = Typist(Script("expect b\nexit 4"), lambda: over.append(True))
    typist.begin()
    typist.look(b"b")
    assert over
    assert typist.verdict() == 4
    typist.close()


def test_what_did_not_come_ends_it_with_an_error() -> None:
    over: list[bool] = []
    typist = Typist(Script("expect b 0"), lambda: over.append(True))
    typist.begin()
    assert typist.deadline() is not None
    typist.serve({})
    assert over
    assert str(typist.verdict()) == (
        "cannot find 'b' (line 1 of the script): it did not come within 0 s; nothing came"
    )
    typist.close()


def test_a_session_that_closed_its_stdin_closes_nothing_twice() -> None:
    typist = Typist(Script("expect b"), lambda: None)
    typist.begin()
    typist.close()
