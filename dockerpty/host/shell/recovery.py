"""A shell had back from a command that took too long, or was given up: with its state, if there is a way.

The command is interrupted and not the shell. With a terminal that is a key, and then lines with a mark of their own,
which only a shell at its prompt returns; without, signals to all that runs beside the shell. A shell that does not come
back so is killed, and whoever opens another one says that the state is lost.

The interrupt and the line are never one write: an interrupt makes the terminal drop what was typed, that line too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Protocol

from dockerpty import log
from dockerpty.errors import DockerptyError
from dockerpty.host.processes import closing
from dockerpty.host.requests import Open, Wait
from dockerpty.host.shell.framing import STDOUT, Begin, End, Event, Framing, Go, Probed
from dockerpty.host.shell.helper import (
    Helper,
    end_shell,
    kill_foreground,
    signal_group,
    terminal_is_free,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan

_log = log.get(__name__)

LIMIT_S = 5.0
"""The whole recovery, the shell's end included."""

INTERRUPTS = 3
"""A shell that runs a loop, and a script that tidies up, are back at the second or third; a program that is not at
the third takes the key for one like any other."""

# What is spent on each of the ways, in seconds.
_BEGIN_S = 1.0  # a text that is on its way arrives, and begins
_PROBE_S = 0.5  # an interrupt comes to what runs, and the line to the shell
_LAST_PROBE_S = 1.5
_FLUSH_S = 0.05  # between the two: a shell that takes the interrupt drops the line that it reads
_INT_S, _TERM_S, _KILL_S = 1.0, 2.0, 1.0
_ALONE_S = 0.2  # a shell that runs nothing may be between two things that it runs
_END_S = 0.5  # kept for the shell's end

_INTERRUPT = b"\x03"

# Of the two ways to name a group one is an error in each shell; the other has done it then.
_KILL = 'kill -s KILL -- "-$1" || kill -s KILL "-$1"; kill -s KILL "$1"; echo done'


