"""How a session's shell is started, and what is said when that does not work."""

from __future__ import annotations

import os
from typing import Any

import pytest

from dockerpty.engine.calls import Call, Reply, inspect_exec
from dockerpty.errors import StartRefused
from dockerpty.host.errors import SessionStartError, ShellNotFoundError
from dockerpty.host.requests import Open
from dockerpty.host.shell.framing import Framing
from dockerpty.host.shell.opening import command_line, find_best, open_shell
from tests.conftest import missing
from tests.unit.host.bench import IDS, KINDS, Bench, benches
from tests.unit.host.channels import CONTAINER, SILENCE, Here, Scripted, reply

bench = benches(KINDS, IDS)

NOT_FOUND = (
    b'OCI runtime exec failed: exec failed: unable to start container process: exec: "sh": '
    b"executable file not found in $PATH: unknown\r\n"
)
NO_DIRECTORY = (
    b"OCI runtime exec failed: exec failed: unable to start container process: "
    b'chdir to cwd ("/none") set in config.json failed: no such file or directory: unknown\r\n'
)
NO_USER = b"unable to find user nobody-here: no matching entries in passwd file\r\n"


def test_an_open_shell_says_who_it_is(bench: Bench) -> None:
    shell = bench.open()
    assert (shell.dialect, shell.pid) == (bench.name, bench.here.opened[-1].process.pid)
    assert (shell.tty, shell.busy, shell.used, shell.over) == (bench.tty, False, False, False)


def test_what_a_shell_says_before_it_is_ready_is_nobodys(bench: Bench) -> None:
    shell = bench.open()
    # But for the prompt that comes next.
    assert shell.spilled.peek() in (b"", b"$ ")
    assert shell.buffer == ""


def test_the_environment_of_a_session_waits_for_no_key_and_leaves_no_history(bench: Bench) -> None:
    bench.open(environment=["GIT_PAGER=more", "MINE=1"])
    shown = bench.run('echo "$PAGER" "$GIT_PAGER" "$HISTFILE" "$MINE" "${DPTY_EXEC:+marked}"')
    assert shown.output == "cat more /dev/null 1 marked"
    # Not as the shell has it: bash has one of its own where there is none.
    assert bench.run("env | grep ^TERM= || echo none").output == ("TERM=dumb" if bench.tty else "none")


def test_a_shell_starts_in_the_mode_that_its_session_needs() -> None:
    framing = Framing(terminal=True)
    assert command_line("/bin/bash", framing, tty=True) == (
        *("/bin/bash", "--norc", "--noprofile", "--noediting"),
        "-i",
    )
    assert command_line("sh", framing, tty=True) == ("sh", "-i")
    assert command_line("sh", framing, tty=True, login=True) == ("sh", "-l", "-i")
    path, flag, text, name = command_line("ash", framing, tty=False)
    assert (path, flag, name) == ("ash", "-c", "ash")
    assert framing.session in text


def test_a_shell_of_its_own_choice_is_sh() -> None:
    seen: list[Open] = []

    def opens(request: Open) -> Any:
        seen.append(request)
        raise StartRefused("start", "sh", "executable file not found", exit_code=127)

    with pytest.raises(ShellNotFoundError):
        Here(opens).drive(open_shell(CONTAINER))
    assert (seen[0].command, seen[0].tty, seen[0].size) == (("sh", "-i"), True, (24, 200))
    assert seen[0].mark.startswith("DPTY_EXEC=")


@pytest.mark.parametrize("shell", ["fish", "/usr/bin/pwsh", "csh"])
def test_a_shell_of_another_kind_is_refused_with_what_works(shell: str) -> None:
    with pytest.raises(ShellNotFoundError, match=r"oneshot\(\[\.\.\.\]\) and interact work"):
        Here().drive(open_shell(CONTAINER, shell))


def test_a_program_with_arguments_is_no_shell() -> None:
    with pytest.raises(TypeError, match="no shell"):
        Here().drive(open_shell(CONTAINER, ("python3", "-i")))  # type: ignore[arg-type]  # what a checker would refuse, too


