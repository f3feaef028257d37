"""Progress on the terminal: a live tree where there is one, plain lines where stderr goes to a file or a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from karman_cli.output import note
from karman_cli.printable import console
from karman_cli.progress import Failure, Progress, Row

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN_FAILURES = 20
"""Failures that are told one by one; a wide group may fail ten thousand times for the same reason."""

WIDE = 8
"""A node instance with so many states gets a bar."""

BAR_WIDTH = 24


class Display(Protocol):
    """Shows the progress of a run."""

    interval_seconds: float

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def say(self, text: str) -> None:
        """Tell something beside the progress."""
        ...

    def refresh(self) -> None:
        """Show what is known now."""
        ...


class NoDisplay:
    """Shows nothing (`--quiet`)."""

    interval_seconds = 1.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def say(self, text: str) -> None:
        """Nothing."""

    def refresh(self) -> None:
        """Nothing."""


class _Failures:
    """Tells failures as they come, the first ones only."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told = 0

    def fresh(self) -> list[str]:
        """What is to be told since the last call."""
        count = self._progress.failure_count
        if count == self._told:
            return []
        missed = min(count - self._told, len(self._progress.failures))
        fresh = list(self._progress.failures)[-missed:]
        lines = [_failure(each) for each in fresh[: max(0, SHOWN_FAILURES - self._told)]]
        if count > SHOWN_FAILURES >= self._told:
            lines.append("more failures are only counted from here on")
        self._told = count
        return lines


class PlainDisplay:
    """A line for each node instance whose counts have changed, once a second."""

    interval_seconds = 1.0

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._failures = _Failures(progress)
        self._shown: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.refresh()

    def say(self, text: str) -> None:
        """A line of its own."""
        note(text)

    def refresh(self) -> None:
        """Print what has changed."""
        for line in self._failures.fresh():
            note(line)
        for row in self._progress.rows():
            text = _counts(row)
            if text and self._shown.get(row.identifier) != text:
                self._shown[row.identifier] = text
                note(f"{row.identifier}: {text}")


class LiveDisplay:
    """A tree that stays in place, with bars for wide groups. What nodes print goes above it."""

    interval_seconds = 0.1

    def __init__(self, progress: Progress) -> None:
        from rich.live import Live

        self._progress = progress
        self._failures = _Failures(progress)
        self._console = console(stderr=True)
        # Refreshed by hand: a thread of rich's own would read counts while they change.
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.refresh()
        self._live.stop()

    def say(self, text: str) -> None:
        """A line above the tree."""
        self._console.print(text, markup=False)

    def refresh(self) -> None:
        """Draw the tree as it is now."""
        for line in self._failures.fresh():
            self._console.print(line, style="red", markup=False)
        self._live.update(_tree(self._progress.rows()), refresh=True)


def make_display(progress: Progress, *, quiet: bool, terminal: bool) -> Display:
    """The display that fits where stderr goes."""
    if quiet:
        return NoDisplay()
    return LiveDisplay(progress) if terminal else PlainDisplay(progress)


def _failure(failure: Failure) -> str:
    after = "" if failure.final else "; it is tried again"
    return f"{failure.identifier} failed (attempt {failure.attempt}): {failure.error}{after}"


def _counts(row: Row) -> str:
    if not (row.done or row.running or row.waiting or row.retries):
        return ""
    parts = [f"{row.done:,} of {row.total:,} done"]
    parts += [
        f"{count:,} {what}"
        for count, what in (
            (row.running, "running"),
            (row.waiting, "waiting"),
            (row.failed, "failed"),
            (row.retries, "tried again"),
        )
        if count
    ]
    return ", ".join(parts)


def _tree(rows: list[Row]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for row in rows:
        mark, style = _mark(row)
        name = Text.assemble(
            "  " * row.depth, (mark, style), " ", (row.identifier, "bold" if row.running else "")
        )
        table.add_row(name, Text.assemble((_bar(row), "cyan"), (_notes(row), "dim")))
    return table


def _notes(row: Row) -> str:
    """Counts, where there is more to say than the mark does."""
    plain = row.total <= 1 and not row.waiting and not row.retries
    return "" if plain else f"{' ' if row.total >= WIDE else ''}{_counts(row)}"


def _mark(row: Row) -> tuple[str, str]:
    if row.failed:
        return "✗", "red"
    if row.waiting:
        return "◷", "yellow"
    if row.running:
        return "▸", "cyan"
    if row.done and row.done >= row.total:
        return "✓", "green"
    return ("▸", "cyan") if row.done else ("·", "dim")


def _bar(row: Row) -> str:
    if row.total < WIDE:
        return ""
    filled = BAR_WIDTH * row.done // row.total
    return "█" * filled + "░" * (BAR_WIDTH - filled)
