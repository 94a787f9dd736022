"""Containers on the real engine: made under names of our own, removed at the end, looked into from outside.

The client here is docker-py's, over the engine's own way in: what is under test is reached through
`transports`, and judged through this one.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from tests.bed.waiting import wait_for

IMAGE = os.environ.get("DPTY_TEST_IMAGE", "busybox:latest")
PREFIX = "dpty-bed"

_numbers = itertools.count(1)


# Looked up once: a transport in use changes DOCKER_HOST in this process.
_URL = os.environ.get("DPTY_TEST_ENGINE") or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def engine_url() -> str:
    """Where the engine of the tests listens."""
    return _URL


def short_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory whose name leaves room for the 108 bytes of a unix socket's address."""
    return tempfile.TemporaryDirectory(prefix="bed-", dir="/tmp")


def id_of(container: Container) -> str:
    """The full id, which an object that the engine gave always has."""
    assert container.id
    return container.id


@contextmanager
def gone_is_not_found() -> Iterator[None]:
    """Raise NotFound also for Podman's words for a container that goes away while it is looked at."""
    try:
        yield
    except docker.errors.APIError as error:
        if error.status_code == 500 and "no such container" in str(error):
            raise docker.errors.NotFound(str(error)) from error
        raise


class Bench:
    """The containers of one test, on one engine.

    Args:
        client: the docker-py client through which they are made, looked at and removed. Not closed here.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.api = client.api
        self._made: list[Container] = []

    @cached_property
    def is_podman(self) -> bool:
        """Whether the engine is Podman's service."""
        return any("Podman" in part["Name"] for part in self.api.version()["Components"])

    def needs_pauses_between_restarts(self) -> None:
        """Go on where a container that restarts is not always running."""
        if self.is_podman:
            pytest.skip("Podman starts again at once: it has no moment between two restarts")

    def name(self) -> str:
        """A container name that nobody else uses."""
        return f"{PREFIX}-{os.getpid()}-{next(_numbers)}"

    def container(
        self,
        command: str | Sequence[str] = ("tail", "-f", "/dev/null"),
        *,
        tty: bool = False,
        stdin_open: bool = False,
        detach: bool = False,
        start: bool = False,
        image: str = IMAGE,
        **options: Any,
    ) -> Container:
        """Create a container without network; with `start`, start it.

        Args:
            command: a list as it is, or text for `sh -c`.
            detach: as docker-py's and docker's own `-d`: `AttachStd*` and `StdinOnce` false.
            options: what docker-py's low-level `create_container` takes; `host` is a dict for its host config.
        """
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        host = {"network_mode": "none", **options.pop("host", {})}
        made = self.api.create_container(
            image,
            words,
            name=options.pop("name", None) or self.name(),
            tty=tty,
            stdin_open=stdin_open,
            detach=detach,
            host_config=self.api.create_host_config(**host),
            **options,
        )
        container = self.client.containers.get(made["Id"])
        self._made.append(container)
        if start:
            container.start()
        return container

    def adopt(self, container_id: str) -> Container:
        """Remove also this one at the end, which something else made."""
        with gone_is_not_found():
            container = self.client.containers.get(container_id)
        self._made.append(container)
        return container

    def wait_for(self, condition: Callable[[], Any], timeout: float = 10.0, what: str = "") -> Any:
        """Ask the engine until the answer is true; AssertionError after `timeout` seconds."""
        return wait_for(condition, timeout, what, pause=0.05)

    def state(self, container: Container) -> dict[str, Any]:
        """`State` of the container's inspection."""
        return cast("dict[str, Any]", self.api.inspect_container(id_of(container))["State"])

    def is_running(self, container: Container) -> bool:
        """Whether the container runs now."""
        return bool(self.state(container)["Running"])

    def wait_for_exit(self, container: Container, timeout: float = 10.0) -> int:
        """Wait for the container to end; its exit code."""
        self.wait_for(lambda: not self.is_running(container), timeout, "the end of the container")
        return int(self.state(container)["ExitCode"])

    def wait_for_log(self, container: Container, text: bytes, timeout: float = 10.0) -> bytes:
        """Wait until the container's log has `text`; the whole log."""

        def log() -> bytes:
            found: bytes = container.logs()
            return found if text in found else b""

        found: bytes = self.wait_for(log, timeout, f"{text!r} in the log")
        return found

    def execs(self, container: Container) -> list[dict[str, Any]]:
        """Inspections of the execs that the engine lists with the container."""
        found = self.api.inspect_container(id_of(container))["ExecIDs"] or []
        return [self.exec_info(exec_id) for exec_id in found]

    def exec_info(self, exec_id: str) -> dict[str, Any]:
        """Inspection of an exec; `{}` when the engine has forgotten it."""
        try:
            return self.api.exec_inspect(exec_id)
        except docker.errors.NotFound:
            return {}

    def processes(self, container: Container) -> list[str]:
        """Command lines of all processes in the container, its first one included."""
        if not self.is_podman:
            return [row[-1] for row in container.top()["Processes"]]
        # These columns it knows by itself: for others it runs the container's own ps, if there is one. What has ended
        # and has no parent that would take notice it lists as well.
        rows = container.top(ps_args="state,args")["Processes"]
        return [command for state, command in rows if state != "Z"]

    def run_inside(self, container: Container, command: str) -> tuple[int, bytes]:
        """Run `sh -c command` in the container, beside what is under test: exit code and output."""
        code, output = container.exec_run(["sh", "-c", command])
        assert isinstance(code, int)
        assert isinstance(output, bytes)
        return code, output

    def close(self) -> None:
        """Remove every container that was made here. Errors but 'not there' are raised, after all were tried."""
        errors = []
        # The last first: Podman removes none that another one shares processes with.
        for container in reversed(self._made):
            try:
                _remove(container)
            except docker.errors.APIError as error:
                errors.append(error)
        self._made.clear()
        if errors:
            raise errors[0]


def _remove(container: Container) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            container.remove(force=True, v=True)
            return
        except docker.errors.NotFound:
            return  # as it should be
        except docker.errors.APIError as error:
            # 409: somebody else's removal (--rm) is under way.
            if error.status_code != 409 or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
