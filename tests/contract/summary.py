"""How many contract cases ran on each backend, at the end of the report.

A hook of tests/conftest.py, since under pytest-xdist the process that prints does not load conftest files further down.
"""

from __future__ import annotations

from collections import Counter

import pytest

PROPERTY = "backend"
"""The user property of a report that names its backend; reports bring it from pytest-xdist's workers."""

OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in OUTCOMES:
        for report in terminalreporter.getreports(outcome):
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    counts[str(value), outcome] += 1
    backends = sorted({backend for backend, _ in counts})
    if backends:
        terminalreporter.section("contract suite, cases by backend")
    for backend in backends:
        parts = [f"{counts[backend, outcome]} {outcome}" for outcome in OUTCOMES if counts[backend, outcome]]
        terminalreporter.write_line(f"{backend:<18} {', '.join(parts)}")
