"""Commands in, output and exit codes out, over the streams of one shell that keeps its state.

A command's text never becomes part of a shell line: a driver, made here, runs in the shell, reads the text as data
and hands it to `command eval`. What comes back are marks among the output: RS, a nonce, `:`, what, RS. Pure: bytes and
values. Who opens the shell, writes and reads, and waits, is elsewhere.

What the driver texts rest on, seen in busybox ash 1.35, dash 0.5.12 and bash 5.2 (tests/unit/host/test_shells.py):

- `command eval` and not `eval`: after a plain `eval` of a syntax error, an assignment to a readonly variable or a
  failed `exec 7<`, ash and dash end. Through `command` these are an ordinary status, and the shell goes on.
- `read -r` of the shell takes its input byte by byte: what follows a request is left to whom it is meant for.
- The text is not run in a function: `set -- a b` lasts to the next command.
- No mark stands whole in what we send: `printf` makes it of its parts, so that neither the echo of a terminal nor
  `set`, nor `set -x`, shows one. What the driver itself does is in `{ ...; } 2>/dev/null`, where no trace is seen.
- All names of the driver's begin with `__dpty_`. Its builtins are called through `command`, so that a user's
  function `read` is not met; all its expansions are quoted, since IFS is the user's; none of its statements fails, or
  reads what may be unset, since `set -e` and `set -u` are the user's as well.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

STDOUT, STDERR = 1, 2

MAX_TEXT = 1024 * 1024
"""Bytes of a command's text. The shell reads it byte by byte; what is longer is a file."""

# Shells that do not read a POSIX driver.
FOREIGN_SHELLS = frozenset({"csh", "elvish", "fish", "nu", "powershell", "pwsh", "tcsh", "xonsh"})

NONCE_DIGITS = 16
_MARK = re.compile(rb"\x1e([0-9a-f]{16}):([0-9a-z:]{1,32})\x1e")
# The same, cut anywhere: what may become a mark with the next bytes.
_CUT_MARK = re.compile(rb"\x1e(?:[0-9a-f]{0,16}|[0-9a-f]{16}:[0-9a-z:]{0,32})\Z")
_READY = re.compile(r"ready:([0-9]+):([a-z]+)(:echo)?")
LONGEST_MARK = 1 + NONCE_DIGITS + 1 + 32 + 1

# What a terminal in its usual mode takes for a key, or keeps in no line: such a text goes coded, in lines of a length
# that each terminal keeps, as `printf %b` reads it.
_ODD = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|[^\n]{1000}")
# Nor a character of several bytes: bash would read on where a line ends in the middle of one.
_CODED = re.compile(rb"[\x00-\x1f\x7f-\xff\\]")
_CODED_LINE = re.compile(rb"(?:\\0[0-7]{3}|\\n|[^\\]){1,190}")


# ---- the driver texts ----------------------------------------------------------------------------------------------

# Every function of the driver's is one line: typed at a terminal, a line has to stay below the 1023 bytes that ash's
# line editor takes. In zsh `command` finds builtins only as `emulate sh` has it: for the length of a function.
_ZSH = '[ -z "${ZSH_VERSION-}" ] || emulate -L sh'

# Print a mark of $1, the nonce, and $2, what.
_DEFINE_MARK = r"""__dpty_mark() { command printf '\036%s:%s\036' "$1" "$2"; }"""

# Read $1 lines into __dpty_t, as they are, with $2 between them. Some lines are gathered first: a shell copies all it
# has with each piece that it appends to it, and the text may have 100,000 lines.
_DEFINE_READ = (
    "__dpty_read() { " + _ZSH + "; __dpty_t= __dpty_p= __dpty_i=$1; "
    "while IFS= command read -r __dpty_l; do "
    "__dpty_p=$__dpty_p$__dpty_l __dpty_i=$((__dpty_i - 1)); "
    '[ "$__dpty_i" -gt 0 ] || break; '
    "__dpty_p=$__dpty_p$2; "
    '[ "$((__dpty_i % 100))" -gt 0 ] || { __dpty_t=$__dpty_t$__dpty_p; __dpty_p=; }; '
    "done; __dpty_t=$__dpty_t$__dpty_p; }"
)

# Find the dialect: by a variable, or by the program that runs.
_DEFINE_DIALECT = (
    "__dpty_dialect() { "
    'if [ -n "${BASH_VERSION-}" ]; then __dpty_d=bash; '
    'elif [ -n "${ZSH_VERSION-}" ]; then __dpty_d=zsh; '
    'elif [ -n "${KSH_VERSION-}" ]; then __dpty_d=ksh; '
    'else case $(command readlink "/proc/$$/exe") in */busybox*) __dpty_d=ash;; */dash) __dpty_d=dash;; '
    "*) __dpty_d=posix;; esac; fi; }"
)

