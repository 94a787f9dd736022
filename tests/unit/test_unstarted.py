"""What an engine writes instead of the output of an exec that it could not start."""

from __future__ import annotations

from typing import Any

import pytest

from dockerpty.unstarted import StartError, exit_code, never_started

TEXT = b'OCI runtime exec failed: exec: "nosuch": executable file not found in $PATH: unknown\r\n'
AFTERWORD = b"Error: read unixpacket @->/run/attach: read: connection reset by peer\r\n"


@pytest.mark.parametrize(
    ("framed", "text", "kept"),
    [
        (True, TEXT, True),
        (False, TEXT, True),
        (True, b"any line with the engine's ending\r\n", True),
        (False, b"any line of a terminal\r\n", False),
        (False, b"unable to find user nobody-here: no matching entries in passwd file", True),
        (True, b"a line of a process\n", False),
        (True, TEXT + b"x" * 4096 + b"\r\n", False),
    ],
)
def test_the_first_output_is_kept_back_if_it_may_be_why_nothing_was_started(
    framed: bool, text: bytes, kept: bool
) -> None:
    error = StartError(framed)
    assert error.takes(1, text) is kept
    assert error.held == ((1, text) if kept else None)


def test_what_comes_behind_it_makes_output_of_it_but_for_podmans_second_line() -> None:
    error = StartError(framed=True)
    assert error.takes(2, TEXT)
    assert error.takes(2, AFTERWORD)
    assert not error.takes(1, b"more")
    assert error.release() == (2, TEXT)
    assert error.release() is None


def test_podmans_second_line_is_none_of_the_text_also_where_both_come_together() -> None:
    error = StartError(framed=True)
    assert error.takes(2, TEXT + AFTERWORD)
    assert error.take() == TEXT
    assert error.take() == b""


@pytest.mark.parametrize(
    ("info", "never"),
    [
        ({"Pid": 0, "ExitCode": 126}, True),
        ({"ExitCode": 127}, True),
        ({"Pid": 0, "ExitCode": 125}, True),
        ({"Pid": 77, "ExitCode": 127}, False),
        ({"Pid": 0, "ExitCode": 1}, False),
        ({"Pid": 0, "ExitCode": None}, False),
    ],
)
def test_without_a_process_and_with_one_of_three_codes_it_never_ran(
    info: dict[str, Any], never: bool
) -> None:
    assert never_started(info) is never


def test_the_text_tells_the_code_and_may_be_no_utf8() -> None:
    assert exit_code(TEXT, 126) == 127
    assert exit_code(b"\xff permission denied", 125) == 126
    assert exit_code(b"something else", 126) == 126
