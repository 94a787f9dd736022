"""Files to and from a container, by the rules of a host, on a real engine."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dockerpty.engine.client import from_environment
from dockerpty.errors import DockerptyError, NotFound
from dockerpty.host.errors import TransferError
from dockerpty.host.results import Status
from dockerpty.host.transfer import files
from dockerpty.host.transfer.getting import get, get_bytes, get_stream
from dockerpty.host.transfer.inside import Inside
from dockerpty.host.transfer.putting import put, put_bytes, put_stream
from dockerpty.host.transfer.stop import Stop
from tests.bed.engine import Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.transports import Podman, Unavailable
from tests.conftest import missing
from tests.engine.host.running import Runner

pytestmark = [pytest.mark.engine]

OLD = 1_010_000_000
# What a container needs to mount something by itself.
OPEN = ["apparmor=unconfined", "seccomp=unconfined"]
GIB = 1024**3
SOAK = os.environ.get("DPTY_SOAK") == "1"


class Hosts:
    """Containers as a transfer sees them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._engines: list[Any] = []

    def of(self, container: Container, *, url: str = "", shell: bool = True, **more: Any) -> Inside:
        """Give a container's files, for one operation or some after another."""
        engine = from_environment(url or None)
        self._engines.append(engine)
        run = Runner(id_of(container), more.get("stop")) if shell else None
        return Inside(engine, id_of(container), run, host="web", **more)

    def new(
        self, command: Any = ("tail", "-f", "/dev/null"), *, start: bool = True, **options: Any
    ) -> Inside:
        """Make a container, and give its files."""
        more = {
            name: options.pop(name) for name in ("user", "workdir", "stop", "deadline") if name in options
        }
        return self.of(self.bench.container(command, start=start, **options), **more)

    def sh(self, inside: Inside, command: str) -> str:
        """Run a command as root in the container: its output."""
        container = self.bench.client.containers.get(inside.container)
        code, output = container.exec_run(["sh", "-c", command], user="0")
        assert code == 0, (command, output)
        assert isinstance(output, bytes)
        return output.decode("utf-8", "surrogateescape")

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


@pytest.fixture
def hosts(bench: Bench) -> Iterator[Hosts]:
    made = Hosts(bench)
    yield made
    made.close()


