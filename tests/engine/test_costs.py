"""What a stream costs, where that does not vary: system calls and memory. How long it takes is the benchmarks' affair.

The client is alone with an engine that streams from memory, so that nothing but the client decides what is counted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import stand_in
from benchmarks.measure import launch
from tests.conftest import missing

MIB = 1024 * 1024
DPTY = [sys.executable, "-m", "dockerpty", "exec"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def streaming(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield the environment in which `dpty exec frames-N SIZE` finds an engine that streams."""
    path = tmp_path / "engine.sock"
    engine = subprocess.Popen([sys.executable, stand_in.__file__, str(path)], stdout=subprocess.PIPE)
    try:
        assert engine.stdout is not None
        engine.stdout.readline()
        yield {"DOCKER_HOST": f"unix://{path}", "PYTHONPATH": str(ROOT)}
    finally:
        engine.kill()
        engine.communicate()


def calls_for(words: list[str], log: Path, environment: dict[str, str]) -> int:
    """Count the system calls of a whole command."""
    strace = shutil.which("strace")
    if strace is None:
        missing("no strace here")
    run = launch([strace, "-f", "-qq", "-o", str(log), *DPTY, *words], sink="pipe", environment=environment)
    assert (run.code, run.count) == (0, int(words[-1]))
    return len(re.findall(r"^\d+ +\w+\(", log.read_text(errors="replace"), re.MULTILINE))


@pytest.mark.parametrize(
    ("words", "most"),
    [
        # A read and a write for each 32 KiB, and a poll now and then: 64 and a few.
        (["frames-32768"], 96),
        # Many frames of one read are one write.
        (["frames-64"], 110),
        (["-t", "raw"], 96),
    ],
    ids=["frames of 32 KiB", "frames of 64 bytes", "a terminal's stream"],
)
def test_a_mebibyte_takes_a_bounded_number_of_system_calls(
    words: list[str], most: int, streaming: dict[str, str], tmp_path: Path
) -> None:
    few, many = (
        calls_for([*words, str(size * MIB)], tmp_path / f"{size}.strace", streaming) for size in (4, 36)
    )
    assert (many - few) / 32 <= most


@pytest.mark.parametrize("words", [["frames-32768"], ["frames-64"], ["-t", "raw"]], ids=" ".join)
def test_a_long_stream_takes_no_more_memory_than_a_short_one(
    words: list[str], streaming: dict[str, str]
) -> None:
    runs = [
        launch([*DPTY, *words, str(size * MIB)], sink="pipe", environment=streaming) for size in (16, 512)
    ]
    assert [(run.code, run.count) for run in runs] == [(0, 16 * MIB), (0, 512 * MIB)]
    grown_kib = runs[1].sample.rss - runs[0].sample.rss
    assert grown_kib <= 1024
