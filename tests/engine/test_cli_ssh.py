"""Engines behind ssh on the command line: by the system's ssh or a library, and by a host on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, id_of
from tests.bed.sshd import SshServer, fingerprint
from tests.bed.transports import Unavailable
from tests.bed.waiting import wait_for
from tests.conftest import missing

pytestmark = pytest.mark.ssh

Dpty = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def box(engine: docker.DockerClient) -> Iterator[Container]:
    bench = Bench(engine)
    yield bench.container(start=True)
    bench.close()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[SshServer]]:
    """A machine and another one on the way to it, with the same keys."""
    made: list[SshServer] = []
    try:
        for name in ("far", "gate"):
            made.append(SshServer(tmp_path / name).start())
    except Unavailable as error:
        missing(f"sshd: {error}")
    far, gate = made
    with (gate.directory / "authorized").open("a") as authorized:
        authorized.write(far.key.with_suffix(".pub").read_text())
    yield made
    for server in made:
        server.close()


@pytest.fixture
def dpty(servers: list[SshServer], tmp_path: Path) -> Dpty:
    """Runs a command line as somebody who knows both machines."""
    far, gate = servers
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    known = home / ".ssh" / "known_hosts"
    known.write_text(far.known_hosts.read_text() + gate.known_hosts.read_text())
    config = home / ".ssh" / "config"
    config.write_text(
        "".join(
            f"Host {name}\n  HostName 127.0.0.1\n  Port {each.port}\n  User {each.user}\n"
            for name, each in (("far", far), ("gate", gate))
        )
        + f"Host *\n  IdentityFile {far.key}\n  UserKnownHostsFile {known}\n  IdentitiesOnly yes\n"
    )
    # ssh itself looks for its configuration where the system says that our home is.
    tools = tmp_path / "tools"
    tools.mkdir()
    ssh = tools / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
    ssh.chmod(0o755)
    environment = {**os.environ, "HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}"}
    for name in ("SSH_AUTH_SOCK", "DOCKER_HOST"):
        environment.pop(name, None)
    environment["TMPDIR"] = str(tmp_path)

    def run(*words: str, input: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "dockerpty", *words]
        return subprocess.run(
            command, env=environment, input=input, capture_output=True, text=True, timeout=60
        )

    return run


@pytest.mark.parametrize("client", ["openssh", "asyncssh", "paramiko"])
def test_a_command_runs_behind_ssh_by_any_client(
    client: str, dpty: Dpty, box: Container, servers: list[SshServer], tmp_path: Path
) -> None:
    way = ("--ssh-client", client, "-H", "ssh://far")
    done = dpty(*way, "exec", "-i", id_of(box), "sh", "-c", "cat; echo err >&2; exit 3", input="through\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, "through\n", "err\n")
    wait_for(lambda: not servers[0].connections(), 10, "the end of what was opened")
    assert not [each for each in os.listdir(tmp_path) if each.startswith("dockerpty-")]


@pytest.mark.parametrize("client", ["openssh", "asyncssh"])
def test_a_host_on_the_way_is_passed(
    client: str, dpty: Dpty, box: Container, servers: list[SshServer]
) -> None:
    done = dpty("--ssh-client", client, "--jump", "gate", "-H", "ssh://far", "exec", id_of(box), "echo", "in")
    assert (done.returncode, done.stdout, done.stderr) == (0, "in\n", "")
    assert servers[1].logins() >= 1


def test_one_connection_of_asyncssh_serves_a_whole_command(
    dpty: Dpty, box: Container, servers: list[SshServer]
) -> None:
    done = dpty("--ssh-client=asyncssh", "-H", "ssh://far", "ps", "-q", "--no-trunc")
    assert id_of(box) in done.stdout
    assert servers[0].logins() == 1


@pytest.mark.parametrize("client", ["asyncssh", "paramiko"])
def test_who_is_not_known_is_not_believed(
    client: str, dpty: Dpty, servers: list[SshServer], tmp_path: Path
) -> None:
    (tmp_path / "home" / ".ssh" / "known_hosts").write_text("")
    done = dpty("--ssh-client", client, "-H", "ssh://far", "ps")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not known" in done.stderr or "not found in known_hosts" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if client == "asyncssh":
        assert fingerprint(servers[0].host_key) in done.stderr


def test_nobody_logs_in_for_a_tab(dpty: Dpty, servers: list[SshServer]) -> None:
    words = ("--ssh-client", "asyncssh", "-H", "ssh://far", "exec", "")
    done = dpty("__complete", "zsh", "5", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert servers[0].logins() == 0
