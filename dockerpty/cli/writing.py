"""Bytes written to a stream of ours, all of them, whatever somebody else has done to its flags."""

from __future__ import annotations

import os
import select

from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


def writer(stream: TextIO, name: str) -> Callable[[bytes], None]:
    """Give what writes to a stream, past its buffer, and returns when all is written.

    Args:
        name: what the stream is called in messages.

    What it gives raises BrokenPipeError when the reader has gone, and DockerptyError when it cannot be written to.
    """
    fd = stream.fileno()

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while len(rest):
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                # Somebody else has made it so; the flag is not ours to change.
                wait(fd, select.POLLOUT)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise DockerptyError("write to", name, os.strerror(error.errno or 0)) from error

    return write


def wait(fd: int, events: int) -> None:
    """Wait until a descriptor can be read from or written to, as `select.poll` has it; until it is broken with 0."""
    poller = select.poll()
    poller.register(fd, events)
    poller.poll()
