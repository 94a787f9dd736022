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
ALLOWED["patterns"] = {"engine.calls", "archive", "transfer", "engine.interface"}
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
ALLOWED["pty"] = {*_KINDS, "attach", "exec", "container.spec"}
ALLOWED["readiness"] = {"errors", "engine.calls", "engine.client", "container.state"}
ALLOWED["reconnection"] = {"errors", "log", "result", "engine.calls", "container.state", "pty"}


def _names(top: str = "", **rooms: str) -> set[str]:
    """List modules: of the top floor, and of each room by its name (`shell` is `host.shell`)."""
    folders = {"engine": "engine", "container": "container", "host": "host"}
    return {
        *top.split(),
        *(
            f"{folders.get(room, f'host.{room}')}.{name}"
            for room, names in rooms.items()
            for name in names.split()
        ),
    }


# A container as a host: values and errors (what is also somebody else's error has a file of its own) ...
ALLOWED["host.errors"] = _names("errors")
ALLOWED["host.failure"] = _names(host="errors")
ALLOWED["host.unmatched"] = _names(host="errors")
ALLOWED["host.results"] = _names(host="errors failure")
ALLOWED["host.in_order"] = _names(host="results")
ALLOWED["host.transcript"] = _names("log")
# ... what plans ask for, who answers, and plans that need no shell of ours;
ALLOWED["host.channel"] = _names("errors frames keys", engine="transport")
ALLOWED["host.requests"] = _names(engine="calls", host="channel")
ALLOWED["host.send"] = _names(
    "errors log pool signals", engine="calls interface", container="creation spec", host="channel requests"
)
ALLOWED["host.processes"] = _names(
    "errors frames log", engine="calls", container="ending", host="channel requests"
)
ALLOWED["host.stdin"] = _names(host="channel")
ALLOWED["host.oneshot"] = _names(
    "errors frames result signals unstarted",
    engine="calls",
    container="ending",
    host="channel processes requests results stdin",
)
ALLOWED["host.reference"] = _names(engine="calls", container="reference")
ALLOWED["host.resolve"] = _names(
    "errors", engine="calls", container="state", host="errors reference requests"
)
ALLOWED["host.repeat"] = _names("errors log plan", host="errors requests results")
ALLOWED["host.local"] = _names("plan", engine="client interface", host="errors in_order results")
ALLOWED["host.turns"] = _names(engine="calls interface transport")
ALLOWED["host.parents"] = _names(
    "log plan", engine="client interface", host="errors local reference requests results turns"
)
# one shell that keeps its state;
ALLOWED["host.shell.framing"] = set()
ALLOWED["host.shell.echo"] = set()
ALLOWED["host.shell.shell"] = _names("matching", host="channel", shell="echo framing")
ALLOWED["host.shell.helper"] = _names("errors log", host="channel requests")
ALLOWED["host.shell.recovery"] = _names(
    "errors log", host="channel processes requests", shell="framing helper"
)
ALLOWED["host.shell.departure"] = _names(
    "errors result", engine="calls", container="ending state", host="processes requests", shell="shell"
)
ALLOWED["host.shell.opening"] = _names(
    "errors shell signals unstarted", host="channel errors processes requests", shell="framing shell"
)
ALLOWED["host.shell.feeding"] = _names("errors log signals", host="channel requests stdin", shell="shell")
ALLOWED["host.shell.running"] = _names(
    "matching",
    host="channel errors in_order oneshot requests results stdin",
    shell="departure feeding framing shell",
)
ALLOWED["host.shell.sequence"] = _names(
    "log", host="channel in_order oneshot requests results", shell="departure running shell"
)
ALLOWED["host.shell.started"] = _names(
    host="channel errors in_order oneshot requests results", shell="running sequence shell"
)
ALLOWED["host.shell.waiting"] = _names(
    "log", host="channel errors requests results unmatched", shell="departure shell"
)
# files, both ways, over what `dpty cp` is made of;
ALLOWED["host.transfer.stop"] = _names(host="errors")
ALLOWED["host.transfer.look"] = set()
ALLOWED["host.transfer.sources"] = _names("errors")
ALLOWED["host.transfer.onefile"] = _names("archive", host="errors")
ALLOWED["host.transfer.inside"] = _names(
    "archive errors transfer",
    engine="calls interface",
    host="errors results",
    transfer="look onefile sources stop",
)
ALLOWED["host.transfer.incoming"] = _names("archive errors tree")
ALLOWED["host.transfer.getting"] = _names(
    "archive errors tree",
    host="errors results",
    transfer="incoming inside look onefile sources stop",
)
ALLOWED["host.transfer.outgoing"] = _names("archive errors tree", host="results", transfer="look sources")
ALLOWED["host.transfer.putting"] = _names(
    "archive errors tree", host="errors results", transfer="inside look outgoing sources stop"
)
ALLOWED["host.transfer.files"] = _names("archive errors tree", transfer="getting inside look")
# a machine behind SSH;
ALLOWED["host.ssh.far_side"] = set()
ALLOWED["host.ssh.command"] = _names(host="results", ssh="far_side")
ALLOWED["host.ssh.files"] = _names(host="results", ssh="access")
ALLOWED["host.ssh.relay"] = _names(ssh="far_side")
ALLOWED["host.ssh.access"] = _names(host="errors", ssh="far_side")
ALLOWED["host.ssh.login"] = ALLOWED["host.ssh.openssh"] = _names(host="errors", ssh="access far_side")
ALLOWED["host.ssh.link"] = _names("log", host="errors", ssh="access far_side relay")
ALLOWED["host.ssh.host"] = _names(
    "log", host="errors in_order results", ssh="access command far_side files link login openssh"
)
ALLOWED["host.ssh.sync"] = _names(host="errors", ssh="host")
# what a host knows and does, who drives that, its faces, and what pytest loads.
ALLOWED["host.sessions"] = _names(
    host="channel errors oneshot requests resolve results transcript", shell="framing shell"
)
ALLOWED["host.shell.helpers"] = _names(
    "signals", host="channel errors requests resolve results", shell="helper recovery shell"
)
ALLOWED["host.core"] = _names(
    "errors log",
    container="spec",
    host="channel errors oneshot processes reference requests resolve results sessions transcript",
    shell="departure helper helpers opening recovery sequence shell started waiting",
    transfer="inside",
)
ALLOWED["host.drivers"] = _names(
    "errors log plan",
    engine="interface",
    host="channel errors parents requests resolve results send",
    shell="shell",
)
ALLOWED["host.transfer.filing"] = _names(
    "errors plan",
    engine="interface",
    host="channel core errors oneshot requests resolve results send",
    shell="shell",
    transfer="inside stop",
)
ALLOWED["host.running_command"] = _names(
    host="channel drivers errors requests resolve results", shell="shell started"
)
ALLOWED["host.session"] = _names(
    host="channel core drivers errors requests resolve results running_command sessions", shell="shell"
)
ALLOWED["host.base"] = _names(
    "errors exec pty shell",
    engine="interface",
    container="spec",
    host="channel core errors oneshot parents requests resolve results sessions",
    shell="shell",
    transfer="stop",
)
ALLOWED["host.aio"] = _names(
    "errors",
    container="spec",
    host="base channel drivers errors parents repeat requests resolve results session sessions",
    shell="shell",
    transfer="files filing getting inside look putting stop",
)
ALLOWED["host.sync"] = _names(
    "errors",
    container="spec",
    host="base channel drivers errors parents repeat requests resolve results session sessions",
    shell="shell",
    transfer="files filing getting inside look putting stop",
)
ALLOWED["pytest_plugin"] = _names(
    "errors", engine="calls client interface", container="ownership spec", host="aio base sessions sync"
)
ALLOWED["host"] = _names(
    host="aio errors failure local parents results running_command session sync transcript unmatched",
    transfer="look",
    ssh="host sync",
)
# The doors of the folders are bare: who wants a room names it.
ALLOWED["engine"] = ALLOWED["container"] = set()
ALLOWED["host.shell"] = ALLOWED["host.transfer"] = ALLOWED["host.ssh"] = set()
ALLOWED[""] = {"errors", "io", "tty", "pty"}
# A command uses what is below and the one table of flags. That commands lean on each other in no circle is seen below.
ALLOWED["cli.grammar"] = {"errors"}
ALLOWED["cli.*"] = {*BRIDGE, "pty", "readiness", "reconnection", "", "cli.*", "cli.far", "cli.grammar"}
ALLOWED["cli.*"] |= {"plan", "host.reference", "host.requests", "host.resolve"}
# ... but for the commands of a container as a host: only they load that.
ALLOWED["cli.script"] = {*ALLOWED["cli.*"], "host.errors", "host.results", "host.session", "host.sync"}
# A way to an engine by a library, which only who names that library loads.
ALLOWED["cli.far"] = {"errors", "engine.endpoint", "cli.grammar", "host.ssh.sync"}
ALLOWED["cli"] = {*ALLOWED["cli.*"], "cli.script"}
ALLOWED["__main__"] = {"cli", "plain_signal"}

# One file for each library that is not ours; type-only imports count here too.
OUTSIDE = {
    "docker": {"engine.credentials"},
    "requests": set(),
    "paramiko": {"engine.transport", "engine.connection", "engine.foreign", "cli.far"},
    "six": {"io", "pty", "host_io"},
    "pexpect": {"matching", "host.unmatched"},
    "click": {"cli", "cli.*"},
    "rich": {"cli.*"},
    "asyncssh": {"host.ssh.login"},
    "pytest": {"pytest_plugin"},
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
PURE |= {
    "host.reference",
    "host.requests",
    "host.shell.framing",
    "host.ssh.far_side",
    "host.transfer.onefile",
}
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
