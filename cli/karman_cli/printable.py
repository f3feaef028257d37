"""What others wrote, made safe to print: names, values, messages of errors and tracebacks come from anyone.

A terminal obeys escape sequences, whoever sent them: they rename its window, rewrite lines that were printed before,
fill the clipboard. And characters that turn the direction of writing make a text look like another. Neither reaches a
terminal from here; colours are Karman's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

_DELETE = 0x7F
_HIDDEN = (
    *range(0x80, 0xA0),  # a second set of controls; some terminals take 0x9B for the beginning of a sequence
    *range(0x202A, 0x202F),  # directions of writing
    *range(0x2066, 0x206A),
    0x2028,
    0x2029,
    *range(0xD800, 0xE000),  # halves of pairs, which no terminal can be sent
)
_PICTURES: Final = (
    {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
    | {_DELETE: "\u2421"}
    | dict.fromkeys(_HIDDEN, "\ufffd")
)
_ESCAPES: Final = {code: f"\\u{code:04x}" for code in (_DELETE, *_HIDDEN)}


def visible(text: str) -> str:
    """The text with a picture for each control character but tab and line feed: `\u241b` for an escape."""
    return text.replace("\r\n", "\n").translate(_PICTURES)


def escaped_json(text: str) -> str:
    """A JSON text that means the same, with these escaped too: JSON asks it for those below U+0020 alone."""
    return text.translate(_ESCAPES)


def indented(text: str) -> str:
    """The text with its second and further lines indented, so that none of them looks like a line of its own."""
    return "\n    ".join(visible(text).splitlines())


def console(**options: Any) -> Console:
    """A console that prints what it is given as `visible` makes it, and adds colours."""
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class VisibleConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                text, style, control = segment
                yield segment if control else Segment(visible(text), style)

    return VisibleConsole(highlight=False, emoji=False, **options)
