"""The two who answer plans: what they ask the engine for, what wakes them, and what they take back."""

from __future__ import annotations

import asyncio
import errno
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from dockerpty.engine.calls import Call, Reply, ping
from dockerpty.engine.interface import Engine
from dockerpty.engine.transport import SocketTransport, Transport
from dockerpty.errors import APIError, NotFound, StartRefused
from dockerpty.frames import STDOUT, encode
from dockerpty.host.channel import Channel
from dockerpty.host.requests import Ask, Close, Open, Wait
from dockerpty.host.send import Blocking, OnLoop
from dockerpty.plan import drive, drive_on_loop
from tests.bed.waiting import wait_for
from tests.unit.host.channels import CONTAINER, reply

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

T = TypeVar("T")

RUNS = {"Running": True, "ExitCode": None, "Pid": 7, "ContainerID": CONTAINER}


class Wired(Engine):
    """An engine whose execs are socket pairs; the far ends are the test's.

    Attributes:
        calls: names of the calls, in order.
        configs: what execs were created with.
        ends: the far end of each connection.
        kind: of connection.
        hold: what a start waits for, after it has been told.
        refusals: raised by the calls of these names.
    """

    name = "wired"

    def __init__(self, original: Wired | None = None) -> None:
        self.of = original or self
        if original is None:
            self.calls: list[str] = []
            self.configs: list[dict[str, Any]] = []
            self.ends: list[socket.socket] = []
            self.kind: type[SocketTransport] = SocketTransport
            self.starting = threading.Event()
            self.hold: threading.Event | None = None
            self.refusals: dict[str, list[BaseException]] = {}
            self.lock = threading.Lock()

    def again(self) -> Engine:
        return Wired(self.of)

    def send(self, call: Call, *, subject: str = "", timeout: float = 0) -> Reply:
        self._told(call)
        if call.name == "exec_create":
            assert isinstance(call.body, dict)
            self.of.configs.append(call.body)
            return reply({"Id": f"{len(self.of.configs):064x}"})
        return reply(RUNS)

    def hijack(self, call: Call, *, subject: str = "", timeout: float = 0) -> Transport:
        ours, far = socket.socketpair()
        far.settimeout(20)
        with self.of.lock:
            self.of.ends.append(far)
        self._told(call, ours)
        # What kills another one says so at once.
        if "DPTY_EXEC=" in str(self.of.configs[-1]["Cmd"]):
            far.sendall(encode(STDOUT, b"done\n"))
        elif self.of.hold is not None:
            self.of.starting.set()
            assert self.of.hold.wait(20)
        return self.of.kind(ours, "wired")

    def close(self) -> None:
        """Nothing is kept."""

    def _told(self, call: Call, opened: socket.socket | None = None) -> None:
        self.of.calls.append(call.name)
        if self.of.refusals.get(call.name):
            if opened is not None:
                opened.close()
            raise self.of.refusals[call.name].pop(0)


@pytest.fixture
def engine() -> Iterator[Wired]:
    engine = Wired()
    yield engine
    for far in engine.ends:
        far.close()


def blocking(engine: Wired, make: Callable[[], Plan[T]]) -> T:
    return drive(make(), Blocking(engine).answer)


def on_loop(engine: Wired, make: Callable[[], Plan[T]]) -> T:
    async def main() -> T:
        executor = OnLoop(engine)
        try:
            return await asyncio.wait_for(drive_on_loop(make(), executor.answer), 60)
        finally:
            executor.release()
            executor.release()

    return asyncio.run(main())


Drive = Callable[[Wired, Callable[[], Any]], Any]
both = pytest.mark.parametrize("colour", [blocking, on_loop])
CAT = Open(CONTAINER, ("cat",), mark="DPTY_EXEC=1")


def using(work: Callable[[Channel], Plan[T]], request: Open = CAT) -> Callable[[], Plan[T]]:
    """A plan that opens a channel, does something with it, and closes it."""

    def plan() -> Plan[T]:
        channel = yield request
        try:
            return (yield from work(channel))
        finally:
            yield Close(channel)

    return plan


