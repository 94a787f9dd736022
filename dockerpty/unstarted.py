"""An exec that could not be started: the engine writes why into its output, and that is no output.

Docker's engine up to 20.10 answers the start as if all were well, writes one line, and gives a code that differs from
version to version; Podman writes a second line, about its own connection to the process that was not.
"""

from __future__ import annotations

from dockerpty.result import start_error_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What may be such a text is kept back for so many seconds at most.
START_ERROR_WAIT_S = 0.25

# One short line that ends in CR LF (Engine 20.10, postContainerExecStart).
_LIMIT = 4096
_PODMAN_AFTERWORD = b"Error: read unixpacket"
_MARKS = (
    b"OCI runtime",
    b"exec failed",
    b"unable to find user",
    b"no matching entries",
    b"executable file",
)


class StartError:
    """Keeps the first output of an exec back while it may be the text of a failed start.

    Args:
        framed: whether stdout and stderr are told apart.

    Attributes:
        held: what is kept back, and of which stream; None for nothing.
    """

    __slots__ = ("_framed", "held")

    def __init__(self, framed: bool) -> None:
        self._framed = framed
        self.held: tuple[int, bytes] | None = None

    def takes(self, stream: int, text: bytes) -> bool:
        """Say whether this is kept back. If it is not, what is `held` was output, and so is all that comes."""
        if self.held is not None:
            return _PODMAN_AFTERWORD in text and len(text) <= _LIMIT
        if len(text) > _LIMIT:
            return False
        if (self._framed and text.endswith(b"\r\n")) or any(mark in text for mark in _MARKS):
            self.held = (stream, text)
            return True
        return False

    def release(self) -> tuple[int, bytes] | None:
        """Return what is held, as the output that it is after all, and forget it."""
        held, self.held = self.held, None
        return held

    def take(self) -> bytes:
        """Return the text that is held, without Podman's second line, and forget it."""
        held = self.release()
        return b"" if held is None else without_afterword(held[1])


def without_afterword(text: bytes) -> bytes:
    """Return the text of a failed start without Podman's second line."""
    return b"".join(line for line in text.splitlines(True) if _PODMAN_AFTERWORD not in line)


def never_started(info: dict[str, Any]) -> bool:
    """Say by an exec's last inspection whether it never ran: what it wrote is why.

    With nothing written it did: Podman has no number for a process that has ended, either.
    """
    return not info.get("Pid") and info["ExitCode"] in (125, 126, 127)


def exit_code(text: bytes, otherwise: int) -> int:
    """Return the exit code that the text of a failed start means, `otherwise` where it tells none."""
    return start_error_code(text.decode("utf-8", "replace"), otherwise)
