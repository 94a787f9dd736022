"""Waiting for a pattern in what comes: pexpect's searching, fed by whoever has the bytes.

No descriptor, no thread, no loop and no clock: `expect` says what is waited for, `feed` brings what came, `timeout` and
`eof` say that no more will. What decides is pexpect's searchers: the first match in the stream, then the first in the
list; `$` is the end of what has arrived; a dot is also the end of a line. What pexpect keeps around them is written
anew here, since it loses what it should not: with a search window all that a read brings beyond it is never looked at,
a match of nothing at the end takes what came before it along, and a pattern compiled for the other of text and bytes
loses its flags (4.9).
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: Characters: how much of a match may have come before the last read. Each read is searched together with as many.
WINDOW = 64 * 1024
#: Characters that are kept for `before` and `buffer`.
LIMIT = 1024 * 1024
# What has left the window is put aside in pieces of at least so many characters.
_PIECE = 64 * 1024


class Matcher:
    """What came and was not matched yet, and the wait for a pattern in it.

    Args:
        encoding: of the bytes that come; None matches the bytes themselves.
        errors: what to do about bytes that are no text, as for `bytes.decode`.
        window: how much of a match may have come before the last read, 1 at least; None for all that is kept.
        limit: how much is kept; what came first gives way. A match leaves whatever came after it, until more comes.

    Attributes:
        index: which of the patterns was found last; None while none was.
        before, after, match: pexpect's: what came before the match, what matched, and the match itself.
        dropped: how much has given way, and is in no `before`.
    """

    def __init__(
        self,
        encoding: str | None = "utf-8",
        errors: str = "replace",
        *,
        window: int | None = WINDOW,
        limit: int = LIMIT,
    ) -> None:
        if limit < 2:
            raise ValueError("a matcher needs room for 2 at least")
        self.index: int | None = None
        self.before: Any = None
        self.after: Any = None
        self.match: Any = None
        self.dropped = 0
        self._encoding, self._errors = encoding, errors
        self._window, self._limit = window, limit
        self._nothing: Any = b"" if encoding is None else ""
        self._decoder: Any = None
        if encoding is not None:
            import codecs

            self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._searcher: Any = None
        # Characters in front of what is new that are searched with it, and one more that they are kept with: by it `^`
        # and a lookbehind know that this is not where everything began.
        self._reach = 0
        # All that is kept: what has left the window in pieces, oldest first, then what is searched.
        self._aside: list[Any] = []
        self._aside_size = 0
        self._text: Any = self._nothing

    @property
    def buffer(self) -> Any:
        """What came and was not matched yet, as far as it is kept."""
        return self._nothing.join([*self._aside, self._text])

    @property
    def text(self) -> Any:
        """All up to the end of the match; what came before a time limit or the end, if that was waited for."""
        return self.before + self.after if isinstance(self.after, type(self._nothing)) else self.before

    @property
    def waits(self) -> bool:
        """Whether something is waited for."""
        return self._searcher is not None

    def expect(self, patterns: Any, *, exact: bool = False, window: int | None = -1) -> int | None:
        """Begin to wait, in place of any wait there was.

        Args:
            patterns: one, or a list: regular expressions as `str` or `bytes` or compiled, `pexpect.EOF`,
                `pexpect.TIMEOUT`. Text for bytes and bytes for text are read in the encoding; for bytes that is UTF-8.
            exact: they are no regular expressions, but what is to come itself.
            window: for this wait; -1 for the usual one.

        Returns:
            which of them is there already; None if it has to be waited for.

        Raises:
            TypeError: something is none of these.
            re.error: a regular expression makes no sense.
        """
        from pexpect.expect import searcher_re, searcher_string

        listed = patterns if isinstance(patterns, (list, tuple)) else [patterns]
        searcher: Any
        if exact:
            searcher = searcher_string([self._exactly(each) for each in listed])
        else:
            searcher = searcher_re([self._compiled(each) for each in listed])
        return self._begin(searcher, self._window if window == -1 else window)

    def feed(self, data: bytes | bytearray | memoryview | str) -> int | None:
        """Take what came; give the index of the pattern that is there with it, None for none."""
        if not isinstance(data, str):
            came: Any = bytes(data) if self._decoder is None else self._decoder.decode(bytes(data))
        elif self._decoder is None:
            raise TypeError("this one matches bytes")
        else:
            came = data
        return self._take(came) if came else None

    def timeout(self) -> int | None:
        """The time is over; give the index of `pexpect.TIMEOUT`, None if nobody waits for that.

        What came is in `before`, and can still be matched by a later wait.
        """
        from pexpect.exceptions import TIMEOUT

        return self._give_up(TIMEOUT, "timeout_index")

    def eof(self) -> int | None:
        """Nothing more will come; give the index of what is found, as `pexpect.EOF`; None if nobody waits for that."""
        from pexpect.exceptions import EOF

        if self._decoder is not None:
            rest = self._decoder.decode(b"", True)
            if rest and (found := self._take(rest)) is not None:
                return found
        found = self._give_up(EOF, "eof_index")
        self._keep(self._nothing)
        return found

    # What is waited for -----------------------------------------------------------------------------------------------

    def _begin(self, searcher: Any, window: int | None) -> int | None:
        widest = self._limit - 1
        # Of a text the window is its own length.
        window = getattr(searcher, "longest_string", window)
        self._reach = widest if window is None else max(1, min(window, widest))
        self._searcher = searcher
        self._keep(self.buffer)
        return self._search(len(self._text))

    def _exactly(self, pattern: Any) -> Any:
        if _is_end(pattern):
            return pattern
        if not isinstance(pattern, (str, bytes)):
            raise _no_pattern(pattern, "a text")
        return self._in_kind(pattern)

    def _compiled(self, pattern: Any) -> Any:
        if _is_end(pattern):
            return pattern
        if isinstance(pattern, (str, bytes)):
            source, flags = pattern, int(re.DOTALL)
        elif isinstance(pattern, re.Pattern):
            source, flags = pattern.pattern, pattern.flags
        else:
            raise _no_pattern(pattern, "a regular expression")
        if isinstance(source, str) == (self._encoding is not None):
            return pattern if isinstance(pattern, re.Pattern) else re.compile(pattern, flags)
        # Its letters and digits stay those that they were, as far as the other kind has them.
        if isinstance(source, bytes):
            return re.compile(self._in_kind(source), flags & ~re.LOCALE | re.ASCII)
        return re.compile(self._in_kind(source), flags & ~re.UNICODE)

    def _in_kind(self, pattern: str | bytes) -> Any:
        if self._encoding is None:
            return pattern.encode() if isinstance(pattern, str) else pattern
        return pattern.decode(self._encoding, self._errors) if isinstance(pattern, bytes) else pattern

    # What came --------------------------------------------------------------------------------------------------------

    def _keep(self, text: Any) -> None:
        self._aside, self._aside_size, self._text = [], 0, text

    def _take(self, came: Any) -> int | None:
        self._text += came
        found = None if self._searcher is None else self._search(len(came))
        if found is None:
            self._bound()
        return found

    def _search(self, fresh: int) -> int | None:
        searcher, text = self._searcher, self._text
        index: int = searcher.search(text, fresh, self._reach + fresh)
        if index < 0:
            return None
        self.before = self._nothing.join([*self._aside, text[: searcher.start]])
        self.after = text[searcher.start : searcher.end]
        self.match, self.index = searcher.match, index
        self._searcher = None
        self._keep(text[searcher.end :])
        return index

    def _bound(self) -> None:
        """Put aside what is not searched again, and drop what is too much."""
        too_much = self._aside_size + len(self._text) - self._limit
        searched = self._reach + 1
        if len(self._text) > searched + _PIECE or too_much > self._aside_size:
            # Not each time that something came: the pieces are to be few.
            rest = len(self._text) - searched
            self._aside.append(self._text[:rest])
            self._aside_size += rest
            self._text = self._text[rest:]
        while too_much > 0:
            # The window is less than the limit: what is too much is aside.
            oldest = self._aside[0]
            gone = min(too_much, len(oldest))
            self._aside[0] = oldest[gone:]
            if not self._aside[0]:
                del self._aside[0]
            self._aside_size -= gone
            self.dropped += gone
            too_much -= gone

    def _give_up(self, what: type[Exception], where: str) -> int | None:
        index = -1 if self._searcher is None else getattr(self._searcher, where)
        self.before, self.after = self.buffer, what
        self.index, self.match = (index, what) if index >= 0 else (None, None)
        self._searcher = None
        return self.index


class Responder:
    """Answers to what comes: one search over all patterns, each of them a regular expression of its own.

    Args:
        expects: pattern, response, and how often it is given at most; None for any number of times.
        encoding: of what comes, and of responses that are text; None matches bytes.
        errors: what to do about bytes that are no text.
        window: how much of a match may have come before the last read.

    A match of nothing is answered by nothing: `x*` would match between any two characters.
    """

    def __init__(
        self,
        expects: Iterable[tuple[Any, str | bytes, int | None]],
        encoding: str | None = "utf-8",
        errors: str = "replace",
        *,
        window: int = WINDOW,
    ) -> None:
        self._matcher = Matcher(encoding, errors, window=window, limit=window + 1)
        self._left: list[tuple[_Something, bytes, int | None]] = []
        for pattern, response, count in expects:
            if count is not None and count < 1:
                raise ValueError(f"a response is given once at least, not {count} times")
            if _is_end(pattern):
                raise _no_pattern(pattern, "a regular expression")
            data = response.encode(encoding or "utf-8") if isinstance(response, str) else bytes(response)
            self._left.append((_Something(self._matcher._compiled(pattern)), data, count))
        self._wait()

    def feed(self, data: bytes | bytearray | memoryview | str) -> list[bytes]:
        """Take what came, and give what is to be sent, in the order in which its patterns came."""
        answers: list[bytes] = []
        if not self._left:
            return answers
        found = self._matcher.feed(data)
        while found is not None:
            pattern, response, count = self._left[found]
            answers.append(response)
            if count == 1:
                del self._left[found]
            elif count is not None:
                self._left[found] = (pattern, response, count - 1)
            found = self._wait()
        return answers

    def _wait(self) -> int | None:
        from pexpect.expect import searcher_re

        searcher: Any = searcher_re([pattern for pattern, _, _ in self._left])  # type: ignore[misc]  # its stub knows no patterns that are compiled
        return self._matcher._begin(searcher, None)


class _Something:
    """A pattern that does not match nothing; it has what a searcher of pexpect's asks of one."""

    __slots__ = ("_compiled", "pattern")

    def __init__(self, compiled: re.Pattern[Any]) -> None:
        self._compiled = compiled
        self.pattern = compiled.pattern

    def search(self, text: Any, start: int) -> Any:
        return next((match for match in self._compiled.finditer(text, start) if match[0]), None)


def _is_end(pattern: Any) -> bool:
    if not isinstance(pattern, type):
        return False
    from pexpect.exceptions import EOF, TIMEOUT

    return pattern is EOF or pattern is TIMEOUT


def _no_pattern(pattern: Any, wanted: str) -> TypeError:
    return TypeError(f"{pattern!r} is no pattern: it is to be {wanted}")
