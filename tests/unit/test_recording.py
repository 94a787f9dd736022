"""A session as asciicast: what is written whatever the reads, what is lost and said, what is read."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty import recording
from dockerpty.errors import DockerptyError
from dockerpty.recording import Cast, Encoder, Recording, schedule
from tests.conftest import missing
from tests.unit import strategies

HEADER = b'{"version": 2, "width": 80, "height": 24}\n'


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def begun(target: Any, *, has_terminal: bool = True, **options: Any) -> Recording:
    kept = Recording(target, **options)
    kept.open()
    kept.begin((24, 80), has_terminal=has_terminal)
    return kept


def lines(text: str | bytes) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def events(path: Path) -> list[tuple[float, str, str]]:
    with path.open("rb") as file:
        return list(Cast(file, str(path)).events())


def read(text: bytes) -> Cast:
    return Cast(io.BytesIO(text), "a file")


# Written --------------------------------------------------------------------------------------------------------------


def test_the_first_line_says_what_is_known_of_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("SHELL", "/bin/zsh\udcff")
    monkeypatch.setattr(time, "time", lambda: 1700000000.9)
    path = tmp_path / "a.cast"
    kept = Recording(path)
    kept.open()
    kept.begin((30, 100), has_terminal=True, command=["sh", "-c", "echo 'a'"], title="web")
    assert kept.close() == ""
    assert lines(path.read_bytes()) == [
        {
            "version": 2,
            "width": 100,
            "height": 30,
            "timestamp": 1700000000,
            "command": """sh -c 'echo '"'"'a'"'"''""",
            "title": "web",
            "env": {"TERM": "xterm-256color", "SHELL": "/bin/zsh?"},
        }
    ]


def test_what_passes_by_is_kept_with_its_time(tmp_path: Path) -> None:
    clock = Clock()
    kept = begun(tmp_path / "a.cast", clock=clock, keeps_input=True)
    for seconds, call, arguments in (
        (0.5, kept.output, (b"$ ",)),
        (1.0, kept.input, (b"l",)),
        (0.25, kept.resize, (50, 120)),
        (0.0, kept.resize, (50, 120)),
        (0.125, kept.output, (memoryview(b"\x1b[1m\xc3\xa9\x1b[m"),)),
    ):
        clock.now += seconds
        call(*arguments)
    kept.close()
    assert events(tmp_path / "a.cast") == [
        (0.5, "o", "$ "),
        (1.5, "i", "l"),
        (1.75, "r", "120x50"),
        (1.875, "o", "\x1b[1mé\x1b[m"),
    ]


def test_time_never_goes_back(tmp_path: Path) -> None:
    clock = Clock()
    kept = begun(tmp_path / "a.cast", clock=clock)
    for now in (1002.0, 1001.0, 1003.0):
        clock.now = now
        kept.output(b"x")
    kept.close()
    times = [event[0] for event in lines((tmp_path / "a.cast").read_bytes())[1:]]
    assert times == [2.0, 2.0, 3.0]


@given(st.text() | st.binary(), strategies.cuts, st.booleans())
def test_however_the_reads_cut_it_the_same_text_is_kept(
    text: str | bytes, cuts: list[int], cooked: bool
) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    encoder = Encoder(cooked=cooked)
    written = b"".join(encoder.line(1.0, "o", piece) for piece in strategies.cut(data, cuts)) + encoder.end(
        2.0
    )
    told = "".join(event[2] for event in lines(written))
    wanted = data.decode("utf-8", "replace")
    assert told == (wanted.replace("\n", "\r\n") if cooked else wanted)
    assert b"\n" not in written.replace(b"]\n", b"")


def test_a_character_that_never_becomes_whole_is_replaced_at_the_end(tmp_path: Path) -> None:
    kept = begun(tmp_path / "a.cast")
    kept.output(b"caf\xc3")
    kept.close()
    assert [event[2] for event in events(tmp_path / "a.cast")] == ["caf", "\ufffd"]


def test_without_a_terminal_a_newline_is_what_a_terminal_makes_of_it(tmp_path: Path) -> None:
    kept = begun(tmp_path / "a.cast", has_terminal=False, keeps_input=True)
    kept.output(b"a\nb\n")
    kept.input(b"c\n")
    kept.close()
    assert [event[1:] for event in events(tmp_path / "a.cast")] == [("o", "a\r\nb\r\n"), ("i", "c\n")]


def test_a_file_is_its_owners_alone_and_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    begun(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(DockerptyError, match=r"cannot record to .*: it exists; .*--force"):
        Recording(path)
    assert path.read_bytes() == before


def test_with_force_it_is_written_over_and_becomes_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    path.write_text("x" * 5000)
    path.chmod(0o644)
    begun(path, force=True).close()
    assert len(lines(path.read_bytes())) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_appears_at_the_last_moment_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = Recording(path)
    path.write_text("mine")
    with pytest.raises(DockerptyError, match="it exists"):
        kept.open()
    assert path.read_text() == "mine"


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.cast").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DockerptyError, match="it exists"):
        Recording(tmp_path / "a.cast")
    assert not (tmp_path / "elsewhere").exists()


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DockerptyError, match=r"cannot record to .*/no/a\.cast: No such file or directory"):
        Recording(tmp_path / "no" / "a.cast").open()
    with pytest.raises(DockerptyError, match="Is a directory"):
        Recording(tmp_path).open()


def test_a_session_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    kept = Recording(tmp_path / "a.cast")
    kept.open()
    assert kept.close() == ""
    assert not (tmp_path / "a.cast").exists()


def test_a_session_that_goes_on_after_a_break_goes_on_in_the_same_file(tmp_path: Path) -> None:
    clock = Clock()
    kept = begun(tmp_path / "a.cast", clock=clock)
    kept.output(b"one")
    kept.close()
    clock.now += 5
    kept.open()
    kept.begin((24, 90), has_terminal=True)
    kept.output(b"two")
    kept.close()
    assert events(tmp_path / "a.cast") == [(0.0, "o", "one"), (5.0, "r", "90x24"), (5.0, "o", "two")]


@pytest.mark.parametrize("make", [io.StringIO, io.BytesIO])
def test_an_object_with_write_takes_it_as_text_or_as_bytes(make: Callable[[], Any]) -> None:
    target = make()
    kept = begun(target)
    kept.output("é".encode())
    assert kept.close() == ""
    assert lines(target.getvalue())[1][1:] == ["o", "é"]
    assert not target.closed


class Narrow(io.RawIOBase):
    """A raw file that takes three bytes at a time, and of all no more than the limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = b""

    def write(self, data: Any) -> int | None:
        piece = bytes(data[: min(3, self.limit - len(self.taken))])
        self.taken += piece
        return len(piece) or None


