"""The report as one HTML page that needs nothing else: no script, no font, no request.

What comes from the documents is escaped wherever it is put, and the page's own policy forbids scripts and requests, so
that a hostile document can do nothing in the reader's browser.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from .charts import SizedDocument, documents_chart, in_order_of_size, keywords_chart
from .corpus import DocumentReport, Keyword, Pair, Report, Skipped

CHARTED_DOCUMENTS = 40
LISTED_PAIRS = 10

# The names that Flesch gave to ranges of his score, from its lower end.
_EASE = (
    (90, "very easy"),
    (80, "easy"),
    (70, "fairly easy"),
    (60, "plain"),
    (50, "fairly hard"),
    (30, "hard"),
)


def render(report: Report) -> str:
    """The page."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    parts = (
        _header(report),
        _documents_figure(report.documents),
        _keywords_figure(report.keywords),
        _table(report.documents),
        _pairs(report.pairs),
        _skipped(report.skipped, report.totals.left_out),
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Document digest</title>
<style>
{style}</style>
</head>
<body>
<main>
{"".join(parts)}</main>
{_METHOD}</body>
</html>
"""


def _header(report: Report) -> str:
    totals = report.totals
    ease, grade = totals.reading_ease, totals.grade
    tiles = (
        (f"{totals.documents:,}", _plural(totals.documents, "document")),
        (f"{totals.sections:,}", _plural(totals.sections, "section")),
        (f"{totals.measures.words:,}", _plural(totals.measures.words, "word")),
        (f"{totals.terms:,}", "different terms"),
        ("none" if ease is None else f"{ease:.0f}", f"reading ease, {ease_name(ease)}"),
        ("none" if grade is None else f"{grade:.0f}", "grade, years of school"),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for value, name in tiles)
    return f'<header><h1>Document digest</h1><dl class="tiles">{listed}</dl></header>\n'


def _documents_figure(documents: Iterable[DocumentReport]) -> str:
    sized = [SizedDocument(d.path, d.measures.words, d.reading_ease) for d in documents]
    shown = in_order_of_size(sized, CHARTED_DOCUMENTS)
    caption = "Reading ease runs from hard (0) through plain (60) to easy (100)."
    if len(shown) < len(sized):
        caption += f" The {len(shown)} longest of {len(sized)} documents are shown."
    return (
        '<section aria-labelledby="size"><h2 id="size">Size and readability</h2><figure>'
        f"{documents_chart(shown)}<figcaption>{caption}</figcaption></figure></section>\n"
    )


def _keywords_figure(keywords: Iterable[Keyword]) -> str:
    rows = [
        (keyword.term, keyword.weight, f"{keyword.count:,} in {keyword.documents:,}") for keyword in keywords
    ]
    return (
        '<section aria-labelledby="keywords"><h2 id="keywords">Keywords</h2><figure>'
        f"{keywords_chart(rows)}<figcaption>Length: mean TF-IDF weight. Beside it: how often the term "
        "occurs, and in how many documents.</figcaption></figure></section>\n"
    )


_COLUMNS = ("Document", "Sections", "Words", "Ease", "Grade", "Keywords", "Most like")


def _table(documents: Iterable[DocumentReport]) -> str:
    # The roles say again what the tags mean, since on phones the style sheet makes blocks of the rows.
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(_row(document) for document in documents)
    return (
        '<section aria-labelledby="documents"><h2 id="documents">Documents</h2>'
        f'<table role="table" aria-labelledby="documents"><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table></section>\n'
    )


def _row(document: DocumentReport) -> str:
    nearest = document.nearest
    cells = (
        f"{document.sections:,}",
        f"{document.measures.words:,}",
        "none" if document.reading_ease is None else f"{document.reading_ease:.1f}",
        "none" if document.grade is None else f"{document.grade:.1f}",
        ", ".join(f"<bdi>{escape(keyword.term)}</bdi>" for keyword in document.keywords),
        f"{_path(nearest.path)} <small>{nearest.likeness:.2f}</small>" if nearest else "none",
    )
    named = zip(_COLUMNS[1:], cells, strict=True)
    return (
        f'<tr role="row"><th role="rowheader" scope="row">{_path(document.path)}</th>'
        + "".join(f'<td role="cell" data-name="{name}">{cell}</td>' for name, cell in named)
        + "</tr>\n"
    )


def _pairs(pairs: list[Pair]) -> str:
    if not pairs:
        return ""
    items = "".join(
        f"<li><strong>{pair.likeness:.2f}</strong> {_path(pair.first)} and {_path(pair.second)}</li>"
        for pair in pairs[:LISTED_PAIRS]
    )
    return f'<section aria-labelledby="alike"><h2 id="alike">Most alike</h2><ul>{items}</ul></section>\n'


def _skipped(skipped: list[Skipped], left_out: int) -> str:
    items = [f"<li>{_path(file.path)}: {escape(file.reason)}</li>" for file in skipped]
    if left_out:
        items.append(f"<li>{left_out:,} more {_plural(left_out, 'file')}, beyond the limit of this run</li>")
    if not items:
        return ""
    return (
        '<section aria-labelledby="skipped"><h2 id="skipped">Not digested</h2>'
        f"<ul>{''.join(items)}</ul></section>\n"
    )


def ease_name(score: float | None) -> str:
    """What Flesch called a score."""
    if score is None:
        return "for English only"
    return next((name for bound, name in _EASE if score >= bound), "very hard")


def _path(path: str) -> str:
    # <bdi> keeps a name with right-to-left characters from reordering what stands around it.
    return f"<bdi>{escape(path)}</bdi>"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


_METHOD = """<footer>
<h2>How it is counted</h2>
<p>Reading ease is 206.835 &minus; 1.015 words per sentence &minus; 84.6 syllables per word (Flesch 1948). The grade is
0.39 words per sentence + 11.8 syllables per word &minus; 15.59 (Kincaid and others 1975). Both are made for English
prose; syllables and sentences are counted by rules of thumb. Code and markup are left out.</p>
<p>A term's weight in a document is its count times ln((1 + documents) / (1 + documents with it)) + 1, scaled to
length 1; the likeness of two documents is the cosine of their weights. Plurals count as their singulars.</p>
</footer>
"""
