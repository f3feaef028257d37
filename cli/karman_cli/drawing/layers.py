"""The layers of a diagram: which row a box is in, and the order within the row (Sugiyama's method).

Rows come from the longest path. An arrow over several rows is cut into pieces by *points*, one in each row that it
passes, which take part in the ordering like boxes; so arrows do not run through boxes. The order is improved by sweeps
that put each box at the mean position of its neighbours, keeping the order with the fewest crossings.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from karman_cli.drawing.diagram import Arrow, Diagram, Kind

SWEEPS = 12

Pair = tuple[str, str]


@dataclass(slots=True)
class Layers:
    """Rows of cell names from top to bottom. A cell is a box (its identifier) or a point of an arrow.

    Attributes:
        rows: cell names in their order.
        chains: for each arrow the cells from its upper end to its lower end, which for loops is not its direction.
            Arrows from a box to itself have none.
        points: the cells that are no boxes.
    """

    rows: list[list[str]]
    chains: dict[Arrow, list[str]] = field(default_factory=dict)
    points: set[str] = field(default_factory=set)

    def pieces(self) -> list[Pair]:
        """Pairs of neighbours in adjacent rows, the upper one first."""
        return [pair for chain in self.chains.values() for pair in itertools.pairwise(chain)]


def layers(diagram: Diagram) -> Layers:
    """The layers of a diagram. Loops, and arrows of an invalid graph that close a cycle, do not move boxes."""
    rank = _ranks([box.identifier for box in diagram.boxes], _without_cycles(diagram))
    result = Layers([[] for _ in range(max(rank.values(), default=-1) + 1)])
    for box in diagram.boxes:
        result.rows[rank[box.identifier]].append(box.identifier)
    for arrow in diagram.arrows:
        if rank[arrow.source] != rank[arrow.target]:
            _add_chain(result, arrow, rank)
    _order(result)
    return result


def _add_chain(result: Layers, arrow: Arrow, rank: dict[str, int]) -> None:
    upper, lower = sorted((arrow.source, arrow.target), key=rank.__getitem__)
    chain = [upper]
    for row in range(rank[upper] + 1, rank[lower]):
        point = f"{arrow.source}>{arrow.target}>{arrow.kind}>{row}"
        result.rows[row].append(point)
        result.points.add(point)
        chain.append(point)
    result.chains[arrow] = [*chain, lower]


def _without_cycles(diagram: Diagram) -> list[Arrow]:
    """The arrows that go down: without loops, self-arrows and those that close a cycle, found depth first."""
    following: defaultdict[str, list[Arrow]] = defaultdict(list)
    for arrow in diagram.arrows:
        if arrow.kind is not Kind.LOOP and arrow.source != arrow.target:
            following[arrow.source].append(arrow)
    kept: list[Arrow] = []
    done: set[str] = set()
    for box in diagram.boxes:
        open_path: dict[str, Iterator[Arrow]] = {}
        if box.identifier not in done:
            open_path[box.identifier] = iter(following[box.identifier])
        while open_path:
            at, arrows = next(reversed(open_path.items()))
            further = next(arrows, None)
            if further is None:
                done.add(at)
                del open_path[at]
            elif further.target not in open_path:
                kept.append(further)
                if further.target not in done:
                    open_path[further.target] = iter(following[further.target])
    return kept


def _ranks(identifiers: Sequence[str], arrows: Sequence[Arrow]) -> dict[str, int]:
    """The row of each box: one below the lowest of those that point to it."""
    waiting = dict.fromkeys(identifiers, 0)
    following: defaultdict[str, list[str]] = defaultdict(list)
    for arrow in arrows:
        waiting[arrow.target] += 1
        following[arrow.source].append(arrow.target)
    rank = dict.fromkeys(identifiers, 0)
    ready = [identifier for identifier in identifiers if not waiting[identifier]]
    while ready:
        source = ready.pop()
        for target in following[source]:
            rank[target] = max(rank[target], rank[source] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return rank


# --- the order within the rows ----------------------------------------------------------------------------------------


def _order(result: Layers) -> None:
    pieces = result.pieces()
    above: defaultdict[str, list[str]] = defaultdict(list)
    below: defaultdict[str, list[str]] = defaultdict(list)
    for upper, lower in pieces:
        below[upper].append(lower)
        above[lower].append(upper)
    best = [list(row) for row in result.rows]
    fewest = _crossings(best, pieces)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        _sweep(result.rows if sweep % 2 == 0 else result.rows[::-1], above if sweep % 2 == 0 else below)
        crossings = _crossings(result.rows, pieces)
        if crossings < fewest:
            fewest, best = crossings, [list(row) for row in result.rows]
    result.rows[:] = best


def _sweep(rows: Sequence[list[str]], neighbours: dict[str, list[str]]) -> None:
    """Order each row but the first by the mean position of the neighbours in the row before it."""
    for fixed, row in itertools.pairwise(rows):
        position = {cell: index for index, cell in enumerate(fixed)}
        own = {cell: index for index, cell in enumerate(row)}

        def weight(cell: str, position: dict[str, int] = position, own: dict[str, int] = own) -> float:
            near = [position[other] for other in neighbours.get(cell, ()) if other in position]
            return sum(near) / len(near) if near else float(own[cell])

        row.sort(key=weight)


def _crossings(rows: Sequence[Sequence[str]], pieces: Sequence[Pair]) -> int:
    place = {cell: (number, index) for number, row in enumerate(rows) for index, cell in enumerate(row)}
    by_row: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for upper, lower in pieces:
        by_row[place[upper][0]].append((place[upper][1], place[lower][1]))
    return sum(_inversions(sorted(ends)) for ends in by_row.values())


def _inversions(ends: Sequence[tuple[int, int]]) -> int:
    """Pairs of pieces that cross: the first begins left of the second and ends right of it."""
    return sum(
        1
        for index, (start, end) in enumerate(ends)
        for other_start, other_end in ends[index + 1 :]
        if start < other_start and end > other_end
    )
