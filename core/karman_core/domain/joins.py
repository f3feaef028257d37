"""Join arithmetic: which item of a group's join tree a branch arrives at, and what a full item means.

Branches of a group arrive at join items of at most `arity` members. When a group is wider, full items arrive at items
of the next level, and so on up to one root item. A member enters one of three sets (succeeded, failed, pruned), once;
the item is full when the sets together hold as many members as it has, and only the member that came last acts on
that.

An ANY_SUCCESS unite runs as one more member of the root item, beside the branches, from the first success on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from karman_core.domain.decide import Ending
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.totals import Totals


@dataclass(frozen=True, slots=True)
class Slot:
    """A member's place in the join tree.

    Attributes:
        level: 0 for the items at which branches arrive.
        item: number of the item in its level.
        member: number of the member in the item.
        size: members of the item, without a unite that runs as a member.
        root: whether this is the tree's one top item.
    """

    level: int
    item: int
    member: int
    size: int
    root: bool


def climb(width: int, index: int, arity: int) -> Iterator[Slot]:
    """The places from a branch of a group of `width` up to the root item.

    Index `width` is the unite that runs as a member; it has a place in the root item alone, after all the others.
    """
    level, members = 0, width
    while members > arity:
        if index < members:
            item = index // arity
            yield Slot(level, item, index % arity, min(arity, members - item * arity), root=False)
            index = item
        else:
            index = -(-members // arity)
        members = -(-members // arity)
        level += 1
    yield Slot(level, 0, index, members, root=True)


@dataclass(frozen=True, slots=True)
class Join:
    """A join item as it stands. `fired` is the member whose success fired an ANY_SUCCESS unite."""

    succeeded: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()
    pruned: frozenset[int] = frozenset()
    last: int | None = None
    fired: int | None = None
    totals: Totals = field(default=Totals())

    @property
    def arrived(self) -> int:
        """How many members have arrived."""
        return len(self.succeeded) + len(self.failed) + len(self.pruned)

    def holds(self, member: int) -> bool:
        """Whether the member has arrived."""
        return member in self.succeeded or member in self.failed or member in self.pruned

    def ending(self, strategy: UniteStrategy | None) -> Ending:
        """What the members amount to, once all are in.

        A failure makes them fail, unless one success is all that the unite asks for; only pruned ones are pruned.
        """
        if self.failed and not (strategy is UniteStrategy.ANY_SUCCESS and self.succeeded):
            return Ending.FAILED
        return Ending.SUCCEEDED if self.succeeded else Ending.PRUNED

    def full(self, slot: Slot) -> bool:
        """Whether every member is in; at the root item a fired unite counts as a member."""
        return self.arrived >= slot.size + int(slot.root and self.fired is not None)


@dataclass(frozen=True, slots=True)
class GroupEnd:
    """What the end of a group means.

    Attributes:
        unite: whether the unite runs now, in the parent branch.
        ending: else, how the parent branch ends.
    """

    unite: bool
    ending: Ending


def end_group(root: Join, size: int, strategy: UniteStrategy | None) -> GroupEnd:
    """What follows when the root item is full.

    Args:
        size: members of the root item without the unite.
        strategy: of the group's unite; None when nobody unites it.
    """
    ending = root.ending(strategy)
    if strategy is None:
        # A group whose branches were all pruned is done, not failed, and what encloses it goes on so.
        return GroupEnd(unite=False, ending=ending)
    if strategy is UniteStrategy.ANY_SUCCESS and root.fired is not None:
        return GroupEnd(unite=False, ending=_unite_ending(root, size))
    if strategy is UniteStrategy.ALL_DONE:
        return GroupEnd(unite=True, ending=Ending.SUCCEEDED)
    failed = ending is Ending.FAILED
    return GroupEnd(unite=not failed, ending=ending)


def _unite_ending(root: Join, unite: int) -> Ending:
    if unite in root.succeeded:
        return Ending.SUCCEEDED
    return Ending.FAILED if unite in root.failed else Ending.PRUNED
