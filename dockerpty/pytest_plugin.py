"""Throwaway containers as hosts, for tests: a plugin that pytest finds by its entry point.

It does nothing until a test asks for one of its fixtures: all that these need is loaded then. Only pytest loads this.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Generator, Iterator, Sequence
    from typing import Any

    from dockerpty.engine.interface import Engine
    from dockerpty.host.aio import DockerContainerHost
    from dockerpty.host.sessions import Environment
    from dockerpty.host.sync import DockerContainerHostSync

#: Lines that are kept of each host's transcript: a failure is explained by the last.
LINES = 1000

_OPTION, _INI = "--dpty-host", "dpty_host_image"
_TRANSCRIPTS = pytest.StashKey[dict[str, "Transcript"]]()
# Runs in any image that has a shell, and ends when it is told to, as an init is the first process.
_IDLE = ("tail", "-f", "/dev/null")
# For the engine to create or to remove one, on a busy machine.
_LIMIT_S = 120.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and its line in the configuration."""
    about = "image of the containers that the fixtures dpty_host, dpty_host_async and dpty_hosts make"
    group = parser.getgroup("dpty", "containers as hosts (dockerpty)")
    group.addoption(_OPTION, metavar="IMAGE", dest="dpty_host", help=about)
    parser.addini(_INI, f"{about}; {_OPTION} counts more", default="")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show in the report of a failure what was done on the hosts of its test."""
    report = yield
    if report.failed:
        for name, transcript in item.stash.get(_TRANSCRIPTS, {}).items():
            # Taken: the report of a failed clean-up tells only what came after.
            if text := transcript.take():
                report.sections.append((f"Transcript of {name}", text))
    return report


@pytest.fixture
def dpty_hosts(request: pytest.FixtureRequest) -> Iterator[Hosts]:
    """Makes throwaway containers: `dpty_hosts()` for a test that waits, `dpty_hosts.on_loop()` for one on a loop."""
    hosts = Hosts(request.node, request.config.getoption("dpty_host") or request.config.getini(_INI))
    try:
        yield hosts
    finally:
        hosts.close()


@pytest.fixture
def dpty_host(dpty_hosts: Hosts) -> DockerContainerHostSync:
    """Give a throwaway container as a host, for a test that waits."""
    return dpty_hosts(name="dpty_host")


@pytest.fixture
def dpty_host_async(dpty_hosts: Hosts) -> DockerContainerHost:
    """Give a throwaway container as a host, for a test on an event loop: any loop, in an `async with` of the test."""
    return dpty_hosts.on_loop(name="dpty_host_async")


class Hosts:
    """The throwaway containers of one test, each as a host; all are removed with the test, however that ends.

    Calling it makes one for a test that waits, `on_loop` one for a test on an event loop. Several threads may not
    make one at the same time.

    Args:
        item: the test, whose report gets the transcripts.
        image: what they are made of, unless a call says so; empty if nobody did.
    """

    def __init__(self, item: pytest.Item, image: str) -> None:
        self._image = image
        self._transcripts = item.stash.setdefault(_TRANSCRIPTS, {})
        self._containers: list[str] = []
        self._hosts: list[DockerContainerHostSync | DockerContainerHost] = []
        self._engine: Engine | None = None
        self._listener: _Listener | None = None

    def __call__(
        self,
        image: str | None = None,
        *,
        name: str | None = None,
        command: Sequence[str] | None = _IDLE,
        network: str = "none",
        env: Environment | None = None,
        volumes: Sequence[str] = (),
        **options: Any,
    ) -> DockerContainerHostSync:
        """Make a container, start it, and give it as a host.

        Args:
            image: in place of the option's; the engine must have it.
            name: for the transcript; one that is taken gets a number.
            command: its first process, below an init; None leaves it and the entry point to the image.
            network: none by default: a test that needs one says so.
            env: of all that runs in it; a dict, or a list of `NAME=value`.
            volumes: `[SOURCE:]TARGET[:OPTIONS]`, as docker's `-v`.
            options: of the host, see `ContainerHost`.

        A container that cannot be made fails the test, with the engine's reason.
        """
        from dockerpty.host.sync import DockerContainerHostSync

        name = self._name(name)
        made = self._make(image, command, network, env, volumes)
        host = DockerContainerHostSync(None, made, name=name, **options)
        self._hosts.append(host)
        return host

    def on_loop(
        self,
        image: str | None = None,
        *,
        name: str | None = None,
        command: Sequence[str] | None = _IDLE,
        network: str = "none",
        env: Environment | None = None,
        volumes: Sequence[str] = (),
        **options: Any,
    ) -> DockerContainerHost:
        """Do the same for a test on an event loop, which the making of the container holds up.

        The test should use it in an `async with`. Where it does not, its connections are dropped with the test.
        """
        from dockerpty.host.aio import DockerContainerHost

        name = self._name(name)
        made = self._make(image, command, network, env, volumes)
        host = DockerContainerHost(None, made, name=name, **options)
        self._hosts.append(host)
        return host

    def close(self) -> None:
        """Close the hosts and remove their containers: all are tried, then the first error is raised."""
        from contextlib import ExitStack

        with ExitStack() as stack:
            if self._engine is not None:
                stack.callback(self._engine.close)
            if self._listener is not None:
                stack.callback(self._listener.stop)
            for container in self._containers:
                stack.callback(self._remove, container)
            # Last in, first out: before their containers go.
            for host in self._hosts:
                stack.callback(_close, host)
            self._hosts, self._containers = [], []

    def _make(
        self,
        image: str | None,
        command: Sequence[str] | None,
        network: str,
        env: Environment | None,
        volumes: Sequence[str],
    ) -> str:
        import secrets

        from dockerpty.container.ownership import our_labels
        from dockerpty.container.spec import container_config, environment_list
        from dockerpty.engine import calls
        from dockerpty.engine.client import from_environment
        from dockerpty.errors import DockerptyError

        image = image or self._image
        if not image:
            how = f"give pytest {_OPTION} IMAGE, or write `{_INI} = IMAGE` into its configuration"
            pytest.fail(f"cannot make a container for the test: no image was given; {how}", pytrace=False)
        # A name of ours, so that it is removed also if the engine's answer never came.
        name = f"dpty-test-{secrets.token_hex(6)}"
        try:
            if self._engine is None:
                self._engine = from_environment()
            config = container_config(
                image,
                command or (),
                entrypoint=None if command is None else "",
                detach=True,
                environment=environment_list(env),
                volumes=volumes,
                networks=[network],
                init=True,
            )
            # Not "run", which is for its user to keep: when pytest is killed, `dpty prune` takes this one away.
            config["Labels"] |= our_labels("test")
            self._containers.append(name)
            try:
                self._engine.send(calls.create_container(config, name), timeout=_LIMIT_S)
            except DockerptyError:
                self._forget(name)
                raise
            self._engine.send(calls.start_container(name), timeout=_LIMIT_S)
        except DockerptyError as error:
            failure = str(error)
        else:
            return name
        # Out here, so that pytest does not tell the same once more for each error behind it.
        pytest.fail(failure, pytrace=False)

    def _name(self, wanted: str | None) -> str:
        """Give a name that no other host of the test has, and listen to what is told under it."""
        if self._listener is None:
            self._listener = _Listener(self._transcripts)
        name, number = wanted or "host 1", 1
        while name in self._transcripts:
            number += 1
            name = f"{wanted or 'host'} {number}"
        self._transcripts[name] = Transcript()
        return name

    def _forget(self, container: str) -> None:
        """Give a container up that was most likely never made: no second error for an engine that is not there."""
        from dockerpty.errors import DockerptyError

        self._containers.remove(container)
        try:
            self._remove(container)
        except DockerptyError:
            pass  # the error of its making is told

    def _remove(self, container: str) -> None:
        from dockerpty.engine import calls
        from dockerpty.errors import APIError, NotFound

        assert self._engine is not None
        call = calls.remove_container(container, force=True, volumes=True)
        try:
            self._engine.send(call, timeout=_LIMIT_S)
        except NotFound:
            pass  # the test did it, or it was never made
        except APIError as error:
            if error.status_code != 409:  # somebody else's removal is under way
                raise


class Transcript:
    """The last lines that were told of one host."""

    def __init__(self) -> None:
        from collections import deque

        self._lines: deque[str] = deque(maxlen=LINES)
        self._told = 0

    def add(self, line: str) -> None:
        """Keep one more line, and let the oldest go for it."""
        self._lines.append(line)
        self._told += 1

    def take(self) -> str:
        """Give what is kept as a text, "" if it is nothing, and keep it no longer."""
        left_out = self._told - len(self._lines)
        head = [f"({left_out} lines before these are left out)"] if left_out else []
        text = "\n".join([*head, *self._lines])
        self._lines.clear()
        self._told = 0
        return text


class _Listener:
    """Reads the transcript's logger along, so that nobody else reads a line more than without this.

    Args:
        transcripts: of whom, by name; others may be added.
    """

    def __init__(self, transcripts: dict[str, Transcript]) -> None:
        import logging

        self._logger = logging.getLogger("dockerpty.transcript")
        self._transcripts = transcripts
        self._before = self._logger.level
        # No level that anybody else sets: it is seen when somebody did, after us.
        self._ours = logging.INFO - 1
        if not self._logger.isEnabledFor(logging.INFO):
            self._logger.setLevel(self._ours)
        # A filter is asked before any handler is.
        self._logger.addFilter(self._take)

    def stop(self) -> None:
        """Leave the logger as it was."""
        self._logger.removeFilter(self._take)
        if self._logger.level == self._ours:
            self._logger.setLevel(self._before)

    def _take(self, record: logging.LogRecord) -> bool:
        transcript = self._transcripts.get(getattr(record, "host", ""))
        if transcript is not None:
            transcript.add(record.getMessage())
        if self._logger.level != self._ours:
            return True
        parent = self._logger.parent
        level = self._before or (parent.getEffectiveLevel() if parent is not None else 0)
        return record.levelno >= level


def _close(host: DockerContainerHostSync | DockerContainerHost) -> None:
    from dockerpty.errors import DockerptyError
    from dockerpty.host.sync import DockerContainerHostSync

    if not isinstance(host, DockerContainerHostSync):
        # Its loop may have ended, and this waits for nothing.
        host.rebuild_connections()
        return
    try:
        host.close()
    except DockerptyError:
        host.rebuild_connections()  # the test took its container or its engine away
