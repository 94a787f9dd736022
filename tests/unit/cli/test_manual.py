"""The manual page is made from the table: what is in the one is in the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dockerpty
from dockerpty import __version__
from dockerpty.cli.grammar import Command
from dockerpty.cli.groups import spelled
from dockerpty.cli.manual import page
from dockerpty.cli.table import COMMANDS, COMMON

PAGE = page("2026-01-02")


def plain(text: str) -> str:
    """A page's text without what roff would take away."""
    for quoted, char in (
        ("\\-", "-"),
        ("\\(ti", "~"),
        ("\\(aq", "'"),
        ("\\(ga", "`"),
        ("\\(ha", "^"),
        ("\\&", ""),
    ):
        text = text.replace(quoted, char)
    return text.replace("\\e", "\\")


def test_it_says_of_what_it_is_and_when_it_was_made() -> None:
    assert plain(PAGE).splitlines()[0] == f'.TH DPTY 1 "2026-01-02" "dpty {__version__}" "User Commands"'


def test_it_has_the_sections_that_a_reader_expects_in_their_order() -> None:
    assert re.findall(r"^\.SH (.*)$", PAGE, re.M) == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES"),
        *("EXAMPLES", "SEE ALSO"),
    ]


@pytest.mark.parametrize("command", [COMMON, *COMMANDS.values()], ids=lambda command: command.name or "dpty")
def test_every_flag_and_example_of_a_command_is_in_its_section(command: Command) -> None:
    start = f".SS {command.title}\n" if command.name else ".SH OPTIONS\n"
    section = plain(PAGE.partition(start)[2].partition("\n.S")[0] + "\n")
    for flag in command.flags:
        assert f"\\fB{spelled(flag)}\\fR\n{flag.help}\n" in section
    everything = plain(PAGE)
    assert all(f"\n{example}\n" in everything for example in command.examples)


def test_no_line_of_text_is_taken_for_a_request() -> None:
    requests = {line.split()[0] for line in PAGE.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".B", ".PP", ".TP", ".RS", ".RE", ".nf", ".fi"}


def section(name: str) -> str:
    """The text of a section."""
    return plain(PAGE.partition(f".SH {name}\n")[2].partition("\n.SH ")[0])


def test_every_command_stands_in_the_lists_of_exit_codes_where_it_belongs() -> None:
    status = section("EXIT STATUS")
    for code, belongs in (("127", True), ("1", False)):
        row = status.partition(f"\\fB{code}\\fR\n")[2].partition(":")[0]
        assert row.split(", ") == [
            name for name, command in COMMANDS.items() if command.ends_with_process is belongs
        ]


def test_everything_that_counts_of_dockers_configuration_is_named() -> None:
    sources = "".join(path.read_text() for path in Path(dockerpty.__file__).parent.rglob("*.py"))
    asked = set(re.findall(r'onfiguration(?:_of\(line\))?\.(?:text|group)\("(\w+)"\)', sources))
    assert {"detachKeys", "currentContext", "credHelpers", "proxies", "psFormat"} <= asked
    row = section("FILES").partition("config.json")[2].partition("\\fB")[0]
    assert asked == set(re.findall(r"\w+", row)) & asked


def test_every_variable_that_is_asked_for_is_explained() -> None:
    sources = "".join(path.read_text() for path in Path(dockerpty.__file__).parent.rglob("*.py"))
    asked = set(re.findall(r'(?:environ|here|\))(?:\.get\(|\[)"([A-Z_]+)"', sources))
    assert {"DPTY_HOME", "DOCKER_CONFIG", "DOCKER_DEFAULT_PLATFORM"} <= asked
    explained = re.findall(r"^\\fB(.*)\\fR$", section("ENVIRONMENT"), re.M)
    assert asked <= {name for row in explained for name in row.split(", ")}
