"""What a person does at a terminal, and sees there, and what is still running afterwards."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from behave import given, then, when

from tests.bed.engine import engine_url, id_of
from tests.bed.screen import Screen
from tests.bed.terminal import PIPE, SCRIPTS, Terminal
from tests.bed.waiting import wait_for

NO_SHELL = "dpty-static:latest"
KEYS = {
    "Enter": "\r",
    "Ctrl-C": "\x03",
    "Ctrl-D": "\x04",
    "Ctrl-P Ctrl-Q": "\x10\x11",
    "Escape": "\x1b",
}


def words(context: Any, line: str) -> list[str]:
    """A command line as typed, with CONTAINER as the container's name."""
    name = context.container.name if context.container is not None else "CONTAINER"
    return [word.replace("CONTAINER", name) for word in line.split()]


def run(context: Any, argv: list[str], **options: Any) -> None:
    context.terminal = Terminal(argv, env={"DOCKER_HOST": engine_url()}, cwd=context.folder, **options)
    context.terminals.append(context.terminal)
    context.screen = Screen(context.terminal)


@given('a container that runs "{command}"')
def a_container(context: Any, command: str) -> None:
    context.container = context.bench.container(command, start=True)


@given('a container with a terminal that will run "{command}"')
def a_container_with_a_terminal(context: Any, command: str) -> None:
    context.container = context.bench.container(command, tty=True, stdin_open=True)


@given('a container of an image without a shell that runs "{command}"')
def a_container_without_a_shell(context: Any, command: str) -> None:
    if not context.client.api.images(name=NO_SHELL):
        required = os.environ.get("CI") or os.environ.get("DPTY_TEST_REQUIRE") == "1"
        assert not required, f"no image {NO_SHELL} on the engine"
        context.scenario.skip(f"no image {NO_SHELL} on the engine")
        return
    context.container = context.bench.container(command.split(), image=NO_SHELL, start=True)


@given('a file "{name}" that says "{text}"')
def a_file(context: Any, name: str, text: str) -> None:
    (Path(context.folder) / name).write_text(f"{text}\n", encoding="utf-8")


@given("a terminal of {rows:d} rows and {cols:d} columns")
def a_terminal(context: Any, rows: int, cols: int) -> None:
    context.size = (rows, cols)


@when('I run "dpty {line}"')
def i_run(context: Any, line: str) -> None:
    rows, cols = getattr(context, "size", (24, 80))
    run(context, [sys.executable, "-m", "dockerpty", *words(context, line)], rows=rows, cols=cols)


@when('I pipe "" into "dpty {line}"')
def i_pipe_nothing(context: Any, line: str) -> None:
    i_pipe(context, "", line)


