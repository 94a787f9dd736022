"""The helpers of a host, one for each user that has a shell: what sessions need of them. Plans.

See `helper` for what one is. It is started when it is needed first, and again when it was lost; where there can be none
all goes on without, and shells that do not come back are killed by other means.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from dockerpty.host.requests import Alone, Wait
from dockerpty.host.shell import recovery
from dockerpty.host.shell.helper import (
    Helper,
    begin_helper,
    close_helper,
    end_shell,
    foreground,
    greet_helper,
    open_helper,
    register_shell,
    signal_group,
    terminal_is_free,
)
from dockerpty.signals import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dockerpty.host.requests import Plan
    from dockerpty.host.shell.shell import Shell

# Until what was interrupted has ended, and between two looks at it, whose output somebody else reads.
_INTERRUPT_S, _LOOK_S = 1.0, 0.01
# A line that follows an interrupt too closely is dropped with what was typed before.
_FLUSH_S = 0.05
# A container that had no helper is asked again after this: it may have had no room for a process.
_NO_HELPER_S = 30.0


@dataclass(frozen=True, slots=True)
class _Helped:
    """The helper for one user of one container, or none.

    Attributes:
        again: when to try again to have one, by `time.monotonic`.
    """

    helper: Helper | None
    again: float

    @property
    def is_there(self) -> bool:
        """Whether it answered so far."""
        return self.helper is not None and self.helper.alive


def _key(shell: Shell) -> tuple[str, str]:
    return shell.channel.container, shell.channel.user


class Helpers:
    """The helpers of one host.

    Args:
        shells: gives the shells that are open.
    """

    def __init__(self, shells: Callable[[], Iterable[Shell]]) -> None:
        self._shells = shells
        self._helped: dict[tuple[str, str], _Helped] = {}
        # Those that were started, and have not been heard of.
        self._begun: dict[tuple[str, str], Helper] = {}
        # How often all were let go of; who was under way then is not kept.
        self._era = 0
        self._closed = False

    def _begin(self, shell: Shell) -> Plan[bool]:
        """Start the helper that ends a shell, and wait for nothing; False if there is one, or can be none."""
        key = container, user = _key(shell)
        if self._closed or key in self._helped or key in self._begun:
            return False
        era = self._era
        begun = yield from begin_helper(container, user=user, mark=marker(), register=[shell.pid])
        if begun is not None and era == self._era:
            self._begun[key] = begun
            return True
        yield from close_helper(begun)
        return False

    def of(self, shell: Shell) -> Plan[Helper | None]:
        """Give the helper for the user of a shell, started if need be; None if the container can have none."""
        helped = self._helped.get(_key(shell))
        if helped is not None and helped.is_there:
            return helped.helper
        there: Helper | None = yield Alone("helper", self._of(shell))
        return there

    def _of(self, shell: Shell) -> Plan[Helper | None]:
        key = container, user = _key(shell)
        helped = self._helped.get(key)
        if helped is not None and (helped.is_there or monotonic() < helped.again):
            return helped.helper
        if self._closed or shell.channel.ended:
            return None
        for other, each in [*self._helped.items()]:
            if not each.is_there:
                del self._helped[other]
                yield from close_helper(each.helper)
        pids = [each.pid for each in self._shells() if _key(each) == key]
        # One that was begun may have gone with a container that was restarted meanwhile.
        era = self._era
        opened = yield from greet_helper(self._begun.pop(key, None), pids)
        if opened is None:
            opened = yield from open_helper(container, user=user, mark=marker(), register=pids)
        if era != self._era:
            yield from close_helper(opened)
            return None
        self._helped[key] = _Helped(opened, monotonic() + _NO_HELPER_S if opened is None else 0.0)
        return opened

    def guard(self, shell: Shell) -> Plan[None]:
        """Have a shell end when this program does. Its first helper starts while the shell is used already."""
        if (yield Alone("helper", self._begin(shell))):
            return
        helper = yield from self.of(shell)
        if helper is not None and shell.pid not in helper.registered and not shell.over:
            yield from register_shell(helper, shell.pid)

    def recover(self, shell: Shell, started: float) -> Plan[bool]:
        """Have a shell back from its command; a shell that does not come back is killed."""
        helper = yield from self.of(shell)
        result = yield from recovery.recover(shell, helper, started=started)
        if not result.is_back and not shell.channel.ended and (helper is None or not helper.alive):
            yield from recovery.end_alone(shell)
        return result.is_back

    def has_terminal(self, shell: Shell) -> Plan[bool]:
        """Say whether a shell has its own terminal, as far as anybody can tell."""
        found = yield from foreground((yield from self.of(shell)), shell.pid)
        return found is None or found.is_the_shell

    def interrupt_beside(self, shell: Shell, is_held: Callable[[], bool]) -> Plan[bool]:
        """Interrupt a command whose plan reads what the shell says: that sees it end.

        Args:
            is_held: whether that plan is driven still.

        Returns:
            whether the shell is back.
        """
        helper = yield from self.of(shell)
        if shell.tty:
            shell.channel.write(b"\x03")
            if (yield from terminal_is_free(helper, shell.pid)) is None:
                yield Wait((), monotonic() + _FLUSH_S)
            if shell.busy and not shell.channel.ended:
                shell.channel.write(b"\n" + shell.framing.probe())
        else:
            yield from signal_group(helper, shell.pid, "INT")
        until = monotonic() + _INTERRUPT_S
        while is_held() and shell.busy and not shell.channel.ended and monotonic() < until:
            yield Wait((), monotonic() + _LOOK_S)
        return not shell.busy and not shell.channel.ended

    def ends(self, shell: Shell) -> bool:
        """Say whether a shell ends with its helper."""
        helped = self._helped.get(_key(shell))
        helper = None if helped is None else helped.helper
        return helper is not None and helper.alive and shell.pid in helper.registered

    def end(self, shell: Shell) -> Plan[None]:
        """End a shell in the container."""
        if shell.channel.ended:
            return
        if _key(shell) in self._begun:
            yield from self.of(shell)
        helped = self._helped.get(_key(shell))
        if (yield from end_shell(None if helped is None else helped.helper, shell.pid)) is None:
            yield from recovery.end_alone(shell)

    def close(self) -> Plan[None]:
        """End them, and all shells that are registered with them; there are no others from now on."""
        self._closed = True
        for helped in self._helped.values():
            yield from close_helper(helped.helper)
        for begun in self._begun.values():
            yield from close_helper(begun)
        self._helped.clear()
        self._begun.clear()

    def let_go(self) -> set[int]:
        """End them without waiting; gives the shells that end with them."""
        self._era += 1
        helped, self._helped = self._helped, {}
        begun, self._begun = self._begun, {}
        for helper in begun.values():
            helper.let_go()
        ending: set[int] = set()
        for each in helped.values():
            if each.helper is not None:
                ending |= each.helper.registered
                each.helper.let_go()
        return ending
