"""Which shell a container has, and how a toolbox stands beside one that has none."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty import shell
from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.interface import Engine
from dockerpty.engine.transport import Transport
from dockerpty.errors import (
    APIError,
    CannotStart,
    DockerptyError,
    EngineUnreachable,
    ImageNotFound,
    NotFound,
)
from dockerpty.exec import ExecOperation
from dockerpty.frames import STDERR, STDOUT, encode
from dockerpty.shell import Toolbox, ToolboxOperation, find_shell, open_shell, shell_command, toolbox_config

# The probe, in the shells that there are here


SHELLS = [words for words in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(words[0])]


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def probed(words: list[str], tmp_path: Path, passwd: str, path: str) -> str:
    file = tmp_path / "passwd"
    file.write_text(passwd)
    script = shell.PROBE.replace("/etc/passwd", str(file))
    command = [shutil.which(words[0]) or "", *words[1:], "-c", script]
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=True)
    return done.stdout.removesuffix("\n")


@pytest.fixture(params=SHELLS, ids=lambda words: "-".join(words))
def sh(request: pytest.FixtureRequest) -> list[str]:
    words: list[str] = request.param
    return words


def test_the_login_shell_of_the_effective_user_comes_first(sh: list[str], tmp_path: Path) -> None:
    mine, best = program(tmp_path / "mine" / "fish"), program(tmp_path / "bin" / "bash")
    uid = os.geteuid()
    passwd = f"other:x:{uid + 1}:0::/:/bin/cat\nme:x:{uid}:0:Me, and more:/home:{mine}\n"
    assert probed(sh, tmp_path, passwd, f"{tmp_path}/bin") == mine
    # Its last line has no end.
    assert probed(sh, tmp_path, passwd.rstrip("\n"), f"{tmp_path}/bin") == mine
    assert best


@pytest.mark.parametrize("login", ["nologin", "false", "sync", "git-shell", "missing", ""])
def test_a_login_shell_that_keeps_people_out_is_passed_over(
    login: str, sh: list[str], tmp_path: Path
) -> None:
    best = program(tmp_path / "bin" / "bash")
    path = program(tmp_path / "sbin" / login) if login not in ("missing", "") else login
    passwd = f"me:x:{os.geteuid()}:0::/:{path}\n"
    assert probed(sh, tmp_path, passwd, f"{tmp_path}/bin") == best


def test_without_one_the_best_on_the_path_is_taken(sh: list[str], tmp_path: Path) -> None:
    found = {
        name: program(tmp_path / folder / name)
        for name, folder in (("sh", "a"), ("ash", "a"), ("zsh", "b c"))
    }
    path = f"{tmp_path}/nowhere:{tmp_path}/a:{tmp_path}/b c"
    for name in ("zsh", "ash", "sh"):
        assert probed(sh, tmp_path, "", path) == found[name]
        Path(found[name]).unlink()
    (tmp_path / "a" / "bash").mkdir()
    assert probed(sh, tmp_path, "", path) == "sh"


# Commands


def test_a_shell_is_opened_as_it_is_or_as_a_login_shell() -> None:
    assert shell_command("/bin/bash") == ["/bin/bash"]
    assert shell_command("/bin/bash", login=True) == ["/bin/bash", "-l"]


def test_one_word_is_a_line_for_the_shell_and_more_are_a_program_with_its_arguments() -> None:
    def run(*words: str) -> str:
        done = subprocess.run(shell_command("/bin/sh", words), capture_output=True, text=True, check=True)
        return done.stdout

    assert run("echo a b | wc -w").strip() == "2"
    assert run("printf", "<%s>", "a b", "*", "$HOME", "-n") == "<a b><*><$HOME><-n>"


# An engine whose execs are played


class Played(Transport):
    """A stream that has all it will ever have."""

    def __init__(self, data: bytes) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        theirs.sendall(data)
        theirs.close()

    def fileno(self) -> int:
        return self._ours.fileno()

    def recv(self, size: int) -> bytes:
        return self._ours.recv(size)

    def close(self) -> None:
        self._ours.close()


Program = Callable[[dict[str, Any]], tuple[int, int | None, bytes]]


class Container(Engine):
    """An engine with one container, whose execs are a function's: their configuration in; pid, code and output out."""

    def __init__(self, program: Program, **info: Any) -> None:
        self.program = program
        self.info = {
            "Id": "4" * 64,
            "Name": "/web",
            "State": {"Running": True, "Status": "running", "Pid": 4242},
            "Config": {"WorkingDir": "/app"},
            "HostConfig": {},
            **info,
        }
        self.images = {"busybox"}
        self.keeper = b"Uid:\t0\t1000\t0\t0\nGid:\t0\t1001\t0\t0\n.\n"
        self.calls: list[Call] = []
        self.asked: list[dict[str, Any]] = []
        self.streams: list[Played] = []
        self.outcome: tuple[int, int | None, bytes] = (0, 0, b"")

    def send(self, call: Call, *, subject: str = "", timeout: float = 0) -> Reply:
        self.calls.append(call)
        body: Any = {"Id": "e"}
        if call.path == "/containers/create":
            if call.body["Image"] not in self.images:
                raise ImageNotFound("create", "", status_code=404, explanation="No such image: x")
            body = {"Id": "70015"}
        elif call.path.endswith("/exec"):
            self.asked.append(call.body)
            self.outcome = self.program(call.body)
        elif call.path == "/exec/e/json":
            body = {"Running": False, "ExitCode": self.outcome[1], "Pid": self.outcome[0]}
        elif call.method == "GET":
            body = self.info
        return Reply(200, {}, json.dumps(body).encode())

    def hijack(self, call: Call, *, subject: str = "", timeout: float = 0) -> Transport:
        self.calls.append(call)
        data = self.keeper if call.path.endswith("/attach") else self.outcome[2]
        self.streams.append(
            Played(b"".join(encode(STDOUT, data[at : at + 9]) for at in range(0, len(data), 9)))
        )
        return self.streams[-1]

    def close_all(self) -> None:
        assert all(stream.fileno() < 0 for stream in self.streams), "a stream was left open"


