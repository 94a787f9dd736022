"""A connection by the system's ssh, which knows hardware keys, Kerberos, and whatever a company has in its way.

One `ssh` is the master, which holds the connection; every other one speaks to it by its control socket (ssh_config(5),
ControlMaster). The engine's socket is a forwarded one beside it, in the same private directory.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shlex
import signal
import socket
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Any

from dockerpty.host.errors import HostConnectionError, JumpError, ParentError
from dockerpty.host.ssh import far_side
from dockerpty.host.ssh.access import KEEPALIVES, TOO_MANY_KEYS, Access, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.host.ssh.access import Way

#: ssh's own failure; and that of a command whose connection was lost.
FAILED = 255

# ssh would live on behind a program that is killed. So it has a shell beside it, which ends it when its input ends;
# that of what runs in a shell's background would be /dev/null.
_WATCHED = (
    'exec 3<&0; "$@" </dev/null 3<&- & p=$!; trap "kill $p" TERM; '
    "{ read -r _ <&3; kill $p; } >/dev/null 2>&1 & exec 3<&-; wait $p"
)
#: How often it is looked whether the control socket is there.
_LOOK_S = 0.02
_ENDING_S = 1.0
#: Any host will do where the control socket counts, and no configuration; and none is asked where that is gone.
_CLIENT = ("-F", "none", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR")
_NOBODY = "master"


class Connection:
    """A master, with what goes through it; see the protocol in `access`."""

    failure: type[Exception] = OSError

    def __init__(self, access: Access, control: str, master: Process) -> None:
        self.access = access
        self._control = control
        self._master = master
        self._forwarded: dict[str, str] = {}
        self._running: set[asyncio.Task[Any]] = set()

    def client(self, *arguments: str) -> list[str]:
        """Give the command line of an ssh that goes through this one."""
        never = ("-o", "ControlMaster=no", "-o", "ProxyCommand=false")
        return ["ssh", *_CLIENT, *never, "-S", self._control, *arguments]

    def is_closed(self) -> bool:
        """Whether the master has ended."""
        return self._master.returncode is not None

    async def open_socket(self, protocol: Any, path: str) -> None:
        """Open a channel to a unix socket over there."""
        if path not in self._forwarded:
            here = f"{self._control}{len(self._forwarded)}"
            # A colon parts them, and a percent sign begins what ssh replaces.
            far = re.sub(r"([\\:])", r"\\\1", path).replace("%", "%%")
            asking = await asyncio.create_subprocess_exec(
                *self.client("-O", "forward", "-L", f"{here}:{far}", _NOBODY),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
            )
            _, said = await asking.communicate()
            if asking.returncode:
                raise ConnectionError(plain(said.decode("utf-8", "replace")))
            self._forwarded[path] = here
        await asyncio.get_running_loop().create_unix_connection(lambda: protocol, self._forwarded[path])

    async def open_command(self, protocol: Any, line: str) -> None:
        """Open a channel to the streams of a command."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                running = await asyncio.create_subprocess_exec(
                    *self.client("--", _NOBODY, line),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=PIPE,
                )
            await asyncio.get_running_loop().create_unix_connection(lambda: protocol, sock=ours)
        except BaseException:
            ours.close()
            raise
        task = asyncio.ensure_future(_hear(running, protocol))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def start(self, line: str) -> RemoteProcess:
        """Give the login shell over there a line, in a session without terminal."""
        argv = self.client("--", _NOBODY, line)
        running = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        return RemoteProcess(self, running)

    async def files(self) -> Any:
        """Refuse: SFTP is asyncssh's.

        Raises:
            ParentError: always.
        """
        name = self.access.name
        raise ParentError(
            "move files to or from", name, "by the system's ssh only commands run there", host=name
        )

    def close(self) -> None:
        """Have the master end, and so what goes through it."""
        if self._master.stdin is not None:
            self._master.stdin.close()

    async def wait_closed(self) -> None:
        """Wait until all of it has ended."""
        await self.ended(_ENDING_S)
        if not self.is_closed():
            with suppress(ProcessLookupError):  # it has ended just now
                os.killpg(self._master.pid, signal.SIGKILL)
            await self._master.wait()
        if self._running:
            await asyncio.wait(self._running)

    async def ended(self, seconds: float) -> bool:
        """Wait that long for the master to end."""
        with suppress(TimeoutError):  # that is the answer
            await asyncio.wait_for(self._master.wait(), seconds)
        return self.is_closed()


