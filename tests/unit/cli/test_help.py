"""Help comes from the table, and click reads with it what our own reader reads, as far as click can."""

from __future__ import annotations

import copy
import re
import shlex
import subprocess
import sys
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.cli.grammar import CHOICE, NUMBER, SECONDS, SIZE, Command, Flag, read
from dockerpty.cli.groups import GROUPS, OTHERS, grouped
from dockerpty.cli.help import WIDTH, HelpCommand, text
from dockerpty.cli.table import COMMANDS, COMMON
from tests.unit.cli.test_main import environment

ALL = [COMMON, *COMMANDS.values()]
LINES = [
    (EXEC := "exec", "web ls -l"),
    (EXEC, "-it web sh"),
    (EXEC, "-i -t -u root web sh -c exit"),
    (EXEC, "-itu0 web sh"),
    (EXEC, "--user=root --workdir /tmp web ls"),
    (EXEC, "-e A=1 --env B -eC=3 web env"),
    (EXEC, "--timeout 2.5 --idle-timeout=3 --size 30x100 web ls"),
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
    ("", "-l debug --tls --tlsverify ps"),
    ("help", "exec"),
    (EXEC, "-l ls -l"),
    (EXEC, "--latest --wait 3 -- ls -l"),
    (RUN, "--pull always --reconnect -c 5 busybox"),
    (RUN, "--pull=never -P --no-healthcheck busybox --reconnect=3"),
    (PS := "ps", "-a"),
    (PS, "-n 3 -s"),
    (PS, "-an3 --no-trunc"),
    (PS, "--last=12 -f status=exited --filter label=x --format json"),
    (PS, "-lq"),
    ("attach", "-l"),
    ("start", "-ai -l"),
    ("start", "--reconnect one two"),
    ("shell", "-l -- id"),
    ("cp", "-aL web:/etc -"),
    ("cp", "-n --mode 640 --owner=1:2 --progress never a b web:/etc"),
    ("script", "-kx --timeout 2 web -"),
    ("script", "-c one -c two --answer x=y -T web"),
    ("watch", "--latest --wait=2.5"),
    ("replay", "--speed 4 --idle-limit=2 --to-end -"),
    ("prune", "--dry-run -f"),
    ("completion", "bash"),
    ("version", "--json"),
]


def command_named(name: str) -> Command:
    return COMMANDS[name] if name else COMMON


def read_by_click(command: Command, argv: list[str]) -> tuple[dict[str, Any], list[str]]:
    context = HelpCommand(command).make_context(command.title, list(argv))
    values = {
        # click makes tuples of what may come more than once; of a size we do, too.
        key: list(value) if isinstance(value, tuple) and key != "size" else value
        for key, value in context.params.items()
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
    command = draw(st.sampled_from(ALL))
    line: list[str] = []
    flags = [flag for flag in command.flags if flag.dest != "help"]
    for flag in draw(st.lists(st.sampled_from(flags), max_size=6) if flags else st.just([])):
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
    if not flag.takes_value:
        return [name]
    values = {SECONDS: ["1", "2.5"], NUMBER: ["0", "12"], SIZE: ["24x80"], CHOICE: list(flag.words)}
    value = draw(st.sampled_from(values.get(flag.kind, ["1", "root", "A=1", "-x", "a b"])))
    if not name.startswith("--"):
        return [name, value] if draw(st.booleans()) else [name + value]
    return [name, value] if draw(st.booleans()) else [f"{name}={value}"]


@given(command_lines())
def test_click_and_our_own_reader_agree_on_any_line_that_click_can_read(
    made: tuple[Command, list[str]],
) -> None:
    command, argv = made
    # How many operands a command takes click is not told.
    anything = copy.copy(command)
    anything.most = None
    ours = read(anything, argv)
    assert read_by_click(command, argv) == (ours.values, ours.words)


TITLES = [command.title for command in ALL]


@pytest.fixture(params=ALL, ids=TITLES)
def command(request: pytest.FixtureRequest) -> Command:
    row = request.param
    assert isinstance(row, Command)
    return row


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_line_of_help_is_wider_than_eighty_columns(
    command: Command, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, text(command).splitlines())) <= WIDTH


def test_help_says_what_a_command_does_and_takes(command: Command) -> None:
    shown = text(command)
    assert shown.startswith(f"Usage: {command.title} [OPTIONS] {command.operands}".rstrip() + "\n")
    assert command.summary in " ".join(shown.split())


