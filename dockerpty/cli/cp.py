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
from dockerpty.cli.outcome import ERROR, say
from dockerpty.cli.units import size
from dockerpty.cli.writing import wait, writer
from dockerpty.errors import DockerptyError
from dockerpty.transfer import copy_in, copy_out, is_pattern, stream_in, stream_out
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
_BETWEEN_LINES_S = 1.0
_MODE = re.compile("[0-7]{1,4}")
_OWNER = re.compile("([0-9]{1,10}):([0-9]{1,10})")


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    there, sources, here, target = places(line)
    follow_link, keep_owner = line.values["follow_link"], line.values["archive"]
    # In a container it is a name like any other.
    to_stdout, from_stdin = not here and target == STREAM, not there and STREAM in sources
    options = _options(line, inward=bool(here), is_stream=to_stdout or from_stdin)
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
            stream_out(engine, there, sources[0], _writer(), follow_link=follow_link)
            return 0
        if from_stdin:
            stream_in(engine, here, _reader(), target, keep_owner=keep_owner)
            return 0
        shown, quiet = line.values["progress"], line.values["quiet"]
        progress = Progress(
            wanted=not quiet and (shown == "always" or (shown == "auto" and is_terminal(sys.stderr))),
            always=shown == "always",
        )
        options |= {"moved": progress.moved, "notice": progress.tell}

        def copy(source: str) -> str:
            if there:
                return copy_out(engine, there, source, target, **options)
            return copy_in(engine, here, source, target, **options)

        try:
            if len(sources) > 1 or (there and is_pattern(engine, there, sources[0])):
                from dockerpty.cli.several import copy_each

                place = copy_each(
                    engine,
                    there or here,
                    sources,
                    target,
                    inward=bool(here),
                    copy=copy,
                    tell=progress.tell,
                )
            else:
                place = copy(sources[0])
        finally:
            progress.close()
        if not place:
            return ERROR
        progress.sum_up(place)
        return 0
    except KeyboardInterrupt:
        # Whoever ends us finds no half file either.
        return -endings.number
    finally:
        endings.hold()
        engine.close()
        endings.forget()


def places(line: Line) -> tuple[str, list[str], str, str]:
    """Read the operands: the container and the paths of the sources, then those of the target.

    Of the two containers one is empty: that side is here.

    Raises:
        UsageError: one has no path, or they are not from one side to the other.
    """
    see = line.command.see
    read = [split(word) for word in line.words]
    for word, (container, path) in zip(line.words, read, strict=True):
        if not path:
            hint = f"its root is {container}:/" if container else see
            raise UsageError("copy", word or "what has an empty name", "there is no path in it", hint)
    *sources, (here, target) = read
    containers = {container for container, _ in sources}
    words = " to ".join((" ".join(line.words[:-1]), line.words[-1]))
    if len(containers) > 1:
        where = "here and from a container" if "" in containers else "two containers"
        is_flag_last = any(word.startswith("-") and word != STREAM for word in line.words)
        hint = "flags stand before SRC" if is_flag_last else "all sources of a copy are in one place"
        raise UsageError("copy", " ".join(line.words[:-1]), f"they come from {where}", hint)
    (there,) = containers
    if not there and not here:
        hint = "a place in a container is CONTAINER:PATH; without one, `cp` copies"
        raise UsageError("copy", words, "neither is in a container", hint)
    if there and here:
        hint = "copy it here first, or pipe it: dpty cp A:PATH - | dpty cp - B:DIR"
        raise UsageError("copy", words, "both are in a container", hint)
    paths = [path for _, path in sources]
    if len(paths) > 1 and ((not here and target == STREAM) or (not there and STREAM in paths)):
        raise UsageError("copy", words, "a tar stream is of one source", "copy one at a time, or a directory")
    return there, paths, here, target


def _options(line: Line, *, inward: bool, is_stream: bool) -> dict[str, Any]:
    """Read what is said of how to copy."""
    values, see = line.values, line.command.see
    for name in ("mode", "owner", "no_clobber"):
        if is_stream and values[name]:
            flag = "--" + name.replace("_", "-")
            raise UsageError("use", f"{flag} with {STREAM}", "a tar stream goes as it is", see)
    options = {
        "follow_link": values["follow_link"],
        "keep_owner": values["archive"],
        "overwrite": not values["no_clobber"],
    }
    mode, owner = values["mode"], values["owner"]
    if mode is not None:
        if not _MODE.fullmatch(mode):
            raise UsageError("use", f"--mode {mode}", "it takes octal digits, for example 640", see)
        options["mode"] = int(mode, 8)
    if owner is not None:
        numbers = _OWNER.fullmatch(owner)
        # The last number is none of anybody: chown(2) takes it for "leave it".
        if not numbers or max(map(int, numbers.groups())) >= 2**32 - 1:
            raise UsageError("use", f"--owner {owner}", "it takes two numbers, for example 1000:1000", see)
        if not inward:
            hint = "what is copied here is yours; as root, -a keeps the owner that it has there"
            raise UsageError("use", f"--owner {owner}", "it is for what goes into a container", hint)
        if values["archive"]:
            raise UsageError("use", "--owner and -a together", "each says who owns the copy", "leave one out")
        options["owner"] = (int(numbers[1]), int(numbers[2]))
    return options


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
        always: also where nothing can be drawn, in lines.
        clock: of `time.monotonic`.
    """

    def __init__(
        self, *, wanted: bool, always: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.count = 0
        self._wanted = wanted
        self._always = always
        self._clock = clock
        self._next = clock() + _PATIENCE_S
        self._shown: Any = None

    def moved(self, count: int) -> None:
        """Count, and show it once in a while."""
        self.count += count
        if not self._wanted or self._clock() < self._next:
            return
        if can_draw(sys.stderr):
            self._show()
            self._next = self._clock() + _BETWEEN_S
        elif self._always:
            say(f"{size(self.count)} so far", prefix="")
            self._next = self._clock() + _BETWEEN_LINES_S

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
