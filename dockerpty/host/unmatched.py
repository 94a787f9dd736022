"""The errors of what was expected and did not come, which are pexpect's too."""

from __future__ import annotations

from pexpect.exceptions import EOF, TIMEOUT

from dockerpty.host.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class ExpectTimeout(HostError, TimeoutError, TIMEOUT):
    """What was expected did not come in time.

    Args:
        before: what came in its place; it can still be matched.
        patterns: what was expected.
    """

    before: Any
    patterns: Sequence[Any]

    def __init__(self, *parts: str, before: Any = "", patterns: Sequence[Any] = (), **named: str) -> None:
        super().__init__(*parts, **named)
        # pexpect's word for its message. Its own class is not asked to begin: Python's comes before it.
        self.value = str(self)
        self.before = before
        self.patterns = patterns


class ExpectEOF(HostError, EOFError, EOF):
    """The output ended, and what was expected had not come.

    Args:
        before: what came in its place.
        patterns: what was expected.
    """

    before: Any
    patterns: Sequence[Any]

    def __init__(self, *parts: str, before: Any = "", patterns: Sequence[Any] = (), **named: str) -> None:
        super().__init__(*parts, **named)
        self.value = str(self)
        self.before = before
        self.patterns = patterns

    @property
    def partial(self) -> Any:
        """What came, in asyncio's word for it."""
        return self.before
