"""`dpty shell` on a real engine: the best shell of a container, and the toolbox beside one that has none."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, gone_is_not_found, id_of
from tests.bed.proxy import Proxy
from tests.bed.terminal import PIPE, Terminal
from tests.engine.command import DETACH, Done, dpty, typed
from tests.engine.conftest import Sessions

NO_SHELL = f"dpty-bed-bare-{os.getpid()}"


def name_of(container: Container) -> str:
    return str(container.name)


def seen(done: Done) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


# A container that has shells


def test_what_comes_through_a_pipe_is_a_script(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "shell", name_of(box), stdin=b"tty\necho $0\ncd /etc\npwd\nexit 7\n")
    assert seen(done) == (7, b"not a tty\n/bin/sh\n/etc\n", b"")


def test_at_a_terminal_it_is_a_persons_shell(box: Container, sessions: Sessions) -> None:
    terminal = typed(sessions, "shell", "-e", "PS1=ready> ", name_of(box))
    terminal.expect("ready> ")
    # On Engine 20.10 the size comes a moment after the start.
    terminal.send("until stty size 2>&- | grep -v ^0; do sleep 0.02; done; echo $TERM\r")
    terminal.expect(b"24 80\r\nxterm\r\n")
    terminal.send("exit 3\r")
    assert terminal.wait() == 3
    assert terminal.is_as_before()


def test_with_stdout_in_a_pipe_there_is_no_terminal(box: Container, sessions: Sessions) -> None:
    terminal = typed(sessions, "shell", name_of(box), stdout=PIPE)
    terminal.send("tty; exit 4\n")
    assert terminal.wait() == 4
    assert terminal.stdout == b"not a tty\n"


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["echo a b | wc -w"], b"2\n"),
        (["--", "echo a b | wc -w"], b"2\n"),
        (["--", "printf", "<%s>", "a b", "*", "$HOME"], b"<a b><*><$HOME>"),
        (["--", "sh", "-c", "exit 6"], b""),
    ],
)
def test_one_word_is_a_line_for_the_shell_and_more_are_a_program(
    words: list[str], out: bytes, box: Container, sessions: Sessions
) -> None:
    assert seen(dpty(sessions, "shell", name_of(box), *words)) == (0 if out else 6, out, b"")


def test_user_variables_and_directory_are_those_of_an_exec(box: Container, sessions: Sessions) -> None:
    flags = ["-u", "1000:7", "-e", "A=here", "-w", "/etc"]
    done = dpty(sessions, "shell", *flags, name_of(box), "id -u; id -g; echo $A; pwd")
    assert seen(done) == (0, b"1000\n7\nhere\n/etc\n", b"")


def test_the_login_shell_of_the_user_counts(bench: Bench, sessions: Sessions) -> None:
    box = bench.container(start=True)
    users = "me:x:1000:1000::/:/bin/ash\nshut:x:1001:1001::/:/bin/false"
    assert bench.run_inside(box, f"printf '{users}\\n' >>/etc/passwd")[0] == 0
    assert dpty(sessions, "shell", "-u", "me", name_of(box), "echo $0").stdout == b"/bin/ash\n"
    assert dpty(sessions, "shell", "-u", "1000", name_of(box), "echo $0").stdout == b"/bin/ash\n"
    # The best on the PATH: busybox has no bash and no zsh.
    assert dpty(sessions, "shell", "-u", "shut", name_of(box), "echo $0").stdout == b"/bin/ash\n"
    assert dpty(sessions, "shell", "-u", "root", name_of(box), "echo $0").stdout == b"/bin/sh\n"


def test_a_shell_that_is_not_on_the_path_is_found_all_the_same(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "shell", "-e", "PATH=/nowhere", name_of(box), "echo $0 $PATH")
    assert seen(done) == (0, b"/bin/sh /nowhere\n", b"")


def test_a_shell_that_was_named_is_taken_or_it_is_127(box: Container, sessions: Sessions) -> None:
    assert dpty(sessions, "shell", "--shell", "ash", name_of(box), "echo $0").stdout == b"ash\n"
    done = dpty(sessions, "shell", "--shell", "/bin/fish", name_of(box))
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"no such file" in done.stderr


def test_a_login_shell_reads_its_profile(bench: Bench, sessions: Sessions) -> None:
    box = bench.container(start=True)
    assert bench.run_inside(box, "echo 'echo profile' >/etc/profile")[0] == 0
    assert dpty(sessions, "shell", "--login", name_of(box), "echo mine").stdout == b"profile\nmine\n"
    assert dpty(sessions, "shell", name_of(box), "echo mine").stdout == b"mine\n"


def test_a_user_that_there_is_not_is_no_lack_of_a_shell(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "shell", "-u", "nobody-here", name_of(box))
    assert (done.returncode, done.stdout) == (126, b"")
    assert done.stderr.startswith(b"dpty: cannot start a process in ")
    assert b"unable to find user nobody-here" in done.stderr


def test_what_does_not_run_is_125_and_says_so(bench: Bench, sessions: Sessions) -> None:
    box = bench.container()
    for flags in ([], ["--toolbox", "busybox"]):
        done = dpty(sessions, "shell", *flags, name_of(box))
        assert (done.returncode, done.stdout) == (125, b"")
        assert b"start it first" in done.stderr
        done = dpty(sessions, "shell", *flags, "no-such-container")
        assert done.returncode == 125
        assert b"no such container" in done.stderr


# A container that has none


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


def toolboxes(bench: Bench, target: Container) -> list[str]:
    """Ids of the toolboxes beside a container that there still are."""
    found = []
    for listed in bench.api.containers(all=True, filters={"label": "dockerpty.role=toolbox"}):
        try:
            with gone_is_not_found():
                host = bench.api.inspect_container(listed["Id"])["HostConfig"]
        except docker.errors.NotFound:
            continue
        if host["NetworkMode"] == f"container:{id_of(target)}":
            found.append(listed["Id"])
    return found


def expect_gone(bench: Bench, target: Container) -> None:
    bench.wait_for(lambda: not toolboxes(bench, target), 10, "the end of the toolbox")


def content(container: Container, path: str) -> bytes:
    code, output = container.exec_run(["/bin/cat", path])
    assert code == 0
    assert isinstance(output, bytes)
    return output


def typed_beside(bench: Bench, sessions: Sessions, target: Container) -> Terminal:
    """A person's session in a toolbox, with a process of its own beside the shell."""
    terminal = typed(sessions, "shell", name_of(target))
    terminal.expect(b"/proc/1/root $ ", 20)
    terminal.send("sleep 4321 & echo be''gun\r")
    terminal.expect("begun")
    assert len(toolboxes(bench, target)) == 1
    assert any("sleep 4321" in line for line in bench.processes(target)) or bench.processes(target)
    return terminal


