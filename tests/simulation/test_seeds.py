"""300 histories of a deployment, each with its faults, and what the simulation itself promises."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.campaign import cover
from tests.simulation.case import Case
from tests.simulation.history import play

SEEDS, A_TEST = 300, 15
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.json"))


@pytest.mark.parametrize("first", range(0, SEEDS, A_TEST))
def test_seeds(first: int) -> None:
    """A seed that fails is looked at with: python -m tests.simulation --seed N."""
    covered = cover(range(first, first + A_TEST))
    assert covered.failures == {}
    assert covered.faults
    assert covered.executions > A_TEST


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_a_case_that_failed_once(path: Path) -> None:
    """Each was a bug; in its file the smallest case that showed it."""
    outcome = play(Case.parse(path.read_text()))
    assert outcome.failure is None


def digest(seeds: range) -> str:
    """Of the traces of some seeds."""
    text = "\n".join(line for seed in seeds for line in play(Case.of(seed), trace=True).trace)
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_seed_is_one_history() -> None:
    """In another process, where sets have another order, nothing goes otherwise."""
    program = "from tests.simulation.test_seeds import digest; print(digest(range(3, 9)))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == digest(range(3, 9))


def test_a_case_is_text() -> None:
    case = Case.of(17)
    assert Case.parse(case.text()) == case
