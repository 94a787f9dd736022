"""The helper: a small shell of our own in the container, which sends signals, reads /proc, and is a dead man's switch.

Its stdin ends when its client does, however that dies; then it hangs up every shell that was registered with it, with
what runs in the foreground there. All else that is asked of it is a line, and is answered by lines. There are
containers that can have none (no /proc, no room for a process more), and it may be killed: then all plans here return
None, and who asked does without.

What the driver text rests on, seen in busybox ash 1.35, dash 0.5.12 and bash 5.2 (tests/unit/host/test_helper.py):

- It starts no process and writes nowhere: `kill`, `read` and `printf` are the shell's. Where the last process that is
  allowed runs already it answers as ever; a shell that cannot fork ends.
- A program's name in /proc/PID/stat may have blanks, newlines and `)` in it; behind the last `)` there is none of it.
- Before the number of a group dash wants `--`, and busybox refuses it.
- A shell is known by its pid and the moment of its start, since pids come again. The number of its session and of its
  group is its pid, as everywhere where an engine starts it, or there is nothing to be found by it.
"""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass
from time import monotonic

from dockerpty import log
from dockerpty.errors import DockerptyError
from dockerpty.host.requests import Close, Open, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan

_log = log.get(__name__)

ANSWER_S = 2.0
"""How long an answer may take. Half a millisecond is usual, and as much for each process of the container in a walk."""

START_S = 10.0
"""How long its start may take, once the engine has been asked: nobody waits for it."""

FREE_S = 0.5
"""How long a program may keep the terminal that was to end by itself."""

# Between two looks at what tells nothing by itself: a lock that another session has, and who has a terminal.
_LOOK_S = 0.005
_FOREGROUND_LOOK_S = 0.02

# Seconds by which a process may be older than a command and yet be its own: the request was on its way for a while.
_DOUBT_S = 1.0

# All that hangs up is killed half a second later, unless it has gone by then: time to save what is open.
DRIVER = r"""
[ -z "${ZSH_VERSION-}" ] || emulate sh
trap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU
exec 2>/dev/null
cd /
me=$1 shells=
if kill -s 0 -- "$$"; then dashes=--; else dashes=; fi

look() {
    line= all=
    while IFS= read -r line || [ -n "$line" ]; do all="$all $line" line=; done <"/proc/$1/stat"
    [ -n "$all" ] || return 1
    set -- ${all##*)}
    state=$1 group=$3 session=$4 front=$6 born=${20}
}

now() {
    up=
    read -r up line </proc/uptime
    case $up in [1-9]*.[0-9][0-9]) now=${up%.*}${up#*.};; *) return 1;; esac
}

forget() {
    rest=
    for shell in $shells; do
        case $shell in "$1":*) ;; *) rest="$rest $shell";; esac
    done
    shells=$rest
}

signal() {
    look "$1" || return 1
    since=0 count=0
    case $3 in ?*) now && since=$((now - $3));; esac
    for proc in /proc/[0-9]*; do
        proc=${proc#/proc/}
        case $proc in "$1" | "$$") continue;; esac
        look "$proc" && [ "$state" != Z ] || continue
        case $1 in "$group" | "$session") ;; *) continue;; esac
        [ "$born" -ge "$since" ] && kill -s "$2" "$proc" && count=$((count + 1))
    done
    return 0
}

free() {
    look "$1" || return 1
    count=0
    if [ "$front" = "$group" ]; then
        kill -s INT "$1" && count=1
    elif [ "$front" -gt 1 ]; then
        kill -s KILL $dashes "-$front" && count=1
    fi
    return 0
}

hang_up() {
    patience=$1 pids= groups=
    shift
    [ "$#" -gt 0 ] || return 0
    for shell; do
        pid=${shell%:*}
        if look "$pid"; then
            [ "$born" = "${shell#*:}" ] || continue
            pids="$pids $pid"
            [ "$front" -le 1 ] || groups="$groups -$front"
        fi
        groups="$groups -$pid"
    done
    for proc in /proc/[0-9]*; do
        proc=${proc#/proc/}
        [ "$proc" != "$$" ] && look "$proc" || continue
        case "$groups " in
            *" -$session "* | *" -$group "*) kill -s HUP "$proc"; kill -s CONT "$proc";;
        esac
    done
    now && until=$((now + patience)) &&
    while alive && now && [ "$now" -lt "$until" ]; do :; done
    for each in $groups; do kill -s KILL $dashes "$each"; done
    for each in $pids; do kill -s KILL "$each"; done
}

alive() {
    for each in $groups; do kill -s 0 $dashes "$each" && return 0; done
    return 1
}

say() { printf '%s %s\n' "$key" "$*"; }

look "$$" || { key=$me; say none; exit 0; }
shift
for pid; do ! look "$pid" || shells="$shells $pid:$born"; done
trap 'hang_up 50 $shells' EXIT
key=$me
say ready "$$"
while IFS=' ' read -r line key verb pid what age; do
    [ "$line" = "$me" ] || continue
    case $verb in
        ping) say = 1;;
        register) if look "$pid"; then forget "$pid"; shells="$shells $pid:$born"; say = 1; else say = 0; fi;;
        forget) forget "$pid"; say = 1;;
        retire) shells=; exit 0;;
        signal) if signal "$pid" "$what" "$age"; then say = "$count"; else say = gone; fi;;
        foreground) if look "$pid"; then say = "$group" "$front"; else say = gone; fi;;
        free) if free "$pid"; then say = "$count"; else say = gone; fi;;
        end) if look "$pid"; then hang_up 0 "$pid:$born"; say = 1; else say = 0; fi;;
        mounts) while IFS= read -r line; do say - "$line"; done </proc/self/mounts; say = 1;;
        *) say = unknown;;
    esac
done
"""

