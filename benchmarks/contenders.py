"""Who takes part. Each is a program of its own with docker's grammar, so that one command line serves all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import AGAIN, DOCKER

CLIENTS = Path(__file__).parent / "clients"
DPTY, RAW, C, C_SPLICE, DOCKER_PY, OLD = "dpty", "raw Python", "C", "C splice", "docker-py", "dockerpty 0.4.1"


@dataclass(frozen=True)
class Contender:
    """A client.

    Attributes:
        name: in the report.
        command: what stands before docker's words.
        does: which of those words it knows: `exec`, `exec -i`, `exec -t`, `run`.
    """

    name: str
    command: tuple[str, ...]
    does: frozenset[str]

    def line(self, *words: str) -> list[str]:
        """Return its command line."""
        return [*self.command, *words]


_ALL = frozenset({"exec", "exec -i", "exec -t", "run"})


def bare_python(clients: list[Contender]) -> str:
    """Return a Python that has docker-py and no more: what else there is it may load (paramiko takes 0.2 s)."""
    return next((client.command[0] for client in clients if client.name == DOCKER_PY), sys.executable)


def contenders(build: Path, old_python: Path | None) -> tuple[list[Contender], list[str]]:
    """Find all, and say in a line each who is missing.

    Args:
        build: where the C client is compiled.
        old_python: of an environment with dockerpty 0.4.1; None for none.
    """
    found, missing = [], []
    docker = shutil.which("docker")
    if docker is None:
        raise SystemExit("bench: needs the docker command, which all are compared with")
    found += [Contender(DOCKER, (docker,), _ALL), Contender(AGAIN, (docker,), _ALL)]
    found.append(Contender(DPTY, (str(Path(sys.executable).with_name("dpty")),), _ALL))
    found.append(Contender(RAW, (sys.executable, "-I", "-S", str(CLIENTS / "raw.py")), _ALL))
    compiler = shutil.which("cc")
    if compiler is None:
        missing.append("C: no compiler (cc)")
    else:
        program = build / "raw"
        subprocess.run([compiler, "-O2", "-Wall", "-o", program, CLIENTS / "raw.c"], check=True)
        found.append(Contender(C, (str(program),), _ALL))
        found.append(Contender(C_SPLICE, (str(program), "--splice"), _ALL))
    has_old = old_python is not None and os.access(old_python, os.X_OK)
    bare = str(old_python) if has_old else sys.executable
    found.append(Contender(DOCKER_PY, (bare, str(CLIENTS / "docker_py.py")), frozenset({"exec", "exec -t"})))
    if not has_old:
        missing.append("dockerpty 0.4.1: not installed (benchmarks/requirements.txt)")
    else:
        # It cannot end the input of an exec: F4 in docs/changes.md.
        found.append(
            Contender(OLD, (str(old_python), str(CLIENTS / "old.py")), frozenset({"exec", "exec -t"}))
        )
    return found, missing