NOT_FOUND = (0, 126, b'OCI runtime exec failed: exec: "sh": executable file not found in $PATH: unknown\r\n')
DENIED = (0, 126, b'OCI runtime exec failed: exec: "/bin/sh": permission denied: unknown\r\n')
NO_USER = (0, 126, b"unable to find user me: no matching entries in passwd file\r\n")


@pytest.fixture
def engines() -> Iterator[list[Container]]:
    made: list[Container] = []
    yield made
    for engine in made:
        engine.close_all()


@pytest.fixture
def container(engines: list[Container]) -> Callable[..., Container]:
    def make(program: Program, **info: Any) -> Container:
        engines.append(Container(program, **info))
        return engines[-1]

    return make


Make = Callable[..., Container]


def test_one_exec_tells_the_shell(container: Make) -> None:
    engine = container(lambda config: (9, 0, b"noise\n/bin/bash\n"))
    assert find_shell(engine, "web", user="me", environment=["PATH=/x"], privileged=True) == "/bin/bash"
    (asked,) = engine.asked
    assert asked["Cmd"][:2] == ["sh", "-c"]
    assert (asked["Tty"], asked["User"], asked["Env"], asked["Privileged"]) == (
        False,
        "me",
        ["PATH=/x"],
        True,
    )


@pytest.mark.parametrize("failure", [NOT_FOUND, DENIED])
def test_without_sh_on_the_path_others_are_started_until_one_does(
    failure: tuple[int, int, bytes], container: Make
) -> None:
    engine = container(lambda config: (9, 0, b"") if config["Cmd"][0] == "/busybox/sh" else failure)
    assert find_shell(engine, "web") == "/busybox/sh"
    assert [asked["Cmd"][0] for asked in engine.asked] == ["sh", "/bin/sh", "/bin/bash", "/busybox/sh"]


