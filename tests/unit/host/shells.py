"""Real shells of this machine under the framing, through pipes and through a terminal."""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import subprocess
import termios
import time
from dataclasses import dataclass, field
from types import TracebackType

from dockerpty.host.shell.framing import (
    STDERR,
    STDOUT,
    Begin,
    End,
    Event,
    Framing,
    Go,
    Output,
    Probed,
    Ready,
    Spilled,
    driver,
    typed_driver,
)

DEADLINE_S = 60.0

ALL = {"ash": ["busybox", "ash"], "dash": ["dash"], "bash": ["bash"]}
HERE = {name: argv for name, argv in ALL.items() if shutil.which(argv[0])}
NO_PROFILE = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}


def environment(home: str) -> dict[str, str]:
    """What a session sets, and no more of ours than it takes."""
    given = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "ENV": "", "BASH_ENV": ""}
    return given | {"HISTFILE": "/dev/null"}


@dataclass
class Ran:
    """What became of one command."""

    out: bytes = b""
    err: bytes = b""
    code: int | None = None
    spilled: bytes = b""
    events: list[Event] = field(default_factory=list)


def _probed(ran: Ran) -> bool:
    return any(isinstance(event, Probed) for event in ran.events)


class Shell:
    """A shell that is driven: `terminal` says how."""

    def __init__(self, name: str, argv: list[str], folder: str, *, terminal: bool) -> None:
        self.name = name
        self.terminal = terminal
        self.framing = Framing(terminal=terminal)
        self.said = bytearray()
        """All that the shell has written, marks and all."""
        self.ready: Ready | None = None
        self._selector = selectors.DefaultSelector()
        self._start(argv, folder)
        first = self.wait(lambda ran: self.ready is not None)
        assert self.ready, first

    def _start(self, argv: list[str], folder: str) -> None:
        if self.terminal:
            self._write, slave = os.openpty()
            self.process = subprocess.Popen(
                [*argv, *NO_PROFILE.get(self.name, []), "-i"],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=folder,
                env=environment(folder) | {"TERM": "dumb"},
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
            os.close(slave)
            self._streams = {self._write: STDOUT}
        else:
            self.process = subprocess.Popen(
                [*argv, "-c", driver(self.framing.session), "sh"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=environment(folder),
                start_new_session=True,
            )
            assert self.process.stdin
            assert self.process.stdout
            assert self.process.stderr
            self._write = self.process.stdin.fileno()
            self._streams = {self.process.stdout.fileno(): STDOUT, self.process.stderr.fileno(): STDERR}
        for descriptor in {self._write, *self._streams}:
            os.set_blocking(descriptor, False)
        for descriptor in self._streams:
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._unsent = bytearray(typed_driver(self.framing.session) if self.terminal else b"")

    def run(self, text: str | bytes, stdin: str = "") -> Ran:
        """Run a command to its end, or to the shell's."""
        request = self.framing.request(text, stdin)
        self._unsent += request.first
        # Nothing of a command may be told at its end but what was told by then.
        return self.wait(lambda ran: not self.framing.busy, request.rest)

    def start(self, text: str | bytes, stdin: str = "") -> Ran:
        """Send a command and wait until it runs."""
        request = self.framing.request(text, stdin)
        self._unsent += request.first
        return self.wait(lambda ran: any(isinstance(event, Begin) for event in ran.events), request.rest)

    def probe(self) -> Ran:
        self._unsent += self.framing.probe()
        return self.wait(_probed)

    def interrupted(self) -> bool:
        """Interrupt what runs, and say whether the shell is back within half a second."""
        # The line comes a moment later: what ends by the key may still read what comes with it, and drop it.
        self._unsent += b"\x03"
        self._pass(0.05)
        self._unsent += self.framing.probe()
        return _probed(self._pass(0.5))

    def _pass(self, seconds: float) -> Ran:
        """Move bytes for so long, or until a probe has come back."""
        until = time.monotonic() + seconds
        return self.wait(lambda ran: _probed(ran) or time.monotonic() > until)

    def send(self, data: bytes) -> None:
        self._unsent += data

    def wait(self, done: object, rest: bytes = b"") -> Ran:
        """Move bytes until `done` says so, or the shell has ended."""
        assert callable(done)
        ran, deadline = Ran(), time.monotonic() + DEADLINE_S
        while not done(ran):
            if not self._selector.get_map():
                self.process.wait(DEADLINE_S)
                return ran
            left = deadline - time.monotonic()
            assert left > 0, f"{self.name} said {bytes(self.said[-2000:])!r}, and no more"
            self._write_some()
            for key, _ in self._selector.select(min(left, 0.02)):
                for event in self._read(key.fd):
                    self._note(ran, event)
                    if isinstance(event, Go):
                        self._unsent += rest
        return ran

    def _write_some(self) -> None:
        while self._unsent:
            try:
                del self._unsent[: os.write(self._write, self._unsent[:4096])]
            except BlockingIOError:
                return  # no room now
            except BrokenPipeError:
                self._unsent.clear()

    def _read(self, descriptor: int) -> list[Event]:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return []
        except OSError:  # EIO: the terminal's last holder has gone.
            data = b""
        if not data:
            self._selector.unregister(descriptor)
            return self.framing.finish(self._streams[descriptor])
        self.said += data
        return self.framing.feed(data, self._streams[descriptor])

    def _note(self, ran: Ran, event: Event) -> None:
        ran.events.append(event)
        if isinstance(event, Ready):
            self.ready = event
        elif isinstance(event, Output) and event.stream == STDOUT:
            ran.out += event.data
        elif isinstance(event, Output):
            ran.err += event.data
        elif isinstance(event, Spilled):
            ran.spilled += event.data
        elif isinstance(event, End):
            ran.code = event.code

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self._selector.close()
        if self.terminal:
            os.close(self._write)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # nobody reads what was not sent
