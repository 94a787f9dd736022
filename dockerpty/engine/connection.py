"""One connection to an engine, and one exchange on it.

`connect` opens what an `Endpoint` says: unix and tcp sockets here, TLS in `tls`, ssh in `ssh`, paramiko in `threaded`,
each loaded when it is first needed. An `Exchange` moves a request and its answer without blocking, so that a loop can
drive many. How either is written on the wire is in `http11`.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import time

from dockerpty.engine.endpoint import DEFAULT_SOCKET
from dockerpty.engine.http11 import Answer
from dockerpty.engine.transport import SocketTransport, Transport
from dockerpty.errors import EngineUnreachable, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from dockerpty.engine.endpoint import Endpoint
    from dockerpty.engine.transport import Stopping
else:
    import _socket as socket  # as in `transport`

__all__ = ["Exchange", "SocketTransport", "Transport", "connect", "unreachable", "wait_for"]

READ_SIZE = 64 * 1024

# A silent network is noticed after a minute: 30 s without traffic, then three probes 10 s apart.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
# poll takes no more milliseconds than fit an int of C: some 24 days.
_LONGEST_WAIT_S = 2_000_000.0


class Exchange:
    """One request and its answer on a transport, advanced by `serve` whenever poll says so.

    Attributes:
        answer: what has come so far.
        taken: bytes of the request that the transport accepted; 0 means that the engine cannot know of it.
    """

    __slots__ = ("_between", "_body", "_broken", "_piece", "_request", "answer", "taken", "transport")

    def __init__(
        self,
        transport: Transport,
        request: bytes,
        answer: Answer | None = None,
        body: Iterator[bytes] | None = None,
    ) -> None:
        """Prepare to send `request`; `answer` says how to read what comes, by default from the request's method.

        Args:
            body: what follows a request that says it is chunked. A piece is asked for when the one before it is sent,
                so that no more than one is held; what `body` raises comes out of `serve`.
        """
        self.transport = transport
        self.answer = answer or Answer(request.partition(b" ")[0].decode("latin-1"))
        self.taken = 0
        self._body = body
        self._broken: OSError | None = None
        self._request = memoryview(request)
        # What follows that: a piece of the body, as it is. To copy it would take longer than to send it.
        self._piece = memoryview(b"")
        # What ends the piece before.
        self._between = b""

    @property
    def reusable(self) -> bool:
        """All was said and all was heard: the transport can carry the next exchange."""
        return (
            self.answer.complete
            and self.answer.reusable
            and not self.answer.rest
            and not self._request
            and self._body is None
            and self._broken is None
            and not self.transport.unsent()
        )

    def interest(self) -> list[tuple[int, int]]:
        """Give the descriptors to poll, each once, with poll's events."""
        reading, writing = self.transport.fileno(), self.transport.write_fileno()
        if not self._request and self._body is None and not self.transport.unsent():
            return [(reading, select.POLLIN)]
        if reading == writing:
            return [(reading, select.POLLIN | select.POLLOUT)]
        return [(reading, select.POLLIN), (writing, select.POLLOUT)]

    def serve(self) -> None:
        """Send and read what goes without waiting. Bytes after the answer are left in `answer.rest`.

        Raises:
            EngineUnreachable: the connection ended or broke before the answer was complete.
            ProtocolError: what came is no answer.
        """
        if self._body is not None and not self._request:
            # One piece in a turn, so that an answer which comes early is read: it is a refusal.
            self._next_piece(self._body)
        try:
            self._send()
        except BlockingIOError:
            pass  # the rest goes in the next turn
        except OSError as error:
            # An engine may answer and close before it has read all of a request: the answer may be there still.
            self._broken = error
            self._request = self._piece = memoryview(b"")
            self._body = None
        while not self.answer.complete:
            try:
                data = self.transport.recv(READ_SIZE)
            except BlockingIOError:
                if self._broken is not None:
                    raise self._lost(str(self._broken.strerror or self._broken)) from self._broken
                return
            except OSError as error:
                raise self._lost(str(error.strerror or error)) from error
            if not data:
                self._end()
                return
            self.answer.feed(data)

    def until(self, done: Callable[[], bool], deadline: float, stop: Stopping | None = None) -> None:
        """Serve until `done()`, waiting in poll.

        Args:
            done: asked after each step; `True` ends the waiting.
            deadline: by `time.monotonic`.
            stop: ends a wait, by what it raises.

        Raises:
            EngineUnreachable: as `serve`, or the deadline passed.
            ProtocolError: as `serve`.
        """
        self.serve()
        while not done():
            interest = self.interest()
            if stop is not None:
                stop.check()
                interest.append((stop.fileno(), select.POLLIN))
            if not wait_for(interest, deadline) and not self.transport.pending():
                raise unreachable(
                    self.transport.name, "it did not answer in time", "is it stuck, or very busy?"
                )
            self.serve()

    def _send(self) -> None:
        while self._request:
            count = self.transport.send(self._request)
            self.taken += count
            self._request = self._request[count:]
            if not self._request:
                self._request, self._piece = self._piece, memoryview(b"")
        if self.transport.unsent():
            self.transport.flush()

    def _next_piece(self, body: Iterator[bytes]) -> None:
        for piece in body:
            if piece:
                self._request = memoryview(b"%b%x\r\n" % (self._between, len(piece)))
                self._piece, self._between = memoryview(piece), b"\r\n"
                return
        self._body = None
        self._request = memoryview(self._between + b"0\r\n\r\n")

    def _end(self) -> None:
        if self.answer.started:
            try:
                self.answer.eof()
                return
            except ProtocolError as error:
                raise self._lost("it closed the connection in the middle of an answer") from error
        raise self._lost("it closed the connection without an answer") from self._broken

    def _lost(self, reason: str) -> EngineUnreachable:
        words = self.transport.last_words()
        hint = self.transport.never_arrived()
        if hint:
            self.taken = 0
        return unreachable(self.transport.name, words or reason, hint or "is it still running?")


