"""What many runs come to: how they stand, how long they took, what they did, what failed in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from karman_core.domain.totals import Totals

_PER_CENT = 100


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What counts of a run. `duration_ms` is from its start to its end, None while it goes on."""

    status: str
    duration_ms: int | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class Durations:
    """Milliseconds: half of the runs took at most `p50_ms`, 95 % at most `p95_ms`."""

    p50_ms: int
    p95_ms: int
    max_ms: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs together. `durations` are of those that have ended; None when none has."""

    runs: int
    by_status: Mapping[str, int]
    durations: Durations | None
    totals: Totals


def summarize(runs: Iterable[RunFacts]) -> Summary:
    """The summary of runs."""
    by_status: Counter[str] = Counter()
    durations: list[int] = []
    totals = Totals()
    for run in runs:
        by_status[run.status] += 1
        totals = totals.plus(run.totals)
        if run.duration_ms is not None:
            durations.append(run.duration_ms)
    durations.sort()
    return Summary(by_status.total(), dict(sorted(by_status.items())), _durations(durations), totals)


def percentile(ordered: list[int], per_cent: int) -> int:
    """The smallest of some values, in ascending order and at least one, that so many per cent do not exceed.

    The nearest-rank method: https://en.wikipedia.org/wiki/Percentile#The_nearest-rank_method
    """
    rank = -(-per_cent * len(ordered) // _PER_CENT)
    return ordered[max(rank, 1) - 1]


def most_frequent(names: Iterable[str], limit: int) -> tuple[tuple[str, int], ...]:
    """The names that come most often and how often, the most frequent first, equal ones by name."""
    counts = sorted(Counter(names).items(), key=lambda each: (-each[1], each[0]))
    return tuple(counts[:limit])


def _durations(ordered: list[int]) -> Durations | None:
    if not ordered:
        return None
    return Durations(percentile(ordered, 50), percentile(ordered, 95), ordered[-1])
