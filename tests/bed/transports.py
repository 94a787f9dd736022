"""The ways in which an engine is reached: unix, tcp, TLS, ssh through a program, a real sshd, Podman's service.

A `Transport` is started once for a run of the tests; it gives docker-py clients, an address, and the environment with
which a child process finds the engine by itself.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.tls

from tests.bed.certificates import Certificates
from tests.bed.engine import engine_url
from tests.bed.proxy import Proxy
from tests.bed.waiting import wait_for

ALL = ("unix", "tcp", "tls", "ssh", "sshd", "podman")


class Unavailable(Exception):
    """This way does not exist here; says why."""


class Transport(ABC):
    """One way to one engine.

    Attributes:
        name: as the tests are told which ones to use.
        host_url: what `DOCKER_HOST` or `-H` would be.
        env: changes to the environment of a child process, `DOCKER_HOST` among them.
        own_engine: whether it is another engine than the others', with containers and images of its own.
        is_slow: whether each connection, or each exec, starts programs here: what is counted is tried fewer times.
    """

    name: str
    host_url: str
    own_engine = False
    is_slow = False

    def __init__(self) -> None:
        self.env: dict[str, str | None] = {
            "DOCKER_TLS_VERIFY": None,
            "DOCKER_CERT_PATH": None,
            "DOCKER_CONTEXT": None,
            "DOCKER_API_VERSION": None,
            "BED_CLIENT": None,
        }

    @abstractmethod
    def docker_client(self, timeout: int = 60) -> docker.DockerClient:
        """A new docker-py client by this way; the caller closes it."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Change this process's environment by `env` for a block: docker-py looks for ssh, HOME and the CA there."""
        old = {name: os.environ.get(name) for name in self.env}
        _set(self.env)
        try:
            yield
        finally:
            _set(old)

    def close(self) -> None:  # noqa: B027  # most have started nothing
        """Stop what was started for it."""


class Unix(Transport):
    """The engine's own socket."""

    name = "unix"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.host_url = engine_url()
        self.env["DOCKER_HOST"] = self.host_url

    def docker_client(self, timeout: int = 60) -> docker.DockerClient:
        """A client on the socket."""
        return docker.DockerClient(base_url=self.host_url, timeout=timeout)


class Tcp(Transport):
    """A port of the loopback interface, with the bed's proxy behind it."""

    name = "tcp"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.proxy = Proxy(engine_url())
        self.host_url = self.proxy.tcp()
        self.env["DOCKER_HOST"] = self.host_url

    def docker_client(self, timeout: int = 60) -> docker.DockerClient:
        """A client on the port."""
        return docker.DockerClient(base_url=self.host_url, timeout=timeout)

    def close(self) -> None:
        """Stop the proxy."""
        self.proxy.close()


class TlsTransport(Transport):
    """TLS with certificates on both sides, as dockerd's --tlsverify; the bed's proxy ends it."""

    name = "tls"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.certificates = Certificates(directory)
        self.proxy = Proxy(engine_url())
        self.host_url = self.proxy.tls(self.certificates.server_context())
        self.env |= {
            "DOCKER_HOST": self.host_url,
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(directory),
            "REQUESTS_CA_BUNDLE": None,
            "CURL_CA_BUNDLE": None,
        }

    def docker_client(self, timeout: int = 60) -> docker.DockerClient:
        """A client with the client's certificate."""
        config = docker.tls.TLSConfig(
            client_cert=(str(self.certificates.cert), str(self.certificates.key)),
            ca_cert=str(self.certificates.ca),
            verify=True,
        )
        return docker.DockerClient(base_url=self.host_url, tls=config, timeout=timeout)

    def close(self) -> None:
        """Stop the proxy."""
        self.proxy.close()


