"""`dpty script`: commands one after the other, in one shell of a container that keeps its state."""

from __future__ import annotations

import logging
import os
import re
import signal
import stat
import sys
import threading
import time

from dockerpty.cli.endings import Endings
from dockerpty.cli.engine import engine_of
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import FAILED, LOST, TIMED_OUT, flush, say, show
from dockerpty.cli.writing import wait, writer
from dockerpty.container.spec import environment
from dockerpty.errors import CannotStart, DockerptyError
from dockerpty.frames import STDERR, STDOUT
from dockerpty.host.errors import HostNotRunningError, SessionStartError, ShellNotFoundError
from dockerpty.host.results import NO_CODE, ShellCommand
from dockerpty.host.sync import DockerContainerHostSync
from dockerpty.result import NOT_FOUND_CODE, SessionResult, start_error_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.cli.grammar import Line
    from dockerpty.engine.interface import Engine
    from dockerpty.host.errors import HostError
    from dockerpty.host.results import CommandStatus
    from dockerpty.host.session import HostSessionSync

STDIN = "-"
# What a response begins with that is the value of a variable here.
_HERE = "env:"
_SESSION = "script"
# Of a command in a message; the whole of it is what `-x` is for.
_SHOWN = 60


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    if line.values["json"] and line.values["tty"]:
        raise UsageError(
            "use", "--json with -t", "what a terminal shows is no result", "leave out one of them"
        )
    commands, answers = commands_of(line), answers_of(line)
    engine = engine_of(line)
    # What the library warns of is said here in our own words.
    logging.getLogger("dockerpty").addHandler(logging.NullHandler())
    endings = Endings(signal.SIGPIPE)
    _watch_the_reader()
    try:
        host = host_of(line, engine)
        try:
            session = host.open_session(_SESSION)
            return Script(line, host, session, answers).run(commands)
        finally:
            endings.hold()
            _leave(host)
    except (ShellNotFoundError, SessionStartError, HostNotRunningError) as error:
        raise _for_a_person(error) from error
    except KeyboardInterrupt:
        # By now the command was interrupted where it ran.
        return -endings.number
    finally:
        engine.close()
        endings.forget()


def commands_of(line: Line) -> list[str]:
    """Give the commands of a line: each of `-c`, or a file as one.

    Raises:
        UsageError: there are both, or none of them.
        DockerptyError: the file cannot be read.
    """
    given, files = line.values["command"], line.words[1:]
    see = line.command.see
    if given and files:
        raise UsageError("run", "dpty script", f"it takes -c or a file, and not {files[0]!r} beside -c", see)
    if given:
        return list(given)
    if not files:
        raise UsageError("run", "dpty script", "it needs a FILE, - for standard input, or -c COMMAND", see)
    return [_text_of(files[0])]


def answers_of(line: Line) -> list[tuple[re.Pattern[str], str]]:
    """Give what is answered to what; a response is a line that is typed.

    Raises:
        UsageError: one has no `=`, its pattern is none, or there is no such variable. No response is in a message.
    """
    found = []
    for number, text in enumerate(line.values["answer"], 1):
        # A part of it only: what is behind the `=` may be a secret.
        pattern, equals, response = text.partition("=")
        if not equals or not pattern:
            flag = f"--answer number {number}" if number > 1 else "--answer"
            raise UsageError("use", flag, "it takes PATTERN=RESPONSE", line.command.see)
        try:
            compiled = re.compile(pattern, re.DOTALL)
        except re.error as error:
            hint = r"a = that is part of it is written \x3d"
            raise UsageError(
                "use", f"--answer {pattern}=...", f"its pattern is none: {error}", hint
            ) from error
        if response.startswith(_HERE):
            name = response.removeprefix(_HERE)
            if name not in os.environ:
                raise UsageError("use", f"--answer {pattern}=...", f"there is no variable {name} here")
            response = os.environ[name]
        found.append((compiled, f"{response}\n"))
    return found


def host_of(line: Line, engine: Engine) -> DockerContainerHostSync:
    """Give the container of a line as a host. Asks nobody.

    Raises:
        UsageError: no container is called so.
        DockerptyError: a file of variables cannot be read.
    """
    values = line.values
    variables = environment(values["env"], values["env_file"])
    try:
        return DockerContainerHostSync(
            _Here(engine),
            line.words[0],
            user=values["user"],
            workdir=values["workdir"],
            env=variables,
            shell=values["shell"] or "auto",
            tty=values["tty"],
            start=values["start"],
            # It is handed on as it comes.
            output_limit=0,
        )
    except ValueError as error:
        raise UsageError("find", "the container", str(error), "for the others see dpty ps") from error


