"""The prose of an HTML page, under its headings."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_UNSEEN = frozenset(("script", "style", "template", "noscript", "pre", "svg", "title"))
_INLINE = frozenset(
    (
        "a",
        "abbr",
        "b",
        "cite",
        "code",
        "em",
        "i",
        "kbd",
        "mark",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "u",
    )
)

# Opens no tag. The parser would look for the end of each to the end of the page.
_STRAY = re.compile(r"<(?![^<>]{0,5000}>)")


def html_sections(text: str) -> Iterator[tuple[str, str]]:
    """Title and prose of each section. Broken markup gives what a forgiving reader sees."""
    reader = _Reader()
    reader.feed(_STRAY.sub("&lt;", without_comments(text)))
    reader.close()
    for title, prose in reader.sections:
        yield " ".join("".join(title).split()), "".join(prose)


def without_comments(text: str) -> str:
    """The text without `<!-- ... -->`; in one pass, also where many are opened and none is closed."""
    before, *rest = text.split("<!--")
    return before + "".join(part.partition("-->")[2] for part in rest)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sections: list[tuple[list[str], list[str]]] = [([], [])]
        self._hidden = 0
        self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _UNSEEN:
            self._hidden += 1
        elif tag in _HEADINGS:
            self.sections.append(([], []))
            self._in_heading = True
        elif tag not in _INLINE:
            self._write("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _HEADINGS:
            self._in_heading = False
        elif tag not in _INLINE:
            self._write("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._write(data)

    def _write(self, text: str) -> None:
        title, prose = self.sections[-1]
        (title if self._in_heading else prose).append(text)