@pytest.fixture
def web(hosts: Hosts) -> Inside:
    """A container that runs."""
    return hosts.new()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory of files to put."""
    folder = tmp_path / "here"
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "f").write_text("file\n")
    os.chmod(folder / "f", 0o640)
    (folder / "d" / "a").write_text("a")
    os.chmod(folder / "d" / "a", 0o4755)
    (folder / "d" / "e" / "none").write_text("")
    (folder / "d" / "l").symlink_to("a")
    os.link(folder / "d" / "a", folder / "d" / "second")
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (OLD, OLD), follow_symlinks=False)
        if os.geteuid() == 0:
            os.lchown(path, 4321, 4322)
    return folder


def tree(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        link = os.readlink(path) if path.is_symlink() else ""
        found[str(path.relative_to(folder))] = (oct(status.st_mode), int(status.st_mtime), content, link)
    return found


def left_behind(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.name.startswith(".dpty")]


# ---- put -------------------------------------------------------------------------------------------------------


def test_host_f17_put_to_a_directory_that_is_missing_makes_it_with_its_parents(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    result = put(web, here / "f", "/srv8/deep")
    assert result == (Status.Success, "")
    assert result.files[0].target == "/srv8/deep/f"
    assert result.bytes == 5
    assert hosts.sh(web, "cat /srv8/deep/f; stat -c '%a %u %g %Y' /srv8/deep/f") == f"file\n640 0 0 {OLD}\n"
    assert hosts.sh(web, "stat -c '%a %u' /srv8 /srv8/deep") == "755 0\n755 0\n"


def test_host_f18_two_sources_of_one_name_are_refused_before_anything_moves(
    hosts: Hosts, web: Inside, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    with pytest.raises(ValueError, match="both become 'x'"):
        put(web, [tmp_path / "a" / "x", tmp_path / "b" / "x"], "/srv")
    assert hosts.sh(web, "ls -a /srv 2>/dev/null || echo none").split() == ["none"]
    with pytest.raises(ValueError, match="both become"):
        get(web, ["/a/x", "/b/x"], tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_host_f19_eight_at_once_stage_nothing_and_delete_nothing_of_each_other(
    hosts: Hosts, web: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "tmp"
    empty.mkdir()
    monkeypatch.setenv("TMPDIR", str(empty))
    monkeypatch.setattr("tempfile.tempdir", str(empty))
    container = hosts.bench.client.containers.get(web.container)
    problems: list[object] = []

    def work(number: int) -> None:
        source = tmp_path / f"s{number}" / f"f{number}"
        source.parent.mkdir()
        source.write_bytes(os.urandom(1024) * (4 * 1024))
        inside = hosts.of(container)
        for result in (put(inside, source, "/srv"), get(inside, f"/srv/f{number}", tmp_path / "back")):
            if not result:
                problems.append(result)
        if (tmp_path / "back" / source.name).read_bytes() != source.read_bytes():
            problems.append(number)
        if any(empty.iterdir()):
            problems.append("a file in between")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(os.listdir(tmp_path / "back")) == 8
    assert hosts.sh(web, "ls -A /srv").split() == [f"f{number}" for number in range(8)]


def test_host_f20_directories_go_with_all_that_is_in_them_and_come_back(
    hosts: Hosts, web: Inside, here: Path, tmp_path: Path
) -> None:
    result = put(web, [here / "d", here / "f"], "/srv")
    assert result == (Status.Success, "")
    # Not by the caller's own numbers, and without a set-id bit that would be root's now.
    assert hosts.sh(web, "stat -c '%a %u %g %h' /srv/d/a") == "755 0 0 2\n"
    assert hosts.sh(web, "readlink /srv/d/l") == "a\n"
    os.chmod(here / "d" / "a", 0o755)
    assert get(web, ["/srv/d", "/srv/f"], tmp_path / "back").check().ok
    assert tree(tmp_path / "back") == tree(here)
    status = (tmp_path / "back" / "f").stat()
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert left_behind(tmp_path) == []


def test_the_target_is_a_directory_and_a_file_there_is_an_error(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    hosts.sh(web, "echo old >/file")
    result = put(web, [here / "f", here / "d"], "/file")
    assert [each.status for each in result.files] == [Status.Failed, Status.Failed]
    assert "no directory" in result.message
    assert str(here / "f") in result.message
    assert "(web)" in result.message
    assert hosts.sh(web, "cat /file") == "old\n"
    assert not put(web, here / "f", "/file/below")


def test_a_file_goes_by_another_name_with_the_mode_and_owner_that_were_said(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    assert put(web, here / "f", "/srv", name="g", mode="4750", owner="12:34").ok
    assert hosts.sh(web, "stat -c '%a %u %g' /srv/g") == "4750 12 34\n"
    with pytest.raises(ValueError, match="single source"):
        put(web, [here / "f", here / "d"], "/srv", name="h")
    for wrong in ("rwx", "9", 0o100000, -1):
        with pytest.raises(ValueError, match="no mode"):
            put(web, here / "f", "/srv", name="h", mode=wrong)
    with pytest.raises(ValueError, match="no owner"):
        put(web, here / "f", "/srv", name="h", owner="me")
    assert hosts.sh(web, "ls /srv") == "g\n"


@pytest.mark.parametrize(
    ("user", "owner"),
    [("", "0 0"), ("daemon", "1 1"), ("1234", "1234 0"), ("1234:55", "1234 55"), ("daemon:tty", "1 5")],
)
def test_what_is_put_belongs_to_the_hosts_user(user: str, owner: str, hosts: Hosts, here: Path) -> None:
    web = hosts.new(user=user)
    assert put(web, here / "f", "/srv/new").check().ok
    assert hosts.sh(web, "stat -c '%u %g' /srv/new/f /srv/new") == f"{owner}\n{owner}\n"


def test_the_images_user_counts_where_none_was_said_also_where_he_may_not_write(
    hosts: Hosts, bench: Bench, here: Path
) -> None:
    web = hosts.of(bench.container(start=True, user="daemon"))
    assert put(web, here / "f", "/root").ok
    assert put(web, here / "f", "/root").ok
    assert hosts.sh(web, "stat -c '%u %g' /root/f") == "1 1\n"
    with pytest.raises(DockerptyError, match="none of that name"):
        hosts.of(bench.container(start=True), user="nobody-at-all").owner()


def test_paths_begin_at_the_working_directory_or_at_home(hosts: Hosts, here: Path) -> None:
    web = hosts.new(workdir="/work/dir")
    assert put(web, here / "f", "sub").files[0].target == "/work/dir/sub/f"
    assert put(web, here / "f", "~/sub").files[0].target == "/root/sub/f"
    assert get_bytes(web, "sub/../sub/f") == b"file\n"
    assert get_bytes(web, "~/sub/f") == b"file\n"


def test_links_on_the_way_are_followed_and_links_that_are_sources_are_links(
    hosts: Hosts, web: Inside, here: Path, tmp_path: Path
) -> None:
    hosts.sh(web, "mkdir -p /real/sub; ln -s real /way; ln -s /real/sub /abs; ln -s nowhere /dang")
    assert put(web, here / "d" / "l", "/way/sub").ok
    assert hosts.sh(web, "readlink /real/sub/l") == "a\n"
    assert put(web, here / "f", "/abs").files[0].target == "/real/sub/f"
    assert not put(web, here / "f", "/dang")
    assert put(web, here / "d", "/followed", follow_links=True).ok
    assert hosts.sh(web, "stat -c %F /followed/d/l") == "regular file\n"
    hosts.sh(
        web,
        "mkdir /t /o; echo x >/o/x; ln -s ../o /t/o; ln -s ../o/x /t/x; ln -s none /t/none; touch -t 200109090146 /t",
    )
    result = get(web, "/t", tmp_path, follow_links=True)
    assert result.ok
    assert "nowhere" in result.files[0].error
    assert sorted(name for name in tree(tmp_path / "t")) == ["o", "o/x", "x"]
    assert (tmp_path / "t" / "o" / "x").read_text() == "x\n"
    assert (tmp_path / "t").stat().st_mtime < OLD
    hosts.sh(web, "ln -s /t /t/circle")
    assert "circle" in get(web, "/t", tmp_path / "again", follow_links=True).message


def test_pipes_and_devices_are_left_out_and_said(
    hosts: Hosts, web: Inside, here: Path, tmp_path: Path
) -> None:
    os.mkfifo(here / "d" / "pipe")
    result = put(web, [here / "d", here / "d" / "pipe"], "/srv")
    assert [each.status for each in result.files] == [Status.Success, Status.Skipped]
    assert "pipe" in result.files[0].error
    assert result.ok
    hosts.sh(web, "mkdir /x; mkfifo /x/p; echo f >/x/f")
    back = get(web, ["/x", "/x/p"], tmp_path / "back")
    assert [each.status for each in back.files] == [Status.Success, Status.Skipped]
    assert list(tree(tmp_path / "back")) == ["x", "x/f"]


def test_what_is_there_stays_where_that_is_asked_for(
    hosts: Hosts, web: Inside, here: Path, tmp_path: Path
) -> None:
    hosts.sh(web, "mkdir -p /srv; echo old >/srv/f")
    result = put(web, [here / "f", here / "d"], "/srv", overwrite=False)
    assert [each.status for each in result.files] == [Status.Skipped, Status.Success]
    assert hosts.sh(web, "cat /srv/f") == "old\n"
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "f").write_text("mine")
    back = get(web, ["/srv/f", "/srv/d"], tmp_path / "back", overwrite=False)
    assert [each.status for each in back.files] == [Status.Skipped, Status.Success]
    assert (tmp_path / "back" / "f").read_text() == "mine"


def test_a_directory_never_replaces_a_file_nor_the_reverse(hosts: Hosts, web: Inside, here: Path) -> None:
    hosts.sh(web, "mkdir -p /srv/f; echo old >/srv/d; mkdir -p /deep/d; echo old >/deep/d/e")
    result = put(web, [here / "f", here / "d"], "/srv")
    assert [each.status for each in result.files] == [Status.Failed, Status.Failed]
    assert not put(web, here / "d", "/deep")
    assert hosts.sh(web, "cat /srv/d /deep/d/e") == "old\nold\n"


def test_one_failure_does_not_hide_the_others(hosts: Hosts, web: Inside, here: Path, tmp_path: Path) -> None:
    hosts.sh(web, "mkdir -p /srv/d; echo old >/srv/d/e")
    sources = [here / "none", here / "d", here / "f", here / "d" / "a"]
    result = put(web, sources, "/srv")
    assert [each.status for each in result.files] == [
        Status.Failed,
        Status.Failed,
        Status.Success,
        Status.Success,
    ]
    assert result.status is Status.Failed
    assert result.message.startswith(f"{here / 'none'} (web): no such file")
    assert result.value[here / "f"].target == "/srv/f"
    assert hosts.sh(web, "ls -A /srv").split() == ["a", "d", "f"]
    back = get(web, ["/none", "/srv/f", "/no/such"], tmp_path / "back")
    assert [each.status for each in back.files] == [Status.Failed, Status.Success, Status.Failed]
    assert (tmp_path / "back" / "f").exists()
    with pytest.raises(TransferError, match="there is no web:/none"):
        back.check()


def test_a_source_that_changes_while_it_is_read_fails_alone(
    hosts: Hosts, web: Inside, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = here / "big"
    big.write_bytes(b"x" * (3 * 1024 * 1024))

    def shorten(done: int, total: int | None, path: str) -> None:
        if path == str(big):
            os.truncate(big, 10)

    monkeypatch.setattr("dockerpty.host.transfer.stop.BETWEEN_S", 0.0)
    result = put(web, [here / "f", big, here / "d"], "/srv", progress=shorten)
    assert [each.status for each in result.files] == [Status.Success, Status.Failed, Status.Success]
    assert "shorter" in result.message
    assert hosts.sh(web, "ls -A /srv").split() == ["d", "f"]


def test_a_file_that_is_replaced_is_a_new_one_for_whoever_has_the_old_one_open(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    hosts.sh(
        web,
        "mkdir /srv; echo old >/srv/f; ln /srv/f /kept; ln -s /etc /srv/d2; mkdir /dir; ln -s /dir /srv/a",
    )
    assert put(web, [here / "f", here / "d" / "a"], "/srv").check().ok
    assert hosts.sh(web, "cat /kept /srv/f") == "old\nfile\n"
    # A link is replaced, and not gone through.
    assert hosts.sh(web, "ls -A /dir; cat /srv/a") == "a"
    assert hosts.sh(web, "ls -A /srv").split() == ["a", "d2", "f"]


def test_of_a_directory_that_is_there_each_file_is_replaced_when_it_is_whole(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    hosts.sh(web, "mkdir -p /srv/d/e/kept; echo old >/srv/d/a; ln /srv/d/a /kept; ln -s none /srv/d/second")
    for name in ("-rf", "new\nline", "*"):
        (here / "d" / "e" / name).write_text(name)
    (here / "d" / "e" / "n").mkdir()
    os.chmod(here / "d", 0o750)
    os.chmod(here / "d" / "e", 0o700)
    os.utime(here / "d" / "e", (OLD, OLD))
    os.utime(here / "d", (OLD, OLD))
    assert put(web, [here / "d", here / "f"], "/srv", owner="3:4") == (Status.Success, "")
    assert hosts.sh(web, "cat /kept /srv/d/a /srv/d/second; readlink /srv/d/l") == "old\naaa\n"
    wanted = f"750 3 4 {OLD}\n700 3 4 {OLD}\n"
    assert hosts.sh(web, "stat -c '%a %u %g %Y' /srv/d /srv/d/e") == wanted
    assert sorted(files.ls(web, "/srv/d/e")) == ["*", "-rf", "kept", "n", "new\nline", "none"]
    assert hosts.sh(web, "ls -A /srv").split() == ["d", "f"]


def test_where_a_directory_would_replace_a_file_deep_in_one_nothing_is_renamed(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    for clash in ("mkdir /srv/d/second", "echo old >/srv/d/e", "ln -s / /srv/d/e"):
        hosts.sh(web, f"rm -rf /srv; mkdir -p /srv/d; echo old >/srv/d/a; {clash}")
        result = put(web, [here / "d", here / "f"], "/srv")
        assert [each.status for each in result.files] == [Status.Failed, Status.Success]
        assert "none replaces the other: /srv/d/" in result.message
        assert hosts.sh(web, "cat /srv/d/a; ls -A /srv").split() == ["old", "d", "f"]


def test_what_is_cut_while_it_replaces_a_directory_leaves_the_old_files(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    hosts.sh(web, "mkdir -p /srv/d; echo old >/srv/d/a")
    sparse(here / "d" / "z", GIB)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(web, here / "d", "/srv", progress=interrupt)
    assert hosts.sh(web, "cat /srv/d/a; ls -A /srv /srv/d") == "old\n/srv:\nd\n\n/srv/d:\na\n"


def test_where_root_may_not_do_all_the_engine_does_it_in_place(
    hosts: Hosts, here: Path, tmp_path: Path
) -> None:
    web = hosts.of(hosts.bench.container(start=True, host={"cap_drop": ["ALL"]}, user="1234:1234"))
    os.chmod(here / "d" / "e", 0o700)
    assert put(web, [here / "d", here / "f"], "/home/app").check().ok
    result = put(web, [here / "d", here / "f"], "/home/app")
    assert [(each.status, "in place" in each.error) for each in result.files] == [(Status.Success, True)] * 2
    assert files.ls(web, "/home/app") == ["d", "f"]
    assert files.ls(web, "/home/app/d/e") == ["none"]
    kept = bytearray()
    get_stream(web, "/home/app/f", kept.extend, slowly=True)
    assert kept == b"file\n"


def test_a_file_that_is_mounted_is_written_in_place_and_said(hosts: Hosts, web: Inside, here: Path) -> None:
    (here / "hosts").write_text("10.0.0.1 other\n")
    result = put(web, [here / "hosts", here / "f"], "/etc")
    assert result.ok
    assert "something is mounted there" in result.files[0].error
    assert result.files[1].error == ""
    assert hosts.sh(web, "cat /etc/hosts; ls -A /etc | grep dpty; true") == "10.0.0.1 other\n"
    # In place nothing is there of the old one, and as much of the new one as came.
    with pytest.raises(TransferError, match="less of it than 99 bytes"):
        put_stream(web, [b"10.0.0.2 third\n"], "/etc/hosts", 99)
    put_bytes(web, b"10.0.0.2 third\n", "/etc/hosts")
    assert get_bytes(web, "/etc/hosts") == b"10.0.0.2 third\n"
    container = hosts.bench.client.containers.get(web.container)
    container.kill()
    # What is written there now would be hidden again in its next life.
    assert "does not run" in put(hosts.of(container), here / "hosts", "/etc").message


def test_a_paused_container_is_as_one_that_is_stopped(hosts: Hosts, here: Path, tmp_path: Path) -> None:
    web = hosts.new()
    container = hosts.bench.client.containers.get(web.container)
    put_bytes(web, b"old", "/srv/f")
    container.pause()
    try:
        web = hosts.of(container)
        result = put(web, [here / "f", here / "d"], "/srv")
        assert result.ok
        assert "no shell" in result.files[0].error
        assert get(web, ["/srv/f", "/srv/d"], tmp_path / "back").check().ok
        assert (files.ls(web, "/srv"), get_bytes(web, "/srv/f")) == (["d", "f"], b"file\n")
        assert "paused" in put(web, here / "f", "/dev/shm").message
        with pytest.raises(DockerptyError, match="paused"):
            files.rm(web, "/srv/f")
    finally:
        container.unpause()


def test_what_is_no_file_is_not_read_for_ever(hosts: Hosts, web: Inside) -> None:
    hosts.sh(web, "mkfifo /dev/shm/pipe /pipe")
    for path in ("/dev/shm/pipe", "/pipe", "/dev/zero"):
        with pytest.raises(TransferError, match="no file"):
            get_bytes(web, path)


def test_without_a_shell_it_is_written_in_place_and_said(
    bare: Callable[..., Container], hosts: Hosts, here: Path, tmp_path: Path
) -> None:
    web = hosts.of(bare())
    assert put(web, [here / "f", here / "d"], "/srv").check().ok
    (here / "f").write_text("new")
    result = put(web, [here / "f", here / "d"], "/srv")
    assert result.ok
    assert ["in place" in each.error for each in result.files] == [True, True]
    assert get_bytes(web, "/srv/f") == b"new"
    result = put(web, here / "f", "/dev/shm")
    assert result.status is Status.Failed
    assert "no shell" in result.message
    assert not get(web, "/dev/shm", tmp_path)


def test_a_stopped_container_is_as_good(hosts: Hosts, here: Path, tmp_path: Path) -> None:
    web = hosts.new(start=False, user="daemon")
    assert put(web, [here / "f", here / "d"], "/srv/deep").check().ok
    assert put(web, here / "f", "/srv/deep").ok
    assert get(web, ["/srv/deep/d", "/srv/deep/f"], tmp_path / "back").check().ok
    os.chmod(here / "d" / "a", 0o755)
    assert tree(tmp_path / "back") == tree(here)
    result = put(web, here / "f", "/dev/shm")
    assert "does not run" in result.message


def test_a_container_that_is_not_there_is_an_error_and_no_outcome(
    hosts: Hosts, web: Inside, here: Path, tmp_path: Path
) -> None:
    hosts.bench.client.containers.get(web.container).remove(force=True)
    with pytest.raises(NotFound):
        put(web, here / "f", "/srv")
    with pytest.raises(NotFound):
        get(web, "/etc/passwd", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_read_only_container_refuses_and_says_so(hosts: Hosts, here: Path, tmp_path: Path) -> None:
    web = hosts.new(host={"read_only": True, "tmpfs": {"/scratch": ""}})
    result = put(web, [here / "f", here / "d"], "/etc")
    assert [each.status for each in result.files] == [Status.Failed, Status.Failed]
    assert "read-only" in result.message
    assert put(web, here / "f", "/scratch").check().ok
    assert hosts.sh(web, "cat /scratch/f") == "file\n"
    assert get(web, "/etc/passwd", tmp_path).ok


# ---- mounts that the engine does not see ------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/dev/shm", "/scratch", "/mounted", "/scratch/below/more", "/by-link"])
def test_what_is_mounted_where_the_engine_does_not_see_it_is_reached_all_the_same(
    place: str, hosts: Hosts, here: Path, tmp_path: Path
) -> None:
    web = hosts.new(host={"tmpfs": {"/scratch": ""}, "cap_add": ["SYS_ADMIN"], "security_opt": OPEN})
    hosts.sh(web, "mkdir /mounted; mount -t tmpfs none /mounted; ln -s /mounted /by-link")
    (here / "d" / ("ü" * 60)).write_text("long")
    (here / "d" / "new\nline").write_text("odd")
    result = put(web, [here / "d", here / "f"], place)
    assert result == (Status.Success, "")
    assert (
        hosts.sh(web, f"cat {place}/f; stat -c '%a %u %g' {place}/d/a {place}/f")
        == "file\n755 0 0\n640 0 0\n"
    )
    (here / "f").write_text("newer\n")
    assert put(web, here / "f", place).ok
    assert hosts.sh(web, f"ls -A {place}").split() == ["d", "f"]
    back = get(web, [f"{place}/d", f"{place}/f"], tmp_path / "back")
    assert back == (Status.Success, "")
    assert (tmp_path / "back" / "f").read_text() == "newer\n"
    assert (tmp_path / "back" / "d" / ("ü" * 60)).read_text() == "long"
    assert (tmp_path / "back" / "d" / "new\nline").read_text() == "odd"
    assert int((tmp_path / "back" / "d" / "a").stat().st_mtime) == OLD
    assert get_bytes(web, f"{place}/f") == b"newer\n"
    with pytest.raises(TransferError, match="more than 3 bytes"):
        get(web, f"{place}/f", tmp_path / "no", max_bytes=3)
    assert not (tmp_path / "no").exists()
    assert files.ls(web, place) == ["d", "f"]
    put_bytes(web, b"by hand", f"{place}/hand")
    assert get_bytes(web, f"{place}/hand") == b"by hand"
    assert not get(web, f"{place}/none", tmp_path / "back")


def test_a_directory_with_such_a_mount_in_it_comes_whole(hosts: Hosts, tmp_path: Path) -> None:
    web = hosts.new(host={"tmpfs": {"/data/scratch": ""}})
    hosts.sh(web, "echo one >/data/one; echo two >/data/scratch/two")
    assert get(web, "/data", tmp_path).check().ok
    assert (tmp_path / "data" / "scratch" / "two").read_text() == "two\n"
    assert put(web, tmp_path / "data", "/").check().ok
    assert get_bytes(web, "/data/scratch/two") == b"two\n"


def test_what_the_kernel_makes_up_is_read_as_it_is_or_refused(
    hosts: Hosts, web: Inside, tmp_path: Path
) -> None:
    assert get(web, "/proc/version", tmp_path).check().ok
    assert (tmp_path / "version").read_text() == hosts.sh(web, "cat /proc/version")
    assert get_bytes(web, "/proc/version").startswith(b"Linux")
    result = get(web, "/proc/sys", tmp_path)
    assert result.status is Status.Failed
    assert "makes up" in result.message
    assert os.listdir(tmp_path) == ["version"]


def test_without_tar_a_file_still_goes_where_only_a_shell_gets(hosts: Hosts, web: Inside, here: Path) -> None:
    web.survey.has_shell, web.survey.has_tar = True, False
    web.survey.started = web.told["State"]["StartedAt"]
    hosts.sh(web, "mkdir /dir; ln -s /dir /dev/shm/f")
    result = put(web, [here / "f", here / "d"], "/dev/shm", owner="1:1")
    assert hosts.sh(web, "ls -A /dir") == ""
    assert [each.status for each in result.files] == [Status.Success, Status.Failed]
    assert (
        hosts.sh(web, "cat /dev/shm/f; stat -c '%a %u %g' /dev/shm/f; ls -A /dev/shm") == "file\n640 1 1\nf\n"
    )


@pytest.mark.parametrize("has_tar", [True, False])
def test_who_goes_away_in_the_middle_leaves_no_half_file_where_only_a_shell_gets(
    has_tar: bool, hosts: Hosts, web: Inside
) -> None:
    hosts.sh(web, "echo old >/dev/shm/big")

    def pieces() -> Iterator[bytes]:
        yield b"new" * 100_000
        os.kill(os.getpid(), 9)

    child = os.fork()
    if not child:
        try:
            inside = hosts.of(hosts.bench.client.containers.get(web.container))
            inside.survey.has_shell, inside.survey.has_tar = True, has_tar
            inside.survey.mounts, inside.survey.started = ("/dev/shm",), inside.told["State"]["StartedAt"]
            put_stream(inside, pieces(), "/dev/shm/big", 1_000_000)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    hosts.bench.wait_for(lambda: not set(hosts.sh(web, "ps -o comm").split()) & {"tar", "cat"})
    assert hosts.sh(web, "cat /dev/shm/big") == "old\n"
    assert has_tar or files.ls(web, "/dev/shm") == ["big"]


# ---- ends in the middle --------------------------------------------------------------------------------------------


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_a_put_that_is_cut_leaves_the_old_file_and_nothing_half(
    hosts: Hosts, bench: Bench, proxy: Proxy, tmp_path: Path
) -> None:
    container = bench.container(start=True)
    web = hosts.of(container, url=proxy.unix())
    hosts.sh(web, "mkdir /srv; echo old >/srv/big")
    put_bytes(web, b"x", "/warm")

    def cut(done: int, total: int | None, path: str) -> None:
        proxy.drop_connections("reset")

    for name in ("big", "new"):
        source = sparse(tmp_path / name, GIB)
        result = put(web, source, "/srv", progress=cut)
        assert result.status is Status.Error
    assert hosts.sh(web, "ls -A /srv; cat /srv/big") == "big\nold\n"


def test_a_put_that_is_stopped_from_another_thread_ends_at_once_and_leaves_nothing(
    hosts: Hosts, bench: Bench, tmp_path: Path
) -> None:
    source = sparse(tmp_path / "big", 20 * GIB)
    with Stop() as stop:
        web = hosts.new(stop=stop)
        began = threading.Event()

        def end() -> None:
            began.wait(30)
            stop.stop()

        thread = threading.Thread(target=end)
        thread.start()
        result = put(web, [source, tmp_path / "none"], "/srv", progress=lambda *_: began.set())
        thread.join()
    assert result.files[0].status is Status.Error
    assert result.files[0].error == "it was stopped"
    assert hosts.sh(web, "ls -A /srv 2>/dev/null; true") == ""


def test_a_get_that_is_stopped_or_has_no_time_leaves_nothing(
    hosts: Hosts, bench: Bench, tmp_path: Path
) -> None:
    container = bench.container("truncate -s 20G /big; echo x >/small; tail -f /dev/null", start=True)
    bench.wait_for(lambda: bench.run_inside(container, "ls /small")[0] == 0)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "big").write_text("old")
    with Stop() as stop:
        web = hosts.of(container, stop=stop)
        result = get(
            web, ["/small", "/big", "/etc/passwd"], tmp_path / "back", progress=lambda *_: stop.stop()
        )
    assert [each.status for each in result.files] == [Status.Error] * 3
    assert "not reached" in result.files[2].error
    assert tree(tmp_path / "back").keys() == {"big"}
    assert (tmp_path / "back" / "big").read_text() == "old"
    web = hosts.of(container, deadline=time.monotonic() + 1)
    began = time.monotonic()
    result = get(web, "/big", tmp_path / "back")
    assert result.files[0].error == "its time was over"
    assert time.monotonic() - began < 10
    assert tree(tmp_path / "back").keys() == {"big"}


def test_a_put_whose_time_is_over_leaves_nothing(hosts: Hosts, tmp_path: Path) -> None:
    source = sparse(tmp_path / "big", 20 * GIB)
    web = hosts.new()
    assert web.has_shell
    web.deadline = time.monotonic() + 1
    result = put(web, source, "/srv")
    assert result.files[0].error == "its time was over"
    assert hosts.sh(web, "ls -A /srv 2>/dev/null; true") == ""


def test_an_interruption_leaves_nothing(hosts: Hosts, web: Inside, tmp_path: Path) -> None:
    source = sparse(tmp_path / "big", 2 * GIB)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(web, source, "/srv", progress=interrupt)
    assert hosts.sh(web, "ls -A /srv 2>/dev/null; true") == ""
    hosts.sh(web, "truncate -s 2G /big")
    with pytest.raises(KeyboardInterrupt):
        get(web, "/big", tmp_path / "back", progress=interrupt)
    assert not (tmp_path / "back").exists()


def test_who_is_killed_in_the_middle_leaves_no_half_file_under_a_final_name(
    hosts: Hosts, web: Inside, tmp_path: Path
) -> None:
    source = sparse(tmp_path / "big", 20 * GIB)
    child = os.fork()
    if not child:
        try:
            inside = hosts.of(hosts.bench.client.containers.get(web.container))
            put(inside, source, "/srv", progress=lambda *_: os.kill(os.getpid(), 9))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    names = hosts.sh(web, "ls -A /srv 2>/dev/null; true").split()
    assert all(name.startswith(".dpty-") for name in names)


def test_a_full_disk_over_there_is_told_and_leaves_nothing(hosts: Hosts, tmp_path: Path) -> None:
    web = hosts.new(host={"tmpfs": {"/small": "size=64k"}})
    source = sparse(tmp_path / "big", 1024 * 1024)
    result = put(web, source, "/small")
    assert result.status is Status.Failed
    assert hosts.sh(web, "ls -A /small") == ""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A filesystem with room for 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True
    ).returncode:
        missing("no filesystem can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_over_here_is_told_and_leaves_what_was_there(
    hosts: Hosts, web: Inside, small: Path
) -> None:
    hosts.sh(web, "dd if=/dev/urandom of=/big bs=64k count=4; echo new >/little")
    (small / "big").write_text("old")
    result = get(web, ["/big", "/little"], small)
    assert [each.status for each in result.files] == [Status.Failed, Status.Success]
    assert "no space left" in result.message.lower()
    assert (small / "big").read_text() == "old"
    assert sorted(os.listdir(small)) == ["big", "little"]


def test_a_place_that_cannot_be_written_to_is_told(hosts: Hosts, web: Inside, tmp_path: Path) -> None:
    result = get(web, ["/etc/passwd", "/etc/group"], "/proc/nowhere")
    assert [each.status for each in result.files] == [Status.Failed, Status.Failed]
    (tmp_path / "file").write_text("x")
    assert not get(web, "/etc/passwd", tmp_path / "file")


# ---- much -------------------------------------------------------------------------------------------------------


def test_two_thousand_files_go_in_one_archive(
    hosts: Hosts, bench: Bench, proxy: Proxy, tmp_path: Path
) -> None:
    web = hosts.of(bench.container(start=True), url=proxy.unix())
    (tmp_path / "many").mkdir()
    sources = [tmp_path / "many" / f"f{number}" for number in range(2000)]
    for source in sources:
        source.write_bytes(b"x" * 1000)
    assert put(web, sources, "/srv").check().bytes == 2_000_000
    assert put(web, sources, "/srv").check().ok
    assert proxy.count("PUT") == 2
    assert proxy.count("HEAD") < 50
    assert hosts.sh(web, "ls -A /srv | wc -l") == "2000\n"
    (tmp_path / "back").mkdir()
    assert get(web, "/srv", tmp_path / "back").check().ok
    assert len(os.listdir(tmp_path / "back" / "srv")) == 2000


NAMES = [b"new\nline", b"\xff\xfe", b"x" * 255, "ü".encode() * 100, b" - ", b"-rf", b"*", b"'\"$(id)"]


@pytest.mark.parametrize("place", ["/srv", "/dev/shm"])
def test_any_name_goes_there_and_back(place: str, hosts: Hosts, web: Inside, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/here"
    os.mkdir(folder)
    for name in NAMES:
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    sources = [os.fsdecode(folder + b"/" + name) for name in NAMES]
    assert put(web, sources, place).check().ok
    assert put(web, sources, place).check().ok
    names = [f"{place}/{os.fsdecode(name)}" for name in NAMES]
    assert get(web, names, tmp_path / "back").check().ok
    back = os.fsencode(tmp_path) + b"/back"
    assert sorted(os.listdir(back)) == sorted(NAMES)
    assert all(Path(os.fsdecode(back + b"/" + name)).read_bytes() == name for name in NAMES)
    assert sorted(files.ls(web, place)) == sorted(os.fsdecode(name) for name in NAMES)


TEXTS = st.binary(min_size=1, max_size=20).map(lambda raw: raw.translate(None, b"/\0"))
LEAVES = st.tuples(st.binary(max_size=2000), st.sampled_from([0o644, 0o600, 0o755, 0o444]))
LINKS = st.sampled_from(["a", "none", "a/b"])
INSIDE = st.dictionaries(
    (TEXTS | st.just(b"x" * 255)).filter(lambda raw: raw not in (b"", b".", b"..")),
    LEAVES | LINKS,
    max_size=4,
)
TREES = st.dictionaries(
    TEXTS.filter(lambda raw: raw not in (b"", b".", b"..")), LEAVES | LINKS | INSIDE, max_size=6
)


def plant(path: bytes, tree: Any) -> None:
    if isinstance(tree, dict):
        os.mkdir(path)
        for name, inner in tree.items():
            plant(path + b"/" + name, inner)
        os.chmod(path, 0o751)
    elif isinstance(tree, str):
        os.symlink(tree, path)
    else:
        Path(os.fsdecode(path)).write_bytes(tree[0])
        os.chmod(path, tree[1])
    os.utime(path, (OLD, OLD), follow_symlinks=False)


@pytest.mark.parametrize("place", ["/srv", "/dev/shm"])
@settings(
    max_examples=100 if SOAK else 4,
    deadline=None,
    phases=[Phase.generate],  # to find a smaller one would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=TREES, second=TREES)
def test_any_tree_goes_there_and_back_and_over_another(
    place: str, first: Any, second: Any, hosts: Hosts, web: Inside, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("trees")
    for number, each in enumerate((first, second)):
        (folder / str(number)).mkdir()
        plant(os.fsencode(folder / str(number) / "d"), each)
    hosts.sh(web, f"rm -rf {place}/d")
    assert put(web, folder / "0" / "d", place).check().ok
    assert get(web, f"{place}/d", folder / "back").check().ok
    # The tar of busybox gives links no times.
    keep_times = place == "/srv"
    before, after = [timed(tree(folder / name), keep_times) for name in ("0", "1")]
    assert timed(tree(folder / "back"), keep_times) == before
    clash = [name for name in before if name in after and is_folder(before[name]) != is_folder(after[name])]
    result = put(web, folder / "1" / "d", place)
    assert result.ok == (not clash), result
    assert get(web, f"{place}/d", folder / "both").check().ok
    assert timed(tree(folder / "both"), keep_times) == (before if clash else before | after)


def timed(seen: dict[str, Any], links: bool) -> dict[str, Any]:
    return {
        name: (mode, 0 if link and not links else time, *more, link)
        for name, (mode, time, *more, link) in seen.items()
    }


def is_folder(seen: Any) -> bool:
    return stat.S_ISDIR(int(seen[0], 8))


# ---- another engine ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def podman(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman's service; in a soak all that is above is tried there, too."""
    try:
        way = Podman(tmp_path_factory.mktemp("podman"))
    except Unavailable as error:
        missing(str(error))
        raise
    with way.applied():
        yield way
    way.close()


