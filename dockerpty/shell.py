"""Which shell a container has, and the toolbox beside one that has none.

A container is asked by execs without a terminal, and nothing is put into it. A toolbox is a container of ours that
shares the target's processes and network, and sees its files at `/proc/1/root`: the kernel lets a process look there
that has the same user and no fewer capabilities (ptrace(2), PTRACE_MODE_READ), so it has those of the target.
"""

from __future__ import annotations

import os
import select
import time

from dockerpty import log
from dockerpty.container import ending
from dockerpty.container.answer import hear
from dockerpty.container.creation import create_exec
from dockerpty.container.ownership import our_labels
from dockerpty.container.reference import identity, name_for
from dockerpty.container.spec import exec_config
from dockerpty.container.state import is_ready, refusal
from dockerpty.engine import calls
from dockerpty.engine.pull import with_image
from dockerpty.errors import APIError, CannotStart, DockerptyError, ImageNotFound, NotFound
from dockerpty.exec import ExecOperation
from dockerpty.operation import ask
from dockerpty.result import CANNOT_RUN_CODE, NOT_FOUND_CODE, start_error_code
from dockerpty.unstarted import never_started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Self

    from dockerpty.engine.interface import Engine
    from dockerpty.engine.transport import Transport
    from dockerpty.loop import Loop

_log = log.get(__name__)

#: What is opened where there is no shell, if the engine has one of them: small, and with tools.
TOOLBOXES = ("busybox", "alpine")

# A busy engine takes a second to start an exec; what takes this long hangs.
_ANSWER_LIMIT_S = 15.0
_START_LIMIT_S = 120.0
# For a toolbox that was asked for and is not wanted any more; what comes later is for `dpty prune`.
_TAKE_BACK_S = 2.0
# Podman leaves an exec running when the toolbox has ended, and then can neither remove that nor be asked to end this:
# so many seconds are the guardian's.
_PODMANS_REST = "5"
# For the rest of the output of a toolbox that has ended.
_ENDED_SILENCE_S = 0.3

# The login shell of the user that we are, unless it is there to keep people out, or the best of the others. With
# nothing but what every sh has built in: there may be no other program.
PROBE = r"""
uid=
while read -r key _ effective _; do
  case $key in Uid:) uid=$effective;; esac
done </proc/self/status
if [ -r /etc/passwd ]; then
  while IFS=: read -r _ _ number _ _ _ shell || [ -n "$shell" ]; do
    [ "$number" = "$uid" ] || continue
    case ${shell##*/} in
      nologin|false|true|sync|halt|shutdown|poweroff|reboot|git-shell) ;;
      *) if [ -f "$shell" ] && [ -x "$shell" ]; then echo "$shell"; exit 0; fi;;
    esac
    break
  done </etc/passwd
fi
IFS=:
for name in bash zsh ash sh; do
  for folder in $PATH; do
    if [ -f "$folder/$name" ] && [ -x "$folder/$name" ]; then echo "$folder/$name"; exit 0; fi
  done
done
echo sh
"""
# Where there is no `sh` on the PATH: each with a way to start it and do nothing.
ELSEWHERE = tuple((path, "-c", ":") for path in ("/bin/sh", "/bin/bash", "/busybox/sh", "/bin/ash"))
_WINDOWS = (("powershell", "-Command", "exit"), ("cmd", "/c", "exit"))

# A toolbox's first process: says whose the target's is, then waits until whoever attached to it has gone.
_KEEPER = r"""
while read -r line; do
  case $line in Uid:*|Gid:*) echo "$line";; esac
done <"/proc/$1/status" && echo . || exit 1
while read -r line; do :; done
[ -z "$2" ] || sleep "$2"
"""
_SAID = b"\n.\n"
_LOOK = 'cd "$1" 2>/dev/null || exit 126\n' + PROBE
_ENTER = 'cd "$1$2" 2>/dev/null || cd "$1" || exit 126; shift 2; exec "$@"'


