"""How many runs of a graph begin in a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from karman._internal.durations import Duration, to_seconds
from karman_core.domain.definition import JSON
from karman_core.domain.definition import RateLimit as Declared


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Limits how many runs begin in a time: `Graph("report", rate_limit=RateLimit(100, per=timedelta(minutes=1)))`.

    Attributes:
        starts: so many runs that have the same key begin in any time of this length, 1 to 100,000.
        per: the time, as a timedelta or seconds; a tenth of a second to 31 days.
        key: counts runs by what the trigger gives, for example "${{ initial.inputs.customer }}"; by default all runs of
            the graph are counted together.
        when_over: what becomes of a run that is too much: "queue" begins it later, "refuse" refuses its trigger with
            QuotaExceeded.
    """

    starts: int
    per: Duration
    key: str | None = None
    when_over: Literal["queue", "refuse"] = "queue"

    def as_json(self) -> dict[str, JSON]:
        """As a definition has it."""
        seconds = to_seconds(self.per, "The time of a rate limit")
        return {
            "starts": self.starts,
            "per_seconds": seconds,
            "key": self.key,
            "when_over": str(self.when_over),
        }

    @classmethod
    def of(cls, declared: Declared | None) -> Self | None:
        """That of a definition."""
        if declared is None:
            return None
        return cls(declared.starts, declared.per_seconds, declared.key, declared.when_over.value)
