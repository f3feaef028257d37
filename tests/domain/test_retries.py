from __future__ import annotations

from fractions import Fraction
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.definition import RetryPolicy, RetryStrategy
from karman_core.domain.retries import MAX_DELAY_MS, delay_ms, next_attempt
from tests.domain.values import LIMIT_SECONDS

policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 1000),
    strategy=st.sampled_from(RetryStrategy),
    backoff_factor=st.integers(1, 10_000) | st.integers(1, 10**400),
    exponent=st.integers(1, 4) | st.integers(1, 10**400),
    max_delay=st.none() | st.integers(1, 10**12),
)
retry_numbers = st.integers(1, 20) | st.integers(1, 10**9)
draws = st.floats(0, 1, exclude_max=True)


def base_of(policy: RetryPolicy, n: int) -> int:
    """The published formulas, exactly; beyond 10**15 ms it does not matter how far."""
    if policy.strategy.startswith("FIXED"):
        return policy.backoff_factor
    if policy.strategy.startswith("LINEAR"):
        return policy.backoff_factor * n
    base = policy.backoff_factor
    for _ in range(n - 1):
        if policy.exponent == 1 or base > 10**15:
            break
        base *= policy.exponent
    return base


@given(policies, retry_numbers, draws)
def test_delays_follow_the_formulas(policy: RetryPolicy, n: int, uniform: float) -> None:
    base = base_of(policy, n)
    if policy.strategy.endswith("FULL_JITTER"):
        exact = Fraction(uniform) * base
    elif policy.strategy.endswith("EQUAL_JITTER"):
        exact = Fraction(base, 2) * (1 + Fraction(uniform))
    else:
        exact = Fraction(base)
    cap = min(policy.max_delay or MAX_DELAY_MS, MAX_DELAY_MS)
    delay = delay_ms(policy, n, uniform)
    assert isinstance(delay, int)
    if exact <= 10**12 and base <= 10**15:
        assert abs(delay - min(exact, Fraction(cap))) <= 1
    elif base <= 10**15:
        assert delay == cap
    assert 0 <= delay <= cap


@given(policies, retry_numbers, draws, draws)
def test_a_larger_draw_never_waits_less(policy: RetryPolicy, n: int, one: float, other: float) -> None:
    assert delay_ms(policy, n, min(one, other)) <= delay_ms(policy, n, max(one, other))


@pytest.mark.parametrize(
    ("strategy", "delays"),
    [
        ("EXPONENTIAL", [1000, 3000, 9000, 20000]),
        ("EXPONENTIAL_FULL_JITTER", [250, 750, 2250, 6750]),
        ("EXPONENTIAL_EQUAL_JITTER", [625, 1875, 5625, 16875]),
        ("LINEAR", [1000, 2000, 3000, 4000]),
        ("LINEAR_FULL_JITTER", [250, 500, 750, 1000]),
        ("LINEAR_EQUAL_JITTER", [625, 1250, 1875, 2500]),
        ("FIXED", [1000, 1000, 1000, 1000]),
        ("FIXED_FULL_JITTER", [250, 250, 250, 250]),
        ("FIXED_EQUAL_JITTER", [625, 625, 625, 625]),
    ],
)
def test_the_nine_strategies(strategy: RetryStrategy, delays: list[int]) -> None:
    policy = RetryPolicy(strategy=strategy, backoff_factor=1000, exponent=3, max_delay=20_000)
    assert [delay_ms(policy, n, 0.25) for n in (1, 2, 3, 4)] == delays


def test_the_cap_comes_after_the_jitter() -> None:
    policy = RetryPolicy(strategy=RetryStrategy.FIXED_FULL_JITTER, backoff_factor=10_000, max_delay=4_000)
    assert delay_ms(policy, 1, 0.3) == 3_000
    assert delay_ms(policy, 1, 0.5) == 4_000


def test_nothing_waits_for_more_than_a_year() -> None:
    for strategy in RetryStrategy:
        policy = RetryPolicy(strategy=strategy, backoff_factor=10**12, max_delay=10**13)
        assert delay_ms(policy, 1000, 0.999) == MAX_DELAY_MS == 31_536_000_000


def test_huge_numbers_are_not_computed() -> None:
    started = perf_counter()
    for strategy in RetryStrategy:
        policy = RetryPolicy(strategy=strategy, backoff_factor=10**4000, exponent=10**4000)
        assert delay_ms(policy, 10**9, 0.5) == MAX_DELAY_MS
    assert delay_ms(RetryPolicy(exponent=1), 10**9, 0.5) == 2_000
    assert perf_counter() - started < LIMIT_SECONDS


def test_retries_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        delay_ms(RetryPolicy(), 0, 0.5)


def attempt(policy: RetryPolicy, made: int = 1, **changes: Any) -> int | None:
    values: dict[str, Any] = {
        "error_kind": "ValueError",
        "retryable": True,
        "first_started_ms": 1_000,
        "now_ms": 5_000,
        "uniform": 0.5,
    }
    return next_attempt(policy, made, **(values | changes))


@given(st.integers(0, 1000), st.integers(1, 1002))
def test_there_are_as_many_retries_as_the_policy_says(retries: int, made: int) -> None:
    assert (attempt(RetryPolicy(max_retries=retries), made) is not None) == (made <= retries)


def test_the_number_of_the_retry_is_that_of_the_failed_attempts() -> None:
    policy = RetryPolicy(backoff_factor=100, exponent=10)
    assert [attempt(policy, made) for made in (1, 2, 3, 4)] == [100, 1_000, 10_000, None]


def test_errors_that_no_retry_helps_are_not_tried_again() -> None:
    policy = RetryPolicy(non_retryable=("KeyError", "TypeError"))
    assert attempt(policy) is not None
    assert attempt(policy, error_kind="TypeError") is None
    assert attempt(policy, retryable=False) is None


def test_no_retry_begins_after_the_budget_of_time() -> None:
    policy = RetryPolicy(strategy=RetryStrategy.FIXED, backoff_factor=2_000, max_elapsed=10_000)
    assert attempt(policy, first_started_ms=1_000, now_ms=9_000) == 2_000
    assert attempt(policy, first_started_ms=1_000, now_ms=9_001) is None
