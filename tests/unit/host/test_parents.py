"""Parents with an engine for us, and those on which docker's commands are typed."""

from __future__ import annotations

import asyncio
import inspect
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from dockerpty.engine.client import from_environment
from dockerpty.host import parents
from dockerpty.host.errors import HostNotRunningError, ParentError
from dockerpty.host.local import LocalHost, LocalHostSync, copy
from dockerpty.host.parents import (
    CommandParent,
    CommandParentSync,
    engine_behind,
    has_engine,
    parent_of,
    parent_of_sync,
    status_of,
)
from dockerpty.host.results import CommandStatus, Status, TransferResult

# As much of docker's command as is typed. The container is called web, and its files are in a directory here.
DOCKER = """#!/bin/sh
verb=$1; shift
case $verb in
exec)
    [ "$1" = -i ] || exit 99
    shift
    while :; do case $1 in -u | -w | -e) shift 2 ;; *) break ;; esac; done
    [ "$1" = web ] || { echo "No such container: $1" >&2; exit 1; }
    shift
    [ ! -e "$ROOT/../stopped" ] || { echo "container web is not running" >&2; exit 1; }
    case $1 in mkdir) exec mkdir -p "$ROOT$3" ;; *) exec "$@" ;; esac ;;
cp)
    case $1 in web:*) from=$ROOT${1#web:} ;; *) from=$1 ;; esac
    case $2 in web:*) to=$ROOT${2#web:} ;; *) to=$2 ;; esac
    [ -d "$to" ] || { echo "no such directory" >&2; exit 1; }
    exec cp -a "$from" "$to" ;;
esac
exit 98
"""


class Station:
    """A parent that runs commands and moves files, and has no engine for us.

    Attributes:
        lines: what was typed.
        root: the files of the container.
    """

    name = "station"

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.root = folder / "root"
        self.root.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        (programs / "docker").write_text(DOCKER)
        (programs / "docker").chmod(0o755)
        self._env = {"PATH": f"{programs}:{os.environ['PATH']}", "ROOT": str(self.root)}

    async def oneshot(self, cmd: str, timeout: float | None = None) -> CommandStatus:
        self.lines.append(cmd)
        return await LocalHost().oneshot(cmd, timeout, env=self._env)

    async def put(self, files: list[Any], folder: str) -> tuple[Status, str]:
        # Others have their turn.
        await asyncio.sleep(0)
        return tuple(copy(files, folder))  # type: ignore[return-value]  # a list of two, for mypy of any length

    get = put

    @property
    def staged(self) -> list[str]:
        """The directories that were made for files."""
        return [shlex.split(each)[-1] for each in self.lines if each.startswith("mkdir -p -m 700 ")]


class Waiting(Station):
    """The same for programs that wait."""

    def oneshot(self, cmd: str, timeout: float | None = None) -> CommandStatus:  # type: ignore[override]  # the same without waiting
        self.lines.append(cmd)
        return LocalHostSync().oneshot(cmd, timeout, env=self._env)

    def put(self, files: list[Any], folder: str) -> tuple[Status, str]:  # type: ignore[override]  # the same without waiting
        return tuple(copy(files, folder))  # type: ignore[return-value]  # a list of two, for mypy of any length

    get = put  # type: ignore[assignment]  # the same without waiting


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    (folder / "dir").mkdir(parents=True)
    (folder / "dir" / "deep").write_bytes(b"deep")
    (folder / "a").write_bytes(b"aa")
    (folder / "b c").write_bytes(b"bc")
    return folder


# Which of both


def test_no_parent_is_this_machine() -> None:
    assert isinstance(parent_of(None), LocalHost)
    assert isinstance(parent_of_sync(None), LocalHostSync)


class Forwarding:
    async def engine(self) -> str:
        return "unix:///private.sock"


class ForwardingSync:
    def engine(self) -> str:
        return "unix:///private.sock"


@pytest.mark.parametrize("parent", [LocalHost(), Forwarding()])
def test_a_parent_whose_engine_is_a_coroutine_function_is_taken_as_it_is(parent: Any) -> None:
    assert has_engine(parent)
    assert parent_of(parent, "web") is parent


def test_a_parent_of_the_other_colour_is_not() -> None:
    assert not has_engine(ForwardingSync())
    assert not has_engine(Forwarding(), sync=True)
    assert has_engine(ForwardingSync(), sync=True)
    assert has_engine(LocalHostSync(), sync=True)


