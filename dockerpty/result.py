"""What is known of a session when it is over."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Reason = Literal["exited", "detached", "timeout", "stdout-closed", "removed", "lost"]

#: 128 + SIGPIPE: what a shell shows for a command whose reader went away.
STDOUT_CLOSED_CODE = 141
#: What is left when a container is gone and nobody can be asked any more: 128 + SIGKILL.
KILLED_CODE = 137
NOT_FOUND_CODE = 127
CANNOT_RUN_CODE = 126


class SessionResult:
    """How a session ended.

    Attributes:
        exit_code: the process's, 128 + n if signal n killed it; None where there is none to know.
        reason: `exited`, `detached`, `timeout`, `stdout-closed`, `removed`, or `lost`; None while it runs.
        container_id, exec_id: full ids; None where there is none.
        bytes_in, bytes_out: payload bytes moved to the process and from it.
        started, ended: seconds since the epoch.
        size: the `(rows, cols)` that were asked for, also without a terminal, else the terminal's first ones; or None.
        oom_killed: the kernel ended the container for want of memory.
    """

    __slots__ = (
        *(
            "bytes_in",
            "bytes_out",
            "container_id",
            "ended",
            "exec_id",
            "exit_code",
            "oom_killed",
            "reason",
            "size",
        ),
        "started",
    )

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.reason: Reason | None = None
        self.container_id: str | None = None
        self.exec_id: str | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.started: float | None = None
        self.ended: float | None = None
        self.size: tuple[int, int] | None = None
        self.oom_killed = False

    @property
    def signal(self) -> int | None:
        """The signal that ended the process, as far as its exit code tells (129 to 192)."""
        code = self.exit_code
        return code - 128 if code is not None and 129 <= code <= 192 else None

    def __repr__(self) -> str:
        return f"SessionResult(exit_code={self.exit_code}, reason={self.reason!r})"


def start_error_code(text: str, otherwise: int) -> int:
    """Return the exit code of a process that could not be started, by the runtime's words.

    Args:
        otherwise: the code where the words tell neither "not found" nor "cannot be executed".
    """
    text = text.lower()
    if "executable file not found" in text or "no such file" in text:
        return NOT_FOUND_CODE
    if "permission denied" in text or "is a directory" in text:
        return CANNOT_RUN_CODE
    return otherwise
