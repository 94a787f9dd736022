"""Which engine a person means, by flags, variables and docker's contexts: always the one that docker takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.bed.transports import FakeSsh, TlsTransport
from tests.bed.transports import Transport as Way
from tests.engine.command import Done, docker, dpty, typed
from tests.engine.conftest import Sessions

NOBODY = "unix:///no/such.sock"


class Person(Sessions):
    """Somebody with docker's client configuration, whose contexts docker's own command made.

    Attributes:
        folder: the configuration's directory.
    """

    def __init__(self, folder: Path, way: Way) -> None:
        super().__init__({**way.env, "DOCKER_HOST": None, "DOCKER_CONFIG": str(folder)})
        self.folder = folder
        self.host = way.host_url

    def makes(self, name: str, engine: str) -> None:
        self.succeeds(docker(self, "context", "create", name, "--docker", engine))

    def uses(self, name: str) -> None:
        self.succeeds(docker(self, "context", "use", name))

    def succeeds(self, done: Done) -> None:
        assert done.returncode == 0, done.stderr

    def sets(self, **env: str) -> None:
        self.env = {**self.env, **env}

    def reaches(self, box: Container, *flags: str) -> bool:
        """Whether `dpty` gets to the container; it says so in one line if not."""
        done = dpty(self, *flags, "exec", str(box.id), "echo", "here")
        if done.returncode == 0:
            assert (done.stdout, done.stderr) == (b"here\n", b"")
            return True
        assert done.returncode == 125
        assert done.stderr.startswith(b"dpty: cannot ")
        assert done.stderr.count(b"\n") == 1
        return False


@pytest.fixture
def docker_user(transport: Way, tmp_path: Path) -> Iterator[Person]:
    made = Person(tmp_path, transport)
    made.makes("good", f"host={transport.host_url}")
    made.makes("bad", f"host={NOBODY}")
    yield made
    made.close()


GOOD = "GOOD"
"""Stands for the engine's address."""


@pytest.mark.parametrize(
    ("current", "env", "flags", "reached"),
    [
        ("good", {}, [], True),
        ("bad", {}, [], False),
        ("good", {"DOCKER_HOST": NOBODY}, [], False),
        ("bad", {"DOCKER_HOST": GOOD}, [], True),
        ("bad", {"DOCKER_CONTEXT": "good"}, [], True),
        ("good", {"DOCKER_CONTEXT": "bad"}, [], False),
        ("good", {"DOCKER_CONTEXT": "nosuch"}, [], False),
        ("bad", {"DOCKER_CONTEXT": "", "DOCKER_HOST": ""}, [], False),
        ("bad", {"DOCKER_CONTEXT": "bad", "DOCKER_HOST": GOOD}, [], True),
        ("bad", {"DOCKER_CONTEXT": "bad", "DOCKER_HOST": NOBODY}, ["-c", "good"], True),
        ("good", {"DOCKER_CONTEXT": "good", "DOCKER_HOST": GOOD}, ["--context", "bad"], False),
        ("bad", {"DOCKER_CONTEXT": "bad", "DOCKER_HOST": NOBODY}, ["-H", GOOD], True),
        ("bad", {"DOCKER_HOST": GOOD}, ["-c", "default"], True),
        ("good", {"DOCKER_HOST": NOBODY}, ["-c=default"], False),
        ("good", {}, ["-c", "nosuch"], False),
        ("good", {}, ["-H", GOOD, "-c", "good"], False),
        ("good", {"DOCKER_TLS_VERIFY": "1"}, [], True),
        ("good", {}, ["--tls"], True),
    ],
)
def test_it_is_the_engine_that_docker_takes(
    current: str, env: dict[str, str], flags: list[str], reached: bool, docker_user: Person, box: Container
) -> None:
    docker_user.uses(current)
    docker_user.sets(**{name: docker_user.host if value == GOOD else value for name, value in env.items()})
    words = [docker_user.host if word == GOOD else word for word in flags]
    assert (docker(docker_user, *words, "inspect", "-f", "x", str(box.id)).returncode == 0) is reached
    assert docker_user.reaches(box, *words) is reached


