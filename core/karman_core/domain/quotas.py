"""Quotas of a namespace: what its operator lets all of its runs take together. None means no limit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from karman_core.domain.definition import JSON
from karman_core.domain.errors import InvalidInput, Problem, QuotaExceeded

MAX_CONCURRENT_RUNS = 1_000_000
MIN_STATES_PER_SECOND, MAX_STATES_PER_SECOND = 0.01, 1_000_000
MIN_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES = 1_024, 2**30
"""Even a run without inputs has a payload of some bytes, so the least is what such ones never reach."""


@dataclass(frozen=True, slots=True)
class NamespaceQuotas:
    """What a namespace may take.

    Attributes:
        concurrent_runs: so many of its runs go on or wait at a time; triggers of others are refused.
        states_per_second: so many states begin a second, over all of its workers.
        payload_bytes: the largest payload, as JSON: inputs and store of a trigger, a signal's, all outputs of a state.
    """

    concurrent_runs: int | None = None
    states_per_second: float | None = None
    payload_bytes: int | None = None

    def as_json(self) -> dict[str, JSON]:
        """The limits by name."""
        return asdict(self)

    def check_payload(self, what: str, size: int) -> None:
        """Raise QuotaExceeded for a payload of so many bytes that is over the quota; `what` begins the message."""
        if self.payload_bytes is not None and size > self.payload_bytes:
            raise QuotaExceeded(
                f"{what}: {size:,} bytes, over the payload quota of the namespace, {self.payload_bytes:,}. "
                "Pass a reference instead, or ask whoever operates the server for more."
            )


UNLIMITED = NamespaceQuotas()
NAMES = tuple(UNLIMITED.as_json())


def quotas_of(values: Mapping[str, JSON]) -> NamespaceQuotas:
    """Quotas from what somebody wrote; a name that is missing or null has no limit.

    Raises:
        InvalidInput: with a problem for each value that cannot be; codes `unknown_field`, `invalid_value`.
    """
    problems = list(_problems(values))
    if problems:
        raise InvalidInput("These quotas cannot be set.", problems)
    rate = values.get("states_per_second")
    return NamespaceQuotas(
        concurrent_runs=_whole(values.get("concurrent_runs")),
        states_per_second=float(rate) if isinstance(rate, int | float) else None,
        payload_bytes=_whole(values.get("payload_bytes")),
    )


def _whole(value: JSON) -> int | None:
    return value if isinstance(value, int) else None


def _problems(values: Mapping[str, JSON]) -> Iterator[Problem]:
    for name in values.keys() - set(NAMES):
        message = f"There is no quota of this name; there are {', '.join(NAMES)}."
        yield Problem(name, "unknown_field", message)
    yield from _fault("concurrent_runs", values, 1, MAX_CONCURRENT_RUNS)
    yield from _fault("states_per_second", values, MIN_STATES_PER_SECOND, MAX_STATES_PER_SECOND)
    yield from _fault("payload_bytes", values, MIN_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES)


def _fault(name: str, values: Mapping[str, JSON], least: float, most: float) -> Iterator[Problem]:
    value, whole = values.get(name), isinstance(least, int)
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if value is None or (fits and math.isfinite(value) and least <= value <= most):
        return
    kind = "a whole number" if whole else "a number"
    yield Problem(name, "invalid_value", f"It is {kind} from {least:,} to {most:,}, or null for no limit.")
