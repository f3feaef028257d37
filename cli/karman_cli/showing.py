"""A run and its states on the terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from karman_cli.run_texts import STYLES, failure_place, lasted, when
from karman_cli.tables import stdout_console
from karman_cli.timeline import ENDED

if TYPE_CHECKING:
    from rich.text import Text

    from karman_cli.state_tree import Line
    from karman_core.domain.definition import JSON
    from karman_core.engine.views import RunView, StateView

LONGEST_VALUE = 500
"""Characters of inputs and results that are shown; `--json` has all of them."""


def print_header(run: RunView) -> None:
    """What is known of the run as a whole."""
    from rich.table import Table
    from rich.text import Text

    totals = run.totals
    counts = {"succeeded": totals.succeeded, "failed": totals.failed, "pruned": totals.pruned}
    rows: list[tuple[str, Text | str]] = [
        ("run", run.run_id),
        ("status", Text(run.status, style=STYLES.get(run.status, ""))),
        ("graph", f"{run.graph} v{run.graph_version}"),
        ("started", when(run.starts_ms)),
        ("took", lasted(run.starts_ms, run.ended_ms)),
        ("states", ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)),
        ("inputs", _short(run.inputs) if run.inputs else ""),
        ("tags", ", ".join(f"{key}={value}" for key, value in run.tags.items())),
        ("waits for", run.queued_for or ", ".join(run.awaiting)),
        ("result", _short(run.result) if run.result is not None else ""),
        ("error", Text(run.error or "", style="red")),
    ]
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        if str(value):
            shown = Text(value) if isinstance(value, str) else value  # what others wrote is no markup
            table.add_row(Text(name, style="dim"), shown)
    stdout_console().print(table)


def print_lines(lines: list[Line], *, everything: bool, traceback: bool) -> None:
    """The tree of states."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(overflow="fold")
    for line in lines:
        if line.state is None:
            table.add_row(_name(line), _counts(line), "", "")
        else:
            table.add_row(_name(line), _status(line.state), _times(line.state), _notes(line.state))
            for text in _details(line.state, everything=everything, traceback=traceback):
                table.add_row("", "", "", text)
    console = stdout_console()
    console.print()
    console.print(table)


def _name(line: Line) -> Text:
    from rich.text import Text

    index = "" if line.index is None else f"[{line.index}] "
    return Text(f"{'  ' * line.depth}{index}{line.identifier}")


def _status(state: StateView) -> Text:
    from rich.text import Text

    return Text(state.status, STYLES.get(state.status, ""))


def _counts(line: Line) -> Text:
    from rich.text import Text

    texts = [
        Text(f"{count:,} {status}", STYLES.get(status, "")) for status, count in line.statuses.most_common()
    ]
    return Text(", ").join(texts)


def _times(state: StateView) -> str:
    return lasted(state.started_ms, state.ended_ms)


def _notes(state: StateView) -> Text:
    from rich.text import Text

    notes = []
    if len(state.attempts) > 1:
        notes.append(f"{len(state.attempts)} attempts")
    if state.width is not None:
        notes.append(f"{state.width:,} branches")
    if state.skipped_by:
        notes.append(f"skipped by {state.skipped_by}")
    if state.awaiting:
        notes.append(f"waits for '{state.awaiting}'")
    if state.due_ms is not None and state.status not in ENDED:
        notes.append(f"again at {when(state.due_ms)}")
    return Text(", ".join(notes))


def _details(state: StateView, *, everything: bool, traceback: bool) -> list[Text]:
    """The error of a state; with `everything` those of its attempts; with `traceback` where each came from in full."""
    from rich.text import Text

    failed = [attempt for attempt in state.attempts if attempt.error_kind is not None]
    if not everything and not traceback:
        if not state.error:
            return []
        whence = [text for text in (failure_place(state), f"state {state.state_id}") if text]
        return [Text(state.error, "red"), *(Text(text, "dim") for text in whence)]
    texts = []
    for attempt in failed:
        texts.append(Text(f"attempt {attempt.attempt}: {attempt.error_kind}: {attempt.error_message}", "red"))
        if traceback and attempt.traceback:
            texts.append(Text(attempt.traceback.rstrip(), "dim"))
    return texts


def _short(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}... ({len(text):,} characters)"
