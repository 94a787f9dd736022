"""Files by way of the two faces of a host: at once, in too little time, and given up in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from dockerpty.host.aio import container
from dockerpty.host.results import Status
from tests.bed.engine import Bench, id_of
from tests.bed.waiting import SLACK, wait_for
from tests.engine.host.faces import Face

ROOT = Path(__file__).resolve().parents[3]
SOAK = os.environ.get("DPTY_SOAK") == "1"
MIB, GIB = 1024**2, 1024**3
LIMIT_S = 60.0


@pytest.fixture(params=["waiting", "on a loop"])
def face(request: pytest.FixtureRequest) -> Iterator[Face]:
    """Either of the two faces."""
    made = Face(request.param)
    yield made
    made.close()


@pytest.fixture
def own(bench: Bench) -> Container:
    """A container of the test's own."""
    return bench.container(start=True)


def on_loop(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, LIMIT_S * SLACK))


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def names_in(bench: Bench, own: Container, folder: str) -> list[str]:
    return bench.run_inside(own, f"ls -A {folder} 2>/dev/null; true")[1].decode().split()


def test_more_files_are_read_at_once_than_a_loop_has_threads(own: Container) -> None:
    many = min(32, (os.cpu_count() or 1) + 4) // 2 + 2

    async def work() -> list[int]:
        async with container(id_of(own)) as host:
            await host.put_stream((b"x" * MIB for _ in range(4)), "/srv/large", 4 * MIB)
            reading = [host.iter_get("/srv/large") for _ in range(many)]
            # All have begun before any goes on.
            sizes = [len(await anext(each)) for each in reading]
            for index, each in enumerate(reading):
                async for piece in each:
                    sizes[index] += len(piece)
            return sizes

    assert on_loop(work()) == [4 * MIB] * many


def test_the_threads_of_a_loop_are_its_programs_own(own: Container, tmp_path: Path) -> None:
    source = sparse(tmp_path / "big", 20 * GIB)

    async def work() -> list[str]:
        async with container(id_of(own)) as host:
            await host.exists("/srv")
            moving = [asyncio.ensure_future(host.put(source, f"/srv/{number}")) for number in range(40)]
            await asyncio.sleep(0)
            answer = await asyncio.wait_for(asyncio.to_thread(lambda: "at once"), 10 * SLACK)
            for each in moving:
                each.cancel()
            ended = await asyncio.gather(*moving, return_exceptions=True)
            return [answer, *{type(each).__name__ for each in ended}]

    assert on_loop(work()) == ["at once", "CancelledError"]


def test_who_reads_a_file_piece_by_piece_may_do_something_else_meanwhile(face: Face, own: Container) -> None:
    host = face.host(None, id_of(own))
    assert host.oneshot("truncate -s 200M /big; echo x >/small").ok
    other = face.host(None, id_of(own))
    if face.waits:
        pieces = host.iter_get("/big")
        next(pieces)
        assert other.oneshot("echo here", timeout=30).output == "here"
        assert other.read_bytes("/small") == b"x\n"
        pieces.close()
        return

    async def work() -> None:
        pieces = host.target.iter_get("/big")
        await anext(pieces)
        assert (await other.target.oneshot("echo here", timeout=30)).output == "here"
        assert await other.target.read_bytes("/small") == b"x\n"
        await pieces.aclose()

    face.finish(work())


def test_a_transfer_that_takes_too_long_says_so_and_leaves_nothing(
    face: Face, own: Container, bench: Bench, tmp_path: Path
) -> None:
    host = face.host(None, id_of(own))
    assert host.oneshot("mkdir /srv; echo old >/srv/big; truncate -s 20G /big").ok
    source = sparse(tmp_path / "big", 20 * GIB)
    for moved in (
        host.put(source, "/srv", timeout=1.5),
        host.get("/big", tmp_path / "back", timeout=1),
        host.put(source, "/dev/shm", timeout=0),
    ):
        assert moved.status is Status.Error
        assert "its time was over" in moved.message
    assert host.read_bytes("/srv/big") == b"old\n"
    assert (names_in(bench, own, "/srv"), names_in(bench, own, "/dev/shm")) == (["big"], [])
    assert sorted(os.listdir(tmp_path)) == ["big"]


def test_progress_is_told_where_the_program_is_and_ten_times_a_second_at_most(
    face: Face, own: Container, tmp_path: Path
) -> None:
    host = face.host(None, id_of(own))
    source = sparse(tmp_path / "large", 150 * MIB)
    told: list[tuple[int, int | None, str]] = []

    def report(*what: Any) -> None:
        if not face.waits:
            asyncio.get_running_loop()
        told.append(what)

    for verb, *words in (("put", source, "/srv"), ("get", "/srv/large", tmp_path / "back")):
        told.clear()
        began = time.monotonic()
        assert getattr(host, verb)(*words, progress=report).check().bytes == 150 * MIB
        face.call(lambda: None)
        assert told[-1][:2] == (150 * MIB, 150 * MIB)
        assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
        assert len(told) <= 10 * (time.monotonic() - began) + 1


