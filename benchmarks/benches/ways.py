"""The other ways to an engine: TCP, TLS and ssh, on this machine, through the tests' own proxies."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.benches.out import zeros
from benchmarks.contenders import DPTY
from benchmarks.figures import AGAIN, DOCKER, Cell
from benchmarks.measure import Run, take_turns
from benchmarks.stage import MIB, Stage
from tests.bed.transports import KINDS, Unavailable

_WAYS = {"tcp": "TCP", "tls": "TLS", "ssh": "ssh (without encryption)"}


def cells(stage: Stage) -> Iterator[Cell]:
    for kind, way in _WAYS.items():
        directory = stage.scratch / kind
        directory.mkdir()
        try:
            transport = KINDS[kind](directory)
        except Unavailable as missing:
            stage.tell(f"ways: {way} is left out: {missing}")
            continue
        try:
            environment = {name: value for name, value in transport.env.items() if value is not None}
            yield from _cells(stage, way, environment)
        finally:
            transport.close()


def _cells(stage: Stage, way: str, environment: dict[str, str]) -> Iterator[Cell]:
    n = stage.size(256, 8) * MIB
    clients = stage.only(DOCKER, AGAIN, DPTY)
    rounds = stage.size(5, 1)

    def all_came(run: Run) -> bool:
        return run.code == 0 and run.count == n

    def all_went(run: Run) -> bool:
        return run.code == 0 and run.kept.strip() == str(n).encode()

    out, in_ = ["exec", stage.container, *zeros(n)], ["exec", "-i", stage.container, "wc", "-c"]
    true = ["exec", stage.container, "true"]
    yield take_turns(
        Cell("ways", f"{way}: output to a pipe", "MB/s", n, 1e-6),
        stage.runs(clients, out, sink="pipe", is_right=all_came, environment=environment),
        rounds,
        tell=stage.tell,
    )
    yield take_turns(
        Cell("ways", f"{way}: input from a pipe", "MB/s", n, 1e-6),
        stage.runs(clients, in_, stdin=f"zeros:{n}", sink="keep", is_right=all_went, environment=environment),
        rounds,
        tell=stage.tell,
    )
    yield take_turns(
        Cell("ways", f"{way}: exec C true", "ms", scale=1000),
        stage.runs(clients, true, is_right=lambda run: run.code == 0, environment=environment),
        rounds,
        pause_s=0.1,
        tell=stage.tell,
    )
