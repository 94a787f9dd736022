"""Calls over connections of our own: which are kept, which are repeated, what errors say and which classes they are."""

from __future__ import annotations

import copy
import errno
import json
import os
import pickle
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import requests

from dockerpty.engine import calls
from dockerpty.engine.calls import Reply
from dockerpty.engine.client import DirectControl, DirectEngine, Engine, engine_of, from_environment
from dockerpty.engine.connection import wait_for
from dockerpty.errors import (
    APIError,
    CannotStart,
    DockerptyError,
    EngineError,
    EngineUnreachable,
    ImageNotFound,
    NotFound,
    ProtocolError,
    StartRefused,
)
from tests.unit.loopback import ScriptedEngine, Step, answer

PING = answer(200, b"OK", Api_Version="1.41", Server="Docker")
EMPTY = answer(204)
CHUNKED_WAIT = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GONE = answer(404, b'{"message":"No such container: web"}', "Not Found")


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


Scripted = Callable[..., tuple[Engine, ScriptedEngine]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Start an engine with a script, and give ours for it."""
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    opened: list[Any] = []

    with tempfile.TemporaryDirectory(dir="/tmp") as directory:

        def start(*steps: Step) -> tuple[Engine, ScriptedEngine]:
            server = ScriptedEngine(f"{directory}/{len(opened)}.sock", *steps)
            engine = from_environment(server.url)
            opened.extend([server, engine])
            return engine, server

        yield start
        for each in reversed(opened):
            each.close()


# Versions


def test_the_first_request_goes_without_a_version_and_the_next_with_that_of_the_answer(
    scripted: Scripted,
) -> None:
    engine, server = scripted(PING, EMPTY)
    assert (engine.api_version, engine.is_podman) == (None, None)
    assert engine.send(calls.ping()).body == b"OK"
    assert (engine.api_version, engine.is_podman) == ((1, 41), False)
    engine.send(calls.start_container("web"))
    assert server.lines == ["GET /_ping", "POST /v1.41/containers/web/start"]


def test_docker_api_version_wins(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    _, server = scripted(PING, PING)
    monkeypatch.setenv("DOCKER_API_VERSION", "1.30")
    engine = from_environment(server.url)
    engine.send(calls.ping())
    engine.send(calls.ping())
    assert engine.api_version == (1, 30)
    assert server.lines == ["GET /v1.30/_ping"] * 2
    engine.close()


@pytest.mark.parametrize("version", ["1.x", "latest", "1", "1.²", f"1.{'9' * 5000}"])
def test_a_version_that_is_none_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_API_VERSION", version)
    with pytest.raises(EngineError, match="is no version of its API; a version looks like"):
        from_environment("unix:///x.sock")


def test_an_engine_that_is_too_old_is_refused(scripted: Scripted) -> None:
    engine, _ = scripted(answer(200, b"OK", Api_Version="1.23"))
    with pytest.raises(EngineError, match=r"version 1\.23 of its API is too old; 1\.24"):
        engine.send(calls.ping())


def test_podman_is_told_by_its_header(scripted: Scripted) -> None:
    engine, _ = scripted(answer(200, b"OK", Api_Version="1.41", Libpod_Api_Version="4.3.1"))
    engine.send(calls.ping())
    assert engine.is_podman is True


def test_a_container_that_goes_away_under_podmans_eyes_is_not_found(scripted: Scripted) -> None:
    said = b'{"message":"container web does not exist in database: no such container"}'
    engine, _ = scripted(answer(500, said), answer(500, said))
    for call in (calls.inspect_container("web"), calls.inspect_exec("its")):
        with pytest.raises(NotFound):
            engine.send(call)


# The kept connection


def test_calls_share_one_connection(scripted: Scripted) -> None:
    engine, server = scripted(PING, EMPTY, answer(304), GONE, PING)
    engine.send(calls.ping())
    assert engine.send(calls.start_container("web")).status == 204
    assert engine.send(calls.start_container("web")).status == 304
    with pytest.raises(NotFound):
        engine.send(calls.start_container("gone"))
    engine.send(calls.ping())
    assert [request.connection for request in server.requests] == [0] * 5


@pytest.mark.parametrize("last", [answer(200, Connection="close"), answer(200) + b"left over"])
def test_a_connection_that_cannot_carry_another_request_is_not_kept(scripted: Scripted, last: bytes) -> None:
    engine, server = scripted(last, EMPTY)
    engine.send(calls.ping())
    engine.send(calls.start_container("web"))
    assert [request.connection for request in server.requests] == [0, 1]


def silent(until: threading.Event) -> Step:
    def step(sock: socket.socket) -> None:
        assert until.wait(10)

    return step


def close_after(data: bytes) -> Step:
    def step(sock: socket.socket) -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_RDWR)

    return step


def test_a_kept_connection_that_has_ended_is_noticed_before_a_post_goes_out(scripted: Scripted) -> None:
    engine, server = scripted(close_after(PING), EMPTY)
    engine.send(calls.ping())
    assert isinstance(engine, DirectEngine)
    assert engine._kept is not None
    assert wait_for([(engine._kept.fileno(), select.POLLIN)], soon())
    assert engine.send(calls.start_container("web")).status == 204
    assert server.lines == ["GET /_ping", "POST /v1.41/containers/web/start"]


def test_a_get_whose_connection_ends_without_an_answer_is_asked_again(scripted: Scripted) -> None:
    engine, server = scripted(PING, None, PING)
    engine.send(calls.ping())
    assert engine.send(calls.ping()).body == b"OK"
    assert len(server.requests) == 3


def test_a_get_is_not_asked_a_third_time(scripted: Scripted) -> None:
    engine, server = scripted(PING, None, None)
    engine.send(calls.ping())
    with pytest.raises(EngineUnreachable, match="without an answer"):
        engine.send(calls.ping())
    assert len(server.requests) == 3


def test_a_post_that_may_have_been_done_is_never_repeated(scripted: Scripted) -> None:
    engine, server = scripted(PING, None)
    engine.send(calls.ping())
    with pytest.raises(EngineUnreachable) as caught:
        engine.send(calls.start_container("web"), subject="my web")
    assert str(caught.value) == (
        f"cannot start my web: the engine at {server.url} is lost: it closed the connection without an answer; "
        "it may have been done all the same: look before you repeat it"
    )
    assert len(server.requests) == 2


def test_a_get_that_was_answered_in_part_is_not_repeated(scripted: Scripted) -> None:
    engine, server = scripted(PING, close_after(PING[:-1]))
    engine.send(calls.ping())
    with pytest.raises(EngineUnreachable, match="in the middle of an answer"):
        engine.send(calls.ping())
    assert len(server.requests) == 2


def test_an_answer_that_is_late_is_not_taken_for_that_of_the_next_call(scripted: Scripted) -> None:
    late = threading.Event()
    engine, server = scripted(silent(late), PING)
    with pytest.raises(EngineUnreachable, match="did not answer in time"):
        engine.send(calls.version(), timeout=0.05)
    late.set()
    assert engine.send(calls.ping()).body == b"OK"
    assert server.requests[1].connection == 1


def test_a_body_is_sent_as_json(scripted: Scripted) -> None:
    engine, server = scripted(answer(201, b'{"Id":"4ad"}'))
    assert engine.send(calls.create_exec("web", {"Cmd": ["true"]})).json() == {"Id": "4ad"}
    assert server.requests[0].body == b'{"Cmd": ["true"]}'
    assert server.requests[0].headers["Content-Type"] == "application/json"
    assert server.requests[0].headers["Host"] == "localhost"


# What errors say

NO_ENGINE = "is there a container engine at that address?"


@pytest.mark.parametrize(
    ("reply", "call", "message"),
    [
        (
            GONE,
            calls.create_exec("web", {}),
            "cannot exec in web: no such container; `dpty ps -a` lists those that there are",
        ),
        (
            answer(409, b"You cannot attach to a paused container, unpause it first\n"),
            calls.attach_container("web"),
            "cannot attach to web: You cannot attach to a paused container, unpause it first",
        ),
        (
            answer(409, b'{"message":"Container 4ad is not running"}'),
            calls.create_exec("web", {}),
            "cannot exec in web: Container 4ad is not running; start it first",
        ),
        (
            answer(500, b'{"message":"runc\\n\\u001b[31m failed"}'),
            calls.start_container("web"),
            "cannot start web: runc [31m failed",
        ),
        (
            answer(502),
            calls.ping(),
            "cannot ask the engine: the engine answered 502; the engine's log may say more",
        ),
        (answer(301), calls.ping(), f"cannot ask the engine: the engine answered 301; {NO_ENGINE}"),
        (
            answer(400, b"[]"),
            calls.kill_container("web", "X"),
            f"cannot send X to web: the engine answered 400; {NO_ENGINE}",
        ),
        (
            answer(404, b'{"message":null}'),
            calls.start_container("web"),
            f"cannot start web: the engine answered 404; {NO_ENGINE}",
        ),
        (
            answer(404, b"<!DOCTYPE html>\n<html><body>Nothing here</body></html>"),
            calls.start_container("web"),
            f"cannot start web: the engine answered 404; {NO_ENGINE}",
        ),
        (
            answer(400, b'{"message":"exec: \\"paused\\": executable file not found in $PATH: unknown"}'),
            calls.start_container("web"),
            'cannot start web: exec: "paused": executable file not found in $PATH: unknown',
        ),
        (
            answer(404, b'{"message":"No such container: other"}'),
            calls.create_container({"Image": "busybox"}),
            (
                "cannot create a container from busybox: No such container: other; "
                "`dpty ps -a` lists those that there are"
            ),
        ),
        (
            answer(
                409, b'{"message":"The name is already in use. You have to remove it to reuse that name."}'
            ),
            calls.create_container({"Image": "busybox"}),
            (
                "cannot create a container from busybox: "
                "The name is already in use. You have to remove it to reuse that name; choose another name"
            ),
        ),
        (
            answer(400, b'{"message":"client version 1.99 is too new. Maximum is 1.41"}'),
            calls.create_exec("web", {}),
            (
                "cannot exec in web: client version 1.99 is too new. Maximum is 1.41; "
                "is DOCKER_API_VERSION, or the version of your client, right?"
            ),
        ),
        (
            answer(400, b"a" * 300 + b"b" * 300),
            calls.create_exec("web", {}),
            f"cannot exec in web: {'a' * 200} ... {'b' * 200}",
        ),
    ],
)
def test_a_refusal_says_what_on_what_why_and_what_to_do(
    scripted: Scripted, reply: bytes, call: calls.Call, message: str
) -> None:
    engine, _ = scripted(reply)
    with pytest.raises(APIError) as caught:
        engine.send(call)
    assert str(caught.value) == message
    assert caught.value.status_code == int(reply[9:12])


def test_a_refusal_has_what_callers_of_docker_py_look_for(scripted: Scripted) -> None:
    engine, server = scripted(GONE)
    with pytest.raises(docker.errors.NotFound) as caught:
        engine.send(calls.start_container("web"))
    error: Any = caught.value
    for each in (NotFound, docker.errors.APIError, requests.exceptions.HTTPError):
        assert isinstance(error, each)
    assert (error.status_code, error.explanation) == (404, "No such container: web")
    assert error.is_client_error()
    assert error.response is not None
    assert (error.response.status_code, error.response.reason) == (404, "Not Found")
    assert error.response.json() == {"message": "No such container: web"}
    assert error.response.text.startswith("{")
    assert error.response.url == f"{server.url}/containers/web/start"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("No such image: nope:latest", "; pull it, if its name is right"),
        (
            "image with reference nope was found but does not match the specified platform: wanted linux/arm64",
            "; pull it for that one",
        ),
    ],
)
def test_a_missing_image_has_a_class_of_ours_which_is_docker_pys_too(
    words: str, hint: str, scripted: Scripted
) -> None:
    engine, _ = scripted(answer(404, json.dumps({"message": words}).encode()))
    with pytest.raises(docker.errors.ImageNotFound) as caught:
        engine.send(calls.create_container({"Image": "nope"}))
    assert ImageNotFound in type(caught.value).__mro__
    assert str(caught.value) == f"cannot create a container from nope: {words}{hint}"


def test_what_else_is_missing_when_a_container_is_created_is_no_image(scripted: Scripted) -> None:
    engine, _ = scripted(GONE)
    with pytest.raises(NotFound) as caught:
        engine.send(calls.create_container({"Image": "nope"}))
    assert not isinstance(caught.value, (ImageNotFound, docker.errors.ImageNotFound))


def test_an_engine_that_is_not_there_is_what_callers_of_docker_py_catch() -> None:
    engine = from_environment("unix:///no/such.sock")
    for call in (engine.send, engine.hijack, engine.begin):
        with pytest.raises(EngineUnreachable, match="there is no such socket") as caught:
            call(calls.ping())
        assert isinstance(caught.value, requests.exceptions.ConnectionError)
        assert isinstance(caught.value, docker.errors.DockerException)
        assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(EngineUnreachable):
        engine.control()


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_an_error_survives_being_carried_to_another_process(
    scripted: Scripted, again: Callable[[Any], Any]
) -> None:
    engine, _ = scripted(GONE)
    with pytest.raises(NotFound) as caught:
        engine.send(calls.start_container("web"))
    other = again(caught.value)
    assert isinstance(other, NotFound)
    assert (str(other), other.status_code, other.explanation) == (
        str(caught.value),
        404,
        "No such container: web",
    )


def test_without_docker_py_the_errors_are_ours_alone_and_it_stays_unloaded() -> None:
    code = (
        "import sys\n"
        "from dockerpty import errors\n"
        "from dockerpty.engine import calls, client as engine\n"
        "try:\n    engine.from_environment('unix:///no/such.sock').send(calls.ping())\n"
        "except errors.EngineUnreachable as error:\n    print(type(error) is errors.EngineUnreachable)\n"
        "print('docker' in sys.modules, 'requests' in sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_what_answers_and_is_no_engine_is_an_error_of_the_protocol(scripted: Scripted) -> None:
    engine, _ = scripted(b"220 smtp.example.org ESMTP\r\n\r\n\r\n")
    with pytest.raises(ProtocolError, match="server; is there a container engine at that address"):
        engine.send(calls.ping())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer(200, b"<html>hello</html>"), "it is no JSON"),
        (answer(200), "it is empty"),
        (EMPTY, "it is empty"),
        (answer(201, b"{}"), "there is no Id in it"),
        (answer(201, b"[]"), "there is no Id in it"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [calls.create_exec("web", {}), calls.create_container({"Image": "x"}), calls.inspect_container("web")],
)
def test_an_answer_without_what_an_engine_gives_is_an_error_of_the_protocol(
    scripted: Scripted, reply: bytes, reason: str, call: calls.Call
) -> None:
    engine, _ = scripted(reply)
    with pytest.raises(ProtocolError) as caught:
        engine.send(call)
    assert str(caught.value) == f"cannot read the engine's answer: {reason}; {NO_ENGINE}"


def test_a_call_in_line_gets_an_error_of_the_protocol_as_its_outcome(scripted: Scripted) -> None:
    engine, _ = scripted(answer(200, b"[]"))
    loop = Loop(engine)
    loop.submit(calls.inspect_exec("4ad"))
    assert loop.codes() == ["ProtocolError"]
    loop.control.close()


def test_a_server_that_speaks_first_and_no_http_is_no_engine(scripted: Scripted) -> None:
    engine, _ = scripted(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    with pytest.raises(ProtocolError, match="this is no HTTP server; is there a container engine"):
        engine.send(calls.create_exec("web", {}))


def test_the_first_answer_is_waited_for_as_long_as_a_connection(scripted: Scripted) -> None:
    hold = threading.Event()
    _, server = scripted(silent(hold), silent(hold), silent(hold))
    began = time.monotonic()
    for call in (calls.create_exec("web", {}), calls.inspect_container("web"), calls.ping()):
        engine = from_environment(server.url, connect_timeout=0.05)
        with pytest.raises(EngineUnreachable) as caught:
            engine.send(call)
        assert str(caught.value).startswith(
            f"cannot reach {caught.value.subject}: it did not answer in time;"
        )
        engine.close()
    assert time.monotonic() - began < 20
    hold.set()


def test_a_later_answer_and_one_that_takes_its_time_may_come_later(scripted: Scripted) -> None:
    def later(sock: socket.socket) -> None:
        # Not before the patience for a first answer has passed.
        assert not select.select([sock], [], [], 0.1)[0]
        sock.sendall(answer(201, b'{"Id":"4ad"}'))

    for steps, create in (
        ((later,), calls.create_container({"Image": "x"})),
        ((PING, later), calls.create_exec("web", {})),
    ):
        _, server = scripted(*steps)
        engine = from_environment(server.url, connect_timeout=0.05)
        if len(steps) == 2:
            engine.send(calls.ping(), timeout=10)
        assert engine.send(create).json() == {"Id": "4ad"}
        engine.close()


def test_an_ssh_that_reached_nobody_is_an_engine_that_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'Could not resolve hostname nowhere' >&2; exit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    engine = from_environment("ssh://nowhere")
    with pytest.raises(EngineUnreachable) as caught:
        engine.send(calls.start_container("web"))
    assert str(caught.value) == (
        "cannot reach the engine at ssh://nowhere: ssh says: Could not resolve hostname nowhere; "
        "is the name spelled right, or is it a Host of your ssh configuration?"
    )
    engine.close()


def test_the_host_header_has_brackets_around_an_address_of_ipv6() -> None:
    engine = from_environment("tcp://[::1]:99")
    assert isinstance(engine, DirectEngine)
    assert dict(engine._headers)["Host"] == "[::1]:99"


# An answer of any length


def test_an_answer_of_any_length_is_handed_on_as_it_comes(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockerpty.engine.http11.BODY_LIMIT", 1000)
    engine, _ = scripted(answer(200, b"x" * 200_000), GONE)
    pieces: list[bytes] = []
    reply = engine.stream(calls.ping(), pieces.append)
    assert (reply.status, reply.body) == (200, b"")
    assert b"".join(pieces) == b"x" * 200_000
    assert len(pieces) > 1
    with pytest.raises(NotFound, match="cannot start web: no such container"):
        engine.stream(calls.start_container("web"), pieces.append)


def test_who_takes_an_answer_may_end_it(scripted: Scripted) -> None:
    def enough(data: bytes) -> None:
        raise DockerptyError("go on")

    engine, _ = scripted(b"HTTP/1.1 200 OK\r\n\r\nsome")
    with pytest.raises(DockerptyError, match="cannot go on"):
        engine.stream(calls.ping(), enough)


# Taking a connection over


@pytest.mark.parametrize("status", [101, 200])
def test_what_comes_with_the_head_is_the_first_of_the_stream(scripted: Scripted, status: int) -> None:
    def talk(sock: socket.socket) -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
        sock.sendall(head.encode() + b"first")
        assert sock.recv(100) == b"typed"
        sock.sendall(b"second")

    engine, server = scripted(PING, talk)
    engine.send(calls.ping())
    transport = engine.hijack(calls.attach_container("web", stdin=True, stdout=True))
    assert transport.pending()
    assert transport.recv(100) == b"first"
    transport.send(b"typed")
    assert wait_for([(transport.fileno(), select.POLLIN)], soon())
    assert transport.recv(100) == b"second"
    transport.close()
    sent = server.requests[1]
    assert (sent.connection, sent.headers["Connection"], sent.headers["Upgrade"]) == (1, "Upgrade", "tcp")


def test_an_error_in_place_of_a_stream_is_raised_and_leaves_nothing_open(scripted: Scripted) -> None:
    engine, _ = scripted(GONE)
    with pytest.raises(NotFound, match="cannot attach to web: no such container"):
        engine.hijack(calls.attach_container("web"))


@pytest.mark.parametrize("reply", [EMPTY, CHUNKED_WAIT])
def test_an_answer_without_a_stream_is_an_error_of_the_protocol(scripted: Scripted, reply: bytes) -> None:
    engine, _ = scripted(reply)
    with pytest.raises(ProtocolError, match="gave no stream; is there a proxy in between"):
        engine.hijack(calls.attach_container("web"))


# Waiting for the rest of an answer


def watch(pending: Any) -> None:
    """Do what a loop does."""
    deadline = soon()
    while not pending.done:
        wait_for(pending.interest(), min(deadline, pending.deadline() or deadline))
        pending.serve()
        assert time.monotonic() < deadline


def test_a_wait_is_begun_with_its_head_and_done_with_its_body(scripted: Scripted) -> None:
    end = threading.Event()

    def later(sock: socket.socket) -> None:
        sock.sendall(CHUNKED_WAIT)
        assert end.wait(10)
        sock.sendall(b'10\r\n{"StatusCode":7}\r\n0\r\n\r\n')

    engine, server = scripted(later)
    pending = engine.begin(calls.wait_container("web", "next-exit"))
    assert pending is not None
    pending.serve()
    assert (pending.done, pending.reply, pending.deadline()) == (False, None, None)
    end.set()
    watch(pending)
    assert pending.reply is not None
    assert pending.reply.json() == {"StatusCode": 7}
    assert (pending.interest(), pending.deadline(), pending.error) == ([], None, None)
    pending.serve()
    pending.close()
    assert server.lines == ["POST /containers/web/wait?condition=next-exit"]


def test_a_wait_that_is_answered_at_once_is_done_at_once(scripted: Scripted) -> None:
    engine, _ = scripted(answer(200, b'{"StatusCode":0}'))
    pending = engine.begin(calls.wait_container("web"))
    assert pending is not None
    watch(pending)
    assert pending.reply is not None


def test_a_wait_whose_connection_is_lost_has_the_error(scripted: Scripted) -> None:
    end = threading.Event()

    def killed(sock: socket.socket) -> None:
        sock.sendall(CHUNKED_WAIT)
        assert end.wait(10)
        sock.shutdown(socket.SHUT_RDWR)

    engine, _ = scripted(killed)
    pending = engine.begin(calls.wait_container("web"))
    assert pending is not None
    end.set()
    watch(pending)
    assert isinstance(pending.error, EngineUnreachable)
    assert isinstance(pending.error, requests.exceptions.ConnectionError)
    assert pending.reply is None


def test_a_wait_for_what_is_not_there_is_refused(scripted: Scripted) -> None:
    engine, _ = scripted(GONE)
    with pytest.raises(NotFound, match="cannot wait for web"):
        engine.begin(calls.wait_container("web"))


def test_a_wait_can_be_given_up(scripted: Scripted) -> None:
    engine, _ = scripted(CHUNKED_WAIT)
    pending = engine.begin(calls.wait_container("web"))
    assert pending is not None
    pending.close()
    pending.close()
    assert (pending.done, pending.reply, pending.interest()) == (True, None, [])


# Calls from inside a loop


class Loop:
    """Serves a control until it is idle, and notes what its calls came to."""

    def __init__(self, engine: Engine, *, connects: bool = True) -> None:
        self.control = engine.control(connects=connects)
        self.outcomes: list[Reply | DockerptyError] = []

    def submit(self, call: calls.Call, timeout: float = 10.0) -> None:
        self.control.submit(call, self.outcomes.append, timeout)

    def run(self) -> list[Reply | DockerptyError]:
        deadline = soon()
        while not self.control.idle:
            ends = self.control.deadline()
            assert ends is not None
            wait_for(self.control.interest(), min(ends, deadline))
            self.control.serve()
            assert time.monotonic() < deadline
        assert (self.control.interest(), self.control.deadline()) == ([], None)
        return self.outcomes

    def codes(self) -> list[object]:
        return [each.status if isinstance(each, Reply) else type(each).__name__ for each in self.run()]


def test_calls_in_line_are_made_one_after_the_other_on_one_connection(scripted: Scripted) -> None:
    engine, server = scripted(PING, answer(500, b"not yet"), EMPTY, GONE)
    loop = Loop(engine)
    loop.submit(calls.ping())
    loop.submit(calls.resize_exec("4ad", 24, 80))
    loop.submit(calls.resize_exec("4ad", 25, 80))
    loop.submit(calls.kill_container("web", "TERM"))
    assert loop.outcomes == []
    assert loop.codes() == [200, "APIError", 204, "NotFound"]
    assert [request.connection for request in server.requests] == [0] * 4
    assert server.lines[1:] == [
        "POST /v1.41/exec/4ad/resize?h=24&w=80",
        "POST /v1.41/exec/4ad/resize?h=25&w=80",
        "POST /v1.41/containers/web/kill?signal=TERM",
    ]
    loop.control.close()


def test_a_call_may_put_the_next_one_in_line_when_it_is_done(scripted: Scripted) -> None:
    engine, server = scripted(PING, PING)
    loop = Loop(engine)
    loop.control.submit(calls.ping(), lambda reply: loop.submit(calls.ping()), 10.0)
    assert loop.codes() == [200]
    assert len(server.requests) == 2
    loop.control.close()


def test_a_call_that_takes_too_long_is_given_up_with_its_connection(scripted: Scripted) -> None:
    stuck = threading.Event()
    engine, server = scripted(silent(stuck), EMPTY)
    loop = Loop(engine)
    loop.submit(calls.resize_exec("4ad", 24, 80), 0.05)
    loop.submit(calls.resize_exec("4ad", 25, 80))
    assert loop.codes() == ["EngineUnreachable", 204]
    assert "did not answer in time" in str(loop.outcomes[0])
    assert [request.connection for request in server.requests] == [0, 1]
    stuck.set()
    loop.control.close()


def test_a_control_connection_that_ended_is_opened_anew(scripted: Scripted) -> None:
    engine, server = scripted(close_after(PING), None, EMPTY)
    loop = Loop(engine)
    loop.submit(calls.ping())
    assert loop.codes() == [200]
    assert isinstance(loop.control, DirectControl)
    assert loop.control._transport is not None
    assert wait_for([(loop.control._transport.fileno(), select.POLLIN)], soon())
    loop.submit(calls.resize_exec("4ad", 24, 80))
    assert loop.codes() == [200, "EngineUnreachable"]
    loop.submit(calls.resize_exec("4ad", 25, 80))
    assert loop.codes() == [200, "EngineUnreachable", 204]
    assert [request.connection for request in server.requests] == [0, 1, 2]
    loop.control.close()


def test_an_engine_that_went_away_is_told_to_each_call(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, server = scripted(None)
    loop = Loop(engine)
    loop.submit(calls.ping())
    assert loop.codes() == ["EngineUnreachable"]
    os.unlink(server.url.removeprefix("unix://"))
    loop.submit(calls.ping())
    loop.submit(calls.ping())
    assert len(loop.outcomes) == 1
    assert loop.codes() == ["EngineUnreachable"] * 3
    loop.control.close()
    loop.control.close()


def test_a_loop_does_not_wait_for_a_new_connection_as_long_as_others_do(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = scripted(None)
    loop = Loop(engine)
    loop.submit(calls.ping())
    assert loop.codes() == ["EngineUnreachable"]
    limits: list[float | None] = []

    def connect(timeout: float | None = None) -> Any:
        limits.append(timeout)
        raise EngineUnreachable("reach", "it")

    monkeypatch.setattr(engine, "connect", connect)
    loop.submit(calls.ping(), 10.0)
    loop.submit(calls.ping(), 0.1)
    assert loop.codes() == ["EngineUnreachable"] * 3
    assert limits == [0.5, 0.1]
    loop.control.close()


@pytest.mark.parametrize(
    "failure", [EngineUnreachable("reach", "it", "no route"), OSError(errno.EMFILE, "too many open files")]
)
def test_a_connection_that_is_made_inside_a_loop_is_made_soon_or_its_call_is_told(
    failure: Exception, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = scripted(EMPTY)
    limits: list[float | None] = []

    def fail(timeout: float | None = None) -> Any:
        limits.append(timeout)
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(engine, "connect", fail)
        loop = Loop(engine, connects=False)
        assert limits == []
        loop.submit(calls.kill_container("web", "TERM"))
        assert loop.codes() == ["EngineUnreachable"]
    assert limits == [2.0]
    loop.submit(calls.kill_container("web", "TERM"))
    assert loop.codes() == ["EngineUnreachable", 204]
    loop.control.close()


def test_what_is_in_line_at_the_end_is_dropped(scripted: Scripted) -> None:
    hold = threading.Event()
    engine, _ = scripted(silent(hold))
    loop = Loop(engine)
    loop.submit(calls.ping())
    loop.submit(calls.ping())
    loop.control.close()
    hold.set()
    assert loop.control.idle
    assert loop.run() == []


# The door to docker-py


def test_an_engine_is_taken_as_it_is() -> None:
    engine = from_environment("unix:///x.sock")
    assert engine_of(engine) is engine


def test_docker_pys_clients_are_reached_over_our_own_connections(scripted: Scripted) -> None:
    _, server = scripted(EMPTY, EMPTY)
    api: Any = docker.APIClient(base_url=server.url, version="1.35")
    with api:
        api._general_configs["HttpHeaders"] = {"X-Meta": "one"}
        api.headers["Authorization"] = "Bearer two"
        engine = engine_of(api)
        assert (engine.name, engine.api_version) == (server.url, (1, 35))
        engine.send(calls.start_container("web"))
        engine.close()
    headers = server.requests[0].headers
    assert (headers["X-Meta"], headers["Authorization"], headers["User-Agent"]) == (
        "one",
        "Bearer two",
        "dockerpty",
    )
    client = docker.DockerClient(base_url=server.url, version="1.35")
    engine = engine_of(client)
    engine.send(calls.start_container("web"))
    engine.close()
    client.close()
    assert server.lines == ["POST /v1.35/containers/web/start"] * 2


# What could not be started


NOT_FOUND = 'exec: "nosuch": executable file not found in $PATH: unknown'
NOT_ALLOWED = 'exec: "/tmp": permission denied: unknown'
START, ATTACH = calls.start_container("web"), calls.attach_container("web", stdout=True)
START_EXEC = calls.start_exec("e", tty=False)


@pytest.mark.parametrize(
    ("call", "status", "words", "code"),
    [
        (START, 400, NOT_FOUND, 127),
        (START, 500, "stat /no/such: no such file or directory", 127),
        (START, 400, NOT_ALLOWED, 126),
        (START, 400, 'exec: "/tmp": is a directory', 126),
        (ATTACH, 409, f"OCI runtime error: {NOT_FOUND}", 127),
        (START_EXEC, 500, NOT_FOUND, 127),
        # What Docker's engine writes into the stream, and Podman answers.
        (START_EXEC, 500, "unable to find user nobody-here", 126),
    ],
)
def test_what_the_runtime_could_not_start_has_its_code_and_is_docker_pys_error_too(
    call: calls.Call, status: int, words: str, code: int, scripted: Scripted
) -> None:
    engine, _ = scripted(answer(status, json.dumps({"message": words}).encode()))
    with pytest.raises(docker.errors.APIError) as caught:
        engine.send(call)
    error: Any = caught.value
    assert {StartRefused, APIError, CannotStart} <= set(type(error).__mro__)
    assert (error.exit_code, error.status_code, error.explanation) == (code, status, words)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.exit_code, str(again)) == (StartRefused, code, str(error))


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (START, 500, "driver failed programming external connectivity"),
        (START_EXEC, 409, "container web is paused"),
        (calls.create_container({"Image": "x"}), 400, "no such file or directory"),
        (calls.create_exec("web", {}), 400, NOT_FOUND),
    ],
)
def test_any_other_refusal_is_no_word_on_what_was_to_start(
    call: calls.Call, status: int, words: str, scripted: Scripted
) -> None:
    engine, _ = scripted(answer(status, json.dumps({"message": words}).encode()))
    with pytest.raises(APIError) as caught:
        engine.send(call)
    assert not isinstance(caught.value, CannotStart)