class RemoteProcess:
    """A command over there, as asyncssh has one."""

    def __init__(self, connection: Connection, running: Process) -> None:
        self.stdin, self.stdout, self.stderr = running.stdin, running.stdout, running.stderr
        self._connection = connection
        self._running = running

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs, and where it is not known because the connection was lost."""
        code = self._running.returncode
        return None if code == FAILED and self._connection.is_closed() else code

    async def wait_closed(self) -> None:
        """Wait for its end."""
        if await self._running.wait() == FAILED:
            # The master may be about to end; if it does not, that is the command's own code.
            await self._connection.ended(_LOOK_S * 10)

    def kill(self) -> None:
        """Do nothing: ssh passes no signals on."""

    def close(self) -> None:
        """Let go of it."""
        with suppress(ProcessLookupError):  # it has ended by itself
            self._running.kill()


async def _hear(running: Process, protocol: Any) -> None:
    """See out a command whose streams are somebody's channel, and tell what it says besides."""
    assert running.stderr is not None
    while data := await running.stderr.read(4096):
        protocol.data_received(data, 1)
    await running.wait()


async def connect(access: Access, way: Way, directory: str) -> Connection:
    """Connect and log in, once.

    Args:
        directory: for the control socket; nobody else's.

    Raises:
        HostConnectionError: trying again does not help; a kind of it by what is wrong.
        OSError: nobody is there, or not any more.
    """
    for key in access.client_keys or ():
        if not os.path.exists(key):
            raise access.refused(f"no such private key: {key}")
    jump: Any = await way("")  # one that the configuration names is ssh's own affair
    control = os.path.join(directory, secrets.token_hex(2))
    options = _options(access)
    if jump is not None:
        command = shlex.join(jump.client()).replace("%", "%%")
        options += ["-o", f"ProxyCommand={command} -W '[%h]:%p' {_NOBODY}"]
    argv = ["ssh", *options, "-o", "LogLevel=ERROR", "-o", "ControlMaster=yes", "-S", control, "-N"]
    # In a file, since nobody reads along for as long as it lives.
    with tempfile.TemporaryFile() as said:
        master = await asyncio.create_subprocess_exec(
            *("sh", "-c", _WATCHED, "sh", *argv, "--", access.address.host),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        connection = Connection(access, control, master)
        try:
            while not os.path.exists(control):
                if await connection.ended(_LOOK_S):
                    said.seek(0)
                    text = said.read().decode("utf-8", "replace")
                    raise await _failure(access, jump, options, text, master.returncode)
        except BaseException:
            connection.close()
            await asyncio.shield(connection.wait_closed())
            raise
    return connection


def _options(access: Access) -> list[str]:
    """Give the arguments for ssh that say who is meant, what is told, and that nothing is asked."""
    address = access.address
    settings = {
        "BatchMode": "yes",
        "ClearAllForwardings": "yes",
        "ControlPersist": "no",
        "PermitLocalCommand": "no",
        "RemoteCommand": "none",
        "ConnectTimeout": max(1, round(access.connect_timeout)),
        "ServerAliveInterval": round(access.keepalive),
        "ServerAliveCountMax": KEEPALIVES,
        "StrictHostKeyChecking": "yes" if access.known_hosts is not None else "no",
    }
    if access.known_hosts != "default":
        # ssh takes "none" too, but not where it is to add whom it meets.
        files = [_quoted(each) for each in access.known_hosts or ("/dev/null",)]
        settings |= {"UserKnownHostsFile": " ".join(files), "GlobalKnownHostsFile": "none"}
    if access.client_keys is not None:
        settings["IdentitiesOnly"] = "yes"
    if not access.agent:
        settings["IdentityAgent"] = "none"
    options = ["-T", "-a", "-x"]
    if access.config is False:
        options += ["-F", "none"]
    elif access.config is not True:
        options += [word for each in access.config for word in ("-F", each)]
    options += ["-p", str(address.port)] if address.port is not None else []
    options += ["-l", address.user] if address.user is not None else []
    for each in access.client_keys or ():
        options += ["-i", each]
    return options + [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _quoted(file: str) -> str:
    return '"' + file.replace("%", "%%") + '"'


async def _failure(access: Access, jump: Any, options: list[str], text: str, code: int | None) -> Exception:
    """Make an error of what ssh said before it ended."""
    lower = text.lower()
    if code == 127 and "not found" in lower:
        return access.unreachable("there is no ssh here", "install openssh-client")
    if "identification has changed" in lower or "host key is known" in lower or "host key verif" in lower:
        return await _wrong_key(access, jump, options, text)
    lines = [plain(line) for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else f"ssh ended with {code}"
    if "too many authentication failures" in lower:
        return access.refused(last, TOO_MANY_KEYS)
    if "permission denied" in lower:
        return access.refused(last, f"does `{far_side.login(access.address)}` let you in without a question?")
    # What the hop refused, only its own master is told; the ssh behind it sees its connection end.
    if jump is not None and not jump.is_closed() and "kex_exchange_identification" in lower:
        hop = jump.access
        return JumpError(
            "connect to",
            access.name,
            f"{hop.name} does not lead there: {lines[0]}",
            f"does `{far_side.login(hop.address)}` work, and may it forward there?",
            hop=hop.name,
            host=access.name,
        )
    if "command-line" in lower or "configuration" in lower or "could not resolve" in lower:
        return access.unreachable(last)
    return ConnectionError(last)


async def _wrong_key(access: Access, jump: Any, options: list[str], text: str) -> HostConnectionError:
    """Tell of a host key that is unknown or has changed, as asyncssh's part does."""
    address = access.address
    _, settings = await _said_by("-G", *options, "--", address.host)
    known = dict(line.split(" ", 1) for line in settings.splitlines() if " " in line)
    host, port = known.get("hostkeyalias", known.get("hostname", address.host)), int(known.get("port", 22))
    usual = access.known_hosts == "default"
    files = known.get("userknownhostsfile", "").split() if usual else access.known_hosts
    file = files[0] if files else "~/.ssh/known_hosts"
    changed = "identification has changed" in text.lower()
    if not changed:
        # What it shows, ssh tells of an unknown one only when it tells everything.
        text, _ = await _said_by("-v", *options, "--", address.host, "true")
    shown = re.search(r"SHA256:[\w+/]+", text)
    if shown is None or (f"host key is known for {far_side.label(host, port)}" not in text and not changed):
        return access.unknown(
            plain(text.strip().rpartition("\n")[2]), f"connect once with `{far_side.login(address)}`"
        )
    if changed:
        return access.unknown(*far_side.changed_key(host, port, shown[0], file))
    via = far_side.login(jump.access.address) if jump is not None else ""
    return access.unknown(*far_side.unknown_key(host, port, shown[0], file, via))


async def _said_by(*arguments: str) -> tuple[str, str]:
    """Run ssh, and give what it said on its standard error and output."""
    asked = await asyncio.create_subprocess_exec(
        "ssh", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        out, error = await asked.communicate()
    finally:
        if asked.returncode is None:
            asked.kill()
            await asked.wait()
    return error.decode("utf-8", "replace"), out.decode("utf-8", "replace")