def wait_for(interest: list[tuple[int, int]], deadline: float) -> bool:
    """Wait in poll for one of the descriptors until `deadline`, by `time.monotonic`; say whether one is ready."""
    poll = select.poll()
    for fd, events in interest:
        poll.register(fd, events)
    left = min(deadline - time.monotonic(), _LONGEST_WAIT_S)
    # Rounded up: a wait that ends a fraction of a millisecond early would be repeated at full speed.
    return bool(poll.poll(int(left * 1000) + 1 if left > 0 else 0))


def connect(endpoint: Endpoint, timeout: float = 10.0) -> Transport:
    """Open a connection of its own; with ssh the far side may still fail in the first exchange.

    Args:
        endpoint: where to.
        timeout: seconds until it must stand, a TLS handshake included.

    Raises:
        EngineUnreachable: says which of the many possible reasons it was, and what to do.
    """
    deadline = time.monotonic() + timeout
    if endpoint.kind == "unix":
        return SocketTransport(_connect_unix(endpoint, timeout), endpoint.name)
    if endpoint.kind == "tcp":
        sock = _connect_tcp(endpoint, deadline)
        if endpoint.tls is None:
            return SocketTransport(sock, endpoint.name)
        from dockerpty.engine.tls import handshake

        return handshake(sock, endpoint, deadline)
    if endpoint.kind == "ssh":
        from dockerpty.engine.ssh import start

        return start(endpoint, timeout)
    from dockerpty.engine.threaded import open_channel

    return open_channel(endpoint.client, endpoint.name, timeout)


def unreachable(name: str, reason: str, hint: str = "") -> EngineUnreachable:
    """Make the error for an engine that does not answer."""
    return EngineUnreachable("reach", f"the engine at {name}", reason, hint)


def _connect_unix(endpoint: Endpoint, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Not by settimeout: a non-blocking connect fails at once while the engine's queue is full.
        _limit_sending(sock, timeout)
        sock.connect(endpoint.path)
    except OSError as error:
        sock.close()
        raise _why_not_unix(endpoint, error) from error
    return sock


def _limit_sending(sock: socket.socket, timeout: float) -> None:
    seconds, fraction = divmod(min(max(timeout, 0.001), _LONGEST_WAIT_S), 1)
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(seconds), int(fraction * 1e6))
    )


