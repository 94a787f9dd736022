"""What is sent to a shell, and what its streams say: bytes and values. Real shells are in test_shells.py."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.host.shell import framing
from dockerpty.host.shell.framing import (
    LONGEST_MARK,
    MAX_TEXT,
    STDERR,
    STDOUT,
    Begin,
    End,
    Event,
    Framing,
    Go,
    Output,
    Probed,
    Ready,
    Spilled,
    driver,
    refuse_foreign,
    typed_driver,
)
from tests.unit import strategies

SESSION, KEY, NEXT = (f"{number:016x}" for number in (10, 11, 12))
FOREIGN = "feedfeedfeedfeed"


def mark(nonce: str, what: str) -> bytes:
    return f"\x1e{nonce}:{what}\x1e".encode()


def framing_of(*, terminal: bool) -> Framing:
    numbers = itertools.count(10)
    return Framing(terminal=terminal, nonce=lambda: f"{next(numbers):016x}")


def running(*, terminal: bool = True) -> Framing:
    """A session whose first command, KEY, has begun."""
    made = framing_of(terminal=terminal)
    made.request("true")
    for stream in (STDOUT,) if terminal else (STDOUT, STDERR):
        made.feed(mark(SESSION, "ready:7:ash") + mark(KEY, "b"), stream)
    return made


def joined(events: Iterable[Event]) -> list[Event]:
    """Put pieces of the same kind together: where a read ended is nobody's business."""
    whole: list[Event] = []
    for event in events:
        last = whole[-1] if whole else None
        if isinstance(event, Output) and isinstance(last, Output) and event.stream == last.stream:
            whole[-1] = Output(event.stream, last.data + event.data)
        elif isinstance(event, Spilled) and isinstance(last, Spilled) and event.stream == last.stream:
            whole[-1] = Spilled(event.stream, last.data + event.data)
        else:
            whole.append(event)
    return whole


def fed(made: Framing, pieces: Iterable[bytes]) -> list[Event]:
    events = [event for piece in pieces for event in made.feed(piece)]
    return joined(events + made.finish())


# What is sent


def test_without_terminal_a_request_is_a_line_and_the_text() -> None:
    request = framing_of(terminal=False).request("echo a\ncat <<X\nb\nX")
    assert request == framing.Request(KEY, f"{SESSION} {KEY} 4 two \necho a\ncat <<X\nb\nX\n".encode())


def test_without_terminal_stdin_is_named_in_the_line() -> None:
    request = framing_of(terminal=False).request("cat", stdin="/dev/shm/a b")
    assert request.first == f"{SESSION} {KEY} 1 two /dev/shm/a b\ncat\n".encode()


def test_without_terminal_stderr_may_go_where_stdout_goes() -> None:
    request = framing_of(terminal=False).request("cat", merge=True)
    assert request.first == f"{SESSION} {KEY} 1 one \ncat\n".encode()


def test_what_cannot_be_sent_can_be_known_before() -> None:
    made = framing_of(terminal=False)
    assert made.check("é\udcff") == b"\xc3\xa9\xff"
    with pytest.raises(ValueError, match="NUL"):
        made.check("\0")
    assert not made.busy


def test_with_a_terminal_a_plain_text_goes_with_its_line_where_the_shell_does_not_read_ahead() -> None:
    made = framing_of(terminal=True)
    made.feed(mark(SESSION, "ready:7:ash"))
    line, _, text = made.request("echo a\n\techo é").first.partition(b"\n")
    assert text == "echo a\n\techo é\n".encode()
    assert line.startswith(f" {{ __dpty_begin {KEY} 2 plain comes; ".encode())
    assert rb'\command eval "$__dpty_t" <&7 7>&-; ' in line


@pytest.mark.parametrize("text", ["a\x03", "\x1b", "a\rb", "\x7f", "x" * 1000, "a\n" + "x" * 1000 + "\nb"])
def test_with_a_terminal_a_text_with_keys_or_long_lines_goes_coded_in_short_lines(text: str) -> None:
    request = framing_of(terminal=True).request(text)
    lines = request.rest.splitlines()
    assert f" {len(lines)} coded waits; ".encode() in request.first
    assert request.first.count(b"\n") == 1
    assert max(map(len, lines)) < 1000
    assert re.fullmatch(rb"[\x20-\x7e]+", b"".join(lines))
    coded = b"".join(lines).replace(rb"\n", b"\n")
    assert re.sub(rb"\\0(...)", lambda found: bytes((int(found[1], 8),)), coded) == text.encode()