def test_podman_moves_files_like_docker(podman: Podman, here: Path, tmp_path: Path) -> None:
    client = podman.docker_client()
    bench = Bench(client)
    hosts = Hosts(bench)
    try:
        web = hosts.new()
        odd = ["*", "[x]", "back\\slash", "new\nline", os.fsdecode(b"\xff")]
        for name in odd:
            (here / "d" / name).write_text("odd")
            (here / name).write_text(name, errors="surrogateescape")
        sources = [here / name for name in ("d", "f", *odd)]
        os.chmod(here / "d" / "a", 0o755)
        for place in ("/srv/new", "/dev/shm"):
            assert put(web, sources, place).check().ok
            assert put(web, sources, place).check().ok
            hosts.sh(web, f"ln -s none {place}/dangling")
            assert files.stat(web, f"{place}/dangling", follow_links=False).is_link
            assert sorted(files.ls(web, place)) == sorted(["d", "f", "dangling", *odd])
            back = tmp_path / f"back{len(place)}"
            result = get(web, [f"{place}/{each.name}" for each in sources] + [f"{place}/dangling"], back)
            assert result.check().ok
            assert [(back / name).read_bytes() for name in odd] == [os.fsencode(name) for name in odd]
            assert sorted(os.listdir(back / "d")) == sorted(os.listdir(here / "d"))
        put_bytes(web, b"x", "/srv/new/f")
        assert get_bytes(web, "/srv/new/*") == b"*"
        assert hosts.sh(web, "ls -A /srv").split() == ["new"]
    finally:
        hosts.close()
        bench.close()
        client.close()


