"""A connection written to and read at once, as a session does: neither side waits for the other to be done."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from dockerpty.engine.connection import Transport, wait_for


def exchange(
    transport: Transport,
    data: bytes,
    take: Callable[[memoryview], object],
    *,
    end: bool = True,
    seconds: float = 60.0,
    buffer_size: int = 65536,
) -> None:
    """Send `data` and, with `end`, the end of it, while reading to the end of what comes.

    Args:
        take: given each piece that comes, which it must not keep.
    """
    view, ended, deadline = memoryview(data), not end, time.monotonic() + seconds
    buffer, count = memoryview(bytearray(buffer_size)), 0
    while True:
        events = {transport.fileno(): select.POLLIN}
        if view or transport.unsent():
            events[transport.write_fileno()] = events.get(transport.write_fileno(), 0) | select.POLLOUT
        if not transport.pending():
            assert wait_for(list(events.items()), deadline), f"stuck with {count} bytes"
        try:
            if view:
                view = view[transport.send(view[:100_000]) :]
            else:
                transport.flush()
        except BlockingIOError:
            pass  # no room now
        if not view and not ended:
            transport.half_close()
            ended = True
        try:
            got = transport.recv_into(buffer)
        except BlockingIOError:
            continue  # nothing now
        if not got:
            return
        count += got
        take(buffer[:got])