# A newline; at the end of `$(...)` it would be taken away.
_DEFINE_NEWLINE = r"""__dpty_nl=$(command printf '\n.'); __dpty_nl=${__dpty_nl%.}"""

_COMMON = (_DEFINE_NEWLINE, _DEFINE_MARK, _DEFINE_READ, _DEFINE_DIALECT)

# Who traces sees his own commands: the trace is off for `command eval`, and on again as the first thing in it, in a
# line of its own, so that it comes to pass also before a text with a syntax error. Not in a function: at the end of
# one zsh puts the trace back.
_UNTRACED = 'case $- in *x*) set +x; __dpty_t="{ set -x; } 2>/dev/null$__dpty_nl$__dpty_t";; esac'

# Without terminal. The shell's streams are kept as 7 and 8: marks come also after `exec >file`. ($1 nonce, $2 what)
_DEFINE_BOTH = '__dpty_both() { __dpty_mark "$1" "$2" >&7; __dpty_mark "$1" "$2" >&8; }'

# Tell the exit code $1 of the command that is over, if there was one; read the next request; begin it. A request is
# a line `<session> <key> <lines> <streams> [<stdin>]` and the lines; what does not begin with the session is none of
# ours. At the end of our input the shell ends; also when it reads nothing, as with a function `command` of the user's:
# it would go round for ever.
_DEFINE_NEXT = (
    "__dpty_next() { " + _ZSH + "; "
    '[ -z "$__dpty_k" ] || __dpty_both "$__dpty_k" "$1"; '
    "while :; do "
    "__dpty_l=; IFS=' ' command read -r __dpty_l __dpty_k __dpty_i __dpty_e __dpty_in || exit 0; "
    'case $__dpty_l in "$__dpty_n") break;; "") exit 0;; esac; '
    'done; __dpty_read "$__dpty_i" "$__dpty_nl"; __dpty_both "$__dpty_k" b; }'
)

# A `break` in a command leaves the loop around it, `break 2` two of them. Then the next loop goes on, and comes to the
# condition of the innermost one, where all ways lead: there the code of the command is told.
_OUTER_LOOPS = 9

# In zsh's own mode `command` finds no builtins, and a plain `eval` does not end the shell. `case` leaves `$?` as it is:
# 0 at the beginning of each command. With `one` stderr is where stdout is.
_LOOP = (
    "while { :; } 2>/dev/null; do " * _OUTER_LOOPS
    + 'while { __dpty_next "$?"; '
    + _UNTRACED
    + "; } 2>/dev/null; do case $__dpty_e-$__dpty_d in "
    + 'one-zsh) eval "$__dpty_t" <"${__dpty_in:-/dev/null}" 2>&1 7>&- 8>&-;; '
    + 'one-*) command eval "$__dpty_t" <"${__dpty_in:-/dev/null}" 2>&1 7>&- 8>&-;; '
    + '*-zsh) eval "$__dpty_t" <"${__dpty_in:-/dev/null}" 7>&- 8>&-;; '
    + '*) command eval "$__dpty_t" <"${__dpty_in:-/dev/null}" 7>&- 8>&-;; '
    + "esac; done; "
    + "done; " * _OUTER_LOOPS
)

# With terminal. The request's line calls this with the key, the number of lines, how they are written, and whether we
# wait; then it hands the text to `command eval` at the prompt, and calls `__dpty_end`.
_DEFINE_BEGIN = (
    "__dpty_begin() { " + _ZSH + "; "
    'case $4 in waits) __dpty_mark "$1" go >&7;; esac; '
    'case $3 in coded) __dpty_read "$2" ""; '
    "__dpty_t=$(command printf '%b.' \"$__dpty_t\"); __dpty_t=${__dpty_t%.};; "
    '*) __dpty_read "$2" "$__dpty_nl";; esac; '
    '__dpty_k=$1; __dpty_mark "$1" b >&7; }'
)
_DEFINE_END = '__dpty_end() { case $__dpty_k in ?*) __dpty_mark "$__dpty_k" "$1" >&7; __dpty_k=;; esac; }'

