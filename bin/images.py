"""Ask container engines whether they answer, and make the small local images in them.

Used by `bin/engine` and `bin/test` with any Python 3 and its standard library alone, before anything is installed: it
speaks to the engine's own HTTP API, so Docker and Podman are alike, and no client program is needed.

    images.py find [--why] [--image NAME]... URL...
                                 print the first URL that answers; exit 3 if none does, 4 if an image is missing
    images.py wait URL SECONDS [PID]
                                 wait until it answers; exit 3 at the deadline or when PID has ended
    images.py make URL NAME...   pull or build what is missing
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from typing import Literal

NO_ENGINE = 3
NO_IMAGE = 4

PING_SECONDS = 10.0
PULL_SECONDS = 60.0
BUILD_SECONDS = 120.0

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnobody:x:65534:\n"


class Trouble(Exception):
    """What went wrong, as one sentence for a person."""


def talk(message: str) -> None:
    """Say what is being done, in a line."""
    print(f"engine: {message}", file=sys.stderr, flush=True)


def connect(url: str, timeout: float) -> socket.socket:
    """Open a connection to the engine at `url`: unix://, tcp:// (with TLS if the environment says so) or ssh://."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(timeout)
        try:
            plain.connect(parts.path)
        except OSError:
            plain.close()
            raise
        return plain
    if parts.scheme in ("tcp", "http", "https"):
        verify = os.environ.get("DOCKER_TLS_VERIFY", "") != ""
        tls = verify or parts.scheme == "https"
        plain = socket.create_connection(
            (parts.hostname or "localhost", parts.port or (2376 if tls else 2375)), timeout
        )
        return wrapped(plain, parts.hostname or "localhost", verify) if tls else plain
    if parts.scheme == "ssh":
        return through_ssh(url, timeout)
    raise Trouble(f"do not know how to reach {url}: only unix://, tcp:// and ssh:// are known")


def wrapped(plain: socket.socket, host: str, verify: bool) -> socket.socket:
    """Put TLS around a connection, with the certificates of DOCKER_CERT_PATH as the docker command reads them."""
    import ssl

    where = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
    context = ssl.create_default_context()
    if os.path.exists(os.path.join(where, "ca.pem")):
        context.load_verify_locations(os.path.join(where, "ca.pem"))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if os.path.exists(os.path.join(where, "cert.pem")):
        context.load_cert_chain(os.path.join(where, "cert.pem"), os.path.join(where, "key.pem"))
    return context.wrap_socket(plain, server_hostname=host)


def through_ssh(url: str, timeout: float) -> socket.socket:
    """Start the system's ssh, which ends when the connection that is returned is closed."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    where = [f"{parts.username}@{host}" if parts.username else host]
    port = ["-p", str(parts.port)] if parts.port else []
    ours, theirs = socket.socketpair()
    with theirs:
        command = ["ssh", *port, "-T", "--", *where, "docker", "system", "dial-stdio"]
        subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL)
    ours.settimeout(timeout)
    return ours


def call(
    url: str, method: str, target: str, body: bytes = b"", timeout: float = PING_SECONDS
) -> tuple[int, bytes]:
    """Send one request and return the status and the whole body.

    HTTP/1.0 on purpose: the engine then closes at the end and never sends chunks.
    """
    head = (
        f"{method} {target} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/x-tar\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    deadline = time.monotonic() + timeout
    answer = bytearray()
    with connect(url, timeout) as connection:
        connection.sendall(head.encode("ascii") + body)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer in {timeout:.0f} s")
            connection.settimeout(left)
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
    first, _, rest = bytes(answer).partition(b"\r\n")
    _, _, content = rest.partition(b"\r\n\r\n")
    words = first.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise Trouble("something that is not a container engine listens there")
    return int(words[1]), content


def trouble_with(url: str, timeout: float = PING_SECONDS) -> str:
    """Say why the engine at `url` does not answer `/_ping`; the empty string if it does."""
    try:
        status, _ = call(url, "GET", "/_ping", timeout=timeout)
    except FileNotFoundError:
        return "no such socket"
    except PermissionError:
        return "permission denied (be root, or a member of the group that owns the socket)"
    except (OSError, Trouble) as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"/_ping answered with status {status}"


def has_image(url: str, name: str) -> bool:
    """Tell whether the engine knows the image."""
    status, _ = call(url, "GET", f"/images/{quote(name)}/json", timeout=60)
    return status == 200


def find(urls: list[str], images: list[str], why: bool) -> int:
    """Print the first engine that answers; a place where nothing is, is told only if one asks why."""
    for url in urls:
        reason = trouble_with(url)
        if not reason:
            print(url)
            return 0 if all(has_image(url, name) for name in images) else NO_IMAGE
        if why or reason != "no such socket":
            talk(f"{url} does not answer: {reason}")
    return NO_ENGINE


def wait(url: str, seconds: float, pid: int) -> int:
    """Wait until the engine answers, its process has ended, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not trouble_with(url, timeout=2):
            return 0
        if pid and not os.path.exists(f"/proc/{pid}"):
            return NO_ENGINE
        time.sleep(0.1)
    return NO_ENGINE


def pulled(url: str, name: str) -> bool:
    """Try to pull an image; an engine without a way to a registry says so at once or never, hence the deadline."""
    repository, _, tag = name.partition(":")
    try:
        call(
            url,
            "POST",
            f"/images/create?fromImage={quote(repository)}&tag={quote(tag)}",
            timeout=PULL_SECONDS,
        )
    except OSError:
        pass  # no way to the registry, or the deadline: whether the image came is asked for below
    return has_image(url, name)


