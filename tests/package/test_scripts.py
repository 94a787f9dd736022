"""What a person runs in a checkout: `bin/dpty`, `bin/engine`, `bin/test` and the lines of the README.

In a copy of the checkout, so that nothing is set up in the one that is being tested.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import requests

from dockerpty import __version__
from tests.bed.engine import engine_url, short_directory
from tests.bed.terminal import ROOT, Terminal
from tests.conftest import missing, needs_root

SECONDS = 240
NOT_COPIED = (
    *(".git", ".venv*", ".*_cache", ".hypothesis", ".tox", "__pycache__"),
    *("*.egg-info", "build", "dist", "_build"),
)
VERSION = f"dpty {__version__}\n".encode()
SETTING_UP = b"dpty: setting up .venv (Python packages; once, takes a moment)\n"
WAITING = b"dpty: waiting for another one that sets up\n"

Done = subprocess.CompletedProcess[bytes]


def environment(**changes: str) -> dict[str, str]:
    """A person's variables, with nothing of this run of the tests in them."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "DPTY_ENGINE", "DPTY_ENGINE_SOCK", "DPTY_TEST_REQUIRE")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    return {**env, "DOCKER_HOST": engine_url(), **changes}


def run(*argv: str | Path, cwd: Path, stdin: bytes = b"", **env: Any) -> Done:
    """Run a program to its end."""
    return subprocess.run(
        [str(word) for word in argv],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=environment(**env),
        timeout=SECONDS,
        check=False,
    )


def at_once(*lines: list[str], cwd: Path, **env: str) -> list[Done]:
    """Run several programs, all of them begun before any of them is waited for."""
    begun = [
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment(**env),
        )
        for argv in lines
    ]
    ended = []
    for process in begun:
        out, err = process.communicate(timeout=SECONDS)
        ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return ended


@pytest.fixture(scope="module")
def engine() -> None:
    """An engine is there: none is to be installed by these tests."""
    client = None
    try:
        client = docker.DockerClient(base_url=engine_url(), timeout=60)
        client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        missing(f"no engine at {engine_url()}: {error}")
    finally:
        if client is not None:
            client.close()


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A fresh copy of the checkout, which anybody may read."""
    with short_directory() as folder:
        os.chmod(folder, 0o755)
        place = Path(folder) / "checkout"
        shutil.copytree(ROOT, place, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
        yield place


@pytest.fixture(scope="module")
def first_runs(checkout: Path) -> list[Done]:
    """What became of the first two who ran `bin/dpty` in it, at the same time."""
    return at_once(*[["bin/dpty", "--version"]] * 2, cwd=checkout)


@pytest.fixture
def ready(first_runs: list[Done], checkout: Path) -> Path:
    """The copy of the checkout when it has been set up."""
    return checkout


# bin/dpty


def test_of_two_first_runs_one_sets_up_and_the_other_waits_for_it(
    first_runs: list[Done], checkout: Path
) -> None:
    assert [(done.returncode, done.stdout) for done in first_runs] == [(0, VERSION)] * 2
    assert sorted(done.stderr for done in first_runs) == [SETTING_UP, WAITING]
    assert not list(checkout.glob("dockerpty-ready*"))


def test_the_next_run_has_nothing_to_set_up_from_wherever_it_is_called(ready: Path, tmp_path: Path) -> None:
    link = tmp_path / "dpty"
    link.symlink_to(ready / "bin" / "dpty")
    stamp = (ready / ".venv" / "dockerpty-ready").stat().st_mtime_ns
    for program, place in (("bin/dpty", ready), ("./dpty", ready / "bin"), (link, Path("/"))):
        done = run(program, "--version", cwd=place)
        assert (done.returncode, done.stdout, done.stderr) == (0, VERSION, b"")
    assert (ready / ".venv" / "dockerpty-ready").stat().st_mtime_ns == stamp


def test_what_it_cannot_do_is_said_by_dpty_itself(ready: Path) -> None:
    done = run("bin/dpty", "exce", cwd=ready)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr == b"dpty: cannot run dpty exce: there is no such command; did you mean exec?\n"


def nobodys(*argv: str) -> list[str]:
    needs_root("can be somebody else")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv]


def test_who_may_not_write_there_is_told_so(checkout: Path) -> None:
    done = run(*nobodys("bin/venv", ".venv-other"), cwd=checkout)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.decode() == (
        f"dpty: cannot make {checkout}/.venv-other: {checkout} is not writable for you\n"
    )


# The README


def block_with(text: str) -> str:
    """The one block of the README that has this in it."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if text in block)
    return str(found)


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_the_readmes_line_for_a_pipe_passes_the_exit_code_on(ready: Path) -> None:
    line = block_with("echo 'exit 7'")
    assert line.count("\n") == 1
    done = run("sh", "-c", line, cwd=ready)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"7\n", b"")


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_the_readmes_line_for_a_person_puts_them_into_a_shell(ready: Path) -> None:
    (words,) = (
        shlex.split(line)
        for line in block_with("bin/engine bin/dpty run --rm -i --tty=auto busybox sh\n").splitlines()
    )
    with Terminal(words, cwd=ready, env={"DOCKER_HOST": engine_url(), "PYTHONPATH": None}) as terminal:
        terminal.expect("# ", 30)
        assert terminal.is_raw()
        terminal.send("tty; exit 3\r")
        terminal.expect("/dev/pts/")
        assert terminal.wait() == 3
        assert terminal.is_as_before()


