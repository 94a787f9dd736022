"""An engine behind a client's own methods, and the client's errors as ours."""

from __future__ import annotations

import errno
import inspect
import io
import os
import select
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import docker.errors
import pytest
import requests
import urllib3

from dockerpty.engine import calls
from dockerpty.engine.client import engine_of
from dockerpty.engine.connection import Transport, wait_for
from dockerpty.engine.foreign import ForeignEngine, ObjectTransport, transport_of
from dockerpty.engine.interface import Pending
from dockerpty.engine.pull import pull_call
from dockerpty.engine.threaded import ThreadTransport
from dockerpty.errors import APIError, DockerptyError, EngineError, EngineUnreachable, NotFound
from tests.bed.certificates import Certificates
from tests.bed.channels import Tls
from tests.unit.loopback import ScriptedEngine, Step, answer


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


class Client:
    """What a session needs of docker-py's low-level client, with answers of its own."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.called: list[tuple[str, dict[str, Any]]] = []

    def inspect_container(self, container: str) -> Any:
        return self._answer("inspect_container", container=container)

    def start(self, container: str) -> Any:
        return self._answer("start", container=container)

    def resize(self, container: str, height: int, width: int) -> Any:
        return self._answer("resize", container=container, height=height, width=width)

    def attach_socket(self, container: str, params: dict[str, Any]) -> Any:
        return self._answer("attach_socket", container=container, params=params)

    def exec_start(self, exec_id: str, detach: bool, tty: bool, socket: bool) -> Any:
        return self._answer("exec_start", exec_id=exec_id, detach=detach, tty=tty, socket=socket)

    def pull(self, repository: str, tag: str) -> Any:
        return self._answer("pull", repository=repository, tag=tag)

    def _answer(self, method: str, **arguments: Any) -> Any:
        self.called.append((method, arguments))
        result = self.answers.get(method)
        if isinstance(result, Exception):
            raise result
        return result() if callable(result) else result


def read_all(transport: Transport) -> bytes:
    got = b""
    while True:
        if not transport.pending():
            assert wait_for([(transport.fileno(), select.POLLIN)], soon()), f"nothing after {got!r}"
        try:
            data = transport.recv(1000)
        except BlockingIOError:
            continue  # nothing now
        if not data:
            return got
        got += data


# Calls


def test_a_client_that_is_not_docker_pys_is_called_through_its_methods() -> None:
    client = Client(inspect_container={"Id": "4ad"}, start=None)
    engine = engine_of(client)
    assert isinstance(engine, ForeignEngine)
    assert engine.name == "Client"
    reply = engine.send(calls.inspect_container("web"))
    assert (reply.status, reply.json()) == (200, {"Id": "4ad"})
    assert engine.send(calls.start_container("web")).status == 204
    assert client.called == [("inspect_container", {"container": "web"}), ("start", {"container": "web"})]
    # It has no such method.
    assert engine.begin(calls.wait_container("web")) is None
    engine.close()


def test_a_client_with_its_methods_on_api_is_asked_there() -> None:
    class Outer:
        api = Client(start=None)

    outer = Outer()
    engine_of(outer).send(calls.start_container("web"))
    assert outer.api.called == [("start", {"container": "web"})]


def test_a_client_without_the_method_is_told_what_it_lacks() -> None:
    with pytest.raises(
        EngineError, match=r"cannot send TERM to web: the client \(Client\) has no method kill; give"
    ):
        engine_of(Client()).send(calls.kill_container("web", "TERM"))


def test_a_client_of_another_docker_py_is_called_through_its_methods_too() -> None:
    api: Any = docker.APIClient(base_url="unix:///x.sock", version="1.35")
    del api._custom_adapter.socket_path
    engine = engine_of(api)
    assert isinstance(engine, ForeignEngine)
    assert engine.api_version == (1, 35)
    api.close()


def test_a_bug_of_the_client_is_not_taken_for_an_error_of_the_engine() -> None:
    with pytest.raises(KeyError):
        engine_of(Client(start=KeyError("x"))).send(calls.start_container("web"))


# Errors


def made(kind: type[Exception]) -> Exception:
    """Make an exception of a class without knowing what it is made with."""
    error = kind.__new__(kind, "made")
    error.args = ("made",)
    for name in ("msg", "param", "name"):
        setattr(error, name, "made")
    if isinstance(error, docker.errors.APIError):
        error.response = error.explanation = None
    return error


DOCKERS = [
    kind
    for _, kind in inspect.getmembers(docker.errors, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == "docker.errors"
]
REQUESTS = [
    kind
    for _, kind in inspect.getmembers(requests.exceptions, inspect.isclass)
    if issubclass(kind, requests.exceptions.RequestException)
]


@pytest.mark.parametrize(
    "kind", [*DOCKERS, *REQUESTS, OSError, ConnectionResetError, urllib3.exceptions.HTTPError]
)
def test_every_error_of_docker_py_is_ours_as_well_and_still_its_own(kind: type[Exception]) -> None:
    if "UnicodeDecodeError" in str(kind.__mro__) or kind is requests.exceptions.JSONDecodeError:
        original: Exception = requests.exceptions.JSONDecodeError("made", "", 0)
    else:
        original = made(kind)
    with pytest.raises(EngineError) as caught:
        engine_of(Client(start=original)).send(calls.start_container("web"))
    assert isinstance(caught.value, kind)
    assert caught.value.__cause__ is original
    assert str(caught.value).startswith("cannot ")
    if issubclass(kind, docker.errors.APIError):
        assert isinstance(caught.value, APIError)
    elif kind not in DOCKERS:
        assert isinstance(caught.value, EngineUnreachable)


@pytest.mark.parametrize("told", ['{"status":"Downloaded"}\r\n', b'{"status":"Downloaded"}\r\n'])
def test_a_long_answer_comes_in_one_piece(told: Any) -> None:
    pieces: list[bytes] = []
    assert ForeignEngine(Client(pull=told)).stream(pull_call("busybox"), pieces.append).body == b""
    assert pieces == [b'{"status":"Downloaded"}\r\n']


def response(status: int) -> requests.Response:
    found = requests.Response()
    found.status_code, found.reason, found.url = status, "Whatever", "http+docker://localhost/x"
    return found


@pytest.mark.parametrize("explanation", ["No such container: web", b"No such container: web"])
def test_a_refusal_of_the_client_keeps_its_response(explanation: Any) -> None:
    original = docker.errors.NotFound("404", response=response(404), explanation=explanation)
    with pytest.raises(NotFound, match="cannot start my web: no such container; ") as caught:
        engine_of(Client(start=original)).send(calls.start_container("web"), subject="my web")
    assert (caught.value.status_code, caught.value.explanation) == (404, "No such container: web")
    assert caught.value.response is original.response


def test_a_refused_certificate_names_the_variable_that_overrules_docker_py(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    engine = engine_of(Client(start=requests.exceptions.SSLError("unable to get local issuer certificate")))
    with pytest.raises(EngineUnreachable, match="are the certificates right"):
        engine.send(calls.start_container("web"))
    monkeypatch.setenv("CURL_CA_BUNDLE", "/etc/other.pem")
    with pytest.raises(
        EngineUnreachable, match="takes the authorities of CURL_CA_BUNDLE instead of yours: unset it"
    ):
        engine.send(calls.start_container("web"))


def test_an_error_that_is_ours_already_goes_through_as_it_is() -> None:
    ours = DockerptyError("do", "it")
    with pytest.raises(DockerptyError) as caught:
        engine_of(Client(start=ours)).send(calls.start_container("web"))
    assert caught.value is ours


# Connections that a client hands out


class Wrapped:
    """As docker-py's: a wrapper that cannot send, with the real socket in `_sock`."""

    def __init__(self, sock: socket.socket, response: Any = None) -> None:
        self._sock = sock
        self._response = response
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Reading:
    """As a response of requests, with the reader of the head that may have read too far."""

    def __init__(self, reader: Any) -> None:
        self.raw = self
        self._fp = self
        self.fp = reader
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    yield ours, theirs
    theirs.close()
    ours.close()


