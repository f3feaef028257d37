"""Retry policies in words."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from karman import InvalidInput, Retry, RetryPolicy, RetryStrategy


def test_each_growth() -> None:
    assert Retry.exponential() == RetryPolicy()
    assert Retry.exponential(
        5, first=timedelta(seconds=1), exponent=3, jitter="full", max_delay=60
    ) == RetryPolicy(
        max_retries=5,
        strategy=RetryStrategy.EXPONENTIAL_FULL_JITTER,
        backoff_factor=1000,
        exponent=3,
        max_delay=60_000,
    )
    assert Retry.linear(step=0.5, jitter="equal", max_elapsed=timedelta(hours=1)) == RetryPolicy(
        strategy=RetryStrategy.LINEAR_EQUAL_JITTER, backoff_factor=500, max_elapsed=3_600_000
    )
    assert Retry.fixed(1, delay=0.0001) == RetryPolicy(
        max_retries=1, strategy=RetryStrategy.FIXED, backoff_factor=1
    )
    assert Retry.never().max_retries == 0


def test_errors_are_given_as_classes_or_names() -> None:
    assert Retry.fixed(non_retryable=[ValueError, "AuthError"]).non_retryable == ("ValueError", "AuthError")


TEXT: Any = "1"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Retry.fixed(-1),
            "This is no retry policy: max_retries: Input should be greater than or equal to 0",
        ),
        (lambda: Retry.fixed(delay=0), "The delay of a retry is 0 s; give a duration of more than 0 s"),
        (
            lambda: Retry.fixed(delay=TEXT),
            "The delay of a retry is a str; give a timedelta or a number of seconds",
        ),
        (lambda: Retry.linear(max_delay=-1), "max_delay is -1 s"),
        (lambda: Retry.exponential(jitter=TEXT), "jitter is '1'; give 'full', 'equal' or None"),
        (lambda: Retry.exponential(exponent=0), "exponent: Input should be greater than 0"),
    ],
)
def test_values_that_make_no_policy(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()