@when('I pipe "{text}" into "dpty {line}"')
def i_pipe(context: Any, text: str, line: str) -> None:
    argv = [sys.executable, "-m", "dockerpty", *words(context, line)]
    run(context, argv, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    context.terminal.feed(text.replace("\\n", "\n"), end=True)


@when("my script starts the container")
@when("my script starts the container again")
def my_script_starts(context: Any) -> None:
    options = f'{{"args": ["{id_of(context.container)}"], "kwargs": {{}}}}'
    run(context, [sys.executable, str(SCRIPTS / "session.py"), "start", options])
    context.terminal.wait_until(context.terminal.is_raw, what="the session")


@when('I type "{text}"')
def i_type(context: Any, text: str) -> None:
    context.terminal.send(text + "\r")


@when("I press {key}")
def i_press(context: Any, key: str) -> None:
    context.terminal.send(KEYS.get(key, key))


@when("I make the window {rows:d} rows and {cols:d} columns")
def i_resize(context: Any, rows: int, cols: int) -> None:
    context.screen.resize(rows, cols)


@when('I wait until "{command}" runs in the container')
def i_wait_until_it_runs(context: Any, command: str) -> None:
    def runs() -> bool:
        return command in context.bench.processes(context.container)

    context.terminal.wait_until(runs, what=f"the start of {command}")


@when('I wait until the file "{name}" is there')
def i_wait_until_the_file_is_there(context: Any, name: str) -> None:
    context.terminal.wait_until((Path(context.folder) / name).exists, what=f"the file {name}")


@when("somebody ends the container")
def somebody_ends_the_container(context: Any) -> None:
    context.container.kill("TERM")


@when("somebody kills my client with {name}")
def somebody_kills(context: Any, name: str) -> None:
    context.terminal.signal(getattr(signal, name))


@then('I see "{text}"')
def i_see(context: Any, text: str) -> None:
    context.screen.wait_for(text)


@then('typing "{line}" soon shows "{text}"')
def typing_soon_shows(context: Any, line: str, text: str) -> None:
    def shows() -> bool:
        context.terminal.send(line + "\r")
        context.terminal.read_for(0.2)
        return any(text in row for row in context.screen.lines())

    context.terminal.wait_until(shows, what=f"{text!r} on the screen")


@then('I see "{text}" in the last row')
def i_see_in_the_last_row(context: Any, text: str) -> None:
    context.screen.wait_for(text, row=-1)


@then('stdout is "{text}"')
def stdout_is(context: Any, text: str) -> None:
    context.terminal.wait()
    assert context.terminal.stdout.decode() == text.replace("\\n", "\n"), context.terminal.stdout


@then('stderr is ""')
def stderr_is_empty(context: Any) -> None:
    stderr_is(context, "")


@then('stderr is "{text}"')
def stderr_is(context: Any, text: str) -> None:
    context.terminal.wait()
    assert context.terminal.stderr.decode() == text.replace("\\n", "\n"), context.terminal.stderr


@then('the file "{name}" says "{text}"')
def the_file_says(context: Any, name: str, text: str) -> None:
    found = (Path(context.folder) / name).read_text(encoding="utf-8")
    assert found == f"{text}\n", found


@then('there is no file "{name}"')
def there_is_no_file(context: Any, name: str) -> None:
    assert not (Path(context.folder) / name).exists()


@then('in the container "{command}" says nothing')
def in_the_container_nothing(context: Any, command: str) -> None:
    code, output = context.container.exec_run(command.split())
    assert (code, output) == (0, b""), output


@then('in the container "{command}" says "{text}"')
def in_the_container(context: Any, command: str, text: str) -> None:
    code, output = context.container.exec_run(command.split())
    assert (code, output.decode()) == (0, f"{text}\n"), output


@then('I do not see "{text}"')
def i_do_not_see(context: Any, text: str) -> None:
    assert text not in "\n".join(context.screen.lines())


@then("I am back with exit code {code:d}")
def i_am_back(context: Any, code: int) -> None:
    ended = context.terminal.wait()
    assert ended == code, f"{ended}, after {context.terminal.output!r}"


@then("it dies of {name}")
def it_dies_of(context: Any, name: str) -> None:
    ended = context.terminal.wait()
    assert ended == -getattr(signal, name), f"{ended}, after {context.terminal.output!r}"


@then("my script got {value}")
def my_script_got(context: Any, value: str) -> None:
    returned = context.terminal.report("returned")["value"]
    assert str(returned) == value, returned


@then("my terminal is as it was")
def my_terminal_is_as_it_was(context: Any) -> None:
    context.terminal.wait_until(context.terminal.is_as_before, what="the terminal as before")


@then("the container runs on")
def the_container_runs_on(context: Any) -> None:
    assert context.bench.is_running(context.container)


@then('"{command}" runs in the container')
def runs_in_the_container(context: Any, command: str) -> None:
    found = context.bench.processes(context.container)
    assert command in found, found


@then('"{command}" no longer runs in the container')
def no_longer_runs(context: Any, command: str) -> None:
    wait_for(lambda: command not in context.bench.processes(context.container), what=f"the end of {command}")


@then('no container is left of "{name}"')
def no_container_is_left(context: Any, name: str) -> None:
    def is_gone() -> bool:
        return not context.client.api.containers(all=True, filters={"name": name})

    wait_for(is_gone, what=f"the removal of {name}")
