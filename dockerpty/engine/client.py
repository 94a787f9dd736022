"""Calls to an engine over connections of our own, and the one door to docker-py's clients.

One kept connection for plain calls, one of its own for each stream that is taken over. A client that we cannot look
into is called through its methods, in `foreign`.
"""

from __future__ import annotations

import os
import sys
import time

from dockerpty import log
from dockerpty.engine import endpoint as endpoints
from dockerpty.engine.calls import Reply, no_engine
from dockerpty.engine.connection import Exchange, connect, unreachable
from dockerpty.engine.http11 import WANTS_TLS, Answer, request
from dockerpty.engine.interface import TIMEOUT, Control, Engine, Pending
from dockerpty.engine.twins import refused, twin
from dockerpty.errors import DockerptyError, EngineError, EngineUnreachable, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from dockerpty.engine.calls import Call
    from dockerpty.engine.connection import Transport
    from dockerpty.engine.endpoint import Endpoint
    from dockerpty.engine.interface import Done

__all__ = ["Control", "DirectEngine", "Engine", "Pending", "Reply", "engine_of", "from_environment"]

_log = log.get(__name__)

CONNECT_TIMEOUT = 10.0
# Inside a session's loop, where typing and output wait meanwhile: some turns around half of the earth. The first time
# there may be a signal to send, which is worth more of them.
_CONNECT_IN_LOOP_S, _RECONNECT_S = 2.0, 0.5
MINIMUM_VERSION = (1, 24)
# All that an engine takes of unknown length.
TAR = ("Content-Type", "application/x-tar")

# What servers say to a request without TLS where they want it: those in Go, such as Docker's, and nginx.
_NOT_PLAIN = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")

# What requests sends by itself; the other headers of a client are its owner's, such as a token for a proxy.
_ORDINARY_HEADERS = ("accept", "accept-encoding", "connection", "user-agent")


