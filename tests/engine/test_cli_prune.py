"""`dpty prune` on a real engine: what killed processes have left goes, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import docker.errors
from docker.models.containers import Container

from dockerpty.container.ownership import owner
from tests.bed.engine import Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.terminal import ROOT, Terminal
from tests.conftest import missing
from tests.engine.command import DETACH, dpty, typed
from tests.engine.conftest import Sessions

GONE = "the process that made it is gone"


def changed(**parts: str) -> str:
    """This process's owner label, with some parts another's."""
    names = ("machine", "boot", "namespace", "pid", "started")
    mine: dict[str, str] = dict(zip(names, owner().split("/"), strict=True))
    return "/".join({**mine, **parts}.values())


def of_a_process_that_has_ended() -> str:
    code = "from dockerpty.container.ownership import owner; print(owner())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def made(bench: Bench, role: str, owner: str, **more: str) -> Container:
    marks = {"layer": "bridge", "role": role, "owner": owner, **more}
    return bench.container(start=True, labels={f"dockerpty.{name}": value for name, value in marks.items()})


def is_there(bench: Bench, container: Container) -> bool:
    try:
        bench.api.inspect_container(id_of(container))
    except docker.errors.NotFound:
        return False
    return True


def prune(sessions: Sessions, *flags: str, state: Path | None = None) -> tuple[int, list[str]]:
    there = None if state is None else str(state)
    done = dpty(sessions, "prune", *flags, XDG_STATE_HOME=there, DPTY_HOME=None)
    return done.returncode, done.stdout.decode().splitlines()


def line_of(container: Container, verb: str, role: str, reason: str = GONE, state: str = "running") -> str:
    return f"{verb} {container.name} ({id_of(container)[:12]}, {role}, {state}): {reason}"


def test_what_has_lost_its_owner_is_removed_and_a_line_says_so(bench: Bench, sessions: Sessions) -> None:
    dead = of_a_process_that_has_ended()
    left = [(made(bench, role, dead), role) for role in ("run-rm", "toolbox")]
    code, lines = prune(sessions, "--dry-run")
    assert code == 0
    assert {line_of(each, "would remove", role) for each, role in left} <= set(lines)
    assert all(is_there(bench, each) for each, _ in left)
    code, lines = prune(sessions, "--force")
    assert code == 0
    assert {line_of(each, "removed", role) for each, role in left} <= set(lines)
    assert not any(is_there(bench, each) for each, _ in left)


def test_what_an_earlier_boot_has_left_is_removed_from_this_machine_and_no_other(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    if ":" not in owner().partition("/")[0]:
        missing("this machine has no id, by which it would be known again")
    left = made(bench, "run-rm", changed(boot=str(uuid.uuid4())))
    here, sessions.env["DOCKER_HOST"] = sessions.env["DOCKER_HOST"], proxy.tcp()
    assert prune(sessions, "-f")[0] == 0
    assert is_there(bench, left)
    sessions.env["DOCKER_HOST"] = here
    assert prune(sessions, "-f")[0] == 0
    assert not is_there(bench, left)


def test_what_lives_what_is_elsewhere_and_what_is_the_users_stays(bench: Bench, sessions: Sessions) -> None:
    dead = of_a_process_that_has_ended()
    stays = [
        made(bench, "toolbox", owner()),
        made(bench, "run-rm", owner()),
        made(bench, "run-rm", changed(machine="elsewhere:00000000", pid="99999999")),
        made(bench, "run-rm", changed(namespace="1", pid="99999999")),
        made(bench, "run", dead),
        made(bench, "sandbox", dead),
        made(bench, "sandbox", dead, deadline="99999999999"),
        made(bench, "run-rm", "nonsense"),
        bench.container(start=True),
        bench.container(start=True, labels={"role": "run-rm", "owner": dead}),
    ]
    _, lines = prune(sessions, "--force")
    assert [each.name for each in stays if not is_there(bench, each)] == []
    assert not any(str(each.name) in line for each in stays for line in lines)


def test_a_deadline_that_is_over_decides_whoever_the_owner_is(bench: Bench, sessions: Sessions) -> None:
    late = made(bench, "sandbox", changed(machine="elsewhere:00000000"), deadline="1000000000")
    _, lines = prune(sessions, "--force")
    assert line_of(late, "removed", "sandbox", "its time is over") in lines
    assert not is_there(bench, late)


def test_a_container_from_an_image_made_of_one_of_ours_is_the_users(bench: Bench, sessions: Sessions) -> None:
    left = made(bench, "run-rm", of_a_process_that_has_ended())
    image = left.commit(f"dpty-bed-{os.getpid()}").id
    assert image
    try:
        users = bench.container(start=True, image=image)
        assert users.labels["dockerpty.role"] == "run-rm"
        assert prune(sessions, "--force")[0] == 0
        assert (is_there(bench, left), is_there(bench, users)) == (False, True)
    finally:
        bench.close()
        bench.client.images.remove(image, force=True)


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def running(sessions: Sessions, bench: Bench, mark: str, state: Path) -> tuple[Terminal, Container]:
    """A container of `run --rm`, with the terminal that it belongs to."""
    terminal = typed(
        sessions,
        *("run", "--rm", "-it", "--network", "none", "--name", mark, "busybox", "sh", "-c", "echo up; cat"),
        env={"XDG_STATE_HOME": str(state), "DPTY_HOME": None},
    )
    terminal.expect("up\r\n", 20)
    return terminal, bench.adopt(mark)


def test_what_a_killed_run_has_left_goes_and_what_another_runs_stays(
    bench: Bench, sessions: Sessions, tmp_path: Path
) -> None:
    killed, left = running(sessions, bench, bench.name(), tmp_path)
    living, stays = running(sessions, bench, bench.name(), tmp_path)
    # With whoever would have cleaned up behind it.
    for pid in [*children_of(killed.pid), killed.pid]:
        os.kill(pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert prune(sessions, "--force", state=tmp_path)[0] == 0
    assert (is_there(bench, left), is_there(bench, stays)) == (False, True)
    living.send("still\r")
    living.expect("still\r\nstill\r\n")
    living.send(b"\x04")
    assert living.wait() == 0


def test_what_somebody_has_detached_from_is_still_theirs(
    bench: Bench, sessions: Sessions, tmp_path: Path
) -> None:
    terminal, left = running(sessions, bench, bench.name(), tmp_path)
    terminal.send(DETACH)
    assert terminal.wait() == 0
    code, lines = prune(sessions, "--force", state=tmp_path)
    assert (code, is_there(bench, left)) == (0, True)
    assert not any(str(left.name) in line for line in lines)


def test_a_person_is_asked_and_what_they_answer_is_done(bench: Bench, sessions: Sessions) -> None:
    left = made(bench, "toolbox", of_a_process_that_has_ended())
    for answer, code, stays in (("n\r", 1, True), ("y\r", 0, False)):
        terminal = typed(sessions, "prune")
        terminal.expect(line_of(left, "would remove", "toolbox").encode())
        terminal.expect(b"? [y/N] ")
        terminal.send(answer)
        assert terminal.wait(60) == code
        assert is_there(bench, left) is stays
    assert line_of(left, "removed", "toolbox").encode() in terminal.output


def test_where_nobody_can_be_asked_it_is_refused(bench: Bench, sessions: Sessions) -> None:
    left = made(bench, "toolbox", of_a_process_that_has_ended())
    done = dpty(sessions, "prune")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"stdin is no terminal; say --force, or look with --dry-run" in done.stderr
    assert is_there(bench, left)


def test_an_engine_that_is_away_is_1(sessions: Sessions, tmp_path: Path) -> None:
    done = dpty(sessions, "-H", f"unix://{tmp_path}/none", "prune", "--force")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"dpty: cannot ")
