"""Counts of a run, summed up the join tree with the arrivals: exact, and free."""

from __future__ import annotations

from typing import NamedTuple


class Totals(NamedTuple):
    """What some states of a run have done.

    Attributes:
        succeeded, failed, pruned, cancelled: states by how they ended.
        turns: committed executions, every retry, requeue and resumed wait counted.
        busy_ms: their durations.
        write_units: DynamoDB write units of the states' records.
    """

    succeeded: int = 0
    failed: int = 0
    pruned: int = 0
    cancelled: int = 0
    turns: int = 0
    busy_ms: int = 0
    write_units: int = 0

    def plus(self, other: Totals) -> Totals:
        """The sum of both."""
        return Totals(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def minus(self, other: Totals) -> Totals:
        """The difference: what a new epoch begins with, so that the sum over epochs counts each state once."""
        return Totals(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))