@pytest.mark.parametrize("dialect", ["bash", "dash", "zsh", "posix"])
def test_with_a_terminal_a_shell_that_reads_ahead_is_sent_no_text_before_it_asks(dialect: str) -> None:
    made = framing_of(terminal=True)
    made.feed(mark(SESSION, f"ready:7:{dialect}"))
    request = made.request("echo a")
    assert request.first.count(b"\n") == 1
    assert request.rest == b"echo a\n"


def test_a_terminal_that_shows_what_is_typed_is_told() -> None:
    for word, echoes in (("ready:7:ash", False), ("ready:7:ash:echo", True)):
        made = framing_of(terminal=True)
        assert made.feed(mark(SESSION, word)) == [Ready(STDOUT, 7, "ash", echoes)]
        assert made.echoes is echoes


def test_a_path_of_stdin_is_quoted_where_it_is_typed() -> None:
    assert b" <'/tmp/it'\\''s' " in framing_of(terminal=True).request("cat", stdin="/tmp/it's").first


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("text", ["a\0b", "x" * (MAX_TEXT + 1), "é" * (MAX_TEXT // 2 + 1)])
def test_a_text_that_no_shell_can_take_is_refused(text: str, terminal: bool) -> None:
    made = framing_of(terminal=terminal)
    with pytest.raises(ValueError, match=r"NUL|sh FILE"):
        made.request(text)
    assert not made.busy


def test_a_text_of_one_mebibyte_is_taken() -> None:
    assert framing_of(terminal=False).request("x" * MAX_TEXT).first.endswith(b"x" * MAX_TEXT + b"\n")


@pytest.mark.parametrize("path", ["/a\nb", "/a\0b"])
def test_a_path_that_would_break_the_line_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="stdin"):
        framing_of(terminal=False).request("cat", stdin=path)


def test_bytes_that_are_no_text_go_as_they_are() -> None:
    assert framing_of(terminal=False).request(b"\xff").first.endswith(b"\n\xff\n")
    assert framing_of(terminal=False).request("\udcff").first.endswith(b"\n\xff\n")


def test_a_second_command_waits_for_the_end_of_the_first() -> None:
    made = running()
    with pytest.raises(RuntimeError):
        made.request("true")
    made.feed(mark(KEY, "0"))
    assert made.request("true").key == NEXT


def test_nonces_are_16_digits_and_new_each_time() -> None:
    sessions = {Framing(terminal=False).session for _ in range(100)}
    assert len(sessions) == 100
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in sessions)


# The driver texts


def test_no_mark_stands_in_what_is_sent() -> None:
    made = running()
    sent = [driver(SESSION).encode(), typed_driver(SESSION), made.probe()]
    made.feed(mark(KEY, "0"))
    sent.append(made.request("x").first)
    assert not any(b"\x1e" in each for each in sent)


def test_each_typed_line_is_short_enough_for_any_line_editor() -> None:
    lines = typed_driver(SESSION).splitlines() + framing_of(terminal=True).request("x").first.splitlines()
    assert max(map(len, lines)) < 1000
    assert all(line.startswith(b" ") for line in typed_driver(SESSION).splitlines())


def test_the_prompt_is_ours_another_or_the_shells_own() -> None:
    assert b" PS1='$ ' PS2='> '\n" in typed_driver(SESSION)
    assert b" PS1='it'\\''s> ' " in typed_driver(SESSION, "it's> ")
    assert b"PS1" not in typed_driver(SESSION, None)


@pytest.mark.parametrize("shell", ["fish", "/usr/bin/fish", "/bin/tcsh", "csh", "pwsh.exe"])
def test_a_shell_of_another_kind_is_refused(shell: str) -> None:
    with pytest.raises(ValueError, match="no shell of sh's kind"):
        refuse_foreign(shell)


@pytest.mark.parametrize("shell", ["sh", "/bin/bash", "/usr/bin/zsh", "dash", "/opt/fish/sh"])
def test_a_shell_of_shs_kind_is_not(shell: str) -> None:
    refuse_foreign(shell)


# What comes back

STORY = (
    b"banner\r\n$ "
    + mark(SESSION, "ready:4194304:dash")
    + b"$ "
    + mark(KEY, "go")
    + mark(KEY, "b")
    + b"out\x1eput"
    + mark(FOREIGN, "0")
    + b"\x1e"
    + mark(KEY, "130")
    + b"$ "
)
TOLD: list[Event] = [
    Spilled(STDOUT, b"banner\r\n$ "),
    Ready(STDOUT, 4194304, "dash"),
    Spilled(STDOUT, b"$ "),
    Go(KEY),
    Begin(STDOUT, KEY),
    Output(STDOUT, b"out\x1eput" + mark(FOREIGN, "0") + b"\x1e"),
    End(STDOUT, KEY, 130),
    Spilled(STDOUT, b"$ "),
]


def asked() -> Framing:
    made = framing_of(terminal=True)
    made.request("cat")
    return made


def test_a_session_is_told_from_its_bytes() -> None:
    made = asked()
    assert fed(made, [STORY]) == TOLD
    assert made.dialect == "dash"
    assert not made.busy


def test_wherever_the_reads_split_the_same_is_told() -> None:
    for first in range(len(STORY) + 1):
        assert fed(asked(), [STORY[:first], STORY[first:]]) == TOLD
        for second in range(first, min(first + LONGEST_MARK, len(STORY)) + 1):
            assert fed(asked(), [STORY[:first], STORY[first:second], STORY[second:]]) == TOLD


def test_byte_by_byte_the_same_is_told() -> None:
    assert fed(asked(), [STORY[at : at + 1] for at in range(len(STORY))]) == TOLD


def test_output_is_passed_on_at_once_but_for_what_may_become_a_mark() -> None:
    made = running()
    assert made.feed(b"some\x1e0000") == [Output(STDOUT, b"some")]
    assert made.feed(b"x") == [Output(STDOUT, b"\x1e0000x")]
    assert made.feed(b"\x1e") == []
    assert made.finish() == [Output(STDOUT, b"\x1e")]
    assert made.finish() == []


def test_a_command_has_ended_when_both_streams_say_so_in_either_order() -> None:
    for order in ((STDOUT, STDERR), (STDERR, STDOUT)):
        made = running(terminal=False)
        assert made.feed(mark(KEY, "3"), order[0]) == [End(order[0], KEY, 3)]
        assert made.busy
        assert made.feed(b"more" + mark(KEY, "3"), order[1]) == [
            Output(order[1], b"more"),
            End(order[1], KEY, 3),
        ]
        assert not made.busy


def test_what_comes_after_the_end_is_nobodys_and_no_mark_of_the_command_counts_any_more() -> None:
    made = running()
    late = mark(KEY, "b") + mark(KEY, "0") + mark(KEY, "go")
    assert fed(made, [mark(KEY, "0") + late]) == [End(STDOUT, KEY, 0), Spilled(STDOUT, late)]


def test_marks_count_in_their_order_only() -> None:
    made = framing_of(terminal=True)
    made.request("true")
    for what in ("0", "p", "nonsense", "ready:1:ash"):
        assert made.feed(mark(KEY, what)) == [Spilled(STDOUT, mark(KEY, what)[:-1])]
        assert made.finish() == [Spilled(STDOUT, b"\x1e")]
    made.feed(mark(KEY, "b"))
    assert joined([*made.feed(mark(KEY, "b") + mark(KEY, "go")), *made.finish()]) == [
        Output(STDOUT, mark(KEY, "b") + mark(KEY, "go"))
    ]


def test_a_shell_is_ready_once() -> None:
    made = running()
    again = mark(SESSION, "ready:9:bash")
    assert joined([*made.feed(again), *made.finish()]) == [Output(STDOUT, again)]
    assert made.dialect == "ash"


def test_a_probe_tells_that_the_command_is_over_and_its_late_end_is_not_the_next_ones() -> None:
    made = running()
    line = made.probe()
    assert line == f" stty sane -echo -onlcr 2>/dev/null\n __dpty_k=; __dpty_mark {NEXT} p >&7\n".encode()
    assert made.feed(b"^C\n$ " + mark(NEXT, "p")) == [Output(STDOUT, b"^C\n$ "), Probed(NEXT)]
    assert not made.busy
    key = made.request("echo next").key
    assert joined(made.feed(mark(KEY, "130") + mark(key, "b"))) == [
        Spilled(STDOUT, mark(KEY, "130")),
        Begin(STDOUT, key),
    ]


def test_the_answer_to_a_probe_that_comes_after_the_next_command_tells_nothing_of_that() -> None:
    made = running()
    made.probe()
    made.feed(mark(KEY, "0"))
    late = made.request("true").key
    events = made.feed(mark(NEXT, "p") + mark(late, "b") + b"out" + mark(late, "0"))
    assert [event for event in events if not isinstance(event, Spilled)] == [
        Begin(STDOUT, late),
        Output(STDOUT, b"out"),
        End(STDOUT, late, 0),
    ]


def test_it_is_known_whether_the_shell_takes_a_text_or_runs_it() -> None:
    made = framing_of(terminal=True)
    made.request("echo \x03")
    assert (made.reading, made.running) == (False, False)
    for told, reading, is_running in (("go", True, False), ("b", False, True), ("0", False, False)):
        made.feed(mark(KEY, told))
        assert (made.reading, made.running) == (reading, is_running)
    made.request("echo \x03")
    made.feed(mark(NEXT, "go"))
    made.probe()
    made.feed(mark(f"{13:016x}", "p"))
    assert (made.reading, made.running, made.busy) == (False, False, False)


def test_a_command_may_end_by_itself_before_the_probe_comes_back() -> None:
    made = running()
    made.probe()
    assert made.feed(mark(KEY, "130") + b"$ " + mark(NEXT, "p")) == [
        End(STDOUT, KEY, 130),
        Spilled(STDOUT, b"$ "),
        Probed(NEXT),
    ]


# Output that looks like marks

hostile = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"\x1e",
                b":",
                b"b",
                b"0",
                FOREIGN.encode(),
                mark(FOREIGN, "b"),
                mark(FOREIGN, "0"),
                b"00000000000000",
                mark(SESSION, "ready:1:ash"),
                mark(SESSION, "b"),
                b"\x1e" + KEY.encode()[:9],
                b"\x1e\x1e",
                b"\n",
                b"echo a",
            ]
        ),
        st.binary(max_size=5),
    ),
    max_size=15,
).map(b"".join)


