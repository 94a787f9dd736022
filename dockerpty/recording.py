"""A session kept as asciicast, and played back.

Written is version 2 (docs.asciinema.org/manual/asciicast/v2), read are 2 and 3. Who has a session gives a `Recording`
what passes by; it takes a copy and returns. What was taken is written a moment later, a little in each turn of the one
loop of the session: no key waits for a recording longer than a fraction of a millisecond. What waits has a limit, and
what comes beyond it is lost to the recording, which says so where it is missing. How a recording looks on a screen is
the affair of `cli/replay`.
"""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import time

from dockerpty.errors import DockerptyError
from dockerpty.host_io import ObjectOutput
from dockerpty.io import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO, Any

OUTPUT, INPUT, RESIZE, MARKER = "o", "i", "r", "m"

#: What waits to be written may take so much memory; once that is full nothing is taken until half of it is free, so
#: that what is lost is one piece and not many.
QUEUE_LIMIT = 8 * 1024 * 1024
#: A piece costs this beside its bytes (measured: a tuple, a float, a bytearray, a place in a list).
_ENTRY_COST = 160
#: What is shown within so many seconds is one piece: no screen is drawn more often, and each line has its price.
TOGETHER_S = 0.005
#: Written in one turn of a loop: a fifth of a millisecond, in which no key waits and no connection's buffer fills.
TURN_SIZE = 32 * 1024
#: So long a key and its echo wait for company, in seconds. Who kills this process loses no more than that, but in a
#: flood, of which as much as the queue holds may wait.
GATHERING_S = 0.1
#: At the end of a session a pipe is waited for no longer than this, however slowly it is emptied.
_DRAIN_S = 5.0
#: Of a terminal whose size nobody knows.
_NO_SIZE = (24, 80)
#: No line of a recording comes near it; what has such a line is something else.
LINE_LIMIT = 16 * 1024 * 1024


