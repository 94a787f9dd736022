"""The files of a container as they are to who works in it, for one operation.

The engine reads and writes them, whether the container runs or not, but it sees no filesystem that was mounted inside:
what it writes there lies below, where nobody sees it, and it says that all went well. So each path is asked for here
first, step by step; what is on such a mount is done by programs of the container's own, or not at all.
"""

from __future__ import annotations

import posixpath
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dockerpty.archive import FILE, MemberEnd, Reader, shown
from dockerpty.engine import calls
from dockerpty.engine.interface import TIMEOUT, Engine
from dockerpty.errors import ArchiveError, DockerptyError
from dockerpty.host.errors import TransferError
from dockerpty.host.stop import Stop
from dockerpty.transfer import TIMEOUT_S, clean, stat_path

# Mounts that every container has.
_ALWAYS_HIDDEN = ("/proc", "/sys", "/dev")
# Files that the engine itself mounts, and sees.
_ENGINES_OWN = ("HostsPath", "ResolvConfPath", "HostnamePath")
_WHERE = {"HostsPath": "/etc/hosts", "ResolvConfPath": "/etc/resolv.conf", "HostnamePath": "/etc/hostname"}
# Where a file has no content of which one could know the size.
_MADE_UP = ("/proc", "/sys")
# The engine and `readlink` follow a link to its end, as far as they see.
_LINKS = 4
# A table of users has some KiB.
_TABLE_LIMIT = 4 * 1024 * 1024
# Names that one exec is asked for; fewer are asked for one by one, since an exec costs as much as these.
MANY = 32

#: For what is tidied up after an operation that has no time left.
TIDY_S = 10.0

# What is known of each path: a letter for its kind; permissions, size and time where there is a `stat`; where it leads.
_LOOK = r"""
for p; do
  if [ -L "$p" ]; then k=l; elif [ -d "$p" ]; then k=d; elif [ -f "$p" ]; then k=f; elif [ -e "$p" ]; then k=o
  else printf '%s\0\0\0' -; continue; fi
  printf '%s\0%s\0%s\0' "$k" "$(stat -c '%a %s %Y' -- "$p" 2>/dev/null)" "$(readlink -f -- "$p" 2>/dev/null)"
done
"""
# The mounts, which are lines of more than three words, and what there is.
_SURVEY = r"""
cat /proc/self/mounts
{ command -v mv && command -v rm; } >/dev/null && echo shell
command -v tar >/dev/null && echo tar
:
"""
# In the JSON of an exec there is no room for bytes that are no UTF-8: then all words are escaped, and this undoes it.
_DECODE = r"""
i=$#; while [ "$i" -gt 0 ]; do w=$(printf '%b.' "$1"); shift; set -- "$@" "${w%.}"; i=$((i - 1)); done
"""
_KINDS = {"l": stat.S_IFLNK, "d": stat.S_IFDIR, "f": stat.S_IFREG, "o": stat.S_IFCHR}

