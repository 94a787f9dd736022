"""What is said to the shell of an SSH host and read of its answer, and what its owner is told to do.

Pure: texts and bytes. Every command goes to the login shell over there, which may be any shell and may print whatever
it likes before the command runs: so all is said in one word of `sh -c`, and what we read begins at a mark that no
echo of the command shows whole.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SSH_PORT = 22

#: Where an engine listens for who may not look: no session, and so no command.
USUAL_SOCKET = "/var/run/docker.sock"

#: Of what comes before a mark, the end is kept: more than a mark, and some words.
_KEPT = 300


@dataclass(frozen=True)
class Address:
    """Whom to log in to, as it was written.

    Attributes:
        host: a name, an address, or an alias of `~/.ssh/config`.
        port, user: None to leave them to the configuration.
        path: of the engine's socket over there; or empty.
    """

    host: str
    port: int | None = None
    user: str | None = None
    path: str = ""


def read_address(text: str) -> Address:
    """Read `host`, `user@host` or `ssh://[user@]host[:port][/path of the engine's socket]`.

    Raises:
        ValueError: it is none of these; the message does not repeat a password.
    """
    if "://" not in text:
        user, at, host = text.rpartition("@")
        if not host or host.startswith("-") or any(each.isspace() for each in text):
            raise ValueError(f"{host!r} is no SSH host: write host, user@host or ssh://user@host:port")
        return Address(host, user=user if at and user else None)
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise ValueError(f"the address of an SSH host cannot be read: {error}") from None
    if url.scheme != "ssh" or not host or host.startswith("-") or url.query or url.fragment:
        raise ValueError("the address of an SSH host is ssh://[user@]host[:port]")
    if url.password is not None:
        raise ValueError("a password in an address is read by everybody: give it as password=")
    # `hostname` is lower case, and an alias is not.
    written = re.search(re.escape(host), url.netloc.rpartition("@")[2], re.IGNORECASE)
    path = unquote(url.path)
    return Address(
        written[0] if written else host,
        port,
        unquote(url.username) if url.username else None,
        "" if path == "/" else path,
    )


def read_jumps(text: str) -> list[Address]:
    """Read hosts on the way as `ssh -J` takes them: `[user@]host[:port]` or `ssh://...`, with commas between.

    Raises:
        ValueError: one of them cannot be read.
    """
    jumps = []
    for each in text.split(","):
        one = each.strip()
        jumps.append(read_address(one if "://" in one or not one else f"ssh://{one}"))
    return jumps


def socket_path(text: str) -> str:
    """Give the path of a socket that was written as one or as `unix://...`.

    Raises:
        ValueError: it is not absolute, or of another kind.
    """
    path = text.removeprefix("unix://")
    if not path.startswith("/") or "\0" in path or "\n" in path:
        raise ValueError(f"{text!r} is not the absolute path of a unix socket")
    return path


def label(host: str, port: int) -> str:
    """Give a host as a file of known hosts writes it."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def login(address: Address) -> str:
    """Give what somebody types to log in there."""
    port = ["-p", str(address.port)] if address.port not in (None, SSH_PORT) else []
    return shlex.join(["ssh", *port, f"{address.user}@{address.host}" if address.user else address.host])


def unknown_key(host: str, port: int, fingerprint: str, file: str, via: str = "") -> tuple[str, str]:
    """Say that a host's key is not known, and what to do.

    Args:
        fingerprint: of the key that it showed.
        file: where its key is looked for.
        via: how to log in to the host from which this one can be reached, if not from here.

    Returns:
        the reason, and the hint.
    """
    scan = shlex.join(["ssh-keyscan", *(["-p", str(port)] if port != SSH_PORT else []), host])
    if via:
        scan = f"{via} {scan}"
    where = label(host, port)
    return (
        f"the key of {where} is not known: {fingerprint}",
        f"if that is its fingerprint, make it known: {scan} >>{_word(file)}",
    )


def changed_key(host: str, port: int, fingerprint: str, file: str) -> tuple[str, str]:
    """The same for a key that is not the one that is known."""
    where = label(host, port)
    showed = f"; it showed {fingerprint}" if fingerprint else ""
    forget = f"ssh-keygen -f {_word(file)} -R {shlex.quote(where)}"
    return (
        f"the key of {where} is not the one that is known{showed}",
        f"somebody may be in between; if it was changed by its owner, forget the old one: {forget}",
    )


def _word(file: str) -> str:
    return file if re.fullmatch(r"~?[\w/.+-]+", file) else shlex.quote(file)


# ---- commands ------------------------------------------------------------------------------------------------------