@pytest.mark.parametrize("mock", [MagicMock, AsyncMock])
def test_a_mock_that_has_every_attribute_has_no_engine(mock: Callable[[], Any]) -> None:
    parent = mock()
    assert not has_engine(parent)
    assert not has_engine(parent, sync=True)
    assert isinstance(parent_of(parent, "web"), CommandParent)
    assert isinstance(parent_of_sync(parent, "web"), CommandParentSync)
    # Nobody asked it.
    assert parent.mock_calls == []


def test_an_engine_that_was_given_to_an_object_counts() -> None:
    parent = MagicMock()
    parent.engine = Forwarding().engine
    assert has_engine(parent)
    assert parent_of(parent) is parent


def test_an_engine_is_an_address_or_a_client() -> None:
    assert engine_behind("unix:///private.sock").name == "unix:///private.sock"
    engine = from_environment("tcp://127.0.0.1:9")
    assert engine_behind(engine) is engine


# Commands


def typed(parent: Any, cmd: Any, **options: Any) -> str:
    """The one line that a command becomes."""
    said = AsyncMock(return_value=CommandStatus.of("", 0))
    parent.oneshot = said
    asyncio.run(CommandParent(parent, "web", **options).oneshot(cmd, 7))
    assert said.call_args.kwargs == {"timeout": 7}
    (line,) = said.call_args.args
    return str(line)


def test_a_command_is_dockers_exec_of_a_shell_and_no_more() -> None:
    assert typed(MagicMock(), "echo hi") == "docker exec -i web sh -c 'echo hi'"
    assert typed(MagicMock(), "echo 'a b'; \"x\"") == """docker exec -i web sh -c 'echo '"'"'a b'"'"'; "x"'"""
    assert typed(MagicMock(), ["ls", "a b"]) == "docker exec -i web ls 'a b'"


def test_what_a_host_was_made_with_is_said_with_each_command() -> None:
    line = typed(MagicMock(), "id", user="app", workdir="/a b", env=["A=1", "B=x y"])
    assert shlex.split(line)[:-1] == [
        *("docker", "exec", "-i", "-u", "app", "-w", "/a b", "-e", "A=1", "-e", "B=x y"),
        *("web", "sh", "-c"),
    ]


def test_what_comes_is_told_under_the_callers_own_command(station: Station) -> None:
    status = asyncio.run(CommandParent(station, "web").oneshot("echo out; echo err >&2; exit 3"))
    assert status == ("echo out; echo err >&2; exit 3", "out\nerr", Status.Failed, 3)
    assert status.host == "station"
    assert asyncio.run(CommandParent(station, "web").oneshot("echo $((1+1)) 'it'")).output == "2 it"


def test_programs_that_wait_have_the_same(tmp_path: Path, files: Path) -> None:
    station = Waiting(tmp_path)
    parent = CommandParentSync(station, "web")
    assert parent.oneshot("echo hi").output == "hi"
    assert parent.put(files / "a", "/srv").ok
    assert parent.get("/srv/a", tmp_path / "back").ok
    assert (tmp_path / "back" / "a").read_bytes() == b"aa"


def test_both_faces_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(kind: type) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(kind, lambda each: inspect.isfunction(each) and each.__name__[0] != "_")
        return {name: inspect.signature(each) for name, each in found}

    assert methods(CommandParent) == methods(CommandParentSync)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (("typed", "out", Status.Failed, 4), ("mine", "out", Status.Failed, 4)),
        (("typed", b"out", 0, 0), ("mine", "out", Status.Success, 0)),
        (MagicMock(output="out", status=MagicMock(value=2), retcode=-1), ("mine", "out", Status.Error, -1)),
        (MagicMock(output="out", status="?", retcode=5), ("mine", "out", Status.Failed, 5)),
        (MagicMock(output="", value="out", status=None, retcode=0), ("mine", "out", Status.Success, 0)),
    ],
)
def test_somebody_elses_results_are_read(result: Any, expected: tuple[Any, ...]) -> None:
    assert status_of("mine", result) == expected


def test_a_result_of_ours_keeps_what_it_knows() -> None:
    given = CommandStatus.of("typed", None, b"out", timed_out=True)
    status = status_of("mine", given, "station")
    assert (status.command, status.timed_out, status.stdout, status.host) == ("mine", True, b"out", "station")


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda parent: parent.run("ls", timeout=3), "run commands in a shell"),
        (lambda parent: parent.open_session("a", tty=True), "open a session"),
        (lambda parent: parent.send("x"), "send keys"),
        (lambda parent: parent.expect("x", 3), "expect output"),
        (lambda parent: parent.interact(), "interact"),
        (lambda parent: parent.refuse("give a command its stdin"), "give a command its stdin"),
    ],
)
def test_what_needs_an_engine_is_refused_and_named(
    call: Callable[[Any], object], what: str, station: Station
) -> None:
    with pytest.raises(ParentError, match=f"cannot {what} through the parent station: it requires") as caught:
        call(CommandParent(station, "web"))
    assert isinstance(caught.value, NotImplementedError)
    assert "requires an SSH-based UnixHost parent or one that offers engine()" in str(caught.value)
    assert station.lines == []


