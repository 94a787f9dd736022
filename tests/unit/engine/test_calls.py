"""Every request as a value: on the wire, and as a method of docker-py."""

from __future__ import annotations

import inspect
import json
from urllib.parse import quote, unquote

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.engine import calls
from dockerpty.engine.calls import Call, Reply
from dockerpty.errors import DockerptyError, ProtocolError

EVERY = [
    calls.ping(),
    calls.version(),
    calls.inspect_container("web"),
    calls.inspect_image("busybox"),
    calls.list_images(),
    calls.list_networks(),
    calls.list_containers(all=True, limit=3, size=True, filters={"status": ["running"]}),
    calls.create_container({"Image": "busybox"}, name="web", platform="linux/amd64"),
    calls.start_container("web"),
    calls.attach_container("web", stdout=True, detach_keys="ctrl-a"),
    calls.wait_container("web", "next-exit"),
    calls.resize_container("web", 24, 80),
    calls.kill_container("web", "TERM"),
    calls.remove_container("web", force=True),
    calls.create_exec(
        "web",
        {
            "Cmd": ["true"],
            "Tty": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Privileged": True,
            "User": "me",
            "Env": ["A=b"],
            "WorkingDir": "/",
            "DetachKeys": "ctrl-a",
            "ConsoleSize": [24, 80],
        },
    ),
    calls.start_exec("4ad", tty=True, size=(24, 80)),
    calls.inspect_exec("4ad"),
    calls.resize_exec("4ad", 24, 80),
    calls.get_archive("web", "/srv"),
    calls.stat_archive("web", "/srv"),
]


@pytest.mark.parametrize(
    ("call", "method", "target"),
    [
        (calls.ping(), "GET", "/_ping"),
        (calls.inspect_container("web"), "GET", "/containers/web/json"),
        (calls.list_containers(), "GET", "/containers/json"),
        (calls.list_containers(all=True, limit=1), "GET", "/containers/json?all=1&limit=1"),
        (
            calls.list_containers(filters={"status": ["running"]}, size=True),
            "GET",
            "/containers/json?size=1&filters=%7B%22status%22%3A%20%5B%22running%22%5D%7D",
        ),
        (calls.create_container({}), "POST", "/containers/create"),
        (
            calls.create_container({}, "web", "linux/arm64"),
            "POST",
            "/containers/create?name=web&platform=linux%2Farm64",
        ),
        (calls.start_container("web"), "POST", "/containers/web/start"),
        (
            calls.attach_container("web", stdout=True, stderr=True, detach_keys="ctrl-^,ctrl-]"),
            "POST",
            "/containers/web/attach?stream=1&stdin=0&stdout=1&stderr=1&logs=0&detachKeys=ctrl-%5E%2Cctrl-%5D",
        ),
        (calls.wait_container("web", "next-exit"), "POST", "/containers/web/wait?condition=next-exit"),
        (calls.wait_container("web"), "POST", "/containers/web/wait"),
        (calls.resize_container("web", 24, 80), "POST", "/containers/web/resize?h=24&w=80"),
        (calls.kill_container("web", "TERM"), "POST", "/containers/web/kill?signal=TERM"),
        (calls.remove_container("web", force=True), "DELETE", "/containers/web?v=0&force=1"),
        (calls.create_exec("web", {}), "POST", "/containers/web/exec"),
        (calls.start_exec("4ad", tty=False), "POST", "/exec/4ad/start"),
        (calls.inspect_exec("4ad"), "GET", "/exec/4ad/json"),
        (calls.resize_exec("4ad", 24, 80), "POST", "/exec/4ad/resize?h=24&w=80"),
        (calls.get_archive("web", "/a b"), "GET", "/containers/web/archive?path=%2Fa%20b"),
        (calls.stat_archive("web", "/a"), "HEAD", "/containers/web/archive?path=%2Fa"),
        (
            calls.put_archive("web", "/a"),
            "PUT",
            "/containers/web/archive?path=%2Fa&noOverwriteDirNonDir=true",
        ),
        (
            calls.put_archive("web", "/a", keep_owner=True),
            "PUT",
            "/containers/web/archive?path=%2Fa&noOverwriteDirNonDir=true&copyUIDGID=true",
        ),
    ],
)
def test_a_call_says_what_goes_over_the_wire(call: Call, method: str, target: str) -> None:
    assert (call.method, call.target()) == (method, target)
    assert call.target("/v1.41") == "/v1.41" + target


