"""JSON for an engine's calls, by the accelerators that `json` has, without loading it.

`json` looks for numbers and blanks by regular expressions beside them, and `re` alone takes as long to load as all that
a session is made of. What is rare (a float to write, broken JSON, another Python than CPython) is left to `json`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring, make_scanner
except ImportError:
    encode_basestring = make_scanner = None  # type: ignore[assignment,misc]  # not CPython


class _Settings:
    """What a scanner asks for: as `json.loads` has it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


_scan: Any = None if make_scanner is None else make_scanner(_Settings)  # type: ignore[arg-type]  # needs no more
_quoted: Any = encode_basestring


def loads(data: bytes | str) -> Any:
    """Read a document.

    Raises:
        ValueError: it is none.
        RecursionError: it is too deep.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
    document = text.strip(" \t\r\n")
    if _scan is not None:
        try:
            value, end = _scan(document, 0)
            if end == len(document):
                return value
        except (StopIteration, ValueError):
            pass  # json says below what is wrong, and where
    import json

    return json.loads(text)


def dumps(value: Any) -> str:
    """Write a document of what `json` can write, as it does with `ensure_ascii=False`."""
    kind = type(value)
    if _quoted is not None:
        if kind is str:
            return str(_quoted(value))
        if value is None or kind is bool:
            return "null" if value is None else "true" if value else "false"
        if kind is int:
            return str(value)
        if kind is list or kind is tuple:
            return f"[{', '.join(map(dumps, value))}]"
        if kind is dict and all(type(key) is str for key in value):
            return f"{{{', '.join([f'{_quoted(key)}: {dumps(each)}' for key, each in value.items()])}}}"
    import json

    return json.dumps(value, ensure_ascii=False)
