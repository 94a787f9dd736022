"""An engine that cannot be had twice, for several threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dockerpty.engine.calls import ping
from dockerpty.host.drivers import ThreadDriver
from dockerpty.host.parents import engine_behind
from dockerpty.host.requests import Ask

THREADS = 8


class Client:
    """A client of the program's own that tells how many were in it at once."""

    base_url = "http+docker://its.own"

    def __init__(self) -> None:
        self.inside = self.most = self.asked = 0

    def ping(self) -> bytes:
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(0.001)
        self.asked += 1
        self.inside -= 1
        return b"OK"


def asked() -> Any:
    return (yield Ask(ping())).body


def test_threads_that_share_a_client_of_the_programs_own_ask_it_one_at_a_time() -> None:
    client = Client()
    driver = ThreadDriver(lambda: client)
    with ThreadPoolExecutor(THREADS) as threads:
        told = [each.result() for each in [threads.submit(driver.drive, asked()) for _ in range(40)]]
    assert set(told) == {b"OK"}
    assert (client.asked, client.most) == (40, 1)
    driver.drop()


def test_a_program_that_runs_while_a_transfer_goes_on_in_the_same_thread_has_its_turn() -> None:
    client = Client()
    engine = engine_behind(client)
    beside = engine.again()
    assert beside is not None
    said: list[bytes] = []
    engine.stream(ping(), lambda _: said.append(beside.send(ping()).body))
    assert said == [b"OK"]
    for each in (engine, beside):
        each.close()