def test_a_raw_file_that_takes_a_part_is_given_the_rest() -> None:
    target = Narrow(10**6)
    kept = begun(target)
    kept.output(b"one")
    assert kept.close() == ""
    assert lines(target.taken)[1][1:] == ["o", "one"]


def test_a_raw_file_that_takes_nothing_ends_the_recording_and_not_the_session() -> None:
    target = Narrow(200)
    kept = begun(target)
    kept.output(b"x" * 200)
    assert kept.close() == "the recording ends before the session did: it takes nothing now"
    assert len(target.taken) == 200


# When it is written, and what if it cannot be ------------------------------------------------------------------------


def test_a_turn_writes_a_part_once_there_is_enough_for_one(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = begun(path)
    kept.output(b"x" * (recording.TURN_SIZE - 1 - recording._ENTRY_COST))
    assert not kept.busy()
    kept.output(b"y" * (recording.TURN_SIZE + 1))
    for number in (1, 2):
        assert kept.busy()
        kept.serve({7: 1})  # whatever else is to be done
        assert sum(len(event[2]) for event in events(path)) == number * recording.TURN_SIZE - (
            recording._ENTRY_COST if number == 2 else 0
        )
    assert not kept.busy()
    kept.close()


def test_what_is_shown_in_one_moment_is_one_line(tmp_path: Path) -> None:
    clock = Clock()
    kept = begun(tmp_path / "a.cast", clock=clock, keeps_input=True)
    for seconds, call, piece in (
        (0.0, kept.output, b"one "),
        (recording.TOGETHER_S * 0.75, kept.output, b"and "),
        (recording.TOGETHER_S * 0.5, kept.output, b"later "),
        (0.0, kept.input, b"k"),
        (0.0, kept.input, b"e"),
        (0.0, kept.output, b"y"),
    ):
        clock.now += seconds
        call(piece)
    kept.close()
    told = [event[1:] for event in events(tmp_path / "a.cast")]
    assert told == [("o", "one and "), ("o", "later "), ("i", "k"), ("i", "e"), ("o", "y")]


def test_a_moment_with_much_in_it_is_lines_of_a_turn_each(tmp_path: Path) -> None:
    kept = begun(tmp_path / "a.cast", clock=Clock())
    for number in range(100):
        kept.output(f"{number:04}".encode() * 250)
    kept.close()
    told = [event[2] for event in events(tmp_path / "a.cast")]
    assert "".join(told) == "".join(f"{number:04}" * 250 for number in range(100))
    assert max(map(len, told)) <= recording.TURN_SIZE
    assert len(told) < 10


def test_a_key_and_its_echo_wait_a_moment_for_more(tmp_path: Path) -> None:
    clock = Clock()
    kept = begun(tmp_path / "a.cast", clock=clock)
    assert kept.deadline() is None
    kept.output(b"x")
    due = clock.now + recording.GATHERING_S
    assert (kept.busy(), kept.deadline()) == (False, due)
    clock.now += recording.GATHERING_S / 2
    kept.output(b"y")
    assert kept.deadline() == due
    kept.serve({})
    kept.serve({})
    assert [event[2] for event in events(tmp_path / "a.cast")] == ["x", "y"]
    assert kept.deadline() is None
    kept.close()


def test_a_session_that_never_began_costs_nobody_an_older_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    path.write_bytes(HEADER)
    path.chmod(0o640)
    kept = Recording(path, force=True)
    kept.open()
    assert kept.close() == ""
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (HEADER, 0o640)
    begun(path, force=True).close()
    assert (lines(path.read_bytes())[0]["timestamp"] > 0, path.stat().st_mode & 0o777) == (True, 0o600)


def test_one_that_never_began_and_is_gone_already_is_no_error(tmp_path: Path) -> None:
    kept = Recording(tmp_path / "a.cast")
    kept.open()
    (tmp_path / "a.cast").unlink()
    assert kept.close() == ""


def test_one_that_cannot_go_on_does_not_end_the_session(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    kept = begun(path)
    kept.output(b"one")
    assert kept.close() == ""
    os.close(reader)
    kept.open()
    kept.begin((24, 80), has_terminal=True)
    kept.output(b"two")
    assert kept.close() == f"the recording {path} ends before the session did: nobody reads this pipe"


def test_a_new_size_is_never_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "QUEUE_LIMIT", 1000)
    kept = begun(tmp_path / "a.cast")
    for _ in range(10):
        kept.output(b"x" * 100)
    kept.resize(30, 100)
    assert "lacks" in kept.close()
    assert "100x30" in [event[2] for event in events(tmp_path / "a.cast")]


def test_a_reader_that_is_slow_is_waited_for_no_longer_than_the_limit_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_DRAIN_S", 0.5)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    kept = begun(path)
    for _ in range(100):
        kept.output(b"x" * 10_000)
    done = threading.Event()

    def read_slowly() -> None:
        while not done.wait(0.05):
            with suppress(BlockingIOError):  # nothing now
                os.read(reader, 8192)

    slow = threading.Thread(target=read_slowly)
    slow.start()
    began = time.monotonic()
    try:
        assert "takes no more" in kept.close()
    finally:
        done.set()
        slow.join()
        os.close(reader)
    assert time.monotonic() - began < 3


def test_what_comes_too_fast_is_lost_and_counted_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "QUEUE_LIMIT", 2000)
    monkeypatch.setattr(recording, "TURN_SIZE", 100)
    monkeypatch.setattr(recording, "TOGETHER_S", 0.0)
    kept = begun(tmp_path / "a.cast")
    for number in range(30):
        kept.output(b"%04d" % number)
    waiting = 30
    while kept.busy():
        kept.serve({})
        if waiting:
            kept.output(b"%04d" % waiting)
            waiting = waiting + 1 if waiting < 60 else 0
    assert "lacks" in kept.close()
    told = events(tmp_path / "a.cast")
    kept_numbers = [event[2] for event in told if event[1] == "o"]
    lost = [int(event[2].split()[0]) for event in told if event[1] == "m"]
    assert sorted(kept_numbers) == kept_numbers
    assert len(kept_numbers) * 4 + sum(lost) == 61 * 4
    assert lost


