"""An archive of one file, of which the content is wanted and nothing else. Pure."""

from __future__ import annotations

from dockerpty.archive import FILE, MemberEnd, Reader
from dockerpty.host.errors import TransferError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class OneFile:
    """An archive of one file, fed as it comes, whose content is handed on.

    Args:
        said: the file's name, for messages.
        limit: of its bytes; None for none.
        give: gets the content in pieces.
        host: the host's name.
    """

    def __init__(
        self,
        said: str,
        limit: int | None,
        give: Callable[[bytes], None],
        *,
        host: str = "",
    ) -> None:
        self._said, self._limit, self._host = said, limit, host
        self._give = give
        self._reader = Reader()
        self._done = False

    def take(self, data: bytes) -> None:
        """Take the next bytes of the archive.

        Raises:
            ArchiveError: they are none.
            TransferError: it is not what was asked for, or too large.
        """
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
        return TransferError("read", self._said, reason, hint, host=self._host)
