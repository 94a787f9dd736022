from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.errors import DetachKeysError
from dockerpty.keys import DEFAULT, NEUTRAL, Matcher, end_of_input, parse
from tests.unit import strategies

P, Q = b"\x10", b"\x11"


def type_into(matcher: Matcher, *reads: bytes) -> bytes:
    return b"".join(matcher.feed(read) for read in reads)


# How keys are spelled


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@", b"\x00"),
        ("ctrl-a,ctrl-z", b"\x01\x1a"),
        ("ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x1b\x1c\x1d\x1e\x1f"),
        ("DEL", b"\x7f"),
        ("a,B, ,~", b"aB ~"),
        ("\x01", b"\x01"),
        ("p", b"p"),
    ],
)
def test_keys_are_spelled_as_docker_spells_them(spec: str, keys: bytes) -> None:
    assert parse(spec) == keys


def test_none_given_is_dockers_default() -> None:
    assert parse(None) == parse(DEFAULT) == P + Q


@pytest.mark.parametrize("spec", ["", "none"])
def test_detaching_can_be_switched_off(spec: str) -> None:
    assert parse(spec) == b""


@pytest.mark.parametrize(
    "spec",
    [
        "ctrl-P",
        "CTRL-p",
        "ctrl-1",
        "ctrl-",
        "ctrl-pp",
        "del",
        "ab",
        ",",
        "a,",
        "ctrl-p, ctrl-q",
        "é",
        "none,a",
        "^p",
    ],
)
def test_anything_else_is_refused_with_what_to_write_instead(spec: str) -> None:
    with pytest.raises(DetachKeysError) as caught:
        parse(spec)
    assert isinstance(caught.value, ValueError)
    assert repr(spec) in str(caught.value)
    assert "ctrl-" in caught.value.hint


def test_the_keys_sent_to_the_engine_are_valid_and_share_no_start_with_the_default() -> None:
    neutral = parse(NEUTRAL)
    assert len(neutral) == 8
    assert neutral[:1] not in (P, Q)


# How they are found


def test_the_keys_detach_and_are_not_sent_on() -> None:
    matcher = Matcher(P + Q)
    assert matcher.feed(b"ls" + P + Q) == b"ls"
    assert matcher.detached
    assert matcher.held == b""


def test_a_withheld_key_is_sent_on_with_the_key_that_shows_it_was_none() -> None:
    matcher = Matcher(P + Q)
    assert matcher.feed(P) == b""
    assert matcher.held == P
    assert matcher.feed(b"x") == P + b"x"
    assert matcher.held == b""
    assert not matcher.detached


@pytest.mark.parametrize("reads", [(P + P + Q,), (P, P, Q), (P + P, Q), (P, P + Q)])
def test_ctrl_p_twice_then_ctrl_q_detaches_after_passing_one_ctrl_p(reads: tuple[bytes, ...]) -> None:
    matcher = Matcher(P + Q)
    assert type_into(matcher, *reads) == P
    assert matcher.detached


@pytest.mark.parametrize("reads", [(b"aaab",), (b"a", b"a", b"a", b"b"), (b"aa", b"ab")])
def test_keys_that_repeat_are_found_in_a_longer_run(reads: tuple[bytes, ...]) -> None:
    matcher = Matcher(b"aab")
    assert type_into(matcher, *reads) == b"a"
    assert matcher.detached


def test_a_single_key_detaches_and_nothing_is_withheld_for_it() -> None:
    matcher = Matcher(b"\x1d")
    assert matcher.feed(b"abc") == b"abc"
    assert matcher.held == b""
    assert matcher.feed(b"d\x1de") == b"d"
    assert matcher.detached


def test_what_follows_the_keys_is_dropped() -> None:
    matcher = Matcher(P + Q)
    assert matcher.feed(P + Q + b"late") == b""
    assert matcher.feed(b"later") == b""
    assert matcher.release() == b""


def test_the_keys_are_found_in_the_middle_of_a_long_paste() -> None:
    paste = (b"text" + Q + P) * 150_000
    matcher = Matcher(P + Q + Q)
    assert matcher.feed(paste + P + Q + Q + paste) == paste
    assert matcher.detached


def test_a_paste_without_keys_passes_untouched() -> None:
    paste = bytes(range(256)) * 4096
    matcher = Matcher(b"\x05\x04")
    assert matcher.feed(paste) == paste


def test_empty_keys_never_detach_and_withhold_nothing() -> None:
    matcher = Matcher(b"")
    assert matcher.feed(P + Q) == P + Q
    assert matcher.held == b""
    assert matcher.release() == b""
    assert not matcher.detached


