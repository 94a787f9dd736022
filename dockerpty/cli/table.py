"""The commands of `dpty` and their flags: the one table from which argv is read and help is made. Pure.

Names and defaults are docker's wherever docker has the flag. A new command is a row of `COMMANDS` and a file of its
name beside this one, with a function `command(line) -> int` that the package's `__init__` finds.
"""

from __future__ import annotations

from dockerpty.cli.container_flags import CONTAINER
from dockerpty.cli.grammar import (
    BOOL,
    CHOICE,
    LIST,
    NUMBER,
    OFF,
    OPTIONAL,
    SECONDS,
    SIZE,
    TEXT,
    UNSAID,
    Command,
    Flag,
)

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
# The same where it is read without an -i.
_NO_INPUT_AT_ALL = Flag("-n --no-input", "no_input", BOOL, "Do not read standard input")
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
# Where the process is not ours to end.
_LEAVE = Flag(
    "--timeout",
    "timeout",
    SECONDS,
    "Leave after this time, the container running on, with exit code 124",
    "SECONDS",
)
_ENV = Flag(
    "-e --env", "env", LIST, "Set a variable; without a value it takes the one it has here", "NAME[=VALUE]"
)
_ENV_FILE = Flag("--env-file", "env_file", LIST, "Set the variables in a file", "FILE")
_USER = Flag("-u --user", "user", TEXT, "User, and group, by name or number", "USER[:GROUP]")
_WORKDIR = Flag("-w --workdir", "workdir", TEXT, "Working directory in the container", "DIR")
_PRIVILEGED = Flag("--privileged", "privileged", BOOL, "Give it all privileges")

_QUIET = Flag("-q --quiet", "quiet", BOOL, "Say nothing of our own but errors")
_QUIET_ONLY_LONG = Flag("--quiet", "quiet", BOOL, "Say nothing of our own but errors")
_LATEST = Flag("-l --latest", "latest", BOOL, "The newest running container, in place of CONTAINER")
_WAIT = Flag("--wait", "wait", SECONDS, "Wait up to SECONDS until the container runs", "SECONDS")
_JSON = Flag("--json", "json", BOOL, "Print the result as one JSON object, output and exit code in it")
_RECONNECT = Flag(
    "--reconnect",
    "reconnect",
    OPTIONAL,
    "If the engine goes away, attach again when it is back; with =N only so many times",
    words=("#",),
)
_TERM_ENV = Flag("--term-env", "term_env", BOOL, "Pass COLORTERM and NO_COLOR on, too")
_RECORD = Flag("--record", "record", TEXT, "Keep the session in a file, as asciicast", "FILE")
_RECORD_INPUT = Flag("--record-input", "record_input", BOOL, "Keep what is typed in it, too: also passwords")
_FORCE = Flag("--force", "force", BOOL, "Write over a recording that exists")
_EXPECT = Flag("--expect", "expect", TEXT, "Let a file of expect and send lines do the typing", "FILE")
_ATTACH = Flag("-a --attach", "attach", LIST, "Attach only to this: stdin, stdout or stderr", "STREAM")
_SIZE = Flag(
    "--size",
    "size",
    SIZE,
    "Size of the process's terminal, in place of the window's, which is then not followed",
    "ROWSxCOLS",
)

# What every session takes, whichever command began it: one whose process is made for it, and one that joins another's.
_FOLLOWED = (_RECORD, _RECORD_INPUT, _FORCE, _EXPECT)
_MADE = (*_FOLLOWED, _TIMEOUT, _IDLE_TIMEOUT, _SIZE)
_JOINED = (*_FOLLOWED, _LEAVE, _IDLE_TIMEOUT, _SIZE)
_SESSION = (_INTERACTIVE, _TTY, _NO_TTY, _NO_INPUT, _DETACH_KEYS, _SIG_PROXY, *_MADE)
_PROCESS = (_ENV, _ENV_FILE, _TERM_ENV, _USER, _WORKDIR, _PRIVILEGED)