# What they ask for ----------------------------------------------------------------------------------------------------


@both
def test_calls_are_answered_and_their_errors_raised_in_the_plan(colour: Drive, engine: Wired) -> None:
    def plan() -> Plan[list[Any]]:
        first = yield Ask(ping())
        engine.refusals["ping"] = [NotFound("ask for", "it")]
        try:
            yield Ask(ping())
        except NotFound as error:
            return [first.json(), str(error)]
        return []

    assert colour(engine, plan) == [RUNS, "cannot ask for it"]


@both
def test_a_process_is_started_as_it_was_asked_for(colour: Drive, engine: Wired) -> None:
    opened = Open(
        CONTAINER,
        ("sh", "-c", "x y"),
        stdin=False,
        environment=("A=1",),
        mark="DPTY_EXEC=1",
        user="app",
        workdir="/srv",
        privileged=True,
    )

    def work(channel: Channel) -> Plan[tuple[Any, ...]]:
        yield from ()
        return channel.exec_id, channel.container, channel.mark, channel.user, channel.tty

    assert colour(engine, using(work, opened)) == (f"{1:064x}", CONTAINER, "DPTY_EXEC=1", "app", False)
    config = engine.configs[0]
    assert config.pop("DetachKeys")
    assert config == {
        "Cmd": ["sh", "-c", "x y"],
        "Tty": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": ["A=1", "DPTY_EXEC=1"],
        "User": "app",
        "WorkingDir": "/srv",
        "Privileged": True,
    }
    assert engine.ends[0].recv(1) == b""


@both
def test_a_terminal_has_its_size_before_anything_is_done_with_it(colour: Drive, engine: Wired) -> None:
    engine.refusals["exec_resize"] = [APIError("resize", "it", status_code=500)]

    def work(channel: Channel) -> Plan[list[str]]:
        yield from ()
        return list(engine.calls)

    opened = Open(CONTAINER, ("sh",), tty=True, size=(24, 200))
    told = ["exec_create", "exec_start", "exec_resize", "exec_inspect", "exec_resize"]
    assert colour(engine, using(work, opened)) == told
    assert engine.configs[0]["ConsoleSize"] == [24, 200]


@both
@pytest.mark.parametrize("call", ["exec_create", "exec_start"])
def test_what_cannot_be_started_is_raised_in_the_plan(call: str, colour: Drive, engine: Wired) -> None:
    error = StartRefused("start", "it", exit_code=126, status_code=400)
    engine.refusals[call] = [error]

    def plan() -> Plan[BaseException | None]:
        try:
            yield CAT
        except StartRefused as raised:
            return raised
        return None

    assert colour(engine, plan) is error


# What wakes them ------------------------------------------------------------------------------------------------------


@both
def test_bytes_and_the_end_are_waited_for(colour: Drive, engine: Wired) -> None:
    def work(channel: Channel) -> Plan[list[Any]]:
        far = engine.ends[0]
        told: list[Any] = []
        timer = threading.Timer(0.05, far.sendall, [encode(STDOUT, b"late")])
        timer.start()
        told.append((yield Wait((channel,), time.monotonic() + 60)))
        timer.join()
        told.append(channel.read())
        far.shutdown(socket.SHUT_WR)
        told.append((yield Wait((channel,))))
        told.append(channel.read())
        # Its end stays.
        told.append((yield Wait((channel,))))
        return [*told, channel.ended]

    assert colour(engine, using(work)) == [True, [(STDOUT, b"late")], True, [], True, True]


@both
def test_a_time_that_is_over_ends_the_wait_and_what_is_there_comes_first(
    colour: Drive, engine: Wired
) -> None:
    def work(channel: Channel) -> Plan[list[bool]]:
        now = time.monotonic()
        told = [(yield Wait((channel,), now + 0.05))]
        assert time.monotonic() >= now + 0.05
        told.append((yield Wait((channel,), now)))
        engine.ends[0].sendall(b"x")
        told.append((yield Wait((channel,), now)))
        return told

    assert colour(engine, using(work)) == [False, False, True]