class FakeSsh(Transport):
    """`ssh://` through a program called ssh that stands first on PATH and runs the far side's command here."""

    name = "ssh"
    host_url = "ssh://someone@bed.invalid"
    is_slow = True

    def __init__(self, directory: Path) -> None:
        super().__init__()
        docker_cli = _program("docker", "the far side of ssh:// is `docker system dial-stdio`")
        self.directory = directory
        self.arguments = directory / "arguments"
        script = directory / "ssh"
        script.write_text(
            f'#!/bin/sh\necho "$*" >{self.arguments}\n'
            f"unset DOCKER_HOST DOCKER_CONTEXT\nexec {docker_cli} -H {engine_url()} system dial-stdio\n"
        )
        script.chmod(0o755)
        self.env |= {
            "DOCKER_HOST": self.host_url,
            "PATH": f"{directory}:{os.environ['PATH']}",
            "BED_CLIENT": "ssh",
        }

    def docker_client(self, timeout: int = 60) -> docker.DockerClient:
        """A client that starts the system's ssh for each connection; only within `applied`."""
        return docker.DockerClient(base_url=self.host_url, use_ssh_client=True, timeout=timeout)


class Sshd(Transport):
    """A real OpenSSH server on the loopback interface, with keys of its own.

    The system's ssh gets its configuration from a wrapper on PATH (it looks for ~ in the passwd file, not in
    HOME); paramiko, inside docker-py, reads ~/.ssh under the HOME that `env` names.
    """

    name = "sshd"
    is_slow = True

    def __init__(self, directory: Path) -> None:
        super().__init__()
        server = _program("sshd", "install openssh-server", "/usr/sbin/sshd")
        client = _program("ssh", "install openssh-client")
        keygen = _program("ssh-keygen", "install openssh-client")
        docker_cli = Path(_program("docker", "the far side of ssh:// is `docker system dial-stdio`"))
        self.home = directory / "home"
        self.settings = self.home / ".ssh"
        self.settings.mkdir(parents=True, mode=0o700)
        user_key, host_key = self.settings / "id_ed25519", directory / "host_key"
        for key in (user_key, host_key):
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        authorized = directory / "authorized"
        authorized.write_text(f"{user_key.with_suffix('.pub').read_text()}")
        port = _free_port()
        log = directory / "sshd.log"
        (directory / "sshd_config").write_text(
            f"""ListenAddress 127.0.0.1
Port {port}
HostKey {host_key}
AuthorizedKeysFile {authorized}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
MaxSessions 100
SetEnv PATH={docker_cli.parent}:/usr/local/bin:/usr/bin:/bin DOCKER_HOST={engine_url()}
"""
        )
        known = self.settings / "known_hosts"
        host_public = " ".join(host_key.with_suffix(".pub").read_text().split()[:2])
        known.write_text(f"[127.0.0.1]:{port} {host_public}\n")
        config = self.settings / "config"
        config.write_text(
            f"Host *\n  IdentityFile {user_key}\n  UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n"
        )
        wrapper = directory / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {client} -F {config} "$@"\n')
        wrapper.chmod(0o755)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        with log.open("wb") as said:
            self._server = subprocess.Popen(
                [server, "-D", "-e", "-f", str(directory / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stderr=said,
            )
        self.host_url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
        self.env |= {
            "DOCKER_HOST": self.host_url,
            "PATH": f"{directory}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "SSH_AUTH_SOCK": None,
        }
        try:
            wait_for(lambda: _listens(port), 10, f"sshd to listen; it says: {log.read_text()}")
        except AssertionError as error:
            self.close()
            raise Unavailable(str(error)) from error

    def docker_client(self, timeout: int = 60) -> docker.DockerClient:
        """A client over paramiko, as docker-py makes it by default; only within `applied`."""
        return docker.DockerClient(base_url=self.host_url, timeout=timeout)

    def close(self) -> None:
        """Stop the server; its children end with their connections."""
        self._server.terminate()
        self._server.wait(10)


class Podman(Transport):
    """Podman's service on a socket of its own, with storage of its own."""

    name = "podman"
    own_engine = True
    is_slow = True

    def __init__(self, directory: Path) -> None:
        super().__init__()
        program = _program("podman", "install podman and crun")
        if os.environ.get("DPTY_TEST_PODMAN") == "no":
            raise Unavailable("DPTY_TEST_PODMAN=no: it cannot run on this machine")
        self._storage = directory / "storage"
        base = [program, *self._options(directory)]
        image = ["import", "--change=CMD sh", _image(directory), "docker.io/library/busybox:latest"]
        self._say(directory, [*base, *image])
        self._trial(directory, base)
        self._socket = directory / "podman.sock"
        self.host_url = f"unix://{self._socket}"
        self.env["DOCKER_HOST"] = self.host_url
        log = directory / "service.log"
        with log.open("wb") as said:
            self._service = subprocess.Popen(
                [*base, "system", "service", "--time=0", self.host_url],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=self._environment(directory),
            )
        wait_for(lambda: _answers(self._socket), 20, f"podman to listen; it says {log.read_text()[-500:]}")

    def _options(self, directory: Path) -> list[str]:
        options = [f"--root={self._storage}", f"--runroot={directory}/run", f"--tmpdir={directory}/tmp"]
        options += ["--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=vfs"]
        return options

    def _environment(self, directory: Path) -> dict[str, str]:
        settings = directory / "containers.conf"
        if not settings.exists():
            runtime = shutil.which("runc") or shutil.which("crun") or "crun"
            settings.write_text(
                '[containers]\nnetns = "none"\nlog_driver = "k8s-file"\n'
                'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\npids_limit = 0\ncgroups = "enabled"\n'
                f'[engine]\nruntime = "{os.environ.get("DPTY_TEST_PODMAN_RUNTIME", Path(runtime).name)}"\n'
            )
        return {**os.environ, "CONTAINERS_CONF": str(settings)}

    def _say(self, directory: Path, argv: list[str]) -> None:
        done = subprocess.run(
            argv, capture_output=True, text=True, env=self._environment(directory), timeout=60
        )
        if done.returncode:
            raise Unavailable(f"{' '.join(argv[len(argv) - 4 :])}: {done.stderr.strip()[-400:]}")

    def _trial(self, directory: Path, base: list[str]) -> None:
        self._say(directory, [*base, "run", "--rm", "--network=none", "busybox:latest", "true"])

    def docker_client(self, timeout: int = 60) -> docker.DockerClient:
        """A client on Podman's Docker-compatible socket."""
        return docker.DockerClient(base_url=self.host_url, timeout=timeout)

    def close(self) -> None:
        """Stop the service, and the monitors of execs whose clients went away, which Podman leaves for ever."""
        self._service.terminate()
        self._service.wait(10)
        for entry in Path("/proc").iterdir():
            command = _command_of(entry)
            if command.startswith(b"/usr/bin/conmon") and os.fsencode(self._storage) in command:
                _kill(int(entry.name))


def _command_of(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended


KINDS: dict[str, Callable[[Path], Transport]] = {
    "unix": Unix,
    "tcp": Tcp,
    "tls": TlsTransport,
    "ssh": FakeSsh,
    "sshd": Sshd,
    "podman": Podman,
}


def wanted() -> tuple[str, ...]:
    """Which ways the tests take: `DPTY_TEST_TRANSPORTS` by name, all of them in a soak, else unix."""
    if named := os.environ.get("DPTY_TEST_TRANSPORTS"):
        return tuple(named.split(","))
    return ALL if os.environ.get("DPTY_SOAK") == "1" else ("unix",)


def _image(directory: Path) -> str:
    """The engine's own busybox as a tar, so that both engines run the same."""
    path = directory / "busybox.tar"
    client = docker.DockerClient(base_url=engine_url())
    try:
        container = client.api.create_container("busybox:latest", ["true"])
        try:
            with path.open("wb") as file:
                for chunk in client.api.export(container["Id"]):
                    file.write(chunk)
        finally:
            client.api.remove_container(container["Id"])
    finally:
        client.close()
    return str(path)


def _program(name: str, hint: str, fallback: str = "") -> str:
    found = shutil.which(name) or (fallback if os.access(fallback, os.X_OK) else None)
    if not found:
        raise Unavailable(f"no {name} here; {hint}")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def _answers(path: Path) -> bool:
    """Say whether somebody takes connections there: the file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def _set(changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
