"""What all benches stand on: who takes part, a container, how much, and what is told meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contenders import DPTY, Contender
from benchmarks.figures import DOCKER, Sample
from benchmarks.measure import Run, launch

IMAGE = "busybox"
MIB = 1024 * 1024


@dataclass
class Stage:
    """See the module.

    Attributes:
        clients: who takes part.
        quick: a smoke run: does it work, not how fast is it.
        scratch: a directory for files.
    """

    clients: list[Contender]
    quick: bool
    scratch: Path
    container: str = ""
    rounds: int = field(init=False)

    def __post_init__(self) -> None:
        self.rounds = 1 if self.quick else 7

    def size(self, full: int, quick: int) -> int:
        """Choose how much, for this kind of run."""
        return quick if self.quick else full

    def that_do(self, word: str) -> list[Contender]:
        """Return the clients that know a word."""
        return [client for client in self.clients if word in client.does]

    def only(self, *names: str) -> list[Contender]:
        """Return the clients of these names, as far as they are there."""
        return [client for client in self.clients if client.name in names]

    def dpty(self, *words: str) -> str:
        """Run our own command for what has to be set up."""
        (client,) = self.only(DPTY)
        return subprocess.run(
            client.line(*words), stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()

    def tell(self, text: str) -> None:
        """Show how far it is, where somebody may look."""
        if sys.stderr.isatty():
            width = os.get_terminal_size(2).columns
            print(f"\r\x1b[K{text[: width - 1]}", end="", file=sys.stderr, flush=True)
        else:
            print(f"bench: {text}", file=sys.stderr, flush=True)

    @contextmanager
    def container_running(self) -> Iterator[None]:
        """Have a container for as long as this lasts."""
        self.container = self.dpty(
            "run", "-d", "--network", "none", "--label", "dockerpty.bench=1", IMAGE, "sleep", "100000"
        )
        try:
            yield
        finally:
            subprocess.run(
                [*self.only(DOCKER)[0].command, "rm", "-f", self.container],
                stdout=subprocess.PIPE,
                check=True,
            )

    def runs(
        self,
        clients: list[Contender],
        words: list[str],
        *,
        stdin: str = "null",
        sink: str = "null",
        is_right: Callable[[Run], bool],
        environment: dict[str, str] | None = None,
    ) -> dict[str, Callable[[], Sample]]:
        """Make of each client what `take_turns` calls: one command line for all."""

        def runner(client: Contender) -> Callable[[], Sample]:
            def once() -> Sample:
                done = launch(client.line(*words), stdin=stdin, sink=sink, environment=environment)
                return done.sample._replace(exact=is_right(done))

            return once

        return {client.name: runner(client) for client in clients}