# ---- globs, bytes, verbs ---------------------------------------------------------------------------------------


def test_patterns_are_those_of_here_when_asked_for_and_of_there_where_no_such_name_is(
    hosts: Hosts, web: Inside, here: Path, tmp_path: Path
) -> None:
    (here / "a*").write_text("star")
    (here / "ab").write_text("ab")
    assert not put(web, here / "[fa]*", "/srv")
    assert put(web, str(here / "[fa]*"), "/srv", glob=True).check().ok
    assert hosts.sh(web, "ls /srv").split() == ["a*", "ab", "f"]
    # A name that is there is no pattern.
    assert [each.target for each in get(web, "/srv/a*", tmp_path / "one").files] == [
        str(tmp_path / "one" / "a*")
    ]
    hosts.sh(web, "rm '/srv/a*'")
    assert sorted(os.listdir(tmp_path / "one")) == ["a*"]
    result = get(web, "/srv/*", tmp_path / "two")
    assert sorted(os.listdir(tmp_path / "two")) == ["ab", "f"]
    assert [each.source for each in result.files] == ["/srv/ab", "/srv/f"]
    assert "there is no" in get(web, "/srv/q*", tmp_path / "two").message
    assert files.glob(web, "/srv/*") == ["/srv/ab", "/srv/f"]
    assert files.glob(web, "/srv/$(reboot)*") == []


