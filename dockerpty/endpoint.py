"""Where an engine is: an address as a value, read from a URL, the environment or a docker-py client.

Nothing is connected here; that is `connection`. Contexts of docker's client are not looked at.
"""

from __future__ import annotations

import os

from .errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DEFAULT_SOCKET = "/var/run/docker.sock"
DEFAULT_PORT = 2375
DEFAULT_TLS_PORT = 2376

_HINT = "use unix:///path, tcp://host:port or ssh://user@host"


class TLS(tuple[str, str, str, bool]):
    """How to do TLS: files, of which each may be "" for none, and whether the engine must prove who it is."""

    __slots__ = ()

    def __new__(cls, ca: str = "", cert: str = "", key: str = "", verify: bool = True) -> TLS:
        """Without `ca` the system's own authorities count; without `key` it is in the file of `cert`."""
        return super().__new__(cls, (ca, cert, key, verify))

    @property
    def ca(self) -> str:
        """The file of the authorities that we trust."""
        return self[0]

    @property
    def cert(self) -> str:
        """The file of our own certificate."""
        return self[1]

    @property
    def key(self) -> str:
        """The file of its key."""
        return self[2]

    @property
    def verify(self) -> bool:
        """Whether the engine's certificate must be good and bear the name that we connect to."""
        return self[3]


class Endpoint:
    """The address of an engine.

    Attributes:
        kind: "unix", "tcp", "ssh", or "paramiko".
        name: the address as a person writes it, for messages.
        path: unix: the socket's file; ssh: that on the far side, or "".
        host, port, user: tcp and ssh; port 0 and user "" leave it to ssh.
        base: tcp: what stands before every path, for an engine behind a proxy.
        tls: tcp: how, or `None` for none.
        client: paramiko: the connected `SSHClient`, which stays its owner's.
    """

    __slots__ = ("base", "client", "host", "kind", "name", "path", "port", "tls", "user")

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        path: str = "",
        host: str = "",
        port: int = 0,
        user: str = "",
        base: str = "",
        tls: TLS | None = None,
        client: Any = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.path = path
        self.host = host
        self.port = port
        self.user = user
        self.base = base
        self.tls = tls
        self.client = client

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"


def from_environment(environ: Mapping[str, str] | None = None, host: str | None = None) -> Endpoint:
    """Find the engine as docker's client does: `host`, else DOCKER_HOST, else the socket that is there.

    Without Docker's own socket Podman's are tried: CONTAINER_HOST, the user's, the system's. If none is there,
    Docker's is named, so that the error speaks of it.

    Raises:
        DockerptyError: the address makes no sense.
    """
    if environ is None:
        environ = os.environ
    url = host or environ.get("DOCKER_HOST", "")
    if url:
        return parse(url, tls_of(environ))
    if not os.path.exists(DEFAULT_SOCKET):
        runtime = environ.get("XDG_RUNTIME_DIR", "")
        if environ.get("CONTAINER_HOST"):
            return parse(environ["CONTAINER_HOST"], None)
        for path in (f"{runtime}/podman/podman.sock" if runtime else "", "/run/podman/podman.sock"):
            if path and os.path.exists(path):
                return _unix(path)
    return _unix(DEFAULT_SOCKET)


def tls_of(environ: Mapping[str, str]) -> TLS | None:
    """Read DOCKER_TLS_VERIFY (any value but an empty one) and DOCKER_CERT_PATH; `None` if neither asks for TLS."""
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    given = environ.get("DOCKER_CERT_PATH", "")
    if not verify and not environ.get("DOCKER_TLS"):
        return None
    folder = given or os.path.join(os.path.expanduser("~"), ".docker")
    ca, cert, key = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    # Not every engine asks for our certificate, but whoever names a directory means what is in it: an authority that
    # is missing there, or the directory itself, is named by whoever would read it.
    if not given or os.path.isdir(folder):
        cert, key = (file if os.path.exists(file) else "" for file in (cert, key))
    if not verify or not (given or os.path.exists(ca)):
        ca = ""
    return TLS(ca, cert, key, verify)


