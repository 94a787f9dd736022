"""What is refused before an exec is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from dockerpty.container.spec import exec_config
from dockerpty.engine.interface import Engine
from dockerpty.errors import DockerptyError
from dockerpty.exec import ExecOperation


@pytest.mark.parametrize("exec_id", [None, "", {}, {"Id": ""}, {"Id": None}, 7])
def test_what_names_no_exec_is_refused(exec_id: Any) -> None:
    with pytest.raises(DockerptyError) as caught:
        ExecOperation(Engine(), exec_id)
    assert str(caught.value) == (
        "cannot find the exec: it is no id and no dict with an Id; pass what `exec_create` returned"
    )


@pytest.mark.parametrize("exec_id", ["4ad", {"Id": "4ad"}])
def test_an_exec_is_named_by_its_id_or_by_what_created_it(exec_id: Any) -> None:
    assert ExecOperation(Engine(), exec_id).exec_id == "4ad"


def test_a_command_with_an_open_quote_is_refused() -> None:
    with pytest.raises(DockerptyError) as caught:
        exec_config("sh -c 'ls", False, False, [], "", None, False)
    assert str(caught.value) == (
        """cannot split the command "sh -c 'ls": no closing quotation; give a list, which is taken as it is"""
    )
