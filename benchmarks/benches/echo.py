"""How long a key takes to the process in the container and back.

All sessions are open at once and take turns key by key, in another order each time; one key is under way at a time. In
each container's terminal `cat` gives back what it gets. Two floors stand beside them: the exec's own connection without
any client, and a terminal of this machine without any container.
"""

from __future__ import annotations

import os
import pty
import random
import select
import signal
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median, quantiles

from benchmarks.figures import Cell, Sample
from benchmarks.stage import Stage
from dockerpty.engine import calls
from dockerpty.engine.client import from_environment

SOCKET, TERMINAL = "the exec's socket", "a bare terminal"
_COMMAND = ["sh", "-c", "stty raw -echo; echo up; exec cat"]
#: Between two keys: the engine and the machine come to rest.
_PAUSE_S = 0.003
_OPENING_S = 30.0

Key = Callable[[bytes], bytes]


def cells(stage: Stage) -> Iterator[Cell]:
    medians = Cell("echo", "a key there and back, median", "us", scale=1e6)
    tails = Cell("echo", "a key there and back, 90th percentile", "us", scale=1e6)
    with ExitStack() as stack:
        sessions: dict[str, Key] = {}
        for client in stage.that_do("exec -t"):
            line = client.line("exec", "-it", stage.container, *_COMMAND)
            sessions[client.name] = stack.enter_context(_session(line))
        sessions[SOCKET] = stack.enter_context(_bare_exec(stage.container))
        sessions[TERMINAL] = stack.enter_context(_session(_COMMAND))
        for block in range(stage.size(5, 1)):
            stage.tell(f"echo: block {block + 1} of {stage.size(5, 1)}")
            times = _block(sessions, stage.size(200, 20))
            medians.rounds.append({name: Sample(median(each)) for name, each in times.items()})
            tails.rounds.append({name: Sample(quantiles(each, n=10)[8]) for name, each in times.items()})
    yield medians
    yield tails


def _block(sessions: dict[str, Key], keys: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in sessions}
    order = list(sessions)
    for number in range(keys):
        random.shuffle(order)
        key = b"%c" % (33 + number % 90)
        for name in order:
            began = time.perf_counter()
            back = sessions[name](key)
            times[name].append(time.perf_counter() - began)
            if back != key:
                raise RuntimeError(f"{name} gave back {back!r} for {key!r}")
            time.sleep(_PAUSE_S)
    return times


@contextmanager
def _session(line: list[str]) -> Iterator[Key]:
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(line[0], line)
    try:
        seen, until = b"", time.monotonic() + _OPENING_S
        while b"up" not in seen:
            if not select.select([fd], [], [], max(0.0, until - time.monotonic()))[0]:
                raise RuntimeError(f"{' '.join(line)} did not come up")
            seen += os.read(fd, 1000)
        time.sleep(0.3)
        if termios.tcgetattr(fd)[3] & (termios.ECHO | termios.ICANON):
            raise RuntimeError(f"{' '.join(line)} left the terminal cooked")

        def key(data: bytes) -> bytes:
            os.write(fd, data)
            if not select.select([fd], [], [], _OPENING_S)[0]:
                raise RuntimeError(f"{' '.join(line)} gave nothing back")
            return os.read(fd, 10)

        yield key
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)


@contextmanager
def _bare_exec(container: str) -> Iterator[Key]:
    engine = from_environment()
    try:
        body = {"Cmd": _COMMAND, "Tty": True, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
        exec_id = engine.send(calls.create_exec(container, body)).json()["Id"]
        transport = engine.hijack(calls.start_exec(exec_id, tty=True))
        try:
            buffer = memoryview(bytearray(1000))
            seen = b""
            os.set_blocking(transport.fileno(), True)
            while b"up" not in seen:
                seen += bytes(buffer[: transport.recv_into(buffer) or 0])

            def key(data: bytes) -> bytes:
                transport.send(data)
                return bytes(buffer[: transport.recv_into(buffer) or 0])

            yield key
        finally:
            transport.close()
    finally:
        engine.close()
