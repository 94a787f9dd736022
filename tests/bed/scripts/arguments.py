"""Sessions with every kind of argument, one after another in one process: one for each line that is asked for.

Usage: arguments.py, with the descriptor to read from in BED_ASK. A line is JSON: `number`, `data`, `id` (of the
container), `tty`, and by the names of functions here `verb`, `client`, `container`, `stdin`, `stdout` and `stderr`.
What came of the session is reported: its code, the bytes of both outputs, and whether what it was given is as before.
"""

from __future__ import annotations

import fcntl
import gc
import io
import json
import os
import pty
import select
import socket
import sys
import tempfile
import termios
import threading
import tty
from collections.abc import Callable
from typing import Any

import docker

import dockerpty
from dockerpty.engine import client as engine
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report

CLOSED_NUMBER = 987
COMMANDS = {
    False: ["sh", "-c", "cat; echo err >&2; exit 7"],
    # What the terminal echoes comes before what is done with it, whenever the input arrives.
    True: ["sh", "-c", "read line; echo got $line; exit 7"],
}


class Given:
    """What one session was given, and what has to be closed after it."""

    def __init__(self, client: docker.DockerClient, data: bytes) -> None:
        self.client = client
        self.data = data
        self.standard = ""
        self.undo: list[Callable[[], object]] = []
        self.watched: list[tuple[int, object, int]] = []

    def later(self, *undo: Callable[[], object]) -> None:
        """Call these when the session is over, the last one first."""
        self.undo += undo

    def watch(self, fd: int) -> int:
        """Look afterwards whether this descriptor is as it was."""
        self.watched.append((fd, _attributes(fd), fcntl.fcntl(fd, fcntl.F_GETFL)))
        return fd

    def is_kept(self) -> bool:
        """Say whether each descriptor is open and has its attributes and flags."""
        return self.watched == [
            (fd, _attributes(fd), fcntl.fcntl(fd, fcntl.F_GETFL)) for fd, _, _ in self.watched
        ]

    def file(self, fd: int, mode: str, **options: Any) -> Any:
        """Return a file object on a descriptor, which is closed with it."""
        made = open(fd, mode, **options)  # noqa: SIM115  # closed when the session is over
        self.later(made.close)
        return made

    def close(self) -> None:
        """Close all that was made."""
        while self.undo:
            self.undo.pop()()


def _attributes(fd: int) -> object:
    return termios.tcgetattr(fd) if os.isatty(fd) else None


# Clients


def client_docker(given: Given) -> Any:
    """Return docker-py's new client."""
    return given.client


def client_api(given: Given) -> Any:
    """Return docker-py's low-level client."""
    return given.client.api


def client_environment(given: Given) -> Any:
    """Return an engine as the command makes it, which no client stands behind."""
    found = engine.from_environment()
    given.later(found.close)
    return found


class Methods:
    """A client that has the low-level methods and is none of docker-py's."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "base_url":
            raise AttributeError(name)
        return getattr(self._api, name)


def client_methods(given: Given) -> Any:
    """Return an object with the same methods."""
    return Methods(given.client.api)


# Containers


def container_id(given: Given, full: str) -> Any:
    """Return its full id."""
    return full


def container_short_id(given: Given, full: str) -> Any:
    """Return the beginning of its id."""
    return full[:12]


def container_name(given: Given, full: str) -> Any:
    """Return its name."""
    return given.client.containers.get(full).name


def container_inspected(given: Given, full: str) -> Any:
    """Return the dict that inspection gives."""
    return given.client.api.inspect_container(full)


def container_listed(given: Given, full: str) -> Any:
    """Return the dict that a listing gives."""
    return given.client.api.containers(all=True, filters={"id": full})[0]


def container_created(given: Given, full: str) -> Any:
    """Return a dict as an old engine's creation gave it."""
    return {"ID": full, "Warnings": None}


def container_object(given: Given, full: str) -> Any:
    """Return docker-py's object."""
    return given.client.containers.get(full)


# Input: each has `given.data` in it, or nothing


def stdin_terminal(given: Given) -> Any:
    """Return the number of a terminal at which somebody typed."""
    master, slave = pty.openpty()
    given.later(lambda: os.close(slave), lambda: os.close(master))
    os.write(master, given.data)
    return given.watch(slave)


def stdin_terminal_file(given: Given) -> Any:
    """Return the same as a file object, as `sys.stdin` is."""
    return given.file(stdin_terminal(given), "r", closefd=False)


def stdin_pipe(given: Given) -> Any:
    """Return the number of a pipe that is at its end."""
    reading, writing = os.pipe()
    given.later(lambda: os.close(reading))
    os.write(writing, given.data)
    os.close(writing)
    return given.watch(reading)


def stdin_pipe_file(given: Given) -> Any:
    """Return the same as a file object for text."""
    return given.file(stdin_pipe(given), "r", closefd=False)


