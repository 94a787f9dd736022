"""The fixture that watches every unit test, on tests that would have left something."""

from __future__ import annotations

import os
import socket
import threading

from tests.unit.conftest import left_behind, open_descriptors


def test_an_open_descriptor_is_found_and_named() -> None:
    before = open_descriptors(), set(threading.enumerate())
    read_end, write_end = os.pipe()
    left = left_behind(*before)
    os.close(read_end)
    os.close(write_end)
    assert len(left) == 2
    assert all("pipe" in each and "descriptor" in each for each in left)
    assert left_behind(*before) == []


def test_a_number_that_is_open_on_something_else_is_found() -> None:
    one = socket.socket()
    number = one.fileno()
    before = open_descriptors(), set(threading.enumerate())
    one.close()
    with socket.socket() as other:
        assert other.fileno() == number
        assert len(left_behind(*before)) == 1


def test_a_running_thread_is_found_and_one_that_is_about_to_end_is_waited_for() -> None:
    before = open_descriptors(), set(threading.enumerate())
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="endless")
    thread.start()
    assert left_behind(*before, patience_s=0) == ["thread endless"]
    end.set()
    assert left_behind(*before) == []
