"""What becomes of a process whose channel one has: plans that learn its exit code, that kill it, that close it."""

from __future__ import annotations

import time

from dockerpty import log
from dockerpty.container import ending
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError
from dockerpty.frames import STDOUT
from dockerpty.host.requests import Ask, Close, Open, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from dockerpty.container.ending import Asking, Ending
    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan

    T = TypeVar("T")

_log = log.get(__name__)

# Each that has the mark $1, and its process group, where those are whose environment is another one by now. Again and
# again, until none is found: they may have had children meanwhile, and are gone when this has ended. One `head` for all
# of them says before each environment whose it is; two programs for each would take a second where there are hundreds.
_KILL = r"""
n=0
while
    head -c 4000000 /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' |
    grep -x -e '==> /proc/[0-9]*/environ <==' -e "$1" | {
        found=
        while IFS= read -r line; do
            case $line in
                "$1") found=yes; kill -9 "-$pid"; kill -9 "$pid";;
                *) pid=${line#"==> /proc/"}; pid=${pid%%/*};;
            esac
        done 2>/dev/null
        [ "$found" ]
    }
do
    n=$((n + 1))
    [ "$n" -lt 200 ] || { echo left; exit; }
done
echo done
"""
_DONE, _NOT_ALL = b"done\n", b"left\n"
_SAID = 400
#: A process that was killed has ended its streams, and been forgotten by the engine, after so many seconds at most.
_KILL_LIMIT_S = 3.0


def ending_of(channel: Channel) -> Plan[Ending]:
    """Learn how the process of a channel that has ended has ended itself: its code, `removed` or `lost`.

    Waits for it to end for two seconds at most. Raises nothing: what kept the engine from answering is in `.error`.
    """
    return _translated(ending.of_exec(channel.exec_id, channel.container))


def exit_code(channel: Channel) -> Plan[int | None]:
    """Learn the exit code of the process of a channel that has ended, None where nobody knows it; see `ending_of`."""
    return (yield from ending_of(channel)).code


def closing(channel: Channel, work: Plan[T]) -> Plan[T]:
    """Do something with a channel, and close it whatever comes of that."""
    try:
        result = yield from work
    except GeneratorExit:
        # Nobody answers any more.
        channel.close()
        raise
    except BaseException:
        yield Close(channel)
        raise
    yield Close(channel)
    return result


def kill(channel: Channel, within: float = _KILL_LIMIT_S) -> Plan[str]:
    """Kill the process of a channel, its children and its process group, in its container, by its mark.

    The container needs `sh`, `head`, `tr`, `grep` and `/proc` for that. Raises nothing of ours.

    Args:
        within: seconds that it may take.

    Returns:
        Why it could not be done, or "" if they are gone.
    """
    until = time.monotonic() + within
    if not channel.mark:
        return "nothing marks it"
    try:
        if (yield from _is_gone(channel, until)):
            return ""
        command = ("sh", "-c", _KILL, "sh", channel.mark)
        killer = yield Open(channel.container, command, stdin=False, user=channel.user)
        return (yield from closing(killer, _heard(killer, until)))
    except DockerptyError as error:
        return str(error)


def killing_on_error(channel: Channel, work: Plan[T]) -> Plan[T]:
    """Do something with a channel; what stops that, a cancellation too, kills the process as far as that goes."""
    try:
        return (yield from work)
    except GeneratorExit:
        raise
    except BaseException:
        problem = yield from kill(channel)
        _log.debug("killed: %s", problem or "yes")
        raise


def _is_gone(channel: Channel, until: float) -> Plan[bool]:
    """Say whether the process has ended, as soon as it is known to run: before that it would not be found."""
    pause = 0.01
    while True:
        info = (yield Ask(calls.inspect_exec(channel.exec_id))).json()
        if info["ExitCode"] is not None and not info["Running"]:
            # Its children may go on without it.
            return channel.ended and channel.error is None
        if info.get("Pid") or time.monotonic() >= until:
            return False
        yield Wait(until=time.monotonic() + pause)
        pause *= 1.5


def _heard(killer: Channel, until: float) -> Plan[str]:
    said = {STDOUT: b""}
    while not killer.ended:
        for stream, data in killer.read():
            said[stream] = (said.get(stream, b"") + data)[-_SAID:]
        # The word counts, and not the end: of that Engine 20.10 tells nobody while another output is not taken.
        if said[STDOUT].endswith(_DONE):
            return ""
        if said[STDOUT].endswith(_NOT_ALL):
            return "some of it does not end"
        if not killer.ended and not (yield Wait((killer,), until)):
            return "the search for it took too long"
    words = b" ".join(said.values()).decode("utf-8", "replace").split()
    return " ".join(words) or str(killer.error or "the search for it ended early")


def _translated(asking: Asking) -> Plan[Ending]:
    """Ask in the words of this layer for what a plan of the layer below asks for."""
    try:
        request = next(asking)
        while True:
            try:
                if isinstance(request, float):
                    reply = yield Wait(until=time.monotonic() + request)
                else:
                    reply = yield Ask(request)
            except BaseException as error:  # noqa: BLE001  # raised where it was asked for, and from there
                request = asking.throw(error)
            else:
                request = asking.send(reply)
    except StopIteration as end:
        result: Ending = end.value
        return result