# No line editor: it would read ahead of us, and show what it reads. An interrupt drops the rest of the typed line, and
# so the end of the command: bash tells it before its next prompt, of the others only a probe knows.
_NO_EDITOR = (
    "case ${BASH_VERSION-} in ?*) set +o emacs +o vi; "
    "PROMPT_COMMAND='{ __dpty_end \"$?\"; } 2>/dev/null';; esac; "
    "case ${ZSH_VERSION-} in ?*) unsetopt zle promptsp promptcr;; esac"
)

# Where nothing is echoed, the end of a job interrupts ash's reading at its prompt, and it takes that for the end of its
# input: it would end, with 0. So it says how to leave it, and goes on (1.35; 50 times between two commands).
_KEEP_ASH = "case $__dpty_d in ash) set -o ignoreeof;; esac"


# Where there is no stty, what is typed is shown, and it is said so.
_NO_ECHO = "__dpty_echo=; stty -echo -onlcr 2>/dev/null || __dpty_echo=:echo"


def driver(session: str) -> str:
    """Make the driver of a shell without terminal: the text for `sh -c`."""
    ready = f'__dpty_dialect 2>/dev/null; __dpty_both {session} "ready:$$:$__dpty_d"'
    start = f"exec 7>&1 8>&2; __dpty_n={session} __dpty_k=; {ready}"
    # One line: so a command's own lines are counted from 1 in what its shell complains of.
    return "; ".join([*_COMMON, _DEFINE_BOTH, _DEFINE_NEXT, start, _LOOP])


def typed_driver(session: str, prompt: str | None = "$ ") -> bytes:
    """Make the driver of a shell with terminal: the lines that are typed at its start.

    Args:
        session: the nonce of the session.
        prompt: PS1 from now on; None keeps what the shell has.
    """
    prompts = [] if prompt is None else [f"PS1={_quoted(prompt)} PS2='> '"]
    said = '"ready:$$:$__dpty_d$__dpty_echo"'
    ready = f"__dpty_dialect 2>/dev/null; {_KEEP_ASH}; __dpty_mark {session} {said} >&7"
    # Commands may point the shell's streams elsewhere: 7 is the terminal for as long as the shell lives.
    start = [_NO_EDITOR, _NO_ECHO, "exec 7<&0; __dpty_k=", *_COMMON, _DEFINE_BEGIN, _DEFINE_END]
    # The blank before each line keeps it out of a history that leaves such lines out.
    return "".join(f" {line}\n" for line in [*start, *prompts, ready]).encode()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def refuse_foreign(shell: str) -> None:
    """Refuse a shell, by its name or path, that does not read a POSIX driver.

    Raises:
        ValueError: it is fish, csh, PowerShell or another that is not of sh's kind.
    """
    name = shell.rpartition("/")[2].removesuffix(".exe")
    if name in FOREIGN_SHELLS:
        raise ValueError(f"{name} is no shell of sh's kind")


# ---- what comes back -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """The driver runs, and waits for a request. A terminal that nothing could keep from it `echoes` what is typed."""

    stream: int
    pid: int
    dialect: str
    echoes: bool = False


@dataclass(frozen=True, slots=True)
class Go:
    """The shell takes the text of this command now."""

    key: str


@dataclass(frozen=True, slots=True)
class Begin:
    """From here on the stream is this command's."""

    stream: int
    key: str


@dataclass(frozen=True, slots=True)
class Output:
    """Output of the command."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Spilled:
    """Output of nobody that we know: prompts, echo, background jobs; before `Ready` also what the shell says first."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The command has ended with this code, as far as this stream is concerned."""

    stream: int
    key: str
    code: int


@dataclass(frozen=True, slots=True)
class Probed:
    """The shell is back at its prompt: whatever ran before is over."""

    key: str


Event = Ready | Go | Begin | Output | Spilled | End | Probed