@given(hostile, hostile, hostile, strategies.cuts)
def test_whatever_the_output_holds_it_is_told_from_the_marks(
    before: bytes, output: bytes, after: bytes, lengths: list[int]
) -> None:
    made = framing_of(terminal=True)
    made.feed(mark(SESSION, "ready:1:ash"))
    made.request("cat")
    stream = before + mark(KEY, "b") + output + mark(KEY, "0") + after
    expected = [
        *([Spilled(STDOUT, before)] if before else []),
        Begin(STDOUT, KEY),
        *([Output(STDOUT, output)] if output else []),
        End(STDOUT, KEY, 0),
        *([Spilled(STDOUT, after)] if after else []),
    ]
    assert fed(made, strategies.cut(stream, lengths)) == expected


@given(hostile, strategies.cuts)
def test_no_byte_is_lost_and_few_are_held_back(output: bytes, lengths: list[int]) -> None:
    made, passed, arrived = running(), b"", b""
    for piece in strategies.cut(output, lengths):
        arrived += piece
        passed += b"".join(event.data for event in made.feed(piece) if isinstance(event, Output))
        assert arrived.startswith(passed)
        assert len(arrived) - len(passed) < LONGEST_MARK
    assert passed + b"".join(event.data for event in made.finish() if isinstance(event, Output)) == output


