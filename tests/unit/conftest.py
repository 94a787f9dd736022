"""Every unit test leaves the process as it found it: no descriptor and no thread more than before."""

from __future__ import annotations

import fcntl
import gc
import os
import struct
import termios
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code: no test asserts a time, and hypothesis asserts none for it.
settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


def open_descriptors() -> dict[int, str]:
    """Map each open descriptor to what it is open on, so that a reused number is seen as a new one."""
    names = os.listdir("/dev/fd")
    descriptors = {}
    for number in map(int, names):
        try:
            descriptors[number] = _describe(number)
        except OSError:
            continue  # The one that listed the directory.
    return descriptors


def _describe(number: int) -> str:
    status = os.fstat(number)
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return f"device {status.st_dev} inode {status.st_ino}"


def left_behind(
    descriptors: dict[int, str], threads: set[threading.Thread], patience_s: float = 5.0
) -> list[str]:
    """Tell what is here now and was not before; a thread that was told to end gets the time to do so."""
    deadline = time.monotonic() + patience_s
    new_threads = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in new_threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    new = _new_descriptors(descriptors)
    if new:
        # What only the garbage collector can close was not left open by the code, but by a cycle in the test.
        gc.collect()
        new = _new_descriptors(descriptors)
    return [f"descriptor {number} ({what})" for number, what in new.items()] + [
        f"thread {thread.name}" for thread in new_threads if thread.is_alive()
    ]


def _new_descriptors(before: dict[int, str]) -> dict[int, str]:
    return {number: what for number, what in open_descriptors().items() if before.get(number) != what}


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves a descriptor or a thread."""
    descriptors, threads = open_descriptors(), set(threading.enumerate())
    yield
    left = left_behind(descriptors, threads)
    assert not left, f"left behind: {', '.join(left)}"


@pytest.fixture
def window() -> Iterator[int]:
    """A terminal of 31 rows and 97 columns, as a descriptor."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
    yield slave
    os.close(master)
    os.close(slave)
