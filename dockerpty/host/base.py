"""What both faces of a container's host have in common: how it is made, and what is known of it without asking."""

from __future__ import annotations

import select

from dockerpty.container.spec import environment_list
from dockerpty.errors import CannotStart, EngineError, ProtocolError
from dockerpty.host.core import HostCore
from dockerpty.host.errors import of_engine
from dockerpty.host.oneshot import OUTPUT_LIMIT
from dockerpty.host.parents import CommandParent, CommandParentSync
from dockerpty.host.sessions import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from dockerpty.engine.interface import Engine
    from dockerpty.host.oneshot import Keep
    from dockerpty.host.resolve import Start
    from dockerpty.host.sessions import Environment
    from dockerpty.host.transfer.stop import Stop


class ContainerHost:
    """A container as a host; the faces are `DockerContainerHost` and `DockerContainerHostSync`.

    Args:
        parent: whose engine it is on; None for this machine. See `parents`.
        container_id: id, start of an id, name, `compose://PROJECT/SERVICE[/N]` or `label:KEY=VALUE`; empty to find it
            by `compose_project` and `service`.
        project, service: names, of which `id` and `name` are made.
        compose_project: what `docker compose -p` was given.
        log, log_stdout: whether commands are told to the transcript, and whether a console should show them.
        resources: tags of the caller's, kept and not interpreted.
        user, workdir, env: of every command; None is the container's own. `env` is a dict, or a list of `NAME=value`.
        shell: of sessions: `auto` is `sh`; else a name for the PATH, or a path.
        tty: whether sessions have a terminal.
        size: of it, as (rows, cols).
        encoding, errors: of output as text.
        output_limit: bytes of each stream of a command that are kept.
        keep: which of them: `head`, those it began with, or `tail`, those it ended with.
        start: what is done about a container that does not run: False raises, True starts it, a function (a coroutine
            function on a loop) is called to bring it up and gives an id, or nothing.
        name: for logs and messages.
        privileged: whether commands are, as docker's `exec --privileged`.

    Raises:
        ValueError: the reference makes no sense.
        ParentError: the parent cannot find such a container.

    Attributes:
        parent: as above, or what it was wrapped in.
        container_ref: which container was asked for.
        id: never changes: programs key on it.
        is_virtual: always true.
    """

    is_virtual = True

    def __init__(
        self,
        parent: Any = None,
        container_id: str = "",
        project: str = "",
        service: str = "",
        compose_project: str = "",
        log: bool = True,
        log_stdout: bool = True,
        resources: Iterable[Any] = frozenset(),
        *,
        user: str | None = None,
        workdir: str | None = None,
        env: Environment | None = None,
        shell: str = "auto",
        tty: bool = True,
        size: tuple[int, int] = (24, 200),
        encoding: str = "utf-8",
        errors: str = "replace",
        output_limit: int = OUTPUT_LIMIT,
        keep: Keep = "head",
        start: Start = False,
        name: str | None = None,
        privileged: bool = False,
    ) -> None:
        given = {each: value for each, value in locals().items() if each not in ("self", "__class__")}
        if keep not in ("head", "tail"):
            raise ValueError(f"what is kept of much output is its head or its tail, not its {keep!r}")
        options = Options(
            user=user,
            workdir=workdir,
            environment=tuple(environment_list(env)),
            shell=shell,
            tty=tty,
            size=size,
            encoding=encoding,
            errors=errors,
            output_limit=output_limit,
            keep=keep,
            privileged=privileged,
        )
        self.container_ref = container_id
        self.project, self.service, self.compose_project = project, service, compose_project
        self.log, self.log_stdout = log, log_stdout
        self.resources = set(resources)
        self.parent = self._parent_of(parent, options)
        parent_id = str(getattr(self.parent, "id", ""))
        words = [each for each in (project, service) if each]
        self.id = ".".join([parent_id, *words]).lower() if words else f"{parent_id}.{container_id}"
        self.name = name or (f"{parent_id}:{service}" if service else container_id or parent_id)
        self._owns_parent = parent is None
        self._given = given
        self._core = HostCore(
            container_id,
            options,
            compose_project=compose_project,
            service=service,
            start=start,
            name=self.name,
            teller=self,
        )
        self._begin()

    def _begin(self) -> None:
        """Make what the face needs."""
        raise NotImplementedError

    def _parent_of(self, parent: Any, options: Options) -> Any:
        raise NotImplementedError

    @property
    def container_id(self) -> str:
        """Which container it is: as it was given, and its full id once it was found."""
        known = self._core.state.known
        return self.container_ref if known is None else known.id

    @container_id.setter
    def container_id(self, container_id: str) -> None:
        self.rebuild_connections()
        self._core.point_at(container_id, self.compose_project, self.service)
        self.container_ref = container_id

    @property
    def labels(self) -> dict[str, str] | None:
        """The container's, as it was found last; None before."""
        known = self._core.state.known
        return None if known is None else known.labels

    @property
    def image(self) -> str | None:
        """What it was made of, as it was found last; None before."""
        known = self._core.state.known
        return None if known is None else known.image

    @property
    def state(self) -> str | None:
        """Docker's word for its state, as it was found last; None before."""
        known = self._core.state.known
        return None if known is None else known.state

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._core.closed

    def rebuild_connections(self) -> None:
        """Drop every connection and session; the next use opens others. Waits for nothing, and touches no event loop.

        May be called after the loop has ended to which they belonged, and from another thread. What runs in the
        container is ended. Sessions that somebody holds open again, and say so (`restarted`, `session_lost`).
        """
        raise NotImplementedError

    @property
    def _given_parent(self) -> Any:
        """The parent, for another host beside this one."""
        return self.parent if self._typed is None else self._typed.parent

    @property
    def _typed(self) -> Any:
        """The parent, if all that it can do is to run commands and to move files."""
        return self.parent if isinstance(self.parent, (CommandParent, CommandParentSync)) else None

    def _need_engine(self, verb: str) -> None:
        """Raise HostClosedError if this was closed, and ParentError if the parent has no engine for us."""
        self._core.check_open()
        if self._typed is not None:
            refuse = getattr(self._typed, verb, None)
            refuse() if refuse is not None else self._typed.refuse(verb)

    def _refuse_if_typed(self, **given: Any) -> None:
        """Refuse what a parent without an engine cannot do, among arguments that differ from what is usual."""
        for name, value in given.items():
            if value:
                self._typed.refuse(f"give {name}= to a command")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.container_id or 'not found yet'}>"


