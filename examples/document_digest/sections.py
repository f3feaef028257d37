"""From a file's text to the sections of prose in it: its chapters, without markup and without code."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath

from pydantic import BaseModel

from .python_prose import python_sections
from .readability import WORD
from .web_prose import html_sections, without_comments

MAX_CHARACTERS = 20_000
"""A longer section is cut between paragraphs, so that a huge file becomes many pieces of work, not a huge one."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$")
_MARKDOWN_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{2,})\s*$")
_RST_UNDERLINE = re.compile(r"^([=\-~^*+#\"'`:.])\1{2,}\s*$")
_BLOCK_START = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+|^\s*>\s?")
_TABLE_RULE = re.compile(r"^[\s|:+=-]*$")
_MARKDOWN = (
    (re.compile(r"!\[[^\[\]]*\]\([^()]*\)"), " "),  # images
    (re.compile(r"\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])"), r"\1"),  # links keep their text
    (re.compile(r"<[^<>\s][^<>]*>"), " "),  # tags and <addresses>
    (re.compile(r"https?://\S+"), " "),
    (re.compile(r"(?<![\w*_])[*_]{1,3}(?=[^\s*_])|(?<=[^\s*_])[*_]{1,3}(?![\w*_])|`"), ""),  # emphasis, code
)
_RST = (
    # Literal blocks and code, with what is indented below them; other directives keep that.
    (
        re.compile(r"^(?!\.\. )(.*)::[ \t]*\n(?:[ \t]*\n)+(?:[ \t]+\S.*\n?|[ \t]*\n)+", re.MULTILINE),
        r"\1.\n\n",
    ),
    (re.compile(r"^\.\. (?:code|source|math|raw|toc|image|figure).*(?:\n(?:[ \t].*)?)*", re.MULTILINE), "\n"),
    (re.compile(r"^\.\. .*$", re.MULTILINE), ""),
    (re.compile(r"^:[\w -]+:.*$", re.MULTILINE), ""),  # fields
    (re.compile(r":[\w:+.-]+:(?=`)"), ""),  # roles
    (re.compile(r"`{1,2}([^`<]+?)(?:\s*<[^>]*>)?`{1,2}_{0,2}"), r"\1"),
    (re.compile(r"\*{1,2}(\S[^*]*)\*{1,2}"), r"\1"),
    (re.compile(r"https?://\S+"), " "),
)


class Section(BaseModel):
    """A piece of a document's prose. The title is empty for what stands before the first heading."""

    title: str
    text: str


def split(path: str, text: str) -> list[Section]:
    """The sections of a document that hold words, by the format that its name tells."""
    sections = _FORMATS.get(PurePath(path).suffix.lower(), _plain)(text)
    return [
        Section(title=title.strip(), text=piece)
        for title, prose in sections
        for piece in _pieces(f"{title}\n\n{prose}" if title else prose)
        if WORD.search(piece)
    ]


def _plain(text: str) -> Iterator[tuple[str, str]]:
    yield "", text


def _markdown(text: str) -> Iterator[tuple[str, str]]:
    for title, lines in _headed(
        _outside_fences(without_comments(text).splitlines()), _MARKDOWN_UNDERLINE, hashes=True
    ):
        yield _cleaned(title, _MARKDOWN), _cleaned("\n".join(map(_as_block, lines)), _MARKDOWN)


def _rst(text: str) -> Iterator[tuple[str, str]]:
    for title, lines in _headed(_cleaned(text, _RST).splitlines(), _RST_UNDERLINE, hashes=False):
        yield title, "\n".join(map(_as_block, lines))


def _outside_fences(lines: Iterable[str]) -> Iterator[str]:
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        else:
            yield line


def _headed(
    lines: Iterable[str], underline: re.Pattern[str], *, hashes: bool
) -> Iterator[tuple[str, list[str]]]:
    """Groups lines under their headings, marked by a line below or by hashes in front."""
    title, body = "", list[str]()
    for line in lines:
        if hashes and (heading := _HEADING.match(line)):
            yield title, body
            title, body = heading[1], []
        elif underline.match(line) and body and body[-1].strip():
            above = body.pop()
            yield title, body
            title, body = above, []
        else:
            body.append(line)
    yield title, body


def _as_block(line: str) -> str:
    """Items of lists, quotes and rows of tables are sentences of their own: a blank line sets them apart."""
    if "|" in line:
        return "" if _TABLE_RULE.match(line) else "\n" + line.replace("|", " ") + "\n"
    return _BLOCK_START.sub("\n", line) if _BLOCK_START.match(line) else line


def _cleaned(text: str, markup: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in markup:
        text = pattern.sub(replacement, text)
    return text


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of at most MAX_CHARACTERS, cut between paragraphs, or where there are none between words."""
    start = 0
    while len(text) - start > MAX_CHARACTERS:
        end = start + MAX_CHARACTERS
        paragraph, word = text.rfind("\n\n", start + 1, end), text.rfind(" ", start + 1, end)
        end = next((cut for cut in (paragraph, word) if cut > 0), end)
        yield from filter(None, [text[start:end].strip()])
        start = end
    yield from filter(None, [text[start:].strip()])


_FORMATS: dict[str, Callable[[str], Iterable[tuple[str, str]]]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".rst": _rst,
    ".html": html_sections,
    ".htm": html_sections,
    ".py": python_sections,
}
