"""Parents on a real engine: this machine's, and docker's commands typed where there is none for us."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dockerpty.host.local import LocalHost, LocalHostSync, copy
from dockerpty.host.parents import CommandParent, engine_behind, parent_of
from dockerpty.host.reference import of_text
from dockerpty.host.resolve import State, current
from dockerpty.host.results import CommandStatus, Status
from dockerpty.host.send import Blocking, OnLoop
from dockerpty.plan import drive, drive_on_loop
from tests.bed.engine import Bench
from tests.bed.transports import Transport
from tests.conftest import missing

T = TypeVar("T")


def on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        return await asyncio.wait_for(coroutine, 60)

    return asyncio.run(limited())


class Station:
    """A parent with docker's command, and no engine for us."""

    id = "station"

    def __init__(self, env: dict[str, str | None]) -> None:
        self.env = {name: value or "" for name, value in env.items()}
        self.staged: list[str] = []

    async def oneshot(self, cmd: str, timeout: float | None = None) -> CommandStatus:
        if cmd.startswith("mkdir -p -m 700 "):
            self.staged.append(cmd.rpartition(" ")[2])
        return await LocalHost().oneshot(cmd, timeout, env=self.env)

    async def put(self, files: list[Any], folder: str) -> tuple[Status, str]:
        return tuple(copy(files, folder))  # type: ignore[return-value]  # a list of two, for mypy of any length

    get = put


@pytest.fixture
def station(transport: Transport) -> Station:
    if shutil.which("docker") is None:
        missing("no docker command to type")
    return Station(dict(transport.env))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    (folder / "dir").mkdir(parents=True)
    (folder / "dir" / "deep").write_bytes(b"deep")
    (folder / "a").write_bytes(b"aa")
    (folder / "b c").write_bytes(b"bc")
    return folder


# This machine


def test_the_engine_of_this_machine_is_that_of_dockers_client(bench: Bench) -> None:
    container = bench.container(start=True)

    async def main() -> str:
        async with LocalHost() as host:
            executor = OnLoop(engine_behind(await host.engine()))
            try:
                state = State(of_text(str(container.name)))
                return (await drive_on_loop(current(state), executor.answer)).id
            finally:
                executor.release()

    assert on_loop(main()) == container.id


def test_a_program_that_waits_has_the_same_engine_after_it_was_dropped(bench: Bench) -> None:
    container = bench.container(start=True)
    with LocalHostSync() as host:
        for _ in range(2):
            state = State(of_text(str(container.name)))
            assert drive(current(state), Blocking(host.engine()).answer).id == container.id
            host.rebuild_connections()


# Typed


def test_a_command_has_the_code_and_the_output_of_the_one_in_the_container(
    bench: Bench, station: Station
) -> None:
    container = bench.container(start=True, hostname="inside")
    parent = parent_of(station, str(container.name), user="daemon", workdir="/tmp", env=["A=b c"])
    assert isinstance(parent, CommandParent)
    command = "hostname; id -un; pwd; echo \"$A 'x'\"; exit 7"
    assert on_loop(parent.oneshot(command)) == (command, "inside\ndaemon\n/tmp\nb c 'x'", Status.Failed, 7)
    assert on_loop(parent.oneshot(["echo", "a  b"])).output == "a  b"


def test_files_and_directories_arrive_under_their_names_in_a_directory_that_is_made(
    bench: Bench, station: Station, files: Path
) -> None:
    container = bench.container(start=True)
    parent = CommandParent(station, str(container.name))
    result = on_loop(parent.put([files / "a", files / "b c", files / "dir"], "/srv/new"))
    assert result == (Status.Success, "")
    said = bench.run_inside(container, "cd /srv/new && cat a 'b c' dir/deep && stat -c %a . a dir")[1]
    assert said == b"aabcdeep755\n644\n755\n"
    assert not any(os.path.exists(each) for each in station.staged)


def test_files_come_back(bench: Bench, station: Station, tmp_path: Path) -> None:
    container = bench.container("mkdir -p /srv/d; echo x >'/srv/d/a b'; tail -f /dev/null", start=True)
    bench.wait_for(lambda: bench.run_inside(container, "test -s '/srv/d/a b'")[0] == 0, 10, "the file")
    parent = CommandParent(station, str(container.name))
    result = on_loop(parent.get(["/srv/d/a b", "/srv/d/", "/none"], tmp_path / "to"))
    assert [each.status.is_ok for each in result.files] == [True, True, False]
    assert (tmp_path / "to" / "a b").read_bytes() == b"x\n"
    assert (tmp_path / "to" / "d" / "a b").read_bytes() == b"x\n"
    assert station.staged
    assert not any(os.path.exists(each) for each in station.staged)


def test_a_stopped_container_takes_a_file_and_a_missing_directory_never_becomes_one(
    bench: Bench, station: Station, files: Path, tmp_path: Path
) -> None:
    container = bench.container()
    parent = CommandParent(station, str(container.name))
    assert on_loop(parent.put(files / "a", "/tmp")).ok
    assert on_loop(parent.get("/tmp/a", tmp_path / "to")).ok
    assert (tmp_path / "to" / "a").read_bytes() == b"aa"
    assert not on_loop(parent.put(files / "a", "/none")).ok
    assert not on_loop(parent.get("/none", tmp_path / "to")).ok