def bridged(
    engine: Engine,
    container: str,
    options: Options,
    command: Any,
    detach_keys: str | None,
    user: str | None,
    host: str,
    stop: Stop | None = None,
) -> int | None:
    """Bridge the user's terminal to a shell of a container, or to a command in it.

    Args:
        command: a list; a `str` is for `sh -c`; None for the best shell there is.
        stop: ends it from another thread, with all that runs in it.

    Returns:
        its exit code; None after a detach.

    Raises:
        HostError: the engine refused, or is away; `SessionLost`, `TerminalError`, `CannotStart`: as the bridge.
    """
    from dockerpty.exec import ExecOperation
    from dockerpty.pty import PseudoTerminal
    from dockerpty.shell import open_shell

    about: dict[str, Any] = {
        "user": options.user or "" if user is None else user,
        "workdir": options.workdir,
        "environment": list(options.environment),
        "privileged": options.privileged,
        "detach_keys": detach_keys,
        # In a thread that comes to no signals, and has what runs found again, to be ended with this.
        "sig_proxy": stop is not None,
    }
    try:
        if command is None:
            operation, _ = open_shell(engine, container, **about)
        else:
            words = ["sh", "-c", command] if isinstance(command, str) else list(command)
            operation = ExecOperation.create(engine, container, words, **about)
        return PseudoTerminal(engine, operation, beside=None if stop is None else _Stopping(stop)).start()
    except (EngineError, ProtocolError) as error:
        if isinstance(error, CannotStart):
            raise
        raise of_engine(error, host) from error
    finally:
        engine.close()


class _Stopping:
    """Watched by a session's loop: ends it once this was stopped."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def interest(self) -> list[tuple[int, int]]:
        return [(self._stop.fileno(), select.POLLIN)]

    def busy(self) -> bool:
        return False

    def deadline(self) -> float | None:
        return None

    def serve(self, ready: dict[int, int]) -> None:
        self._stop.check()
