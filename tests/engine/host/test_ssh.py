from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import docker
import docker.errors
import pytest
from docker.models.containers import Container

from dockerpty import process
from dockerpty.errors import SessionLost
from dockerpty.host import (
    CommandFailed,
    DockerContainerHost,
    HostAuthError,
    HostClosedError,
    HostConnectionError,
    HostKeyError,
    JumpError,
    ParentError,
    SessionStartError,
    ShellCommand,
    SSHHost,
    SSHHostSync,
    Status,
    UnixHost,
)
from tests.bed import sshd
from tests.bed.engine import Bench, engine_url, id_of
from tests.bed.sshd import SshServer
from tests.bed.transports import Unavailable
from tests.bed.waiting import wait_for
from tests.conftest import missing, needs_root
from tests.unit.conftest import left_behind, open_descriptors

T = TypeVar("T")

pytestmark = pytest.mark.ssh


def made(directory: Path, *settings: str, **more: Any) -> SshServer:
    """Start a server, or skip."""
    try:
        return SshServer(directory, *settings, **more).start()
    except Unavailable as error:
        missing(f"sshd: {error}")
        raise


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[SshServer]:
    """A server with the usual settings, for tests that leave it as it is."""
    server = made(tmp_path_factory.mktemp("sshd"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def box(engine: docker.DockerClient) -> Iterator[Container]:
    """A container of the engine that the servers lead to, whatever the transport of the run."""
    bench = Bench(engine)
    yield bench.container(start=True)
    bench.close()


@pytest.fixture
def servers(tmp_path: Path, engine: docker.DockerClient) -> Iterator[Callable[..., SshServer]]:
    """Makes servers with settings of a test's own."""
    running: list[SshServer] = []

    def make(*settings: str, **more: Any) -> SshServer:
        running.append(made(tmp_path / f"sshd{len(running)}", *settings, **more))
        return running[-1]

    yield make
    for server in running:
        server.close()


@pytest.fixture(autouse=True)
def nobody_s_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no agent, and neither keys nor known hosts of who runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture(autouse=True)
def nothing_is_left(nobody_s_settings: None) -> Iterator[None]:
    """Fail a test that leaves a descriptor, a thread, or a directory of ours."""
    import tempfile

    def directories() -> set[str]:
        return {each for each in os.listdir(tempfile.gettempdir()) if each.startswith("dockerpty-")}

    before = open_descriptors(), set(threading.enumerate()), directories()
    yield
    gc.collect()
    assert left_behind(before[0], before[1]) == []
    assert directories() <= before[2]


@pytest.fixture(params=["asyncssh", "openssh"])
def either_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either client, for all hosts of the test."""
    monkeypatch.setattr(SshServer, "client", request.param)
    return str(request.param)


def within(work: Coroutine[Any, Any, T], seconds: float = 60) -> T:
    """Run on a loop of its own, in the mode that tells what was forgotten."""
    return asyncio.run(asyncio.wait_for(work, seconds), debug=True)


def commands(server: SshServer) -> str:
    """Give the command lines of all that runs in connections."""
    lines = []
    for pid in server.connections():
        with contextlib.suppress(OSError):  # it has ended
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return "\n".join(lines)


def ping(url: str) -> bool:
    """Ask an engine by docker-py."""
    client = docker.DockerClient(base_url=url, timeout=30)
    try:
        return bool(client.ping())
    finally:
        client.close()


async def output_of(url: str, container: Container, *command: str, input: bytes | None = None) -> bytes:
    """Run a command in a container, by the engine at an address."""
    client = docker.DockerClient(base_url=url, version="1.41")
    try:
        assert container.id
        made = await process.exec_(client, container.id, list(command), stdin=input is not None)
        async with made as running:
            out, _ = await running.communicate(input)
            return out
    finally:
        client.close()


# ---- the engine -----------------------------------------------------------------------------------------------------


def test_what_a_slow_reader_has_not_read_yet_is_not_kept_here(server: SshServer, box: Container) -> None:
    size = 60 * 1024 * 1024

    async def main() -> int:
        async with SSHHost(**server.way()) as host:
            client = docker.DockerClient(base_url=await host.engine(), version="1.41")
            assert box.id
            async with await process.exec_(client, box.id, ["head", "-c", str(size), "/dev/zero"]) as running:
                heard = len(await running.stdout.readexactly(1000))
                tracemalloc.start()
                while data := await running.stdout.read(64 * 1024):
                    heard += len(data)
                    await asyncio.sleep(0.001)
                peak = tracemalloc.get_traced_memory()[1]
                assert await running.wait() == 0
            client.close()
            assert heard == size
            return peak

    try:
        assert within(main()) < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("either_client")
def test_the_engine_answers_through_a_private_socket(server: SshServer, box: Container) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            url = await host.engine()
            path = url.removeprefix("unix://")
            assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
            assert await asyncio.to_thread(ping, url)
            assert await output_of(url, box, "echo", "far") == b"far\n"
            assert await host.engine() == url
        assert not os.path.exists(os.path.dirname(path))

    within(main())
    assert UnixHost is SSHHost


@pytest.mark.usefixtures("either_client")
def test_much_goes_through_the_socket_in_both_directions_and_arrives(
    server: SshServer, box: Container
) -> None:
    data = bytes(range(256)) * 4096 * 20

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            assert await output_of(await host.engine(), box, "cat", input=data) == data

    within(main())


def test_a_slow_reader_holds_up_what_is_read_and_loses_nothing(server: SshServer, box: Container) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            client = docker.DockerClient(base_url=await host.engine(), version="1.41")
            assert box.id
            command = (
                "i=0; while [ $i -lt 20 ]; do dd if=/dev/zero bs=1M count=1 2>/dev/null; i=$((i+1)); done"
            )
            async with await process.exec_(client, box.id, ["sh", "-c", command]) as running:
                heard = 0
                for _ in range(3):
                    heard += len(await running.stdout.readexactly(1000))
                    # Others are served while this one is not read.
                    assert await asyncio.to_thread(ping, await host.engine())
                heard += len(await running.stdout.read())
                assert await running.wait() == 0
            client.close()
            assert heard == 20 * 1024 * 1024

    within(main())


@pytest.mark.usefixtures("either_client")
def test_many_clients_at_once_are_served_and_leave_nothing_when_they_go(server: SshServer) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            path = (await host.engine()).removeprefix("unix://")
            before = len(open_descriptors())
            # More than sshd has sessions for.
            clients = [await asyncio.open_unix_connection(path) for _ in range(40)]
            for _, writer in clients:
                writer.write(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
            for reader, _ in clients:
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            assert len(open_descriptors()) >= before + 80
            for _, writer in clients:
                writer.close()
                await writer.wait_closed()
            await asyncio.to_thread(wait_for, lambda: len(open_descriptors()) <= before, 10, "their ends")

    within(main())


@pytest.mark.usefixtures("either_client")
def test_the_end_of_a_client_s_input_arrives_and_what_follows_comes_back(server: SshServer) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            path = (await host.engine()).removeprefix("unix://")
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            writer.write_eof()
            assert (await reader.read()).endswith(b"OK")
            writer.close()
            await writer.wait_closed()

    within(main())


def test_the_first_use_connects_once_however_many_there_are(servers: Callable[..., SshServer]) -> None:
    server = servers()

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            several = [host.engine() for _ in range(10)], [host.oneshot("echo x") for _ in range(5)]
            urls = await asyncio.gather(*several[0])
            statuses = await asyncio.gather(*several[1])
            assert len(set(urls)) == 1
            assert [each.output for each in statuses] == ["x"] * 5

    within(main())
    assert server.logins() == 1


def test_the_first_use_given_up_by_one_goes_on_for_the_others(server: SshServer) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            first = asyncio.create_task(host.engine())
            second = asyncio.create_task(host.engine())
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await asyncio.to_thread(ping, await second)

    within(main())


@pytest.mark.usefixtures("either_client")
def test_forwarding_refused_the_docker_command_over_there_is_used(
    servers: Callable[..., SshServer], box: Container
) -> None:
    server = servers("AllowStreamLocalForwarding no")
    data = b"x" * 1_000_000

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            url = await host.engine()
            assert await asyncio.to_thread(ping, url)
            assert await output_of(url, box, "cat", input=data) == data

    within(main())


def test_forwarding_refused_and_no_docker_command_there_says_what_sshd_needs(
    servers: Callable[..., SshServer], tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "id", "stat", "cat"):
        (tools / name).symlink_to(f"/bin/{name}" if os.path.exists(f"/bin/{name}") else f"/usr/bin/{name}")
    server = servers("AllowStreamLocalForwarding no", environment=f"PATH={tools}")

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            with pytest.raises(HostConnectionError, match="AllowStreamLocalForwarding yes"):
                await host.engine()

    within(main())


def test_an_engine_that_is_not_where_its_environment_says_is_told_with_docker_s_words(
    servers: Callable[..., SshServer],
) -> None:
    server = servers(environment=f"DOCKER_HOST=tcp://127.0.0.1:{sshd.free_port()}")

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            with pytest.raises(
                HostConnectionError, match=r"no socket is there.*dial-stdio says: .*127\.0\.0\.1"
            ):
                await host.engine()

    within(main())


@pytest.mark.usefixtures("either_client")
def test_one_session_at_most_is_enough(servers: Callable[..., SshServer]) -> None:
    server = servers("MaxSessions 1")

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            assert await asyncio.to_thread(ping, await host.engine())
            assert (await host.oneshot("echo a")).output == "a"
            longer = asyncio.create_task(host.oneshot("sleep 60"))
            await asyncio.to_thread(wait_for, lambda: "sleep 60" in commands(server), 10, "the command")
            with pytest.raises(SessionStartError, match="MaxSessions"):
                await host.oneshot("true")
            longer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await longer

    within(main())


@pytest.mark.usefixtures("either_client")
def test_no_session_at_all_leaves_the_engine(servers: Callable[..., SshServer]) -> None:
    server = servers("MaxSessions 0")

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            assert await asyncio.to_thread(ping, await host.engine())

    within(main())


@pytest.mark.usefixtures("either_client")
@pytest.mark.parametrize("forwarding", ["yes", "no"])
def test_a_login_shell_that_prints_noise_disturbs_nothing(
    servers: Callable[..., SshServer], tmp_path: Path, forwarding: str
) -> None:
    noisy = tmp_path / "noisy"
    noisy.write_text(
        "#!/bin/sh\nprintf 'Welcome!\\nHTTP/1.1 500 \\036no mark\\036'\necho Welcome >&2\n"
        'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    noisy.chmod(0o755)
    server = servers(f"ForceCommand {noisy}", f"AllowStreamLocalForwarding {forwarding}")

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            assert await asyncio.to_thread(ping, await host.engine())
            status = await host.oneshot("echo out; echo err >&2")
            assert (status.stdout, status.stderr) == (b"out\n", b"err\n")

    within(main())


def test_a_socket_that_is_named_is_the_one(server: SshServer, tmp_path: Path) -> None:
    async def main() -> None:
        path = engine_url().removeprefix("unix://")
        async with SSHHost(**server.way(engine_socket=f"unix://{path}")) as host:
            assert await asyncio.to_thread(ping, await host.engine())
        way = server.way(engine_socket=f"{tmp_path}/none.sock")
        async with SSHHost(**way) as host:
            with pytest.raises(HostConnectionError, match=r"none\.sock") as caught:
                await host.engine()
            assert caught.value.host == host.name

    within(main())


class Unprivileged(asyncssh.SSHServer):
    """Lets in who knows the password, and runs what it is told as nobody."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("guest", "right")


class Impatient(asyncssh.SSHServer):
    """Lets in nobody, and hangs up with words of its own."""

    def begin_auth(self, username: str) -> bool:
        raise asyncssh.ProtocolError("Too many authentication failures")


async def as_nobody(client: asyncssh.SSHServerProcess[bytes]) -> None:
    options: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    made = await asyncio.create_subprocess_exec(
        *("sh", "-c", client.command or ""),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        **options,
    )
    out, err = await made.communicate()
    client.stdout.write(out)
    if not client.get_terminal_type():
        client.stderr.write(err)
    client.exit(made.returncode or 0)


@contextlib.asynccontextmanager
async def asyncssh_server(tmp_path: Path, **options: Any) -> Any:
    """A server of asyncssh's; gives the arguments of a host."""
    key = sshd.generate(tmp_path / "asyncssh_key")
    async with asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(key)],
        process_factory=as_nobody,
        encoding=None,
        **{"server_factory": Unprivileged, **options},
    ) as acceptor:
        known = tmp_path / "asyncssh_known"
        public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        known.write_text(f"[127.0.0.1]:{acceptor.get_port()} {public}\n")
        yield {
            "host": "127.0.0.1",
            "port": acceptor.get_port(),
            "user": "guest",
            "password": "right",
            "known_hosts": str(known),
            "config": False,
            "agent": False,
        }