def test_the_readmes_last_line_and_what_ci_runs_are_the_same_program(checkout: Path) -> None:
    assert block_with("bin/test") == "bin/test\n"
    ours, theirs = (run(program, "--help", cwd=checkout) for program in ("bin/test", ".ci/run"))
    assert (ours.returncode, ours.stderr) == (0, b"")
    assert ours.stdout.startswith(b"Usage: bin/test ")
    assert (theirs.returncode, theirs.stdout) == (0, ours.stdout)


# bin/engine


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_with_an_engine_at_hand_it_is_the_command_and_nothing_more(checkout: Path) -> None:
    done = run("bin/engine", "sh", "-c", "cat; echo err >&2; exit 9", cwd=checkout, stdin=b"piped\n")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"piped\n", b"err\n")
    done = run("bin/engine", "--", "printenv", "DOCKER_HOST", cwd=checkout)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{engine_url()}\n", b"")
    done = run("bin/engine", cwd=checkout)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == f"engine: the engine is at {engine_url()}\n"


@pytest.mark.engine
@pytest.mark.usefixtures("engine")
def test_the_engine_that_it_finds_counts_before_a_context_of_dockers(checkout: Path, tmp_path: Path) -> None:
    if engine_url() != "unix:///var/run/docker.sock":
        missing("the engine is not where bin/engine looks first")
    (tmp_path / "config.json").write_text('{"currentContext": "elsewhere"}')
    env: dict[str, Any] = {"DOCKER_HOST": "", "DOCKER_CONTEXT": "elsewhere", "DOCKER_CONFIG": str(tmp_path)}
    done = run("bin/engine", "printenv", "DOCKER_HOST", cwd=checkout, **env)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{engine_url()}\n", b"")


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        ("--nonsense", {}, "unknown option --nonsense; see bin/engine --help"),
        ("true", {"DPTY_ENGINE": "lxc"}, "DPTY_ENGINE is 'lxc': it can be docker or podman"),
        (
            "true",
            {"DOCKER_HOST": "unix:///no/such.sock"},
            "start the engine that DOCKER_HOST names, or unset DOCKER_HOST to have one set up here",
        ),
    ],
)
def test_what_it_cannot_do_is_125_and_a_line_that_says_what_to_do(
    words: str, env: dict[str, Any], said: str, checkout: Path
) -> None:
    done = run("bin/engine", *words.split(), cwd=checkout, **env)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.decode().splitlines()[-1] == f"engine: {said}"
    assert all(line.startswith("engine: ") for line in done.stderr.decode().splitlines())


def test_its_help_needs_no_engine(checkout: Path) -> None:
    done = run("bin/engine", "--help", cwd=checkout, DOCKER_HOST="unix:///no/such.sock")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Usage: bin/engine ")


