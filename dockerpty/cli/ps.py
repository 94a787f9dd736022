"""`dpty ps`: list containers."""

from __future__ import annotations

import sys
import time

from dockerpty.cli.container_fields import TITLES, fields, label_title, labels
from dockerpty.cli.engine import configuration_of, engine_of
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.looks import can_draw, clean, colour_of, console
from dockerpty.cli.outcome import say, show
from dockerpty.cli.template import Subject, Template
from dockerpty.cli.units import aligned, width
from dockerpty.engine.calls import list_containers, no_engine
from dockerpty.tty import is_terminal, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from dockerpty.cli.grammar import Line

_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_TABLE = "table"
_WHOLE = "{{json .}}"
# One that docker had before tables could be given.
_RAW = r"""container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
"""
# The engine has to count files for a size; it may take minutes for many containers.
_SIZE_LIMIT_S = 600.0
_LIMIT_S = 60.0

# On a terminal: what stays of a column, and who gives up room for the others, in this order.
_LEAST = 8
_GIVES = (
    ("COMMAND", "LABELS", "MOUNTS", "PORTS"),
    ("COMMAND", "LABELS", "MOUNTS", "PORTS", "IMAGE", "CREATED", "CREATED AT", "STATUS", "SIZE", "NETWORKS"),
)
_GAP = 2


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    values = line.values
    wanted = filters(values["filter"], line.command.see)
    if values["format"] and values["quiet"]:
        say("--format is left out of account, because of --quiet")
    form = Format(
        values["format"] or configuration_of(line).text("psFormat"), values["quiet"], values["size"]
    )
    limit = values["last"] if values["last"] is not None else int(values["latest"])
    call = list_containers(
        all=values["all"] or limit > 0, limit=limit or None, size=form.needs_size, filters=wanted
    )
    engine = engine_of(line)
    try:
        reply = engine.send(call, timeout=_SIZE_LIMIT_S if form.needs_size else _LIMIT_S)
    finally:
        engine.close()
    found = reply.json()
    if not isinstance(found, list) or not all(isinstance(each, dict) and "Id" in each for each in found):
        raise no_engine("it is no list of containers")
    now = time.time()
    rows = [fields(each, short=not values["no_trunc"], now=now) for each in found]
    labelled = [labels(each) for each in found]
    if is_terminal(sys.stdout):
        # Whoever made a container must not command the terminal; whoever typed the format may.
        rows, labelled = [_cleaned(row) for row in rows], [_cleaned(of) for of in labelled]
    form.show(rows, labelled, whole=values["no_trunc"])
    return 0


def filters(given: Sequence[str], see: str) -> dict[str, list[str]]:
    """Read what `--filter` says; which filters there are is the engine's to know.

    Raises:
        UsageError: there is no = in one.
    """
    found: dict[str, list[str]] = {}
    for text in given:
        if not text:
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError("use", f"--filter {text}", "a filter is KEY=VALUE", see)
        values = found.setdefault(key.strip().lower(), [])
        if value.strip() not in values:
            values.append(value.strip())
    return found


