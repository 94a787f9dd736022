"""A proxy between a client and an engine that does to their connection what a test asks for.

Without rules it is transparent: bytes go through as they come, and so does the end of one direction while
the other goes on. It reads requests and answers only as far as needed to know where they begin and end, notes
every request, and applies the first `Rule` that fits. After an upgrade the connection is a stream.

One thread carries each direction of each connection; `close` ends and joins all of them.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from tests.bed.channels import Channel, Plain, Tls
from tests.bed.engine import short_directory
from tests.bed.waiting import wait_for

HEAD_LIMIT = 1 << 16

Cut = Literal["end", "reset", "swallow"]


@dataclass(frozen=True)
class Request:
    """A request that passed, or was answered here."""

    method: str
    path: str
    """With the query, as the client sent it."""
    headers: dict[str, str]
    body: bytes
    when: float
    """`time.monotonic()` at which its head was complete."""
    connection: int


@dataclass
class Rule:
    """What to do with the requests that fit, their answers, and the streams that follow.

    Attributes:
        method, path: patterns; the path's is searched for in path and query.
        times: how many requests it is for; None for all. `skip`: how many pass before.
        hold_request: keep the request back until this event is set.
        hold_answer: keep the head of the engine's answer back until this event is set.
        delay: seconds before the head of the answer is passed on.
        answer: do not ask the engine; status and body of the answer.
        no_upgrade: take the Upgrade headers out of the request, so that the engine answers 200.
        edit: the answer's body, changed (its length is corrected).
        joined: send the head of the answer and the first data of the stream in one piece.
        dribble: send so many first bytes of answer and stream one by one.
        inject: (n, bytes): put bytes into the stream from the engine after n of its bytes.
        cut_down: stop the stream from the engine after so many bytes, in the way of `cut`.
        cut_up: the same for the stream to the engine.
        cut: 'end' closes both sides, 'reset' drops them, 'swallow' reads on and says nothing.
        never_close: do not pass the end of the engine's stream on.
    """

    method: str = ".*"
    path: str = ""
    times: int | None = None
    skip: int = 0
    hold_request: threading.Event | None = None
    hold_answer: threading.Event | None = None
    delay: float = 0.0
    answer: tuple[int, bytes] | None = None
    no_upgrade: bool = False
    edit: Callable[[bytes], bytes] | None = None
    joined: bool = False
    dribble: int = 0
    inject: tuple[int, bytes] | None = None
    cut_down: int | None = None
    cut_up: int | None = None
    cut: Cut = "end"
    never_close: bool = False
    applied: int = field(default=0, init=False)

    def fits(self, method: str, path: str) -> bool:
        """Whether the rule is for this request; counts it."""
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.applied >= self.times:
            return False
        self.applied += 1
        return True


NO_RULE = Rule()


class Proxy:
    """Listens on as many addresses as asked, and speaks to one engine.

    Args:
        upstream: path of the engine's unix socket.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("unix://")
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.bytes_up = 0
        self.bytes_down = 0
        self._changed = threading.Condition()
        self._directory = short_directory()
        self._listeners: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._connections: list[_Connection] = []
        self._closing = False

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Where it listens.

    def unix(self) -> str:
        """Listen on a unix socket; its URL."""
        path = f"{self._directory.name}/{len(self._listeners)}.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        self._listen(listener, None)
        return f"unix://{path}"

    def tcp(self) -> str:
        """Listen on a port of the loopback interface; its URL."""
        return f"tcp://127.0.0.1:{self._loopback(None)}"

    def tls(self, context: ssl.SSLContext) -> str:
        """Listen for TLS; the URL, with the name that the certificate is made for."""
        return f"tcp://localhost:{self._loopback(context)}"

    def _loopback(self, context: ssl.SSLContext | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        self._listen(listener, context)
        port: int = listener.getsockname()[1]
        return port

    def _listen(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        listener.listen(64)
        self._listeners.append(listener)
        self._start(self._accept, listener, context)

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return  # closed by `close`
            upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                upstream.connect(self.upstream)
            except OSError:
                upstream.close()
                sock.close()
                continue
            client: Channel = Plain(sock) if context is None else Tls(sock, context)
            with self._changed:
                connection = _Connection(self, len(self._connections), client, Plain(upstream))
                self._connections.append(connection)
                if self._closing:
                    connection.drop()
                self._start(connection.carry_up)
                self._start(connection.carry_down)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"proxy-{work.__name__}")
        with self._changed:
            self._threads.append(thread)
        thread.start()

    # What it is told, and what it saw.

    def on(self, method: str = ".*", path: str = "", **what: object) -> Rule:
        """Add a rule (see `Rule`) and return it; the first one that fits a request applies."""
        rule = Rule(method, path, **what)  # type: ignore[arg-type]  # a Rule checks none, a wrong name is a TypeError
        self.rules.append(rule)
        return rule

    def count(self, method: str = ".*", path: str = "") -> int:
        """How many requests that fit have passed so far."""
        return len(self.seen(method, path))

    def seen(self, method: str = ".*", path: str = "") -> list[Request]:
        """The requests that fit, in order."""
        with self._changed:
            return [r for r in self.requests if re.fullmatch(method, r.method) and re.search(path, r.path)]

    def wait_for_request(
        self, method: str = ".*", path: str = "", count: int = 1, timeout: float = 10.0
    ) -> Request:
        """Wait until `count` requests that fit have come; the last of them."""
        wait_for(lambda: self.count(method, path) >= count, timeout, f"{count} of {method} {path}")
        return self.seen(method, path)[count - 1]

    @property
    def open_connections(self) -> int:
        """How many connections are not closed by either side yet."""
        with self._changed:
            return sum(not connection.done for connection in self._connections)

    def drop_connections(self, how: Cut = "end") -> None:
        """End every connection there is, as an engine does that is killed."""
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            if not connection.done:
                connection.drop(reset=how == "reset")

    def drop_connection(self, request: Request, how: Cut = "end") -> None:
        """End the one connection that a request came on."""
        with self._changed:
            connection = self._connections[request.connection]
        connection.drop(reset=how == "reset")

    def refuse_connections(self) -> None:
        """Accept no more connections; those there are go on."""
        for listener in self._listeners:
            _close_listener(listener)

    def note(self, request: Request) -> Rule:
        """Record a request and find its rule."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            return next((rule for rule in self.rules if rule.fits(request.method, request.path)), NO_RULE)

    def hold(self, event: threading.Event | None) -> None:
        """Wait for a test's event, or for `close`."""
        while event is not None and not event.wait(0.02) and not self._closing:
            pass

    def close(self) -> None:
        """End everything, join every thread. Idempotent."""
        self._closing = True
        self.refuse_connections()
        self.drop_connections()
        while True:
            with self._changed:
                if not self._threads:
                    break
                thread = self._threads.pop()
            thread.join(10)
            assert not thread.is_alive(), f"{thread.name} of the proxy does not end"
        for connection in self._connections:
            connection.release()
        self._directory.cleanup()


class _Inlet:
    """Bytes from a channel, with those that were read too far."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.buffer = b""

    def head(self) -> bytes:
        """Up to and with the blank line; b'' at the end."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            data = self.channel.recv()
            if not data:
                return b""
            self.buffer += data
            assert len(self.buffer) < HEAD_LIMIT or b"\r\n\r\n" in self.buffer, "a head without an end"
        head, self.buffer = self.buffer[: end + 4], self.buffer[end + 4 :]
        return head

    def some(self, limit: int | None = None) -> bytes:
        """What is there, or waits for more; b'' at the end."""
        if not self.buffer:
            self.buffer = self.channel.recv()
        data, self.buffer = self.buffer[:limit], self.buffer[limit:] if limit is not None else b""
        return data

    def line(self) -> bytes:
        """Up to and with CR LF."""
        while (end := self.buffer.find(b"\r\n")) < 0:
            data = self.channel.recv()
            if not data:
                raise ConnectionError("ended within a chunked body")
            self.buffer += data
        line, self.buffer = self.buffer[: end + 2], self.buffer[end + 2 :]
        return line


class _Connection:
    """One connection from a client and the one to the engine that belongs to it."""

    def __init__(self, proxy: Proxy, number: int, client: Channel, engine: Channel) -> None:
        self.proxy = proxy
        self.number = number
        self.client = client
        self.engine = engine
        self.done = False
        self._from_client = _Inlet(client)
        self._from_engine = _Inlet(engine)
        self._expected: deque[tuple[Request, Rule]] = deque()
        self._answered = threading.Condition()
        self._streaming = False
        self._finished = 0
        self._lock = threading.Lock()

    # Threads.

    def carry_up(self) -> None:
        """Carry requests, then the stream, to the engine."""
        try:
            while self._request():
                pass
        except (OSError, ssl.SSLError):
            self.drop()
        finally:
            self._finish()

    def carry_down(self) -> None:
        """Carry answers, then the stream, to the client."""
        try:
            while self._answer():
                pass
        except (OSError, ssl.SSLError):
            self.drop()
        finally:
            self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._finished += 1
            last = self._finished == 2
        if last:
            self.release()

    def drop(self, reset: bool = False) -> None:
        """End both sides now; the threads come back and close them."""
        with self._answered:
            self._answered.notify_all()
        if reset:
            self.client.reset()
        else:
            self.client.wake()
        self.engine.wake()
        self.done = True

    def release(self) -> None:
        """Close both descriptors, once nobody uses them."""
        self.done = True
        self.client.close()
        self.engine.close()

    # To the engine.

    def _request(self) -> bool:
        head = self._from_client.head()
        if not head:
            self.engine.half_close()
            return False
        method, path, headers = _parse_request(head)
        chunked = "chunked" in headers.get("transfer-encoding", "")
        length = 0 if chunked else int(headers.get("content-length", "0"))
        body = b"" if chunked else _exactly(self._from_client, length)
        request = Request(method, path, headers, body, time.monotonic(), self.number)
        rule = self.proxy.note(request)
        self.proxy.hold(rule.hold_request)
        if rule.answer is not None:
            self.proxy.hold(rule.hold_answer)
            time.sleep(rule.delay)
            self.client.send(_answer_with(*rule.answer))
            return True
        if rule.no_upgrade:
            head = re.sub(rb"\r\n(?:Upgrade|Connection):[^\r]*", b"", head, flags=re.I)
        with self._answered:
            self._expected.append((request, rule))
            self._answered.notify_all()
        self.engine.send(head + body)
        if chunked:
            self._chunks()
        if "upgrade" in headers:
            with self._answered:
                while self._expected and not self.done:
                    self._answered.wait(0.05)
            if self._streaming:
                self._stream_up(rule)
                return False
        return True

    def _chunks(self) -> None:
        while True:
            line = self._from_client.line()
            size = int(line.split(b";")[0], 16)
            self.engine.send(line + _exactly(self._from_client, size + 2))
            if size == 0:
                return

    def _stream_up(self, rule: Rule) -> None:
        passed = 0
        while data := self._from_client.some():
            if rule.cut_up is not None and passed + len(data) >= rule.cut_up:
                self.engine.send(data[: rule.cut_up - passed])
                self._cut(rule, self._from_client)
                return
            self.engine.send(data)
            passed += len(data)
            self.proxy.bytes_up += len(data)
        self.engine.half_close()

    # To the client.

    def _answer(self) -> bool:
        head = self._from_engine.head()
        if not head:
            self.client.half_close()
            return False
        status, headers = _parse_answer(head)
        if status == 100:
            self.client.send(head)
            return True
        with self._answered:
            while not self._expected and not self.done:
                self._answered.wait(0.05)
            if not self._expected:
                return False
            request, rule = self._expected[0]
        self.proxy.hold(rule.hold_answer)
        time.sleep(rule.delay)
        stream = status == 101 or (status == 200 and "upgrade" in request.headers)
        with self._answered:
            self._streaming = stream
            self._expected.popleft()
            self._answered.notify_all()
        if stream:
            self._stream_down(head, rule)
            return False
        self._body(request, status, head, headers, rule)
        return True

    def _body(self, request: Request, status: int, head: bytes, headers: dict[str, str], rule: Rule) -> None:
        bare = request.method == "HEAD" or status in (204, 304)
        chunked = not bare and "chunked" in headers.get("transfer-encoding", "")
        length = 0 if bare or chunked else int(headers.get("content-length", "-1"))
        if rule.edit is not None:
            body = rule.edit(self._whole(chunked, length))
            head = re.sub(rb"\r\n(?:Content-Length|Transfer-Encoding):[^\r]*", b"", head, flags=re.I)
            head = head[:-2] + b"Content-Length: %d\r\n\r\n" % len(body)
            self._pass(head + body, rule.dribble)
            return
        self._pass(head, rule.dribble)
        if chunked:
            while True:
                line = self._from_engine.line()
                size = int(line.split(b";")[0], 16)
                self.client.send(line)
                self._relay(size + 2)
                if size == 0:
                    return
        elif length < 0:
            while data := self._from_engine.some():
                self.client.send(data)
            self.client.half_close()
        else:
            self._relay(length)

    def _whole(self, chunked: bool, length: int) -> bytes:
        if not chunked:
            return _exactly(self._from_engine, length)
        parts = []
        while size := int(self._from_engine.line().split(b";")[0], 16):
            parts.append(_exactly(self._from_engine, size))
            self._from_engine.line()
        self._from_engine.line()
        return b"".join(parts)

    def _relay(self, length: int) -> None:
        while length:
            data = self._from_engine.some(length)
            if not data:
                raise ConnectionError("the engine ended within a body")
            self.client.send(data)
            length -= len(data)

    def _stream_down(self, head: bytes, rule: Rule) -> None:
        if rule.joined:
            head += self._from_engine.some()
        left = self._pass(head, rule.dribble)
        passed = len(head) - head.find(b"\r\n\r\n") - 4
        inject = rule.inject
        if inject is not None and inject[0] <= passed:
            self.client.send(inject[1])
            inject = None
        if rule.cut_down is not None and passed >= rule.cut_down:
            self._cut(rule, self._from_engine)
            return
        while data := self._from_engine.some():
            if inject is not None and passed + len(data) >= inject[0]:
                at = inject[0] - passed
                data = data[:at] + inject[1] + data[at:]
                inject = None
            if rule.cut_down is not None and passed + len(data) >= rule.cut_down:
                self._pass(data[: rule.cut_down - passed], left)
                self._cut(rule, self._from_engine)
                return
            left = self._pass(data, left)
            passed += len(data)
            self.proxy.bytes_down += len(data)
        if rule.never_close:
            self._stay()
        else:
            self.client.half_close()

    def _stay(self) -> None:
        """Keep the connection as it is until it is dropped."""
        with self._answered:
            while not self.done:
                self._answered.wait(0.05)

    def _pass(self, data: bytes, singly: int) -> int:
        """Send, the first `singly` bytes one by one; how many of those are left."""
        for i in range(min(singly, len(data))):
            self.client.send(data[i : i + 1])
            # Long enough for a reader to wake up between two bytes, most of the time.
            time.sleep(0.0005)
        if data[singly:]:
            self.client.send(data[singly:])
        return max(0, singly - len(data))

    def _cut(self, rule: Rule, inlet: _Inlet) -> None:
        """Cut one direction as the rule says."""
        if rule.cut == "swallow":
            while inlet.some():
                pass
            self._stay()
        else:
            self.drop(reset=rule.cut == "reset")


def still_running(body: bytes) -> bytes:
    """For `Rule.edit`: an inspection that says Running, whatever the truth."""
    found = json.loads(body)
    found.get("State", found)["Running"] = True
    if "ExitCode" in found:
        found["ExitCode"] = None
    return json.dumps(found).encode()


def _exactly(inlet: _Inlet, length: int) -> bytes:
    parts = []
    while length:
        data = inlet.some(length)
        if not data:
            raise ConnectionError("ended within a body")
        parts.append(data)
        length -= len(data)
    return b"".join(parts)


def _parse_request(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, headers = _fields(head)
    method, path, _ = first.split(" ", 2)
    return method, path, headers


def _parse_answer(head: bytes) -> tuple[int, dict[str, str]]:
    first, headers = _fields(head)
    return int(first.split(" ")[1]), headers


def _fields(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


def _answer_with(status: int, body: bytes) -> bytes:
    reason = {200: "OK", 204: "No Content", 404: "Not Found", 409: "Conflict"}.get(status, "Other")
    kind = b"application/json" if body[:1] == b"{" else b"text/plain"
    return (
        b"HTTP/1.1 %d %s\r\nApi-Version: 1.41\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        % (status, reason.encode(), kind, len(body))
    ) + body


def _close_listener(listener: socket.socket) -> None:
    if listener.fileno() < 0:
        return
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # some systems refuse it on a listening socket; closing is enough there
    if listener.family == socket.AF_UNIX and os.path.exists(listener.getsockname()):
        os.unlink(listener.getsockname())
    listener.close()