def _why_not_unix(endpoint: Endpoint, error: OSError) -> EngineUnreachable:
    if error.errno == errno.ENOENT:
        hint = "start the engine, or say where it is with DOCKER_HOST"
        if endpoint.path == DEFAULT_SOCKET:
            hint = "install Docker or Podman, start it, or say where it is with DOCKER_HOST or a context"
        return unreachable(endpoint.name, "there is no such socket", _or_rootless(endpoint, hint))
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = (
            "use sudo" if "podman" in endpoint.path else "use sudo, or join the group docker and log in again"
        )
        hint = _or_rootless(endpoint, hint)
        return unreachable(endpoint.name, "you are not allowed to use its socket", hint)
    if error.errno == errno.ECONNREFUSED:
        return _why_refused(endpoint)
    if error.errno == errno.EAGAIN:
        return unreachable(
            endpoint.name, "it did not take the connection in time", "is it stuck, or very busy?"
        )
    return unreachable(endpoint.name, error.strerror or str(error), "is the path right?")


def _why_refused(endpoint: Endpoint) -> EngineUnreachable:
    """Tell a socket that nobody listens on from what is no socket: the kernel says the same of both."""
    import stat

    try:
        mode = os.stat(endpoint.path).st_mode
    except OSError:
        mode = stat.S_IFSOCK
    if stat.S_ISDIR(mode):
        # What `-v /var/run/docker.sock:...` makes where there is no socket yet.
        return unreachable(
            endpoint.name,
            "it is a directory and no socket",
            "if a container that mounts it has made it, remove it and start the engine again",
        )
    if not stat.S_ISSOCK(mode):
        return unreachable(
            endpoint.name, "it is no socket", "say where the engine's socket is with DOCKER_HOST"
        )
    return unreachable(
        endpoint.name,
        "nothing listens on its socket",
        "is the engine running? `sudo systemctl start docker` may start it"
        if endpoint.path == DEFAULT_SOCKET
        else "is the engine running?",
    )


def _or_rootless(endpoint: Endpoint, hint: str) -> str:
    """Add to what can be done the engine that a user runs without root: docker does not look for it either."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    path = f"{runtime}/docker.sock"
    if not runtime or path == endpoint.path or not os.path.exists(path):
        return hint
    return f"{hint}; or use your own: DOCKER_HOST=unix://{path}"


def _connect_tcp(endpoint: Endpoint, deadline: float) -> socket.socket:
    try:
        # As bytes: for str the idna codec is loaded, which takes longer than to connect.
        host = endpoint.host.encode("ascii") if endpoint.host.isascii() else endpoint.host
        places = socket.getaddrinfo(host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unreachable(
            endpoint.name,
            f"its name {endpoint.host} is not known",
            "is it spelled right, and is the network up?",
        ) from error
    failure: OSError = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    for index, (family, kind, protocol, _, address) in enumerate(places):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            # A share of the time for each address, so that a silent first one leaves some for the next.
            share = (deadline - time.monotonic()) / (len(places) - index)
            _finish_connect(sock, sock.connect_ex(address), time.monotonic() + share)
            _tune(sock)
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise _why_not_tcp(endpoint, failure) from failure


def _finish_connect(sock: socket.socket, code: int, deadline: float) -> None:
    if code == errno.EINPROGRESS:
        if not wait_for([(sock.fileno(), select.POLLOUT)], deadline):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        # macOS has the first under another name; where there is none the system's own time counts.
        number = getattr(socket, option, None) or (
            option == "TCP_KEEPIDLE" and getattr(socket, "TCP_KEEPALIVE", None)
        )
        if number:
            sock.setsockopt(socket.IPPROTO_TCP, number, value)


def _why_not_tcp(endpoint: Endpoint, error: OSError) -> EngineUnreachable:
    if error.errno == errno.ECONNREFUSED:
        return unreachable(
            endpoint.name, "the connection was refused", "is the engine running, and is the port right?"
        )
    if error.errno in (errno.ETIMEDOUT, errno.EAGAIN):
        return unreachable(endpoint.name, "it did not answer in time", "is a firewall in between?")
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return unreachable(endpoint.name, "there is no route to it", "is the network up?")
    return unreachable(endpoint.name, error.strerror or str(error))
