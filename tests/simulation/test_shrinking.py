"""A case that fails is told, and made smaller as long as it fails in the same way."""

from __future__ import annotations

import pytest

from tests.simulation import __main__ as command
from tests.simulation.case import Case
from tests.simulation.history import play
from tests.simulation.mutations import MUTATIONS
from tests.simulation.shrinking import manner, shrink

SEED = 0


def test_a_case_that_fails_is_told_with_the_smallest_one(capsys: pytest.CaptureFixture[str]) -> None:
    case = Case.of(SEED)
    broken = next(one for one in MUTATIONS if one.name == "delete before follow")
    with broken.applied():
        failed = play(case)
        assert command.show(case) == 1
        told = capsys.readouterr().out.splitlines()
        smallest = Case.parse(told[-1])
        assert manner(play(smallest)) == manner(failed) != manner(play(case.but(faults=())))
    assert case.text() in told
    assert [line for line in told if line.endswith("*** crash_after")]
    assert len(smallest.text()) < len(case.text())
    assert len(smallest.faults) == 1
    assert play(smallest).failure is None


def test_what_does_not_fail_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    case = Case.of(SEED)
    assert shrink(case) is case
    assert command.show(case) == 0
    assert "all well" in capsys.readouterr().out
