"""What a host tells of its commands and their output, to whoever reads along."""

from __future__ import annotations

import asyncio
import logging
import sys
from types import SimpleNamespace

import pytest

from dockerpty import log
from dockerpty.host.transcript import LONGEST, Output, SuppressCommandOutput, is_told, tell


def a_host(**changes: object) -> SimpleNamespace:
    return SimpleNamespace(**{"name": "here:web", "log": True, "log_stdout": True, **changes})


@pytest.fixture
def read_along(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "dockerpty.transcript")
    return caplog


def test_a_command_and_its_output_are_lines_with_the_hosts_name(read_along: pytest.LogCaptureFixture) -> None:
    host = a_host()
    tell(host, "ls -l")
    output = Output(host)
    output.feed(b"total 0\nfi")
    output.feed(b"le\n")
    output.end()
    assert read_along.messages == ["@here:web | ls -l", "@here:web > | total 0", "@here:web > | file"]
    assert {(each.name, each.levelname) for each in read_along.records} == {("dockerpty.transcript", "INFO")}


def test_a_record_says_which_host_it_is_and_whether_it_is_for_the_console(
    read_along: pytest.LogCaptureFixture,
) -> None:
    tell(a_host(), "a")
    tell(a_host(name="other", log_stdout=False), "b")
    told = [(each.__dict__["host"], each.__dict__["console"]) for each in read_along.records]
    assert told == [("here:web", True), ("other", False)]


def test_nothing_is_told_until_somebody_asks_for_it(caplog: pytest.LogCaptureFixture) -> None:
    host = a_host()
    assert not is_told(host)
    tell(host, "ls")
    output = Output(host)
    output.feed(b"file\n")
    output.end()
    assert caplog.records == []


def test_a_program_without_logging_is_not_made_to_load_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "logging")
    assert not is_told(a_host())
    tell(a_host(), "ls")
    assert "logging" not in sys.modules


def test_a_host_and_a_call_can_be_silent(read_along: pytest.LogCaptureFixture) -> None:
    tell(a_host(log=False), "ls")
    tell(a_host(), "secret", wanted=False)
    for silent in (Output(a_host(log=False)), Output(a_host(), wanted=False)):
        silent.feed(b"secret\n")
        silent.end()
    assert read_along.messages == []


def test_a_block_can_be_silent_for_one_host(read_along: pytest.LogCaptureFixture) -> None:
    host, other = a_host(), a_host(name="other")
    with SuppressCommandOutput(host):
        tell(host, "a")
        tell(other, "b")
        with SuppressCommandOutput(host), SuppressCommandOutput(other):
            tell(other, "c")
        tell(host, "d")
        tell(other, "e")
    tell(host, "f")
    assert read_along.messages == ["@other | b", "@other | e", "@here:web | f"]


def test_a_block_is_silent_for_the_task_that_is_in_it_only(read_along: pytest.LogCaptureFixture) -> None:
    host = a_host()

    async def in_a_block(entered: asyncio.Event, leave: asyncio.Event) -> None:
        with SuppressCommandOutput(host):
            entered.set()
            await leave.wait()
            tell(host, "inside")

    async def main() -> None:
        events = asyncio.Event(), asyncio.Event()
        task = asyncio.ensure_future(in_a_block(*events))
        await events[0].wait()
        tell(host, "outside")
        events[1].set()
        await task

    asyncio.run(asyncio.wait_for(main(), 10))
    assert read_along.messages == ["@here:web | outside"]


def test_a_block_that_fails_ends_its_silence(read_along: pytest.LogCaptureFixture) -> None:
    host = a_host()
    with pytest.raises(LookupError), SuppressCommandOutput(host):
        raise LookupError
    tell(host, "a")
    assert len(read_along.messages) == 1


def test_each_line_of_a_command_is_one_of_the_transcript(read_along: pytest.LogCaptureFixture) -> None:
    tell(a_host(), "cat <<X\na\nX\n")
    assert read_along.messages == ["@here:web | cat <<X", "@here:web | a", "@here:web | X"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_characters_and_line_ends_are_put_together_however_they_are_cut(
    size: int, read_along: pytest.LogCaptureFixture
) -> None:
    data = "grün\r\nüü\n\nlast".encode()
    output = Output(a_host())
    for start in range(0, len(data), size):
        output.feed(data[start : start + size])
    output.end()
    assert [each.removeprefix("@here:web > | ") for each in read_along.messages] == ["grün", "üü", "", "last"]


def test_what_would_command_a_terminal_is_written_out(read_along: pytest.LogCaptureFixture) -> None:
    output = Output(a_host())
    output.feed(b"\x1b[2Ja\tb\x07\x9b\n")
    assert read_along.messages == ["@here:web > | \\x1b[2Ja\tb\\x07\ufffd"]


def test_a_line_without_an_end_is_told_in_pieces(read_along: pytest.LogCaptureFixture) -> None:
    output = Output(a_host())
    for _ in range(5):
        output.feed(b"x" * LONGEST)
    assert len(read_along.messages) == 4
    output.end()
    assert sum(each.count("x") for each in read_along.messages) == 5 * LONGEST


def test_while_a_terminal_is_raw_the_lines_wait(read_along: pytest.LogCaptureFixture) -> None:
    log.hold()
    try:
        tell(a_host(), "ls")
        assert read_along.messages == []
    finally:
        log.release()
    assert read_along.messages == ["@here:web | ls"]
