"""How many runs of a graph go on at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from karman_core.domain.definition import JSON
from karman_core.domain.definition import Concurrency as Declared


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Limits how many runs go on at a time: `Graph("report", concurrency=Concurrency(5, key=...))`.

    Attributes:
        limit: of the runs that have the same key, 1 to 1,000,000.
        key: counts runs by what the trigger gives, for example "${{ initial.inputs.customer }}"; by default all runs of
            the graph are counted together.
        when_full: what becomes of a run that is too much: "queue" lets it wait for its turn, "refuse" refuses its
            trigger with QuotaExceeded.
    """

    limit: int
    key: str | None = None
    when_full: Literal["queue", "refuse"] = "queue"

    def as_json(self) -> dict[str, JSON]:
        """As a definition has it."""
        return {"limit": self.limit, "key": self.key, "when_full": str(self.when_full)}

    @classmethod
    def of(cls, declared: Declared | None) -> Self | None:
        """That of a definition."""
        return None if declared is None else cls(declared.limit, declared.key, declared.when_full.value)
