"""Both faces of a host have the same names, the same arguments in the same order, and the same defaults."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from dockerpty.host.aio import DockerContainerHost, container
from dockerpty.host.running_command import RunningCommand, RunningCommandSync
from dockerpty.host.session import HostSession, HostSessionSync
from dockerpty.host.sync import DockerContainerHostSync, container_sync

TWINS = [
    (DockerContainerHost, DockerContainerHostSync),
    (HostSession, HostSessionSync),
    (RunningCommand, RunningCommandSync),
]
ONLY_ASYNC = {"aclose"}
# What never waits is no coroutine, on a loop either.
NO_COROUTINES = {
    *("start_repeat", "repeat_results", "rebuild_connections", "as_user", "spilled", "iter_get"),
}


def public(face: type) -> dict[str, Any]:
    return {name: getattr(face, name) for name in dir(face) if not name.startswith("_")}


def shape(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


@pytest.mark.parametrize(("face", "twin"), TWINS, ids=lambda face: face.__name__)
def test_twins_have_the_same_names(face: type, twin: type) -> None:
    assert set(public(face)) - ONLY_ASYNC == set(public(twin))


@pytest.mark.parametrize(("face", "twin"), TWINS, ids=lambda face: face.__name__)
def test_twins_take_the_same_arguments(face: type, twin: type) -> None:
    others = public(twin)
    methods = {name: each for name, each in public(face).items() if inspect.isfunction(each)}
    for name, method in methods.items():
        if name not in ONLY_ASYNC:
            assert shape(method) == shape(others[name]), name
    assert shape(face) == shape(twin)
    assert shape(container) == shape(container_sync)


@pytest.mark.parametrize(("face", "twin"), TWINS, ids=lambda face: face.__name__)
def test_on_a_loop_all_that_waits_is_a_coroutine_and_elsewhere_nothing_is(face: type, twin: type) -> None:
    for name, method in public(face).items():
        if inspect.isfunction(method):
            assert inspect.iscoroutinefunction(method) == (name not in NO_COROUTINES), name
    assert not [name for name, each in public(twin).items() if inspect.iscoroutinefunction(each)]


def test_the_names_and_arguments_are_those_of_the_class_that_was_succeeded() -> None:
    first = [name for name, _, _ in shape(DockerContainerHost)]
    assert first[:8] == [
        *("parent", "container_id", "project", "service", "compose_project"),
        *("log", "log_stdout", "resources"),
    ]
    assert shape(DockerContainerHost.run)[1:4] == [
        ("cmds", inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty),
        ("expects", inspect.Parameter.POSITIONAL_OR_KEYWORD, None),
        ("timeout", inspect.Parameter.POSITIONAL_OR_KEYWORD, None),
    ]
    assert inspect.signature(HostSession.run).parameters["timeout"].default == 10.0
    assert inspect.signature(DockerContainerHost.expect).parameters["timeout"].default == 10.0
    assert DockerContainerHost.login is DockerContainerHost.interact
    assert DockerContainerHost.exec is DockerContainerHost.oneshot
    assert DockerContainerHost.aclose is DockerContainerHost.close


def test_making_a_host_asks_nobody_and_tells_what_was_given() -> None:
    host = DockerContainerHost(None, "abc", "Shop", "Api", "shop-1", False, False, {"lab"}, user="app")
    assert (host.id, host.name) == ("localhost.shop.api", "localhost:Api")
    assert (host.container_id, host.container_ref) == ("abc", "abc")
    assert (host.project, host.service, host.compose_project) == ("Shop", "Api", "shop-1")
    assert (host.log, host.log_stdout, host.resources) == (False, False, {"lab"})
    assert host.is_virtual
    assert (host.labels, host.image, host.state) == (None, None, None)


def test_a_host_without_project_and_service_goes_by_its_reference() -> None:
    host = container_sync("Web-1")
    assert (host.id, host.name) == ("localhost.Web-1", "Web-1")
    assert container_sync("web", name="front").name == "front"
