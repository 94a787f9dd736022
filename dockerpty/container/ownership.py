"""Whose a container is: the labels that we put on what we create, and whether the process in them is gone.

Labels are `dockerpty.layer`, `.role`, `.owner`, `.user` (the number of who runs us) and, on what must not
outlive a time, `.deadline` (seconds since the epoch). What is done about those whose owner is gone is in
`leftovers`.
"""

from __future__ import annotations

import binascii
import os

LAYER = "dockerpty.layer"
ROLE = "dockerpty.role"
OWNER = "dockerpty.owner"
USER = "dockerpty.user"
DEADLINE = "dockerpty.deadline"


def our_labels(role: str) -> dict[str, str]:
    """Give the labels by which a container of ours is found again, and its owner's death is seen."""
    return {LAYER: "bridge", ROLE: role, OWNER: owner(), USER: user()}


def owner() -> str:
    """Name this process so that nobody can be taken for it: `machine/boot/PID namespace/pid/its start time`.

    The start time is in ticks since the boot (proc(5), field 22 of stat). What a system does not tell is left empty.
    """
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = ""
    boot = _line("/proc/sys/kernel/random/boot_id")
    return "/".join((_machine(), boot, namespace, str(os.getpid()), _started("self")))


def user() -> str:
    """Give the number of the user that we are."""
    return str(os.getuid())


def is_gone(owner_label: str, here: str | None = None, *, is_local: bool = False) -> bool | None:
    """Say whether the process that an `owner` label names is gone, `None` if that cannot be judged from here.

    Args:
        here: this process's own `owner()`.
        is_local: the label is from an engine of this machine.
    """
    theirs = owner_label.split("/")
    ours = (owner() if here is None else here).split("/")
    if len(theirs) != 5 or not all(theirs) or theirs[0] != ours[0]:
        return None
    machine, boot, namespace, pid, started = theirs
    if boot != ours[1]:
        # Only a machine with an id is known to be this one: many are called "localhost". Of two that were made from one
        # image even that is the same, and both may be clients of an engine elsewhere.
        return True if is_local and ours[1] and ":" in machine else None
    if namespace != ours[2] or not (pid.isascii() and pid.isdigit()):
        return None
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # it is somebody else's, and there
    # Where /proc hides it (hidepid) nobody says that it is another one: it may live.
    return _started(pid) not in ("", started)


def has_passed(deadline_label: str, now: float) -> bool:
    """Say whether a deadline, as the label has it, is over; what is no number never is."""
    try:
        return float(deadline_label) <= now
    except ValueError:
        return False


def _machine() -> str:
    """Name this machine: its host name and, where it has one, a checksum of its id, which itself is to stay here."""
    identity = _line("/etc/machine-id")
    known = f":{binascii.crc32(identity.encode()):08x}" if identity else ""
    return os.uname().nodename.replace("/", "_") + known


def _started(pid: str) -> str:
    # Behind the name in its brackets, which may have blanks and brackets of its own. A zombie has ended.
    stat = _line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return "" if len(stat) < 20 else "zombie" if stat[0] in "ZX" else stat[19]


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip("\n")
    except OSError:
        return ""