def marked(
    nonce: str,
    argv: Sequence[str],
    *,
    workdir: str | None = None,
    environment: Mapping[str, str] | None = None,
    merge: bool = False,
) -> str:
    """Write a line for the login shell that runs a program in its own place, behind a mark on both streams.

    The mark on stdout has the number of the process group, which is what sshd signals. A shell waits for the program,
    and gives 128 and the number of a signal that killed it, as not every client hears of signals; it says nothing of
    that where the program writes.

    Args:
        argv: the program, and what it is given.
        merge: stderr goes where stdout goes.
    """
    tell = rf'printf "\036{nonce}:%s\036" "$$"; printf "\036{nonce}\036" >&2; '
    go = 'cd -- "$1" || exit 126; shift; ' if workdir is not None else ""
    words = [workdir] if workdir is not None else []
    if environment:
        words += ["env", *(f"{name}={value}" for name, value in environment.items())]
    wait = 'exec 3>&2 2>/dev/null; "$@" 2>&3 3>&-; exit $?'
    script = f"{tell}{'exec 2>&1; ' if merge else ''}{go}{wait}"
    return "exec " + shlex.join(["sh", "-c", script, "sh", *words, *argv])


class AfterMark:
    """What a program writes, without what its login shell wrote before.

    Attributes:
        pid: of the process group over there, once the mark has come; None if it had none.
        begun: the mark has come.
        noise: the end of what came before it.
    """

    def __init__(self, nonce: str) -> None:
        self.begun = False
        self.pid: int | None = None
        self._mark = re.compile(rb"\x1e%b(?::([0-9]{1,10}))?\x1e" % nonce.encode())
        self.noise = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came, and give those that are the program's."""
        if self.begun:
            return data
        data = self.noise + data
        found = self._mark.search(data)
        if found is None:
            self.noise = data[-_KEPT:]
            return b""
        self.begun = True
        self.pid = int(found[1]) if found[1] else None
        return data[found.end() :]


# ---- which engine --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FarSide:
    """What was found on an SSH host.

    Attributes:
        user: who we are there.
        docker: the path of docker's command; or empty.
        docker_host: the value of `DOCKER_HOST`.
        open: sockets that we may connect to, the best first.
        shut: sockets that we may not connect to, each with its group.
    """

    user: str = ""
    docker: str = ""
    docker_host: str = ""
    open: tuple[str, ...] = ()
    shut: tuple[tuple[str, str], ...] = ()


def look(nonce: str, socket: str = "") -> str:
    """Write a line for the login shell that looks for engines.

    Args:
        socket: the only one to look at; else the one of `DOCKER_HOST`, and if there is none the usual ones: rootless,
            the machine's, Podman's.
    """
    tell = rf'printf "\036{nonce}\036"'
    script = (
        f"{tell}; "
        'printf "user %s\\n" "$(id -un)"; printf "docker %s\\n" "$(command -v docker)"; '
        'printf "host %s\\n" "$DOCKER_HOST"; '
        "r=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; "
        'if [ $# -gt 0 ]; then :; elif [ -n "$DOCKER_HOST" ]; then set -- "${DOCKER_HOST#unix://}"; '
        'else set -- "$r/docker.sock" /var/run/docker.sock "$r/podman/podman.sock" /run/podman/podman.sock; fi; '
        'for s in "$@"; do if [ -S "$s" ] && [ -w "$s" ]; then printf "open %s\\n" "$s"; '
        'elif [ -S "$s" ]; then printf "shut %s %s\\n" '
        '"$(stat -c %G "$s" 2>/dev/null || stat -f %Sg "$s")" "$s"; fi; done; '
        f"{tell}"
    )
    return shlex.join(["sh", "-c", script, "sh", *([socket] if socket else [])])


def seen(nonce: str, said: bytes) -> FarSide | None:
    """Read what such a line printed, on a terminal or not; None if it did not come to its end."""
    mark = re.escape(f"\x1e{nonce}\x1e".encode())
    found = re.search(mark + rb"(.*?)" + mark, said, re.DOTALL)
    if found is None:
        return None
    one = {"user": "", "docker": "", "host": ""}
    usable: list[str] = []
    shut: list[tuple[str, str]] = []
    for line in found[1].decode("utf-8", "surrogateescape").splitlines():
        kind, _, rest = line.partition(" ")
        if kind in one:
            one[kind] = rest
        elif kind == "open":
            usable.append(rest)
        elif kind == "shut":
            group, _, path = rest.partition(" ")
            shut.append((group, path))
    return FarSide(one["user"], one["docker"], one["host"], tuple(usable), tuple(shut))
