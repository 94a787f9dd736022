"""Imports point down. Every import counts, also one in a function and one for a type checker only."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import dockerpty

PACKAGE = Path(dockerpty.__file__).parent

# Who may lean on whom, from the ground up. A new module gets a row here, above what it uses and below what uses it.
ALLOWED = {
    "result": set(),
    "plan": set(),
    "unstarted": {"result"},
    "errors": {"result"},
    "log": set(),
    "plain_signal": set(),
    "modes": set(),
    "frames": {"errors"},
    "keys": {"errors"},
    "engine.http11": {"errors"},
    "engine.plain_json": set(),
    "engine.calls": {"errors", "engine.plain_json"},
    "engine.configuration": {"log", "engine.plain_json"},
    "engine.contexts": {"errors"},
    "engine.credentials": {"engine.configuration"},
    "engine.proxies": set(),
    "engine.endpoint": {"errors", "log", "engine.configuration", "engine.contexts"},
    # Connections. The plain socket is a transport; the rarer ones are loaded by `connection` when one is opened.
    "engine.transport": {"errors", "log"},
    "engine.tls": {"errors", "log", "engine.endpoint", "engine.transport"},
    "engine.ssh": {"errors", "log", "engine.endpoint", "engine.transport"},
    "engine.threaded": {"errors", "log", "engine.transport"},
    "engine.connection": {
        "errors",
        "log",
        "engine.endpoint",
        "engine.http11",
        "engine.transport",
        "engine.tls",
        "engine.ssh",
        "engine.threaded",
    },
    # Engines: what all have in common, and two ways to have one.
    "engine.interface": {"errors", "engine.calls", "engine.transport"},
    "engine.twins": {"errors", "result", "engine.calls", "engine.plain_json"},
    "engine.pull": {"errors", "engine.calls", "engine.interface", "engine.plain_json", "engine.twins"},
    "engine.foreign": {
        "errors",
        "log",
        "engine.calls",
        "engine.transport",
        "engine.threaded",
        "engine.connection",
        "engine.interface",
        "engine.twins",
    },
    "engine.client": {
        "errors",
        "log",
        "engine.calls",
        "engine.endpoint",
        "engine.http11",
        "engine.transport",
        "engine.connection",
        "engine.interface",
        "engine.twins",
        "engine.foreign",
    },
    # The caller's side.
    "io": {"errors", "frames"},
    "tty": {"errors", "log", "modes"},
    "host_io": {"errors", "log", "io", "tty"},
    # A session. The bridge runs one of any operation; operations know the engine, the bridge does not.
    "pumps": {"errors", "log", "io", "keys", "modes", "tty", "host_io", "unstarted", "engine.interface"},
    "loop": {"errors", "log", "io", "engine.interface", "pumps"},
    "container.ownership": set(),
    # What is asked for a container, from its notation on a command line.
    "container.notation": {"errors"},
    "container.mounts": {"errors", "container.notation"},
    "container.networks": {"errors", "container.notation"},
    "container.options": {"errors", "container.notation", "container.mounts", "container.networks"},
    "container.spec": {"errors", "keys", "engine.calls", "container.ownership", "container.options"},
    # What is found of a container, and of what runs in it.
    "container.reference": {"errors"},
    "container.state": {"errors", "engine.twins"},
    "container.attachment": {"errors", "keys", "log", "engine.calls", "engine.interface", "engine.transport"},
    "container.creation": {"errors", "log", "engine.calls", "engine.interface", "container.state"},
    "container.ending": {"errors", "log", "result", "engine.calls", "container.state"},
    "container.answer": {"errors", "frames", "engine.transport"},
    "signals": {
        "errors",
        "log",
        "plan",
        "plain_signal",
        "container.answer",
        "container.ending",
        "unstarted",
        "engine.calls",
        "engine.interface",
        "engine.client",
    },
    "guardian": {"log", "plain_signal"},
    # Who follows a session: loaded when one is followed.
    "recording": {"errors", "io", "host_io"},
    "matching": set(),
    "expect": {"errors", "matching"},
    "typist": {"errors", "io", "expect"},
    "bridge": {
        "errors",
        "log",
        "plain_signal",
        "result",
        "io",
        "host_io",
        "tty",
        "pumps",
        "loop",
        "signals",
        "guardian",
    },
    "operation": {
        "container.ending",
        "errors",
        "result",
        "plan",
        "engine.calls",
        "keys",
        "modes",
        "engine.client",
        "io",
        "tty",
        "host_io",
        "pumps",
        "loop",
        "signals",
        "bridge",
        "recording",
        "expect",
        "typist",
    },
}
# The two kinds of operation, then what puts a session together.
_KINDS = {
    "errors",
    "log",
    "plain_signal",
    "result",
    "engine.calls",
    "keys",
    "engine.client",
    "io",
    "tty",
    "loop",
    "signals",
    "bridge",
    "operation",
}
ALLOWED["container.detached"] = {"log"}
_KINDS |= {"container.reference", "container.state", "container.creation", "container.ending"}
ALLOWED["attach"] = {*_KINDS, "container.attachment", "container.detached"}
ALLOWED["exec"] = {*_KINDS, "unstarted", "container.spec", "engine.interface", "engine.twins"}
ALLOWED["shell"] = {
    *(
        "errors",
        "log",
        "result",
        "engine.calls",
        "engine.transport",
        "engine.interface",
        "engine.pull",
        "container.answer",
        "operation",
        "attach",
        "exec",
        "unstarted",
        "container.ownership",
        "container.reference",
        "container.spec",
        "container.state",
        "container.creation",
        "container.ending",
    ),
    "loop",
}
ALLOWED["container.leftovers"] = {
    "errors",
    "engine.calls",
    "engine.interface",
    "container.detached",
    "container.ownership",
}
# Files: an archive's bytes, a tree of this machine, and docker's way from the one to the other.
ALLOWED["archive"] = {"errors"}
ALLOWED["tree"] = {"errors", "archive"}
ALLOWED["transfer"] = {"errors", "engine.calls", "archive", "tree", "engine.interface"}
# Attached processes for programs, on a loop of asyncio: beside the bridge, and not above it.
ALLOWED["pool"] = {"engine.calls", "engine.client", "engine.interface"}
ALLOWED["streams"] = {
    *("errors", "frames", "keys", "unstarted"),
    *("container.attachment", "engine.transport"),
}
ALLOWED["process"] = {
    *("errors", "log", "frames", "plan", "unstarted", "signals", "pool", "streams"),
    *("container.attachment", "container.creation", "container.ending", "container.reference"),
    *("container.spec", "container.state"),
    *("engine.calls", "engine.interface", "engine.transport", "engine.twins"),
}
BRIDGE = set(ALLOWED) - {"pool", "streams", "process"}
# A container as a host. What is also somebody else's error has a file of its own.
ALLOWED["host.errors"] = {"errors"}
ALLOWED["host.failure"] = ALLOWED["host.unmatched"] = {"host.errors"}
ALLOWED["host.results"] = {"host.errors", "host.failure"}
ALLOWED["host"] = {"host.errors", "host.failure", "host.unmatched", "host.results", "host.local"}
ALLOWED["host"] |= {"host.parents", "host.transcript"}
ALLOWED["host"] |= {"host.ssh", "host.ssh_sync"}
# A machine behind SSH: an engine's socket, and a host itself.
ALLOWED["host.far_side"] = set()
ALLOWED["host.far_command"] = {"host.far_side", "host.results"}
ALLOWED["host.far_files"] = {"host.results"}
ALLOWED["host.relay"] = {"host.far_side"}
ALLOWED["host.ssh"] = {
    *("log", "host.errors", "host.results"),
    *("host.far_side", "host.far_command", "host.far_files", "host.relay"),
}
ALLOWED["host.ssh_sync"] = {"host.errors", "host.results", "host.ssh"}
ALLOWED["pty"] = {*_KINDS, "attach", "exec", "container.spec"}
ALLOWED["readiness"] = {"errors", "engine.calls", "engine.client", "container.state"}
ALLOWED["reconnection"] = {"errors", "log", "result", "engine.calls", "container.state", "pty"}
# A container as a host that a script drives.
ALLOWED["host.framing"] = set()
ALLOWED["host.channel"] = {"errors", "keys", "frames", "engine.transport"}
ALLOWED["host.requests"] = {"engine.calls", "host.channel"}
ALLOWED["host.helper"] = {"errors", "log", "host.channel", "host.requests"}
ALLOWED["host.recovery"] = {"errors", "log", "host.channel", "host.framing", "host.helper", "host.requests"}
ALLOWED["host.recovery"] |= {"host.processes"}
ALLOWED["host.send"] = {
    *("errors", "log", "pool", "signals", "container.creation", "container.spec"),
    *("engine.calls", "engine.interface", "host.channel", "host.requests"),
}
ALLOWED["host.processes"] = {
    *("errors", "frames", "log", "container.ending", "engine.calls", "host.channel", "host.requests")
}
ALLOWED["host.stdin"] = {"host.channel"}
ALLOWED["host.oneshot"] = {
    *("errors", "frames", "result", "signals", "unstarted", "container.ending", "engine.calls"),
    *("host.channel", "host.processes", "host.requests", "host.results", "host.stdin"),
}
# The plans of one shell that keeps its state.
ALLOWED["host.shell"] = {"host.channel", "host.framing", "matching"}
ALLOWED["host.departure"] = {
    *("errors", "result", "container.ending", "container.state", "engine.calls"),
    *("host.processes", "host.requests", "host.shell"),
}
_SHELL = {"host.channel", "host.requests", "host.shell"}
ALLOWED["host.opening"] = {
    *("errors", "shell", "signals", "unstarted", "host.errors", "host.framing", "host.processes"),
    *_SHELL,
}
ALLOWED["host.feeding"] = {"errors", "log", "signals", "host.stdin", *_SHELL}
ALLOWED["host.running"] = {
    *("matching", "host.errors", "host.framing", "host.results", "host.departure", "host.feeding"),
    *("host.oneshot", "host.stdin", *_SHELL),
}
ALLOWED["host.sequence"] = {"log", "host.oneshot", "host.results", "host.departure", "host.running", *_SHELL}
ALLOWED["host.started"] = {"host.errors", "host.oneshot", "host.results", "host.running", *_SHELL}
ALLOWED["host.waiting"] = {
    *("log", "host.errors", "host.results", "host.unmatched", "host.departure", *_SHELL),
}
ALLOWED["host.reference"] = {"container.reference", "engine.calls"}
ALLOWED["host.resolve"] = {
    *("errors", "container.state", "engine.calls"),
    *("host.errors", "host.reference", "host.requests"),
}
ALLOWED["host.transcript"] = {"log"}
ALLOWED["host.repeat"] = {"errors", "log", "plan", "host.errors", "host.requests", "host.results"}
ALLOWED["host.local"] = {"plan", "engine.client", "engine.interface", "host.errors", "host.results"}
ALLOWED["host.parents"] = {
    *("log", "plan", "engine.client", "engine.interface"),
    *("host.errors", "host.local", "host.reference", "host.requests", "host.results"),
}
# Its files, both ways, over what `dpty cp` is made of.
ALLOWED["host.stop"] = {"host.errors"}
ALLOWED["host.look"] = set()
ALLOWED["host.sources"] = {"errors"}
ALLOWED["host.onefile"] = {"archive", "host.errors"}
ALLOWED["host.inside"] = {
    *("errors", "archive", "transfer", "engine.calls", "engine.interface"),
    *("host.errors", "host.stop", "host.look", "host.onefile"),
}
ALLOWED["host.incoming"] = {"errors", "archive", "tree"}
ALLOWED["host.getting"] = {
    *("errors", "archive", "tree", "engine.calls"),
    *("host.errors", "host.results", "host.stop", "host.inside", "host.incoming"),
    *("host.look", "host.onefile", "host.sources"),
}
ALLOWED["host.putting"] = {
    *("errors", "archive", "tree", "engine.calls"),
    *("host.errors", "host.results", "host.stop", "host.inside", "host.look", "host.sources"),
}
ALLOWED["host.files"] = {
    *("errors", "archive", "tree", "engine.calls"),
    *("host.inside", "host.look", "host.getting", "host.putting"),
}
# A container as a host: what is known of its sessions, what it does, who drives that, and its faces.
_HOST = {"host.errors", "host.requests", "host.results", "host.shell", "host.channel", "host.resolve"}
ALLOWED["host.sessions"] = {"host.framing", "host.oneshot", "host.transcript", *_HOST}
ALLOWED["host.helpers"] = {"signals", "host.helper", "host.recovery", *_HOST}
ALLOWED["host.core"] = {
    *("errors", "log", "host.departure", "host.helpers", "host.inside", "host.oneshot", "host.opening"),
    *("host.processes", "host.recovery", "host.reference", "host.sequence", "host.sessions", "host.started"),
    *("host.transcript", "host.waiting", *_HOST),
}
ALLOWED["host.drivers"] = {"errors", "log", "plan", "engine.interface", "host.parents", "host.send", *_HOST}
ALLOWED["host.filing"] = {
    *(
        "errors",
        "plan",
        "engine.interface",
        "host.core",
        "host.inside",
        "host.oneshot",
        "host.send",
        "host.stop",
    ),
    *_HOST,
}
ALLOWED["host.running_command"] = {"host.drivers", "host.started", *_HOST}
ALLOWED["host.session"] = {"host.core", "host.drivers", "host.running_command", "host.sessions", *_HOST}
ALLOWED["host.base"] = {
    *("exec", "pty", "shell", "container.spec", "engine.interface"),
    *("host.core", "host.oneshot", "host.parents", "host.sessions", *_HOST),
}
_FACE = {
    "host.look",
    *("errors", "container.spec", "host.base", "host.drivers", "host.filing", "host.files", "host.getting"),
    *(
        "host.inside",
        "host.parents",
        "host.putting",
        "host.repeat",
        "host.session",
        "host.sessions",
        "host.stop",
    ),
    *_HOST,
}
ALLOWED["host.aio"] = ALLOWED["host.sync"] = _FACE
ALLOWED["host"] |= {"host.aio", "host.look", "host.local", "host.parents", "host.running_command"}
ALLOWED["host"] |= {"host.session", "host.sync", "host.transcript"}
# What pytest loads: a container of its own for a test.
ALLOWED["host.pytest_plugin"] = {
    *("errors", "container.ownership", "container.spec", "engine.calls", "engine.client", "engine.interface"),
    *("host.aio", "host.base", "host.sync"),
}
# The doors of the folders are bare: who wants a room names it.
ALLOWED["engine"] = ALLOWED["container"] = set()
ALLOWED[""] = {"errors", "io", "tty", "pty"}
# A command uses what is below and the one table of flags. That commands lean on each other in no circle is seen below.
ALLOWED["cli.grammar"] = {"errors"}
ALLOWED["cli.*"] = {*BRIDGE, "pty", "readiness", "reconnection", "", "cli.*", "cli.grammar"}
ALLOWED["cli.*"] |= {"plan", "host.reference", "host.requests", "host.resolve"}
# ... but for the commands of a container as a host: only they load that.
ALLOWED["cli.script"] = {*ALLOWED["cli.*"], "host.errors", "host.results", "host.session", "host.sync"}
ALLOWED["cli"] = {*ALLOWED["cli.*"], "cli.script"}
ALLOWED["__main__"] = {"cli", "plain_signal"}

# One file for each library that is not ours; type-only imports count here too.
OUTSIDE = {
    "docker": {"engine.credentials"},
    "requests": set(),
    "paramiko": {"engine.transport", "engine.connection", "engine.foreign"},
    "six": {"io", "pty", "host_io"},
    "pexpect": {"matching", "host.unmatched"},
    "click": {"cli", "cli.*"},
    "rich": {"cli.*"},
    "asyncssh": {"host.ssh"},
    "pytest": {"host.pytest_plugin"},
}

# Pure: bytes and values. Nothing of the world outside, and no clock.
PURE = {
    "archive",
    "errors",
    "frames",
    "keys",
    "matching",
    "engine.http11",
    "engine.calls",
    "modes",
    "result",
    "plan",
    "unstarted",
    "container.notation",
    "container.reference",
    "container.attachment",
    "container.ending",
    "engine.proxies",
}
PURE |= {"host.framing", "host.reference", "host.requests"}
PURE |= {"host.framing", "host.far_side"}
PURE |= {"host.framing", "host.onefile"}
PURE |= {"cli.grammar", "cli.table", "cli.units", "cli.template", "cli.cursor", "cli.groups", "cli.manual"}
PURE |= {"host.errors", "host.failure", "host.unmatched", "host.results"}
# A class to inherit, and the type of a moment that is a value there; neither is used.
OF_THE_WORLD = {"host.failure": {"subprocess"}, "host.results": {"datetime"}}
WORLD = {
    "os",
    "socket",
    "select",
    "selectors",
    "termios",
    "tty",
    "pty",
    "fcntl",
    "signal",
    "subprocess",
    "threading",
}
WORLD |= {"_signal", "_socket", "asyncio", "time", "datetime", "ssl", "pathlib", "shutil", "tempfile", "io"}

Graph = dict[str, set[str]]


def imports_of(package: Path) -> Graph:
    """Map each module of a package to all that it imports.

    Modules of the package have their name inside it (`""` is its `__init__`, with a dot before: `.keys`, `.cli.exec`);
    all others have the name of their top level.
    """
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {
        name: {
            _short(target, package.name, set(modules))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))
            for target in _targets(node, _folder(name, path, package.name), package.name, set(modules))
        }
        for name, path in modules.items()
    }


def _folder(name: str, path: Path, package: str) -> list[str]:
    """Name the package that a relative import in this module starts from."""
    parts = [package, *filter(None, name.split("."))]
    return parts if path.name == "__init__.py" else parts[:-1]


def _targets(node: ast.AST, folder: list[str], package: str, modules: set[str]) -> list[str]:
    """List the full names that a statement or a call imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = folder[: len(folder) + 1 - node.level] if node.level else []
        source = ".".join([*start, *filter(None, [node.module])])
        inside = [f"{source}.{alias.name}" for alias in node.names]
        # `from dockerpty import keys` leans on keys, `from dockerpty import __version__` on the package itself.
        return [full if full.removeprefix(f"{package}.") in modules else source for full in inside]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = ast.unparse(node.func)
        if name in ("__import__", "import_module", "importlib.import_module") and isinstance(
            node.args[0].value, str
        ):
            return [node.args[0].value]
    return []


