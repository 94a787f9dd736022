"""Waiting for a pattern: what pexpect finds at a pipe, found in what is fed; what is kept of it; who answers."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pexpect
import pexpect.fdpexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pexpect.expect import searcher_re, searcher_string

from dockerpty import matching, plan
from dockerpty.matching import LIMIT, WINDOW, Matcher, Responder
from tests.unit import strategies

# The oracle: pexpect itself, at a pipe -------------------------------------------------------------------------------


if TYPE_CHECKING:
    FdSpawn = pexpect.fdpexpect.fdspawn[Any]
else:
    FdSpawn = pexpect.fdpexpect.fdspawn


class AtPipe(FdSpawn):
    """One read of it is one chunk; after the last the pipe is closed, or stays silent."""

    def __init__(self, chunks: Iterable[bytes], closes: bool, encoding: str | None) -> None:
        self.reading_end, self.writing_end = os.pipe()
        super().__init__(self.reading_end, maxread=1 << 16, encoding=encoding, codec_errors="replace")
        self.delayafterread = None
        self._chunks, self._closes = iter(chunks), closes

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> Any:
        chunk = next(self._chunks, None)
        if chunk is not None:
            os.write(self.writing_end, chunk)
        elif self._closes:
            self.close_writing_end()
        return super().read_nonblocking(size, 0)

    def close_writing_end(self) -> None:
        if self.writing_end >= 0:
            os.close(self.writing_end)
            self.writing_end = -1


@contextmanager
def at_pipe(chunks: Iterable[bytes], closes: bool, encoding: str | None) -> Iterator[AtPipe]:
    spawn = AtPipe(chunks, closes, encoding)
    try:
        yield spawn
    finally:
        spawn.close_writing_end()
        os.close(spawn.reading_end)


Seen = list[tuple[Any, ...]]


def of_pexpect(
    waits: list[Any], chunks: list[bytes], closes: bool, encoding: str | None, exact: bool
) -> Seen:
    seen: Seen = []
    with at_pipe(chunks, closes, encoding) as spawn:
        for patterns in waits:
            index = None
            try:
                index = (spawn.expect_exact if exact else spawn.expect)(patterns, timeout=None)
            except (pexpect.EOF, pexpect.TIMEOUT):
                pass  # no match
            # Its buffer is cut to what an exact search may need again; the next wait finds all that is before.
            kept = spawn.before if exact and spawn.after is pexpect.TIMEOUT else spawn.buffer
            seen.append((index, spawn.before, spawn.after, matched(spawn.match), kept))
    return seen


def of_ours(
    waits: list[Any], chunks: list[bytes], closes: bool, encoding: str | None, exact: bool, **options: Any
) -> Seen:
    seen: Seen = []
    matcher = Matcher(encoding, **options)
    coming = iter(chunks)
    for patterns in waits:
        index = matcher.expect(patterns, exact=exact)
        while index is None:
            chunk = next(coming, None)
            if chunk is None:
                index = matcher.eof() if closes else matcher.timeout()
                break
            index = matcher.feed(chunk)
        assert index == matcher.index
        seen.append((index, matcher.before, matcher.after, matched(matcher.match), matcher.buffer))
    return seen


def matched(match: Any) -> Any:
    return (match.group(), match.groups()) if isinstance(match, re.Match) else match


texts = st.text("aab\né", max_size=40)
# None of these matches nothing at the end of what came, of which below.
SHORT = ["a", "ab|ba", "a.b", r"(a)\1", "b$", "^a", "[^a]", "b(?=a)", r"\Ab", "é", r"\n", "x"]
LONG = ["a+b", "b+", ".*é", "(?s)^.+b", "a.*?a"]
ends: list[Any] = [pexpect.EOF, pexpect.TIMEOUT]


def waits_for(patterns: list[Any]) -> st.SearchStrategy[list[list[Any]]]:
    return st.lists(
        st.lists(st.sampled_from([*patterns, *ends]), min_size=1, max_size=4), min_size=1, max_size=6
    )


def in_bytes(waits: list[list[Any]]) -> list[list[Any]]:
    return [[each.encode() if isinstance(each, str) else each for each in wait] for wait in waits]


@given(texts, strategies.cuts, waits_for(SHORT + LONG), st.booleans(), st.booleans())
def test_what_is_found_is_what_pexpect_finds_at_a_pipe(
    text: str, cuts: list[int], waits: list[list[Any]], closes: bool, as_text: bool
) -> None:
    chunks = list(strategies.cut(text.encode(), cuts))
    encoding = "utf-8" if as_text else None
    asked = waits if as_text else in_bytes(waits)
    theirs = of_pexpect(asked, chunks, closes, encoding, exact=False)
    assert of_ours(asked, chunks, closes, encoding, exact=False) == theirs
    assert of_ours(asked, chunks, closes, encoding, exact=False, window=None) == theirs


@given(texts, strategies.cuts, waits_for(SHORT), st.booleans())
def test_with_a_window_what_fits_into_it_is_found_as_without_one(
    text: str, cuts: list[int], waits: list[list[Any]], closes: bool
) -> None:
    chunks = list(strategies.cut(text.encode(), cuts))
    theirs = of_pexpect(waits, chunks, closes, "utf-8", exact=False)
    with patch.object(matching, "_PIECE", 3):
        assert of_ours(waits, chunks, closes, "utf-8", exact=False, window=4) == theirs


@given(texts, strategies.cuts, waits_for(["a", "ab", "aaa", "b\na", "é", "x"]), st.booleans(), st.booleans())
def test_texts_are_found_where_pexpect_finds_them(
    text: str, cuts: list[int], waits: list[list[Any]], closes: bool, as_text: bool
) -> None:
    chunks = list(strategies.cut(text.encode(), cuts))
    encoding = "utf-8" if as_text else None
    asked = waits if as_text else in_bytes(waits)
    theirs = of_pexpect(asked, chunks, closes, encoding, exact=True)
    with patch.object(matching, "_PIECE", 3):
        assert of_ours(asked, chunks, closes, encoding, exact=True) == theirs


# Where it is not as pexpect 4.9 has it --------------------------------------------------------------------------------


def test_a_match_of_nothing_at_the_end_takes_nothing_along() -> None:
    matcher = Matcher()
    matcher.expect(r"(?<=c)$")
    assert matcher.feed(b"abc") == 0
    assert (matcher.before, matcher.after, matcher.buffer) == ("abc", "", "")


def test_all_that_one_read_brings_is_searched_also_beyond_the_window() -> None:
    data = b"here" + b"." * 1000
    matcher = Matcher(None, window=100)
    matcher.expect(b"here")
    assert matcher.feed(data) == 0
    assert matcher.buffer == b"." * 1000


def test_what_is_there_when_a_wait_begins_is_searched_whole() -> None:
    matcher = Matcher(window=10)
    for _ in range(100):
        matcher.feed(b"one two three ")
    assert matcher.expect("one two three one") == 0
    assert matcher.before == ""
    assert len(matcher.buffer) == 100 * 14 - 17


@pytest.mark.parametrize(
    ("pattern", "encoding", "came"),
    [
        (re.compile("PASS", re.IGNORECASE), "utf-8", b"pass"),
        (re.compile(b"PASS", re.IGNORECASE), "utf-8", b"pass"),
        (re.compile("PASS", re.IGNORECASE), None, b"pass"),
        (re.compile(b"PASS", re.IGNORECASE), None, b"pass"),
        (re.compile("^b$", re.MULTILINE), None, b"a\nb\nc"),
        (re.compile("a b # and no more", re.VERBOSE), None, b"ab"),
        (re.compile(b"a b # and no more", re.VERBOSE), "utf-8", b"ab"),
        ("caf\u00e9", None, "café".encode()),
        ("café".encode(), "utf-8", "café".encode()),
        (b"caf\xe9", "latin-1", b"caf\xe9"),
        (b"\xff!", "utf-8", b"\xff!"),
        ("a.b", "utf-8", b"a\nb"),
        (b"a.b", "utf-8", b"a\nb"),
    ],
)
def test_a_pattern_keeps_its_flags_and_may_be_text_or_bytes(
    pattern: Any, encoding: str | None, came: bytes
) -> None:
    matcher = Matcher(encoding)
    assert matcher.expect(pattern) is None
    assert matcher.feed(came) == 0


@pytest.mark.parametrize(
    ("pattern", "encoding", "came"),
    [
        (re.compile("a.b"), "utf-8", b"a\nb"),  # Compiled without DOTALL: that is its flag, too.
        (re.compile("a.b"), None, b"a\nb"),
        (re.compile(b"a.b"), "utf-8", b"a\nb"),
        (rb"\w", "utf-8", "é".encode()),  # For bytes that is no letter.
        (re.compile(rb"\w"), "utf-8", "é".encode()),
    ],
)
def test_a_pattern_matches_no_more_than_it_says(pattern: Any, encoding: str | None, came: bytes) -> None:
    matcher = Matcher(encoding)
    matcher.expect(pattern)
    assert matcher.feed(came) is None


def test_a_pattern_of_bytes_that_depends_on_the_locale_is_read_as_text_too() -> None:
    matcher = Matcher()
    matcher.expect(re.compile(b"a", re.LOCALE))
    assert matcher.feed(b"a") == 0


def test_a_text_is_looked_for_among_bytes_and_bytes_in_a_text() -> None:
    for encoding in (None, "utf-8"):
        matcher = Matcher(encoding)
        matcher.expect(["(é", "é)".encode()], exact=True)
        assert matcher.feed("é é)".encode()) == 1


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("pattern", [1, None, [None], Exception, pexpect.ExceptionPexpect, [["a"]]])
def test_what_is_no_pattern_is_a_type_error_that_shows_it(pattern: Any, exact: bool) -> None:
    with pytest.raises(TypeError, match="is no pattern"):
        Matcher().expect(pattern, exact=exact)


def test_a_compiled_pattern_is_no_text_to_be_found_exactly() -> None:
    with pytest.raises(TypeError, match="it is to be a text"):
        Matcher().expect(re.compile("a"), exact=True)


def test_text_is_no_bytes() -> None:
    with pytest.raises(TypeError, match="matches bytes"):
        Matcher(None).feed("text")


@pytest.mark.parametrize("limit", [1, 0, -1])
def test_without_room_there_is_no_matcher(limit: int) -> None:
    with pytest.raises(ValueError, match="room"):
        Matcher(limit=limit)


@pytest.mark.parametrize(("window", "found"), [(-1, None), (2, None), (0, None), (5, 0), (None, 0)])
def test_a_wait_may_have_a_window_of_its_own(window: int | None, found: int | None) -> None:
    matcher = Matcher(window=2)
    assert matcher.expect("start.*end", window=window) is None
    matcher.feed(b"start")
    assert matcher.feed(b"end") == found


# How a wait goes -----------------------------------------------------------------------------------------------------


def test_a_prompt_in_three_reads_and_a_character_in_two_are_found() -> None:
    matcher = Matcher()
    assert matcher.expect([pexpect.TIMEOUT, r"caf(.)\$ $"]) is None
    assert [matcher.feed(piece) for piece in (b"hi\r\ncaf\xc3", b"\xa9$", b" ")] == [None, None, 1]
    assert (matcher.before, matcher.after, matcher.match[1], matcher.text) == (
        "hi\r\n",
        "café$ ",
        "é",
        "hi\r\ncafé$ ",
    )


def test_text_may_be_fed_as_text() -> None:
    matcher = Matcher()
    matcher.expect("é")
    assert matcher.feed("é") == 0


def test_the_next_wait_starts_after_the_match() -> None:
    matcher = Matcher()
    matcher.expect("a")
    assert matcher.feed(b"xayaz") == 0
    assert matcher.buffer == "yaz"
    assert matcher.expect("a") == 0
    assert (matcher.before, matcher.buffer) == ("y", "z")
    assert matcher.expect("a") is None


def test_the_first_in_the_stream_comes_before_the_first_in_the_list() -> None:
    matcher = Matcher()
    matcher.expect(["bar", "foo", "foobar"])
    assert matcher.feed(b"foobar") == 1


def test_what_came_while_nobody_waited_is_found() -> None:
    matcher = Matcher()
    assert (matcher.feed(b"login: "), matcher.waits) == (None, False)
    assert matcher.expect("login: $") == 0


def test_at_a_time_limit_what_came_is_shown_and_stays() -> None:
    matcher = Matcher()
    matcher.expect(["x", pexpect.TIMEOUT])
    matcher.feed(b"abc")
    assert matcher.timeout() == 1
    assert (matcher.before, matcher.after, matcher.match) == ("abc", pexpect.TIMEOUT, pexpect.TIMEOUT)
    assert (matcher.text, matcher.buffer, matcher.waits) == ("abc", "abc", False)
    assert matcher.expect("b") == 0


def test_a_time_limit_that_nobody_waits_for_has_no_index() -> None:
    matcher = Matcher()
    matcher.expect(["x", pexpect.EOF])
    assert matcher.timeout() is None
    assert (matcher.index, matcher.match, matcher.after) == (None, None, pexpect.TIMEOUT)


def test_the_end_shows_what_came_and_takes_it() -> None:
    matcher = Matcher()
    matcher.expect(["x", pexpect.EOF])
    matcher.feed(b"abc")
    assert matcher.eof() == 1
    assert (matcher.before, matcher.after, matcher.text) == ("abc", pexpect.EOF, "abc")
    assert matcher.buffer == ""
    matcher.expect("x")
    assert matcher.eof() is None


def test_half_a_character_at_the_end_is_not_lost() -> None:
    matcher = Matcher()
    matcher.expect(pexpect.EOF)
    matcher.feed(b"caf\xc3")
    assert (matcher.eof(), matcher.before) == (0, "caf\N{REPLACEMENT CHARACTER}")
    matcher.expect("\N{REPLACEMENT CHARACTER}")
    matcher.feed(b"caf\xc3")
    assert (matcher.eof(), matcher.before) == (0, "caf")


def test_before_anything_was_waited_for_there_is_nothing() -> None:
    matcher = Matcher()
    assert (matcher.index, matcher.before, matcher.after, matcher.match, matcher.text) == (None,) * 5
    assert (matcher.buffer, matcher.dropped) == ("", 0)


def test_a_start_is_where_the_last_match_ended_and_not_the_edge_of_the_window() -> None:
    with patch.object(matching, "_PIECE", 0):
        matcher = Matcher(window=4)
        matcher.expect(["^a", "(?<!a)b"])
        for _ in range(20):
            assert matcher.feed(b"xaaaab") is None
    matcher.expect("b")
    assert matcher.expect("^xa") == 0


def waiting(matcher: Matcher, patterns: list[Any]) -> Generator[str, bytes | None, Any]:
    """A plan that asks for bytes: none are the end, and None that it is too late."""
    index = matcher.expect(patterns)
    while index is None and matcher.waits:
        came = yield "read"
        index = matcher.timeout() if came is None else matcher.feed(came) if came else matcher.eof()
    return index, matcher.text


@pytest.mark.parametrize(
    ("reads", "found"),
    [
        ([b"hel", b"lo $ "], (0, "hello $ ")),
        ([b"hel", b""], (1, "hel")),
        ([b"hel", None], (2, "hel")),
    ],
)
def test_a_plan_waits_with_it_in_both_colours(reads: list[bytes | None], found: Any) -> None:
    patterns = [r"\$ $", *ends]
    coming = iter(reads)
    assert plan.drive(waiting(Matcher(), patterns), lambda _: next(coming)) == found

    async def answer(_: str) -> bytes | None:
        await asyncio.sleep(0)
        return next(coming)

    coming = iter(reads)
    assert asyncio.run(plan.drive_on_loop(waiting(Matcher(), patterns), answer)) == found


# What is kept, and what it costs ------------------------------------------------------------------------------------


@given(
    texts,
    strategies.cuts,
    st.integers(2, 30),
    st.one_of(st.none(), st.integers(1, 12)),
    st.integers(0, 5),
    st.booleans(),
)
def test_the_last_that_came_is_kept_and_the_rest_counted(
    text: str, cuts: list[int], limit: int, window: int | None, piece: int, waiting: bool
) -> None:
    with patch.object(matching, "_PIECE", piece):
        matcher = Matcher(window=window, limit=limit)
        if waiting:
            matcher.expect("x")
        for chunk in strategies.cut(text.encode(), cuts):
            matcher.feed(chunk)
    assert matcher.buffer == text[-limit:]
    assert matcher.dropped == max(0, len(text) - limit)
    matcher.timeout()
    assert matcher.before == text[-limit:]


def test_by_default_a_mebibyte_is_kept() -> None:
    matcher = Matcher()
    matcher.expect("x")
    for _ in range(40):
        matcher.feed(b"y" * 65537)
    assert len(matcher.buffer) == LIMIT == 1024 * 1024
    assert matcher.dropped == 40 * 65537 - LIMIT
    assert matcher.feed(b"x") == 0
    assert matcher.before == "y" * LIMIT


def test_a_text_longer_than_all_that_is_kept_is_no_trouble() -> None:
    matcher = Matcher(limit=10, window=4)
    matcher.expect("y" * 50, exact=True)
    for _ in range(20):
        assert matcher.feed(b"xxx") is None
    assert (matcher.buffer, matcher.dropped) == ("x" * 10, 50)


class Searched:
    """Count the characters that pexpect's searchers are to look at."""

    def __init__(self) -> None:
        self.characters = 0

    @contextmanager
    def counting(self, kind: Any) -> Iterator[None]:
        whole = kind.search

        def search(searcher: Any, text: Any, fresh: int, window: int | None = None) -> Any:
            self.characters += len(text) if window is None else min(window, len(text))
            return whole(searcher, text, fresh, window)

        with patch.object(kind, "search", search):
            yield


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("size", [1000, 65536, 300_000])
def test_each_read_is_searched_with_one_window_however_much_came_before(size: int, exact: bool) -> None:
    reach = 4 if exact else WINDOW
    searched = Searched()
    matcher = Matcher()
    with searched.counting(searcher_string if exact else searcher_re):
        matcher.expect("GONE", exact=exact)
        for number in range(1, 61):
            matcher.feed(b"." * size)
            assert searched.characters <= number * (size + reach)
    assert matcher.feed(b"GONE") == 0


