"""When a failed attempt is tried again. The drawn number comes in, so that a decision can be stored and repeated."""

from __future__ import annotations

import math

from karman_core.domain.definition import RetryPolicy, RetryStrategy

MAX_DELAY_MS = 365 * 24 * 3600 * 1000
"""No delay is longer than a year, which is also a run's default deadline."""

_MAX_BITS = 1000
"""Delays are computed exactly up to 2**1000 ms (floats end at 2**1024) and taken as 2**1000 beyond."""


def delay_ms(policy: RetryPolicy, retry_number: int, uniform: float) -> int:
    """The delay before a retry, in milliseconds, as Exosphere computes it.

    With b the backoff factor, e the exponent, n the retry's number and u the drawn number the base is `b * e**(n-1)`
    (EXPONENTIAL), `b * n` (LINEAR) or `b` (FIXED); full jitter makes it `u * base`, equal jitter `base/2 + u * base/2`.
    The policy's `max_delay` caps the result after the jitter, and so does a year.

    Args:
        policy: of the node instance or the graph.
        retry_number: 1 for the first retry.
        uniform: drawn from [0, 1).

    Raises:
        ValueError: if the retry's number is below 1.
    """
    if retry_number < 1:
        raise ValueError(f"Retries count from 1, not from {retry_number}.")
    jittered = _jitter(policy.strategy, _base(policy, retry_number), uniform)
    return min(jittered, policy.max_delay or MAX_DELAY_MS, MAX_DELAY_MS)


def next_attempt(  # the parts of one record, named at the call
    policy: RetryPolicy,
    attempts_made: int,
    error_kind: str,
    *,
    retryable: bool,
    first_started_ms: int,
    now_ms: int,
    uniform: float,
) -> int | None:
    """How long to wait before the next attempt, in milliseconds; None if there is to be none.

    Args:
        policy: of the node instance or the graph.
        attempts_made: attempts that have failed so far, this one included: 1 after the first.
        error_kind: class name of the error, looked up in the policy's `non_retryable`.
        retryable: what the failure itself says.
        first_started_ms: when the state's first attempt began, epoch milliseconds.
        now_ms: epoch milliseconds.
        uniform: drawn from [0, 1).
    """
    if not retryable or error_kind in policy.non_retryable or attempts_made > policy.max_retries:
        return None
    delay = delay_ms(policy, attempts_made, uniform)
    if policy.max_elapsed is not None and now_ms + delay - first_started_ms > policy.max_elapsed:
        return None
    return delay


def _base(policy: RetryPolicy, retry_number: int) -> int:
    if policy.backoff_factor.bit_length() > _MAX_BITS:
        return 1 << _MAX_BITS
    match policy.strategy.split("_")[0]:
        case "EXPONENTIAL":
            return _grow(policy.backoff_factor, policy.exponent, retry_number - 1)
        case "LINEAR":
            return policy.backoff_factor * min(retry_number, MAX_DELAY_MS)
        case _:
            return policy.backoff_factor


def _grow(factor: int, exponent: int, power: int) -> int:
    """`factor * exponent**power`, without computing what is out of range."""
    if math.log2(factor) + power * math.log2(exponent) >= _MAX_BITS:
        return 1 << _MAX_BITS
    return factor * exponent**power  # type: ignore[no-any-return]  # a negative power would give a float


def _jitter(strategy: RetryStrategy, base: int, uniform: float) -> int:
    if strategy.endswith("_FULL_JITTER"):
        return int(uniform * base)
    if strategy.endswith("_EQUAL_JITTER"):
        return int(base / 2 + uniform * (base / 2))
    return base
