from __future__ import annotations

import struct

import pytest
from hypothesis import given

from dockerpty.errors import DockerptyError, ProtocolError
from dockerpty.frames import HEADER_SIZE, MAX_FRAME, Decoder, encode
from tests.unit import strategies


def texts(pieces: list[tuple[int, memoryview]]) -> list[tuple[int, bytes]]:
    return [(stream, bytes(piece)) for stream, piece in pieces]


def joined(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Join neighbours of one stream: what a reader sees, whatever the pieces."""
    result: list[tuple[int, bytes]] = []
    for stream, payload in pieces:
        if result and result[-1][0] == stream:
            result[-1] = (stream, result[-1][1] + payload)
        elif payload:
            result.append((stream, payload))
    return result


def header(stream: int, length: int) -> bytes:
    return struct.pack(">BxxxL", stream, length)


def test_a_frame_is_its_header_and_its_payload() -> None:
    assert encode(2, b"out\n") == b"\x02\0\0\0\0\0\0\x04out\n"


def test_several_frames_in_one_read_come_out_in_order() -> None:
    data = encode(1, b"one") + encode(2, b"two") + encode(1, b"three")
    assert texts(Decoder().feed(data)) == [(1, b"one"), (2, b"two"), (1, b"three")]


def test_half_a_header_yields_nothing_until_the_rest_arrives() -> None:
    decoder = Decoder()
    data = encode(1, b"abc")
    assert decoder.feed(data[:5]) == []
    assert decoder.mid_frame
    assert not decoder.in_payload
    assert texts(decoder.feed(data[5:])) == [(1, b"abc")]
    assert not decoder.mid_frame


def test_half_a_payload_is_delivered_at_once() -> None:
    decoder = Decoder()
    data = encode(2, b"abcdef")
    assert texts(decoder.feed(data[:10])) == [(2, b"ab")]
    assert (decoder.stream, decoder.remain, decoder.in_payload) == (2, 4, True)
    assert texts(decoder.feed(data[10:])) == [(2, b"cdef")]


def test_an_empty_frame_gives_nothing_and_does_not_end_the_stream() -> None:
    decoder = Decoder()
    assert decoder.feed(encode(1, b"")) == []
    assert not decoder.mid_frame
    assert texts(decoder.feed(encode(2, b"") + encode(1, b"more"))) == [(1, b"more")]


def test_an_empty_read_changes_nothing() -> None:
    decoder = Decoder()
    assert decoder.feed(b"") == []
    data = encode(1, b"abc")
    pieces = []
    for end in range(1, len(data) + 1):
        pieces += texts(decoder.feed(data[end - 1 : end])) + texts(decoder.feed(b""))
    assert joined(pieces) == [(1, b"abc")]


def test_it_tells_how_many_bytes_to_read_to_the_next_boundary() -> None:
    decoder = Decoder()
    data = encode(1, b"abcde")
    assert decoder.wanted() == 8
    decoder.feed(data[:3])
    assert decoder.wanted() == 5
    decoder.feed(data[3:8])
    assert decoder.wanted() == 5
    assert (decoder.stream, decoder.remain, decoder.in_payload) == (1, 5, True)
    decoder.feed(data[8:12])
    assert decoder.wanted() == 1
    decoder.feed(data[12:])
    assert decoder.wanted() == 8


def test_reading_only_what_is_wanted_never_takes_bytes_of_two_frames() -> None:
    decoder, data, reads = Decoder(), encode(1, b"abc") + encode(2, b"d") + encode(1, b""), []
    while data:
        wanted = decoder.wanted()
        pieces, data = texts(decoder.feed(data[:wanted])), data[wanted:]
        assert len(pieces) <= 1
        reads += pieces
    assert reads == [(1, b"abc"), (2, b"d")]


def test_payloads_are_views_of_the_buffer_and_not_copies() -> None:
    buffer = bytearray(encode(1, b"abc") + encode(2, b"def"))
    pieces = Decoder().feed(memoryview(buffer))
    buffer[HEADER_SIZE] = ord("X")
    assert texts(pieces) == [(1, b"Xbc"), (2, b"def")]
    assert all(piece.obj is buffer for _, piece in pieces)


def test_a_buffer_may_be_filled_again_once_its_pieces_are_used() -> None:
    buffer = bytearray(11)
    decoder, data, pieces = Decoder(), b"".join(encode(n % 3, b"line %d\n" % n) for n in range(50)), []
    for chunk in strategies.cut(data, [11]):
        buffer[: len(chunk)] = chunk
        pieces += texts(decoder.feed(memoryview(buffer)[: len(chunk)]))
        buffer[:] = b"\xff" * 11
    assert joined(pieces) == [(n % 3, b"line %d\n" % n) for n in range(50)]


@given(strategies.frames, strategies.cuts)
def test_any_cutting_of_the_wire_gives_the_same_output(
    frames: list[tuple[int, bytes]], lengths: list[int]
) -> None:
    decoder, pieces = Decoder(), []
    for chunk in strategies.cut(b"".join(encode(*frame) for frame in frames), lengths):
        pieces += texts(decoder.feed(chunk))
    assert joined(pieces) == joined(frames)
    assert all(payload for _, payload in pieces)
    assert not decoder.mid_frame


@given(strategies.frames)
def test_a_stream_that_ends_anywhere_but_between_frames_is_seen_to_be_cut(
    frames: list[tuple[int, bytes]],
) -> None:
    data = b"".join(encode(*frame) for frame in frames)
    boundaries, end = {0}, 0
    for _, payload in frames:
        end += HEADER_SIZE + len(payload)
        boundaries.add(end)
    decoder = Decoder()
    for position in range(len(data) + 1):
        assert decoder.mid_frame == (position not in boundaries)
        decoder.feed(data[position : position + 1])


IMPOSSIBLE = [header(9, 5), header(4, 0), header(1, 2**31), header(2, MAX_FRAME + 1), b"HTTP/1.1"]


@pytest.mark.parametrize("bad", IMPOSSIBLE)
@pytest.mark.parametrize("first", [0, 1, 7])
def test_an_impossible_header_is_an_error_however_it_is_cut(bad: bytes, first: int) -> None:
    decoder = Decoder()
    assert decoder.feed(bad[:first]) == []
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(bad[first:])
    assert isinstance(caught.value, ConnectionError)
    assert "the engine's stream" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("bad", IMPOSSIBLE)
def test_what_came_before_an_impossible_header_is_delivered_before_the_error(bad: bytes) -> None:
    decoder = Decoder()
    assert texts(decoder.feed(encode(1, b"good") + bad + b"never")) == [(1, b"good")]
    assert isinstance(decoder.failed, ProtocolError)
    assert decoder.mid_frame
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(encode(1, b"good"))
    assert caught.value is decoder.failed


def test_the_end_of_a_payload_is_delivered_before_an_impossible_header_behind_it() -> None:
    decoder, data = Decoder(), encode(1, b"abcd")
    decoder.feed(data[:10])
    assert texts(decoder.feed(data[10:] + header(9, 1))) == [(1, b"cd")]
    assert decoder.failed is not None


def test_the_longest_frame_is_accepted_and_nothing_is_allocated_for_it() -> None:
    decoder = Decoder()
    assert decoder.feed(header(1, MAX_FRAME)) == []
    assert decoder.wanted() == MAX_FRAME


def test_a_fault_says_what_was_read_and_never_the_payload() -> None:
    with pytest.raises(DockerptyError) as caught:
        Decoder().feed(header(9, 5) + b"secret")
    assert "stream 9 and 5 bytes" in str(caught.value)
    assert "secret" not in str(caught.value)
