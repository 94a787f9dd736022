"""The life of an attached process, on an engine that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import json
import re
import select
import socket
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from dockerpty import keys, process
from dockerpty.engine.client import Engine, from_environment
from dockerpty.errors import (
    APIError,
    DockerptyError,
    EngineUnreachable,
    NotFound,
    ProtocolError,
    SessionLost,
)
from dockerpty.frames import encode
from dockerpty.process import Process, attach, exec_
from tests.bed.waiting import wait_for
from tests.unit.loopback import ScriptedEngine, Step, answer

START_ERROR = b'OCI runtime exec failed: exec: "nosuch": executable file not found in $PATH: unknown\r\n'
Scripted = Callable[..., tuple[Engine, ScriptedEngine]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Start an engine with a script, and give ours for it."""
    monkeypatch.setenv("DOCKER_API_VERSION", "1.41")
    opened: list[Any] = []
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:

        def start(*steps: Step) -> tuple[Engine, ScriptedEngine]:
            server = ScriptedEngine(f"{directory}/{len(opened)}.sock", *steps)
            engine = from_environment(server.url)
            opened.extend([engine, server])
            return engine, server

        yield start
        for each in opened:
            each.close()


def run(main: Awaitable[Any]) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main, 30)

    return asyncio.run(limited())


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def ok(**body: Any) -> bytes:
    return answer(200, json.dumps(body).encode())


def refused(status: int, words: str) -> bytes:
    return answer(status, json.dumps({"message": words}).encode())


CREATED = answer(201, b'{"Id": "e"}')
RUNS = ok(Running=True, ExitCode=None, Pid=77, ContainerID="full")
STARTS = ok(Running=False, ExitCode=None, Pid=0, ContainerID="full")


def over(code: int = 0, pid: int = 77) -> bytes:
    return ok(Running=False, ExitCode=code, Pid=pid, ContainerID="full")


def container(*, running: bool = True, status: str = "", **config: Any) -> bytes:
    state = {"Running": running, "Status": status or ("running" if running else "exited"), "Pid": 88}
    return ok(Id="full", Config={"OpenStdin": True, "StdinOnce": True, **config}, State=state, HostConfig={})


class Stream:
    """A step of the script: a connection that becomes a stream.

    Args:
        first: sent with the head of the answer.
        last: sent when the test says `end()`, before the stream ends.

    Attributes:
        got: what the client has sent.
        ended: the client has ended its direction, or the connection.
        closed: it has ended both, and the test had not said `end()`.
    """

    def __init__(self, first: bytes = b"", last: bytes = b"", *, at_once: bool = False) -> None:
        self.first, self.last = first, last
        self.got = b""
        self.ended, self.closed, self._over = threading.Event(), threading.Event(), threading.Event()
        if at_once:
            self._over.set()

    def __call__(self, sock: socket.socket) -> None:
        sock.sendall(answer(101) + self.first)
        reader = threading.Thread(target=self._read, args=(sock,))
        reader.start()
        # For nothing: it tells of a client that has closed both directions.
        poll = select.poll()
        poll.register(sock, 0)
        deadline = time.monotonic() + 20
        while not self._over.wait(0.002) and not poll.poll(0):
            assert time.monotonic() < deadline, "nobody ends the stream"
        if poll.poll(0):
            self.closed.set()
        try:
            sock.sendall(self.last)
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client has gone
        reader.join(20)

    def _read(self, sock: socket.socket) -> None:
        try:
            while data := sock.recv(65536):
                self.got += data
        except OSError:
            pass  # closed
        self.ended.set()

    def end(self) -> None:
        """Send the last and end the stream."""
        self._over.set()


class Held:
    """A step that keeps its answer back until the test lets it go."""

    def __init__(self, then: Step) -> None:
        self.then, self.asked, self.go = then, threading.Event(), threading.Event()

    def __call__(self, sock: socket.socket) -> None:
        self.asked.set()
        assert self.go.wait(20)
        if callable(self.then):
            self.then(sock)
        else:
            assert self.then is not None
            try:
                sock.sendall(self.then)
            except OSError:
                pass  # nobody waits for it any more


