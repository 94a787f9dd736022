"""Fetching an image: its name taken apart, and the engine's answer, which may be a failure with status 200."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker.errors
import pytest

from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.interface import Engine
from dockerpty.engine.pull import pull, pull_call, split, with_image
from dockerpty.errors import APIError, ImageNotFound, NotFound, ProtocolError


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [
        ("busybox", "busybox", "latest"),
        ("busybox:1.36", "busybox", "1.36"),
        ("there:5000/busybox", "there:5000/busybox", "latest"),
        ("there:5000/some/busybox:1", "there:5000/some/busybox", "1"),
        ("busybox@sha256:abc", "busybox", "sha256:abc"),
        ("busybox:1@sha256:abc", "busybox:1", "sha256:abc"),
    ],
)
def test_a_reference_is_a_name_and_a_tag_or_a_digest(image: str, name: str, tag: str) -> None:
    assert split(image) == (name, tag)
    assert pull_call(image).query == (("fromImage", name), ("tag", tag))


class Answering(Engine):
    """An engine that has one answer."""

    def __init__(self, body: bytes) -> None:
        self.calls: list[Call] = []
        self._body = body

    def stream(
        self, call: Call, take: Callable[[bytes], None], *, subject: str = "", timeout: float = 0
    ) -> Reply:
        self.calls.append(call)
        # In pieces that end anywhere.
        for at in range(0, len(self._body), 7):
            take(self._body[at : at + 7])
        return Reply(200, {}, b"")


def test_an_image_that_came_is_no_error() -> None:
    engine = Answering(b'{"status":"Pulling from library/busybox"}\r\n\r\n{"status":"Downloaded"}\r\n')
    pull(engine, "busybox")
    assert [call.target() for call in engine.calls] == ["/images/create?fromImage=busybox&tag=latest"]


def test_each_step_is_told_as_it_comes_and_a_failure_is_none() -> None:
    steps: list[dict[str, Any]] = []
    answer = b'{"status":"Pulling","id":"1"}\r\n{"status":"Done"}\r\n[]\r\n{"error":"denied"}\r\n{"status":"no"}\r\n'
    with pytest.raises(APIError, match="denied"):
        pull(Answering(answer), "busybox", steps.append)
    assert steps == [{"status": "Pulling", "id": "1"}, {"status": "Done"}]


def test_a_platform_is_asked_for_only_where_one_was_named() -> None:
    engine = Answering(b"{}\n")
    pull(engine, "busybox", platform="linux/arm64")
    (call,) = engine.calls
    assert call.query == (("fromImage", "busybox"), ("tag", "latest"), ("platform", "linux/arm64"))
    assert call.kwargs["platform"] == "linux/arm64"
    assert "platform" not in pull_call("busybox").kwargs


def test_who_we_are_is_said_only_where_it_is_known() -> None:
    engine = Answering(b"{}\n")
    pull(engine, "busybox", auth="me")
    pull(engine, "busybox")
    assert [call.headers for call in engine.calls] == [(("X-Registry-Auth", "me"),), ()]


def test_a_failure_in_the_middle_of_the_answer_is_an_error() -> None:
    engine = Answering(b'{"status":"Pulling"}\r\n{"errorDetail":{"message":"denied"},"error":"denied"}\r\n')
    with pytest.raises(APIError) as caught:
        pull(engine, "busybox:1")
    assert str(caught.value) == "cannot pull busybox:1: denied; is its name right, and may you have it?"
    assert caught.value.explanation == "denied"


def test_who_catches_docker_pys_error_catches_that_one_too() -> None:
    with pytest.raises(docker.errors.APIError) as caught:
        pull(Answering(b'{"error":"denied"}\r\n'), "busybox:1")
    error: Exception = caught.value
    assert isinstance(error, APIError)
    assert error.explanation == "denied"
    assert str(error) == "cannot pull busybox:1: denied; is its name right, and may you have it?"


def test_a_failure_on_a_line_without_an_end_is_an_error() -> None:
    with pytest.raises(APIError, match="denied"):
        pull(Answering(b'{"error":"denied"}'), "busybox")


def test_what_is_no_progress_is_from_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProtocolError, match="it is no JSON; is there a container engine"):
        pull(Answering(b"<html>\n"), "busybox")
    monkeypatch.setattr("dockerpty.engine.pull.LINE_LIMIT", 20)
    with pytest.raises(ProtocolError, match="it has a line of more than 20 bytes"):
        pull(Answering(b"x" * 100), "busybox")


# What is done with an image, and again once it is there


class Made:
    """What is created from an image: fails as told, then is made."""

    def __init__(self, *problems: Exception) -> None:
        self.problems = list(problems)
        self.done: list[str] = []

    def create(self) -> str:
        self.done.append("create")
        if self.problems:
            raise self.problems.pop(0)
        return "made"

    def pull(self) -> None:
        self.done.append("pull")


def test_what_fails_for_want_of_its_image_is_done_again_once_that_was_pulled() -> None:
    made = Made(ImageNotFound("create", "x", status_code=404))
    assert with_image(made.create, made.pull) == "made"
    assert made.done == ["create", "pull", "create"]


def test_what_has_its_image_is_done_once() -> None:
    made = Made()
    assert with_image(made.create, made.pull) == "made"
    assert made.done == ["create"]


@pytest.mark.parametrize("kind", [NotFound, APIError])
def test_for_want_of_anything_else_nothing_is_pulled(kind: type[APIError]) -> None:
    made = Made(kind("create", "x", status_code=404))
    with pytest.raises(kind):
        with_image(made.create, made.pull)
    assert made.done == ["create"]


def test_an_image_that_is_missing_though_it_was_pulled_is_not_pulled_again() -> None:
    made = Made(ImageNotFound("create", "x"), ImageNotFound("create", "x"))
    with pytest.raises(ImageNotFound):
        with_image(made.create, made.pull)
    assert made.done == ["create", "pull", "create"]
