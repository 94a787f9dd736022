"""Pulling an image for a command line: what goes along, and when it is done."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from dockerpty.cli import main
from tests.unit.loopback import ScriptedEngine, answer


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


ABSENT = "No such image: busybox:latest"
OF_ANOTHER = (
    "image with reference busybox was found but does not match the specified platform: wanted linux/arm64,"
    " actual: linux/amd64"
)


@pytest.mark.parametrize("words", [ABSENT, OF_ANOTHER])
def test_an_image_of_another_platform_is_pulled_like_one_that_is_not_there(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = answer(404, json.dumps({"message": words}).encode(), Api_Version="1.41")
    refused = answer(500, b'{"message": "enough"}')
    engine = ScriptedEngine(str(tmp_path / "engine"), absent, answer(200, b"{}\n"), refused)
    try:
        argv = ["-H", engine.url, "run", "--platform", "linux/arm64", "busybox", "true"]
        assert main(argv) == 125
    finally:
        engine.close()
    create = "POST /v1.41/containers/create?platform=linux%2Farm64"
    assert engine.lines == [
        create.replace("/v1.41", ""),
        "POST /v1.41/images/create?fromImage=busybox&tag=latest&platform=linux%2Farm64",
        create,
    ]
    assert capsys.readouterr().err.splitlines()[0] == (
        "dpty: cannot find the image busybox for linux/arm64 on the engine: it is pulled"
    )


def test_an_image_of_another_platform_that_must_not_be_pulled_is_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = answer(404, json.dumps({"message": OF_ANOTHER}).encode())
    engine = ScriptedEngine(str(tmp_path / "engine"), absent)
    try:
        argv = ["-H", engine.url, "run", "--pull", "never", "--platform", "linux/arm64", "busybox"]
        assert main(argv) == 125
    finally:
        engine.close()
    assert capsys.readouterr().err.endswith("actual: linux/amd64; pull it for that one\n")


@pytest.mark.parametrize(
    ("flags", "variable", "platform"),
    [
        ((), "linux/arm64", "linux/arm64"),
        (("--platform", "linux/s390x"), "linux/arm64", "linux/s390x"),
        (("--platform=",), "linux/arm64", ""),
        ((), "", ""),
    ],
)
def test_the_platform_is_that_of_the_line_then_that_of_the_variable(
    flags: tuple[str, ...], variable: str, platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", variable)
    absent = answer(404, json.dumps({"message": ABSENT}).encode())
    engine = ScriptedEngine(str(tmp_path / "engine"), absent, answer(200, b"{}\n"), absent)
    try:
        assert main(["-H", engine.url, "run", *flags, "busybox"]) == 125
    finally:
        engine.close()
    wanted = f"platform={platform.replace('/', '%2F')}" if platform else ""
    assert [line.rpartition("&")[2] for line in engine.lines if "images" in line] == [wanted or "tag=latest"]
    assert [line.partition("?")[2] for line in engine.lines if "containers" in line] == [wanted] * 2
