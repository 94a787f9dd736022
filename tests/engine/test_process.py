"""Attached processes for programs, against a real engine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from dockerpty.engine.client import Engine, from_environment
from dockerpty.engine.foreign import ForeignEngine
from dockerpty.errors import APIError, DockerptyError, NotFound, SessionLost
from dockerpty.process import Process, attach, exec_
from tests.bed.engine import Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.transports import Transport
from tests.bed.waiting import SLACK

SOAK = os.environ.get("DPTY_SOAK") == "1"
MEGABYTES = 20 * 1024 * 1024
SLEEPER = ["sh", "-c", "echo up; exec sleep 300"]


@pytest.fixture
def client(transport: Transport) -> Iterator[Engine]:
    found = from_environment()
    yield found
    found.close()


def run(main: Callable[[], Awaitable[Any]], limit: float = 90) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main(), limit * SLACK)

    return asyncio.run(limited())


async def until(condition: Callable[[], Any], what: str, limit: float = 20) -> None:
    """Ask, in a thread, until the answer is true."""
    deadline = asyncio.get_running_loop().time() + limit * SLACK
    while not await asyncio.to_thread(condition):
        assert asyncio.get_running_loop().time() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.05)


async def up(process: Process) -> Process:
    """Wait for the first line, `up`."""
    assert (await process.stdout.readline()).strip() == b"up"
    return process


# A process in a container --------------------------------------------------------------------------------------------


def test_what_it_writes_comes_apart_and_its_code_is_known(client: Engine, box: Container) -> None:
    async def main() -> None:
        command = 'echo "$A in $PWD"; id -un >&2; cat; exit 7'
        started = await exec_(
            client,
            box,
            ["sh", "-c", command],
            stdin=True,
            environment={"A": "here"},
            user="nobody",
            workdir="/tmp",
        )
        assert started.container_id == box.id
        assert await started.communicate(b"and input\n") == (b"here in /tmp\nand input\n", b"nobody\n")
        assert started.returncode == 7

    run(main)


def test_its_number_is_that_of_the_engines_machine(client: Engine, box: Container, bench: Bench) -> None:
    async def main() -> None:
        async with await exec_(client, box, SLEEPER) as started:
            await up(started)
            assert started.exec_id is not None
            assert started.pid == bench.exec_info(started.exec_id)["Pid"]
            await started.kill()
            assert await started.wait() == 137

    run(main)


def test_lines_are_answered_one_by_one(client: Engine, box: Container) -> None:
    async def main() -> None:
        started = await exec_(client, box, ["cat"], stdin=True)
        assert started.stdin is not None
        for number in range(100):
            started.stdin.write(b"line %d\n" % number)
            assert await started.stdout.readline() == b"line %d\n" % number
        started.stdin.write_eof()
        assert [line async for line in started.stdout] == []
        assert await started.wait() == 0

    run(main)


@pytest.mark.parametrize("door", ["own", "client", "methods"])
def test_twenty_megabytes_go_through_cat_and_come_back_exactly(
    door: str, client: Engine, transport: Transport, box: Container
) -> None:
    name = f"{transport.name}-{door}"
    if name == "ssh-methods":
        pytest.skip("docker-py leaves sockets and programs of its own behind with the system's ssh")
    api = None
    if door != "own":
        # With a version given docker-py makes no connection, which it would leave open with the system's ssh.
        by_ssh = transport.name == "ssh"
        api = docker.APIClient(transport.host_url, "1.41", use_ssh_client=True) if by_ssh else None
        api = api or transport.docker_client().api
    data = os.urandom(1 << 16) * (MEGABYTES >> 16)

    async def main() -> None:
        way: Any = client if api is None else api if door == "client" else ForeignEngine(api)
        started = await exec_(way, box, ["sh", "-c", "cat; echo late; echo error >&2; exit 7"], stdin=True)
        if name == "tls-methods":
            with pytest.raises(DockerptyError, match="can only be closed as a whole"):
                await started.communicate(data[:100])
            await started.aclose()
            return
        out, err = await started.communicate(data)
        assert (out == data + b"late\n", err, started.returncode) == (True, b"error\n", 7)

    try:
        run(main)
    finally:
        if api is not None:
            api.close()


def test_much_on_both_streams_is_all_there(client: Engine, box: Container) -> None:
    lines = 50_000

    async def main() -> None:
        command = f"i=0; while [ $i -lt {lines} ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; exit 3"
        started = await exec_(client, box, ["sh", "-c", command], limit=4096)
        out, err = await started.communicate()
        assert err is not None
        for name, text in ((b"out", out), (b"err", err)):
            wanted = b"".join(b"%b %d\n" % (name, number) for number in range(lines))
            assert hashlib.sha256(text).digest() == hashlib.sha256(wanted).digest()
        assert started.returncode == 3

    run(main)


def test_a_process_whose_output_nobody_reads_stands_still_and_loses_nothing(
    client: Engine, box: Container, bench: Bench
) -> None:
    async def main() -> None:
        async with await exec_(client, box, ["seq", "1000000"]) as started:
            # All that the kernel, the engine and we hold is less than its seven million bytes.
            await until(lambda: len(started.stdout._buffer) == 65536, "a full reader")
            before = started.returncode
            assert started.exec_id is not None
            assert bench.exec_info(started.exec_id)["Running"]
            wanted = hashlib.sha256(b"".join(b"%d\n" % number for number in range(1, 1000001)))
            got = hashlib.sha256()
            while piece := await started.stdout.read(100_000):
                assert len(piece) <= 65536
                got.update(piece)
            assert (before, got.digest(), await started.wait()) == (None, wanted.digest(), 0)

    run(main)


def test_a_terminal_has_its_size_and_gets_another_one(client: Engine, box: Container) -> None:
    async def main() -> None:
        script = "while read line; do stty size; done"
        started = await exec_(client, box, ["sh", "-c", script], tty=True, stdin=True, size=(31, 97))
        assert (started.stderr, started.stdin is None) == (None, False)
        for size in (b"31 97", b"40 120"):
            started.stdin.write(b"\n")  # type: ignore[union-attr]  # the assertion above says it
            assert size + b"\r\n" in [await started.stdout.readline() for _ in range(2)]
            await started.resize(40, 120)
        assert await started.communicate() == (b"", None)
        assert started.returncode == 0

    run(main)


def test_ctrl_c_and_the_end_of_input_are_typed_at_a_terminal(client: Engine, box: Container) -> None:
    async def main() -> None:
        started = await exec_(client, box, SLEEPER, tty=True, stdin=True)
        assert started.stdin is not None
        (await up(started)).stdin.write(b"\x03")  # type: ignore[union-attr]  # it was asked for
        assert await started.wait() == 130
        started = await exec_(client, box, ["cat"], tty=True, stdin=True)
        out, _ = await started.communicate(b"half a line")
        assert out.startswith(b"half a line")
        assert started.returncode == 0

    run(main)


def test_the_engine_does_not_look_for_detach_keys(client: Engine, box: Container) -> None:
    typed = b"\x10\x11 and \x10 alone"

    async def main() -> None:
        command = ["sh", "-c", f"stty raw -echo; echo up; exec head -c {len(typed)}"]
        started = await exec_(client, box, command, tty=True, stdin=True)
        assert started.stdin is not None
        await up(started)
        started.stdin.write(typed)
        assert await started.stdout.readexactly(len(typed)) == typed
        assert await started.wait() == 0

    run(main)


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize(("command", "code"), [("/nosuch", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_started_is_a_result_with_the_reason(
    command: str, code: int, tty: bool, client: Engine, box: Container
) -> None:
    async def main() -> None:
        started = await exec_(client, box, [command], tty=tty)
        out, err = await started.communicate()
        assert (started.returncode, started.pid) == (code, None)
        assert b"exec failed" in (out if err is None else err)
        assert err is None or out == b""

    run(main)


def test_what_is_not_there_or_does_not_run_is_an_error(client: Engine, bench: Bench) -> None:
    stopped = bench.container()

    async def main() -> None:
        with pytest.raises(NotFound):
            await exec_(client, "no-such-container", ["true"])
        with pytest.raises(NotFound):
            await attach(client, "no-such-container")
        with pytest.raises(APIError):
            await exec_(client, stopped, ["true"])

    run(main)


# Signals, and who leaves ---------------------------------------------------------------------------------------------


def test_signals_reach_it_and_its_children(client: Engine, box: Container, bench: Bench) -> None:
    async def main() -> None:
        trap = "trap 'echo usr1' USR1; trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.1; done"
        started = await exec_(client, box, ["sh", "-c", trap])
        await up(started)
        await started.send_signal(signal.SIGUSR1)
        assert await started.stdout.readline() == b"usr1\n"
        await started.terminate()
        assert await started.stdout.read() == b"bye\n"
        assert await started.wait() == 9
        started = await exec_(
            client, box, ["sh", "-c", "sleep 301 & sleep 302 & echo up; while :; do sleep 0.1; done"]
        )
        await up(started)
        await started.kill()
        assert await started.wait() == 137
        await until(
            lambda: not any("sleep 30" in each for each in bench.processes(box)), "the children to end"
        )

    run(main)


def test_a_process_is_killed_though_nobody_reads_its_output(client: Engine, box: Container) -> None:
    async def main() -> None:
        async with await exec_(client, box, ["yes"]) as started:
            await until(lambda: len(started.stdout._buffer) == 65536, "a full reader")
            await started.kill()
            while piece := await started.stdout.read(65536):
                assert piece.strip(b"y\n") == b""
            assert await started.wait() == 137

    run(main)


def test_a_block_that_is_left_early_leaves_the_process_and_no_connection(
    client: Engine, box: Container, bench: Bench
) -> None:
    async def main() -> None:
        async with await exec_(client, box, SLEEPER, stdin=True) as started:
            await up(started)
        assert started._transport.fileno() == -1
        assert started.exec_id is not None
        assert bench.exec_info(started.exec_id)["Running"]
        with pytest.raises(SessionLost):
            await started.wait()
        # It can be ended from here all the same.
        await started.kill()
        exec_id = started.exec_id
        await until(lambda: not bench.exec_info(exec_id)["Running"], "its end")

    run(main)


def test_a_start_that_is_given_up_leaves_no_process_whenever_that_is(
    client: Engine, box: Container, bench: Bench, transport: Transport
) -> None:
    chance = random.Random(5)

    async def main() -> None:
        for _ in range(5 if transport.is_slow else 25):
            starting = asyncio.ensure_future(exec_(client, box, ["sleep", "303"]))
            await asyncio.wait([starting], timeout=chance.uniform(0, 0.1))
            starting.cancel()
            try:
                await (await starting).kill()
            except asyncio.CancelledError:
                pass  # it had not started
        await until(lambda: not threads(), "the threads to end")
        assert not any("sleep 303" in each for each in bench.processes(box))

    run(main)


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("dockerpty")]


# Many ----------------------------------------------------------------------------------------------------------------


@pytest.mark.own_socket
@pytest.mark.parametrize("count", [100, 1000] if SOAK else [100])
def test_many_at_once_take_four_threads_and_leave_nothing(count: int, client: Engine, box: Container) -> None:
    async def main() -> None:
        before = set(os.listdir("/proc/self/fd"))
        command = ["sh", "-c", "cat; exit 5"]
        running = await asyncio.gather(*[exec_(client, box, command, stdin=True) for _ in range(count)])
        assert len(threads()) <= 4
        open_now = set(os.listdir("/proc/self/fd")) - before
        # One for each, one kept for each thread, and the end of the list itself.
        assert count <= len(open_now) <= count + 4 + 1
        texts = [b"%d\n" % number * 1000 for number in range(count)]
        got = await asyncio.gather(
            *[each.communicate(text) for each, text in zip(running, texts, strict=True)]
        )
        assert [out for out, _ in got] == texts
        assert [each.returncode for each in running] == [5] * count
        assert len({each.pid for each in running}) == count
        await until(lambda: not threads(), "the threads to end")
        assert len(set(os.listdir("/proc/self/fd")) - before) <= 1

    run(main)


@pytest.mark.own_socket
def test_descriptors_above_1024_are_as_good_as_others(client: Engine, box: Container) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    files = [open("/dev/null", "rb") for _ in range(1100)]  # noqa: SIM115  # closed below, all of them

    async def main() -> None:
        started = await exec_(client, box, ["cat"], stdin=True)
        assert started._transport.fileno() > 1024
        assert await started.communicate(b"high") == (b"high", b"")

    try:
        run(main)
    finally:
        for file in files:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Ends that nobody asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "remove"])
def test_a_container_that_goes_takes_its_processes_with_it(
    how: str, client: Engine, bench: Bench, transport: Transport
) -> None:
    container = bench.container("trap '' TERM; echo up; while :; do sleep 1; done", start=True)
    bench.wait_for_log(container, b"up")

    async def main() -> None:
        first = await attach(client, container)
        second = await up(await exec_(client, container, SLEEPER))
        if how == "kill":
            await asyncio.to_thread(container.kill)
        else:
            await asyncio.to_thread(container.remove, force=True)
        codes = [await first.wait(), await second.wait()]
        # Podman 4.3 may say of one that was removed that it has ended with 0.
        assert codes == [137, 137] or (transport.name, how, codes) == ("podman", "remove", [0, 137])

    run(main)


@pytest.mark.parametrize("cut", ["end", "reset"])
def test_a_connection_that_breaks_is_a_loss(cut: Any, proxy: Proxy, box: Container) -> None:
    proxy.on("POST", "/start$", cut_down=200_001, cut=cut)
    engine = from_environment(proxy.unix())

    async def main() -> None:
        started = await exec_(engine, id_of(box), ["yes"])
        with pytest.raises(SessionLost):
            await started.communicate()
        with pytest.raises(SessionLost):
            await started.wait()
        assert started.returncode is None

    run(main)
    engine.close()


def test_a_server_that_never_ends_the_stream_is_not_waited_for_for_ever(
    proxy: Proxy, box: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockerpty.process._SILENCE_S", 0.3)
    proxy.on("POST", "/start$", never_close=True)
    engine = from_environment(proxy.unix())

    async def main() -> None:
        started = await exec_(engine, id_of(box), ["sh", "-c", "echo all; exit 4"])
        assert await started.communicate() == (b"all\n", b"")
        assert started.returncode == 4

    run(main)
    engine.close()


# A container's first process -----------------------------------------------------------------------------------------


def test_one_that_is_attached_to_before_its_start_is_seen_whole(client: Engine, bench: Bench) -> None:
    made = [
        bench.container(f"seq 20000; echo {number} >&2; cat; exit 6", stdin_open=True) for number in range(3)
    ]

    async def session(number: int, container: Container) -> None:
        attached = await attach(client, container, stdin=True)
        await asyncio.to_thread(container.start)
        out, err = await attached.communicate(b"input")
        assert out == b"".join(b"%d\n" % line for line in range(1, 20001)) + b"input"
        assert (err, attached.returncode) == (b"%d\n" % number, 6)

    async def main() -> None:
        await asyncio.gather(*[session(*each) for each in enumerate(made)])

    run(main)


def test_one_that_removes_itself_leaves_its_code(client: Engine, bench: Bench) -> None:
    container = bench.container("echo up; sleep 0.2; exit 8", host={"auto_remove": True})

    async def main() -> None:
        attached = await attach(client, container)
        await asyncio.to_thread(container.start)
        assert await attached.communicate() == (b"up\n", b"")
        assert attached.returncode == 8

    run(main)


def test_one_that_runs_is_joined_and_left(client: Engine, bench: Bench, transport: Transport) -> None:
    container = bench.container(
        "echo up; while read line; do echo got $line; [ $line != end ] || exit 9; done",
        tty=True,
        stdin_open=True,
        start=True,
    )
    bench.wait_for_log(container, b"up")

    async def main() -> None:
        async with await attach(client, container.name, stdin=True) as attached:
            assert attached.container_id == container.id
            assert attached.stderr is None
            assert attached.stdin is not None
            attached.stdin.write(b"one\n")
            await attached.stdout.readuntil(b"got one\r\n")
        assert bench.is_running(container)
        attached = await attach(client, container, stdin=True, logs=True)
        assert attached.stdin is not None
        if transport.name != "podman":
            await attached.stdout.readuntil(b"got one\r\n")
        attached.stdin.write(b"end\n")
        await attached.stdout.readuntil(b"got end\r\n")
        assert await attached.wait() == 9

    run(main)


def test_one_is_signalled_by_the_engine(client: Engine, bench: Bench) -> None:
    container = bench.container("trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done", start=True)
    bench.wait_for_log(container, b"up")

    async def main() -> None:
        attached = await attach(client, container)
        assert attached.pid == bench.state(container)["Pid"]
        await attached.terminate()
        assert await attached.wait() == 9
        with pytest.raises(APIError, match="start it first"):
            await attach(client, container)

    run(main)


def test_one_without_an_input_is_not_given_one(client: Engine, box: Container) -> None:
    async def main() -> None:
        with pytest.raises(APIError, match="its stdin is closed"):
            await attach(client, box, stdin=True)

    run(main)


def test_a_docker_py_client_is_as_good_as_an_engine(judge: docker.DockerClient, box: Container) -> None:
    async def main() -> None:
        for client in (judge, judge.api):
            started = await exec_(client, {"Id": box.id}, "echo hello")
            assert await started.communicate() == (b"hello\n", b"")

    run(main)