# No start-up file; bytes that are no text in a program's name are bytes like any.
_ENVIRONMENT = ("ENV=", "BASH_ENV=", "LC_ALL=C")


@dataclass(frozen=True, slots=True)
class Foreground:
    """Who has a shell's terminal: groups of processes, by their number.

    Attributes:
        shell: the shell's own.
        terminal: the one that has the terminal; -1 without terminal.
    """

    shell: int
    terminal: int

    @property
    def is_the_shell(self) -> bool:
        """Whether the shell has it, and what is typed is a command."""
        return self.shell == self.terminal


@dataclass(frozen=True, slots=True)
class Mount:
    """Something that is mounted in the container, as its kernel tells."""

    source: str
    target: str
    kind: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What comes for one request: some lines before the last one, and the words of that."""

    words: list[str]
    before: list[list[str]]


class Helper:
    """The helper of one container and user. Any number of plans may use it at once; they wait for each other briefly.

    Attributes:
        pid: its own, in the container.
        registered: the shells that end with it.
    """

    def __init__(self, channel: Channel, session: str) -> None:
        self.pid = 0
        self.registered: set[int] = set()
        self._channel = channel
        self._session = session
        self._buffer = b""
        self._given_up = self._left = False
        # Never waited for: a plan that does not get it pauses, and asks again. Sessions may be in several threads.
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether it answered so far."""
        return not self._given_up and not self._channel.ended

    def _hear(self, key: str) -> list[list[str]]:
        """Return the words of each whole line that has come for one request; those for others came too late."""
        for _, data in self._channel.read():
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        words = (line.decode(errors="surrogateescape").split(" ") for line in lines)
        return [rest for first, *rest in words if first == key]

    def _listen(self, key: str, until: float) -> Plan[_Answer | None]:
        """Wait for the answer to one request; None if it did not come."""
        lines: list[list[str]] = []
        while True:
            lines += self._hear(key)
            if lines and lines[-1][:1] != ["-"]:
                return _Answer(lines[-1][1:], [line[1:] for line in lines[:-1]])
            if self._channel.ended or not (yield Wait((self._channel,), until)):
                return None

    def _ask(self, *words: str, until: float | None = None) -> Plan[_Answer | None]:
        limit = monotonic() + ANSWER_S
        until = limit if until is None else min(until, limit)
        while not self._lock.acquire(blocking=False):
            if monotonic() > until:
                return None
            yield Wait((), monotonic() + _LOOK_S)
        try:
            if not self.alive:
                return None
            key = secrets.token_hex(8)
            self._channel.write(f"{self._session} {key} {' '.join(words)}\n".encode())
            answer = yield from self._listen(key, until)
            # Who is in a hurry learns nothing of it.
            lost = answer is None and (self._channel.ended or monotonic() >= limit)
            if lost:
                self._give_up(f"no answer to {words[0]}")
        finally:
            self._lock.release()
            if self._left:
                self._channel.close()
        if lost:
            yield Close(self._channel)
        return answer

    def let_go(self) -> None:
        """End it with all that is registered, without waiting, from any thread; who asks it just now is told that."""
        self._given_up = self._left = True
        if self._lock.acquire(blocking=False):
            try:
                self._channel.close()
            finally:
                self._lock.release()
        else:
            # Closed by who asks: whether it is answered, or given up itself.
            self._channel.cut()

    def _give_up(self, why: str) -> None:
        """Ask it no more. If it is only slow, it shall not hang up shells that are in use when it sees its end."""
        _log.debug("helper given up: %s", why)
        self._given_up = True
        if not self._channel.ended:
            self._channel.write(f"{self._session} - retire\n".encode())