def test_bytes_are_written_and_read(hosts: Hosts, web: Inside) -> None:
    put_bytes(web, b"\0\xff", "/srv/deep/file", 0o600)
    assert get_bytes(web, "/srv/deep/file") == b"\0\xff"
    assert hosts.sh(web, "stat -c '%a %u' /srv/deep/file") == "600 0\n"
    hosts.sh(web, "ln -s deep/file /srv/link")
    put_bytes(web, b"", "/srv/link")
    assert (
        hosts.sh(web, "stat -c '%F %s' /srv/link /srv/deep/file") == "symbolic link 9\nregular empty file 0\n"
    )
    put_stream(web, iter([b"a" * 100_000, b"", b"b"]), "/srv/stream", 100_001)
    assert get_bytes(web, "/srv/stream") == b"a" * 100_000 + b"b"
    for size in (1, 10_000_000):
        with pytest.raises(TransferError, match="of it than"):
            put_stream(web, iter([b"x" * 1000] * 1000), "/srv/stream", size)
    assert get_bytes(web, "/srv/stream") == b"a" * 100_000 + b"b"
    with pytest.raises(TransferError, match="more than 10 bytes"):
        get_bytes(web, "/srv/stream", 10)
    with pytest.raises(TransferError, match="directory"):
        get_bytes(web, "/srv")
    with pytest.raises(TransferError, match="directory"):
        put_bytes(web, b"x", "/srv")
    with pytest.raises(FileNotFoundError):
        get_bytes(web, "/srv/none")
    assert hosts.sh(web, "ls -A /srv").split() == ["deep", "link", "stream"]


