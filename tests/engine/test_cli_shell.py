"""`dpty shell` on a real engine: the best shell of a container, and the toolbox beside one that has none."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
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


def name_of(container: Container) -> str:
    return str(container.name)


def seen(done: Done) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


# A container that has shells


def test_what_comes_through_a_pipe_is_a_script(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "shell", name_of(box), stdin=b"tty\necho $0\ncd /etc\npwd\nexit 7\n")
    assert seen(done) == (7, b"not a tty\n/bin/sh\n/etc\n", b"")


def test_at_a_terminal_it_is_a_persons_shell(box: Container, sessions: Sessions) -> None:
    terminal = typed(sessions, "shell", "-e", "PS1=ready> ", name_of(box), env={"TERM": "screen"})
    terminal.expect("ready> ")
    # On Engine 20.10 the size comes a moment after the start.
    terminal.send("until stty size 2>&- | grep -v ^0; do sleep 0.02; done; echo $TERM\r")
    terminal.expect(b"24 80\r\nscreen\r\n")
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


def test_variables_come_from_a_file_too_and_those_of_the_line_count_more(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    file = tmp_path / "variables"
    file.write_text("# comment\nA=file\nB=file here\n")
    done = dpty(sessions, "shell", "--env-file", str(file), "-e", "A=line", name_of(box), "echo $A $B")
    assert seen(done) == (0, b"line file here\n", b"")


def test_privileges_are_asked_for(box: Container, proxy: Proxy, sessions: Sessions) -> None:
    # Asked for only: an engine inside a container cannot give them.
    for flags in ([], ["--privileged"]):
        dpty(sessions, "shell", "--shell", "sh", *flags, name_of(box), "true")
    asked = [json.loads(each.body).get("Privileged", False) for each in proxy.seen("POST", "/exec$")]
    assert asked == [False, True]


def test_a_script_types_in_it(box: Container, sessions: Sessions, tmp_path: Path) -> None:
    script = tmp_path / "a.expect"
    script.write_text("send tty; echo A''B\\n\nexpect not a tty\nexpect AB\nsend exit 6\\n\n")
    assert seen(dpty(sessions, "shell", "--expect", str(script), name_of(box))) == (
        6,
        b"not a tty\nAB\n",
        b"",
    )


def test_a_script_types_in_it_at_a_terminal_which_stays_as_it_is(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    script = tmp_path / "a.expect"
    script.write_text("expect # \nsend tty; echo A''B\\n\nexpect /dev/pts/\\d+\\s+AB\nsend exit 6\\n\n")
    terminal = typed(sessions, "shell", "--expect", str(script), name_of(box))
    terminal.expect("/dev/pts/")
    assert terminal.is_as_before()
    assert terminal.wait() == 6
    assert terminal.is_as_before()


def test_past_its_idle_limit_it_is_ended(bench: Bench, sessions: Sessions) -> None:
    box = bench.container(start=True)
    script = "for i in 1 2 3; do echo $i; sleep 0.2; done; exec sleep 4321"
    done = dpty(sessions, "shell", "--idle-timeout", "1.5", name_of(box), script)
    assert (done.returncode, done.stdout) == (124, b"1\n2\n3\n")
    assert done.stderr == f"dpty: cannot go on with {name_of(box)}: nothing moved for 1.5 s\n".encode()
    bench.wait_for(lambda: len(bench.processes(box)) == 1, 10, "the end of what ran in it")


@pytest.mark.parametrize(("flags", "left"), [([], 1), (["--sig-proxy=false"], 2)])
def test_a_signal_ends_us_and_what_runs_in_it_unless_that_is_to_be_left(
    flags: list[str], left: int, bench: Bench, sessions: Sessions
) -> None:
    box = bench.container(start=True)
    terminal = typed(
        sessions, "shell", *flags, name_of(box), "echo up; exec sleep 4321", stdout=PIPE, stderr=PIPE
    )
    terminal.expect_stdout("up")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == -signal.SIGTERM
    assert terminal.stderr == b""
    bench.wait_for(lambda: len(bench.processes(box)) == left, 5, "the end of what is to be ended")


def test_a_container_is_waited_for_until_it_runs(bench: Bench, sessions: Sessions) -> None:
    box = bench.container()
    terminal = typed(sessions, "shell", "--wait", "20", name_of(box), "echo there; exit 5")
    assert terminal.read_for(0.5) == b""
    box.start()
    assert terminal.wait(20) == 5
    assert terminal.output == b"there\r\n"


def test_the_wait_has_an_end_and_names_the_state(bench: Bench, sessions: Sessions) -> None:
    box = bench.container()
    done = dpty(sessions, "shell", "--wait", "0.3", name_of(box))
    assert seen(done)[:2] == (125, b"")
    said = f"dpty: cannot open a shell in {name_of(box)}: it is created after 0.3 s; start it first\n"
    assert done.stderr == said.encode()


# A container that has none


def toolboxes(bench: Bench, target: Container) -> list[str]:
    """Ids of the toolboxes beside a container that there still are."""
    found = []
    for listed in bench.api.containers(all=True, filters={"label": "dockerpty.role=toolbox"}):
        try:
            with gone_is_not_found():
                host = bench.api.inspect_container(listed["Id"])["HostConfig"]
        except docker.errors.NotFound:
            continue  # another test's, and gone
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


def all_inside(bench: Bench, target: Container) -> list[str]:
    """Command lines of all that runs beside the target's first process, a toolbox's included, which `top` leaves out.

    What has ended counts no more: its last parent is that first process, which may not care.
    """
    look = bench.container(["ps", "-o", "args"], host={"pid_mode": f"container:{target.id}"}, start=True)
    bench.wait_for_exit(look)
    seen: bytes = look.logs()
    look.remove()
    lines = [line.strip() for line in seen.decode().splitlines()[1:]]
    return sorted(line for line in lines if line != "ps -o args" and not line.startswith("["))


ALONE = ["/bin/sleep 3600"]
"""What runs in a target when nobody is beside it."""


def typed_beside(bench: Bench, sessions: Sessions, target: Container, **options: Any) -> Terminal:
    """A person's session in a toolbox, with a process of its own beside the shell."""
    terminal = typed(sessions, "shell", name_of(target), **options)
    terminal.expect(b"/proc/1/root $ ", 20)
    terminal.send("sleep 4321 & echo be''gun\r")
    terminal.expect("begun")
    assert len(toolboxes(bench, target)) == 1
    assert "sleep 4321" in all_inside(bench, target)
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
    assert all_inside(bench, target) == ALONE


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
    assert all_inside(bench, target) == ALONE


