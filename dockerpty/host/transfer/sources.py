"""What is moved, by which names, and what is said of each: the same in both directions."""

from __future__ import annotations

import os
import posixpath

from dockerpty.errors import APIError, DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# Names that a message lists.
_TOLD = 3


def listed(src_files: object) -> list[Any]:
    """Write out sources: one path, or some."""
    if isinstance(src_files, (str, bytes, os.PathLike)):
        return [src_files]
    return list(src_files)  # type: ignore[call-overload,no-any-return]  # it says so itself if it is none


def base_of(path: str) -> str:
    """Give the last step of a path without a slash at its end."""
    return posixpath.basename(path.rstrip("/"))


def check_names(names: Sequence[str], sources: Sequence[Any]) -> None:
    """Raise ValueError if a name is no file's, or is that of two sources: one would take the other's place."""
    known: dict[str, Any] = {}
    for name, source in zip(names, sources, strict=True):
        if name in ("", ".", ".."):
            raise ValueError(f"{str(source)!r} has no name that it could have in a directory")
        if "/" in name or "\0" in name:
            raise ValueError(f"{name!r} is no name")
        if name in known:
            raise ValueError(f"{str(known[name])!r} and {str(source)!r} would both become {name!r}")
        known[name] = source


def reason_of(error: BaseException) -> str:
    """Say in a sentence what went wrong."""
    if isinstance(error, APIError):
        return error.explanation or str(error)
    if isinstance(error, OSError) and not isinstance(error, DockerptyError):
        return (error.strerror or str(error)).lower()
    return str(error)


class Left:
    """What was left out of a source, for its outcome: some names of it."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._more = 0

    def __call__(self, text: str) -> None:
        if len(self._told) < _TOLD:
            self._told.append(text)
        else:
            self._more += 1

    def __str__(self) -> str:
        more = [f"and {self._more} more"] if self._more else []
        return "; ".join([*self._told, *more])
