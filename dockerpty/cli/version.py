"""`dpty version`: the versions of dpty and of the engine."""

from __future__ import annotations

import json
import os
import sys

from dockerpty import __version__
from dockerpty.cli.engine import engine_of
from dockerpty.cli.outcome import show
from dockerpty.engine.calls import no_engine, version
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from dockerpty.cli.grammar import Line

_LIMIT_S = 30.0

# Key of the document and title of the line. The keys are docker's, where docker has them.
_CLIENT = (("Version", "Version"), ("Python", "Python version"), ("Os", ""), ("Arch", "OS/Arch"))
_SERVER = (
    ("Transport", "Transport"),
    ("Version", "Version"),
    ("ApiVersion", "API version"),
    ("GoVersion", "Go version"),
    ("GitCommit", "Git commit"),
    ("BuildTime", "Built"),
    ("Arch", "OS/Arch"),
    ("KernelVersion", "Kernel"),
)


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    client = of_client()
    as_json = line.values["json"]
    if not as_json:
        show("\n".join(section("Client", client, _CLIENT)))
    try:
        server = of_server(line)
    except DockerptyError:
        # What is known without an engine is told in any case.
        if as_json:
            show(json.dumps({"Client": client, "Server": None}))
        raise
    if as_json:
        show(json.dumps({"Client": client, "Server": server}))
    else:
        show("\n" + "\n".join([*section("Server", server, _SERVER), *components(server["Components"])]))
    return 0


def of_client() -> dict[str, str]:
    """Give what there is to say about us."""
    system = os.uname()
    return {
        "Version": __version__,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "Os": system.sysname.lower(),
        "Arch": _ARCHITECTURES.get(system.machine, system.machine),
    }


# As Go calls them, and with it docker.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def of_server(line: Line) -> dict[str, Any]:
    """Ask the engine.

    Raises:
        DockerptyError: there is none, or it refuses.
    """
    engine = engine_of(line)
    try:
        told = engine.send(version(), timeout=_LIMIT_S).json()
        used = engine.api_version
    finally:
        engine.close()
    if not isinstance(told, dict) or "Version" not in told:
        raise no_engine("there is no version in it")
    found: dict[str, Any] = {key: told[key] for key, _ in _SERVER if told.get(key)}
    found.update(
        Transport=engine.name,
        UsedApiVersion=".".join(map(str, used)) if used else None,
        MinAPIVersion=told.get("MinAPIVersion"),
        Os=told.get("Os"),
        Components=[part for part in told.get("Components") or () if isinstance(part, dict)],
    )
    return found


def section(title: str, found: dict[str, Any], rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Give the lines of one side."""
    yield f"{title}:"
    for key, name in rows:
        if name and found.get(key):
            yield row(name, value_of(found, key))


def row(name: str, value: object) -> str:
    """Give a line, its value in the column where docker has it."""
    return f" {name + ':':<18} {value}"


def value_of(found: dict[str, Any], key: str) -> str:
    """Give what stands behind a title."""
    if key == "Arch":
        return f"{found['Os']}/{found['Arch']}"
    if key == "ApiVersion":
        used, least = found["UsedApiVersion"], found["MinAPIVersion"]
        notes = ([f"used: {used}"] if used and used != found[key] else []) + (
            [f"minimum: {least}"] if least else []
        )
        return f"{found[key]} ({', '.join(notes)})" if notes else str(found[key])
    # Engines tell the time of their making to the nanosecond, which is always nought.
    return str(found[key]).replace(".000000000", "")


def components(parts: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Give a line for each part of the engine that has a version of its own."""
    for part in parts:
        # The engine itself is one of its parts; it has been told of.
        if part.get("Name") and part.get("Version") and part["Name"] != "Engine":
            yield row(part["Name"], part["Version"])
