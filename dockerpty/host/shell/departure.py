"""How a shell ended: the engine is asked for its exit code, and then what became of the container."""

from __future__ import annotations

import time

from dockerpty.container.ending import CONTAINER_LOOKS
from dockerpty.container.state import is_going
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError, NotFound
from dockerpty.host.processes import ending_of
from dockerpty.host.requests import Ask, Close, Wait
from dockerpty.result import KILLED_CODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.container.ending import Ending
    from dockerpty.host.requests import Plan
    from dockerpty.host.shell.shell import Shell

_LOOK_AGAIN_S = 0.1
_REMOVED = "the container was removed"
_SILENCE_S, _LONGEST_SILENCE_S = 10.0, 60.0


class Vigil:
    """Look now and then whether a shell has ended that says nothing: not every engine ends its stream then.

    What is silent for longer is looked at less often.

    Attributes:
        until: when to look next, by `time.monotonic`.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._heard = shell.heard
        self._patience = _SILENCE_S
        self.until = time.monotonic() + _SILENCE_S

    def sees_the_end(self) -> Plan[bool]:
        """Say whether it has ended, as far as that is known now."""
        shell = self._shell
        if shell.channel.ended:
            return True
        if shell.heard != self._heard:
            self._heard, self._patience = shell.heard, _SILENCE_S
            self.until = time.monotonic() + _SILENCE_S
        elif time.monotonic() >= self.until:
            if (yield from _has_ended(shell)):
                shell.take()
                return shell.heard == self._heard or shell.channel.ended
            self._patience = min(self._patience * 2, _LONGEST_SILENCE_S)
            self.until = time.monotonic() + self._patience
        return False


def learn_end(shell: Shell) -> Plan[None]:
    """Learn how a shell has ended, note it in the shell, and close its channel."""
    if shell.over:
        return
    channel = shell.channel
    if channel.error is None:
        end = yield from ending_of(channel)
        shell.exit_code = end.code
        shell.why = yield from _why(shell, end)
    else:
        shell.why = str(channel.error)
    shell.over = True
    yield Close(channel)


def give_up(shell: Shell, why: str) -> Plan[None]:
    """Use a shell no longer, though it has not ended."""
    if not shell.over:
        shell.over, shell.why = True, why
        yield Close(shell.channel)


def _why(shell: Shell, end: Ending) -> Plan[str]:
    """Say in one sentence what ended a shell; nothing if it was an `exit 0`."""
    if end.engine_is_away:
        return str(end.error)
    if end.reason == "removed":
        return _REMOVED
    # The end of a container follows that of what is in it.
    looks = CONTAINER_LOOKS if end.code in (None, KILLED_CODE) else 1
    for look in range(looks):
        if look:
            yield Wait((), time.monotonic() + _LOOK_AGAIN_S)
        try:
            found = (yield Ask(calls.inspect_container(shell.channel.container))).json()
        except NotFound:
            return _REMOVED
        except DockerptyError as error:
            return str(error)
        if end.code == KILLED_CODE and found["State"].get("OOMKilled"):
            return f"the shell was killed ({KILLED_CODE}): out of memory?"
        if not found["State"].get("Running"):
            return _REMOVED if is_going(found) else "the container stopped"
    if end.code is None:
        return "the shell ended, and the engine does not know with which code"
    return f"the shell ended with {end.code}" if end.code else ""


def _has_ended(shell: Shell) -> Plan[bool]:
    try:
        info = (yield Ask(calls.inspect_exec(shell.channel.exec_id))).json()
    except NotFound:
        return True
    except DockerptyError:
        return False
    # Without a code it has not started yet.
    return not info["Running"] and info["ExitCode"] is not None
