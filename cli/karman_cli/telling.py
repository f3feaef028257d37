"""`karman logs`: prints what has happened in a run, and what goes on to happen."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from karman_cli.output import json_line, note, print_document, print_text
from karman_cli.printable import indented
from karman_cli.timeline import Event, in_order, run_events, state_events

if TYPE_CHECKING:
    from rich.console import Console

    from karman_cli.connections.connection import Connection
    from karman_core.engine.views import RunView

LOOK_SECONDS = 1.0
READ_SHARE = 3
"""A look that took long is followed by a pause so many times as long."""

MOST_STATES = 10_000
"""States that are read without `--all`."""

STYLES = {
    "attempt_failed": "red",
    "state_waits": "yellow",
    "state_requeued": "yellow",
    "attempt_began": "dim",
    "state_began": "dim",
}
STATUS_STYLES = {"FAILED": "red", "TIMED_OUT": "red", "SUCCEEDED": "green"}


async def tell(connection: Connection, run_id: str, *, everything: bool, as_json: bool) -> None:
    """Print what has happened so far."""
    run, events = await _read(connection, run_id, everything=everything)
    if as_json:
        print_document({"run": run, "events": events})
    else:
        _print(events)


async def tell_to_end(connection: Connection, run_id: str, *, everything: bool, as_json: bool) -> None:
    """The same, and go on until the run has ended. With `as_json` each event is a document of one line."""
    told: set[Event] = set()
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        run, events = await _read(connection, run_id, everything=everything)
        fresh = [event for event in events if event not in told]
        told.update(fresh)
        _print_lines(fresh) if as_json else _print(fresh)
        if run.ended:
            return
        await connection.wait(run_id, max(LOOK_SECONDS, READ_SHARE * (clock() - began)))


async def _read(connection: Connection, run_id: str, *, everything: bool) -> tuple[RunView, list[Event]]:
    run = await connection.run(run_id)  # first: what it says to have ended has all its states
    events = list(run_events(run))
    count = 0
    async for state in connection.states(run_id):
        if count == MOST_STATES and not everything:
            note(f"only the first {MOST_STATES:,} states are read; --all reads all of them")
            break
        count += 1
        events += state_events(state)
    return run, in_order(events)


def _print(events: list[Event]) -> None:
    if not events:
        return
    from karman_cli.tables import stdout_console

    console = stdout_console()
    for event in events:
        _print_event(console, event)


def _print_event(console: Console, event: Event) -> None:
    from rich.text import Text

    style = STYLES.get(event.kind) or STATUS_STYLES.get(event.status or "", "")
    text = Text.assemble(
        (_clock(event.at_ms), "dim"), "  ", (event.where, "bold"), "  ", (indented(event.text), style)
    )
    console.print(text, soft_wrap=True)
    if event.traceback:
        for line in event.traceback.rstrip().splitlines():
            console.print(Text(f"    {line}", "dim"), soft_wrap=True)


def _print_lines(events: list[Event]) -> None:
    for event in events:
        print_text(json_line(asdict(event)))


def _clock(ms: int) -> str:
    local = datetime.fromtimestamp(ms / 1000, UTC).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}"
