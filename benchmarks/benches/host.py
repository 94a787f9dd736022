"""A container as a host: commands of a shell that is kept, output, and files, here and through SSH."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.contenders import CLIENTS, DOCKER_PY, bare_python
from benchmarks.figures import AGAIN, DOCKER, Cell, Sample
from benchmarks.measure import launch
from benchmarks.stage import MIB, Stage
from tests.bed.sshd import SshServer
from tests.bed.transports import Unavailable

#: Contenders by their names here, with how often they do a short command.
_SHELLS = {"run": 2000, "run, terminal": 2000, "run, on a loop": 2000, "run, terminal, on a loop": 2000}
_PROCESSES = {DOCKER: 20, AGAIN: 20, DOCKER_PY: 20, "raw exec": 20, "oneshot": 20}
_WHO = {
    AGAIN: "docker",
    "raw exec": "raw-exec",
    "raw shell": "raw-shell",
    "run, terminal": "run-tty",
    "run, on a loop": "loop",
    "run, terminal, on a loop": "loop-tty",
    "ssh docker": "docker",
    "ssh, oneshot": "oneshot",
    "ssh, run": "run",
    "ssh, run, terminal": "run-tty",
    "put": "run",
    "get": "run",
}


def cells(stage: Stage) -> Iterator[Cell]:
    often = {**_PROCESSES, "raw shell": 2000, **_SHELLS}
    yield _commands(stage, "a command", often, {})
    yield _turns(
        stage,
        Cell("host", "the first command of a host", "ms", scale=1000),
        {name: (name, "first", 1, ()) for name in (DOCKER, AGAIN, "run", "run, terminal")},
    )
    n = stage.size(200, 8) * MIB
    who = ("raw exec", DOCKER, AGAIN, "run", "run, on a loop", "run, terminal")
    output = _turns(
        stage,
        Cell("host", "output of one command", "MB/s", n, 1e-6, unit_is="raw exec"),
        {name: (name, "output", n, ()) for name in who},
    )
    yield output
    yield _memory(output, ("run", "run, on a loop", "run, terminal"))
    yield from _files(stage, {DOCKER: {}, AGAIN: {}, "run": {}}, "")
    yield from _through_ssh(stage)


def _through_ssh(stage: Stage) -> Iterator[Cell]:
    try:
        server = SshServer(stage.scratch / "sshd").start()
    except Unavailable as missing:
        stage.tell(f"host: ssh is left out: {missing}")
        return
    try:
        options = (
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={server.known_hosts}",
            "IdentitiesOnly=yes",
        )
        login = ["ssh", "-F", "none", "-i", str(server.key), "-p", str(server.port)]
        login += [word for option in options for word in ("-o", option)]
        ours = {"DPTY_BENCH_SSH": json.dumps(server.way())}
        typed = {"DPTY_BENCH_DOCKER": json.dumps([*login, f"{server.user}@127.0.0.1", "docker"])}
        often = {DOCKER: 20, AGAIN: 20, "ssh docker": 10, "ssh, oneshot": 20}
        often |= {"ssh, run": 1000, "ssh, run, terminal": 1000}
        environments = {
            name: typed if name == "ssh docker" else ours for name in often if name.startswith("ssh")
        }
        yield _commands(stage, "through SSH, a command", often, environments)
        yield from _files(stage, {"ssh docker": typed, "ssh, run": ours}, "through SSH, ")
    finally:
        server.close()


def _commands(
    stage: Stage, name: str, often: Mapping[str, int], environments: Mapping[str, dict[str, str]]
) -> Cell:
    # A figure is of one command, however many it was taken of.
    jobs = {who: (who, "echo", stage.size(n, max(2, n // 100)), ()) for who, n in often.items()}
    return _turns(stage, Cell("host", name, "/s", 1), jobs, environments)


def _files(stage: Stage, environments: Mapping[str, dict[str, str]], prefix: str) -> Iterator[Cell]:
    unit_is = next(iter(environments))
    size, many = stage.size(200, 8) * MIB, stage.size(2000, 50)
    subprocess.run(["docker", "exec", stage.container, "mkdir", "-p", "/bench-target"], check=True)
    (stage.scratch / "got").mkdir(exist_ok=True)
    big, tree = stage.scratch / "big", stage.scratch / "tree"
    big.write_bytes(random.Random(1).randbytes(MIB) * (size // MIB))
    tree.mkdir(exist_ok=True)
    for number in range(many):
        (tree / f"file {number}").write_bytes(b"x" * 1000)
    found: dict[str, Cell] = {}
    for job in ("put", "get"):
        found[job] = _turns(
            stage,
            Cell("host", f"{prefix}{job} of a large file", "MB/s", size, 1e-6, unit_is=unit_is),
            {who: (who, job, size, (str(big),)) for who in environments},
            environments,
            sizes_of=[stage.scratch / "got" / "big"] if job == "get" else [],
        )
        yield found[job]
    small = Cell("host", f"{prefix}put of {many} small files", "s", unit_is=unit_is)
    yield _turns(stage, small, {who: (who, "put", many, (str(tree),)) for who in environments}, environments)
    yield _memory(found["put"], [who for who in environments if "run" in who])
    yield _memory(found["get"], [who for who in environments if "run" in who])


def _turns(
    stage: Stage,
    cell: Cell,
    jobs: Mapping[str, tuple[str, str, int, tuple[str, ...]]],
    environments: Mapping[str, dict[str, str]] | None = None,
    sizes_of: list[Path] | None = None,
) -> Cell:
    """Fill a cell: all contenders in an order that is drawn, five times."""
    drawn = random.Random(cell.name)
    for number in range(stage.size(5, 1)):
        stage.tell(f"host: {cell.name}, round {number + 1}")
        round_ = {}
        for name in drawn.sample(list(jobs), len(jobs)):
            for path in sizes_of or ():
                path.unlink(missing_ok=True)
            who, job, n, path_of = jobs[name]
            sample = _once(stage, who, job, n, path_of, (environments or {}).get(name, {}))
            # Each says by itself whether all came; what lies there at the end is looked at once more.
            exact = all(path.is_file() and path.stat().st_size == n for path in sizes_of or ())
            round_[name] = sample._replace(exact=sample.exact and exact)
        cell.rounds.append({name: round_[name] for name in jobs})
    return cell


def _once(
    stage: Stage, who: str, job: str, n: int, path: tuple[str, ...], environment: dict[str, str]
) -> Sample:
    python = bare_python(stage.clients) if who == DOCKER_PY else sys.executable
    line = [python, str(CLIENTS / "host.py"), _WHO.get(who, who), job, str(n), stage.container, *path]
    done = launch(line, sink="keep", environment=environment)
    if done.code:
        return Sample(1.0, exact=False)
    seconds, cpu, rss = map(float, done.kept.split())
    share = n if job == "echo" else 1
    if _WHO.get(who, who) == "docker":
        # Processes of its own, which this one only starts.
        cpu = rss = 0.0
    return Sample(seconds / share, cpu / share, rss)


def _memory(of: Cell, names: object) -> Cell:
    """Make a cell of the greatest resident sets of another one."""
    assert isinstance(names, (tuple, list))
    cell = Cell("host", f"greatest resident set, {of.name}", "MB", scale=1 / 1024, unit_is=names[0])
    cell.rounds = [
        {name: Sample(round_[name].rss, exact=round_[name].exact) for name in names} for round_ in of.rounds
    ]
    return cell
