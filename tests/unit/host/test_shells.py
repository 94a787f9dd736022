"""The framing under the shells of this machine: what the driver is said to rest on is seen here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerpty.host.shell.framing import STDERR, STDOUT, Begin, End
from tests.conftest import missing
from tests.unit.host import corpus
from tests.unit.host.shells import ALL, DEADLINE_S, HERE, Ran, Shell, environment

KINDS = [(name, terminal) for name in ALL for terminal in (False, True)]
IDS = [f"{name}-{'terminal' if terminal else 'pipes'}" for name, terminal in KINDS]


class Bench:
    """One shell of a kind, opened again when it has ended."""

    def __init__(self, name: str, terminal: bool, folder: Path) -> None:
        self.name = name
        self.terminal = terminal
        self.folder = folder
        self.shell = self.open()

    def open(self) -> Shell:
        return Shell(self.name, HERE[self.name], str(self.folder), terminal=self.terminal)

    def again(self) -> Shell:
        self.shell.__exit__(None, None, None)
        self.shell = self.open()
        return self.shell

    def as_file(self, text: bytes) -> Ran:
        """Run a script as a file of its own, with the streams that a session has."""
        (self.folder / "sh").write_bytes(text)
        done = subprocess.run(
            [*HERE[self.name], "sh"],
            cwd=self.folder,
            env=environment(str(self.folder)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if self.terminal else subprocess.PIPE,
            timeout=DEADLINE_S,
        )
        return Ran(done.stdout, done.stderr or b"", done.returncode)

    def run(self, text: bytes) -> Ran:
        """Run a script in the session, where it reads nothing."""
        ran = self.shell.run(text, stdin="/dev/null")
        if ran.code is None:
            ran.code = self.shell.process.returncode
        return ran


@pytest.fixture(params=KINDS, ids=IDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    name, terminal = request.param
    if name not in HERE:
        missing(f"no {name} on this machine")
    made = Bench(name, terminal, tmp_path)
    yield made
    made.shell.__exit__(None, None, None)


@pytest.fixture
def shell(bench: Bench) -> Shell:
    """A shell that nobody has used."""
    return bench.shell


# Complaints bear the script's name, its line, and that of who evaluates; bash has one + for each level of evaluation,
# repeats the line of a syntax error where it is not interactive, and says there of jobs and of its end.
_NAME = re.compile(rb"^(?:sh|ash|dash|bash): (?:eval: )?(\w+: |\.: )?(?:line )?(?:\d+: )?(?:eval: )?", re.M)
_ONLY_BASH = re.compile(rb"^(?:`.*'|\[\d+\].*|exit)\n", re.M)


def plain(output: bytes, name: str) -> bytes:
    output = _NAME.sub(rb"\1", output)
    if name == "bash":
        output = re.sub(rb"^\++ ", b"+ ", _ONLY_BASH.sub(b"", output), flags=re.M)
    return output


def same(ran: Ran, expected: Ran, name: str) -> bool:
    found, wanted = ((plain(each.out, name), plain(each.err, name), each.code) for each in (ran, expected))
    return found == wanted


def differences(bench: Bench, texts: list[bytes], *, fresh: bool = False) -> list[str]:
    found = []
    for text in texts:
        expected = bench.as_file(text)
        if fresh:
            bench.again()
        ran = bench.run(text)
        if not same(ran, expected, bench.name):
            found.append(f"{text[:200]!r}: {_told(ran)} and as a file {_told(expected)}")
        if bench.shell.process.poll() is None:
            alive = bench.run(b":" if fresh else b"echo alive >&2")
            if alive.code != 0 or (not fresh and alive.out + alive.err != b"alive\n"):
                found.append(f"{text[:200]!r}: then {_told(alive)}")
        else:
            bench.again()
            if not fresh:
                found.append(f"{text[:200]!r}: the shell has ended")
    return found


def _told(ran: Ran) -> str:
    return f"{ran.code} {ran.out[-200:]!r} {ran.err[-200:]!r}"


def test_awkward_scripts_do_what_they_do_as_files_and_leave_the_shell_alive(bench: Bench) -> None:
    texts = corpus.TIDY if bench.name == "bash" else corpus.TIDY + corpus.NOT_IN_BASH
    assert differences(bench, texts) == []


def test_scripts_that_change_the_shell_do_what_they_do_as_files_and_leave_it_alive(bench: Bench) -> None:
    assert differences(bench, [text.encode() for text in corpus.LASTING], fresh=True) == []


def test_scripts_that_end_the_shell_give_it_their_code(bench: Bench) -> None:
    assert differences(bench, [text.encode() for text in corpus.ENDING], fresh=True) == []


def test_what_is_an_error_that_ends_a_script_is_a_status_of_the_command(bench: Bench) -> None:
    for text in corpus.ERRORS:
        shell = bench.again()
        ran = shell.run(text)
        ended = bench.name == "bash" and not bench.terminal and ("$none" in text or "${none" in text)
        if ended:
            # As every script of bash's does.
            assert (ran.code, shell.process.returncode) == (None, 127), text
            continue
        assert ran.code in (1, 2), (text, ran)
        assert shell.run("echo alive").out == b"alive\n", text


# What of this ends the shell after a plain `eval`; `command eval` is why it is a status only.
ENDS_ASH_AND_DASH = [
    "if then",
    "set -u; unset none; echo $none",
    "readonly r=1; r=2",
    "export 1x=2",
    ". /nonexistent",
    "exec 6</nonexistent",
]


@pytest.mark.parametrize("name", ["ash", "dash"])
def test_a_plain_eval_would_end_the_shell(name: str) -> None:
    if name not in HERE:
        missing(f"no {name} on this machine")
    texts = ENDS_ASH_AND_DASH + (["shift 99"] if name == "dash" else [])
    for text in texts:
        for evaluate, goes_on in (("eval", b""), ("command eval", b"on\n")):
            words = [*HERE[name], "-c", f'text=$1; shift; {evaluate} "$text"; echo on', "sh", text]
            said = subprocess.run(
                words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=DEADLINE_S
            )
            assert said.stdout == goes_on, (evaluate, text)


# What lasts from one command to the next


def test_the_shells_state_lasts(bench: Bench, shell: Shell) -> None:
    shell.run("A=1; f() { echo f $A $1; }; cd /; umask 077; exec 9>&1; sleep 0.01 & set -o noglob")
    ran = shell.run("f x; pwd; umask; echo nine >&9; wait; echo $? *")
    assert plain(ran.out, bench.name) == b"f 1 x\n/\n0077\nnine\n0 *\n"


def test_positional_parameters_last(shell: Shell) -> None:
    assert shell.run("echo $#").out == b"0\n"
    shell.run("set -- a 'b c'")
    assert shell.run('echo $# "$2"; shift; echo "$1"').out == b"2 b c\nb c\n"
    assert shell.run('echo "$@"').out == b"b c\n"


def test_each_command_begins_with_status_0(shell: Shell) -> None:
    assert shell.run("false").code == 1
    assert shell.run("echo $?; (exit 3)").out == b"0\n"
    assert shell.run("").code == 0


def test_break_and_continue_outside_of_a_loop_end_the_command_and_not_the_shell(shell: Shell) -> None:
    # Without terminal the loop that they leave is the driver's.
    for text in (
        "break",
        "break 3",
        "continue",
        "continue 2",
        "for i in 1 2; do break 7; done",
        "false; break 9",
    ):
        assert shell.run(text).code == 0, text
        assert shell.run("echo alive").out == b"alive\n", text


def test_return_outside_of_a_function_ends_ash_and_dash_with_its_code(bench: Bench, shell: Shell) -> None:
    ran = shell.run("echo before; return 5")
    assert plain(ran.out, bench.name).startswith(b"before\n")
    if bench.name == "bash":
        assert ran.code in (1, 2)
        assert shell.run("echo alive").out == b"alive\n"
    else:
        assert (ran.code, shell.process.returncode) == (None, 5)


def test_marks_come_whatever_became_of_the_shells_streams(shell: Shell) -> None:
    for text in ("exec >/dev/null", "exec 2>/dev/null", "exec >&-", "exec 2>&-", "exec 9>lock 8>lock 7>lock"):
        assert shell.run(text).code == 0, text
        assert shell.run("true").code == 0, text
    assert shell.run("exit 4").code is None
    assert shell.process.returncode == 4


def test_the_descriptors_of_the_marks_are_closed_for_commands(shell: Shell) -> None:
    assert shell.run("echo x >&7").code in (1, 2)
    assert shell.run("sh -c 'echo x >&7'").code in (1, 2)
    if not shell.terminal:
        assert shell.run("echo x >&8").code in (1, 2)


def test_a_command_that_points_stdin_elsewhere_does_not_feed_the_shell(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("echo wrong\n" * 3)
    assert shell.run(f"exec <{tmp_path}/lines; read x; echo $x").out == b"echo wrong\n"
    assert shell.run("echo alive").out == b"alive\n"


def test_without_terminal_a_command_reads_the_end_of_file_at_once(bench: Bench, shell: Shell) -> None:
    if bench.terminal:
        started = shell.start("read x; echo got $x")
        assert b"got" not in started.out
        shell.send(b"typed\n")
        assert shell.wait(lambda ran: not shell.framing.busy).out == b"got typed\n"
    else:
        assert shell.run("cat; read x; echo $? $x").out == b"1\n"


def test_stdin_may_be_a_path(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "it's a file"
    path.write_bytes(b"one\ntwo\n")
    assert shell.run("cat", stdin=str(path)).out == b"one\ntwo\n"
    assert shell.run("cat; echo not run", stdin="/nonexistent").code in (1, 2)
    assert shell.run("echo alive").out == b"alive\n"


def test_stdin_may_be_a_fifo_that_is_fed_while_the_command_runs(shell: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    shell.start("cat; echo end", stdin=str(tmp_path / "fifo"))
    with open(tmp_path / "fifo", "wb") as fifo:
        fifo.write(b"a\nb")
    assert shell.wait(lambda ran: not shell.framing.busy).out == b"a\nbend\n"


def test_a_function_in_the_place_of_command_ends_the_shell_and_does_not_make_it_spin(
    bench: Bench, shell: Shell
) -> None:
    if bench.terminal:
        return  # There its prompt comes again: a probe tells.
    assert shell.run("command() { echo mine; }").code is None
    assert shell.process.returncode == 0


def test_a_job_in_the_background_keeps_nothing_waiting(shell: Shell) -> None:
    assert shell.run("sleep 777 & job=$!").code == 0
    assert shell.run("kill -0 $job && kill -KILL $job; wait $job").code == 128 + 9


def test_what_a_job_says_after_its_command_is_nobodys(shell: Shell, tmp_path: Path) -> None:
    # The job waits until the next command has been asked for its end: so it is between two commands.
    os.mkfifo(tmp_path / "now")
    shell.run(f"(read x <{tmp_path}/now; echo late) &")
    with open(tmp_path / "now", "w") as now:
        now.write("now\n")
    late = shell.wait(lambda ran: b"late" in ran.spilled)
    assert b"late\n" in late.spilled
    assert late.out == b""


# What is seen of the driver


def test_a_trace_shows_the_users_commands_only(bench: Bench, shell: Shell) -> None:
    shell.run("set -x")
    for text, shown in (
        ("echo one", "echo one"),
        ("A=1 true", "A=1 true"),
        ("if then", ""),
        ("echo two", "echo two"),
    ):
        ran = shell.run(text)
        trace = [
            line for line in plain(ran.out + ran.err, bench.name).decode().splitlines() if line[:1] == "+"
        ]
        assert trace in ([f"+ {shown}"] if shown else [], ["+ A=1", "+ true"]), text
    assert b"__dpty" not in shell.run("set +x").spilled


def test_no_mark_stands_whole_in_what_the_shell_shows_of_itself(bench: Bench, shell: Shell) -> None:
    shell.run("set -x")
    for text in ("set", "typeset -f || true", "alias; trap; jobs", "echo $-", "ps -o args 2>/dev/null; true"):
        ran = shell.run(text)
        assert ran.code == 0, text
        # Nothing but marks has the byte that they begin with.
        assert b"\x1e" not in ran.out + ran.err + ran.spilled, text
    if bench.terminal:
        shell.run("stty echo onlcr")
        assert b"\x1e" not in shell.run("echo echoed").spilled


def test_a_log_of_this_session_that_is_shown_in_it_ends_nothing(shell: Shell, tmp_path: Path) -> None:
    shell.run("echo a; echo b >&2")
    (tmp_path / "log").write_bytes(bytes(shell.said))
    ran = shell.run(f"cat {tmp_path}/log; echo end")
    assert ran.code == 0
    assert ran.out == bytes((tmp_path / "log").read_bytes()) + b"end\n"
    assert shell.run("echo alive").out == b"alive\n"


def test_the_shell_says_who_it_is(bench: Bench, shell: Shell) -> None:
    assert shell.ready
    assert (shell.ready.pid, shell.ready.dialect) == (shell.process.pid, bench.name)
    assert shell.framing.dialect == bench.name


# Ways of a text


def test_every_byte_but_nul_arrives(shell: Shell) -> None:
    odd = bytes(set(range(1, 256)) - {39})
    assert shell.run(b"printf %s '" + odd + b"'").out == odd


def test_a_text_of_many_lines_and_one_of_long_lines_arrive(shell: Shell) -> None:
    lines = b"".join(b"%06d " % number + b"x" * 90 + b"\n" for number in range(1000))
    assert shell.run(b"cat <<'X'\n" + lines + b"X").out == lines
    assert shell.run(b"printf %s " + b"y" * 64000).out == b"y" * 64000


def test_binary_output_arrives_exactly(shell: Shell, tmp_path: Path) -> None:
    data = bytes(range(256)) * 2000
    (tmp_path / "data").write_bytes(data)
    assert shell.run(f"cat {tmp_path}/data").out == data


def test_a_terminal_that_was_left_raw_takes_commands_all_the_same(shell: Shell) -> None:
    for mode in ("raw", "raw echo", "-icanon min 1", "cbreak"):
        shell.run(f"stty {mode}")
        assert (
            shell.run("stty sane -echo -onlcr\necho 'a\x03b'").out == b"a\x03b\n" if shell.terminal else True
        )


def test_a_text_with_keys_needs_no_program(shell: Shell) -> None:
    shell.run("PATH=; stty() { echo mine; }")
    assert shell.run(b"echo 'a\x03\x04\\b\xff'\necho '" + "é".encode() * 900 + b"'").out in (
        b"a\x03\x04" + b + b"\xff\n" + "é".encode() * 900 + b"\n" for b in (b"\\b", b"\b")
    )


def test_both_streams_begin_and_end(bench: Bench, shell: Shell) -> None:
    ran = shell.run("echo o; echo e >&2; exit_code() { return 7; }; exit_code")
    streams = [STDOUT] if bench.terminal else [STDOUT, STDERR]
    assert sorted(event.stream for event in ran.events if isinstance(event, Begin)) == streams
    assert sorted((event.stream, event.code) for event in ran.events if isinstance(event, End)) == [
        (stream, 7) for stream in streams
    ]
    assert (ran.out, ran.err) == ((b"o\ne\n", b"") if bench.terminal else (b"o\n", b"e\n"))


# The prompt, and the way back to it


@pytest.fixture(params=list(ALL))
def typed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    """A fresh shell with a terminal."""
    if request.param not in HERE:
        missing(f"no {request.param} on this machine")
    with Shell(request.param, HERE[request.param], str(tmp_path), terminal=True) as opened:
        yield opened


def test_what_is_sent_raw_shows_output_and_prompt_and_no_echo(typed: Shell) -> None:
    typed.run("true")
    typed.wait(lambda ran: typed.said.endswith(b"$ "))
    typed.send(b"echo raw\n")
    assert typed.wait(lambda ran: ran.spilled.endswith(b"$ ")).spilled == b"raw\n$ "


@pytest.mark.parametrize(
    "text", ["sleep 777", "cat", "while :; do :; done", "while :; do sleep .2; done", "yes"]
)
def test_an_interrupt_and_a_probe_find_the_shell_and_its_state_again(typed: Shell, text: str) -> None:
    typed.run("A=kept; cd /")
    typed.start(text)
    # What comes before the program runs is not for it: hence more than once.
    assert any(typed.interrupted() for _ in range(20))
    assert not typed.framing.busy
    ran = typed.run("echo $A; pwd")
    assert (ran.out, ran.code) == (b"kept\n/\n", 0)


def test_bash_tells_the_end_also_of_a_command_that_was_interrupted(typed: Shell) -> None:
    if typed.name == "bash":
        assert typed.run("kill -INT $$").code == 130
    else:
        typed.start("kill -INT $$")
        assert any(typed.interrupted() for _ in range(20))
    assert typed.run("echo alive").out == b"alive\n"


def test_a_probe_puts_a_terminal_right_that_a_program_left_raw(typed: Shell) -> None:
    typed.run("stty raw echo")
    typed.probe()
    assert typed.run("stty -a").out.count(b"-echo ") == 1
    assert typed.run("printf 'a\\n'").out == b"a\n"


def test_zsh_is_driven_too(tmp_path: Path) -> None:
    for terminal in (False, True):
        with Shell("zsh", _zsh(), str(tmp_path), terminal=terminal) as shell:
            assert shell.framing.dialect == "zsh"
            assert shell.run("A=(x y); echo $A[1]; false").code == 1
            assert shell.run("echo $A[2]").out == b"y\n"
            assert shell.run("if then").code == 1
            assert shell.run("printf %s 'a\x03b'").out == b"a\x03b"
            assert shell.run("exit 3").code is None


def _zsh() -> list[str]:
    if not shutil.which("zsh"):
        missing("no zsh on this machine")
    return ["zsh"]
