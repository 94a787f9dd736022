"""Help, made by click from the table. Not loaded by a command line that needs none.

click cannot read docker's grammar: it takes the word behind a flag with an optional value for that value, and has no
`--flag=false`. So its options here know what is common to both grammars, and a test holds them to that.
"""

from __future__ import annotations

import click

from dockerpty.cli.grammar import BOOL, LIST, OFF, OPTIONAL, SECONDS, Command, Flag, unknown_command
from dockerpty.cli.outcome import show
from dockerpty.cli.table import COMMANDS, COMMON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line


class Option(click.Option):
    """A row of the table as an option of click's."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        names = [*flag.names, flag.dest]
        if flag.kind in (BOOL, OPTIONAL):
            super().__init__(names, is_flag=True, default=bool(flag.default), help=flag.help)
        elif flag.kind == OFF:
            super().__init__(names, is_flag=True, flag_value=False, help=flag.help)
        else:
            super().__init__(
                names,
                type=float if flag.kind == SECONDS else str,
                multiple=flag.kind == LIST,
                default=flag.default,
                metavar=flag.metavar,
                help=flag.help,
            )

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Give the two columns of help, with the values that are taken only after `=`."""
        flag = self.flag
        names = ", ".join(flag.names)
        if flag.takes_value:
            names += f" {flag.metavar}"
        elif flag.words or flag.default:
            names += f"[={'|'.join(flag.words) or 'false'}]"
        return names, flag.help


class HelpCommand(click.Command):
    """A command of the table, for click."""

    def __init__(self, command: Command) -> None:
        self.row = command
        super().__init__(
            command.name,
            context_settings={"allow_interspersed_args": False},
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

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and for `dpty` itself its commands before them."""
        if not self.row.name:
            with formatter.section("Commands"):
                formatter.write_dl([(f"{row.name} {row.operands}", row.summary) for row in COMMANDS.values()])
        with formatter.section("Examples"):
            for line in self.row.examples:
                formatter.write_text(line)


def text(command: Command) -> str:
    """Give a command's help."""
    made = HelpCommand(command)
    with click.Context(made, info_name=command.title) as context:
        return made.get_help(context)


def print_help(name: str) -> int:
    """Print the help of a command, or of `dpty` itself for "".

    Raises:
        UsageError: there is no such command.
    """
    if name and name not in COMMANDS:
        raise unknown_command(name, list(COMMANDS))
    show(text(COMMANDS[name] if name else COMMON))
    return 0


def command(line: Line, common: Line) -> int:
    """Print the help of the command named, or of `dpty` itself."""
    return print_help(line.words[0] if line.words else "")
