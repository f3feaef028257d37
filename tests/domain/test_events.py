"""Kinds of events."""

from karman_core.domain.events import ENDS, FINAL_KINDS, EventKind, EventTotals
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import FINAL_RUNS


def test_each_final_status_has_its_kind() -> None:
    assert set(ENDS) == set(FINAL_RUNS)
    assert set(FINAL_KINDS) == {
        EventKind.SUCCEEDED,
        EventKind.FAILED,
        EventKind.CANCELLED,
        EventKind.TIMED_OUT,
    }


def test_totals_are_all_told() -> None:
    assert EventTotals.of(Totals(1, 2, 3, 4, 5, 6, 7)).model_dump() == Totals(1, 2, 3, 4, 5, 6, 7)._asdict()
