"""`--json`: a session whose output is kept, and its result as one document. Loaded only where it is asked for."""

from __future__ import annotations

import base64
import codecs
import json
import time

from dockerpty.cli.outcome import show
from dockerpty.errors import SessionLost, SessionTimeout
from dockerpty.result import SessionResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.cli.grammar import Line
    from dockerpty.pty import PseudoTerminal

#: Of each of stdout and stderr: what is beyond is read and dropped, so that the process can end.
LIMIT = 8 * 1024 * 1024


class Capture:
    """An output that keeps the first bytes of what is written to it.

    Attributes:
        data: what was kept.
        truncated: there was more.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.data = bytearray()
        self.truncated = False
        self._limit = limit

    def write(self, data: bytes) -> int:
        """Keep as much of it as there is room for; the rest counts as written, too."""
        room = self._limit - len(self.data)
        self.data += data[:room]
        self.truncated = self.truncated or len(data) > room
        return len(data)


def start(terminal: PseudoTerminal, line: Line) -> int | None:
    """Run the session with its output kept, print the document, and return the exit code.

    The document is printed also where a session had no end of its own: at a time limit, or when it was lost.
    """
    operation = terminal.operation
    operation.stdout, operation.stderr = out, err = Capture(), Capture()
    began = time.monotonic()

    def show_document() -> None:
        seconds = time.monotonic() - began
        result = terminal.result or SessionResult()
        show(json.dumps(document(operation.describe(), command_of(line), result, out, err, seconds)))

    try:
        code = terminal.start()
    except (SessionLost, SessionTimeout):
        show_document()
        raise
    show_document()
    return code


def document(
    container: str, command: list[str], result: SessionResult, out: Capture, err: Capture, seconds: float
) -> dict[str, Any]:
    """Make the document of a session that is over.

    Output is text. What is not UTF-8 has U+FFFD in that, and beside it a twin, `stdout_b64` or `stderr_b64`, with the
    bytes themselves.

    Args:
        container: what to call it where nobody has learned its id.
        seconds: how long it took.
    """
    found: dict[str, Any] = {
        "container": result.container_id or container,
        "exec": result.exec_id,
        "command": command,
        "exit_code": result.exit_code,
        "reason": result.reason,
        "signal": result.signal,
    }
    for name, kept in (("stdout", out), ("stderr", err)):
        # The limit may have cut a character in two: its first half is left out.
        decoder = codecs.getincrementaldecoder("utf-8")
        try:
            found[name] = decoder().decode(bytes(kept.data), not kept.truncated)
        except UnicodeDecodeError:
            found[name] = kept.data.decode("utf-8", "replace")
            found[f"{name}_b64"] = base64.b64encode(kept.data).decode("ascii")
    found["truncated"] = out.truncated or err.truncated
    found["duration"] = round(seconds, 3)
    return found


def show_detached(container: str, exec_id: str | None, command: list[str]) -> None:
    """Print the document of what was started and left running."""
    show(json.dumps({"container": container, "exec": exec_id, "command": command}))


def command_of(line: Line) -> list[str]:
    """Give the words of a line that are the command, without the container or image before it."""
    return line.words[0 if line.values.get("latest") else 1 :]