def begin_helper(
    container: str, *, shell: str = "sh", user: str = "", mark: str = "", register: Iterable[int] = ()
) -> Plan[Helper | None]:
    """Start the helper of a container, and do not wait until it answers; `greet_helper` does.

    Args:
        shell: of sh's kind, in the container.
        user: whose processes it is to signal.
        register: shells that end with it from the beginning, also where nobody waits for it any more.

    Returns:
        None if it cannot be started. Raises nothing: who has a session knows better what is wrong.
    """
    session = secrets.token_hex(8)
    command = (shell, "-c", DRIVER, "sh", session, *map(str, register))
    try:
        channel = yield Open(container, command, environment=_ENVIRONMENT, mark=mark, user=user)
    except DockerptyError as error:
        _log.debug("helper failed: %s", error)
        return None
    return Helper(channel, session)


def greet_helper(helper: Helper | None, register: Iterable[int] = ()) -> Plan[Helper | None]:
    """Wait until a helper that was begun answers; None if it does not.

    Args:
        register: shells that end with it from the beginning: those of a helper that was lost.
    """
    if helper is None:
        return None
    try:
        answer = yield from helper._listen(helper._session, monotonic() + START_S)
        # `none` comes with no word behind it.
        if answer and answer.words:
            helper.pid = int(answer.words[0])
            for pid in register:
                yield from register_shell(helper, pid)
            return helper
    except GeneratorExit:
        helper._channel.close()
        raise
    except BaseException:
        yield Close(helper._channel)
        raise
    _log.debug("helper failed: %s", "it cannot read /proc" if answer else "it did not start")
    yield Close(helper._channel)
    return None


def open_helper(
    container: str, *, shell: str = "sh", user: str = "", mark: str = "", register: Iterable[int] = ()
) -> Plan[Helper | None]:
    """Start the helper of a container, and wait until it answers; None if the container can have none."""
    begun = yield from begin_helper(container, shell=shell, user=user, mark=mark)
    return (yield from greet_helper(begun, register))


def close_helper(helper: Helper | None) -> Plan[None]:
    """End the helper, and with it every shell that is registered."""
    if helper is not None:
        helper._given_up = True
        yield Close(helper._channel)


def retire(helper: Helper | None) -> Plan[None]:
    """End the helper alone: what was registered lives on."""
    if helper is not None:
        helper._give_up("retired")
        helper.registered.clear()
        yield Close(helper._channel)


def register_shell(helper: Helper | None, pid: int) -> Plan[bool | None]:
    """Let a shell end with the helper. False if there is no such process."""
    done = _is_one((yield from _answer(helper, "register", pid)))
    if helper and done:
        helper.registered.add(pid)
    return done