def test_a_socket_that_is_not_ours_to_use_names_the_group_to_join(tmp_path: Path) -> None:
    needs_root("can be somebody else over there")
    import grp
    import socket

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            path = "/tmp/" + tmp_path.name[-20:] + ".sock"
            listening.bind(path)
            try:
                os.chmod(path, 0o660)
                group = grp.getgrgid(os.stat(path).st_gid).gr_name
                async with asyncssh_server(tmp_path) as way, SSHHost(**way, engine_socket=path) as host:
                    with pytest.raises(HostConnectionError, match="permission denied") as caught:
                        await host.engine()
                    assert f"usermod -aG {group} nobody" in caught.value.hint
            finally:
                os.unlink(path)

    within(main())


# ---- who answers, and who asks --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either_client")
def test_host_f15_a_host_key_that_is_not_known_is_told_with_what_makes_it_known(
    server: SshServer, tmp_path: Path
) -> None:
    async def main() -> None:
        async with SSHHost(**server.way(known_hosts=str(tmp_path / "nobody"))) as host:
            with pytest.raises(HostKeyError, match="is not known") as caught:
                await host.engine()
            assert sshd.fingerprint(server.host_key) in caught.value.reason
            scan = f"ssh-keyscan -p {server.port} 127.0.0.1 >>{tmp_path}/nobody"
            assert caught.value.hint.endswith(scan)

    within(main())


