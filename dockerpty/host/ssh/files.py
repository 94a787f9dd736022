"""Files to an SSH host and from it, over SFTP. Each source has its own outcome."""

from __future__ import annotations

import asyncio
import os
import posixpath
import secrets
import time
from contextlib import suppress
from typing import Any

from dockerpty.host.results import FileTransfer, Status, TransferResult
from dockerpty.host.ssh.access import words


class _Transfer:
    def __init__(self, sources: Any, target: str, follow_links: bool, overwrite: bool, host: str) -> None:
        self._sources = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
        self._target = target
        self._follow = follow_links
        self._overwrite = overwrite
        self._host = host
        self._moved: dict[Any, int] = {}
        names = [self._name(source) for source in self._sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}: one would replace the other")

    async def run(self, sftp: Any, failure: type[Exception], timeout: float | None) -> TransferResult:
        """Move all, one after the other.

        Args:
            sftp: asyncssh's client.
            failure: what it raises.
            timeout: seconds for all.
        """
        began = time.monotonic()
        done: list[FileTransfer] = []
        try:
            async with asyncio.timeout(timeout):
                for source in self._sources:
                    done.append(await self._one(sftp, source, failure))
        except TimeoutError:
            done += [
                FileTransfer(
                    source, self._place(source), Status.Error, error="the time of all files was over"
                )
                for source in self._sources[len(done) :]
            ]
        return TransferResult.of(done, duration=time.monotonic() - began, host=self._host)

    async def _one(self, sftp: Any, source: Any, failure: type[Exception]) -> FileTransfer:
        target = self._place(source)
        self._moved.clear()
        try:
            await self._prepare(sftp)
            if not self._overwrite and await self._exists(sftp, target):
                return FileTransfer(source, target, Status.Skipped, error="it is there already")
            await self._move(sftp, source, target)
        except (OSError, failure) as error:
            return FileTransfer(source, target, Status.Failed, error=words(error))
        return FileTransfer(source, target, Status.Success, sum(self._moved.values()))

    def _progress(self, source: Any, target: Any, done: int, total: int) -> None:
        self._moved[target] = done

    def _name(self, source: Any) -> str:
        raise NotImplementedError

    def _place(self, source: Any) -> str:
        raise NotImplementedError

    async def _prepare(self, sftp: Any) -> None:
        """Have the directory that all go to."""
        raise NotImplementedError

    async def _exists(self, sftp: Any, target: str) -> bool:
        raise NotImplementedError

    async def _move(self, sftp: Any, source: Any, target: str) -> None:
        raise NotImplementedError


class Put(_Transfer):
    """Files of this machine to a directory over there."""

    def __init__(
        self,
        sources: Any,
        target: str,
        mode: int | str | None,
        follow_links: bool,
        overwrite: bool,
        host: str,
    ) -> None:
        super().__init__(sources, far_path(target), follow_links, overwrite, host)
        self._mode = int(mode, 8) if isinstance(mode, str) else mode
        if self._mode is not None and not 0 <= self._mode <= 0o7777:
            raise ValueError(f"no file has the mode {mode}")

    def _name(self, source: str | os.PathLike[str]) -> str:
        return os.path.basename(os.path.abspath(source))

    def _place(self, source: Any) -> str:
        return posixpath.join(self._target, self._name(source))

    async def _prepare(self, sftp: Any) -> None:
        await sftp.makedirs(self._target, exist_ok=True)

    async def _exists(self, sftp: Any, target: str) -> bool:
        return bool(await sftp.lexists(target))

    async def _move(self, sftp: Any, source: Any, target: str) -> None:
        path = os.path.abspath(os.fspath(source))
        links: list[Exception] = []
        how = {
            "preserve": True,
            "follow_symlinks": self._follow,
            "progress_handler": self._progress,
            "error_handler": lambda error: _only_of_a_link(error, links),
        }
        if os.path.isdir(path) and (self._follow or not os.path.islink(path)):
            await sftp.put(path, self._target, recurse=True, **how)
            await _see_links(sftp, links)
            return
        if await sftp.isdir(target):
            raise IsADirectoryError(f"{target} is a directory there")
        # Whole, or not at all: beside its place first.
        part = f"{target}.{secrets.token_hex(4)}.part"
        try:
            await sftp.put(path, part, **how)
            await _see_links(sftp, links)
            if self._mode is not None and not (os.path.islink(path) and not self._follow):
                await sftp.chmod(part, self._mode)
            await sftp.posix_rename(part, target)
        except BaseException:
            with suppress(Exception):  # the first error is told
                await sftp.remove(part)
            raise


class Get(_Transfer):
    """Files over there to a directory of this machine."""

    def __init__(
        self,
        sources: Any,
        target: Any,
        preserve: bool,
        follow_links: bool,
        overwrite: bool,
        host: str,
    ) -> None:
        super().__init__(sources, os.path.abspath(os.path.expanduser(target)), follow_links, overwrite, host)
        self._preserve = preserve

    def _name(self, source: Any) -> str:
        name: str = posixpath.basename(posixpath.normpath(os.fspath(source)))
        if name in ("", ".", "..", "~"):
            raise ValueError(f"{source!r} has no name that a file here could have")
        return name

    def _place(self, source: Any) -> str:
        return os.path.join(self._target, self._name(source))

    async def _prepare(self, sftp: Any) -> None:
        os.makedirs(self._target, exist_ok=True)

    async def _exists(self, sftp: Any, target: str) -> bool:
        return os.path.lexists(target)

    async def _move(self, sftp: Any, source: Any, target: str) -> None:
        path = posixpath.normpath(far_path(os.fspath(source)))
        how = {
            "preserve": self._preserve,
            "follow_symlinks": self._follow,
            "progress_handler": self._progress,
        }
        if await sftp.isdir(path) and (self._follow or not await sftp.islink(path)):
            await sftp.get(path, self._target, recurse=True, **how)
            return
        if os.path.isdir(target) and not os.path.islink(target):
            raise IsADirectoryError(f"{target} is a directory")
        part = f"{target}.{secrets.token_hex(4)}.part"
        try:
            await sftp.get(path, part, **how)
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):  # the first error is told
                os.unlink(part)
            raise


def _only_of_a_link(error: Any, links: list[Exception]) -> None:
    """Keep the error of a link for later: it may be there, and only not have got its times, which few systems do."""
    if not os.path.islink(error.srcpath):
        raise error
    links.append(error)


async def _see_links(sftp: Any, errors: list[Exception]) -> None:
    """Raise the error of a link that is not there."""
    for error in errors:
        there: Any = error
        try:
            is_there = await sftp.readlink(there.dstpath) == os.readlink(there.srcpath)
        except Exception:  # noqa: BLE001  # whatever it is, the link is not there
            is_there = False
        if not is_there:
            raise error


def far_path(path: str) -> str:
    """Give a path as SFTP takes it: it begins in the user's home, and knows no tilde."""
    if path == "~":
        return "."
    return path.removeprefix("~/") or "."
