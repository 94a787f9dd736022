"""Every kind of client, container, input and output that is accepted, in all combinations that are cheap.

One process runs the sessions one after another (`tests/bed/scripts/arguments.py`): each is judged by the exact bytes
that came out, by its code, and by what it left open or changed.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, id_of
from tests.bed.terminal import Terminal
from tests.bed.transports import Transport
from tests.engine.conftest import Sessions

CLIENTS = ("docker", "api", "environment", "methods")
CONTAINERS = ("id", "short_id", "name", "inspected", "listed", "created", "object")
TERMINALS = ("terminal", "terminal_file")
TEXT_ONLY = ("only_read_text", "stringio")
SILENT = ("none_and_none", "none_and_closed", "null", "closed", "closed_number")
BYTES = ("pipe", "pipe_file", "read_ahead", "file", "socket", "only_read", "bytesio", "none")
STDINS = (*BYTES, *TEXT_ONLY, *TERMINALS, *SILENT)
TEXT_SINKS = ("only_write_text", "stringio", "captured", "captured_with_buffer")
SINKS = (
    "terminal",
    "terminal_raw_file",
    "pipe",
    "pipe_file",
    "file",
    "socket",
    "only_write",
    "bytesio",
    "null",
    *TEXT_SINKS,
)

EVERY_BYTE = bytes(range(256)) * 4
EVERY_CHARACTER = "one line\r\nzwölf Ähren, 10 €, 日本\tno end".encode()
LINES = b"one line\nand another\n\x04"


def data_for(stdin: str, tty: bool) -> bytes:
    """What there is to read, as hard as this kind of input allows."""
    if stdin in SILENT:
        return b""
    if tty:
        return b"hello\n"
    if stdin in TERMINALS:
        return LINES
    return EVERY_CHARACTER if stdin in TEXT_ONLY else EVERY_BYTE


def shown(data: bytes, sink: str) -> bytes:
    """What is to be found in an output after `data` was written to it."""
    if sink == "null":
        return b""
    if sink == "terminal":
        return data.replace(b"\n", b"\r\n")
    return data.decode(errors="replace").encode() if sink in TEXT_SINKS else data


class Matrix:
    """The process that runs the sessions; begun anew after one that did not come to its end."""

    def __init__(self, env: dict[str, str | None]) -> None:
        self._env = env
        self._numbers = itertools.count(1)
        self._terminal: Terminal | None = None
        self._ask = -1

    def run(self, **case: Any) -> dict[str, Any]:
        """Run one session: what `arguments.py` reports of it."""
        terminal = self._ready()
        number = next(self._numbers)
        os.write(self._ask, json.dumps({**case, "number": number}).encode() + b"\n")
        try:
            return terminal.report(f"case {number}", 20)
        except AssertionError:
            self.close()
            raise

    def _ready(self) -> Terminal:
        if self._terminal is None:
            reading, self._ask = os.pipe()
            env = {**self._env, "BED_ASK": str(reading)}
            self._terminal = Terminal.script("arguments.py", env=env, pass_fds=(reading,))
            os.close(reading)
        return self._terminal

    def close(self) -> None:
        """End the process."""
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None
            os.close(self._ask)


@pytest.fixture(scope="module")
def matrix(transport: Transport) -> Iterator[Matrix]:
    made = Matrix(transport.env)
    yield made
    made.close()


@pytest.fixture(scope="module")
def runs(judge: docker.DockerClient) -> Iterator[Container]:
    """A container that does with its input what the execs do, and can be started again and again."""
    bench = Bench(judge)
    yield bench.container("cat; echo err >&2; exit 7", stdin_open=True)
    bench.close()


def check(
    matrix: Matrix,
    verb: str,
    container: Container,
    client: str = "docker",
    named: str = "id",
    stdin: str = "pipe",
    stdout: str = "pipe",
    stderr: str = "pipe",
    tty: bool = False,
) -> None:
    """Run one session, and look at all that came of it."""
    data = data_for(stdin, tty)
    found = matrix.run(
        verb=verb,
        client=client,
        container=named,
        id=id_of(container),
        tty=tty,
        data=data.decode("latin-1"),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )
    if tty:
        written = b"hello\r\ngot hello\r\n" if data else b"got\r\n"
        expected = shown(written, stdout), b""
    else:
        expected = shown(data.removesuffix(b"\x04"), stdout), shown(b"err\n", stderr)
    assert found["code"] == 7
    assert (found["stdout"].encode("latin-1"), found["stderr"].encode("latin-1")) == expected
    assert found["kept"], "a descriptor, its flags or its terminal have changed"
    assert found["left"] == [0, 0], "descriptors and threads"


def turn(kinds: Sequence[str], number: int) -> str:
    """One of the kinds; the next for the next number."""
    return kinds[number % len(kinds)]


def possible(clients: Sequence[str], transport: Transport) -> list[str]:
    """Those that can end an exec's input: what docker-py gives out of TLS or ssh cannot be half closed."""
    return [each for each in clients if each != "methods" or transport.name in ("unix", "tcp")]


