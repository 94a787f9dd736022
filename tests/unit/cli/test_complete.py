"""The answers to the completion scripts, as far as no engine is asked; real shells are in the engine's tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.cli import complete, main
from dockerpty.cli import engine as engines
from dockerpty.cli.complete import split
from dockerpty.cli.cursor import wish
from dockerpty.engine import calls
from tests.unit.cli.test_main import ROOT, environment
from tests.unit.test_import_budget import TOO_DEAR

BREAKS = " \t\n\"'@><=;|&(:"


def ask(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    assert main(["__complete", *argv]) == 0
    shown, told = capsys.readouterr()
    assert told == ""
    return shown.splitlines()


def in_bash(
    capsys: pytest.CaptureFixture[str], line: str, after: str = "", breaks: str = BREAKS
) -> list[str]:
    return ask(capsys, "bash", f"dpty {line}", after, breaks)


def test_words_come_with_what_to_say_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = ask(capsys, "zsh", "0", "exe")
    assert first == "words"
    assert "exec\tRun a command in a running container." in rest


def test_a_value_comes_as_the_whole_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, "fish", "1", "run", "--pull=a") == [
        "words",
        *(f"--pull={w}\t" for w in ("always", "missing", "never")),
    ]


def test_files_come_with_what_stands_before_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, "zsh", "1", "exec", "--record=a") == ["files\t--record="]
    assert ask(capsys, "zsh", "2", "exec", "--record", "a") == ["files\t"]


def test_bash_gets_what_fits_from_where_it_cuts_the_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_bash(capsys, "rep") == ["words", "replay"]
    assert in_bash(capsys, "run --pull=a") == ["words", "always"]
    assert in_bash(capsys, "run --pull=a", breaks=" ") == ["words", "--pull=always"]
    assert in_bash(capsys, "-H un") == ["words", "unix://"]
    assert in_bash(capsys, "-H unix:") == ["words", "//"]
    assert in_bash(capsys, '-H "unix:') == ["words", "unix://"]


def test_a_redirection_is_the_shells_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_bash(capsys, "exec -i db psql < du") == ["files"]
    assert in_bash(capsys, "exec -i db psql 2>du") == ["files"]
    assert in_bash(capsys, "completion 2>/dev/null ba") == ["words", "bash"]


@pytest.mark.parametrize(
    ("text", "words", "quoted"),
    [
        ("dpty ", ["dpty", ""], False),
        ("dpty  exec\tweb", ["dpty", "exec", "web"], False),
        ("a 'b c' d", ["a", "b c", "d"], False),
        ('a "b \\" c', ["a", 'b " c'], True),
        ("a b\\ c", ["a", "b c"], True),
        ("a '' ", ["a", "", ""], False),
        ("a <f >>g 2>&1 b", ["a", None, "f", None, "g", None, "1", "b"], False),
        ("a <<<w b", ["a", None, "w", "b"], False),
    ],
)
def test_a_line_is_split_as_bash_does_it(text: str, words: list[str | None], quoted: bool) -> None:
    assert split(text) == (words, quoted)


@given(st.text("ab \t'\"\\<>&|:=12", max_size=20))
def test_whatever_is_typed_is_split(text: str) -> None:
    words, _ = split(text)
    assert isinstance(words[-1], str)


def test_a_word_that_would_need_quotes_is_not_offered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number, name in enumerate(("fine", "$(reboot)", "a b", "new\nline")):
        folder = tmp_path / "contexts" / "meta" / str(number)
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(json.dumps({"Name": name}))
    found = ask(capsys, "zsh", "3", "--config", str(tmp_path), "-c", "")
    assert found == ["words", "default\t", "fine\t"]


def test_names_of_variables_are_offered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPTY_TEST_ONLY", "secret")
    assert in_bash(capsys, "exec -e DPTY_TEST_ON") == ["words", "DPTY_TEST_ONLY"]


@pytest.mark.parametrize("argv", [[], ["bash"], ["zsh", "x", "y"], ["zsh", "3", "exec"], ["fish", "0"]])
def test_what_no_script_asks_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["__complete", *argv]) == 125
    assert capsys.readouterr() == ("", "")


class Listing:
    """An engine that lists what it was given."""

    name = "unix:///there"
    closed = False

    def __init__(self, listed: Any) -> None:
        self._listed = listed
        self.asked: list[calls.Call] = []

    def send(self, call: calls.Call, **options: Any) -> calls.Reply:
        self.asked.append(call)
        return calls.Reply(200, {}, json.dumps(self._listed).encode())

    def close(self) -> None:
        self.closed = True


def told(monkeypatch: pytest.MonkeyPatch, line: str, listed: Any) -> tuple[Listing, list[tuple[str, str]]]:
    engine = Listing(listed)
    monkeypatch.setattr(engines, "engine_of", lambda common: engine)
    *before, word = line.split(" ")
    wanted = wish(before, word)
    assert wanted is not None
    found = complete.of_the_engine(wanted)
    assert engine.closed
    return engine, found


CONTAINERS = [
    {"Names": ["/other/alias", "/web"], "Image": "nginx", "Status": "Up 2 hours"},
    {"Names": ["/db"], "Image": "postgres", "Status": "Up 3 days"},
    {"Names": None},
]


def test_containers_are_named_by_their_own_names_with_image_and_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, found = told(monkeypatch, "exec ", CONTAINERS)
    assert engine.asked == [calls.list_containers()]
    assert found[:2] == [("web", "nginx, Up 2 hours"), ("db", "postgres, Up 3 days")]


def test_to_start_are_offered_those_that_have_ended_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, found = told(monkeypatch, "start db ", CONTAINERS)
    assert engine.asked == [calls.list_containers(filters={"status": ["created", "exited"]})]
    assert "db" not in dict(found)


def test_to_copy_from_are_offered_all_with_a_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, found = told(monkeypatch, "cp ", CONTAINERS)
    assert engine.asked == [calls.list_containers(all=True)]
    assert "web:" in dict(found)


def test_images_without_a_name_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [{"RepoTags": ["a:1", "b:latest"]}, {"RepoTags": None}, {"RepoTags": ["<none>:<none>"]}]
    assert [name for name, _ in told(monkeypatch, "run ", images)[1]] == ["a:1", "b:latest"]


def loaded(line: str) -> set[str]:
    code = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"from dockerpty.cli import main; main({['__complete', *line.split(' ')]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        capture_output=True,
        text=True,
        env=environment(DOCKER_HOST="unix:///nowhere"),
        timeout=30,
        check=True,
    )
    return set(done.stderr.split())


def test_an_answer_loads_only_what_it_uses() -> None:
    assert (
        loaded("zsh 1 exec -") & {*TOO_DEAR, "json", "socket", "dockerpty.engine.client", "dockerpty.pty"}
        == set()
    )
    assert (
        loaded("zsh 1 exec ") & {*TOO_DEAR, "dockerpty.pty", "dockerpty.bridge", "dockerpty.archive"} == set()
    )


def test_whoever_never_comes_back_with_an_answer_is_not_waited_for() -> None:
    code = (
        "import time; from dockerpty.cli import complete, main\n"
        "complete.of_the_engine = lambda wanted: time.sleep(60)\n"
        "main(['__complete', 'fish', '1', 'cp', ''])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "files\t\n", "")


def test_an_error_of_the_engine_is_nothing_to_say() -> None:
    code = "from dockerpty.cli import main; main(['__complete', 'zsh', '1', 'exec', ''])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(DOCKER_HOST="unix:///nowhere/sock"),
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "words\n", "")
