"""Servers in threads for the tests of connections, and an engine that answers what a test tells it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


class Server:
    """Accepts connections and hands each to `work` in a thread; joined at the end."""

    def __init__(self, listener: socket.socket, work: Callable[[socket.socket], None]) -> None:
        self.listener = listener
        self.work = work
        self.address = listener.getsockname()
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return  # closed
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                self.work(sock)
            except OSError as error:
                self.failures.append(error)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


class Request:
    """What a client asked, and on which of its connections."""

    def __init__(self, head: bytes, body: bytes, connection: int) -> None:
        first, *lines = head.decode().split("\r\n")
        self.line = first.removesuffix(" HTTP/1.1")
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.body = body
        self.connection = connection


Step = bytes | Callable[[socket.socket], None] | None


class ScriptedEngine:
    """An engine for one test: answers the requests, in the order in which they come, with what it was told.

    Args:
        path: where to listen.
        steps: for each request bytes to answer, something to do with the socket, or `None`: close it.
    """

    def __init__(self, path: str, *steps: Step) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.url = f"unix://{path}"
        self.steps = list(steps)
        self.requests: list[Request] = []
        self._connections = 0
        self._server = Server(listener, self._converse)

    @property
    def lines(self) -> list[str]:
        """Method and target of each request."""
        return [request.line for request in self.requests]

    def close(self) -> None:
        """Stop listening; the clients must have closed."""
        self._server.close()

    def _converse(self, sock: socket.socket) -> None:
        number = self._connections
        self._connections += 1
        sock.settimeout(20)
        while (request := self._read(sock, number)) is not None:
            self.requests.append(request)
            step = self.steps.pop(0)
            if step is None:
                return
            if callable(step):
                step(sock)
            else:
                sock.sendall(step)
                if "Transfer-Encoding" in request.headers:
                    # What is still to come of its body is no further request.
                    while sock.recv(65536):
                        pass
                    return

    def _read(self, sock: socket.socket, number: int) -> Request | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        request = Request(head, body, number)
        while len(request.body) < int(request.headers.get("Content-Length", "0")):
            request.body += sock.recv(65536)
        return request


def answer(status: int, body: bytes = b"", reason: str = "Whatever", **headers: str) -> bytes:
    """Give the bytes of an answer; underscores in a header's name become dashes."""
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if status != 101:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