class Reader:
    """Find the marks in one of a shell's streams, and say whose the bytes between them are.

    Marks count only if their nonce is the one that is waited for, and only in their order; all others are bytes like
    any. What may become a mark is held back, never more than LONGEST_MARK - 1 bytes.

    Args:
        stream: the number that the events bear.
        session: the nonce of the session.

    Attributes:
        held: the bytes held back now.
        key: the command that is asked for or runs, or "".
        reading: the shell takes its text: what is sent now is a part of it.
        running: its output has begun.
    """

    def __init__(self, stream: int, session: str) -> None:
        self._stream = stream
        self._session = session
        self._probe = ""
        self.held = b""
        self.key = ""
        self.reading = self.running = False

    def expect(self, key: str) -> None:
        """Wait for the marks of a command that is sent. A probe that was not answered by now tells nothing any more."""
        self.key, self._probe = key, ""

    def expect_probe(self, key: str) -> None:
        """Wait for the mark that says that the shell is back, besides those of the command that it was kept from."""
        self._probe = key

    @property
    def asked(self) -> bool:
        """Whether a command is sent that has not begun, or a probe that was not answered."""
        return bool(self._probe or (self.key and not self.running))

    def feed(self, data: bytes) -> list[Event]:
        """Return what the next bytes of the stream say."""
        data = self.held + data if self.held else data
        events: list[Event] = []
        start = at = 0
        while mark := _next_mark(data, at):
            event = self._read(mark[1].decode(), mark[2].decode())
            if event is None:
                # The RS at its end may be the first of another one.
                at = mark.end() - 1
                continue
            self._append(events, data[start : mark.start()])
            events.append(event)
            self._follow(event)
            start = at = mark.end()
        end = _end_of_whole(data, at)
        self.held = data[end:]
        self._append(events, data[start:end])
        return events

    def finish(self) -> list[Event]:
        """Return what was held back: the stream has ended, nothing becomes a mark any more."""
        events: list[Event] = []
        self._append(events, self.held)
        self.held = b""
        return events

    def _append(self, events: list[Event], data: bytes) -> None:
        if data:
            events.append(Output(self._stream, data) if self.running else Spilled(self._stream, data))

    def _read(self, nonce: str, what: str) -> Event | None:
        """Return what a mark means here and now, if it means anything."""
        if nonce == self.key:
            if self.running:
                return End(self._stream, nonce, int(what)) if what.isdecimal() else None
            return Begin(self._stream, nonce) if what == "b" else Go(nonce) if what == "go" else None
        if nonce == self._probe:
            return Probed(nonce) if what == "p" else None
        if nonce == self._session and (ready := _READY.fullmatch(what)):
            return Ready(self._stream, int(ready[1]), ready[2], bool(ready[3]))
        return None

    def _follow(self, event: Event) -> None:
        if isinstance(event, Go):
            self.reading = True
        elif isinstance(event, Begin):
            self.reading, self.running = False, True
        elif isinstance(event, End):
            self.key, self.running = "", False
        elif isinstance(event, Probed):
            # Marks of the command that come later than this are too late.
            self.key, self._probe = "", ""
            self.reading = self.running = False
        elif isinstance(event, Ready):
            self._session = ""


def _next_mark(data: bytes, start: int) -> re.Match[bytes] | None:
    return _MARK.search(data, start)


def _end_of_whole(data: bytes, start: int) -> int:
    """Return where the bytes end that are no beginning of a mark."""
    cut = _CUT_MARK.search(data, max(start, len(data) - LONGEST_MARK + 1))
    return cut.start() if cut else len(data)


# ---- what is sent --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """A command as it is sent: `first` at once, `rest` after `Go`, if it is not empty."""

    key: str
    first: bytes
    rest: bytes = b""