def _short(target: str, package: str, modules: set[str]) -> str:
    if target != package and not target.startswith(f"{package}."):
        return target.partition(".")[0]
    inside = target[len(package) + 1 :]
    # A name that is no module is something in the module before it.
    while inside and inside not in modules:
        inside = inside.rpartition(".")[0]
    return f".{inside}"


def row_of(module: str, table: Graph) -> str | None:
    """Find the row of a module: its own, or that of all in its folder."""
    folder = f"{module.rpartition('.')[0]}.*"
    return module if module in table else folder if folder in table else None


def complaints(graph: Graph, allowed: Graph, outside: Graph) -> list[str]:
    """Tell each import that the tables do not allow."""
    found = []
    for module, targets in graph.items():
        row = row_of(module, allowed)
        if row is None:
            found.append(f"{module} has no row: say what it may import")
            continue
        for target in sorted(targets - sys.stdlib_module_names):
            if target.startswith("."):
                other = target[1:]
                if other != module and not {other, row_of(other, allowed)} & allowed[row]:
                    found.append(f"{module or '__init__'} imports {other or '__init__'}")
            elif not {module, row} & outside.get(target, set()):
                found.append(f"{module or '__init__'} imports {target}, which is not ours")
    return found


def cycle_of(graph: Graph) -> list[str]:
    """Return one circle of imports, or nothing."""
    ours = {
        module: {each[1:] for each in targets if each.startswith(".")} - {module}
        for module, targets in graph.items()
    }
    try:
        TopologicalSorter(ours).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_point_down_and_others_libraries_stay_in_their_files() -> None:
    assert complaints(imports_of(PACKAGE), ALLOWED, OUTSIDE) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert cycle_of(imports_of(PACKAGE)) == []


