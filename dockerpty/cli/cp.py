"""`dpty cp`: copy files between this machine and a container."""

from __future__ import annotations

import os
import re
import select
import sys
import time

from dockerpty.cli.endings import Endings
from dockerpty.cli.engine import container_named, engine_of
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.looks import can_draw, clean, console
from dockerpty.cli.outcome import say
from dockerpty.cli.units import size
from dockerpty.cli.writing import wait, writer
from dockerpty.errors import DockerptyError
from dockerpty.transfer import copy_in, copy_out, stream_in, stream_out
from dockerpty.tree import PIECE
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from dockerpty.cli.grammar import Line

STREAM = "-"
# A container that is found by its labels, and the path in it.
_BY_LABELS = re.compile(r"(compose://[^:]*|label:[^:=]+=[^:]*):(.*)", re.DOTALL)
# What is done sooner needs no progress, and need not wait for `rich` to be loaded.
_PATIENCE_S = 0.5
_BETWEEN_S = 0.1


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    (there, source), (here, target) = places(line)
    follow_link, keep_owner = line.values["follow_link"], line.values["archive"]
    # In a container it is a name like any other.
    to_stdout, from_stdin = not here and target == STREAM, not there and source == STREAM
    if to_stdout and is_terminal(sys.stdout):
        raise DockerptyError(
            "write a tar archive to",
            "the terminal",
            hint="give a file or a program for it: `> FILE`, `| tar t`",
        )
    engine = engine_of(line)
    endings = Endings()
    try:
        there, here = (container_named(engine, each) for each in (there, here))
        if to_stdout:
            stream_out(engine, there, source, _writer(), follow_link=follow_link)
            return 0
        if from_stdin:
            stream_in(engine, here, _reader(), target, keep_owner=keep_owner)
            return 0
        progress = Progress(wanted=is_terminal(sys.stderr) and not line.values["quiet"])
        options: dict[str, Any] = {
            "follow_link": follow_link,
            "keep_owner": keep_owner,
            "moved": progress.moved,
            "notice": progress.tell,
        }
        try:
            if there:
                place = copy_out(engine, there, source, target, **options)
            else:
                place = copy_in(engine, here, source, target, **options)
        finally:
            progress.close()
        progress.sum_up(place)
        return 0
    except KeyboardInterrupt:
        # Whoever ends us finds no half file either.
        return -endings.number
    finally:
        endings.hold()
        engine.close()
        endings.forget()


def places(line: Line) -> tuple[tuple[str, str], tuple[str, str]]:
    """Read the two operands, of which one is in a container.

    Raises:
        UsageError: one is empty, or both are here or in containers.
    """
    see = line.command.see
    source, target = (split(word) for word in line.words)
    for word, (container, path) in zip(line.words, (source, target), strict=True):
        if not path:
            hint = f"its root is {container}:/" if container else see
            raise UsageError("copy", word or "what has an empty name", "there is no path in it", hint)
    if not source[0] and not target[0]:
        hint = "a place in a container is CONTAINER:PATH; without one, `cp` copies"
        raise UsageError("copy", " to ".join(line.words), "neither is in a container", hint)
    if source[0] and target[0]:
        hint = "copy it here first, or pipe it: dpty cp A:PATH - | dpty cp - B:DIR"
        raise UsageError("copy", " to ".join(line.words), "both are in a container", hint)
    return source, target


def split(word: str) -> tuple[str, str]:
    """Split an operand into container and path; the first is empty for what is here.

    A name that begins with a slash or a dot is here, whatever colons are in it. Who is found by labels has a colon
    before them; one within them would be taken for the one before the path.
    """
    by_labels = _BY_LABELS.fullmatch(word)
    if by_labels:
        return by_labels[1], by_labels[2]
    container, colon, path = word.partition(":")
    if not colon or word.startswith(("/", ".")):
        return "", word
    if not container:
        raise UsageError(
            "copy", word, "there is no container before the colon", "for a file here, write ./ first"
        )
    return container, path


class Progress:
    """How much was copied: on a terminal while it takes time, and in a line at its end.

    Args:
        wanted: there is somebody to look at it.
        clock: of `time.monotonic`.
    """

    def __init__(self, *, wanted: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self._wanted = wanted
        self._clock = clock
        self._next = clock() + _PATIENCE_S
        self._shown: Any = None

    def moved(self, count: int) -> None:
        """Count, and show it once in a while."""
        self.count += count
        if self._wanted and self._clock() >= self._next and can_draw(sys.stderr):
            self._show()
            self._next = self._clock() + _BETWEEN_S

    def tell(self, text: str) -> None:
        """Say a line on stderr, above what is shown."""
        if self._shown is None:
            say(text)
        else:
            self._shown.console.print(f"dpty: {clean(text)}", markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take away what is shown."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None

    def sum_up(self, place: str) -> None:
        """Say what was done."""
        if self._wanted:
            say(f"Successfully copied {size(self.count)} to {clean(place)}", prefix="")

    def _show(self) -> None:
        if self._shown is None:
            from rich.progress import FileSizeColumn, SpinnerColumn, TransferSpeedColumn
            from rich.progress import Progress as Rows

            # Refreshed from here only: no thread of rich's is at work when a signal ends us.
            self._shown = Rows(
                SpinnerColumn(),
                FileSizeColumn(),
                TransferSpeedColumn(),
                console=console(sys.stderr),
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._shown.start()
            self._task = self._shown.add_task("", total=None)
        self._shown.update(self._task, completed=self.count)
        self._shown.refresh()


def _writer() -> Callable[[bytes], None]:
    if sys.stdout is None:
        raise DockerptyError("write to", "stdout", "it is closed")
    return writer(sys.stdout, "stdout")


def _reader() -> Iterator[bytes]:
    if sys.stdin is None:
        raise DockerptyError("read", "stdin", "it is closed")
    return _read_all(sys.stdin.fileno())


def _read_all(fd: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(fd, PIECE)
        except BlockingIOError:
            wait(fd, select.POLLIN)
            continue
        if not data:
            return
        yield data
