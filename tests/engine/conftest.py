"""Fixtures of the tests on a real engine: a way to it, containers that go away, programs under a terminal.

What uses `bench` or `sessions` is repeated on every transport in a soak (see `tests.bed.transports.wanted`); what
uses `proxy` has its own way to the engine and runs once.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import requests
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench, engine_url
from tests.bed.proxy import Proxy
from tests.bed.terminal import Terminal
from tests.bed.transports import KINDS, FakeSsh, TlsTransport, Transport, Unavailable, wanted
from tests.bed.waiting import wait_for
from tests.conftest import missing

HERE = Path(__file__).parent
# In a soak what is counted is tried more often, on ways that are slower.
TIME_LIMIT_S = 120 if wanted() == ("unix",) else 600
NO_SHELL = f"dpty-bed-bare-{os.getpid()}"
OWN_WAY = {"proxy", "tls", "fake_ssh", "ways", "docker_user"}
"""Fixtures that are a way to the engine themselves."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark everything here; a test that hangs is ended, and the run goes on."""
    limited = config.pluginmanager.hasplugin("timeout")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)
            if limited and item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIME_LIMIT_S))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat a test on each transport that was asked for."""
    if "transport" in metafunc.fixturenames:
        # The marker is known by its reason (pyproject.toml): what is short on this machine is short for an ssh as well.
        one = OWN_WAY & set(metafunc.fixturenames) or metafunc.definition.get_closest_marker("own_socket")
        names = ("unix",) if one else wanted()
        metafunc.parametrize("transport", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine of the tests by its own socket, with the image they use."""
    client = None
    try:
        client = docker.DockerClient(base_url=engine_url(), timeout=60)
        client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        missing(f"no engine at {engine_url()}: {error}")
    assert client is not None
    try:
        client.images.get(IMAGE)
    except docker.errors.ImageNotFound:
        missing(f"no image {IMAGE} on the engine")
    yield client
    client.close()


@pytest.fixture(scope="session")
def transport(
    request: pytest.FixtureRequest, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Transport]:
    """One way to an engine; this process's environment is as it wants while it is in use."""
    try:
        way = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    except Unavailable as error:
        missing(f"{request.param}: {error}")
        raise
    try:
        with way.applied():
            yield way
    finally:
        way.close()


@pytest.fixture(scope="session")
def judge(transport: Transport, engine: docker.DockerClient) -> Iterator[docker.DockerClient]:
    """A client to the engine that the transport leads to, by the shortest way."""
    if not transport.own_engine:
        yield engine
        return
    client = transport.docker_client()
    yield client
    client.close()


@pytest.fixture
def bench(judge: docker.DockerClient) -> Iterator[Bench]:
    """Containers that are gone after the test."""
    bench = Bench(judge)
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def box(judge: docker.DockerClient) -> Iterator[Container]:
    """A running container for execs: one for all tests, so nobody stops, fills or renames it."""
    bench = Bench(judge)
    yield bench.container(start=True)
    bench.close()


