"""Every request that we make to an engine, as a value, and its answer. Pure.

Each builder is named after what it does and knows both ways to do it: on the wire (Engine API 1.24 and later), and by
the method of docker-py's low-level client, for clients that we cannot look into.
"""

from __future__ import annotations

from dockerpty.engine import plain_json
from dockerpty.errors import DockerptyError, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# RFC 3986, 2.3: what needs no quoting anywhere.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Call:
    """A request, compared by value.

    Attributes:
        method, path: the path without version, quoted.
        query: names and values, not quoted.
        body: what becomes JSON, or `None`.
        name, kwargs: the method of docker-py's low-level client that does the same, and its arguments.
        action: what cannot be done if it fails, in the words that follow "cannot".
        subject: on what, unless the caller knows a better name.
        gives: names in the object that the engine answers with; without them it is no engine.
        light: answered at once, and no harm is done if nobody learns whether it was done.
        headers: names and values beside those of every request. docker-py's methods make their own.
        starts: a process: a refusal may be the runtime's, which could not start it.
    """

    __slots__ = (
        *("action", "body", "gives", "headers", "kwargs", "light"),
        *("method", "name", "path", "query", "starts", "subject"),
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | None] | None = None,
        body: Any = None,
        *,
        name: str,
        kwargs: Mapping[str, Any] | None = None,
        action: str,
        subject: str = "",
        gives: tuple[str, ...] = (),
        light: bool | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        starts: bool = False,
    ) -> None:
        """Take the parts of a request; a `None` in the query is left out, a bool becomes 0 or 1. A GET is light."""
        self.method = method
        self.path = path
        self.query = tuple(
            (key, str(int(value)) if isinstance(value, bool) else str(value))
            for key, value in (query or {}).items()
            if value is not None
        )
        self.body = body
        self.name = name
        self.kwargs = dict(kwargs or {})
        self.action = action
        self.subject = subject
        self.gives = gives
        self.light = method == "GET" if light is None else light
        self.headers = headers
        self.starts = starts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and all(
            getattr(self, name) == getattr(other, name) for name in Call.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # a body is a dict

    def __repr__(self) -> str:
        return f"Call({self.method} {self.target()})"

    def target(self, prefix: str = "") -> str:
        """Give the request's target: `prefix`, the path, the query."""
        query = "&".join(f"{quote(key)}={quote(value)}" for key, value in self.query)
        return f"{prefix}{self.path}{'?' + query if query else ''}"

    def payload(self) -> bytes | None:
        """Give the body's bytes, `None` for none."""
        if self.body is None:
            return None
        # What Python could not decode of a command line goes as it was typed.
        return plain_json.dumps(self.body).encode("utf-8", "surrogateescape")


class Reply:
    """An engine's answer to a call.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: as it came.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"

    def json(self) -> Any:
        """Decode the body.

        Raises:
            ProtocolError: it is no JSON.
        """
        try:
            return plain_json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise no_engine("it is empty" if not self.body else "it is no JSON") from error


def no_engine(reason: str) -> ProtocolError:
    """Make the error for an answer that no engine gives."""
    return ProtocolError(
        "read", "the engine's answer", reason, "is there a container engine at that address?"
    )


def quote(text: str) -> str:
    """Quote for a path or a query: all but letters, digits and `-._~`."""
    return "".join(
        chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape")
    )


def ping() -> Call:
    """Ask whether the engine is there; the answer's headers say its version."""
    return Call("GET", "/_ping", name="ping", action="ask", subject="the engine")


def version() -> Call:
    """Ask for the versions of the engine and its parts."""
    return Call("GET", "/version", name="version", action="ask", subject="the engine for its version")


def inspect_container(container: str) -> Call:
    """Ask for a container's configuration and state, by id or name."""
    return Call(
        "GET",
        _path("/containers/", container, "/json"),
        name="inspect_container",
        kwargs={"container": container},
        action="inspect",
        subject=container,
        gives=("Id", "Config", "State"),
    )


def list_containers(
    *,
    all: bool = False,
    limit: int | None = None,
    size: bool = False,
    filters: Mapping[str, Sequence[str]] | None = None,
) -> Call:
    """Ask for the containers that run; `all` also those that do not, `limit` the newest so many of all.

    Args:
        size: ask for their sizes, too, which takes the engine its time.
        filters: what must be so, as docker's `--filter` has it: `{"status": ["running"]}`.
    """
    query: dict[str, str | int | None] = {"all": all or None, "limit": limit, "size": size or None}
    if filters:
        query["filters"] = plain_json.dumps({key: list(values) for key, values in filters.items()})
    kwargs: dict[str, Any] = {"all": all, "size": size, "filters": filters}
    if limit is not None:
        kwargs["limit"] = limit
    return Call(
        "GET",
        "/containers/json",
        query,
        name="containers",
        kwargs=kwargs,
        action="list",
        subject="the containers",
    )


def own_name(listed: Mapping[str, Any]) -> str:
    """Give a container's own name from what the engine lists of it, "" if it has none.

    One that is linked to others has further names, with theirs before it.
    """
    names: list[str] = listed.get("Names") or [""]
    return min(names, key=lambda name: name.count("/")).removeprefix("/")


def inspect_image(image: str) -> Call:
    """Ask for an image's configuration, by id or reference."""
    return Call(
        "GET",
        _path("/images/", image, "/json"),
        name="inspect_image",
        kwargs={"image": image},
        action="inspect the image",
        subject=image,
        gives=("Id",),
    )


def list_images() -> Call:
    """Ask for the images that the engine has."""
    return Call("GET", "/images/json", name="images", action="list", subject="the images")


def list_networks() -> Call:
    """Ask for the networks that the engine has."""
    return Call("GET", "/networks", name="networks", action="list", subject="the networks")


def create_container(config: dict[str, Any], name: str | None = None, platform: str | None = None) -> Call:
    """Create a container from the engine's own form of configuration."""
    kwargs = {"config": config, "name": name}
    if platform:
        kwargs["platform"] = platform
    return Call(
        "POST",
        "/containers/create",
        {"name": name, "platform": platform or None},
        config,
        name="create_container_from_config",
        kwargs=kwargs,
        action="create a container from",
        subject=str(config.get("Image", "")),
        gives=("Id",),
    )


def start_container(container: str) -> Call:
    """Start a container; an answer of 304 says that it runs already."""
    return Call(
        "POST",
        _path("/containers/", container, "/start"),
        name="start",
        kwargs={"container": container},
        action="start",
        subject=container,
        starts=True,
    )


def attach_container(
    container: str,
    *,
    stdin: bool = False,
    stdout: bool = False,
    stderr: bool = False,
    logs: bool = False,
    stream: bool = True,
    detach_keys: str | None = None,
) -> Call:
    """Take over a connection as a container's streams: to be hijacked."""
    query: dict[str, str | int] = {
        "stream": int(stream),
        "stdin": int(stdin),
        "stdout": int(stdout),
        "stderr": int(stderr),
        "logs": int(logs),
    }
    if detach_keys is not None:
        query["detachKeys"] = detach_keys
    return Call(
        "POST",
        _path("/containers/", container, "/attach"),
        query,
        name="attach_socket",
        kwargs={"container": container, "params": query},
        action="attach to",
        subject=container,
        # Podman prepares a container when it is attached to, and finds out there that its command cannot be run.
        starts=True,
    )


def wait_container(container: str, condition: str | None = None) -> Call:
    """Wait for `not-running`, `next-exit` or `removed`: the head comes at once, the body when it has happened."""
    return Call(
        "POST",
        _path("/containers/", container, "/wait"),
        {"condition": condition},
        name="wait",
        kwargs={"container": container, "condition": condition},
        action="wait for",
        subject=container,
    )


def resize_container(container: str, rows: int, cols: int) -> Call:
    """Set the size of a container's terminal."""
    return Call(
        "POST",
        _path("/containers/", container, "/resize"),
        {"h": rows, "w": cols},
        name="resize",
        kwargs={"container": container, "height": rows, "width": cols},
        action="resize the terminal of",
        subject=container,
    )


def kill_container(container: str, signal: str | int) -> Call:
    """Send a signal, by name or number, to a container's first process."""
    return Call(
        "POST",
        _path("/containers/", container, "/kill"),
        {"signal": signal},
        name="kill",
        kwargs={"container": container, "signal": signal},
        action=f"send {signal} to",
        subject=container,
    )


def remove_container(container: str, *, force: bool = False, volumes: bool = False) -> Call:
    """Remove a container; `force` kills it first, `volumes` removes its anonymous ones."""
    return Call(
        "DELETE",
        _path("/containers/", container),
        {"v": volumes, "force": force},
        name="remove_container",
        kwargs={"container": container, "v": volumes, "force": force},
        action="remove",
        subject=container,
    )


def get_archive(container: str, path: str) -> Call:
    """Read a path of a container as a tar archive: an answer of any length.

    Not light: Docker's engine reads one archive of a container at a time, and lets the next one wait for its end.
    """
    return Call(
        "GET",
        _path("/containers/", container, "/archive"),
        {"path": path},
        name="get_archive",
        kwargs={"container": container, "path": path},
        action="copy from",
        subject=f"{container}:{path}",
        light=False,
    )


def stat_archive(container: str, path: str) -> Call:
    """Ask what a path of a container is: a header of the answer has it. An error's answer has no words here.

    Waits as `get_archive` does.
    """
    return Call(
        "HEAD",
        _path("/containers/", container, "/archive"),
        {"path": path},
        name="get_archive",
        kwargs={"container": container, "path": path},
        action="look at",
        subject=f"{container}:{path}",
    )


def put_archive(container: str, path: str, *, keep_owner: bool = False) -> Call:
    """Unpack a tar archive, which is the body, into a directory of a container.

    A directory never replaces anything else, nor the reverse. docker-py's method has no argument for the owner, nor for
    that.

    Args:
        keep_owner: what docker calls `copyUIDGID`.
    """
    return Call(
        "PUT",
        _path("/containers/", container, "/archive"),
        {"path": path, "noOverwriteDirNonDir": "true", "copyUIDGID": "true" if keep_owner else None},
        name="put_archive",
        kwargs={"container": container, "path": path},
        action="copy to",
        subject=f"{container}:{path}",
    )


def create_exec(container: str, config: dict[str, Any]) -> Call:
    """Create an exec from the engine's own form of configuration (`Cmd`, `Tty`, `AttachStdin`, ...).

    docker-py's method has no argument for a console size: there the first resize sets it.
    """
    kwargs: dict[str, Any] = {
        "container": container,
        "cmd": config.get("Cmd"),
        "stdin": bool(config.get("AttachStdin")),
        "stdout": bool(config.get("AttachStdout")),
        "stderr": bool(config.get("AttachStderr")),
        "tty": bool(config.get("Tty")),
    }
    # Only what was asked for: clients that only resemble docker-py's may know no more.
    names = {
        "Privileged": "privileged",
        "User": "user",
        "Env": "environment",
        "WorkingDir": "workdir",
        "DetachKeys": "detach_keys",
    }
    kwargs.update({names[key]: value for key, value in config.items() if key in names and value})
    return Call(
        "POST",
        _path("/containers/", container, "/exec"),
        None,
        config,
        name="exec_create",
        kwargs=kwargs,
        action="exec in",
        subject=container,
        gives=("Id",),
        # One that nobody starts is nothing.
        light=True,
    )


def start_exec(exec_id: str, *, tty: bool, size: tuple[int, int] | None = None, detach: bool = False) -> Call:
    """Start an exec: to be hijacked, unless `detach`. `tty` must be what it was created with; `size` is rows, cols.

    The size counts from API 1.42 on; older engines pass over it.
    """
    body: dict[str, Any] = {"Detach": detach, "Tty": tty}
    if size is not None and tty:
        body["ConsoleSize"] = [size[0], size[1]]
    kwargs: dict[str, Any] = {"exec_id": exec_id, "detach": detach, "tty": tty}
    if not detach:
        kwargs["socket"] = True
    return Call(
        "POST",
        _path("/exec/", exec_id, "/start"),
        None,
        body,
        name="exec_start",
        kwargs=kwargs,
        action="start the exec",
        subject=exec_id,
        starts=True,
    )


def inspect_exec(exec_id: str) -> Call:
    """Ask for an exec's state and exit code."""
    return Call(
        "GET",
        _path("/exec/", exec_id, "/json"),
        name="exec_inspect",
        kwargs={"exec_id": exec_id},
        action="inspect the exec",
        subject=exec_id,
        gives=("Running", "ExitCode"),
    )


def resize_exec(exec_id: str, rows: int, cols: int) -> Call:
    """Set the size of an exec's terminal; before it runs, Engine 20.10 needs 10 s to refuse this."""
    return Call(
        "POST",
        _path("/exec/", exec_id, "/resize"),
        {"h": rows, "w": cols},
        name="exec_resize",
        kwargs={"exec_id": exec_id, "height": rows, "width": cols},
        action="resize the terminal of the exec",
        subject=exec_id,
    )


def _path(before: str, identity: str, after: str = "") -> str:
    # A server cleans "." and ".." out of a path, quoted or not: the request would mean another thing.
    if identity in ("", ".", ".."):
        raise DockerptyError(
            "find", identity or "what has an empty name", "nothing can have that name", "give an id or a name"
        )
    # In what the engine itself tells, a container's name begins with a slash.
    return before + quote(identity.removeprefix("/")) + after
