from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import pty
import socket
import sys
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dockerpty import host_io
from dockerpty.errors import DockerptyError
from dockerpty.host_io import (
    BrokenOutput,
    ClosedOutput,
    DescriptorInput,
    DescriptorOutput,
    ObjectOutput,
    SocketInput,
    SocketOutput,
    ThreadInput,
    ThreadOutput,
    open_input,
    open_output,
    same_target,
)
from dockerpty.io import Stream, select
from tests.bed.waiting import wait_for


class Ends(NamedTuple):
    """Two connected ends: what one writes the other reads."""

    reading: int
    writing: int


def pipe_ends() -> Ends:
    return Ends(*os.pipe())


def pty_ends() -> Ends:
    """The terminal is the reading end; raw, so that what is written is what is read."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    return Ends(slave, master)


def pty_output_ends() -> Ends:
    master, slave = pty.openpty()
    tty.setraw(slave)
    return Ends(master, slave)


def socket_ends() -> Ends:
    near, far = socket.socketpair()
    return Ends(near.detach(), far.detach())


INPUTS = [pipe_ends, pty_ends, socket_ends]
OUTPUTS = [pipe_ends, pty_output_ends, socket_ends]


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    make: Callable[[], Ends] = getattr(request, "param", pipe_ends)
    ends = make()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(fd)


@pytest.fixture
def no_reopening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to open a descriptor anew: as for another user's terminal."""
    really_open = os.open

    def refuse(path: Any, *arguments: Any, **keywords: Any) -> int:
        if str(path).startswith(("/proc/self/fd/", "/dev/pts/", "/dev/tty")):
            raise PermissionError(errno.EACCES, "refused")
        return really_open(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)


def flags(*fds: int) -> list[int]:
    return [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]


def received(stream: Stream, n: int = 65536) -> bytes:
    """Wait for what comes next."""
    assert select([stream], [], timeout=10)[0], "nothing came"
    buffer = memoryview(bytearray(n))
    return bytes(buffer[: stream.read_into(buffer)])


def all_of(stream: Stream) -> bytes:
    data = b""
    while piece := received(stream):
        data += piece
    return data


def opened(source: Any) -> Stream:
    stream = open_input(source)
    assert stream is not None
    return stream


def finish(stream: Stream) -> None:
    while stream.needs_write():
        select([], [stream], timeout=10)
        stream.do_write()
    stream.close()


# Input -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", INPUTS, indirect=True)
@pytest.mark.parametrize("mode", ["reopened", "refused"])
def test_an_input_never_waits_and_its_flags_never_change(
    ends: Ends, mode: str, request: pytest.FixtureRequest
) -> None:
    if mode == "refused":
        request.getfixturevalue("no_reopening")
    before = flags(*ends)
    stream = opened(ends.reading)
    assert flags(*ends) == before
    with pytest.raises(BlockingIOError):
        stream.read_into(memoryview(bytearray(10)))
    os.write(ends.writing, b"hello")
    assert received(stream) == b"hello"
    with pytest.raises(BlockingIOError):
        stream.read()
    assert flags(*ends) == before
    stream.close()
    assert flags(*ends) == before


@pytest.mark.parametrize("ends", [pipe_ends, socket_ends], indirect=True)
def test_the_end_of_an_input_is_seen(ends: Ends) -> None:
    stream = opened(ends.reading)
    os.write(ends.writing, b"last")
    os.close(ends.writing)
    assert all_of(stream) == b"last"
    stream.close()


def test_a_pipe_and_a_terminal_are_opened_anew_and_a_socket_is_not() -> None:
    for make in INPUTS:
        pair = make()
        stream = opened(pair.reading)
        if make is socket_ends:
            assert isinstance(stream.fd, SocketInput)
        else:
            assert isinstance(stream.fd, DescriptorInput)
            assert not os.get_blocking(stream.fileno())
            assert os.get_blocking(pair.reading)
        assert stream.fileno() != pair.reading
        stream.close()
        for fd in pair:
            os.fstat(fd)  # the caller's are still open
            os.close(fd)


def test_a_pipe_that_cannot_be_opened_anew_is_asked_before_each_read(ends: Ends, no_reopening: None) -> None:
    stream = opened(ends.reading)
    assert stream.fileno() == ends.reading
    with pytest.raises(BlockingIOError):
        stream.read_into(memoryview(bytearray(10)))
    stream.close()
    os.fstat(ends.reading)