class Script:
    """The commands of a line, on their way through a shell.

    Args:
        answers: patterns, and what is typed when they come.
    """

    def __init__(
        self,
        line: Line,
        host: DockerContainerHostSync,
        session: HostSessionSync,
        answers: list[tuple[re.Pattern[str], str]],
    ) -> None:
        values = line.values
        self._line = line
        self._host = host
        self._name = host.container_ref
        self._session = session
        self._answers = answers or None
        self._goes_on = values["keep_going"]
        self._each, self._budget = values["timeout"], values["budget"]

    def run(self, commands: list[str]) -> int:
        """Run them, up to the first that fails or ends the shell; or all of them. Give the (worst) exit code."""
        until = None if self._budget is None else time.monotonic() + self._budget
        worst = 0
        for number, text in enumerate(commands):
            limit = self._each
            if until is not None:
                left = until - time.monotonic()
                if left <= 0:
                    self._tell_of_the_budget(len(commands) - number)
                    return max(worst, TIMED_OUT)
                limit = left if limit is None else min(left, limit)
            if self._line.values["trace"]:
                say(text, prefix="+ ")
            status = self._run_one(text, limit)
            code = self._code_of(status)
            self._tell_of(status, limit)
            worst = max(worst, code)
            if not self._goes_on and (code or status.shell_exited):
                break
        return worst

    def _run_one(self, text: str, limit: float | None) -> CommandStatus:
        if self._line.values["json"]:
            from dockerpty.cli.capture import Capture

            out, err = Capture(), Capture()
            status = self._run_through({STDOUT: out.write, STDERR: err.write}, text, limit)
            self._show_document(status, out, err)
            return status
        return self._run_through(_OUR_OWN, text, limit)

    def _run_through(self, sinks: Any, text: str, limit: float | None) -> CommandStatus:
        command = ShellCommand(text, expects=self._answers, timeout=limit)
        try:
            return self._session.run(
                command, timeout=None, on_output=lambda stream, data: sinks[stream](data)
            ).only
        except ValueError as error:
            raise DockerptyError("run", _shown(text), str(error)) from error

    def _code_of(self, status: CommandStatus) -> int:
        """Give the exit code that a command stands for."""
        if status.timed_out:
            return TIMED_OUT
        if status.retcode == NO_CODE:
            return LOST
        if status.session_lost and not self._goes_on:
            # What it did, it did without what the commands before it had left.
            return status.retcode or LOST
        if status.ok:
            return 0
        return status.retcode or FAILED

    def _tell_of(self, status: CommandStatus, limit: float | None) -> None:
        """Say what a command has not said itself."""
        if status.session_lost and status.retcode != NO_CODE:
            say(f"the shell in {self._name} is another one: the state of the one before is gone")
        why = status.error
        if status.timed_out:
            is_own = limit == self._each
            why = (
                f"it took longer than {limit:g} s"
                if is_own
                else f"the {self._budget:g} s of --budget are over"
            )
        # A shell that ended with a code has said all by that.
        if why and not why.startswith("the shell ended with "):
            say(f"cannot go on with {_shown(status.command)} in {self._name}: {why}")

    def _tell_of_the_budget(self, left: int) -> None:
        commands = "one command was" if left == 1 else f"{left} commands were"
        say(f"the {self._budget:g} s of --budget are over: {commands} not run")

    def _show_document(self, status: CommandStatus, out: Any, err: Any) -> None:
        import json

        from dockerpty.cli.capture import document

        result = SessionResult()
        result.container_id, result.exec_id = self._host.container_id, self._session.exec_id
        if status.timed_out:
            result.reason = "timeout"
        elif status.retcode == NO_CODE:
            result.reason = "lost"
        else:
            result.reason, result.exit_code = "exited", status.retcode
        found = document(self._name, [status.command], result, out, err, status.duration)
        found["timed_out"], found["session_lost"] = status.timed_out, status.session_lost
        show(json.dumps(found))
        # Whoever reads them need not wait for the last.
        flush()


def _for_a_person(error: HostError) -> DockerptyError:
    """Give an error the exit code and the hint that somebody at a command line knows."""
    about = error.action, error.subject, error.reason
    if isinstance(error, HostNotRunningError):
        return DockerptyError(*about, error.hint.replace("start=True", "--start"))
    if isinstance(error, ShellNotFoundError):
        hint, otherwise = "dpty exec and dpty cp need no shell of this kind", NOT_FOUND_CODE
    else:
        hint, otherwise = error.hint, FAILED
    return CannotStart(*about, hint, start_error_code(error.reason, otherwise))


class _Here:
    """Where the container is: the engine that the global options name."""

    id = name = "localhost"
    log = False

    def __init__(self, engine: Engine) -> None:
        self.resources: set[Any] = set()
        self._engine = engine

    def engine(self) -> Engine:
        """Give the engine."""
        return self._engine


def _watch_the_reader() -> None:
    """Have SIGPIPE sent to us when nobody reads stdout any more: what runs may not write for hours."""
    if sys.stdout is None:
        return
    fd = sys.stdout.fileno()
    kind = os.fstat(fd).st_mode
    if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind):
        return
    main = threading.get_ident()

    def watch() -> None:
        wait(fd, 0)
        signal.pthread_kill(main, signal.SIGPIPE)

    threading.Thread(target=watch, name="reader of stdout", daemon=True).start()


def _to_stdout(data: bytes) -> None:
    if sys.stdout is not None:
        writer(sys.stdout, "stdout")(data)


def _to_stderr(data: bytes) -> None:
    if sys.stderr is None:
        return
    try:
        writer(sys.stderr, "stderr")(data)
    except (DockerptyError, BrokenPipeError):
        # As everywhere: without it we go on.
        sys.stderr = None


_OUR_OWN = {STDOUT: _to_stdout, STDERR: _to_stderr}


def _leave(host: DockerContainerHostSync) -> None:
    """Close it; an engine that has gone took with it what there was to close."""
    try:
        host.close()
    except DockerptyError:
        return


def _text_of(file: str) -> str:
    try:
        if file != STDIN:
            with open(file, "rb") as opened:
                data = opened.read()
        elif sys.stdin is not None:
            data = sys.stdin.buffer.read()
        else:
            raise DockerptyError("read", "stdin", "it is closed")
    except OSError as error:
        name = "stdin" if file == STDIN else file
        raise DockerptyError("read", name, os.strerror(error.errno or 0)) from error
    # Bytes that are no text come out as they went in.
    return data.decode("utf-8", "surrogateescape")


def _shown(text: str) -> str:
    """Give so much of a command that one knows it."""
    first, *more = text.strip().splitlines() or [""]
    return f"{first[:_SHOWN]!r}" if not more and len(first) <= _SHOWN else f"{first[:_SHOWN] + '...'!r}"
