"""An engine on another machine, over the system's `ssh` and `docker system dial-stdio` on the far side."""

from __future__ import annotations

import socket
import subprocess
import tempfile

from .errors import EngineUnreachable
from .transport import SocketTransport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from .endpoint import Endpoint

# A Ctrl-C or Ctrl-\ typed at a cooked terminal goes to all that are in the foreground: ignored by the shell and thus by
# ssh, which stays there to ask for a passphrase.
_SHIELDED = ["sh", "-c", 'trap "" INT QUIT; exec ssh "$@"', "ssh"]

# Seconds that ssh is given: to end when its input has ended, to end when it is told to, to write its last words.
_PATIENCE_S = 0.2
_TERMINATION_S = 0.5
_LAST_WORDS_S = 0.5
# Of what ssh said, the end: the rest may be a banner.
_WORDS = 400


class SSHTransport(SocketTransport):
    """A socket whose other end is the standard input and output of an `ssh`, which ends with it."""

    __slots__ = ("_process", "_said")

    def __init__(
        self, sock: socket.socket, name: str, process: subprocess.Popen[bytes], said: IO[bytes]
    ) -> None:
        super().__init__(sock, name)
        self._process = process
        self._said = said

    def last_words(self) -> str:
        """Wait shortly for ssh to end and give what it said on its standard error."""
        if self._said.closed:
            return ""
        self._ends_within(_LAST_WORDS_S)
        self._said.seek(0)
        text = self._said.read().decode("utf-8", "replace")
        words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if words:
            return f"ssh says: {words[-_WORDS:]}"
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
    ours, theirs = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115  # closed by the transport
    try:
        process = subprocess.Popen(
            _SHIELDED + arguments(endpoint, timeout),
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
    return SSHTransport(ours, endpoint.name, process, said)


def arguments(endpoint: Endpoint, timeout: float) -> list[str]:
    """Give the arguments for `ssh`: options, host, and the command for the far side's shell."""
    # Without a terminal over there, and not waiting longer for the network than for any other connection.
    options = ["-T", "-o", f"ConnectTimeout={max(1, round(timeout))}"]
    if endpoint.user:
        options += ["-l", endpoint.user]
    if endpoint.port:
        options += ["-p", str(endpoint.port)]
    remote = "docker system dial-stdio"
    if endpoint.path:
        quoted = "'" + f"unix://{endpoint.path}".replace("'", "'\\''") + "'"
        remote = f"docker --host {quoted} system dial-stdio"
    return [*options, "--", endpoint.host, remote]
