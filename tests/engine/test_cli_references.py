"""A container that is named by its labels, wherever a CONTAINER stands."""

from __future__ import annotations

import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, id_of
from tests.bed.waiting import wait_for
from tests.engine.command import dpty
from tests.engine.conftest import Sessions
from tests.unit.host.containers import service


@pytest.fixture
def project(bench: Bench) -> str:
    """A project's name that nobody else uses."""
    return bench.name()


@pytest.fixture
def api(bench: Bench, project: str) -> Container:
    """A service's first container, as compose makes one."""
    return bench.container(labels={**service(project, "api"), "tier": project}, hostname="first", start=True)


@pytest.mark.parametrize("reference", ["compose://{}/api", "compose://{}/api/1", "label:tier={}"])
def test_exec_goes_to_the_container_of_a_service_or_with_a_label(
    reference: str, project: str, api: Container, sessions: Sessions
) -> None:
    done = dpty(sessions, "exec", reference.format(project), "hostname")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"first\n", b"")


def test_the_number_says_which_one(bench: Bench, project: str, api: Container, sessions: Sessions) -> None:
    bench.container(labels=service(project, "api", 2), hostname="second", start=True)
    assert dpty(sessions, "exec", f"compose://{project}/api/2", "hostname").stdout == b"second\n"
    assert dpty(sessions, "exec", f"compose://{project}/api", "hostname").stdout == b"first\n"


def test_a_shell_is_opened_there(project: str, api: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "shell", f"compose://{project}/api", "--", "hostname", stdin=b"")
    assert done.stdout == b"first\n", done.stderr


def test_files_are_copied_from_and_to_there(
    bench: Bench, project: str, api: Container, sessions: Sessions, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cp")
    (folder / "file").write_bytes(b"data")
    done = dpty(sessions, "cp", str(folder / "file"), f"compose://{project}/api:/tmp/file")
    assert done.returncode == 0, done.stderr
    done = dpty(sessions, "cp", f"label:tier={project}:/tmp/file", str(folder / "back"))
    assert done.returncode == 0, done.stderr
    assert (folder / "back").read_bytes() == b"data"


def test_one_that_does_not_run_is_started_by_its_service(
    bench: Bench, project: str, sessions: Sessions
) -> None:
    container = bench.container(labels=service(project, "api"))
    done = dpty(sessions, "start", f"compose://{project}/api")
    assert (done.returncode, done.stdout.decode()) == (0, f"{container.name}\n")
    assert bench.is_running(container)


def test_users_of_a_container_that_is_named_so_are_completed(
    project: str, api: Container, sessions: Sessions
) -> None:
    # The engine has a fifth of a second for that.
    reference = f"compose://{project}/api"
    wait_for(
        lambda: b"\ndaemon\t" in dpty(sessions, "__complete", "zsh", "2", "exec", "-u", "", reference).stdout,
        30,
        "the users of the container",
    )


def test_attach_and_watch_go_there(bench: Bench, project: str, sessions: Sessions) -> None:
    for command in ("attach", "watch"):
        labels = service(project, command)
        container = bench.container("read x; exit 5", stdin_open=True, labels=labels, start=True)
        done = dpty(sessions, command, "--timeout", "0.5", f"compose://{project}/{command}", stdin=b"")
        # What ends it is told of the container that was meant.
        assert done.returncode in (5, 124), (command, done.stderr)
        assert bench.state(container)["ExitCode"] in (0, 5)


@pytest.mark.parametrize("command", ["exec", "start", "attach"])
def test_one_that_is_not_there_is_an_error_that_names_the_nearest(
    command: str, project: str, api: Container, sessions: Sessions
) -> None:
    words = ["true"] if command == "exec" else []
    done = dpty(sessions, command, f"compose://{project}/apis", *words)
    assert done.returncode == 125
    assert f"cannot find compose://{project}/apis: it is not running: there is no such container" in str(
        done.stderr
    )
    assert f"is it compose://{project}/api?" in str(done.stderr)


def test_several_that_fit_are_listed(bench: Bench, project: str, api: Container, sessions: Sessions) -> None:
    other = bench.container(labels={"tier": project}, start=True)
    done = dpty(sessions, "exec", f"label:tier={project}", "true")
    assert done.returncode == 125
    assert f"{other.name} (running)" in done.stderr.decode()
    assert f"{api.name} (running)" in done.stderr.decode()


@pytest.mark.parametrize("reference", ["compose://shop", "label:tier", "compose://a/b/c"])
def test_what_is_no_reference_is_bad_usage(reference: str, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", reference, "true")
    assert done.returncode == 125
    assert f"{reference!r} is no container".encode() in done.stderr


def test_a_plain_name_is_what_it_was(bench: Bench, api: Container, sessions: Sessions) -> None:
    for text in (str(api.name), id_of(api)[:20]):
        assert dpty(sessions, "exec", text, "hostname").stdout == b"first\n"
