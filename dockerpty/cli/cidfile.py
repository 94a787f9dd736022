"""`--cidfile`: the file in which the id of a new container is left for others."""

from __future__ import annotations

import os

from dockerpty.errors import DockerptyError


class CidFile:
    """A file that is made before the container, so that nobody's id is written over.

    Raises:
        DockerptyError: it is there already, or cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = False
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError as error:
            hint = "if the container whose id it has is gone, remove the file"
            raise DockerptyError("use", f"--cidfile {path}", "there is such a file already", hint) from error
        except OSError as error:
            raise self._failed("make", error) from error

    def write(self, container: str) -> None:
        """Leave the id.

        Raises:
            DockerptyError: it cannot be written.
        """
        try:
            os.write(self._fd, container.encode())
        except OSError as error:
            raise self._failed("write", error) from error
        self._written = True

    def close(self) -> None:
        """Close it; without an id in it, it is removed."""
        os.close(self._fd)
        if not self._written:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                return  # somebody has tidied up

    def _failed(self, action: str, error: OSError) -> DockerptyError:
        return DockerptyError(action, f"--cidfile {self._path}", os.strerror(error.errno or 0))
