"""docker's client configuration: the directory that it is in, and what its config.json says.

The file is the user's and is only ever read: once, when it is first asked. Contexts, which lie beside it, are read in
`contexts`.
"""

from __future__ import annotations

import os

from dockerpty import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_log = log.get(__name__)


class Configuration:
    """One directory of docker's client configuration.

    Attributes:
        folder: the directory, which need not be there.
    """

    __slots__ = ("_notice", "_values", "folder")

    def __init__(
        self,
        folder: str | None = None,
        environ: Mapping[str, str] | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            folder: by default DOCKER_CONFIG, else `.docker` at home.
            environ: in place of this process's variables.
            notice: told in one line of a file that cannot be read; by default the log is.
        """
        found = folder or (os.environ if environ is None else environ).get("DOCKER_CONFIG")
        self.folder = found or os.path.join(os.path.expanduser("~"), ".docker")
        self._notice = notice or (lambda line: _log.warning("%s", line))
        self._values: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.folder, "config.json")

    def text(self, key: str) -> str:
        """Give a setting, "" where it is not made, or is no text.

        A file that cannot be read is told of and left alone, as docker does it.
        """
        if self._values is None:
            self._values = self._read()
        value = self._values.get(key)
        return value if isinstance(value, str) else ""

    def group(self, key: str) -> dict[str, Any]:
        """Give a group of settings; {} where there is none, or it is no group."""
        if self._values is None:
            self._values = self._read()
        value = self._values.get(key)
        return value if isinstance(value, dict) else {}

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, encoding="utf-8") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            return self._left_alone(os.strerror(error.errno or 0))
        except ValueError as error:
            return self._left_alone(error)
        from dockerpty.engine import plain_json

        try:
            values = plain_json.loads(content)
        except (ValueError, RecursionError) as error:
            return self._left_alone(error)
        return values if isinstance(values, dict) else self._left_alone("it is no JSON object")

    def _left_alone(self, reason: object) -> dict[str, Any]:
        self._notice(f"cannot read {self.path}: {reason}; none of its settings count")
        return {}
