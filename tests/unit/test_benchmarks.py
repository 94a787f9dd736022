"""What the benchmarks make of what they measured; how fast anything is stands in no test."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report, stand_in
from benchmarks.contenders import DPTY
from benchmarks.figures import AGAIN, DOCKER, Cell, Sample
from benchmarks.goals import GOALS, goals_of
from benchmarks.measure import launch, take_turns


def cell(*rounds: dict[str, float], amount: float = 0.0, name: str = "exec, framed, to a pipe") -> Cell:
    made = Cell("out", name, "MB/s" if amount else "ms", amount)
    made.rounds = [{who: Sample(wall) for who, wall in round_.items()} for round_ in rounds]
    return made


def test_a_ratio_is_taken_within_each_round_and_its_median_quoted() -> None:
    # The machine was ten times as slow in the second round, for both.
    made = cell({DOCKER: 1.0, DPTY: 2.0}, {DOCKER: 10.0, DPTY: 11.0}, {DOCKER: 1.0, DPTY: 1.5})
    assert made.ratio(DPTY) == (1.5, 1.1, 2.0)


def test_of_a_rate_more_is_better_and_of_a_time_less() -> None:
    walls = {DOCKER: 2.0, DPTY: 1.0}
    rate, time = cell(walls, amount=100.0), cell(walls)
    assert rate.ratio(DPTY) == (2.0, 2.0, 2.0)
    assert time.ratio(DPTY) == (0.5, 0.5, 0.5)
    assert (rate.value(DPTY), time.value(DPTY)) == (100.0, 1.0)


def test_the_limit_is_the_c_client_that_is_better_by_its_median_ratio() -> None:
    # By its median alone the second would be: its best rounds are those of a machine that was quiet.
    made = cell(
        {DOCKER: 4.0, DPTY: 4.0, "C": 2.0, "C splice": 1.0},
        {DOCKER: 1.0, DPTY: 4.0, "C": 0.5, "C splice": 0.8},
        {DOCKER: 8.0, DPTY: 4.0, "C": 2.0, "C splice": 8.0},
        amount=8.0,
    )
    assert made.limit(DPTY) == (0.5, 0.125, 0.5)
    assert made.limit("C") is None
    assert cell({DOCKER: 1.0, DPTY: 1.0}).limit(DPTY) is None


def test_who_lost_a_byte_once_has_no_speed() -> None:
    made = cell({DOCKER: 1.0, DPTY: 1.0}, amount=1.0)
    made.rounds.append({DOCKER: Sample(1.0), DPTY: Sample(1.0, exact=False)})
    assert not made.is_exact(DPTY)
    (line,) = [line for line in report.table([made]).splitlines() if line.startswith(f"| {DPTY} ")]
    assert "lost bytes or failed" in line
    assert "1.00" not in line
    text = report.table([made])
    assert "0 of " in text
    assert "dpty: ratio was not measured" in text
    (told,) = report.document([made], {})["cells"]
    assert not any(goal["reached"] for goal in told["goals"])


def test_who_lost_a_byte_marks_no_limit_and_is_no_unit() -> None:
    made = cell({DOCKER: 1.0, DPTY: 1.0, "C": 0.5}, amount=1.0)
    made.rounds[0]["C splice"] = Sample(0.1, exact=False)
    assert made.limit(DPTY) == (0.5, 0.5, 0.5)
    made.rounds[0][DOCKER] = Sample(1.0, exact=False)
    assert made.measured(DPTY, "ratio") is None


def test_a_goal_that_nobody_measured_is_told() -> None:
    text = report.table([cell({DOCKER: 1.0, DPTY: 1.0}, amount=1.0)])
    assert "- out, run, framed, dpty: was not measured" in text
    assert "limit was not measured" in text


def test_a_goal_stands_beside_its_figure_and_what_falls_short_is_told() -> None:
    made = Cell("out", "exec, framed, to a pipe", "MB/s", 100.0)
    made.rounds = [{DOCKER: Sample(1.0, 1.0, 1.0), DPTY: Sample(0.5, 0.9, 0.5)}]
    judged = {goal.measure: goal.is_reached(figure) for goal, figure in goals_of(made, DPTY)}
    assert judged == {"ratio": True, "limit": False, "cpu": False, "rss": True}
    text = report.table([made])
    assert "CPU <= 0.75 SHORT" in text
    assert "- out, exec, framed, to a pipe, dpty: cpu is 0.9, the goal <= 0.75" in text
    assert re.search(r"^2 of \d+ goals are reached", text, re.MULTILINE)


def test_the_document_has_every_sample_and_every_verdict() -> None:
    made = cell({DOCKER: 1.0, AGAIN: 1.1, DPTY: 2.0}, amount=1.0)
    document = json.loads(json.dumps(report.document([made], {"cores": "2"})))
    (told,) = document["cells"]
    assert told["rounds"][0][AGAIN]["wall"] == 1.1
    assert [goal["reached"] for goal in told["goals"] if goal["measure"] == "ratio"] == [False]


def test_every_bench_has_its_goals_and_every_goal_names_a_bench() -> None:
    benches = {path.stem.rstrip("_") for path in (Path(report.__file__).parent / "benches").glob("[a-z]*.py")}
    assert {goal.bench for goal in GOALS} <= benches
    assert benches - {goal.bench for goal in GOALS} == {"ways"}


def test_contenders_take_turns_and_none_is_always_behind_the_same_one() -> None:
    order: list[str] = []

    def runner(name: str) -> Sample:
        order.append(name)
        return Sample(1.0)

    names = "abcd"
    runs = {name: lambda name=name: runner(name) for name in names}
    made = take_turns(cell(), runs, 7, pause_s=0)
    rounds = [order[at : at + 4] for at in range(0, 28, 4)]
    assert all(sorted(round_) == list(names) for round_ in rounds)
    for name in names:
        assert len({round_[round_.index(name) - 1] for round_ in rounds if round_[0] != name}) > 1
        assert len({round_.index(name) for round_ in rounds}) > 1
    assert [list(round_) for round_ in made.rounds] == [list(names)] * 7
    # The next run has the same orders: it is compared with this one.
    first, order[:] = list(order), []
    take_turns(cell(), runs, 7, pause_s=0)
    assert order == first


@pytest.mark.parametrize("sink", ["pipe", "keep", "pty"])
def test_a_launched_client_is_counted_to_the_last_byte(sink: str) -> None:
    run = launch(["sh", "-c", "head -c 300000 /dev/zero; exit 7"], sink=sink)
    assert (run.count, run.code) == (300000, 7)
    assert run.sample.wall > 0
    assert run.sample.rss > 0
    assert run.kept == (bytes(4096) if sink in ("keep", "pty") else b"")


def test_a_launched_client_is_fed_and_has_a_terminal_of_its_own() -> None:
    assert launch(["wc", "-c"], stdin="zeros:1000000", sink="keep").kept.strip() == b"1000000"
    assert launch(["sh", "-c", "stty size </dev/tty"], sink="pty").count == len("24 80\r\n")


def test_a_client_that_is_not_there_is_no_measure() -> None:
    assert launch(["/no/such/program"]).code == 127


@pytest.mark.parametrize("name", ["frames-32768", "frames-64", "raw"])
def test_the_stand_in_streams_what_was_asked_for_and_to_the_byte(name: str, tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    engine = subprocess.Popen([sys.executable, stand_in.__file__, str(path)], stdout=subprocess.PIPE)
    try:
        assert engine.stdout is not None
        engine.stdout.readline()
        run = launch(
            [sys.executable, "-m", "dockerpty", "exec", *(["-t"] if name == "raw" else []), name, "2097152"],
            sink="pipe",
            environment={"DOCKER_HOST": f"unix://{path}", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert (run.count, run.code) == (2097152, 0)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
            assert connection.recv(1000).endswith(b"\r\n\r\nOK")
    finally:
        engine.kill()
        engine.communicate()


def test_the_raw_client_is_loaded_with_nothing_but_built_in_modules() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\nsys.argv = ['raw', 'none']\n"
        "try:\n    exec(open('benchmarks/clients/raw.py').read())\nexcept KeyError:\n    pass\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert set(done.stdout.split()) <= {"_socket", "select"}
