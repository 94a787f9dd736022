"""Which engine a command line means, and docker's configuration that it shares with the session."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dockerpty.cli import main
from dockerpty.cli.engine import configuration_of, engine_of
from dockerpty.cli.grammar import Line, UsageError, read
from dockerpty.cli.session import configured_detach_keys
from dockerpty.cli.table import COMMANDS, COMMON
from dockerpty.engine.client import DirectEngine
from dockerpty.engine.endpoint import TLS, Endpoint
from tests.unit.cli.test_main import environment
from tests.unit.engine.test_endpoint import context


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who has set nothing."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


def common(text: str) -> Line:
    return read(COMMON, [*text.split(), "exec"])


def endpoint_of(text: str) -> Endpoint:
    engine = engine_of(common(text))
    assert isinstance(engine, DirectEngine)
    return engine._endpoint


def test_the_engine_is_the_one_that_is_named() -> None:
    assert endpoint_of("-H tcp://there").name == "tcp://there:2375"
    assert endpoint_of("--host ssh://me@there").program == "ssh"
    assert endpoint_of("--ssh-client /opt/ssh -H ssh://me@there").program == "/opt/ssh"


def test_who_does_ssh_is_named_and_nothing_of_it_is_loaded_or_connected_before_it_is_used() -> None:
    for client, kind in (("openssh", "ssh"), ("asyncssh", "unix"), ("paramiko", "paramiko")):
        found = endpoint_of(f"--ssh-client {client} -H ssh://me@there:22")
        assert (found.kind, found.name, found.program) == (kind, "ssh://me@there:22", "ssh")
    assert endpoint_of("--ssh-client asyncssh -H tcp://there").kind == "tcp"


def test_hosts_on_the_way_go_with_ssh_only() -> None:
    assert endpoint_of("--jump me@a,b -H ssh://there").jump == "me@a,b"
    assert endpoint_of("--jump a --ssh-client asyncssh -H ssh://there").kind == "unix"
    for flags in ("-H tcp://there", "--ssh-client paramiko -H ssh://there"):
        with pytest.raises(UsageError, match="--jump with"):
            endpoint_of(f"--jump a {flags}")
    with pytest.raises(UsageError, match="socket's path with paramiko"):
        endpoint_of("--ssh-client paramiko -H ssh://there/x.sock")


def test_flags_of_tls_arrive() -> None:
    flags = "--tlsverify --tlscacert /a --tlscert /b --tlskey /c"
    assert endpoint_of(f"{flags} -H tcp://there").tls == TLS("/a", "/b", "/c")
    assert endpoint_of("--tls -H tcp://there").tls == TLS(verify=False)
    assert endpoint_of("--tlsverify=false -H tcp://there").tls == TLS(verify=False)
    assert endpoint_of("-H tcp://there").tls is None


def test_two_names_for_one_engine_are_bad_usage() -> None:
    with pytest.raises(UsageError) as caught:
        endpoint_of("-H tcp://there -c web")
    assert str(caught.value) == (
        "cannot use -H and -c together: each of them names an engine; leave one out; see dpty --help"
    )
    assert endpoint_of("-H tcp://there --context=").host == "there"


@pytest.mark.parametrize(
    ("flags", "engine", "fits"),
    [
        ("--tlsverify", {"Host": "tcp://there:1"}, False),
        ("--tls", {"Host": "tcp://there:1"}, False),
        ("--tlsverify=false", {"Host": "tcp://there:1"}, False),
        ("--tlsverify", {"Host": "tcp://there:1", "SkipTLSVerify": True}, False),
        ("--tls", {"Host": "tcp://there:1", "SkipTLSVerify": True}, True),
        ("--tls=false", {"Host": "tcp://there:1"}, True),
        ("--tlsverify", {"Host": "ssh://there"}, True),
        ("--tlsverify", {"Host": "unix:///x.sock"}, True),
    ],
)
def test_tls_that_is_asked_for_is_never_left_out_in_silence(
    flags: str, engine: dict[str, object], fits: bool, tmp_path: Path
) -> None:
    context(tmp_path, "plain", engine)
    if fits:
        assert endpoint_of(f"{flags} -c plain").name == engine["Host"]
        return
    with pytest.raises(UsageError) as caught:
        endpoint_of(f"{flags} -c plain")
    assert str(caught.value) == (
        f"cannot use {flags.partition('=')[0]} with tcp://there:1: its context says otherwise, and only the context"
        " counts; name the engine with -H, or make the context anew"
    )


def test_what_only_the_environment_says_of_tls_is_not_for_a_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context(tmp_path, "plain", {"Host": "tcp://there:1"})
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    assert endpoint_of("-c plain").tls is None


@pytest.mark.parametrize("command", ["exec", "run"])
def test_an_unknown_context_is_told_in_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-c", "nosuch", command, "web", "ls"]) == 125
    assert capsys.readouterr() == (
        "",
        f"dpty: cannot use the context 'nosuch': {tmp_path} has none of that name; there are: default\n",
    )


def test_the_directory_of_the_configuration_may_be_named(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"detachKeys": "ctrl-x", "currentContext": "default"}')
    (tmp_path / "config.json").write_text('{"detachKeys": "ctrl-y"}')
    line = read(COMMANDS["exec"], ["web", "ls"])
    line.common = common(f"--config {other}")
    assert configured_detach_keys(line) == "ctrl-x"
    line.common = common("")
    assert configured_detach_keys(line) == "ctrl-y"


def test_engine_and_session_read_the_configuration_together_once(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"detachKeys": "ctrl-x"}')
    line = read(COMMANDS["exec"], ["web", "ls"])
    line.common = common("")
    engine_of(line)
    file.unlink()
    assert configured_detach_keys(line) == "ctrl-x"
    assert configuration_of(line) is configuration_of(line.common)


# In a process of its own, as it is typed


def dpty(text: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dockerpty", *text.split()],
        capture_output=True,
        text=True,
        env=environment(**changes),
        timeout=30,
        check=False,
    )


def test_a_broken_configuration_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    done = dpty("-H unix:///no/such exec web ls")
    assert done.stderr.count("\n") == 1
    done = dpty("--config " + str(tmp_path) + " -c nosuch exec web ls")
    assert done.stderr.count("\n") == 1
    (tmp_path / "config.json").write_text('{"currentContext": "nosuch"}')
    done = dpty("exec web ls")
    assert (done.returncode, done.stderr) == (
        125,
        f"dpty: cannot use the context 'nosuch': {tmp_path} has none of that name; there are: default\n",
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("-D", ["warning", "debug"]),
        ("-l debug", ["warning", "debug"]),
        ("-l info", ["warning"]),
        ("--log-level warn", ["warning"]),
        ("-l error", []),
        ("-l fatal", []),
        ("", []),
    ],
)
def test_the_level_says_what_is_told_of(flags: str, told: list[str]) -> None:
    done = dpty(f"{flags} exec web ls", DOCKER_HOST="unix:///no/such", DOCKER_CONTEXT="x")
    lines = {
        "dpty: dockerpty.engine.endpoint: DOCKER_HOST counts, DOCKER_CONTEXT=x does not": "warning",
        "dpty: dockerpty.engine.endpoint: engine chosen: unix:///no/such context=default": "debug",
    }
    assert [lines[line] for line in done.stderr.splitlines() if line in lines] == told
    assert ("Traceback" in done.stderr) is (flags == "-D")


# The modules that a line loads more than without it


def loaded_by(text: str) -> set[str]:
    code = (
        "import sys, json; from dockerpty.cli import main\n"
        f"main({text.split()!r})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_only_a_context_that_is_named_loads_what_reads_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "default"}')
    plain = loaded_by("-H unix:///no/such exec web ls")
    assert plain & {"hashlib", "dockerpty.engine.contexts", "difflib", "logging"} == set()
    assert {"hashlib", "dockerpty.engine.contexts"} <= loaded_by("-c nosuch exec web ls")
