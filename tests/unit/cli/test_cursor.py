"""What may stand where the cursor is: the words of a line in, what is wanted there out."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockerpty.cli import cursor
from dockerpty.cli.cp import split
from dockerpty.cli.cursor import Wish, wish
from dockerpty.cli.table import COMMANDS, COMMON


def at(line: str, after: str = "") -> Wish:
    """What is wanted at the end of this line; what stands behind its last blank is being typed."""
    *before, word = line.split(" ")
    found = wish(before, word, after.split())
    assert found is not None
    return found


def words(line: str) -> set[str]:
    return {word for word, _ in at(line).words}


def test_commands_come_first_with_what_they_do() -> None:
    assert dict(at("").words) == {name: command.summary for name, command in COMMANDS.items()}
    assert words("--debug ex") == set(COMMANDS)
    assert words("help ") == set(COMMANDS)
    assert words("help exec ") == set()


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_flag_is_offered_where_a_flag_may_stand(name: str) -> None:
    command = COMMANDS[name] if name else COMMON
    offered = {word.removesuffix("=false") for word in words(f"{name} -".lstrip())}
    assert offered == {each for flag in command.flags for each in flag.names}


def test_what_is_so_anyhow_is_offered_as_switched_off() -> None:
    assert "--sig-proxy=false" in words("exec --")
    assert "--sig-proxy" not in words("exec --")


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("exec ", cursor.RUNNING),
        ("exec -it we", cursor.RUNNING),
        ("exec -itu0 ", cursor.RUNNING),
        ("exec --user root --sig-proxy=false ", cursor.RUNNING),
        ("exec -- ", cursor.RUNNING),
        ("-D exec -- -", cursor.RUNNING),
        ("attach ", cursor.RUNNING),
        ("watch ", cursor.RUNNING),
        ("shell ", cursor.RUNNING),
        ("script ", cursor.RUNNING),
        ("script -c true -k ", cursor.RUNNING),
        ("start ", cursor.STOPPED),
        ("start one two ", cursor.STOPPED),
        ("run ", cursor.IMAGES),
        ("run --rm -it bus", cursor.IMAGES),
        ("shell --toolbox ", cursor.IMAGES),
        ("cp ", cursor.PATHS),
        ("run --network ", cursor.NETWORKS),
        ("run --net=", cursor.NETWORKS),
        ("run --volumes-from ", cursor.CONTAINERS),
        ("exec -u ", cursor.USERS),
        ("exec -itu ", cursor.USERS),
        ("-c ", cursor.CONTEXTS),
        ("--context=", cursor.CONTEXTS),
        ("exec -e ", cursor.VARIABLES),
    ],
)
def test_where_more_words_come_from(line: str, source: str) -> None:
    assert at(line).source == source


@pytest.mark.parametrize(
    "line",
    [
        "exec web ",
        "exec web cat /",
        "exec -l ",
        "run busybox ",
        "attach web ",
        "shell web -- ",
        "script -c true web ",
        "script web file ",
        "script -c ",
        "cp a web:/b ",
        "cp web:/a b ",
        "cp web:",
        "cp web:/etc/",
        "ps ",
        "version ",
        "exec -w ",
        "run --name ",
        "exec --timeout ",
        "exec -e NAME=",
        "exec -u root:",
        "exec -it",
        "exec --nosuch=",
    ],
)
def test_where_nothing_is_known_nothing_is_offered(line: str) -> None:
    found = at(line)
    assert (found.words, found.source, found.files) == ([], "", False)


@pytest.mark.parametrize(
    "line",
    [
        "replay ",
        "script web ",
        "script -kx web de",
        "exec --record ",
        "exec --record=a",
        "run --env-file ",
        "--config ",
        "run --cidfile=",
        "cp ./a",
    ],
)
def test_files_where_a_file_is_meant(line: str) -> None:
    found = at(line)
    assert (found.files, found.source) == (True, "")


def test_a_path_to_copy_may_be_here_or_in_a_container() -> None:
    assert (at("cp a").files, at("cp a").source) == (True, cursor.PATHS)
    assert (at("cp -a ~/a").files, at("cp ~/a").source) == (True, "")


def test_a_volume_may_begin_with_a_directory_here_and_goes_on_in_the_container() -> None:
    assert [at(f"run -v {text}").files for text in ("/srv", "./x", "name", "/srv:/srv")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("line", "prefix", "text", "offered"),
    [
        ("run --pull=al", "--pull=", "al", {"always", "missing", "never"}),
        ("run --pull al", "", "al", {"always", "missing", "never"}),
        ("exec --tty=", "--tty=", "", {"auto", "true", "false"}),
        ("exec --sig-proxy=f", "--sig-proxy=", "f", {"true", "false"}),
        ("run --reconnect=", "--reconnect=", "", {"true", "false"}),
        ("run -ast", "-a", "st", {"stdin", "stdout", "stderr"}),
        ("run -ita ", "", "", {"stdin", "stdout", "stderr"}),
        ("-l d", "", "d", {"debug", "info", "warn", "error", "fatal"}),
        ("-H ", "", "", {"unix://", "tcp://", "ssh://"}),
        ("exec --detach-keys ", "", "", {"none"}),
        ("ps --format ", "", "", {"table", "json"}),
        ("completion ", "", "", {"bash", "zsh", "fish"}),
        (
            "ps -f health=",
            "",
            "health=",
            {f"health={word}" for word in ("starting", "healthy", "unhealthy", "none")},
        ),
    ],
)
def test_what_a_flag_takes_with_what_stays_before_it(
    line: str, prefix: str, text: str, offered: set[str]
) -> None:
    found = at(line)
    assert (found.prefix, found.text, words(line)) == (prefix, text, offered)


def test_filters_are_offered_by_their_keys_first() -> None:
    assert {"status=", "name=", "label="} <= words("ps -f ")
    assert "status=running" in words("ps --filter status=")


def test_a_line_that_makes_no_sense_wants_nothing() -> None:
    for line in ("exce ", "exec --nosuch ", "exec --sig-proxy=perhaps ", "-it exec "):
        *before, word = line.split(" ")
        assert wish(before, word) is None


def test_help_on_the_line_is_no_end_of_it() -> None:
    assert at("--help exec ").source == cursor.RUNNING


def test_whose_users_are_wanted_stands_behind_the_cursor() -> None:
    assert at("exec -u ", "web sh").container == "web"
    assert at("exec -it --user=", "-w / web sh").container == "web"
    assert (at("exec -l -u ", "sh").latest, at("exec -l -u ", "sh").container) == (True, "")
    assert at("exec -u ").container == ""


def test_what_is_typed_already_is_known() -> None:
    assert at("start one ", "two").taken == ["one", "two"]
    assert at("-H tcp://there --tlsverify exec ").common.values["host"] == "tcp://there"


FLAGS = [name for command in (COMMON, COMMANDS["exec"]) for flag in command.flags for name in flag.names]
WORDS = st.sampled_from(["exec", "run", "web", "-it", "-u", "root", "--", "-", "-uroot", "--tty=", *FLAGS])


@example(["-H"], "", ["-H", "exec"])
@given(st.lists(WORDS, max_size=6), WORDS | st.just(""), st.lists(WORDS, max_size=3))
def test_of_any_line_it_can_be_said(before: list[str], word: str, after: list[str]) -> None:
    found = wish(before, word, after)
    assert found is None or found.prefix + found.text == word


@pytest.mark.parametrize(
    ("line", "files", "source"),
    [
        ("cp web:/x ", True, ""),
        ("cp rev-1:x a", True, ""),
        ("cp -aL web:/x a", True, ""),
        ("cp ./x ", True, cursor.PATHS),
        ("cp x y ", True, cursor.PATHS),
        ("cp - ", False, cursor.PATHS),
        ("cp /a:b we", True, cursor.PATHS),
        ("cp .a:b ", True, cursor.PATHS),
        ("cp web:/x web:/y ", True, ""),
        ("cp ", True, cursor.PATHS),
    ],
)
def test_one_side_of_a_copy_is_here_and_the_other_in_a_container(line: str, files: bool, source: str) -> None:
    found = at(line)
    assert (found.files, found.source) == (files, source)


@pytest.mark.parametrize(
    ("after", "files", "source"),
    [(["web:/x"], True, ""), (["x"], True, cursor.PATHS), (["x", "web:/x"], False, "")],
)
def test_the_other_side_of_a_copy_may_stand_behind_the_cursor(
    after: list[str], files: bool, source: str
) -> None:
    found = wish(["cp"], "a", after)
    assert found is not None
    assert (found.files, found.source) == (files, source)


@pytest.mark.parametrize("text", ["x", "-", "./x", "web:", "web:/x", "/a:b", ".a:b", "a/b:c", "~/x"])
def test_which_side_a_word_is_on_is_what_cp_takes_it_for(text: str) -> None:
    found = wish(["cp"], "", [text])
    assert found is not None
    assert (found.source == "") is bool(split(text)[0])
