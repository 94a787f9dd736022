"""The plugin of pytest: runs of pytest with tests that have containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from dockerpty.container import leftovers
from dockerpty.engine.client import Engine, from_environment
from tests.bed.engine import IMAGE
from tests.bed.transports import Transport
from tests.bed.waiting import SLACK, wait_for

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "dockerpty.pytest_plugin"
# Writes where the containers' names can be read after the run.
NOTE = (
    "def note(*hosts):\n"
    "    with open('names', 'a') as file:\n"
    "        file.writelines(f'{each.container_ref}\\n' for each in hosts)\n"
)


class Runs:
    """Runs of pytest in a directory of their own, and the containers that they made."""

    def __init__(self, folder: Path, judge: docker.DockerClient, env: dict[str, str]) -> None:
        self.folder = folder
        self._judge = judge
        self.env = env
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, source: str, *arguments: str) -> subprocess.Popen[str]:
        (self.folder / "test_it.py").write_text(NOTE + source)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                "-p",
                PLUGIN,
                "-W",
                "error",
                *arguments,
            ],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, source: str, *arguments: str, image: str = IMAGE) -> tuple[int, str]:
        process = self.start(source, "--dpty-host", image, *arguments)
        said, _ = process.communicate(timeout=60 * SLACK)
        return process.returncode, said

    def names(self) -> list[str]:
        path = self.folder / "names"
        return path.read_text().splitlines() if path.exists() else []

    def left(self) -> list[str]:
        """Name the containers that are still there."""
        found = []
        for name in self.names():
            try:
                found.append(str(self._judge.containers.get(name).name))
            except docker.errors.NotFound:
                pass  # as it should be
        return found


@pytest.fixture
def runs(tmp_path: Path, transport: Transport, judge: docker.DockerClient) -> Iterator[Runs]:
    """Runs of pytest that find the engine by the transport."""
    env = {**os.environ, **transport.env, "PYTHONPATH": str(ROOT)}
    runs = Runs(tmp_path, judge, {name: value for name, value in env.items() if value is not None})
    yield runs
    for process in runs.processes:
        process.kill()
        process.communicate()
    for name in runs.left():
        judge.containers.get(name).remove(force=True, v=True)


def test_a_test_gets_a_container_without_network_below_an_init_and_it_is_gone_afterwards(runs: Runs) -> None:
    code, said = runs.run(
        "def test_it(dpty_host):\n"
        "    note(dpty_host)\n"
        "    assert dpty_host.run('cd /tmp').only.ok\n"
        "    assert dpty_host.run('pwd').only.output == '/tmp'\n"
        "    assert dpty_host.oneshot('ls /sys/class/net').output.split() == ['lo']\n"
        "    assert 'init' in dpty_host.oneshot('cat /proc/1/cmdline').output\n"
        "    assert dpty_host.labels['dockerpty.role'] == 'test'\n",
        "-rA",
    )
    assert code == 0, said
    assert "Transcript" not in said
    assert "@dpty_host" not in said
    assert len(runs.names()) == 1
    assert runs.left() == []


def test_a_failure_shows_what_was_done_and_what_it_said_and_leaves_nothing(runs: Runs) -> None:
    code, said = runs.run(
        "def test_bad(dpty_host):\n"
        "    note(dpty_host)\n"
        "    dpty_host.run('echo made $((20 + 22))')\n"
        "    assert False\n"
        "def test_good(dpty_host):\n"
        "    dpty_host.run('echo good $((1 + 1))')\n"
    )
    assert code == 1
    section = said.partition("Transcript of dpty_host")[2]
    assert "@dpty_host | echo made $((20 + 22))\n" in section
    assert "@dpty_host > | made 42\n" in section
    assert "good 2" not in said
    assert "Captured log" not in said
    assert runs.left() == []


def test_a_host_on_a_loop_works_closed_by_its_test_or_not(runs: Runs) -> None:
    code, said = runs.run(
        "import asyncio\n"
        "async def closed(host):\n"
        "    async with host:\n"
        "        await host.run('echo in')\n"
        "async def left_open(host):\n"
        "    await host.run('echo out $((40 + 2))')\n"
        "def test_closed(dpty_host_async):\n"
        "    note(dpty_host_async)\n"
        "    asyncio.run(closed(dpty_host_async))\n"
        "def test_left_open(dpty_host_async):\n"
        "    note(dpty_host_async)\n"
        "    asyncio.run(left_open(dpty_host_async))\n"
        "    assert False\n"
    )
    assert code == 1
    assert "1 failed, 1 passed" in said
    assert "error" not in said.lower().replace("assertionerror", "")
    assert "@dpty_host_async > | out 42\n" in said.partition("Transcript of dpty_host_async")[2]
    assert len(runs.names()) == 2
    assert runs.left() == []


def test_two_hosts_of_a_test_are_two_containers_with_a_transcript_each(runs: Runs) -> None:
    code, said = runs.run(
        "def test_it(dpty_hosts):\n"
        "    one, other = dpty_hosts(name='one', env={'A': 'b'}), dpty_hosts(name='one', tty=False)\n"
        "    note(one, other)\n"
        "    one.put_bytes(b'1', '/tmp/number')\n"
        "    assert one.oneshot('echo $A; cat /tmp/number').output == 'b\\n1'\n"
        "    assert other.oneshot('cat /tmp/number').retcode == 1\n"
        "    assert False\n"
    )
    assert code == 1
    first, _, second = said.partition("Transcript of one 2")
    assert "Transcript of one" in first
    assert "@one > | b" in first
    assert "@one 2 | cat /tmp/number" in second
    assert len(set(runs.names())) == 2
    assert runs.left() == []


def test_ctrl_c_removes_the_container(runs: Runs) -> None:
    process = runs.start(
        "def test_it(dpty_host):\n    note(dpty_host)\n    dpty_host.oneshot('sleep 1000')\n",
        "--dpty-host",
        IMAGE,
    )
    wait_for(lambda: bool(runs.left()), 30, "the container of the test")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60 * SLACK)
    assert process.returncode == 2
    assert runs.left() == []


@pytest.fixture
def client(transport: Transport) -> Iterator[Engine]:
    """The engine as the bridge finds it."""
    found = from_environment()
    yield found
    found.close()


def test_what_a_killed_pytest_leaves_is_found_by_prune(runs: Runs, client: Engine) -> None:
    process = runs.start(
        "def test_it(dpty_host):\n    note(dpty_host)\n    dpty_host.oneshot('sleep 1000')\n",
        "--dpty-host",
        IMAGE,
    )
    wait_for(lambda: bool(runs.left()), 30, "the container of the test")
    [name] = runs.names()
    assert name not in [leftover.name for leftover in leftovers.find(client)]
    process.kill()
    process.communicate(timeout=60 * SLACK)
    assert name in [leftover.name for leftover in leftovers.find(client)]


def test_a_container_whose_making_is_interrupted_is_removed_too(runs: Runs) -> None:
    code, said = runs.run(
        "from dockerpty.engine import client\n"
        "made = client.DirectEngine.send\n"
        "def interrupted(self, call, **options):\n"
        "    reply = made(self, call, **options)\n"
        "    if call.path == '/containers/create':\n"
        "        with open('names', 'a') as file:\n"
        "            file.write(dict(call.query)['name'])\n"
        "        raise KeyboardInterrupt\n"
        "    return reply\n"
        "def test_it(monkeypatch, request):\n"
        "    monkeypatch.setattr(client.DirectEngine, 'send', interrupted)\n"
        "    request.getfixturevalue('dpty_host')\n"
    )
    assert code == 2, said
    assert len(runs.names()) == 1
    assert runs.left() == []


def test_a_test_may_remove_its_container_itself(runs: Runs) -> None:
    code, said = runs.run(
        "import docker\n"
        "def test_it(dpty_host):\n"
        "    note(dpty_host)\n"
        "    dpty_host.run('true')\n"
        "    client = docker.from_env()\n"
        "    client.api.remove_container(dpty_host.container_id, force=True)\n"
        "    client.close()\n"
    )
    assert code == 0, said


def test_an_image_that_is_not_there_fails_the_test_with_the_engines_reason(runs: Runs) -> None:
    code, said = runs.run("def test_it(dpty_host): pass\n", image="dpty-no-such-image:none")
    assert code == 1
    assert "dpty-no-such-image" in said
    assert "pytest_plugin.py" not in said.replace(PLUGIN, "")
    assert "During handling" not in said


def test_an_engine_that_is_not_there_is_said_once(runs: Runs, tmp_path: Path) -> None:
    runs.env["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    code, said = runs.run("def test_it(dpty_host): pass\n")
    assert code == 1
    told = said.partition("short test summary")[0]
    assert told.count("there is no such socket") == 1
    assert "Traceback" not in said


def test_the_configuration_names_the_image_too_and_the_option_counts_more(runs: Runs) -> None:
    (runs.folder / "pytest.ini").write_text("[pytest]\ndpty_host_image = dpty-no-such-image\n")
    code, said = runs.run("def test_it(dpty_host): pass\n")
    assert code == 0, said
    (runs.folder / "pytest.ini").write_text(f"[pytest]\ndpty_host_image = {IMAGE}\n")
    process = runs.start("def test_it(dpty_host): pass\n")
    said, _ = process.communicate(timeout=60 * SLACK)
    assert process.returncode == 0, said
