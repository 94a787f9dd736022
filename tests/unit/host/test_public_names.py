from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dockerpty import host

ROOT = Path(host.__file__).resolve().parents[2]


def of_a_fresh_interpreter(code: str) -> set[str]:
    """Name the modules that are loaded by this code."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules)\n{code}\n"
        "loaded = set(sys.modules) - before\n"
        "import json; print(json.dumps(sorted(loaded)))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_what_a_checker_imports_and_what_is_resolved_are_the_same() -> None:
    tree = ast.parse(Path(host.__file__).read_text())
    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "__future__"
    ]
    names = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted(names) == host.__all__ == sorted(host.__all__)
    for name, module in names.items():
        assert getattr(host, name) is getattr(sys.modules[str(module)], name)


def test_dir_shows_names_that_were_never_used() -> None:
    assert set(host.__all__) <= set(dir(host))


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match=r"module 'dockerpty\.host' has no attribute 'stat'"):
        getattr(host, "stat")  # noqa: B009  # a checker would refuse the plain spelling


def test_importing_it_loads_nothing_but_itself() -> None:
    assert of_a_fresh_interpreter("import dockerpty.host") <= {"__future__", "dockerpty", "dockerpty.host"}


def test_results_and_errors_load_nobody_elses_errors() -> None:
    code = (
        "from dockerpty.host import CommandStatus, HostError, HostNotRunningError, RunResult\n"
        "RunResult([CommandStatus.of('true', 0)]).check()"
    )
    assert of_a_fresh_interpreter(code) & {"pexpect", "subprocess", "logging", "asyncio"} == set()


def test_each_of_the_others_is_loaded_with_the_error_that_is_its_too() -> None:
    loaded = of_a_fresh_interpreter("from dockerpty.host import CommandFailed")
    assert "subprocess" in loaded
    assert "pexpect" not in loaded
    assert "pexpect" in of_a_fresh_interpreter("from dockerpty.host import ExpectTimeout")