COMMON = Command(
    "",
    "COMMAND [ARG...]",
    "The terminal side of containers: your terminal becomes the container's.",
    (
        Flag("-H --host", "host", TEXT, "The engine: unix://, tcp:// or ssh://", "URL"),
        Flag("-c --context", "context", TEXT, "A context of docker's, which names the engine", "NAME"),
        Flag("--config", "config", TEXT, "Where docker's client configuration is", "DIR"),
        Flag("--tls", "tls", BOOL, "Use TLS, without proof of who the engine is", default=UNSAID),
        Flag("--tlsverify", "tlsverify", BOOL, "Use TLS, and let the engine prove who it is", default=UNSAID),
        Flag("--tlscacert", "tlscacert", TEXT, "The authorities that are trusted", "FILE"),
        Flag("--tlscert", "tlscert", TEXT, "Our own certificate", "FILE"),
        Flag("--tlskey", "tlskey", TEXT, "The key of our certificate", "FILE"),
        Flag(
            "--jump", "jump", TEXT, "Hosts on the way to one of ssh://, as ssh -J takes them", "HOST[,HOST]"
        ),
        Flag(
            "--ssh-client",
            "ssh_client",
            TEXT,
            "Who does ssh://: openssh, asyncssh, paramiko, or a program in place of ssh (openssh)",
            "CLIENT",
        ),
        Flag(
            "--connect-timeout",
            "connect_timeout",
            SECONDS,
            "How long to wait for the engine (10)",
            "SECONDS",
            10.0,
        ),
        Flag("-D --debug", "debug", BOOL, "Tell every step, and where an error came from"),
        Flag(
            "-l --log-level",
            "log_level",
            CHOICE,
            "What to tell of: debug, info, warn, error or fatal",
            "LEVEL",
            words=("debug", "info", "warn", "error", "fatal"),
        ),
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
                _LATEST,
                _WAIT,
                _JSON,
                Flag("--no-reap", "no_reap", BOOL, "Leave the process running if dpty is ended by a signal"),
                _QUIET_ONLY_LONG,
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
                _ATTACH,
                *_PROCESS,
                *CONTAINER,
                _RECONNECT,
                _JSON,
                _QUIET,
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
            "attach",
            "CONTAINER",
            "Attach to the first process of a running container.",
            (
                Flag("--no-stdin", "no_stdin", BOOL, "Do not read standard input"),
                _NO_INPUT_AT_ALL,
                _DETACH_KEYS,
                _SIG_PROXY,
                *_JOINED,
                _LATEST,
                _WAIT,
                _RECONNECT,
                _QUIET_ONLY_LONG,
                _HELP,
            ),
            least=1,
            most=1,
            ends_with_process=True,
            examples=("dpty attach web", "dpty attach --no-stdin --record web.cast web"),
        ),
        Command(
            "start",
            "CONTAINER [CONTAINER...]",
            "Start containers that have ended or never ran.",
            (
                Flag("-a --attach", "attach", BOOL, "Attach to it, and end with its exit code"),
                Flag(
                    "-i --interactive --stdin",
                    "interactive",
                    BOOL,
                    "Attach to it, and pass standard input on",
                ),
                _NO_INPUT,
                _DETACH_KEYS,
                _SIG_PROXY,
                *_JOINED,
                Flag(
                    "-l --latest", "latest", BOOL, "The newest, whether it runs or not, in place of CONTAINER"
                ),
                _RECONNECT,
                _QUIET_ONLY_LONG,
                _HELP,
            ),
            least=1,
            ends_with_process=True,
            examples=("dpty start web db", "dpty start -ai job"),
        ),
        Command(
            "ps",
            "",
            "List containers.",
            (
                Flag("-a --all", "all", BOOL, "Also those that do not run"),
                Flag("-f --filter", "filter", LIST, "Only those for which this is so", "KEY=VALUE"),
                Flag("--format", "format", TEXT, "table, json, or a line with {{.Names}} in it", "FORMAT"),
                Flag("-n --last", "last", NUMBER, "The newest so many, whether they run or not", "NUMBER"),
                Flag("-l --latest", "latest", BOOL, "The newest, whether it runs or not"),
                Flag("--no-trunc", "no_trunc", BOOL, "Cut nothing short"),
                Flag("-q --quiet", "quiet", BOOL, "Print ids only"),
                Flag("-s --size", "size", BOOL, "Print their sizes, too", default=UNSAID),
                _HELP,
            ),
            most=0,
            examples=(
                "dpty ps -a",
                "dpty ps -f status=exited --format '{{.Names}} {{.Status}}'",
                "dpty ps --format 'table {{.Names}}\\t{{.Label \"role\"}}'",
            ),
        ),
        Command(
            "cp",
            "SRC [SRC...] DST",
            "Copy files between here and a container, as CONTAINER:PATH. A - is a tar stream.",
            (
                Flag("-a --archive", "archive", BOOL, "Keep owner and group"),
                Flag("-L --follow-link", "follow_link", BOOL, "Copy what a link in SRC points at"),
                Flag("-n --no-clobber", "no_clobber", BOOL, "Leave files that exist as they are"),
                Flag("--mode", "mode", TEXT, "Permissions of the files, in octal digits", "OCTAL"),
                Flag("--owner", "owner", TEXT, "Owner of what goes into a container, by number", "UID:GID"),
                Flag(
                    "--progress",
                    "progress",
                    CHOICE,
                    "When to show it: auto (on a terminal), always or never",
                    "WHEN",
                    "auto",
                    words=("auto", "always", "never"),
                ),
                Flag("-q --quiet", "quiet", BOOL, "Show no progress"),
                _HELP,
            ),
            least=2,
            examples=(
                "dpty cp web:/etc/nginx .",
                "dpty cp page.html web:/srv/",
                "dpty cp --owner 33:33 index.html style.css web:/srv",
                "dpty cp 'web:/var/log/*.log' logs",
                "dpty cp web:/var/log - | tar t",
            ),
        ),
        Command(
            "shell",
            "CONTAINER [-- COMMAND...]",
            "Open the best shell that a container has, or one beside it.",
            (
                Flag("--shell", "shell", TEXT, "This shell, without looking for the best", "PATH"),
                Flag("--login", "login", BOOL, "As a login shell"),
                Flag(
                    "--toolbox",
                    "toolbox",
                    TEXT,
                    "Open one from this image, in a container beside it",
                    "IMAGE",
                ),
                _NO_INPUT_AT_ALL,
                _DETACH_KEYS,
                _SIG_PROXY,
                *_MADE,
                *_PROCESS,
                _LATEST,
                _WAIT,
                _QUIET_ONLY_LONG,
                _HELP,
            ),
            least=1,
            drops_dashes=True,
            ends_with_process=True,
            examples=(
                "dpty shell web",
                "dpty shell web -- 'ls /tmp | wc -l'",
                "dpty shell --toolbox busybox distroless",
                "dpty shell -u root web",
            ),
        ),
        Command(
            "script",
            "CONTAINER [FILE|-]",
            "Run commands in one shell of a container, which keeps its state.",
            (
                Flag("-c --command", "command", LIST, "Run this, in place of a file", "COMMAND"),
                Flag(
                    "-k --keep-going",
                    "keep_going",
                    BOOL,
                    "Go on after a command that failed; end with the worst exit code",
                ),
                Flag("-x --trace", "trace", BOOL, "Print each command to standard error before it is run"),
                Flag(
                    "-t --tty",
                    "tty",
                    BOOL,
                    "Give the shell a terminal: standard error is in the output, then",
                ),
                _NO_TTY,
                Flag(
                    "--answer",
                    "answer",
                    LIST,
                    "Type RESPONSE when output matches PATTERN; env:NAME is what that variable has here",
                    "PATTERN=RESPONSE",
                ),
                Flag(
                    "--timeout",
                    "timeout",
                    SECONDS,
                    "End each command after this time, with exit code 124",
                    "SECONDS",
                ),
                Flag("--budget", "budget", SECONDS, "The same, for all commands together", "SECONDS"),
                _ENV,
                _ENV_FILE,
                _USER,
                _WORKDIR,
                Flag(
                    "--shell", "shell", TEXT, "This shell in place of sh; best is the best there is", "PATH"
                ),
                Flag("--start", "start", BOOL, "Start the container if it does not run"),
                Flag("--json", "json", BOOL, "Print the result of each command as one JSON object"),
                _HELP,
            ),
            least=1,
            most=2,
            ends_with_process=True,
            examples=(
                "dpty script web deploy.sh",
                "dpty script -c 'cd /srv' -c 'make install' web",
                "dpty script -kx --timeout 60 web - < checks",
                "dpty script -t --answer 'assword:=env:PASSWORD' -c 'su - app' web",
            ),
        ),
        Command(
            "watch",
            "CONTAINER",
            "Look on: attach without ever sending a byte. Ctrl-C leaves.",
            (_RECORD, _FORCE, _LEAVE, _IDLE_TIMEOUT, _LATEST, _WAIT, _RECONNECT, _QUIET_ONLY_LONG, _HELP),
            least=1,
            most=1,
            ends_with_process=True,
            examples=("dpty watch web", "dpty watch --record web.cast web"),
        ),
        Command(
            "replay",
            "FILE",
            "Play a recording; - is standard input.",
            (
                Flag("--speed", "speed", SECONDS, "So many times as fast", "FACTOR", 1.0),
                Flag("--idle-limit", "idle_limit", SECONDS, "Pause for no longer than this", "SECONDS"),
                Flag("--to-end", "to_end", BOOL, "Show the last screen at once"),
                _HELP,
            ),
            least=1,
            most=1,
            examples=("dpty replay web.cast", "dpty replay --speed 4 --idle-limit 2 web.cast"),
        ),
        Command(
            "prune",
            "",
            "Remove what killed processes of ours have left behind on the engine, and nothing else.",
            (
                Flag("--dry-run", "dry_run", BOOL, "Only say what would be removed"),
                Flag("-f --force", "force", BOOL, "Do not ask"),
                _HELP,
            ),
            most=0,
            examples=("dpty prune --dry-run", "dpty prune --force"),
        ),
        Command(
            "completion",
            "bash|zsh|fish",
            "Print the completion script of a shell.",
            (_HELP,),
            least=1,
            most=1,
            examples=("source <(dpty completion bash)", "dpty completion fish | source"),
        ),
        Command(
            "version",
            "",
            "Print the versions of dpty and of the engine.",
            (Flag("--json", "json", BOOL, "As JSON"), _HELP),
            most=0,
            examples=("dpty version", "dpty version --json"),
        ),
        Command(
            "help",
            "[COMMAND]",
            "Print what dpty or one of its commands can do.",
            (_HELP,),
            most=1,
            examples=("dpty help exec",),
        ),
    )
}