def _nonce() -> str:
    return secrets.token_hex(NONCE_DIGITS // 2)


class Framing:
    """One shell: what is sent to it, and what its streams say. One command at a time.

    Args:
        terminal: the shell has one, and so a single stream.
        nonce: makes 16 hexadecimal digits that nobody guesses.

    Attributes:
        session: the nonce of the session, for `driver` and `typed_driver`.
        dialect: as `Ready` told it, or "".
        echoes: the terminal shows what is typed, and a CR before each newline: there is no stty to hinder that.
    """

    def __init__(self, *, terminal: bool, nonce: Callable[[], str] = _nonce) -> None:
        self.session = nonce()
        self.dialect = ""
        self.echoes = False
        self._nonce = nonce
        self._terminal = terminal
        streams = (STDOUT,) if terminal else (STDOUT, STDERR)
        self._readers = {stream: Reader(stream, self.session) for stream in streams}

    @property
    def busy(self) -> bool:
        """Whether a command was sent whose end has not been seen on every stream."""
        return any(reader.key for reader in self._readers.values())

    @property
    def asked(self) -> bool:
        """Whether the shell was sent something of ours that it has not come to."""
        return any(reader.asked for reader in self._readers.values())

    @property
    def reading(self) -> bool:
        """Whether the shell takes a command's text, and would take for it whatever else is sent."""
        return any(reader.reading for reader in self._readers.values())

    @property
    def running(self) -> bool:
        """Whether a command runs: its text has arrived, and its end was not seen."""
        return any(reader.running for reader in self._readers.values())

    def request(self, command: str | bytes, stdin: str = "", *, merge: bool = False) -> Request:
        """Say what to send for a command.

        Args:
            command: its text; a `str` goes as UTF-8, with lone surrogates as the bytes that they stand for.
            stdin: path of what it reads, in the container. Unless given, nothing; with a terminal, that.
            merge: its stderr is its stdout. With a terminal it is so in any case.

        Raises:
            ValueError: a NUL, which no shell can hold, or more than MAX_TEXT bytes; a newline in `stdin`.
            RuntimeError: the last one has not ended.
        """
        text = self.check(command, stdin)
        key = self._nonce()
        for reader in self._readers.values():
            reader.expect(key)
        lines = text.count(b"\n") + 1
        if not self._terminal:
            line = f"{self.session} {key} {lines} {'one' if merge else 'two'} {stdin}\n"
            return Request(key, line.encode(errors="surrogateescape") + text + b"\n")
        how = "plain"
        if _ODD.search(text):
            how, text = "coded", _coded(text)
            lines = text.count(b"\n") + 1
        first = self._typed(key, lines, how, stdin)
        return Request(key, first, text + b"\n") if self._waits else Request(key, first + text + b"\n")

    def check(self, command: str | bytes, stdin: str = "") -> bytes:
        """Give the text of a command as it is sent.

        Raises:
            ValueError, RuntimeError: it cannot be sent, as of `request`.
        """
        text = command.encode(errors="surrogateescape") if isinstance(command, str) else command
        _check(text, stdin)
        if self.busy:
            raise RuntimeError("a command runs in this shell: send the next when it has ended")
        return text

    @property
    def _waits(self) -> bool:
        """Whether the text is kept back until the shell reads it.

        From a terminal that a program left raw all but ash take what is there for lines of their own, the text too.
        """
        return self.dialect != "ash"

    def _typed(self, key: str, lines: int, how: str, stdin: str) -> bytes:
        """Make the line that is typed for a command. Not in a function: `set --` in it is to last."""
        # Stdin is named in any case: an `exec <file` in the command is taken back, else the shell would go on with
        # the file's lines.
        source = f"<{_quoted(stdin)}" if stdin else "<&7"
        # With a backslash it is no alias, if there is one of its name by now.
        evaluate = "eval" if self.dialect == "zsh" else "\\command eval"
        # A text that ends in an open quote, or with a backslash, leaves bash's parser, at a prompt, where the next word
        # begins no command: `{` is an ordinary word there (bash 5.2).
        first = ":; " if self.dialect == "bash" else ""
        waits = "waits" if self._waits else "comes"
        return (
            f" {first}{{ __dpty_begin {key} {lines} {how} {waits}; {_UNTRACED}; }} 2>/dev/null; "
            f'{evaluate} "$__dpty_t" {source} 7>&-; {{ __dpty_end "$?"; }} 2>/dev/null\n'
        ).encode(errors="surrogateescape")

    def probe(self) -> bytes:
        """Make the lines that ask whether the shell is back at its prompt, after an interrupt (with terminal only)."""
        key = self._nonce()
        for reader in self._readers.values():
            reader.expect_probe(key)
        # Two of them: where no process more is allowed, ash and dash drop the rest of a line that wanted one.
        return f" stty sane -echo -onlcr 2>/dev/null\n __dpty_k=; __dpty_mark {key} p >&7\n".encode()

    def feed(self, data: bytes, stream: int = STDOUT) -> list[Event]:
        """Return what the next bytes of a stream say, in order."""
        events = self._readers[stream].feed(data)
        if not self.dialect:
            for event in events:
                if isinstance(event, Ready):
                    self.dialect, self.echoes = event.dialect, event.echoes
        return events

    def finish(self, stream: int = STDOUT) -> list[Event]:
        """Return the last bytes of a stream that has ended."""
        return self._readers[stream].finish()


def _coded(text: bytes) -> bytes:
    """Write a text as `printf %b` reads it, in lines that are to be joined."""
    coded = _CODED.sub(lambda found: b"\\n" if found[0] == b"\n" else b"\\0%03o" % found[0][0], text)
    return b"\n".join(_CODED_LINE.findall(coded))


def _check(text: bytes, stdin: str) -> None:
    if b"\0" in text:
        raise ValueError("there is a NUL in the command, which no shell can hold")
    if len(text) > MAX_TEXT:
        raise ValueError(
            f"a command of {len(text)} bytes: put it into the container as a file, and run `sh FILE`"
        )
    if "\n" in stdin or "\0" in stdin:
        raise ValueError(f"stdin cannot be {stdin!r}: a newline or a NUL is in it")