def stdin_read_ahead(given: Given) -> Any:
    """Return a file object that has read further than what it has given out."""
    reading, writing = os.pipe()
    os.write(writing, b"a line of the caller's\n" + given.data)
    os.close(writing)
    made = given.file(reading, "rb")
    assert made.readline() == b"a line of the caller's\n"
    return made


def stdin_file(given: Given) -> Any:
    """Return a regular file."""
    made = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the session is over
    given.later(made.close)
    made.write(given.data)
    made.seek(0)
    given.watch(made.fileno())
    return made


def stdin_socket(given: Given) -> Any:
    """Return a socket whose peer has ended its side."""
    ours, theirs = socket.socketpair()
    given.later(ours.close, theirs.close)
    ours.sendall(given.data)
    ours.shutdown(socket.SHUT_WR)
    given.watch(theirs.fileno())
    return theirs


class OnlyRead:
    """An object that can be read, and nothing else."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def read(self, size: int) -> Any:
        """Return a little of it."""
        part, self._data = self._data[:5], self._data[5:]
        return part


def stdin_only_read(given: Given) -> Any:
    """Return an object that gives bytes."""
    return OnlyRead(given.data)


def stdin_only_read_text(given: Given) -> Any:
    """Return an object that gives text."""
    return OnlyRead(given.data.decode())


def stdin_bytesio(given: Given) -> Any:
    """Return bytes in memory."""
    return io.BytesIO(given.data)


def stdin_stringio(given: Given) -> Any:
    """Return text in memory."""
    return io.StringIO(given.data.decode())


def stdin_none(given: Given) -> Any:
    """Return None, with a pipe as `sys.stdin`."""
    _replace(given, "stdin", stdin_pipe_file(given))


def stdin_none_and_none(given: Given) -> Any:
    """Return None, with none as `sys.stdin` either."""
    _replace(given, "stdin", None)


def stdin_none_and_closed(given: Given) -> Any:
    """Return None, with a `sys.stdin` whose descriptor somebody has closed."""
    spare = os.open(os.devnull, os.O_RDONLY)
    os.dup2(spare, CLOSED_NUMBER + 1)
    made = open(CLOSED_NUMBER + 1)  # noqa: SIM115  # its descriptor is closed at once
    os.close(CLOSED_NUMBER + 1)
    # Given back for the object's own close, which would complain.
    given.later(made.close, lambda: os.close(spare), lambda: os.dup2(spare, CLOSED_NUMBER + 1))
    _replace(given, "stdin", made)


def stdin_null(given: Given) -> Any:
    """Return /dev/null."""
    return given.file(os.open(os.devnull, os.O_RDONLY), "rb")


def stdin_closed(given: Given) -> Any:
    """Return a file object that is closed."""
    made = stdin_null(given)
    made.close()
    return made


def stdin_closed_number(given: Given) -> Any:
    """Return a number that nothing is open under."""
    return CLOSED_NUMBER


def _replace(given: Given, name: str, value: Any) -> None:
    before = getattr(sys, name)
    given.later(lambda: setattr(sys, name, before))
    setattr(sys, name, value)


# Output: each returns the object, and how to see what it was given


Sink = tuple[Any, Callable[[], bytes]]


def _all_of(fd: int) -> bytes:
    """Take what is there now: nobody writes any more."""
    found = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while any(events & select.POLLIN for _, events in poll.poll(0)):
        data = os.read(fd, 1 << 16)
        if not data:
            break
        found += data
    return found


def out_terminal(given: Given) -> Sink:
    """Return the number of a terminal."""
    master, slave = pty.openpty()
    given.later(lambda: os.close(slave), lambda: os.close(master))
    return given.watch(slave), lambda: _all_of(master)


def out_terminal_raw_file(given: Given) -> Sink:
    """Return a file object on a terminal that changes nothing of what it shows."""
    slave, seen = out_terminal(given)
    tty.setraw(slave)
    given.watched.clear()
    return given.file(given.watch(slave), "w", closefd=False), seen


def out_pipe(given: Given) -> Sink:
    """Return the number of a pipe."""
    reading, writing = os.pipe()
    given.later(lambda: os.close(reading), lambda: os.close(writing))
    return given.watch(writing), lambda: _all_of(reading)


def out_pipe_file(given: Given) -> Sink:
    """Return a file object for text that still holds what the caller has written."""
    number, seen = out_pipe(given)
    made = given.file(number, "w", closefd=False)
    made.write("before ")
    return made, lambda: seen().removeprefix(b"before ")


def out_file(given: Given) -> Sink:
    """Return a regular file."""
    made = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the session is over
    given.later(made.close)
    given.watch(made.fileno())

    def seen() -> bytes:
        made.seek(0)
        return made.read()

    return made, seen


def out_socket(given: Given) -> Sink:
    """Return a socket."""
    ours, theirs = socket.socketpair()
    given.later(ours.close, theirs.close)
    given.watch(theirs.fileno())
    return theirs, lambda: _all_of(ours.fileno())


class OnlyWrite:
    """An object that can be written, and nothing else."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def write(self, data: Any) -> None:
        """Keep it."""
        self.parts.append(data)


