"""`dpty` and `docker` as a person types them, for the tests of the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
from docker.models.containers import Container

from tests.bed.engine import Bench
from tests.bed.terminal import PIPE, Terminal, environment_of
from tests.conftest import missing
from tests.engine.conftest import Sessions

DPTY = (sys.executable, "-m", "dockerpty")
SECONDS = 60
DETACH = b"\x10\x11"


def dpty(sessions: Sessions, *argv: str, piped: bool = False, **options: object) -> Terminal:
    """Start `dpty` under a terminal; `piped` gives it three pipes instead of that terminal."""
    if piped:
        options = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, **options}
    return sessions.add(Terminal([*DPTY, *argv], env={**sessions.env, **options.pop("env", {})}, **options))  # type: ignore[arg-type, dict-item]