def test_at_a_terminal_its_kind_its_size_and_control_c_are_the_persons(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target, rows=31, cols=97, env={"TERM": "screen"})
    terminal.send("echo $TERM; until stty size 2>&- | grep '^31 97'; do sleep 0.02; done\r")
    terminal.expect("\r\nscreen\r\n31 97\r\n")
    terminal.set_winsize(20, 70)
    terminal.send("until stty size 2>&- | grep '^20 70'; do sleep 0.02; done\r")
    terminal.expect("\r\n20 70\r\n")
    # It says so itself: a shell that is interrupted between two commands may begin the second all the same.
    terminal.send("sh -c \"echo run''ning; exec sleep 100\"\r")
    terminal.expect("running\r\n")
    terminal.send("\x03")
    terminal.expect("$ ")
    terminal.send("echo =$?=; exit 4\r")
    terminal.expect("=130=\r\n")
    assert terminal.wait() == 4
    assert terminal.is_as_before()
    assert all_inside(bench, target) == ALONE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_when_we_are_ended_it_ends_with_all_that_runs_in_it(
    number: int, bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    terminal.wait_until_guarded()
    terminal.signal(number)
    assert terminal.wait() == -number
    expect_gone(bench, target)
    assert all_inside(bench, target) == ALONE
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


@pytest.mark.parametrize("how", ["removed", "stopped", "restarted"])
def test_when_the_targets_life_ends_so_does_it(
    how: str, bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    if how == "removed" and bench.is_podman:
        # It removes none that another one is beside, however it is asked: its life goes on, and so does the shell.
        with pytest.raises(docker.errors.APIError, match="has dependent containers"):
            target.remove(force=True)
        terminal.send("echo still he''re; exit 137\r")
        terminal.expect("still here")
    elif how == "removed":
        target.remove(force=True)
    elif how == "stopped":
        target.stop(timeout=0)
    else:
        target.restart(timeout=0)
    # Engine 20.10 does not end its stream: what has ended is not waited for as long as what is silent.
    assert terminal.wait(8) == 137
    assert terminal.is_as_before()
    expect_gone(bench, target)
    if how == "restarted":
        assert len(bench.processes(target)) == 1


def test_while_its_target_is_paused_it_works_and_what_it_sees_is_there(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    target.pause()
    terminal.send("ls -d etc; echo seen >tmp/seen; echo wri''tten\r")
    terminal.expect("etc\r\n")
    terminal.expect("written\r\n")
    target.unpause()
    assert content(target, "/tmp/seen") == b"seen\n"
    terminal.send("exit 5\r")
    assert terminal.wait() == 5
    assert terminal.is_as_before()
    expect_gone(bench, target)


def test_a_target_that_is_renamed_is_the_same_even_if_another_has_its_name(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions
) -> None:
    target = bare(user="1000:1000")
    terminal = typed_beside(bench, sessions, target)
    name = name_of(target)
    target.rename(f"{name}-renamed")
    other = bare(name=name)
    terminal.send("echo seen >tmp/seen; echo wri''tten\r")
    terminal.expect("written\r\n")
    assert content(target, "/tmp/seen") == b"seen\n"
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == -signal.SIGTERM
    assert terminal.is_as_before()
    expect_gone(bench, target)
    assert len(bench.processes(target)) == len(bench.processes(other)) == 1


def test_at_its_time_limit_it_ends(bare: Callable[..., Container], bench: Bench, sessions: Sessions) -> None:
    target = bare()
    done = dpty(sessions, "shell", "--timeout", "0.5", name_of(target), "sleep 100")
    assert done.returncode == 124
    expect_gone(bench, target)
