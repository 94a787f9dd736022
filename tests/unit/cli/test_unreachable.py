"""Each way in which an engine cannot be reached has a sentence of its own, which says what to do."""

from __future__ import annotations

import _socket
import os
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.cli import main
from tests.bed.certificates import Certificates
from tests.unit.loopback import Server, answer

VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


class Place:
    """Where an engine should be, and is not as it should be: what a case makes of it.

    Attributes:
        folder: for sockets and certificates.
        flags: what is typed before the command.
        names: what stands in the expected sentence between braces.
    """

    def __init__(self, folder: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.certificates = certificates
        self.monkeypatch = monkeypatch
        self.flags: list[str] = []
        self.names: dict[str, str] = {"folder": str(folder), "certificates": str(certificates.directory)}
        self._open: list[socket.socket] = []
        self._servers: list[Server] = []
        self._hold = threading.Event()

    def host(self, url: str) -> None:
        self.names["url"] = url
        self.flags += ["-H", url]

    def unix(self, name: str) -> Path:
        path = self.folder / name
        self.host(f"unix://{path}")
        return path

    def listener(self, backlog: int = 5) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.host(f"tcp://localhost:{listener.getsockname()[1]}")
        return listener

    def serve(self, work: Callable[[socket.socket], None]) -> None:
        self._servers.append(Server(self.listener(), work))

    def says(self, reply: bytes) -> None:
        """An engine that answers whatever comes with this."""

        def work(sock: socket.socket) -> None:
            sock.settimeout(10)
            sock.recv(65536)
            sock.sendall(reply)

        self.serve(work)

    def speaks_tls(self, context: ssl.SSLContext | None = None) -> None:
        made = context or self.certificates.server_context()

        def work(sock: socket.socket) -> None:
            sock.settimeout(10)
            try:
                with made.wrap_socket(sock, server_side=True) as channel:
                    channel.recv(65536)
            except ssl.SSLError:
                # What the client makes of it is what the test is about.
                return

        self.serve(work)

    def silent(self) -> None:
        self.serve(lambda sock: self.wait())

    def wait(self) -> None:
        assert self._hold.wait(20)

    def keep(self, sock: socket.socket) -> None:
        self._open.append(sock)

    def ssh(self, script: str) -> None:
        program = self.folder / "ssh"
        program.write_text(f"#!{sys.executable} -IS\nimport os, sys\n{script}\n")
        program.chmod(0o755)
        self.monkeypatch.setenv("PATH", str(self.folder), prepend=os.pathsep)
        self.host("ssh://me@far")

    def close(self) -> None:
        self._hold.set()
        for sock in self._open:
            sock.close()
        for server in self._servers:
            server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def place(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # Short: the address of a unix socket has 108 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setenv("DOCKER_CONFIG", name)
        monkeypatch.setenv("XDG_RUNTIME_DIR", f"{name}/run")
        made = Place(Path(name), certificates, monkeypatch)
        yield made
        made.close()


# The cases


def no_socket(place: Place) -> None:
    place.unix("none.sock")


def nothing_here(place: Place) -> None:
    path = f"{place.folder}/docker.sock"
    place.names["url"] = f"unix://{path}"
    place.monkeypatch.setattr("dockerpty.engine.endpoint.DEFAULT_SOCKET", path)
    place.monkeypatch.setattr("dockerpty.engine.endpoint.PODMAN_SOCKETS", ())
    place.monkeypatch.setattr("dockerpty.engine.connection.DEFAULT_SOCKET", path)


def nothing_here_but_rootless(place: Place) -> None:
    nothing_here(place)
    (place.folder / "run").mkdir()
    (place.folder / "run" / "docker.sock").touch()


def stale_socket(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place.unix("left.sock")))


def docker_is_not_running(place: Place) -> None:
    nothing_here(place)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{place.folder}/docker.sock")


def forbidden(place: Place) -> None:
    class Refused(_socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    place.unix("docker.sock")
    place.monkeypatch.setattr("dockerpty.engine.connection.socket.socket", Refused)


def forbidden_but_rootless(place: Place) -> None:
    nothing_here_but_rootless(place)
    forbidden(place)


def directory(place: Place) -> None:
    place.unix("docker.sock").mkdir()


def no_socket_but_a_file(place: Place) -> None:
    place.unix("file").touch()


def below_a_file(place: Place) -> None:
    place.unix("file").touch()
    place.flags = []
    place.unix("file/docker.sock")


def long_path(place: Place) -> None:
    place.unix("x" * 200)


def refused(place: Place) -> None:
    place.listener().close()


def unknown_host(place: Place) -> None:
    place.host("tcp://no.such.host.invalid:2375")


def firewall(place: Place) -> None:
    # A queue of one that is full: further connection requests are dropped, as on a silent network.
    full = place.listener(backlog=0)
    place.keep(full)
    place.keep(socket.create_connection(full.getsockname()))
    place.flags += ["--connect-timeout", "0.1", "-H", place.names["url"].replace("localhost", "127.0.0.1")]
    place.names["url"] = place.flags[-1]


def stuck(place: Place) -> None:
    place.silent()
    place.flags += ["--connect-timeout", "0.2"]


def stuck_before_tls(place: Place) -> None:
    stuck(place)
    place.flags += ["--tls"]


def hangs_up(place: Place) -> None:
    place.says(b"")


def plain_answers_tls(place: Place) -> None:
    place.says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request")
    place.flags += ["--tls"]


def tls_answers_plain(place: Place) -> None:
    # As Go's server does, which Docker's engine is.
    place.says(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")


def tls_alerts_plain(place: Place) -> None:
    # As a server with OpenSSL may do.
    place.says(b"\x15\x03\x01\x00\x02\x02\x46")


def files(place: Place) -> list[str]:
    own = place.certificates
    return ["--tlsverify", "--tlscacert", str(own.ca), "--tlscert", str(own.cert), "--tlskey", str(own.key)]


def not_trusted(place: Place) -> None:
    place.speaks_tls()
    place.flags += ["--tlsverify"]


def of_another_name(place: Place) -> None:
    place.speaks_tls(place.certificates.server_context(host="docker.example"))
    place.flags += files(place)


def expired(place: Place) -> None:
    place.speaks_tls(place.certificates.server_context(days=-1))
    place.flags += files(place)


def wants_our_certificate(place: Place) -> None:
    place.speaks_tls()
    place.flags += ["--tls"]


def wants_our_certificate_in_older_tls(place: Place) -> None:
    context = place.certificates.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    place.speaks_tls(context)
    place.flags += ["--tls"]


def wants_another_certificate_of_ours(place: Place) -> None:
    other = Certificates(place.folder)
    place.speaks_tls()
    place.flags += [*files(place), "--tlscert", str(other.cert), "--tlskey", str(other.key)]


def no_such_file_of_tls(place: Place) -> None:
    place.serve(lambda sock: None)
    place.flags += ["--tlsverify", "--tlscacert", "/no/such/ca.pem"]


def no_certificate_in_the_file(place: Place) -> None:
    (place.folder / "cert.pem").touch()
    place.serve(lambda sock: None)
    place.flags += ["--tls"]


def unknown_host_key(place: Place) -> None:
    place.ssh("sys.stderr.write('Host key verification failed.\\r\\n'); sys.exit(255)")


def changed_host_key(place: Place) -> None:
    lines = (
        "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\\r\\nHost key verification failed.\\r\\n"
    )
    place.ssh(f"sys.stderr.write('{lines}'); sys.exit(255)")


def refused_key(place: Place) -> None:
    place.ssh("sys.stderr.write('me@far: Permission denied (publickey).\\r\\n'); sys.exit(255)")


def unknown_to_ssh(place: Place) -> None:
    place.ssh(
        "sys.stderr.write('ssh: Could not resolve hostname far: Name or service not known\\r\\n'); sys.exit(255)"
    )


def ssh_is_refused(place: Place) -> None:
    place.ssh("sys.stderr.write('ssh: connect to host far port 22: Connection refused\\r\\n'); sys.exit(255)")


def ssh_times_out(place: Place) -> None:
    place.ssh(
        "sys.stderr.write('ssh: connect to host far port 22: Connection timed out\\r\\n'); sys.exit(255)"
    )


def ssh_hangs_up(place: Place) -> None:
    place.ssh("sys.stderr.write('Connection closed by 10.0.0.1 port 22\\r\\n'); sys.exit(255)")


def no_docker_over_there(place: Place) -> None:
    place.ssh("sys.stderr.write('sh: 1: docker: not found\\n'); sys.exit(127)")


def no_engine_over_there(place: Place) -> None:
    place.ssh(
        "sys.stderr.write('failed to open the raw stream connection: dial unix /var/run/docker.sock:"
        " connect: permission denied\\n'); sys.exit(1)"
    )


def no_ssh_here(place: Place) -> None:
    place.monkeypatch.setenv("PATH", str(place.folder))
    place.host("ssh://me@far")


def no_such_client(place: Place) -> None:
    place.flags += ["--ssh-client", "/no/such/ssh"]
    place.host("ssh://me@far")


def something_else(place: Place) -> None:
    place.says(b"SSH-2.0-OpenSSH_9.2p1\r\n")


def web_server(place: Place) -> None:
    place.says(answer(404, b"<!DOCTYPE html><html>Not found</html>", Content_Type="text/html"))


def web_page(place: Place) -> None:
    place.says(answer(200, b"<!DOCTYPE html><html>Welcome</html>", Content_Type="text/html"))


def too_old(place: Place) -> None:
    place.says(answer(201, b'{"Id": "4ad"}', Api_Version="1.18"))


Case = Callable[[Place], None]

# Why, and what to do.
UNREACHABLE: list[tuple[Case, str, str]] = [
    (no_socket, "there is no such socket", "start the engine, or say where it is with DOCKER_HOST"),
    (
        nothing_here,
        "there is no such socket",
        "install Docker or Podman, start it, or say where it is with DOCKER_HOST or a context",
    ),
    (
        nothing_here_but_rootless,
        "there is no such socket",
        (
            "install Docker or Podman, start it, or say where it is with DOCKER_HOST or a context; or "
            "use your own: DOCKER_HOST=unix://{folder}/run/docker.sock"
        ),
    ),
    (stale_socket, "nothing listens on its socket", "is the engine running?"),
    (
        docker_is_not_running,
        "nothing listens on its socket",
        "is the engine running? `sudo systemctl start docker` may start it",
    ),
    (
        forbidden,
        "you are not allowed to use its socket",
        "use sudo, or join the group docker and log in again",
    ),
    (
        forbidden_but_rootless,
        "you are not allowed to use its socket",
        (
            "use sudo, or join the group docker and log in again; or use your own: "
            "DOCKER_HOST=unix://{folder}/run/docker.sock"
        ),
    ),
    (
        directory,
        "it is a directory and no socket",
        "if a container that mounts it has made it, remove it and start the engine again",
    ),
    (no_socket_but_a_file, "it is no socket", "say where the engine's socket is with DOCKER_HOST"),
    (below_a_file, "Not a directory", "is the path right?"),
    (long_path, "AF_UNIX path too long", "is the path right?"),
    (refused, "the connection was refused", "is the engine running, and is the port right?"),
    (
        unknown_host,
        "its name no.such.host.invalid is not known",
        "is it spelled right, and is the network up?",
    ),
    (firewall, "it did not answer in time", "is a firewall in between?"),
    (stuck, "it did not answer in time", "is it stuck, or very busy?"),
    (stuck_before_tls, "the TLS handshake took too long", "does that port speak TLS?"),
    (hangs_up, "it closed the connection without an answer", "is it still running?"),
    (plain_answers_tls, "it does not speak TLS", "is the port right, or is TLS off there?"),
    (
        tls_answers_plain,
        "it speaks TLS, and we do not",
        "use TLS: DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or --tlsverify",
    ),
    (
        not_trusted,
        (
            "its certificate is signed by nobody that is trusted here: self-signed certificate in "
            "certificate chain"
        ),
        "is ca.pem in DOCKER_CERT_PATH that of this engine?",
    ),
    (
        of_another_name,
        ("its certificate is for another name: Hostname mismatch, certificate is not valid for 'localhost'"),
        "use a name that is in it, or have one made for this name",
    ),
    (expired, "its certificate has expired", "renew it over there, or is the clock wrong here?"),
    (
        wants_our_certificate,
        "it wants a certificate of ours",
        "name one with DOCKER_CERT_PATH, or --tlscert and --tlskey",
    ),
    (
        wants_our_certificate_in_older_tls,
        "it refused the TLS handshake",
        "if it wants a certificate of ours: name one with DOCKER_CERT_PATH, or --tlscert and --tlskey",
    ),
    (
        wants_another_certificate_of_ours,
        "it does not accept our certificate, or wants one",
        "are cert.pem and key.pem in DOCKER_CERT_PATH made for this engine, by its authority?",
    ),
    (
        no_such_file_of_tls,
        "/no/such/ca.pem: No such file or directory",
        "look at the files in DOCKER_CERT_PATH, or of --tlscacert, --tlscert and --tlskey",
    ),
    (
        no_certificate_in_the_file,
        "{folder}/cert.pem: it, or its key, is not what it should be",
        "look at the files in DOCKER_CERT_PATH, or of --tlscacert, --tlscert and --tlskey",
    ),
    (
        unknown_host_key,
        "ssh says: Host key verification failed",
        "connect once with `ssh me@far`, to see and accept its key",
    ),
    (
        changed_host_key,
        ("ssh says: @@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@ Host key verification failed"),
        "its key is not that in known_hosts: find out why before you remove that",
    ),
    (
        refused_key,
        "ssh says: me@far: Permission denied (publickey)",
        "does `ssh me@far` let you in? give ssh a key that it takes over there",
    ),
    (
        unknown_to_ssh,
        "ssh says: ssh: Could not resolve hostname far: Name or service not known",
        "is the name spelled right, or is it a Host of your ssh configuration?",
    ),
    (
        ssh_is_refused,
        "ssh says: ssh: connect to host far port 22: Connection refused",
        "is an ssh server running there, and is the port right?",
    ),
    (
        ssh_times_out,
        "ssh says: ssh: connect to host far port 22: Connection timed out",
        "is it up, and is a firewall in between?",
    ),
    (
        ssh_hangs_up,
        "ssh says: Connection closed by 10.0.0.1 port 22",
        "does `ssh me@far docker version` work?",
    ),
    (
        no_docker_over_there,
        "ssh says: sh: 1: docker: not found",
        "install docker's command over there, where a shell without a terminal finds it",
    ),
    (
        no_engine_over_there,
        (
            "ssh says: failed to open the raw stream connection: dial unix /var/run/docker.sock: "
            "connect: permission denied"
        ),
        (
            "the engine over there does not run, or is not yours to use: does `ssh me@far docker "
            "version` work?"
        ),
    ),
    (no_ssh_here, "there is no ssh here", "install openssh-client"),
    (no_such_client, "there is no /no/such/ssh here", "look at what --ssh-client names"),
]
# Where somebody answered, the whole of it.
ANSWERED: list[tuple[Case, str]] = [
    (
        tls_alerts_plain,
        (
            "cannot read the engine's answer: it speaks TLS, and we do not; use TLS: "
            "DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or --tlsverify"
        ),
    ),
    (
        something_else,
        (
            "cannot read the engine's answer: this is no HTTP server; is there a container engine at "
            "that address?"
        ),
    ),
    (web_server, "cannot exec in web: the engine answered 404; is there a container engine at that address?"),
    (
        web_page,
        "cannot read the engine's answer: it is no JSON; is there a container engine at that address?",
    ),
    (
        too_old,
        (
            "cannot talk to the engine at {url}: version 1.18 of its API is too old; 1.24 (Docker "
            "1.12) or newer is needed"
        ),
    ),
]


def ids(cases: Iterable[tuple[Any, ...]]) -> list[str]:
    return [case[0].__name__ for case in cases]


@pytest.mark.parametrize(("line", "code"), [("exec web ls", 125), ("ps", 1)])
@pytest.mark.parametrize(("case", "reason", "hint"), UNREACHABLE, ids=ids(UNREACHABLE))
def test_each_way_not_to_reach_an_engine_has_its_sentence(
    case: Case, reason: str, hint: str, line: str, code: int, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    case(place)
    assert main([*place.flags, *line.split()]) == code
    sentence = "dpty: cannot reach the engine at {url}: " + f"{reason}; {hint}\n"
    assert capsys.readouterr() == ("", sentence.format(**place.names))


@pytest.mark.parametrize(("case", "sentence"), ANSWERED, ids=ids(ANSWERED))
def test_what_answers_and_is_no_engine_of_today_is_told_so(
    case: Case, sentence: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    case(place)
    assert main([*place.flags, "exec", "web", "ls"]) == 125
    assert capsys.readouterr() == ("", f"dpty: {sentence.format(**place.names)}\n")
