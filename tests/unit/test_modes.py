from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.modes import _UNDO, ModeTracker
from tests.unit import strategies

VIM = b"\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?25l\x1b[2J~\r\n\x1b[?25h\x1b[?1006;1000h"
ALL = b"\x1b[?" + b";".join(mode for mode in _UNDO if mode != b"25") + b"h\x1b[?25l\x1b="


def undone(*chunks: bytes) -> bytes:
    tracker = ModeTracker()
    for chunk in chunks:
        tracker.feed(chunk)
    return tracker.undo()


def test_nothing_was_switched_nothing_is_undone() -> None:
    assert undone() == b""
    assert undone(b"plain text, \x1b[1mbold\x1b[0m \x1b[2J\x1b[6n") == b""


@pytest.mark.parametrize("mode", [1049, 1047, 47, 1, 9, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 2004])
def test_what_is_normally_off_is_switched_off_again(mode: int) -> None:
    assert undone(b"\x1b[?%dh" % mode) == b"\x1b[?%dl" % mode
    assert undone(b"\x1b[?%dh and \x1b[?%dl" % (mode, mode)) == b""
    assert undone(b"\x1b[?%dl" % mode) == b""


def test_a_hidden_cursor_is_shown_again() -> None:
    assert undone(b"\x1b[?25l") == b"\x1b[?25h"
    assert undone(b"\x1b[?25l\x1b[?25h") == b""


def test_an_application_keypad_is_given_back() -> None:
    assert undone(b"\x1b=") == b"\x1b>"
    assert undone(b"\x1b=", b"\x1b>") == b""
    assert undone(b"\x1b>\x1b=") == b"\x1b>"


def test_several_modes_in_one_sequence_are_seen_and_undone_in_reverse() -> None:
    assert undone(b"\x1b[?1000;1006;7;12h") == b"\x1b[?1006l\x1b[?1000l"


def test_a_program_that_cleans_up_leaves_nothing_to_do() -> None:
    assert undone(VIM, b"\x1b[?1000;1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?1049l") == b""


def test_a_second_time_there_is_nothing_left_to_undo() -> None:
    tracker = ModeTracker()
    tracker.feed(VIM)
    assert tracker.undo()
    assert tracker.undo() == b""


@pytest.mark.parametrize(
    "data", [b"\x1b[?", b"\x1b[?10", b"\x1b[?1049x", b"\x1b[1049h", b"[?1049h", b"\x1b[?1049 h"]
)
def test_what_only_looks_like_it_is_nothing(data: bytes) -> None:
    assert undone(data, b"tail") == b""


def test_any_buffer_can_be_fed() -> None:
    tracker = ModeTracker()
    tracker.feed(memoryview(bytearray(b"\x1b[?10")))
    tracker.feed(bytearray(b"49h"))
    assert tracker.undo() == b"\x1b[?1049l"


@pytest.mark.parametrize("data", [VIM, ALL])
def test_every_cut_in_two_and_every_byte_alone_gives_the_same(data: bytes) -> None:
    whole = undone(data)
    for at in range(len(data) + 1):
        assert undone(data[:at], data[at:]) == whole
    assert undone(*(bytes([byte]) for byte in data)) == whole


def test_a_sequence_of_all_modes_is_carried_over() -> None:
    assert undone(ALL).count(b"\x1b[?") == len(_UNDO)


switches = st.lists(
    st.sampled_from([*_UNDO, b"7", b"1049;1006"]).flatmap(
        lambda mode: st.sampled_from([b"\x1b[?" + mode + b"h", b"\x1b[?" + mode + b"l"])
    )
    | st.sampled_from([b"\x1b=", b"\x1b>", b"\x1b[6n", b"text", b"\x1b", b"\x1b[?", b"\x1b[1;2H"])
    | st.binary(max_size=5),
    max_size=12,
).map(b"".join)


@given(switches, strategies.cuts)
def test_any_cutting_gives_the_same(data: bytes, lengths: list[int]) -> None:
    assert undone(*strategies.cut(data, lengths)) == undone(data)