# Go's bits of a file's mode (io/fs.FileMode) that are more than permissions, and the system's own.
_GO_BITS = (
    (1 << 31, stat.S_IFDIR),
    (1 << 27, stat.S_IFLNK),
    (1 << 26, stat.S_IFBLK),
    (1 << 25, stat.S_IFIFO),
    (1 << 24, stat.S_IFSOCK),
    (1 << 23, stat.S_ISUID),
    (1 << 22, stat.S_ISGID),
    (1 << 20, stat.S_ISVTX),
)
_GO_CHARACTER = 1 << 21


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
    ) -> tuple[int, bytes]:
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
            its exit code, 126 or 127 where there is no such program; its stdout.
        """


@dataclass(frozen=True)
class Look:
    """What is known of a path in a container.

    Attributes:
        path: the path, from the root.
        mode: as of `os.stat`: kind and permissions.
        size: bytes, of a file.
        mtime: seconds since 1970.
        link: of a link, the path that it leads to in the end.
    """

    path: str
    mode: int
    size: int = 0
    mtime: int = 0
    link: str = ""

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


@dataclass
class Survey:
    """What a container was found to have, once in its life; kept by the host between operations.

    Attributes:
        started: which of its lives that was.
        mounts: where something is mounted.
        has_shell: there are `sh`, `mv` and `rm`.
        has_tar: there is `tar`.
    """

    started: str = ""
    mounts: tuple[str, ...] = ()
    has_shell: bool = False
    has_tar: bool = False


@dataclass
class Inside:
    """A container's files, for one operation; not for two threads at once.

    Attributes:
        engine: used by nobody else meanwhile.
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
    _depth: int = field(default=0, init=False)

    # ---- the operation itself ----

    def __enter__(self) -> Inside:
        """Let `stop` end what the engine is asked from now on."""
        self._depth += 1
        self.engine.stop = self.stop
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self.engine.stop = None

    @property
    def is_over(self) -> str:
        """Why the operation is to end, if it is: it was stopped, or has no time left."""
        if self.stop is not None and self.stop.stopped:
            return "it was stopped"
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return "its time was over"
        return ""

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
    def has_shell(self) -> bool:
        """Whether `shell` can be used."""
        self._look_around()
        return self.survey.has_shell and self.is_running and self.run is not None

    @property
    def has_tar(self) -> bool:
        """Whether there is a `tar` to be run."""
        return self.has_shell and self.survey.has_tar

    def shell(self, script: str, *words: str, **options: Any) -> tuple[int, bytes]:
        """Run a script with `sh`, as root, who the engine is as well: exit code and stdout."""
        if not all(map(_can_be_said, words)):
            script, words = _DECODE + script, tuple(map(_encoded, words))
        return self.program(("sh", "-c", script, "sh", *words), **options)

    def program(self, argv: Sequence[str], **options: Any) -> tuple[int, bytes]:
        """Run a program as root, who the engine is as well: exit code and stdout."""
        assert self.run is not None
        if not all(map(_can_be_said, argv)):
            return self.shell('exec "$@"', *argv, **options)
        if not options.get("tidy"):
            self.left()
        return self.run(argv, user="0", **options)

    def owner(self) -> tuple[int, int]:
        """Give the numbers of the host's user and of its group, as the engine finds them: in the container's files."""
        name, _, group = (self.user or str(self.told["Config"].get("User") or "")).partition(":")
        if name in ("", "0", "root") and group in ("", "0", "root"):
            return 0, 0
        entry = self._entry("/etc/passwd", name)
        if entry is None and not _is_number(name):
            raise DockerptyError(
                "find", f"the user {name}", f"{self.name} has none of that name", "give uid:gid"
            )
        uid = int(entry[2]) if entry else int(name)
        if not group:
            return uid, int(entry[3]) if entry else 0
        if _is_number(group):
            return uid, int(group)
        line = self._entry("/etc/group", group)
        if line is None:
            raise DockerptyError(
                "find", f"the group {group}", f"{self.name} has none of that name", "give uid:gid"
            )
        return uid, int(line[2])

    def _entry(self, table: str, name: str) -> list[str] | None:
        try:
            text = read(self, table, _TABLE_LIMIT).decode("utf-8", "replace")
        except DockerptyError:
            self.left()
            return None
        lines = [line.split(":") for line in text.splitlines()]
        # As the engine: a name counts before a number.
        for at in (0, 2):
            for line in lines:
                if len(line) > 3 and line[at] == name and _is_number(line[2]):
                    return line
        return None

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

    def look_all(self, paths: Sequence[str]) -> list[Look | None]:
        """Say what is at each of these paths."""
        by_engine = [not self.is_hidden(path) for path in paths]
        if all(by_engine) and (len(paths) < MANY or not self.has_shell):
            return [self._ask_engine(path) for path in paths]
        if not all(by_engine):
            self.need_shell(paths[by_engine.index(False)])
        found: list[Look | None] = []
        # An argument list has an end.
        for first in range(0, len(paths), 500):
            found += self._ask_shell(paths[first : first + 500])
        return found

    def is_hidden(self, path: str) -> bool:
        """Whether a path is on a mount that the engine does not see."""
        hidden, seen = self._mounts()
        while path != "/":
            if path in hidden:
                return True
            if path in seen:
                return False
            path = posixpath.dirname(path)
        return False

    def hidden_below(self, path: str) -> list[str]:
        """Name such mounts below a path."""
        return [each for each in self._mounts()[0] if each.startswith(path.rstrip("/") + "/")]

    def is_made_up(self, path: str) -> bool:
        """Whether the kernel makes up what is read there, of no size that is known before."""
        return any(path == each or path.startswith(each + "/") for each in _MADE_UP)

    def need_shell(self, path: str) -> None:
        """Raise DockerptyError, where a path that the engine does not see cannot be reached by a shell, either."""
        if not self.has_shell:
            reason = "the engine does not see what is mounted there, and "
            reason += "there is no shell to do it" if self.is_running else "the container does not run"
            raise DockerptyError("reach", self.said(path), reason, "use a volume, or another directory")

    def said(self, path: str) -> str:
        """Name a path for a message."""
        return f"{self.name}:{shown(path)}"

    def _ask_engine(self, path: str) -> Look | None:
        known = stat_path(self.engine, self.container, path, timeout=self.left())
        if known is None:
            return None
        return Look(path, _mode_of(known.mode), known.size, _seconds(known.mtime), known.link)

    def _ask_shell(self, paths: Sequence[str]) -> list[Look | None]:
        code, output = self.shell(_LOOK, *paths)
        words = output.decode("utf-8", "surrogateescape").split("\0")
        if code or len(words) < 3 * len(paths):
            raise DockerptyError("look at", self.said(paths[0]), f"the shell there ended with {code}")
        found: list[Look | None] = []
        for index, path in enumerate(paths):
            kind, numbers, link = words[3 * index : 3 * index + 3]
            bits, size, mtime = numbers.split() if len(numbers.split()) == 3 else ("644", "0", "0")
            known = Look(path, _KINDS.get(kind, 0) | int(bits, 8), int(size), int(mtime), link)
            found.append(known if kind in _KINDS else None)
        return found

    # ---- its mounts ----

    def _look_around(self) -> None:
        """Ask once for the mounts, and whether there is a shell."""
        started = str(self.told["State"].get("StartedAt"))
        if self.survey.started == started or self.run is None or not self.is_running:
            return
        code, output = self.shell(_SURVEY)
        if code:
            code, output = self.program(("cat", "/proc/self/mounts"))
        lines = [line.split(" ") for line in output.decode("utf-8", "surrogateescape").splitlines()]
        self.survey.mounts = tuple(_unquoted(line[1]) for line in lines if len(line) > 3)
        self.survey.has_shell = ["shell"] in lines
        self.survey.has_tar = ["tar"] in lines
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
            hidden |= set(self.survey.mounts) - seen - {"/"}
            self._hidden = hidden, seen - hidden
        return self._hidden