class Recording:
    """Keep a session in a file.

    Args:
        target: a path, or an object with `write` that takes text or bytes.
        keeps_input: also keep what is typed, passwords included.
        force: write over a file that exists.
        clock: the loop's, in seconds.

    Raises:
        DockerptyError: the file exists.
    """

    def __init__(
        self,
        target: Any,
        *,
        keeps_input: bool = False,
        force: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keeps_input = keeps_input
        self.name = os.fsdecode(target) if isinstance(target, (str, bytes, os.PathLike)) else ""
        self._target = target
        self._force = force
        self._clock = clock
        self._stream: Stream | None = None
        self._encoder = Encoder(cooked=False)
        self._queue: list[tuple[str, float, bytearray]] = []
        self._queued = 0
        self._due: float | None = None
        self._began: float | None = None
        self._size = _NO_SIZE
        self._is_file = self._is_new = False
        self._close_until: float | None = None
        # How long the file is with all that was given to it, and how long it is known to be with whole lines.
        self._given = self._whole = 0
        self._lost = self._lost_in_all = 0
        self._failure = ""
        if self.name and not force:
            self._refuse_existing()

    # A session: opened before anything is started, begun with its first moment, and closed ----------------------------

    def open(self) -> None:
        """Open the file. One that was closed goes on where it ended; if it cannot, the session goes on without it.

        Raises:
            DockerptyError: it exists, or cannot be written.
        """
        self._close_until = None
        if not self.name:
            self._stream = Stream(_Object(self._target))
            return
        try:
            fd = self._opened()
        except OSError as error:
            reason = "nobody reads this pipe" if error.errno == errno.ENXIO else os.strerror(error.errno or 0)
            if self._began is None:
                raise DockerptyError("record to", self.name, reason) from error
            self._fail(reason)
            return
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        if self._is_file and self._began is not None:
            self._given = self._whole = os.lseek(fd, 0, os.SEEK_END)
        self._stream = Stream(fd)

    def _opened(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            fd = os.open(self.name, flags | os.O_EXCL, 0o600)
        except FileExistsError:
            if self._began is None and not self._force:
                self._refuse_existing()
            return os.open(self.name, flags, 0o600)
        self._is_new = True
        return fd

    def begin(
        self,
        size: tuple[int, int] | None,
        *,
        has_terminal: bool,
        command: Sequence[str] = (),
        title: str = "",
    ) -> None:
        """Write down what is known of the session at its first moment.

        Args:
            size: `(rows, cols)`, None where there is no terminal.
            has_terminal: a process without one ends its lines with a newline alone.
        """
        if self._began is not None:
            self.resize(*(size or self._size))
            return
        self._encoder = Encoder(cooked=not has_terminal)
        self._size = size or _NO_SIZE
        self._began = self._clock()
        variables = {name: os.environ[name] for name in ("TERM", "SHELL") if os.environ.get(name)}
        if self._is_file and self._stream is not None:
            # Not before there is a session: one that never began costs nobody an older recording.
            self._guarded(_take_over, self._stream.fileno())
        self._write(header(self._size, time.time(), command, title, variables))

    def close(self) -> str:
        """Write what waits and close the file; one that was never begun is removed. A second call does nothing.

        Returns:
            What the user should know: that something is missing; nothing if all is there.
        """
        if self._stream is None and not self._failure:
            return ""
        self._note_the_lost()
        while self._queue and not self._failure:
            self._write_next()
            self._drain()
        if not self._failure and self._began is not None:
            self._write(self._encoder.end(self._now()))
            self._drain()
        if self._stream is not None:
            self._guarded(self._stream.abandon)
            self._stream = None
            if self._began is None and self._is_new:
                from contextlib import suppress

                with suppress(
                    OSError
                ):  # somebody was faster, or an empty file stays: why nothing began matters more
                    os.unlink(self.name)
        what = f"the recording {self.name}".rstrip()
        failure, self._failure = self._failure, ""
        lost, self._lost_in_all = self._lost_in_all, 0
        if failure:
            return f"{what} ends before the session did: {failure}"
        if lost:
            return f"{what} lacks {lost} bytes, which came faster than it could be written"
        return ""

    # What passes by ---------------------------------------------------------------------------------------------------

    def output(self, piece: bytes | memoryview) -> None:
        """Take what the user was shown."""
        self._take(OUTPUT, piece)

    def input(self, piece: bytes | memoryview) -> None:
        """Take what was typed."""
        self._take(INPUT, piece)

    def resize(self, rows: int, cols: int) -> None:
        """Take the terminal's new size."""
        if (rows, cols) != self._size:
            self._size = rows, cols
            # Never lost, however much waits: all that comes after it would be shown in the wrong width.
            if self._stream is not None and not self._failure:
                self._append(RESIZE, b"%dx%d" % (cols, rows))

    def _take(self, code: str, piece: bytes | memoryview) -> None:
        if self._stream is None or self._failure:
            return
        if self._queued > (QUEUE_LIMIT // 2 if self._lost else QUEUE_LIMIT):
            self._lost += len(piece)
            return
        self._note_the_lost()
        self._append(code, piece)

    def _note_the_lost(self) -> None:
        if self._lost:
            self._append(MARKER, b"%d bytes lost" % self._lost)
            self._lost_in_all += self._lost
            self._lost = 0

    def _append(self, code: str, data: memoryview | bytes) -> None:
        now = self._now()
        self._queued += len(data)
        if self._queue and code == OUTPUT:
            last, at, shown = self._queue[-1]
            if last == OUTPUT and 0 <= now - at < TOGETHER_S and len(shown) < TURN_SIZE:
                shown += data
                return
        self._queue.append((code, now, bytearray(data)))
        self._queued += _ENTRY_COST
        if self._due is None:
            self._due = self._clock() + GATHERING_S

    def _now(self) -> float:
        return self._clock() - (self._began or 0.0)

    # What a loop asks -------------------------------------------------------------------------------------------------

    def interest(self) -> list[tuple[int, int]]:
        """A file that does not take all at once is a pipe."""
        stream = self._stream
        if stream is None or not stream.needs_write():
            return []
        return [(stream.fileno(), select.POLLOUT)]

    def busy(self) -> bool:
        """Say whether so much waits that a turn is worth it."""
        return self._queued >= TURN_SIZE and self._stream is not None and not self._stream.needs_write()

    def deadline(self) -> float | None:
        """Say when the little that waits is to be written, too."""
        return None if self._stream is None or self._stream.needs_write() else self._due

    def serve(self, ready: dict[int, int]) -> None:
        """Write a turn's part of what waits."""
        if self._stream is not None and self._stream.needs_write():
            self._guarded(self._stream.do_write)
        elif self._queue:
            self._write_next()

    def _write_next(self) -> None:
        # As much as fits a turn: many keys at once, or a part of a large piece.
        lines = []
        size = done = 0
        while done < len(self._queue) and size < TURN_SIZE:
            code, at, data = self._queue[done]
            part = data[:TURN_SIZE]
            size += len(part)
            del data[:TURN_SIZE]
            if not data:
                size += _ENTRY_COST
                done += 1
            lines.append(self._encoder.line(at, code, part))
        del self._queue[:done]
        if not self._queue:
            self._due = None
        self._queued -= size
        self._write(b"".join(lines))

    def _write(self, lines: bytes) -> None:
        stream = self._stream
        if stream is not None and lines:
            self._given += len(lines)
            self._guarded(stream.write, lines)

    def _drain(self) -> None:
        until = self._close_until = self._close_until or time.monotonic() + _DRAIN_S
        while self._stream is not None and self._stream.needs_write() and not self._failure:
            poll = select.poll()
            poll.register(self._stream.fileno(), select.POLLOUT)
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                self._fail("its reader takes no more")
                return
            self._guarded(self._stream.do_write)

    def _guarded(self, action: Callable[..., Any], *arguments: Any) -> None:
        try:
            action(*arguments)
        except DockerptyError as error:
            self._fail(error.reason)
        except (OSError, ValueError) as error:  # ValueError: a file object that was closed
            self._fail(os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error))
        if self._stream is not None and not self._stream.needs_write():
            self._whole = self._given

    def _fail(self, reason: str) -> None:
        """The session goes on without a recording; what was kept ends with a whole line."""
        from contextlib import suppress

        self._failure = reason
        self._due = None
        self._queue.clear()
        self._queued = 0
        stream, self._stream = self._stream, None
        if stream is not None:
            # What fails here is of the same disk, and told of already; a line that is cut can be read all the same.
            with suppress(OSError):
                if self._is_file:
                    os.ftruncate(stream.fileno(), self._whole)
            with suppress(OSError):  # the first error is told
                stream.abandon()

    def _is_no_file(self) -> bool:
        """A pipe or a device has nothing that could be written over."""
        try:
            return not stat.S_ISREG(os.stat(self.name).st_mode)
        except OSError:
            return False

    def _refuse_existing(self) -> None:
        if os.path.lexists(self.name) and not self._is_no_file():
            raise DockerptyError(
                "record to", self.name, "it exists", "name another file, or write over it with --force"
            )


def _take_over(fd: int) -> None:
    os.fchmod(fd, 0o600)  # one that is written over may have been readable for all
    os.ftruncate(fd, 0)


class _Object(ObjectOutput):
    """A caller's object with `write`. What it has of lines is passed on at once; to close it is the caller's affair."""

    def send(self, data: Any) -> int:
        count = super().send(data)
        if hasattr(self._target, "flush"):
            self._target.flush()
        return count

    def close(self) -> None:
        """It is the caller's."""


class Encoder:
    """Lines of an asciicast from bytes, however these are cut.

    Args:
        cooked: make CR LF of each newline of output, as a terminal shows it.
    """

    def __init__(self, *, cooked: bool) -> None:
        import codecs

        new: Any = codecs.getincrementaldecoder("utf-8")
        self._decoders = {code: new("replace") for code in (OUTPUT, INPUT)}
        self._cooked = cooked
        self._last = 0.0
        self._text = json.JSONEncoder(ensure_ascii=False).encode
        self._ascii = json.JSONEncoder().encode

    def line(self, at: float, code: str, data: bytes | bytearray) -> bytes:
        """Return the line of an event; nothing while a character is not complete.

        Args:
            at: seconds since the beginning; never less than before in the file, whatever is given.
        """
        decoder = self._decoders.get(code)
        return self._line(at, code, str(data, "utf-8") if decoder is None else decoder.decode(data))

    def end(self, at: float) -> bytes:
        """Return the lines of what never became complete."""
        return b"".join(self._line(at, code, each.decode(b"", True)) for code, each in self._decoders.items())

    def _line(self, at: float, code: str, text: str) -> bytes:
        if not text:
            return b""
        if code == OUTPUT and self._cooked:
            text = text.replace("\n", "\r\n")
        self._last = max(self._last, at)
        # Of the same text json's writer of ASCII makes the same, in half the time.
        told = self._ascii(text) if text.isascii() else self._text(text)
        return f'[{self._last:.6f}, "{code}", {told}]\n'.encode()


def header(
    size: tuple[int, int], now: float, command: Sequence[str], title: str, variables: dict[str, str]
) -> bytes:
    """Return the first line of a recording; `size` is `(rows, cols)`, `now` in seconds since the epoch."""
    import shlex

    rows, cols = size
    fields: dict[str, Any] = {"version": 2, "width": cols, "height": rows, "timestamp": int(now)}
    if command:
        fields["command"] = shlex.join(command)
    if title:
        fields["title"] = title
    if variables:
        fields["env"] = variables
    # A variable may have bytes that are no text, which no other reader could take.
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


# Reading --------------------------------------------------------------------------------------------------------------


class Cast:
    """A recording that is read.

    Attributes:
        version: 2 or 3.
        size: `(rows, cols)` at its beginning.
        title, command: texts, empty where it has none.
        idle_limit: the longest pause that whoever made it wants to see, in seconds; None for no limit.
    """

    def __init__(self, source: IO[bytes], name: str) -> None:
        self._source = source
        self._name = name
        self._number = 0
        fields = self._header()
        self.version: int = fields["version"]
        term = fields.get("term") if self.version == 3 else None
        where = (term or {}) if self.version == 3 else fields
        names = ("rows", "cols") if self.version == 3 else ("height", "width")
        rows, cols = (where.get(each) if isinstance(where, dict) else None for each in names)
        if not (_is_count(rows) and _is_count(cols)):
            raise self._error("its first line says no size")
        self.size: tuple[int, int] = (rows, cols)  # type: ignore[assignment]  # both are whole numbers
        self.title = _text_of(fields.get("title"))
        self.command = _text_of(fields.get("command"))
        limit: Any = fields.get("idle_time_limit")
        self.idle_limit: float | None = float(limit) if _is_seconds(limit) and limit > 0 else None

    def events(self) -> Iterator[tuple[float, str, str]]:
        """Give `(seconds since the beginning, code, data)`, in memory for one line at a time.

        The last line may be cut, as that of a recording whose maker was killed.

        Raises:
            DockerptyError: a line is no event.
        """
        now = 0.0
        while (line := self._line()) is not None:
            if not line.strip() or (self.version == 3 and line.startswith(b"#")):
                continue
            event = _parsed(line)
            if not _is_event(event):
                if not line.endswith(b"\n"):
                    return
                raise self._error(f"line {self._number} is no event")
            at, code, data = event[0], event[1], event[2]
            now = now + at if self.version == 3 else max(now, at)
            yield now, code, data

    def _header(self) -> dict[str, Any]:
        line = self._line()
        if line is None:
            raise self._error("it is empty")
        fields = _parsed(line)
        if not isinstance(fields, dict) or "version" not in fields:
            raise self._error("its first line is not that of an asciicast")
        if fields["version"] not in (2, 3) or isinstance(fields["version"], (bool, float)):
            version = json.dumps(fields["version"])[:20]
            raise self._error(f"it has version {version} of asciicast; 2 and 3 are understood")
        return fields

    def _line(self) -> bytes | None:
        line = self._source.readline(LINE_LIMIT + 1)
        self._number += 1
        if len(line) > LINE_LIMIT:
            raise self._error(f"line {self._number} has more than {LINE_LIMIT} bytes")
        return line or None

    def _error(self, reason: str) -> DockerptyError:
        return DockerptyError("read the recording", self._name, reason)


def schedule(cast: Cast, speed: float = 1.0, idle_limit: float | None = None) -> Iterator[tuple[float, str]]:
    """Give `(seconds since the beginning of the replay, output)`.

    Args:
        speed: so many times as fast.
        idle_limit: seconds of the recording, the longest pause; None is that of the recording itself, if it has one.
    """
    limit = cast.idle_limit if idle_limit is None else idle_limit
    at = before = 0.0
    for now, code, data in cast.events():
        pause, before = now - before, now
        at += (pause if limit is None else min(pause, limit)) / speed
        if code == OUTPUT:
            yield at, data


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_event(event: Any) -> bool:
    return (
        isinstance(event, list)
        and len(event) >= 3
        and _is_seconds(event[0])
        and isinstance(event[1], str)
        and isinstance(event[2], str)
    )


def _is_seconds(value: Any) -> bool:
    # Not NaN, which compares to nothing, nor infinity.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65535


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""
