"""Help, made by click from the table. Not loaded by a command line that needs none.

click cannot read docker's grammar: it takes the word behind a flag with an optional value for that value, and has no
`--flag=false`. So its options here know what is common to both grammars, and a test holds them to that.
"""

from __future__ import annotations

import click

from dockerpty.cli.grammar import (
    BOOL,
    CHOICE,
    LIST,
    NUMBER,
    OFF,
    OPTIONAL,
    SECONDS,
    SIZE,
    UNSAID,
    Command,
    Flag,
    size_of,
    unknown_command,
)
from dockerpty.cli.groups import grouped, spelled
from dockerpty.cli.outcome import show
from dockerpty.cli.table import COMMANDS, COMMON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.cli.grammar import Line

WIDTH = 80
# Stands for a hyphen while lines are broken: `on-failure` is one word.
_UNBROKEN = "\N{NON-BREAKING HYPHEN}"


class Option(click.Option):
    """A row of the table as an option of click's."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        names = [*flag.names, flag.dest]
        if flag.kind in (BOOL, OPTIONAL):
            default = None if flag.default == UNSAID else bool(flag.default)
            super().__init__(names, is_flag=True, default=default, help=flag.help)
        elif flag.kind == OFF:
            super().__init__(names, is_flag=True, flag_value=False, help=flag.help)
        else:
            super().__init__(
                names,
                type=_type_of(flag),
                multiple=flag.kind == LIST,
                default=flag.default,
                metavar=flag.metavar,
                help=flag.help,
            )

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Give the two columns of help, with the values that are taken only after `=`."""
        return spelled(self.flag), self.flag.help.replace("-", _UNBROKEN)


class HelpCommand(click.Command):
    """A command of the table, for click."""

    def __init__(self, command: Command) -> None:
        self.row = command
        super().__init__(
            command.name,
            context_settings={"allow_interspersed_args": False, "max_content_width": WIDTH},
            params=[
                *(Option(flag) for flag in command.flags),
                click.Argument(["words"], nargs=-1, type=click.UNPROCESSED),
            ],
            help=command.summary,
            # Ours is in the table.
            add_help_option=False,
        )

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Give what follows the command's name in its usage line."""
        return ["[OPTIONS]", self.row.operands]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, under headings if there are many; for `dpty` itself its commands before them."""
        if not self.row.name:
            with formatter.section("Commands"):
                formatter.write_dl([(row.name, row.summary) for row in COMMANDS.values()])
        for heading, flags in grouped(self.row).items():
            with formatter.section(heading):
                records = (Option(flag).get_help_record(ctx) for flag in flags)
                formatter.write_dl([record for record in records if record is not None])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        with formatter.section("Examples"):
            for line in self.row.examples:
                # As it is typed: a command line must not be wrapped.
                formatter.write(f"  {line}\n")


def text(command: Command) -> str:
    """Give a command's help."""
    made = HelpCommand(command)
    with click.Context(made, info_name=command.title, max_content_width=WIDTH) as context:
        return made.get_help(context).replace(_UNBROKEN, "-")


def print_help(name: str) -> int:
    """Print the help of a command, or of `dpty` itself for "".

    Raises:
        UsageError: there is no such command.
    """
    if name and name not in COMMANDS:
        raise unknown_command(name, list(COMMANDS))
    show(text(COMMANDS[name] if name else COMMON))
    return 0


def command(line: Line) -> int:
    """Print the help of the command named, or of `dpty` itself."""
    return print_help(line.words[0] if line.words else "")


def _type_of(flag: Flag) -> Any:
    if flag.kind == CHOICE:
        return click.Choice(flag.words)
    return {SECONDS: float, NUMBER: click.IntRange(min=0), SIZE: size_of}.get(flag.kind, str)
