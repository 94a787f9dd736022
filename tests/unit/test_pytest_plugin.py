"""The plugin of pytest, as far as it goes without an engine; with one it is tests/engine/test_pytest_plugin.py."""

from __future__ import annotations

import configparser
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dockerpty
from dockerpty import log, pytest_plugin
from dockerpty.pytest_plugin import LINES, Transcript, _Listener

ROOT = Path(dockerpty.__file__).resolve().parents[1]
PLUGIN = "dockerpty.pytest_plugin"


def run(folder: Path, *arguments: str, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", PLUGIN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": f"unix://{folder}/nobody.sock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("dockerpty.transcript")


def test_a_run_that_does_not_use_it_loads_nothing_of_the_package_but_the_plugin(tmp_path: Path) -> None:
    source = (
        "import json, sys\n"
        "def test_it():\n"
        "    names = sorted(name for name in sys.modules if name.startswith('dockerpty'))\n"
        "    open('loaded', 'w').write(json.dumps(names))\n"
    )
    done = run(tmp_path, "--dpty-host", "busybox", source=source)
    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / "loaded").read_text()) == ["dockerpty", PLUGIN]


def test_it_loads_nothing_that_pytest_has_not_loaded() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        f"import {PLUGIN}\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(["dockerpty", PLUGIN])


def test_pytest_finds_it_under_the_name_of_its_module() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["options.entry_points"]["pytest11"].split() == [PLUGIN, "=", PLUGIN]


@pytest.mark.parametrize("fixture", ["dpty_host", "dpty_host_async"])
def test_a_test_without_an_image_fails_with_what_to_do(fixture: str, tmp_path: Path) -> None:
    done = run(tmp_path, source=f"def test_it({fixture}): pass\n")
    assert done.returncode == 1
    assert (
        "no image was given; give pytest --dpty-host IMAGE, or write `dpty_host_image = IMAGE`" in done.stdout
    )
    assert "Traceback" not in done.stdout
    assert "pytest_plugin.py" not in done.stdout


def test_a_test_without_an_engine_fails_with_the_reason_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "--dpty-host", "busybox", source="def test_it(dpty_host): pass\n")
    assert done.returncode == 1
    assert "nobody.sock" in done.stdout
    assert "pytest_plugin.py" not in done.stdout.replace(PLUGIN, "")


def test_the_fixtures_are_listed_with_what_they_do(tmp_path: Path) -> None:
    done = run(tmp_path, "--fixtures", source="")
    assert {"dpty_host", "dpty_host_async", "dpty_hosts"} <= {
        line.partition(" ")[0] for line in done.stdout.splitlines()
    }
    assert "Give a throwaway container as a host, for a test that waits" in done.stdout


# ---- the transcript


def test_of_a_long_transcript_the_last_lines_are_kept_and_the_others_counted() -> None:
    transcript = Transcript()
    for number in range(LINES + 5):
        transcript.add(str(number))
    lines = transcript.take().splitlines()
    assert lines[0] == "(5 lines before these are left out)"
    assert lines[1] == "5"
    assert lines[-1] == str(LINES + 4)
    assert len(lines) == LINES + 1
    assert transcript.take() == ""


def test_who_listens_sees_each_line_of_its_hosts_and_others_no_more_than_before(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    transcripts = {"mine": Transcript()}
    listener = _Listener(transcripts)
    try:
        assert logger.isEnabledFor(logging.INFO)
        log.get(logger.name).info("@%s | ls", "mine", host="mine")
        log.get(logger.name).info("@%s | ls", "other", host="other")
    finally:
        listener.stop()
    assert transcripts["mine"].take() == "@mine | ls"
    assert caplog.messages == []
    assert logger.level == logging.NOTSET
    assert not logger.isEnabledFor(logging.INFO)


def test_whoever_asks_for_the_lines_later_gets_them_and_keeps_the_level(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    transcripts = {"mine": Transcript()}
    listener = _Listener(transcripts)
    try:
        with caplog.at_level(logging.INFO, logger.name):
            log.get(logger.name).info("@%s | ls", "mine", host="mine")
    finally:
        listener.stop()
    assert transcripts["mine"].take() == "@mine | ls"
    assert caplog.messages == ["@mine | ls"]
    assert logger.level == logging.NOTSET


def test_the_plugin_has_no_fixture_that_is_used_unasked() -> None:
    fixtures = [getattr(pytest_plugin, name) for name in ("dpty_host", "dpty_host_async", "dpty_hosts")]
    assert [each._fixture_function_marker.autouse for each in fixtures] == [False] * 3
