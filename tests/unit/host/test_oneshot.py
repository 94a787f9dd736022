"""One command in a process of its own, with processes of this machine, and with what engines say."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dockerpty.engine.calls import Call, Reply, inspect_container
from dockerpty.errors import APIError, NotFound, SessionLost, StartRefused
from dockerpty.host import oneshot as module
from dockerpty.host.failure import CommandFailed
from dockerpty.host.oneshot import Output, oneshot
from dockerpty.host.requests import Close, Open, Wait
from dockerpty.host.results import CommandStatus, Status
from tests.unit.host.channels import CONTAINER, SILENCE, Here, LocalChannel, Scripted, reply
from tests.unit.host.test_processes import pids

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

MEGABYTE = 1024 * 1024
NOT_FOUND = (
    b"OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: "
    b'exec: "nope": executable file not found in $PATH: unknown\r\n'
)


@pytest.fixture
def here() -> Iterator[Here]:
    with Here() as here:
        yield here


def run(here: Here, command: Any, timeout: float | None = None, **options: Any) -> CommandStatus:
    return here.drive(oneshot(CONTAINER, command, timeout, **options))


def said(steps: list[Any], info: dict[str, Any], state: dict[str, Any] | None = None) -> Here:
    """An engine that says this of a command."""

    def asked(call: Call) -> Reply:
        if call == inspect_container(CONTAINER):
            if state is None:
                raise NotFound("ask for", "it")
            return reply({"Id": CONTAINER, "State": state})
        return reply(info)

    return Here(opens=lambda request: Scripted(steps, mark=request.mark), asks=asked)


def ended(code: int | None, pid: int = 1) -> dict[str, Any]:
    return {"Running": False, "ExitCode": code, "Pid": pid}


# What it says ---------------------------------------------------------------------------------------------------------


def test_the_streams_come_apart_and_the_code_with_them(here: Here) -> None:
    status = run(here, "printf 'out\\377\\n\\n'; printf err >&2; exit 3", host="web")
    assert status == (status.command, "out\ufffd\n\nerr", Status.Failed, 3)
    assert (status.stdout, status.stderr, status.host, status.error) == (b"out\xff\n\n", b"err", "web", "")
    assert 0 < status.duration < 60
    assert status.started is not None
    assert status.started.tzinfo is not None


def test_a_text_is_for_the_shell_and_a_list_is_not(here: Here) -> None:
    assert run(here, 'echo "$0 $((1 + 1))"').output == "sh 2"
    status = run(here, ["printf", "%s|", "a b", "$HOME", ""])
    assert (status.output, status.command) == ("a b|$HOME||", "printf '%s|' 'a b' '$HOME' ''")


def test_merged_output_is_in_the_order_in_which_it_was_written(here: Here) -> None:
    script = "for n in 1 2 3 4 5 6 7 8 9; do echo o$n; echo e$n >&2; done"
    wanted = "".join(f"o{n}\ne{n}\n" for n in range(1, 10)).encode()
    status = run(here, script, merge=True)
    assert (status.stdout, status.stderr) == (wanted, b"")
    assert run(here, ["sh", "-c", script], merge=True).stdout == wanted
    assert run(here, 'echo "$0"; exit 4', merge=True)[1:] == ("sh", Status.Failed, 4)


def test_what_it_is_started_with_is_passed_on() -> None:
    here = said([], ended(0))
    run(here, "x", user="app", workdir="/srv", environment=["A=1"], privileged=True, stdin=b"")
    opened = here.requests[0]
    assert isinstance(opened, Open)
    assert (opened.user, opened.workdir, opened.environment) == ("app", "/srv", ("A=1",))
    assert (opened.privileged, opened.stdin, opened.tty) == (True, True, False)
    assert opened.mark.startswith("DPTY_EXEC=")


def test_the_head_of_much_output_is_kept_and_all_of_it_is_handed_on(here: Here) -> None:
    seen = {1: 0, 2: 0}

    def count(stream: int, data: bytes) -> None:
        seen[stream] += len(data)

    script = "head -c 3000000 /dev/zero; echo end; head -c 5 /dev/zero >&2"
    status = run(here, script, output_limit=1000, on_output=count)
    assert (status.stdout, status.stderr) == (bytes(1000), bytes(5))
    assert (status.dropped_bytes, status.truncated) == (3000004 - 1000, True)
    assert seen == {1: 3000004, 2: 5}


@pytest.mark.parametrize("limit", [0, 1, 1000, 300_000])
def test_the_tail_of_much_output_is_kept_where_that_is_wanted(limit: int) -> None:
    output, whole = Output(None, limit, "tail"), b""
    for number in range(5000):
        piece = b"%d\n" % number * (number % 7)
        output.take(1, piece)
        whole += piece
    assert output.kept(1) == whole[max(0, len(whole) - limit) :]
    assert (output.kept(2), output.dropped) == (b"", max(0, len(whole) - limit))


def test_a_failure_that_is_checked_is_an_error_with_its_status(here: Here) -> None:
    with pytest.raises(CommandFailed, match="exited with 3") as caught:
        run(here, "echo o; exit 3", check=True)
    assert (caught.value.returncode, caught.value.stdout) == (3, b"o\n")
    assert run(here, "true", check=True).ok


@pytest.mark.parametrize("bad", [0, -1, -0.5])
def test_a_time_that_is_over_before_it_begins_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="None is no limit"):
        next(oneshot(CONTAINER, "true", bad))


@pytest.mark.parametrize("bad", ["a\0b", ["a", "\0"], [], b"ls"])
def test_what_is_no_command_is_refused_before_anything_is_started(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"NUL|a text for the shell"):
        next(oneshot(CONTAINER, bad))


# What it reads --------------------------------------------------------------------------------------------------------


def test_without_an_input_it_reads_nothing(here: Here) -> None:
    assert run(here, "cat; echo end", 30).output == "end"


def test_much_goes_in_and_comes_out_at_once(here: Here) -> None:
    data = bytes(range(256)) * (8 * MEGABYTE // 256)
    status = run(here, "cat; echo late >&2", 60, stdin=data)
    assert status.stdout == data
    assert status.stderr == b"late\n"


def test_a_command_that_reads_a_part_of_its_input_is_not_disturbed(here: Here) -> None:
    file = io.BytesIO(bytes(8 * MEGABYTE))
    status = run(here, "head -c 10 >/dev/null; exec <&-; echo read; exit 5", 30, stdin=file)
    assert status[1:] == ("read", Status.Failed, 5)
    assert file.tell() < 8 * MEGABYTE


class Torn(io.RawIOBase):
    """A file on a disk that fails."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        raise OSError("torn")


