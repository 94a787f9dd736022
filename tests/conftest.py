"""What all tests share: skips that are said out loud, and are failures where nothing may be missing."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test for the lack of `what`; in CI, and where an engine was promised, fail."""
    if os.environ.get("CI") or os.environ.get("DPTY_TEST_REQUIRE") == "1":
        pytest.fail(f"{what} (and this is CI, or DPTY_TEST_REQUIRE=1: it must be there)", pytrace=False)
    pytest.skip(what)


def needs_root(why: str) -> None:
    """Go on as root only; `why` says what nobody else can do."""
    if os.geteuid() != 0:
        missing(f"only root {why}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which tests were not run for want of something, and of what."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        terminalreporter.write_line(f"NOT RUN, {count} of the tests: {reason}", yellow=True, bold=True)
