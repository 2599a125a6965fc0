"""Skipped tests: which reasons a file is told of, and where a missing browser is a failure instead.

`.ci/run` sets both variables, so that no test is skipped unnoticed, as all tests in a browser once were.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

SKIPPED = "AUTOTUNE_SKIPPED"  # a file that gets a line for each skipped test: the reason
NEEDS_BROWSER = "AUTOTUNE_NEEDS_BROWSER"  # set where there is a browser, or has to be


def without_browser(reason: str) -> NoReturn:
    """Skip the test that needs a browser; fail it where there has to be one."""
    if os.environ.get(NEEDS_BROWSER):
        pytest.fail(f"{reason}, but {NEEDS_BROWSER} says that there is a browser", pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the reasons of the process that collects the reports of all others."""
    is_worker = hasattr(terminalreporter.config, "workerinput")  # of pytest-xdist
    if (file := os.environ.get(SKIPPED)) and not is_worker:
        reports = terminalreporter.stats.get("skipped", [])
        with Path(file).open("a") as lines:
            lines.writelines(f"{_reason(report)}\n" for report in reports)


def _reason(report: pytest.TestReport) -> str:
    said = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else report.longrepr
    return " ".join(str(said).removeprefix("Skipped: ").split())
