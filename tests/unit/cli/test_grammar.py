"""What docker's grammar makes of a command line, and what it refuses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.cli.grammar import (
    BOOL,
    CHOICE,
    LIST,
    NUMBER,
    OFF,
    OPTIONAL,
    SECONDS,
    SIZE,
    TEXT,
    UNSAID,
    Command,
    Flag,
    UsageError,
    read,
)
from dockerpty.cli.table import COMMANDS, COMMON

EXEC = COMMANDS["exec"]
RUN = COMMANDS["run"]


def given_values(command: Command, line: str) -> dict[str, object]:
    """The values of a line that differ from those without any flag."""
    least = ["x"] * command.least
    plain = read(command, least).values
    return {key: value for key, value in read(command, line.split(" ")).values.items() if value != plain[key]}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("-i web sh", {"interactive": True}),
        ("--interactive web sh", {"interactive": True}),
        ("--stdin web sh", {"interactive": True}),
        ("-it web sh", {"interactive": True, "tty": True}),
        ("-ti web sh", {"interactive": True, "tty": True}),
        ("-i -t web sh", {"interactive": True, "tty": True}),
        ("-itu0 web sh", {"interactive": True, "tty": True, "user": "0"}),
        ("-itu 0 web sh", {"interactive": True, "tty": True, "user": "0"}),
        ("-itu=0 web sh", {"interactive": True, "tty": True, "user": "0"}),
        ("-u root:wheel web sh", {"user": "root:wheel"}),
        ("--user=root web sh", {"user": "root"}),
        ("--user root web sh", {"user": "root"}),
        ("--user= web sh", {"user": ""}),
        ("-u= web sh", {"user": "="}),
        ("-u -i web sh", {"user": "-i"}),
        ("-u -- web sh", {"user": "--"}),
        ("-u a -u b web sh", {"user": "b"}),
        ("-e A=1 --env B=2=3 -eC --env=D= web sh", {"env": ["A=1", "B=2=3", "C", "D="]}),
        ("--tty=auto web sh", {"tty": "auto"}),
        ("-t=auto web sh", {"tty": "auto"}),
        ("-it=auto web sh", {"interactive": True, "tty": "auto"}),
        ("-t auto sh", {"tty": True}),
        ("--tty auto sh", {"tty": True}),
        ("--tty=false web sh", {}),
        ("--tty=true web sh", {"tty": True}),
        ("-t -T web sh", {}),
        ("-T -t web sh", {"tty": True}),
        ("-T=false web sh", {"tty": True}),
        ("--no-tty --tty=auto web sh", {"tty": "auto"}),
        ("-it=false web sh", {"interactive": True}),
        ("-i=false -t web sh", {"tty": True}),
        ("--sig-proxy=false web sh", {"sig_proxy": False}),
        ("--sig-proxy=0 web sh", {"sig_proxy": False}),
        ("--sig-proxy web sh", {}),
        ("--sig-proxy false sh", {}),
        ("--timeout 2.5 web sh", {"timeout": 2.5}),
        ("--timeout=1e3 web sh", {"timeout": 1000.0}),
        ("--detach-keys ctrl-a,x -dn web sh", {"detach_keys": "ctrl-a,x", "detach": True, "no_input": True}),
        ("--detach-keys= web sh", {"detach_keys": ""}),
        ("-w /tmp --privileged web sh", {"workdir": "/tmp", "privileged": True}),
        ("web sh -i -t --user x", {}),
    ],
)
def test_flags_are_read_as_docker_reads_them(line: str, values: dict[str, object]) -> None:
    assert given_values(EXEC, line) == values


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("web ls -l", ["web", "ls", "-l"]),
        ("-i web ls --help", ["web", "ls", "--help"]),
        ("-- web ls", ["web", "ls"]),
        ("-i -- web ls", ["web", "ls"]),
        ("web -- ls", ["web", "ls"]),
        ("web -- ls -- -x", ["web", "ls", "--", "-x"]),
        ("web -- -- ls", ["web", "--", "ls"]),
        ("web ls --", ["web", "ls", "--"]),
        ("-- -web ls", ["-web", "ls"]),
        ("- ls", ["-", "ls"]),
    ],
)
def test_flags_of_exec_end_at_the_container_and_dashes_before_the_command_are_dropped(
    line: str, words: list[str]
) -> None:
    assert read(EXEC, line.split(" ")).words == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("busybox", ["busybox"]),
        ("--rm -it busybox ls -h", ["busybox", "ls", "-h"]),
        ("busybox -- ls", ["busybox", "--", "ls"]),
        ("-- busybox ls", ["busybox", "ls"]),
    ],
)
def test_dashes_behind_the_image_of_run_are_passed_on(line: str, words: list[str]) -> None:
    assert read(RUN, line.split(" ")).words == words


def test_h_is_the_host_name_in_run_and_help_elsewhere() -> None:
    assert read(RUN, ["-h", "box", "busybox"]).values["hostname"] == "box"
    assert read(EXEC, ["-h"]).values["help"]
    assert read(COMMON, ["-h"]).values["help"]


@pytest.mark.parametrize(
    ("command", "line", "words"),
    [
        ("exec", "-l ls -l", ["ls", "-l"]),
        ("exec", "--latest -- ls", ["ls"]),
        ("exec", "-l ls -- x", ["ls", "--", "x"]),
        ("exec", "-l=false web ls", ["web", "ls"]),
        ("attach", "-l", []),
        ("start", "-l", []),
        ("start", "-al", []),
        ("shell", "-l -- id", ["id"]),
    ],
)
def test_the_newest_container_takes_the_place_of_the_one_on_the_line(
    command: str, line: str, words: list[str]
) -> None:
    assert read(COMMANDS[command], line.split(" ")).words == words


def test_ps_has_no_container_on_its_line_that_the_newest_could_replace() -> None:
    assert read(COMMANDS["ps"], ["-l"]).values["latest"]


def test_help_ends_the_reading_whatever_follows() -> None:
    assert read(EXEC, ["-i", "--help", "--nonsense"]).values["help"]
    assert read(EXEC, ["-ih="]).values["help"]


def test_no_help_is_asked_for_by_a_false_one() -> None:
    assert not read(EXEC, ["--help=false", "web", "ls"]).values["help"]


def test_words_of_the_whole_command_line_end_the_common_flags() -> None:
    line = read(COMMON, ["-D", "-H", "tcp://there", "exec", "-H"])
    assert (line.values["debug"], line.values["host"], line.words) == (True, "tcp://there", ["exec", "-H"])


def test_the_words_given_are_left_alone_and_lists_are_not_shared() -> None:
    argv = ["-e", "A=1", "web", "--", "ls"]
    read(EXEC, argv)
    assert argv == ["-e", "A=1", "web", "--", "ls"]
    assert read(EXEC, ["web", "ls"]).values["env"] == []


GO_TRUE = ["1", "t", "T", "TRUE", "true", "True"]
GO_FALSE = ["0", "f", "F", "FALSE", "false", "False"]


@pytest.mark.parametrize(
    ("text", "value"), [*((text, True) for text in GO_TRUE), *((text, False) for text in GO_FALSE)]
)
def test_statements_are_spelled_as_go_spells_them(text: str, value: bool) -> None:
    for name in ("--interactive", "-i", "--stdin"):
        assert read(EXEC, [f"{name}={text}", "web", "ls"]).values["interactive"] is value
    assert read(EXEC, [f"-T={text}", "web", "ls"]).values["tty"] is not value


@given(st.text().filter(lambda text: text not in {*GO_TRUE, *GO_FALSE, "auto"}))
def test_no_other_word_is_a_statement(text: str) -> None:
    for name in ("--privileged", "--tty", "--no-tty"):
        with pytest.raises(UsageError):
            read(EXEC, [f"{name}={text}", "web", "ls"])


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "", "soon", "1s"])
def test_a_time_limit_is_a_number_above_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="a number of seconds above 0"):
        read(EXEC, [f"--timeout={text}", "web", "ls"])


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("-n 3", 3),
        ("-n3", 3),
        ("-n=3", 3),
        ("--last=0", 0),
        ("--last 007", 7),
        (f"-n {'9' * 18}", 10**18 - 1),
    ],
)
def test_a_number_is_a_whole_one(line: str, number: int) -> None:
    assert read(COMMANDS["ps"], line.split(" ")).values["last"] == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.5", "1_0", " 1", "x", "\N{SUPERSCRIPT TWO}", "٣", "9" * 5000]
)
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    for line in (["-n", text], [f"--last={text}"]):
        with pytest.raises(UsageError, match="it takes a whole number; see dpty ps --help"):
            read(COMMANDS["ps"], line)
    with pytest.raises(
        UsageError, match=f"cannot use --reconnect={re.escape(text)}: it takes a whole number"
    ):
        read(RUN, [f"--reconnect={text}", "busybox"])


@pytest.mark.parametrize("line", ["--pull always x", "--pull=always x", "--pull never --pull always x"])
def test_a_choice_is_one_of_its_words(line: str) -> None:
    assert read(RUN, line.split(" ")).values["pull"] == "always"


def test_a_choice_that_is_not_made_is_its_default() -> None:
    assert read(RUN, ["x"]).values["pull"] == "missing"
    assert read(COMMON, ["exec"]).values["log_level"] is None


@given(st.text().filter(lambda text: text not in ("always", "missing", "never")))
def test_any_other_word_is_no_choice(text: str) -> None:
    with pytest.raises(UsageError, match="is none of always, missing, never; see dpty run --help"):
        read(RUN, ["--pull", text, "busybox"])


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("--reconnect x", True),
        ("--reconnect=true x", True),
        ("--reconnect=3 x", 3),
        ("--reconnect=12 x", 12),
        ("x --reconnect=3", False),
        ("--reconnect=false x", False),
        ("--reconnect=1 x", 1),
        ("--reconnect=0 x", 0),
        ("--reconnect 3", True),
    ],
)
def test_a_statement_may_take_a_number_after_its_sign(line: str, value: object) -> None:
    found = read(RUN, line.split(" ")).values["reconnect"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("line", "value"), [("", None), ("--tls", True), ("--tls=false", False)])
def test_a_statement_that_was_not_made_leaves_it_to_others(line: str, value: bool | None) -> None:
    assert read(COMMON, [*line.split(), "ps"]).values["tls"] is value


@pytest.mark.parametrize(
    ("command", "line", "message"),
    [
        (
            EXEC,
            "--interactiv web sh",
            "cannot use --interactiv: dpty exec has no such flag; did you mean --interactive?",
        ),
        (EXEC, "--usr=root web sh", "cannot use --usr: dpty exec has no such flag; did you mean --user?"),
        (EXEC, "-tty web sh", "cannot use -y in -tty: dpty exec has no such flag; did you mean --tty?"),
        (EXEC, "-itx web sh", "cannot use -x in -itx: dpty exec has no such flag; see dpty exec --help"),
        (EXEC, "-x web sh", "cannot use -x: dpty exec has no such flag; see dpty exec --help"),
        (EXEC, "--=x web sh", "cannot use --: dpty exec has no such flag; see dpty exec --help"),
        (EXEC, "---i web sh", "cannot use ---i: dpty exec has no such flag; see dpty exec --help"),
        (EXEC, "-i= web sh", "cannot use -= in -i=: dpty exec has no such flag; see dpty exec --help"),
        (EXEC, "-u", "cannot use -u: it needs a value: -u USER[:GROUP]; see dpty exec --help"),
        (EXEC, "-itu", "cannot use -u: it needs a value: -u USER[:GROUP]; see dpty exec --help"),
        (
            EXEC,
            "--env-file",
            "cannot use --env-file: it needs a value: --env-file FILE; see dpty exec --help",
        ),
        (
            EXEC,
            "--tty=maybe web sh",
            "cannot use --tty=maybe: 'maybe' is none of true, false, auto; see dpty exec --help",
        ),
        (EXEC, "-i=x web sh", "cannot use -i=x: 'x' is none of true, false; see dpty exec --help"),
        (
            EXEC,
            "--timeout soon web sh",
            "cannot use --timeout soon: it takes a number of seconds above 0; see dpty exec --help",
        ),
        (EXEC, "web", "cannot run dpty exec: it needs a CONTAINER and a COMMAND; see dpty exec --help"),
        (EXEC, "-it", "cannot run dpty exec: it needs a CONTAINER and a COMMAND; see dpty exec --help"),
        (EXEC, "web --", "cannot run dpty exec: it needs a CONTAINER and a COMMAND; see dpty exec --help"),
        (EXEC, "-l", "cannot run dpty exec: it needs a COMMAND; see dpty exec --help"),
        (RUN, "--rm", "cannot run dpty run: it needs an IMAGE; see dpty run --help"),
        (
            RUN,
            "--pull soon x",
            "cannot use --pull soon: 'soon' is none of always, missing, never; see dpty run --help",
        ),
        (RUN, "--pull", "cannot use --pull: it needs a value: --pull WHEN; see dpty run --help"),
        *(
            (
                EXEC,
                f"--size {text} web sh",
                f"cannot use --size {text}: it takes ROWSxCOLS, for example 24x80; see dpty exec --help",
            )
            for text in ("80", "24x", "x80", "0x80", "24x65536", "24x80x1", "24X80", "-1x80", "²x80")
        ),
        (RUN, "--reconnect=x y", "cannot use --reconnect=x: it takes a whole number; see dpty run --help"),
        (COMMANDS["ps"], "-n x", "cannot use -n x: it takes a whole number; see dpty ps --help"),
        (COMMANDS["ps"], "-an", "cannot use -n: it needs a value: -n NUMBER; see dpty ps --help"),
        (RUN, "--no-such", "cannot use --no-such: dpty run has no such flag; see dpty run --help"),
        (COMMON, "--hots=x", "cannot use --hots: dpty has no such flag; did you mean --host?"),
    ],
)
def test_a_wrong_line_is_told_in_one_sentence(command: Command, line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(command, line.split(" "))
    assert str(caught.value) == message


# Every flag in every spelling of the grammar, on a table of all kinds.

TABLE = Command(
    "try",
    "WHAT",
    "",
    (
        Flag("-a --all", "all", BOOL, ""),
        Flag("-b --both", "both", BOOL, "", default=True),
        Flag("-o --optional", "optional", OPTIONAL, "", words=("auto", "never")),
        Flag("-O --no-optional", "optional", OFF, ""),
        Flag("-x --text", "text", TEXT, "", "TEXT"),
        Flag("-l --list", "list", LIST, "", "ITEM"),
        Flag("-s --seconds", "seconds", SECONDS, "", "SECONDS"),
        Flag("-n --number", "number", NUMBER, "", "NUMBER"),
        Flag("-z --size", "size", SIZE, "", "ROWSxCOLS"),
        Flag("-c --choice", "choice", CHOICE, "", "WORD", words=("one", "other")),
        Flag("-m --many", "many", OPTIONAL, "", words=("#",)),
        Flag("-u --unsaid", "unsaid", BOOL, "", default=UNSAID),
    ),
    least=1,
)

BY_SHORT = {flag.names[0][1]: flag for flag in TABLE.flags}
# What a short flag may have attached: it must not begin with "=", which is a sign there.
values_of_text = st.text(min_size=1).filter(lambda text: not text.startswith("="))


@given(
    st.text("aboOmu", min_size=1, max_size=8),
    st.one_of(
        st.none(),
        st.tuples(st.sampled_from("xl"), values_of_text),
        st.tuples(st.just("n"), st.integers(0, 10**18 - 1).map(str)),
        st.tuples(st.just("c"), st.sampled_from(["one", "other"])),
    ),
)
def test_combined_letters_mean_what_they_mean_one_by_one(letters: str, last: tuple[str, str] | None) -> None:
    one_by_one = [f"-{letter}" for letter in letters]
    combined = "-" + letters
    if last is None:
        lines = [[combined]]
    else:
        letter, text = last
        one_by_one += [f"-{letter}", text]
        lines = [[combined + letter, text], [combined + letter + text]]
        if len(text) > 0:
            lines.append([f"{combined}{letter}={text}"])
    expected = read(TABLE, [*one_by_one, "word"])
    for line in lines:
        got = read(TABLE, [*line, "word"])
        assert (got.values, got.words) == (expected.values, expected.words)


@given(st.sampled_from(TABLE.flags), st.data())
def test_long_and_short_names_mean_the_same(flag: Flag, data: st.DataObject) -> None:
    short, long = flag.names
    if flag.kind in (TEXT, LIST):
        text = data.draw(st.text(min_size=1))
        spellings = [[short, text], [long, text], [f"{long}={text}"], [f"{short}={text}"]]
    elif flag.takes_value:
        texts = {
            SECONDS: st.floats(0, 1e9, exclude_min=True).map(str),
            NUMBER: st.integers(0, 10**18 - 1).map(str),
            CHOICE: st.sampled_from(flag.words or ("",)),
            SIZE: st.tuples(*[st.integers(1, 65535)] * 2).map(lambda size: "{}x{}".format(*size)),
        }
        text = data.draw(texts[flag.kind])
        spellings = [[short, text], [long, text], [f"{long}={text}"], [f"{short}={text}"], [f"{short}{text}"]]
    else:
        text = data.draw(
            st.sampled_from(["", "=true", "=0", *(f"={word.replace('#', '7')}" for word in flag.words)])
        )
        spellings = [[f"{short}{text}"], [f"{long}{text}"]]
    results = [read(TABLE, [*line, "word", "-a"]) for line in spellings]
    assert all(result.values == results[0].values for result in results)
    assert all(result.words == ["word", "-a"] for result in results)


@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_line_is_read_or_refused_and_nothing_else(argv: list[str]) -> None:
    try:
        line = read(TABLE, argv)
    except UsageError:
        return  # refused
    assert line.words == argv[len(argv) - len(line.words) :]


# No more operands than a command takes


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ps web", "it takes no 'web'"),
        ("version x y", "it takes no 'x'"),
        ("prune -f web", "it takes no 'web'"),
        ("prune -- -f", "it takes no '-f'"),
        ("help exec run", "it takes one command, and no 'run' beside it"),
        ("completion bash zsh", "it takes one bash|zsh|fish, and no 'zsh' beside it"),
        ("replay a b", "it takes one file, and no 'b' beside it"),
        ("attach web sh", "it takes one container, and no 'sh' beside it"),
        (
            "watch web --quiet",
            "it takes one container, and no '--quiet' beside it; flags stand before CONTAINER",
        ),
        (
            "script web -c ls",
            "it takes CONTAINER and FILE|-, and no 'ls' beside them; flags stand before CONTAINER",
        ),
        ("attach --latest web", "it takes no 'web'"),
        ("watch -l web", "it takes no 'web'"),
    ],
)
def test_what_a_command_has_no_use_for_is_refused_and_not_passed_over(line: str, reason: str) -> None:
    name, *words = line.split()
    with pytest.raises(UsageError) as caught:
        read(COMMANDS[name], words)
    assert str(caught.value) == f"cannot run dpty {name}: {reason}; see dpty {name} --help"


def test_only_where_others_get_the_words_there_may_be_any_number_of_them() -> None:
    unlimited = {name for name, command in COMMANDS.items() if command.most is None}
    assert unlimited == {"cp", "exec", "run", "shell", "start"}
    assert COMMON.most is None


@pytest.mark.parametrize(
    ("command", "line", "reason"),
    [
        ("replay", "--speed 0", "it takes a number above 0"),
        ("replay", "--speed fast", "it takes a number above 0"),
        ("replay", "--idle-limit -1", "it takes a number of seconds above 0"),
        ("attach", "--wait nan", "it takes a number of seconds above 0"),
    ],
)
def test_only_of_a_time_it_is_said_to_be_in_seconds(command: str, line: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(COMMANDS[command], [*line.split(), "x"])
    assert str(caught.value) == f"cannot use {line}: {reason}; see dpty {command} --help"
