"""What hypothesis feeds to the tests: streams, and every way to cut them."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

# Frames as (stream id, payload). Short, so that headers and ends of payloads are what is cut most often.
frames = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=12)

# Lengths of reads; `cut` repeats them for as long as there are bytes.
cuts = st.lists(st.integers(1, 50), min_size=1, max_size=20)

# Bytes of three values, so that keys and their beginnings are met all the time.
keys = st.binary(max_size=4).map(lambda value: bytes(byte % 3 for byte in value))
typed = st.binary(max_size=30).map(lambda value: bytes(byte % 3 for byte in value))


def cut(data: bytes, lengths: list[int]) -> Iterator[bytes]:
    """Cut `data` into pieces of these lengths."""
    start = turn = 0
    while start < len(data):
        end = start + lengths[turn % len(lengths)]
        yield data[start:end]
        start, turn = end, turn + 1