class DirectEngine(Engine):
    """An engine at an address that we know."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        version: str | None = None,
        headers: dict[str, str] | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        patience: float = TIMEOUT,
    ) -> None:
        """Connect to nothing yet.

        Args:
            endpoint: where the engine is.
            version: the API's version to use; by default what the first answer says.
            headers: sent with every request.
            connect_timeout: seconds for each connection.
            patience: seconds for the head of the very first answer, if it is to a call that is answered at once.
        """
        self.name = endpoint.name
        self.is_local = endpoint.kind == "unix"
        self.api_version = None
        self.is_podman = None
        self._endpoint = endpoint
        self._connect_timeout = connect_timeout
        # Somebody may have to type a passphrase first; for the network over there ssh has a limit of its own.
        self._patience = TIMEOUT if endpoint.kind == "ssh" else patience
        self._kept: Transport | None = None
        self._answered = False
        self._prefix = endpoint.base
        self._headers = [
            ("Host", endpoints.place(endpoint) if endpoint.kind == "tcp" else "localhost"),
            ("User-Agent", "dockerpty"),
            *(headers or {}).items(),
        ]
        if version:
            self._use(version)

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        """Make a call on the kept connection, or on a new one where that has ended."""
        deadline = time.monotonic() + timeout
        kept, self._kept = self._kept, None
        if kept is not None:
            if is_quiet(kept):
                exchange = self.exchange(kept, call)
                try:
                    return self._finish(exchange, call, subject, deadline)
                except EngineUnreachable:
                    # It ended just now. What the engine cannot have seen, or what changes nothing, goes again.
                    unseen = exchange.taken == 0 or call.method in ("GET", "HEAD")
                    if exchange.answer.started or not unseen or time.monotonic() >= deadline:
                        raise
            else:
                kept.close()
        exchange = self.exchange(self.connect(), call)
        return self._finish(exchange, call, subject, deadline)

    def stream(
        self, call: Call, take: Callable[[bytes], None], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Make a call on a new connection, which ends with it."""
        transport = self.connect()
        try:
            exchange = self.exchange(transport, call, answer=Answer(call.method, take=take))
            answer = exchange.answer
            self._until(exchange, lambda: answer.complete, call, subject, time.monotonic() + timeout)
            self.learn(answer)
            return self.check(answer, call, subject)
        finally:
            transport.close()

    def upload(
        self, call: Call, body: Iterator[bytes], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Make a call on a new connection, which ends with it; its body goes in chunks."""
        transport = self.connect()
        try:
            head = request(call.method, call.target(self._prefix), [*self._headers, TAR], chunked=True)
            exchange = Exchange(transport, head, Answer(call.method), body)
            answer = exchange.answer
            self._until(exchange, lambda: answer.complete, call, subject, time.monotonic() + timeout)
            self.learn(answer)
            return self.check(answer, call, subject)
        finally:
            transport.close()

    def hijack(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Transport:
        """Take over a new connection; what came behind the head is the first that it gives."""
        transport = self.connect()
        try:
            upgrade = [("Connection", "Upgrade"), ("Upgrade", "tcp")]
            answer = Answer(call.method, hijack=True)
            exchange = self.exchange(transport, call, upgrade, answer)
            self._until(exchange, lambda: answer.complete, call, subject, time.monotonic() + timeout)
            self.learn(answer)
            self.check(answer, call, subject)
            if answer.status not in (101, 200) or "transfer-encoding" in answer.headers:
                raise ProtocolError(
                    call.action,
                    subject or call.subject,
                    f"the engine answered {answer.status} and gave no stream",
                    "is there a proxy in between that cannot upgrade a connection?",
                )
            transport.unread(answer.rest)
            _log.debug("stream started: %s status=%d bytes=%d", call.path, answer.status, len(answer.rest))
        except BaseException:
            transport.close()
            raise
        return transport

    def begin(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Pending:
        """Make a call on a new connection and return when its head has come."""
        transport = self.connect()
        try:
            exchange = self.exchange(transport, call)
            answer = exchange.answer
            # An error's head is not enough: its body says what is wrong.
            self._until(
                exchange,
                lambda: answer.complete or (answer.head_done and answer.status < 300),
                call,
                subject,
                time.monotonic() + timeout,
            )
            self.learn(answer)
            self.check(answer, call, subject)
        except BaseException:
            transport.close()
            raise
        return DirectPending(exchange)

    def control(self, *, connects: bool = True) -> Control:
        """Connect for calls from inside a loop."""
        return DirectControl(self, self.connect() if connects else None)

    def again(self) -> DirectEngine:
        """Give an engine with the same address and headers."""
        other = DirectEngine(self._endpoint, connect_timeout=self._connect_timeout)
        other._headers, other._prefix = self._headers, self._prefix
        other.api_version, other.is_podman = self.api_version, self.is_podman
        return other

    def close(self) -> None:
        """Close the kept connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def connect(self, timeout: float | None = None) -> Transport:
        """Open a connection; `timeout` can only shorten what each of them may take."""
        limit = self._connect_timeout if timeout is None else min(timeout, self._connect_timeout)
        _log.debug("connection started: %s", self.name)
        try:
            return connect(self._endpoint, limit)
        except EngineUnreachable as error:
            raise twin(error) from error.__cause__

    def exchange(
        self,
        transport: Transport,
        call: Call,
        headers: list[tuple[str, str]] | None = None,
        answer: Answer | None = None,
    ) -> Exchange:
        """Prepare a call's exchange on a connection."""
        body = call.payload()
        sent = (
            self._headers
            + list(call.headers)
            + (headers or [])
            + ([("Content-Type", "application/json")] if body is not None else [])
        )
        return Exchange(transport, request(call.method, call.target(self._prefix), sent, body), answer)

    def learn(self, answer: Answer) -> None:
        """Take from an answer's head which engine this is, if that is not known yet."""
        if self.is_podman is None and ("server" in answer.headers or "api-version" in answer.headers):
            self.is_podman = "libpod-api-version" in answer.headers
        if self.api_version is None and "api-version" in answer.headers:
            self._use(answer.headers["api-version"])

    def check(self, answer: Answer, call: Call, subject: str) -> Reply:
        """Give a complete answer's reply, or raise the error that it is. 304 is none: it says "already so"."""
        reply = Reply(answer.status, answer.headers, answer.body)
        if answer.status >= 300 and answer.status != 304:
            if answer.status == 400 and any(words in reply.body for words in _NOT_PLAIN):
                raise twin(unreachable(self.name, "it speaks TLS, and we do not", WANTS_TLS))
            raise refused(call, subject, reply, answer.reason, self.name + call.path)
        if call.gives:
            given = reply.json()
            missing = [name for name in call.gives if not isinstance(given, dict) or name not in given]
            if missing:
                raise no_engine(f"there is no {missing[0]} in it")
        return reply

    def _finish(self, exchange: Exchange, call: Call, subject: str, deadline: float) -> Reply:
        answer = exchange.answer
        try:
            self._until(exchange, lambda: answer.complete, call, subject, deadline)
        except BaseException:
            exchange.transport.close()
            raise
        if exchange.reusable:
            self._kept = exchange.transport
        else:
            exchange.transport.close()
        _log.debug("call complete: %s %s status=%d", call.method, call.path, answer.status)
        self.learn(answer)
        return self.check(answer, call, subject)

    def _until(self, exchange: Exchange, done: Any, call: Call, subject: str, deadline: float) -> None:
        answer = exchange.answer
        try:
            if call.light and not self._answered:
                patience = time.monotonic() + self._patience
                exchange.until(lambda: answer.head_done, min(deadline, patience), self.stop)
            exchange.until(done, deadline, self.stop)
            self._answered = True
        except EngineUnreachable as error:
            if exchange.taken == 0 or call.light:
                raise twin(error) from error.__cause__
            raise lost(call, subject, f"the engine at {self.name} is lost: {error.reason}") from error

    def _use(self, version: str) -> None:
        major, _, minor = version.strip().lstrip("v").partition(".")
        # Of thousands of digits Python makes no number.
        if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (major, minor)):
            raise EngineError(
                "talk to",
                f"the engine at {self.name}",
                f'"{version}" is no version of its API',
                "a version looks like 1.41; see DOCKER_API_VERSION",
            )
        self.api_version = (int(major), int(minor))
        if self.api_version < MINIMUM_VERSION:
            raise EngineError(
                "talk to",
                f"the engine at {self.name}",
                f"version {version} of its API is too old",
                "1.24 (Docker 1.12) or newer is needed",
            )
        self._prefix = f"{self._endpoint.base}/v{major}.{minor}"


