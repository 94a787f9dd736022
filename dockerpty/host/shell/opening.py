"""A shell opened in a container: how it is started, and the wait until it says that it takes commands."""

from __future__ import annotations

import time

from dockerpty import unstarted
from dockerpty.errors import CannotStart
from dockerpty.host.errors import SessionStartError, ShellNotFoundError
from dockerpty.host.processes import closing, ending_of, killing_on_error
from dockerpty.host.requests import Close, Open, Wait
from dockerpty.host.shell.framing import STDOUT, Framing, driver, refuse_foreign, typed_driver
from dockerpty.host.shell.shell import PROMPT, Shell
from dockerpty.signals import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockerpty.errors import DockerptyError
    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan

#: Seconds until a shell has to be there. A busy engine takes one or two to start an exec.
START_S = 15.0
#: What a shell is given before the caller's own variables: no pager that waits for a key, no files that it reads or
#: writes of its own accord.
ENVIRONMENT = ("PAGER=cat", "GIT_PAGER=cat", "HISTFILE=/dev/null", "ENV=", "BASH_ENV=")

_PLAIN = {"bash": ("--norc", "--noprofile", "--noediting"), "zsh": ("-f",)}
_FOREIGN = "oneshot([...]) and interact work"
_NO_SHELL = "oneshot([...]), put and get need none"
# Characters of what a shell said, in messages.
_SHOWN = 500


def command_line(shell: str, framing: Framing, *, tty: bool, login: bool = False) -> tuple[str, ...]:
    """Give the command line that starts a shell for a session.

    Args:
        shell: a name or path.
        login: it reads its profiles.
    """
    flags = ("-l",) if login else _PLAIN.get(shell.rpartition("/")[2], ())
    # Given its driver, a shell has no line editor, and no option of bash's is for one.
    return (shell, *flags, "-i") if tty else (shell, *flags, "-c", driver(framing.session), shell)


def open_shell(
    container: str,
    shell: str = "auto",
    *,
    tty: bool = True,
    user: str = "",
    workdir: str | None = None,
    environment: Sequence[str] = (),
    size: tuple[int, int] | None = (24, 200),
    privileged: bool = False,
    login: bool = False,
    prompt: str | None = PROMPT,
    timeout: float = START_S,
    encoding: str | None = "utf-8",
    errors: str = "replace",
    host: str = "",
) -> Plan[Shell]:
    """Open a shell in a container, and wait until it takes commands.

    Args:
        container: its full id.
        shell: `auto` is `sh`, `best` is what `find_best` finds; else a name for the PATH, or a path.
        tty: with a terminal of this `size`.
        environment: `NAME=value`; what is set here wins over ENVIRONMENT.
        login: the shell reads its profiles.
        prompt: with a terminal; None keeps the image's.
        timeout: seconds.
        encoding, errors: of what `expect` sees.
        host: its name, for messages.

    Raises:
        ShellNotFoundError: there is no such shell, or it is of another kind than sh.
        SessionStartError: it did not start, or did not answer in time.
        TypeError: `shell` is no text: a program with arguments is no shell.
        NotFound, APIError, EngineUnreachable: as of any exec.
    """
    path = _path(shell, host)
    if path == "best":
        path = yield from find_best(container, user, environment, privileged, host)
    framing = Framing(terminal=tty)
    try:
        channel = yield Open(
            container,
            command_line(path, framing, tty=tty, login=login),
            tty=tty,
            environment=(*(("TERM=dumb",) if tty else ()), *ENVIRONMENT, *environment),
            mark=marker(),
            user=user,
            workdir=workdir,
            privileged=privileged,
            size=size if tty else None,
        )
    except CannotStart as error:
        raise _not_started(path, host, str(error)) from error
    opened = Shell(channel, framing, path, prompt=prompt, encoding=encoding, errors=errors, host=host)
    try:
        # With a terminal nothing else ends a shell that is given up.
        yield from killing_on_error(channel, _greet(opened, prompt, timeout))
    except GeneratorExit:
        # Nobody answers any more.
        channel.close()
        raise
    except BaseException:
        opened.over = True
        yield Close(channel)
        raise
    return opened


