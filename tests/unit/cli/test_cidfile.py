"""The file for a container's id: it is there for others only when there is an id in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerpty.cli.cidfile import CidFile
from dockerpty.errors import DockerptyError


def test_the_id_is_left_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "id"
    file = CidFile(str(path))
    file.write("c" * 64)
    file.close()
    assert path.read_text() == "c" * 64


def test_without_an_id_there_is_no_file_left(tmp_path: Path) -> None:
    path = tmp_path / "id"
    CidFile(str(path)).close()
    assert not path.exists()
    file = CidFile(str(path))
    path.unlink()
    file.close()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "id"
    path.write_text("somebody's")
    with pytest.raises(DockerptyError) as caught:
        CidFile(str(path))
    assert str(caught.value) == (
        f"cannot use --cidfile {path}: there is such a file already; "
        "if the container whose id it has is gone, remove the file"
    )
    assert path.read_text() == "somebody's"


def test_a_place_where_no_file_can_be_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(DockerptyError, match=r"cannot make --cidfile .*: No such file or directory"):
        CidFile(str(tmp_path / "no" / "id"))