@pytest.mark.parametrize("ends", [pipe_ends], indirect=True)
def test_what_may_have_to_be_asked_is_never_read_by_the_system_s_own_way(
    ends: Ends, no_reopening: None
) -> None:
    # A loop reads by that way until nothing comes: the second read of a blocking pipe would wait.
    blocking = opened(ends.reading)
    assert blocking.fd.direct_read() is None
    with Path(os.devnull).open("rb") as device, Path(__file__).open("rb", buffering=0) as file:
        assert opened(device).fd.direct_read() is None
        assert opened(file).fd.direct_read() is not None


@pytest.mark.parametrize("ends", [socket_ends], indirect=True)
def test_a_socket_keeps_its_flags_also_with_a_default_timeout(ends: Ends) -> None:
    before = flags(*ends)
    socket.setdefaulttimeout(30)
    try:
        stream, out = opened(ends.reading), open_output(ends.writing, "stdout")
        assert flags(*ends) == before
        assert out.write(b"over") == 4
        assert received(stream) == b"over"
        assert flags(*ends) == before
        stream.close()
        out.close()
    finally:
        socket.setdefaulttimeout(None)
    assert flags(*ends) == before


def test_a_regular_file_and_dev_null_are_read_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"x" * 100_000)
    with path.open("rb", buffering=0) as file:
        stream = opened(file)
        assert all_of(stream) == b"x" * 100_000
        stream.close()
        assert not file.closed
    with Path(os.devnull).open("rb") as file:
        stream = opened(file)
        assert received(stream) == b""
        stream.close()


@pytest.mark.parametrize("source", [None, 987654, -1])
def test_what_is_no_input_gives_none(source: Any) -> None:
    assert open_input(source) is None


def test_a_closed_file_gives_no_input() -> None:
    file = io.BytesIO(b"x")
    file.close()
    assert open_input(file) is None
    with Path(os.devnull).open("rb") as null:
        pass
    assert open_input(null) is None


def test_a_stdin_whose_descriptor_is_closed_gives_no_input(ends: Ends) -> None:
    source = open(ends.reading, "rb", closefd=False)  # noqa: SIM115  # as sys.stdin is made
    os.close(ends.reading)
    assert open_input(source) is None


def test_a_stdout_whose_descriptor_is_closed_is_closed(ends: Ends) -> None:
    target = open(ends.writing, "wb", closefd=False)  # noqa: SIM115  # as sys.stdout is made
    os.close(ends.writing)
    with pytest.raises(DockerptyError, match="it is closed"):
        open_output(target, "stdout").write(b"x")


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("text", [True, False])
def test_what_a_reader_has_read_ahead_comes_first(ends: Ends, own: bool, text: bool) -> None:
    fd = os.dup(ends.reading)
    reader: Any = open(fd, "rb", closefd=own)  # noqa: SIM115  # closed by the test
    holder: Any = io.TextIOWrapper(reader) if text else reader
    os.write(ends.writing, b"line\nahead ")
    assert reader.readline() == b"line\n"
    stream = opened(holder)
    assert select([stream], [], timeout=0) == ([stream], [])
    os.write(ends.writing, b"behind")
    assert received(stream, 3) == b"ahe"
    assert received(stream) == b"ad "
    assert received(stream) == b"behind"
    with pytest.raises(BlockingIOError):
        stream.read()
    stream.close()
    os.write(ends.writing, b"later\n")
    assert holder.readline() in ("later\n", b"later\n")
    holder.close()
    if not own:
        os.close(fd)


@pytest.mark.parametrize("own", [True, False])
def test_a_reader_that_holds_nothing_is_not_waited_for(ends: Ends, own: bool) -> None:
    fd = os.dup(ends.reading)
    with open(fd, "rb", closefd=own) as reader:
        stream = opened(reader)
        with pytest.raises(BlockingIOError):
            stream.read()
        os.write(ends.writing, b"x")
        assert received(stream) == b"x"
        stream.close()
        os.write(ends.writing, b"y\n")
        assert reader.readline() == b"y\n"
    if not own:
        os.close(fd)


