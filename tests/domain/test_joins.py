from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from karman_core.domain.decide import Ending
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.joins import GroupEnd, Join, Slot, climb, end_group
from karman_core.domain.totals import Totals
from tests.domain.reference import Uniting, enter, group_end

widths = st.integers(1, 40) | st.integers(1, 600)
arities = st.integers(2, 5) | st.integers(2, 200)
strategies = st.sampled_from([None, *UniteStrategy])
endings = st.sampled_from(Ending)


@pytest.mark.parametrize(
    ("width", "index", "arity", "places"),
    [
        (1, 0, 200, [Slot(0, 0, 0, 1, root=True)]),
        (3, 2, 3, [Slot(0, 0, 2, 3, root=True)]),
        (4, 3, 3, [Slot(0, 1, 0, 1, root=False), Slot(1, 0, 1, 2, root=True)]),
        (5, 1, 2, [Slot(0, 0, 1, 2, root=False), Slot(1, 0, 0, 2, root=False), Slot(2, 0, 0, 2, root=True)]),
        (3, 3, 3, [Slot(0, 0, 3, 3, root=True)]),
        (5, 5, 2, [Slot(2, 0, 2, 2, root=True)]),
        (
            100_000,
            99_999,
            200,
            [
                Slot(0, 499, 199, 200, root=False),
                Slot(1, 2, 99, 100, root=False),
                Slot(2, 0, 2, 3, root=True),
            ],
        ),
    ],
)
def test_places(width: int, index: int, arity: int, places: list[Slot]) -> None:
    assert list(climb(width, index, arity)) == places


@given(widths, arities)
def test_every_member_has_one_place_at_each_level(width: int, arity: int) -> None:
    paths = [list(climb(width, index, arity)) for index in range(width)]
    event(f"{len(paths[0])} levels")
    assert {len(path) for path in paths} == {len(paths[0])}
    below = {(index,) for index in range(width)}  # who arrives at a level: branches, then items
    for level, slots in enumerate(zip(*paths, strict=True)):
        assert {slot.level for slot in slots} == {level}
        arrivals = {
            ((slot.item, slot.member), path[level - 1].item if level else index)
            for index, (path, slot) in enumerate(zip(paths, slots, strict=True))
        }
        assert Counter(count for count in Counter(place for place, _ in arrivals).values()) == {1: len(below)}
        sizes = {slot.item: slot.size for slot in slots}
        assert {(slot.item, slot.size) for slot in slots} == set(sizes.items())
        assert sorted(sizes) == list(range(len(sizes)))
        assert sum(sizes.values()) == len(below)
        assert {place for place, _ in arrivals} == {
            (item, member) for item in sizes for member in range(sizes[item])
        }
        assert all(1 <= size <= arity for size in sizes.values())
        assert {slot.root for slot in slots} == {len(sizes) == 1 and level == len(paths[0]) - 1}
        below = {(item,) for item in sizes}
    assert len(below) == 1


@given(widths, arities)
def test_no_level_is_wasted(width: int, arity: int) -> None:
    path = list(climb(width, 0, arity))
    assert arity ** len(path) >= width
    assert len(path) == 1 or arity ** (len(path) - 1) < width
    for lower, upper in pairwise(path):
        assert (upper.item, upper.member) == divmod(lower.item, arity)


@given(widths, arities)
def test_the_unite_that_runs_as_a_member_comes_after_all_others_in_the_root_item(
    width: int, arity: int
) -> None:
    root = list(climb(width, 0, arity))[-1]
    assert list(climb(width, width, arity)) == [Slot(root.level, 0, root.size, root.size, root=True)]


JOIN = Join(frozenset({0}), frozenset({2}), frozenset({4}), last=4)


def test_an_item_holds_who_is_in_one_of_its_sets() -> None:
    assert [member for member in range(6) if JOIN.holds(member)] == [0, 2, 4]
    assert JOIN.arrived == 3


def test_an_item_is_full_when_all_are_in_and_the_root_with_the_unite_that_was_fired() -> None:
    fired = Join(frozenset({0, 1}), last=1, fired=0)
    inner, root = Slot(0, 0, 0, 2, root=False), Slot(0, 0, 0, 2, root=True)
    assert JOIN.full(Slot(0, 0, 0, 3, root=True))
    assert not JOIN.full(Slot(0, 0, 0, 4, root=True))
    assert fired.full(inner)
    assert not fired.full(root)
    assert enter(fired, 2, Ending.FAILED, Totals()).full(root)


