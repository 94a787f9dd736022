"""The bed on a real engine, with docker-py alone: before a session is judged by it, it must itself be right."""

from __future__ import annotations

import docker
import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, id_of
from tests.bed.proxy import Proxy, still_running
from tests.bed.transports import Transport
from tests.engine.conftest import Sessions


def test_a_container_is_made_looked_into_and_removed(bench: Bench) -> None:
    container = bench.container("echo out; sleep 60", start=True)
    assert bench.wait_for_log(container, b"out\n") == b"out\n"
    bench.wait_for(lambda: "sleep 60" in bench.processes(container), what="the process")
    bench.close()
    assert id_of(container) not in [each["Id"] for each in bench.api.containers(all=True)]


def test_execs_are_found_with_their_container(bench: Bench, box: Container) -> None:
    created = bench.api.exec_create(id_of(box), ["sh", "-c", "echo in; exit 4"])
    assert bench.api.exec_start(created["Id"]) == b"in\n"
    assert bench.exec_info(created["Id"])["ExitCode"] == 4
    assert bench.exec_info("0" * 64) == {}


def test_every_transport_leads_to_an_engine(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("exit 3", start=True)
    # In a process of its own: through ssh docker-py leaves sockets and programs behind.
    source = """
import sys
from tests.bed.scripts.clients import from_env
print("ended with", from_env().containers.get(sys.argv[1]).wait()["StatusCode"])
"""
    with sessions.python(source, id_of(container)) as terminal:
        terminal.expect("ended with 3\r\n")


@pytest.mark.parametrize("rule", [{}, {"dribble": 60}, {"no_upgrade": True}], ids=str)
def test_a_stream_of_the_engine_passes_the_proxy_whole(
    # Not `joined`: docker-py itself loses first data that come with the head.
    rule: dict[str, object],
    proxy: Proxy,
    bench: Bench,
    box: Container,
    sessions: Sessions,
) -> None:
    proxy.on("POST", "/exec/.*/start", **rule)
    source = """
import sys
from tests.bed.scripts.clients import from_env
client = from_env()
created = client.api.exec_create(sys.argv[1], ["sh", "-c", "seq 100000 | md5sum; seq 3"])
print(client.api.exec_start(created["Id"]).decode())
"""
    with sessions.python(source, id_of(box)) as terminal:
        terminal.expect("  -\r\n1\r\n2\r\n3\r\n")
        assert terminal.wait() == 0
    assert proxy.count("POST", "/exec/.*/start") == 1


def test_an_inspection_of_the_engine_can_be_made_to_lie(
    proxy: Proxy, bench: Bench, transport: Transport, box: Container
) -> None:
    proxy.on("GET", "/exec/.*/json", edit=still_running, times=1)
    created = bench.api.exec_create(id_of(box), ["true"])
    bench.api.exec_start(created["Id"])
    client = docker.APIClient(base_url=proxy.tcp())
    try:
        assert client.exec_inspect(created["Id"])["Running"] is True
        assert client.exec_inspect(created["Id"])["Running"] is False
    finally:
        client.close()