def body(server: ScriptedEngine, index: int) -> Any:
    return json.loads(server.requests[index].body)


def paths(server: ScriptedEngine) -> list[str]:
    return [re.sub(r" /v1\.41|\?.*", " ", line).replace(" ", "") for line in server.lines]


EXEC = ["POST/containers/web/exec", "POST/exec/e/start", "GET/exec/e/json"]


# An exec -------------------------------------------------------------------------------------------------------------


def test_an_exec_is_created_started_and_seen_to_run(scripted: Scripted) -> None:
    stream = Stream(encode(1, b"out") + encode(2, b"err"), encode(1, b"put"))
    engine, server = scripted(CREATED, stream, STARTS, RUNS, over(7))

    async def main() -> None:
        started = await exec_(
            engine,
            "web",
            "sh -c 'exit 7'",
            stdin=True,
            environment={"A": "b"},
            user="nobody",
            workdir="/tmp",
            privileged=True,
        )
        assert [started.exec_id, started.container_id, started.pid] == ["e", "full", 77]
        codes = [started.returncode]
        stream.end()
        assert await started.communicate() == (b"output", b"err")
        assert [*codes, await started.wait(), started.returncode] == [None, 7, 7]
        assert repr(started) == "<Process in web returncode=7>"

    run(main())
    assert paths(server) == [*EXEC, EXEC[2], EXEC[2]]
    asked = body(server, 0)
    mark = asked["Env"].pop()
    assert re.fullmatch(r"DPTY_EXEC=[0-9a-f]{24}", mark)
    assert asked == {
        "Cmd": ["sh", "-c", "exit 7"],
        "Tty": False,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "DetachKeys": keys.NEUTRAL,
        "Env": ["A=b"],
        "User": "nobody",
        "WorkingDir": "/tmp",
        "Privileged": True,
    }
    assert body(server, 1) == {"Detach": False, "Tty": False}
    assert len({server.requests[index].connection for index in (0, 2, 3, 4)}) == 1


def test_what_was_not_asked_for_is_not_there(scripted: Scripted) -> None:
    engine, server = scripted(CREATED, Stream(at_once=True), over(), over())

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        assert started.stdin is None
        with pytest.raises(ValueError, match="no stdin"):
            await started.communicate(b"x")
        assert await started.communicate() == (b"", b"")

    run(main())
    assert body(server, 0)["AttachStdin"] is False


def test_a_terminal_has_one_stream_and_its_size_from_the_start(scripted: Scripted) -> None:
    stream = Stream(b"screen\r\n")
    engine, server = scripted(CREATED, stream, answer(500), answer(200), RUNS, over())

    async def main() -> None:
        started = await exec_(engine, "web", ["vi"], tty=True, stdin=True, size=(30, 90))
        assert started.stderr is None
        assert started.stdin is not None
        started.stdin.write(b"x")
        started.stdin.write_eof()
        await until(lambda: stream.got == b"x\x04\x04")
        # A half-close would make the engine end the output.
        assert not stream.ended.is_set()
        stream.end()
        assert await started.communicate() == (b"screen\r\n", None)

    run(main())
    assert body(server, 0)["ConsoleSize"] == body(server, 1)["ConsoleSize"] == [30, 90]
    assert [line for line in server.lines if "resize" in line] == ["POST /v1.41/exec/e/resize?h=30&w=90"] * 2


def test_the_end_of_input_is_a_half_close_and_the_output_goes_on(scripted: Scripted) -> None:
    stream = Stream(b"", encode(1, b"late"))
    engine, _ = scripted(CREATED, stream, RUNS, over())

    async def main() -> None:
        started = await exec_(engine, "web", ["cat"], stdin=True)
        talking = asyncio.ensure_future(started.communicate(b"input" * 100_000))
        await until(stream.ended.is_set)
        assert stream.got == b"input" * 100_000
        stream.end()
        assert await talking == (b"late", b"")

    run(main())