@both
def test_a_wait_for_nothing_is_a_pause(colour: Drive, engine: Wired) -> None:
    def plan() -> Plan[tuple[bool, float]]:
        began = time.monotonic()
        answer = yield Wait(until=began + 0.05)
        return answer, time.monotonic() - began

    answer, took = colour(engine, plan)
    assert not answer
    assert took >= 0.05


@both
def test_the_first_of_many_wakes(colour: Drive, engine: Wired) -> None:
    def plan() -> Plan[list[int]]:
        channels = []
        for _ in range(20):
            channels.append((yield CAT))
        engine.ends[13].sendall(encode(STDOUT, b"me"))
        yield Wait(tuple(channels))
        found = [number for number, channel in enumerate(channels) if channel.read()]
        for channel in channels:
            yield Close(channel)
        return found

    assert colour(engine, plan) == [13]


@both
def test_what_was_written_is_sent_while_the_plan_waits(colour: Drive, engine: Wired) -> None:
    data = bytes(range(256)) * 16384

    def work(channel: Channel) -> Plan[bytes]:
        came = []

        def take() -> None:
            while piece := engine.ends[0].recv(1 << 16):
                came.append(piece)

        taker = threading.Thread(target=take)
        channel.write(data)
        channel.end_input()
        assert channel.unsent
        taker.start()
        while channel.unsent:
            assert (yield Wait((channel,), time.monotonic() + 60))
        taker.join()
        return b"".join(came)

    assert colour(engine, using(work)) == data


@both
def test_room_that_came_before_the_wait_is_no_less_than_room_that_comes(colour: Drive, engine: Wired) -> None:
    def work(channel: Channel) -> Plan[bool]:
        while not channel.unsent:
            channel.write(bytes(65536))
        while select.select([engine.ends[0]], [], [], 0)[0]:
            engine.ends[0].recv(1 << 20)
        answer: bool = yield Wait((channel,), time.monotonic() + 60)
        assert not channel.unsent
        return answer

    assert colour(engine, using(work))


class Ahead(SocketTransport):
    """One that has decrypted more than was asked for."""

    def pending(self) -> bool:
        return True


@both
def test_bytes_that_no_poll_sees_are_seen(colour: Drive, engine: Wired) -> None:
    engine.kind = Ahead

    def work(channel: Channel) -> Plan[bool]:
        answer: bool = yield Wait((channel,), time.monotonic() + 60)
        return answer

    assert colour(engine, using(work))


class Ssh(SocketTransport):
    """One whose end is that of a program, and is waited for."""

    __slots__ = ("learned_by",)

    def end_waits(self) -> bool:
        return bool(select.select([self], [], [], 0)[0])

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        self.learned_by = threading.current_thread().name
        raise ConnectionResetError(errno.ECONNRESET, "ssh ended with 255")


@both
def test_an_end_that_has_to_be_waited_for_does_not_stop_the_loop(colour: Drive, engine: Wired) -> None:
    engine.kind = Ssh

    def work(channel: Channel) -> Plan[tuple[str, str]]:
        engine.ends[0].close()
        yield Wait((channel,))
        assert channel.ended
        transport = channel._transport
        assert isinstance(transport, Ssh)
        return str(channel.error), transport.learned_by

    error, learned_by = colour(engine, using(work))
    assert "ssh ended with 255" in error
    assert (learned_by == "MainThread") is (colour is blocking)


def test_who_has_much_to_read_lets_the_others_on_the_loop_have_their_turn(engine: Wired) -> None:
    engine.kind = Ahead

    async def main() -> int:
        executor = OnLoop(engine)
        channel = await executor.answer(CAT)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(10):
            assert await executor.answer(Wait((channel,)))
        task.cancel()
        await executor.answer(Close(channel))
        executor.release()
        return turns

    assert asyncio.run(main()) >= 10