@pytest.mark.parametrize("container", ["", "compose://shop/api", "label:a=b"])
def test_a_container_that_only_an_engine_finds_is_refused(container: str, station: Station) -> None:
    with pytest.raises(ParentError, match="engine"):
        CommandParent(station, container)


# Files


def test_files_go_by_way_of_a_directory_of_their_own_that_is_gone_afterwards(
    station: Station, files: Path
) -> None:
    result = asyncio.run(
        CommandParent(station, "web").put([files / "a", files / "b c", files / "dir"], "/srv/new")
    )
    assert result == (Status.Success, "")
    assert [each.target for each in result.files] == ["/srv/new/a", "/srv/new/b c", "/srv/new/dir"]
    assert (station.root / "srv/new/b c").read_bytes() == b"bc"
    assert (station.root / "srv/new/dir/deep").read_bytes() == b"deep"
    (staging,) = station.staged
    assert not os.path.exists(staging)
    assert station.lines[-1] == f"rm -rf {staging}"


def test_a_directory_for_files_is_private(station: Station, files: Path) -> None:
    seen = []
    put = station.put

    async def look(sources: list[Any], folder: str) -> tuple[Status, str]:
        seen.append(os.stat(folder).st_mode & 0o777)
        return await put(sources, folder)

    station.put = look  # type: ignore[method-assign,assignment]  # played here
    asyncio.run(CommandParent(station, "web").put(files / "a", "/srv"))
    assert seen == [0o700]


def test_files_come_back_the_other_way(station: Station, tmp_path: Path) -> None:
    (station.root / "etc").mkdir()
    (station.root / "etc" / "a b").write_bytes(b"x")
    result = asyncio.run(CommandParent(station, "web").get(["/etc/a b", "/etc/"], tmp_path / "to"))
    assert result == (Status.Success, "")
    assert (tmp_path / "to" / "a b").read_bytes() == b"x"
    assert (tmp_path / "to" / "etc" / "a b").read_bytes() == b"x"
    assert not os.path.exists(station.staged[0])


def test_what_is_not_there_is_said_and_hides_nothing(station: Station, tmp_path: Path) -> None:
    (station.root / "there").write_bytes(b"x")
    result = asyncio.run(CommandParent(station, "web").get(["/none", "/there"], tmp_path / "to"))
    assert result.status is Status.Failed
    assert "No such file" in result.message
    assert [each.status for each in result.files] == [Status.Failed, Status.Success]
    assert (tmp_path / "to" / "there").read_bytes() == b"x"


@pytest.mark.parametrize(
    "refusal", [(Status.Failed, "disk full"), MagicMock(status=Status.Error, message="disk full")]
)
@pytest.mark.parametrize("verb", ["put", "get"])
def test_what_the_parent_could_not_move_is_told_in_its_own_words(
    verb: str, refusal: Any, station: Station, files: Path, tmp_path: Path
) -> None:
    (station.root / "a").write_bytes(b"x")
    setattr(station, verb, AsyncMock(return_value=refusal))
    source = files / "a" if verb == "put" else "/a"
    result = asyncio.run(getattr(CommandParent(station, "web"), verb)(source, str(tmp_path / "to")))
    assert result.status is Status.Error
    assert result.message.endswith("disk full")
    assert not os.path.exists(station.staged[0])
    assert station.lines[-1].startswith("rm -rf")


def test_a_parent_without_room_for_files_is_told_of(files: Path) -> None:
    parent = MagicMock()
    parent.oneshot = AsyncMock(return_value=("mkdir", "read-only file system", Status.Failed, 1))
    result = asyncio.run(CommandParent(parent, "web").put(files / "a", "/srv"))
    assert result.status is Status.Error
    assert "read-only file system" in result.message
    parent.put.assert_not_called()


@pytest.mark.parametrize("error", [OSError("the connection broke"), asyncio.CancelledError()])
@pytest.mark.parametrize("verb", ["put", "get"])
def test_the_directory_is_removed_whatever_happens(
    verb: str, error: BaseException, station: Station, files: Path, tmp_path: Path
) -> None:
    (station.root / "a").write_bytes(b"x")
    setattr(station, verb, AsyncMock(side_effect=error))
    source = files / "a" if verb == "put" else "/a"
    with pytest.raises(type(error)):
        asyncio.run(getattr(CommandParent(station, "web"), verb)(source, str(tmp_path / "to")))
    assert not os.path.exists(station.staged[0])


