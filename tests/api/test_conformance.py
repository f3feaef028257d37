"""The API answers as its description says, by some thousand requests that schemathesis makes of the description."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from karman_functions.api.openapi import document

ROOT = Path(__file__).resolve().parents[2]
CASES = 25
SHARES = 2
LEAST_CASES = 2_000
LEAST_ACCEPTED = 0.3
"""Of the requests that are as described, so many find what they ask for; else little but refusals would be tried."""

OPERATIONS = sum(len(item) for item in document()["paths"].values())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(1, SHARES + 1))
def test_answers_are_as_described(share: int) -> None:
    command = ["-m", "tests.api.conformance", "--cases", str(CASES), "--share", f"{share}/{SHARES}"]
    ended = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)

    failures = [f"{name}: {failure}" for name, found in report.items() for failure in found["failures"]]
    assert not failures, "\n\n".join(failures)
    assert ended.returncode == 0
    # Each share has its part of the operations, give or take one.
    assert sum(found["cases"] for found in report.values()) >= LEAST_CASES / SHARES * 0.9
    assert len(report) >= OPERATIONS // SHARES
    refused = {name: found["positive"] for name, found in report.items() if _accepted(found) < LEAST_ACCEPTED}
    assert not refused, "These find too little; tell tests/api/conformance/world.py what to ask for."


def _accepted(found: dict[str, dict[str, int]]) -> float:
    """The share of what is as described that was done."""
    counts = {int(status): count for status, count in found["positive"].items()}
    done = sum(count for status, count in counts.items() if status < 400)
    return done / max(1, sum(counts.values()))