def test_what_the_hint_for_an_unknown_key_says_makes_it_known(server: SshServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with SSHHost(**server.way(known_hosts="default")) as host:
            with pytest.raises(HostKeyError) as caught:
                await host.oneshot("true")
            (tmp_path / "home" / ".ssh").mkdir(exist_ok=True)
            command = caught.value.hint.partition("make it known: ")[2]
            subprocess.run(command, shell=True, check=True, capture_output=True)
            assert (await host.oneshot("echo in")).output == "in"

    within(main())


@pytest.mark.usefixtures("either_client")
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_host_f15_a_host_key_that_has_changed_is_told_with_what_forgets_the_old_one(
    servers: Callable[..., SshServer], tmp_path: Path, kind: str
) -> None:
    server = servers()
    server.knows(sshd.generate(tmp_path / "old", kind=kind))

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            with pytest.raises(HostKeyError, match="not the one that is known") as caught:
                await host.engine()
            command = caught.value.hint.partition("forget the old one: ")[2]
            subprocess.run(command, shell=True, check=True, capture_output=True)
            with pytest.raises(HostKeyError, match="is not known"):
                await host.engine()

    within(main())


@pytest.mark.usefixtures("either_client")
def test_host_keys_are_not_verified_only_when_told_and_that_is_warned_of_once(
    server: SshServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with SSHHost(**server.way(known_hosts=None)) as host:
            assert (await host.oneshot("echo in")).output == "in"
            host.rebuild_connections()
            assert (await host.oneshot("echo in")).output == "in"

    within(main())
    warnings = [
        each
        for each in caplog.records
        if each.name == "dockerpty.host.ssh.host" and each.levelname == "WARNING"
    ]
    assert len(warnings) == 1
    assert "not verified" in warnings[0].getMessage()


def test_no_file_of_known_hosts_in_the_configuration_is_not_trust(server: SshServer, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host *\n  UserKnownHostsFile none\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking no\n"
    )

    async def main() -> None:
        async with SSHHost(**server.way(known_hosts="default", config=config)) as host:
            with pytest.raises(HostKeyError):
                await host.oneshot("true")

    within(main())


@pytest.mark.usefixtures("either_client")
def test_a_wrong_key_is_not_let_in(server: SshServer, tmp_path: Path) -> None:
    wrong = sshd.generate(tmp_path / "wrong")

    async def main() -> None:
        async with SSHHost(**server.way(client_keys=wrong)) as host:
            with pytest.raises(HostAuthError, match=server.user):
                await host.engine()
        async with SSHHost(**server.way(client_keys=tmp_path / "none")) as host:
            with pytest.raises(HostAuthError, match=r"no such private key.*none"):
                await host.engine()

    within(main())


def test_an_encrypted_key_needs_its_passphrase(servers: Callable[..., SshServer], tmp_path: Path) -> None:
    server = servers()
    key = sshd.generate(tmp_path / "locked", passphrase="open sesame")
    with (server.directory / "authorized").open("a") as authorized:
        authorized.write(key.with_suffix(".pub").read_text())

    async def main() -> None:
        async with SSHHost(**server.way(client_keys=[key], passphrase="open sesame")) as host:
            assert (await host.oneshot("echo in")).output == "in"
        for passphrase in (None, "wrong secret"):
            async with SSHHost(**server.way(client_keys=[key], passphrase=passphrase)) as host:
                with pytest.raises(HostAuthError, match="passphrase=") as caught:
                    await host.engine()
                assert "wrong secret" not in str(caught.value)

    within(main())


def test_a_password_lets_in_if_it_is_right(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncssh_server(tmp_path) as way:
            async with SSHHost(**way) as host:
                assert (await host.oneshot("echo in")).output == "in"
            async with SSHHost(**{**way, "password": "wrong secret"}) as host:
                with pytest.raises(HostAuthError, match="password") as caught:
                    await host.oneshot("echo in")
                assert "wrong secret" not in str(caught.value)

    within(main())


def test_who_is_refused_for_trying_too_many_keys_is_told_that_it_is_about_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncssh_server(tmp_path, server_factory=Impatient) as way, SSHHost(**way) as host:
            with pytest.raises(HostAuthError, match="authentication failures"):
                await host.oneshot("true")

    within(main())


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """An agent, in the environment of this process; adds keys."""
    path = f"/tmp/agent-{os.getpid()}.sock"
    started = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(path), 10, "the agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", path)

    def add(key: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)

    yield add
    started.terminate()
    started.wait(10)
    with contextlib.suppress(FileNotFoundError):  # it tidied up itself
        os.unlink(path)


@pytest.mark.usefixtures("either_client")
def test_the_agent_s_keys_are_used_if_they_may_be_and_it_is_never_forwarded(
    server: SshServer, tmp_path: Path, agent: Callable[[Path], None]
) -> None:
    agent(server.key)
    config = tmp_path / "config"
    config.write_text("Host *\n  ForwardAgent yes\n")

    async def main() -> None:
        way = server.way(client_keys=None, config=config)
        async with SSHHost(**{**way, "agent": True}) as host:
            assert (await host.oneshot('echo "in $SSH_AUTH_SOCK"')).output == "in "
        async with SSHHost(**way) as host:
            with pytest.raises(HostAuthError):
                await host.engine()

    within(main())


def test_an_alias_of_the_configuration_is_followed(server: SshServer, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host far\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {server.key}\n  UserKnownHostsFile {tmp_path}/missing {server.known_hosts}\n"
    )

    async def main() -> None:
        async with SSHHost("far", config=str(config)) as host:
            assert host.id == "far"
            assert await asyncio.to_thread(ping, await host.engine())

    within(main())


def test_an_address_like_docker_s_is_followed(server: SshServer) -> None:
    path = engine_url().removeprefix("unix://")

    async def main() -> None:
        way = server.way()
        del way["port"], way["user"]
        way["host"] = f"ssh://{server.user}@127.0.0.1:{server.port}{path}"
        async with SSHHost(**way, name="Build") as host:
            assert (host.id, host.name) == ("Build", "Build")
            assert await asyncio.to_thread(ping, await host.engine())

    within(main())


# ---- hosts on the way -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either_client")
def test_a_host_on_the_way_is_passed_and_its_connection_shared(servers: Callable[..., SshServer]) -> None:
    gate, one, other = servers(), servers(), servers()

    async def main() -> None:
        async with (
            SSHHost(**gate.way(), name="gate") as jump,
            SSHHost(**one.way(jump=jump)) as first,
            SSHHost(**other.way(jump=jump)) as second,
        ):
            urls = await asyncio.gather(first.engine(), second.engine())
            for url in urls:
                assert await asyncio.to_thread(ping, url)
            await first.close()
            assert await asyncio.to_thread(ping, urls[1])
            assert (await jump.oneshot("echo gate")).output == "gate"

    within(main())
    assert (gate.logins(), one.logins(), other.logins()) == (1, 1, 1)


def known_of(tmp_path: Path, *servers: SshServer) -> str:
    """Give a file in which several servers are known, and let one key into all."""
    for other in servers[1:]:
        with (other.directory / "authorized").open("a") as authorized:
            authorized.write(servers[0].key.with_suffix(".pub").read_text())
    known = tmp_path / "known"
    known.write_text("".join(each.known_hosts.read_text() for each in servers))
    return str(known)


def test_hosts_on_the_way_are_named_as_ssh_does_or_by_the_configuration(
    servers: Callable[..., SshServer], tmp_path: Path
) -> None:
    target, first, second = servers(), servers(), servers()
    known = known_of(tmp_path, target, first, second)
    way = ",".join(f"{each.user}@127.0.0.1:{each.port}" for each in (first, second))
    config = tmp_path / "config"
    config.write_text(f"Host far\n  HostName 127.0.0.1\n  Port {target.port}\n  ProxyJump {way}\n")

    async def main() -> None:
        async with SSHHost(**target.way(known_hosts=known, jump=way)) as host:
            assert await asyncio.to_thread(ping, await host.engine())
        more = target.way(known_hosts=known, config=config)
        del more["host"], more["port"]
        async with SSHHost("far", **more) as host:
            assert await asyncio.to_thread(ping, await host.engine())

    within(main())
    assert (first.logins(), second.logins(), target.logins()) == (2, 2, 2)


@pytest.mark.usefixtures("either_client")
def test_what_goes_wrong_on_the_way_names_the_hop(servers: Callable[..., SshServer], tmp_path: Path) -> None:
    gate, target = servers(), servers()

    async def main() -> None:
        async with (
            SSHHost(**gate.way(known_hosts=[]), name="gate") as jump,
            SSHHost(**target.way(jump=jump)) as host,
        ):
            with pytest.raises(JumpError, match="gate, which is on the way") as caught:
                await host.engine()
            assert caught.value.hop == "gate"
            assert isinstance(caught.value.__cause__, HostKeyError)
        async with (
            SSHHost(**gate.way(), name="gate") as jump,
            SSHHost(**target.way(jump=jump, port=sshd.free_port())) as host,
        ):
            with pytest.raises(JumpError, match="gate does not lead there") as caught:
                await host.engine()
            assert caught.value.hop == "gate"
        async with (
            SSHHost(**gate.way(), name="gate") as jump,
            SSHHost(**target.way(jump=jump, known_hosts=[])) as host,
        ):
            with pytest.raises(HostKeyError) as unknown:
                await host.engine()
            assert (
                f"ssh -p {gate.port} {gate.user}@127.0.0.1 ssh-keyscan -p {target.port}" in unknown.value.hint
            )

    within(main())


# ---- lost connections -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either_client")
def test_nobody_there_is_told_at_once(server: SshServer) -> None:
    async def main() -> None:
        async with SSHHost(**server.way(port=sshd.free_port())) as host:
            began = time.monotonic()
            with pytest.raises(HostConnectionError, match=r"refused|Connect call failed"):
                await host.engine()
            assert time.monotonic() - began < 5

    within(main())


@pytest.mark.usefixtures("either_client")
def test_who_takes_connections_and_says_nothing_is_given_up(server: SshServer) -> None:
    import socket

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            way = server.way(port=silent.getsockname()[1], connect_timeout=0.5)
            async with SSHHost(**way) as host:
                with pytest.raises(HostConnectionError, match=r"did not answer within 0\.5 s"):
                    await host.engine()

    within(main())


@pytest.mark.usefixtures("either_client")
def test_after_a_drop_the_next_client_of_the_socket_connects_again(servers: Callable[..., SshServer]) -> None:
    server = servers()

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            url = await host.engine()
            longer = asyncio.create_task(host.oneshot("echo begun; sleep 60"))
            await asyncio.to_thread(wait_for, lambda: "sleep 60" in commands(server), 10, "the command")
            while not longer.done():
                server.signal_connections(signal.SIGKILL)
                await asyncio.wait([longer], timeout=0.2)
            status = await longer
            assert (status.status, status.retcode, status.session_lost) == (Status.Error, -1, True)
            assert "lost" in status.error
            assert await asyncio.to_thread(ping, url)
            assert await host.engine() == url
            assert (await host.oneshot("echo back")).output == "back"

    within(main())
    assert server.logins() == 2


@pytest.mark.usefixtures("either_client")
def test_a_process_whose_connection_is_dropped_is_lost_and_has_not_ended(
    servers: Callable[..., SshServer], box: Container
) -> None:
    server = servers()

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            client = docker.DockerClient(base_url=await host.engine(), version="1.41")
            command = ["sh", "-c", "echo begun; exec sleep 60"]
            async with await process.exec_(client, id_of(box), command) as running:
                assert await running.stdout.readline() == b"begun\n"
                server.signal_connections(signal.SIGKILL)
                with pytest.raises(SessionLost):
                    await running.wait()
            assert await output_of(await host.engine(), box, "echo", "next") == b"next\n"
            client.close()

    within(main())


@pytest.mark.usefixtures("either_client")
@pytest.mark.parametrize("how", ["close", "rebuild"])
def test_a_host_that_goes_before_what_runs_through_it_keeps_nobody_waiting(
    server: SshServer, box: Container, how: str
) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            client = docker.DockerClient(base_url=await host.engine(), version="1.41")
            command = ["sh", "-c", "echo begun; exec sleep 60"]
            running = await process.exec_(client, id_of(box), command)
            assert await running.stdout.readline() == b"begun\n"
            longer = asyncio.create_task(host.oneshot("sleep 60"))
            await asyncio.to_thread(wait_for, lambda: "sleep 60" in commands(server), 10, "the command")
            if how == "close":
                await host.close()
            else:
                host.rebuild_connections()
            with pytest.raises(SessionLost):
                await asyncio.wait_for(running.wait(), 10)
            assert (await asyncio.wait_for(longer, 10)).session_lost
            client.close()

    within(main())


@pytest.mark.parametrize("how", ["close", "drop"])
def test_host_f25_a_container_whose_way_is_gone_waits_for_nothing(
    servers: Callable[..., SshServer], box: Container, tmp_path: Path, how: str
) -> None:
    server = servers()
    much = tmp_path / "much"
    much.write_bytes(b"x" * 100_000_000)

    async def main() -> None:
        async with SSHHost(**server.way()) as parent:
            host = DockerContainerHost(parent, id_of(box))
            begun = asyncio.Event()
            running = asyncio.create_task(host.run("echo begun; sleep 60", on_output=lambda *_: begun.set()))
            await begun.wait()
            moved = asyncio.Event()
            putting = asyncio.create_task(host.put(much, "/tmp/f25", progress=lambda *_: moved.set()))
            await moved.wait()
            if how == "close":
                await parent.close()
            else:
                server.signal_connections(signal.SIGKILL)
            status = (await asyncio.wait_for(running, 10)).only
            # The shell's own code is known only where there is a way again to ask for it.
            assert status.status is Status.Error
            assert how == "drop" or status.retcode == -1
            ok = False
            with contextlib.suppress(HostConnectionError, HostClosedError):  # then it is not told as done
                ok = (await asyncio.wait_for(putting, 10)).ok
            if how == "drop":
                there = (await host.run("wc -c </tmp/f25/much; rm -rf /tmp/f25")).only.output
                # Begun anew over the next connection, or not all of it.
                assert (there.strip() == "100000000") or not ok
            await asyncio.wait_for(host.close(), 10)

    within(main())


def test_two_machines_are_served_at_once(servers: Callable[..., SshServer], box: Container) -> None:
    one, other = servers(), servers()

    async def main() -> None:
        async with SSHHost(**one.way()) as first, SSHHost(**other.way()) as second:
            urls = await asyncio.gather(first.engine(), second.engine())
            assert urls[0] != urls[1]
            await first.close()
            assert await output_of(urls[1], box, "echo", "still") == b"still\n"

    within(main())


def test_a_far_side_that_is_started_anew_is_waited_for(servers: Callable[..., SshServer]) -> None:
    server = servers()

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            url = await host.engine()
            server.close()
            asking = asyncio.create_task(asyncio.to_thread(ping, url))
            done, _ = await asyncio.wait([asking], timeout=1)
            assert not done
            server.start()
            assert await asking

    within(main())


def test_a_far_side_that_does_not_come_back_is_an_error_after_the_time_to_connect(
    servers: Callable[..., SshServer],
) -> None:
    server = servers()

    async def main() -> None:
        async with SSHHost(**server.way(connect_timeout=1)) as host:
            url = await host.engine()
            server.close()
            with pytest.raises(docker.errors.DockerException):
                await asyncio.to_thread(ping, url)
            with pytest.raises(HostConnectionError):
                await host.engine()

    within(main())


@pytest.mark.usefixtures("either_client")
def test_a_far_side_that_falls_silent_is_noticed(servers: Callable[..., SshServer]) -> None:
    server = servers()

    async def main() -> None:
        async with SSHHost(**server.way(keepalive=1)) as host:
            url = await host.engine()
            longer = asyncio.create_task(host.oneshot("sleep 60"))
            await asyncio.to_thread(wait_for, lambda: "sleep 60" in commands(server), 10, "the command")
            server.signal_connections(signal.SIGSTOP)
            status = await asyncio.wait_for(longer, 20)
            assert status.session_lost
            # The one that listens was not stopped.
            assert await asyncio.to_thread(ping, url)

    within(main())


@pytest.mark.usefixtures("either_client")
def test_after_the_loop_ended_the_host_is_rebuilt_and_used_on_another(
    server: SshServer, box: Container
) -> None:
    host = SSHHost(**server.way())

    async def use() -> str:
        url = await host.engine()
        assert await asyncio.to_thread(ping, url)
        return url

    first = within(use())
    host.rebuild_connections()
    host.rebuild_connections()
    assert within(use()) == first
    # Also without: what belonged to the first loop ended with it.
    assert within(use()) == first
    host.retire()


@pytest.mark.usefixtures("either_client")
def test_a_host_is_rebuilt_from_another_thread_while_its_loop_runs(servers: Callable[..., SshServer]) -> None:
    server = servers()

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            url = await host.engine()
            longer = asyncio.create_task(host.oneshot("sleep 60"))
            await asyncio.to_thread(wait_for, lambda: "sleep 60" in commands(server), 10, "the command")
            thread = threading.Thread(target=host.rebuild_connections)
            thread.start()
            status = await asyncio.wait_for(longer, 20)
            thread.join()
            assert status.session_lost
            assert await host.engine() == url
            assert await asyncio.to_thread(ping, url)
            await asyncio.to_thread(wait_for, lambda: server.logins() == 2, 10)

    within(main())


def test_who_waits_for_a_connection_that_is_dropped_meanwhile_is_told(server: SshServer) -> None:
    import socket

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with SSHHost(**server.way(port=silent.getsockname()[1])) as host:
                asking = asyncio.create_task(host.engine())
                await asyncio.sleep(0.1)
                host.rebuild_connections()
                with pytest.raises(HostConnectionError, match="closed here"):
                    await asking

    within(main())


def test_a_host_in_use_on_a_loop_that_runs_is_not_taken_to_another(server: SshServer) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            await host.engine()
            with pytest.raises(RuntimeError, match="rebuild_connections"):
                await asyncio.to_thread(lambda: asyncio.run(host.engine()))

    within(main())


def test_a_closed_host_is_closed_for_good_and_closing_is_idempotent(server: SshServer) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        host = SSHHost(**server.way())
        await host.engine()
        assert asyncio.all_tasks() > before
        await host.close()
        await host.aclose()
        assert asyncio.all_tasks() == before
        for work in (host.engine, lambda: host.oneshot("true")):
            with pytest.raises(HostClosedError, match="closed"):
                await work()

    within(main())


@pytest.mark.usefixtures("either_client")
def test_closing_does_not_wait_for_who_does_not_answer(servers: Callable[..., SshServer]) -> None:
    server = servers()

    async def main() -> None:
        host = SSHHost(**server.way(keepalive=0))
        await host.engine()
        server.signal_connections(signal.SIGSTOP)
        began = time.monotonic()
        await host.close()
        assert time.monotonic() - began < 5

    within(main())


@pytest.mark.usefixtures("either_client")
@pytest.mark.parametrize("face", ["async", "sync"])
def test_at_exit_the_private_socket_is_removed(server: SshServer, tmp_path: Path, face: str) -> None:
    program = (
        "import asyncio, os, sys\n"
        "from dockerpty.host import SSHHost, SSHHostSync\n"
        f"way = {server.way()!r}\n"
        + (
            "async def main():\n    print(await SSHHost(**way).engine())\nasyncio.run(main())\n"
            if face == "async"
            else "host = SSHHostSync(**way)\nprint(host.engine())\n"
        )
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not os.path.exists(os.path.dirname(done.stdout.strip().removeprefix("unix://")))


def test_without_asyncssh_it_is_said_what_to_install(
    server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            with pytest.raises(HostConnectionError, match=r"dockerpty\[ssh\]"):
                await host.engine()

    within(main())


def test_asyncssh_is_loaded_by_the_first_connection_only() -> None:
    program = (
        "import sys\nfrom dockerpty.host import SSHHost\nSSHHost('x')\nassert 'asyncssh' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


# ---- the machine itself ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either_client")
def test_a_command_on_the_machine_has_its_streams_and_its_code(server: SshServer, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_bytes(b"of a file")
    heard: list[tuple[int, bytes]] = []

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            status = await host.oneshot(
                "printf 'a\\377'; echo b >&2; exit 3", on_output=lambda *each: heard.append(each)
            )
            assert (status.stdout, status.stderr, status.retcode) == (b"a\xff", b"b\n", 3)
            assert status.status is Status.Failed
            assert sorted(heard) == [(1, b"a\xff"), (2, b"b\n")]
            assert (await host.oneshot(["printf", "%s|", "a b", "$HOME", "it's"])).output == "a b|$HOME|it's|"
            assert (await host.oneshot("echo o; echo e >&2; echo p", merge=True)).stdout == b"o\ne\np\n"
            assert (await host.oneshot("cat")).stdout == b""
            for stdin in ("text", b"text", io.BytesIO(b"text")):
                assert (await host.oneshot("cat", stdin=stdin)).stdout == b"text"
            assert (await host.oneshot("cat", stdin=source)).stdout == b"of a file"
            with pytest.raises(FileNotFoundError):
                await host.oneshot("cat", stdin=tmp_path / "missing")
            many = bytes(range(256)) * 20_000
            assert (await host.oneshot("cat", stdin=many)).stdout == many
            assert (await host.oneshot("true", stdin=many)).ok
            status = await host.oneshot("pwd; echo $A", workdir="/usr", env={"A": "b  c"})
            assert status.output == "/usr\nb c"
            assert (await host.oneshot("kill -TERM $$")).signal == signal.SIGTERM
            assert (await host.oneshot(["no-such-program"])).retcode == 127
            with pytest.raises(CommandFailed):
                await host.oneshot("false", check=True)
            with pytest.raises(ValueError, match="NUL"):
                await host.oneshot("a\0b")
            with pytest.raises(ValueError, match="time"):
                await host.oneshot("true", 0)

    within(main())


def alive(pid: str) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.usefixtures("either_client")
def test_a_command_whose_time_is_over_is_ended_over_there_with_what_it_started(server: SshServer) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            status = await host.oneshot("echo $$; sleep 777 & echo $!; trap '' TERM HUP INT; wait", 1)
            assert (status.timed_out, status.retcode, status.status) == (True, -1, Status.Error)
            for pid in status.output.split():
                await asyncio.to_thread(wait_for, lambda pid=pid: not alive(pid), 10, "its end")

    within(main())


@pytest.mark.usefixtures("either_client")
def test_a_command_that_is_cancelled_is_ended_over_there(server: SshServer) -> None:
    pids: list[bytes] = []

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            began = asyncio.Event()

            def heard(stream: int, data: bytes) -> None:
                pids.append(data.strip())
                began.set()

            running = asyncio.create_task(host.oneshot("echo $$; exec sleep 777", on_output=heard))
            await began.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await asyncio.to_thread(wait_for, lambda: not alive(pids[0].decode()), 10, "its end")
            assert (await host.oneshot("echo next")).output == "next"

    within(main())


@pytest.mark.usefixtures("either_client")
def test_a_command_that_the_end_of_the_loop_cuts_short_is_ended_over_there(server: SshServer) -> None:
    pids: list[bytes] = []

    async def main() -> None:
        host = SSHHost(**server.way())
        began = asyncio.Event()

        def heard(stream: int, data: bytes) -> None:
            pids.append(data.strip())
            began.set()

        running = asyncio.create_task(host.oneshot("echo $$; exec sleep 777", on_output=heard))
        await began.wait()
        assert not running.done()

    within(main())
    wait_for(lambda: not alive(pids[0].decode()), 10, "its end")


def test_commands_run_one_after_the_other_and_keep_no_state(server: SshServer) -> None:
    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            result = await host.run(
                ["cd /usr; A=1; false", ShellCommand("pwd; echo $A", timeout=5), "exit 2"]
            )
            assert [each.retcode for each in result] == [1, 0, 2]
            assert not result[1].output.startswith("/usr")
            assert (await host.run("echo one")).only.output == "one"
            stopped = await host.run(["false", "echo never"], stop_on_error=True)
            assert stopped[1].skipped
            late = await host.run(["sleep 60", "echo never"], timeout=1)
            assert (late[0].timed_out, late[1].skipped, late[1].status) == (True, True, Status.Error)
            with pytest.raises(CommandFailed):
                await host.run(["true", "false"], check=True)
            with pytest.raises(ParentError, match="stdin="):
                await host.run("read x", [("?", "y")])

    within(main())


def test_files_and_directories_go_there_and_come_back(server: SshServer, tmp_path: Path) -> None:
    tree, one, far, here = tmp_path / "tree", tmp_path / "one", tmp_path / "far" / "deep", tmp_path / "here"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_bytes(b"in the tree")
    (tree / "link").symlink_to("sub/file")
    one.write_bytes(b"x" * 300_000)
    one.chmod(0o640)

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            sent = await host.put([tree, str(one), tmp_path / "missing"], str(far))
            assert [each.status for each in sent.files] == [Status.Success, Status.Success, Status.Failed]
            assert sent.files[1].bytes == 300_000
            assert "missing" in sent.message
            assert (far / "tree" / "sub" / "file").read_bytes() == b"in the tree"
            assert os.readlink(far / "tree" / "link") == "sub/file"
            assert (far / "one").stat().st_mode & 0o777 == 0o640
            kept = await host.put(one, str(far), overwrite=False)
            assert (kept.status, kept.files[0].status) == (Status.Success, Status.Skipped)
            await host.put(one, str(far), mode="600")
            assert (far / "one").stat().st_mode & 0o777 == 0o600
            got = await host.get([f"{far}/tree", f"{far}/one", f"{far}/missing"], here)
            assert [each.status for each in got.files] == [Status.Success, Status.Success, Status.Failed]
            assert (here / "tree" / "link").read_bytes() == b"in the tree"
            assert (here / "one").read_bytes() == one.read_bytes()
            assert sorted(os.listdir(here)) == ["one", "tree"]
            assert sorted(os.listdir(far)) == ["one", "tree"]
            with pytest.raises(ValueError, match="called 'file'"):
                await host.get(["/a/file", "/b/file"], here)
            status, message = await host.put(one, str(one))
            assert status is Status.Failed
            assert message

    within(main())


@pytest.mark.usefixtures("either_client")
def test_a_command_that_the_far_side_did_not_run_is_no_success(servers: Callable[..., SshServer]) -> None:
    server = servers("ForceCommand echo only this >&2")

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            with pytest.raises(SessionStartError, match="no session was opened: only this"):
                await host.oneshot("echo mine")

    within(main())


def test_a_place_for_temporary_files_may_have_a_long_name(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * (80 - len(str(tmp_path)) - 1))
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            assert await asyncio.to_thread(ping, await host.engine())

    within(main())


# ---- by the system's ssh --------------------------------------------------------------------------------------------


@pytest.fixture
def system_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all hosts of the test come by the system's ssh."""
    monkeypatch.setattr(SshServer, "client", "openssh")


@pytest.mark.usefixtures("system_ssh")
def test_the_system_s_ssh_ends_with_a_program_that_is_killed(servers: Callable[..., SshServer]) -> None:
    server = servers()
    program = (
        "import os, signal\n"
        "from dockerpty.host import SSHHostSync\n"
        f"print(SSHHostSync(**{server.way()!r}).engine(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    directory = os.path.dirname(done.stdout.strip().removeprefix("unix://"))
    try:
        wait_for(lambda: not server.connections(), 10, "the end of its connection")
    finally:
        shutil.rmtree(directory)


@pytest.mark.usefixtures("system_ssh")
def test_the_system_s_ssh_reads_its_own_configuration(server: SshServer, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host far\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {server.key}\n  UserKnownHostsFile {server.known_hosts}\n"
        "  LocalForward 127.0.0.1:1 127.0.0.1:1\n  RemoteCommand false\n  RequestTTY force\n"
    )

    async def main() -> None:
        async with SSHHost("far", config=str(config), ssh_client="openssh") as host:
            assert await asyncio.to_thread(ping, await host.engine())
            assert (await host.oneshot("echo in")).output == "in"

    within(main())


@pytest.mark.usefixtures("system_ssh")
def test_without_the_system_s_ssh_it_is_said_what_to_install(
    server: SshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            with pytest.raises(HostConnectionError, match="install openssh-client"):
                await host.engine()

    within(main())


@pytest.mark.usefixtures("system_ssh")
def test_what_the_system_s_ssh_cannot_do_is_said(server: SshServer, tmp_path: Path) -> None:
    for secret in ("password", "passphrase"):
        with pytest.raises(ValueError, match="agent"):
            SSHHost(**server.way(**{secret: "open sesame"}))
    with pytest.raises(ValueError, match="another ssh_client"):
        SSHHost(**server.way(jump=SSHHost("gate")))
    with pytest.raises(ValueError, match="'asyncssh' or 'openssh'"):
        SSHHost(**server.way(ssh_client="telnet"))

    async def main() -> None:
        async with SSHHost(**server.way()) as host:
            with pytest.raises(ParentError, match="only commands run there"):
                await host.put(tmp_path, "/tmp")

    within(main())


# ---- the blocking face ----------------------------------------------------------------------------------------------


def test_the_blocking_face_does_the_same(server: SshServer, tmp_path: Path, box: Container) -> None:
    with SSHHostSync(**server.way()) as host:
        url = host.engine()
        client = docker.DockerClient(base_url=url)
        assert client.ping()
        assert client.containers.get(id_of(box)).exec_run("echo far").output == b"far\n"
        client.close()
        assert host.oneshot("echo a").output == "a"
        assert [each.output for each in host.run(["echo a", "echo b"])] == ["a", "b"]
        (tmp_path / "file").write_bytes(b"x")
        assert host.put(tmp_path / "file", str(tmp_path / "far"))
        assert host.get(tmp_path / "far" / "file", tmp_path / "here")
        [thread] = [each for each in threading.enumerate() if each.name.startswith("dockerpty-ssh-")]
        assert thread.daemon
        host.rebuild_connections()
        assert host.engine() == url
        assert ping(url)
    host.close()
    with pytest.raises(HostClosedError):
        host.engine()
    assert not thread.is_alive()


def test_the_blocking_face_has_the_same_methods_with_the_same_arguments() -> None:
    for name in (
        "engine",
        "oneshot",
        "exec",
        "run",
        "put",
        "get",
        "rebuild_connections",
        "close",
        "__init__",
    ):
        ours, theirs = (inspect.signature(getattr(face, name)) for face in (SSHHost, SSHHostSync))
        assert list(ours.parameters) == list(theirs.parameters)
        for parameter in ours.parameters:
            assert ours.parameters[parameter].default == theirs.parameters[parameter].default
            assert ours.parameters[parameter].kind == theirs.parameters[parameter].kind


def test_blocking_hosts_share_the_thread_of_the_one_on_the_way(servers: Callable[..., SshServer]) -> None:
    gate, target = servers(), servers()
    jump = SSHHostSync(**gate.way())
    with SSHHostSync(**target.way(jump=jump)) as host:
        assert ping(host.engine())
        assert len([each for each in threading.enumerate() if each.name.startswith("dockerpty-ssh-")]) == 1
        jump.close()
        # Its thread goes on for the other one, whose way is gone.
        with pytest.raises(JumpError, match="closed"):
            host.engine()


def test_many_threads_share_a_blocking_host(servers: Callable[..., SshServer]) -> None:
    server = servers("MaxSessions 20")
    with SSHHostSync(**server.way()) as host:
        heard: list[str] = []
        threads = [
            threading.Thread(target=lambda i=i: heard.append(host.oneshot(f"echo {i}").output))
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(heard) == sorted(str(i) for i in range(8))
    assert server.logins() == 1


@pytest.mark.usefixtures("either_client")
def test_ctrl_c_ends_what_a_blocking_call_waits_for(server: SshServer) -> None:
    program = (
        "import os, signal\n"
        "from dockerpty.host import SSHHostSync\n"
        f"host = SSHHostSync(**{server.way()!r})\n"
        "def heard(stream, data):\n"
        "    print(data.decode(), end='', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "try:\n"
        "    host.oneshot('echo $$; exec sleep 777', on_output=heard)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', host.oneshot('echo next').output, flush=True)\n"
        "host.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, rest = done.stdout.partition("\n")
    assert rest == "interrupted next\n"
    wait_for(lambda: not alive(pid), 10, "the end of the command")


def test_a_tar_is_put_through_the_socket(server: SshServer, box: Container) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("much")
        entry.size = 8 * 1024 * 1024
        archive.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    with SSHHostSync(**server.way()) as host:
        client = docker.DockerClient(base_url=host.engine())
        assert client.containers.get(id_of(box)).put_archive("/tmp", packed.getvalue())
        assert client.containers.get(id_of(box)).exec_run("wc -c /tmp/much").output == b"8388608 /tmp/much\n"
        client.containers.get(id_of(box)).exec_run("rm /tmp/much")
        client.close()
