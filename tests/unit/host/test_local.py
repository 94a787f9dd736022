"""This machine as a parent: commands in processes of ours, copies from file to file."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockerpty.engine.interface import Engine
from dockerpty.host.errors import ParentError
from dockerpty.host.failure import CommandFailed
from dockerpty.host.local import LocalHost, LocalHostSync, copy
from dockerpty.host.results import CommandStatus, ShellCommand, Status
from tests.bed.waiting import wait_for


class Both:
    """A method of either face, called as a program that waits does."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.host, name)

        def call(*args: Any, **options: Any) -> Any:
            given = method(*args, **options)
            return asyncio.run(_awaited(given)) if inspect.isawaitable(given) else given

        return call


async def _awaited(given: Any) -> Any:
    return await given


@pytest.fixture(params=[LocalHost, LocalHostSync], ids=["loop", "sync"])
def here(request: pytest.FixtureRequest) -> Both:
    return Both(request.param())


def test_both_faces_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(kind: type) -> dict[str, Any]:
        return {
            name: inspect.signature(each).replace(return_annotation=None)
            for name, each in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name != "aclose"
        }

    assert methods(LocalHost) == methods(LocalHostSync)


def test_it_has_the_names_that_a_host_builds_its_own_with() -> None:
    host = LocalHost(name="build", resources={"gpu"}, log=False)
    assert (host.id, host.name, host.resources, host.log) == ("build", "build", {"gpu"}, False)
    assert LocalHost().id == "localhost"


# Commands


def test_a_text_is_for_the_shell_and_a_list_is_not(here: Both) -> None:
    status = here.oneshot("echo $((1 + 1)); echo e >&2; exit 3")
    assert status == ("echo $((1 + 1)); echo e >&2; exit 3", "2\ne", Status.Failed, 3)
    assert (status.stdout, status.stderr, status.host) == (b"2\n", b"e\n", "localhost")
    assert here.oneshot(["echo", "$((1 + 1))"]).output == "$((1 + 1))"


def test_what_is_killed_by_a_signal_has_its_number(here: Both) -> None:
    status = here.oneshot("kill -TERM $$")
    assert (status.retcode, status.signal) == (143, signal.SIGTERM)


@pytest.mark.parametrize(("command", "code"), [(["/nowhere/at/all"], 127), (["/etc/passwd"], 126)])
def test_what_cannot_be_run_has_the_code_that_a_shell_gives(
    here: Both, command: list[str], code: int
) -> None:
    status = here.oneshot(command)
    assert (status.status, status.retcode) == (Status.Failed, code)
    assert command[0].encode() in status.stderr


def test_input_is_read_to_its_end_and_without_any_ends_at_once(here: Both) -> None:
    assert here.oneshot("cat").output == ""
    assert here.oneshot("cat", stdin="text").output == "text"
    data = os.urandom(300_000)
    assert here.oneshot("cat", stdin=data).stdout == data


def test_a_command_need_not_read_its_input(here: Both) -> None:
    assert here.oneshot("exit 4", stdin=b"x" * 300_000).retcode == 4


def test_streams_that_are_merged_come_in_order(here: Both) -> None:
    status = here.oneshot("for i in 1 2 3; do echo o$i; echo e$i >&2; done", merge=True)
    assert status.stdout == b"o1\ne1\no2\ne2\no3\ne3\n"
    assert status.stderr == b""


def test_directory_and_variables_are_those_that_were_asked_for(here: Both, tmp_path: Path) -> None:
    status = here.oneshot(
        'pwd; echo "$GREETING"; echo "$HOME"', workdir=tmp_path, env={"GREETING": "hi there"}
    )
    assert status.output.splitlines() == [str(tmp_path), "hi there", os.environ.get("HOME", "")]


def test_of_much_output_the_head_is_kept_and_the_rest_is_counted(here: Both) -> None:
    status = here.oneshot("yes | head -c 1000000", output_limit=10)
    assert status.stdout == b"y\n" * 5
    assert status.dropped_bytes == 999_990
    assert status.ok


def test_a_failure_is_an_error_where_it_is_checked(here: Both) -> None:
    with pytest.raises(CommandFailed, match="it exited with 3"):
        here.oneshot("exit 3", check=True)
    assert here.oneshot("true", check=True).ok


def test_a_command_that_closes_its_output_is_waited_for(here: Both) -> None:
    assert here.oneshot("exec >&- 2>&-; sleep 0.2; exit 5").retcode == 5


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_command_that_is_too_slow_is_killed_with_its_children(here: Both) -> None:
    begun = time.monotonic()
    status = here.oneshot("sleep 600 & echo $!; wait", 0.3)
    assert time.monotonic() - begun < 10
    assert (status.status, status.retcode, status.timed_out) == (Status.Error, -1, True)
    child = int(status.output)
    wait_for(lambda: not runs(child), 5, "the end of the child")


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time_at_all_is_no_time_limit(here: Both, timeout: float) -> None:
    with pytest.raises(ValueError, match="time limit"):
        here.oneshot("true", timeout)
    with pytest.raises(ValueError, match="time limit"):
        here.run("true", timeout=timeout)


def test_a_command_whose_caller_is_cancelled_is_killed(tmp_path: Path) -> None:
    async def main() -> int:
        task = asyncio.ensure_future(LocalHost().oneshot(f"echo $$ >{tmp_path}/pid; exec sleep 600"))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return int((tmp_path / "pid").read_text())

    assert not runs(asyncio.run(asyncio.wait_for(main(), 30)))