def test_the_end_of_input_is_not_swallowed_by_looking_for_what_is_read_ahead(ends: Ends) -> None:
    os.close(ends.writing)
    with open(ends.reading, "rb", closefd=False) as reader:
        stream = opened(reader)
        assert received(stream) == b""
        stream.close()


def test_what_a_socket_file_has_read_ahead_comes_first() -> None:
    near, far = socket.socketpair()
    with near, far, near.makefile("rb") as reader:
        far.send(b"line\nahead")
        assert reader.readline() == b"line\n"
        stream = opened(reader)
        assert received(stream) == b"ahead"
        stream.close()


class OnlyReads:
    def __init__(self, pieces: list[Any]) -> None:
        self._pieces = pieces

    def read(self, n: int) -> Any:
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


@pytest.mark.parametrize(
    "source",
    [
        io.BytesIO(b"some bytes\nand more"),
        io.StringIO("some bytes\nand more"),
        io.TextIOWrapper(io.BytesIO(b"some bytes\nand more")),
        io.BufferedReader(io.BytesIO(b"some bytes\nand more")),
        OnlyReads([b"some bytes\n", b"and more"]),
        OnlyReads(["some bytes\n", "and more", None]),
    ],
    ids=lambda source: type(source).__name__,
)
def test_an_object_without_a_descriptor_is_read_by_a_thread(source: Any) -> None:
    stream = opened(source)
    assert isinstance(stream.fd, ThreadInput)
    assert all_of(stream) == b"some bytes\nand more"
    stream.close()


def test_an_error_of_the_callers_object_is_told_after_what_came_before() -> None:
    stream = opened(OnlyReads([b"before", ValueError("no more")]))
    assert received(stream) == b"before"
    select([stream], [], timeout=10)
    with pytest.raises(DockerptyError, match="cannot read stdin: no more") as caught:
        stream.read_into(memoryview(bytearray(10)))
    assert isinstance(caught.value.__cause__, ValueError)
    stream.close()


def test_closing_does_not_wait_for_an_object_that_gives_nothing() -> None:
    may_end = threading.Event()

    class Waits:
        def read(self, n: int) -> bytes:
            may_end.wait(10)
            return b"too late"

    stream = opened(Waits())
    with pytest.raises(BlockingIOError):
        stream.read_into(memoryview(bytearray(10)))
    stream.close()
    may_end.set()


def test_an_object_that_gives_for_ever_ends_with_the_session() -> None:
    stream = opened(OnlyReads([b"x" * 65536] * 1000))
    received(stream)
    stream.close()


# Output ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", OUTPUTS, indirect=True)
@pytest.mark.parametrize("mode", ["reopened", "refused"])
def test_an_output_arrives_and_the_flags_never_change(
    ends: Ends, mode: str, request: pytest.FixtureRequest
) -> None:
    if mode == "refused":
        request.getfixturevalue("no_reopening")
    before = flags(*ends)
    stream = open_output(ends.writing, "stdout")
    assert flags(*ends) == before
    assert stream.write(b"hello") == 5
    finish(stream)
    assert os.read(ends.reading, 100) == b"hello"
    assert flags(*ends) == before
    os.fstat(ends.writing)  # the caller's is still open


@pytest.mark.parametrize("ends", OUTPUTS, indirect=True)
@pytest.mark.parametrize("mode", ["reopened", "refused"])
def test_an_output_that_takes_nothing_makes_nobody_wait(
    ends: Ends, mode: str, request: pytest.FixtureRequest
) -> None:
    if mode == "refused":
        request.getfixturevalue("no_reopening")
    stream = open_output(ends.writing, "stdout")
    data = bytes(range(256)) * 2048
    stream.write(data)
    while stream.do_write():
        pass
    assert stream.needs_write()
    os.set_blocking(ends.reading, False)
    taken = bytearray()

    def take() -> bool:
        with contextlib.suppress(BlockingIOError):  # nothing now
            taken.extend(os.read(ends.reading, 65536))
        if stream.needs_write() and select([], [stream])[1]:
            stream.do_write()
        return len(taken) == len(data)

    wait_for(take, what="all of the output", pause=0)
    assert taken == data
    stream.close()


