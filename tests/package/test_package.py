"""The package as it is published: its two archives, and what a person has after installing one."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dockerpty import __version__
from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240
# What stands in the project beside its source.
NOT_SOURCE = (".*", "__pycache__", "*.egg-info", "build", "dist", "_build")

# Below the prefix of the system, the user or the virtual environment.
PLACES = {
    "share/bash-completion/completions/dpty",
    "share/zsh/site-functions/_dpty",
    "share/fish/vendor_completions.d/dpty.fish",
    "share/man/man1/dpty.1",
}

EVERY_MODULE = """
import pkgutil, dockerpty
names = [each.name for each in pkgutil.walk_packages(dockerpty.__path__, "dockerpty.")]
for name in names:
    if name != "dockerpty.pytest_plugin":  # which pytest loads, and there is none
        __import__(name)
print(len(names))
"""


def run(*argv: str | Path, cwd: Path | None = None, **env: str) -> str:
    """Run a program to its end; its output."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in argv],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**variables, **env},
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(place: Path, *wanted: str | Path) -> Path:
    """Make a virtual environment with this in it, and nothing else; its `bin`."""
    run(sys.executable, "-m", "venv", "--without-pip", place)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", place / "bin" / "python")
    run(*pip, "install", "--quiet", "--no-input", *wanted)
    return place / "bin"


class Built:
    """What was built: an archive of the source, a wheel from the project, and one from the archive.

    The builder has what pyproject.toml asks for and nothing more: neither click nor docker-py.
    """

    def __init__(self, place: Path) -> None:
        source = place / "source"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCE))
        self._python = environment(place / "builder", "setuptools>=66", "wheel") / "python"
        self.sdist = self._build("sdist", source, place / "sdist")
        self.wheel = self._build("wheel", source, place / "wheel")
        (place / "unpacked").mkdir()
        run("tar", "xf", self.sdist, "-C", place / "unpacked")
        (unpacked,) = (place / "unpacked").iterdir()
        self.second_wheel = self._build("wheel", unpacked, place / "second")

    def _build(self, kind: str, source: Path, into: Path) -> Path:
        into.mkdir()
        code = f"import sys; from setuptools.build_meta import build_{kind} as build; build(sys.argv[1])"
        run(self._python, "-c", code, into, cwd=source, SOURCE_DATE_EPOCH="1767225600")
        (made,) = into.iterdir()
        return made


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of a fresh environment with the wheel, and what it asks for."""
    return environment(tmp_path_factory.mktemp("installed") / "venv", built.wheel).parent


def content(wheel: Path) -> dict[str, str]:
    """The files of a wheel and the digest of each; the list of them has their digests, too."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/")
        }


def test_both_archives_are_named_after_the_version(built: Built) -> None:
    assert built.sdist.name == f"dockerpty-{__version__}.tar.gz"
    assert built.wheel.name == f"dockerpty-{__version__}-py3-none-any.whl"


def test_the_archive_of_the_source_builds_the_same_wheel(built: Built) -> None:
    assert content(built.wheel) == content(built.second_wheel)


def test_the_wheel_has_every_module_its_types_and_nothing_else(built: Built) -> None:
    names = {name for name in content(built.wheel) if ".dist-info/" not in name and ".data/" not in name}
    ours = [path for path in (ROOT / "dockerpty").rglob("*") if path.is_file()]
    here = {str(path.relative_to(ROOT)) for path in ours if "__pycache__" not in path.parts}
    assert names == here
    assert "dockerpty/py.typed" in names


