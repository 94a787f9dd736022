"""`dpty __complete`: what the completion scripts of the shells ask. They are in `scripts`.

For zsh and fish: `dpty __complete SHELL N WORD...`, with the words behind `dpty` as they are meant, N of them before
the cursor's, which ends at the cursor. For bash, which cuts words at colons and leaves quotes in them: `dpty __complete
bash BEFORE AFTER BREAKS`, its line before and behind the cursor and its COMP_WORDBREAKS.

The answer is a line with "files" if files here may stand there, too, and what stands before them in the word, or with
"words"; then a line for each word. For bash that is what takes the place of what it takes for the word; for the others
the whole word, a tab, and what to say of it. A space follows a word unless that ends with one of `=:/`.

Whoever waits for this types: what the engine has not told by then is left out, and an error is nothing to say.
"""

from __future__ import annotations

import os
import time

from dockerpty.cli.cursor import (
    CONTAINERS,
    CONTEXTS,
    IMAGES,
    NETWORKS,
    PATHS,
    RUNNING,
    STOPPED,
    USERS,
    VARIABLES,
    wish,
)
from dockerpty.cli.outcome import FAILED, flush, show
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dockerpty.cli.cursor import Wish
    from dockerpty.cli.grammar import Line
    from dockerpty.engine.interface import Engine

    Words = list[tuple[str, str]]

# How an answer begins.
WORDS_LINE = "words"
FILES_LINE = "files"

LIMIT_S = 0.2
"""What the engine gets of the 0.3 s in which a person sees no delay; the rest is the start of Python, and the shell."""

_FROM_THE_ENGINE = (RUNNING, STOPPED, CONTAINERS, PATHS, IMAGES, NETWORKS, USERS)
_ENDED = ["created", "exited"]
_NO_TAG = "<none>"
# A file of users that is larger is none.
_PASSWD_LIMIT = 1 << 20

# What needs no quotes in any shell; a word with anything else is not offered.
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:@%+=,")
# Those of the characters at which bash cuts a word that a word of ours can have.
_BREAKS = ":=@"
_DESCRIBED = 100


def answer(argv: Sequence[str]) -> int:
    """Answer a shell's question on stdout, and return the exit code."""
    try:
        asked = _Question(argv)
    except ValueError:
        # It is no shell that asks.
        return FAILED
    wanted = None if asked.redirected else wish(asked.before, asked.word, asked.after)
    if wanted is None:
        show(FILES_LINE if asked.redirected else WORDS_LINE)
        return 0
    found = _in_time(asked, wanted) if wanted.source in _FROM_THE_ENGINE else [*wanted.words, *_here(wanted)]
    show("\n".join(asked.lines(wanted, found)))
    flush()
    return 0


