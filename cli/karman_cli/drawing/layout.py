"""The places of a diagram's boxes and arrows, in pixels.

Rows are stacked from top to bottom. Within a row each cell wants to stand below or above the mean of its neighbours;
the rows are swept a few times, and where cells would overlap, the least squares solution that keeps order and distance
is taken (pool adjacent violators).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from karman_cli.drawing.diagram import Arrow, Box, Diagram
from karman_cli.drawing.layers import Layers, layers

MARGIN = 24.0
ROW_GAP = 52.0
CELL_GAP = 28.0
POINT_WIDTH = 8.0
LINE_HEIGHT = 17.0
PADDING = 12.0
WIDEST_CHARACTER = 7.6
"""Of the 13 px font, on the wide side: fonts differ between viewers, and text must not leave its box."""
LEAST_WIDTH = 96.0
LOOP_STEP = 26.0
LOOP_ASIDE = 0.28
"""How far from the middle a loop is attached, in widths of the box."""
LABEL_GAP = 6.0
SWEEPS = 24
POINT_WEIGHT = 3.0
"""Points give way less than boxes, so that long arrows are straight."""
POINT_PULL = 6.0
"""How much more a point is drawn to the next point of its arrow than to a box."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place, from the top left corner."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """A box with its centre and size."""

    box: Box
    centre: Point
    width: float
    height: float

    @property
    def top(self) -> float:
        """The upper edge."""
        return self.centre.y - self.height / 2

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.centre.y + self.height / 2

    @property
    def right(self) -> float:
        """The right edge."""
        return self.centre.x + self.width / 2


@dataclass(frozen=True, slots=True)
class PlacedArrow:
    """An arrow through points, from the edge of its source to the edge of its target.

    Pairs of points are joined in turn by a curve (between rows) and a vertical line (past a row). The one arrow that is
    not `between_rows` leaves and enters at the right side: of a box to itself, or to its neighbour in an invalid graph.
    """

    arrow: Arrow
    points: tuple[Point, ...]
    between_rows: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """A diagram with places."""

    diagram: Diagram
    boxes: tuple[PlacedBox, ...]
    arrows: tuple[PlacedArrow, ...]
    width: float
    height: float


def layout(diagram: Diagram) -> Layout:
    """Give every box and arrow its place."""
    stacked = layers(diagram)
    boxes = {box.identifier: box for box in diagram.boxes}
    widths = {cell: _width(boxes.get(cell)) for row in stacked.rows for cell in row}
    cells = _cells(stacked, boxes, widths)
    placed = {
        identifier: PlacedBox(box, cells[identifier].centre, widths[identifier], _height(box))
        for identifier, box in boxes.items()
    }
    arrows = [_between(arrow, chain, placed, cells) for arrow, chain in stacked.chains.items()]
    arrows += [_beside(arrow, placed) for arrow in diagram.arrows if arrow not in stacked.chains]
    ends = [box.right for box in placed.values()]
    ends += [_right_end(arrow) for arrow in arrows]
    bottoms = [box.bottom for box in placed.values()]
    width, height = max(ends, default=0.0) + MARGIN, max(bottoms, default=0.0) + MARGIN
    return Layout(diagram, tuple(placed.values()), tuple(arrows), round(width), round(height))


def _right_end(arrow: PlacedArrow) -> float:
    """How far an arrow and its label reach."""
    label = LABEL_GAP + len(arrow.arrow.label) * WIDEST_CHARACTER if arrow.arrow.label else 0.0
    return max(point.x for point in arrow.points) + label


def _width(box: Box | None) -> float:
    if box is None:
        return POINT_WIDTH
    return max(LEAST_WIDTH, max(map(len, box.lines)) * WIDEST_CHARACTER + 2 * PADDING)


def _height(box: Box) -> float:
    return len(box.lines) * LINE_HEIGHT + 2 * PADDING


# --- where the cells are ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where a box or a point is, and the row around it."""

    centre: Point
    row_height: float


def _cells(stacked: Layers, boxes: dict[str, Box], widths: dict[str, float]) -> dict[str, _Cell]:
    across = _across(stacked, widths)
    left = min((across[cell] - widths[cell] / 2 for cell in across), default=0.0)
    cells: dict[str, _Cell] = {}
    top = MARGIN
    for row in stacked.rows:
        height = max(_height(boxes[cell]) for cell in row if cell in boxes)
        for cell in row:
            cells[cell] = _Cell(Point(across[cell] - left + MARGIN, top + height / 2), height)
        top += height + ROW_GAP
    return cells