def read(inside: Inside, path: str, limit: int) -> bytes:
    """Read a file that the engine sees, and whose path has no links but, maybe, the last step.

    Raises:
        NotFound: there is no such file.
        TransferError: it is larger than `limit`, or no file, or what came is not what was asked for.
    """
    kept = bytearray()
    file = OneFile(inside, path, limit, kept.extend)
    timeout = inside.left()
    try:
        known = stat_path(inside.engine, inside.container, path, timeout=timeout)
        if known is not None and known.is_link:
            path = known.link
        inside.engine.stream(calls.get_archive(inside.container, path), file.take, timeout=inside.left())
        file.eof()
    except ArchiveError as error:
        raise distrusted(inside, path, error) from error
    return bytes(kept)


def distrusted(inside: Inside, path: str, error: DockerptyError) -> TransferError:
    """Make the error for an archive that a container must not be believed."""
    reason = f"cannot {error.action} {error.subject}: {error.reason}"
    return TransferError("take", inside.said(path), reason, error.hint, host=inside.host)


class OneFile:
    """An archive of one file, fed as it comes, whose content is handed on.

    Args:
        inside, path: what was asked for.
        limit: of its bytes; None for none.
        take: gets the content in pieces.
    """

    def __init__(self, inside: Inside, path: str, limit: int | None, take: Callable[[bytes], None]) -> None:
        self._inside, self._path = inside, path
        self._limit, self._give = limit, take
        self._reader = Reader()
        self._done = False

    def take(self, data: bytes) -> None:
        """Take the next bytes of the archive.

        Raises:
            ArchiveError: they are none.
            TransferError: it is not what was asked for, or too large; or the operation was stopped.
        """
        if self._inside.stop is not None:
            self._inside.stop.check()
        for event in self._reader.feed(data):
            if isinstance(event, memoryview):
                self._give(bytes(event))
            elif isinstance(event, MemberEnd):
                self._done = True
            elif event.kind != FILE:
                raise self._refused(f"it is a {event.kind}")
            elif self._done:
                raise self._refused("the engine sent more than that file", "do not use that container")
            elif self._limit is not None and event.size > self._limit:
                raise self._refused(f"it has more than {self._limit} bytes", "raise max_bytes, or use get")

    def eof(self) -> bool:
        """Say that the archive is over, and learn whether there was a file in it; raises as `take`."""
        self._reader.eof()
        return self._done

    def _refused(self, reason: str, hint: str = "") -> TransferError:
        return TransferError("read", self._inside.said(self._path), reason, hint, host=self._inside.host)


def _mode_of(bits: int) -> int:
    """Make the system's form of a mode of Go's."""
    mode = bits & 0o777
    for there, here in _GO_BITS:
        if bits & there:
            mode |= stat.S_IFCHR if here == stat.S_IFBLK and bits & _GO_CHARACTER else here
    return mode if stat.S_IFMT(mode) else mode | stat.S_IFREG


def _seconds(text: str) -> int:
    """Read a time as Go writes it: nine digits of a fraction are more than Python takes."""
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError):
        return 0


def _unquoted(text: str) -> str:
    """Read a path as the kernel's table of mounts has it."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _can_be_said(word: str) -> bool:
    return word.isascii() or not any("\udc80" <= char <= "\udcff" for char in word)


def _encoded(word: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in word.encode("utf-8", "surrogateescape"))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def numbers_of(owner: str | tuple[int, int]) -> tuple[int, int]:
    """Read an owner: `uid:gid`, or `uid` alone, or the two as numbers.

    Raises:
        ValueError: it is none.
    """
    text = owner if isinstance(owner, str) else ":".join(map(str, owner))
    uid, colon, gid = text.partition(":")
    if not _is_number(uid) or (colon and not _is_number(gid)):
        raise ValueError(f"{owner!r} is no owner: write it as uid:gid")
    return int(uid), int(gid or 0)
