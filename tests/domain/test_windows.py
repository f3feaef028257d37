from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.windows import Starts, Window, log_text, read_log


def starts_of(window: Window, asked: list[int]) -> list[int]:
    """When runs begin that are asked for at these times."""
    log: tuple[Starts, ...] = ()
    found = []
    for now in asked:
        at = window.reserve(log, now)
        log = window.add(read_log(log_text(log)), at, now)
        found.append(at)
    return found


def most_in_a_period(starts: list[int], period: int) -> int:
    return max(bisect_left(starts, at + period) - place for place, at in enumerate(starts))


def test_a_burst_begins_at_once_and_the_rest_a_period_later_each() -> None:
    assert starts_of(Window(3, 1000), [0] * 8) == [0, 0, 0, 1000, 1000, 1000, 2000, 2000]


def test_the_window_slides() -> None:
    assert starts_of(Window(2, 1000), [0, 900, 950, 1000]) == [0, 900, 1000, 1900]


def test_who_comes_when_the_line_is_empty_begins_at_once() -> None:
    assert starts_of(Window(1, 1000), [0, 1000, 2500, 2600]) == [0, 1000, 2500, 3500]


def test_a_clock_that_is_behind_gets_no_start_before_the_others() -> None:
    assert starts_of(Window(2, 1000), [5000, 4000]) == [5000, 5000]


times = st.lists(st.integers(0, 400), min_size=1, max_size=120).map(
    lambda gaps: [sum(gaps[: place + 1]) for place in range(len(gaps))]
)


@given(st.integers(1, 30), st.integers(1, 3000), times)
def test_never_more_than_the_limit_in_any_period_and_never_later_than_need_be(
    limit: int, period: int, asked: list[int]
) -> None:
    starts = starts_of(Window(limit, period), asked)

    assert starts == sorted(starts)
    assert most_in_a_period(starts, period) <= limit
    for place, at in enumerate(starts):
        assert at == max(asked[place], starts[place - limit] + period if place >= limit else 0)


@given(st.integers(101, 1000), st.lists(st.integers(0, 20), min_size=1, max_size=1500))
def test_a_high_limit_holds_too_and_its_log_stays_short(limit: int, gaps: list[int]) -> None:
    window, now, starts = Window(limit, 5000), 1_700_000_000_000, []
    log: tuple[Starts, ...] = ()
    for gap in gaps:
        now += gap
        at = window.reserve(log, now)
        log = window.add(log, at, now)
        starts.append(at)

    assert most_in_a_period(starts, 5000) <= limit
    assert len(log) <= 102
    assert len(log_text(log)) < 1024 - 100
    late = [place for place, at in enumerate(starts) if at > 1_700_000_000_000 + sum(gaps[: place + 1])]
    assert all(place >= limit - limit // 50 - 2 for place in late)


@given(st.lists(st.tuples(st.integers(0, 10**14), st.integers(1, 10**5)), max_size=30))
def test_a_log_is_read_as_it_was_written(pairs: list[tuple[int, int]]) -> None:
    log = tuple(Starts(at, runs) for at, runs in sorted(pairs))

    assert read_log(log_text(log)) == log


@pytest.mark.parametrize(("log", "text"), [((), ""), ((Starts(5, 1), Starts(7, 2)), "5 2x2")])
def test_the_text_of_a_log(log: tuple[Starts, ...], text: str) -> None:
    assert log_text(log) == text