@pytest.mark.parametrize("strategy", [None, *UniteStrategy])
@pytest.mark.parametrize("each", [set(some) for size in (1, 2, 3) for some in combinations(Ending, size)])
def test_what_the_members_of_an_item_amount_to(each: set[Ending], strategy: UniteStrategy | None) -> None:
    join = Join()
    for member, ending in enumerate(each):
        join = enter(join, member, ending, Totals())
    enough = strategy is UniteStrategy.ANY_SUCCESS and Ending.SUCCEEDED in each
    worst = Ending.FAILED if Ending.FAILED in each and not enough else None
    assert join.ending(strategy) is (
        worst or (Ending.SUCCEEDED if Ending.SUCCEEDED in each else Ending.PRUNED)
    )


@pytest.mark.parametrize("unite", Ending)
def test_a_group_whose_unite_was_fired_ends_as_the_unite_did(unite: Ending) -> None:
    root = Join(frozenset({0}), frozenset({1}), frozenset({2}), fired=0)
    full = enter(root, 3, unite, Totals())
    assert end_group(full, 3, UniteStrategy.ANY_SUCCESS) == GroupEnd(unite=False, ending=unite)


class Group:
    """A group whose members arrive, one after the other, at the items of its tree."""

    def __init__(self, width: int, arity: int, strategy: UniteStrategy | None) -> None:
        self.width, self.arity, self.strategy = width, arity, strategy
        self.items: dict[tuple[int, int], Join] = {}
        self.ends: list[GroupEnd] = []
        self.fired: list[int] = []

    def arrive(self, index: int, ending: Ending) -> None:
        totals = Totals(turns=1)
        any_success = self.strategy is UniteStrategy.ANY_SUCCESS and index < self.width
        slots, join = list(climb(self.width, index, self.arity)), Join()
        for slot in slots:
            key = (slot.level, slot.item)
            join = self.items.get(key, Join())
            assert not join.holds(slot.member)
            assert not join.full(slot)
            fires = any_success and not slot.level and ending is Ending.SUCCEEDED
            self.items[key] = join = enter(join, slot.member, ending, totals, fires=fires)
            if fires:
                self._fire(slots[-1], index)
                join = self.items[key]
            if not join.full(slot):
                return
            ending, totals = join.ending(self.strategy), join.totals
        self.ends.append(end_group(join, slots[-1].size, self.strategy))
        assert totals == Totals(turns=self.width + len(self.fired))

    def _fire(self, root: Slot, index: int) -> None:
        """The first success is frozen in the root item."""
        if not self.fired:
            self.fired.append(index)
            key = (root.level, root.item)
            join = self.items.get(key, Join())
            self.items[key] = Join(join.succeeded, join.failed, join.pruned, join.last, index, join.totals)


@given(st.lists(endings, min_size=1, max_size=30), st.integers(2, 4), strategies, endings, st.data())
def test_a_group_comes_to_what_its_strategy_says(
    each: Sequence[Ending], arity: int, strategy: UniteStrategy | None, unite: Ending, data: st.DataObject
) -> None:
    group = Group(len(each), arity, strategy)
    event(f"{len(list(climb(len(each), 0, arity)))} levels, {strategy}")
    late = data.draw(st.integers(0, len(each)))
    order = data.draw(st.permutations(range(len(each))))
    for index in order[:late]:
        group.arrive(index, each[index])
    early = bool(group.fired)
    if early:
        group.arrive(len(each), unite)
    for index in order[late:]:
        assert not group.ends
        group.arrive(index, each[index])
    if group.fired and not early:
        assert not group.ends
        group.arrive(len(each), unite)
    match group_end(strategy, each):
        case Uniting.BESIDE:
            assert group.ends == [GroupEnd(unite=False, ending=unite)]
            assert group.fired == [next(index for index in order if each[index] is Ending.SUCCEEDED)]
        case Uniting.AFTER:
            assert [end.unite for end in group.ends] == [True]
        case ending:
            assert group.ends == [GroupEnd(unite=False, ending=ending)]