def find_shell(
    client: Engine,
    container: Any,
    *,
    user: str = "",
    environment: Sequence[str] = (),
    privileged: bool = False,
) -> str:
    """Find the best shell that a user has in a running container.

    That is his login shell in the container's /etc/passwd, or the first on the PATH of bash, zsh, ash, sh; if not even
    `sh` is there, the first that starts of /bin/sh, /bin/bash, /busybox/sh, /bin/ash.

    Args:
        user, environment, privileged: as for the exec that is to run it.

    Returns:
        its path, or a name for the PATH.

    Raises:
        CannotStart: there is none (127), or no process can be started there at all.
        NotFound, APIError: there is no such container, or it does not run.
    """

    def ask(words: list[str]) -> _Answer:
        return _ask(client, container, exec_config(words, False, False, variables, user, None, privileged))

    who, variables = name_for(container), list(environment)
    answer = ask(["sh", "-c", PROBE])
    if answer.started:
        return answer.shell(who)
    info = client.send(calls.inspect_container(identity(container)), subject=who).json()
    for shell, *does_nothing in _WINDOWS if info.get("Platform") == "windows" else ELSEWHERE:
        if ask([shell, *does_nothing]).started:
            return shell
    raise CannotStart("open a shell in", who, "it has none")


def shell_command(shell: str, words: Sequence[str] = (), login: bool = False) -> list[str]:
    """Give the command line that opens a shell, or has it run something.

    Args:
        words: one is a line for the shell, with all its signs; more are a program and its arguments, taken as they are.
    """
    command = [shell, "-l"] if login else [shell]
    if len(words) == 1:
        command += ["-c", words[0]]
    elif words:
        command += ["-c", 'exec "$@"', shell, *words]
    return command


