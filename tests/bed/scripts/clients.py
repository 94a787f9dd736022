"""The docker-py client that a user's script would make, by the way that the test chose."""

from __future__ import annotations

import os

import docker


def from_env(timeout: int = 60) -> docker.DockerClient:
    """As `docker.from_env`; with the system's ssh where the transport is made for that."""
    return docker.from_env(timeout=timeout, use_ssh_client=os.environ.get("BED_CLIENT") == "ssh")