@pytest.mark.parametrize("call", EVERY, ids=repr)
def test_a_call_names_a_method_of_docker_py_that_takes_its_arguments(call: Call) -> None:
    method = getattr(docker.APIClient, call.name)
    inspect.signature(inspect.unwrap(method)).bind(None, **call.kwargs)


@pytest.mark.parametrize("call", EVERY, ids=repr)
def test_a_call_says_what_cannot_be_done_without_it(call: Call) -> None:
    assert call.action
    assert call.subject


def test_a_body_is_json_and_the_size_of_a_terminal_is_rows_before_columns() -> None:
    payload = calls.start_exec("4ad", tty=True, size=(24, 80)).payload()
    assert payload is not None
    assert json.loads(payload) == {"Detach": False, "Tty": True, "ConsoleSize": [24, 80]}
    assert calls.start_exec("4ad", tty=False, size=(24, 80)).body == {"Detach": False, "Tty": False}
    assert calls.inspect_exec("4ad").payload() is None


def test_calls_are_compared_by_value() -> None:
    assert calls.resize_exec("4ad", 24, 80) == calls.resize_exec("4ad", 24, 80)
    assert calls.resize_exec("4ad", 24, 80) != calls.resize_exec("4ad", 80, 24)
    assert calls.ping() != "GET /_ping"


@given(st.text())
def test_quoting_is_that_of_a_url_with_nothing_left_unquoted(text: str) -> None:
    assert calls.quote(text) == quote(text, safe="", errors="surrogateescape")
    assert unquote(calls.quote(text)) == text


@pytest.mark.parametrize("name", ["a/b", "../images/json", "a\r\nX: y", "a b", "a?b#c", "ä", "%2e"])
def test_no_name_leads_out_of_its_place_in_the_path(name: str) -> None:
    path = calls.inspect_container(name).path
    assert path.startswith("/containers/")
    assert path.endswith("/json")
    assert path.count("/") == 3
    assert path.isascii()
    assert not set(path) & set(" ?#\r\n")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_a_server_would_clean_away_is_refused(name: str) -> None:
    with pytest.raises(DockerptyError, match="nothing can have that name"):
        calls.remove_container(name)


def test_a_reply_decodes_its_body() -> None:
    assert Reply(200, {}, b'{"Id": "4ad"}').json() == {"Id": "4ad"}
    with pytest.raises(ProtocolError, match="the engine's answer: it is empty; is there a container engine"):
        Reply(204, {}, b"").json()
    with pytest.raises(
        ProtocolError, match="the engine's answer: it is no JSON; is there a container engine"
    ):
        Reply(200, {}, b"<html>").json()


def test_an_archive_is_waited_for_since_engines_read_one_of_a_container_at_a_time() -> None:
    assert calls.inspect_container("web").light
    assert not calls.get_archive("web", "/srv").light
    assert not calls.stat_archive("web", "/srv").light


def test_an_answer_of_brackets_without_an_end_is_no_json() -> None:
    with pytest.raises(ProtocolError, match="it is no JSON"):
        Reply(200, {}, b"[" * 100_000).json()


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["/web"], "web"),
        (["/a-long-name", "/x/db"], "a-long-name"),
        (["/x/db", "/a-long-name"], "a-long-name"),
        # As Podman lists them.
        (["web"], "web"),
        ([], ""),
        (None, ""),
    ],
)
def test_a_container_is_known_by_its_own_name_and_not_by_anothers_link_to_it(
    names: list[str] | None, own: str
) -> None:
    assert calls.own_name({"Id": "4ad", "Names": names}) == own


def test_what_python_could_not_decode_goes_as_it_was_typed() -> None:
    typed = "é \udcc3\udca9 \udcff"
    body = calls.create_exec("web", {"Cmd": [typed]}).payload()
    assert body is not None
    assert "é é ".encode() + b"\xff" in body
    filters = dict(calls.list_containers(filters={"name": [typed]}).query)["filters"]
    assert f'{{"name": ["{typed}"]}}' == filters
