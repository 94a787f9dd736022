"""`dpty shell`: in the container or beside it, with which words, and what is said about it."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dockerpty.cli import shell
from dockerpty.cli.grammar import Line, read
from dockerpty.cli.table import COMMANDS
from dockerpty.errors import APIError, CannotStart, ImageNotFound, NotFound, StartRefused


class Nobody:
    """An engine that is only closed."""

    def close(self) -> None:
        """Nothing is open."""


class Box:
    """A toolbox that is only looked at."""

    id, name, image, root = "7", "the toolbox beside web", "busybox", "/proc/1/root"
    user, shell = "1000:1000", "/bin/ash"
    environment = ("PS1=$ ",)
    closed = False

    def close(self) -> None:
        self.closed = True

    def command(self, words: list[str], workdir: str | None = None) -> list[str]:
        return ["enter", workdir or "", *words]


class Seen:
    """What was made of a command line."""

    def __init__(self) -> None:
        self.operation: tuple[Any, list[str], bool] | None = None
        self.options: dict[str, Any] = {}
        self.found: str | CannotStart = "/bin/bash"
        self.asked: dict[str, Any] | None = None
        self.box = Box()
        self.images: list[str | None] = []
        self.pulled: list[str] = []
        self.problem: Exception | None = None
        self.refusal: Exception | None = None
        self.box_is_left = False

    def run(self, text: str, *words: str) -> int:
        return shell.command(read(COMMANDS["shell"], [*text.split(), *words]))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen()

    def find(engine: Any, container: str, **options: Any) -> str:
        seen.asked = options
        if isinstance(seen.found, CannotStart):
            raise seen.found
        return seen.found

    def toolbox(engine: Any, container: str, image: str | None = None, **options: Any) -> Box:
        seen.images.append(image)
        seen.asked = options
        if seen.problem is not None:
            problem, seen.problem = seen.problem, None
            raise problem
        return seen.box

    class Operation:
        owns_toolbox = False

        @classmethod
        def create(
            cls, engine: Any, container: Any, argv: list[str], interactive: bool = True, **options: Any
        ) -> Operation:
            if seen.refusal is not None:
                raise seen.refusal
            seen.operation, seen.options = (container, argv, interactive), options
            return cls()

    def bridge(engine: Any, operation: Operation, line: Line) -> int:
        seen.box_is_left = operation.owns_toolbox
        return 7

    monkeypatch.setattr(shell, "engine_of", lambda common: Nobody())
    monkeypatch.setattr("dockerpty.shell.find_shell", find)
    monkeypatch.setattr("dockerpty.shell.Toolbox", toolbox)
    monkeypatch.setattr("dockerpty.shell.ExecOperation", Operation)
    monkeypatch.setattr("dockerpty.shell.ToolboxOperation", Operation)
    monkeypatch.setattr(shell, "bridge", bridge)
    monkeypatch.setattr(
        "dockerpty.cli.pull.pull", lambda engine, image, *rest, **more: seen.pulled.append(image)
    )
    return seen


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def test_the_shell_that_was_found_is_opened(seen: Seen) -> None:
    assert seen.run("-u me -e A=1 -w /srv web") == 7
    assert seen.asked == {"user": "me", "environment": ["A=1"], "privileged": False}
    assert seen.operation == ("web", ["/bin/bash"], True)
    assert (seen.options["user"], seen.options["environment"], seen.options["workdir"]) == (
        "me",
        ["A=1"],
        "/srv",
    )


def test_with_shell_nobody_is_asked(seen: Seen) -> None:
    seen.run("--shell /bin/fish --login web")
    assert (seen.asked, seen.operation) == (None, ("web", ["/bin/fish", "-l"], True))


@pytest.mark.parametrize("dashes", [["--"], []])
def test_words_are_for_the_shell_to_run(dashes: list[str], seen: Seen) -> None:
    seen.run("web", *dashes, "ls | wc")
    assert seen.operation == ("web", ["/bin/bash", "-c", "ls | wc"], True)


def test_a_terminal_is_given_only_where_stdin_and_stdout_are_terminals(
    seen: Seen, terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nothing:
        for stdin, stdout, flags, wanted in (
            (terminal, terminal, "", True),
            (terminal, nothing, "", False),
            (nothing, terminal, "", False),
            (terminal, terminal, "-n ", False),
        ):
            monkeypatch.setattr(sys, "stdin", stdin)
            monkeypatch.setattr(sys, "stdout", stdout)
            seen.run(f"{flags}web")
            assert seen.options["tty"] is wanted
            assert seen.operation is not None
            assert seen.operation[2] is not bool(flags)
        monkeypatch.undo()


def test_without_a_shell_one_is_opened_beside_it_and_a_line_says_so(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    seen.found = CannotStart("open a shell in", "web", "it has none")
    assert seen.run("-w /srv web -- ls") == 7
    assert seen.images == [None]
    assert seen.operation == (seen.box, ["enter", "/srv", "/bin/ash", "-c", "ls"], True)
    assert (seen.options["user"], seen.options["environment"], seen.options.get("workdir")) == (
        "1000:1000",
        ("PS1=$ ",),
        None,
    )
    assert seen.box_is_left
    assert not seen.box.closed
    assert capsys.readouterr().err == (
        "dpty: web has no shell: this is one from busybox, in a container beside web that ends with it;"
        " the files of web are in /proc/1/root\n"
    )


def test_quiet_says_nothing_of_it(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    seen.run("--quiet --toolbox mine web")
    assert capsys.readouterr() == ("", "")


def test_toolbox_opens_one_whatever_the_container_has(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    seen.run("--toolbox mine --shell zsh web")
    assert (seen.images, seen.pulled) == (["mine"], [])
    assert seen.operation == (seen.box, ["enter", "", "zsh"], True)
    assert capsys.readouterr().err.startswith("dpty: this is one from busybox, in a container beside web")


def test_an_image_that_was_named_is_pulled_if_it_is_not_there(seen: Seen) -> None:
    seen.problem = ImageNotFound("create", "mine", status_code=404, explanation="No such image: mine:latest")
    seen.run("--toolbox mine web")
    assert (seen.images, seen.pulled) == (["mine", "mine"], ["mine"])


def test_a_container_that_is_not_there_is_no_missing_image(seen: Seen) -> None:
    seen.problem = NotFound("inspect", "web", status_code=404, explanation="No such container: web")
    with pytest.raises(NotFound):
        seen.run("--toolbox mine web")
    assert seen.pulled == []


def test_without_a_shell_and_without_a_toolbox_it_is_127_and_says_what_to_do(seen: Seen) -> None:
    seen.found = CannotStart("open a shell in", "web", "it has none")
    seen.problem = CannotStart("open a toolbox beside", "web", "the engine has no image", "pull one")
    with pytest.raises(CannotStart) as caught:
        seen.run("web")
    assert caught.value.exit_code == 127
    assert str(caught.value) == (
        "cannot open a shell in web: it has none, and the engine has no image;"
        " pull one to open one beside it; `dpty cp` needs none"
    )


def test_where_a_toolbox_may_not_look_it_is_126(seen: Seen) -> None:
    seen.found = CannotStart("open a shell in", "web", "it has none")
    seen.problem = CannotStart("see the files of", "web", "why", exit_code=126)
    with pytest.raises(CannotStart, match="cannot see the files of web: why"):
        seen.run("web")


def test_what_keeps_every_process_from_starting_opens_no_toolbox(seen: Seen) -> None:
    seen.found = CannotStart("start a process in", "web", "no such user", exit_code=126)
    with pytest.raises(CannotStart, match="no such user"):
        seen.run("web")
    assert seen.images == []


def test_a_toolbox_that_no_session_came_of_is_closed(seen: Seen) -> None:
    seen.refusal = APIError("exec in", "the toolbox", "it is paused", status_code=409)
    with pytest.raises(APIError):
        seen.run("--toolbox mine web")
    assert seen.box.closed


def test_a_toolbox_whose_image_cannot_be_started_is_no_lack_of_an_image(seen: Seen) -> None:
    seen.found = CannotStart("open a shell in", "web", "it has none")
    seen.problem = StartRefused("start", "the toolbox beside web", "sh: not found", status_code=400)
    with pytest.raises(StartRefused, match="cannot start the toolbox beside web: sh: not found"):
        seen.run("web")