LINE = (
    "dpty: {0} has no shell: this is one from busybox, in a container beside {0} that ends with it;"
    " the files of {0} are in /proc/1/root\n"
)


@pytest.mark.parametrize(
    "options",
    [
        {"user": "1000:1000"},
        {"user": "1000:7"},
        {"user": "daemon"},
        {},
        {"host": {"cap_drop": ["ALL"]}},
        {"host": {"cap_drop": ["ALL"], "cap_add": ["CHOWN"]}, "user": "1000"},
        {"host": {"cap_add": ["NET_ADMIN", "SYS_TIME"]}},
        {"host": {"security_opt": ["no-new-privileges"]}, "user": "1000"},
        {"host": {"network_mode": "host"}},
        {"working_dir": "/tmp"},
    ],
    ids=str,
)
def test_a_toolbox_sees_and_writes_the_files_of_its_target(
    options: dict[str, Any], bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    if bench.is_podman and "user" in options and "cap_add" in options.get("host", {}):
        pytest.skip(
            "Podman gives an exec capabilities only as root, or as the user of its container: here root"
        )
    target = bare(**options)
    done = dpty(
        sessions, "shell", name_of(target), stdin=b"cd /proc/1/root; ls -d bin etc; echo seen >tmp/seen\n"
    )
    assert seen(done) == (0, b"bin\netc\n", LINE.format(name_of(target)).encode())
    assert content(target, "/tmp/seen") == b"seen\n"
    expect_gone(bench, target)


def test_it_writes_as_the_user_of_the_target(bare: Callable[..., Container], sessions: Sessions) -> None:
    target = bare(user="1000:7")
    done = dpty(sessions, "shell", name_of(target), "id -u; id -g; echo >tmp/mine; stat -c %u:%g tmp/mine")
    assert done.stdout == b"1000\n7\n1000:7\n"


def test_a_target_that_cannot_be_written_to_stays_so(
    bare: Callable[..., Container], sessions: Sessions
) -> None:
    target = bare(host={"read_only": True})
    done = dpty(sessions, "shell", "--quiet", name_of(target), "cat etc/group >/dev/null && echo >etc/x")
    assert done.returncode == 1
    assert b"Read-only file system" in done.stderr


def test_it_shares_processes_network_and_name(bare: Callable[..., Container], sessions: Sessions) -> None:
    target = bare(hostname="target-here")
    done = dpty(
        sessions, "shell", name_of(target), "cat /proc/1/cmdline | tr '\\0' ' '; hostname; ls /sys/class/net"
    )
    assert done.stdout == b"/bin/sleep 3600 target-here\nlo\n"


def test_where_its_processes_are_the_hosts_its_files_are_found_all_the_same(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(host={"pid_mode": "host"})
    done = dpty(sessions, "shell", name_of(target), "ls; echo seen >tmp/seen")
    assert done.returncode == 0
    assert b"etc\n" in done.stdout
    assert content(target, "/tmp/seen") == b"seen\n"
    expect_gone(bench, target)


def test_it_puts_nothing_into_the_target(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare()
    before = target.diff()
    assert dpty(sessions, "shell", name_of(target), "ls").returncode == 0
    assert target.diff() == before
    expect_gone(bench, target)
    assert len(bench.processes(target)) == 1


def test_it_starts_in_the_directory_of_the_target(bare: Callable[..., Container], sessions: Sessions) -> None:
    target = bare(working_dir="/etc")
    assert dpty(sessions, "shell", name_of(target), "pwd").stdout == b"/proc/1/root/etc\n"
    assert (
        dpty(sessions, "shell", "-w", "/bin", name_of(target), "pwd; ls").stdout
        == b"/proc/1/root/bin\ncat\nsleep\n"
    )
    assert dpty(sessions, "shell", "-w", "/no", name_of(target), "pwd").stdout == b"/proc/1/root\n"


def test_where_the_user_may_not_look_it_is_126_and_says_why(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    done = dpty(sessions, "shell", "-u", "root", name_of(target), "ls")
    assert (done.returncode, done.stdout) == (126, b"")
    assert done.stderr.decode() == (
        f"dpty: cannot see the files of {name_of(target)}: its first process belongs to user 1000:1000,"
        " and root may not look into it; leave out --user\n"
    )
    expect_gone(bench, target)


def test_a_toolbox_can_be_asked_for_where_there_is_a_shell(bench: Bench, sessions: Sessions) -> None:
    target = bench.container(start=True)
    done = dpty(
        sessions, "shell", "--toolbox", "busybox", name_of(target), "pwd; cat /proc/1/cmdline | tr '\\0' ' '"
    )
    assert (done.returncode, done.stdout) == (0, b"/proc/1/root\ntail -f /dev/null ")
    assert done.stderr.startswith(b"dpty: this is one from busybox, in a container beside ")
    expect_gone(bench, target)


def test_an_image_that_has_no_shell_itself_is_127(
    bare: Callable[..., Container], bare_image: str, bench: Bench, sessions: Sessions
) -> None:
    target = bare()
    done = dpty(sessions, "shell", "--toolbox", bare_image, name_of(target))
    assert (done.returncode, done.stdout) == (127, b"")
    # Podman prepares the process when it is attached to.
    cannot = "attach to" if bench.is_podman else "start"
    assert done.stderr.startswith(f"dpty: cannot {cannot} the toolbox beside ".encode())
    expect_gone(bench, target)


def test_an_image_that_was_named_and_cannot_be_fetched_is_125(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare()
    done = dpty(sessions, "shell", "--toolbox", "127.0.0.1:1/no/such", name_of(target))
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"cannot pull 127.0.0.1:1/no/such" in done.stderr
    assert toolboxes(bench, target) == []


def test_at_a_terminal_its_prompt_says_where_it_is_and_its_code_is_ours(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    terminal.send("cd etc; exec sh\r")
    terminal.expect(b"/proc/1/root/etc $ ")
    assert b"getcwd" not in terminal.output
    terminal.send("exit 5\r")
    assert terminal.wait() == 5
    assert terminal.is_as_before()
    assert toolboxes(bench, target) == []
    assert len(bench.processes(target)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_when_we_are_ended_it_ends_with_all_that_runs_in_it(
    number: int, bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    terminal.signal(number)
    assert terminal.wait() == -number
    expect_gone(bench, target)
    assert len(bench.processes(target)) == 1
    terminal.wait_until(terminal.is_as_before, 5, "the terminal to be given back")


def test_when_the_terminal_goes_it_ends(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    terminal.hang_up()
    assert terminal.process.wait(20) == -signal.SIGHUP
    expect_gone(bench, target)


def test_ctrl_c_while_the_engine_creates_it_leaves_none(
    bare: Callable[..., Container], bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    slow = threading.Event()
    proxy.on("POST", "/containers/create", hold_answer=slow)
    terminal = typed(sessions, "shell", "--toolbox", "busybox", name_of(target))
    proxy.wait_for_request("POST", "/containers/create")
    (made,) = bench.wait_for(lambda: toolboxes(bench, target), 10, "the toolbox")
    bench.adopt(made)
    terminal.send("\x03")
    assert terminal.wait() == -signal.SIGINT
    assert toolboxes(bench, target) == []
    slow.set()


def test_nobody_can_come_back_to_it_so_that_leaving_it_ends_it(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    terminal.send(DETACH)
    terminal.expect(b"dpty: detached from the toolbox beside ")
    assert terminal.wait() == 0
    expect_gone(bench, target)


def test_it_ends_with_its_target(bare: Callable[..., Container], bench: Bench, sessions: Sessions) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    target.kill()
    assert terminal.wait(20) == 137
    assert terminal.is_as_before()
    expect_gone(bench, target)


def test_at_its_time_limit_it_ends(bare: Callable[..., Container], bench: Bench, sessions: Sessions) -> None:
    target = bare()
    done = dpty(sessions, "shell", "--timeout", "0.5", name_of(target), "sleep 100")
    assert done.returncode == 124
    expect_gone(bench, target)
