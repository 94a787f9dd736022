"""What the plans of this layer ask for: seven requests. Who answers them, waiting or on a loop: `send` and `drivers`.

A plan reads and writes a `channel.Channel` itself, since that never waits, and asks only for what may take time. So
both colours share all but the waiting, and a test's driver needs no engine.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeVar

    from dockerpty.engine.calls import Call
    from dockerpty.host.channel import Channel

    T = TypeVar("T")
    Plan = Generator["Request", Any, T]


@dataclass(frozen=True, slots=True)
class Ask:
    """Make a call to the engine. Answered by its `Reply`; raises `NotFound`, `APIError`, `EngineUnreachable`."""

    call: Call
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Open:
    """Start a process in a container, with its streams. Answered by a `Channel`; raises what creating an exec raises.

    Attributes:
        container: its full id.
        command: as it is, without a shell.
        environment: `NAME=value`.
        mark: `NAME=value` too, by which the process and its children are found again (`signals.marker`).
        size: of the terminal, as (rows, cols).
    """

    container: str
    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = True
    environment: tuple[str, ...] = ()
    mark: str = ""
    user: str = ""
    workdir: str | None = None
    privileged: bool = False
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until one of the channels has something: bytes, its end, or room for what it still has to send.

    Answered by True, or False once `until` (by `time.monotonic`) has passed and none has. With no channels it is a
    pause. One that has ended has its end for ever: leave it out. What a channel has to send is sent as far as that
    goes, so a loop that waits needs not see to that.
    """

    channels: tuple[Channel, ...] = ()
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """Close a channel, which may take a moment. Answered by None; never raises."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call a function of the program's. Answered by what it returns, which on a loop is awaited if it can be."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Alone:
    """Drive a plan while no other of this key is driven. Answered by its result; raises what it raises."""

    key: str
    plan: Plan[Any]


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Drive a plan, and go on: on a loop in the background, else when it is through. Answered by None; never raises.

    Attributes:
        optional: where nothing is in the background, it is left.
    """

    plan: Plan[Any]
    optional: bool = False


Request = Ask | Open | Wait | Close | Invoke | Alone | Meanwhile
