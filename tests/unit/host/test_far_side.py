from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.host.ssh import far_side
from dockerpty.host.ssh.far_side import Address, AfterMark, FarSide

NONCE = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("build", Address("build")),
        ("me@build", Address("build", user="me")),
        ("me@corp@build", Address("build", user="me@corp")),
        ("ssh://build", Address("build")),
        ("ssh://me@Build.Example:2222", Address("Build.Example", 2222, "me")),
        ("ssh://me%40corp@build/", Address("build", user="me@corp")),
        ("ssh://[::1]:22", Address("::1", 22)),
        ("ssh://build/run/user/1000/docker.sock", Address("build", path="/run/user/1000/docker.sock")),
    ],
)
def test_an_address_is_read_as_ssh_and_docker_read_it(text: str, address: Address) -> None:
    assert far_side.read_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "me@", "-oProxyCommand=x", "ssh://-x", "ssh://", "tcp://a", "a b", "ssh://a:x", "ssh://a?b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host"):
        far_side.read_address(text)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="password=") as caught:
        far_side.read_address("ssh://me:hunter2@build")
    assert "hunter2" not in str(caught.value)


def test_hosts_on_the_way_are_read_as_ssh_j_takes_them() -> None:
    assert far_side.read_jumps("me@a:2222, b,ssh://c:1") == [
        Address("a", 2222, "me"),
        Address("b"),
        Address("c", 1),
    ]
    with pytest.raises(ValueError, match="host"):
        far_side.read_jumps("a,,b")


def test_a_socket_is_an_absolute_path() -> None:
    assert far_side.socket_path("unix:///run/x.sock") == far_side.socket_path("/run/x.sock") == "/run/x.sock"
    for text in ("x.sock", "tcp://a:1", "/a\nb", ""):
        with pytest.raises(ValueError, match="absolute path"):
            far_side.socket_path(text)


def test_what_is_typed_to_log_in_is_what_ssh_takes() -> None:
    assert far_side.login(Address("build")) == "ssh build"
    assert far_side.login(Address("build", 2222, "me")) == "ssh -p 2222 me@build"
    assert far_side.login(Address("build", 22, "a b")) == "ssh 'a b@build'"


def test_what_to_do_with_an_unknown_key_is_a_line_that_can_be_typed() -> None:
    reason, hint = far_side.unknown_key("build", 2222, "SHA256:x", "~/.ssh/known_hosts")
    assert reason == "the key of [build]:2222 is not known: SHA256:x"
    assert hint.endswith("ssh-keyscan -p 2222 build >>~/.ssh/known_hosts")
    assert "ssh gate ssh-keyscan build >>" in far_side.unknown_key("build", 22, "", "/x y", "ssh gate")[1]
    assert "ssh-keygen -f '/x y' -R '[build]:2222'" in far_side.changed_key("build", 2222, "", "/x y")[1]


# ---- what a shell makes of the lines --------------------------------------------------------------------------------

SHELLS = [each for each in ("sh", "bash", "dash", "zsh", "fish", "tcsh") if shutil.which(each)]


def said_by(shell: str, line: str, **options: Any) -> tuple[int, bytes, bytes]:
    """Run a line as sshd has a login shell run it."""
    done = subprocess.run([shell, "-c", line], capture_output=True, timeout=30, cwd="/", **options)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_is_run_as_it_is_by_any_login_shell_and_leads_its_process(shell: str) -> None:
    words = [
        "sh",
        "-c",
        'printf "%s|" "$@"; pwd; echo "$A"; echo oops >&2; exit 7',
        "x",
        "a b",
        "$HOME",
        "it's",
        "*",
    ]
    code, out, err = said_by(shell, far_side.marked(NONCE, words, workdir="/tmp", environment={"A": "b c"}))
    after = AfterMark(NONCE)
    assert (code, after.feed(out)) == (7, b"a b|$HOME|it's|*|/tmp\nb c\n")
    assert AfterMark(NONCE).feed(err) == b"oops\n"
    assert after.pid


