"""What a command reads, whatever it was given as."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from dockerpty.host.stdin import PIECE, Stdin
from tests.unit.host.channels import Scripted


def all_of(source: Stdin) -> bytes:
    return b"".join(iter(source.read, b""))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (b"", b""),
        (b"bytes\0", b"bytes\0"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        ("t\u00e9xt\udcff", b"t\xc3\xa9xt\xff"),
        (io.BytesIO(b"file"), b"file"),
        (io.StringIO("t\u00e9xt"), b"t\xc3\xa9xt"),
        (b"x" * (3 * PIECE + 1), b"x" * (3 * PIECE + 1)),
    ],
    ids=["nothing", "bytes", "array", "view", "text", "file", "file of text", "much"],
)
def test_all_that_is_given_is_read(given: Any, read: bytes) -> None:
    assert all_of(Stdin(given)) == read


def test_a_path_is_a_file_that_is_closed_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"from a file")
    source = Stdin(path)
    assert all_of(source) == b"from a file"
    source.close()
    source.close()


def test_a_file_object_is_read_from_where_it_stands_and_stays_open() -> None:
    file = io.BytesIO(b"before, after")
    file.seek(8)
    source = Stdin(file)
    assert all_of(source) == b"after"
    source.close()
    assert not file.closed


def test_what_cannot_be_read_is_said_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a int cannot be read"):
        Stdin(3)
    with pytest.raises(FileNotFoundError):
        Stdin(tmp_path / "missing")


def test_a_file_object_that_does_not_wait_is_refused_and_is_no_end() -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    with (
        open(read_fd, "rb", buffering=0) as file,
        open(write_fd, "wb"),
        pytest.raises(ValueError, match="blocks"),
    ):
        Stdin(file).read()


def test_the_next_piece_is_read_when_the_last_was_sent() -> None:
    channel: Any = Scripted([], takes=10)
    file = io.BytesIO(b"x" * (PIECE + 5))
    source = Stdin(file)
    assert not source.feed(channel)
    assert not source.feed(channel)
    assert (file.tell(), channel.unsent) == (PIECE, PIECE - 10)
    channel.room(None)
    assert source.feed(channel)
    assert not channel.input_ended
    assert not source.feed(channel)
    assert (len(channel.written), channel.input_ended) == (PIECE + 5, True)


def test_a_process_that_takes_no_more_is_given_no_more() -> None:
    channel: Any = Scripted([])
    channel.refused = True
    file = io.BytesIO(b"x" * PIECE)
    assert not Stdin(file).feed(channel)
    assert file.tell() == 0
