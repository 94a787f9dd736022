"""`dpty ps` on an engine that says what the test wants: requests, lines, JSON, and a table that fits a terminal."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.cli import main
from dockerpty.cli.ps import filters, fit
from tests.bed.screen import Screen
from tests.bed.terminal import PIPE, Terminal
from tests.unit.loopback import ScriptedEngine, answer

FIELDS = (
    "Command, CreatedAt, ID, Image, Labels, LocalVolumes, Mounts, Names, Networks, Platform, Ports, RunningFor, Size,"
    " State, Status, Label"
)


def container(name: str, **more: Any) -> dict[str, Any]:
    return {
        "Id": (name * 64)[:64],
        "Names": [f"/{name}"],
        "Image": "busybox:latest",
        "Command": "sh -c 'sleep 100000; exit'",
        "Created": int(time.time()) - 3 * 3600 - 1800,
        "State": "running",
        "Status": "Up 3 hours",
        **more,
    }


LISTED = [
    container("web", Ports=[{"PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0", "Type": "tcp"}]),
    container("db", State="exited", Status="Exited (137) 2 hours ago", Labels={"role": "store"}),
]
TABLE = (
    "CONTAINER ID   IMAGE            COMMAND                  CREATED       STATUS                     PORTS"
    "                  NAMES\n"
    'webwebwebweb   busybox:latest   "sh -c \'sleep 100000…"   4 hours ago   Up 3 hours                '
    " 0.0.0.0:8080->80/tcp   web\n"
    'dbdbdbdbdbdb   busybox:latest   "sh -c \'sleep 100000…"   4 hours ago   Exited (137) 2 hours ago  '
    "                        db\n"
)


class Listing:
    """An engine that has these containers, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.engine = ScriptedEngine(str(folder / "engine"))

    def says(self, body: object, status: int = 200) -> None:
        self.engine.steps.append(
            answer(status, json.dumps(body).encode(), Api_Version="1.41", Server="Docker")
        )

    def asked(self) -> str:
        return self.engine.lines.pop()


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listing]:
    listing = Listing(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", listing.engine.url)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    yield listing
    listing.engine.close()


def printed(listing: Listing, capsys: pytest.CaptureFixture[str], *argv: str, body: object = LISTED) -> str:
    listing.says(body)
    assert main(["ps", *argv]) == 0
    shown, told = capsys.readouterr()
    assert told == ""
    return shown


def test_the_table_is_dockers(listing: Listing, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(listing, capsys) == TABLE


def test_a_table_of_nothing_is_its_titles(listing: Listing, capsys: pytest.CaptureFixture[str]) -> None:
    titles = "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    assert printed(listing, capsys, body=[]) == titles
    assert printed(listing, capsys, "-q", body=[]) == ""


@pytest.mark.parametrize(
    ("argv", "query"),
    [
        ([], ""),
        (["-a"], "?all=1"),
        (["-s"], "?size=1"),
        (["-n", "3"], "?all=1&limit=3"),
        (["-n", "0"], ""),
        (["-l"], "?all=1&limit=1"),
        (["-ln2"], "?all=1&limit=2"),
        (["-f", "status=exited"], "?filters=%7B%22status%22%3A%20%5B%22exited%22%5D%7D"),
        (["--format", "{{.ID}}"], ""),
        (["--format", "{{.Size}}"], "?size=1"),
        (["--format", "{{json .}}"], "?size=1"),
        (["--format", "json"], ""),
        (["--size=false", "--format", "{{.Size}}"], ""),
        (["-q", "--format", "{{.Size}}"], ""),
    ],
)
def test_the_engine_is_asked_for_what_is_shown_and_no_more(
    argv: list[str], query: str, listing: Listing
) -> None:
    listing.says([])
    assert main(["ps", *argv]) == 0
    assert listing.asked() == f"GET /containers/json{query}"


def test_filters_of_one_name_are_kept_together() -> None:
    assert filters(["Status=exited", " label = a=b ", "status=dead", "status=dead", ""], "") == {
        "status": ["exited", "dead"],
        "label": ["a=b"],
    }


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["-q"], "webwebwebweb\ndbdbdbdbdbdb\n"),
        (["-q", "--no-trunc"], f"{'web' * 21}w\n{'db' * 32}\n"),
        (["--format", "{{.Names}}: {{.State}}"], "web: running\ndb: exited\n"),
        (
            ["--format", r'table {{.Names}}\t{{.Label "role"}}\t{{.ID}}'],
            "NAMES     role      CONTAINER ID\nweb                 webwebwebweb\ndb        store     dbdbdbdbdbdb\n",
        ),
        (["--format", r'{{.Names}}\t{{.Label "role"}}'], "web\t\ndb\tstore\n"),
    ],
)
def test_lines_are_as_they_were_asked_for(
    argv: list[str], shown: str, listing: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(listing, capsys, *argv) == shown


def test_quiet_wins_over_a_format_and_says_so(listing: Listing, capsys: pytest.CaptureFixture[str]) -> None:
    listing.says(LISTED)
    assert main(["ps", "-q", "--format", "{{.Names}}"]) == 0
    assert capsys.readouterr() == (
        "webwebwebweb\ndbdbdbdbdbdb\n",
        "dpty: --format is left out of account, because of --quiet\n",
    )


def test_json_is_an_object_on_each_line(listing: Listing, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(listing, capsys, "--format", "json").splitlines()
    first = json.loads(lines[0])
    assert list(first) == sorted(first)
    assert set(first) == {
        *("ID", "Names", "Image", "Command", "CreatedAt", "RunningFor", "State", "Status", "Ports"),
        *("Labels", "Mounts", "Networks", "Size", "LocalVolumes", "Platform"),
    }
    assert (first["Names"], first["Ports"], first["Size"]) == ("web", "0.0.0.0:8080->80/tcp", "0B")
    assert json.loads(lines[1])["Labels"] == "role=store"


def test_the_format_of_dockers_configuration_counts_unless_another_is_given(
    listing: Listing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"psFormat": "{{.Names}}"}))
    assert printed(listing, capsys) == "web\ndb\n"
    assert printed(listing, capsys, "--format", "{{.State}}") == "running\nexited\n"
    assert printed(listing, capsys, "--format", "table") == TABLE