def refused(said: bytes, code: int, tty: bool = False) -> tuple[Here, Scripted]:
    """An engine that answers as if all were well, and writes why it is not."""
    channel = Scripted([(1, said)], tty=tty)

    def asks(call: Call) -> Reply:
        assert call == inspect_exec(channel.exec_id)
        return reply({"Running": False, "ExitCode": code, "Pid": 0, "ContainerID": CONTAINER})

    return Here(lambda request: channel, asks), channel


def test_an_image_without_a_shell_is_told_so() -> None:
    for tty in (False, True):
        here, channel = refused(NOT_FOUND, 126, tty)
        with pytest.raises(ShellNotFoundError, match=r"executable file not found.*oneshot"):
            here.drive(open_shell(CONTAINER, tty=tty))
        assert channel.closed


@pytest.mark.parametrize(
    ("said", "words"), [(NO_USER, "unable to find user"), (NO_DIRECTORY, "no such file or directory")]
)
def test_a_user_or_a_directory_that_is_not_there_is_no_lack_of_a_shell(said: bytes, words: str) -> None:
    here, channel = refused(said, 126)
    with pytest.raises(SessionStartError, match=words) as caught:
        here.drive(open_shell(CONTAINER, tty=False))
    assert not isinstance(caught.value, ShellNotFoundError)
    assert channel.closed


def test_a_shell_that_ends_at_once_is_told_with_its_code_and_its_words() -> None:
    channel = Scripted([(2, b"sh: cannot allocate memory\n")])
    ended = {"Running": False, "ExitCode": 2, "Pid": 9, "ContainerID": CONTAINER}
    with pytest.raises(SessionStartError, match="it ended with 2, but 'sh: cannot allocate memory'"):
        Here(lambda request: channel, lambda call: reply(ended)).drive(open_shell(CONTAINER, tty=False))
    assert channel.closed


def test_a_shell_that_does_not_answer_in_time_is_given_up() -> None:
    channel = Scripted([b"Welcome to Noise\r\n", SILENCE], tty=True)
    with pytest.raises(SessionStartError, match=r"within 0\.1 s, but 'Welcome to Noise'"):
        Here(lambda request: channel).drive(open_shell(CONTAINER, timeout=0.1))
    assert channel.closed


def test_a_prompt_of_its_own_is_kept_on_request() -> None:
    if not os.path.exists("/bin/sh"):
        missing("no /bin/sh on this machine")
    with Here() as here:
        shell = here.drive(open_shell(CONTAINER, "/bin/sh", environment=["PS1=mine> "], prompt=None))
        from dockerpty.host.shell.waiting import expect, send

        here.drive(send(shell, "echo x\n"))
        assert here.drive(expect(shell, "x\nmine> ")).after == "x\nmine> "


def test_the_best_shell_is_the_one_that_the_container_names() -> None:
    with Here() as here:
        path = here.drive(find_best(CONTAINER))
        assert os.access(path, os.X_OK)
        assert here.closed == here.opened


def test_where_no_sh_is_on_the_path_the_others_are_tried() -> None:
    tried = []

    def opens(request: Open) -> Any:
        tried.append(request.command[0])
        if request.command[0] == "sh":
            raise StartRefused("start", "sh", "executable file not found", exit_code=127)
        return Scripted([])

    def asks(call: Call) -> Reply:
        code = 0 if tried[-1] == "/busybox/sh" else 126
        return reply({"Running": False, "ExitCode": code, "Pid": 0, "ContainerID": CONTAINER})

    assert Here(opens, asks).drive(find_best(CONTAINER)) == "/busybox/sh"
    assert tried == ["sh", "/bin/sh", "/bin/bash", "/busybox/sh"]

    def none(request: Open) -> Any:
        raise StartRefused("start", "sh", "executable file not found", exit_code=127)

    with pytest.raises(ShellNotFoundError, match="there is no shell"):
        Here(none).drive(open_shell(CONTAINER, "best"))