def test_a_task_that_is_cancelled_ends_its_transfer_and_leaves_nothing(
    own: Container, bench: Bench, tmp_path: Path
) -> None:
    source = sparse(tmp_path / "big", 20 * GIB)

    async def work() -> None:
        async with container(id_of(own)) as host:
            await host.oneshot("truncate -s 20G /big")
            for move in (host.put, host.get):
                moves = asyncio.Event()
                what, where = (source, "/srv") if move == host.put else ("/big", tmp_path / "back")
                task = asyncio.ensure_future(move(what, where, progress=lambda *_, told=moves: told.set()))
                await moves.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            # The host is as good as before.
            assert (await host.oneshot("echo alive")).output == "alive"

    on_loop(work())
    wait_for(lambda: not names_in(bench, own, "/srv"), 20, "what had come to be removed there")
    wait_for(lambda: os.listdir(tmp_path) == ["big"], 20, "what had come to be removed here")


MOVES = """
import sys
from dockerpty.host import container_sync
host = container_sync(sys.argv[1])
host.exists("/srv")
try:
    getattr(host, sys.argv[2])(sys.argv[3], sys.argv[4], progress=lambda *_: print("moves", flush=True))
except KeyboardInterrupt:
    print(host.oneshot("echo alive").output, flush=True)
"""


@pytest.mark.parametrize("verb", ["put", "get"])
def test_ctrl_c_ends_a_transfer_at_once_and_leaves_nothing(
    verb: str, own: Container, bench: Bench, tmp_path: Path
) -> None:
    source = sparse(tmp_path / "big", 20 * GIB)
    bench.run_inside(own, "mkdir /srv; echo old >/srv/big; truncate -s 20G /big")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "big").write_text("old\n")
    where = [str(source), "/srv"] if verb == "put" else ["/big", str(tmp_path / "back")]
    program = subprocess.Popen(
        [sys.executable, "-c", MOVES, id_of(own), verb, *where],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"moves\n"
        program.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert program.stdout.read().endswith(b"alive\n")
        assert program.wait(20 * SLACK) == 0
        assert time.monotonic() - began < 10 * SLACK
    assert bench.run_inside(own, "ls -A /srv; cat /srv/big")[1] == b"big\nold\n"
    assert os.listdir(tmp_path / "back") == ["big"]
    assert (tmp_path / "back" / "big").read_text() == "old\n"


def test_eight_at_once_and_more_on_one_host(own: Container, tmp_path: Path) -> None:
    many = 8
    content = [os.urandom(1024) * 1024 * (50 if SOAK else 2) for _ in range(many)]
    for number, data in enumerate(content):
        (tmp_path / f"f{number}").write_bytes(data)

    async def work() -> None:
        async with container(id_of(own)) as host:
            there = await asyncio.gather(
                *(host.put(tmp_path / f"f{number}", "/srv/new") for number in range(many))
            )
            back = await asyncio.gather(
                *(host.get(f"/srv/new/f{number}", tmp_path / "back" / "new") for number in range(many))
            )
            assert all(each.check().ok for each in (*there, *back))
            assert await host.ls("/srv/new") == [f"f{number}" for number in range(many)]

    on_loop(work())
    found = [(tmp_path / "back" / "new" / f"f{number}").read_bytes() for number in range(many)]
    assert found == content


MUCH = """
import sys
from dockerpty.host import container_sync
host = container_sync(sys.argv[1])
host.exists("/srv")

def most():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

before = most()
print(host.put(sys.argv[2], "/srv").check().bytes)
print(host.get("/srv/big", sys.argv[3]).check().bytes)
print(sum(len(piece) for piece in host.iter_get("/srv/big")))
host.rm("/srv/big")
print(most() - before)
print(most())
"""


@pytest.mark.timeout(900 if SOAK else 120)
def test_much_is_moved_in_constant_memory(own: Container, tmp_path: Path) -> None:
    size = 5 * GIB if SOAK else 150 * MIB
    source = sparse(tmp_path / "big", size)
    words = [sys.executable, "-c", MUCH, id_of(own), str(source), str(tmp_path / "back")]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
    *moved, grown, all_kib = map(int, done.stdout.split())
    assert moved == [size] * 3
    assert grown < 24 * 1024
    assert all_kib < 80 * 1024
    (tmp_path / "back" / "big").unlink()