def test_a_process_that_does_not_read_its_input_is_no_error_of_communicate(scripted: Scripted) -> None:
    stream = Stream(encode(1, b"enough"), at_once=True)
    engine, _ = scripted(CREATED, stream, over(1), over(1))

    async def main() -> None:
        started = await exec_(engine, "web", ["head"], stdin=True)
        assert await started.communicate(bytes(3_000_000)) == (b"enough", b"")
        assert started.returncode == 1
        assert started.stdin is not None
        started.stdin.write(b"dropped")
        with pytest.raises(BrokenPipeError):
            await started.stdin.drain()

    run(main())


def test_a_command_that_is_not_there_is_a_result(scripted: Scripted) -> None:
    engine, _ = scripted(
        *[CREATED, Stream(encode(1, START_ERROR), at_once=True), over(126, pid=0), over(126, pid=0)] * 2
    )

    async def main() -> None:
        started = await exec_(engine, "web", ["nosuch"])
        assert await started.communicate() == (b"", START_ERROR.rstrip() + b"\n")
        assert (started.returncode, started.pid) == (127, None)
        started = await exec_(engine, "web", ["nosuch"], tty=True)
        out, err = await started.communicate()
        assert err is None
        assert out.endswith(START_ERROR.rstrip() + b"\n")
        assert started.returncode == 127

    run(main())


@pytest.mark.parametrize(
    ("words", "code"),
    [("exec failed: executable file not found in $PATH", 127), ("exec failed: permission denied", 126)],
)
@pytest.mark.parametrize("tty", [False, True])
def test_a_command_that_the_engine_refuses_to_start_is_the_same_result(
    words: str, code: int, tty: bool, scripted: Scripted
) -> None:
    engine, _ = scripted(CREATED, refused(500, words))

    async def main() -> None:
        started = await exec_(engine, "web", ["nosuch"], tty=tty, stdin=True)
        out, err = await started.communicate(b"typed")
        assert (out if tty else err) == words.encode() + b"\n"
        assert tty or out == b""
        assert (started.returncode, started.pid) == (code, None)
        with pytest.raises(ProcessLookupError):
            started.kill()

    run(main())


def test_a_process_that_ends_with_127_itself_keeps_its_output(scripted: Scripted) -> None:
    engine, _ = scripted(CREATED, Stream(encode(1, START_ERROR), at_once=True), over(127), over(127))

    async def main() -> None:
        started = await exec_(engine, "web", ["sh"])
        assert await started.communicate() == (START_ERROR, b"")
        assert started.returncode == 127

    run(main())


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (refused(404, "No such container: web"), NotFound),
        (refused(400, "that makes no sense"), APIError),
        (None, EngineUnreachable),
    ],
)
@pytest.mark.parametrize("before", [[], [CREATED]])
def test_a_refusal_is_raised_and_leaves_nothing(
    before: list[bytes], refusal: bytes | None, kind: type[Exception], scripted: Scripted
) -> None:
    engine, _ = scripted(*before, refusal)

    async def main() -> None:
        with pytest.raises(kind):
            await exec_(engine, "web", ["true"])

    run(main())


def test_a_container_that_cannot_take_a_process_is_named_with_its_state(scripted: Scripted) -> None:
    paused = ok(Id="full", Config={}, State={"Status": "paused", "Running": True, "Paused": True})
    engine, _ = scripted(refused(409, "Container web is paused, unpause the container before exec"), paused)

    async def main() -> None:
        with pytest.raises(APIError, match=r"cannot .*web: it is paused; unpause it first"):
            await exec_(engine, "web", ["true"])

    run(main())