def _path(shell: str, host: str) -> str:
    if not isinstance(shell, str):
        raise TypeError(f"a shell is a name or a path, not {shell!r}: a program with arguments is no shell")
    try:
        refuse_foreign(shell)
    except ValueError as error:
        raise ShellNotFoundError("open a session with", shell, str(error), _FOREIGN, host=host) from error
    return "sh" if shell == "auto" else shell


def find_best(
    container: str, user: str = "", environment: Sequence[str] = (), privileged: bool = False, host: str = ""
) -> Plan[str]:
    """Find the best shell that a user has in a container: the one that `dpty shell` opens.

    Raises:
        ShellNotFoundError: there is none.
    """
    # Loaded with all of the bridge, for who asks for it.
    from dockerpty.shell import ELSEWHERE, PROBE

    for command in (("sh", "-c", PROBE), *ELSEWHERE):
        opening = Open(
            container,
            command,
            stdin=False,
            environment=tuple(environment),
            mark=marker(),
            user=user,
            privileged=privileged,
        )
        try:
            channel = yield opening
        except CannotStart:
            continue  # the next shell then
        said = yield from closing(channel, _heard(channel))
        if said is not None:
            return said.decode().strip() or command[0]
    raise ShellNotFoundError("open a session in", container[:12], "there is no shell", _NO_SHELL, host=host)


def _heard(channel: Channel) -> Plan[bytes | None]:
    """Give all that a program says; None if it fails."""
    said, until = b"", time.monotonic() + START_S
    while not channel.ended and time.monotonic() < until:
        said += b"".join(data for stream, data in channel.read() if stream == STDOUT)
        if not channel.ended:
            yield Wait((channel,), until)
    return said if (yield from ending_of(channel)).code == 0 else None


def _greet(shell: Shell, prompt: str | None, timeout: float) -> Plan[None]:
    if shell.tty:
        shell.channel.write(typed_driver(shell.framing.session, prompt))
    until = time.monotonic() + timeout
    while True:
        shell.take()
        if shell.is_ready:
            return
        if shell.channel.ended:
            raise (yield from _why_not(shell))
        if time.monotonic() >= until:
            reason = f"it said nothing that we know within {timeout:g} s{_said(shell)}"
            raise SessionStartError("open a session with", shell.path, reason, host=shell.host)
        yield Wait((shell.channel,), until)


def _why_not(shell: Shell) -> Plan[DockerptyError]:
    """Make the error for a shell that ended before it took commands."""
    if shell.channel.error is not None:
        return SessionStartError("open a session with", shell.path, str(shell.channel.error), host=shell.host)
    end = yield from ending_of(shell.channel)
    text = shell.spilled.peek()
    if end.info and unstarted.never_started(end.info):
        return _not_started(
            shell.path, shell.host, unstarted.without_afterword(text).decode("utf-8", "replace")
        )
    reason = f"it ended with {end.code}" if end.code is not None else str(end.error or "it ended")
    return SessionStartError("open a session with", shell.path, f"{reason}{_said(shell)}", host=shell.host)


def _not_started(path: str, host: str, said: str) -> DockerptyError:
    said = said.strip()
    # Of a directory that is not there the engine says much the same as of a program.
    if "chdir" in said:
        hint = "give a workdir that is there"
        return SessionStartError("open a session with", path, said, hint, host=host)
    if unstarted.exit_code(said.encode(), 0):
        return ShellNotFoundError("open a session with", path, said, _NO_SHELL, host=host)
    return SessionStartError("open a session with", path, said, host=host)


def _said(shell: Shell) -> str:
    said = shell.spilled.peek()[-_SHOWN:].decode("utf-8", "replace").strip()
    return f", but {said!r}" if said else ""
