"""`dpty` and `docker` as a person types them, in a pipeline or at a terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

from docker.models.containers import Container

from tests.bed.proxy import Proxy, Rule
from tests.bed.terminal import ROOT, Terminal
from tests.conftest import missing
from tests.engine.conftest import Sessions

DPTY = (sys.executable, "-m", "dockerpty")
SECONDS = 60
DETACH = b"\x10\x11"

Done = subprocess.CompletedProcess[bytes]


def environment(sessions: Sessions, **changes: str | None) -> dict[str, str]:
    """A person's variables, with the way to the engine among them; None takes one out."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    for name, value in {"NORAW": None, "DOCKER_CONFIG": None, **sessions.env, **changes}.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


def dpty(sessions: Sessions, *argv: str, stdin: bytes | None = None, **env: str | None) -> Done:
    """Run `dpty` without a terminal, to its end; without `stdin` that is /dev/null."""
    return _run([*DPTY, *argv], stdin, environment(sessions, **env))


def docker(sessions: Sessions, *argv: str, stdin: bytes | None = None) -> Done:
    """The same for docker's own command."""
    program = shutil.which("docker")
    if program is None:
        missing("no docker command to compare with")
        raise FileNotFoundError("docker")
    return _run([program, *argv], stdin, environment(sessions))


def shell(sessions: Sessions, script: str, **options: Any) -> Done:
    """Run a line of sh, in which `dpty` is the command."""
    function = f'dpty() {{ {" ".join(DPTY)} "$@"; }}; '
    return subprocess.run(
        ["sh", "-c", function + script],
        capture_output=True,
        timeout=SECONDS,
        env=environment(sessions),
        check=False,
        **options,
    )


def typed(sessions: Sessions, *argv: str, **options: Any) -> Terminal:
    """Start `dpty` under a terminal; for `options` see `Terminal`."""
    env = {**sessions.env, "DOCKER_CONFIG": None, **options.pop("env", {})}
    return sessions.add(Terminal([*DPTY, *argv], env=env, **options))


def only(proxy: Proxy, *containers: Container) -> Rule:
    """Let lists of containers through the proxy name only these, whoever else has some on the engine."""
    ours = {container.id: container for container in containers}

    def sift(body: bytes) -> bytes:
        found = [each for each in json.loads(body) if each["Id"] in ours]
        # A list with a limit may have had somebody else's in the place of ours.
        return json.dumps(
            found or [{"Id": id, "Names": [f"/{ours[id].name}"], "Created": 1} for id in ours]
        ).encode()

    return proxy.on("GET", "/containers/json", edit=sift)


def _run(argv: list[str], stdin: bytes | None, env: dict[str, str]) -> Done:
    source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run(argv, capture_output=True, timeout=SECONDS, env=env, check=False, **source)
