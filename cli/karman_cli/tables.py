"""Tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from karman_cli.output import note, print_document, print_text
from karman_cli.printable import console
from karman_cli.run_texts import STYLES, lasted, summary, when

if TYPE_CHECKING:
    from rich.console import Console

    from karman_core.engine.views import RunView

PIPE_WIDTH = 200
"""Columns where stdout is no terminal: nothing is cut that `grep` might look for."""


def stdout_console() -> Console:
    """A console on stdout."""
    return console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Lines of texts under titles."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # a name is no markup
    stdout_console().print(table)


def print_run(run: RunView, *, as_json: bool) -> None:
    """A run in one line, after a command that changed it."""
    if as_json:
        print_document(run)
    else:
        print_text(summary(run))


def print_runs(runs: list[RunView]) -> None:
    """One line a run."""
    from rich.table import Table
    from rich.text import Text

    if not runs:
        note("no runs")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("RUN", "GRAPH", "STATUS", "STARTED", "TOOK", "STATES", "FAILED"):
        table.add_column(title, justify="right" if title in {"STATES", "FAILED"} else "left", no_wrap=True)
    for run in runs:
        totals = run.totals
        table.add_row(
            run.run_id,
            f"{run.graph} v{run.graph_version}",
            Text(run.status, style=STYLES.get(run.status, "")),
            when(run.starts_ms),
            lasted(run.starts_ms, run.ended_ms),
            f"{totals.succeeded + totals.failed + totals.pruned + totals.cancelled:,}",
            f"{totals.failed:,}" if totals.failed else "",
        )
    stdout_console().print(table)
