"""What is left over, and what is not: nobody's container is ever taken for one of ours."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from dockerpty.container import leftovers
from dockerpty.container.leftovers import Leftover, find, remove, why
from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.interface import Engine
from dockerpty.errors import APIError, NotFound

HERE = "box:00c0ffee/boot-1/4026531836/100/5000"
# No process has such a number.
GONE = f"box:00c0ffee/boot-1/4026531836/{1 << 31}/7"
EARLIER = "box:00c0ffee/boot-0/4026531836/7/7"
ELSEWHERE = "far:00c0ffee/boot-0/4026531836/7/7"


def labels(role: str, owner: str = GONE, **more: str) -> dict[str, str]:
    mine = {"layer": "bridge", "role": role, "owner": owner, **more}
    return {f"dockerpty.{name}": value for name, value in mine.items()}


@pytest.mark.parametrize("role", ["run-rm", "toolbox"])
def test_what_ends_with_its_owner_is_left_over_without_it(role: str) -> None:
    assert why(labels(role), 0, HERE) == "the process that made it is gone"
    assert why(labels(role, ELSEWHERE), 0, HERE) == ""
    assert why(labels(role, ""), 0, HERE) == ""


def test_another_users_may_have_been_detached_from_and_stays() -> None:
    mine, theirs = str(os.getuid()), str(os.getuid() + 1)
    assert why(labels("run-rm", user=mine), 0, HERE) == "the process that made it is gone"
    assert why(labels("run-rm", user=theirs), 0, HERE) == ""
    # Nobody comes back to a toolbox.
    assert why(labels("toolbox", user=theirs), 0, HERE) == "the process that made it is gone"


@pytest.mark.parametrize("deadline", ["100", "nonsense"])
def test_what_run_made_without_rm_is_the_users_whatever_else_its_labels_say(deadline: str) -> None:
    assert why(labels("run", deadline=deadline), 1e12, HERE) == ""
    assert why({}, 0, HERE) == ""
    assert why({"dockerpty.owner": GONE, "dockerpty.deadline": "1"}, 1e12, HERE) == ""


def test_a_deadline_decides_also_where_the_owner_cannot_be_judged() -> None:
    for role in ("sandbox", "toolbox"):
        assert why(labels(role, ELSEWHERE, deadline="100"), 100, HERE) == "its time is over"
        assert why(labels(role, ELSEWHERE, deadline="100"), 99, HERE) == ""


def test_another_role_does_not_end_with_its_owner() -> None:
    assert why(labels("session"), 0, HERE) == ""


class Listing(Engine):
    """An engine with these containers, whose images have these labels."""

    def __init__(
        self, containers: list[dict[str, Any]], images: dict[str, dict[str, str] | None] | None = None
    ) -> None:
        self.containers = containers
        self.images = images or {}
        self.calls: list[Call] = []
        self.refusal: APIError | None = None

    def send(self, call: Call, *, subject: str = "", timeout: float = 0) -> Reply:
        self.calls.append(call)
        if call.method == "DELETE":
            if self.refusal is not None:
                raise self.refusal
            return Reply(204, {}, b"")
        if call.path == "/containers/json":
            return Reply(200, {}, json.dumps(self.containers).encode())
        image = call.kwargs["image"]
        if image not in self.images:
            raise NotFound("inspect the image", image, status_code=404)
        body = {"Id": image, "Config": {"Labels": self.images[image]}}
        return Reply(200, {}, json.dumps(body).encode())


def listed(name: str, marks: dict[str, str], image: str = "plain") -> dict[str, Any]:
    return {
        "Id": name.ljust(64, "0"),
        "Names": [f"/other/{name}", f"/{name}"],
        "Labels": marks,
        "State": "exited",
        "ImageID": image,
    }


@pytest.fixture(autouse=True)
def judged_from_here(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    detached: set[str] = set()
    monkeypatch.setattr(leftovers, "owner", lambda: HERE)
    monkeypatch.setattr("dockerpty.container.detached.remembered", lambda: frozenset(detached))
    return detached


def test_what_is_left_over_is_found_among_all_containers_with_our_label() -> None:
    engine = Listing(
        [
            listed("one", labels("toolbox")),
            listed("two", labels("run")),
            listed("three", labels("run-rm", ELSEWHERE)),
        ],
        {"plain": None},
    )
    found = find(engine)
    assert [str(each) for each in found] == ["one (one000000000, toolbox, exited)"]
    assert found[0].reason == "the process that made it is gone"
    assert engine.calls[0].query == (("all", "1"), ("filters", '{"label": ["dockerpty.role"]}'))


@pytest.mark.parametrize("is_local", [True, False])
def test_an_earlier_boot_tells_only_of_an_engine_that_booted_with_us(is_local: bool) -> None:
    engine = Listing([listed("one", labels("run-rm", EARLIER))], {"plain": None})
    engine.is_local = is_local
    assert bool(find(engine)) is is_local


def test_labels_of_the_image_are_not_the_containers() -> None:
    engine = Listing(
        [
            listed("committed", labels("run-rm"), "from-ours"),
            listed("again", labels("run-rm", GONE + "1"), "from-ours"),
            listed("unknown", labels("run-rm"), "removed"),
        ],
        {"from-ours": labels("run-rm")},
    )
    assert [each.name for each in find(engine)] == ["again"]


def test_what_somebody_has_detached_from_stays(judged_from_here: set[str]) -> None:
    engine = Listing([listed("one", labels("run-rm")), listed("two", labels("run-rm"))], {"plain": {}})
    judged_from_here.add("one".ljust(64, "0"))
    assert [each.name for each in find(engine)] == ["two"]


def test_what_somebody_detaches_from_while_it_is_looked_for_stays(
    judged_from_here: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    container = listed("one", labels("run-rm"))

    def detaches(label: str, here: str, *, is_local: bool) -> bool:
        judged_from_here.add(container["Id"])
        return True

    monkeypatch.setattr(leftovers, "is_gone", detaches)
    assert find(Listing([container], {"plain": {}})) == []


def test_a_container_is_removed_with_what_runs_in_it_and_its_volumes() -> None:
    engine = Listing([])
    one = Leftover(listed("one", labels("toolbox")), "")
    assert remove(engine, one) is True
    assert engine.calls[0].target() == f"/containers/{one.id}?v=1&force=1"


def refusal(status: int, words: str) -> APIError:
    kind = NotFound if status == 404 else APIError
    return kind("remove", "one", words, status_code=status, explanation=words)


def test_one_that_went_by_itself_is_no_error() -> None:
    engine = Listing([])
    one = Leftover(listed("one", labels("toolbox")), "")
    engine.refusal = refusal(404, "No such container: one")
    assert remove(engine, one) is False
    engine.refusal = refusal(409, "removal of container one is already in progress")
    assert remove(engine, one) is True


def test_one_that_cannot_be_removed_is() -> None:
    engine = Listing([])
    one = Leftover(listed("one", labels("toolbox")), "")
    for engine.refusal in (refusal(409, "it is in use"), refusal(500, "device busy, already in progress")):
        with pytest.raises(APIError):
            remove(engine, one)