@pytest.fixture(scope="session")
def by_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of a virtual environment in which somebody has typed what the README says, in a checkout."""
    place = tmp_path_factory.mktemp("by-pip")
    shutil.copytree(ROOT, place / "source", ignore=shutil.ignore_patterns(*NOT_SOURCE))
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (line,) = (block for block in blocks if "pip install" in block)
    assert line == "pip install .\n"
    run(sys.executable, "-m", "venv", place / "venv")
    path = f"{place}/venv/bin:{os.environ['PATH']}"
    run("sh", "-c", line, cwd=place / "source", PATH=path, PIP_QUIET="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return place / "venv"


@pytest.fixture(scope="session")
def by_pipx(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pipx has put the wheel for a person: programs in `bin`, the manual in `share`."""
    place = tmp_path_factory.mktemp("by-pipx")
    pipx = environment(place / "tool", "pipx>=1.4") / "pipx"
    home: dict[str, Any] = {"PIPX_HOME": str(place / "home"), "PIPX_BIN_DIR": str(place / "bin")}
    run(
        pipx,
        "install",
        "--python",
        sys.executable,
        built.wheel,
        **home,
        PIPX_MAN_DIR=str(place / "share" / "man"),
    )
    return place


WAYS = ("installed", "by_pip")


@pytest.mark.parametrize("way", WAYS)
def test_completion_scripts_and_the_manual_page_are_where_systems_look(
    way: str, request: pytest.FixtureRequest
) -> None:
    prefix: Path = request.getfixturevalue(way)
    found = {str(path.relative_to(prefix)) for path in (prefix / "share").rglob("*dpty*") if path.is_file()}
    assert found == PLACES
    for place in PLACES - {"share/man/man1/dpty.1"}:
        shell = next(name for name in ("bash", "zsh", "fish") if f"/{name}" in place)
        assert run(prefix / "bin" / "dpty", "completion", shell) == (prefix / place).read_text()
    assert (prefix / "share/man/man1/dpty.1").read_text().startswith(".TH DPTY 1 ")


@pytest.mark.parametrize("way", [*WAYS, "by_pipx"])
def test_the_command_works_as_it_was_installed(
    way: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dpty = request.getfixturevalue(way) / "bin" / "dpty"
    assert run(dpty, "--version", cwd=tmp_path) == f"dpty {__version__}\n"
    assert run(dpty, "exec", "--help", cwd=tmp_path).startswith("Usage: dpty exec [OPTIONS] CONTAINER")
    assert run(dpty, "__complete", "fish", "0", "repl", cwd=tmp_path).startswith("words\n")


def test_pipx_shows_the_manual_page_too(by_pipx: Path, installed: Path) -> None:
    page = by_pipx / "share" / "man" / "man1" / "dpty.1"
    assert page.read_text() == (installed / "share" / "man" / "man1" / "dpty.1").read_text()


def test_every_module_can_be_imported_with_what_the_package_asks_for(installed: Path, tmp_path: Path) -> None:
    assert int(run(installed / "bin" / "python", "-I", "-W", "error", "-c", EVERY_MODULE, cwd=tmp_path)) > 50


def test_pytest_finds_the_plugin_by_itself_and_loads_no_more_for_it(
    built: Built, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("plugin")
    python = environment(place / "venv", built.wheel, "pytest") / "python"
    (place / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert not {'docker', 'pexpect', 'dockerpty.host.sync'} & {*sys.modules}\n"
    )
    assert "1 passed" in run(python, "-m", "pytest", "-q", cwd=place)
    assert "--dpty-host=IMAGE" in run(python, "-m", "pytest", "--help", cwd=place)
    assert "dpty_host_async" in run(python, "-m", "pytest", "--fixtures", cwd=place)


def test_the_manual_page_is_found_and_reads_well(installed: Path) -> None:
    page = installed / "share" / "man" / "man1" / "dpty.1"
    if shutil.which("man") is None or shutil.which("mandoc") is None:
        missing("no man and no mandoc to read the manual page with")
    text = run(
        "man", "--no-hyphenation", "dpty", MANPATH=str(page.parents[1]), MANWIDTH="80", LC_ALL="C.UTF-8"
    )
    assert "EXIT STATUS" in text
    assert max(map(len, text.splitlines())) <= 80
    run("mandoc", "-T", "lint", "-W", "warning", page)


def test_the_manual_page_is_one_that_groff_has_nothing_to_say_about(installed: Path) -> None:
    if shutil.which("groff") is None:
        missing("no groff to read the manual page with")
    page = installed / "share" / "man" / "man1" / "dpty.1"
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", "-z", page], capture_output=True, check=False, timeout=SECONDS
    )
    assert (done.returncode, done.stderr) == (0, b"")
