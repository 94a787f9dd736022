from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dockerpty.container.reference import identity, name_for
from dockerpty.errors import DockerptyError


@pytest.mark.parametrize(
    "container", ["4ad", {"Id": "4ad"}, {"ID": "4ad"}, {"Id": "", "ID": "4ad"}, SimpleNamespace(id="4ad")]
)
def test_a_container_is_named_by_text_dict_or_object(container: Any) -> None:
    assert identity(container) == name_for(container) == "4ad"


def test_messages_call_it_by_its_name_where_it_has_one() -> None:
    assert name_for(SimpleNamespace(id="4ad", name="web")) == "web"
    assert name_for(SimpleNamespace(id="4ad", name=None)) == "4ad"


@pytest.mark.parametrize("container", ["", None, 7, {}, {"Id": 7}, SimpleNamespace(), SimpleNamespace(id="")])
def test_what_names_none_is_refused(container: Any) -> None:
    with pytest.raises(DockerptyError, match="cannot find the container: it is no id, name, dict with an Id"):
        identity(container)
