"""A command run in an open shell: to its end, to the end of its time, or to the shell's.

What it writes is its own from its begin mark to its end mark. Several commands are `sequence`'s, and to read and write
while one runs is `started`'s.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from dockerpty.host.errors import SessionBusyError
from dockerpty.host.in_order import check_timeout
from dockerpty.host.oneshot import OUTPUT_LIMIT, Output
from dockerpty.host.requests import Wait
from dockerpty.host.results import CommandStatus, ShellCommand, Status, answers
from dockerpty.host.shell.departure import Vigil, give_up, learn_end
from dockerpty.host.shell.feeding import NOTHING, free, open_feeder, release
from dockerpty.host.shell.framing import STDERR, STDOUT, Begin, End, Go, Probed
from dockerpty.host.stdin import Stdin
from dockerpty.matching import Responder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerpty.host.oneshot import Keep, OnOutput
    from dockerpty.host.requests import Plan
    from dockerpty.host.shell.feeding import Feeder
    from dockerpty.host.shell.shell import Shell

    #: Interrupts what runs in a shell, and says whether the shell is back, with its state. It is given the shell, and
    #: when its command was sent, by `time.monotonic`.
    Recover = Callable[[Shell, float], Plan[bool]]
    #: Says whether a shell has its own terminal, and no program that it started.
    HasTerminal = Callable[[Shell], Plan[bool]]

#: Of a command that was interrupted by a key: 128 + SIGINT.
INTERRUPTED_CODE = 130

# How often a key is tried, what it takes until the line behind it is not dropped with it, and until the shell is back.
_TRIES, _KEY_S, _TRY_S = 3, 0.05, 0.5
# The key that interrupts, as a terminal shows it.
_KEY_SHOWN = b"^C"
# Bytes of output that the prompts after an interrupt are among.
_PROMPTS = 1024
# For a program that was sent to the shell to give its terminal back, and how often that is looked at.
_TERMINAL_S, _LOOK_S = 0.5, 0.02


class Running:
    """A command on its way through a shell: what it has written, what it is answered, how far it is.

    Args:
        feeds: it reads what `write` is given, also without a terminal.
        Others: as for `run_one`.

    Attributes:
        text: the command's.
        encoding: of what is text and goes to it.
        code: its exit code, once it has ended.
    """

    def __init__(
        self,
        shell: Shell,
        command: ShellCommand,
        *,
        stdin: Any = None,
        expects: Any = None,
        merge: bool = False,
        feeds: bool = False,
        output_limit: int = OUTPUT_LIMIT,
        keep: Keep = "head",
        on_output: OnOutput | None = None,
        encoding: str = "utf-8",
        errors: str = "replace",
    ) -> None:
        self.text = command.cmd
        self.encoding = encoding
        self.code: int | None = None
        self._shell = shell
        self._given = stdin if command.stdin is None else command.stdin
        self._merge, self._errors = merge, errors
        self._output = Output(on_output, output_limit, keep)
        # What comes on the one stream is no part of what comes on the other.
        listed = answers(expects if command.expects is None else command.expects)
        streams = (STDOUT, STDERR) if listed else ()
        self._responders = {stream: Responder(listed, encoding, errors) for stream in streams}
        self._feeds = not shell.tty and (feeds or bool(listed))
        self._source: Stdin | None = None
        self._feeder: Feeder | None = None
        self._freed = self._began = self._interrupted = False
        # Of the request, and of what it is to read: what waits for the shell to ask for its text.
        self._rest = self._early = b""
        # The end of what comes as its shell is brought back: of that some is the shell's.
        self._held: bytearray | None = None
        self._vigil = Vigil(shell)
        self._started, self._clock = datetime.now(UTC), time.monotonic()

    def begin(self) -> Plan[None]:
        """Send it, with what it takes to feed it."""
        shell = self._shell
        path = ""
        if isinstance(self._given, (str, bytes)) and not self._given:
            path = NOTHING
        elif self._given is not None or self._feeds:
            # Before anything is started.
            shell.framing.check(self.text)
            if self._given is not None:
                self._source = Stdin(self._given, self.encoding)
            self._feeder = yield from open_feeder(shell, self._source)
            path = self._feeder.path
        request = shell.framing.request(self.text, path, merge=self._merge)
        self._rest = request.rest
        shell.sink = self._take
        shell.used, shell.touched, shell.sent = True, False, time.monotonic()
        shell.channel.write(request.first)
        if self._feeder is not None:
            self._feeder.tell()

    def step(self) -> Plan[bool]:
        """Do what can be done now; say whether it is over, for itself or with its shell."""
        shell, feeder = self._shell, self._feeder
        for event in shell.take():
            if isinstance(event, Begin):
                self._began = True
            elif isinstance(event, Go):
                shell.channel.write(self._rest)
                self._rest = b""
                self._type(b"")
            elif isinstance(event, End):
                self.code = event.code
            elif isinstance(event, Probed):
                # Somebody else has interrupted it.
                self._interrupted = self.code is None
        if not shell.busy or (yield from self._vigil.sees_the_end()):
            return True
        if feeder is not None:
            feeder.look()
            if feeder.channel.ended and not feeder.opened and not self._freed:
                # Nobody else would open it any more, and the shell wait for that for ever.
                self._freed = True
                yield from free(shell, feeder)
        return False

    def wait(self, until: float | None = None) -> Plan[None]:
        """Wait until there is something to do; at most until then, by `time.monotonic`."""
        channels, look = [self._shell.channel], self._vigil.until
        if self._feeder is not None:
            if self._feeder.feed():
                look = time.monotonic()
            if not self._feeder.channel.ended:
                channels.append(self._feeder.channel)
        yield Wait(tuple(channels), look if until is None else min(until, look))

    def follow(self, until: float | None) -> Plan[bool]:
        """Do all this to its end; False if the time is over before."""
        while not (yield from self.step()):
            if until is not None and time.monotonic() >= until:
                return False
            yield from self.wait(until)
        return True

    def stop(self, recover: Recover) -> Plan[None]:
        """End it, and bring its shell back, or give that up."""
        shell = self._shell
        self._held = bytearray() if shell.tty else None
        back = yield from recover(shell, shell.sent)
        if shell.channel.ended:
            yield from learn_end(shell)
        elif not back:
            yield from give_up(shell, "a command whose time was over could not be interrupted")
        held, self._held = self._held, None
        own = bytes(held or b"")
        if shell.framing.echoes:
            # Behind the key all is what was typed to bring the shell back.
            own = own.partition(_KEY_SHOWN)[0]
        own = self._without_prompts(own)
        if own:
            self._output.take(STDOUT, own)

    def write(self, data: bytes) -> None:
        """Give it something to read: at its terminal, or through its fifo up to the end of its stdin."""
        if self._shell.tty:
            self._type(data)
        elif self._feeder is not None:
            self._feeder.write(data)

    @property
    def unsent(self) -> int:
        """How many bytes of what it is to read are still here."""
        if self._shell.tty:
            return len(self._early) + self._shell.channel.unsent
        return 0 if self._feeder is None else self._feeder.channel.unsent

    def close_stdin(self) -> None:
        """End what it reads: with a terminal by the key for that."""
        if self._shell.tty:
            self._type(b"\x04")
        elif self._feeder is not None:
            self._feeder.end()

    def _type(self, data: bytes) -> None:
        """Send keys behind the text, which a shell may not have asked for yet: it would take them for that."""
        self._early += data
        if not self._rest and self._early:
            self._shell.type(self._early)
            self._early = b""

    def leave(self) -> None:
        """Take no more of what it writes."""
        # Another one's, if this was refused.
        if self._shell.sink == self._take:
            self._shell.sink = None
        if self._source is not None:
            self._source.close()

    def close(self) -> Plan[None]:
        """Leave it, and end what feeds it."""
        self.leave()
        feeder, self._feeder = self._feeder, None
        if feeder is not None:
            yield from release(self._shell, feeder)

    def result(self, *, timed_out: bool = False) -> Plan[CommandStatus]:
        """Tell what came of it, now that it is over."""
        shell, code, error = self._shell, self.code, ""
        more: dict[str, Any] = {}
        if code is None and not timed_out and not self._interrupted:
            yield from learn_end(shell)
        if shell.over:
            error = shell.why
            if not timed_out:
                code = shell.exit_code
                more["shell_exited"] = shell.channel.error is None
                more["session_lost"] = shell.channel.error is not None
                more["skipped"] = not self._began and shell.channel.error is None
        elif self._interrupted:
            code = INTERRUPTED_CODE
            more["interrupted"] = True
        if shell.replaces:
            shell.replaces, more["session_lost"] = False, True
        status = CommandStatus.of(
            self.text,
            code,
            self._stdout(),
            self._output.kept(STDERR),
            terminal=shell.tty,
            encoding=self.encoding,
            errors=self._errors,
            timed_out=timed_out,
            dropped_bytes=self._output.dropped,
            duration=time.monotonic() - self._clock,
            started=self._started,
            error=error,
            host=shell.host,
            **more,
        )
        # A shell that said goodbye in a container that stopped has not done what it was asked.
        return status._replace(status=Status.Error) if status.ok and error else status

    def _stdout(self) -> bytes:
        """Give what it wrote."""
        kept = self._output.kept(STDOUT)
        # From beside, and nobody knows when.
        return self._without_prompts(kept) if self._interrupted else kept

    def _without_prompts(self, output: bytes) -> bytes:
        """Take away what its shell said as it was brought back: a newline, and prompts."""
        prompt = self._shell.prompt
        if not self._shell.tty or not prompt:
            return output
        return re.sub(rb"\n?(?:%b)+\Z|\A\n\Z" % re.escape(prompt), b"", output)

    def _take(self, stream: int, data: bytes) -> None:
        if self._held is None:
            self._output.take(stream, data)
        else:
            self._held += data
            if len(self._held) > _PROMPTS:
                self._output.take(stream, bytes(self._held[:-_PROMPTS]))
                del self._held[:-_PROMPTS]
        if self._responders:
            for response in self._responders[stream].feed(data):
                self.write(response)


def by_keys(shell: Shell, started: float) -> Plan[bool]:
    """Interrupt what runs in a shell by its terminal, and say whether the shell is back."""
    if not shell.tty:
        return False
    for _ in range(_TRIES):
        shell.channel.write(b"\x03")
        yield from _watch(shell, time.monotonic() + _KEY_S)
        shell.channel.write(shell.framing.probe())
        if (yield from _watch(shell, time.monotonic() + _TRY_S)):
            return True
    return False


def _watch(shell: Shell, until: float) -> Plan[bool]:
    """Read until a probe has come back, or the time is over."""
    while True:
        if any(isinstance(event, Probed) for event in shell.take()):
            return True
        if shell.channel.ended or time.monotonic() >= until:
            return False
        yield Wait((shell.channel,), until)


def run_one(
    shell: Shell,
    command: ShellCommand | str,
    *,
    timeout: float | None = None,
    stdin: Any = None,
    expects: Any = None,
    merge: bool = False,
    output_limit: int = OUTPUT_LIMIT,
    keep: Keep = "head",
    on_output: OnOutput | None = None,
    encoding: str = "utf-8",
    errors: str = "replace",
    recover: Recover = by_keys,
    has_terminal: HasTerminal | None = None,
) -> Plan[CommandStatus]:
    """Run a command in a shell that is ready for it.

    Args:
        command: what it leaves open of `timeout`, `stdin` and `expects` is as given here.
        timeout: seconds from when it is sent; then it is interrupted, and the shell is brought back.
        stdin: bytes, text, a path of this machine, or a file. None: without a terminal nothing, with one that.
        expects: what to answer to; see `results.answers`. Without a terminal through a fifo, up to the end of `stdin`.
            Each stream is searched, and counted, by itself.
        merge: stderr goes where stdout goes, in exact order.
        output_limit, keep: how much is kept of each stream, and of which end of it; see `oneshot.oneshot`.
        on_output: called with each piece of output, also of what is not kept, as (stream, bytes).
        encoding, errors: of `output`, of responses, and of `stdin` that is text.
        recover: brings the shell back when the time is over.
        has_terminal: asked when something was sent raw before.

    Raises:
        ValueError: a command that no shell can take; a `timeout` of 0 or less; no way to give it `stdin`.
        SessionBusyError: a program has the terminal. Nothing was sent.
        RuntimeError: a command runs in this shell.
    """
    if isinstance(command, str):
        command = ShellCommand(command)
    limit = check_timeout(timeout if command.timeout is None else command.timeout)
    running = Running(
        shell,
        command,
        stdin=stdin,
        expects=expects,
        merge=merge,
        output_limit=output_limit,
        keep=keep,
        on_output=on_output,
        encoding=encoding,
        errors=errors,
    )
    yield from await_terminal(shell, has_terminal)
    try:
        yield from running.begin()
        in_time = yield from running.follow(None if limit is None else time.monotonic() + limit)
        if not in_time:
            yield from running.stop(recover)
    except GeneratorExit:
        # Nobody answers any more.
        running.leave()
        raise
    except BaseException:
        yield from running.close()
        raise
    yield from running.close()
    return (yield from running.result(timed_out=not in_time))


def await_terminal(shell: Shell, has_terminal: HasTerminal | None) -> Plan[None]:
    """Wait until what was sent raw is done with the terminal: what is typed into a program cannot be taken back."""
    if not shell.touched or has_terminal is None:
        return
    until = time.monotonic() + _TERMINAL_S
    while not (yield from has_terminal(shell)):
        if shell.channel.ended:
            return
        if time.monotonic() >= until:
            raise SessionBusyError(
                "run a command in",
                "the shell",
                "a program that was started by send() has its terminal",
                "end that first, or call interrupt()",
                host=shell.host,
            )
        # What it writes meanwhile is there for `expect`.
        yield Wait((), time.monotonic() + _LOOK_S)
        shell.take()