def forget_shell(helper: Helper | None, pid: int) -> Plan[bool | None]:
    """Let a shell live on after the helper, or be forgotten that has ended."""
    if helper:
        helper.registered.discard(pid)
    return _is_one((yield from _answer(helper, "forget", pid)))


def signal_group(
    helper: Helper | None,
    pid: int,
    name: str,
    younger_s: float | None = None,
    *,
    until: float | None = None,
) -> Plan[int | None]:
    """Signal all that runs in a shell's group or session, but not the shell.

    Args:
        name: `INT`, `TERM`, `KILL`.
        younger_s: leave alone what had been started more than this before, with a second of doubt: jobs of earlier
            commands. Unless given, all are signalled.
        until: by `time.monotonic`, for who has less time than ANSWER_S.

    Returns:
        how many were; None if the helper, or the shell, is not there.
    """
    age = [] if younger_s is None else [str(round((younger_s + _DOUBT_S) * 100))]
    return _count((yield from _answer(helper, "signal", pid, name, *age, until=until)))


def foreground(helper: Helper | None, pid: int, *, until: float | None = None) -> Plan[Foreground | None]:
    """Ask who has a shell's terminal. None if the helper, or the shell, is not there."""
    words = yield from _answer(helper, "foreground", pid, until=until)
    if words is None or len(words) != 2:
        return None
    return Foreground(int(words[0]), int(words[1]))


def kill_foreground(helper: Helper | None, pid: int, *, until: float | None = None) -> Plan[int | None]:
    """Kill what has a shell's terminal; if that is the shell itself, interrupt it: one with a prompt lives on.

    Returns:
        1 if that was done; None if the helper, or the shell, is not there.
    """
    return _count((yield from _answer(helper, "free", pid, until=until)))


def end_shell(helper: Helper | None, pid: int, *, until: float | None = None) -> Plan[bool | None]:
    """Kill a shell and what runs in its foreground, and hang up jobs behind. False if it is not there any more."""
    if helper:
        helper.registered.discard(pid)
    return _is_one((yield from _answer(helper, "end", pid, until=until)))


def read_mounts(helper: Helper | None) -> Plan[tuple[Mount, ...] | None]:
    """Read what is mounted in the container, in the order of mounting: of two on one target the later one is seen."""
    answer = (yield from helper._ask("mounts")) if helper else None
    if answer is None:
        return None
    return tuple(_mount(words) for words in answer.before if len(words) >= 4)


def ping(helper: Helper | None) -> Plan[bool]:
    """Ask whether it answers."""
    return _is_one((yield from _answer(helper, "ping"))) is True


def terminal_is_free(helper: Helper | None, pid: int, patience_s: float = FREE_S) -> Plan[bool | None]:
    """Wait until a shell has its terminal itself, and what is typed there is typed to it.

    Returns:
        False if a program still has it at the end of the patience; None if nobody can tell.
    """
    until = monotonic() + patience_s
    free = None
    while True:
        found = yield from foreground(helper, pid, until=until)
        if found is None:
            return free
        if found.is_the_shell:
            return True
        free = False
        if monotonic() >= until:
            return free
        yield Wait((), monotonic() + _FOREGROUND_LOOK_S)


def _answer(
    helper: Helper | None, verb: str, *words: object, until: float | None = None
) -> Plan[list[str] | None]:
    """Ask for an answer of one line: its words."""
    answer = (yield from helper._ask(verb, *map(str, words), until=until)) if helper else None
    return answer.words if answer else None


def _is_one(words: list[str] | None) -> bool | None:
    return None if words is None else words == ["1"]


def _count(words: list[str] | None) -> int | None:
    return int(words[0]) if words and words[0].isdecimal() else None


def _mount(words: list[str]) -> Mount:
    source, target, kind, options = (_unescaped(word) for word in words[:4])
    return Mount(source, target, kind, tuple(options.split(",")))


def _unescaped(word: str) -> str:
    r"""Undo the kernel's `\040` for a blank, and the like."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)