@pytest.mark.parametrize("wrong", [{"size": (0, 80), "tty": True}, {"size": (24, 70000), "tty": True}])
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    wrong: dict[str, Any], scripted: Scripted
) -> None:
    engine, server = scripted()

    async def main() -> None:
        with pytest.raises(ValueError, match="no terminal has"):
            await exec_(engine, "web", ["true"], **wrong)
        with pytest.raises(DockerptyError, match="cannot split the command"):
            await exec_(engine, "web", "sh -c 'ls")
        with pytest.raises(DockerptyError, match="cannot find the container"):
            await exec_(engine, None, "ls")

    run(main())
    assert server.lines == []


def test_a_start_that_takes_long_is_not_waited_for_for_ever(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STARTS_WITHIN_S", 0.0)
    stream = Stream()
    engine, _ = scripted(CREATED, stream, STARTS, over())

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        pids = [started.pid]
        stream.end()
        await started.wait()
        assert [*pids, started.pid] == [None, 77]

    run(main())


# Its end -------------------------------------------------------------------------------------------------------------


def test_many_wait_and_all_are_told_and_who_gives_up_disturbs_nobody(scripted: Scripted) -> None:
    stream = Stream()
    engine, _ = scripted(CREATED, stream, RUNS, over(3))

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        waiting = [asyncio.ensure_future(started.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        stream.end()
        assert await asyncio.gather(*waiting[1:]) == [3, 3]

    run(main())


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([RUNS, over(9)], 9),
        ([refused(404, "No such exec"), refused(404, "No such container")], 137),
        ([refused(404, "No such exec"), container()], None),
        ([ok(Running=False, ExitCode=-1)], None),
        ([refused(500, "no idea")], None),
    ],
)
def test_the_code_is_learned_after_the_end_of_the_stream(
    answers: list[bytes], code: int | None, scripted: Scripted
) -> None:
    stream = Stream()
    engine, _ = scripted(CREATED, stream, RUNS, *answers)

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        stream.end()
        assert await started.stdout.read() == b""
        if code is not None:
            assert await started.wait() == code
            return
        with pytest.raises(SessionLost, match="cannot learn the exit code of web"):
            await started.wait()
        assert started.returncode is None

    run(main())


@pytest.mark.parametrize("last", [encode(1, b"half")[:9], b"\x01"])
def test_a_stream_that_breaks_is_a_loss_to_all_who_wait_or_read(last: bytes, scripted: Scripted) -> None:
    stream = Stream(encode(1, b"whole"), last)
    engine, server = scripted(CREATED, stream, RUNS)

    async def main() -> None:
        started = await exec_(engine, "web", ["true"], stdin=True)
        reading = asyncio.ensure_future(started.communicate(b""))
        stream.end()
        with pytest.raises(SessionLost, match="in the middle of a frame"):
            await reading
        with pytest.raises(SessionLost):
            await started.wait()
        assert started.returncode is None
        assert started.stdin is not None
        with pytest.raises(BrokenPipeError):
            await started.stdin.drain()

    run(main())
    assert len(server.lines) == 3


def test_what_is_no_stream_of_an_engines_is_a_protocol_error(scripted: Scripted) -> None:
    engine, _ = scripted(CREATED, Stream(encode(3, b"out of order")), RUNS)

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        with pytest.raises(ProtocolError, match="out of order"):
            await started.wait()

    run(main())


def test_the_block_closes_the_connection_and_ends_nothing(scripted: Scripted) -> None:
    stream = Stream(encode(1, b"line\n"))
    engine, server = scripted(CREATED, stream, RUNS)

    async def main() -> None:
        async with await exec_(engine, "web", ["yes"], stdin=True) as started:
            assert await started.stdout.readline() == b"line\n"
            waiting = [asyncio.ensure_future(each) for each in (started.wait(), started.stdout.read(1))]
            await asyncio.sleep(0)
        assert started.returncode is None
        for each in waiting:
            with pytest.raises(SessionLost, match="its connection was closed here"):
                await each
        await started.aclose()
        await until(stream.closed.is_set)

    run(main())
    assert paths(server) == EXEC


def test_a_block_that_is_left_while_the_code_is_learned_waits_for_nobody(scripted: Scripted) -> None:
    stream, slow = Stream(), Held(over())
    engine, _ = scripted(CREATED, stream, RUNS, slow)

    async def main() -> None:
        async with await exec_(engine, "web", ["true"]) as started:
            stream.end()
            await until(slow.asked.is_set)
        with pytest.raises(SessionLost):
            await started.wait()

    run(main())
    slow.go.set()


def test_the_connection_is_closed_by_itself_at_the_end(scripted: Scripted) -> None:
    stream = Stream(at_once=True)
    engine, _ = scripted(CREATED, stream, over(), over())

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        await started.wait()
        assert started._transport.fileno() == -1
        await started.aclose()
        assert started.returncode == 0

    run(main())


def test_a_loop_that_ends_leaves_nothing_of_a_process_whose_code_was_being_learned(
    scripted: Scripted,
) -> None:
    stream, slow = Stream(), Held(over())
    engine, _ = scripted(CREATED, stream, RUNS, slow)

    async def main() -> None:
        await exec_(engine, "web", ["true"])
        stream.end()
        await until(slow.asked.is_set)

    run(main())
    slow.go.set()


# Silence -------------------------------------------------------------------------------------------------------------


def test_the_stream_of_a_process_that_has_ended_ends_after_a_silence(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SILENCE_S", 0.02)
    stream = Stream(encode(1, b"all"))
    engine, _ = scripted(CREATED, stream, STARTS, RUNS, RUNS, over(4), over(4))

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        assert await started.communicate() == (b"all", b"")
        assert started.returncode == 4

    run(main())
    stream.end()


def test_an_exec_that_is_forgotten_is_asked_no_more(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SILENCE_S", 0.02)
    stream, gone = Stream(), refused(404, "No such exec")
    engine, _ = scripted(CREATED, stream, RUNS, answer(500), gone, gone, refused(404, "No such container"))

    async def main() -> None:
        started = await exec_(engine, "web", ["true"])
        assert await started.wait() == 137

    run(main())
    stream.end()


def test_a_reader_that_is_full_is_no_silence(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_SILENCE_S", 0.01)
    stream = Stream(encode(1, bytes(5000)), encode(1, bytes(5000)))
    engine, server = scripted(CREATED, stream, RUNS, over())

    async def main() -> None:
        started = await exec_(engine, "web", ["true"], limit=1000)
        stream.end()
        looked = {started._timer}
        while len(looked) < 8:
            await asyncio.sleep(0.001)
            looked.add(started._timer)
        assert len(server.lines) == 3
        out, _ = await started.communicate()
        assert len(out) == 10_000

    run(main())


def test_silence_is_looked_at_ever_less_often(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_SILENCE_S", 0.01)
    monkeypatch.setattr(process, "_LONGEST_SILENCE_S", 0.04)
    stream = Stream()
    engine, server = scripted(CREATED, stream, *[RUNS] * 50)

    async def main() -> None:
        async with await exec_(engine, "web", ["true"]) as started:
            pauses = {started._patience_s}
            while len(server.lines) < 8:
                await asyncio.sleep(0.001)
                pauses.add(started._patience_s)
            assert pauses <= {0.01, 0.02, 0.04}
            assert started._patience_s == 0.04

    run(main())


# Cancellation --------------------------------------------------------------------------------------------------------


async def cancelled_at(held: Held, begin: Awaitable[Process]) -> None:
    """Cancel what begins a process while the engine has not answered, and let it answer then."""
    beginning = asyncio.ensure_future(begin)
    await until(held.asked.is_set)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    held.go.set()


def test_an_exec_cancelled_before_its_start_is_never_started(scripted: Scripted) -> None:
    held = Held(CREATED)
    engine, server = scripted(held)
    run(cancelled_at(held, exec_(engine, "web", ["true"])))
    assert len(server.lines) == 1


def killer(server: ScriptedEngine, *, before: int) -> list[str]:
    """Wait for the exec that kills the other one: its words, with the mark that it looks for."""
    wait_for(lambda: len(server.requests) > before + 2, what="the killer")
    assert paths(server)[before] == "POST/containers/full/exec"
    words: list[str] = body(server, before)["Cmd"]
    assert words[4:] == [body(server, 0)["Env"][-1], "KILL"]
    return words


def test_an_exec_cancelled_while_it_starts_is_closed_and_killed_as_soon_as_it_runs(
    scripted: Scripted,
) -> None:
    stream = Stream(encode(1, b"unseen"))
    held = Held(stream)
    killing = Stream(at_once=True)
    engine, server = scripted(CREATED, held, STARTS, RUNS, answer(201, b'{"Id": "k"}'), killing, over())
    run(cancelled_at(held, exec_(engine, "web", ["sleep", "60"])))
    wait_for(stream.closed.is_set, what="the stream to be closed")
    killer(server, before=4)


def test_an_exec_cancelled_when_it_has_started_is_closed_and_killed(scripted: Scripted) -> None:
    stream, held = Stream(encode(1, b"unseen")), Held(RUNS)
    killing = Stream(at_once=True)
    engine, server = scripted(CREATED, stream, held, RUNS, answer(201, b'{"Id": "k"}'), killing, over())
    run(cancelled_at(held, exec_(engine, "web", ["sleep", "60"])))
    wait_for(stream.closed.is_set, what="the stream to be closed")
    killer(server, before=4)


def test_an_exec_that_failed_to_start_after_it_was_cancelled_is_not_looked_for(scripted: Scripted) -> None:
    held = Held(refused(500, "no"))
    engine, server = scripted(CREATED, held)
    run(cancelled_at(held, exec_(engine, "web", ["true"])))
    wait_for(lambda: not _pool_threads(), what="the threads to end")
    assert len(server.lines) == 2


def _pool_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("dockerpty-process")]


@pytest.mark.parametrize("step", range(5))
def test_an_attachment_cancelled_at_any_step_leaves_no_connection(step: int, scripted: Scripted) -> None:
    wait, out, into = answer(200), Stream(encode(1, b"unseen")), Stream()
    steps: list[Step] = [container(), wait, out, into, container()]
    held = steps[step] = Held(steps[step])
    engine, server = scripted(*steps)
    run(cancelled_at(held, attach(engine, "web", stdin=True)))
    for stream, index in ((out, 2), (into, 3)):
        if len(server.requests) > index:
            wait_for(stream.closed.is_set, what=f"connection {index} to be closed")
    wait_for(lambda: not _pool_threads(), what="the threads to end")


def test_who_gives_up_a_signal_or_a_resize_or_a_read_leaves_a_process_that_works(scripted: Scripted) -> None:
    stream, slow = Stream(b"text"), Held(answer(200))
    engine, _ = scripted(CREATED, stream, RUNS, slow, answer(200), over())

    async def main() -> None:
        started = await exec_(engine, "web", ["vi"], tty=True)
        reading = asyncio.ensure_future(started.stdout.readexactly(100))
        resizing = started.resize(20, 70)
        await until(slow.asked.is_set)
        for each in (reading, resizing):
            each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await each
        slow.go.set()
        await started.resize(21, 71)
        stream.end()
        assert await started.communicate() == (b"text", None)

    run(main())


# What it is told -----------------------------------------------------------------------------------------------------


def test_signals_arrive_in_their_order_by_execs_that_look_for_the_mark(scripted: Scripted) -> None:
    stream = Stream()
    # Its word is enough: its end may not be told while the other's output is not taken.
    kill = [answer(201, b'{"Id": "k"}'), Stream(encode(1, b"done\n"))]
    engine, server = scripted(CREATED, stream, RUNS, *kill, *kill, over(137))

    async def main() -> None:
        started = await exec_(engine, "web", ["true"], user="nobody")
        # Nobody has to wait for it ...
        started.terminate()
        # ... and who does is told when it was sent.
        await started.kill()
        stream.end()
        assert await started.wait() == 137
        for ask in (started.terminate, started.kill, lambda: started.send_signal(2)):
            with pytest.raises(ProcessLookupError):
                ask()

    run(main())
    asked = [body(server, index) for index in (3, 5)]
    assert [each["Cmd"][5] for each in asked] == ["TERM", "KILL"]
    assert [each["User"] for each in asked] == ["nobody", "nobody"]
    assert [each["Cmd"][4] for each in asked] == [body(server, 0)["Env"][-1]] * 2


def test_a_signal_that_could_not_be_sent_is_told_to_who_awaits_it(scripted: Scripted) -> None:
    stream = Stream()
    kill = [answer(201, b'{"Id": "k"}'), Stream(encode(2, b"sh: not found"), at_once=True), over(127)]
    engine, _ = scripted(CREATED, stream, RUNS, *kill, RUNS)

    async def main() -> None:
        async with await exec_(engine, "web", ["true"]) as started:
            with pytest.raises(DockerptyError, match="cannot send INT to the process in web: sh: not found"):
                await started.send_signal(2)

    run(main())


def test_a_signal_that_ended_the_process_was_sent_though_the_engine_does_not_tell(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_REAP_PATIENCE_S", 0.05)
    stream = Stream()
    engine, _ = scripted(CREATED, stream, RUNS, answer(201, b'{"Id": "k"}'), Stream(), over(137))

    async def main() -> None:
        async with await exec_(engine, "web", ["yes"]) as started:
            await started.kill()

    run(main())


def test_of_many_sizes_the_last_one_is_sent(scripted: Scripted) -> None:
    stream, slow = Stream(), Held(answer(200))
    engine, server = scripted(CREATED, stream, RUNS, slow, answer(200))

    async def main() -> None:
        async with await exec_(engine, "web", ["vi"], tty=True) as started:
            first = started.resize(20, 70)
            await until(slow.asked.is_set)
            rest = [started.resize(20 + number, 70) for number in range(1, 30)]
            slow.go.set()
            await asyncio.gather(first, *rest)
            with pytest.raises(ValueError, match="no terminal has 0 rows"):
                started.resize(0, 70)

    run(main())
    assert [line.partition("?")[2] for line in server.lines[3:]] == ["h=20&w=70", "h=49&w=70"]


def test_what_has_no_terminal_has_no_size(scripted: Scripted) -> None:
    stream = Stream()
    engine, _ = scripted(CREATED, stream, RUNS)

    async def main() -> None:
        async with await exec_(engine, "web", ["true"]) as started:
            with pytest.raises(APIError, match="cannot resize the terminal of web: it has none"):
                started.resize(20, 70)

    run(main())


# A container's first process -----------------------------------------------------------------------------------------

WAITS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Waits:
    """The answer to a wait, whose body comes when the test says so."""

    def __init__(self, body: bytes = b'{"StatusCode": 5}') -> None:
        self.body, self.go = body, threading.Event()

    def __call__(self, sock: socket.socket) -> None:
        sock.sendall(WAITS)
        poll = select.poll()
        poll.register(sock, 0)
        deadline = time.monotonic() + 20
        while not self.go.wait(0.002) and not poll.poll(0):
            assert time.monotonic() < deadline, "nobody ends the wait"
        try:
            for byte in b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.body), self.body):
                sock.sendall(bytes([byte]))
        except OSError:
            pass  # nobody waits any more


def test_a_container_is_attached_to_and_its_code_is_that_of_the_wait(scripted: Scripted) -> None:
    wait, out, into = Waits(), Stream(encode(1, b"out") + encode(2, b"err")), Stream()
    engine, server = scripted(container(), wait, out, into, container())

    async def main() -> None:
        attached = await attach(engine, "web", stdin=True, logs=True)
        assert (attached.container_id, attached.exec_id, attached.pid) == ("full", None, 88)
        assert attached.stdin is not None
        attached.stdin.write(b"input")
        attached.stdin.write_eof()
        await until(into.ended.is_set)
        assert into.got == b"input"
        out.end()
        assert await attached.stdout.read() == b"out"
        assert attached.returncode is None
        wait.go.set()
        assert await attached.wait() == 5

    run(main())
    into.end()
    assert "logs=1" in server.lines[2]


def test_one_with_a_terminal_has_no_frames(scripted: Scripted) -> None:
    wait, out = Waits(), Stream(b"\x01raw")
    for tty, given in ((True, None), (False, True)):
        engine, _ = scripted(container(Tty=tty), wait, out, container(Tty=tty), answer(200))

        async def main(engine: Engine = engine, given: bool | None = given) -> None:
            async with await attach(engine, "web", tty=given) as attached:
                assert attached.stderr is None
                assert await attached.stdout.readexactly(4) == b"\x01raw"
                await attached.resize(20, 70)

        run(main())
    wait.go.set()


def test_one_that_was_created_is_attached_to_before_its_start(scripted: Scripted) -> None:
    wait, out = Waits(), Stream(encode(1, b"first"), at_once=True)
    engine, server = scripted(container(running=False, status="created"), wait, out)

    async def main() -> None:
        attached = await attach(engine, "web")
        assert attached.stdin is None
        wait.go.set()
        assert await attached.communicate() == (b"first", b"")
        assert attached.returncode == 5

    run(main())
    assert "condition=next-exit" in server.lines[1]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Running": False, "Status": "exited"}, "it is exited; start it first"),
        ({"Running": True, "Status": "paused", "Paused": True}, "it is paused; unpause it first"),
    ],
)
def test_one_that_cannot_be_attached_to_is_refused(
    state: dict[str, Any], words: str, scripted: Scripted
) -> None:
    engine, _ = scripted(ok(Id="full", Config={}, State=state))

    async def main() -> None:
        with pytest.raises(APIError, match=words):
            await attach(engine, "web")

    run(main())


def test_one_without_an_input_is_not_written_to(scripted: Scripted) -> None:
    engine, server = scripted(container(OpenStdin=False))

    async def main() -> None:
        with pytest.raises(APIError, match="cannot write to web: its stdin is closed"):
            await attach(engine, "web", stdin=True)

    run(main())
    assert len(server.lines) == 1


def test_one_that_ended_as_it_was_attached_to_is_over_after_a_moment(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ENDED_SILENCE_S", 0.02)
    wait, out = Waits(), Stream(encode(1, b"last"))
    wait.go.set()
    engine, _ = scripted(container(), wait, out, container(running=False))

    async def main() -> None:
        attached = await attach(engine, "web")
        assert await attached.communicate() == (b"last", b"")
        assert attached.returncode == 5

    run(main())
    out.end()


def test_signals_go_by_the_engines_own_request_and_one_that_has_ended_is_no_error(scripted: Scripted) -> None:
    wait, out = Waits(), Stream()
    engine, server = scripted(
        *(container(), wait, out, container(), answer(204)),
        *(refused(409, "Container web is not running"), container(running=False)),
        *(refused(409, "Container web is paused"), container()),
        *(refused(500, "no such signal"), refused(404, "No such container")),
    )

    async def main() -> None:
        async with await attach(engine, "web") as attached:
            await attached.terminate()
            await attached.kill()
            with pytest.raises(APIError, match="paused"):
                await attached.kill()
            await attached.send_signal(1)

    run(main())
    wait.go.set()
    assert [line for line in server.lines if "kill" in line] == [
        f"POST /v1.41/containers/full/kill?signal={name}" for name in ("TERM", "KILL", "KILL", "HUP")
    ]
