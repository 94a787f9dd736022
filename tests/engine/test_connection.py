"""Streams of a real engine over every transport, by every way to have the connection."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from dockerpty.engine import calls
from dockerpty.engine.client import Engine, engine_of, from_environment
from dockerpty.engine.connection import Transport, wait_for
from dockerpty.engine.foreign import ForeignEngine
from dockerpty.frames import Decoder
from tests.bed.exchange import exchange
from tests.bed.transports import KINDS, Unavailable
from tests.bed.transports import Transport as Way
from tests.conftest import missing

MEGABYTES = 20 * 1024 * 1024

# Ourselves from the environment, over the address of a docker-py client, through that client's methods.
DOORS = ("own", "client", "methods")
KINDS_HERE = ("unix", "tcp", "tls", "ssh", "sshd")
ROUTES = [(kind, door) for kind in KINDS_HERE for door in DOORS]
# With this one docker-py leaves sockets and programs of its own behind; how its stream is taken is for a unit test.
ROUTES.remove(("ssh", "methods"))


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Way | Unavailable]]:
    """All ways to the engine, started before a test counts its threads; what is not there says why."""
    started: dict[str, Way | Unavailable] = {}
    for kind in KINDS_HERE:
        try:
            started[kind] = KINDS[kind](tmp_path_factory.mktemp(kind))
        except Unavailable as error:
            started[kind] = error
    yield started
    for way in started.values():
        if isinstance(way, Way):
            way.close()


@pytest.fixture(params=ROUTES, ids="-".join)
def route(request: pytest.FixtureRequest, ways: dict[str, Way | Unavailable]) -> Iterator[tuple[str, Engine]]:
    """The name of a way to the engine of the tests, and our engine by that way."""
    kind, door = request.param
    way = ways[kind]
    if isinstance(way, Unavailable):
        missing(f"{kind}: {way}")
        raise way
    with way.applied():
        client: Any = None
        engine: Engine
        if door == "own":
            engine = from_environment()
        else:
            # With a version given docker-py makes no connection, which it would leave open with this one.
            by_ssh = kind == "ssh"
            client = (
                docker.APIClient(way.host_url, "1.41", use_ssh_client=True)
                if by_ssh
                else way.docker_client().api
            )
            engine = engine_of(client) if door == "client" else ForeignEngine(client)
        yield f"{kind}-{door}", engine
        engine.close()
        if client is not None:
            client.close()


def started(engine: Engine, box: Container, command: str) -> tuple[str, Transport]:
    """Start an exec with all its streams."""
    assert box.id is not None
    config = {"Cmd": ["sh", "-c", command], "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
    made: str = engine.send(calls.create_exec(box.id, config)).json()["Id"]
    return made, engine.hijack(calls.start_exec(made, tty=False))


def converse(transport: Transport, data: bytes, *, end: bool = True) -> dict[int, bytes]:
    """Send `data` and, with `end`, the end of it, while reading to the end of what comes: bytes by stream."""
    decoder, got = Decoder(), {1: bytearray(), 2: bytearray()}

    def take(piece: memoryview) -> None:
        for stream, text in decoder.feed(piece):
            got[stream] += text

    exchange(transport, data, take, end=end)
    return {stream: bytes(text) for stream, text in got.items()}


def test_twenty_megabytes_go_through_cat_and_come_back_exactly(
    route: tuple[str, Engine], box: Container
) -> None:
    name, engine = route
    made, transport = started(engine, box, "cat; echo late; echo error >&2; exit 7")
    data = os.urandom(1 << 16) * (MEGABYTES >> 16)
    if name == "tls-methods":
        # docker-py's TLS socket cannot end one direction.
        with pytest.raises(OSError, match="only be closed in both directions"):
            transport.half_close()
        transport.close()
        return
    got = converse(transport, data)
    transport.close()
    assert got[1] == data + b"late\n"
    assert got[2] == b"error\n"
    assert engine.send(calls.inspect_exec(made)).json()["ExitCode"] == 7


def test_the_first_bytes_of_a_fast_command_are_not_lost(route: tuple[str, Engine], box: Container) -> None:
    _, engine = route
    for _ in range(5):
        _, transport = started(engine, box, "echo first")
        assert converse(transport, b"", end=False)[1] == b"first\n"
        transport.close()


def test_a_connection_can_be_left_while_the_command_runs(route: tuple[str, Engine], box: Container) -> None:
    _, engine = route
    made, transport = started(engine, box, "echo up; sleep 3")
    deadline = time.monotonic() + 10
    while not transport.pending():
        assert wait_for([(transport.fileno(), select.POLLIN)], deadline)
        try:
            transport.unread(transport.recv(100))
        except BlockingIOError:
            continue  # nothing now
    transport.close()
    assert engine.send(calls.inspect_exec(made)).json()["Running"] is True
