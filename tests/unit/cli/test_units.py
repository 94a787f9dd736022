"""Docker's words for sizes and times, Go's quotation marks, and columns that are as wide as docker's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.cli.units import aligned, cut, duration, quoted, size, width

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0B"),
        (5, "5B"),
        (999, "999B"),
        (1000, "1kB"),
        (1024, "1.02kB"),
        (1_978_000, "1.98MB"),
        (123_456_789_012, "123GB"),
        (10**30, "1e+06YB"),
    ],
)
def test_a_size_has_three_digits_and_units_of_a_thousand(count: int, said: str) -> None:
    assert size(count) == said


def test_a_size_may_have_more_digits() -> None:
    assert size(1_978_123, 4) == "1.978MB"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE - 0.1, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.49 * HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
        (56.8 * 365 * DAY, "56 years"),
    ],
)
def test_a_time_is_told_roughly(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sh -c 'x'", "\"sh -c 'x'\""),
        ('say "x" \\', '"say \\"x\\" \\\\"'),
        ("a\nb\tc\r\a\b\f\v", '"a\\nb\\tc\\r\\a\\b\\f\\v"'),
        ("\x1b[31m\x7f", '"\\x1b[31m\\x7f"'),
        ("\x85\xa0\u2028", '"\\u0085\\u00a0\\u2028"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("schön 日本…", '"schön 日本…"'),
    ],
)
def test_a_text_is_quoted_as_go_quotes_it(text: str, shown: str) -> None:
    assert quoted(text) == shown


@given(st.text())
def test_what_is_quoted_can_be_printed_on_one_line(text: str) -> None:
    assert quoted(text).isprintable()


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("x", 1, "x"),
        ("xy", 1, "…"),
        ("xy", 0, ""),
    ],
)
def test_what_is_too_long_ends_with_an_ellipsis(text: str, room: int, shown: str) -> None:
    assert cut(text, room) == shown


@given(st.text(), st.integers(0, 30))
def test_what_is_cut_fits(text: str, room: int) -> None:
    assert width(cut(text, room)) <= room


def test_columns_are_ten_wide_and_three_apart() -> None:
    assert (
        aligned("A\tB\tC\nlonger than ten\tx\ty")
        == "A                 B         C\nlonger than ten   x         y"
    )


def test_a_wide_character_takes_two_columns() -> None:
    assert aligned("日本語の名前です\tx\nA\ty") == "日本語の名前です   x\nA                  y"


def test_a_column_ends_where_a_line_has_it_not() -> None:
    assert aligned("aaaaaaaaaaaaaaa\tx\nno cell\nb\ty") == "aaaaaaaaaaaaaaa   x\nno cell\nb         y"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("cafe\u0301", 4),  # a combining mark (Mn)
        ("a\u20dd", 1),  # one that encloses (Me)
        ("\u2764\ufe0f", 1),  # a heart, and how to draw it (VS16)
        ("1\ufe0f\u20e3", 1),
        ("a\u200b\u200db\u00ad", 2),  # spaces of no width, joiners, soft hyphens (Cf)
        ("\u65e5\u0301", 2),
        ("\u00b1\u00e9", 2),
    ],
)
def test_what_is_drawn_into_its_neighbour_takes_no_column(text: str, columns: int) -> None:
    assert width(text) == columns
    assert aligned(f"{text}\tx\n{'b' * 20}\ty").splitlines()[0] == f"{text}{' ' * (23 - columns)}x"


def test_what_is_cut_is_cut_by_characters_as_docker_does_it() -> None:
    assert cut("e\u0301" * 22, 20) == "e\u0301" * 9 + "e\u2026"