def test_the_table_itself_has_no_circle() -> None:
    table = {module: {f".{each}" for each in targets} for module, targets in ALLOWED.items()}
    assert cycle_of(table) == []


def test_pure_modules_import_nothing_of_the_world_outside() -> None:
    graph = imports_of(PACKAGE)
    found = {module: graph[module] & WORLD for module in PURE & set(graph)}
    assert {module: world for module, world in found.items() if world} == OF_THE_WORLD


def test_the_modules_of_the_package_are_seen() -> None:
    graph = imports_of(PACKAGE)
    assert {"", "errors", "frames", "keys", "log"} <= set(graph)
    assert ".errors" in graph["frames"]
    assert {".pty", ".errors"} <= graph[""]
    assert ".cli.exec" in graph["cli"]


# The walker itself, on a made-up tree


def tree(folder: Path, **files: str) -> Path:
    package = folder / "made"
    for name, text in {"__init__": "", **files}.items():
        path = package / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


@pytest.mark.parametrize(
    "statement",
    [
        "import made.low",
        "import made.low as other",
        "from made import low",
        "from made.low import name",
        "from . import low",
        "from .low import name",
        "def f():\n    from made.low import name",
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from made.low import Name",
        "class A:\n    def f(self):\n        import made.low",
        "__import__('made.low')",
        "import importlib\nimportlib.import_module('made.low')",
    ],
)
def test_the_walker_sees_every_kind_of_import(statement: str, tmp_path: Path) -> None:
    graph = imports_of(tree(tmp_path, low="name = 1", high=statement))
    assert ".low" in graph["high"]
    assert graph["low"] == set()
    table: Graph = {"": set(), "low": set(), "high": {"low"}}
    assert complaints(graph, table, {}) == []
    assert complaints(graph, {**table, "high": set()}, {}) == ["high imports low"]