# What they take back --------------------------------------------------------------------------------------------------


def test_ctrl_c_is_raised_where_the_plan_waits(engine: Wired) -> None:
    def work(channel: Channel) -> Plan[str]:
        typed = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
        typed.start()
        try:
            yield Wait((channel,), time.monotonic() + 60)
        except KeyboardInterrupt:
            return "here"
        finally:
            typed.join()
        return "not here"

    assert blocking(engine, using(work)) == "here"


def test_ctrl_c_at_the_start_takes_back_what_may_have_been_started(engine: Wired) -> None:
    engine.refusals["exec_start"] = [KeyboardInterrupt()]

    def plan() -> Plan[None]:
        yield CAT

    with pytest.raises(KeyboardInterrupt):
        blocking(engine, plan)
    assert engine.calls == ["exec_create", "exec_start", "exec_inspect", "exec_create", "exec_start"]
    assert "DPTY_EXEC=1" in engine.configs[1]["Cmd"]


def test_a_cancelled_wait_leaves_no_reader_behind(engine: Wired) -> None:
    async def main() -> None:
        executor = OnLoop(engine)
        channel = await executor.answer(CAT)
        channel.write(bytes(1 << 24))
        assert channel.unsent
        fds = [fd for fd, _ in channel.interest()]
        waiting = asyncio.create_task(executor.answer(Wait((channel,))))
        # As much room as there is, and nobody to take it.
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        loop = asyncio.get_running_loop()
        assert not any(loop.remove_reader(fd) or loop.remove_writer(fd) for fd in fds)
        await executor.answer(Close(channel))
        executor.release()

    asyncio.run(main())


def test_a_cancelled_start_takes_back_what_was_started(engine: Wired) -> None:
    engine.hold = threading.Event()

    async def main() -> None:
        executor = OnLoop(engine)
        starting = asyncio.create_task(executor.answer(CAT))
        assert await asyncio.to_thread(engine.starting.wait, 20)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert engine.hold is not None
        engine.hold.set()
        # Its connection is closed, and it is killed.
        assert await asyncio.to_thread(engine.ends[0].recv, 1) == b""
        await asyncio.to_thread(wait_for, lambda: len(engine.configs) == 2, 20, "a process that kills it")
        executor.release()

    asyncio.run(main())
    assert "DPTY_EXEC=1" in engine.configs[1]["Cmd"]


def test_a_channel_is_closed_also_if_nobody_waits_for_that(engine: Wired) -> None:
    async def main() -> None:
        executor = OnLoop(engine)
        channel = await executor.answer(CAT)
        closing = asyncio.create_task(executor.answer(Close(channel)))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert await asyncio.to_thread(engine.ends[0].recv, 1) == b""
        executor.release()

    asyncio.run(main())


def test_many_channels_of_a_loop_take_no_thread_and_one_buffer(engine: Wired) -> None:
    async def main() -> None:
        executor = OnLoop(engine)
        channels = [await executor.answer(CAT) for _ in range(50)]
        threads = threading.active_count()
        waits = [asyncio.create_task(executor.answer(Wait((channel,)))) for channel in channels]
        await asyncio.sleep(0)
        assert threading.active_count() == threads
        assert len({id(channel._buffer) for channel in channels}) == 1
        for far in engine.ends:
            far.sendall(encode(STDOUT, b"all"))
        assert await asyncio.gather(*waits) == [True] * 50
        for channel in channels:
            assert channel.read() == [(STDOUT, b"all")]
            await executor.answer(Close(channel))
        executor.release()

    asyncio.run(main())


def test_both_ask_the_engine_for_the_same(engine: Wired) -> None:
    def work(channel: Channel) -> Plan[None]:
        yield Ask(ping())

    opened = Open(CONTAINER, ("sh",), tty=True, size=(24, 200))
    blocking(engine, using(work, opened))
    first, engine.calls = engine.calls, []
    on_loop(engine, using(work, opened))
    assert engine.calls == first
