"""`dpty ps` beside `docker ps`: byte for byte the same, on a real engine and on one that lists what is rare."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from tests.bed.engine import Bench
from tests.bed.waiting import SLACK
from tests.conftest import missing
from tests.engine.command import Done, docker, dpty
from tests.engine.conftest import Sessions
from tests.unit.loopback import ScriptedEngine, answer

DIGEST = "sha256:dba41360bd03e91d58866192bdf2dad7412deead871a296b3be0ba2df12221a9"
FORMATS = [
    [],
    ["-q"],
    ["-q", "--no-trunc"],
    ["--no-trunc"],
    ["-s"],
    ["-s", "--no-trunc"],
    ["--format", "table"],
    ["--format", "json"],
    ["--format", "json", "--no-trunc"],
    ["--format", "raw"],
    ["-s", "--format", "raw"],
    ["--format", "{{json .}}"],
    ["--format", "{{json .Ports}} {{json .Labels}}"],
    ["--format", r'table {{.Names}}\t{{.Status}}\t{{.Label "com.example.the-role"}}\t{{.Labels}}'],
    ["--format", r"{{.ID}}\t{{.CreatedAt}}\t{{.LocalVolumes}} {{.Mounts}}\n"],
    ["--format", r"table {{upper .Names}}\t{{.Size}}\t{{pad .State 2 2}}|{{.Networks}}|{{.Platform}}"],
    [
        "--format",
        '{{if .Ports}}{{join (split .Ports ", ") "+"}}{{else}}-{{end}} {{- .Image }} {{truncate .ID 5}}',
    ],
]


@pytest.fixture
def both(sessions: Sessions) -> Callable[..., Done]:
    """Run `dpty` and `docker` with the same words and hold them to the same output.

    Times go on meanwhile: docker is asked before and after, until it says the same twice.
    """

    def run(*argv: str, through: Sessions = sessions) -> Done:
        # Where that takes longer than a second, it does so when all have run for a minute, and none for two.
        deadline = time.monotonic() + 100 * SLACK
        while True:
            before = docker(through, "ps", *argv)
            ours = dpty(through, "ps", *argv)
            if before.stdout == docker(through, "ps", *argv).stdout:
                break
            assert time.monotonic() < deadline, "docker never says the same twice"
        assert (ours.stdout.decode(), ours.returncode) == (before.stdout.decode(), before.returncode)
        return ours

    return run


@pytest.fixture(scope="module")
def crowd(judge: DockerClient) -> Iterator[str]:
    """Containers in all states, which nobody changes; gives the filter for them."""
    bench = Bench(judge)
    label = bench.name()
    marked: dict[str, Any] = {"labels": {label: "yes", "com.example.the-role": "a b"}}
    bench.container(start=True, **marked)
    bench.container("echo 'a\tb' \"c\"; exit 3", start=True, tty=True, **marked)
    bench.container(["true"], **marked)
    # One mount each: the engine itself lists several in any order.
    bench.container(start=True, volumes=["/data"], **marked)
    bench.container(start=True, host={"binds": ["/tmp:/host"]}, **marked)
    bench.container(["echo", "schön", "日本語日本語日本語日本語"], ports=[80, 81, (53, "udp")], **marked)
    paused = bench.container(start=True, **marked)
    paused.pause()
    yield f"label={label}"
    bench.close()


@pytest.mark.parametrize("argv", FORMATS, ids=" ".join)
def test_ps_says_what_docker_says(argv: list[str], both: Callable[..., Done], crowd: str) -> None:
    both("-a", "-f", crowd, *argv)


def test_filters_are_the_engines(both: Callable[..., Done], crowd: str) -> None:
    assert len(both("-f", crowd, "-q").stdout.splitlines()) < len(
        both("-f", crowd, "-aq").stdout.splitlines()
    )
    for filters in (
        ["-f", "status=exited"],
        ["-f", "status=created", "-f", "status=paused"],
        ["-f", "Label= com.example.the-role=a b "],
        ["-f", "exited=3"],
        ["-f", "name=nobody-has-this-name"],
    ):
        both("-a", "-f", crowd, *filters, "--format", "{{.Names}} {{.State}}")


def test_the_newest_are_listed_whether_they_run_or_not(both: Callable[..., Done], crowd: str) -> None:
    for flags in (["-l"], ["-n", "2"], ["-n2", "-l"], ["-n", "0"]):
        both("-f", crowd, *flags, "-q")


def test_a_filter_that_there_is_not_is_told_in_the_engines_words(sessions: Sessions) -> None:
    for text in ("nope=1", "status=nope"):
        done = dpty(sessions, "ps", "-f", text)
        words = docker(sessions, "ps", "-f", text).stderr.decode().strip().partition("daemon: ")[2]
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode() == f"dpty: cannot list the containers: {words}\n"


# What this engine would not list on demand


def listed(number: int, **more: Any) -> dict[str, Any]:
    return {
        "Id": f"{number:064x}",
        "Names": [f"/c{number}"],
        "Image": "busybox",
        "ImageID": DIGEST,
        "Command": "sh",
        "Created": int(time.time()) - 90 * number,
        "State": "running",
        "Status": "Up",
        **more,
    }


def port(private: int, public: int = 0, ip: str = "", kind: str = "tcp") -> dict[str, Any]:
    return {"PrivatePort": private, "Type": kind, **({"PublicPort": public, "IP": ip} if ip else {})}


# None of them is where a second makes a difference.
AGES = [65, 125, 3570, 3700, 5500, 100_000, 180_000, 900_000, 1_300_000, 4_000_000, 6_000_000, 7e7, 2e8]
RARE: list[dict[str, Any]] = [
    *(
        {"Image": name}
        for name in (
            "",
            "docker.io/library/busybox:1",
            "docker.io/some/thing",
            "there:5000/a/b:c",
            f"there:5000/a/b@{DIGEST}",
            f"busybox:1@{DIGEST}",
            "library/busybox",
            DIGEST,
            DIGEST[7:],
            "a" * 64,
            "UPPER/case",
        )
    ),
    *(
        {"Command": text}
        for text in (
            "",
            "x" * 20,
            "x" * 21,
            "日本語日本語日本語日本語日本語",
            "x日本語日本語日本語日本語日本語",
            "schön" * 5,
            'a "b" \\ \t\n\x1b\x7f\x85\xa0\u2028\U000e0001',
            "<a&b>",
        )
    ),
    *({"Created": -age} for age in AGES),
    {"Names": ["/a/b", "/real"]},
    {"Names": ["/real", "/a/b"]},
    {"Names": ["/日本語の名前"]},
    {"Names": None, "Labels": None, "Ports": None, "Mounts": None, "NetworkSettings": None},
    {"Labels": {"z": "1", "a": "<&>", "com.example.the-role": "front", "empty": ""}},
    {"Ports": [port(80), port(81), port(443), port(53, kind="udp")]},
    {"Ports": [port(80, 80, "0.0.0.0"), port(81, 81, "0.0.0.0"), port(80, 80, "::"), port(81, 81, "::")]},
    {"Ports": [port(80, 8080, "127.0.0.1"), port(443, 443, "127.0.0.1"), port(9, 9, "::1"), port(7)]},
    {"SizeRw": 12_345, "SizeRootFs": 999_950},
    {"SizeRw": 999, "SizeRootFs": 123_456_789_012},
    {
        "Mounts": [
            {"Name": "n" * 30, "Driver": "local"},
            {"Source": "/a/very/long/source/path"},
            {"Driver": "x"},
        ]
    },
    {"NetworkSettings": {"Networks": {"one": {}}}},
]


@pytest.fixture
def rare(tmp_path: Path) -> Iterator[Callable[[list[str]], tuple[Done, Done]]]:
    """Give what docker and dpty print of a list that no engine has on demand."""
    if shutil.which("docker") is None:
        missing("no docker command to compare with")
    engines: list[ScriptedEngine] = []
    now = int(time.time())
    body = [listed(number, **more) for number, more in enumerate(RARE, 1)]
    for each in body:
        if each["Created"] < 0:
            each["Created"] = int(now + each["Created"])

    def run(argv: list[str]) -> tuple[Done, Done]:
        found = answer(200, json.dumps(body).encode(), Api_Version="1.41", Server="Docker")
        ping = answer(200, b"", Api_Version="1.41", Server="Docker", Ostype="linux")
        engine = ScriptedEngine(str(tmp_path / f"engine{len(engines)}"), ping, found, found)
        engines.append(engine)
        through = Sessions({"DOCKER_HOST": engine.url})
        return docker(through, "ps", *argv), dpty(through, "ps", *argv)

    yield run
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("argv", FORMATS, ids=" ".join)
def test_what_is_rare_is_shown_as_docker_shows_it(
    argv: list[str], rare: Callable[[list[str]], tuple[Done, Done]]
) -> None:
    theirs, ours = rare(argv)
    assert theirs.returncode == 0, theirs.stderr
    assert ours.stdout.decode().splitlines() == theirs.stdout.decode().splitlines()
    assert ours.stdout == theirs.stdout


def test_marks_that_are_drawn_into_a_letter_move_no_column(both: Callable[..., Done], bench: Bench) -> None:
    text = bench.name()
    bench.container(["e\u0301" * 30], labels={text: "cafe\u0301 a\u20dd"})
    bench.container(["\u2764\ufe0f" * 30], labels={text: "\u2764\ufe0f 1\ufe0f\u20e3 a\u200bb\u00ad"})
    bench.container(["plain"], labels={text: "some twenty plain characters"})
    both(
        "-a",
        "-f",
        f"label={text}",
        "--format",
        f'table {{{{.Label "{text}"}}}}\t{{{{.Command}}}}\t{{{{.ID}}}}',
    )


@pytest.mark.parametrize(
    "format",
    [
        '{{eq .State "running" "exited"}}{{true}}{{if false}}x{{else}}y{{end}}',
        '{{printf "%s|%q|%10s|%-10s|%.3s|%v|%d|%%" .Names .Status .State .State .ID true 5}}',
        '{{.State | printf "%8.4q %s" "a\\tb"}}',
        r'table {{printf "%-20s" .Names}}\t{{printf "%q" .Status}}',
    ],
)
def test_what_templates_compare_and_put_together_is_dockers(
    format: str, both: Callable[..., Done], crowd: str
) -> None:
    both("-a", "-f", crowd, "--format", format)
