"""Which container a text means, among those that an engine lists."""

from __future__ import annotations

from typing import Any

import pytest

from dockerpty.host.reference import Reference, of_host, of_service, of_text
from tests.unit.host.containers import NUMBER, ONE_OFF, PROJECT, SERVICE, service


def listed(name: str, state: str = "running", **labels: str) -> dict[str, Any]:
    return {"Id": name.ljust(64, "0"), "Names": [f"/{name}"], "State": state, "Labels": labels}


def of_shop(name: str, number: int, state: str = "running", **more: Any) -> dict[str, Any]:
    return listed(name, state, **service("shop", "api", number, **more))


def names(found: Any) -> list[str]:
    return [each["Names"][0].removeprefix("/") for each in found]


@pytest.mark.parametrize("text", ["web", "c0ffee", "0" * 64, "a.b-c_d", "label", "compose"])
def test_a_text_of_no_kind_of_ours_is_an_id_or_a_name(text: str) -> None:
    assert of_text(text) == Reference(text, text)


def test_the_slash_of_a_name_in_an_engines_own_words_is_left_out() -> None:
    assert of_text("/web").name == "web"


def test_a_service_is_found_by_the_labels_of_compose() -> None:
    wanted = of_text("compose://shop/api")
    assert wanted.name == ""
    assert wanted.filters == {"label": [f"{PROJECT}=shop", f"{SERVICE}=api"]}
    assert wanted == of_service("shop", "api") == of_host("", "shop", "api")


@pytest.mark.parametrize("text", ["compose://shop/api/2", "compose://shop/api/02"])
def test_a_number_behind_a_service_is_that_of_its_container(text: str) -> None:
    assert of_text(text).filters["label"][2] == f"{NUMBER}=2"
    assert of_text(text).text == "compose://shop/api/2"


@pytest.mark.parametrize(
    "text",
    [
        *("compose://", "compose://shop", "compose://shop/", "compose:///api", "compose://shop/api/"),
        *("compose://shop/api/x", "compose://shop/api/-1", "compose://shop/api/1/2", "compose://shop/api/²"),
        *("label:", "label:tier", "label:=web"),
    ],
)
def test_what_begins_as_a_kind_of_ours_and_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no container: give"):
        of_text(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [("label:tier=web", "tier=web"), ("label:tier=", "tier="), ("label:a=b=c:d", "a=b=c:d")],
)
def test_a_label_is_a_key_and_a_value(text: str, label: str) -> None:
    assert of_text(text).filters == {"label": [label]}


def test_a_host_is_found_by_what_it_was_made_with_first_and_by_its_service_without_that() -> None:
    assert of_host("web", "shop", "api").name == "web"
    assert of_host("", "shop", "api").text == "compose://shop/api"
    assert not of_host("", "shop", "")
    assert not of_host("", "", "api")
    assert of_host("web")


# Several


def test_of_a_service_the_lowest_number_that_runs_is_meant() -> None:
    wanted = of_text("compose://shop/api")
    containers = [of_shop("ten", 10), of_shop("two", 2), of_shop("one", 1, "exited"), of_shop("nine", 9)]
    assert names(wanted.best_of(containers)) == ["two"]


def test_of_a_service_that_does_not_run_it_is_the_lowest_number() -> None:
    wanted = of_text("compose://shop/api")
    containers = [of_shop("two", 2, "exited"), of_shop("one", 1, "created")]
    assert names(wanted.best_of(containers)) == ["one"]


def test_one_off_containers_are_none_of_their_service() -> None:
    wanted = of_text("compose://shop/api")
    assert names(wanted.best_of([of_shop("run", 1, one_off=True), of_shop("two", 2)])) == ["two"]
    assert wanted.best_of([of_shop("run", 1, one_off=True)]) == []


def test_a_label_may_name_a_one_off_container() -> None:
    assert names(of_text(f"label:{ONE_OFF}=True").best_of([of_shop("run", 1, one_off=True)])) == ["run"]


def test_of_several_with_a_label_the_one_that_runs_is_meant_and_one_that_stands_still_before_one_that_ended() -> (
    None
):
    wanted = of_text("label:tier=web")
    old, paused, live = (listed("old", "exited"), listed("still", "paused"), listed("live"))
    assert names(wanted.best_of([old, paused, live])) == ["live"]
    assert names(wanted.best_of([old, paused])) == ["still"]
    assert names(wanted.best_of([old])) == ["old"]
    assert wanted.best_of([]) == []


@pytest.mark.parametrize("state", ["running", "exited"])
def test_those_that_cannot_be_told_apart_are_given_all(state: str) -> None:
    both = [listed("a", state), listed("b", state)]
    assert (
        of_text("label:tier=web").best_of([*both, listed("c", "created")][: 3 if state == "running" else 2])
        == both
    )


@pytest.mark.parametrize("number", ["", "x", "9" * 5000, "-1"])
def test_a_container_whose_number_is_none_comes_last(number: str) -> None:
    odd = listed("odd", **{**service("shop", "api"), NUMBER: number})
    assert names(of_text("compose://shop/api").best_of([odd, of_shop("two", 2)])) == ["two"]


# The nearest


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("api", ["shop-api-1"]),
        ("Web", ["web", "web-2"]),
        ("wbe", ["web"]),
        ("shop_api_1", ["shop-api-1"]),
        ("zzz", []),
    ],
)
def test_names_that_are_nearly_it_are_told(text: str, near: list[str]) -> None:
    there = [listed("web"), listed("web-2"), listed("shop-api-1"), {"Id": "0" * 64, "Names": None}]
    assert of_text(text).nearest(there) == near


def test_no_more_than_three_are() -> None:
    assert len(of_text("web").nearest([listed(f"web{number}") for number in range(9)])) == 3


def test_of_a_service_services_are_told_and_of_a_label_its_values() -> None:
    there = [
        of_shop("a", 1),
        of_shop("b", 2),
        listed("web"),
        listed("c", tier="front"),
        listed("d", team="x"),
    ]
    assert of_text("compose://shop/ap").nearest(there) == ["compose://shop/api"]
    assert of_text("compose://other/api").nearest(there) == ["compose://shop/api"]
    assert of_text("label:tier=fron").nearest(there) == ["label:tier=front"]
    assert of_text("label:nobody=x").nearest(there) == []


def test_a_label_with_what_a_terminal_would_obey_is_not_told() -> None:
    assert of_text("label:tier=web").nearest([listed("c", tier="web\x1b[2J")]) == []