class DirectPending(Pending):
    """The rest of an answer on a connection of its own, which ends with it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._take()

    def interest(self) -> list[tuple[int, int]]:
        """Give the connection."""
        return [] if self.done else self._exchange.interest()

    def serve(self) -> None:
        """Read on; a connection that ends early becomes the `error`."""
        if self.done:
            return
        try:
            self._exchange.serve()
        except (EngineUnreachable, ProtocolError) as error:
            self.error = twin(error)
            self.close()
        else:
            self._take()

    def deadline(self) -> float | None:
        """Serve at once while data waits where poll cannot see it."""
        return 0.0 if not self.done and self._exchange.transport.pending() else None

    def close(self) -> None:
        """Close the connection."""
        self.done = True
        self._exchange.transport.close()

    def _take(self) -> None:
        answer = self._exchange.answer
        if answer.complete:
            self.reply = Reply(answer.status, answer.headers, answer.body)
            self.close()


class DirectControl(Control):
    """Calls in line on one connection, which is opened anew when it has ended."""

    def __init__(self, engine: DirectEngine, transport: Transport | None) -> None:
        self._engine = engine
        self._transport = transport
        self._connect_limit = _CONNECT_IN_LOOP_S if transport is None else _RECONNECT_S
        self._line: list[tuple[Call, Done, float]] = []
        self._exchange: Exchange | None = None
        self._failure: DockerptyError | None = None
        self._deadline = 0.0

    def submit(self, call: Call, done: Done, timeout: float) -> None:
        """Put a call in line, and send it if it is the first."""
        self._line.append((call, done, timeout))
        if len(self._line) == 1:
            self._start()

    @property
    def idle(self) -> bool:
        """Nothing is in line."""
        return not self._line

    def interest(self) -> list[tuple[int, int]]:
        """Give the connection, while an answer is awaited."""
        return [] if self._exchange is None else self._exchange.interest()

    def deadline(self) -> float | None:
        """Give the end of the call in flight; the past, where something is to be done at once."""
        if not self._line:
            return None
        exchange = self._exchange
        # An answer that came while its request was being sent is complete: no poll will tell of it.
        at_once = exchange is None or exchange.answer.complete or exchange.transport.pending()
        return 0.0 if at_once else self._deadline

    def serve(self) -> None:
        """Move the call in flight, and the next ones as far as they go."""
        while self._line:
            outcome = self._advance()
            if outcome is None:
                return
            _, done, _ = self._line.pop(0)
            self._exchange = None
            if self._line:
                self._start()
            done(outcome)

    def close(self) -> None:
        """Drop the line and close the connection."""
        self._line.clear()
        self._failure = None
        self._drop()

    def _start(self) -> None:
        """Send the first in line. What goes wrong here is kept for `serve`, which alone calls `done`."""
        call, _, timeout = self._line[0]
        self._deadline = time.monotonic() + timeout
        try:
            if self._transport is None or not is_quiet(self._transport):
                self._drop()
                limit, self._connect_limit = min(timeout, self._connect_limit), _RECONNECT_S
                self._transport = self._engine.connect(limit)
            self._exchange = self._engine.exchange(self._transport, call)
            self._exchange.serve()
        except DockerptyError as error:
            self._failure = error
        except OSError as error:  # there is no descriptor left for a socket
            self._failure = unreachable(self._engine.name, error.strerror or str(error))

    def _advance(self) -> Reply | DockerptyError | None:
        """Give what became of the call in flight, `None` if it is still in flight."""
        call = self._line[0][0]
        failure, self._failure = self._failure, None
        try:
            if failure is not None:
                raise failure
            assert self._exchange is not None
            self._exchange.serve()
        except DockerptyError as error:
            self._drop()
            return twin(error) if isinstance(error, EngineUnreachable) else error
        answer = self._exchange.answer
        if not answer.complete:
            if time.monotonic() < self._deadline:
                return None
            # The answer may still come, and would be taken for that of the next call.
            self._drop()
            return lost(call, "", f"the engine at {self._engine.name} did not answer in time")
        if not self._exchange.reusable:
            self._drop()
        try:
            self._engine.learn(answer)
            return self._engine.check(answer, call, "")
        except DockerptyError as error:
            return error

    def _drop(self) -> None:
        self._exchange = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None


def is_quiet(transport: Transport) -> bool:
    """Say whether an idle connection can carry a request: it has not ended, and nothing unasked-for has come."""
    try:
        transport.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def lost(call: Call, subject: str, reason: str) -> EngineUnreachable:
    """Make the error for a call of which nobody knows whether it was done."""
    harmless = call.light or call.method in ("GET", "HEAD")
    hint = "" if harmless else "it may have been done all the same: look before you repeat it"
    return twin(EngineUnreachable(call.action, subject or call.subject, reason, hint))


def engine_of(client: Any) -> Engine:
    """Give the engine behind what a caller handed us.

    Args:
        client: an `Engine`, docker-py's `DockerClient` or `APIClient`, or anything with the low-level methods.

    Returns:
        an engine over connections of our own where the client tells its address, else over its methods.
    """
    if isinstance(client, Engine):
        return client
    api = client if hasattr(client, "inspect_container") else getattr(client, "api", client)
    docker = sys.modules.get("docker.api.client")
    if docker is not None and isinstance(api, docker.APIClient):
        endpoint = endpoints.of_client(api)
        version = getattr(api, "_version", None)
        if endpoint is not None and isinstance(version, str):
            return DirectEngine(endpoint, version=version, headers=_headers_of(api))
    from dockerpty.engine.foreign import ForeignEngine

    return ForeignEngine(api)


def from_environment(
    host: str | None = None,
    connect_timeout: float = CONNECT_TIMEOUT,
    *,
    endpoint: Endpoint | None = None,
) -> Engine:
    """Give the engine that docker's client would use.

    Args:
        host: its address; by default DOCKER_HOST, a context of docker's, then the local sockets.
        connect_timeout: seconds for each connection, and for the head of the first answer where that comes at once.
        endpoint: where it is, from whoever has looked already.

    Raises:
        DockerptyError: the address, the context or DOCKER_API_VERSION makes no sense.
    """
    version = os.environ.get("DOCKER_API_VERSION")
    found = endpoint or endpoints.from_environment(host=host)
    return DirectEngine(found, version=version, connect_timeout=connect_timeout, patience=connect_timeout)


def _headers_of(api: Any) -> dict[str, str]:
    headers = {name: value for name, value in api.headers.items() if name.lower() not in _ORDINARY_HEADERS}
    # Those of the configuration are added to each request by docker-py itself.
    headers.update(getattr(api, "_general_configs", {}).get("HttpHeaders") or {})
    return headers
