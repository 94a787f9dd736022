"""`dpty version` says of a real engine what docker says of it."""

from __future__ import annotations

import json

from tests.engine.command import docker, dpty
from tests.engine.conftest import Sessions


def test_the_engine_is_told_as_docker_tells_it(sessions: Sessions) -> None:
    theirs = json.loads(docker(sessions, "version", "--format", "{{json .Server}}").stdout)
    done = dpty(sessions, "version", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    ours = json.loads(done.stdout)["Server"]
    for key in (
        "Version",
        "ApiVersion",
        "MinAPIVersion",
        "GitCommit",
        "GoVersion",
        "Os",
        "Arch",
        "KernelVersion",
    ):
        # What is empty is not told: Podman's commit, in some of its packages.
        assert ours.get(key, "") == theirs[key]
    parts = [[(part["Name"], part["Version"]) for part in side["Components"]] for side in (ours, theirs)]
    # Docker's command adds a part of that name where there is none.
    added = [] if any(name == "Engine" for name, _ in parts[0]) else [("Engine", theirs["Version"])]
    assert parts[0] + added == parts[1]


def test_a_person_reads_the_way_to_the_engine_its_version_and_its_kernel(sessions: Sessions) -> None:
    server = json.loads(dpty(sessions, "version", "--json").stdout)["Server"]
    shown = dpty(sessions, "version").stdout.decode()
    assert shown.startswith("Client:\n Version: ")
    for key in ("Transport", "Version", "ApiVersion", "KernelVersion"):
        assert f" {server[key]}" in shown.partition("\nServer:\n")[2]
