from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.statistics import Durations, RunFacts, most_frequent, percentile, summarize
from karman_core.domain.totals import Totals

values = st.lists(st.integers(0, 1000), min_size=1).map(sorted)


@given(values, st.integers(0, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    ordered: list[int], per_cent: int
) -> None:
    found = percentile(ordered, per_cent)
    needed = math.ceil(per_cent / 100 * len(ordered) - 1e-9)
    assert sum(value <= found for value in ordered) >= needed
    smaller = [value for value in ordered if value < found]
    assert not smaller or len(smaller) < needed


@pytest.mark.parametrize(("per_cent", "found"), [(0, 1), (1, 1), (50, 50), (95, 95), (100, 100)])
def test_percentiles_of_a_hundred(per_cent: int, found: int) -> None:
    assert percentile(list(range(1, 101)), per_cent) == found


def test_no_runs() -> None:
    summary = summarize([])
    assert (summary.runs, summary.by_status, summary.durations, summary.totals) == (0, {}, None, Totals())


def test_runs_are_counted_and_summed() -> None:
    runs = [
        RunFacts("SUCCEEDED", 30, Totals(succeeded=2, turns=3)),
        RunFacts("RUNNING", None, Totals(busy_ms=5)),
        RunFacts("SUCCEEDED", 10, Totals(succeeded=1, failed=1)),
        RunFacts("FAILED", 20, Totals()),
    ]
    summary = summarize(iter(runs))
    assert (summary.runs, summary.by_status) == (4, {"FAILED": 1, "RUNNING": 1, "SUCCEEDED": 2})
    assert summary.durations == Durations(20, 30, 30)
    assert summary.totals == Totals(succeeded=3, failed=1, turns=3, busy_ms=5)


def test_what_is_most_frequent_comes_first_and_equal_ones_by_name() -> None:
    assert most_frequent("banana", 10) == (("a", 3), ("n", 2), ("b", 1))
    assert most_frequent("ccbbaa", 2) == (("a", 2), ("b", 2))
    assert most_frequent([], 2) == ()
