from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import docker.errors
import pytest

import dockerpty
from dockerpty import errors
from dockerpty.errors import (
    APIError,
    DetachKeysError,
    DockerptyError,
    EngineError,
    EngineUnreachable,
    NotFound,
    SessionLost,
    SessionTimeout,
)
from dockerpty.result import SessionResult


def exceptions_of(module: ModuleType) -> list[type[BaseException]]:
    """List the exceptions that a module defines, not those that it imports."""
    values = [value for value in vars(module).values() if isinstance(value, type)]
    return [each for each in values if issubclass(each, BaseException) and each.__module__ == module.__name__]


def drawn_tree(text: str) -> dict[str, set[str]]:
    """Read the tree at the top of the module: each class and what it inherits."""
    path: list[str] = []
    bases: dict[str, set[str]] = {}
    for line in text.splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+)(?: \(([\w, ]+)\))?(?:  |$)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        path = [*path[:depth], match[2]]
        others = match[3].split(", ") if match[3] else []
        bases[match[2]] = {path[-2] if depth else "Exception", *others}
    return bases


def test_the_tree_at_the_top_of_the_module_is_the_tree() -> None:
    actual = {each.__name__: {base.__name__ for base in each.__bases__} for each in exceptions_of(errors)}
    assert drawn_tree(errors.__doc__ or "") == actual


def test_the_page_of_errors_draws_and_explains_the_same_ones() -> None:
    page = (Path(dockerpty.__file__).parents[1] / "docs" / "errors.md").read_text()
    drawn = page.partition("```text\n")[2].partition("```")[0]
    assert drawn_tree(re.sub(r" +also (\w+)", r" (\1)", drawn)) == drawn_tree(errors.__doc__ or "")
    explained = set(re.findall(r"^\| `(\w+)`", page.partition("## What each means")[2], re.M))
    assert explained == set(drawn_tree(errors.__doc__ or "")) - {"ImageNotFound"}


def test_the_drawn_tree_is_read_with_its_branches() -> None:
    text = "Top\n├── Left (ValueError)    why\n└── Right\n    └── Leaf (OSError, EOF)  why\n"
    assert drawn_tree(text) == {
        "Top": {"Exception"},
        "Left": {"Top", "ValueError"},
        "Right": {"Top"},
        "Leaf": {"Right", "OSError", "EOF"},
    }


def test_every_exception_that_we_define_is_in_the_tree() -> None:
    names = [each.name for each in pkgutil.walk_packages(dockerpty.__path__, "dockerpty.")]
    assert "dockerpty.errors" in names
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    strays = [
        each for module in modules for each in exceptions_of(module) if not issubclass(each, DockerptyError)
    ]
    assert strays == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            DockerptyError("attach to", "web-1", "it is paused", "unpause it first"),
            "cannot attach to web-1: it is paused; unpause it first",
        ),
        (DockerptyError("attach to", "web-1", "it is paused"), "cannot attach to web-1: it is paused"),
        (DockerptyError("attach to", "web-1", hint="unpause it"), "cannot attach to web-1: unpause it"),
        (DockerptyError("attach to", "web-1"), "cannot attach to web-1"),
        (DockerptyError("attach", reason="no engine"), "cannot attach: no engine"),
        (
            SessionLost("go on with", "web-1", "the engine went away"),
            "cannot go on with web-1: the engine went away",
        ),
        (NotFound("find", "web-1", status_code=404), "cannot find web-1"),
    ],
)
def test_a_message_says_what_failed_on_what_why_and_what_to_do(error: DockerptyError, message: str) -> None:
    assert str(error) == message


def test_the_parts_of_the_message_are_attributes() -> None:
    error = DetachKeysError("use", "the detach keys", "no such key", "write ctrl-p")
    parts = (error.action, error.subject, error.reason, error.hint, error.result)
    assert parts == ("use", "the detach keys", "no such key", "write ctrl-p", None)


@pytest.mark.parametrize(
    ("error", "caught_as"),
    [
        (DetachKeysError, ValueError),
        (SessionTimeout, TimeoutError),
        (SessionLost, ConnectionError),
        (EngineUnreachable, ConnectionError),
        (EngineUnreachable, EngineError),
        (NotFound, APIError),
    ],
)
def test_what_callers_of_the_standard_library_catch_catches_ours(
    error: type[DockerptyError], caught_as: type[Exception]
) -> None:
    with pytest.raises(caught_as):
        raise error("do", "it")


def test_an_answer_of_the_engine_carries_its_status_and_its_words() -> None:
    error = APIError("start", "web-1", status_code=409, explanation="container is paused")
    assert (error.status_code, error.response.status_code) == (409, 409)
    assert error.explanation == "container is paused"


@pytest.mark.parametrize("remade", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize(
    "kind", [DockerptyError, DetachKeysError, SessionLost, SessionTimeout, EngineUnreachable]
)
def test_an_error_crosses_processes_whole(kind: type[DockerptyError], remade) -> None:  # type: ignore[no-untyped-def]  # mypy does not know what a parameter of a test is
    error = kind("attach to", "web-1", "it is paused", "unpause it")
    error.result = SessionResult()
    error.result.bytes_out = 12
    again = remade(error)
    assert type(again) is kind
    assert (str(again), again.args) == (str(error), error.args)
    assert again.result is not None
    assert again.result.bytes_out == 12


def test_an_answer_of_the_engine_crosses_processes_whole() -> None:
    again = pickle.loads(
        pickle.dumps(NotFound("find", "web-1", status_code=404, explanation="No such container"))
    )
    assert (again.status_code, again.explanation, str(again)) == (
        404,
        "No such container",
        "cannot find web-1",
    )


# What is made once docker-py is loaded; here it only matters that such a class can be and keeps our values.
# Their words may be None; ours never are.
class BothNotFound(NotFound, docker.errors.NotFound):  # type: ignore[misc]  # both have an explanation, and theirs may be None
    pass


class BothUnreachable(EngineUnreachable, docker.errors.DockerException):
    pass


def test_a_class_can_be_ours_and_docker_pys_at_once() -> None:
    error = BothNotFound("find", "web-1", "no such container", "look", status_code=404, explanation="No such")
    assert str(error) == "cannot find web-1: no such container; look"
    assert (error.status_code, error.response.status_code, error.explanation) == (404, 404, "No such")
    assert error.is_client_error()
    for kind in (DockerptyError, APIError, docker.errors.APIError, docker.errors.NotFound):
        with pytest.raises(kind):
            raise error
    with pytest.raises(docker.errors.DockerException):
        raise BothUnreachable("reach", "the engine")
