"""The signals that ask a command to end, for one that has something to put in order first."""

from __future__ import annotations

import signal

# SIGINT interrupts anyhow.
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Endings:
    """Each of them is an interruption like that of Ctrl-C, once; whoever put things in order then dies by it.

    Attributes:
        number: the one that came; SIGINT, as long as none did.
    """

    def __init__(self) -> None:
        self.number = int(signal.SIGINT)
        self._interrupts = True
        for number in _ENDINGS:
            # One that is ignored, as under nohup, stays so.
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._end)

    def hold(self) -> None:
        """Things are being put in order: none of them interrupts that."""
        self._interrupts = False

    def forget(self) -> None:
        """Let each do again what it did before."""
        for number in _ENDINGS:
            if signal.getsignal(number) == self._end:
                signal.signal(number, signal.SIG_DFL)

    def _end(self, number: int, frame: object) -> None:
        if self._interrupts:
            self._interrupts = False
            self.number = number
            raise KeyboardInterrupt