class Toolbox:
    """A container beside another one, with a shell and tools, which sees the other's files and processes.

    It ends when its connection to this process does, however that comes about, and is removed then. Use it as a context
    manager, and run execs in it.

    Attributes:
        id, name: of the toolbox; the name is for messages.
        image: what it was made from.
        root: where the target's files are.
        user: whose the target's first process is, as `uid:gid`, unless another was asked for.
        environment: the variables for its shell: those given, and a prompt that works at `root`.
        shell: the best that it has.
        ended: it has, with its target or by somebody's hand.
    """

    def __init__(
        self,
        client: Engine,
        container: Any,
        image: str | None = None,
        *,
        user: str = "",
        environment: Sequence[str] = (),
        privileged: bool = False,
    ) -> None:
        """Create it, start it, and see that it may look at the target's files.

        Args:
            client: the engine; not closed here.
            container: the target, which runs.
            image: to make it from; by default the first of `TOOLBOXES` that the engine has.
            user, environment, privileged: as for the exec that is to run its shell.

        Raises:
            NotFound: there is no such container; ImageNotFound: or no such image.
            CannotStart: no image was named, and none is there (127); the target's files may not be looked at (126).
            APIError: the target does not run, or the engine cannot start a toolbox.
        """
        self._engine = client
        self._stream: Transport | None = None
        self.id = ""
        self.ended = False
        target = client.send(calls.inspect_container(identity(container)), subject=name_for(container)).json()
        target_name = target.get("Name", "").lstrip("/") or target["Id"][:12]
        first = _first_process(target, target_name)
        self.root = f"/proc/{first}/root"
        self.name = f"the toolbox beside {target_name}"
        self._folder = str(target["Config"].get("WorkingDir") or "")
        try:
            self.image = self._create(target, target_name, first, image)
            owner = self._start(target_name)
            self.user = user or owner
            self.environment = _with_prompt(environment, self.user)
            self.shell = self._look(target_name, owner, privileged)
        except BaseException:
            self.close()
            raise

    def command(self, words: Sequence[str], workdir: str | None = None) -> list[str]:
        """Give the command line that runs `words` in a directory of the target's, its root if that is not there."""
        folder = f"/{workdir.lstrip('/')}" if workdir else ""
        return ["sh", "-c", _ENTER, "sh", self.root, folder or self._folder, *words]

    def interest(self) -> Sequence[tuple[int, int]]:
        """Give its connection to a loop that is to see its end."""
        return () if self._stream is None or self.ended else ((self._stream.fileno(), select.POLLIN),)

    def busy(self) -> bool:
        return False

    def deadline(self) -> float | None:
        return 0.0 if self._stream is not None and not self.ended and self._stream.pending() else None

    def serve(self, ready: dict[int, int]) -> None:
        """See whether it has ended."""
        if self._stream is None:
            return
        try:
            self.ended = self.ended or not self._stream.recv(4096)
        except BlockingIOError:
            return  # it lives
        except OSError as error:
            _log.debug("toolbox lost: %s", error)
            self.ended = True

    def close(self) -> None:
        """Remove it, with all that runs in it. Idempotent.

        It ends by itself when we have gone: an engine that cannot be asked any more is no error here.
        """
        if not self.id:
            return
        container, self.id = self.id, ""
        try:
            self._engine.send(calls.remove_container(container, force=True, volumes=True), subject=self.name)
        except DockerptyError as error:
            # Mostly that its own end removes it at this moment.
            _log.debug("toolbox not removed: %s", error)
        finally:
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _create(self, target: dict[str, Any], who: str, first: int, image: str | None) -> str:
        """Create it, and return the image that it is made from."""
        name = f"dpty-toolbox-{os.urandom(4).hex()}"
        for candidate in TOOLBOXES if image is None else (image,):
            config = toolbox_config(candidate, target, first, bool(self._engine.is_podman))
            try:
                reply = self._engine.send(calls.create_container(config, name), timeout=_START_LIMIT_S)
                self.id = str(reply.json()["Id"])
            except ImageNotFound:
                if image is not None:
                    raise
                continue
            except APIError:
                raise
            except BaseException:
                # Ctrl-C, mostly: nobody knows whether it is there, or will be in a moment.
                self._take_back(name)
                raise
            return candidate
        raise CannotStart(
            "open a toolbox beside",
            who,
            f"the engine has none of the images {', '.join(TOOLBOXES)}",
            "pull one of them, or name another with --toolbox",
        )

    def _take_back(self, name: str) -> None:
        """Remove what the engine may be about to create: it goes on with that when nobody waits for the answer."""
        until = time.monotonic() + _TAKE_BACK_S
        call = calls.remove_container(name, force=True, volumes=True)
        try:
            while time.monotonic() < until:
                try:
                    self._engine.send(call, timeout=_TAKE_BACK_S)
                    return
                except NotFound:
                    time.sleep(0.05)
        except DockerptyError as error:
            _log.debug("toolbox not taken back: %s", error)

    def _start(self, who: str) -> str:
        """Start it, and return whose the target's first process is."""
        attach = calls.attach_container(self.id, stdin=True, stdout=True, stderr=True)
        self._stream = self._engine.hijack(attach, subject=self.name)
        self._engine.send(calls.start_container(self.id), subject=self.name, timeout=_START_LIMIT_S)
        said, problem = _read(self._stream, lambda out: out.endswith(_SAID), self.name)
        found = {}
        for line in said.decode("utf-8", "replace").splitlines():
            key, _, numbers = line.partition(":")
            if numbers:
                found[key] = numbers.split()[1]
        if "Uid" not in found or "Gid" not in found:
            reason = problem.decode("utf-8", "replace").strip() or f"its first process is not at {self.root}"
            raise CannotStart("look into", who, reason, exit_code=CANNOT_RUN_CODE)
        return f"{found['Uid']}:{found['Gid']}"

    def _look(self, who: str, owner: str, privileged: bool) -> str:
        """Return the best shell of the toolbox, for a user who may look at the target's files."""
        words = ["sh", "-c", _LOOK, "sh", self.root]
        config = exec_config(words, False, False, self.environment, self.user, None, privileged)
        answer = _ask(self._engine, self, config)
        if answer.started and answer.code == CANNOT_RUN_CODE:
            if self.user != owner:
                reason = f"its first process belongs to user {owner}, and {self.user} may not look into it"
                hint = "leave out --user"
            else:
                reason = f"the engine lets nobody look into its first process, also not its own user {owner}"
                hint = "`dpty cp` may still work"
            raise CannotStart("see the files of", who, reason, hint, CANNOT_RUN_CODE)
        if not answer.started:
            raise CannotStart("open a shell in", self.name, answer.why, exit_code=CANNOT_RUN_CODE)
        return answer.shell(self.name)