def test_a_socket_is_unwrapped_and_what_was_read_too_far_comes_first(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(b"head\n" + b"first ")
    reader = ours.makefile("rb")
    assert reader.readline() == b"head\n"
    wrapped = Wrapped(ours, Reading(reader))
    ours.settimeout(60)
    transport = transport_of(wrapped, "x")
    assert transport.pending()
    theirs.sendall(b"second")
    theirs.shutdown(socket.SHUT_WR)
    assert read_all(transport) == b"first second"
    transport.send(b"typed")
    transport.half_close()
    assert theirs.makefile("rb").read() == b"typed"
    transport.close()
    assert wrapped.closed
    assert wrapped._response.closed
    reader.close()


def test_with_nothing_read_too_far_the_stream_starts_at_its_start(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    reader = ours.makefile("rb")
    transport = transport_of(Wrapped(ours, Reading(reader)), "x")
    assert not transport.pending()
    with pytest.raises(BlockingIOError):
        transport.recv(1)
    theirs.close()
    assert transport.recv(1) == b""
    transport.close()
    reader.close()


def test_a_connection_ends_though_somebody_has_a_file_of_it(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    reader = ours.makefile("rb")
    transport_of(Wrapped(ours), "x").close()
    assert theirs.recv(1) == b""
    reader.close()


class Pollable:
    """An object with `fileno`, `recv` and `send`, and no more."""

    def __init__(self, sock: socket.socket) -> None:
        self._inner = sock

    def fileno(self) -> int:
        return self._inner.fileno()

    def recv(self, n: int) -> bytes:
        return self._inner.recv(n)

    def send(self, data: bytes) -> int:
        return self._inner.send(data)

    def close(self) -> None:
        self._inner.close()


def test_any_object_that_can_be_polled_counts_as_a_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    transport = transport_of(Pollable(ours), "x")
    assert isinstance(transport, ObjectTransport)
    with pytest.raises(BlockingIOError):
        transport.recv(1)
    transport.send(b"typed")
    assert theirs.recv(100) == b"typed"
    with pytest.raises(OSError, match="only be closed in both directions"):
        transport.half_close()
    theirs.close()
    assert read_all(transport) == b""
    transport.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(errno.ETIMEDOUT, "it timed out"), ConnectionResetError),
        (OSError(errno.EHOSTUNREACH, "no route to it"), ConnectionResetError),
        (ssl.SSLError(1, "bad record mac"), ConnectionResetError),
        (BrokenPipeError(errno.EPIPE, "broken"), BrokenPipeError),
        (BlockingIOError(errno.EAGAIN, "not yet"), BlockingIOError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, OSError) else "",
)
def test_whatever_a_clients_socket_fails_with_is_a_loss_of_the_connection(
    error: OSError, kind: type[OSError], pair: tuple[socket.socket, socket.socket]
) -> None:
    failing = Failing(pair[0], error)
    transport = transport_of(failing, "here")
    for action in (lambda: transport.recv(10), lambda: transport.send(b"x")):
        with pytest.raises(OSError, match=error.strerror) as caught:
            action()
        assert type(caught.value) is kind
    transport.close()


class Failing:
    """A socket of a client's, whose methods fail."""

    def __init__(self, sock: socket.socket, error: OSError) -> None:
        self.fileno, self.close, self._error = sock.fileno, sock.close, error

    def recv(self, n: int) -> bytes:
        raise self._error

    def send(self, data: bytes) -> int:
        raise self._error


class Npipe:
    """An object without a descriptor, as docker-py's named pipe."""

    def __init__(self, sock: socket.socket) -> None:
        self._inner = sock

    def recv(self, n: int) -> bytes:
        return self._inner.recv(n)

    def send(self, data: bytes) -> int:
        return self._inner.send(data)

    def setblocking(self, blocking: bool) -> None:
        self._inner.setblocking(blocking)

    def shutdown(self, how: int) -> None:
        self._inner.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._inner.close()


def test_what_cannot_be_polled_is_carried_by_threads(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    pipe: Any = Npipe(ours)
    theirs.sendall(b"head\n" + b"first ")
    reader = ours.makefile("rb")
    assert reader.readline() == b"head\n"
    pipe._response = Reading(reader)
    transport = transport_of(pipe, "x")
    assert isinstance(transport, ThreadTransport)
    theirs.sendall(b"second")
    theirs.shutdown(socket.SHUT_WR)
    assert read_all(transport) == b"first second"
    transport.send(b"typed")
    assert theirs.recv(100) == b"typed"
    transport.close()
    reader.close()


def test_a_channel_of_paramiko_is_carried_by_threads_though_it_has_a_descriptor(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    channel: Any = Npipe(ours)
    channel.fileno = ours.fileno
    channel.send_ready = lambda: True
    # paramiko's reader keeps what it has read too far under this name.
    reader = io.BytesIO()
    channel._response = Reading(Buffered(b"first "))
    transport = transport_of(channel, "x")
    assert isinstance(transport, ThreadTransport)
    theirs.sendall(b"second")
    theirs.close()
    assert read_all(transport) == b"first second"
    transport.close()
    reader.close()


class Buffered:
    def __init__(self, data: bytes) -> None:
        self._rbuffer = data


def test_a_tls_socket_gives_all_its_plaintext_and_says_that_it_cannot_half_close(
    pair: tuple[socket.socket, socket.socket], tmp_path: Any
) -> None:
    ours, theirs = pair
    certificates = Certificates(tmp_path)
    far = Tls(theirs, certificates.server_context())

    def serve() -> None:
        assert far.recv() == b"go"
        far.send(bytes(30_000))
        far.half_close()

    thread = threading.Thread(target=serve)
    thread.start()
    secure = certificates.client_context().wrap_socket(ours, server_hostname="localhost")
    transport = transport_of(secure, "x")
    assert isinstance(secure, ssl.SSLSocket)
    with pytest.raises(BlockingIOError):
        transport.recv(1)
    assert transport.send(b"go") == 2
    assert read_all(transport) == bytes(30_000)
    with pytest.raises(OSError, match="only be closed in both directions"):
        transport.half_close()
    thread.join(10)
    transport.close()


def test_attach_and_exec_ask_the_client_for_a_socket() -> None:
    sockets = [socket.socketpair() for _ in range(2)]
    client = Client(attach_socket=lambda: sockets[0][0], exec_start=lambda: sockets[1][0])
    engine = engine_of(client)
    for call in (
        calls.attach_container("web", stdout=True),
        calls.start_exec("4ad", tty=True, size=(24, 80)),
    ):
        engine.hijack(call).close()
    for _, theirs in sockets:
        assert theirs.recv(1) == b""
        theirs.close()
    query = {"stream": 1, "stdin": 0, "stdout": 1, "stderr": 0, "logs": 0}
    assert client.called == [
        ("attach_socket", {"container": "web", "params": query}),
        ("exec_start", {"exec_id": "4ad", "detach": False, "tty": True, "socket": True}),
    ]


@pytest.fixture
def scripted() -> Iterator[Callable[..., Any]]:
    """Start an engine with a script, and give a docker-py client of it that cannot be looked into."""
    opened: list[Any] = []
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:

        def start(*steps: Step) -> Any:
            server = ScriptedEngine(f"{directory}/x.sock", *steps)
            api = docker.APIClient(base_url=server.url, version="1.41")
            opened.extend([server, api])
            return api

        yield start
        for each in reversed(opened):
            each.close()


def test_what_docker_py_itself_reads_too_far_is_not_lost(scripted: Callable[..., Any]) -> None:
    head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

    def at_once(sock: socket.socket) -> None:
        sock.sendall(head + b"first")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b"typed"

    engine = ForeignEngine(scripted(at_once))
    transport = engine.hijack(calls.attach_container("web", stdout=True))
    transport.send(b"typed")
    assert read_all(transport) == b"first"
    transport.close()


def test_docker_pys_own_refusals_are_ours_too(scripted: Callable[..., Any]) -> None:
    engine = ForeignEngine(scripted(answer(409, b'{"message":"Container 4ad is paused"}')))
    with pytest.raises(
        APIError, match="cannot start web: Container 4ad is paused; unpause it first"
    ) as caught:
        engine.send(calls.start_container("web"))
    assert docker.errors.APIError in type(caught.value).__mro__


# Calls from inside a loop


class Waiting(Client):
    def wait(self, container: str, condition: str | None = None) -> Any:
        return self._answer("wait", container=container, condition=condition)


def ended(pending: Pending) -> Pending:
    while not pending.done:
        assert wait_for(pending.interest(), soon())
        pending.serve()
    assert pending.interest() == []
    return pending


def test_the_end_of_a_container_is_waited_for_by_a_thread() -> None:
    may_end = threading.Event()
    client = Waiting(wait=lambda: may_end.wait(10) and {"StatusCode": 7})
    pending = engine_of(client).begin(calls.wait_container("web", "next-exit"))
    assert pending is not None
    pending.serve()
    assert not pending.done
    may_end.set()
    reply = ended(pending).reply
    assert reply is not None
    assert (reply.json(), pending.error) == ({"StatusCode": 7}, None)
    assert client.called == [("wait", {"container": "web", "condition": "next-exit"})]


@pytest.mark.parametrize("failure", [TypeError("no such argument"), docker.errors.InvalidVersion("too old")])
def test_a_client_that_cannot_wait_leaves_an_error_and_no_code(failure: Exception) -> None:
    pending = engine_of(Waiting(wait=failure)).begin(calls.wait_container("web"))
    assert pending is not None
    assert isinstance(ended(pending).error, DockerptyError)
    assert pending.reply is None


def test_who_waits_no_longer_leaves_the_thread_to_itself() -> None:
    may_end = threading.Event()
    pending = engine_of(Waiting(wait=lambda: may_end.wait(10) and {})).begin(calls.wait_container("web"))
    assert pending is not None
    pending.close()
    pending.close()
    assert (pending.done, pending.interest(), pending.reply) == (True, [], None)
    may_end.set()


class Loop:
    def __init__(self, client: Client) -> None:
        self.control = engine_of(client).control()
        self.outcomes: list[Any] = []

    def submit(self, call: calls.Call, timeout: float = 10.0) -> None:
        self.control.submit(call, self.outcomes.append, timeout)

    def run(self) -> list[Any]:
        while not self.control.idle:
            ends = self.control.deadline()
            assert ends is not None
            wait_for(self.control.interest(), ends)
            self.control.serve()
        assert (self.control.interest(), self.control.deadline()) == ([], None)
        return self.outcomes


def test_calls_in_line_are_made_by_a_thread_one_after_the_other() -> None:
    client = Client(resize=None, start=docker.errors.NotFound("x", response=response(404)))
    loop = Loop(client)
    loop.submit(calls.resize_container("web", 24, 80))
    loop.submit(calls.start_container("web"))
    assert loop.outcomes == []
    reply, error = loop.run()
    assert reply.status == 204
    assert isinstance(error, NotFound)
    assert [method for method, _ in client.called] == ["resize", "start"]
    loop.control.close()
    loop.control.close()


def test_a_call_that_hangs_in_the_client_is_told_of_in_time() -> None:
    stuck = threading.Event()
    loop = Loop(Client(resize=lambda: stuck.wait(10) and None, start=None))
    loop.submit(calls.resize_container("web", 24, 80), 0.05)
    loop.submit(calls.start_container("web"))
    while not loop.outcomes:
        wait_for(loop.control.interest(), loop.control.deadline() or 0)
        loop.control.serve()
    assert isinstance(loop.outcomes[0], EngineUnreachable)
    stuck.set()
    assert loop.run()[1].status == 204
    assert len(loop.outcomes) == 2
    loop.control.close()


def test_closing_does_not_wait_for_a_call_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockerpty.engine.foreign._JOIN_S", 0.05)
    stuck = threading.Event()
    loop = Loop(Client(resize=lambda: stuck.wait(10) and None))
    loop.submit(calls.resize_container("web", 24, 80))
    loop.control.close()
    assert loop.control.idle
    stuck.set()


def test_a_bug_of_the_client_in_the_thread_is_raised_in_the_loop() -> None:
    loop = Loop(Client(start=KeyError("x")))
    loop.submit(calls.start_container("web"))
    with pytest.raises(KeyError):
        loop.run()
    loop.control.close()


def test_a_closed_control_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    loop = Loop(Client())
    loop.control.close()
    assert os.listdir("/proc/self/fd") == before


class SSHSocket(socket.socket):
    """As docker-py's around the system's ssh: a socket that is never connected, and the program in `proc`."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self.proc = program
        self._response = Reading(program.stdout)

    def close(self) -> None:
        assert self.proc.stdin is not None
        if not self.proc.stdin.closed:
            self.proc.terminate()


def test_the_program_that_docker_py_runs_as_ssh_is_read_by_its_pipes() -> None:
    script = "printf 'head\\nfirst '; cat; printf ' late'"
    program = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"head\n"
    handed = SSHSocket(program)
    transport = transport_of(handed, "x")
    assert isinstance(transport, ThreadTransport)
    transport.send(b"typed")
    transport.half_close()
    assert read_all(transport) == b"first typed late"
    transport.close()
    assert program.returncode is not None
    assert handed.fileno() == -1


def test_leaving_ends_the_program_that_docker_py_runs_as_ssh() -> None:
    program = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    transport = transport_of(SSHSocket(program), "x")
    transport.send(b"typed")
    assert wait_for([(transport.fileno(), select.POLLIN)], soon())
    transport.close()
    assert program.returncode is not None
