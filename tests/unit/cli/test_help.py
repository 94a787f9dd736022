"""Help comes from the table, and click reads with it what our own reader reads, as far as click can."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.cli.grammar import LIST, SECONDS, TEXT, Command, Flag, read
from dockerpty.cli.help import HelpCommand, text
from dockerpty.cli.table import COMMANDS, COMMON

ALL = [COMMON, *COMMANDS.values()]
LINES = [
    (EXEC := "exec", "web ls -l"),
    (EXEC, "-it web sh"),
    (EXEC, "-i -t -u root web sh -c exit"),
    (EXEC, "-itu0 web sh"),
    (EXEC, "--user=root --workdir /tmp web ls"),
    (EXEC, "-e A=1 --env B -eC=3 web env"),
    (EXEC, "--timeout 2.5 --idle-timeout=3 web ls"),
    (EXEC, "-t -T web ls"),
    (EXEC, "-T -t web ls"),
    (EXEC, "--stdin --no-tty -dn web ls"),
    (EXEC, "-i -- web ls -l"),
    (EXEC, "--detach-keys ctrl-a,x --privileged web ls --help"),
    (RUN := "run", "busybox"),
    (RUN, "--rm -it busybox"),
    (RUN, "--rm -i --name n -h box -v /a:/b -v c:/d -l x=y busybox sh -c ls"),
    (RUN, "-d --network none --init --entrypoint ls busybox -l"),
    (RUN, "busybox -- ls"),
    ("", "-H tcp://there -D exec -it web sh"),
    ("", "--connect-timeout 3 run busybox"),
    ("", "-v"),
    ("help", "exec"),
]


def command_named(name: str) -> Command:
    return COMMANDS[name] if name else COMMON


def read_by_click(command: Command, argv: list[str]) -> tuple[dict[str, Any], list[str]]:
    context = HelpCommand(command).make_context(command.title, list(argv))
    values = {
        key: list(value) if isinstance(value, tuple) else value for key, value in context.params.items()
    }
    return values, values.pop("words")


@pytest.mark.parametrize(("name", "line"), LINES)
def test_click_and_our_own_reader_agree(name: str, line: str) -> None:
    command = command_named(name)
    ours = read(command, line.split(" "))
    assert read_by_click(command, line.split(" ")) == (ours.values, ours.words)


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[Command, list[str]]:
    """Lines in those spellings that click knows, too."""
    command = draw(st.sampled_from([command for command in ALL if command.least]))
    line: list[str] = []
    for flag in draw(
        st.lists(st.sampled_from([flag for flag in command.flags if flag.dest != "help"]), max_size=6)
    ):
        line += draw(spellings(flag))
    # click, too, ends the flags at the first word; what is behind it may look like one.
    words = [
        "first",
        *draw(st.lists(st.sampled_from(["-i", "--tty", "-x", "word", "--user=x"]), max_size=3)),
        "last",
    ]
    return command, [*line, *words]


@st.composite
def spellings(draw: st.DrawFn, flag: Flag) -> list[str]:
    name = draw(st.sampled_from(flag.names))
    if flag.kind not in (TEXT, LIST, SECONDS):
        return [name]
    value = draw(st.sampled_from(["1", "2.5"] if flag.kind == SECONDS else ["1", "root", "A=1", "-x", "a b"]))
    if not name.startswith("--"):
        return [name, value] if draw(st.booleans()) else [name + value]
    return [name, value] if draw(st.booleans()) else [f"{name}={value}"]


@given(command_lines())
def test_click_and_our_own_reader_agree_on_any_line_that_click_can_read(
    made: tuple[Command, list[str]],
) -> None:
    command, argv = made
    ours = read(command, argv)
    assert read_by_click(command, argv) == (ours.values, ours.words)


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.title)
def test_help_names_every_flag_and_fits_eighty_columns(command: Command) -> None:
    shown = text(command)
    assert shown.startswith(f"Usage: {command.title} [OPTIONS] {command.operands}\n")
    for flag in command.flags:
        assert ", ".join(flag.names) in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "Examples:\n" in shown


def test_help_of_dpty_names_every_command() -> None:
    shown = text(COMMON)
    for command in COMMANDS.values():
        assert f"  {command.name} {command.operands}" in shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [("tty", "-t, --tty[=auto]"), ("sig_proxy", "--sig-proxy[=false]"), ("user", "-u, --user USER[:GROUP]")],
)
def test_help_shows_a_value_as_it_is_typed(name: str, shown: str) -> None:
    assert f"  {shown} " in text(COMMANDS["exec"])


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.title)
def test_no_name_and_no_value_stands_twice_in_a_table(command: Command) -> None:
    names = [name for flag in command.flags for name in flag.names]
    assert len(names) == len(set(names))
    dests = [flag.dest for flag in command.flags if flag.kind != "off"]
    assert len(dests) == len(set(dests))


def test_every_option_is_one_of_clicks() -> None:
    made = HelpCommand(COMMANDS["run"])
    assert all(isinstance(parameter, click.Option | click.Argument) for parameter in made.params)
