"""Before and after each story: an engine, a place for containers and terminals, and their removal."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import docker
import docker.errors
import requests

from tests.bed.engine import Bench, engine_url


def before_all(context: Any) -> None:
    """Find the engine."""
    try:
        context.client = docker.DockerClient(base_url=engine_url(), timeout=60)
        context.client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        if os.environ.get("CI") or os.environ.get("DPTY_TEST_REQUIRE") == "1":
            raise
        context.missing = f"no engine at {engine_url()}: {error}"


def before_scenario(context: Any, scenario: Any) -> None:
    """Prepare an empty bench, and a directory to work in."""
    if getattr(context, "missing", None):
        scenario.skip(context.missing)
        return
    context.bench = Bench(context.client)
    context.container = None
    context.terminals = []
    context.files = tempfile.TemporaryDirectory(prefix="dpty-story-")
    context.folder = context.files.name


def after_scenario(context: Any, scenario: Any) -> None:
    """Close every terminal, remove every container and file."""
    for terminal in getattr(context, "terminals", ()):
        terminal.close()
    if getattr(context, "bench", None) is not None:
        context.bench.close()
        context.files.cleanup()


def after_all(context: Any) -> None:
    """Leave the engine."""
    if getattr(context, "client", None) is not None:
        context.client.close()
