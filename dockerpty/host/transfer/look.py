"""What is known of a container's paths, as its engine tells it and as a shell does; and what a shell can be asked.

Nothing here asks anybody: who does is `inside`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass

# What is known of each path: a letter for its kind; and if $1 is not `brief`, permissions, size and time where there is
# a `stat`, and where it leads.
LOOK = r"""
b=$1; shift
for p; do
  if [ -L "$p" ]; then k=l; elif [ -d "$p" ]; then k=d; elif [ -f "$p" ]; then k=f; elif [ -e "$p" ]; then k=o
  else printf '%s\0\0\0' -; continue; fi
  [ "$b" != brief ] || { printf '%s\0\0\0' "$k"; continue; }
  printf '%s\0%s\0%s\0' "$k" "$(stat -c '%a %s %Y' -- "$p" 2>/dev/null)" "$(readlink -f -- "$p" 2>/dev/null)"
done
"""
# The mounts, which are lines of more than three words, and what there is.
SURVEY = r"""
cat /proc/self/mounts
{ command -v mv && command -v rm; } >/dev/null && echo shell
command -v tar >/dev/null && echo tar
while read -r k v; do [ "$k" = CapEff: ] && echo "root $v"; done </proc/self/status
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


def of_engine(path: str, bits: int, size: int, mtime: str, link: str) -> Look:
    """Make it of what an engine says."""
    return Look(path, _mode_of(bits), size, _seconds(mtime), link)


def of_shell(paths: Sequence[str], output: bytes) -> list[Look | None] | None:
    """Make them of what `LOOK` says; None if that is not what came."""
    words = output.decode("utf-8", "surrogateescape").split("\0")
    if len(words) < 3 * len(paths):
        return None
    found: list[Look | None] = []
    for index, path in enumerate(paths):
        kind, numbers, link = words[3 * index : 3 * index + 3]
        bits, size, mtime = numbers.split() if len(numbers.split()) == 3 else ("644", "0", "0")
        known = Look(path, _KINDS.get(kind, 0) | int(bits, 8), int(size), int(mtime), link)
        found.append(known if kind in _KINDS else None)
    return found


def may_all(lines: Sequence[Sequence[str]]) -> bool:
    """Say whether root there goes where it likes (CAP_DAC_OVERRIDE, capabilities(7)), as the engine does."""
    return any(line[0] == "root" and int(line[1], 16) & 2 for line in lines if len(line) == 2)


def mounts_of(lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Read the points of the kernel's table of mounts, split into words."""
    return tuple(_unquoted(line[1]) for line in lines if len(line) > 3)


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


def script(text: str, *words: str) -> list[str]:
    """Give what runs a script of `sh`, with these words."""
    if not all(map(can_be_said, words)):
        text, words = _DECODE + text, tuple(map(_encoded, words))
    return ["sh", "-c", text, "sh", *words]


def can_be_said(word: str) -> bool:
    """Say whether a word can stand in an exec as it is."""
    return word.isascii() or not any("\udc80" <= char <= "\udcff" for char in word)


def _encoded(word: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in word.encode("utf-8", "surrogateescape"))


def is_number(text: str) -> bool:
    """Say whether it is written as one."""
    return text.isascii() and text.isdigit()


def numbers_of(owner: str | tuple[int, int]) -> tuple[int, int]:
    """Read an owner: `uid:gid`, or `uid` alone, or the two as numbers.

    Raises:
        ValueError: it is none.
    """
    text = owner if isinstance(owner, str) else ":".join(map(str, owner))
    uid, colon, gid = text.partition(":")
    if not is_number(uid) or (colon and not is_number(gid)):
        raise ValueError(f"{owner!r} is no owner: write it as uid:gid")
    return int(uid), int(gid or 0)
