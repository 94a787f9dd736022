"""One shell that keeps its state: its streams, whose output is whose, and what became of it.

Here is what the plans around it share. `opening` makes one, `running`, `sequence` and `started` have it run commands,
`waiting` sends and expects, `departure` learns how it ended. Whoever reads its channel does it by `Shell.take`, so that
nothing is handed on twice.
"""

from __future__ import annotations

from dockerpty.host.shell.echo import Echo
from dockerpty.host.shell.framing import STDERR, STDOUT, Begin, End, Framing, Output, Probed, Ready, Spilled
from dockerpty.matching import Matcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerpty.host.channel import Channel
    from dockerpty.host.shell.framing import Event

#: What a shell with a terminal shows when it waits for a line, unless it is to show something else.
PROMPT = "$ "
#: Bytes that are kept of what is no command's output.
SPILLED = 64 * 1024
_READS = 64


class Ring:
    """The last bytes of a stream.

    Args:
        limit: how many.

    Attributes:
        dropped: how many had to give way.
    """

    def __init__(self, limit: int = SPILLED) -> None:
        self.dropped = 0
        self._limit = limit
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """Take what came; the oldest gives way."""
        self._kept += data
        too_many = len(self._kept) - self._limit
        if too_many > 0:
            del self._kept[:too_many]
            self.dropped += too_many

    def peek(self) -> bytes:
        """Give what is kept."""
        return bytes(self._kept)

    def take(self) -> bytes:
        """Give what is kept, and keep it no longer."""
        taken = bytes(self._kept)
        self._kept.clear()
        return taken


class Shell:
    """A shell in a container, as far as its plans have to know.

    Args:
        channel: its streams.
        framing: what was made for it, and tells its marks from its output.
        path: how it was started: a name or path.
        prompt: what it shows when it waits for a line; None if that is not known. With a terminal only.
        encoding, errors: of what `expect` sees; None matches bytes.
        host: the name of the host, for messages.

    Attributes:
        tty: it has a terminal.
        prompt: what it shows when it waits for a line, if that is known.
        pid: its number in the container.
        heard: how many bytes it has said, marks and all.
        spilled: output of no command that we know.
        matcher: the same, for `expect`; filled with a terminal only.
        sink: takes the output of the command that runs, as (stream, bytes).
        sent: when its last command was sent, by `time.monotonic`.
        used: it was told something: it has a state that could be lost.
        touched: something was sent to it that is no command of ours: a program may have its terminal.
        replaces: it stands in the place of one whose state is gone; whoever says so sets it back.
        over: it cannot be used any more.
        exit_code: its exit code, once it has ended and if it is known.
        why: what ended it, in one sentence.
    """

    def __init__(
        self,
        channel: Channel,
        framing: Framing,
        path: str = "sh",
        *,
        prompt: str | None = PROMPT,
        encoding: str | None = "utf-8",
        errors: str = "replace",
        host: str = "",
    ) -> None:
        self.channel = channel
        self.framing = framing
        self.path = path
        self.host = host
        self.tty = channel.tty
        self.pid = self.heard = 0
        self.spilled = Ring()
        self.matcher = Matcher(encoding, errors)
        self.sink: Callable[[int, bytes], None] | None = None
        self.used = self.touched = self.replaces = self.over = False
        self.sent = 0.0
        self.exit_code: int | None = None
        self.why = ""
        self._streams = {STDOUT} if self.tty else {STDOUT, STDERR}
        self._greeted: set[int] = set()
        self._finished = False
        self.prompt = (prompt or "").encode()
        self._prompt_is_due = False
        self._held = b""
        self._echo = Echo()
        self._asked = False

    @property
    def dialect(self) -> str:
        """Which kind of shell it is, as it said itself."""
        return self.framing.dialect

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it waits for commands."""
        return self._greeted == self._streams

    @property
    def busy(self) -> bool:
        """Whether a command was sent to it whose end has not been seen."""
        return self.framing.busy

    @property
    def before(self) -> Any:
        """What came before the last match."""
        return self.matcher.before

    @property
    def after(self) -> Any:
        """What matched; `pexpect.TIMEOUT` or `pexpect.EOF` if it was that."""
        return self.matcher.after

    @property
    def match(self) -> Any:
        """The match, by which its groups can be had."""
        return self.matcher.match

    @property
    def buffer(self) -> Any:
        """What came and was not matched yet."""
        return self.matcher.buffer

    def type(self, data: bytes) -> None:
        """Write what is for a program, or for the shell as if somebody typed it."""
        if self.framing.echoes:
            self._echo.typed(data)
        self.channel.write(data)

    def take(self) -> list[Event]:
        """Read what is there, hand output on to whose it is, and return all else that the shell says."""
        events: list[Event] = []
        for stream, data in self.channel.read():
            self.heard += len(data)
            self._asked = self._asked or self.framing.asked
            events += self.framing.feed(data, STDOUT if self.tty else stream)
        if self.channel.ended and not self._finished:
            self._finished = True
            for stream in sorted(self._streams):
                events += self.framing.finish(stream)
        return [event for event in events if not self._hand_on(event)]

    def catch_up(self) -> None:
        """Read all that is there, so that an end that has come is seen; of one that never pauses not for ever."""
        for _ in range(_READS):
            before = self.heard
            self.take()
            if self.heard == before:
                return

    def _hand_on(self, event: Event) -> bool:
        """Hand output on, and say whether it was that."""
        if isinstance(event, Output):
            data = self._echo.without(event.data)
            if self.sink is not None and data:
                self.sink(event.stream, data)
            return True
        if isinstance(event, Spilled):
            self._spill(event.data)
            return True
        if isinstance(event, Ready):
            self.pid = event.pid
            self._greeted.add(event.stream)
            if self.is_ready:
                # What an image says first is nobody's.
                self.spilled.take()
        if isinstance(event, (Begin, Probed)):
            self._asked = False
        if isinstance(event, (Ready, End, Probed)):
            self._prompt_is_due = self.tty and bool(self.prompt)
            self._held = b""
            self._echo.forget()
        return False

    def _spill(self, data: bytes) -> None:
        if self.framing.echoes:
            if self._asked:
                # Up to its mark all is what was typed for it.
                return
            data = self._echo.without(data)
        self.spilled.add(data)
        if self.tty and self.is_ready:
            data = self._without_due_prompt(data)
            if data:
                self.matcher.feed(data)

    def _without_due_prompt(self, data: bytes) -> bytes:
        """Take out the prompt that follows each command of ours: whoever sends a line expects the one after that.

        It stands where a line begins: before it, a shell may tell of its jobs.
        """
        if not self._prompt_is_due:
            return data
        data = self._held + data
        self._held = b""
        at = 0
        while True:
            if data.startswith(self.prompt, at):
                self._prompt_is_due = False
                return data[:at] + data[at + len(self.prompt) :]
            if self.prompt.startswith(data[at:]):
                # The beginning of it, or of a line: what comes next tells.
                self._held = data[at:]
                return data[:at]
            at = data.find(b"\n", at) + 1
            if not at:
                return data