# What it costs


@pytest.mark.parametrize(
    "unit",
    [
        b"plain text\n",
        b"\x1e",
        b"\x1e" + KEY.encode() + b":",
        mark(FOREIGN, "0"),
        b"\x1e" + b"0" * 16 + b":" + b"9" * 32,
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_each_byte_is_looked_at_a_fixed_number_of_times(
    unit: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    find, find_end = framing._next_mark, framing._end_of_whole

    def counted(data: bytes, start: int) -> re.Match[bytes] | None:
        nonlocal looked_at
        found = find(data, start)
        looked_at += (found.end() if found else len(data)) - start
        return found

    def counted_end(data: bytes, start: int) -> int:
        nonlocal looked_at
        looked_at += min(len(data) - start, LONGEST_MARK)
        return find_end(data, start)

    monkeypatch.setattr(framing, "_next_mark", counted)
    monkeypatch.setattr(framing, "_end_of_whole", counted_end)
    made = running()
    total = 20_000 if size == 1 else 200_000
    data = unit * (total // len(unit))
    for start in range(0, len(data), size):
        made.feed(data[start : start + size])
    pieces = -(-len(data) // size)
    # Once, the RS between two marks twice; and with each read what was held back, twice.
    assert looked_at <= len(data) + len(data) // len(mark(FOREIGN, "0")) + pieces * 2 * LONGEST_MARK