class ToolboxOperation(ExecOperation):
    """An exec in a toolbox, which ends with it.

    Engine 20.10 does not end the stream of an exec with a terminal when the processes of its container die with those
    of another container.
    """

    toolbox: Toolbox
    #: It goes with this session, which nobody else shares it with.
    owns_toolbox = False

    def _create(self, container: Any, *args: Any, **kwargs: Any) -> None:
        self.toolbox = container
        super()._create(container, *args, **kwargs)

    def _bind(self, loop: Loop) -> None:
        super()._bind(loop)
        loop.watch(self.toolbox)
        loop.at(self._ended_at, self._note_end)

    def _ended_at(self) -> float | None:
        return 0.0 if self.toolbox.ended and self._silence_s != _ENDED_SILENCE_S else None

    def _note_end(self) -> None:
        self._silence_s = _ENDED_SILENCE_S

    def _silent(self) -> None:
        if self.toolbox.ended:
            self._over = True
        else:
            super()._silent()

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            if self.owns_toolbox:
                self.toolbox.close()


def open_shell(
    client: Engine,
    container: Any,
    words: Sequence[str] = (),
    interactive: bool = True,
    *,
    shell: str | None = None,
    login: bool = False,
    toolbox: str | None = None,
    fetch: Callable[[], None] | None = None,
    user: str = "",
    environment: Sequence[str] = (),
    workdir: str | None = None,
    privileged: bool = False,
    **session: Any,
) -> tuple[ExecOperation, str]:
    """Return the operation that opens the best shell of a container, or one in a toolbox if it has none.

    Args:
        words, login: as for `shell_command`.
        shell: this one, without looking for the best.
        toolbox: the image of one that is to be opened whatever the container has.
        fetch: called to fetch that image where the engine does not have it.
        Others: as `ExecOperation.create` takes them.

    Returns:
        the operation, with the toolbox its own, and what its user should know of that; "" without one.

    Raises:
        CannotStart: there is no shell, and nothing to make a toolbox of (127); or as `Toolbox`.
        NotFound, APIError: there is no such container, or it does not run.
    """
    process: dict[str, Any] = {"user": user, "environment": environment, "privileged": privileged}
    missing: CannotStart | None = None
    if toolbox is None:
        try:
            best = shell or find_shell(client, container, **process)
        except CannotStart as error:
            if error.exit_code != NOT_FOUND_CODE:
                raise
            missing = error
        else:
            command = shell_command(best, words, login)
            process["workdir"] = workdir
            return ExecOperation.create(client, container, command, interactive, **process, **session), ""
    box = _toolbox(client, container, toolbox, fetch, missing, process)
    try:
        process.update(user=box.user, environment=box.environment)
        command = box.command(shell_command(shell or box.shell, words, login), workdir)
        beside = ToolboxOperation.create(client, box, command, interactive, **process, **session)
    except BaseException:
        box.close()
        raise
    beside.owns_toolbox = True
    who = name_for(container)
    why = f"{who} has no shell: " if missing is not None else ""
    return beside, (
        f"{why}this is one from {box.image}, in a container beside {who} that ends with it;"
        f" the files of {who} are in {box.root}"
    )


def _toolbox(
    client: Engine,
    container: Any,
    image: str | None,
    fetch: Callable[[], None] | None,
    missing: CannotStart | None,
    process: dict[str, Any],
) -> Toolbox:
    """Make the toolbox that was asked for, or that stands for what is missing."""

    def make() -> Toolbox:
        return Toolbox(client, container, image, **process)

    try:
        return make() if image is None or fetch is None else with_image(make, fetch)
    except CannotStart as error:
        if missing is None or error.exit_code != NOT_FOUND_CODE or isinstance(error, APIError):
            raise
        hint = f"{error.hint} to open one beside it; `dpty cp` needs none"
        reason = f"{missing.reason}, and {error.reason}"
        raise CannotStart(missing.action, missing.subject, reason, hint) from error


def toolbox_config(image: str, target: dict[str, Any], first: int, is_podman: bool = False) -> dict[str, Any]:
    """Make the body of `POST /containers/create` of a toolbox.

    Args:
        target: the inspection of the container that it is to stand beside.
        first: the number of the target's first process, as the toolbox sees it.
        is_podman: whether the engine is Podman's service.
    """
    host = target["HostConfig"]
    beside = f"container:{target['Id']}"
    # Names of groups are the target's own.
    groups = [group for group in host.get("GroupAdd") or [] if group.isdigit()]
    config: dict[str, Any] = {
        "Image": image,
        "Entrypoint": ["sh", "-c", _KEEPER, "sh", str(first), *([_PODMANS_REST] if is_podman else [])],
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/",
        # It ends with the connection that holds its stdin: when we leave, and when we are killed.
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": our_labels("toolbox"),
        "HostConfig": {
            "AutoRemove": True,
            "PidMode": "host" if host.get("PidMode") == "host" else beside,
            "NetworkMode": beside,
            # Of Docker the host's name comes with the network, and that engine knows no such mode.
            **({"UTSMode": beside} if is_podman else {}),
            "GroupAdd": groups,
            # Whoever has fewer capabilities than a process, or another user namespace, may not look into it.
            **{
                key: host[key]
                for key in ("CapAdd", "CapDrop", "SecurityOpt", "UsernsMode", "Privileged", "Runtime")
                # "oci" is no runtime: Podman calls all of them so.
                if host.get(key) and host[key] != "oci"
            },
        },
    }
    return config