@pytest.mark.parametrize("start", [True, False])
def test_the_verbs_do_what_their_names_say(start: bool, hosts: Hosts) -> None:
    web = hosts.new(start=start, user="daemon")
    assert files.exists(web, "/etc/passwd")
    assert not files.exists(web, "/etc/none")
    assert files.exists(web, "/")
    files.mkdir(web, "/srv/a/b", 0o750, parents=True)
    with pytest.raises(FileExistsError):
        files.mkdir(web, "/srv/a/b")
    files.mkdir(web, "/srv/a/b", exist_ok=True)
    with pytest.raises(FileNotFoundError):
        files.mkdir(web, "/srv/no/b")
    put_bytes(web, "grüße\n".encode(), "/srv/a/text")
    put_bytes(web, b"\xff", "/srv/a/raw", 0o700)
    assert files.ls(web, "/srv/a") == ["b", "raw", "text"]
    assert files.glob(web, "/srv/a/*t") == ["/srv/a/text"]
    found = files.stat(web, "/srv/a/text")
    assert (found.is_file, found.size, stat.S_IMODE(found.mode)) == (True, 8, 0o644)
    assert abs(found.mtime - time.time()) < 3600
    assert stat.S_IMODE(files.stat(web, "/srv/a/b").mode) == 0o750
    with pytest.raises(NotADirectoryError):
        files.ls(web, "/srv/a/text")
    with pytest.raises(FileNotFoundError):
        files.stat(web, "/srv/none")
    if not start:
        with pytest.raises(DockerptyError, match="does not run"):
            files.rm(web, "/srv/a/text")
        return
    assert hosts.sh(web, "stat -c '%u %g' /srv/a /srv/a/b") == "1 1\n1 1\n"
    files.mv(web, "/srv/a/text", "/srv/a/moved")
    assert files.ls(web, "/srv/a") == ["b", "moved", "raw"]
    files.rm(web, "/srv/a/moved")
    with pytest.raises(FileNotFoundError):
        files.rm(web, "/srv/a/moved")
    files.rm(web, "/srv/a/moved", missing_ok=True)
    with pytest.raises(IsADirectoryError):
        files.rm(web, "/srv/a")
    hosts.sh(web, "ln -s /etc /srv/a/etc; ln -s none /srv/a/dang")
    assert not files.exists(web, "/srv/a/dang")
    assert files.stat(web, "/srv/a/dang", follow_links=False).is_link
    files.rm(web, "/srv/a", recursive=True)
    assert not files.exists(web, "/srv/a")
    assert files.exists(web, "/etc/passwd")


def test_one_look_around_serves_all_operations_in_one_life_of_a_container(
    hosts: Hosts, web: Inside, here: Path
) -> None:
    runner = web.run
    assert isinstance(runner, Runner)
    for _ in range(3):
        assert put(web, here / "f", "/srv").ok
    looks = [argv for argv in runner.ran if "/proc/self/mounts" in argv[2]]
    assert len(looks) == 1