def _across(stacked: Layers, widths: dict[str, float]) -> dict[str, float]:
    """The x of every cell's centre."""
    near: dict[str, list[str]] = defaultdict(list)
    for upper, lower in stacked.pieces():
        near[upper].append(lower)
        near[lower].append(upper)
    across: dict[str, float] = {}
    for row in stacked.rows:
        across.update(zip(row, _apart(row, [0.0] * len(row), widths, stacked.points), strict=True))
    for sweep in range(SWEEPS):
        for row in stacked.rows if sweep % 2 == 0 else reversed(stacked.rows):
            wanted = [_wanted(cell, across, near[cell], stacked.points) for cell in row]
            across.update(zip(row, _apart(row, wanted, widths, stacked.points), strict=True))
    return across


def _wanted(cell: str, across: dict[str, float], near: Sequence[str], points: set[str]) -> float:
    """The mean place of the neighbours; between two points of one arrow these count more, for a straight line."""
    if not near:
        return across[cell]
    weights = [POINT_PULL if cell in points and other in points else 1.0 for other in near]
    return sum(across[other] * weight for other, weight in zip(near, weights, strict=True)) / sum(weights)


def _apart(
    row: Sequence[str], wanted: Sequence[float], widths: dict[str, float], points: set[str]
) -> list[float]:
    """The places nearest to the wanted ones at which the row's cells keep their order and do not touch."""
    offsets = [0.0]
    for left, right in itertools.pairwise(row):
        offsets.append(offsets[-1] + (widths[left] + widths[right]) / 2 + CELL_GAP)
    # With the distances taken off, what remains is to find the nearest sequence that does not fall.
    pools: list[tuple[float, float, int]] = []  # mean, weight, cells
    for cell, want, offset in zip(row, wanted, offsets, strict=True):
        mean, weight, cells = want - offset, POINT_WEIGHT if cell in points else 1.0, 1
        while pools and pools[-1][0] > mean:
            other, other_weight, other_cells = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, cells = weight + other_weight, cells + other_cells
        pools.append((mean, weight, cells))
    means = [mean for mean, _, cells in pools for _ in range(cells)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


# --- where the arrows run ---------------------------------------------------------------------------------------------


def _between(
    arrow: Arrow, chain: Sequence[str], placed: dict[str, PlacedBox], cells: dict[str, _Cell]
) -> PlacedArrow:
    """Down from the lower edge of the upper box, or the same way up."""
    upper, lower = placed[chain[0]], placed[chain[-1]]
    upwards = arrow.source == chain[-1]
    inner = [cells[name] for name in chain[1:-1]]
    sides = _sides(upper, lower, inner) if upwards else (0.0, 0.0)
    points = [Point(upper.centre.x + sides[0] * upper.width, upper.bottom)]
    for cell in inner:
        points.append(Point(cell.centre.x, cell.centre.y - cell.row_height / 2))
        points.append(Point(cell.centre.x, cell.centre.y + cell.row_height / 2))
    points.append(Point(lower.centre.x + sides[1] * lower.width, lower.top))
    return PlacedArrow(arrow, tuple(points[::-1] if upwards else points))


def _sides(upper: PlacedBox, lower: PlacedBox, inner: Sequence[_Cell]) -> tuple[float, float]:
    """Where a loop meets its boxes: in the middle it would hide the arrow that it follows back.

    It keeps to the side on which it goes on, to cross as few of the other arrows as it can; to the right if it may.
    """
    if not inner:
        return (_side(upper, lower.centre.x),) * 2
    return _side(upper, inner[0].centre.x), _side(lower, inner[-1].centre.x)


def _side(box: PlacedBox, toward: float) -> float:
    return -LOOP_ASIDE if toward < box.centre.x - 1.0 else LOOP_ASIDE


def _beside(arrow: Arrow, placed: dict[str, PlacedBox]) -> PlacedArrow:
    source, target = placed[arrow.source], placed[arrow.target]
    outside = max(source.right, target.right) + LOOP_STEP
    start = Point(source.right, source.centre.y + LOOP_STEP / 3)
    end = Point(target.right, target.centre.y - LOOP_STEP / 3)
    points = (start, Point(outside, start.y), Point(outside, end.y), end)
    return PlacedArrow(arrow, points, between_rows=False)
