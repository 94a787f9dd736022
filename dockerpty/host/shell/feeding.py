"""What a command of a session reads: a fifo in the container, fed by a second process there.

The shell's own stdin is where its commands come from. So what a command is to read goes through a fifo, whose name the
feeder removes as soon as both ends are open.
"""

from __future__ import annotations

import secrets
import time

from dockerpty import log
from dockerpty.errors import CannotStart, DockerptyError
from dockerpty.host.requests import Close, Open, Wait
from dockerpty.signals import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan
    from dockerpty.host.shell.shell import Shell
    from dockerpty.host.stdin import Stdin

_log = log.get(__name__)

#: What is read where nothing is to be read.
NOTHING = "/dev/null"

# Seconds until the fifo has to be there, and then, at the end of the command, until the shell has opened it.
_START_S = 15.0
_OPENED_S = 1.0

# Make a fifo, say where, and copy stdin into it. To open it waits for the shell, which opens it too: that begins with a
# word, when the shell has been asked for it; who is gone before that leaves nothing.
_FEED = (
    "trap '' PIPE; umask 077; for d in /dev/shm /tmp; do "
    'p=$d/.dpty-$1; [ -w "$d" ] && mkfifo "$p" && break; p=; done 2>/dev/null; '
    '[ -n "$p" ] || exit 1; echo "$p"; read -r go || { rm -f "$p"; exit 1; }; '
    'exec >"$p"; rm -f "$p"; echo opened >&2; exec cat'
)
# Be its other end for a moment: who waits in vain to open it goes on.
_RELEASE = 'exec 3<>"$1"; rm -f "$1"'


class Feeder:
    """The process that feeds a fifo.

    Args:
        channel: its streams.
        source: what it is fed with, and then the end of file; None for what `write` is given, until `end`.

    Attributes:
        path: of the fifo, once it is there.
        told: it was told that the shell opens it.
        opened: both its ends are open.
    """

    def __init__(self, channel: Channel, source: Stdin | None) -> None:
        self.channel = channel
        self.path = ""
        self.told = self.opened = False
        self._source = source
        self._ended = False
        self._said = {1: b"", 2: b""}

    def look(self) -> None:
        """Read what it says."""
        for stream, data in self.channel.read():
            self._said[stream] += data
        # What is no path is why it was not started.
        if not self.path and self._said[1].startswith(b"/") and self._said[1].endswith(b"\n"):
            self.path = self._said[1].strip().decode()
        self.opened = self.opened or b"opened" in self._said[2]

    def tell(self) -> None:
        """Have it open the fifo, which the shell opens by now."""
        self.told = True
        self.channel.write(b"go\n")

    def feed(self) -> bool:
        """Send the next piece of the source; say whether more would go at once."""
        return self._source is not None and not self._ended and self._source.feed(self.channel)

    def write(self, data: bytes) -> None:
        """Send something beside the source; nothing once that has ended."""
        try:
            self.channel.write(data)
        except RuntimeError:
            pass  # its end was sent

    def end(self) -> None:
        """Send the end of file."""
        self._ended = True
        self.channel.end_input()


def open_feeder(shell: Shell, source: Stdin | None) -> Plan[Feeder]:
    """Start a feeder beside a shell, and wait until its fifo is there.

    Raises:
        ValueError: there is nowhere to make one, or nothing to make it with.
    """
    command = (shell.path, "-c", _FEED, shell.path, secrets.token_hex(8))
    try:
        channel = yield _beside(shell, command)
    except CannotStart as error:
        raise _no_fifo() from error
    feeder = Feeder(channel, source)
    try:
        yield from _until(feeder, lambda: bool(feeder.path), _START_S)
        if not feeder.path:
            raise _no_fifo()
    except GeneratorExit:
        # Nobody answers any more.
        channel.close()
        raise
    except BaseException:
        yield Close(channel)
        raise
    return feeder


def release(shell: Shell, feeder: Feeder) -> Plan[None]:
    """End a feeder: its command has ended, or will not begin."""
    try:
        feeder.end()
    except DockerptyError as error:
        _log.debug("not ended: %s", error)
    yield from _until(feeder, lambda: feeder.opened, 0.0 if shell.channel.ended else _OPENED_S)
    if feeder.told and not feeder.opened:
        yield from free(shell, feeder)
    yield Close(feeder.channel)


def free(shell: Shell, feeder: Feeder) -> Plan[None]:
    """Let go on whoever waits for the other end of a fifo."""
    try:
        channel = yield _beside(shell, (shell.path, "-c", _RELEASE, shell.path, feeder.path))
    except DockerptyError as error:
        # Where nothing can be started any more, nothing waits.
        _log.debug("not let go: %s", error)
        return
    until = time.monotonic() + _OPENED_S
    while not channel.ended and time.monotonic() < until:
        channel.read()
        yield Wait((channel,), until)
    yield Close(channel)


def _beside(shell: Shell, command: tuple[str, ...]) -> Open:
    channel = shell.channel
    return Open(channel.container, command, mark=marker(), user=channel.user)


def _until(feeder: Feeder, is_so: Any, seconds: float) -> Plan[None]:
    until = time.monotonic() + seconds
    while True:
        feeder.look()
        if is_so() or feeder.channel.ended or time.monotonic() >= until:
            return
        yield Wait((feeder.channel,), until)


def _no_fifo() -> ValueError:
    return ValueError("there is no way to make a fifo in this container: use oneshot(stdin=)")
