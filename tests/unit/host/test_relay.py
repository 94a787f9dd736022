"""The bytes of a private socket's clients, whenever they come."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from dockerpty.host.ssh.relay import Far, Near


class Channel:
    """Stands for a channel to the far side: keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes | None] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def write_eof(self) -> None:
        self.written.append(None)

    def close(self) -> None: ...


class Serve:
    """Opens the far side when it is told to."""

    def __init__(self) -> None:
        self.may_open = asyncio.Event()
        self.channel = Channel()

    def joined(self, client: Near) -> None: ...

    def left(self, client: Near) -> None: ...

    async def far_of(self, client: Near) -> Far:
        await self.may_open.wait()
        far = Far(client.transport, None)
        far.connection_made(self.channel)
        return far


class Transport:
    """A client's connection that does not keep to a pause, as that of Python 3.11.2 at first."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return False


def test_what_a_client_says_before_its_channel_is_open_arrives_first_and_whole() -> None:
    async def main() -> list[Any]:
        serve = Serve()
        near = Near(serve)
        near.connection_made(cast("asyncio.Transport", Transport()))
        opening = asyncio.ensure_future(near.open_far())
        await asyncio.sleep(0)
        near.data_received(b"GET /")
        near.data_received(b"_ping")
        near.eof_received()
        serve.may_open.set()
        await opening
        return serve.channel.written

    assert asyncio.run(main()) == [b"GET /_ping", None]
