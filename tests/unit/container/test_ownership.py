"""Whose a container is, by its labels, and whether that process is gone: true, false, or nobody here can say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockerpty.container import ownership
from dockerpty.container.ownership import has_passed, is_gone, our_labels, owner

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="proc(5) is Linux's")

HERE = "box:00c0ffee/boot-1/4026531836/100/5000"


def changed(**parts: str) -> str:
    """This process's owner label, with some parts another's."""
    names = ("machine", "boot", "namespace", "pid", "started")
    mine: dict[str, str] = dict(zip(names, owner().split("/"), strict=True))
    return "/".join({**mine, **parts}.values())


def test_an_owner_is_this_process_and_no_other() -> None:
    parts = owner().split("/")
    assert len(parts) == 5
    assert parts[0].partition(":")[0] == os.uname().nodename
    assert parts[3] == str(os.getpid())
    code = "from dockerpty.container.ownership import owner; print(owner())"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    others = other.stdout.strip().split("/")
    assert others[:3] == parts[:3]
    assert others[3:] != parts[3:]


@linux
def test_on_linux_every_part_of_an_owner_is_known() -> None:
    _, boot, namespace, _, started = owner().split("/")
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert f"pid:[{namespace}]" == os.readlink("/proc/self/ns/pid")
    assert int(started) > 0


def test_a_machine_is_named_by_its_id_too_and_the_id_itself_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = "0123456789abcdef0123456789abcdef"
    (tmp_path / "id").write_text(f"{identity}\n")
    read = ownership._line
    told = {"/etc/machine-id": f"{tmp_path}/id"}

    def redirected(path: str) -> str:
        return read(told.get(path, path))

    monkeypatch.setattr(ownership, "_line", redirected)
    machine = owner().split("/")[0]
    assert machine.startswith(f"{os.uname().nodename}:")
    assert identity[:8] not in machine
    told["/etc/machine-id"] = f"{tmp_path}/none"
    assert owner().split("/")[0] == os.uname().nodename


def test_labels_say_whose_it_is_and_what_for() -> None:
    assert our_labels("toolbox") == {
        "dockerpty.layer": "bridge",
        "dockerpty.role": "toolbox",
        "dockerpty.owner": owner(),
        "dockerpty.user": str(os.getuid()),
    }


@linux
def test_a_process_that_runs_is_not_gone() -> None:
    assert is_gone(owner()) is False


@linux
def test_a_process_that_has_ended_is_gone_also_before_anybody_has_waited_for_it() -> None:
    code = "from dockerpty.container.ownership import owner; print(owner(), flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        label = child.stdout.readline().strip()
        assert is_gone(label) is False
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(label) is True
        child.wait()
        assert is_gone(label) is True


@linux
def test_another_process_with_its_number_is_not_it() -> None:
    assert is_gone(changed(started="1")) is True


@linux
def test_a_process_of_somebody_elses_is_there() -> None:
    started = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    assert is_gone(changed(pid="1", started=started)) is False


@linux
def test_a_process_that_is_hidden_may_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_started", lambda pid: "")
    assert is_gone(changed(started="5"), owner() + "7") is False


def test_nobody_runs_across_a_boot() -> None:
    assert is_gone("box:00c0ffee/boot-0/4026531836/100/5000", HERE, is_local=True) is True
    assert is_gone("box:00c0ffee/boot-0/4026539999/100/5000", HERE, is_local=True) is True


def test_on_an_engine_elsewhere_another_boot_may_be_that_of_this_machines_twin() -> None:
    assert is_gone("box:00c0ffee/boot-0/4026531836/100/5000", HERE) is None


@pytest.mark.parametrize(
    "label",
    [
        "else:00c0ffee/boot-1/4026531836/100/5000",
        "box:00c0ffef/boot-0/4026531836/100/5000",
        "box:00c0ffee/boot-1/4026539999/100/5000",
        "box:00c0ffee/boot-1/4026531836/-1/5000",
        "box:00c0ffee/boot-1/4026531836/one/5000",
        "box:00c0ffee//4026531836/100/5000",
        "box:00c0ffee/boot-1/4026531836/100/",
        "box:00c0ffee/boot-1/4026531836/100",
        "box:00c0ffee",
        "",
    ],
)
def test_another_machine_another_namespace_and_what_makes_no_sense_cannot_be_judged(label: str) -> None:
    assert is_gone(label, HERE, is_local=True) is None


@pytest.mark.parametrize("here", ["localhost/boot-1/4026531836/1/1", "box:00c0ffee//4026531836/1/1"])
def test_without_an_id_another_boot_may_be_another_machine_of_that_name(here: str) -> None:
    machine = here.partition("/")[0]
    assert is_gone(f"{machine}/boot-0/4026531836/100/5000", here, is_local=True) is None


@pytest.mark.parametrize(
    ("deadline", "over"),
    [
        ("99", True),
        ("100", True),
        ("100.5", False),
        ("101", False),
        ("soon", False),
        ("", False),
        ("nan", False),
    ],
)
def test_a_deadline_is_over_at_its_second(deadline: str, over: bool) -> None:
    assert has_passed(deadline, 100.0) is over
