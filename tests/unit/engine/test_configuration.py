"""docker's client configuration is found, read once, and left alone where it is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerpty.engine.configuration import Configuration


def test_its_directory_is_the_one_named_then_that_of_the_variable_then_the_one_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", "/of/the/variable")
    assert Configuration("/named").path == "/named/config.json"
    assert Configuration().folder == "/of/the/variable"
    assert Configuration(environ={"DOCKER_CONFIG": "/given"}).folder == "/given"
    assert Configuration(environ={}).folder == f"{tmp_path}/.docker"


def test_a_setting_that_is_not_made_or_is_no_text_is_empty(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"one": "text", "two": 2, "three": null}')
    configuration = Configuration(str(tmp_path))
    assert [configuration.text(key) for key in ("one", "two", "three", "four")] == ["text", "", "", ""]


def test_a_group_that_is_not_there_or_is_none_is_empty(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"one": {"a": 1}, "two": [], "three": "text"}')
    configuration = Configuration(str(tmp_path))
    assert [configuration.group(key) for key in ("one", "two", "three", "four")] == [{"a": 1}, {}, {}, {}]


def test_the_file_is_read_once_and_not_before_it_is_asked(tmp_path: Path) -> None:
    configuration = Configuration(str(tmp_path))
    file = tmp_path / "config.json"
    file.write_text('{"one": "first"}')
    assert configuration.text("one") == "first"
    file.unlink()
    assert configuration.text("one") == "first"


@pytest.mark.parametrize("folder", ["none", "file"])
def test_without_a_file_nothing_is_set_and_nothing_is_told(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []
    assert Configuration(str(tmp_path / folder), notice=told.append).text("one") == ""
    assert told == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "it is no JSON object"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_a_broken_file_is_told_of_once_and_left_alone(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    told: list[str] = []
    configuration = Configuration(str(tmp_path), notice=told.append)
    assert [configuration.text(key) for key in ("one", "two")] == ["", ""]
    (line,) = told
    assert line.startswith(f"cannot read {tmp_path}/config.json: {reason}")
    assert line.endswith("; none of its settings count")


def test_without_anybody_to_tell_a_broken_file_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.json").mkdir()
    assert Configuration(str(tmp_path)).text("one") == ""
    assert caplog.messages[0].startswith(f"cannot read {tmp_path}/config.json: Is a directory; ")
