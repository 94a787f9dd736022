from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dockerpty

ROOT = Path(dockerpty.__file__).resolve().parents[1]

# What a user of the library may import, and from where it comes.
TOP = {
    "pty": [
        "ExecOperation",
        "PseudoTerminal",
        "RunOperation",
        "SessionResult",
        "exec_command",
        "exec_create",
        "start",
        "start_exec",
    ],
    "errors": [
        "APIError",
        "DetachKeysError",
        "DockerptyError",
        "EngineError",
        "EngineUnreachable",
        "NotFound",
        "ProtocolError",
        "SessionLost",
        "SessionTimeout",
        "TerminalError",
    ],
}
SUBMODULES = {
    "pty": ["ExecOperation", "Operation", "PseudoTerminal", "RunOperation", "WINCHHandler", "exec_create"],
    "io": ["Demuxer", "Pump", "Stream", "select", "set_blocking"],
    "tty": ["Terminal", "size"],
}
# What 0.4 took, in its order: these may be given by position. All that came later is keyword-only.
OLD_ARGUMENTS = {
    "start": "client container interactive stdout stderr stdin logs",
    "exec_command": "client container command interactive stdout stderr stdin",
    "start_exec": "client exec_id interactive stdout stderr stdin",
    "exec_create": "client container command interactive",
}
SESSION = (
    "detach_keys sig_proxy resize raw timeout idle_timeout read_only stdin_eof detach_timeout size transport"
)


def test_all_is_what_the_contract_names() -> None:
    names = [name for names in TOP.values() for name in names]
    assert sorted(dockerpty.__all__) == sorted([*names, *SUBMODULES, "__version__"])
    assert dockerpty.__all__ == sorted(dockerpty.__all__)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in TOP.items() for name in names]
)
def test_a_name_of_the_top_is_the_one_of_its_module(module: str, name: str) -> None:
    there = getattr(importlib.import_module(f"dockerpty.{module}"), name)
    assert getattr(dockerpty, name) is there


@pytest.mark.parametrize(
    ("module", "name"), [(where, name) for where, names in SUBMODULES.items() for name in names]
)
def test_submodules_have_the_names_that_users_import(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(f"dockerpty.{module}"), name)


@pytest.mark.parametrize(
    "code",
    [
        "import dockerpty; dockerpty.start; dockerpty.NotFound",
        "import dockerpty; dockerpty.io.Stream; dockerpty.tty.Terminal; dockerpty.pty.PseudoTerminal",
        "from dockerpty import *; start; DetachKeysError; pty.WINCHHandler",
        "from dockerpty.pty import PseudoTerminal, RunOperation, ExecOperation, exec_create",
        "from dockerpty import io, pty, tty, start",
        "import dockerpty.io, dockerpty; dockerpty.io.select; dockerpty.exec_command",
    ],
)
def test_every_way_to_import_works_in_a_fresh_interpreter(code: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_dir_shows_names_that_were_never_used() -> None:
    assert set(dockerpty.__all__) <= set(dir(dockerpty))


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'dockerpty' has no attribute 'stat'"):
        getattr(dockerpty, "stat")  # noqa: B009  # a checker would refuse the plain spelling


def test_what_a_checker_imports_and_what_is_resolved_are_the_same() -> None:
    tree = ast.parse(Path(dockerpty.__file__).read_text())
    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "__future__"
    ]
    names = [alias.name for node in imports for alias in node.names]
    assert sorted([*names, "__version__"]) == dockerpty.__all__


def test_the_version_is_a_literal() -> None:
    assert isinstance(dockerpty.__version__, str)
    assert f'__version__ = "{dockerpty.__version__}"\n' in Path(dockerpty.__file__).read_text()


@pytest.mark.parametrize("name", OLD_ARGUMENTS)
def test_the_old_arguments_keep_their_order_and_all_others_are_keywords(name: str) -> None:
    parameters = inspect.signature(getattr(dockerpty, name)).parameters.values()
    by_position = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert by_position == OLD_ARGUMENTS[name].split()
    assert all(each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) for each in parameters)


@pytest.mark.parametrize("name", ["start", "exec_command", "start_exec", "RunOperation", "ExecOperation"])
def test_session_keywords_are_written_out_in_each_signature(name: str) -> None:
    parameters = inspect.signature(getattr(dockerpty, name)).parameters
    keywords = [each.name for each in parameters.values() if each.kind is each.KEYWORD_ONLY]
    assert [each for each in SESSION.split() if each not in keywords] == []


def test_the_guides_table_of_options_has_every_keyword_of_a_session() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()
    table = guide.partition("## Options of a session")[2].partition("\n#")[0]
    parameters = inspect.signature(dockerpty.start).parameters.values()
    keywords = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert set(re.findall(r"^\| `(\w+)`", table, re.M)) == keywords - {"transport"}


@pytest.mark.parametrize("name", ["start", "exec_command", "start_exec"])
def test_an_unknown_keyword_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        getattr(dockerpty, name)(None, None, no_such_option=1)
