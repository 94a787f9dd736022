"""A container that a command line names by its labels, and not by name or id: loaded when one does."""

from __future__ import annotations

from dockerpty.cli.grammar import UsageError
from dockerpty.host.reference import of_text
from dockerpty.host.requests import Ask
from dockerpty.host.resolve import find
from dockerpty.plan import drive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.engine.calls import Reply
    from dockerpty.engine.interface import Engine
    from dockerpty.host.requests import Request


def name_of(engine: Engine, reference: str) -> str:
    """Give the name of the container that is meant by `compose://PROJECT/SERVICE[/N]` or `label:KEY=VALUE`.

    Raises:
        UsageError: it is neither of both.
        HostError: there is none, or there are several.
        APIError, EngineUnreachable: the engine refused, or did not answer.
    """
    try:
        wanted = of_text(reference)
    except ValueError as error:
        raise UsageError("find", "the container", str(error), "for the others see dpty ps") from error

    def answer(request: Request) -> Reply:
        assert isinstance(request, Ask)  # to find one is to ask, and no more
        return engine.send(request.call, subject=request.subject)

    found = drive(find(wanted), answer)
    return found.name or found.id
