"""The blocking face of an SSH host: its connection lives on a thread with an event loop of its own.

The one thread of this layer that nobody asked for: a connection has to be served while nobody calls. It serves the
private socket, and all that is above that socket does not know.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from dockerpty.host.errors import HostClosedError
from dockerpty.host.ssh.host import SSHHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LoopThread", "SSHHostSync"]

P = ParamSpec("P")
T = TypeVar("T")

#: For what was interrupted to be ended over there, before the interruption goes on its way here.
_INTERRUPTION_S = 5.0


class LoopThread:
    """A daemon thread with an event loop, started at its first use and ended when its last holder lets go.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._holders = 1
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None

    @property
    def runs(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._thread is not None and self._thread.is_alive()

    def hold(self) -> LoopThread:
        """Count one holder more."""
        with self._lock:
            self._holders += 1
        return self

    def release(self) -> None:
        """Count one holder less; with the last one the thread ends, and is waited for."""
        with self._lock:
            self._holders -= 1
            if self._holders > 0 or self._thread is None:
                return
            thread, self._thread = self._thread, None
            assert self._loop is not None
            assert self._over is not None
            self._loop.call_soon_threadsafe(self._over.set)
        if thread is not threading.current_thread():
            thread.join()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Have a coroutine run there, and wait for it; what interrupts the wait cancels it."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError(
                "a blocking call waits for the thread that it is made on: call it on another one"
            )
        future = asyncio.run_coroutine_threadsafe(
            self._told(coroutine, done := threading.Event()), self._started()
        )
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError("the thread of this host has ended") from None
        except KeyboardInterrupt:
            future.cancel()
            done.wait(_INTERRUPTION_S)
            raise

    async def _told(self, coroutine: Coroutine[Any, Any, T], done: threading.Event) -> T:
        try:
            return await coroutine
        finally:
            done.set()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if not self.runs:
                ready = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(ready,), name=self.name, daemon=True)
                self._thread.start()
                ready.wait()
            assert self._loop is not None
            return self._loop

    def _run(self, ready: threading.Event) -> None:
        # Its end cancels what is left, and so closes what that keeps open.
        asyncio.run(self._wait(ready))

    async def _wait(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        ready.set()
        await self._over.wait()


def _blocking(
    method: Callable[Concatenate[SSHHost, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SSHHostSync, P], T]:
    """Make of a coroutine method of the one face the method of the other, which waits for it."""

    @functools.wraps(method)
    def wait(self: SSHHostSync, /, *args: P.args, **named: P.kwargs) -> T:
        return self._do(method(self._host, *args, **named))

    return wait


class SSHHostSync:
    """`SSHHost` for programs without event loop: the same methods, which block. See there.

    May be used from any thread; Ctrl-C in a call ends what it waits for. `on_output` is called on the thread of the
    connection. A `jump` that is an `SSHHostSync` shares its thread.
    """

    def __init__(
        self,
        host: str,
        *,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        client_keys: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
        passphrase: str | None = None,
        known_hosts: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = "default",
        jump: SSHHostSync | str | None = None,
        config: bool | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = True,
        agent: bool = True,
        engine_socket: str | None = None,
        connect_timeout: float = 15,
        keepalive: float = 15,
        name: str | None = None,
        ssh_client: Literal["asyncssh", "openssh"] = "asyncssh",
    ) -> None:
        if jump is not None and not isinstance(jump, (str, SSHHostSync)):
            raise TypeError("jump is another SSHHostSync, or hosts as ssh -J takes them")
        self._host: SSHHost = SSHHost(
            host,
            port=port,
            user=user,
            password=password,
            client_keys=client_keys,
            passphrase=passphrase,
            known_hosts=known_hosts,
            jump=jump._host if isinstance(jump, SSHHostSync) else jump,
            config=config,
            agent=agent,
            engine_socket=engine_socket,
            connect_timeout=connect_timeout,
            keepalive=keepalive,
            name=name,
            ssh_client=ssh_client,
        )
        self.id, self.name = self._host.id, self._host.name
        self.resources: set[str] = set()
        self.log = True
        self._closed = False
        self._thread: LoopThread = (
            jump._thread.hold() if isinstance(jump, SSHHostSync) else LoopThread(f"dockerpty-ssh-{self.name}")
        )

    engine = _blocking(SSHHost.engine)
    oneshot = exec = _blocking(SSHHost.oneshot)
    run = _blocking(SSHHost.run)
    put = _blocking(SSHHost.put)
    get = _blocking(SSHHost.get)

    def rebuild_connections(self) -> None:
        """As `SSHHost.rebuild_connections`; the thread stays."""
        self._host.rebuild_connections()

    def close(self) -> None:
        """As `SSHHost.close`; then the thread ends, if no other host shares it."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._thread.runs:
                self._thread.call(self._host.close())
            else:
                self._host.retire()
        finally:
            self._thread.release()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            work.close()
            raise HostClosedError("use", self.name, "it was closed", host=self.name)
        return self._thread.call(work)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    __repr__ = SSHHost.__repr__