class _Question:
    """What a shell asks, and the form that it wants the answer in.

    Attributes:
        before, word, after: the words behind `dpty`, `word` being that at the cursor.
        redirected: the word at the cursor is none of ours: the shell itself opens that file.

    Raises:
        ValueError: it is no question.
    """

    __slots__ = ("_cut", "_is_bash", "after", "before", "redirected", "word")

    def __init__(self, argv: Sequence[str]) -> None:
        shell, *rest = argv
        self._is_bash = shell == "bash"
        self._cut = 0
        self.redirected = False
        if self._is_bash:
            text, behind, breaks = rest
            self._of_line(text, behind, breaks)
        else:
            number, *words = rest
            self.before, (self.word, *self.after) = words[: int(number)], words[int(number) :]

    def _of_line(self, text: str, behind: str, breaks: str) -> None:
        words, quoted = split(text)
        *before, word = words
        assert word is not None  # the last one is a word, though it be empty
        # The rest of the cursor's own word is nobody's; what is put before it here makes it the first in any case.
        after, _ = split(f"_{behind}")
        self.redirected = before[-1:] == [None]
        self.before = _without_redirections(before)[1:]
        self.word = word
        self.after = [each for each in _without_redirections(after)[1:] if each]
        if not quoted:
            self._cut = 1 + max((word.rfind(sign) for sign in _BREAKS if sign in breaks), default=-1)

    def lines(self, wanted: Wish, found: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Give the lines of the answer, in any order and each once."""
        yield f"{FILES_LINE}\t{wanted.prefix}" if wanted.files else WORDS_LINE
        given = set()
        for word, description in found:
            whole = wanted.prefix + word
            if word in given or not word or not _SAFE.issuperset(word):
                continue
            given.add(word)
            if not self._is_bash:
                yield f"{whole}\t{_line(description)}"
            elif whole.startswith(self.word):
                yield whole[self._cut :]


def split(text: str) -> tuple[list[str | None], bool]:
    """Split what stands before a cursor as bash does: its words, `None` for a redirection, the cursor's word last.

    Returns:
        them, and whether there are quotes in the last one.
    """
    words: list[str | None] = []
    word, begun, quote, escaped, quoted = "", False, "", False, False
    for char in text:
        if escaped:
            word, escaped = word + char, False
        elif quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"':
                escaped = True
            else:
                word += char
        elif char in " \t\n<>" or (char in "&|" and not begun and words[-1:] == [None]):
            # A number before a redirection says which descriptor is meant.
            if begun and not (char in "<>" and word.isdigit()):
                words.append(word)
            word, begun, quoted = "", False, False
            if char in "<>" and words[-1:] != [None]:
                words.append(None)
        else:
            begun = True
            if char == "\\":
                escaped = quoted = True
            elif char in "'\"":
                quote, quoted = char, True
            else:
                word += char
    return [*words, word], quoted


def _without_redirections(words: Iterable[str | None]) -> list[str]:
    kept = []
    target = False
    for word in words:
        if word is not None and not target:
            kept.append(word)
        target = word is None
    return kept


def _line(description: str) -> str:
    """Give a description that fits a line; others wrote some of them."""
    text = "".join(char if char.isprintable() else "?" for char in description)
    return text if len(text) <= _DESCRIBED else f"{text[: _DESCRIBED - 3]}..."


def _here(wanted: Wish) -> Words:
    """Give the words that need no engine."""
    if wanted.source == CONTEXTS:
        from dockerpty.cli.engine import configuration_of
        from dockerpty.engine.contexts import names

        return [(name, "") for name in names(configuration_of(wanted.common).folder)]
    if wanted.source == VARIABLES:
        return [(name, "") for name in os.environ]
    return []


def _in_time(asked: _Question, wanted: Wish) -> Words:
    """Ask the engine; when its time is over, end this process with an answer that does without it.

    A thread, since a name server is waited for in a call that nothing ends.
    """
    import _thread

    speaks = _thread.allocate_lock()

    def give_up() -> None:
        time.sleep(LIMIT_S)
        speaks.acquire()
        os.write(1, ("\n".join(asked.lines(wanted, wanted.words)) + "\n").encode())
        os._exit(0)

    _thread.start_new_thread(give_up, ())
    found = wanted.words
    try:
        found = [*found, *of_the_engine(wanted)]
    except (DockerptyError, OSError):
        # It is away, or it refuses: whoever runs the line will be told.
        pass
    speaks.acquire()
    return found


def of_the_engine(wanted: Wish) -> Words:
    """Give the words that the engine knows.

    Raises:
        DockerptyError: it cannot be asked, or gives none.
    """
    from dockerpty.cli.engine import engine_of

    engine = engine_of(_hasty(wanted.common))
    if engine.name.startswith("ssh://"):
        # A login for each Tab takes too long, and might ask for a passphrase in the middle of a line.
        return []
    try:
        return _asked(engine, wanted)
    finally:
        engine.close()


def _hasty(common: Line) -> Line:
    common.values["connect_timeout"] = LIMIT_S
    return common


def _asked(engine: Engine, wanted: Wish) -> Words:
    from dockerpty.engine import calls

    if wanted.source == USERS:
        return _users(engine, wanted)
    if wanted.source == IMAGES:
        images = engine.send(calls.list_images(), timeout=LIMIT_S).json()
        return [(tag, "") for image in images for tag in image.get("RepoTags") or [] if _NO_TAG not in tag]
    if wanted.source == NETWORKS:
        networks = engine.send(calls.list_networks(), timeout=LIMIT_S).json()
        return [(network["Name"], f"{network.get('Driver', '')} network") for network in networks]
    ended = {"status": _ENDED} if wanted.source == STOPPED else None
    call = calls.list_containers(all=wanted.source not in (RUNNING, STOPPED), filters=ended)
    end = ":" if wanted.source == PATHS else ""
    return [
        (name + end, f"{each.get('Image', '')}, {each.get('Status', '')}")
        for each in engine.send(call, timeout=LIMIT_S).json()
        if (name := calls.own_name(each)) not in wanted.taken
    ]


def _users(engine: Engine, wanted: Wish) -> Words:
    """Give the users that the container's own file of them names."""
    from dockerpty.archive import Reader
    from dockerpty.cli.engine import container_named
    from dockerpty.engine import calls

    container = container_named(engine, wanted.container)
    if wanted.latest:
        from dockerpty.readiness import newest

        container = newest(engine)
    if not container:
        return []
    reader, passwd = Reader(), bytearray()

    def take(data: bytes) -> None:
        for event in reader.feed(data):
            if isinstance(event, memoryview):
                passwd.extend(event)
        if len(passwd) > _PASSWD_LIMIT:
            raise DockerptyError("read", "the users", "there are too many")

    engine.stream(calls.get_archive(container, "/etc/passwd"), take, timeout=LIMIT_S)
    lines = passwd.decode("utf-8", "replace").splitlines()
    rows = [line.split(":") for line in lines if line.count(":") == 6]
    return [(row[0], row[4]) for row in rows]