def test_who_is_about_to_change_a_terminal_can_wait_for_what_a_thread_writes_to_it(
    no_reopening: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_io, "_STUCK_S", 0.3)
    pair = pty_output_ends()
    stream = open_output(pair.writing, "stdout")
    for _ in range(100):
        stream.write(b"shown" * 100)
        assert stream.fd.settle()
        # It can be read without waiting: it has been written.
        assert len(os.read(pair.reading, 1000)) == 500
    # One that takes nothing is not waited for.
    stream.write(bytes(40_000))
    assert not stream.fd.settle()
    taken = 0
    while taken < 40_000:
        taken += len(os.read(pair.reading, 65536))
    assert stream.fd.settle()
    stream.close()
    for fd in pair:
        os.close(fd)


def test_what_stands_on_each_kind_of_output(no_reopening: None, tmp_path: Path) -> None:
    for make, kind, is_terminal in (
        (pipe_ends, ThreadOutput, False),
        (pty_output_ends, ThreadOutput, True),
        (socket_ends, SocketOutput, False),
    ):
        pair = make()
        stream = open_output(pair.writing, "stdout")
        assert isinstance(stream.fd, kind)
        assert stream.fd.is_terminal is is_terminal
        stream.close()
        for fd in pair:
            os.close(fd)
    with (tmp_path / "file").open("wb") as file, Path(os.devnull).open("wb") as null:
        for target in (file, null):
            stream = open_output(target, "stdout")
            assert isinstance(stream.fd, DescriptorOutput)
            assert stream.fileno() == target.fileno()
            stream.write(b"x")
            stream.close()
            assert not target.closed
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_pipe_is_given_less_at_once_than_it_holds(ends: Ends) -> None:
    stream = open_output(ends.writing, "stdout")
    assert stream.fd.read_size == 32768
    stream.close()


def test_the_controlling_side_of_a_terminal_is_not_opened_anew() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    out, typed = open_output(master, "stdout"), opened(master)
    out.write(b"to the slave")
    finish(out)
    assert os.read(slave, 100) == b"to the slave"
    with pytest.raises(BlockingIOError):
        typed.read_into(memoryview(bytearray(10)))
    os.write(slave, b"back")
    assert received(typed) == b"back"
    typed.close()
    os.close(master)
    os.close(slave)


def test_what_the_caller_wrote_before_comes_first(ends: Ends) -> None:
    with open(ends.writing, "w", closefd=False) as target:
        target.write("before ")
        stream = open_output(target, "stdout")
        stream.write(b"after")
        assert os.read(ends.reading, 100) == b"before after"
        stream.close()


@pytest.mark.parametrize("mode", ["reopened", "refused"])
def test_a_pipe_without_a_reader_is_broken(ends: Ends, mode: str, request: pytest.FixtureRequest) -> None:
    if mode == "refused":
        request.getfixturevalue("no_reopening")
    os.close(ends.reading)
    stream = open_output(ends.writing, "stdout")

    def broken() -> bool:
        try:
            stream.write(b"x")
        except BrokenPipeError:
            return True
        return False

    wait_for(broken, what="the news that nobody reads")
    stream.abandon()


def test_a_named_pipe_without_a_reader_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    both = os.open(path, os.O_RDWR)
    writing = os.open(path, os.O_WRONLY)
    os.close(both)
    stream = open_output(writing, "stdout")
    assert isinstance(stream.fd, BrokenOutput)
    with pytest.raises(BrokenPipeError):
        stream.write(b"x")
    stream.abandon()
    os.close(writing)


def test_a_caller_with_text_for_a_pipe_without_a_reader_gets_no_other_error(ends: Ends) -> None:
    os.close(ends.reading)
    target = open(ends.writing, "w", closefd=False)  # noqa: SIM115  # its descriptor is the pair's
    target.write("never read")
    stream = open_output(target, "stdout")
    with pytest.raises(BrokenPipeError):
        stream.write(b"x")
    stream.abandon()
    with contextlib.suppress(BrokenPipeError):  # nobody reads what it holds
        target.close()


def test_a_full_disk_is_an_error_that_says_so() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        stream = open_output(full, "stdout")
        with pytest.raises(DockerptyError, match="cannot write to stdout: No space left on device"):
            stream.write(b"x")
        stream.abandon()
        assert not full.closed


def test_a_full_disk_is_seen_also_with_what_the_caller_wrote_before() -> None:
    full = open("/dev/full", "w")  # noqa: SIM115  # closed below, which fails
    full.write("before")
    with pytest.raises(DockerptyError, match="cannot write to stdout: No space left on device"):
        open_output(full, "stdout")
    with contextlib.suppress(OSError):  # what it holds has no room
        full.close()