def test_an_input_that_cannot_be_read_ends_the_command(here: Here) -> None:
    with pytest.raises(OSError, match="torn"):
        run(here, "sleep 300", stdin=Torn())
    assert pids(here.opened[0].mark) == []


# Its time -------------------------------------------------------------------------------------------------------------


def test_a_command_that_is_too_slow_is_killed_with_its_children(here: Here) -> None:
    began = time.monotonic()
    status = run(here, "echo before; (sleep 300) & sleep 300", 0.5)
    assert status[1:] == ("before", Status.Error, -1)
    assert (status.timed_out, status.error) == (True, "")
    assert time.monotonic() - began < 30
    assert pids(here.opened[0].mark) == []


def test_one_that_writes_all_the_time_is_no_less_killed(here: Here) -> None:
    status = run(here, "yes", 0.3, output_limit=100)
    assert (status.timed_out, len(status.stdout)) == (True, 100)
    assert pids(here.opened[0].mark) == []


def test_one_that_cannot_be_killed_is_said_to_run_on() -> None:
    steps: Any = iter([[b"before", SILENCE], [(2, b"sh: not found")]])
    here = said([], {"Running": True, "ExitCode": None, "Pid": 1})
    here.opens = lambda request: Scripted(next(steps), mark=request.mark)
    status = run(here, "x", 0.1)
    assert (status.timed_out, status.output) == (True, "before")
    assert status.error == "its time was over, and it may still run: sh: not found"
    assert here.closed[::-1] == here.opened


def drive_on(plan: Any, request: Any, here: Here) -> None:
    while True:
        request = plan.send(here.answer(request))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit])
def test_who_gives_up_leaves_nothing_open(stop: type[BaseException], here: Here) -> None:
    plan = oneshot(CONTAINER, "echo up; exec sleep 300")
    request = next(plan)
    while not isinstance(request, Wait):
        request = plan.send(here.answer(request))
    channel = here.opened[0]
    if stop is GeneratorExit:
        plan.close()
    else:
        with pytest.raises(stop):
            drive_on(plan, plan.throw(stop()), here)
        assert pids(channel.mark) == []
    assert channel.ended
    assert channel._descriptors() == set()


class Cancelled(BaseException):
    """As on a loop: raised where something is waited for."""


