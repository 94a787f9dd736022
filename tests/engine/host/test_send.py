"""Channels to processes in containers, waited for in both colours."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from docker.models.containers import Container

from dockerpty.engine.client import Engine, from_environment
from dockerpty.engine.foreign import ForeignEngine
from dockerpty.errors import APIError, NotFound, SessionLost
from dockerpty.host.channel import Channel
from dockerpty.host.processes import closing, exit_code, kill
from dockerpty.host.requests import Close, Open, Wait
from dockerpty.host.send import OnLoop
from dockerpty.plan import drive_on_loop
from dockerpty.signals import marker
from tests.bed.engine import Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.transports import Transport
from tests.bed.waiting import SLACK, wait_for
from tests.engine.host.conftest import Colour, commands, runs, wait_until_runs

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

MEGABYTE = 1024 * 1024


def opened(container: Container, *command: str, **options: Any) -> Open:
    return Open(id_of(container), command, mark=marker(), **options)


def later() -> float:
    return time.monotonic() + 30 * SLACK


def all_of(channel: Channel, data: bytes = b"") -> Plan[dict[int, bytes]]:
    """Write this, end the input, and read to the end."""
    said: dict[int, list[bytes]] = {1: [], 2: []}
    view = memoryview(data)
    while not channel.ended:
        for stream, piece in channel.read():
            said[stream].append(piece)
        if view and not channel.unsent:
            channel.write(bytes(view[:65536]))
            view = view[65536:]
            if not view:
                channel.end_input()
        if not channel.ended:
            hungry = bool(view) and not channel.unsent
            assert (yield Wait((channel,), time.monotonic() if hungry else later())) or hungry, "silence"
    return {stream: b"".join(pieces) for stream, pieces in said.items()}


def until(channel: Channel, end: bytes) -> Plan[bytes]:
    """Read until it says this."""
    said = b""
    while not said.endswith(end):
        for _, piece in channel.read():
            said += piece
        assert not channel.ended, said
        if not said.endswith(end):
            assert (yield Wait((channel,), later())), said
    return said


def test_twenty_megabytes_go_through_and_come_back_exactly(colour: Colour, box: Container) -> None:
    data = os.urandom(1 << 16) * (20 * MEGABYTE >> 16)

    def plan() -> Plan[tuple[dict[int, bytes], int | None]]:
        channel = yield opened(box, "sh", "-c", "cat; echo late >&2; exit 7")
        return (yield from closing(channel, both(channel)))

    def both(channel: Channel) -> Plan[tuple[dict[int, bytes], int | None]]:
        said = yield from all_of(channel, data)
        return said, (yield from exit_code(channel))

    said, code = colour.drive(plan())
    assert (said[1] == data, said[2], code) == (True, b"late\n", 7)


def test_lines_are_answered_one_by_one(colour: Colour, box: Container) -> None:
    def plan() -> Plan[int | None]:
        channel = yield opened(box, "cat")
        for number in range(100):
            channel.write(b"line %d\n" % number)
            assert (yield from until(channel, b"\n")) == b"line %d\n" % number
        channel.end_input()
        assert (yield from all_of(channel)) == {1: b"", 2: b""}
        code = yield from exit_code(channel)
        yield Close(channel)
        return code

    assert colour.drive(plan()) == 0


def test_a_terminal_has_its_size_and_one_stream_and_ends_by_ctrl_d(colour: Colour, box: Container) -> None:
    def plan() -> Plan[tuple[bytes, int | None]]:
        channel = yield opened(box, "sh", "-c", "read line; stty size; tty >&2; cat", tty=True, size=(31, 97))
        channel.write(b"\n")
        said = yield from until(channel, b"/dev/pts/0\r\n")
        channel.write(b"half")
        channel.end_input()
        said += (yield from all_of(channel))[1]
        code = yield from exit_code(channel)
        yield Close(channel)
        return said, code

    assert colour.drive(plan()) == (b"\r\n31 97\r\n/dev/pts/0\r\nhalfhalf", 0)


def test_what_is_not_there_is_an_error_in_the_plan(colour: Colour, bench: Bench) -> None:
    def plan(container: str) -> Plan[type[Exception] | None]:
        try:
            yield Open(container, ("true",))
        except APIError as error:
            return type(error)
        return None

    found = colour.drive(plan("f" * 64))
    assert found is not None
    assert issubclass(found, NotFound)
    stopped = bench.container()
    assert colour.drive(plan(id_of(stopped))) is not None


def test_a_process_is_killed_with_its_family(colour: Colour, box: Container) -> None:
    def plan() -> Plan[tuple[str, int | None]]:
        family = "sleep 7001 & env -i sleep 7002 & echo up; wait"
        channel = yield opened(box, "sh", "-c", family)
        yield from until(channel, b"up\n")
        problem = yield from kill(channel)
        assert not runs(box, "sleep 700")
        yield from all_of(channel)
        code = yield from exit_code(channel)
        yield Close(channel)
        return problem, code

    assert colour.drive(plan()) == ("", 137)


def test_one_that_was_started_this_moment_is_killed_as_well(colour: Colour, box: Container) -> None:
    def plan() -> Plan[str]:
        channel = yield opened(box, "sleep", "7003")
        problem = yield from kill(channel, within=20)
        yield from all_of(channel)
        yield Close(channel)
        return problem

    assert colour.drive(plan()) == ""
    assert not runs(box, "sleep 7003")


def test_one_in_an_image_without_a_shell_cannot_be_killed_and_that_is_said(colour: Colour, bare: Any) -> None:
    container = bare()

    def plan() -> Plan[str]:
        channel = yield opened(container, "/bin/sleep", "7004")
        problem = yield from kill(channel)
        yield Close(channel)
        return problem

    assert '"sh"' in colour.drive(plan())
    assert runs(container, "sleep 7004")


def test_a_connection_that_breaks_is_an_error_of_the_channel(
    colour: Colour, proxy: Proxy, box: Container
) -> None:
    proxy.on("POST", "/start$", times=1, cut_down=200_001)
    colour.client = from_environment(proxy.unix())

    def plan() -> Plan[Channel]:
        channel: Channel = yield opened(box, "yes", "7008")
        while not channel.ended:
            channel.read()
            if not channel.ended:
                assert (yield Wait((channel,), later()))
        assert (yield from kill(channel, within=20)) == ""
        yield Close(channel)
        return channel

    try:
        assert isinstance(colour.drive(plan()).error, SessionLost)
    finally:
        colour.client.close()
    assert not runs(box, "yes 7008")


@pytest.mark.parametrize("moment_s", [0, 0.005, 0.02, 0.05, 0.2])
def test_a_start_that_is_given_up_leaves_no_process_whenever_that_is(
    moment_s: float, client: Engine, box: Container
) -> None:
    async def main() -> None:
        executor = OnLoop(client)
        starting = asyncio.create_task(executor.answer(opened(box, "sleep", "7005")))
        await asyncio.sleep(moment_s)
        starting.cancel()
        try:
            channel = await starting
        except asyncio.CancelledError:
            pass  # it was not open yet
        else:
            await drive_on_loop(kill(channel, within=20), executor.answer)
            await executor.answer(Close(channel))
        executor.release()

    asyncio.run(main())
    wait_for(lambda: not runs(box, "sleep 7005"), 30, "it to be killed")


def test_fifty_at_once_on_one_loop_take_four_threads(client: Engine, box: Container) -> None:
    async def main() -> int:
        executor = OnLoop(client)
        most = 0

        async def one(number: int) -> None:
            nonlocal most

            def plan() -> Plan[bytes]:
                channel = yield opened(box, "cat")
                channel.write(b"%d\n" % number)
                said = yield from until(channel, b"\n")
                channel.end_input()
                yield from all_of(channel)
                yield Close(channel)
                return said

            assert await drive_on_loop(plan(), executor.answer) == b"%d\n" % number
            most = max(most, sum(each.name.startswith("dockerpty") for each in threading.enumerate()))

        await asyncio.gather(*map(one, range(50)))
        executor.release()
        return most

    assert asyncio.run(main()) <= 4


def test_no_descriptor_is_left(colour: Colour, box: Container) -> None:
    def plan() -> Plan[None]:
        channel = yield opened(box, "cat")
        channel.end_input()
        yield from all_of(channel)
        yield Close(channel)

    colour.drive(plan())
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        colour.drive(plan())
    wait_for(lambda: len(os.listdir("/dev/fd")) <= before, 10, "connections to be closed")


def test_somebody_elses_client_is_as_good(transport: Transport, box: Container) -> None:
    if transport.name in ("ssh", "tls"):
        pytest.skip("docker-py cannot half-close over TLS, and leaves programs of its own behind with ssh")
    api = transport.docker_client().api
    data = os.urandom(MEGABYTE)

    def plan() -> Plan[dict[int, bytes]]:
        channel = yield opened(box, "cat")
        said = yield from all_of(channel, data)
        yield Close(channel)
        return said

    try:
        colour = Colour(ForeignEngine(api), "waiting")
        assert colour.drive(plan())[1] == data
    finally:
        api.close()


def test_what_runs_is_seen(box: Container) -> None:
    """The eyes of this file: without them nothing above would be known."""
    assert commands(box)
    box.exec_run(["sleep", "7006"], detach=True)
    wait_until_runs(box, "sleep 7006")
    assert not runs(box, "sleep 7007")