def test_help_has_every_flag_once_with_its_words(command: Command) -> None:
    shown = text(command)
    words = " ".join(shown.split())
    for flag in command.flags:
        lines = [line for line in shown.splitlines() if line.startswith(f"  {', '.join(flag.names)}")]
        exact = [
            line for line in lines if re.match(rf"  {re.escape(', '.join(flag.names))}(?=[ \[]|$)", line)
        ]
        assert len(exact) == 1, flag.names
        assert flag.metavar in exact[0]
        assert flag.help in words
    assert "\N{NON-BREAKING HYPHEN}" not in shown


def test_help_has_no_blanks_at_the_end_of_a_line_and_no_colour(command: Command) -> None:
    shown = text(command)
    assert "\x1b" not in shown
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_every_example_is_in_the_help_as_it_is_typed(command: Command) -> None:
    examples = text(command).partition("\nExamples:\n")[2].splitlines()
    assert examples == [f"  {example}" for example in command.examples]
    assert examples


def typed(example: str) -> list[str]:
    """The words behind `dpty` in a line of a shell, as far as its next sign."""
    lexer = shlex.shlex(example, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    words = words[words.index("dpty") + 1 :]
    signs = [at for at, word in enumerate(words) if word[0] in "<>|()&;"]
    return words[: signs[0] if signs else None]


EXAMPLES = [(command, example) for command in ALL for example in command.examples]


@pytest.mark.parametrize(("command", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_every_example_can_be_typed(command: Command, example: str) -> None:
    line = read(COMMON, typed(example))
    name, *rest = line.words
    assert command.name in ("", name)
    read(COMMANDS[name], rest)


def test_help_of_dpty_names_every_command() -> None:
    shown = text(COMMON)
    for row in COMMANDS.values():
        assert re.search(rf"^  {row.name} +{re.escape(row.summary[:40])}", shown, re.MULTILINE)


def test_many_flags_stand_under_headings_and_none_is_forgotten(command: Command) -> None:
    groups = grouped(command)
    placed = [flag for flags in groups.values() for flag in flags]
    assert sorted(flag.dest for flag in placed) == sorted(flag.dest for flag in command.flags)
    assert all(f"\n{heading}:\n" in text(command) for heading in groups)
    if len(groups) > 1:
        assert {flag.dest for flag in groups[OTHERS]} <= {"help", "version", "debug", "log_level"}


def test_every_flag_in_a_heading_is_one_of_some_command_and_stands_there_once() -> None:
    dests = [dest for group in GROUPS.values() for dest in group]
    assert len(dests) == len(set(dests))
    assert set(dests) <= {flag.dest for row in ALL for flag in row.flags}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("tty", "-t, --tty[=auto]"),
        ("sig_proxy", "--sig-proxy[=false]"),
        ("user", "-u, --user USER[:GROUP]"),
        ("reconnect", "--reconnect[=N]"),
        ("pull", "--pull WHEN"),
    ],
)
def test_help_shows_a_value_as_it_is_typed(name: str, shown: str) -> None:
    assert f"  {shown} " in text(COMMANDS["run"])


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_in_a_pipe_has_no_colour_whatever_the_environment_says(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dockerpty", *([name] if name else []), "--help"],
        capture_output=True,
        env=environment(FORCE_COLOR="1", CLICOLOR_FORCE="1", TERM="xterm-256color"),
        timeout=30,
        check=True,
    )
    assert b"\x1b" not in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.title)
def test_no_name_and_no_value_stands_twice_in_a_table(command: Command) -> None:
    names = [name for flag in command.flags for name in flag.names]
    assert len(names) == len(set(names))
    dests = [flag.dest for flag in command.flags if flag.kind != "off"]
    assert len(dests) == len(set(dests))


def test_every_option_is_one_of_clicks() -> None:
    made = HelpCommand(COMMANDS["run"])
    assert all(isinstance(parameter, click.Option | click.Argument) for parameter in made.params)


def help_of(name: str, flag: str) -> str:
    """What help says of a flag of a command."""
    (found,) = (each.help for each in COMMANDS[name].flags if flag in each.names)
    return found


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        *((name, "End the process") for name in ("exec", "run", "shell")),
        *((name, "Leave") for name in ("attach", "start", "watch")),
    ],
)
def test_who_did_not_make_the_process_leaves_it_running_at_a_time_limit_and_help_says_so(
    name: str, ends: str
) -> None:
    assert help_of(name, "--timeout").startswith(f"{ends} after this time, ")
    assert help_of(name, "--timeout").endswith("with exit code 124")
    assert "The same" in help_of(name, "--idle-timeout")


@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if row.flags])
def test_help_of_no_flag_speaks_of_one_that_the_command_has_not(name: str) -> None:
    flags = COMMANDS[name].flags
    known = {each for flag in flags for each in flag.names}
    for flag in flags:
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", flag.help)) <= known, flag.names