@pytest.fixture(scope="session")
def bare_image(judge: docker.DockerClient) -> Iterator[str]:
    """An image with one program, under the two names that it goes by."""
    bench = Bench(judge)
    chunks, _ = bench.container().get_archive("/bin/busybox", chunk_size=None)
    packed = b"".join(chunks)
    bench.close()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        busybox = archive.extractfile(archive.next() or "")
        assert busybox is not None
        content = busybox.read()
    tree = io.BytesIO()
    users = b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\n"
    with tarfile.open(fileobj=tree, mode="w") as archive:
        for name, data, mode in (
            ("bin/cat", content, 0o755),
            ("bin/sleep", content, 0o755),
            ("etc/passwd", users, 0o644),
            ("etc/group", b"root:x:0:\ndaemon:x:1:\n", 0o644),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    said = judge.api.import_image_from_data(tree.getvalue(), NO_SHELL)
    # Engines disagree on the whole of its name.
    image = json.loads(said.splitlines()[-1])["status"]
    yield image
    judge.images.remove(image, force=True)


@pytest.fixture
def bare(bench: Bench, bare_image: str) -> Callable[..., Container]:
    """Makes containers that have no shell."""

    def make(**options: Any) -> Container:
        return bench.container(["/bin/sleep", "3600"], image=bare_image, start=True, **options)

    return make


@pytest.fixture(autouse=True)
def nothing_runs_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """End what a test left running in the common container: a `yes` whose client has gone would write for ever."""
    box = request.getfixturevalue("box") if "box" in request.fixturenames else None
    yield
    if box is not None and len(box.top()["Processes"]) > 1:
        box.exec_run(["kill", "-9", "-1"])


@pytest.fixture
def proxy(engine: docker.DockerClient) -> Iterator[Proxy]:
    """A proxy before the engine, to be given rules, and for sessions to go through."""
    with Proxy(engine_url()) as proxy:
        yield proxy


@pytest.fixture
def tls(engine: docker.DockerClient, tmp_path: Path) -> Iterator[TlsTransport]:
    """TLS, whatever the transport of the run; its `env` is for a session."""
    way = TlsTransport(tmp_path)
    yield way
    way.close()


@pytest.fixture
def fake_ssh(engine: docker.DockerClient, tmp_path: Path) -> FakeSsh:
    """A program called ssh, whatever the transport of the run; its `env` is for a session."""
    try:
        return FakeSsh(tmp_path)
    except Unavailable as error:
        missing(f"ssh: {error}")
        raise


class Sessions:
    """Programs under a terminal that make one call of dockerpty; all are closed with the test.

    Attributes:
        env: how they find the engine.
    """

    def __init__(self, env: dict[str, str | None]) -> None:
        self.env = env
        self._open: list[Terminal] = []

    def start(self, container: Any, *args: Any, **options: Any) -> Terminal:
        """Call `dockerpty.start`; for `options` see `call`."""
        return self.call("start", _id(container), *args, **options)

    def exec_command(self, container: Any, command: str | list[str], *args: Any, **options: Any) -> Terminal:
        """Call `dockerpty.exec_command`; a text is for `sh -c`."""
        words = ["sh", "-c", command] if isinstance(command, str) else command
        return self.call("exec_command", _id(container), words, *args, **options)

    def start_exec(self, exec_id: str, *args: Any, **options: Any) -> Terminal:
        """Call `dockerpty.start_exec`."""
        return self.call("start_exec", exec_id, *args, **options)

    def call(self, verb: str, *args: Any, **options: Any) -> Terminal:
        """Call a function of dockerpty in a child process.

        Args:
            options: those of `Terminal` by `term_` and their name, those of the script by `script_` and their name;
                all others are keywords of the call.
        """
        terminal = {name[5:]: options.pop(name) for name in list(options) if name.startswith("term_")}
        script = {name[7:]: options.pop(name) for name in list(options) if name.startswith("script_")}
        wish = {**script, "args": args, "kwargs": options}
        return self.run("session.py", verb, json.dumps(wish), **terminal)

    def run(self, script: str, *arguments: str, **terminal: Any) -> Terminal:
        """Run a script of the bed under a terminal, with the way to the engine in its environment."""
        terminal["env"] = {**self.env, **(terminal.get("env") or {})}
        return self.add(Terminal.script(script, *arguments, **terminal))

    def python(self, source: str, *arguments: str, **terminal: Any) -> Terminal:
        """The same for a piece of Python."""
        terminal["env"] = {**self.env, **(terminal.get("env") or {})}
        return self.add(Terminal.python(source, *arguments, **terminal))

    def add(self, terminal: Terminal) -> Terminal:
        """Close also this one at the end."""
        self._open.append(terminal)
        return terminal

    def close(self) -> None:
        """Close every terminal, with what runs in it."""
        for terminal in self._open:
            terminal.close()
        self._open.clear()


def _id(container: Any) -> Any:
    return container.id if isinstance(container, Container) else container


@pytest.fixture
def sessions(request: pytest.FixtureRequest, transport: Transport) -> Iterator[Sessions]:
    """Programs that reach the engine by the transport, or through the proxy if the test has one."""
    env = dict(transport.env)
    if "proxy" in request.fixturenames:
        env["DOCKER_HOST"] = request.getfixturevalue("proxy").unix()
    sessions = Sessions(env)
    yield sessions
    sessions.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread running; a proxy joins its own, when the run is over at the latest."""
    before = set(threading.enumerate())

    def left() -> list[threading.Thread]:
        now = set(threading.enumerate())
        return [each for each in now - before if not each.name.startswith("proxy-")]

    yield
    wait_for(lambda: not left(), 5, "threads that the test started to end")
