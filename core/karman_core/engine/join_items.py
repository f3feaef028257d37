"""Join items: one update an arrival, the same shape for every level of the tree.

s, f, p   members that succeeded, failed, were pruned (number sets)
l last    fi fired    n0.. n6 totals, in the order of Totals    ttl
"""

from __future__ import annotations

from karman_core.domain.decide import Ending
from karman_core.domain.joins import Join
from karman_core.domain.totals import Totals
from karman_core.ports.table import Action, Add, AllOf, Condition, Item, Lacks, Set, SetOnce

_SETS = tuple(ending.value for ending in Ending)


def not_arrived(member: int) -> Condition:
    """The member is in no set: it arrives once, however often it is told to."""
    return AllOf(tuple(Lacks(name, member) for name in _SETS))


def arrival(member: int, ending: Ending, totals: Totals, ttl: int, *, fires: bool) -> list[Action]:
    """The update of one arrival; with `fires`, the first success is frozen in it."""
    actions: list[Action] = [Add(ending.value, frozenset({member})), Set("l", member), SetOnce("ttl", ttl)]
    actions += [Add(f"n{place}", count) for place, count in enumerate(totals) if count]
    if fires:
        actions.append(SetOnce("fi", member))
    return actions


def read_join(item: Item | None) -> Join:
    """The join that an item holds; an empty one when there is none."""
    if item is None:
        return Join()
    return Join(
        succeeded=item.get("s", frozenset()),
        failed=item.get("f", frozenset()),
        pruned=item.get("p", frozenset()),
        last=item.get("l"),
        fired=item.get("fi"),
        totals=Totals(*(item.get(f"n{place}", 0) for place in range(len(Totals._fields)))),
    )


def write_join(join: Join, ttl: int) -> dict[str, object]:
    """The attributes of a whole join item, for copies into a new epoch."""
    sets = {"s": join.succeeded, "f": join.failed, "p": join.pruned}
    values: dict[str, object] = {name: members for name, members in sets.items() if members}
    values.update({f"n{place}": count for place, count in enumerate(join.totals) if count})
    if join.fired is not None:
        values["fi"] = join.fired
    return {**values, "ttl": ttl}
