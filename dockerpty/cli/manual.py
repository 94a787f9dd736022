"""The manual page `dpty(1)`, made from the table of flags when the package is built. Pure; no command loads it."""

from __future__ import annotations

from dockerpty import __version__
from dockerpty.cli.grammar import Command
from dockerpty.cli.groups import OTHERS, grouped, spelled
from dockerpty.cli.table import COMMANDS, COMMON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_DESCRIPTION = """
dpty runs commands in containers, joins what runs there, and makes your terminal
theirs while it lasts. It speaks to a Docker Engine or to Podman's service itself;
neither the docker nor the podman command is needed.

Commands, flags and their grammar are docker's. Global options stand before the
command. The first word that is no flag ends the flags, and so does --. Short flags
combine, and the last may take a value: -itu0. A flag that is a statement takes a
value only after an equals sign: --sig-proxy=false, --tty=auto. A list may be given
again and again; of other flags the last counts.

What dpty itself has to say goes to standard error and begins with dpty:. It is never
written while your terminal is raw. After any exit your terminal is as it was.
"""

_OF_A_PROCESS = ", ".join(name for name, command in COMMANDS.items() if command.ends_with_process)
_OF_THEIR_OWN = ", ".join(name for name, command in COMMANDS.items() if not command.ends_with_process)
_EXIT_STATUS = (
    ("N", "The process has ended with N; with 128+N, if signal N killed it."),
    ("127", f"{_OF_A_PROCESS}: the command was not found in the container."),
    ("126", "... it was found and cannot be executed."),
    ("125", "... an error of ours or of the engine, or no such container. For every command: bad usage."),
    ("124", "--timeout, --idle-timeout or --budget has passed, or what --expect waits for has not come."),
    ("255", "The session was lost, and the exit code of the process is not known."),
    (
        "0",
        "Detached, with a line on standard error; watch was left with Ctrl-C; success of any other command.",
    ),
    ("1", f"{_OF_THEIR_OWN}: an error."),
    ("3", "... a fault of dpty: please report it."),
    ("by a signal", "Standard output was closed, or Ctrl-C or another signal came that is not passed on."),
)

_ENVIRONMENT = (
    ("DOCKER_HOST", "The engine, unless -H or -c names one."),
    ("DOCKER_CONTEXT", "The context that names the engine, where DOCKER_HOST is not set."),
    ("DOCKER_CONFIG", "The directory of docker's client configuration, in place of ~/.docker."),
    ("DOCKER_TLS, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH", "TLS, as for docker."),
    ("DOCKER_API_VERSION", "The version of the engine's API to use, in place of the engine's own."),
    ("DOCKER_DEFAULT_PLATFORM", "The platform of images, as linux/arm64, unless --platform names one."),
    ("CONTAINER_HOST, XDG_RUNTIME_DIR", "Where Podman's service is, if no Docker Engine is found."),
    ("TERM", "Given to a process with a terminal, unless -e sets it; COLORTERM, NO_COLOR: with --term-env."),
    ("NO_COLOR", "If it is set, tables and progress have no colours."),
    ("NORAW", "If it is set, your terminal is left as it is."),
    ("LINES, COLUMNS", "The size of a terminal that does not tell it."),
    ("DPTY_HOME", "Where the list of detached containers is kept, in place of dockerpty in XDG_STATE_HOME."),
    ("XDG_STATE_HOME", "Where programs keep such lists, in place of ~/.local/state."),
)

_FILES = (
    (
        "~/.docker/config.json",
        "docker's own: currentContext, detachKeys, psFormat, proxies, auths, credsStore and credHelpers count.",
    ),
    ("~/.docker/contexts", "docker's contexts, for -c."),
    ("/var/run/docker.sock", "The engine, if nothing names another."),
    (
        "/run/podman/podman.sock, $XDG_RUNTIME_DIR/podman/podman.sock",
        "Podman's service, if there is no Docker Engine.",
    ),
)

_SEE_ALSO = ("docker(1)", "podman(1)", "ssh(1)", "asciinema(1)")


def page(day: str) -> str:
    """Give the page, in roff's macros for manual pages.

    Args:
        day: on which it was made, as 2026-11-21.
    """
    summary = COMMON.summary.partition(":")[0].lower()
    lines = [
        f'.TH DPTY 1 "{day}" "dpty {_text(__version__)}" "User Commands"',
        ".SH NAME",
        f"dpty \\- {_text(summary)}",
    ]
    lines += [".SH SYNOPSIS", *_usage(COMMON, ".B dpty"), ".SH DESCRIPTION"]
    lines += [_text(line) if line else ".PP" for line in _DESCRIPTION.strip().splitlines()]
    lines += [".SH OPTIONS", *_flags(COMMON), ".SH COMMANDS"]
    for command in COMMANDS.values():
        lines += [
            f".SS {command.title}",
            *_usage(command, f".B {command.title}"),
            ".PP",
            _text(command.summary),
        ]
        lines += _flags(command)
        lines += [".PP", "For example:", *_as_typed(command.examples)]
    lines += [".SH EXIT STATUS", *_list(_EXIT_STATUS), ".SH ENVIRONMENT", *_list(_ENVIRONMENT)]
    lines += [".SH FILES", *_list(_FILES), ".SH EXAMPLES", *_as_typed(COMMON.examples)]
    lines += [".SH SEE ALSO", ", ".join(_reference(each) for each in _SEE_ALSO)]
    # A section begins with a paragraph anyhow.
    kept = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if (before[:4], line) != (".SH ", ".PP")
    ]
    return "\n".join(kept) + "\n"


def _usage(command: Command, name: str) -> list[str]:
    return [name, f"[\\fIOPTIONS\\fR] {_text(command.operands)}".rstrip()]


def _flags(command: Command) -> list[str]:
    lines = []
    for heading, flags in grouped(command).items():
        if heading != OTHERS:
            lines += [".PP", f"\\fI{_text(heading)}\\fR"]
        lines += _list((spelled(flag), flag.help) for flag in flags)
    return lines


def _list(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [line for name, meaning in rows for line in (".TP", f"\\fB{_text(name)}\\fR", _text(meaning))]


def _as_typed(examples: Iterable[str]) -> list[str]:
    return [".PP", ".RS 4", ".nf", *map(_text, examples), ".fi", ".RE"]


def _reference(name: str) -> str:
    return f"\\fB{name[:-3]}\\fR{name[-3:]}"


def _text(text: str) -> str:
    """Give a text as roff wants it: a hyphen that can be typed again, and no line that is taken for a request."""
    quoted = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    quoted = quoted.replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{quoted}" if quoted.startswith((".", "'")) else quoted
