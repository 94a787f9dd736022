"""Every kind of transport, and an exchange on one, against servers of their own in threads."""

from __future__ import annotations

import _socket
import errno
import os
import select
import socket
import ssl
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.engine.connection import Exchange, SocketTransport, Transport, connect, wait_for
from dockerpty.engine.endpoint import TLS, Endpoint, parse
from dockerpty.engine.http11 import Answer, request
from dockerpty.engine.ssh import SSHTransport, arguments
from dockerpty.engine.threaded import ThreadTransport, open_channel
from dockerpty.engine.tls import TLSTransport, context_of, handshake, shared_context
from dockerpty.errors import EngineUnreachable, ProtocolError
from tests.bed.certificates import Certificates
from tests.bed.channels import Plain, Tls
from tests.bed.exchange import exchange
from tests.unit.loopback import Server

MEGABYTES = 20 * 1024 * 1024
GET = request("GET", "/", [("Host", "x")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def read_all(transport: Transport, buffer_size: int = 65536) -> bytes:
    """Read to the end, waiting in poll."""
    buffer, deadline = bytearray(buffer_size), soon(60)
    parts: list[bytes] = []
    while True:
        try:
            count = transport.recv_into(buffer)
        except BlockingIOError:
            assert wait_for([(transport.fileno(), select.POLLIN)], deadline), "nothing came"
            continue
        if not count:
            return b"".join(parts)
        parts.append(bytes(buffer[:count]))


def wait_to_read(transport: Transport, n: int) -> bytes:
    while True:
        try:
            return transport.recv(n)
        except BlockingIOError:
            assert wait_for([(transport.fileno(), select.POLLIN)], soon()), "nothing came"


def write_all(transport: Transport, data: bytes) -> None:
    view = memoryview(data)
    while view or transport.unsent():
        try:
            if view:
                view = view[transport.send(view) :]
            else:
                transport.flush()
        except BlockingIOError:
            pass  # no room now
        if view or transport.unsent():
            assert wait_for([(transport.write_fileno(), select.POLLOUT)], soon(60)), "it takes nothing"


def stuff(transport: Transport) -> None:
    """Send without end, until nothing more is taken."""
    while True:
        transport.send(bytes(65536))


def through_cat(transport: Transport, data: bytes) -> bytes:
    """Send `data` and the end of it while reading what comes back, as a session does, and give all that came."""
    got = bytearray()
    exchange(transport, data, got.extend, seconds=120, buffer_size=5000)
    return bytes(got)


def waits(done: threading.Event) -> None:
    assert done.wait(10)


def noise(length: int) -> bytes:
    return os.urandom(1 << 16) * (length >> 16)


def cat(channel: Plain | Tls) -> None:
    """Give back what comes, and its end after that."""
    while data := channel.recv():
        channel.send(data)
    channel.half_close()


@pytest.fixture
def directory() -> Iterator[Path]:
    # Short: the address of a unix socket has 108 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def serve(directory: Path) -> Iterator[Callable[..., Endpoint]]:
    """Start a server of a kind and give its endpoint."""
    servers = []

    def start(kind: str, work: Callable[[socket.socket], None]) -> Endpoint:
        if kind == "unix":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(directory / "engine.sock"))
            listener.listen()
            server = Server(listener, work)
            servers.append(server)
            return parse(f"unix://{server.address}")
        server = Server(socket.create_server(("127.0.0.1", 0)), work)
        servers.append(server)
        return parse(f"tcp://127.0.0.1:{server.address[1]}")

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def serve_tls(
    serve: Callable[..., Endpoint], certificates: Certificates
) -> Callable[[Callable[[Tls], None]], Endpoint]:
    """Start a TLS server and give its endpoint, with the client's certificates."""

    def start(work: Callable[[Tls], None]) -> Endpoint:
        context = certificates.server_context()
        found = serve("tcp", lambda sock: work(Tls(sock, context)))
        files = TLS(str(certificates.ca), str(certificates.cert), str(certificates.key))
        return parse(found.name.replace("127.0.0.1", "localhost"), files)

    return start


@pytest.fixture
def fake_ssh(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a program of the name `ssh` on the path, in Python; its arguments are noted beside it."""

    def install(script: str) -> Path:
        program = directory / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(
            f"#!{sys.executable} -IS\nimport os, sys, time, signal\n"
            f"open({str(directory / 'arguments')!r}, 'w').write('\\n'.join(sys.argv[1:]))\n{script}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        return directory / "arguments"

    return install


# What all transports do


def pair(kind: str) -> tuple[Transport, socket.socket]:
    """Give a transport of a kind and the far end of it, a blocking socket."""
    ours, theirs = socket.socketpair()
    made: Transport = SocketTransport(ours, "pair") if kind == "socket" else ThreadTransport(ours, "pair")
    theirs.settimeout(10)
    return made, theirs


@pytest.mark.parametrize("kind", ["socket", "thread"])
def test_what_is_put_back_comes_first_and_can_be_read_without_poll(kind: str) -> None:
    transport, far = pair(kind)
    with far:
        far.sendall(b"later")
        transport.unread(b"second ")
        transport.unread(b"first ")
        assert transport.pending()
        buffer = bytearray(8)
        assert transport.recv_into(buffer) == 8
        assert bytes(buffer) == b"first se"
        assert transport.recv(100) == b"cond "
        assert not transport.pending()
        assert wait_to_read(transport, 100) == b"later"
        transport.close()


@pytest.mark.parametrize("kind", ["socket", "thread"])
def test_nothing_to_read_is_an_error_and_not_a_wait(kind: str) -> None:
    transport, far = pair(kind)
    with far:
        with pytest.raises(BlockingIOError):
            transport.recv(1)
        transport.close()


@pytest.mark.parametrize("kind", ["socket", "thread"])
def test_a_full_connection_takes_nothing_and_does_not_wait(kind: str) -> None:
    transport, far = pair(kind)
    with far, pytest.raises(BlockingIOError):
        stuff(transport)
    transport.close()


@pytest.mark.parametrize("kind", ["socket", "thread"])
def test_after_the_end_of_our_sending_the_far_side_is_still_heard(kind: str) -> None:
    transport, far = pair(kind)
    with far:
        transport.send(b"in")
        transport.half_close()
        assert far.makefile("rb").read() == b"in"
        far.sendall(b"late output")
        far.shutdown(socket.SHUT_WR)
        assert read_all(transport) == b"late output"
        transport.close()


@pytest.mark.parametrize("kind", ["socket", "thread"])
def test_closing_twice_is_closing_once(kind: str) -> None:
    transport, far = pair(kind)
    with far:
        transport.close()
        transport.close()
        assert transport.fileno() == -1
        assert far.recv(1) == b""


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_twenty_megabytes_come_back_exactly(kind: str, serve: Callable[..., Endpoint]) -> None:
    transport = connect(serve(kind, lambda sock: cat(Plain(sock))))
    data = noise(MEGABYTES)
    assert through_cat(transport, data) == data
    transport.close()


def test_a_broken_connection_is_told_as_the_system_tells_it() -> None:
    transport, far = pair("socket")
    far.close()
    with pytest.raises(BrokenPipeError):
        transport.send(b"x")
    transport.half_close()
    transport.close()


def test_a_far_side_on_this_machine_that_left_our_bytes_unread_has_ended_and_is_heard_to_its_end() -> None:
    transport, far = pair("socket")
    transport.send(b"never read")
    far.sendall(b"last words")
    far.close()
    assert read_all(transport) == b"last words"
    transport.close()


# Connecting


def test_a_missing_socket_says_what_to_do(directory: Path) -> None:
    with pytest.raises(
        EngineUnreachable, match=r"cannot reach the engine at unix:///tmp/.*: there is no such socket; start"
    ):
        connect(parse(f"unix://{directory}/none.sock"))


def test_a_socket_nobody_listens_on_says_so(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{directory}/left.sock")
    with pytest.raises(EngineUnreachable, match="nothing listens on its socket; is the engine running"):
        connect(parse(f"unix://{directory}/left.sock"))


def test_a_forbidden_socket_names_the_group_and_sudo(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidden(_socket.socket):
        def connect(self, address: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("dockerpty.engine.connection.socket.socket", Forbidden)
    with pytest.raises(
        EngineUnreachable, match="not allowed to use its socket; use sudo, or join the group docker"
    ):
        connect(parse("unix:///x.sock"))


def test_an_engine_that_takes_no_more_connections_is_given_up_in_time(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(f"{directory}/busy.sock")
        busy.listen(0)
        found = parse(f"unix://{directory}/busy.sock")
        waiting = connect(found)
        with pytest.raises(EngineUnreachable, match="did not take the connection in time"):
            connect(found, timeout=0.05)
        waiting.close()


def test_a_refused_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EngineUnreachable, match="refused; is the engine running, and is the port right"):
        connect(parse(f"tcp://127.0.0.1:{port}"))


def test_an_unknown_name_says_so() -> None:
    with pytest.raises(EngineUnreachable, match=r"its name no\.such\.host\.invalid is not known"):
        connect(parse("tcp://no.such.host.invalid:1"))


def test_a_silent_host_is_given_up_in_time() -> None:
    # A queue of one that is full: further connection requests are dropped, as on a silent network.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        found = parse(f"tcp://127.0.0.1:{full.getsockname()[1]}")
        waiting = connect(found)
        with pytest.raises(EngineUnreachable, match="did not answer in time; is a firewall in between"):
            connect(found, timeout=0.1)
        waiting.close()


def test_a_tcp_connection_sends_at_once_and_notices_a_silent_network(serve: Callable[..., Endpoint]) -> None:
    transport = connect(serve("tcp", lambda sock: cat(Plain(sock))))
    sock = socket.socket(fileno=os.dup(transport.fileno()))
    with sock:
        values = [
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
        ]
    assert values == [1, 1, 30, 10, 3]
    transport.close()


# TLS


def test_tls_gives_twenty_megabytes_back_exactly_after_half_closing(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint],
) -> None:
    transport = connect(serve_tls(cat))
    assert isinstance(transport, TLSTransport)
    data = noise(MEGABYTES)
    assert through_cat(transport, data) == data
    transport.close()


def test_tls_half_closes_while_data_is_in_flight_and_loses_none(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint],
) -> None:
    data = noise(1 << 20)

    def talk_then_listen(channel: Tls) -> None:
        # More than the client reads before it ends its sending; then an answer to that.
        assert channel.recv() == b"in"
        channel.send(data)
        assert channel.recv() == b""
        channel.send(b"late")
        channel.half_close()

    transport = connect(serve_tls(talk_then_listen))
    write_all(transport, b"in")
    first = wait_to_read(transport, 1000)
    transport.half_close()
    assert first + read_all(transport) == data + b"late"
    with pytest.raises(BrokenPipeError):
        transport.send(b"more")
    transport.close()


def test_tls_tells_of_plaintext_that_poll_cannot_see(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint],
) -> None:
    done = threading.Event()

    def burst(channel: Tls) -> None:
        channel.recv()
        channel.send(bytes(40_000))
        done.wait(10)

    transport = connect(serve_tls(burst))
    write_all(transport, b"go")
    got = 0
    while got < 40_000:
        if not transport.pending():
            assert wait_for([(transport.fileno(), select.POLLIN)], soon()), f"{got} bytes, then silence"
        try:
            got += len(transport.recv(1000))
        except BlockingIOError:
            continue  # nothing now
    assert not transport.pending()
    done.set()
    transport.close()


def test_a_tls_peer_that_goes_without_a_word_is_an_end(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint],
) -> None:
    def rude(channel: Tls) -> None:
        channel.recv()
        channel.send(b"bye")

    transport = connect(serve_tls(rude))
    write_all(transport, b"go")
    assert read_all(transport) == b"bye"
    assert transport.recv(1) == b""
    assert not transport.pending()
    transport.close()


def test_tls_takes_no_more_than_it_can_hold_from_a_peer_that_does_not_read(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint],
) -> None:
    done = threading.Event()

    def deaf(channel: Tls) -> None:
        channel.recv()
        done.wait(10)

    transport = connect(serve_tls(deaf))
    write_all(transport, b"go")
    with pytest.raises(BlockingIOError):
        stuff(transport)
    assert transport.unsent()
    done.set()
    transport.close()


def test_a_certificate_of_another_authority_is_refused(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint], tmp_path: Path
) -> None:
    found = serve_tls(cat)
    other = Certificates(tmp_path)
    found.tls = TLS(str(other.ca), str(other.cert), str(other.key))
    with pytest.raises(
        EngineUnreachable, match=r"signed by nobody that is trusted here: .*; is ca\.pem in DOCKER_CERT_PATH"
    ):
        connect(found)


def test_a_certificate_of_another_name_is_refused(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint],
) -> None:
    found = serve_tls(cat)
    sock = socket.create_connection((found.host, found.port))
    found.host = "other.example"
    with pytest.raises(EngineUnreachable, match="its certificate is for another name: Hostname mismatch"):
        handshake(sock, found, soon())


def test_without_verifying_any_certificate_will_do(
    serve_tls: Callable[[Callable[[Tls], None]], Endpoint],
) -> None:
    found = serve_tls(cat)
    assert found.tls is not None
    found.tls = TLS("", found.tls.cert, found.tls.key, False)
    found.host = "127.0.0.1"
    transport = connect(found)
    assert through_cat(transport, b"hello") == b"hello"
    transport.close()


def test_a_port_without_tls_says_so(serve: Callable[..., Endpoint]) -> None:
    def plain(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request\n")

    found = serve("tcp", plain)
    found.tls = TLS(verify=False)
    with pytest.raises(EngineUnreachable, match="it does not speak TLS; is the port right"):
        connect(found)


def test_a_silent_port_does_not_hold_up_the_handshake(serve: Callable[..., Endpoint]) -> None:
    done = threading.Event()
    found = serve("tcp", lambda sock: waits(done))
    found.tls = TLS(verify=False)
    with pytest.raises(EngineUnreachable, match="the TLS handshake took too long"):
        connect(found, timeout=0.1)
    done.set()


def test_a_missing_certificate_file_is_named(serve: Callable[..., Endpoint], tmp_path: Path) -> None:
    found = serve("tcp", lambda sock: None)
    found.tls = TLS(str(tmp_path / "ca.pem"))
    with pytest.raises(
        EngineUnreachable, match=r"/ca\.pem: No such file or directory; look at the files in DOCKER_CERT_PATH"
    ):
        connect(found)


def test_an_authority_may_be_the_systems_or_a_directory(tmp_path: Path) -> None:
    assert context_of(TLS()).verify_mode == ssl.CERT_REQUIRED
    assert context_of(TLS(str(tmp_path))).check_hostname
    assert context_of(TLS(verify=False)).verify_mode == ssl.CERT_NONE


def test_open_connections_share_what_their_files_say_until_these_change(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    tls = TLS(str(certificates.ca), str(certificates.cert), str(certificates.key))
    first = shared_context(tls)
    assert shared_context(TLS(*tls)) is first
    assert shared_context(TLS(tls.ca)) is not first
    Certificates(tmp_path)
    second = shared_context(tls)
    assert second is not first
    kept = weakref.ref(second)
    del second
    assert kept() is None
    certificates.key.unlink()
    with pytest.raises(FileNotFoundError):
        shared_context(tls)


# ssh


def test_ssh_gets_what_the_address_says_and_no_option_from_the_host() -> None:
    assert arguments(parse("ssh://me@host:222"), 7) == [
        *("-T", "-o", "ConnectTimeout=7", "-l", "me", "-p", "222", "--", "host", "docker system dial-stdio")
    ]
    assert arguments(parse("ssh://-oProxyCommand=x"), 7)[-3:-1] == ["--", "-oProxyCommand=x"]
    assert arguments(parse("ssh://host/it's.sock"), 7)[-1] == (
        "docker --host 'unix:///it'\\''s.sock' system dial-stdio"
    )


def test_ssh_carries_bytes_both_ways_and_the_end_of_ours(fake_ssh: Callable[[str], Path]) -> None:
    noted = fake_ssh("while data := os.read(0, 65536): os.write(1, data)")
    transport = connect(parse("ssh://me@host"), timeout=3)
    data = noise(2 << 20)
    assert through_cat(transport, data) == data
    assert noted.read_text().split("\n") == [
        *("-T", "-o", "ConnectTimeout=3", "-l", "me", "--", "host", "docker system dial-stdio")
    ]
    assert isinstance(transport, SSHTransport)
    transport.close()
    assert transport._process.returncode == 0


def test_an_ssh_that_fails_has_its_last_words_in_the_error(fake_ssh: Callable[[str], Path]) -> None:
    fake_ssh("sys.stderr.write('banner\\nme@host: Permission denied (publickey).\\n'); sys.exit(255)")
    transport = connect(parse("ssh://me@host"))
    with pytest.raises(
        EngineUnreachable, match=r"ssh://me@host: ssh says: banner me@host: Permission denied \(publickey\)"
    ):
        Exchange(transport, GET).until(lambda: False, soon())
    transport.close()
    assert transport.last_words() == ""


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "sys.exit(255)"])
def test_the_end_of_an_ssh_in_the_middle_is_no_end_of_the_stream(
    end: str, fake_ssh: Callable[[str], Path]
) -> None:
    fake_ssh(f"os.write(1, os.read(0, 4)); {end}")
    transport = connect(parse("ssh://me@host"), 5.0)
    try:
        transport.send(b"some, and what nobody reads any more")
        with pytest.raises(ConnectionResetError):
            read_all(transport)
    finally:
        transport.close()


def test_an_ssh_that_ends_well_with_input_of_ours_unread_is_an_end(fake_ssh: Callable[[str], Path]) -> None:
    fake_ssh("os.read(0, 4); os.write(1, b'all of it')")
    transport = connect(parse("ssh://me@host"), 5.0)
    try:
        transport.send(b"some, and what nobody reads any more")
        assert read_all(transport) == b"all of it"
    finally:
        transport.close()


def test_the_end_of_an_ssh_is_seen_before_it_is_waited_for(fake_ssh: Callable[[str], Path]) -> None:
    fake_ssh("os.write(1, os.read(0, 4)); os.read(0, 1)")
    transport = connect(parse("ssh://me@host"), 5.0)
    try:
        assert not transport.end_waits()
        transport.send(b"some")
        assert wait_for([(transport.fileno(), select.POLLIN)], soon())
        assert not transport.end_waits()
        transport.unread(transport.recv(4))
        assert not transport.end_waits()
        assert transport.recv(10) == b"some"
        assert not transport.end_waits()
        transport.half_close()
        assert wait_for([(transport.fileno(), select.POLLIN)], soon())
        assert transport.end_waits()
        assert transport.recv(10) == b""
    finally:
        transport.close()


def test_an_ssh_that_fails_in_silence_has_its_code_in_the_error(fake_ssh: Callable[[str], Path]) -> None:
    fake_ssh("sys.exit(127)")
    transport = connect(parse("ssh://host"))
    with pytest.raises(EngineUnreachable, match="ssh ended with 127"):
        Exchange(transport, GET).until(lambda: False, soon())
    transport.close()


STILL = "is it still running?"
NEVER_STOOD = [
    (
        "sys.stderr.write('ssh: connect to host host port 22: Connection refused\\n'); sys.exit(255)",
        "is an ssh server running there, and is the port right?",
    ),
    (
        "os.read(0, 10); sys.stderr.write('bash: docker: command not found\\n'); sys.exit(127)",
        "install docker's command over there, where a shell without a terminal finds it",
    ),
    (
        "sys.stderr.write('failed to open the raw stream connection: denied\\n'); sys.exit(1)",
        (
            "the engine over there does not run, or is not yours to use:"
            " does `ssh -p 222 me@host docker version` work?"
        ),
    ),
    ("sys.exit(255)", "does `ssh -p 222 me@host docker version` work?"),
    ("os.read(0, 10); sys.exit(1)", STILL),
    ("os.read(0, 10); os.write(1, b'HTTP'); sys.exit(255)", STILL),
]


@pytest.mark.parametrize(("script", "hint"), NEVER_STOOD)
def test_what_ssh_took_and_had_nobody_to_give_to_never_arrived(
    script: str, hint: str, fake_ssh: Callable[[str], Path]
) -> None:
    fake_ssh(script)
    transport = connect(parse("ssh://me@host:222"))
    exchange = Exchange(transport, GET)
    with pytest.raises(EngineUnreachable) as caught:
        exchange.until(lambda: False, soon())
    assert caught.value.hint == hint
    assert (exchange.taken == 0) is (hint != STILL)
    transport.close()


def test_an_ssh_that_does_not_end_by_itself_is_ended(fake_ssh: Callable[[str], Path]) -> None:
    fake_ssh("os.write(1, b'x'); time.sleep(60)")
    transport = connect(parse("ssh://host"))
    assert wait_to_read(transport, 1) == b"x"
    transport.close()
    assert isinstance(transport, SSHTransport)
    assert transport._process.returncode is not None


def test_an_ssh_that_will_not_end_is_killed(
    fake_ssh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockerpty.engine.ssh._TERMINATION_S", 0.05)
    fake_ssh("signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(1, b'x'); time.sleep(60)")
    transport = connect(parse("ssh://host"))
    assert wait_to_read(transport, 1) == b"x"
    transport.close()
    assert isinstance(transport, SSHTransport)
    assert transport._process.returncode == -9


def test_a_ctrl_c_at_the_terminal_is_not_for_ssh(fake_ssh: Callable[[str], Path]) -> None:
    fake_ssh(
        "handlers = [signal.getsignal(s) == signal.SIG_IGN for s in (signal.SIGINT, signal.SIGQUIT)]\n"
        "os.write(1, str(handlers).encode())"
    )
    transport = connect(parse("ssh://host"))
    assert read_all(transport) == b"[True, True]"
    transport.close()


def test_without_ssh_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnreachable, match="ssh://host: there is no ssh here; install openssh-client"):
        connect(parse("ssh://host"))


# Threads


class Channel:
    """An object with blocking `recv` and `send`, and nothing to poll."""

    def __init__(self, sock: socket.socket) -> None:
        self._inner = sock
        self.failure: Exception | None = None

    def recv(self, n: int) -> bytes:
        data = self._inner.recv(n)
        if not data and self.failure:
            raise self.failure
        return data

    def send(self, data: bytes) -> int:
        return self._inner.send(data[:1000])

    def close(self) -> None:
        try:
            self._inner.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was first
        self._inner.close()


class HalfClosing(Channel):
    def shutdown_write(self) -> None:
        self._inner.shutdown(socket.SHUT_WR)


def test_threads_carry_bytes_of_what_cannot_be_polled(serve: Callable[..., Endpoint]) -> None:
    found = serve("unix", lambda sock: cat(Plain(sock)))
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(found.path)
    transport = ThreadTransport(HalfClosing(sock), "channel")
    data = noise(2 << 20)
    assert through_cat(transport, data) == data
    transport.close()


def test_what_a_thread_has_taken_is_passed_on_before_the_end() -> None:
    ours, theirs = socket.socketpair()
    transport = ThreadTransport(HalfClosing(ours), "channel")
    data = noise(50_000)
    with theirs:
        theirs.settimeout(10)
        write_all(transport, data)
        transport.close()
        with theirs.makefile("rb") as file:
            assert file.read() == data


def test_what_cannot_end_one_direction_says_so_and_goes_on() -> None:
    ours, theirs = socket.socketpair()
    transport = ThreadTransport(Channel(ours), "pipe")
    assert not transport.can_half_close()
    with theirs:
        with pytest.raises(OSError, match="only be closed in both directions") as caught:
            transport.half_close()
        assert caught.value.errno == errno.ENOTSUP
        theirs.sendall(b"still here")
        assert wait_to_read(transport, 100) == b"still here"
        transport.close()


@pytest.mark.parametrize("failure", [OSError("gone"), EOFError()])
def test_a_channel_that_fails_is_not_taken_for_one_that_ends(failure: Exception) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    channel.failure = failure
    transport = ThreadTransport(channel, "channel")
    theirs.sendall(b"part")
    theirs.close()
    with pytest.raises(ConnectionResetError, match=str(failure) or "EOFError"):
        read_all(transport)
    transport.close()


def test_closing_wakes_threads_that_wait_for_a_silent_and_deaf_far_side() -> None:
    transport, far = pair("thread")
    with pytest.raises(BlockingIOError):
        stuff(transport)
    transport.close()
    far.close()


class SSHClient:
    """A paramiko client, as far as a channel needs it."""

    def __init__(self, channel: Any, active: bool = True, failure: Exception | None = None) -> None:
        self.channel = channel
        self.active = active
        self.failure = failure
        self.closed = False

    def get_transport(self) -> SSHClient:
        return self

    def is_active(self) -> bool:
        return self.active

    def open_session(self, timeout: float) -> Any:
        if self.failure:
            raise self.failure
        return self.channel

    def close(self) -> None:
        self.closed = True


class ParamikoChannel(HalfClosing):
    def __init__(self, sock: socket.socket, failure: Exception | None = None) -> None:
        super().__init__(sock)
        self.command = ""
        self.exec_failure = failure
        self.timeouts: list[float | None] = []

    def settimeout(self, value: float | None) -> None:
        self.timeouts.append(value)

    def exec_command(self, command: str) -> None:
        if self.exec_failure:
            raise self.exec_failure
        self.command = command

    def recv_stderr_ready(self) -> bool:
        return True

    def recv_stderr(self, n: int) -> bytes:
        return b"sh: docker: not found\n"


def test_a_paramiko_client_gives_a_channel_and_stays_open() -> None:
    ours, theirs = socket.socketpair()
    client = SSHClient(channel := ParamikoChannel(ours))
    transport = connect(Endpoint("paramiko", "ssh://host", client=client), timeout=5)
    assert channel.command == "docker system dial-stdio"
    assert channel.timeouts == [5, None]
    theirs.close()
    with pytest.raises(EngineUnreachable, match="ssh://host: the far side says: sh: docker: not found"):
        Exchange(transport, GET).until(lambda: False, soon())
    transport.close()
    assert not client.closed


def test_a_paramiko_client_that_gives_no_channel_says_why() -> None:
    import paramiko

    with pytest.raises(EngineUnreachable, match="the ssh client is not connected"):
        open_channel(SSHClient(None, active=False), "ssh://host", 1)
    with pytest.raises(EngineUnreachable, match="ssh gave no channel: too many"):
        open_channel(SSHClient(None, failure=paramiko.SSHException("too many")), "ssh://host", 1)
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(EngineUnreachable, match="ssh did not start the far side: no exec"):
        open_channel(SSHClient(ParamikoChannel(ours, EOFError("no exec"))), "ssh://host", 1)


# An exchange


def exchange_with(
    work: Callable[[socket.socket], None], data: bytes = GET, answer: Answer | None = None
) -> Exchange:
    """Start an exchange whose far side is played by `work`, to its end, before the answer is read."""
    transport, far = pair("socket")
    made = Exchange(transport, data, answer)
    with far:
        try:
            made.serve()
        except BlockingIOError:
            pass  # no room now
        far.recv(len(GET))
        work(far)
    return made


def test_an_exchange_sends_its_request_and_reads_the_answer_in_any_pieces() -> None:
    transport, far = pair("socket")
    exchange = Exchange(transport, GET)
    with far:
        exchange.serve()
        assert far.recv(1000) == GET
        for byte in OK + b"rest":
            far.sendall(bytes([byte]))
            exchange.serve()
        assert (exchange.answer.body, exchange.answer.complete) == (b"OK", True)
        assert exchange.taken == len(GET)
        # What nobody asked for is still on the connection: `recv` would find it before the next request.
        assert transport.recv(100) == b"rest"
        transport.close()


def test_an_exchange_waits_for_room_only_while_it_has_something_to_send() -> None:
    transport, far = pair("socket")
    body = bytes(5_000_000)
    exchange = Exchange(transport, request("POST", "/", [], body))
    with far:
        exchange.serve()
        assert exchange.interest() == [(transport.fileno(), select.POLLIN | select.POLLOUT)]
        received = 0
        while received < exchange.taken or exchange.interest()[0][1] & select.POLLOUT:
            received += len(far.recv(65536))
            exchange.serve()
        assert exchange.interest() == [(transport.fileno(), select.POLLIN)]
        far.sendall(OK)
        exchange.until(lambda: exchange.answer.complete, soon())
        assert exchange.reusable
        transport.close()


def test_an_answer_that_comes_before_all_was_sent_counts_though_the_connection_breaks() -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    exchange = exchange_with(lambda far: far.sendall(refusal), request("POST", "/", [], bytes(5_000_000)))
    exchange.until(lambda: exchange.answer.complete, soon())
    assert exchange.answer.status == 413
    assert not exchange.reusable
    exchange.transport.close()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 2", "in the middle of an answer"),
        (OK[:-1], "in the middle of an answer"),
    ],
)
def test_a_connection_that_ends_too_early_is_an_engine_that_cannot_be_reached(
    sent: bytes, reason: str
) -> None:
    exchange = exchange_with(lambda far: far.sendall(sent))
    with pytest.raises(EngineUnreachable, match=reason):
        exchange.until(lambda: exchange.answer.complete, soon())
    assert exchange.answer.started is bool(sent)
    exchange.transport.close()


def test_what_is_no_answer_is_an_error_of_the_protocol() -> None:
    exchange = exchange_with(lambda far: far.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n\r\n"))
    with pytest.raises(ProtocolError):
        exchange.until(lambda: exchange.answer.complete, soon())
    exchange.transport.close()


def test_patience_may_be_longer_than_the_kernel_can_count(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "sock"))
        listener.listen()
        transport = connect(parse(f"unix://{directory}/sock"), 1e300)
        try:
            assert wait_for([(transport.fileno(), select.POLLOUT)], time.monotonic() + 1e300)
        finally:
            transport.close()


def test_an_answer_that_does_not_come_in_time_is_not_waited_for() -> None:
    transport, far = pair("socket")
    with far, pytest.raises(EngineUnreachable, match="pair: it did not answer in time"):
        Exchange(transport, GET).until(lambda: False, soon(0.05))
    transport.close()


def test_what_follows_an_upgrade_is_left_over() -> None:
    upgrade = b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nfirst bytes"
    exchange = exchange_with(lambda far: far.sendall(upgrade), answer=Answer("POST", hijack=True))
    exchange.until(lambda: exchange.answer.complete, soon())
    assert exchange.answer.rest == b"first bytes"
    exchange.transport.close()


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_a_network_that_is_gone_is_a_lost_connection(number: int) -> None:
    class Gone(socket.socket):
        def recv_into(self, *arguments: object) -> int:
            raise OSError(number, os.strerror(number))

        def send(self, *arguments: object) -> int:
            raise OSError(number, os.strerror(number))

    transport = SocketTransport(Gone(), "tcp://far")
    with pytest.raises(ConnectionError):
        transport.recv(1)
    with pytest.raises(ConnectionError):
        transport.send(b"x")
    transport.close()
