"""A container that a command line names by its labels: what is asked for it, and that nothing is asked for others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockerpty.cli.engine import container_named
from dockerpty.cli.grammar import UsageError
from dockerpty.engine.calls import Call, Reply
from dockerpty.host.errors import HostError, HostNotRunningError
from dockerpty.host.requests import Ask
from tests.unit.host.containers import Containers, service
from tests.unit.test_import_budget import loaded_by


class Asked:
    """An engine as a command has one."""

    def __init__(self) -> None:
        self.containers = Containers()

    def send(self, call: Call, *, subject: str = "", timeout: float = 60) -> Reply:
        given: Any = self.containers.answer(Ask(call, subject))
        assert isinstance(given, Reply)
        assert json.loads(given.body) is not None
        return given


@pytest.fixture
def engine() -> Any:
    return Asked()


@pytest.mark.parametrize("word", ["web", "c0ffee", "a.b", "compose", "label", "labels:x", "/web", ""])
def test_for_a_plain_name_nothing_is_asked(word: str, engine: Any) -> None:
    assert container_named(engine, word) == word
    assert engine.containers.asked == []


def test_for_a_plain_name_nothing_is_loaded() -> None:
    commands = [f"dockerpty.cli.{name}" for name in ("exec", "attach", "watch", "shell", "start")]
    loaded = {name for name in loaded_by(*commands) if name.startswith("dockerpty.host")}
    # What a terminal is given back by has a name that begins the same.
    assert {name for name in loaded if name.partition("_")[0] == "dockerpty.host"} <= {"dockerpty.host_io"}
    assert "dockerpty.cli.reference" not in loaded_by(*commands)


@pytest.mark.parametrize("word", ["compose://shop/api", "compose://shop/api/1", "label:tier=web"])
def test_who_is_named_by_labels_is_found_by_name(word: str, engine: Any) -> None:
    engine.containers.add("shop-api-1", labels={**service("shop", "api"), "tier": "web"})
    assert container_named(engine, word) == "shop-api-1"


def test_a_word_that_is_none_of_both_is_bad_usage(engine: Any) -> None:
    for word in ("compose://shop", "label:tier"):
        with pytest.raises(UsageError, match="is no container: give"):
            container_named(engine, word)
    assert engine.containers.asked == []


def test_nobody_and_several_are_errors(engine: Any) -> None:
    with pytest.raises(HostNotRunningError, match="no such container"):
        container_named(engine, "label:tier=web")
    for name in ("a", "b"):
        engine.containers.add(name, labels={"tier": "web"})
    with pytest.raises(HostError, match="2 containers fit"):
        container_named(engine, "label:tier=web")
