"""The examples in the documentation, run on the real engine and held to what they say that they print.

The convention, for whoever writes a page:

- the ```python blocks of a page are run, in order, as one program; a ```text block right after one is all that it
  prints, with `...` for anything;
- a ```python block with a `def test_` in it is a test file instead, and must pass;
- a ```console block is a shell's session: what follows a `$ ` is run, what follows that is all that it prints;
- ```sh and ```py blocks are shown only: they need a terminal, or another machine;
- `web` is a running container of busybox; `job` is one with an open input that never ran, and sorts what it gets;
  `distroless` is a running one that has a single program. Each page finds them new;
- `dpty` is this checkout's, and standard input is empty.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
import requests

import dockerpty
from dockerpty.cli.grammar import read
from dockerpty.cli.table import COMMANDS, COMMON
from tests.bed.engine import IMAGE, PREFIX, Bench, engine_url
from tests.conftest import missing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TIME_LIMIT_S = 60
SEPARATOR = "--- the end of one example ---"
# What the pages call their containers, and what these are called on the engine.
NAMES = {name: f"{PREFIX}-{name}-{os.getpid()}" for name in ("web", "job", "distroless")}
# An image with one program and no shell, which `bin/images.py` makes.
ONE_PROGRAM = "dpty-static:latest"

_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """List the fenced blocks of a page as (language, text), with the containers' names on the engine.

    The language of a test file is given as `test`.
    """
    return [
        ("test" if language == "python" and "def test_" in text else language, with_names(text))
        for language, text in _FENCE.findall(page)
    ]


def with_names(text: str) -> str:
    """Replace what the pages call their containers."""
    return re.sub(rf"\b(?:{'|'.join(NAMES)})\b", lambda found: NAMES[found[0]], text)


def python_examples(page: str) -> list[tuple[str, str | None]]:
    """List the python blocks of a page with what each must print, None for whatever it likes."""
    found = blocks(page)
    followers = [*found[1:], ("", "")]
    return [
        (text, after[1] if after[0] == "text" else None)
        for (language, text), after in zip(found, followers, strict=True)
        if language == "python"
    ]


def console_examples(block: str) -> list[tuple[str, str]]:
    """List the commands of a console block with what each must print."""
    examples: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            examples.append((line[2:], ""))
        else:
            command, said = examples[-1]
            examples[-1] = command, f"{said}{line}\n"
    return examples


def with_blocks(wanted: str) -> list[str]:
    """Name the pages that have blocks in a language."""
    return [name for name in map(name_of, PAGES) if wanted in dict(blocks(text_of(name)))]


def name_of(page: Path) -> str:
    return str(page.relative_to(DOCS))


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture
def containers() -> Iterator[None]:
    """The containers that the pages name, as a page finds them."""
    client = docker.DockerClient(base_url=engine_url(), timeout=60)
    try:
        for image in (IMAGE, ONE_PROGRAM):
            client.images.get(image)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        client.close()
        missing(f"no engine at {engine_url()} with {IMAGE} and {ONE_PROGRAM}: {error}")
    bench = Bench(client)
    try:
        bench.container(name=NAMES["web"], start=True)
        bench.container("sort; exit 3", name=NAMES["job"], stdin_open=True)
        bench.container(
            ["/bin/cat"],
            name=NAMES["distroless"],
            image=ONE_PROGRAM,
            stdin_open=True,
            detach=True,
            start=True,
        )
        yield
    finally:
        bench.close()
        client.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which `dpty` and `import dockerpty` are this checkout's."""
    command = tmp_path / "bin" / "dpty"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m dockerpty "$@"\n')
    command.chmod(0o755)
    return {
        **os.environ,
        "DOCKER_HOST": engine_url(),
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


def said_by(argv: list[str], environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """Run a program: its exit code, and what it wrote to stdout and stderr in their order."""
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    # A recording's lines end as they do on a terminal, where nobody sees that.
    return done.returncode, done.stdout.decode().replace("\r\n", "\n")


def complaint(example: str, want: str, got: str) -> str:
    """Say how what was printed differs from the page, "" if it does not."""
    if doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS):
        return ""
    return f"{example.rstrip()}\nprints\n{got}\nand the page says\n{want}"


@pytest.mark.engine
@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize("page", with_blocks("python"))
def test_the_python_of_a_page_prints_what_the_page_says(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    examples = python_examples(text_of(page))
    script = tmp_path / "page.py"
    script.write_text("".join(f"{text}\nprint({SEPARATOR!r}, flush=True)\n" for text, _ in examples))
    code, said = said_by([sys.executable, "-W", "ignore", str(script)], environment, tmp_path)
    assert code == 0, said
    printed = said.split(f"{SEPARATOR}\n")[:-1]
    assert len(printed) == len(examples), said
    assert [
        problem
        for (text, want), got in zip(examples, printed, strict=True)
        if want is not None and (problem := complaint(text, want, got))
    ] == []


@pytest.mark.engine
@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize("page", with_blocks("console"))
def test_the_commands_of_a_page_print_what_the_page_says(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    problems = []
    for language, block in blocks(text_of(page)):
        if language != "console":
            continue
        examples = console_examples(block)
        # One shell for a block, in which `$?` is still that of the command before.
        script = "".join(f"{text}\n(c=$?; echo '{SEPARATOR}'; exit $c)\n" for text, _ in examples)
        _, said = said_by(["sh", "-c", script], environment, tmp_path)
        printed = said.split(f"{SEPARATOR}\n")[:-1]
        assert len(printed) == len(examples), said
        problems += [complaint(text, want, got) for (text, want), got in zip(examples, printed, strict=True)]
    assert [problem for problem in problems if problem] == []


@pytest.mark.engine
@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
@pytest.mark.parametrize("page", with_blocks("test"))
def test_the_test_files_of_a_page_pass(
    page: str, capture: str, environment: dict[str, str], tmp_path: Path
) -> None:
    for number, (language, block) in enumerate(blocks(text_of(page))):
        if language == "test":
            (tmp_path / f"test_{number}.py").write_text(block)
    options = ["-q", "-p", "no:cacheprovider", f"--capture={capture}"]
    # By name: this checkout need not be installed.
    options += ["-p", "dockerpty.pytest_plugin", "--dpty-host", IMAGE]
    code, said = said_by([sys.executable, "-m", "pytest", *options, "."], environment, tmp_path)
    assert code == 0, said


# The reading of pages itself


def test_a_block_knows_what_it_must_print() -> None:
    page = "```python\na\n```\n\n```text\n1\n```\n\n```python\nb\n```\n"
    assert python_examples(page) == [("a\n", "1\n"), ("b\n", None)]


def test_a_console_block_is_commands_and_what_they_print() -> None:
    assert console_examples("$ echo a\na\n$ true\n$ echo b\nb\n") == [
        ("echo a", "a\n"),
        ("true", ""),
        ("echo b", "b\n"),
    ]


def test_every_block_has_a_language_that_says_whether_it_is_run() -> None:
    known = {"python", "test", "console", "text", "sh", "py", "{toctree}", "{eval-rst}"}
    assert {
        f"{name_of(page)}: {language or 'no language'}"
        for page in PAGES
        for language, _ in blocks(page.read_text(encoding="utf-8"))
        if language not in known
    } == set()


def test_what_is_only_shown_is_a_line_that_dpty_takes() -> None:
    shown = [line for page in PAGES for line in shown_lines(text_of(name_of(page)))]
    table = re.findall(r"`dpty ([^`|]+)`", text_of("coming-from.md"))
    assert len(shown) > 20
    assert len(table) > 20
    for line in [*shown, *table]:
        common = read(COMMON, words_of(line))
        name, *rest = common.words
        read(COMMANDS[name], rest)


def shown_lines(page: str) -> list[str]:
    """List the lines for `dpty` in the blocks that are not run, from behind its name up to the next program's."""
    text = "\n".join(text for language, text in blocks(page) if language == "sh")
    return re.findall(r"(?:^|\| |<\()dpty ([^|)\n]+)", text, re.MULTILINE)


def words_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return words[: words.index("<")] if "<" in words else words


def test_every_command_has_a_page_that_names_all_its_flags() -> None:
    shared = text_of("commands/index.md")
    assert [
        f"{command.title} {flag.names[-1]}"
        for command in COMMANDS.values()
        if command.name != "help"
        for flag in command.flags
        if not re.search(rf"{flag.names[-1]}\b", shared + text_of(f"commands/{command.name}.md"))
    ] == []


def test_each_feature_of_a_host_names_tests_that_are_there() -> None:
    rows = [line for line in text_of("host/features.md").splitlines() if line.startswith("|")][2:]
    named = [re.findall(r"`(\S+\.py)`", row.rsplit("|", 2)[1]) for row in rows]
    assert len(named) > 10
    assert all(named)
    assert [each for row in named for each in row if not (ROOT / "tests" / each).is_file()] == []


def test_the_reference_has_every_public_name() -> None:
    page = text_of("reference.md")
    assert [name for name in dockerpty.__all__ if not re.search(rf"\b{name}\b", page)] == []
