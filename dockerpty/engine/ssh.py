"""An engine on another machine, over the system's `ssh` and `docker system dial-stdio` on the far side."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import tempfile

from dockerpty.engine.transport import SocketTransport
from dockerpty.errors import EngineUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from dockerpty.engine.endpoint import Endpoint

# A Ctrl-C or Ctrl-\ typed at a cooked terminal goes to all that are in the foreground: ignored by the shell and thus by
# ssh, which stays there to ask for a passphrase.
_SHIELDED = ["sh", "-c", 'trap "" INT QUIT; exec "$0" "$@"']

# Seconds that ssh is given: to end when its input has ended, to end when it is told to, to write its last words.
_PATIENCE_S = 0.2
_TERMINATION_S = 0.5
_LAST_WORDS_S = 0.5
# Of what ssh said, the end: the rest may be a banner.
_WORDS = 400

# ssh's own failures, and those of a shell that cannot run a program: on the far side `docker`. And what `docker` says
# over there when it gets no connection to the engine.
_OWN_FAILURE = 255
_NEVER_STOOD = (_OWN_FAILURE, 126, 127)
_NO_ENGINE = "failed to open the raw stream connection"

# What OpenSSH says, and what to do about it; {login} is what a person types.
_KNOWN = (
    ("identification has changed", "its key is not that in known_hosts: find out why before you remove that"),
    ("host key verification failed", "connect once with `{login}`, to see and accept its key"),
    ("permission denied", "does `{login}` let you in? give ssh a key that it takes over there"),
    ("too many authentication failures", "name the one key that it takes in your ssh configuration"),
    ("could not resolve hostname", "is the name spelled right, or is it a Host of your ssh configuration?"),
    ("connection refused", "is an ssh server running there, and is the port right?"),
    ("timed out", "is it up, and is a firewall in between?"),
    ("no route to host", "is the network up?"),
)


class SSHTransport(SocketTransport):
    """A socket whose other end is the standard input and output of an `ssh`, which ends with it."""

    __slots__ = ("_heard", "_login", "_process", "_said", "_words")

    def __init__(
        self, sock: socket.socket, name: str, process: subprocess.Popen[bytes], said: IO[bytes], login: str
    ) -> None:
        """Take over both; `login` is what a person types to get to the same machine."""
        super().__init__(sock, name)
        self._process = process
        self._said = said
        self._login = login
        self._heard = False
        self._words = ""

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive once. An end that is the end of `ssh` itself, and not of the stream, is a loss."""
        try:
            count = super().recv_into(buffer)
        except ConnectionResetError:
            # It ended before it had read all that we sent. What it wrote has been read, for it was written on this
            # machine: so this is an end like any other.
            count = 0
        if not count and self._heard and len(buffer) and self._ends_within(_LAST_WORDS_S):
            code = self._process.returncode
            if code < 0 or code == _OWN_FAILURE:
                raise ConnectionResetError(errno.ECONNRESET, f"ssh ended with {code}")
        self._heard = self._heard or bool(count)
        return count

    def end_waits(self) -> bool:
        """Say whether the end has come, of `ssh` or of the stream: only ssh's own end tells which."""
        if self._ahead or not self._heard:
            return False
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:
            return True
        except OSError:
            return False  # nothing is there, or what is wrong will be told by reading

    def never_arrived(self) -> str:
        """Tell by how ssh ended: it takes what we send long before anybody is there to have it."""
        if self._heard or not (self._process.returncode in _NEVER_STOOD or _NO_ENGINE in self._words):
            return ""
        trial, code = f"does `{self._login} docker version` work?", self._process.returncode
        if _NO_ENGINE in self._words:
            return f"the engine over there does not run, or is not yours to use: {trial}"
        if code == 127:
            return "install docker's command over there, where a shell without a terminal finds it"
        words = self._words.lower() if code == 255 else ""
        return next((hint.format(login=self._login) for said, hint in _KNOWN if said in words), trial)

    def last_words(self) -> str:
        """Wait shortly for ssh to end and give what it said on its standard error."""
        if self._said.closed:
            return ""
        self._ends_within(_LAST_WORDS_S)
        self._said.seek(0)
        text = self._said.read().decode("utf-8", "replace")
        self._words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if self._words:
            return f"ssh says: {self._words[-_WORDS:].rstrip('.')}"
        return f"ssh ended with {self._process.returncode}" if self._process.returncode else ""

    def close(self) -> None:
        """Close the socket and see ssh out, for less than a second before it is killed."""
        super().close()
        if self._said.closed:
            return
        try:
            if not self._ends_within(_PATIENCE_S):
                self._process.terminate()
                if not self._ends_within(_TERMINATION_S):
                    self._process.kill()
                    self._process.wait()
        finally:
            self._said.close()

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def start(endpoint: Endpoint, timeout: float) -> SSHTransport:
    """Start `ssh` to the engine's machine. Whether that works is known with the first bytes that come.

    Raises:
        EngineUnreachable: there is no `ssh` here.
    """
    program = endpoint.program
    if shutil.which(program) is None:
        raise EngineUnreachable(
            "reach",
            f"the engine at {endpoint.name}",
            f"there is no {program} here",
            "install openssh-client" if program == "ssh" else "look at what --ssh-client names",
        )
    ours, theirs = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115  # closed by the transport
    try:
        process = subprocess.Popen(
            [*_SHIELDED, program, *arguments(endpoint, timeout)],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=said,
        )
    except BaseException as error:
        ours.close()
        said.close()
        if isinstance(error, OSError):
            raise EngineUnreachable(
                "reach", f"the engine at {endpoint.name}", f"ssh cannot be started: {error.strerror}"
            ) from error
        raise
    finally:
        theirs.close()
    return SSHTransport(ours, endpoint.name, process, said, _login(endpoint))


def arguments(endpoint: Endpoint, timeout: float) -> list[str]:
    """Give the arguments for `ssh`: options, host, and the command for the far side's shell."""
    # Without a terminal over there, and not waiting longer for the network than for any other connection.
    options = ["-T", "-o", f"ConnectTimeout={max(1, round(timeout))}"]
    if endpoint.user:
        options += ["-l", endpoint.user]
    if endpoint.jump:
        options += ["-J", endpoint.jump]
    if endpoint.port:
        options += ["-p", str(endpoint.port)]
    remote = "docker system dial-stdio"
    if endpoint.path:
        quoted = "'" + f"unix://{endpoint.path}".replace("'", "'\\''") + "'"
        remote = f"docker --host {quoted} system dial-stdio"
    return [*options, "--", endpoint.host, remote]


def _login(endpoint: Endpoint) -> str:
    port = f"-p {endpoint.port} " if endpoint.port else ""
    jump = f"-J {endpoint.jump} " if endpoint.jump else ""
    user = f"{endpoint.user}@" if endpoint.user else ""
    return f"{endpoint.program} {jump}{port}{user}{endpoint.host}"