class OnlyWriteText(OnlyWrite):
    """One for text, as its `encoding` says: what a notebook has."""

    encoding = "utf-8"


def out_only_write(given: Given) -> Sink:
    """Return an object that takes bytes."""
    made = OnlyWrite()
    return made, lambda: b"".join(made.parts)


def out_only_write_text(given: Given) -> Sink:
    """Return an object that takes text."""
    made = OnlyWriteText()
    return made, lambda: "".join(made.parts).encode()


def out_bytesio(given: Given) -> Sink:
    """Return bytes in memory."""
    made = io.BytesIO()
    return made, made.getvalue


def out_stringio(given: Given) -> Sink:
    """Return text in memory."""
    made = io.StringIO(newline="")
    return made, lambda: made.getvalue().encode()


def out_null(given: Given) -> Sink:
    """Return /dev/null, of which nothing can be seen."""
    return given.file(os.open(os.devnull, os.O_WRONLY), "wb"), lambda: b""


def out_captured(given: Given) -> Sink:
    """Return None, with text in memory as `sys.stdout`."""
    made, seen = out_stringio(given)
    _replace(given, given.standard, made)
    return None, seen


def out_captured_with_buffer(given: Given) -> Sink:
    """Return None, with text over bytes in memory as `sys.stdout`, as a test runner puts there."""
    below = io.BytesIO()
    made = io.TextIOWrapper(below, encoding="utf-8", newline="", write_through=True)
    _replace(given, given.standard, made)
    return None, below.getvalue


# Verbs


def do_exec_command(client: Any, container: Any, tty: bool, out: Any, err: Any, given: Any) -> int | None:
    """Do it with one call."""
    return dockerpty.exec_command(client, container, COMMANDS[tty], True, out, err, given, tty=tty)


def do_start_exec(client: Any, container: Any, tty: bool, out: Any, err: Any, given: Any) -> int | None:
    """Do it in two steps; the dict of the first goes into the second."""
    created = dockerpty.exec_create(client, container, COMMANDS[tty], True, tty=tty)
    return dockerpty.start_exec(client, created, True, out, err, given)


def do_exec_operation(client: Any, container: Any, tty: bool, out: Any, err: Any, given: Any) -> int | None:
    """Do it with the classes, as positional as in the old library, and with the id alone."""
    created = dockerpty.exec_create(client, container, COMMANDS[tty], True, tty=tty)
    operation = dockerpty.ExecOperation(client, created["Id"], True, out, err, given)
    return dockerpty.PseudoTerminal(client, operation).start()


def do_start(client: Any, container: Any, tty: bool, out: Any, err: Any, given: Any) -> int | None:
    """Start a container."""
    return dockerpty.start(client, container, True, out, err, given)


def do_run_operation(client: Any, container: Any, tty: bool, out: Any, err: Any, given: Any) -> int | None:
    """Do the same with the classes, and attach before."""
    terminal = dockerpty.PseudoTerminal(
        client, dockerpty.RunOperation(client, container, True, out, err, given)
    )
    return terminal.start(terminal.sockets())


def session(client: docker.DockerClient, case: dict[str, Any]) -> dict[str, Any]:
    """Run one; what is to be reported of it."""
    names = globals()
    given = Given(client, case["data"].encode("latin-1"))
    before = _open_now(client)
    sinks = {}
    for which in ("stdout", "stderr"):
        given.standard = which
        sinks[which] = names[f"out_{case[which]}"](given)
    source = names[f"stdin_{case['stdin']}"](given)
    found: dict[str, Any] = {}
    try:
        found["code"] = names[f"do_{case['verb']}"](
            names[f"client_{case['client']}"](given),
            names[f"container_{case['container']}"](given, case["id"]),
            case["tty"],
            sinks["stdout"][0],
            sinks["stderr"][0],
            source,
        )
    finally:
        found["kept"] = given.is_kept()
        found["stdout"] = sinks["stdout"][1]().decode("latin-1")
        found["stderr"] = sinks["stderr"][1]().decode("latin-1")
        given.close()
    del source, sinks
    gc.collect()
    found["left"] = [now - then for now, then in zip(_open_now(client), before, strict=True)]
    return found


def _open_now(client: docker.DockerClient) -> tuple[int, int]:
    """Count descriptors and threads, without the connections that docker-py keeps for later."""
    client.close()
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def main() -> None:
    """Serve until nobody asks any more."""
    client = from_env()
    with open(int(os.environ["BED_ASK"])) as questions:
        for line in questions:
            case = json.loads(line)
            report(f"case {case['number']}", **session(client, case))


if __name__ == "__main__":
    main()