def test_any_number_run_at_once_on_a_loop(tmp_path: Path) -> None:
    # Each waits for the other.
    def meet(mine: str, other: str) -> str:
        return f"touch {tmp_path}/{mine}; while ! [ -e {tmp_path}/{other} ]; do sleep 0.02; done"

    async def main() -> list[CommandStatus]:
        host = LocalHost()
        both = await asyncio.gather(host.oneshot(meet("a", "b"), 30), host.oneshot(meet("b", "a"), 30))
        return list(both)

    assert all(asyncio.run(main()))


def test_nothing_stays_open(here: Both) -> None:
    here.oneshot("true")
    before = len(os.listdir("/proc/self/fd"))
    for command, limit in (("cat", None), ("sleep 60", 0.1), (["/nowhere"], None)):
        here.oneshot(command, limit)
    assert len(os.listdir("/proc/self/fd")) == before


# Several


def test_a_sequence_runs_in_order_and_a_failure_does_not_stop_it(here: Both) -> None:
    result = here.run(["echo a", ShellCommand("cat; exit 2", stdin=b"b"), "echo c"])
    assert [(each.output, each.retcode) for each in result] == [("a", 0), ("b", 2), ("c", 0)]
    assert here.run("echo one").only.output == "one"


def test_what_follows_a_failure_is_not_run_if_so_asked_for(here: Both) -> None:
    result = here.run(["exit 2", "echo c"], stop_on_error=True)
    assert [(each.retcode, each.skipped) for each in result] == [(2, False), (-1, True)]


def test_the_time_of_a_sequence_is_that_of_all(here: Both) -> None:
    result = here.run(["sleep 60", "echo c"], timeout=0.2)
    assert [(each.timed_out, each.skipped) for each in result] == [(True, False), (False, True)]
    result = here.run([ShellCommand("sleep 60", timeout=0.1), "echo c"], timeout=60)
    assert [each.output for each in result] == ["", "c"]
    assert result[0].timed_out


def test_an_answer_to_a_prompt_needs_a_terminal(here: Both) -> None:
    for cmds, expects in (("true", ("a", "b")), (ShellCommand("true", expects=("a", "b")), None)):
        with pytest.raises(ParentError, match="no command has a terminal there"):
            here.run(cmds, expects)


def test_a_command_of_a_sequence_may_be_checked(here: Both) -> None:
    with pytest.raises(CommandFailed):
        here.run(["true", ShellCommand("false", check=True)])
    with pytest.raises(CommandFailed):
        here.run(["true", "false"], check=True)


# Files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "from"
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "dir" / "sub" / "file").write_bytes(b"deep")
    (root / "dir" / "link").symlink_to("sub/file")
    (root / "a").write_bytes(b"aa")
    (root / "a").chmod(0o750)
    return root


def test_files_and_directories_are_copied_into_a_directory_that_is_made(
    here: Both, tree: Path, tmp_path: Path
) -> None:
    target = tmp_path / "deep" / "to"
    result = here.put([tree / "a", str(tree / "dir") + "/"], target)
    assert result == (Status.Success, "")
    assert result.bytes == 6
    assert (target / "a").read_bytes() == b"aa"
    assert (target / "a").stat().st_mode & 0o777 == 0o750
    assert (target / "dir" / "sub" / "file").read_bytes() == b"deep"
    assert os.readlink(target / "dir" / "link") == "sub/file"
    assert here.get(tree / "a", str(target)).ok


def test_one_failure_does_not_hide_what_went_well(here: Both, tree: Path, tmp_path: Path) -> None:
    result = here.put([tree / "none", tree / "a"], tmp_path / "to")
    assert result.status is Status.Error
    assert "No such file" in result.message
    assert [each.status for each in result.files] == [Status.Error, Status.Success]
    assert (tmp_path / "to" / "a").exists()


def test_a_file_where_the_directory_should_be_is_an_error(tree: Path) -> None:
    result = copy(tree / "dir", tree / "a")
    assert result.status is Status.Error
    assert (tree / "a").read_bytes() == b"aa"


def test_a_file_never_replaces_a_directory(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "to" / "a").mkdir(parents=True)
    assert copy(tree / "a", tmp_path / "to").status is Status.Error
    assert (tmp_path / "to" / "a").is_dir()


@pytest.mark.parametrize("sources", [["x/a", "y/a"], ["/"], ["."], ["a/.."]])
def test_sources_without_a_name_of_their_own_are_refused_before_anything_moves(
    sources: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"two sources are called|has no name"):
        copy(sources, tmp_path / "to")
    assert not (tmp_path / "to").exists()


# The engine


def test_its_engine_is_one_for_all_until_connections_are_rebuilt(here: Both) -> None:
    host = here.host.__class__("tcp://127.0.0.1:9")
    here = Both(host)
    engine = here.engine()
    assert isinstance(engine, Engine)
    assert engine.name == "tcp://127.0.0.1:9"
    assert here.engine() is engine
    here.rebuild_connections()
    assert here.engine() is not engine
    here.close()
    here.close()


def test_without_an_address_it_is_that_of_dockers_client(here: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/engine.sock")
    assert here.engine().name == "unix:///nowhere/engine.sock"
