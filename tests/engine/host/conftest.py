"""What the tests of hosts share: plans driven in both colours, on one engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest
from docker.models.containers import Container

from dockerpty.engine.client import Engine, from_environment
from dockerpty.host.send import Blocking, OnLoop
from dockerpty.plan import drive, drive_on_loop
from tests.bed.engine import Bench
from tests.bed.transports import Transport
from tests.bed.waiting import SLACK, wait_for

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

T = TypeVar("T")

LIMIT_S = 100


@pytest.fixture
def client(transport: Transport) -> Iterator[Engine]:
    """The engine as the bridge finds it."""
    found = from_environment()
    yield found
    found.close()


class Colour:
    """Drives plans, waiting or on a loop."""

    def __init__(self, client: Engine, name: str) -> None:
        self.name = name
        self.client = client

    def drive(self, plan: Plan[T]) -> T:
        """Run a plan to its end."""
        if self.name == "waiting":
            return drive(plan, Blocking(self.client).answer)
        return asyncio.run(self._on_loop(plan))

    async def _on_loop(self, plan: Plan[T]) -> T:
        executor = OnLoop(self.client)
        try:
            return await asyncio.wait_for(drive_on_loop(plan, executor.answer), LIMIT_S * SLACK)
        finally:
            executor.release()


@pytest.fixture(params=["waiting", "on a loop"])
def colour(request: pytest.FixtureRequest, client: Engine) -> Colour:
    """Either of the two ways in which plans are driven."""
    return Colour(client, request.param)


def commands(container: Container) -> list[str]:
    """What runs in a container, as command lines."""
    assert container.client is not None
    return Bench(container.client).processes(container)


def wait_until_runs(container: Container, words: str) -> None:
    """Wait for a process with these words in its command line."""
    wait_for(lambda: any(words in line for line in commands(container)), 20, f"{words} to run")


def runs(container: Container, words: str) -> bool:
    """Whether such a process is there now."""
    return any(words in line for line in commands(container))
