"""What is known of one session of a host, and how a host's commands are run: values."""

from __future__ import annotations

from dataclasses import dataclass

from dockerpty.host import transcript
from dockerpty.host.oneshot import OUTPUT_LIMIT
from dockerpty.host.shell.framing import STDERR, STDOUT
from dockerpty.host.shell.shell import PROMPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    from dockerpty.host.channel import Channel
    from dockerpty.host.oneshot import Keep, OnOutput
    from dockerpty.host.shell.shell import Shell

    Environment: TypeAlias = Mapping[str, str | None] | Sequence[str]


@dataclass(frozen=True, slots=True)
class Options:
    """How commands of a host are run, unless something else is said for one.

    Attributes:
        user, workdir: None is the container's own.
        environment: `NAME=value`.
        size: of terminals, as (rows, cols).
        output_limit, keep: how many bytes of each stream of a command are kept, and of which end; see `oneshot`.
    """

    user: str | None = None
    workdir: str | None = None
    environment: tuple[str, ...] = ()
    shell: str = "auto"
    tty: bool = True
    size: tuple[int, int] = (24, 200)
    encoding: str = "utf-8"
    errors: str = "replace"
    output_limit: int = OUTPUT_LIMIT
    keep: Keep = "head"
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What one session may have other than its host; see `opening.open_shell`."""

    tty: bool
    shell: str
    user: str
    workdir: str | None
    environment: tuple[str, ...]
    login: bool = False
    prompt: str | None = PROMPT


class SessionCore:
    """One session: a shell, and whichever comes after that has ended.

    Attributes:
        shell: the last one; None before the first is opened.
        restarted: how often another one was opened.
        closed: nobody opens another one.
        interrupts: how often its commands were interrupted from beside.
    """

    def __init__(self, name: str, options: SessionOptions) -> None:
        self.name = name
        self.options = options
        self.shell: Shell | None = None
        self.restarted = 0
        self.closed = False
        self.interrupts = 0
        # Its shell has ended, and nobody was told yet.
        self.untold = False
        # Connections that were given up while somebody used them.
        self.discarded: list[Channel] = []

    @property
    def alive(self) -> bool:
        """Whether it has a shell that has not ended, as far as is known."""
        shell = self.shell
        return shell is not None and not shell.over and not shell.channel.ended

    @property
    def key(self) -> str:
        """What its plans are driven under."""
        return f"session {self.name}"


class Told:
    """What one command says, told to a transcript."""

    def __init__(self, teller: Any, encoding: str, errors: str) -> None:
        self._streams = {stream: transcript.Output(teller, encoding, errors) for stream in (STDOUT, STDERR)}

    def also(self, on_output: OnOutput | None) -> OnOutput:
        """Give a function that takes output, for the program's own function too."""

        def take(stream: int, data: bytes) -> None:
            self._streams[stream].feed(data)
            if on_output is not None:
                on_output(stream, data)

        return take

    def end(self) -> None:
        """Tell what has no newline."""
        for output in self._streams.values():
            output.end()
