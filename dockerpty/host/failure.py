"""The error of a command that failed and was checked, which is subprocess's too."""

from __future__ import annotations

from subprocess import CalledProcessError

from dockerpty.host.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CommandFailed(HostError, CalledProcessError):
    """A command failed, and was checked.

    Args:
        status: the `CommandStatus` of it.

    Attributes:
        cmd, returncode: subprocess's names.
        output, stdout, stderr: what they are of a `CommandStatus`: the first is text.
    """

    status: Any

    def __init__(
        self,
        action: str,
        subject: str = "",
        reason: str = "",
        hint: str = "",
        *,
        host: str = "",
        status: Any = None,
    ) -> None:
        # Not ours, which would ask the next in the order of classes to begin with an action alone.
        if status is None:
            CalledProcessError.__init__(self, -1, "", "", b"")
        else:
            CalledProcessError.__init__(self, status.retcode, status.command, status.output, status.stderr)
        self.args = (action, subject, reason, hint)
        self.action, self.subject, self.reason, self.hint = self.args
        self.host = host
        self.status = status

    @property
    def stdout(self) -> bytes:
        """The bytes that `output` was made of."""
        return b"" if self.status is None else self.status.stdout