def test_the_directory_is_removed_where_the_caller_gave_up(station: Station, files: Path) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def hang(sources: list[Any], folder: str) -> tuple[Status, str]:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        station.put = hang  # type: ignore[method-assign,assignment]  # played here
        task = asyncio.ensure_future(CommandParent(station, "web").put(files / "a", "/srv"))
        await begun.wait()
        assert os.path.exists(station.staged[0])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 20))
    assert not os.path.exists(station.staged[0])


def test_that_it_cannot_be_removed_hides_nothing(
    station: Station, files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    oneshot = station.oneshot

    async def refuse(cmd: str, timeout: float | None = None) -> CommandStatus:
        if cmd.startswith("rm"):
            await oneshot(cmd)
            raise OSError("the connection broke")
        return await oneshot(cmd, timeout)

    station.oneshot = refuse  # type: ignore[method-assign]  # played here
    assert asyncio.run(CommandParent(station, "web").put(files / "a", "/srv")).ok
    assert "left behind on station: /tmp/dpty-" in caplog.text


def test_a_stopped_container_takes_files_where_the_directory_is_there(station: Station, files: Path) -> None:
    (station.root.parent / "stopped").touch()
    (station.root / "srv").mkdir()
    parent = CommandParent(station, "web")
    assert asyncio.run(parent.put(files / "a", "/srv")).ok
    assert (station.root / "srv" / "a").read_bytes() == b"aa"
    for source, target in ((files / "a", "/none"), (files / "dir", "/srv")):
        result = asyncio.run(parent.put(source, target))
        assert not result.ok
        assert not (station.root / "none").exists()
        assert not (station.root / "srv" / "deep").exists()


@pytest.mark.parametrize(
    ("sources", "target"), [("a", "srv"), (["x/a", "y/a"], "/srv"), ("/", "/srv"), ("a", "")]
)
def test_what_makes_no_sense_is_refused_before_anything_is_typed(
    sources: Any, target: str, station: Station
) -> None:
    parent = CommandParent(station, "web")
    with pytest.raises(ValueError, match=r"absolute|two sources|no name"):
        asyncio.run(parent.put(sources, target))
    with pytest.raises(ValueError, match=r"absolute|two sources|no name"):
        asyncio.run(parent.get(sources, "/tmp/never"))
    assert station.lines == []


# Faults that must not come back


def test_host_f19_transfers_at_once_each_have_a_directory_that_nobody_can_guess(
    station: Station, tmp_path: Path
) -> None:
    parent = CommandParent(station, "web")
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "same").write_bytes(b"%d" % number * 1000)

    async def there_and_back(number: int) -> TransferResult:
        there = await parent.put(tmp_path / str(number) / "same", f"/srv/{number}")
        return (
            (await parent.get(f"/srv/{number}/same", tmp_path / "back" / str(number))) if there.ok else there
        )

    async def main() -> list[TransferResult]:
        return await asyncio.gather(*(there_and_back(number) for number in range(8)))

    assert all(each.ok for each in asyncio.run(main()))
    for number in range(8):
        assert (tmp_path / "back" / str(number) / "same").read_bytes() == b"%d" % number * 1000
    assert len(set(station.staged)) == 16
    assert all(len(each.removeprefix("/tmp/dpty-")) == 32 for each in station.staged)
    assert not any(os.path.exists(each) for each in station.staged)


@pytest.mark.parametrize(
    "text", ["web; touch PWNED", "$(touch PWNED)", "`touch PWNED`", "web\ntouch PWNED", "w'b"]
)
def test_host_f22_an_id_from_outside_is_one_word_of_a_line(
    text: str, station: Station, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parent = CommandParent(station, text)
    status = asyncio.run(parent.oneshot("echo hi"))
    assert (status.retcode, status.output) == (1, f"No such container: {text}")
    assert not asyncio.run(parent.put(files / "a", "/srv")).ok
    assert not asyncio.run(parent.get("/srv/a", tmp_path / "to")).ok
    assert not list(tmp_path.rglob("PWNED"))


def test_host_f22_a_name_is_never_a_flag(station: Station) -> None:
    with pytest.raises(ValueError, match="no name begins with a dash"):
        CommandParent(station, "--privileged")


def test_an_error_of_a_parent_is_the_callers(station: Station) -> None:
    station.oneshot = AsyncMock(side_effect=HostNotRunningError("use", "station"))  # type: ignore[method-assign]  # played here
    with pytest.raises(HostNotRunningError):
        asyncio.run(CommandParent(station, "web").oneshot("true"))
    assert parents.CommandParent is CommandParent
