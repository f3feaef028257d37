"""A layout as SVG: one self-contained picture, readable on light and dark pages (it brings its own background)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from html import escape

from karman_cli.drawing.diagram import Kind
from karman_cli.drawing.layout import LABEL_GAP, LINE_HEIGHT, PADDING, Layout, PlacedArrow, PlacedBox, Point

STYLE = """\
text { font: 13px ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2933 }
.node { text-anchor: middle; fill: #6b7785; font-size: 12px }
.identifier { text-anchor: middle; font-weight: 600 }
.unites-note { text-anchor: middle; fill: #7a4cc2; font-size: 11px }
.label { fill: #b3541e; font-size: 11px; stroke: #fafbfc; stroke-width: 4px; paint-order: stroke }
rect.box { fill: #fff; stroke: #8a97a6; stroke-width: 1.2 }
rect.unite { stroke: #7a4cc2; stroke-width: 1.8 }
path { fill: none; stroke-width: 1.4 }
path.next { stroke: #52606d }
path.unites { stroke: #7a4cc2; stroke-dasharray: 2 4; stroke-linecap: round }
path.loop { stroke: #b3541e; stroke-dasharray: 7 4 }
"""

COLOURS = {Kind.NEXT: "#52606d", Kind.UNITES: "#7a4cc2", Kind.LOOP: "#b3541e"}
CORNER = 12.0


def svg(layout: Layout) -> str:
    """The picture as the text of an SVG file."""
    width, height = layout.width, layout.height
    name = escape(layout.diagram.name)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="graph {name}">'
        ),
        f"<title>{name}</title>",
        f"<style>\n{STYLE}</style>",
        "<defs>",
        *(_head(kind) for kind in Kind),
        "</defs>",
        f'<rect width="{width:g}" height="{height:g}" fill="#fafbfc"/>',
    ]
    # Unites lie below the ordinary arrows, boxes above all of them.
    order = [Kind.UNITES, Kind.LOOP, Kind.NEXT]
    arrows = sorted(layout.arrows, key=lambda arrow: order.index(arrow.arrow.kind))
    lines += map(_arrow, arrows)
    for box in layout.boxes:
        lines += _box(box)
    lines += [_label(arrow) for arrow in layout.arrows if arrow.arrow.label]
    return "\n".join([*lines, "</svg>", ""])


def _head(kind: Kind) -> str:
    return (
        f'<marker id="{kind}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse" markerUnits="userSpaceOnUse">'
        f'<path d="M0,0.6 L8,4 L0,7.4 z" style="fill:{COLOURS[kind]};stroke:none"/></marker>'
    )


def _box(placed: PlacedBox) -> Iterator[str]:
    left = placed.centre.x - placed.width / 2
    unites = len(placed.box.lines) > 1 and placed.box.lines[-1].startswith("unites ")
    yield "<g>"
    yield (
        f'<rect class="box{" unite" if unites else ""}" x="{left:.1f}" y="{placed.top:.1f}" '
        f'width="{placed.width:.1f}" height="{placed.height:.1f}" rx="7"/>'
    )
    for index, line in enumerate(placed.box.lines):
        kind = "identifier" if index == 0 else "node"
        if unites and index == len(placed.box.lines) - 1:
            kind = "unites-note"
        baseline = placed.top + PADDING + LINE_HEIGHT * (index + 0.75)
        yield f'<text class="{kind}" x="{placed.centre.x:.1f}" y="{baseline:.1f}">{escape(line)}</text>'
    yield "</g>"


def _arrow(placed: PlacedArrow) -> str:
    kind, points = placed.arrow.kind, placed.points
    path = _between_rows(points) if placed.between_rows else _sideways(points)
    return f'<path class="{kind}" d="{path}" marker-end="url(#{kind})"/>'


def _label(placed: PlacedArrow) -> str:
    middle = len(placed.points) // 2
    before, after = placed.points[middle - 1], placed.points[middle]
    across, down = (before.x + after.x) / 2 + LABEL_GAP, (before.y + after.y) / 2
    return f'<text class="label" x="{across:.1f}" y="{down + 4:.1f}">{escape(placed.arrow.label)}</text>'


def _between_rows(points: tuple[Point, ...]) -> str:
    """Curves that are vertical at both ends, so that arrows leave and enter boxes straight, and lines past rows."""
    steps = [f"M{points[0].x:.1f},{points[0].y:.1f}"]
    for index, (before, after) in enumerate(itertools.pairwise(points)):
        bend = (after.y - before.y) / 2 if index % 2 == 0 else 0.0
        steps.append(
            f"C{before.x:.1f},{before.y + bend:.1f} {after.x:.1f},{after.y - bend:.1f} {after.x:.1f},{after.y:.1f}"
            if bend
            else f"V{after.y:.1f}"
        )
    return " ".join(steps)


def _sideways(points: tuple[Point, ...]) -> str:
    """Out to the right, up (or down) and back, with round corners."""
    start, first, second, end = points
    down = 1.0 if second.y > first.y else -1.0
    corner = min(CORNER, abs(second.y - first.y) / 2)
    return (
        f"M{start.x:.1f},{start.y:.1f} H{first.x - corner:.1f} "
        f"Q{first.x:.1f},{first.y:.1f} {first.x:.1f},{first.y + down * corner:.1f} "
        f"V{second.y - down * corner:.1f} "
        f"Q{second.x:.1f},{second.y:.1f} {second.x - corner:.1f},{second.y:.1f} H{end.x:.1f}"
    )