def a_closed_file() -> Any:
    file = io.BytesIO()
    file.close()
    return file


@pytest.mark.parametrize(
    "target", [None, 987654, a_closed_file(), object()], ids=["None", "number", "file", "object"]
)
def test_the_first_byte_for_a_closed_output_is_an_error(target: Any) -> None:
    stream = open_output(target, "stderr")
    assert isinstance(stream.fd, ClosedOutput)
    with pytest.raises(DockerptyError, match="cannot write to stderr: it is closed") as caught:
        stream.write(b"x")
    assert "/dev/null" in caught.value.hint
    stream.abandon()


def test_bytes_go_to_an_object_that_takes_bytes() -> None:
    target = io.BytesIO()
    stream = open_output(target, "stdout")
    stream.write(b"\xff\x00raw")
    stream.write_pieces([memoryview(b" and"), memoryview(b" more")])
    stream.close()
    assert target.getvalue() == b"\xff\x00raw and more"
    assert not target.closed


@pytest.mark.parametrize("make", [io.StringIO, lambda: io.TextIOWrapper(io.BytesIO(), "utf-8")])
def test_text_goes_to_an_object_that_takes_text_however_it_is_cut(make: Callable[[], Any]) -> None:
    text, target = "grüße, 世界\n", make()
    stream = open_output(target, "stdout")
    for byte in text.encode():
        stream.write(bytes([byte]))
    stream.write(b"\xff!\xe4")
    stream.close()
    target.seek(0)
    assert target.read() == text + "\ufffd!\ufffd"


def test_an_object_with_only_write_gets_bytes_and_is_flushed_at_the_end() -> None:
    class Target:
        def __init__(self) -> None:
            self.log: list[Any] = []

        def write(self, data: Any) -> None:
            self.log.append(data)

    class Flushed(Target):
        def flush(self) -> None:
            self.log.append("flushed")

    for target in (Target(), Flushed()):
        stream = open_output(target, "stdout")
        assert isinstance(stream.fd, ObjectOutput)
        stream.write(b"abc")
        assert not stream.needs_write()
        stream.close()
    assert target.log[-2:] == [b"abc", "flushed"]


def test_a_text_object_is_known_by_its_encoding() -> None:
    class Notebook:
        encoding = "UTF-8"
        written = ""

        def write(self, text: str) -> int:
            self.written += text
            return len(text)

    target = Notebook()
    stream = open_output(target, "stdout")
    stream.write("é".encode())
    stream.close()
    assert target.written == "é"


def test_a_raw_object_that_takes_only_a_part_gets_the_rest_too() -> None:
    class Raw(io.RawIOBase):
        taken = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.taken += bytes(data[:5])
            return min(5, len(data))

    target = Raw()
    stream = open_output(target, "stdout")
    stream.write(b"0123456789abc")
    stream.close()
    assert target.taken == b"0123456789abc"
    target.close()


def test_what_an_object_raises_reaches_the_caller() -> None:
    class Refuses:
        def write(self, data: bytes) -> None:
            raise KeyError("the caller's own")

    with pytest.raises(KeyError):
        open_output(Refuses(), "stdout").write(b"x")


def test_a_terminal_that_another_made_non_blocking_gets_all(no_reopening: None) -> None:
    ends = pty_output_ends()
    os.set_blocking(ends.writing, False)
    stream = open_output(ends.writing, "stdout")
    data = bytes(range(256)) * 400
    stream.write(data)
    taken = bytearray()
    while len(taken) < len(data):
        assert select([ends.reading], [], timeout=10)[0]
        taken += os.read(ends.reading, 4096)
        if select([], [stream])[1]:
            stream.do_write()
    assert taken == data
    assert not os.get_blocking(ends.writing)
    finish(stream)
    for fd in ends:
        os.close(fd)


# same_target -------------------------------------------------------------------------------------------------------


def test_one_terminal_one_pipe_and_one_object_are_one_place() -> None:
    for make in (pipe_ends, pty_output_ends, socket_ends):
        pair = make()
        copy = os.dup(pair.writing)
        assert same_target(pair.writing, copy)
        for fd in (*pair, copy):
            os.close(fd)
    target = io.StringIO()
    assert same_target(target, target)


