"""Bar charts as inline SVG.

Horizontal places are percentages and text has the size of the page's own, so a chart fits a phone as well as a screen
without becoming small. Colours come from the page's style sheet, and with them the dark mode.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

ROW = 46
THIN_ROW = 26
BAR = 12
EASIEST = 100


class SizedDocument(NamedTuple):
    """A row of the chart of documents."""

    name: str
    words: int
    reading_ease: float | None


def documents_chart(rows: Sequence[SizedDocument]) -> str:
    """Two columns below each name: how long a document is, and where it stands between hard and easy."""
    most = max((row.words for row in rows), default=1) or 1
    height = 26 + ROW * len(rows)
    marks = "".join(_score_line(score, height) for score in (0, 60, 100))
    lines = "".join(_document(row, 26 + ROW * i, most) for i, row in enumerate(rows))
    return _svg(
        "documents-chart",
        "Words and reading ease of each document",
        f"{len(rows)} documents, the longest first. The table below has the same numbers.",
        height,
        f'<text class="axis" x="0" y="12">words</text>{marks}{lines}',
    )


def _document(row: SizedDocument, y: int, most: int) -> str:
    width = max(34 * row.words / most, 0.3)
    bar = y + 22
    return (
        f"<g><title>{escape(row.name)}</title>"
        f'<text class="name" x="0" y="{y + 14}">{_apart(_short(row.name, 38))}</text>'
        f'<rect class="bar" x="0" y="{bar}" width="{width:.2f}%" height="{BAR}" rx="2"/>'
        f'<text class="value" x="{width:.2f}%" dx="6" y="{bar + 10}">{row.words:,}</text>'
        f"{_score(row.reading_ease, bar + BAR // 2)}</g>"
    )


def _score(score: float | None, y: int) -> str:
    if score is None:
        return f'<text class="value" x="100%" y="{y + 4}" text-anchor="end">no score</text>'
    return (
        f'<line class="track" x1="56%" x2="86%" y1="{y}" y2="{y}"/>'
        f'<circle class="dot" cx="{_score_place(score):.2f}%" cy="{y}" r="6"/>'
        f'<text class="value" x="100%" y="{y + 4}" text-anchor="end">{score:.0f}</text>'
    )


def _score_place(score: float) -> float:
    """Odd texts score beyond 0 and 100; they stand at the edge, with their true number beside."""
    return 56 + 30 * min(max(score, 0), EASIEST) / EASIEST


def _score_line(score: int, height: int) -> str:
    place = _score_place(score)
    label = {0: "hard", 60: "plain", 100: "easy"}[score]
    return (
        f'<line class="grid" x1="{place}%" x2="{place}%" y1="18" y2="{height}"/>'
        f'<text class="axis" x="{place}%" y="12" text-anchor="middle">{label}</text>'
    )


def keywords_chart(rows: Sequence[tuple[str, float, str]]) -> str:
    """A bar for each term: its name, its weight, and what to write beside."""
    most = max((weight for _, weight, _ in rows), default=1) or 1
    return _svg(
        "keywords-chart",
        "Keywords of the collection by weight",
        ", ".join(term for term, _, _ in rows),
        THIN_ROW * len(rows) + 4,
        "".join(_keyword(row, THIN_ROW * i, most) for i, row in enumerate(rows)),
    )


def _keyword(row: tuple[str, float, str], y: int, most: float) -> str:
    term, weight, note = row
    width = max(45 * weight / most, 0.3)
    return (
        f"<g><title>{escape(term)}</title>"
        f'<rect class="bar" x="0" y="{y + 7}" width="{width:.2f}%" height="{BAR}" rx="2"/>'
        f'<text x="{width:.2f}%" dx="8" y="{y + 17}"><tspan class="name">{_apart(_short(term, 18))}</tspan>'
        f'<tspan class="value" dx="8">{escape(note)}</tspan></text></g>'
    )


def _svg(name: str, title: str, description: str, height: int, content: str) -> str:
    return (
        f'<svg role="img" aria-labelledby="{name}-title {name}-description" width="100%" height="{height}">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-description">{escape(description)}</desc>{content}</svg>'
    )


def _apart(text: str) -> str:
    """Escaped, and kept from turning what stands beside it around: text may run from right to left."""
    return f"\u2068{escape(text)}\u2069"


def _short(text: str, limit: int) -> str:
    """The end of a long text, since that is where paths differ."""
    return text if len(text) <= limit else f"\u2026{text[1 - limit :]}"


def in_order_of_size(rows: Iterable[SizedDocument], limit: int) -> list[SizedDocument]:
    """The longest documents, the longest first."""
    return sorted(rows, key=lambda row: (-row.words, row.name))[:limit]