def test_the_walker_follows_relative_imports_out_of_a_folder(tmp_path: Path) -> None:
    files = {
        "low": "",
        "cli__in____init__": "from .run import main",
        "cli__in__run": "from ..low import x\nfrom .. import y",
    }
    graph = imports_of(tree(tmp_path, **files))
    assert graph == {"": set(), "low": set(), "cli": {".cli.run"}, "cli.run": {".low", "."}}


def test_a_folders_row_holds_for_each_file_in_it(tmp_path: Path) -> None:
    graph = imports_of(
        tree(tmp_path, low="", cli__in__run="import made.low, click", cli__in__ps="import made.low")
    )
    table: Graph = {"": set(), "low": set(), "cli.*": {"low"}}
    assert complaints(graph, table, {"click": {"cli.*"}}) == []
    assert complaints(graph, {**table, "cli.*": set()}, {}) == [
        "cli.ps imports low",
        "cli.run imports low",
        "cli.run imports click, which is not ours",
    ]


def test_a_module_without_a_row_is_a_complaint(tmp_path: Path) -> None:
    assert complaints(imports_of(tree(tmp_path, new="")), {"": set()}, {}) == [
        "new has no row: say what it may import"
    ]


def test_a_library_outside_its_file_is_a_complaint_though_only_for_types(tmp_path: Path) -> None:
    graph = imports_of(
        tree(tmp_path, keys="if False:\n    from docker.errors import NotFound\nimport os, json")
    )
    table: Graph = {"": set(), "keys": set()}
    assert complaints(graph, table, {"docker": {"engine"}}) == ["keys imports docker, which is not ours"]


def test_a_circle_is_found_though_half_of_it_is_lazy(tmp_path: Path) -> None:
    graph = imports_of(tree(tmp_path, one="import made.two", two="def f():\n    from . import one"))
    assert sorted(set(cycle_of(graph))) == ["one", "two"]
    assert cycle_of({**graph, "two": set()}) == []