def test_a_windows_container_has_shells_of_its_own(container: Make) -> None:
    engine = container(
        lambda config: (9, 0, b"") if config["Cmd"][0] == "cmd" else NOT_FOUND, Platform="windows"
    )
    assert find_shell(engine, "web") == "cmd"
    assert [asked["Cmd"][0] for asked in engine.asked] == ["sh", "powershell", "cmd"]


def test_no_shell_at_all_is_127(container: Make) -> None:
    with pytest.raises(CannotStart, match="cannot open a shell in web: it has none") as caught:
        find_shell(container(lambda config: NOT_FOUND), "web")
    assert caught.value.exit_code == 127


def test_what_keeps_any_process_from_starting_is_no_lack_of_a_shell(container: Make) -> None:
    engine = container(lambda config: NO_USER)
    with pytest.raises(
        CannotStart, match="cannot start a process in web: unable to find user me: "
    ) as caught:
        find_shell(engine, "web")
    assert (caught.value.exit_code, len(engine.asked)) == (126, 1)
    words = b'chdir to cwd ("/gone") set in config.json failed: no such file or directory'
    with pytest.raises(CannotStart, match="chdir to cwd"):
        find_shell(container(lambda config: (0, 126, words)), "web")


def test_an_engine_that_refuses_the_start_says_the_same(
    container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = container(lambda config: NOT_FOUND)

    def refuse(call: Call, **options: Any) -> Transport:
        raise APIError("start the exec", explanation='exec: "sh": executable file not found', status_code=400)

    monkeypatch.setattr(engine, "hijack", refuse)
    with pytest.raises(CannotStart, match="it has none"):
        find_shell(engine, "web")


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(
    container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_ANSWER_LIMIT_S", 0.05)
    engine = container(lambda config: (9, 0, b""))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        silent = Played(b"")
        monkeypatch.setattr(silent, "recv", lambda size: (_ for _ in ()).throw(BlockingIOError()))
        monkeypatch.setattr(silent, "fileno", ours.fileno)
        monkeypatch.setattr(engine, "hijack", lambda call, **options: silent)
        with pytest.raises(DockerptyError, match=r"no answer within 0\.05 s; name one with --shell"):
            find_shell(engine, "web")


def test_an_answer_that_never_ends_is_not_read_for_ever(
    container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_ANSWER_LIMIT_S", 0.05)
    engine = container(lambda config: (9, 0, b""))
    endless = Played(b"")
    monkeypatch.setattr(endless, "recv", lambda size: encode(STDOUT, b"y\n" * 100))
    monkeypatch.setattr(engine, "hijack", lambda call, **options: endless)
    with pytest.raises(DockerptyError, match=r"no answer within 0\.05 s; name one with --shell"):
        find_shell(engine, "web")


def test_a_connection_that_breaks_while_a_shell_is_looked_for_is_told(
    container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = container(lambda config: (9, 0, b""))
    broken = Played(b"")
    reset = ConnectionResetError(104, "it was reset")
    monkeypatch.setattr(broken, "recv", lambda size: (_ for _ in ()).throw(reset))
    monkeypatch.setattr(engine, "hijack", lambda call, **options: broken)
    with pytest.raises(EngineUnreachable, match="the connection broke: it was reset"):
        find_shell(engine, "web")


# Toolboxes


def beside(engine: Container, **options: Any) -> Toolbox:
    return Toolbox(engine, "web", **options)


def test_a_toolbox_has_the_user_of_the_targets_first_process_and_the_rights_of_its_container(
    container: Make,
) -> None:
    rights = {
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["CHOWN"],
        "SecurityOpt": ["no-new-privileges"],
        "UsernsMode": "host",
        "Privileged": True,
        "GroupAdd": ["7", "staff"],
    }
    engine = container(
        lambda config: (9, 0, b"/bin/ash\n"), HostConfig={**rights, "Memory": 5, "PidMode": ""}
    )
    with beside(engine) as toolbox:
        assert (toolbox.image, toolbox.user, toolbox.shell) == ("busybox", "1000:1001", "/bin/ash")
        assert toolbox.name == "the toolbox beside web"
        assert toolbox.environment == ["PS1=$PWD $ "]
        created = next(call for call in engine.calls if call.path == "/containers/create").body
        target = "container:" + "4" * 64
        assert created["HostConfig"] == {
            **rights,
            "GroupAdd": ["7"],
            "AutoRemove": True,
            "PidMode": target,
            "NetworkMode": target,
        }
        assert created["Labels"]["dockerpty.role"] == "toolbox"
        assert (created["OpenStdin"], created["StdinOnce"], created.get("Tty", False)) == (True, True, False)
        assert engine.asked[-1]["User"] == "1000:1001"
    assert [call.target() for call in engine.calls if call.method == "DELETE"] == [
        "/containers/70015?v=1&force=1"
    ]
    toolbox.close()
    assert sum(call.method == "DELETE" for call in engine.calls) == 1


@pytest.mark.parametrize("is_podman", [True, False])
def test_the_name_of_its_host_is_asked_for_where_it_does_not_come_with_the_network(
    is_podman: bool, container: Make
) -> None:
    engine = container(lambda config: (9, 0, b"/bin/ash\n"))
    engine.is_podman = is_podman
    with beside(engine):
        created = next(call for call in engine.calls if call.path == "/containers/create").body
    # Docker's engine refuses a mode that it does not know.
    assert created["HostConfig"].get("UTSMode") == ("container:" + "4" * 64 if is_podman else None)


def test_it_outlives_us_by_a_moment_where_its_end_would_not_end_what_runs_in_it() -> None:
    target = {"Id": "5", "HostConfig": {}}
    assert toolbox_config("busybox", target, 1)["Entrypoint"][-2:] == ["sh", "1"]
    assert toolbox_config("busybox", target, 1, is_podman=True)["Entrypoint"][-3:] == ["sh", "1", "5"]


def test_it_starts_in_the_targets_working_directory_or_in_another_of_its_files(container: Make) -> None:
    with beside(container(lambda config: (9, 0, b"/bin/ash\n"))) as toolbox:
        assert toolbox.command(["/bin/ash"])[3:] == ["sh", "/proc/1/root", "/app", "/bin/ash"]
        assert toolbox.command(["ash", "-l"], "srv")[3:] == ["sh", "/proc/1/root", "/srv", "ash", "-l"]


def test_where_the_processes_are_the_hosts_the_target_has_another_number(container: Make) -> None:
    with beside(container(lambda config: (9, 0, b"ash\n"), HostConfig={"PidMode": "host"})) as toolbox:
        assert toolbox.root == "/proc/4242/root"
    config = toolbox_config("busybox", {"Id": "5", "HostConfig": {"PidMode": "host"}}, 4242)
    assert config["HostConfig"]["PidMode"] == "host"
    assert config["Entrypoint"][-1] == "4242"


def test_where_the_processes_are_another_containers_it_is_126(container: Make) -> None:
    engine = container(lambda config: (9, 0, b"ash\n"), HostConfig={"PidMode": "container:5"})
    with pytest.raises(CannotStart, match="shares the processes of another container") as caught:
        beside(engine)
    assert caught.value.exit_code == 126


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "lets nobody look into its first process, also not its own user 1000:1001"),
        ({"user": "root"}, "belongs to user 1000:1001, and root may not look into it; leave out --user"),
    ],
)
def test_where_it_may_not_look_it_is_126_and_nothing_is_left(
    options: dict[str, str], words: str, container: Make
) -> None:
    engine = container(lambda config: (9, 126, b""))
    with pytest.raises(CannotStart, match=words) as caught:
        beside(engine, **options)
    assert caught.value.exit_code == 126
    assert engine.calls[-1].method == "DELETE"


def test_a_target_that_has_ended_meanwhile_is_126_and_nothing_is_left(container: Make) -> None:
    engine = container(lambda config: (9, 0, b"ash\n"))
    engine.keeper = b""
    with pytest.raises(CannotStart, match="its first process is not at /proc/1/root"):
        beside(engine)
    assert engine.calls[-1].method == "DELETE"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Running": False, "Status": "exited"}, "it is exited; start it first"),
        ({"Running": True, "Paused": True, "Status": "paused"}, "it is paused; unpause it first"),
        (
            {"Running": True, "Restarting": True, "Status": "restarting"},
            "it is restarting; wait until it runs",
        ),
        ({"Running": False, "Dead": True, "Status": "dead"}, "it is dead; remove it"),
        ({"Running": True, "Dead": True}, "it is dead; remove it"),
        ({"Running": False, "Status": "configured"}, "it is created; start it first"),
    ],
)
def test_a_target_that_does_not_run_is_refused(state: dict[str, Any], words: str, container: Make) -> None:
    with pytest.raises(APIError, match=words):
        beside(container(lambda config: (9, 0, b"ash\n"), State=state))


