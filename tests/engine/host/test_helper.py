"""The helper in a container: a client that is killed leaves no shell there, and commands that do not end are ended."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from docker.models.containers import Container

from dockerpty.host.requests import Close, Open, Wait
from dockerpty.host.shell.framing import (
    Begin,
    End,
    Event,
    Framing,
    Go,
    Output,
    Probed,
    Ready,
    driver,
    typed_driver,
)
from dockerpty.host.shell.helper import (
    Helper,
    close_helper,
    open_helper,
    ping,
    read_mounts,
    register_shell,
    retire,
    signal_group,
)
from dockerpty.host.shell.recovery import How, end_alone, recover
from tests.bed.engine import Bench, id_of
from tests.bed.transports import Transport
from tests.bed.waiting import SLACK, wait_for
from tests.conftest import missing
from tests.engine.host.conftest import Colour, commands, wait_until_runs

if TYPE_CHECKING:
    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan

GONE_S = 2.0


class Held:
    """A shell in a container, as far as a recovery has to know it."""

    def __init__(self, channel: Channel, framing: Framing) -> None:
        self.channel = channel
        self.framing = framing
        self.tty = channel.tty
        self.pid = 0
        self.output = b""
        self.begun = self.goes = False

    def take(self) -> list[Event]:
        events: list[Event] = []
        for stream, data in self.channel.read():
            events += self.framing.feed(data, stream)
        for event in events:
            if isinstance(event, Ready):
                self.pid = event.pid
            elif isinstance(event, Output):
                self.output += event.data
            elif isinstance(event, Begin):
                self.begun = True
            elif isinstance(event, Go):
                self.goes = True
        return [event for event in events if isinstance(event, (Begin, Go, End, Probed))]

    def until(self, done: Any) -> Plan[None]:
        until = time.monotonic() + 30 * SLACK
        while not done():
            self.take()
            if not done():
                assert not self.channel.ended
                assert (yield Wait((self.channel,), until)), self.output

    def start(self, text: str) -> Plan[None]:
        self.output, self.begun = b"", False
        request = self.framing.request(text)
        self.goes = False
        self.channel.write(request.first)
        if request.rest:
            yield from self.until(lambda: self.goes)
            self.channel.write(request.rest)
        yield from self.until(lambda: self.begun)

    def run(self, text: str) -> Plan[bytes]:
        yield from self.start(text)
        yield from self.until(lambda: not self.framing.busy)
        return self.output


def opened(container: Container, *, tty: bool) -> Plan[Held]:
    framing = Framing(terminal=tty)
    words = ("sh",) if tty else ("sh", "-c", driver(framing.session), "sh")
    channel = yield Open(id_of(container), words, tty=tty, environment=("TERM=dumb",) if tty else ())
    shell = Held(channel, framing)
    if tty:
        channel.write(typed_driver(framing.session))
    yield from shell.until(lambda: shell.pid)
    return shell


# Its shells run something, and are registered.
CLIENT = """
import sys, time
from dockerpty.engine.client import from_environment
from dockerpty.host.shell.helper import open_helper, register_shell
from dockerpty.host.send import Blocking
from dockerpty.plan import drive
from tests.engine.host.test_helper import opened

class Container:
    id = sys.argv[1]

executor = Blocking(from_environment())
shells = [drive(opened(Container, tty=tty), executor.answer) for tty in (True, True, False, False)]
helper = drive(open_helper(Container.id), executor.answer)
for number, shell in enumerate(shells):
    assert drive(register_shell(helper, shell.pid), executor.answer)
    if number % 2:
        drive(shell.start("sh -c 'trap : HUP; sleep 77%d; sleep 7777'" % number), executor.answer)