@pytest.mark.parametrize("stdout", SINKS)
@pytest.mark.parametrize("stdin", STDINS)
def test_an_exec_takes_every_input_with_every_output(
    stdin: str, stdout: str, transport: Transport, matrix: Matrix, box: Container
) -> None:
    # Numbers in a row, which the counts of clients and containers do not divide alike: all pairs of these come as well.
    number = STDINS.index(stdin) + SINKS.index(stdout) * len(STDINS)
    check(
        matrix,
        "exec_command",
        box,
        turn(possible(CLIENTS, transport), number),
        turn(CONTAINERS, number),
        stdin,
        stdout,
        turn(SINKS[: -len(TEXT_SINKS)], number),
    )


@pytest.mark.parametrize("stdin", STDINS)
def test_an_exec_with_a_terminal_takes_every_input(
    stdin: str, transport: Transport, matrix: Matrix, box: Container
) -> None:
    first = STDINS.index(stdin)
    for number in (first, first + 5):
        client = turn(possible(CLIENTS, transport), number)
        verb = turn(("exec_command", "start_exec"), number)
        check(matrix, verb, box, client, stdin=stdin, stdout=turn(SINKS, number), tty=True)


@pytest.mark.parametrize("named", CONTAINERS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("verb", ["start_exec", "exec_operation"])
def test_an_exec_takes_every_client_with_every_name_for_a_container(
    verb: str, client: str, named: str, transport: Transport, matrix: Matrix, box: Container
) -> None:
    if client not in possible(CLIENTS, transport):
        pytest.skip("an exec's input ends by half closing, which docker-py's TLS and ssh connections cannot")
    number = CLIENTS.index(client) * len(CONTAINERS) + CONTAINERS.index(named)
    check(
        matrix, verb, box, client, named, turn(STDINS, number), turn(SINKS, number), turn(SINKS[:9], number)
    )


@pytest.mark.parametrize("named", CONTAINERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_start_takes_every_client_with_every_name_for_a_container(
    client: str, named: str, matrix: Matrix, runs: Container
) -> None:
    number = CLIENTS.index(client) * len(CONTAINERS) + CONTAINERS.index(named)
    verb = turn(("start", "run_operation"), number // 2)
    check(
        matrix, verb, runs, client, named, turn(STDINS, number), turn(SINKS, number), turn(SINKS[:9], number)
    )


NUMBER_USED_AGAIN = """
import dockerpty, io, os, sys
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client, name, which = from_env(), sys.argv[1], sys.argv[2]
streams = {"stdin": io.BytesIO(), "stdout": io.BytesIO(), "stderr": io.BytesIO()}
os.close(("stdin", "stdout", "stderr").index(which))
streams[which] = None
command = ["sh", "-c", "cat; echo out; echo err >&2; exit 7"]
try:
    code = dockerpty.exec_command(client, name, command, True, **streams, timeout=3)
    report("over", code=code)
except dockerpty.DockerptyError as error:
    report("over", text=str(error))
"""


@pytest.mark.parametrize("which", ["stdin", "stdout", "stderr"])
def test_a_descriptor_that_was_closed_is_none_when_its_number_is_used_again(
    which: str, box: Container, sessions: Sessions
) -> None:
    # The first descriptor that a session opens, its connection, gets the number.
    over = sessions.python(NUMBER_USED_AGAIN, id_of(box), which).report("over")
    if which == "stdout":
        assert over.get("text", "").startswith("cannot write to stdout: it is closed"), over
    else:
        assert over.get("code") == 7, over


REFUSED = """
import docker, dockerpty, io, sys
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client, name = from_env(), sys.argv[1]
def tell(which, call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        report(which, kind=[each.__name__ for each in type(error).__mro__], text=str(error))
echo = ["echo", "shown"]
closed = open("/dev/null", "w")
closed.close()
none = io.BytesIO()
tell("nothing", dockerpty.exec_command, client, None, echo)
tell("empty", dockerpty.start, client, {}, True, none, none)
tell("number", dockerpty.start, client, 5, True, none, none)
tell("no exec", dockerpty.start_exec, client, {"id": "x"})
tell("closed", dockerpty.exec_command, client, name, echo, False, closed, none)
tell("closed number", dockerpty.exec_command, client, name, echo, False, 987, none)
tell("no output", dockerpty.exec_command, client, name, echo, False, object(), none)
tell("no client", dockerpty.start, None, name, True, none, none)
tell("keyword", lambda: dockerpty.start(client, name, privileged=True))
dropped = dockerpty.exec_command(client, name, ["sh", "-c", "echo err >&2; exit 7"], False, none, closed)
report("over", code=dropped)
"""


def test_what_cannot_be_meant_is_refused_in_one_sentence(box: Container, sessions: Sessions) -> None:
    terminal = sessions.python(REFUSED, id_of(box))
    assert terminal.report("over", 30)["code"] == 7, "what comes for a closed stderr is dropped"
    said = {report["event"]: report for report in terminal.reports}
    for which in ("nothing", "empty", "number"):
        assert "DockerptyError" in said[which]["kind"]
        assert said[which]["text"].startswith("cannot find the container: it is no id, name, dict")
    assert said["no exec"]["text"].startswith("cannot find the exec")
    for which in ("closed", "closed number", "no output"):
        assert "DockerptyError" in said[which]["kind"]
        assert said[which]["text"].startswith("cannot write to stdout: it is closed")
    assert "DockerptyError" in said["no client"]["kind"]
    assert "TypeError" in said["keyword"]["kind"]
