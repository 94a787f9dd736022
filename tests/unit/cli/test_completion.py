"""`dpty completion`: which script is printed, and what is refused."""

from __future__ import annotations

import pytest

from dockerpty.cli import main
from dockerpty.cli.completion import SCRIPTS


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_is_printed_and_asks_for_its_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    shown, told = capsys.readouterr()
    assert f"__complete {shell} " in shown
    assert shown.endswith("\n")
    assert not shown.endswith("\n\n")
    assert told == ""


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["tcsh"], "cannot complete the lines of tcsh: there is a script for bash, zsh and fish only; see"),
        (
            ["bash", "zsh"],
            "cannot run dpty completion: it takes one bash|zsh|fish, and no 'zsh' beside it; see",
        ),
        ([], "cannot run dpty completion: it needs a bash|zsh|fish; see"),
    ],
)
def test_another_shell_or_none_is_refused(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", *argv]) == 125
    shown, told = capsys.readouterr()
    assert shown == ""
    assert told == f"dpty: {message} dpty completion --help\n"
