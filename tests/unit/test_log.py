from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerpty import log

ROOT = Path(log.__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def every_line_counts(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, logger="dockerpty"):
        yield


def test_a_line_is_logged_under_the_name_of_the_module_and_as_its_callers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log.get("dockerpty.pty").debug("attach complete container=%s bytes=%d", "web-1", 12)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("dockerpty.pty", logging.DEBUG)
    assert record.getMessage() == "attach complete container=web-1 bytes=12"
    assert (record.pathname, record.funcName) == (
        __file__,
        "test_a_line_is_logged_under_the_name_of_the_module_and_as_its_callers",
    )


def test_levels_are_those_of_logging(caplog: pytest.LogCaptureFixture) -> None:
    logger = log.get("dockerpty.pty")
    logger.debug("a")
    logger.warning("b")
    assert [record.levelname for record in caplog.records] == ["DEBUG", "WARNING"]


def test_what_the_program_does_not_want_to_hear_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="dockerpty.pty")
    log.get("dockerpty.pty").debug("quiet")
    assert caplog.records == []


def test_lines_are_kept_back_while_a_terminal_is_raw_and_keep_their_order_and_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = log.get("dockerpty.pty")
    log.hold()
    log.hold()
    logger.warning("first")
    logger.warning("second")
    made = time.time()
    log.release()
    assert caplog.records == []
    log.release()
    logger.warning("third")
    assert [record.getMessage() for record in caplog.records] == ["first", "second", "third"]
    assert caplog.records[0].created <= made


def test_only_so_many_lines_are_kept_back(caplog: pytest.LogCaptureFixture) -> None:
    log.hold()
    for number in range(log.HELD_LINES + 2):
        log.get("dockerpty.pty").warning("%d", number)
    log.release()
    assert len(caplog.records) == log.HELD_LINES
    assert caplog.records[-1].getMessage() == str(log.HELD_LINES + 1)


def test_a_program_without_logging_pays_nothing_and_one_with_it_is_heard_from_then_on() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from dockerpty import log
logger = log.get("dockerpty.pty")
logger.warning("lost")
assert "logging" not in sys.modules
import logging
logging.basicConfig(format="%(name)s %(message)s")
logger.warning("heard")
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "dockerpty.pty heard\n")
