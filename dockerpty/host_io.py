"""The caller's stdin, stdout and stderr, read and written without waiting and without touching their flags.

O_NONBLOCK belongs to the open file description, which the caller shares with its shell and with every other writer of
the terminal; it would also survive our being killed. So nothing here sets a flag on a descriptor that was handed to us.
A terminal or a pipe is opened anew (`/proc/self/fd/N` gives a description of our own), a socket is used with
MSG_DONTWAIT, a regular file never makes anybody wait, and for what is left there is a thread behind a pipe.

Each class here is what a `dockerpty.io.Stream` stands on. `close` closes what is ours and never what is the caller's.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import time

from dockerpty.errors import DockerptyError
from dockerpty.io import BROKEN, READ_SIZE, Stream
from dockerpty.tty import descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

#: /dev/ptmx, the controlling side of every pseudo-terminal: to open it again makes another one.
_PTMX = os.makedev(5, 2) if hasattr(os, "makedev") else None

#: A write above what a pipe holds makes both its sides take turns: read no more than this at once for it.
PIPE_READ_SIZE = 32768
# A terminal that has taken nothing for so long is stopped, and keeps nobody waiting any more.
_STUCK_S = 2.0
# As much as a slow one takes within that time.
_THREAD_PIECE = 1024


def open_input(source: Any) -> Stream | None:
    """Return a stream that reads what the caller gave as stdin, or None if it gives no input (None, or closed).

    Args:
        source: a descriptor's number, a file object, or an object with only `read`.
    """
    if source is None or getattr(source, "closed", False):
        return None
    fd = descriptor(source)
    if fd is None:
        return None if _has_number(source) or not hasattr(source, "read") else Stream(ThreadInput(source))
    ahead = _read_ahead(source, fd)
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode) and _default_timeout() is None:
        return Stream(SocketInput(fd, ahead))
    own = _reopen(fd, mode, os.O_RDONLY)
    if own is not None:
        return Stream(DescriptorInput(own, True, ahead, asks=False))
    may_wait = not (stat.S_ISREG(mode) or stat.S_ISBLK(mode))
    return Stream(DescriptorInput(fd, False, ahead, asks=may_wait))


def open_output(target: Any, what: str, *, may_be_closed: bool = False) -> Stream:
    """Return a stream that writes to what the caller gave as stdout or stderr.

    Args:
        target: a descriptor's number, a file object, or an object with only `write`.
        what: its name in messages.
        may_be_closed: drop what comes for a target that is None or closed; else the first byte is an error.
    """
    fd = None if getattr(target, "closed", False) else descriptor(target)
    if fd is None:
        usable = hasattr(target, "write") and not getattr(target, "closed", False)
        if usable and not _has_number(target):
            return Stream(ObjectOutput(target))
        return Stream(DroppedOutput() if may_be_closed else ClosedOutput(what))
    mode = os.fstat(fd).st_mode
    try:
        flush(target)
        if stat.S_ISSOCK(mode) and _default_timeout() is None:
            return Stream(SocketOutput(fd, what))
        own = _reopen(fd, mode, os.O_WRONLY)
    except BrokenPipeError:
        return Stream(BrokenOutput())
    except OSError as error:
        raise DockerptyError("write to", what, os.strerror(error.errno or 0)) from error
    if own is not None:
        return Stream(DescriptorOutput(own, True, stat.S_ISFIFO(mode), what))
    if _never_waits(fd, mode):
        return Stream(DescriptorOutput(fd, False, False, what))
    return Stream(ThreadOutput(fd))


def unless_closed(place: Any) -> Any:
    """Return what the caller gave, or None if it stands on a descriptor that is closed.

    To be asked before anything is opened: the next that is would have the closed one's number.
    """
    closed = getattr(place, "closed", False) or (_has_number(place) and descriptor(place) is None)
    return None if closed else place


def may_need_thread(place: Any, mode: int) -> bool:
    """Say whether what the caller gave may have to be served by a thread, since it cannot be opened anew.

    Args:
        place: as for `open_input` and `open_output`.
        mode: `os.R_OK` or `os.W_OK`.
    """
    fd = descriptor(place)
    return fd is None or not os.access(f"/proc/self/fd/{fd}", mode)


def flush(target: Any) -> None:
    """Write out what the caller's file object still holds: what the caller has written comes first."""
    if hasattr(target, "flush"):
        target.flush()


