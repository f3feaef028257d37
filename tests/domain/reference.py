"""The words of the design, executed the slow way: what the arithmetic of the domain is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from karman_core.domain.branches import Branch
from karman_core.domain.decide import Ending
from karman_core.domain.definition import GraphDefinition, UniteStrategy
from karman_core.domain.joins import Join
from karman_core.domain.records import Record
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import ENDED_STATES, StateStatus

Place = tuple[Branch, int]
"""Branch and number of a state."""


class Uniting(Enum):
    """How a group goes on that does not end with its branches."""

    AFTER = "the unite runs in the parent branch"
    BESIDE = "the unite runs as one more member of the group"


def group_end(strategy: UniteStrategy | None, endings: Sequence[Ending]) -> Ending | Uniting:
    """What a group comes to, all of whose branches have ended."""
    some = set(endings)
    together = next((one for one in (Ending.FAILED, Ending.SUCCEEDED) if one in some), Ending.PRUNED)
    match strategy:
        case None:
            return together
        case UniteStrategy.ALL_SUCCESS:
            return Ending.FAILED if Ending.FAILED in some else Uniting.AFTER
        case UniteStrategy.ALL_DONE:
            return Uniting.AFTER
        case UniteStrategy.ANY_SUCCESS:
            if Ending.SUCCEEDED in some:
                return Uniting.BESIDE
            return Ending.FAILED if Ending.FAILED in some else Uniting.AFTER


def enter(join: Join, member: int, ending: Ending, totals: Totals, *, fires: bool = False) -> Join:
    """The join item after one arrival, as its update changes it; whether it may is asked before."""
    return replace(
        join,
        succeeded=join.succeeded | ({member} if ending is Ending.SUCCEEDED else set()),
        failed=join.failed | ({member} if ending is Ending.FAILED else set()),
        pruned=join.pruned | ({member} if ending is Ending.PRUNED else set()),
        last=member,
        fired=member if fires and join.fired is None else join.fired,
        totals=join.totals.plus(totals),
    )


@dataclass
class Reading:
    """A run, read from its records alone.

    Attributes:
        visited: the places that the reading came to and that have records.
    """

    definition: GraphDefinition
    records: Mapping[Place, Record]
    visited: set[Place] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._nodes = {node.identifier: node for node in self.definition.nodes}
        self._unites = {node.unites.identifier: node for node in self.definition.nodes if node.unites}

    def branch(self, path: Branch, number: int = 0) -> Ending | None:
        """How a branch has ended, from one of its states on; None while it goes on."""
        while True:
            record = self.records.get((path, number))
            if record is None:
                return None
            self.visited.add((path, number))
            if record.status not in ENDED_STATES:
                return None
            if record.status is StateStatus.PRUNED:
                return Ending.PRUNED
            if record.status is not StateStatus.SUCCEEDED:
                return Ending.FAILED
            width = self.width(record)
            if record.identifier in self._unites or width > 1:
                return self._group(path, number, record, width)
            if not width:
                return Ending.SUCCEEDED
            number += 1

    def width(self, record: Record) -> int:
        """How many branches follow a state that has succeeded."""
        following = [record.chosen] if record.chosen else self._nodes[record.identifier].next_nodes
        starts = [name for name in following if name and self._nodes[name].unites is None]
        given = len(record.outputs or ())
        return (given if record.identifier in self._unites else max(1, given)) * len(starts)

    def endings(self, path: Branch, number: int) -> list[Ending | None]:
        """How the branches of the group at a place have ended."""
        width = self.width(self.records[path, number])
        return [self.branch((*path, (number, index))) for index in range(width)]

    def strategy(self, identifier: str) -> UniteStrategy | None:
        """How the groups of a node are united; None if they are not."""
        unite = self._unites.get(identifier)
        return unite.unites.strategy if unite and unite.unites else None

    def _group(self, path: Branch, number: int, record: Record, width: int) -> Ending | None:
        found = self.endings(path, number)
        endings = [ending for ending in found if ending is not None]
        strategy = self.strategy(record.identifier)
        beside = None
        if strategy is UniteStrategy.ANY_SUCCESS and Ending.SUCCEEDED in endings:
            beside = self.branch((*path, (number, width)))
        if len(endings) < width:
            return None
        match group_end(strategy, endings):
            case Uniting.BESIDE:
                return beside
            case Uniting.AFTER:
                return self.branch(path, number + 1)
            case ending:
                return ending
