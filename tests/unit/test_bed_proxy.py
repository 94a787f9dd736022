"""The bed's proxy, between a plain client and a little engine that echoes."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.bed.certificates import Certificates
from tests.bed.proxy import Proxy, still_running
from tests.bed.waiting import wait_for


class EchoEngine:
    """Answers /text with a length, /chunked in chunks, and echoes after an upgrade until the input ends."""

    def __init__(self, path: str) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.ended: list[bool] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed
            self._sockets.append(sock)
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as lines:
            try:
                while head := _head(lines):
                    self.heads.append(head)
                    if b"Content-Length: " in head:
                        self.bodies.append(
                            lines.read(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                        )
                    if b"/attach" in head:
                        upgraded = b"Upgrade: tcp" in head
                        sock.sendall(
                            b"HTTP/1.1 101 UPGRADED\r\n\r\n" if upgraded else b"HTTP/1.1 200 OK\r\n\r\n"
                        )
                        sock.sendall(b"first")
                        while data := lines.read1(1 << 16):
                            sock.sendall(data)
                        sock.sendall(b"tail")
                        break
                    if b"/chunked" in head:
                        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                        sock.sendall(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
                    else:
                        body = b'{"State": {"Running": false}}'
                        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            except OSError:
                self.ended.append(False)
            else:
                self.ended.append(True)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was first
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


def _head(lines: BinaryIO) -> bytes:
    head = b""
    while (line := lines.readline()) not in (b"\r\n", b""):
        head += line
    return head


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EchoEngine]:
    engine = EchoEngine(str(tmp_path / "engine"))
    yield engine
    engine.close()


@pytest.fixture
def proxy(engine: EchoEngine, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(str(tmp_path / "engine")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def connect(url: str, certificates: Certificates | None = None) -> socket.socket:
    """A client's socket with a time limit."""
    if url.startswith("unix://"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        try:
            sock.connect(url.removeprefix("unix://"))
        except OSError:
            sock.close()
            raise
        return sock
    host, port = url.removeprefix("tcp://").split(":")
    sock = socket.create_connection((host, int(port)), 5)
    if certificates is not None:
        return certificates.client_context().wrap_socket(sock, server_hostname=host)
    return sock


GET = b"GET /v1.41/containers/a/json HTTP/1.1\r\nHost: x\r\n\r\n"
ATTACH = b"POST /v1.41/containers/a/attach?stream=1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
RESIZE = b"POST /exec/b/resize?h=1&w=2 HTTP/1.1\r\n\r\n"
BODY = b'{"State": {"Running": false}}'


def until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        more = sock.recv(4096)
        assert more, f"ended after {data!r}"
        data += more
    return data


def rest(sock: socket.socket) -> bytes:
    data = b""
    while more := sock.recv(1 << 16):
        data += more
    return data


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_without_rules_requests_and_answers_pass_and_are_noted(way: str, proxy: Proxy) -> None:
    with connect(getattr(proxy, way)()) as sock:
        for _ in range(3):
            sock.sendall(GET)
            assert until(sock, b"}}").endswith(BODY)
        sock.sendall(b"POST /chunked HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
        assert until(sock, b"0\r\n\r\n").endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert proxy.count("GET", "/json$") == 3
    assert proxy.seen("POST")[0].body == b"body"


@pytest.mark.parametrize("way", ["unix", "tcp", "tls"])
def test_the_end_of_one_direction_passes_while_the_other_goes_on(
    way: str, proxy: Proxy, certificates: Certificates
) -> None:
    data = os.urandom(3_000_000)
    if way == "tls":
        context = certificates.server_context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        received = _tls_round_trip(connect(proxy.tls(context)), client, incoming, outgoing, ATTACH, data)
    else:
        with connect(getattr(proxy, way)()) as sock:
            sock.sendall(ATTACH)
            writer = threading.Thread(target=send_and_end, args=(sock, data))
            writer.start()
            received = rest(sock)
            writer.join()
    assert received == b"HTTP/1.1 101 UPGRADED\r\n\r\nfirst" + data + b"tail"


def send_and_end(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def _tls_round_trip(
    sock: socket.socket,
    client: ssl.SSLObject,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    head: bytes,
    data: bytes,
) -> bytes:
    """Send, end our direction with a close_notify in the middle of the echo, and read the rest."""
    with sock:
        sock.settimeout(5)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(1 << 16))
        client.write(head + data[:100_000])
        sock.sendall(outgoing.read())
        received = b""
        rest_of_it = data[100_000:]
        while True:
            try:
                more = client.read(1 << 16)
            except ssl.SSLWantReadError:
                if rest_of_it:
                    client.write(rest_of_it[:50_000])
                    rest_of_it = rest_of_it[50_000:]
                    sock.sendall(outgoing.read())
                    if not rest_of_it:
                        with pytest.raises(ssl.SSLWantReadError):
                            client.unwrap()
                        sock.sendall(outgoing.read())
                arrived = sock.recv(1 << 16)
                if not arrived:
                    return received
                incoming.write(arrived)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return received
            else:
                if not more:
                    return received
                received += more


def test_a_client_certificate_is_asked_for(proxy: Proxy, certificates: Certificates) -> None:
    url = proxy.tls(certificates.server_context())
    context = ssl.create_default_context(cafile=str(certificates.ca))
    with connect(url) as plain, context.wrap_socket(plain, server_hostname="localhost") as sock:
        try:
            sock.sendall(GET)
            answer = rest(sock)
        except (ssl.SSLError, ConnectionError):
            answer = b""
    assert answer == b""
    assert proxy.count() == 0


def test_an_answer_can_be_held_until_the_test_lets_it_go(proxy: Proxy) -> None:
    gate = threading.Event()
    proxy.on("GET", "/json", hold_answer=gate)
    with connect(proxy.unix()) as sock:
        sock.sendall(GET)
        proxy.wait_for_request("GET")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(5)
        gate.set()
        assert until(sock, b"}}")


def test_a_request_can_be_held_before_the_engine_sees_it(engine: EchoEngine, proxy: Proxy) -> None:
    gate = threading.Event()
    proxy.on("GET", hold_request=gate)
    with connect(proxy.unix()) as sock:
        sock.sendall(GET)
        proxy.wait_for_request("GET")
        assert not engine.heads
        gate.set()
        assert until(sock, b"}}")
        assert len(engine.heads) == 1


def test_a_request_can_be_answered_by_the_proxy_itself_a_few_times(engine: EchoEngine, proxy: Proxy) -> None:
    proxy.on("POST", "/resize", answer=(409, b'{"message":"not yet"}'), times=2)
    with connect(proxy.unix()) as sock:
        for expected in (b"409", b"409", b"200"):
            sock.sendall(RESIZE)
            assert until(sock, b"}").split()[1] == expected
    assert len(engine.heads) == 1
    assert proxy.count("POST", "/resize") == 3


def test_an_inspection_can_say_running_a_few_times_too_many(proxy: Proxy) -> None:
    proxy.on("GET", "/json", edit=still_running, times=1)
    with connect(proxy.unix()) as sock:
        for expected in (b"true", b"false"):
            sock.sendall(GET)
            assert b'"Running": ' + expected in until(sock, b"}}")


def test_an_upgrade_can_be_refused(proxy: Proxy) -> None:
    proxy.on("POST", "/attach", no_upgrade=True)
    with connect(proxy.unix()) as sock:
        sock.sendall(ATTACH + b"abc")
        sock.shutdown(socket.SHUT_WR)
        assert rest(sock) == b"HTTP/1.1 200 OK\r\n\r\nfirstabctail"


def test_head_and_first_data_can_come_in_one_piece(proxy: Proxy) -> None:
    proxy.on("POST", "/attach", joined=True)
    with connect(proxy.unix()) as sock:
        sock.sendall(ATTACH)
        assert sock.recv(4096) == b"HTTP/1.1 101 UPGRADED\r\n\r\nfirst"


def test_the_beginning_can_come_byte_by_byte(proxy: Proxy) -> None:
    proxy.on("POST", "/attach", dribble=20)
    with connect(proxy.unix()) as sock:
        sock.sendall(ATTACH)
        pieces: list[bytes] = []
        while len(b"".join(pieces)) < 30:
            pieces.append(sock.recv(4096))
        assert len(pieces) > 10
        assert b"".join(pieces) == b"HTTP/1.1 101 UPGRADED\r\n\r\nfirst"


def test_bytes_can_be_put_into_the_stream(proxy: Proxy) -> None:
    proxy.on("POST", "/attach", inject=(7, b"<here>"))
    with connect(proxy.unix()) as sock:
        sock.sendall(ATTACH + b"abcd")
        sock.shutdown(socket.SHUT_WR)
        assert rest(sock).endswith(b"\r\n\r\nfirstab<here>cdtail")


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_the_stream_can_be_cut_after_some_bytes(way: str, proxy: Proxy) -> None:
    proxy.on("POST", "/attach", cut_down=7)
    with connect(getattr(proxy, way)()) as sock:
        sock.sendall(ATTACH + b"abcd")
        assert rest(sock).endswith(b"\r\n\r\nfirstab")


def test_a_cut_can_be_a_reset(proxy: Proxy) -> None:
    proxy.on("POST", "/attach", cut_down=7, cut="reset")
    with connect(proxy.tcp()) as sock:
        sock.sendall(ATTACH + b"abcd")
        with pytest.raises(ConnectionResetError):
            rest(sock)


def test_a_cut_can_be_silence(engine: EchoEngine, proxy: Proxy) -> None:
    proxy.on("POST", "/attach", cut_up=2, cut="swallow")
    with connect(proxy.unix()) as sock:
        sock.sendall(ATTACH + b"abcd")
        until(sock, b"firstab")
        sock.sendall(b"more")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_the_end_of_the_stream_can_be_withheld(proxy: Proxy) -> None:
    proxy.on("POST", "/attach", never_close=True)
    with connect(proxy.unix()) as sock:
        sock.sendall(ATTACH)
        sock.shutdown(socket.SHUT_WR)
        until(sock, b"tail")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_rules_skip_and_count(proxy: Proxy) -> None:
    rule = proxy.on("GET", answer=(404, b"{}"), skip=1, times=1)
    with connect(proxy.unix()) as sock:
        for expected in (b"200", b"404", b"200"):
            sock.sendall(GET)
            assert until(sock, b"}").split()[1] == expected
            if expected == b"200":
                continue
    assert rule.applied == 1


def test_all_connections_can_be_dropped_as_by_an_engine_that_dies(engine: EchoEngine, proxy: Proxy) -> None:
    url = proxy.unix()
    with connect(url) as sock:
        sock.sendall(ATTACH)
        until(sock, b"first")
        assert proxy.open_connections == 1
        proxy.refuse_connections()
        proxy.drop_connections()
        assert sock.recv(1) == b""
        with pytest.raises(FileNotFoundError):
            connect(url)
    wait_for(lambda: engine.ended, what="the engine to see it")
    assert proxy.open_connections == 0


def test_closing_leaves_no_thread_and_no_descriptor(engine: EchoEngine, tmp_path: Path) -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with Proxy(str(tmp_path / "engine")) as proxy:
        sock = connect(proxy.tcp())
        sock.sendall(ATTACH)
        until(sock, b"first")
    sock.close()
    # The echoing engine's own thread and socket end with the connection.
    wait_for(lambda: (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, files))
