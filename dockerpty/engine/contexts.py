"""Contexts: engines that docker's client knows by a name, as `docker context create` keeps them in files.

Only read here, and only when one is named. The layout is that of docker's client: below its configuration's directory
`contexts/meta/ID/meta.json`, and `contexts/tls/ID/docker/{ca,cert,key}.pem`, where ID is the SHA-256 of the name.
"""

from __future__ import annotations

import json
import os

from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "default"
"""The context that is in no file: DOCKER_HOST, else the local socket."""

# As many as fit a line.
_NAMED = 8


class Context(tuple[str, str, str, str, bool]):
    """What a context says of its engine: the address, "" for the local one, and how to do TLS.

    The files are "" where the context has none; without any, and with `verify`, there is no TLS.
    """

    __slots__ = ()

    @property
    def host(self) -> str:
        """The engine's address, "" for the local one."""
        return self[0]

    @property
    def files(self) -> tuple[str, str, str]:
        """The authorities, our certificate and its key: files, or "" for none."""
        return self[1:4]

    @property
    def verify(self) -> bool:
        """Whether the engine must prove who it is."""
        return self[4]


def read(name: str, folder: str) -> Context:
    """Read a context.

    Args:
        name: as it is typed; not "default", which is in no file.
        folder: docker's client configuration.

    Raises:
        DockerptyError: there is none of that name, or its file is none of docker's.
    """
    # Not on the way of a command that names no context.
    from hashlib import sha256

    try:
        identity = sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    except UnicodeEncodeError as error:
        raise _unknown(name, folder) from error
    path = os.path.join(folder, "contexts", "meta", identity, "meta.json")
    try:
        with open(path, encoding="utf-8") as file:
            engine = json.load(file)["Endpoints"]["docker"]
        host, skip = engine.get("Host") or "", engine.get("SkipTLSVerify") is True
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _unknown(name, folder) from error
    except OSError as error:
        raise _unusable(name, f"{path}: {error.strerror}", "look at the file") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unusable(name, f"{path} names no engine", "make the context anew") from error
    if not isinstance(host, str) or not host.isprintable():
        raise _unusable(name, f"{path} names no engine", "make the context anew")
    tls = os.path.join(folder, "contexts", "tls", identity, "docker")
    try:
        files = [_if_there(os.path.join(tls, file)) for file in ("ca.pem", "cert.pem", "key.pem")]
    except OSError as error:
        # To go on without them would be to go on without TLS.
        raise _unusable(name, f"{tls}: {error.strerror}", "look at the directory") from error
    return Context((host, *files, not skip))


def names(folder: str) -> list[str]:
    """Name all contexts below docker's client configuration, in order, the default one first."""
    found = []
    place = os.path.join(folder, "contexts", "meta")
    try:
        entries = os.listdir(place)
    except OSError:
        entries = []
    for entry in entries:
        try:
            with open(os.path.join(place, entry, "meta.json"), encoding="utf-8") as file:
                name: Any = json.load(file)["Name"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            # It is nobody's context, and nobody asked for it.
            continue
        if isinstance(name, str):
            found.append(name)
    return [DEFAULT, *sorted(found)]


def _if_there(path: str) -> str:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return path


def _unknown(name: str, folder: str) -> DockerptyError:
    from difflib import get_close_matches

    known = names(folder)
    near = get_close_matches(name, known)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"there are: {', '.join(known[:_NAMED])}{' ...' if len(known) > _NAMED else ''}"
    return _unusable(name, f"{folder} has none of that name", hint)


def _unusable(name: str, reason: str, hint: str) -> DockerptyError:
    return DockerptyError("use the context", repr(name), reason, hint)