def _with_prompt(environment: Sequence[str], user: str) -> list[str]:
    # The kernel has no name for a directory beyond the toolbox's own root, and the default prompt of busybox asks it
    # for one each time. The shell itself knows where it is.
    if any(entry.partition("=")[0] == "PS1" for entry in environment):
        return list(environment)
    sign = "#" if user.partition(":")[0] in ("0", "root") else "$"
    return [*environment, f"PS1=$PWD {sign} "]


def _first_process(target: dict[str, Any], who: str) -> int:
    """Return the number of a container's first process, as those see it who share its processes."""
    state, mode = target["State"], target["HostConfig"].get("PidMode") or ""
    if not is_ready(state):
        raise refusal("open a shell in", who, state)
    if mode.startswith("container:"):
        raise CannotStart(
            "look into",
            who,
            "it shares the processes of another container, and which are its own cannot be told",
            exit_code=CANNOT_RUN_CODE,
        )
    return int(state["Pid"]) if mode == "host" else 1


class _Answer:
    """What became of an exec that was asked something.

    Attributes:
        started: its program ran.
        code: its exit code, None where the engine does not know it.
        out: the last line of its output.
        why: it did not start.
    """

    __slots__ = ("code", "out", "started", "why")

    def __init__(self, started: bool, code: int | None, out: str, why: str = "") -> None:
        self.started = started
        self.code = code
        self.out = out
        self.why = why

    def shell(self, who: str) -> str:
        """Return the shell that it names."""
        if self.code or not self.out:
            reason = "its sh named none" if self.code is None else f"its sh ended with {self.code}"
            raise CannotStart("find a shell in", who, reason, "name one with --shell")
        return self.out


def _ask(engine: Engine, container: Any, config: dict[str, Any]) -> _Answer:
    """Run an exec without a terminal to its end.

    Raises:
        CannotStart: the engine could not start it, and not for want of its program.
    """
    who = name_for(container)
    exec_id = create_exec(engine, identity(container), config, who).json()["Id"]
    try:
        stream = engine.hijack(calls.start_exec(exec_id, tty=False), subject=f"in {who}")
    except APIError as error:
        # Podman, and newer engines, answer what older ones write into the stream.
        return _unstarted(who, error.explanation, 0)
    try:
        out, err = _read(stream, lambda _: False, who)
    finally:
        stream.close()
    end = ask(engine, ending.of_exec(exec_id, identity(container)))
    if end.error is not None:
        raise end.error
    if never_started(end.info) and (out or err):
        return _unstarted(who, (out or err).decode("utf-8", "replace"), end.code or 0)
    lines = out.decode("utf-8", "surrogateescape").split("\n")
    return _Answer(True, end.code, next((line for line in reversed(lines) if line), ""))


def _unstarted(who: str, text: str, code: int) -> _Answer:
    text = " ".join(text.split())
    known = start_error_code(text, 0)
    # The directory that it was to start in is not there: no other program would start, either.
    if known and "chdir to cwd" not in text:
        return _Answer(False, known, "", text)
    raise CannotStart("start a process in", who, text, exit_code=code or CANNOT_RUN_CODE)


def _read(stream: Transport, is_enough: Callable[[bytes], bool], who: str) -> tuple[bytes, bytes]:
    """Read what comes on stdout and on stderr, until it is enough or the stream ends."""
    try:
        return hear(stream, is_enough, _ANSWER_LIMIT_S)
    except TimeoutError:
        reason = f"no answer within {_ANSWER_LIMIT_S:g} s"
        raise DockerptyError("look for a shell in", who, reason, "name one with --shell") from None
