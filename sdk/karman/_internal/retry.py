"""Retry policies in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import ValidationError

from karman._internal.durations import Duration, to_milliseconds
from karman._internal.failures import describe_validation
from karman.errors import InvalidInput
from karman_core.domain.definition import RetryPolicy, RetryStrategy

Jitter = Literal["full", "equal"]
ErrorNames = Iterable[type[BaseException] | str]


class Retry:
    """Makes a RetryPolicy: `Retry.exponential(5, first=1, jitter="full")`.

    Durations are timedeltas or seconds. In all of them:

    * `max_retries`: attempts after the first one.
    * `jitter`: "full" spreads each delay uniformly between 0 and itself, "equal" between half of it and itself.
    * `max_delay`: no delay is longer.
    * `max_elapsed`: no retry begins later than this after the first attempt began.
    * `non_retryable`: error classes, or their names, after which no attempt is made; subclasses are included.

    Each raises InvalidInput for values that make no policy.
    """

    @staticmethod
    def exponential(
        max_retries: int = 3,
        *,
        first: Duration = 2.0,
        exponent: int = 2,
        jitter: Jitter | None = None,
        max_delay: Duration | None = None,
        max_elapsed: Duration | None = None,
        non_retryable: ErrorNames = (),
    ) -> RetryPolicy:
        """Delays of `first`, `first * exponent`, `first * exponent**2` and so on."""
        return _policy(
            "EXPONENTIAL",
            jitter,
            first,
            max_retries=max_retries,
            exponent=exponent,
            max_delay=_optional(max_delay, "max_delay"),
            max_elapsed=_optional(max_elapsed, "max_elapsed"),
            non_retryable=_names(non_retryable),
        )

    @staticmethod
    def linear(
        max_retries: int = 3,
        *,
        step: Duration = 2.0,
        jitter: Jitter | None = None,
        max_delay: Duration | None = None,
        max_elapsed: Duration | None = None,
        non_retryable: ErrorNames = (),
    ) -> RetryPolicy:
        """Delays of `step`, `2 * step`, `3 * step` and so on."""
        return _policy(
            "LINEAR",
            jitter,
            step,
            max_retries=max_retries,
            max_delay=_optional(max_delay, "max_delay"),
            max_elapsed=_optional(max_elapsed, "max_elapsed"),
            non_retryable=_names(non_retryable),
        )

    @staticmethod
    def fixed(
        max_retries: int = 3,
        *,
        delay: Duration = 2.0,
        jitter: Jitter | None = None,
        max_elapsed: Duration | None = None,
        non_retryable: ErrorNames = (),
    ) -> RetryPolicy:
        """The same delay each time."""
        return _policy(
            "FIXED",
            jitter,
            delay,
            max_retries=max_retries,
            max_elapsed=_optional(max_elapsed, "max_elapsed"),
            non_retryable=_names(non_retryable),
        )

    @staticmethod
    def never() -> RetryPolicy:
        """One attempt and no more."""
        return RetryPolicy(max_retries=0)


def _policy(growth: str, jitter: Jitter | None, factor: Duration, **values: Any) -> RetryPolicy:
    if jitter not in {None, "full", "equal"}:
        raise InvalidInput(f"jitter is {jitter!r}; give 'full', 'equal' or None.")
    strategy = RetryStrategy(f"{growth}_{jitter.upper()}_JITTER" if jitter else growth)
    try:
        return RetryPolicy(
            strategy=strategy, backoff_factor=to_milliseconds(factor, "The delay of a retry"), **values
        )
    except ValidationError as error:
        raise InvalidInput(f"This is no retry policy: {describe_validation(error)}.") from error


def _optional(duration: Duration | None, what: str) -> int | None:
    return None if duration is None else to_milliseconds(duration, what)


def _names(errors: ErrorNames) -> tuple[str, ...]:
    return tuple(each if isinstance(each, str) else each.__name__ for each in errors)
