from __future__ import annotations

import pytest

from dockerpty.result import SessionResult, start_error_code


def test_a_new_result_knows_nothing() -> None:
    result = SessionResult()
    assert (result.exit_code, result.reason, result.signal, result.size) == (None, None, None, None)
    assert (result.container_id, result.exec_id, result.started, result.ended) == (None, None, None, None)
    assert (result.bytes_in, result.bytes_out, result.oom_killed) == (0, 0, False)


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (None, None),
        (0, None),
        (1, None),
        (128, None),
        (129, 1),
        (137, 9),
        (143, 15),
        (192, 64),
        (193, None),
        (255, None),
    ],
)
def test_a_signal_is_told_by_the_exit_code(code: int | None, number: int | None) -> None:
    result = SessionResult()
    result.exit_code = code
    assert result.signal == number


def test_it_says_what_matters() -> None:
    result = SessionResult()
    result.exit_code, result.reason = 7, "exited"
    assert repr(result) == "SessionResult(exit_code=7, reason='exited')"


def test_a_result_takes_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        SessionResult().exitcode = 1  # type: ignore[attr-defined]  # what a checker would refuse, too


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('OCI runtime exec failed: exec: "nosuch": executable file not found in $PATH: unknown', 127),
        ("exec: /nosuch: stat /nosuch: no such file or directory", 127),
        ('exec: "/etc/passwd": permission denied: unknown', 126),
        ("exec /etc: is a directory", 126),
        ("Executable File Not Found", 127),
        ("unable to find user nobody-here: no matching entries in passwd file", 125),
        ("", 125),
    ],
)
def test_why_a_process_did_not_start_tells_its_code(text: str, code: int) -> None:
    assert start_error_code(text, 125) == code