def test_a_filter_that_the_engine_refuses_is_told_in_its_words(
    listing: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    listing.says({"message": "Invalid filter 'nope'"}, 400)
    assert main(["ps", "-f", "nope=1"]) == 1
    assert capsys.readouterr() == ("", "dpty: cannot list the containers: Invalid filter 'nope'\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["x"], "cannot run dpty ps: it takes no 'x'; see dpty ps --help"),
        (["-f", "nope"], "cannot use --filter nope: a filter is KEY=VALUE; see dpty ps --help"),
        (["-n", "-1"], "cannot use -n -1: it takes a whole number; see dpty ps --help"),
        (
            ["--format", "table {{.Name}}"],
            f"cannot use the format ' {{{{.Name}}}}': there is no field Name; there are: {FIELDS}",
        ),
    ],
)
def test_a_line_that_makes_no_sense_asks_no_engine(
    argv: list[str], message: str, listing: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ps", *argv]) == 125
    assert capsys.readouterr() == ("", f"dpty: {message}\n")
    assert listing.engine.lines == []


@pytest.mark.parametrize("body", [{}, [1], [{"Names": []}], "x"])
def test_what_is_no_list_of_containers_is_from_no_engine(
    body: object, listing: Listing, capsys: pytest.CaptureFixture[str]
) -> None:
    listing.says(body)
    assert main(["ps"]) == 1
    assert (
        "it is no list of containers; is there a container engine at that address?" in capsys.readouterr().err
    )


# On a terminal


def shown(listing: Listing, *argv: str, cols: int = 80, body: object = LISTED, **env: str | None) -> Terminal:
    listing.says(body)
    variables = {
        "DOCKER_HOST": listing.engine.url,
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm",
        "NO_COLOR": None,
        **env,
    }
    return Terminal([sys.executable, "-m", "dockerpty", "ps", *argv], cols=cols, env=variables)


@pytest.mark.parametrize("cols", [20, 50, 80, 100, 200])
def test_on_a_terminal_a_container_has_one_line_that_fits(cols: int, listing: Listing) -> None:
    with shown(listing, cols=cols) as terminal:
        screen = Screen(terminal)
        assert terminal.wait() == 0
        lines = [line for line in screen.lines() if line]
    assert len(lines) == 3
    assert all(len(line) <= cols for line in lines)
    if cols == 80:
        assert lines[1] == ('webwebwebweb  busybox:lat…  "sh -c …  4 hours ago  Up 3 hours    0.0.0.0…  web')
    if cols == 200:
        assert lines[2].split("  ")[0] == "dbdbdbdbdbdb"
        assert re.split(r" {2,}", lines[1]) == [
            *("webwebwebweb", "busybox:latest", '"sh -c \'sleep 100000…"', "4 hours ago", "Up 3 hours"),
            *("0.0.0.0:8080->80/tcp", "web"),
        ]


def test_on_a_terminal_the_state_has_a_colour(listing: Listing) -> None:
    with shown(listing, cols=200) as terminal:
        assert terminal.wait() == 0
        assert b"\x1b[32mUp 3 hours" in terminal.output
        assert b"\x1b[31mExited (137) 2 hours ago" in terminal.output


def test_no_color_is_honoured(listing: Listing) -> None:
    with shown(listing, cols=80, NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", terminal.output)


def test_a_terminal_that_can_only_write_gets_plain_text(listing: Listing) -> None:
    with shown(listing, TERM="dumb") as terminal:
        assert terminal.wait() == 0
        assert terminal.output.replace(b"\r\n", b"\n").decode() == TABLE


def test_nothing_is_cut_on_a_terminal_if_that_was_asked_for(listing: Listing) -> None:
    with shown(listing, "--no-trunc") as terminal:
        assert terminal.wait() == 0
        assert ("web" * 21 + "w").encode() in terminal.output
        assert b"\"sh -c 'sleep 100000; exit'\"" in terminal.output


def test_on_a_terminal_of_one_column_it_is_whole(listing: Listing) -> None:
    with shown(listing, cols=1) as terminal:
        assert terminal.wait() == 0
        assert terminal.output.decode().replace("\r\n", "\n") == TABLE


@pytest.mark.parametrize("argv", [[], ["--no-trunc"], ["--format", "{{.Labels}} {{.Label `x`}}"]])
def test_whoever_made_a_container_cannot_command_the_terminal(argv: list[str], listing: Listing) -> None:
    wicked = container("web", Labels={"x": "\x1b[2J\x9b2J"}, Status="Up\x1b[2J", Image="a\x1b]0;b\x07")
    with shown(listing, *argv, body=[wicked]) as terminal:
        assert terminal.wait() == 0
        assert b"?[2J" in terminal.output or b"a?]0;b?" in terminal.output
        assert not re.search("\x1b\\[2J|\x1b\\]|\x07|\x9b", terminal.output.decode())


def test_whoever_typed_the_format_may(listing: Listing) -> None:
    with shown(listing, "--format", "\x1b[1m{{.Names}}") as terminal:
        assert terminal.wait() == 0
        assert terminal.output == b"\x1b[1mweb\r\n\x1b[1mdb\r\n"


def test_what_draws_is_not_loaded_in_a_pipe(listing: Listing) -> None:
    listing.says(LISTED)
    source = "import sys; from dockerpty.cli import main; main(['ps']); print('rich' in sys.modules, file=sys.stderr)"
    with Terminal.python(
        source, stdout=PIPE, stderr=PIPE, env={"DOCKER_HOST": listing.engine.url}
    ) as terminal:
        assert terminal.wait() == 0
        assert terminal.stderr == b"False\n"


def test_names_in_a_pipe_have_no_colour_whatever_the_environment_says(listing: Listing) -> None:
    listing.says(LISTED)
    env = {"DOCKER_HOST": listing.engine.url, "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm"}
    argv = [sys.executable, "-m", "dockerpty", "ps"]
    with Terminal(argv, stdout=PIPE, env={"LC_ALL": "C.UTF-8", **env}) as terminal:
        assert terminal.wait() == 0
        assert terminal.stdout.decode() == TABLE


def test_where_stdout_knows_few_characters_the_others_are_replaced(listing: Listing) -> None:
    listing.says(LISTED)
    env = {"DOCKER_HOST": listing.engine.url, "PYTHONIOENCODING": "ascii"}
    with Terminal([sys.executable, "-m", "dockerpty", "ps"], stdout=PIPE, env=env) as terminal:
        assert terminal.wait() == 0
        assert terminal.stdout.decode() == TABLE.replace("…", "?")


@given(
    st.lists(st.tuples(st.sampled_from(["COMMAND", "NAMES", "STATUS", "x"]), st.integers(0, 60)), min_size=1),
    st.integers(-20, 200),
)
def test_columns_fit_or_are_one_wide(columns: list[tuple[str, int]], room: int) -> None:
    titles, widths = [title for title, _ in columns], [wide for _, wide in columns]
    found = fit(titles, widths, room)
    assert sum(found) <= room or max(found) <= 1
    assert all(now <= before for now, before in zip(found, widths, strict=True))
    if sum(widths) <= room:
        assert found == widths


def test_a_command_is_cut_before_a_name() -> None:
    assert fit(["COMMAND", "STATUS", "NAMES"], [22, 14, 20], 50) == [16, 14, 20]
    assert fit(["COMMAND", "STATUS", "NAMES"], [22, 14, 20], 40) == [8, 12, 20]
    assert fit(["COMMAND", "STATUS", "NAMES"], [22, 14, 20], 30) == [8, 8, 14]