# The time limit


def test_a_released_key_is_sent_on_and_counts_no_more() -> None:
    matcher = Matcher(P + Q)
    assert type_into(matcher, b"x" + P) == b"x"
    assert matcher.release() == P
    assert matcher.held == b""
    assert matcher.feed(Q) == Q
    assert not matcher.detached


def test_keys_typed_after_a_release_detach() -> None:
    matcher = Matcher(P + Q)
    matcher.feed(P)
    matcher.release()
    assert matcher.feed(P + Q) == b""
    assert matcher.detached


def test_release_with_nothing_withheld_gives_nothing() -> None:
    assert Matcher(P + Q).release() == b""


# Keys of the engine


def test_keys_of_the_engine_detach_like_the_users_own() -> None:
    matcher = Matcher(b"\x1d", P + Q)
    assert matcher.feed(b"a" + P + Q) == b"a"
    assert matcher.detached


def test_the_engine_never_sees_its_keys_whole_though_the_first_was_released() -> None:
    matcher = Matcher(P + Q, P + Q)
    matcher.feed(P)
    assert matcher.release() == P
    assert matcher.feed(Q) == b""
    assert matcher.detached


def test_each_key_of_the_engine_may_be_released_but_the_last() -> None:
    matcher = Matcher(b"", b"abc")
    sent = []
    for key in (b"a", b"b"):
        assert matcher.feed(key) == b""
        sent.append(matcher.release())
    assert sent == [b"a", b"b"]
    assert matcher.feed(b"c") == b""
    assert matcher.detached


def test_another_key_between_them_ends_what_the_engine_had_seen() -> None:
    matcher = Matcher(b"", P + Q)
    matcher.feed(P)
    matcher.release()
    assert type_into(matcher, b"x", Q) == b"x" + Q
    assert not matcher.detached


def test_keys_that_are_complete_first_win() -> None:
    matcher = Matcher(b"abcd", b"bc")
    assert matcher.feed(b"abcd") == b"a"
    assert matcher.detached


def test_of_two_that_end_together_the_shorter_is_dropped() -> None:
    matcher = Matcher(b"c", b"abc")
    assert matcher.feed(b"abc") == b"ab"
    assert matcher.detached


def expected(data: bytes, keys: bytes, engine_keys: bytes) -> tuple[bytes, bool]:
    """Say what is sent on in all, byte by byte and in the simplest way: the rule that the matcher must follow."""
    for end in range(1, len(data) + 1):
        lengths = [len(each) for each in (keys, engine_keys) if each and data[:end].endswith(each)]
        if lengths:
            return data[: end - min(lengths)], True
    return data, False


@given(strategies.typed, strategies.keys, strategies.keys, strategies.cuts)
def test_any_split_of_the_reads_gives_what_the_whole_gives(
    data: bytes, keys: bytes, engine_keys: bytes, lengths: list[int]
) -> None:
    lengths = [length % 4 + 1 for length in lengths]
    matcher, sent = Matcher(keys, engine_keys), b""
    for chunk in strategies.cut(data, lengths):
        sent += matcher.feed(chunk)
        assert matcher.detached or sent + matcher.held == data[: len(sent) + len(matcher.held)]
        assert len(matcher.held) < max(len(keys), len(engine_keys), 1)
    assert (sent + matcher.release(), matcher.detached) == expected(data, keys, engine_keys)


@given(strategies.typed, strategies.keys, strategies.keys, st.sets(st.integers(0, 30)))
def test_with_releases_anywhere_no_byte_is_lost_and_the_engine_never_sees_its_keys(
    data: bytes, keys: bytes, engine_keys: bytes, pauses: set[int]
) -> None:
    matcher, sent, last_release, typed = Matcher(keys, engine_keys), b"", 0, b""
    for position in range(len(data)):
        if position in pauses:
            sent += matcher.release()
            assert sent == typed
            last_release = position
        typed += data[position : position + 1]
        sent += matcher.feed(typed[-1:])
        own = bool(keys) and typed[last_release:].endswith(keys)
        engines = bool(engine_keys) and typed.endswith(engine_keys)
        assert matcher.detached == (own or engines)
        assert not engine_keys or engine_keys not in sent
        assert not keys or keys not in typed[last_release : len(sent)]
        if matcher.detached:
            return
        assert sent + matcher.held == typed


@pytest.mark.parametrize(("last", "typed"), [(0x0A, b"\x04"), (0x61, b"\x04\x04")])
def test_the_end_of_a_terminals_input_is_typed_twice_in_the_middle_of_a_line(last: int, typed: bytes) -> None:
    assert end_of_input(last) == typed
