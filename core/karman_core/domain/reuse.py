"""What a run reuses of another: the first states of its first branch, with all that is below them.

A run that was made from a state of another run begins there. What comes before is not copied: its records stay where
they are, and whoever looks for one asks here in which run it lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from karman_core.domain.branches import Branch
from karman_core.domain.totals import Totals

_PAST_ALL = 2**53
"""No group has a branch of this index."""


@dataclass(frozen=True, slots=True)
class Source:
    """A run that has some of the records.

    Attributes:
        epoch: its epoch when it was reused; its join items are of this one or of earlier ones.
        before: it has the states of the first branch with numbers below this, except those of earlier sources.
    """

    run_id: str
    epoch: int
    before: int


@dataclass(frozen=True, slots=True)
class Reused:
    """What a run reuses.

    Attributes:
        sources: at least one; the last one is the run that this one was made from.
        totals: how the reused states ended. What they took (turns, time, write units) counts in their own run alone.
    """

    sources: tuple[Source, ...]
    totals: Totals

    @property
    def before(self) -> int:
        """The number of the first state that the run has itself."""
        return self.sources[-1].before

    @property
    def last(self) -> tuple[Branch, int] | None:
        """A place behind all that is reused and before all that is not, in the order of the walk."""
        return (((self.before - 1, _PAST_ALL),), 0) if self.before else None

    def source(self, branch: Branch, number: int) -> Source | None:
        """Where the record of a place lies; None if the run has it itself."""
        root = branch[0][0] if branch else number
        return next((source for source in self.sources if root < source.before), None)


def reuse(before: Reused | None, source: Source, totals: Totals) -> Reused:
    """What a run reuses that is made from `source`, which itself reuses `before`."""
    earlier = () if before is None else before.sources
    sources: list[Source] = []
    for each in earlier:
        number = min(each.before, source.before)
        if number > (sources[-1].before if sources else 0):
            sources.append(replace(each, before=number))
    return Reused((*sources, source), totals)


def outcomes(totals: Totals) -> Totals:
    """The part of the totals that says how states ended, without what they took."""
    return totals._replace(turns=0, busy_ms=0, write_units=0)
