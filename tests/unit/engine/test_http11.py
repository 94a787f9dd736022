"""A request's bytes, and an answer fed in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.engine import http11
from dockerpty.engine.http11 import Answer, request
from dockerpty.errors import ProtocolError
from tests.unit.strategies import cut, cuts

BODY = b'{"Id":"4ad"}\r\n'
HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n"


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def fed(data: bytes, method: str = "GET", *, hijack: bool = False) -> Answer:
    answer = Answer(method, hijack=hijack)
    answer.feed(data)
    return answer


def seen(answer: Answer) -> tuple[object, ...]:
    return (
        answer.status,
        answer.reason,
        answer.headers,
        answer.body,
        answer.complete,
        answer.rest,
        answer.reusable,
    )


WIRES = {
    "by length": (HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY), BODY),
    "in chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(BODY[:1], BODY[1:], b"more"),
        BODY + b"more",
    ),
    "chunks with an extension and a trailer": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nE;name=value\r\n" + BODY + b"\r\n00\r\nEtag: x\r\n\r\n",
        BODY,
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", b""),
    "empty": (HEAD + b"Content-Length: 0\r\n\r\n", b""),
    "after interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
        + HEAD
        + b"Content-Length: 2\r\n\r\nOK",
        b"OK",
    ),
}


@pytest.mark.parametrize(("wire", "body"), WIRES.values(), ids=WIRES)
@given(data=st.data())
def test_any_cutting_of_the_wire_gives_the_same_answer_and_the_exact_rest(
    wire: bytes, body: bytes, data: st.DataObject
) -> None:
    rest = data.draw(st.binary(max_size=20), "rest")
    whole = wire + rest
    answer = Answer()
    for piece in cut(whole, data.draw(cuts, "cuts")):
        answer.feed(piece)
    assert answer.complete
    assert answer.body == body
    assert answer.rest == rest
    assert seen(answer) == seen(fed(whole))


@pytest.mark.parametrize("wire", [wire for wire, _ in WIRES.values()], ids=WIRES)
def test_an_answer_is_complete_with_its_last_byte_and_not_before(wire: bytes) -> None:
    for length in range(len(wire)):
        answer = fed(wire[:length])
        assert not answer.complete
        assert answer.rest == b""
        with pytest.raises(ProtocolError, match="in the middle"):
            answer.eof()
    answer = fed(wire)
    answer.eof()
    assert answer.complete


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
    ],
)
@given(data=st.data())
def test_what_follows_the_head_of_a_hijacked_answer_is_the_stream(head: bytes, data: st.DataObject) -> None:
    stream = data.draw(st.binary(max_size=40))
    answer = Answer("POST", hijack=True)
    for piece in cut(head + stream, data.draw(cuts)):
        answer.feed(piece)
    assert answer.complete
    assert (answer.body, answer.rest) == (b"", stream)


def test_an_error_in_place_of_a_stream_has_its_body() -> None:
    answer = fed(b"HTTP/1.1 409 Conflict\r\nContent-Length: 6\r\n\r\npaused", "POST", hijack=True)
    assert (answer.status, answer.reason, answer.body, answer.complete) == (409, "Conflict", b"paused", True)


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    assert fed(HEAD + b"Content-Length: 12\r\n\r\n", "HEAD").complete


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    answer = fed(HEAD + b"\r\nsome")
    answer.feed(b" more")
    assert not answer.complete
    answer.eof()
    assert (answer.complete, answer.body, answer.reusable) == (True, b"some more", False)


def test_header_names_are_in_lower_case_and_repeated_ones_joined() -> None:
    assert fed(b"HTTP/1.1 204 No Content\r\nX-A:  one \r\nx-a: two\r\n\r\n").headers == {"x-a": "one, two"}


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 204 No Content\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_unless_the_answer_ends_it(head: bytes, reusable: bool) -> None:
    assert fed(head).reusable is reusable


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 2\xb2\xb2 OK\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b" folded: line\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1x\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Content-Length: %d\r\n\r\n" % (http11.BODY_LIMIT + 1),
        HEAD + b"Content-Length: 100000000000000000000000000\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * http11.HEAD_LIMIT,
        b"x" * (http11.HEAD_LIMIT + 4),
    ],
)
def test_what_is_no_answer_or_too_large_is_refused(wire: bytes) -> None:
    with pytest.raises(ProtocolError, match="cannot read the engine's answer: "):
        fed(wire)


def test_a_body_that_grows_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http11, "BODY_LIMIT", 100)
    answer = fed(HEAD + b"\r\n" + b"x" * 100)
    with pytest.raises(ProtocolError, match="longer than 100 bytes"):
        answer.feed(b"x")
    with pytest.raises(ProtocolError, match="longer than 100 bytes"):
        fed(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 60, b"x" * 60))


def test_a_request_has_its_headers_and_the_length_of_its_body() -> None:
    assert request("POST", "/exec/1/start", [("Host", "localhost")], b"{}") == (
        b"POST /exec/1/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert b"Content-Length: 0\r\n" in request("POST", "/x", [])
    assert b"Content-Length" not in request("GET", "/x", [])


@pytest.mark.parametrize("target", ["/a\r\nX: y", "/a b", "/a\n"])
def test_a_target_cannot_carry_a_header_with_it(target: str) -> None:
    with pytest.raises(ValueError, match="cannot have one"):
        request("GET", target, [])


def test_a_header_cannot_carry_another_with_it() -> None:
    with pytest.raises(ValueError, match="cannot have one"):
        request("GET", "/", [("A", "b\r\nC: d")])