def test_by_default_it_is_made_from_the_first_small_image_that_is_there(container: Make) -> None:
    engine = container(lambda config: (9, 0, b"ash\n"))
    engine.images = {"alpine"}
    with beside(engine) as toolbox:
        assert toolbox.image == "alpine"


def test_without_such_an_image_it_is_127_and_none_is_pulled(container: Make) -> None:
    engine = container(lambda config: (9, 0, b"ash\n"))
    engine.images = set()
    with pytest.raises(
        CannotStart, match="has none of the images busybox, alpine; pull one of them"
    ) as caught:
        beside(engine)
    assert caught.value.exit_code == 127
    assert not any(call.path == "/images/create" for call in engine.calls)
    with pytest.raises(NotFound):
        beside(engine, image="mine")


@pytest.mark.parametrize("comes_late", [False, True])
@pytest.mark.parametrize("end", [KeyboardInterrupt(), EngineUnreachable("create", "")])
def test_one_that_is_broken_off_while_the_engine_creates_it_is_taken_back(
    end: BaseException, comes_late: bool, container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = container(lambda config: (9, 0, b"ash\n"))
    answer, asked, removed = engine.send, list[str](), list[str]()

    def send(call: Call, **options: Any) -> Reply:
        if call.path == "/containers/create":
            asked.append(call.kwargs["name"])
            raise end
        if call.method == "DELETE":
            removed.append(call.subject)
            if comes_late and len(removed) == 1:
                raise NotFound("remove", call.subject, status_code=404)
        return answer(call, **options)

    monkeypatch.setattr(engine, "send", send)
    with pytest.raises(type(end)):
        beside(engine)
    assert removed == asked * (1 + comes_late)
    assert asked[0].startswith("dpty-toolbox-")


def test_what_the_engine_refuses_to_create_is_not_looked_for(
    container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = container(lambda config: (9, 0, b"ash\n"))
    answer = engine.send

    def send(call: Call, **options: Any) -> Reply:
        if call.path == "/containers/create":
            raise APIError("create", "", status_code=409, explanation="No such image: is in use")
        return answer(call, **options)

    monkeypatch.setattr(engine, "send", send)
    with pytest.raises(APIError, match="create"):
        beside(engine)
    assert not any(call.method == "DELETE" for call in engine.calls)


def test_a_prompt_of_the_users_is_kept(container: Make) -> None:
    engine = container(lambda config: (9, 0, b"ash\n"))
    with beside(engine, environment=["PS1=mine", "A=b"]) as toolbox:
        assert toolbox.environment == ["PS1=mine", "A=b"]
    engine.keeper = engine.keeper.replace(b"100", b"")
    with beside(engine, environment=["A=b"]) as toolbox:
        assert toolbox.environment == ["A=b", "PS1=$PWD # "]


def test_why_a_program_did_not_start_may_come_on_stderr(
    container: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = container(lambda config: (0, 127, b""))
    words = encode(STDERR, b"exec failed: executable file not found in $PATH")
    monkeypatch.setattr(engine, "hijack", lambda call, **options: Played(words))
    with pytest.raises(CannotStart, match="it has none"):
        find_shell(engine, "web")


@pytest.mark.parametrize("code", [None, -1])
def test_what_the_engine_knows_no_code_of_has_said_its_shell_all_the_same(
    code: int | None, container: Make
) -> None:
    assert find_shell(container(lambda config: (9, code, b"/bin/ash\n")), "web") == "/bin/ash"
    with pytest.raises(CannotStart, match="cannot find a shell in web: its sh named none; name one with"):
        find_shell(container(lambda config: (9, code, b"")), "web")


def test_an_sh_that_fails_is_told_with_its_code(container: Make) -> None:
    with pytest.raises(CannotStart, match="its sh ended with 9; name one with --shell"):
        find_shell(container(lambda config: (7, 9, b"")), "web")


# One or the other


def in_a_toolbox_only(config: dict[str, Any]) -> tuple[int, int, bytes]:
    looks = config["Cmd"][0] == "sh" and config["Cmd"][2].startswith("cd ")
    return (9, 0, b"/bin/ash\n") if looks else NOT_FOUND


def removed(engine: Container) -> list[str]:
    return [call.path for call in engine.calls if call.method == "DELETE"]


def test_the_shell_of_a_container_is_opened_in_it_and_nothing_is_said(container: Make) -> None:
    engine = container(lambda config: (9, 0, b"/bin/bash\n"))
    operation, notice = open_shell(engine, "web", ["ls"], False, workdir="/srv", user="me")
    assert (type(operation), notice) == (ExecOperation, "")
    asked = engine.asked[-1]
    assert (asked["Cmd"], asked["WorkingDir"], asked["User"]) == (["/bin/bash", "-c", "ls"], "/srv", "me")


def test_beside_a_container_without_one_a_toolbox_is_opened_that_goes_with_its_session(
    container: Make,
) -> None:
    engine = container(in_a_toolbox_only)
    operation, notice = open_shell(engine, "web", [], False)
    assert type(operation) is ToolboxOperation
    assert notice == (
        "web has no shell: this is one from busybox, in a container beside web that ends with it;"
        " the files of web are in /proc/1/root"
    )
    assert removed(engine) == []
    operation._close()
    assert removed(engine) == ["/containers/70015"]


def test_an_image_that_was_named_is_fetched_and_others_are_not(container: Make) -> None:
    engine = container(in_a_toolbox_only)
    operation, notice = open_shell(
        engine, "web", [], False, toolbox="mine", fetch=lambda: engine.images.add("mine")
    )
    assert notice.startswith("this is one from mine, in a container beside web ")
    operation._close()
    engine.images = set()
    with pytest.raises(CannotStart, match="it has none, and the engine has none of the images") as caught:
        open_shell(engine, "web", fetch=lambda: engine.images.add("busybox"))
    assert caught.value.exit_code == 127
    with pytest.raises(ImageNotFound):
        open_shell(engine, "web", toolbox="mine")


def test_a_toolbox_of_somebody_elses_outlives_the_session(container: Make) -> None:
    engine = container(in_a_toolbox_only)
    with beside(engine) as toolbox:
        ToolboxOperation.create(engine, toolbox, ["ash"], False)._close()
        assert removed(engine) == []