@pytest.fixture
def own_engine(checkout: Path) -> Iterator[dict[str, Any]]:
    """Variables for an engine beside the machine's own, which is stopped at the end."""
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        missing("bin/engine would have to install an engine, or may not start one")
    env: dict[str, Any] = {
        "DPTY_ENGINE_SOCK": str(checkout.parent / "own.sock"),
        "DPTY_HOME": str(checkout.parent / "home"),
    }
    yield env
    stopped = run("bin/engine", "--stop", cwd=checkout, **env)
    number = subprocess.check_output(["cksum"], input=env["DPTY_ENGINE_SOCK"].encode()).split()[0].decode()
    shutil.rmtree(f"/run/dockerpty/docker-{number}", ignore_errors=True)
    assert stopped.returncode == 0


@pytest.mark.engine
def test_of_two_that_find_no_engine_one_starts_it_and_the_other_waits_for_it(
    own_engine: dict[str, Any], checkout: Path
) -> None:
    ended = at_once(
        *[["bin/engine", "sh", "-c", "echo $DOCKER_HOST; exit 5"]] * 2, cwd=checkout, **own_engine
    )
    url = f"unix://{own_engine['DPTY_ENGINE_SOCK']}\n".encode()
    assert [(done.returncode, done.stdout) for done in ended] == [(5, url)] * 2
    # The waiting one may have found all of it done, in its turn.
    waits, starts = sorted((done.stderr for done in ended), key=len)
    assert waits == b"engine: waiting for another bin/engine to be done\n"
    assert starts.startswith(b"engine: starting the Docker Engine (log: ")
    assert b"busybox:latest" in starts
    again = run("bin/engine", "true", cwd=checkout, **own_engine)
    assert (again.returncode, again.stderr) == (0, b"")
    stopped = run("bin/engine", "--stop", cwd=checkout, **own_engine)
    assert stopped.stderr.decode() == f"engine: stopping the engine on {own_engine['DPTY_ENGINE_SOCK']}\n"
    nothing = run("bin/engine", "--stop", cwd=checkout, **own_engine)
    said = b"engine: nothing to stop: no docker that was started here is running\n"
    assert (nothing.returncode, nothing.stderr) == (0, said)


# bin/test and bin/packages


@pytest.mark.parametrize(
    "words", ["no-such-step", "unit no-such-step", "--no-such-flag", "lint unit -- -x", "-- -x"]
)
def test_steps_that_make_no_sense_are_refused_before_anything_is_set_up(words: str, checkout: Path) -> None:
    done = run("bin/test", *words.split(), cwd=checkout)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"Usage: bin/test ")
    assert not (checkout / ".venv-test").exists()


def test_who_is_not_root_is_told_which_packages_to_install(checkout: Path) -> None:
    done = run(*nobodys("bin/packages", "dpty", "one-package", "another"), cwd=checkout)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr == (
        b"dpty: needs the Debian packages one-package another, and root to install them:"
        b" sudo apt-get install one-package another\n"
    )
    done = run("bin/packages", "dpty", cwd=checkout)
    assert (done.returncode, done.stderr) == (125, b"dpty: bin/packages: no packages named\n")


# bin/bench


def test_the_predecessor_is_set_up_once_and_again_when_it_is_to_be_another(tmp_path: Path) -> None:
    def program(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    program("bin/venv", "true")
    program("bin/engine", "true")
    # A Python that makes environments, of which each has a pip that says that it did its work.
    pip = "#!/bin/sh\\necho installed"
    program(
        ".venv-bench/bin/python", f"mkdir -p $3/bin; printf '{pip}' >$3/bin/python; chmod +x $3/bin/python"
    )
    requirements = tmp_path / "benchmarks" / "requirements.txt"
    requirements.parent.mkdir()
    said = []
    for wanted in ("dockerpty==0.4.1\n", "dockerpty==0.4.1\n", "dockerpty==0.4.0\n", "dockerpty==0.4.0\n"):
        requirements.write_text(wanted)
        said.append(run("bin/bench", cwd=tmp_path).stdout)
    assert said == [b"installed\n", b"", b"installed\n", b""]
