"""A container's host by way of other parents, brought up by a program's own function, and left by a killed program."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from dockerpty.host.aio import DockerContainerHost, container
from dockerpty.host.errors import HostConnectionError, HostError, HostNotRunningError, ParentError
from dockerpty.host.local import LocalHost, LocalHostSync
from dockerpty.host.results import CommandStatus, Status
from dockerpty.host.ssh.host import SSHHost
from dockerpty.host.ssh.sync import SSHHostSync
from dockerpty.host.sync import DockerContainerHostSync, container_sync
from tests.bed.engine import Bench, engine_url, id_of
from tests.bed.sshd import SshServer
from tests.bed.transports import Transport, Unavailable
from tests.bed.waiting import SLACK, wait_for
from tests.conftest import missing
from tests.engine.host.conftest import commands
from tests.engine.host.faces import Face, Proxy

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.fixture
def server(tmp_path: Path, engine: docker.DockerClient, transport: Transport) -> Iterator[SshServer]:
    """A machine behind SSH, which is this one; its engine is that of the containers."""
    url = transport.host_url if transport.own_engine else engine_url()
    try:
        made = SshServer(tmp_path / "sshd", environment=f"DOCKER_HOST={url}")
    except Unavailable as error:
        missing(str(error))
        raise
    made.start()
    yield made
    made.close()


# Behind SSH -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def far(face: Face, server: SshServer, own: Container) -> Iterator[tuple[Proxy, Proxy]]:
    """The far machine, and a container on it."""
    parent = Proxy(face, (SSHHostSync if face.waits else SSHHost)(**server.way()))
    host = face.host(parent.target, id_of(own))
    yield parent, host
    host.close()
    parent.close()


def test_a_container_behind_ssh_is_as_one_that_is_here(far: tuple[Proxy, Proxy], tmp_path: Path) -> None:
    _, host = far
    host.run("cd /tmp; A=kept")
    assert host.run("pwd; echo $A").only.output == "/tmp\nkept"
    assert host.run("sleep 999", timeout=0.5).only.timed_out
    assert host.run("pwd; echo $A").only.output == "/tmp\nkept"
    assert host.oneshot("exit 3").retcode == 3
    other = host.open_session("other", tty=False)
    assert other.run("cat", stdin=b"x" * 100_000, timeout=30).only.stdout == b"x" * 100_000
    (tmp_path / "file").write_bytes(b"content")
    assert host.put(tmp_path / "file", "/srv").ok
    assert host.read_bytes("/srv/file") == b"content"


def test_a_connection_that_drops_is_opened_again_and_says_what_was_lost(
    far: tuple[Proxy, Proxy], server: SshServer
) -> None:
    _, host = far
    host.run("A=1")
    server.signal_connections(signal.SIGKILL)
    lost = None
    try:
        lost = host.run("echo ${A-gone}").only
    except HostConnectionError:
        lost = host.run("echo ${A-gone}").only
    if not lost.ok:
        lost = host.run("echo ${A-gone}").only
    assert lost.output == "gone"


def test_parent_and_container_are_rebuilt_in_any_order(far: tuple[Proxy, Proxy]) -> None:
    parent, host = far
    for first, second in ((parent, host), (host, parent)):
        host.run("A=1")
        first.target.rebuild_connections()
        second.target.rebuild_connections()
        again = host.run("echo ${A-gone}").only
        assert (again.output, again.session_lost) == ("gone", True)


def test_host_f25_a_parent_that_is_closed_before_its_container_keeps_nobody_waiting(
    far: tuple[Proxy, Proxy],
) -> None:
    parent, host = far
    host.run("A=1")
    session = host.open_session("other")
    begun = time.monotonic()
    parent.close()
    for use in (session.run, host.run, host.oneshot):
        try:
            ended = use("echo never", timeout=5)
        except HostError:
            continue  # as good as a result: nobody waits
        assert not ended.ok
    session.close()
    host.close()
    assert time.monotonic() - begun < 10 * SLACK


# Parents without an engine --------------------------------------------------------------------------------------------


class Typist:
    """A parent that only runs commands, on this machine."""

    id = name = "far"

    def __init__(self) -> None:
        self.here = LocalHost()
        self.typed: list[str] = []

    async def oneshot(self, cmd: str, timeout: float | None = None) -> CommandStatus:
        self.typed.append(cmd)
        return await self.here.oneshot(cmd, timeout)


class TypistSync:
    """The same for programs that wait."""

    id = name = "far"

    def __init__(self) -> None:
        self.here = LocalHostSync()

    def oneshot(self, cmd: str, timeout: float | None = None) -> CommandStatus:
        return self.here.oneshot(cmd, timeout)


def test_a_parent_that_only_types_runs_single_commands_and_refuses_the_rest(
    face: Face, own: Container
) -> None:
    host = face.host(TypistSync() if face.waits else Typist(), id_of(own))
    found = host.oneshot("echo $((1+1)); exit 4")
    assert (found.command, found.output, found.retcode) == ("echo $((1+1)); exit 4", "2", 4)
    assert host.is_running()
    assert host.id == f"far.{id_of(own)}"
    for refused in (host.run, host.send, host.open_session):
        with pytest.raises(ParentError, match="requires an SSH-based UnixHost parent"):
            refused("x")
    with pytest.raises(ParentError):
        host.oneshot("cat", stdin=b"x")


# Brought up -----------------------------------------------------------------------------------------------------------


def test_a_program_brings_its_container_up_once_however_many_ask(bench: Bench) -> None:
    calls: list[str] = []

    async def up() -> str:
        calls.append("up")
        await asyncio.sleep(0)
        return id_of(bench.container(start=True))

    async def work() -> list[str]:
        async with DockerContainerHost(None, "", "shop", "web", start=up) as host:
            found = await asyncio.gather(*(host.oneshot(f"echo {number}") for number in range(5)))
            return [each.output for each in found]

    assert asyncio.run(asyncio.wait_for(work(), 60 * SLACK)) == ["0", "1", "2", "3", "4"]
    assert calls == ["up"]


def test_a_program_that_waits_brings_its_container_up(bench: Bench) -> None:
    with DockerContainerHostSync(start=lambda: id_of(bench.container(start=True))) as host:
        assert host.run("echo up").only.output == "up"


def test_another_container_is_pointed_at(face: Face, bench: Bench) -> None:
    first, second = bench.container(start=True), bench.container(start=True)
    host = face.host(None, id_of(first))
    host.run("A=1")
    known = host.id
    host.container_id = id_of(second)
    assert host.run("hostname").only.output == id_of(second)[:12]
    assert (host.container_id, host.id) == (id_of(second), known)


def test_a_container_of_compose_is_found_by_its_service(face: Face, bench: Bench) -> None:
    project = bench.name()
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "api"}
    found = bench.container(start=True, labels=labels)
    for host in (
        face.host(None, f"compose://{project}/api"),
        face.host(None, "", "Shop", "api", project),
        face.host(None, f"label:com.docker.compose.project={project}"),
    ):
        assert host.run("hostname").only.output == id_of(found)[:12]
        assert host.labels["com.docker.compose.service"] == "api"
    with pytest.raises(HostNotRunningError):
        face.host(None, f"compose://{project}/web").run("true")


# A killed program -----------------------------------------------------------------------------------------------------

LEFT = """
import sys, time
from dockerpty.host import container_sync
host = container_sync(sys.argv[1])
host.run("sleep 4321 &")
print("ready", flush=True)
host.run("sleep 1234")
"""


def test_host_f16_a_program_that_is_killed_leaves_no_shell_behind(own: Container) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = subprocess.Popen(
        [sys.executable, "-c", LEFT, id_of(own)], stdout=subprocess.PIPE, env=environment
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        wait_for(lambda: any("sleep 1234" in line for line in commands(own)), 20, "the command to run")
        program.kill()
    wait_for(lambda: not [line for line in commands(own) if "sleep" in line], 10, "the commands to end")
    wait_for(lambda: len(commands(own)) == 1, 10, "the shells to end")


KILLED = """
import os, sys
from dockerpty.host import container_sync
assert container_sync(sys.argv[1]).run("echo hi").only.output == "hi"
os.kill(os.getpid(), 9)
"""


def test_a_program_that_is_killed_at_once_behind_its_first_command_leaves_no_shell_either(
    own: Container,
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", KILLED, id_of(own)], env=environment, check=False)
        assert done.returncode == -9
    wait_for(lambda: len(commands(own)) == 1, 10, "the shells to end")


def test_a_loop_that_is_closed_on_a_running_command_leaves_a_clean_shell(
    own: Container, caplog: pytest.LogCaptureFixture
) -> None:
    host = container(id_of(own))

    async def begin() -> None:
        await host.run("A=kept")
        asyncio.get_running_loop().create_task(host.run("sleep 4444"))
        while "sleep 4444" not in (await host.oneshot(["ps", "-o", "args"])).output:
            await asyncio.sleep(0.02)

    async def end() -> tuple[str, Status]:
        async with host:
            found = (await host.run("echo $A")).only
            return found.output, found.status

    asyncio.run(begin())
    assert asyncio.run(end()) == ("kept", Status.Success)
    gc.collect()
    assert "destroyed" not in caplog.text


def test_a_command_where_one_waits_may_be_interrupted_from_another_thread(own: Container) -> None:
    from threading import Thread

    with container_sync(id_of(own)) as host:
        host.run("A=kept")
        found: list[Any] = []
        thread = Thread(target=lambda: found.append(host.run("sleep 5555").only))
        thread.start()
        wait_for(lambda: any("sleep 5555" in line for line in commands(own)), 20, "the command to run")
        assert host.interrupt()
        thread.join()
        assert (found[0].retcode, found[0].interrupted) == (130, True)
        assert host.run("echo $A").only.output == "kept"
