"""What a terminal shows of what is typed is taken out of what comes from it: in an image that has no stty."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerpty.host.shell.echo import Echo
from tests.unit.host.bench import Bench, benches
from tests.unit.host.shells import HERE

SHELLS = [(name, True) for name in ("dash", "bash")]
bench = benches(SHELLS, [name for name, _ in SHELLS])


def test_wherever_the_reads_split_what_was_typed_is_taken_out_and_nothing_else() -> None:
    said = b"name? x\ty^C\r\nhello x\ty\r\n"
    for cut in range(len(said)):
        echo = Echo()
        echo.typed(b"x\ty\x03\n\x04")
        assert echo.without(said[:cut]) + echo.without(said[cut:]) == b"name? hello x\ty\r\n"


def test_what_is_not_shown_by_the_next_command_is_not_waited_for_any_more() -> None:
    echo = Echo()
    echo.typed(b"secret\n")
    echo.forget()
    assert echo.without(b"secret\r\n") == b"secret\r\n"


@pytest.fixture
def without_stty(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A session in which no stty is found."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sleep", "cat"):
        (programs / name).symlink_to(f"/bin/{name}")
    for name, argv in HERE.items():
        (programs / argv[0]).symlink_to(f"/bin/{argv[0]}") if name == bench.name else None
    monkeypatch.setenv("PATH", str(programs))
    return bench


def test_without_stty_commands_run_and_what_is_typed_is_no_part_of_what_they_say(without_stty: Bench) -> None:
    bench = without_stty
    assert bench.run("stty -a").retcode == 127
    assert bench.shell.framing.echoes
    assert bench.run("cd /; A=1").output == ""
    assert bench.run("pwd\necho $A").output == "/\n1"
    assert bench.run("echo 'a\x03b'; printf %s " + "x" * 3000).output == "a\x03b\n" + "x" * 3000
    done = bench.run("printf 'name? '; read x; echo hello $x", expects=(r"name\? $", "you\n"))
    assert done.output == "name? hello you"
    done = bench.run("echo some; sleep 777", timeout=0.5)
    assert (done.timed_out, done.output) == (True, "some")
    assert bench.run("echo $A").output == "1"


def test_without_stty_what_is_sent_raw_is_answered_without_it(without_stty: Bench) -> None:
    bench = without_stty
    bench.run("true")
    bench.send("echo hi\n")
    assert bench.expect(r"\$ $").text == "hi\r\n$ "
    bench.run("sleep 777", timeout=0.2)
    bench.send("read x; echo got $x\nval\n")
    assert bench.expect(r"\$ $").text == "got val\r\n$ "
