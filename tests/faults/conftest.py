"""The figures of the fault tests, shown at the end: `pytest tests/faults` prints what docs/guarantees.md tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

Figures: TypeAlias = Callable[[str], None]


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Keep a line for the summary."""
    return lambda line: record_property("figures", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines that tests kept."""
    reports = [report for found in ("passed", "failed") for report in terminalreporter.stats.get(found, [])]
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {value}"
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "figures"
    ]
    if lines:
        terminalreporter.section("real faults")
        terminalreporter.write_line("\n".join(lines))
