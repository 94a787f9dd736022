"""An engine behind a client that we cannot look into: every call goes through the client's own methods.

The client needs those of docker-py's low-level `APIClient` that the session calls. What its methods cannot do without
blocking a thread does: resizes and signals from inside a loop, in one that ends with `close`; each wait for an end, in
one of its own.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import select
import socket
import ssl
import threading
import time

from dockerpty.engine.calls import Reply
from dockerpty.engine.interface import TIMEOUT, Control, Engine, Pending
from dockerpty.engine.threaded import ThreadTransport
from dockerpty.engine.transport import SocketTransport, Transport
from dockerpty.engine.twins import of_an_engine, of_client, twin
from dockerpty.errors import DockerptyError, EngineError, EngineUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from dockerpty.engine.calls import Call
    from dockerpty.engine.interface import Done

    Outcome = Reply | DockerptyError

# A call that hangs in the client is left to its thread after this.
_JOIN_S = 2.0


class ForeignEngine(Engine):
    """A client's methods as an engine. The client stays its owner's, and `timeout` is the client's own affair."""

    def __init__(self, client: Any) -> None:
        self._client = client
        base_url = getattr(client, "base_url", None)
        self.name = base_url if isinstance(base_url, str) else type(client).__name__
        self.api_version = _version(getattr(client, "_version", None))
        self.is_podman = None

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        """Call the client's method; what it returns becomes the reply's body."""
        result = self.call(call, subject)
        if result is None:
            return Reply(204, {}, b"")
        return Reply(200, {}, result if isinstance(result, bytes) else json.dumps(result).encode())

    def stream(
        self, call: Call, take: Callable[[bytes], None], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Call the client's method, and hand on in one piece the text that it returns, or in its own what it gives."""
        result = self.call(call, subject)
        if isinstance(result, tuple):
            # An archive, and what is known of it.
            for piece in result[0]:
                take(piece)
        else:
            take(result if isinstance(result, bytes) else str(result or "").encode())
        return Reply(200, {}, b"")

    def upload(
        self, call: Call, body: Iterator[bytes], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Call the client's method with the body as its `data`."""
        self.call(call, subject, data=body)
        return Reply(200, {}, b"")

    def hijack(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Transport:
        """Take the socket that the client's method gives out, and what the client has read too much of it."""
        return transport_of(self.call(call, subject), self.name)

    def begin(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Pending | None:
        """Have a thread wait for the whole answer. When the engine has got the call, nobody can tell."""
        return ForeignPending(self, call, subject) if hasattr(self._client, call.name) else None

    def control(self, *, connects: bool = True) -> Control:
        """Start a thread for calls from inside a loop."""
        return ForeignControl(self)

    def close(self) -> None:
        """Nothing is ours here."""

    def call(self, call: Call, subject: str, **more: Any) -> Any:
        """Call the client's method, with `more` beside the call's own arguments, and give what it returns."""
        method = getattr(self._client, call.name, None)
        if method is None:
            raise EngineError(
                call.action,
                subject or call.subject,
                f"the client ({type(self._client).__name__}) has no method {call.name}",
                "give a docker.APIClient, or an object with the methods of one",
            )
        try:
            return method(**call.kwargs, **more)
        except of_an_engine() as error:
            if isinstance(error, DockerptyError):
                raise
            raise of_client(error, call, subject, self.name) from error


class ForeignPending(Pending):
    """An answer that a thread waits for; a pipe wakes the loop when it is there."""

    def __init__(self, engine: ForeignEngine, call: Call, subject: str) -> None:
        self._outcome: Outcome | None = None
        self._wake_read, wake_write = os.pipe()
        # A daemon: no client's method can be broken off, and nobody waits for it once this is closed.
        work = (engine, call, subject, wake_write)
        threading.Thread(target=self._work, args=work, name="dockerpty-wait", daemon=True).start()

    def interest(self) -> list[tuple[int, int]]:
        """Give the end of the pipe."""
        return [] if self.done else [(self._wake_read, select.POLLIN)]

    def serve(self) -> None:
        """Take what the thread has got."""
        if self.done or self._outcome is None:
            return
        if isinstance(self._outcome, DockerptyError):
            self.error = self._outcome
        else:
            self.reply = self._outcome
        self.close()

    def deadline(self) -> float | None:
        """Give none: the pipe tells."""
        return None

    def close(self) -> None:
        """Leave the thread to itself."""
        if not self.done:
            self.done = True
            os.close(self._wake_read)

    def _work(self, engine: ForeignEngine, call: Call, subject: str, wake_write: int) -> None:
        # The writing end is the thread's alone, and its end wakes the loop.
        with open(wake_write, "wb", buffering=0):
            try:
                self._outcome = engine.send(call, subject=subject)
            except DockerptyError as error:
                self._outcome = error
            except Exception as error:  # noqa: BLE001  # of somebody's client: who waits can do without
                self._outcome = EngineError(call.action, subject or call.subject, repr(error))


class ForeignControl(Control):
    """Calls in line for one thread; a pipe wakes the loop when one is done."""

    def __init__(self, engine: ForeignEngine) -> None:
        self._engine = engine
        self._to_do: queue.SimpleQueue[tuple[int, Call] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Outcome | Exception]] = queue.SimpleQueue()
        self._line: dict[int, tuple[Call, Done, float]] = {}
        self._count = 0
        self._deadline = 0.0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._thread = threading.Thread(target=self._work, name="dockerpty-control", daemon=True)
        self._thread.start()

    def submit(self, call: Call, done: Done, timeout: float) -> None:
        """Put a call in line for the thread."""
        self._count += 1
        if not self._line:
            self._deadline = time.monotonic() + timeout
        self._line[self._count] = (call, done, timeout)
        self._to_do.put((self._count, call))

    @property
    def idle(self) -> bool:
        """Nothing is in line."""
        return not self._line

    def interest(self) -> list[tuple[int, int]]:
        """Give the end of the pipe, while an answer is awaited."""
        return [(self._wake_read, select.POLLIN)] if self._line else []

    def deadline(self) -> float | None:
        """Give the end of the first call in line."""
        return self._deadline if self._line else None

    def serve(self) -> None:
        """Hand out what the thread has done, and what took too long."""
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass  # called because a time is over, not because something is done
        while not self._done.empty():
            number, outcome = self._done.get()
            # One that took too long was told of already.
            if number in self._line:
                self._finish(number, outcome)
        while self._line and time.monotonic() >= self._deadline:
            number = next(iter(self._line))
            call = self._line[number][0]
            late = EngineUnreachable(
                call.action, call.subject, f"the engine at {self._engine.name} did not answer in time"
            )
            self._finish(number, twin(late))

    def close(self) -> None:
        """Drop the line and see the thread out, for two seconds at most."""
        if self._wake_read < 0:
            return
        self._line.clear()
        self._to_do.put(None)
        self._thread.join(_JOIN_S)
        os.close(self._wake_read)
        self._wake_read = -1

    def _finish(self, number: int, outcome: Outcome | Exception) -> None:
        _, done, _ = self._line.pop(number)
        if self._line:
            self._deadline = time.monotonic() + next(iter(self._line.values()))[2]
        if isinstance(outcome, Exception) and not isinstance(outcome, DockerptyError):
            # A bug of the client, which is for the session's caller to see.
            raise outcome
        done(outcome)

    def _work(self) -> None:
        # The writing end is the thread's alone: one that comes back after `close` cannot hit a reused number.
        with open(self._wake_write, "wb", buffering=0) as wake:
            while (item := self._to_do.get()) is not None:
                number, call = item
                try:
                    outcome: Outcome | Exception = self._engine.send(call)
                except Exception as error:  # noqa: BLE001  # carried over to the loop's thread, and raised there
                    outcome = error
                self._done.put((number, outcome))
                try:
                    wake.write(b"\0")
                except BrokenPipeError:
                    return  # nobody waits any more


class ObjectTransport(SocketTransport):
    """A socket, or an object that behaves like one, as a client hands it out."""

    __slots__ = ("_keep",)

    def __init__(self, sock: Any, name: str, keep: tuple[Any, ...] = ()) -> None:
        """Take over `sock`; `keep` is what must live as long, since its end would close the socket."""
        if not hasattr(sock, "setblocking"):
            os.set_blocking(sock.fileno(), False)
            sock = _Unblocked(sock)
        super().__init__(sock, name)
        self._keep = keep

    def pending(self) -> bool:
        """Count also what a TLS socket has decrypted."""
        return bool(self._ahead) or (isinstance(self._socket, ssl.SSLSocket) and bool(self._socket.pending()))

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive once, by the object's own method."""
        if self._ahead:
            return self._take_ahead(buffer)
        try:
            data = self._socket.recv(len(buffer))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0
        except (BlockingIOError, ConnectionError):
            raise
        except OSError as error:  # it timed out, or its TLS is broken: lost like any other
            raise ConnectionResetError(error.errno, error.strerror) from error
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send once, by the object's own method."""
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except (BlockingIOError, ConnectionError):
            raise
        except OSError as error:  # it timed out, or its TLS is broken: lost like any other
            raise ConnectionResetError(error.errno, error.strerror) from error

    def can_half_close(self) -> bool:
        """Say no to TLS, where it would end the decryption of what comes."""
        return hasattr(self._socket, "shutdown") and not isinstance(self._socket, ssl.SSLSocket)

    def half_close(self) -> None:
        """Shut down the sending side."""
        if not self.can_half_close():
            raise OSError(errno.ENOTSUP, "this kind of connection can only be closed in both directions")
        super().half_close()

    def close(self) -> None:
        """End the connection, then close the socket and what was kept with it."""
        if hasattr(self._socket, "shutdown") and self.fileno() >= 0:
            # A socket that somebody has a file of stays open when it is closed.
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the far side has ended it already
        super().close()
        for kept in self._keep:
            kept.close()
        self._keep = ()


class _Unblocked:
    """An object without `setblocking`, whose descriptor was made non-blocking already."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def setblocking(self, blocking: bool) -> None:
        """Do nothing: it is done."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Program:
    """The `ssh` that docker-py runs, by its pipes: its `SSHSocket` has the descriptor of a socket it never uses."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._source = process.stdout.fileno()

    def setblocking(self, blocking: bool) -> None:
        """Set what reading the program's output does while there is none."""
        os.set_blocking(self._source, blocking)

    def recv(self, n: int) -> bytes:
        """Read what there is, past docker-py's buffer, which waits for all of it."""
        return os.read(self._source, n)

    def send(self, data: bytes) -> int:
        """Write to the program's input."""
        return os.write(self._process.stdin.fileno(), data)

    def shutdown_write(self) -> None:
        """End the program's input."""
        self._process.stdin.close()

    def close(self) -> None:
        """End the program, and with it the thread that waits for its output."""
        self._process.terminate()
        self._process.wait()


class ProgramTransport(ThreadTransport):
    """The same as a transport, with the object that docker-py handed out for it."""

    __slots__ = ("_handed",)

    def __init__(self, handed: Any, program: _Program, name: str) -> None:
        super().__init__(program, name)
        self._handed = handed

    def close(self) -> None:
        """Close also the pipes, when no thread uses them any more."""
        super().close()
        self._handed.proc.stdin.close()
        self._handed.proc.stdout.close()
        # docker-py's own `close` does nothing once the program's input is closed.
        socket.socket.close(self._handed)


def transport_of(handed: Any, name: str) -> Transport:
    """Make a transport of what `attach_socket` or `exec_start(socket=True)` returned, which it owns from now on."""
    response = getattr(handed, "_response", None)
    sock = getattr(handed, "_sock", handed)
    program = _Program(sock.proc) if hasattr(sock, "proc") else None
    early = _read_ahead(program or sock, response)
    pollable = all(hasattr(sock, method) for method in ("fileno", "recv", "send"))
    if program is not None:
        transport: Transport = ProgramTransport(handed, program, name)
    # A channel of paramiko has a descriptor that tells of reading only.
    elif pollable and not hasattr(sock, "send_ready"):
        kept = tuple(each for each in (response, handed) if hasattr(each, "close"))
        transport = ObjectTransport(sock, name, kept)
    else:
        if hasattr(sock, "settimeout"):
            # docker-py's 60 s are for the head; a stream may be silent for longer.
            sock.settimeout(None)
        transport = ThreadTransport(sock, name)
    transport.unread(early)
    return transport


def _read_ahead(sock: Any, response: Any) -> bytes:
    """Take what the client's reader of the head has read of the stream behind it, without waiting for more."""
    reader: Any = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
    if hasattr(reader, "_rbuffer"):
        # paramiko's own kind of reader.
        early, reader._rbuffer = bytes(reader._rbuffer), b""
        return early
    if not hasattr(reader, "read1") or not hasattr(sock, "setblocking"):
        return b""
    sock.setblocking(False)
    try:
        # With nothing in its buffer it tries the socket once.
        return bytes(reader.read1() or b"")
    except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
        return b""
    finally:
        sock.setblocking(True)


def _version(version: Any) -> tuple[int, int] | None:
    if not isinstance(version, str):
        return None
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