def test_the_directory_that_is_named_counts(docker_user: Person, box: Container, tmp_path: Path) -> None:
    docker_user.uses("good")
    docker_user.sets(DOCKER_CONFIG=str(tmp_path / "none"))
    assert not docker_user.reaches(box, "-c", "good")
    assert docker_user.reaches(box, "--config", str(docker_user.folder), "-c", "good")
    assert docker_user.reaches(box, "--config", str(docker_user.folder))


def test_a_near_name_of_a_context_is_given(docker_user: Person, box: Container) -> None:
    done = dpty(docker_user, "-c", "god", "exec", str(box.id), "true")
    assert done.stderr.decode() == (
        f"dpty: cannot use the context 'god': {docker_user.folder} has none of that name; did you mean good?\n"
    )


def test_detach_keys_are_read_in_the_same_directory(docker_user: Person, box: Container) -> None:
    (docker_user.folder / "config.json").write_text('{"currentContext": "good", "detachKeys": "ctrl-x,x"}')
    options = {"env": {"DOCKER_CONFIG": "/no/such"}}
    terminal = typed(
        docker_user, "--config", str(docker_user.folder), "exec", "-it", str(box.id), "sh", **options
    )
    terminal.expect("# ")
    terminal.send(b"\x18x")
    terminal.expect("detached from")
    assert terminal.wait() == 0


def test_a_context_brings_its_certificates(tls: TlsTransport, tmp_path: Path, box: Container) -> None:
    folder = tmp_path / "config"
    docker_user = Person(folder, tls)
    for name in ("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        docker_user.env[name] = None
    files = tls.certificates
    address = f"host={tls.host_url}"
    ours = f"cert={files.cert},key={files.key}"
    docker_user.makes("whole", f"{address},ca={files.ca},{ours}")
    docker_user.makes("trusting", f"{address},{ours},skip-tls-verify=true")
    docker_user.makes("anonymous", f"{address},ca={files.ca}")
    docker_user.makes("plain", address)
    reached = {
        name: docker_user.reaches(box, "-c", name) for name in ("whole", "trusting", "anonymous", "plain")
    }
    assert reached == {"whole": True, "trusting": True, "anonymous": False, "plain": False}
    for name, expected in reached.items():
        done = docker(docker_user, "-c", name, "inspect", "-f", "x", str(box.id))
        assert (done.returncode == 0) is expected


def test_tls_is_had_by_flags_alone(tls: TlsTransport, box: Container, tmp_path: Path) -> None:
    docker_user = Person(tmp_path / "config", tls)
    for name in ("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        docker_user.env[name] = None
    files, host = tls.certificates, ("-H", tls.host_url)
    ours = ("--tlscert", str(files.cert), "--tlskey", str(files.key))
    for flags, expected in (
        (("--tlsverify", "--tlscacert", str(files.ca), *ours), True),
        (("--tls", *ours), True),
        (("--tlsverify", *ours), False),
        (("--tls",), False),
        ((), False),
    ):
        assert docker_user.reaches(box, *host, *flags) is expected, flags


def test_a_context_may_be_on_another_machine(fake_ssh: FakeSsh, box: Container, tmp_path: Path) -> None:
    docker_user = Person(tmp_path / "config", fake_ssh)
    docker_user.makes("far", f"host={fake_ssh.host_url}")
    assert docker_user.reaches(box, "-c", "far")
    assert "someone" in fake_ssh.arguments.read_text()


def test_another_program_may_stand_for_ssh(fake_ssh: FakeSsh, box: Container, tmp_path: Path) -> None:
    docker_user = Person(tmp_path / "config", fake_ssh)
    other = tmp_path / "my ssh"
    (fake_ssh.directory / "ssh").rename(other)
    assert docker_user.reaches(box, "--ssh-client", str(other), "-H", fake_ssh.host_url)
    assert not docker_user.reaches(box, "--ssh-client", str(tmp_path / "none"), "-H", fake_ssh.host_url)
