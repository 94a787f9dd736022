"""Sizes, times and texts in the words and widths of docker's own tables. Pure.

Some are Go's, in which docker is written: a quoted text, and what counts as the width of a character.
"""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_MINUTE, _HOUR = 60, 3600
_DAY_H, _WEEK_H, _MONTH_H, _YEAR_H = 24, 7 * 24, 30 * 24, 365 * 24

# Go's strconv.Quote has these letters; all else that cannot be printed it gives as a number.
_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def size(count: float, digits: int = 3) -> str:
    """Give a number of bytes with so many digits, in units of a thousand: `1.98MB`."""
    left, unit = float(count), 0
    while left >= 1000.0 and unit < len(_UNITS) - 1:
        left, unit = left / 1000.0, unit + 1
    return f"{left:.{digits}g}{_UNITS[unit]}"


def duration(seconds: float) -> str:
    """Give a time roughly: `About a minute`, `3 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < _MINUTE:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if whole < _HOUR:
        return "About a minute" if whole < 2 * _MINUTE else f"{whole // _MINUTE} minutes"
    # Rounded half up, for times that are above nothing.
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, length, name in (
        (2 * _DAY_H, 1, "hours"),
        (2 * _WEEK_H, _DAY_H, "days"),
        (2 * _MONTH_H, _WEEK_H, "weeks"),
        (2 * _YEAR_H, _MONTH_H, "months"),
    ):
        if hours < limit:
            return f"{hours // length} {name}"
    return f"{whole // _HOUR // _YEAR_H} years"


def quoted(text: str) -> str:
    """Give a text between quotation marks, as Go's `strconv.Quote` does."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Count the columns that a text takes: none for a mark that is drawn into its neighbour, or not at all."""
    if text.isascii():
        return len(text)
    from unicodedata import category

    return _room("".join(char for char in text if category(char) not in ("Mn", "Me", "Cf")))


def cut(text: str, room: int) -> str:
    """Give a text that fits into so many columns: where it does not, its beginning and an ellipsis.

    As docker does it, which gives a column here to marks as well.
    """
    if _room(text) <= room:
        return text
    kept = text[: max(0, room - 1)]
    while kept and _room(kept) > room - 1:
        kept = kept[:-1]
    return f"{kept}…" if room > 0 else ""


def _room(text: str) -> int:
    """Count two for a wide character of East Asia, and one for any other."""
    if text.isascii():
        return len(text)
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def aligned(text: str) -> str:
    """Give lines whose cells end with a tab as columns: ten wide or more, three blanks between them.

    As Go's `text/tabwriter`: a column reaches over neighbouring lines that have one; the last cell of a line belongs
    to none.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    for column in range(max(map(len, lines)) - 1):
        run: list[list[str]] = []
        for cells in [*lines, []]:
            if len(cells) > column + 1:
                run.append(cells)
            elif run:
                wide = max(10, 3 + max(width(each[column]) for each in run))
                for each in run:
                    each[column] += " " * (wide - width(each[column]))
                run = []
    return "\n".join(map("".join, lines))
