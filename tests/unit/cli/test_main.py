"""`dpty` as it is typed, as far as it needs no engine: what it prints, and its exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dockerpty import __version__
from dockerpty.cli import main
from dockerpty.cli.table import COMMANDS
from tests.unit.test_import_budget import TOO_DEAR

ROOT = Path(__file__).resolve().parents[3]
DPTY = [sys.executable, "-m", "dockerpty"]
SECONDS = 30


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}


def dpty(line: str) -> list[str]:
    return [*DPTY, *line.split()]


def in_shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of sh, in which `dpty` is the command."""
    function = f'dpty() {{ exec {sys.executable} -m dockerpty "$@"; }}; '
    return subprocess.run(
        ["sh", "-c", function + script],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment(),
        check=False,
    )


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("-v", "--version"):
        assert main([name]) == 0
        assert capsys.readouterr() == (f"dpty {__version__}\n", "")


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"], ["--help", "exec"]])
def test_help_is_what_was_asked_for_and_goes_to_stdout(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 0
    shown, told = capsys.readouterr()
    assert shown.startswith("Usage: dpty [OPTIONS] COMMAND [ARG...]\n")
    assert told == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_help_in_two_ways(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    one = capsys.readouterr()
    assert main(["help", name]) == 0
    assert one == capsys.readouterr()
    assert one.out.startswith(f"Usage: dpty {name} [OPTIONS]")


def test_without_a_command_the_help_goes_to_stderr_and_nothing_is_a_success(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 125
    shown, told = capsys.readouterr()
    assert shown == ""
    assert told.startswith("Usage: dpty [OPTIONS] COMMAND [ARG...]\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("exce web sh", "cannot run dpty exce: there is no such command; did you mean exec?"),
        ("frobnicate", "cannot run dpty frobnicate: there is no such command; see dpty --help"),
        ("help exce", "cannot run dpty exce: there is no such command; did you mean exec?"),
        ("--hosts x exec web sh", "cannot use --hosts: dpty has no such flag; did you mean --host?"),
        ("-it web sh", "cannot use -i in -it: dpty has no such flag; see dpty --help"),
        ("-H", "cannot use -H: it needs a value: -H URL; see dpty --help"),
        ("exec", "cannot run dpty exec: it needs a CONTAINER and a COMMAND; see dpty exec --help"),
        ("run -it", "cannot run dpty run: it needs an IMAGE; see dpty run --help"),
        (
            "-H unix:///no/such.sock exec -d --timeout 5 web ls",
            "cannot use --timeout: nobody is there to keep it with --detach; see dpty exec --help",
        ),
        (
            "-H unix:///no/such.sock run -d --idle-timeout 5 busybox ls",
            "cannot use --idle-timeout: nobody is there to keep it with --detach; see dpty run --help",
        ),
        (
            "run --entry-point x y",
            "cannot use --entry-point: dpty run has no such flag; did you mean --entrypoint?",
        ),
        (
            "-H ftp://there exec web ls",
            (
                "cannot use the engine's address ftp://there: ftp:// is not an address of an engine;"
                " use unix:///path, tcp://host:port or ssh://user@host"
            ),
        ),
        (
            "-H unix:///no/such.sock exec web ls",
            (
                "cannot reach the engine at unix:///no/such.sock: there is no such socket;"
                " start the engine, or say where it is with DOCKER_HOST"
            ),
        ),
        (
            "exec --detach-keys xx web ls",
            (
                "cannot use the detach keys 'xx': 'xx' is not a key; write keys with commas between them:"
                " one ASCII character, ctrl- and one of a-z @ [ \\ ] ^ _, or DEL"
            ),
        ),
        ("exec -e =1 web ls", "cannot set a variable of -e: it has no name; write NAME=VALUE"),
        (
            "exec --env-file /no/such web ls",
            "cannot read the file of variables /no/such: No such file or directory",
        ),
        ("run -l =1 busybox", "cannot put on a label of -l: it has no name; write NAME=VALUE"),
        ("run -v :/x busybox", "cannot mount ':/x': it has no source or no target; write SOURCE:TARGET"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_and_is_125(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 125
    assert capsys.readouterr() == ("", f"dpty: {message}\n")


@pytest.mark.parametrize(("command", "operand"), [("exec", "CONTAINER"), ("run", "IMAGE")])
def test_an_empty_name_is_bad_usage(command: str, operand: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "", "true"]) == 125
    message = f"dpty: cannot run dpty {command}: its {operand} is empty; see dpty {command} --help\n"
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize("command", ["exec", "run"])
@pytest.mark.parametrize("stdin", ["/dev/null", "&-"])
def test_a_persons_terminal_is_refused_where_stdin_is_none(command: str, stdin: str) -> None:
    # The engine's address is wrong: the refusal comes before it is asked.
    done = in_shell(f"dpty -H unix:///no/such {command} -it web sh <{stdin}")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        "dpty: cannot give the process a terminal: the input device is not a TTY; use --tty=auto,"
        " which gives it one only where there is one, or leave out -t\n"
    )


def test_debug_tells_the_steps_and_where_an_error_came_from() -> None:
    done = subprocess.run(
        dpty("-D -H unix:///no/such exec web ls"),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 125
    assert "Traceback (most recent call last):" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("dpty: cannot reach the engine at unix:///no/such:")


def test_a_fault_of_ours_is_125_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(line: object) -> int:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("dockerpty.cli.exec.command", broken)
    assert main(["exec", "web", "ls"]) == 125
    told = capsys.readouterr().err
    assert told.startswith("dpty: ZeroDivisionError: division by zero; this is a fault of dpty:")
    assert told.count("\n") == 1


def test_ctrl_c_kills_it_by_sigint() -> None:
    code = (
        "import dockerpty.cli, dockerpty.cli.exec as exec_file, os, signal\n"
        "exec_file.command = lambda line: signal.raise_signal(signal.SIGINT)\n"
        "raise SystemExit(dockerpty.cli.main(['exec', 'web', 'ls']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_reader_that_has_gone_kills_it_by_sigpipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            dpty("--help"),
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=SECONDS,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_stdout_is_an_error() -> None:
    for line in ("dpty --help", "dpty --version"):
        done = in_shell(f"{line} > /dev/full")
        assert (done.returncode, done.stderr) == (
            1,
            "dpty: cannot write to stdout: No space left on device\n",
        )


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_stderr_changes_no_code() -> None:
    done = in_shell("unset PYTHONUNBUFFERED; dpty --nosuch 2> /dev/full")
    assert (done.returncode, done.stdout) == (125, "")


def test_closed_descriptors_are_no_fault() -> None:
    done = in_shell("dpty --version >&- 2>&- <&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert in_shell("dpty nosuch 2>&-").returncode == 125


@pytest.mark.parametrize("loaded", ["table", "looks"])  # the one at its start, the other for its error
def test_ctrl_c_while_something_is_being_loaded_is_died_of_without_a_traceback(loaded: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "class Impatient:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'dockerpty.cli.{loaded}':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "from dockerpty.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, "nonsense"], capture_output=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def modules_loaded_by(line: str) -> tuple[int, set[str]]:
    """Run a line in a fresh interpreter, as the installed command does; its code and all modules that are loaded."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules)\n"
        "from dockerpty.cli import main\n"
        f"code = main({line.split()!r})\n"
        "sys.stderr.write('loaded: ' + ' '.join(set(sys.modules) - before))\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    found = re.search(r"^loaded: (.*)$", done.stderr, re.M)
    assert found, done.stderr
    return done.returncode, set(found[1].split())


# Up to the engine, which is not there: what a session loads beyond that, it has loaded to get so far.
@pytest.mark.parametrize("line", ["exec -i web ls", "exec -itu0 --tty=false web ls", "run --rm busybox ls"])
def test_a_plain_line_loads_neither_click_nor_docker_py_nor_anything_as_dear(line: str) -> None:
    code, loaded = modules_loaded_by(f"-H unix:///no/such {line}")
    assert code == 125
    assert {name.partition(".")[0] for name in loaded} & TOO_DEAR == set()
    assert "dockerpty.pty" in loaded
    assert "dockerpty.cli.help" not in loaded


def test_the_version_loads_the_table_and_nothing_else() -> None:
    code, loaded = modules_loaded_by("--version")
    assert code == 0
    ours = {
        "dockerpty",
        "dockerpty.cli",
        "dockerpty.errors",
        *(f"dockerpty.cli.{name}" for name in ("container_flags", "grammar", "outcome", "table")),
    }
    assert loaded == {"__future__", *ours}


def test_help_loads_click_but_no_engine() -> None:
    code, loaded = modules_loaded_by("exec --help")
    assert code == 0
    assert "click" in loaded
    assert not loaded & {"docker", "requests", "dockerpty.engine.client", "dockerpty.pty", "rich"}
