"""The files of a container as they are to who works in it, for one operation.

The engine reads and writes them, whether the container runs or not, but it sees no filesystem that was mounted inside:
what it writes there lies below, where nobody sees it, and it says that all went well. So each path is asked for here
first, step by step; what is on such a mount is done by programs of the container's own, or not at all.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dockerpty.archive import shown
from dockerpty.engine import calls
from dockerpty.engine.interface import TIMEOUT, Engine
from dockerpty.errors import DockerptyError
from dockerpty.host.errors import TransferError
from dockerpty.host.results import Status
from dockerpty.host.transfer.look import (
    LOOK,
    SURVEY,
    Look,
    can_be_said,
    is_number,
    may_all,
    mounts_of,
    of_engine,
    of_shell,
    script,
)
from dockerpty.host.transfer.onefile import OneFile
from dockerpty.host.transfer.sources import reason_of
from dockerpty.host.transfer.stop import Stop
from dockerpty.transfer import TIMEOUT_S, clean, stat_path

# Mounts that every container has.
_ALWAYS_HIDDEN = ("/proc", "/sys", "/dev")
# Files that the engine itself mounts, and sees.
_ENGINES_OWN = ("HostsPath", "ResolvConfPath", "HostnamePath")
_WHERE = {"HostsPath": "/etc/hosts", "ResolvConfPath": "/etc/resolv.conf", "HostnamePath": "/etc/hostname"}
# Where a file has no content of which one could know the size.
_MADE_UP = ("/proc", "/sys")
# Podman takes paths for patterns, and finds none for a name with a `*`, whatever stands before that.
_PATTERNS = "*?[\\"
# The engine and `readlink` follow a link to its end, as far as they see.
_LINKS = 4
# A table of users has some KiB.
_TABLE_LIMIT = 4 * 1024 * 1024
# Names that one exec is asked for; fewer are asked for one by one, since an exec costs as much as these.
MANY = 32
# ... and this many at once: an argument list has an end, 2 MiB on Linux.
_BATCH = 400

#: For what is tidied up after an operation that has no time left.
TIDY_S = 10.0


class Run(Protocol):
    """Runs a program in the container, once."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        user: str = "",
        stdin: Iterator[bytes] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        tidy: bool = False,
    ) -> tuple[int, bytes, bytes]:
        """Run it to its end.

        Args:
            argv: as it is, without a shell.
            user: who runs it; empty for the host's own user.
            stdin: what it reads, asked for the next piece when it has taken the last; then its input ends. What this
                raises ends the program, and is raised here. None: its input is empty.
            on_output: gets its stdout in pieces, in place of the caller; what this raises, as with `stdin`.
            tidy: it removes what is left of an operation: `Stop` and the operation's deadline do not end it, and it
                has `TIDY_S` seconds. All else they end at once, with an error of any kind.

        Returns:
            its exit code, 126 or 127 where there is no such program; its stdout; the beginning of its stderr.
        """


@dataclass
class Survey:
    """What a container was found to have, once in its life; kept by the host between operations.

    Attributes:
        started: which of its lives that was.
        mounts: where something is mounted.
        has_shell: there are `sh`, `mv` and `rm`.
        has_tar: there is `tar`.
        may_all: root there may do all that the engine may, and was not confined.
    """

    started: str = ""
    mounts: tuple[str, ...] = ()
    has_shell: bool = False
    has_tar: bool = False
    may_all: bool = False