def test_two_pipes_two_objects_and_nothing_are_not_one_place(ends: Ends) -> None:
    with contextlib.ExitStack() as stack:
        another = Ends(*os.pipe())
        for fd in another:
            stack.callback(os.close, fd)
        assert not same_target(ends.writing, another.writing)
        assert not same_target(ends.writing, None)
        assert not same_target(io.BytesIO(), io.BytesIO())
        assert not same_target(ends.writing, io.BytesIO())


def test_two_descriptions_of_one_file_are_two_places() -> None:
    with tempfile.NamedTemporaryFile() as one, Path(one.name).open("ab") as two:
        assert not same_target(one, two)


def test_the_streams_of_this_process_can_be_opened_and_closed() -> None:
    before = [fd for fd in (1, 2) if os.get_blocking(fd)]
    for target in (sys.__stdout__, sys.__stderr__):
        open_output(target, "stdout").close()
    assert [fd for fd in (1, 2) if os.get_blocking(fd)] == before


def test_what_a_thread_writes_is_waited_for_at_the_end() -> None:
    reading, writing = os.pipe()
    output = ThreadOutput(writing)
    stream = Stream(output)
    sent = b"x" * 100_000
    stream.write(sent)
    got = bytearray()

    def read_late() -> None:
        while len(got) < len(sent):
            got.extend(os.read(reading, 65536))

    reader = threading.Timer(0.3, read_late)
    reader.start()
    while stream.needs_write():
        select([], [stream], 5)
        stream.do_write()
    output.drain()
    stream.close()
    reader.join()
    os.close(reading)
    os.close(writing)
    assert bytes(got) == sent


def test_a_closed_stderr_drops_and_a_closed_stdout_does_not() -> None:
    assert Stream(open_output(None, "stderr", may_be_closed=True).fd).write(b"x") == 1
    with pytest.raises(DockerptyError, match="cannot write to stdout: it is closed"):
        open_output(None, "stdout").write(b"x")


def test_a_stdin_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    stream = open_input(folder)
    assert stream is not None
    with pytest.raises(DockerptyError, match="cannot read stdin: Is a directory"):
        stream.read_into(memoryview(bytearray(10)))
    stream.close()
    os.close(folder)


# What fails ---------------------------------------------------------------------------------------------------------


def failing(*arguments: Any) -> Any:
    raise OSError(errno.EIO, "Input/output error")


def test_a_disk_that_fails_is_a_fault_and_only_a_terminal_that_does_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, terminal = pty.openpty()
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with path.open("r+b") as file:
        sources = [open_input(file), open_input(terminal)]
        sinks = [open_output(file, "stdout"), open_output(terminal, "stdout")]
        monkeypatch.setattr(os, "readv", failing)
        monkeypatch.setattr(os, "write", failing)
        for source, kind in zip(sources, (DockerptyError, OSError), strict=True):
            assert source is not None
            with pytest.raises(kind, match="Input/output error") as caught:
                source.read_into(memoryview(bytearray(1)))
            assert str(caught.value) == "cannot read stdin: Input/output error" or kind is OSError
        for sink, kind in zip(sinks, (DockerptyError, OSError), strict=True):
            with pytest.raises(kind, match="Input/output error") as caught:
                sink.write(b"x")
            assert str(caught.value) == "cannot write to stdout: Input/output error" or kind is OSError
        monkeypatch.undo()
        for stream in (*sources, *sinks):
            assert stream is not None
            stream.abandon()
    os.close(master)
    os.close(terminal)


def test_a_socket_that_fails_says_of_what_it_was() -> None:
    near, far = socket.socketpair()
    near.send(b"never read")
    source = open_input(near)
    assert source is not None
    far.close()
    with pytest.raises(DockerptyError, match="cannot read stdin: Connection reset by peer"):
        source.read_into(memoryview(bytearray(1)))
    sink = open_output(near, "stderr")
    with pytest.raises(BrokenPipeError):  # which is an end
        sink.write(b"x")
    near.close()
    source.abandon()
    sink.abandon()
    listening = socket.socket()
    sink = open_output(listening, "stderr")
    sink.fd._socket.close()
    with listening, pytest.raises(DockerptyError, match="cannot write to stderr: Bad file descriptor"):
        sink.write(b"x")