def test_merged_the_streams_are_one_in_order() -> None:
    line = far_side.marked(NONCE, ["sh", "-c", "echo a; echo b >&2; echo c"], merge=True)
    _, out, err = said_by("sh", line)
    assert (AfterMark(NONCE).feed(out), AfterMark(NONCE).feed(err)) == (b"a\nb\nc\n", b"")


def test_a_directory_that_is_not_there_runs_nothing() -> None:
    code, out, err = said_by("sh", far_side.marked(NONCE, ["echo", "ran"], workdir="/nonexistent"))
    assert code == 126
    assert AfterMark(NONCE).feed(out) == b""
    assert b"/nonexistent" in err


@given(
    st.binary(max_size=60),
    st.binary(max_size=60),
    st.lists(st.integers(0, 160), max_size=5),
)
def test_noise_before_the_mark_is_dropped_wherever_reads_split(
    noise: bytes, output: bytes, cuts: list[int]
) -> None:
    stream = noise + f"\x1e{NONCE}:42\x1e".encode() + output
    after, heard, start = AfterMark(NONCE), b"", 0
    for cut in [*sorted(cuts), len(stream)]:
        heard += after.feed(stream[start:cut])
        start = max(start, min(cut, len(stream)))
    assert (heard, after.pid) == (output, 42)


def test_no_mark_stands_whole_in_the_line_that_makes_it() -> None:
    line = far_side.marked(NONCE, ["true"]) + far_side.look(NONCE)
    assert AfterMark(NONCE).feed(line.encode()) == b""
    assert far_side.seen(NONCE, line.encode()) is None


# ---- which engine ---------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}


def listen_at(path: Path) -> socket.socket:
    path.parent.mkdir(exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    return server


@pytest.mark.parametrize("shell", SHELLS)
def test_the_socket_of_a_rootless_engine_comes_before_the_usual_one(
    shell: str, tmp_path: Path, home: dict[str, str]
) -> None:
    with listen_at(tmp_path / "docker.sock"), listen_at(tmp_path / "podman" / "podman.sock"):
        _, out, _ = said_by(shutil.which(shell) or shell, far_side.look(NONCE), env=home)
    far = far_side.seen(NONCE, b"Welcome!\n" + out)
    assert far is not None
    assert far.open[0] == f"{tmp_path}/docker.sock"
    assert far.open[-1] in (f"{tmp_path}/podman/podman.sock", "/run/podman/podman.sock")
    assert far.user


def test_the_engine_that_docker_host_names_is_the_only_one(tmp_path: Path, home: dict[str, str]) -> None:
    home["DOCKER_HOST"] = f"unix://{tmp_path}/mine.sock"
    with listen_at(tmp_path / "docker.sock"), listen_at(tmp_path / "mine.sock"):
        _, out, _ = said_by("sh", far_side.look(NONCE), env=home)
        far = far_side.seen(NONCE, out)
        assert far is not None
        assert far.open == (f"{tmp_path}/mine.sock",)
        home["DOCKER_HOST"] = "tcp://elsewhere:2375"
        far = far_side.seen(NONCE, said_by("sh", far_side.look(NONCE), env=home)[1])
        assert far is not None
        assert (far.open, far.docker_host) == ((), "tcp://elsewhere:2375")
        # What the caller names comes before all of it.
        line = far_side.look(NONCE, f"{tmp_path}/docker.sock")
        far = far_side.seen(NONCE, said_by("sh", line, env=home)[1])
        assert far is not None
        assert far.open == (f"{tmp_path}/docker.sock",)


def test_what_a_terminal_made_of_it_is_read_as_well() -> None:
    said = f"motd\r\n\x1e{NONCE}\x1euser me\r\ndocker \r\nhost \r\nshut docker /a b.sock\r\n\x1e{NONCE}\x1e".encode()
    assert far_side.seen(NONCE, said) == FarSide("me", shut=(("docker", "/a b.sock"),))
    assert far_side.seen(NONCE, said[:-1]) is None
