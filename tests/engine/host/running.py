"""A program in a container, run to its end: the plainest thing that does what a transfer asks for."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence

from dockerpty.engine import calls
from dockerpty.engine.client import from_environment
from dockerpty.frames import STDOUT, Decoder
from dockerpty.host.transfer.stop import Stop

PATIENCE_MS = 60_000


class Runner:
    """Runs programs in a container of the engine that the environment names.

    Args:
        container: the id.
        stop: ends what is not there to tidy up.

    Attributes:
        ran: what was run.
    """

    def __init__(self, container: str, stop: Stop | None = None) -> None:
        self._container = container
        self._stop = stop
        self.ran: list[list[str]] = []

    def __call__(
        self,
        argv: Sequence[str],
        *,
        user: str = "",
        stdin: Iterator[bytes] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        tidy: bool = False,
    ) -> tuple[int, bytes, bytes]:
        self.ran.append(list(argv))
        config: dict[str, object] = {"Cmd": list(argv), "User": user}
        config |= dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr"), True)
        engine = from_environment()
        output, said, decoder, pieces = bytearray(), bytearray(), Decoder(), stdin or iter(())
        try:
            exec_id = engine.send(calls.create_exec(self._container, config)).json()["Id"]
            stream = engine.hijack(calls.start_exec(exec_id, tty=False))
            try:
                waiting, sending = memoryview(b""), True
                while True:
                    if self._stop is not None and not tidy:
                        self._stop.check()
                    while sending:
                        if not waiting:
                            waiting = memoryview(next(pieces, b""))
                        try:
                            if not waiting:
                                stream.half_close()
                                sending = False
                            waiting = waiting[stream.send(waiting) if waiting else 0 :]
                        except BlockingIOError:
                            break  # no room now
                        except ConnectionError:
                            sending = False  # it has ended before it had read all
                    try:
                        data = stream.recv(65536)
                    except BlockingIOError:
                        poll = select.poll()
                        poll.register(stream.fileno(), select.POLLIN | (select.POLLOUT if sending else 0))
                        assert poll.poll(PATIENCE_MS), argv
                        continue
                    if not data:
                        break
                    for kind, payload in decoder.feed(data):
                        (on_output or output.extend if kind == STDOUT else said.extend)(bytes(payload))
            finally:
                stream.close()
            code = engine.send(calls.inspect_exec(exec_id)).json()["ExitCode"]
            return int(code), bytes(output), bytes(said)
        finally:
            engine.close()