class Cancelling(Here):
    """Cancels one of the requests. What is to be closed is closed all the same, as on a loop."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.cancelled = False

    def answer(self, request: Any) -> Any:
        if len(self.requests) != self.number or self.cancelled:
            return super().answer(request)
        self.cancelled = True
        if isinstance(request, Close):
            super().answer(request)
        raise Cancelled


def test_whatever_is_waited_for_when_it_is_cancelled_nothing_is_left() -> None:
    script = "echo up; (sleep 300 >&- 2>&- <&-) & cat >/dev/null; sleep 300"
    number, cancelled = 0, True
    while cancelled:
        with Cancelling(number) as here:
            try:
                run(here, script, 0.1, stdin=b"x" * 300_000)
            except Cancelled:
                pass  # as it should be
            assert {*map(id, here.closed)} == {*map(id, here.opened)}
            assert all(pids(channel.mark) == [] for channel in here.opened if channel.mark)
            cancelled = here.cancelled
        number += 1
    assert number > 8


def test_the_one_who_is_shown_the_output_may_stop_it(here: Here) -> None:
    def enough(stream: int, data: bytes) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(here, "echo up; exec sleep 300", on_output=enough)
    assert pids(here.opened[0].mark) == []


# What engines say -----------------------------------------------------------------------------------------------------


def test_what_could_not_be_started_has_a_shells_code_and_the_reason() -> None:
    status = run(said([(1, NOT_FOUND)], ended(126, pid=0)), ["nope"])
    assert (status.status, status.retcode, status.stdout) == (Status.Failed, 127, b"")
    assert status.stderr == NOT_FOUND.rstrip() + b"\n"
    assert status.error.startswith("it could not be started: OCI runtime exec failed")


def test_the_same_when_the_engine_refuses_the_start() -> None:
    def refuse(_: Open) -> Any:
        raise StartRefused(
            "start", "it", exit_code=126, explanation="exec: permission denied", status_code=400
        )

    status = run(Here(opens=refuse), ["/etc/passwd"])
    assert (status.status, status.retcode, status.stderr) == (
        Status.Failed,
        126,
        b"exec: permission denied\n",
    )


def test_output_that_looks_like_that_is_output() -> None:
    status = run(said([(1, NOT_FOUND)], ended(3)), "x")
    assert (status.stdout, status.retcode, status.error) == (NOT_FOUND, 3, "")


def test_output_that_looks_like_that_is_not_kept_back_for_long() -> None:
    seen: list[bytes] = []
    here = said([(1, NOT_FOUND), SILENCE], {"Running": True, "ExitCode": None, "Pid": 1})
    plan = oneshot(CONTAINER, "x", on_output=lambda _, data: seen.append(data))
    request = next(plan)
    until = time.monotonic() + 60
    while not seen:
        assert time.monotonic() < until
        request = plan.send(here.answer(request))
    plan.close()
    assert seen == [NOT_FOUND]


def test_what_cannot_be_asked_at_all_is_raised() -> None:
    def stopped(_: Open) -> Any:
        raise APIError("exec in", "it", "it is not running", status_code=409)

    with pytest.raises(APIError, match="not running"):
        run(Here(opens=stopped), "true")


def test_a_connection_that_breaks_is_an_error_with_what_came() -> None:
    lost = SessionLost("go on with", "it", "reset")
    here = said([b"half", lost], {"Running": True, "ExitCode": None, "Pid": 1})
    status = run(here, "x")
    assert status[1:] == ("half", Status.Error, -1)
    assert status.error == str(lost)
    # It was tried to end what nobody sees any more.
    assert len(here.opened) == 2


@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        (None, Status.Error, "its container was removed"),
        ({"Running": False}, Status.Error, "its container stopped"),
        (
            {"Running": False, "OOMKilled": True},
            Status.Error,
            "its container stopped; killed (137): out of memory?",
        ),
        ({"Running": True, "OOMKilled": True}, Status.Failed, "killed (137): out of memory?"),
        ({"Running": True}, Status.Failed, ""),
    ],
    ids=["removed", "stopped", "stopped for memory", "memory", "killed"],
)
def test_what_killed_it_is_told(state: dict[str, Any] | None, status: Status, error: str) -> None:
    result = run(said([b"half"], ended(137), state), "x")
    assert (result.status, result.retcode, result.output, result.error) == (status, 137, "half", error)


def test_a_code_that_the_engine_does_not_know_is_an_error() -> None:
    status = run(said([b"all"], ended(None)), "x")
    assert (status.status, status.retcode, status.output) == (Status.Error, -1, "all")
    assert status.error == "the engine does not know its exit code"


def test_a_stream_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENCE_S", 0.05)
    assert run(said([b"all", SILENCE], ended(0)), "x")[1:] == ("all", Status.Success, 0)


def test_silence_alone_ends_nothing(monkeypatch: pytest.MonkeyPatch, here: Here) -> None:
    monkeypatch.setattr(module, "_SILENCE_S", 0.05)
    assert run(here, "sleep 0.5; echo up").output == "up"
    assert isinstance(here.opened[0], LocalChannel)
