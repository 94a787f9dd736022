"""`dpty version`: what is known of both sides, also where there is no engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty import __version__
from dockerpty.cli import main
from tests.unit.loopback import ScriptedEngine, answer

TOLD: dict[str, Any] = {
    "Version": "20.10.24",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
    "GoVersion": "go1.19.8",
    "GitCommit": "5d6db84",
    "BuildTime": "2026-05-07T21:09:36Z",
    "Os": "linux",
    "Arch": "amd64",
    "KernelVersion": "6.1.0",
    "Components": [{"Name": "Engine", "Version": "20.10.24"}, {"Name": "runc", "Version": "1.1.5"}],
}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine(str(tmp_path / "engine"))
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    yield engine
    engine.close()


def says(engine: ScriptedEngine, told: object, version: str = "1.41") -> None:
    engine.steps.append(answer(200, json.dumps(told).encode(), Api_Version=version, Server="Docker"))


def test_both_sides_are_told(engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    says(engine, TOLD)
    assert main(["version"]) == 0
    shown, told = capsys.readouterr()
    assert told == ""
    client, server = shown.split("\n\n")
    assert client.splitlines()[:2] == ["Client:", f" Version:           {__version__}"]
    assert server == (
        "Server:\n"
        f" Transport:         {engine.url}\n"
        " Version:           20.10.24\n"
        " API version:       1.41 (minimum: 1.12)\n"
        " Go version:        go1.19.8\n"
        " Git commit:        5d6db84\n"
        " Built:             2026-05-07T21:09:36Z\n"
        " OS/Arch:           linux/amd64\n"
        " Kernel:            6.1.0\n"
        " runc:              1.1.5\n"
    )
    assert engine.lines == ["GET /version"]


def test_an_older_version_of_the_api_that_is_used_is_told(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_API_VERSION", "1.30")
    says(engine, TOLD)
    assert main(["version"]) == 0
    assert " API version:       1.41 (used: 1.30, minimum: 1.12)\n" in capsys.readouterr().out
    assert engine.lines == ["GET /v1.30/version"]


def test_json_is_one_document_with_dockers_names(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    says(engine, TOLD)
    assert main(["version", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown) == {"Client", "Server"}
    assert set(shown["Client"]) == {"Version", "Python", "Os", "Arch"}
    assert shown["Server"] == {**TOLD, "Transport": engine.url, "UsedApiVersion": "1.41"}


def test_an_engine_that_says_little_is_enough(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    says(engine, {"Version": "4.3.1"})
    assert main(["version"]) == 0
    assert capsys.readouterr().out.endswith(
        f"Server:\n Transport:         {engine.url}\n Version:           4.3.1\n"
    )


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_without_an_engine_our_side_is_told_and_one_sentence(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-H", f"unix://{tmp_path}/none", "version", *flags]) == 1
    shown, told = capsys.readouterr()
    assert told.startswith(
        f"dpty: cannot reach the engine at unix://{tmp_path}/none: there is no such socket"
    )
    assert told.count("\n") == 1
    if flags:
        document = json.loads(shown)
        assert (document["Client"]["Version"], document["Server"]) == (__version__, None)
    else:
        assert shown.startswith(f"Client:\n Version:           {__version__}\n")
        assert "Server" not in shown


def test_what_has_no_version_is_no_engine(engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    says(engine, {})
    assert main(["version"]) == 1
    assert (
        "there is no version in it; is there a container engine at that address?" in capsys.readouterr().err
    )


def test_it_takes_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "x"]) == 125
    assert capsys.readouterr() == (
        "",
        "dpty: cannot run dpty version: it takes no 'x'; see dpty version --help\n",
    )
