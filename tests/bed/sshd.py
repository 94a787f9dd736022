"""OpenSSH's server on a port of the loopback interface, with keys, known hosts and settings of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.bed.engine import engine_url
from tests.bed.transports import Unavailable
from tests.bed.waiting import wait_for


class SshServer:
    """A server, which runs from `start` to `close`.

    Args:
        directory: for its files.
        settings: lines of sshd's configuration, before those that all have: the first of a name counts.
        environment: of what is run over there.

    Attributes:
        port: where it listens, also after it was started again.
        key: the private key that is let in.
        known_hosts: a file with the server's key.
        user: who is let in.
        client: of SSH, with which an `SSHHost` comes.
    """

    client = "asyncssh"

    def __init__(
        self, directory: Path, *settings: str, environment: str = f"DOCKER_HOST={engine_url()}"
    ) -> None:
        self._program = shutil.which("sshd") or "/usr/sbin/sshd"
        if not os.access(self._program, os.X_OK) or shutil.which("ssh-keygen") is None:
            raise Unavailable("no sshd or ssh-keygen here; install openssh-server and openssh-client")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.user = getpass.getuser()
        self.port = free_port()
        self.key, self.host_key = directory / "user_key", directory / "host_key"
        for key in (self.key, self.host_key):
            generate(key)
        authorized = directory / "authorized"
        authorized.write_text(self.key.with_suffix(".pub").read_text())
        authorized.chmod(0o600)
        self.known_hosts = directory / "known_hosts"
        self.knows(self.host_key)
        self._log = directory / "sshd.log"
        lines = [
            *settings,
            f"ListenAddress 127.0.0.1:{self.port}",
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {authorized}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin yes",
            "MaxStartups 100",
            "Subsystem sftp internal-sftp",
            "UseDNS no",
            # A home of its own: what the real one's shell does at its start is cut short with a connection, and may
            # leave a lock behind.
            f"SetEnv HOME={directory} {environment}",
        ]
        self._config = directory / "sshd_config"
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def knows(self, key: Path) -> None:
        """Have the file of known hosts tell this key."""
        public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")

    def way(self, **more: Any) -> dict[str, Any]:
        """Give the arguments of an `SSHHost` that is let in, and reads nothing of this machine's own settings."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "client_keys": str(self.key),
            "known_hosts": str(self.known_hosts),
            "config": False,
            "agent": False,
            "ssh_client": self.client,
            **more,
        }

    def start(self) -> Self:
        """Start it, and wait until it listens."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                [self._program, "-D", "-e", "-f", str(self._config)], stdin=subprocess.DEVNULL, stderr=said
            )
        try:
            wait_for(self._listens, 10, "sshd to listen")
        except AssertionError as error:
            self.close()
            raise Unavailable(f"{error}; it says {self.log()[-500:]}") from error
        return self

    def log(self) -> str:
        """What it said."""
        return self._log.read_text() if self._log.exists() else ""

    def logins(self) -> int:
        """How often somebody was let in."""
        return self.log().count("Accepted ")

    def connections(self) -> list[int]:
        """The processes that serve connections."""
        if self._process is None:
            return []
        return descendants(self._process.pid)

    def signal_connections(self, number: int) -> None:
        """Signal all that serves connections, or runs in one."""
        for pid in self.connections():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # it has ended

    def close(self) -> None:
        """Stop it, with its connections. It can be started again."""
        process, self._process = self._process, None
        if process is None:
            return
        left = descendants(process.pid)
        process.terminate()
        process.wait(10)
        for pid in left:
            try:
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it has ended

    def _listens(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError("sshd ended")
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False


def generate(key: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    """Make a pair of keys."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(key)], check=True)
    return key


def fingerprint(key: Path) -> str:
    """Give the fingerprint of a key, as ssh-keygen tells it."""
    said = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], check=True, capture_output=True, text=True)
    return said.stdout.split()[1]


def free_port() -> int:
    """Give a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def descendants(pid: int) -> list[int]:
    """List the processes that a process started, and those that these did."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, ahead = [], [pid]
    while ahead:
        children = parents.get(ahead.pop(), [])
        found += children
        ahead += children
    return found
