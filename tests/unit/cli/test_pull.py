"""Pulling an image for a command line: what goes along, and when it is done."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from dockerpty.cli import main
from tests.unit.loopback import ScriptedEngine


@pytest.mark.parametrize("flags", [(), ("-q",)])
def test_the_credentials_of_the_named_configuration_go_with_the_pull_and_with_nothing_else(
    flags: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"there:5000": {"auth": auth}}}))
    done = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 3\r\n\r\n{}\n"
    refused = b'HTTP/1.1 500 No\r\nContent-Length: 18\r\n\r\n{"message": "bad"}'
    engine = ScriptedEngine(str(tmp_path / "engine"), done, refused)
    try:
        argv = ["run", "--pull", "always", *flags, "there:5000/image"]
        assert main(["-H", engine.url, "--config", str(tmp_path), *argv]) == 125
    finally:
        engine.close()
    fetch, create = engine.requests
    said = json.loads(base64.urlsafe_b64decode(fetch.headers["X-Registry-Auth"]))
    assert (said["username"], said["password"]) == ("me", "secret")
    assert "X-Registry-Auth" not in create.headers
    assert "secret" not in "".join(capsys.readouterr())