def same_target(one: Any, other: Any) -> bool:
    """Say whether two outputs are one place, so that one writer has to keep their order."""
    if one is other:
        return one is not None and not getattr(one, "closed", False)
    first, second = descriptor(one), descriptor(other)
    if first is None or second is None:
        return False
    a, b = os.fstat(first), os.fstat(second)
    # Two descriptions of one regular file have two positions; they never make us wait, so their order is kept anyhow.
    return not stat.S_ISREG(a.st_mode) and (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


class DescriptorInput:
    """A terminal, pipe or file. One that is not ours may have to be asked first, so that reading it does not wait."""

    def __init__(self, fd: int, own: bool, ahead: bytes = b"", *, asks: bool) -> None:
        self._fd = fd
        self._own = own
        self._asks = asks
        self._ahead = ahead
        # Asked now: of one that is gone the system says that it is none.
        self._is_terminal = os.isatty(fd)

    def fileno(self) -> int:
        return self._fd

    def pending(self) -> bool:
        return bool(self._ahead)

    def recv_into(self, buffer: memoryview) -> int:
        if self._ahead:
            return self._take_ahead(buffer)
        if self._asks and not _readable(self._fd):
            raise BlockingIOError(errno.EWOULDBLOCK, "nothing to read now")
        try:
            return self._read(buffer)
        except OSError as error:
            # EIO is a terminal that is gone, which the session tells apart; of a disk it is a fault.
            is_end = error.errno == errno.EIO and self._is_terminal
            if is_end or error.errno in (errno.EAGAIN, errno.EINTR):
                raise
            raise DockerptyError("read", "stdin", os.strerror(error.errno or 0)) from error

    def _read(self, buffer: memoryview) -> int:
        return os.readv(self._fd, [buffer])

    def direct_read(self) -> Callable[[memoryview], int | None] | None:
        """Return the system's own way to read, where that is all there is; it gives None where nothing has come."""
        if self._ahead or self._asks or type(self) is not DescriptorInput:
            return None
        return io.FileIO(self._fd, closefd=False).readinto

    def _take_ahead(self, buffer: memoryview) -> int:
        part, self._ahead = self._ahead[: len(buffer)], self._ahead[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if self._own:
            os.close(self._fd)


class SocketInput(DescriptorInput):
    """A socket cannot be opened anew (ENXIO), but each call can be told not to wait."""

    def __init__(self, fd: int, ahead: bytes = b"") -> None:
        import socket

        self._socket = socket.socket(fileno=os.dup(fd))
        super().__init__(self._socket.fileno(), False, ahead, asks=False)
        self._flags = socket.MSG_DONTWAIT

    def _read(self, buffer: memoryview) -> int:
        return self._socket.recv_into(buffer, 0, self._flags)

    def close(self) -> None:
        self._socket.close()


class ThreadInput:
    """An object that can only be read: a thread reads it and writes to a pipe, which we poll."""

    def __init__(self, source: Any) -> None:
        import threading

        self._source = source
        self._fd, self._write_fd = os.pipe()
        os.set_blocking(self._fd, False)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="dockerpty-input", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._fd

    def recv_into(self, buffer: memoryview) -> int:
        n = os.readv(self._fd, [buffer])
        if n == 0 and self._error is not None:
            raise DockerptyError("read", "stdin", str(self._error)) from self._error
        return n

    def close(self) -> None:
        # A thread that waits inside the object's own read cannot be called back: it ends at its next byte (EPIPE).
        os.close(self._fd)
        self._thread.join(0.2)

    def _run(self) -> None:
        try:
            while data := self._read():
                _write_all(self._write_fd, data)
        except BrokenPipeError:
            pass  # the session is over
        except Exception as error:  # noqa: BLE001  # whatever the caller's object raises belongs to the session's thread
            self._error = error
        finally:
            os.close(self._write_fd)

    def _read(self) -> bytes:
        source = self._source
        if hasattr(source, "read1"):
            data = source.read1(READ_SIZE)
        elif hasattr(source, "readline"):
            data = source.readline()  # an interactive object gives a line as soon as there is one
        else:
            data = source.read(READ_SIZE)
        return data.encode() if isinstance(data, str) else bytes(data or b"")


class DescriptorOutput:
    """A terminal or pipe of our own description, or a file that never makes us wait."""

    def __init__(self, fd: int, own: bool, is_pipe: bool, what: str) -> None:
        self._fd = fd
        self._own = own
        self._what = what
        self.read_size = PIPE_READ_SIZE if is_pipe else READ_SIZE
        # What a poll for nothing tells of it: a pipe nobody reads any more, a terminal that is gone.
        self.tells_its_end = own
        self.is_terminal = own and not is_pipe

    def fileno(self) -> int:
        return self._fd

    def send(self, data: Any) -> int:
        try:
            return os.write(self._fd, data)
        except OSError as error:
            # EIO (the terminal is gone) and EPIPE are ends, which the session tells apart; EIO of a disk is a fault.
            is_end = error.errno == errno.EPIPE or (error.errno == errno.EIO and self.is_terminal)
            if is_end or error.errno in (errno.EAGAIN, errno.EINTR):
                raise
            raise DockerptyError("write to", self._what, os.strerror(error.errno or 0)) from error

    def direct_write(self) -> tuple[Callable[[memoryview], int | None]]:
        """Return the system's own way to write. It gives None where there is no room."""
        return (io.FileIO(self._fd, "wb", closefd=False).write,)

    def close(self) -> None:
        if self._own:
            os.close(self._fd)


class SocketOutput:
    """A socket, told with each call not to wait."""

    tells_its_end = True
    is_terminal = False
    read_size = READ_SIZE

    def __init__(self, fd: int, what: str) -> None:
        import socket

        self._socket = socket.socket(fileno=os.dup(fd))
        self._what = what
        self._flags = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: Any) -> int:
        try:
            return self._socket.send(data, self._flags)
        except OSError as error:
            # That the other end takes no more is an end like that of a pipe.
            if error.errno in (errno.EAGAIN, errno.EINTR, *BROKEN):
                raise
            raise DockerptyError("write to", self._what, os.strerror(error.errno or 0)) from error

    def close(self) -> None:
        self._socket.close()


class ThreadOutput:
    """A descriptor that could not be opened anew (another user's terminal): a thread writes what comes by a pipe."""

    tells_its_end = True
    read_size = PIPE_READ_SIZE

    def __init__(self, target: int) -> None:
        import threading

        self._target = target
        self.is_terminal = os.isatty(target)
        self._given = self._written = 0
        self._broken = self._stuck = False
        self._read_fd, self._fd = os.pipe()
        os.set_blocking(self._fd, False)
        self._thread: threading.Thread = threading.Thread(
            target=self._run, name="dockerpty-output", daemon=True
        )
        self._thread.start()

    def fileno(self) -> int:
        return self._fd

    def send(self, data: Any) -> int:
        count = os.write(self._fd, data)
        self._given += count
        return count

    def settle(self) -> bool:
        """Wait for the thread, while its target takes anything; say whether all is written."""
        seen, until = -1, 0.0
        while not self._broken and (written := self._written) != self._given:
            now = time.monotonic()
            if written != seen:
                seen, until = written, now + _STUCK_S
            elif now >= until:
                self._stuck = True
                return False
            time.sleep(0.002)
        return not self._broken

    def drain(self) -> None:
        """Wait until all is written. Raises BrokenPipeError if nobody takes it any more."""
        self._end()
        self._thread.join()
        if self._broken:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def close(self) -> None:
        # The thread writes what the pipe still holds; a stopped terminal would keep it, and must not keep us.
        self._end()
        self._thread.join(0.0 if self._stuck else _STUCK_S)

    def _end(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _run(self) -> None:
        try:
            while data := os.read(self._read_fd, _THREAD_PIECE if self.is_terminal else READ_SIZE):
                _write_all(self._target, data)
                self._written += len(data)
        except OSError:
            self._broken = True  # closing the pipe tells our side as well: its next write is EPIPE
        finally:
            os.close(self._read_fd)


class ObjectOutput:
    """An object with only `write`: bytes, or text decoded as it comes (UTF-8, what is invalid replaced)."""

    tells_its_end = False
    is_terminal = False
    read_size = READ_SIZE

    def __init__(self, target: Any) -> None:
        self._target = target
        self._is_raw = isinstance(target, io.RawIOBase)
        self._decoder: Any = None
        if _is_text(target):
            import codecs

            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def fileno(self) -> int:
        raise OSError(errno.EBADF, "this object has no descriptor")

    def send(self, data: Any) -> int:
        raw = bytes(data)
        if self._decoder is not None:
            self._target.write(self._decoder.decode(raw))
        elif not self._is_raw:
            self._target.write(raw)
        else:
            # A raw file may take a part; there is nothing to poll for the rest.
            left = raw
            while left and (taken := self._target.write(left)) is not None:
                left = left[taken:]
            if left:
                raise DockerptyError("write to", repr(self._target), "it takes nothing now")
        return len(raw)

    def close(self) -> None:
        if self._decoder is not None and (rest := self._decoder.decode(b"", True)):
            self._target.write(rest)
        if hasattr(self._target, "flush"):
            self._target.flush()


class ClosedOutput:
    """No output was given: the first byte for it is an error, since silence would lose it."""

    tells_its_end = False
    is_terminal = False
    read_size = READ_SIZE

    def __init__(self, what: str) -> None:
        self._what = what

    def fileno(self) -> int:
        raise OSError(errno.EBADF, f"{self._what} is closed")

    def send(self, data: Any) -> int:
        raise DockerptyError(
            "write to", self._what, "it is closed", "redirect it to /dev/null to drop the output"
        )

    def close(self) -> None:
        """Nothing is open."""


class DroppedOutput(ClosedOutput):
    """No stderr was given: what comes for it is dropped, as by any program without one."""

    def __init__(self) -> None:
        super().__init__("stderr")

    def send(self, data: Any) -> int:
        return len(data)


class BrokenOutput(ClosedOutput):
    """A pipe whose reader had gone before we came."""

    def __init__(self) -> None:
        super().__init__("the pipe")

    def send(self, data: Any) -> int:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class NoInput:
    """A stdin that is closed: its end comes at once."""

    def __init__(self) -> None:
        self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def recv_into(self, buffer: memoryview) -> int:
        return 0

    def close(self) -> None:
        os.close(self._fd)


def _reopen(fd: int, mode: int, access: int) -> int | None:
    """Open a terminal or pipe anew, with an O_NONBLOCK that is ours alone; None where that cannot be had.

    Raises:
        BrokenPipeError: a pipe to write to, which nobody reads.
    """
    if not (stat.S_ISFIFO(mode) or os.isatty(fd)) or os.fstat(fd).st_rdev == _PTMX:
        return None
    path = f"/proc/self/fd/{fd}"
    try:
        if not os.path.exists(path):
            if not os.isatty(fd):
                return None
            path = os.ttyname(fd)
        return os.open(path, access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(mode):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        return None


def _never_waits(fd: int, mode: int) -> bool:
    return stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(fd)) or stat.S_ISBLK(mode)


def _has_number(target: Any) -> bool:
    """Say whether it stands on a descriptor, open or not."""
    try:
        return isinstance(target if isinstance(target, int) else target.fileno(), int)
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both of the last two
        return False


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _read_ahead(source: Any, fd: int) -> bytes:
    """Take what a buffered reader (`sys.stdin.buffer`) has read from the descriptor already and not given out.

    `peek` hands out what the reader holds, but reads the descriptor if it holds nothing, which may wait, or swallow an
    end of input. So the raw file below says for that one call that it has nothing now.
    """
    reader = getattr(source, "buffer", source)
    if not (hasattr(reader, "peek") and hasattr(reader, "read")):
        return b""
    raw = getattr(reader, "raw", None)
    try:
        raw.readinto = _nothing_now  # type: ignore[union-attr]  # a FileIO or SocketIO has room for it
    except AttributeError:
        held = reader.peek() if _readable(fd) else b""
    else:
        try:
            held = reader.peek()
        finally:
            del raw.readinto  # type: ignore[union-attr]  # it is there: we have just set it
    return bytes(reader.read(len(held))) if held else b""


def _nothing_now(buffer: memoryview) -> None:
    """Answer as a raw file does that would have to wait."""


def _default_timeout() -> float | None:
    """socket.socket() would set O_NONBLOCK on the shared description if the program has set a default time-out."""
    import socket

    return socket.getdefaulttimeout()


def _is_text(target: Any) -> bool:
    if isinstance(target, (io.RawIOBase, io.BufferedIOBase)):
        return False
    return isinstance(target, io.TextIOBase) or hasattr(target, "encoding") or hasattr(target, "newlines")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody else has made it non-blocking
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
