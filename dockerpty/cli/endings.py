"""The signals that ask a command to end, for one that has something to put in order first."""

from __future__ import annotations

import signal

from dockerpty.signals import forwardable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Ctrl-T of the BSDs, which ends nothing.
_HARMLESS = getattr(signal, "SIGINFO", 0)


class Endings:
    """Each of them is an interruption like that of Ctrl-C, once; whoever put things in order then dies by it.

    Args:
        more: others which are to do that, too, though they are ignored.

    Attributes:
        number: the one that came; SIGINT, as long as none did.
    """

    def __init__(self, *more: int) -> None:
        self.number = int(signal.SIGINT)
        self._interrupts = True
        self._before: dict[int, Any] = {}
        for number in (forwardable() - {_HARMLESS}) | {*more}:
            before = signal.getsignal(number)
            # One that is ignored, as under nohup, stays so.
            if number in more or before in (signal.SIG_DFL, signal.default_int_handler):
                self._before[number] = before
                signal.signal(number, self._end)

    def hold(self) -> None:
        """Things are being put in order: none of them interrupts that."""
        self._interrupts = False

    def forget(self) -> None:
        """Let each do again what it did before."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._end:
                signal.signal(number, before)

    def _end(self, number: int, frame: object) -> None:
        if self._interrupts:
            self._interrupts = False
            self.number = number
            raise KeyboardInterrupt