@pytest.mark.parametrize("size", [1000, 70_000])
def test_what_is_put_aside_is_in_few_pieces_and_what_is_searched_not_much_more_than_a_window(
    size: int,
) -> None:
    matcher = Matcher()
    matcher.expect("GONE", exact=True)
    for _ in range(3 * LIMIT // size):
        matcher.feed(b"." * size)
        assert len(matcher._text) <= WINDOW + 1 + matching._PIECE
        assert len(matcher._aside) <= LIMIT // matching._PIECE + 2


# Who answers ---------------------------------------------------------------------------------------------------------


def answers(responder: Responder, *chunks: bytes) -> list[bytes]:
    return [answer for chunk in chunks for answer in responder.feed(chunk)]


def test_each_time_that_its_pattern_comes_a_response_is_given() -> None:
    responder = Responder([("ame: $", "me\n", None), ("word: $", b"\xff\n", None)])
    assert answers(responder, b"Name: ", b"\r\nPass", b"word: ", b"Name: ") == [b"me\n", b"\xff\n", b"me\n"]


def test_a_response_may_be_given_so_often_and_not_more() -> None:
    responder = Responder([("a", "1", 1), ("b", "2", 2), ("c", "3", None)])
    assert answers(responder, b"abcabcabcabc") == [b"1", b"2", b"3", b"2", b"3", b"3", b"3"]


def test_who_has_given_all_responses_looks_no_more() -> None:
    searched = Searched()
    responder = Responder([("a", "1", 1)])
    assert answers(responder, b"aa") == [b"1"]
    with searched.counting(searcher_re):
        assert answers(responder, b"aaaa") == []
    assert searched.characters == 0


def test_who_has_none_gives_none() -> None:
    assert answers(Responder([]), b"abc") == []


@pytest.mark.parametrize(
    ("expects", "came", "given"),
    [
        ([("a\nb\\?", "1", None)], b"a\nb?", [b"1"]),  # More than a line.
        ([(re.compile("YES", re.IGNORECASE), "1", None), ("no", "2", None)], b"NO yes no", [b"1", b"2"]),
        ([("(x)", "1", None), (r"(a)\1", "2", None)], b"aa", [b"2"]),  # Groups are each pattern's own.
        ([(".*", "1", None)], b"all of it\n", [b"1"]),
        ([("a|b", "1", None), ("b|c", "2", None)], b"bc", [b"1", b"2"]),
        ([(b"a", "1", None)], b"a", [b"1"]),
    ],
    ids=["lines", "flags", "groups", "all", "alternatives", "bytes"],
)
def test_host_f08_a_pattern_is_never_glued_into_another(
    expects: list[tuple[Any, str, None]], came: bytes, given: list[bytes]
) -> None:
    assert answers(Responder(expects), came) == given


@pytest.mark.parametrize("pattern", ["", "x*", "$", r"\b", "(?=a)", "(?<=a)"])
def test_a_match_of_nothing_is_answered_by_nothing(pattern: str) -> None:
    assert answers(Responder([(pattern, "1", None), ("b", "2", None)]), b"ab", b"ab") == [b"2", b"2"]


def test_who_may_match_nothing_still_matches_something() -> None:
    assert answers(Responder([("x*", "1", None)]), b"abxxxab") == [b"1"]


@given(st.text("ab\né", max_size=40), strategies.cuts)
def test_however_the_reads_cut_it_the_answers_are_the_same(text: str, cuts: list[int]) -> None:
    expects = [("ab", "1", None), ("a\nb", "2", 2), ("é", "3", None)]
    with patch.object(matching, "_PIECE", 3):
        cut = answers(Responder(expects, window=4), *strategies.cut(text.encode(), cuts))
    assert cut == answers(Responder(expects), text.encode())


def test_who_answers_a_flood_keeps_a_window() -> None:
    responder = Responder([("GONE", "1", None)])
    for _ in range(50):
        assert responder.feed(b"." * 65536) == []
    assert len(responder._matcher.buffer) == WINDOW + 1
    assert answers(responder, b"GO", b"NE") == [b"1"]


@pytest.mark.parametrize("count", [0, -1])
def test_a_response_that_is_never_given_is_a_mistake(count: int) -> None:
    with pytest.raises(ValueError, match="once at least"):
        Responder([("a", "1", count)])


@pytest.mark.parametrize("pattern", [pexpect.EOF, pexpect.TIMEOUT, 1, None])
def test_only_a_pattern_is_answered(pattern: Any) -> None:
    with pytest.raises(TypeError, match="is no pattern"):
        Responder([(pattern, "1", None)])


# What it loads --------------------------------------------------------------------------------------------------------


def test_pexpect_is_loaded_when_something_is_waited_for() -> None:
    root = Path(matching.__file__).resolve().parents[1]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from dockerpty.matching import Matcher\n"
        "matcher = Matcher(); matcher.feed(b'abc')\n"
        "assert 'pexpect' not in sys.modules\n"
        "assert matcher.expect('b') == 0\n"
        "assert 'pexpect' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