class How(Enum):
    """What it took."""

    ENDED = "the command ended by itself"
    INTERRUPTED = "the command was interrupted"
    TERMINATED = "the command was terminated"
    KILLED = "the command was killed"
    LOST = "the shell ended, or was killed"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of a shell.

    Attributes:
        how: what it took.
        interrupts: how many of them; with a terminal up to INTERRUPTS.
        code: the exit code that the command's end told, if it did. Of a command that was interrupted at a terminal not
            every shell tells one.
    """

    how: How
    interrupts: int = 0
    code: int | None = None

    @property
    def is_back(self) -> bool:
        """Whether the shell takes commands, and has its state."""
        return self.how is not How.LOST


class Recoverable(Protocol):
    """A shell as it is seen from here.

    Attributes:
        pid: its own, in the container.
    """

    channel: Channel
    framing: Framing
    tty: bool
    pid: int

    def take(self) -> list[Event]:
        """Read what is there, hand output on to whom it belongs, and return all else that the shell says."""


def recover(
    shell: Recoverable, helper: Helper | None = None, *, started: float | None = None
) -> Plan[Recovery]:
    """Have a shell back whose command is to end, in LIMIT_S at most. What it still says goes the shell's usual way.

    Args:
        started: when the command was sent, by `time.monotonic`. Without terminal what is older is spared then: jobs of
            earlier commands, which are in the shell's group like all that it starts.

    Returns:
        `LOST` for a shell that was killed or has ended: its channel is still to be closed. Without helper one may
        run on: see `end_alone`.
    """
    attempt = _Attempt(shell, helper)
    yield from attempt.wait(0.0, lambda: False)
    if not shell.framing.busy and not attempt.ended:
        return attempt.result(How.ENDED)
    # A text that is on its way is not cut: what is typed now would be taken for a part of it.
    yield from attempt.wait(_BEGIN_S, lambda: attempt.has_begun or attempt.asks_for_text)
    if shell.framing.busy and not attempt.ended:
        how = yield from (attempt.by_keys() if shell.tty else attempt.by_signals(started))
    else:
        how = How.LOST if attempt.ended else How.ENDED
    if how is How.LOST and not attempt.ended:
        yield from attempt.end()
    result = attempt.result(how)
    _log.debug("recovery complete: how=%s interrupts=%d", how.name, result.interrupts)
    return result


def interrupt(shell: Recoverable, helper: Helper | None = None) -> Plan[bool]:
    """Send one interrupt to what runs in a shell, and nothing else.

    Returns:
        Whether the shell is back.
    """
    attempt = _Attempt(shell, helper)
    if shell.tty:
        return (yield from attempt.by_key(_PROBE_S))
    yield from attempt.wait(0.0, lambda: False)
    if not shell.framing.busy or attempt.ended:
        return not attempt.ended
    return (yield from attempt.by_signal("INT", _INT_S))


def bringing_back(helper: Callable[[], Helper | None]) -> Callable[[Recoverable, float], Plan[bool]]:
    """Make what brings a shell back that is given with the time when its command was sent, and says whether it is back.

    Args:
        helper: gives the one of the moment.
    """

    def bring_back(shell: Recoverable, sent: float) -> Plan[bool]:
        return (yield from recover(shell, helper(), started=sent)).is_back

    return bring_back


def having_terminal(helper: Callable[[], Helper | None]) -> Callable[[Recoverable], Plan[bool]]:
    """Make what says whether a shell has its terminal, and no program: also where nobody can tell."""

    def has_terminal(shell: Recoverable) -> Plan[bool]:
        return (yield from terminal_is_free(helper(), shell.pid)) is not False

    return has_terminal


def end_alone(shell: Recoverable, sh: str = "sh") -> Plan[bool]:
    """Kill a shell without a helper, by a process of its own. It may take as long as the engine takes to start one.

    Returns:
        Whether that could be done. Raises nothing of ours.
    """
    command = (sh, "-c", _KILL, "sh", str(shell.pid))
    channel = shell.channel
    try:
        killer = yield Open(channel.container, command, environment=("ENV=", "BASH_ENV="), user=channel.user)
    except DockerptyError as error:
        _log.debug("no way to kill a shell: %s", error)
        return False
    return (yield from closing(killer, _says_done(killer)))


def _says_done(killer: Channel) -> Plan[bool]:
    said, until = b"", monotonic() + LIMIT_S
    while True:
        said += b"".join(data for stream, data in killer.read() if stream == STDOUT)
        if said or killer.ended or not (yield Wait((killer,), until)):
            return said == b"done\n"


class _Attempt:
    """The ways to have one shell back, and what was seen on them."""

    def __init__(self, shell: Recoverable, helper: Helper | None) -> None:
        self._shell = shell
        self._helper = helper
        self._until = monotonic() + LIMIT_S
        self._last_way = self._until - _END_S - _PROBE_S
        self._interrupts = 0
        self._code: int | None = None
        self._probed = False
        self.asks_for_text = False
        """The shell has asked for a text that nobody sends."""

    @property
    def ended(self) -> bool:
        """Whether the shell has."""
        return self._shell.channel.ended

    @property
    def has_begun(self) -> bool:
        """Whether the command's text has arrived."""
        return self._shell.framing.running or not self._shell.framing.busy

    def result(self, how: How) -> Recovery:
        """Make the result."""
        return Recovery(how, self._interrupts, self._code)

    def wait(self, seconds: float, done: Callable[[], bool]) -> Plan[bool]:
        """Take what the shell says until it is done, or has ended, or the time is over; say whether it is done."""
        until = min(monotonic() + seconds, self._until)
        while True:
            self._take()
            if done():
                return True
            # What says much has always something: the time is looked at, too.
            if self.ended or monotonic() >= until:
                return False
            yield Wait((self._shell.channel,), until)

    def _take(self) -> None:
        for event in self._shell.take():
            if isinstance(event, Probed):
                self._probed = True
            elif isinstance(event, End):
                self._code = event.code
            elif isinstance(event, (Go, Begin)):
                self.asks_for_text = isinstance(event, Go)

    # With a terminal

    def by_keys(self) -> Plan[How]:
        """Interrupt by the key, then kill what has the terminal."""
        # With half of a text behind it, a line of ours would be its other half.
        if self._shell.framing.reading and not self.asks_for_text:
            return How.LOST
        while self._interrupts < INTERRUPTS and not self.asks_for_text and not self.ended:
            self._interrupts += 1
            # Behind much output on a slow way the last answer may come late, and the earlier ones too late.
            if (yield from self.by_key(_PROBE_S if self._interrupts < INTERRUPTS else _LAST_PROBE_S)):
                return How.INTERRUPTED
        # What a program does not read would be read by the shell, once that has the terminal.
        while monotonic() < self._last_way and not self.ended and not self._shell.channel.unsent:
            killed = yield from kill_foreground(self._helper, self._shell.pid, until=self._last_way)
            if killed is None:
                break
            self.asks_for_text = False
            # The key again: what was typed for the one that is killed is in the terminal still.
            if (yield from self.by_key(_PROBE_S)):
                return How.KILLED
        return How.LOST

    def by_key(self, patience: float) -> Plan[bool]:
        """Interrupt once, and ask whether the shell is back."""
        if not (yield from self._type(_INTERRUPT)):
            return False
        yield Wait((), monotonic() + _FLUSH_S)
        # A program that goes on shall not be told what is meant for the shell.
        if (yield from terminal_is_free(self._helper, self._shell.pid, _PROBE_S)) is False:
            return False
        # What has come by now may be the answer to an earlier one: it came before this interrupt.
        self._take()
        self._probed = False
        # In a terminal that was left raw the interrupt is a character: it has a line of its own.
        if not (yield from self._type(b"\n" + self._shell.framing.probe())):
            return False
        return (yield from self.wait(patience, lambda: self._probed))

    def _type(self, data: bytes) -> Plan[bool]:
        """Write, and wait until that is sent: what is written next shall not go with it."""
        self._shell.channel.write(data)
        return (yield from self.wait(_PROBE_S, lambda: not self._shell.channel.unsent))

    # Without

    def by_signals(self, started: float | None) -> Plan[How]:
        """Signal all but the shell, with more and more force; at last also older jobs: one may be waited for."""
        for name, seconds, how in (
            ("INT", _INT_S, How.INTERRUPTED),
            ("TERM", _TERM_S, How.TERMINATED),
            ("KILL", _KILL_S, How.KILLED),
        ):
            if (yield from self.by_signal(name, seconds, None if name == "KILL" else started)):
                return how
        return How.LOST

    def by_signal(self, name: str, seconds: float, started: float | None = None) -> Plan[bool]:
        """Send one signal, and wait for the command's end: both its marks, and no others."""
        last = self._until - _END_S
        # Twice if nothing runs but the shell itself, which is not signalled: it may be about to start something.
        for _ in range(2):
            younger = None if started is None else monotonic() - started
            count = yield from signal_group(self._helper, self._shell.pid, name, younger, until=last)
            if count is None:
                return False
            self._interrupts += name == "INT"
            patience = min(seconds if count else _ALONE_S, last - monotonic())
            if (yield from self.wait(patience, lambda: not self._shell.framing.busy)):
                return True
            if count:
                break
        return False

    # The end

    def end(self) -> Plan[None]:
        """Kill the shell, and hear its last words."""
        if (yield from end_shell(self._helper, self._shell.pid, until=self._until)):
            yield from self.wait(self._until - monotonic(), lambda: False)