print("ready", flush=True)
time.sleep(777)
"""


def test_a_client_that_is_killed_leaves_no_shell_and_nothing_that_ran_in_one(
    bench: Bench, transport: Transport
) -> None:
    container = bench.container(start=True)
    alone = commands(container)
    with subprocess.Popen([sys.executable, "-c", CLIENT, id_of(container)], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        wait_until_runs(container, "sleep 771")
        wait_until_runs(container, "sleep 773")
        assert len(commands(container)) > 5
        client.kill()
        wait_for(lambda: commands(container) == alone, GONE_S, "the end of the shells, and of the helper")


def test_a_helper_that_is_retired_leaves_the_shells(colour: Colour, bench: Bench) -> None:
    container = bench.container(start=True)

    def registered() -> Plan[Held]:
        shell = yield from opened(container, tty=True)
        helper = yield from open_helper(id_of(container))
        assert (yield from register_shell(helper, shell.pid)) is True
        assert (yield from ping(helper))
        yield from retire(helper)
        assert (yield from shell.run("echo still here")) == b"still here\n"
        # And one that is closed takes it along.
        helper = yield from open_helper(id_of(container), register=[shell.pid])
        yield from close_helper(helper)
        yield from shell_ends(shell)
        return shell

    colour.drive(registered())
    wait_for(lambda: len(commands(container)) == 1, 10, "the end of all but the first process")


def shell_ends(shell: Held) -> Plan[None]:
    until = time.monotonic() + 30 * SLACK
    while not shell.channel.ended:
        shell.take()
        assert shell.channel.ended or (yield Wait((shell.channel,), until)), "the shell goes on"
    yield Close(shell.channel)


@pytest.mark.parametrize(
    ("tty", "text", "how"),
    [
        (True, "sleep 777", How.INTERRUPTED),
        (True, "yes", How.INTERRUPTED),
        (True, "while :; do :; done", How.INTERRUPTED),
        (True, "while :; do sleep .2; done", How.INTERRUPTED),
        (True, "stty raw; echo in raw mode; cat", How.KILLED),
        (True, "sh -c 'trap \"\" INT; sleep 777; :'", How.KILLED),
        (False, "sleep 777 | cat", How.INTERRUPTED),
        (False, "yes", How.INTERRUPTED),
        (False, "sh -c 'trap \"\" INT; sleep 777; :'", How.TERMINATED),
        (False, "while :; do :; done", How.LOST),
    ],
)
def test_a_command_that_does_not_end_is_ended_in_the_container(
    colour: Colour, bench: Bench, tty: bool, text: str, how: How
) -> None:
    container = bench.container(start=True)

    def recovered() -> Plan[None]:
        helper = yield from open_helper(id_of(container))
        shell = yield from opened(container, tty=tty)
        yield from shell.run("A=kept; cd /tmp")
        yield from shell.start(f"echo begun; {text}")
        sign = b"in raw mode" if "raw" in text else b"begun"
        yield from shell.until(lambda: sign in shell.output)
        if "sleep 777" in text:
            yield from runs_sleep(helper, container)
        result = yield from recover(shell, helper, started=time.monotonic())
        assert result.how is how
        if result.is_back:
            assert (yield from shell.run("echo $A; pwd")) == b"kept\n/tmp\n"
        count = 3 if result.is_back else 2
        wait_for(lambda: len(commands(container)) == count, 10, "the end of all that ran")
        yield Close(shell.channel)
        yield from close_helper(helper)

    colour.drive(recovered())


def runs_sleep(helper: Helper | None, container: Container) -> Plan[None]:
    until = time.monotonic() + 30 * SLACK
    while not any("sleep 777" in line and "trap" not in line for line in commands(container)):
        assert time.monotonic() < until
        yield Wait((), time.monotonic() + 0.02)


def allow_no_more(bench: Bench, container: Container) -> None:
    """Let nothing in a container start a process more than there are now."""
    if not bench.api.info().get("PidsLimit"):
        missing("this engine has no PidsLimit")
    api: Any = bench.api
    count = len(commands(container))
    limits: dict[str, Any] = {"PidsLimit": count}
    root = f"{api.base_url}/v{api._version}"
    if bench.is_podman:
        root, limits = f"{api.base_url}/v4.0.0/libpod", {"pids": {"limit": count}}
    api._raise_for_status(api._post_json(f"{root}/containers/{id_of(container)}/update", data=limits))


def test_where_no_process_more_is_allowed_it_works_as_ever(colour: Colour, bench: Bench) -> None:
    container = bench.container(start=True)

    def crowded() -> Plan[None]:
        helper = yield from open_helper(id_of(container))
        shell = yield from opened(container, tty=False)
        assert helper is not None
        yield from shell.start("sleep 777")
        yield from runs_sleep(helper, container)
        allow_no_more(bench, container)
        assert (yield from register_shell(helper, shell.pid)) is True
        assert (yield from read_mounts(helper))
        assert (yield from signal_group(helper, shell.pid, "INT")) == 1
        yield from shell.until(lambda: not shell.framing.busy)
        yield from close_helper(helper)
        yield from shell_ends(shell)

    colour.drive(crowded())


def test_where_there_is_no_room_for_one_the_shell_is_interrupted_with_it_or_without(
    colour: Colour, bench: Bench
) -> None:
    container = bench.container(start=True)

    def crowded() -> Plan[None]:
        shell = yield from opened(container, tty=True)
        yield from shell.run("A=kept")
        yield from shell.start("sleep 777")
        yield from runs_sleep(None, container)
        allow_no_more(bench, container)
        # The runtime needs some processes of its own, which are in time to get out of the way, or are not.
        helper = yield from open_helper(id_of(container))
        assert (yield from recover(shell, helper)).how is How.INTERRUPTED
        assert (yield from shell.run("echo $A")) == b"kept\n"
        yield from close_helper(helper)
        yield Close(shell.channel)

    colour.drive(crowded())


def test_where_none_can_be_made_the_shell_is_still_interrupted(colour: Colour, bench: Bench) -> None:
    container = bench.container(start=True)

    def alone() -> Plan[None]:
        assert (yield from open_helper(id_of(container), shell="/no/such/shell")) is None
        shell = yield from opened(container, tty=True)
        yield from shell.run("A=kept")
        yield from shell.start("sleep 777")
        result = yield from recover(shell, None)
        assert result.how is How.INTERRUPTED
        assert (yield from shell.run("echo $A")) == b"kept\n"
        assert (yield from end_alone(shell)) is True
        yield from shell_ends(shell)

    colour.drive(alone())


def test_what_is_mounted_is_read_where_the_engine_does_not_tell_of_it(colour: Colour, bench: Bench) -> None:
    container = bench.container(start=True, host={"tmpfs": {"/with blank": ""}})

    def mounted() -> Plan[list[str]]:
        helper = yield from open_helper(id_of(container))
        found = yield from read_mounts(helper)
        yield from close_helper(helper)
        return [f"{each.kind} {each.target}" for each in found or ()]

    assert {"tmpfs /with blank", "proc /proc", "tmpfs /dev"} <= set(colour.drive(mounted()))
