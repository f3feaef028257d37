from __future__ import annotations

import pytest

from karman_core.domain.pacing import KEPT_US, Tokens, comes_again, cost_us, most, most_within, next_size

SECOND = 1_000_000


def all_of(tokens: Tokens) -> list[int]:
    found = []
    while tokens.count:
        begins, tokens = tokens.next()
        found.append(begins)
    return found


def test_turns_of_a_quarter_of_a_second_begin_together() -> None:
    assert all_of(Tokens(1000, 5, 0, 8.0)) == [1000, 1000, 251_000, 251_000, 501_000]


def test_turns_of_a_low_rate_begin_one_by_one() -> None:
    assert all_of(Tokens(0, 3, 0, 0.5)) == [0, 2 * SECOND, 4 * SECOND]


def test_what_is_taken_moves_the_line_on_by_its_share() -> None:
    assert cost_us(25, 100.0) == SECOND // 4
    assert cost_us(1, 3.0) == 333_333


@pytest.mark.parametrize(("rate", "count"), [(0.01, 1), (1.0, 1), (7.9, 1), (8.0, 2), (1000.0, 250)])
def test_the_most_that_are_taken_are_those_of_a_quarter_of_a_second(rate: float, count: int) -> None:
    assert most(rate) == count


def test_turns_are_kept_for_a_second() -> None:
    tokens = Tokens(SECOND, 4, 0, 8.0)
    later = tokens.next()[1]

    assert tokens.usable(SECOND + KEPT_US - 1, 8.0)
    assert not tokens.usable(SECOND + KEPT_US, 8.0)
    assert later.usable(SECOND + KEPT_US, 8.0)
    assert not tokens.usable(SECOND, 9.0)
    assert not Tokens(SECOND, 0, 4, 8.0).usable(SECOND, 8.0)


@pytest.mark.parametrize(
    ("size", "left", "then"),
    [
        (1, None, 1),
        (1, Tokens(0, 0, 1, 100.0), 2),
        (16, Tokens(0, 0, 16, 100.0), 25),
        (16, Tokens(0, 10, 6, 100.0), 6),
        (16, Tokens(0, 16, 0, 100.0), 1),
        (16, Tokens(0, 0, 16, 50.0), 1),
    ],
)
def test_who_uses_all_takes_more_and_who_does_not_takes_less(
    size: int, left: Tokens | None, then: int
) -> None:
    assert next_size(size, 100.0, left) == then


def test_those_that_are_sent_away_come_again_in_order_and_not_all_at_once() -> None:
    last, found = 0, []
    for _ in range(3):
        last = comes_again(100 * SECOND, last, 2.0, 0.9)
        found.append(last)

    assert found == [130 * SECOND + SECOND // 2, 131 * SECOND, 131 * SECOND + SECOND // 2]


def test_nobody_is_sent_away_for_long() -> None:
    assert comes_again(0, 299 * SECOND, 1.0, 0.0) == 300 * SECOND
    assert comes_again(0, 300 * SECOND, 1.0, 0.0) == 150 * SECOND
    assert comes_again(0, 300 * SECOND, 1.0, 0.5) == 225 * SECOND


@pytest.mark.parametrize(
    ("seconds", "rate", "count"), [(30, 0.01, 1), (30, 0.5, 15), (0, 100.0, 1), (2, 100.0, 200)]
)
def test_so_many_turns_begin_in_a_time(seconds: int, rate: float, count: int) -> None:
    assert most_within(seconds * SECOND, rate) == count
