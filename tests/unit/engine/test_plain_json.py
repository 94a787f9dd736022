"""JSON without `json`: what the one says is what the other says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.engine import plain_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_is_written_is_what_json_writes_and_reads_back(value: Any) -> None:
    assert plain_json.dumps(value) == json.dumps(value, ensure_ascii=False)
    assert plain_json.loads(plain_json.dumps(value)) == value


@given(VALUES, st.sampled_from(["", " ", "\r\n\t "]), st.booleans())
def test_blanks_and_bytes_are_read_as_json_reads_them(value: Any, blank: str, is_bytes: bool) -> None:
    text = f"{blank}{json.dumps(value, indent=1, ensure_ascii=False)}{blank}"
    assert plain_json.loads(text.encode() if is_bytes else text) == value


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\u', max_size=12))
def test_whatever_comes_is_taken_or_refused_as_json_does(text: str) -> None:
    def outcome(loads: Any) -> Any:
        try:
            return repr(loads(text))
        except ValueError as error:
            return str(error)

    assert outcome(plain_json.loads) == outcome(json.loads)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {None: 1}}, float("inf"), (1, "two")])
def test_what_is_rare_is_written_by_json_itself(value: Any) -> None:
    assert plain_json.dumps(value) == json.dumps(value, ensure_ascii=False)


def test_what_cannot_be_written_is_an_error_as_of_json() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        plain_json.dumps({"a": object()})


def test_bytes_that_are_no_text_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="decode"):
        plain_json.loads(b"\xff")


def test_a_python_without_the_accelerators_uses_json() -> None:
    code = (
        "import sys; sys.modules['_json'] = None\n"
        "from dockerpty.engine import plain_json\n"
        "print(plain_json.dumps({'a': [1, None, 'x']}), plain_json.loads(b'[1, 2]'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == '{"a": [1, null, "x"]} [1, 2]\n'