@dataclass
class Inside:
    """A container's files, for one operation; not for two threads at once.

    Attributes:
        engine: nobody else's meanwhile, and ended by `stop`, too.
        container: its full id.
        run: runs a program in it; None where that cannot be.
        user: the host's, as an exec has it; empty for the image's.
        workdir: where a relative path begins; None for the image's.
        host: the host's name, for messages.
        stop: ends the operation.
        deadline: by `time.monotonic`; None for none.
        survey: what was found before.
    """

    engine: Engine
    container: str
    run: Run | None = None
    user: str = ""
    workdir: str | None = None
    host: str = ""
    stop: Stop | None = None
    deadline: float | None = None
    survey: Survey = field(default_factory=Survey)
    _told: dict[str, Any] | None = field(default=None, init=False)
    _hidden: tuple[set[str], set[str]] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.engine.stop = self.stop

    # ---- the operation itself ----

    @property
    def is_over(self) -> str:
        """Why the operation is to end, if it is: it was stopped, or has no time left."""
        if self.stop is not None and self.stop.stopped:
            return "it was stopped"
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "its time was over"
        return ""

    def outcome(self, error: DockerptyError) -> tuple[Status, str]:
        """Say what an error makes of a source, and why."""
        why = self.is_over
        is_lost = why or isinstance(error, ConnectionError)
        return Status.Error if is_lost else Status.Failed, why or reason_of(error)

    def left(self, limit: float = TIMEOUT_S) -> float:
        """Give the seconds that a call to the engine may take.

        Raises:
            TransferError: it was stopped, or there is no time left.
        """
        if why := self.is_over:
            raise TransferError("go on with", "the transfer", why, host=self.host)
        return limit if self.deadline is None else min(limit, self.deadline - time.monotonic())

    @property
    def name(self) -> str:
        """The container's name, for messages."""
        return self.host or self.container[:12]

    # ---- the container ----

    @property
    def told(self) -> dict[str, Any]:
        """Its inspection; raises NotFound if there is no such container."""
        if self._told is None:
            reply = self.engine.send(calls.inspect_container(self.container), timeout=self.left(TIMEOUT))
            found: dict[str, Any] = reply.json()
            self._told = found
        return self._told

    @property
    def is_running(self) -> bool:
        """Whether a program can be run in it."""
        state = self.told["State"]
        return bool(state.get("Running")) and not state.get("Paused") and not state.get("Restarting")

    @property
    def stands_still(self) -> str:
        """Why nothing can be run in it, as a clause."""
        return "the container is paused" if self.told["State"].get("Paused") else "the container does not run"

    @property
    def has_shell(self) -> bool:
        """Whether `shell` can be used."""
        self._look_around()
        return self.survey.has_shell and self.is_running and self.run is not None

    @property
    def does_all(self) -> bool:
        """Whether there is a shell that may do all that the engine may; any other one is for what has no other way."""
        return self.has_shell and self.survey.may_all

    @property
    def has_tar(self) -> bool:
        """Whether there is a `tar` to be run."""
        return self.has_shell and self.survey.has_tar

    def program(self, argv: Sequence[str], **options: Any) -> tuple[int, bytes, bytes]:
        """Run a program as root, who the engine is as well; see `Run`."""
        assert self.run is not None
        if not all(map(can_be_said, argv)):
            argv = script('exec "$@"', *argv)
        if not options.get("tidy"):
            self.left()
        return self.run(argv, user="0", **options)

    def must(self, action: str, path: str, argv: Sequence[str], **options: Any) -> bytes:
        """Run a program that shall do something to a path, and give its stdout.

        Raises:
            DockerptyError: it failed; with the last that it said.
        """
        code, output, said = self.program(argv, **options)
        if code:
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            reason = f"{argv[0]} there ended with {code}" + (f": {shown(last)}" if last else "")
            hint = f"is there a {argv[0]}?" if code in (126, 127) else ""
            raise DockerptyError(action, self.said(path), reason, hint)
        return output

    def archive(self, path: str, take: Callable[[bytes], None]) -> None:
        """Hand on what the engine makes of a path."""

        def checked(data: bytes) -> None:
            self.left()
            take(data)

        self.engine.stream(calls.get_archive(self.container, path), checked, timeout=self.left())

    def upload(self, path: str, pieces: Iterator[bytes]) -> None:
        """Have the engine unpack an archive below a path."""
        self.engine.upload(calls.put_archive(self.container, path), pieces, timeout=self.left())

    def owner(self) -> tuple[int, int]:
        """Give the numbers of the host's user and of its group, as the engine finds them: in the container's files."""
        name, _, group = (self.user or str(self.told["Config"].get("User") or "")).partition(":")
        if name in ("", "0", "root") and group in ("", "0", "root"):
            return 0, 0
        entry = self._entry("/etc/passwd", name)
        if entry is None and not is_number(name):
            raise DockerptyError(
                "find", f"the user {name}", f"{self.name} has none of that name", "give uid:gid"
            )
        uid = int(entry[2]) if entry else int(name)
        if not group:
            return uid, int(entry[3]) if entry else 0
        if is_number(group):
            return uid, int(group)
        line = self._entry("/etc/group", group)
        if line is None:
            raise DockerptyError(
                "find", f"the group {group}", f"{self.name} has none of that name", "give uid:gid"
            )
        return uid, int(line[2])

    def _entry(self, table: str, name: str) -> list[str] | None:
        try:
            text = self._table(table).decode("utf-8", "replace")
        except DockerptyError:
            self.left()
            return None
        lines = [line.split(":") for line in text.splitlines()]
        # As the engine: a name counts before a number.
        for at in (0, 2):
            for line in lines:
                if len(line) > 3 and line[at] == name and is_number(line[2]):
                    return line
        return None

    def _table(self, path: str) -> bytes:
        known = self._ask_engine(path)
        path = known.link if known is not None and known.is_link else path
        kept = bytearray()
        file = OneFile(self.said(path), _TABLE_LIMIT, kept.extend, host=self.host)
        self.archive(path, file.take)
        file.eof()
        return bytes(kept)

    def _home(self) -> str:
        name = (self.user or str(self.told["Config"].get("User") or "") or "0").partition(":")[0]
        entry = self._entry("/etc/passwd", name)
        if entry is not None and len(entry) > 5 and entry[5].startswith("/"):
            return entry[5]
        return "/root" if name in ("0", "root") else "/"

    # ---- its paths ----

    def absolute(self, path: object) -> str:
        """Give a path from the root, the shortest of its names: `~` is the home, a relative one is from the workdir.

        Raises:
            ValueError: it is empty, or there is a zero byte in it.
        """
        text = str(path)
        if not text or "\0" in text:
            raise ValueError(f"{text!r} is no path")
        if text == "~" or text.startswith("~/"):
            text = self._home() + text[1:]
        elif not text.startswith("/"):
            workdir = self.workdir or str(self.told["Config"].get("WorkingDir") or "/")
            text = posixpath.join("/", workdir, text)
        return clean(text)

    def settle(self, path: str) -> tuple[str, str, Look | None]:
        """Find how much of a path there is, and follow its links.

        Returns:
            what there is, without links; the rest that is missing, or empty; what is known of the first, None for the
            root.

        Raises:
            DockerptyError: a link in it leads nowhere, or nobody can look.
        """
        at, rest, known, dangling = self._walk(path)
        if dangling:
            raise DockerptyError("find", self.said(path), f"{shown(dangling)} is a link to nowhere")
        return at, rest, known

    def find(self, path: str, *, follow_links: bool = True) -> Look | None:
        """Say what is at a path; None for nothing, as at the end of a link that leads nowhere."""
        at, rest, _, _ = self._walk(posixpath.dirname(path))
        found = None if rest else self.look(posixpath.join(at, posixpath.basename(path)))
        return self.followed(found) if found is not None and found.is_link and follow_links else found

    def _walk(self, path: str) -> tuple[str, str, Look | None, str]:
        """Give what `settle` does, and a link that leads nowhere, if it is what stands in the way."""
        at, known = "/", None
        steps = [step for step in path.split("/") if step]
        for index, step in enumerate(steps):
            here = posixpath.join(at, step)
            found, is_link = self.look(here), False
            if found is not None and found.is_link:
                found, is_link = self.followed(found), True
            if found is None:
                return at, "/".join(steps[index:]), known, here if is_link else ""
            at, known = found.path, found
        return at, "", known, ""

    def literal(self, path: str) -> str:
        """Follow the links in all of a path but its last step."""
        folder, name = posixpath.split(path)
        at, rest, _ = self.settle(folder)
        return posixpath.join(at, rest, name)

    def followed(self, link: Look) -> Look | None:
        """Say what a link leads to; None for nothing."""
        found: Look | None = link
        for _ in range(_LINKS):
            if found is None or not found.is_link:
                return found
            found = self.look(found.link) if found.link else None
        return None

    def look(self, path: str) -> Look | None:
        """Say what is at a path in which there are no links but, maybe, the last step; None for nothing."""
        return self.look_all([path])[0]

    def look_all(self, paths: Sequence[str], *, brief: bool = False) -> list[Look | None]:
        """Say what is at each of these paths; `brief` what kind of thing, and the rest only if it costs nothing."""
        hidden = [path for path in paths if self.is_hidden(path)]
        found: list[Look | None] = []
        if not hidden and (len(paths) < MANY or not self.does_all):
            found = [self._ask_engine(path) for path in paths]
            if not (self.engine.is_podman and None in found and self.does_all):
                return found
            # Podman says that a link to nowhere is nothing.
            found = []
        elif hidden:
            self.need_shell(hidden[0])
        for first in range(0, len(paths), _BATCH):
            found += self._ask_shell(paths[first : first + _BATCH], brief=brief)
        return found

    def is_hidden(self, path: str) -> bool:
        """Whether a path is on a mount that the engine does not see, or has a name that it cannot be told."""
        hidden, seen = self._mounts()
        if self.engine.is_podman and any(char in path for char in _PATTERNS):
            return True
        while path != "/":
            if path in hidden:
                return True
            if path in seen:
                return False
            path = posixpath.dirname(path)
        return False

    def is_mount(self, path: str) -> bool:
        """Whether something is mounted just there: nothing can be renamed to it."""
        return any(path in points for points in self._mounts())

    def hidden_below(self, path: str) -> list[str]:
        """Name such mounts below a path."""
        return [each for each in self._mounts()[0] if each.startswith(path.rstrip("/") + "/")]

    def is_made_up(self, path: str) -> bool:
        """Whether the kernel makes up what is read there, of no size that is known before."""
        return any(path == each or path.startswith(each + "/") for each in _MADE_UP)

    def need_shell(self, path: str) -> None:
        """Raise DockerptyError, where a path that the engine does not see cannot be reached by a shell, either."""
        if not self.has_shell:
            what = "there is no shell to do it" if self.is_running else self.stands_still
            reason = f"the engine does not see what is there, and {what}"
            raise DockerptyError("reach", self.said(path), reason, "use a volume, or another directory")

    def said(self, path: str) -> str:
        """Name a path for a message."""
        return f"{self.name}:{shown(path)}"

    def distrusted(self, path: str, error: DockerptyError) -> TransferError:
        """Make the error for an archive that a container must not be believed."""
        reason = f"cannot {error.action} {error.subject}: {error.reason}"
        return TransferError("take", self.said(path), reason, error.hint, host=self.host)

    def _ask_engine(self, path: str) -> Look | None:
        known = stat_path(self.engine, self.container, path, timeout=self.left())
        if known is None:
            return None
        return of_engine(path, known.mode, known.size, known.mtime, known.link)

    def _ask_shell(self, paths: Sequence[str], *, brief: bool) -> list[Look | None]:
        output = self.must("look at", paths[0], script(LOOK, "brief" if brief else "", *paths))
        found = of_shell(paths, output)
        if found is None:
            raise DockerptyError("look at", self.said(paths[0]), "the shell there says something else")
        return found

    # ---- its mounts ----

    def _look_around(self) -> None:
        """Ask once for the mounts, and whether there is a shell."""
        started = str(self.told["State"].get("StartedAt"))
        if self.survey.started == started or self.run is None or not self.is_running:
            return
        code, output, _ = self.program(script(SURVEY))
        if code:
            _, output, _ = self.program(("cat", "/proc/self/mounts"))
        lines = [line.split(" ") for line in output.decode("utf-8", "surrogateescape").splitlines()]
        self.survey.mounts = mounts_of(lines)
        self.survey.has_shell = ["shell"] in lines
        self.survey.has_tar = ["tar"] in lines
        self.survey.may_all = may_all(lines)
        self.survey.started = started

    def _mounts(self) -> tuple[set[str], set[str]]:
        """Give the points that the engine does not see, and those that it does."""
        if self._hidden is None:
            self._look_around()
            host = self.told.get("HostConfig") or {}
            hidden = {*_ALWAYS_HIDDEN, *(clean(each) for each in host.get("Tmpfs") or {})}
            seen = {_WHERE[each] for each in _ENGINES_OWN if self.told.get(each)}
            for each in self.told.get("Mounts") or []:
                (hidden if each.get("Type") == "tmpfs" else seen).add(clean(each["Destination"]))
            if self.is_running:
                hidden |= set(self.survey.mounts) - seen - {"/"}
            self._hidden = hidden, seen - hidden
        return self._hidden
