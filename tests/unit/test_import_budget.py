"""What a fresh interpreter loads. Start-up is a feature: docker-py alone takes longer than a command does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dockerpty

ROOT = Path(dockerpty.__file__).resolve().parents[1]

# Each of these would cost more than our own modules together, and none is needed on the way of a plain command line.
TOO_DEAR = {
    "argparse",
    "asyncio",
    "click",
    "contextlib",
    "dataclasses",
    "docker",
    "email",
    "http",
    "importlib.metadata",
    "inspect",
    "logging",
    "pathlib",
    "pexpect",
    "requests",
    "rich",
    "shutil",
    "six",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
    "urllib",
    "urllib3",
}

# One of these brings most of the others, by way of `enum`: a quarter of a start, where nothing of them is needed.
DEAR_TOGETHER = {"collections", "enum", "functools", "json", "re", "selectors", "signal", "socket", "types"}

# What a plain `dpty exec` and `dpty run` import; the rest follows from these.
COMMAND_LINE = ["dockerpty.cli", "dockerpty.cli.exec", "dockerpty.cli.run", "dockerpty.pty"]

# Everything below the command line, whether it is on its way today or not: what is dear is imported where it is used.
BRIDGE = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("", "engine/", "container/")
    for path in (ROOT / "dockerpty").glob(f"{folder}[a-z]*.py")
    # That is pytest's to load.
    if path.stem != "pytest_plugin"
)
# Ways to an engine that a plain command line does not take. They may load what is dear in the standard library.
RARE = {
    "dockerpty.engine.foreign",
    "dockerpty.engine.ssh",
    "dockerpty.engine.threaded",
    "dockerpty.engine.tls",
}
# ... and the way of files, which only `dpty cp` goes.
RARE |= {"dockerpty.archive", "dockerpty.tree", "dockerpty.transfer", "dockerpty.patterns"}
# ... and attached processes for programs, which have a loop of asyncio.
RARE |= {"dockerpty.pool", "dockerpty.process", "dockerpty.streams"}


def loaded_by(*modules: str) -> set[str]:
    """Name the modules that a fresh interpreter has after importing these, and has not without them."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"for name in {modules!r}: __import__(name)\n"
        "loaded = set(sys.modules) - before\n"
        "import json; print(json.dumps(sorted(loaded)))\n"
    )
    # Without site: what the environment's own start-up files load is no merit and no fault of ours.
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def too_dear(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name in TOO_DEAR or name.partition(".")[0] in TOO_DEAR}


def test_import_dockerpty_loads_nothing_but_itself() -> None:
    assert loaded_by("dockerpty") == {"dockerpty", "__future__"}


def test_the_ground_floor_stays_cheap() -> None:
    loaded = loaded_by("dockerpty.errors", "dockerpty.frames", "dockerpty.keys")
    others = {name for name in loaded if name.partition(".")[0] != "dockerpty"}
    assert others == {"__future__", "_struct", "struct"}


@pytest.mark.parametrize("module", BRIDGE)
def test_no_module_of_the_bridge_loads_what_is_too_dear(module: str) -> None:
    dear = too_dear(loaded_by(module))
    if module in RARE:
        dear = {name for name in dear if name.partition(".")[0] not in sys.stdlib_module_names}
    assert dear == set()


def test_a_copy_of_one_source_does_not_load_what_several_need() -> None:
    loaded = loaded_by("dockerpty.cli.cp")
    assert "dockerpty.transfer" in loaded
    assert not loaded & {"dockerpty.cli.several", "dockerpty.patterns"}


# What a plain command line needs of the standard library. Whoever adds one says here what it takes: `re` took 6 ms.
NEEDED = {
    *("__future__", "_collections_abc", "_json", "_socket", "_stat", "_struct", "binascii", "errno"),
    *(
        "genericpath",
        "os",
        "os.path",
        "posixpath",
        "select",
        "stat",
        "struct",
        "termios",
        "fcntl",
        "pwd",
        "time",
    ),
}


def test_a_plain_command_line_loads_nothing_too_dear() -> None:
    loaded = loaded_by(*COMMAND_LINE)
    assert {name for name in loaded if name.partition(".")[0] != "dockerpty"} <= NEEDED
    assert loaded & RARE == set()


def test_what_a_plain_command_line_may_load_is_not_dear() -> None:
    assert too_dear(NEEDED) == set()
    assert set() == NEEDED & DEAR_TOGETHER


def test_the_check_sees_what_is_too_dear() -> None:
    assert {"logging", "typing"} <= too_dear(loaded_by("json", "logging", "typing"))
    assert too_dear(loaded_by("json", "socket", "select", "struct", "termios")) == set()


def test_only_the_commands_of_a_host_load_what_a_host_needs() -> None:
    # Help has no more than click, which is not ours to load here.
    apart = {"script", "reference", "help"}
    others = {path.stem for path in (ROOT / "dockerpty" / "cli").glob("[a-z]*.py")} - apart
    loaded = loaded_by(*(f"dockerpty.cli.{each}" for each in sorted(others)))
    assert {name for name in loaded if name.startswith("dockerpty.host")} - {"dockerpty.host_io"} == set()
