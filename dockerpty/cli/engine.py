"""Which engine the global options name, and which container of it a word does, for every command that asks one."""

from __future__ import annotations

from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import say
from dockerpty.container.reference import BY_LABELS
from dockerpty.engine import endpoint
from dockerpty.engine.client import from_environment
from dockerpty.engine.configuration import Configuration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line
    from dockerpty.engine.client import Engine


def engine_of(line: Line) -> Engine:
    """Give the engine that the global options before a line name. Connects to nothing yet.

    Raises:
        UsageError: they name two, or ask for TLS that a context does not have, or for ssh where there is none.
        DockerptyError: what they name makes no sense, or there is no such context.
    """
    common = line.common
    values = common.values
    if values["host"] and values["context"]:
        raise UsageError(
            "use", "-H and -c together", "each of them names an engine; leave one out", common.command.see
        )
    client = values["ssh_client"]
    options = {name: values[name] for name in ("tls", "tlsverify", "tlscacert", "tlscert", "tlskey")}
    found = endpoint.from_environment(
        host=values["host"],
        context=values["context"],
        configuration=configuration_of(common),
        ssh_client=None if client in ("openssh", "asyncssh", "paramiko") else client,
        **options,
    )
    if found.kind == "ssh":
        found.jump = values["jump"] or ""
        if client in ("asyncssh", "paramiko"):
            from dockerpty.cli.far import FarEndpoint

            found = common.way = FarEndpoint(found, client, values["connect_timeout"])
    elif values["jump"]:
        raise UsageError("use", f"--jump with {found.name}", "it is not reached by ssh", "leave it out")
    # Only a context has less than the flags say. docker 28.2 is silent then, and sends everything in the clear.
    asked = "--tlsverify" if values["tlsverify"] is not None else "--tls" if values["tls"] else ""
    lacking = found.tls is None or (values["tlsverify"] and not found.tls.verify)
    if asked and lacking and found.kind == "tcp":
        raise UsageError(
            "use",
            f"{asked} with {found.name}",
            "its context says otherwise, and only the context counts",
            "name the engine with -H, or make the context anew",
        )
    return from_environment(connect_timeout=values["connect_timeout"], endpoint=found)


def container_named(engine: Engine, word: str) -> str:
    """Give the container that a word means: itself, but for the name of one that is found by its labels."""
    if not word.startswith(BY_LABELS):
        return word
    from dockerpty.cli.reference import name_of

    return name_of(engine, word)


def configuration_of(line: Line) -> Configuration:
    """Give docker's client configuration, the same one to all who ask in the course of a command line."""
    common = line.common
    if common.configuration is None:
        common.configuration = Configuration(common.values.get("config"), notice=say)
    found: Configuration = common.configuration
    return found
