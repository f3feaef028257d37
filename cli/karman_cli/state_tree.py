"""The states of a run as a tree: branches below the state that opened them, those of wide groups counted.

States are counted as they come, page by page, so that a run of 100,000 branches is shown in bounded memory.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from karman_core.engine.views import StateView

LISTED_BRANCHES = 10
"""A group up to so wide is listed branch by branch."""

SHOWN_FAILURES = 5
"""Failed states of a wide group that are listed all the same."""

Path: TypeAlias = tuple[tuple[int, int], ...]
"""Of a branch: for each group that it is in, the number of the state that opened it, and the branch's index."""

Opener: TypeAlias = tuple[Path, int]
"""A state that opened a group: its branch, and its number there."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree: one state, or (without one) all states of a node instance in a wide group.

    Attributes:
        index: of the branch that begins with this state, in its group.
        statuses: how many states there are by status.
    """

    depth: int
    identifier: str
    state: StateView | None = None
    index: int | None = None
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Counted:
    """States of one node instance in a wide group."""

    identifier: str
    statuses: Counter[str] = field(default_factory=Counter)
    failed: list[StateView] = field(default_factory=list)


class StateTree:
    """Takes the states of a run, each after the one that opened its group, and gives the lines of the tree.

    Args:
        everything: list every state, whatever the width of its group.
    """

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._wide: set[Opener] = set()
        self._branches: defaultdict[Path, dict[int, StateView]] = defaultdict(dict)
        self._indexes: defaultdict[Opener, set[int]] = defaultdict(set)
        self._counted: defaultdict[Opener, dict[tuple[int, ...], _Counted]] = defaultdict(dict)

    def add(self, state: StateView) -> None:
        """Take a state."""
        path = branch_path(state.branch)
        wide = self._first_wide(path)
        if wide is not None:
            self._count(path, len(wide[0]), state)
            return
        self._branches[path][state.number] = state
        if path:
            self._indexes[path[:-1], path[-1][0]].add(path[-1][1])
        if not self._everything and (state.width or 0) > LISTED_BRANCHES:
            self._wide.add((path, state.number))

    def lines(self) -> Iterator[Line]:
        """From the first state on."""
        yield from self._branch((), 0, None)

    def _first_wide(self, path: Path) -> Opener | None:
        openers = ((path[:depth], number) for depth, (number, _) in enumerate(path))
        return next((opener for opener in openers if opener in self._wide), None)

    def _count(self, path: Path, depth: int, state: StateView) -> None:
        """Count a state under the wide group at this depth of its path; deeper groups are counted together with it."""
        place = (*(number for number, _ in path[depth + 1 :]), state.number)
        group = self._counted[path[:depth], path[depth][0]]
        counted = group.setdefault(place, _Counted(state.identifier))
        counted.statuses[state.status] += 1
        if state.status in {"FAILED", "TIMED_OUT"} and len(counted.failed) < SHOWN_FAILURES:
            counted.failed.append(state)

    def _branch(self, path: Path, depth: int, index: int | None) -> Iterator[Line]:
        for position, (number, state) in enumerate(sorted(self._branches[path].items())):
            yield Line(
                depth, state.identifier, state, index if position == 0 else None, Counter([state.status])
            )
            opener = (path, number)
            for child in sorted(self._indexes.get(opener, ())):
                yield from self._branch((*path, (number, child)), depth + 1, child)
            for place, counted in sorted(self._counted.get(opener, {}).items()):
                yield Line(depth + len(place), counted.identifier, statuses=counted.statuses)
                for failed in counted.failed:
                    yield Line(
                        depth + len(place) + 1, failed.identifier, failed, statuses=Counter([failed.status])
                    )


def branch_path(branch: str) -> Path:
    """`2.17/0.3` as pairs."""
    pairs = (part.split(".") for part in branch.split("/") if part)
    return tuple((int(number), int(index)) for number, index in pairs)