def parse(url: str, tls: TLS | None = None) -> Endpoint:
    """Read an engine's address; `tls` counts for tcp only.

    Raises:
        DockerptyError: a kind of address that we do not know, or a part of it that is missing or malformed.
    """
    kind, separator, rest = url.strip().partition("://")
    if not separator:
        if kind.startswith("/"):
            return _unix(kind)
        kind, rest = "tcp", kind
    if kind in ("unix", "http+unix"):
        if not rest.strip("/"):
            raise _wrong(url, "it has no path")
        return _unix(rest if rest.startswith("/") else "/" + rest)
    if kind in ("tcp", "http", "https"):
        if kind == "https" and tls is None:
            tls = TLS()
        host, port, user, base = _parts(url, rest, DEFAULT_TLS_PORT if tls else DEFAULT_PORT)
        if user:
            raise _wrong(url, "an engine on tcp takes no user")
        name = f"tcp://{_bracketed(host)}:{port}{base}"
        if not host.isascii():
            try:
                host = host.encode("idna").decode("ascii")
            except UnicodeError as error:
                raise _wrong(url, "its host is no name that can be") from error
        return Endpoint("tcp", name, host=host, port=port, base=_quoted(base), tls=tls)
    if kind == "ssh":
        host, port, user, path = _parts(url, rest, 0)
        if ":" in user:
            raise DockerptyError(
                "use", "this ssh:// address", "it has a password in it", "let ssh ask, or use a key"
            )
        name = f"ssh://{user + '@' if user else ''}{_bracketed(host)}{f':{port}' if port else ''}{path}"
        return Endpoint("ssh", name, host=host, port=port, user=user, path=path)
    if kind == "npipe":
        raise _wrong(url, "named pipes are there on Windows only, and there through docker-py only")
    raise _wrong(url, f"{kind}:// is not an address of an engine")


def of_client(api: Any) -> Endpoint | None:
    """Read the address off a docker-py `APIClient`, or return `None` where one of its private names is missing.

    The names are those of docker-py 7.2.0.
    """
    base_url = getattr(api, "base_url", None)
    adapter: Any = getattr(api, "_custom_adapter", None)
    if not isinstance(base_url, str):
        return None
    if base_url == "http+docker://localhost":
        path = getattr(adapter, "socket_path", None)
        return _unix(path) if isinstance(path, str) else None
    if base_url == "http+docker://ssh":
        host = getattr(adapter, "ssh_host", None)
        if not isinstance(host, str) or not hasattr(adapter, "ssh_client"):
            return None
        if adapter.ssh_client is None:
            return parse(f"ssh://{host}")
        return Endpoint("paramiko", f"ssh://{host}", client=adapter.ssh_client)
    if base_url.startswith("https://"):
        if not hasattr(api, "verify") or not hasattr(api, "cert"):
            return None
        verify = api.verify
        cert, key = (api.cert, "") if isinstance(api.cert, str) else api.cert or ("", "")
        return parse(base_url, TLS(verify if isinstance(verify, str) else "", cert, key, bool(verify)))
    if base_url.startswith("http://"):
        return parse(base_url)
    return None


def place(endpoint: Endpoint) -> str:
    """Give host and port of an engine on tcp, as a `Host` header has them (RFC 9110, 7.2)."""
    # The zone of a link-local address means something here only.
    return f"{_bracketed(endpoint.host.partition('%')[0])}:{endpoint.port}"


def _unix(path: str) -> Endpoint:
    return Endpoint("unix", f"unix://{path}", path=path)


def _parts(url: str, rest: str, default_port: int) -> tuple[str, int, str, str]:
    """Split `user@host:port/path` into host, port, user and path without a slash at its end."""
    if (
        any(character.isspace() or not character.isprintable() for character in rest)
        or "?" in rest
        or "#" in rest
    ):
        raise _wrong(url, "it has a character that no address has")
    place, slash, path = rest.partition("/")
    user, _, place = place.rpartition("@")
    if place.startswith("["):
        host, closed, port = place[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise _wrong(url, "its brackets do not match")
        port = port[1:]
    else:
        host, _, port = place.partition(":")
        if ":" in port:
            raise _wrong(url, "an IPv6 address stands in brackets")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _wrong(url, "its port is not a number from 1 to 65535")
    if not host:
        raise _wrong(url, "it has no host")
    return host, int(port or default_port), user, (slash + path).rstrip("/")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _quoted(path: str) -> str:
    """Quote what a request's target cannot have, and nothing that may be quoted already."""
    return "".join(c if c.isascii() else "".join(f"%{byte:02X}" for byte in c.encode()) for c in path)


def _wrong(url: str, reason: str) -> DockerptyError:
    # A password would be in front of the "@": it is not ours to show.
    scheme, separator, rest = url.partition("://")
    return DockerptyError(
        "use the engine's address", scheme + separator + rest.rpartition("@")[2], reason, _HINT
    )
