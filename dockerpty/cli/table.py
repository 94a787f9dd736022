"""The commands of `dpty` and their flags: the one table from which argv is read and help is made. Pure.

Names and defaults are docker's wherever docker has the flag. A new command is a row of `COMMANDS` and a file of its
name beside this one, with a function `command(line, common) -> int` that the package's `__init__` finds.
"""

from __future__ import annotations

from dockerpty.cli.grammar import BOOL, LIST, OFF, OPTIONAL, SECONDS, TEXT, Command, Flag

_HELP = Flag("-h --help", "help", BOOL, "Print this text")
_HELP_ONLY_LONG = Flag("--help", "help", BOOL, "Print this text")

_INTERACTIVE = Flag("-i --interactive --stdin", "interactive", BOOL, "Pass standard input on")
_TTY = Flag(
    "-t --tty",
    "tty",
    OPTIONAL,
    "Give the process a terminal; with =auto only if standard input and output are terminals",
    words=("auto",),
)
_NO_TTY = Flag("-T --no-tty", "tty", OFF, "Give it none")
_NO_INPUT = Flag("-n --no-input", "no_input", BOOL, "Do not read standard input, whatever -i says")
_DETACH_KEYS = Flag(
    "--detach-keys",
    "detach_keys",
    TEXT,
    "Keys that leave the process running; none switches them off",
    "KEYS",
)
_SIG_PROXY = Flag(
    "--sig-proxy", "sig_proxy", BOOL, "Pass the signals that dpty gets on to the process", default=True
)
_TIMEOUT = Flag(
    "--timeout", "timeout", SECONDS, "End the process after this time, with exit code 124", "SECONDS"
)
_IDLE_TIMEOUT = Flag(
    "--idle-timeout", "idle_timeout", SECONDS, "The same, after this time without input or output", "SECONDS"
)
_ENV = Flag(
    "-e --env", "env", LIST, "Set a variable; without a value it takes the one it has here", "NAME[=VALUE]"
)
_ENV_FILE = Flag("--env-file", "env_file", LIST, "Set the variables in a file", "FILE")
_USER = Flag("-u --user", "user", TEXT, "User, and group, by name or number", "USER[:GROUP]")
_WORKDIR = Flag("-w --workdir", "workdir", TEXT, "Working directory in the container", "DIR")
_PRIVILEGED = Flag("--privileged", "privileged", BOOL, "Give it all privileges")

# What a session at a terminal takes, whichever command began it.
_SESSION = (_INTERACTIVE, _TTY, _NO_TTY, _NO_INPUT, _DETACH_KEYS, _SIG_PROXY, _TIMEOUT, _IDLE_TIMEOUT)
_PROCESS = (_ENV, _ENV_FILE, _USER, _WORKDIR, _PRIVILEGED)

COMMON = Command(
    "",
    "COMMAND [ARG...]",
    "The terminal side of containers: your terminal becomes the container's.",
    (
        Flag("-H --host", "host", TEXT, "The engine: unix://, tcp:// or ssh://", "URL"),
        Flag(
            "--connect-timeout",
            "connect_timeout",
            SECONDS,
            "How long to wait for the engine (10)",
            "SECONDS",
            10.0,
        ),
        Flag("-D --debug", "debug", BOOL, "Tell every step, and where an error came from"),
        Flag("-v --version", "version", BOOL, "Print the version"),
        _HELP,
    ),
    examples=("dpty exec -it web sh", "dpty run --rm -it busybox"),
)

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "exec",
            "CONTAINER COMMAND [ARG...]",
            "Run a command in a running container.",
            (
                *_SESSION,
                Flag("-d --detach", "detach", BOOL, "Start it and leave it running in the background"),
                *_PROCESS,
                Flag("--no-reap", "no_reap", BOOL, "Leave the process running if dpty is ended by a signal"),
                _HELP,
            ),
            least=2,
            drops_dashes=True,
            ends_with_process=True,
            examples=(
                "dpty exec -it web sh",
                "dpty exec -i db psql < dump.sql",
                "dpty exec --tty=auto web top",
            ),
        ),
        Command(
            "run",
            "IMAGE [COMMAND] [ARG...]",
            "Run a command in a new container.",
            (
                *_SESSION,
                Flag(
                    "-d --detach", "detach", BOOL, "Start it in the background and print the container's id"
                ),
                Flag("--rm", "rm", BOOL, "Remove the container when it has ended"),
                Flag("--name", "name", TEXT, "Name of the container", "NAME"),
                *_PROCESS,
                Flag("--entrypoint", "entrypoint", TEXT, "Replace the image's entry point", "COMMAND"),
                Flag("--network", "network", TEXT, "Network of the container", "NETWORK"),
                Flag("-h --hostname", "hostname", TEXT, "Host name in the container", "NAME"),
                Flag(
                    "-v --volume",
                    "volume",
                    LIST,
                    "Mount a directory or a volume",
                    "[SOURCE:]TARGET[:OPTIONS]",
                ),
                Flag("-l --label", "label", LIST, "Put a label on the container", "NAME[=VALUE]"),
                Flag("--init", "init", BOOL, "Let an init be its first process: it passes signals on"),
                _HELP_ONLY_LONG,
            ),
            least=1,
            ends_with_process=True,
            examples=(
                "dpty run --rm -it busybox",
                "dpty run --rm -i busybox sh < script",
                "dpty run -d --name web -v data:/data nginx",
            ),
        ),
        Command(
            "help",
            "[COMMAND]",
            "Print what dpty or one of its commands can do.",
            (_HELP,),
            examples=("dpty help exec",),
        ),
    )
}
