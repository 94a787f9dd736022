"""Where an engine is: an address as a value, read from a URL, the environment, docker's contexts or a docker-py client.

Nothing is connected here, but to see whether a local socket is dead; the rest is in `connection`.
"""

from __future__ import annotations

import os

from dockerpty import log
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dockerpty.engine.configuration import Configuration

_log = log.get(__name__)

DEFAULT_SOCKET = "/var/run/docker.sock"
PODMAN_SOCKETS = ("/run/podman/podman.sock",)
DEFAULT_PORT = 2375
DEFAULT_TLS_PORT = 2376

# Python refuses to count thousands of them.
_DIGITS = 10
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
        program: ssh: what is run in place of `ssh`.
        jump: ssh: hosts on the way, as `ssh -J` takes them, or "".
        tls: tcp: how, or `None` for none.
        client: paramiko: the connected `SSHClient`, which stays its owner's.
    """

    __slots__ = ("base", "client", "host", "jump", "kind", "name", "path", "port", "program", "tls", "user")

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
        self.program = "ssh"
        self.jump = ""

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"


def from_environment(
    environ: Mapping[str, str] | None = None,
    host: str | None = None,
    *,
    context: str | None = None,
    configuration: Configuration | None = None,
    tls: bool | None = None,
    tlsverify: bool | None = None,
    tlscacert: str | None = None,
    tlscert: str | None = None,
    tlskey: str | None = None,
    ssh_client: str | None = None,
) -> Endpoint:
    """Find the engine as docker's client does.

    The first that is there counts: `host` or `context`, DOCKER_HOST, DOCKER_CONTEXT, the current context of docker's
    client configuration, the local socket. Where Docker's own socket is missing or nobody listens on it, Podman's are
    tried: CONTAINER_HOST, the user's, the system's. Without any of them Docker's is named, for an error to speak of.

    Args:
        environ: in place of this process's variables.
        host: an address.
        context: the name of a context of docker's.
        configuration: docker's client configuration; by default the one that `environ` names.
        tls, tlsverify, tlscacert, tlscert, tlskey: as docker's flags; `None` leaves it to the environment. Contexts and
            sockets do not ask for them.
        ssh_client: the program for ssh://.

    Raises:
        DockerptyError: the address makes no sense, or there is no such context.
    """
    if environ is None:
        environ = os.environ
    if configuration is None:
        from dockerpty.engine.configuration import Configuration

        configuration = Configuration(environ=environ)
    url = host or environ.get("DOCKER_HOST", "")
    name = context or ""
    if not name and not url:
        name = environ.get("DOCKER_CONTEXT") or configuration.text("currentContext")
    elif url and not host and environ.get("DOCKER_CONTEXT"):
        _log.warning("DOCKER_HOST counts, DOCKER_CONTEXT=%s does not", environ["DOCKER_CONTEXT"])
    if name and name != "default":
        found = _of_context(name, configuration.folder)
    else:
        options = (tls, tlsverify, tlscacert, tlscert, tlskey)
        wanted = tls_of(environ, configuration.folder, *options)
        found = parse(url, wanted) if url else _local(environ, wanted)
    found.program = ssh_client or found.program
    _log.debug("engine chosen: %s context=%s", found.name, name or "default")
    return found


def tls_of(
    environ: Mapping[str, str],
    folder: str,
    tls: bool | None = None,
    tlsverify: bool | None = None,
    tlscacert: str | None = None,
    tlscert: str | None = None,
    tlskey: str | None = None,
) -> TLS | None:
    """Read docker's flags, and for what they leave open DOCKER_TLS, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.

    Returns:
        `None` if nothing asks for TLS. As with docker, `tlsverify=False` does: for TLS without proof.
    """
    verify = bool(environ.get("DOCKER_TLS_VERIFY")) if tlsverify is None else tlsverify
    wanted = bool(environ.get("DOCKER_TLS")) if tls is None else tls
    if not verify and not wanted and tlsverify is None:
        return None
    given = environ.get("DOCKER_CERT_PATH", "")
    folder = given or folder
    ca, cert, key = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    # Not every engine asks for our certificate, but whoever names a directory means what is in it: an authority that
    # is missing there, or the directory itself, is named by whoever would read it.
    if not given or os.path.isdir(folder):
        cert, key = (file if os.path.exists(file) else "" for file in (cert, key))
    if not (given or os.path.exists(ca)):
        ca = ""
    return TLS(tlscacert or ca if verify else "", tlscert or cert, tlskey or key, verify)


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


def _of_context(name: str, folder: str) -> Endpoint:
    from dockerpty.engine.contexts import read

    context = read(name, folder)
    tls = None
    if any(context.files) or not context.verify:
        ca, cert, key = context.files
        # As docker: one without the other is none.
        cert, key = (cert, key) if cert and key else ("", "")
        tls = TLS(ca if context.verify else "", cert, key, context.verify)
    return parse(context.host, tls) if context.host else _unix(DEFAULT_SOCKET)


def _local(environ: Mapping[str, str], tls: TLS | None) -> Endpoint:
    """Give Docker's socket, or one of Podman's if that is there alone, or if nobody listens on Docker's.

    Args:
        tls: for a CONTAINER_HOST on tcp.
    """
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    other = environ.get("CONTAINER_HOST", "")
    places = (f"{runtime}/podman/podman.sock" if runtime else "", *PODMAN_SOCKETS)
    podmans = [path for path in places if path and os.path.exists(path)]
    if os.path.exists(DEFAULT_SOCKET):
        if not (other or podmans) or not _is_dead(DEFAULT_SOCKET):
            return _unix(DEFAULT_SOCKET)
        # Docker is there and only not running: a Podman as dead as that is no reason to speak of Podman.
        podmans = [path for path in podmans if not _is_dead(path)]
    if other:
        return parse(other, tls)
    return _unix(podmans[0] if podmans else DEFAULT_SOCKET)


def _is_dead(path: str) -> bool:
    """Say whether nobody listens on a socket. One that we may not use is not dead."""
    import socket

    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


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
    if port and not (port.isascii() and port.isdigit() and len(port) < _DIGITS and 0 < int(port) < 65536):
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
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return DockerptyError(
        "use the engine's address", scheme + separator + rest.rpartition("@")[2], reason, _HINT
    )
