"""Files by way of the two faces of a host: at once, in too little time, and given up in the middle."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from dockerpty.host.aio import container
from tests.bed.engine import Bench, id_of
from tests.bed.waiting import SLACK
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
    output = bench.run_inside(own, f"ls -A {folder} 2>/dev/null; true")[1]
    return output.decode().split()


def test_more_files_are_read_at_once_than_a_loop_has_threads(own: Container) -> None:
    many = 40

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
