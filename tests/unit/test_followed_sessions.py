"""Sessions that somebody follows, without an engine: a recording and a script on a process of this machine."""

from __future__ import annotations

import io
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty import recording
from dockerpty.bridge import Options
from dockerpty.engine.interface import Engine
from dockerpty.errors import DockerptyError, SessionTimeout
from dockerpty.io import Pump
from dockerpty.operation import EngineOperation
from dockerpty.pty import PseudoTerminal
from dockerpty.recording import Cast, Recording


class NoEngine(Engine):
    """Nothing is asked of it."""

    def close(self) -> None:
        """Nothing is open."""


class Local(EngineOperation):
    """A shell command of this machine at the far end of a socket."""

    def __init__(self, command: str, stdin: Any = None, **options: Any) -> None:
        followers = {name: options.pop(name, None) for name in ("record", "expect")}
        self.shown = io.BytesIO()
        super().__init__(
            NoEngine(), True, self.shown, self.shown, stdin, None, Options(**options), **followers
        )
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.ended_by: list[tuple[int, bool]] = []

    def is_tty(self) -> bool:
        return False

    def describe(self) -> str:
        return "the command"

    def _command(self) -> list[str]:
        return ["sh", "-c", self.command]

    def _attach(self) -> Any:
        near, far = socket.socketpair()
        near.setblocking(False)
        with far:
            self.process = subprocess.Popen(
                self._command(), stdin=far.fileno(), stdout=far.fileno(), stderr=far.fileno()
            )
        return self._keep(near)

    def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
        return self._output_pumps(sockets, None) + self._input_pump(sockets, "half-close")

    def exit_code(self) -> int | None:
        assert self.process is not None
        return self.process.wait(10)

    def _abandoned(self, sig: int, timed_out: bool = False) -> str:
        assert self.process is not None
        self.ended_by.append((sig, timed_out))
        self.process.terminate()
        return ""

    def end(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()


Run = Callable[..., tuple[int | None, Local]]


@pytest.fixture
def run() -> Iterator[Run]:
    made: list[Local] = []

    def call(command: str, **options: Any) -> tuple[int | None, Local]:
        operation = Local(command, options.pop("stdin", None) or open_null(), **options)
        made.append(operation)
        return PseudoTerminal(None, operation, notice=notices.append).start(), operation

    notices: list[str] = []
    call.notices = notices  # type: ignore[attr-defined]  # a function's own, for `notices_of`
    nulls: list[int] = []

    def open_null() -> int:
        nulls.append(os.open(os.devnull, os.O_RDONLY))
        return nulls[-1]

    yield call
    for fd in nulls:
        os.close(fd)
    for operation in made:
        operation.end()


def notices_of(run: Run) -> list[str]:
    return run.notices  # type: ignore[attr-defined,no-any-return]  # set by `run`


def events(path: Path) -> list[tuple[float, str, str]]:
    with path.open("rb") as file:
        return list(Cast(file, str(path)).events())


def shown(path: Path, code: str = "o") -> str:
    return "".join(data for _, kind, data in events(path) if kind == code)


def test_what_the_user_saw_is_in_the_recording(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    code, operation = run("echo one; sleep 0.2; echo two >&2; exit 3", record=path)
    assert code == 3
    assert operation.shown.getvalue() == b"one\ntwo\n"
    assert shown(path) == "one\r\ntwo\r\n"
    first, second = [at for at, _, _ in events(path)]
    assert second - first > 0.15
    assert notices_of(run) == []


def test_what_was_typed_is_in_it_only_if_asked_for(run: Run, tmp_path: Path) -> None:
    for name, keeps_input, kept in (("a", False, ""), ("b", True, "x\n")):
        stdin, typing = os.pipe()
        os.write(typing, b"x\n")
        os.close(typing)
        path = tmp_path / name
        code, operation = run("cat", stdin=stdin, record=Recording(path, keeps_input=keeps_input))
        os.close(stdin)
        assert (code, operation.shown.getvalue()) == (0, b"x\n")
        assert (shown(path), shown(path, "i")) == ("x\r\n", kept)


def test_of_a_flood_each_byte_is_kept_or_counted_and_the_user_sees_all(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "QUEUE_LIMIT", 200_000)
    path = tmp_path / "a.cast"
    code, operation = run("yes 123456789 | head -c 20000000", record=path)
    assert code == 0
    assert len(operation.shown.getvalue()) == 20_000_000
    lost = sum(int(data.split()[0]) for _, kind, data in events(path) if kind == "m")
    assert len(shown(path).replace("\r\n", "\n")) + lost == 20_000_000
    said = [f"the recording {path} lacks {lost} bytes, which came faster than it could be written"]
    assert notices_of(run) == (said if lost else [])


def test_a_recording_that_fails_is_told_of_at_the_end(run: Run) -> None:
    code, operation = run("echo hi", record="/dev/full")
    assert (code, operation.shown.getvalue()) == (0, b"hi\n")
    assert notices_of(run) == ["the recording /dev/full ends before the session did: No space left on device"]


def test_one_that_exists_is_refused_before_anything_is_started(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    path.write_text("mine")
    with pytest.raises(DockerptyError, match="it exists"):
        Local("true", record=path)
    path.unlink()
    operation = Local("true", record=path)
    path.write_text("mine")
    with pytest.raises(DockerptyError, match="it exists"):
        PseudoTerminal(None, operation).start()
    assert operation.process is None
    assert path.read_text() == "mine"


def test_a_script_types_and_the_process_has_the_last_word(run: Run) -> None:
    command = "printf 'name: '; read name; echo hello $name; read more || exit 4"
    code, operation = run(command, expect="expect name: $\nsend me\\n\nexpect hello me 5\n")
    assert (code, operation.shown.getvalue()) == (4, b"name: hello me\n")
    assert operation.ended_by == []


def test_a_script_that_says_exit_ends_the_process_as_a_time_limit_does(run: Run) -> None:
    code, operation = run("echo up; sleep 60", expect="expect up\nexit 7")
    assert code == 7
    assert [timed_out for _, timed_out in operation.ended_by] == [True]


def test_what_does_not_come_ends_it_with_an_error_that_says_what_came(run: Run) -> None:
    with pytest.raises(SessionTimeout) as caught:
        run("echo up; sleep 60", expect="expect up\nexpect down 0.3")
    assert str(caught.value) == (
        "cannot find 'down' (line 2 of the script): it did not come within 0.3 s; the last that came is '\\n'"
    )
    assert caught.value.result is not None
    assert caught.value.result.reason == "timeout"
    with pytest.raises(SessionTimeout, match="the output ended without it"):
        run("echo up", expect="expect down")


def test_a_script_and_a_recording_go_together(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    code, _ = run("read line; echo got $line", expect="send x\\n", record=Recording(path, keeps_input=True))
    assert code == 0
    assert [event[1:] for event in events(path)] == [("i", "x\n"), ("o", "got x\r\n")]


def test_an_operation_can_be_followed_more_than_once(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    code, operation = run("read line; echo got $line", expect="send x\\n", record=path)
    assert code == 0
    operation.end()
    assert PseudoTerminal(None, operation).start() == 0
    assert shown(path) == "got x\r\n" * 2
