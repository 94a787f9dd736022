"""The manual page is made from the table: what is in the one is in the other."""

from __future__ import annotations

import re

import pytest

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