def test_a_great_many_small_pieces_are_bounded_too(tmp_path: Path) -> None:
    kept = begun(tmp_path / "a.cast", keeps_input=True)
    for _ in range(recording.QUEUE_LIMIT // 100):
        kept.input(b"x")
    assert len(kept._queue) <= recording.QUEUE_LIMIT // recording._ENTRY_COST + 1
    assert "lacks" in kept.close()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_disk_ends_the_recording_and_not_the_session() -> None:
    kept = begun("/dev/full")
    for _ in range(3):
        kept.output(b"x" * 100)
        kept.serve({})
        kept.serve({})
    assert kept.close() == "the recording /dev/full ends before the session did: No space left on device"


def test_a_file_that_cannot_grow_ends_with_a_whole_line(tmp_path: Path) -> None:
    import resource
    import signal

    path = tmp_path / "a.cast"
    kept = begun(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        for _ in range(10):
            kept.output(b"x" * 300)
            kept.serve({})
            kept.serve({})
        said = kept.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert said.endswith("ends before the session did: File too large")
    text = path.read_bytes()
    assert text.endswith(b"]\n")
    assert len(lines(text)) == 3


def test_a_pipe_that_nobody_reads_is_refused_and_one_that_is_slow_makes_nobody_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_DRAIN_S", 0.0)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(DockerptyError, match="nobody reads this pipe"):
        Recording(path).open()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        kept = begun(path)
        for _ in range(100):
            kept.output(b"x" * 60000)
            kept.serve({})
            kept.serve({})
        assert kept.interest()
        assert not kept.busy()
        first = os.read(reader, 1 << 20)
        fd = kept.interest()[0][0]
        kept.serve({fd: 4})
        assert os.read(reader, 1 << 20)
        assert json.loads(first.splitlines()[0])["version"] == 2
        assert "takes no more" in kept.close()
    finally:
        os.close(reader)


def test_a_reader_that_goes_ends_the_recording_and_not_the_session(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    kept = begun(path)
    os.close(reader)
    kept.output(b"x")
    assert "Broken pipe" in kept.close()


# Read -----------------------------------------------------------------------------------------------------------------


def test_version_3_counts_from_event_to_event() -> None:
    cast = read(
        b'{"version":3,"term":{"cols":100,"rows":50,"type":"xterm"},"command":"sh","idle_time_limit":2}\n'
        b'# a comment\n\n[0.5,"o","a"]\n[1,"r","80x24"]\n[0.25,"o","b"]\n[0,"x","0"]\n'
    )
    assert (cast.version, cast.size, cast.command, cast.idle_limit) == (3, (50, 100), "sh", 2.0)
    assert list(cast.events()) == [(0.5, "o", "a"), (1.5, "r", "80x24"), (1.75, "o", "b"), (1.75, "x", "0")]


@pytest.mark.parametrize("cut", range(1, 16))
def test_the_last_line_of_a_killed_recording_may_be_cut_anywhere(cut: int) -> None:
    text = HEADER + b'[0.5, "o", "a"]\n[0.7, "o", "b"]'
    assert len(list(read(text[:-cut]).events())) == 1
    assert len(list(read(text).events())) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is empty"),
        (b"\x7fELF\x00\x01\n", "its first line is not that of an asciicast"),
        (b'{"version": 2, "wid', "its first line is not that of an asciicast"),
        (b"[1]\n", "its first line is not that of an asciicast"),
        (b"[" * 100000, "its first line is not that of an asciicast"),
        (b'{"version": 1, "width": 80}\n', "it has version 1 of asciicast; 2 and 3 are understood"),
        (b'{"version": true, "width": 80}\n', "it has version true of asciicast; 2 and 3 are understood"),
        (b'{"version": 2}\n', "its first line says no size"),
        (b'{"version": 2, "width": "80", "height": 24}\n', "its first line says no size"),
        (b'{"version": 3, "width": 80, "height": 24}\n', "its first line says no size"),
        (HEADER + b"what\n", "line 2 is no event"),
        (HEADER + b'[0, "o", "a"]\n{}\n', "line 3 is no event"),
        (HEADER + b'[-1, "o", "a"]\n', "line 2 is no event"),
        (HEADER + b'[NaN, "o", "a"]\n', "line 2 is no event"),
        (HEADER + b'[true, "o", "a"]\n', "line 2 is no event"),
        (HEADER + b'[0, "o"]\n', "line 2 is no event"),
        (HEADER + b'[0, "o", 1]\n', "line 2 is no event"),
    ],
)
def test_what_is_no_recording_is_told_apart(text: bytes, reason: str) -> None:
    with pytest.raises(DockerptyError) as caught:
        list(read(text).events())
    assert str(caught.value) == f"cannot read the recording a file: {reason}"


@given(st.binary(max_size=200))
def test_rubbish_after_the_first_line_is_an_error_of_ours_or_events(rubbish: bytes) -> None:
    try:
        for _ in read(HEADER + rubbish).events():
            pass
    except DockerptyError:
        pass  # refused


def test_a_line_without_an_end_is_not_taken_into_memory() -> None:
    with open("/dev/zero", "rb") as endless, pytest.raises(DockerptyError, match="line 1 has more than"):
        Cast(endless, "/dev/zero")


# Played ---------------------------------------------------------------------------------------------------------------

PAUSES = HEADER + b'[1, "o", "a"]\n[1, "i", "x"]\n[11, "o", "b"]\n[11.5, "m", ""]\n[12, "o", "c"]\n'


@pytest.mark.parametrize(
    ("text", "options", "times"),
    [
        (PAUSES, {}, [1, 11, 12]),
        (PAUSES, {"speed": 2.0}, [0.5, 5.5, 6]),
        (PAUSES, {"idle_limit": 2.0}, [1, 3, 4]),
        (PAUSES, {"idle_limit": 0.5, "speed": 0.5}, [1, 2, 4]),
        (PAUSES.replace(b"24}", b'24, "idle_time_limit": 2}'), {}, [1, 3, 4]),
        (PAUSES.replace(b"24}", b'24, "idle_time_limit": 2}'), {"idle_limit": 5.0}, [1, 6, 7]),
    ],
)
def test_a_replay_shows_output_at_its_time(
    text: bytes, options: dict[str, float], times: list[float]
) -> None:
    shown = list(schedule(read(text), **options))
    assert [at for at, _ in shown] == pytest.approx(times)
    assert [data for _, data in shown] == ["a", "b", "c"]


def test_a_replay_of_a_time_that_goes_back_does_not() -> None:
    text = HEADER + b'[5, "o", "a"]\n[3, "o", "b"]\n'
    assert [at for at, _ in schedule(read(text))] == [5, 5]


# Next to asciinema itself ---------------------------------------------------------------------------------------------

#: Written by asciinema 2.4.0: `asciinema rec -c "printf 'a\\033[1m\\u00e9\\n'; sleep 0.2; printf b"`.
OF_ASCIINEMA = (
    b'{"version": 2, "width": 80, "height": 24, "timestamp": 1795268744,'
    b' "env": {"SHELL": "/bin/bash", "TERM": "xterm"}}\n'
    b'[0.002891, "o", "a\\u001b[1m\xc3\xa9\\r\\n"]\n[0.204737, "o", "b"]\n'
)


def test_what_asciinema_has_written_is_read() -> None:
    cast = read(OF_ASCIINEMA)
    assert cast.size == (24, 80)
    assert list(cast.events()) == [(0.002891, "o", "a\x1b[1mé\r\n"), (0.204737, "o", "b")]


@pytest.fixture
def asciinema() -> str:
    program = shutil.which("asciinema")
    if program is None:
        missing("no asciinema here to play what we recorded")
    return program


def test_asciinemas_own_player_plays_what_was_recorded(tmp_path: Path, asciinema: str) -> None:
    kept = begun(tmp_path / "a.cast", keeps_input=True)
    kept.output('\x1b[1mé\xa0"\\\u2028\x00\r\n'.encode() + b"\xff")
    kept.input(b"x")
    kept.resize(50, 100)
    kept._lost = 5
    kept.close()
    for verb in ("cat", "play"):
        done = subprocess.run(
            [asciinema, verb, str(tmp_path / "a.cast")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.decode() == '\x1b[1mé\xa0"\\\u2028\x00\r\n\ufffd', verb


def test_what_asciinema_records_now_is_read(tmp_path: Path, asciinema: str) -> None:
    path = tmp_path / "a.cast"
    command = [asciinema, "rec", "-q", "--stdin", "-c", "printf 'a\\033[1m\\303\\251\\n'", str(path)]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    assert "".join(data for _, code, data in events(path) if code == "o") == "a\x1b[1mé\r\n"
