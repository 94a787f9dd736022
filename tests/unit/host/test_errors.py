"""The errors of a host: the tree, who catches them, and what they carry."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
from typing import Any

import pexpect
import pytest

from dockerpty import host
from dockerpty.errors import DockerptyError, SessionLost
from dockerpty.host import CommandStatus, ExpectEOF, ExpectTimeout, HostError, errors, failure, unmatched
from dockerpty.host.errors import (
    HostConnectionError,
    HostNotRunningError,
    HostPausedError,
    JumpError,
    SessionLostError,
    TransferError,
)
from tests.unit.test_errors import drawn_tree, exceptions_of

ALL = [each for module in (errors, failure, unmatched) for each in exceptions_of(module)]
PARTS = ("run on", "web-1", "it is paused", "unpause it first")


def test_the_tree_at_the_top_is_the_tree() -> None:
    drawn = drawn_tree(errors.__doc__ or "")
    assert drawn.pop("HostError") == {"Exception"}  # Where it hangs is drawn in the file of that tree.
    assert HostError.__bases__ == (DockerptyError,)
    actual = {each.__name__: {base.__name__ for base in each.__bases__} for each in ALL}
    assert actual.pop("HostError") == {"DockerptyError"}
    assert drawn == actual


def test_each_can_be_imported_from_the_package() -> None:
    assert {each.__name__ for each in ALL} <= set(host.__all__)


@pytest.mark.parametrize("kind", ALL)
def test_each_says_what_failed_on_what_why_and_what_to_do(kind: type[HostError]) -> None:
    error = kind(*PARTS, host="local:web")
    assert str(error) == "cannot run on web-1: it is paused; unpause it first"
    assert (error.action, error.subject, error.reason, error.hint) == PARTS
    assert (error.host, error.args) == ("local:web", PARTS)
    short = kind("go on", hint="do this")
    assert (str(short), short.args) == ("cannot go on: do this", ("go on", "", "", "do this"))
    assert kind("go on").host == ""


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "remade", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_each_crosses_processes_whole(kind: type[HostError], remade: Any) -> None:
    again = remade(kind(*PARTS, host="local:web"))
    assert type(again) is kind
    assert (str(again), again.args, again.host) == (str(kind(*PARTS)), PARTS, "local:web")


@pytest.mark.parametrize(
    ("name", "caught_as"),
    [
        ("HostNotRunningError", RuntimeError),
        ("HostPausedError", HostNotRunningError),
        ("HostConnectionError", ConnectionError),
        ("HostKeyError", HostConnectionError),
        ("HostAuthError", HostConnectionError),
        ("JumpError", HostConnectionError),
        ("SessionStartError", HostConnectionError),
        ("ParentError", NotImplementedError),
        ("SessionLostError", SessionLost),
        ("SessionLostError", ConnectionError),
        ("ExpectTimeout", TimeoutError),
        ("ExpectTimeout", pexpect.TIMEOUT),
        ("ExpectEOF", EOFError),
        ("ExpectEOF", pexpect.EOF),
        ("CommandFailed", subprocess.CalledProcessError),
        ("ShellNotFoundError", FileNotFoundError),
    ],
)
def test_what_callers_catch_elsewhere_catches_ours(name: str, caught_as: type[Exception]) -> None:
    kind = getattr(host, name)
    for each in (caught_as, HostError, DockerptyError):
        with pytest.raises(each):
            raise kind("do", "it")


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (HostNotRunningError(*PARTS, state="exited"), "state", "exited"),
        (HostPausedError(*PARTS, state="paused"), "state", "paused"),
        (HostNotRunningError(*PARTS), "state", ""),
        (JumpError(*PARTS, hop="user@gate"), "hop", "user@gate"),
        (SessionLostError(*PARTS, exit_code=3), "exit_code", 3),
        (SessionLostError(*PARTS), "exit_code", None),
        (TransferError(*PARTS, transfer="it"), "transfer", "it"),
        (ExpectTimeout(*PARTS, before="text", patterns=["a"]), "before", "text"),
        (ExpectTimeout(*PARTS, before="text", patterns=["a"]), "patterns", ["a"]),
        (ExpectEOF(*PARTS, before="text"), "before", "text"),
        (ExpectEOF(*PARTS, before="text"), "partial", "text"),
        (ExpectEOF(*PARTS, patterns=[re.compile("a", re.I), pexpect.TIMEOUT]), "patterns", None),
    ],
)
def test_what_is_known_beyond_that_is_an_attribute_and_crosses_processes(
    error: HostError, name: str, value: Any
) -> None:
    value = getattr(error, name) if value is None and name == "patterns" else value
    assert getattr(error, name) == value
    assert getattr(pickle.loads(pickle.dumps(error)), name) == value


@pytest.mark.parametrize("kind", [ExpectTimeout, ExpectEOF])
def test_who_knows_pexpects_errors_finds_their_words(kind: type[ExpectTimeout | ExpectEOF]) -> None:
    error = kind("find", "the prompt", "it did not come within 2 s", before="hunter2")
    assert error.value == str(error) == "cannot find the prompt: it did not come within 2 s"
    assert "hunter2" not in repr(error)
    assert error.get_trace() == ""  # type: ignore[no-untyped-call]  # pexpect's own has no types


def test_who_knows_subprocess_finds_its_words() -> None:
    status = CommandStatus.of("ls /none", 2, b"some\n", b"no such\n")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        status.check()
    error: Any = caught.value
    assert (error.returncode, error.cmd) == (2, "ls /none")
    # Each name means what it means on the status.
    assert (error.output, error.stdout, error.stderr) == (status.output, status.stdout, status.stderr)
    assert error.status is status
    again = pickle.loads(pickle.dumps(error))
    assert (again.returncode, again.cmd, again.stdout, again.status) == (2, "ls /none", b"some\n", status)
    assert again.status.stderr == b"no such\n"
