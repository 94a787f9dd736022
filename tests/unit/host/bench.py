"""Open shells of this machine, and what the plans of a session do with them, without an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pytest

from dockerpty.host.requests import Open, Wait
from dockerpty.host.results import CommandStatus, RunResult
from dockerpty.host.shell.opening import open_shell
from dockerpty.host.shell.running import run_one
from dockerpty.host.shell.sequence import live, run_many
from dockerpty.host.shell.shell import Shell
from dockerpty.host.shell.waiting import expect, send
from tests.conftest import missing
from tests.unit.host.channels import CONTAINER, Here, LocalChannel, local, wait
from tests.unit.host.shells import ALL, HERE

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

KINDS = [(name, tty) for name in ALL for tty in (False, True)]
IDS = [f"{name}-{'terminal' if tty else 'pipes'}" for name, tty in KINDS]


class Bench:
    """A session with a shell of this machine.

    Attributes:
        shell: the one of now.
        opened: how many there were.
    """

    def __init__(self, name: str, tty: bool, folder: Path) -> None:
        if name not in HERE:
            missing(f"no {name} on this machine")
        self.name = name
        self.tty = tty
        self.folder = folder
        self.here = Here(self._open)
        self.drive = self.here.drive
        self.opened = 0
        self._shell: Shell | None = None

    def _open(self, request: Open) -> LocalChannel:
        first, *rest = request.command
        command = (*HERE.get(first, [first]), *rest)
        return local(replace(request, command=command, workdir=str(self.folder)))

    @property
    def shell(self) -> Shell:
        return self.drive(self.give())

    def open(self, **more: Any) -> Shell:
        """Open a shell that nobody has used, in place of the last."""
        self._shell = self.drive(self.reopen(**more))
        return self._shell

    def reopen(self, **more: Any) -> Plan[Shell]:
        self.opened += 1
        opened = yield from open_shell(CONTAINER, self.name, tty=self.tty, host="here", **more)
        self._shell = opened
        return opened

    def give(self) -> Plan[Shell]:
        return (yield from live(self._shell, self.reopen))

    def run(self, command: Any, **more: Any) -> CommandStatus:
        """Run one command, in the shell that is there."""
        return self.drive(run_one(self._shell or self.shell, command, **more))

    def many(self, commands: Any, **more: Any) -> RunResult:
        """Run commands as a session does."""
        return self.drive(run_many(commands, self.give, **more))

    def send(self, text: str | bytes) -> None:
        self.drive(send(self.shell, text))

    def expect(self, patterns: Any, *args: Any, **more: Any) -> Any:
        return self.drive(expect(self._shell or self.shell, patterns, *args, **more))

    def until(self, is_so: Callable[[], bool]) -> None:
        """Read what the shell says until something is so."""
        while not is_so():
            wait(Wait((self.shell.channel,)))
            self.shell.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.here.__exit__(kind, error, trace)


def benches(kinds: list[tuple[str, bool]], ids: list[str]) -> Any:
    """Make a fixture of a session of each kind."""

    @pytest.fixture(params=kinds, ids=ids)
    def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
        name, tty = request.param
        with Bench(name, tty, tmp_path) as made:
            yield made

    return bench