def is_static(path: str) -> bool:
    """Tell whether a file is a 64-bit ELF program that needs no loader (no PT_INTERP among its program headers)."""
    try:
        with open(path, "rb") as file:
            head = file.read(65536)
    except OSError:
        return False
    if head[:4] != b"\x7fELF" or head[4] != 2:
        return False
    order: Literal["little", "big"] = "little" if head[5] == 1 else "big"

    def number(start: int, length: int) -> int:
        return int.from_bytes(head[start : start + length], order)

    table, size, count = number(32, 8), number(54, 2), number(56, 2)
    return all(number(table + i * size, 4) != 3 for i in range(count))


def static_busybox(folder: str) -> str:
    """Return the path of a static busybox: the machine's own, or the one in Debian's package, unpacked in `folder`.

    The package is not installed: it would push out the plain `busybox` that an initramfs may need.
    """
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if is_static(path):
            return path
    talk("fetching the Debian package busybox-static, without installing it")
    try:
        for command in (
            ["apt-get", "download", "busybox-static"],
            ["sh", "-c", "dpkg-deb -x busybox-static_*.deb ."],
        ):
            done = subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            if done.returncode:
                said = done.stdout.decode(errors="replace").strip().splitlines()
                raise Trouble(
                    f"cannot fetch busybox-static: {said[-1] if said else command[0]}; run apt-get update first"
                )
    except FileNotFoundError as error:
        raise Trouble("no static busybox here and no apt-get to fetch one; install busybox-static") from error
    for path in (os.path.join(folder, "bin/busybox"), os.path.join(folder, "usr/bin/busybox")):
        if is_static(path):
            return path
    raise Trouble("the package busybox-static holds no static busybox")


class Tree:
    """A root file system in the making: a tar in memory, every member owned by root and dated 0."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._bytes, mode="w")  # noqa: SIM115  # closed by done()

    def folder(self, name: str, mode: int = 0o755) -> None:
        """Add a directory."""
        member = tarfile.TarInfo(name)
        member.type, member.mode = tarfile.DIRTYPE, mode
        self._tar.addfile(member)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), mode
        self._tar.addfile(member, io.BytesIO(content))

    def link(self, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
        """Add a symbolic link, or with LNKTYPE a second name of a member."""
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.mode = kind, target, 0o777
        self._tar.addfile(member)

    def done(self) -> bytes:
        """Return the whole tar."""
        self._tar.close()
        return self._bytes.getvalue()


def common_tree() -> Tree:
    """Return a tree with what any process may look for: accounts, a home and a place for temporary files."""
    tree = Tree()
    for name in ("bin", "etc", "dev", "proc", "sys", "home", "usr", "usr/bin", "usr/sbin", "var"):
        tree.folder(name)
    tree.folder("root", 0o700)
    tree.folder("tmp", 0o1777)
    tree.file("etc/passwd", PASSWD.encode())
    tree.file("etc/group", GROUP.encode())
    return tree


def busybox_tree(program: str) -> bytes:
    """Return the tree of `busybox:latest`: every applet a relative link beside the one program."""
    tree = common_tree()
    with open(program, "rb") as file:
        tree.file("bin/busybox", file.read(), 0o755)
    for applet in subprocess.check_output([program, "--list"], text=True).split():
        if applet != "busybox":
            tree.link(f"bin/{applet}", "busybox")
    tree.link("usr/bin/env", "../../bin/env")
    return tree.done()


def shell_less_tree(program: str) -> bytes:
    """Return the tree of `dpty-static:latest`: one static program, known as cat and as sleep, and no shell."""
    tree = common_tree()
    with open(program, "rb") as file:
        tree.file("bin/cat", file.read(), 0o755)
    tree.link("bin/sleep", "bin/cat", tarfile.LNKTYPE)
    return tree.done()


RECIPES = {
    "busybox:latest": (busybox_tree, ["sh"]),
    "dpty-static:latest": (shell_less_tree, ["/bin/cat"]),
}
NEVER_PULLED = ("dpty-static:latest",)


def build(url: str, name: str) -> None:
    """Import the local tree of an image into the engine."""
    recipe, command = RECIPES[name]
    with tempfile.TemporaryDirectory(prefix="dpty-image-") as folder:
        tree = recipe(static_busybox(folder))
    repository, _, tag = name.partition(":")
    changes = (
        f"CMD {json.dumps(command)}",
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    )
    query = "&".join(f"changes={quote(change)}" for change in changes)
    target = f"/images/create?fromSrc=-&repo={quote(repository)}&tag={quote(tag)}&{query}"
    status, body = call(url, "POST", target, tree, timeout=BUILD_SECONDS)
    if status != 200 or not has_image(url, name):
        raise Trouble(f"cannot import {name}: {body.decode(errors='replace').strip()}")


def make(url: str, names: list[str]) -> int:
    """Pull or build each image that is missing."""
    for name in names:
        if name not in RECIPES:
            raise Trouble(f"cannot make {name}: only {' and '.join(RECIPES)} can be made here")
        if has_image(url, name):
            continue
        if name not in NEVER_PULLED:
            talk(f"pulling the image {name}")
            if pulled(url, name):
                continue
        talk(f"making a local image {name} from Debian's static busybox")
        build(url, name)
    return 0


def main(argv: list[str]) -> int:
    """Run one of the commands of the module's docstring."""
    verb, *words = argv
    if verb == "find":
        images: list[str] = []
        why = words[:1] == ["--why"]
        words = words[1:] if why else words
        while words[:1] == ["--image"]:
            images.append(words[1])
            words = words[2:]
        return find(words, images, why)
    if verb == "wait":
        return wait(words[0], float(words[1]), int(words[2]) if len(words) > 2 else 0)
    if verb == "make":
        return make(words[0], words[1:])
    raise Trouble(f"unknown command {verb}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Trouble, OSError) as problem:
        talk(str(problem))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