class Format:
    """How containers are shown: docker's table, one of the user's, JSON, or lines of a template.

    Args:
        text: of `--format`; "" for docker's table.
        quiet: ids only.
        size: whether sizes are asked for; `None` leaves it to the template.

    Attributes:
        needs_size: the engine has to say the sizes.

    Raises:
        UsageError: the template makes no sense, or has a field that there is not.
    """

    def __init__(self, text: str, quiet: bool, size: bool | None) -> None:
        self.is_table = False
        self.needs_size = bool(size)
        if text == "raw":
            text = "container_id: {{.ID}}" if quiet else _RAW + ("size: {{.Size}}\n" if size else "")
        elif quiet:
            text = "{{.ID}}"
        elif text in ("", _TABLE):
            columns = (*_COLUMNS, "Size") if size else _COLUMNS
            self.is_table = True
            text = "\t".join(f"{{{{.{name}}}}}" for name in columns)
        elif text == "json":
            text = _WHOLE
        else:
            self.is_table = text.startswith(_TABLE)
            probe = _Probe()
            text = text.removeprefix(_TABLE)
            Template(text).render(Subject(probe, lambda name: ""))
            # Asked for by whoever shows it, unless they said --size=false.
            self.needs_size = bool(size) or (size is None and probe.has_size)
        self._template = Template(text.strip(" "))

    def show(self, rows: Sequence[dict[str, Any]], labels: Sequence[dict[str, str]], *, whole: bool) -> None:
        """Print the containers.

        Args:
            labels: of each of them.
            whole: cut nothing short, though it does not fit.
        """
        lines = [
            self._template.render(Subject(row, _lookup(of))) for row, of in zip(rows, labels, strict=True)
        ]
        if self.is_table:
            lines.insert(0, self._template.render(Subject(TITLES, label_title, header=True)))
            if not whole and can_draw(sys.stdout) and not any("\n" in line for line in lines):
                draw([line.split("\t") for line in lines])
                return
        if lines:
            _show_text(aligned("\n".join(lines)) if self.is_table else "\n".join(lines))


class _Probe(dict[str, str]):
    """Fields of no container, to see whether a template has only fields that there are, and which."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(TITLES, ""))
        self.has_size = False

    def __getitem__(self, name: str) -> str:
        self.has_size = self.has_size or name == "Size"
        return super().__getitem__(name)


def fit(titles: Sequence[str], widths: Sequence[int], room: int) -> list[int]:
    """Give the columns of a table widths that fit, the gaps between them not counted.

    First what is long and rarely missed is cut, the widest of it first; ids and names, which a person types next, come
    last.
    """
    found = list(widths)
    every = range(len(found))
    generous = [[at for at in every if titles[at : at + 1] and titles[at] in names] for names in _GIVES]
    for columns, least in (*((some, _LEAST) for some in generous), (every, _LEAST), (every, 1)):
        while sum(found) > room:
            at = max(columns, key=lambda each: found[each], default=None)
            if at is None or found[at] <= least:
                break
            found[at] -= 1
    return found


def draw(rows: Sequence[Sequence[str]]) -> None:
    """Draw a table on the terminal, its first row the titles; where not a letter of each would fit it is plain text."""
    from rich.table import Table
    from rich.text import Text

    titles = rows[0]
    columns = range(max(map(len, rows)))
    cells = [[clean(row[at]) if at < len(row) else "" for at in columns] for row in rows]
    room = (size(sys.stdout) or (24, 80))[1]
    widths = fit(
        titles, [max(width(row[at]) for row in cells) for at in columns], room - _GAP * (len(columns) - 1)
    )
    if sum(widths) + _GAP * (len(columns) - 1) > room:
        _show_text(aligned("\n".join("\t".join(row) for row in cells)))
        return
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_header=False)
    for wide in widths:
        table.add_column(width=wide, no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(title, style="bold") for title in cells[0]))
    for row in cells[1:]:
        table.add_row(*(Text(text, style=_style(titles[at : at + 1], text)) for at, text in enumerate(row)))
    terminal = console(sys.stdout)
    terminal.width = room
    with terminal.capture() as drawn:
        terminal.print(table, soft_wrap=False)
    _show_text("\n".join(each.rstrip(" ") for each in drawn.get().splitlines()))


def _cleaned(values: dict[str, Any]) -> dict[str, Any]:
    return {key: clean(value) if isinstance(value, str) else value for key, value in values.items()}


def _style(title: Sequence[str], text: str) -> str:
    if title and title[0] in ("STATUS", "STATE"):
        return colour_of(text)
    return "bold" if title and title[0] == "NAMES" else ""


def _show_text(text: str) -> None:
    """Print a text in which there may be any character, also where stdout knows few."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    show(text.encode(encoding, "replace").decode(encoding))


def _lookup(labels: dict[str, str]) -> Callable[[str], str]:
    return lambda name: labels.get(name, "")
