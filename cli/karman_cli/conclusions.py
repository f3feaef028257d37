"""How `karman run` and `karman trigger --wait` end: the result on stdout, the rest on stderr, and the exit code."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from karman_cli.exit_codes import RUN_EXIT_CODES, ExitCode
from karman_cli.output import note, print_document
from karman_cli.run_texts import failure_place, summary

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine import Engine
    from karman_core.engine.views import RunView, StateView

SHOWN = 3
"""Failed states that are shown in full."""


async def failed_states(engine: Engine, run: RunView) -> tuple[StateView, ...]:
    """The first states that failed, if the run did."""
    if run.status != "FAILED":
        return ()
    page = await engine.list_states(run.namespace, run.run_id, status="FAILED", limit=SHOWN)
    return page.states[:SHOWN]


async def first_failed(connection: Connection, run: RunView) -> tuple[StateView, ...]:
    """The same, of a run that others have worked on."""
    found: list[StateView] = []
    if run.status == "FAILED":
        async for state in connection.states(run.run_id, status="FAILED"):
            found.append(state)
            if len(found) == SHOWN:
                break
    return tuple(found)


def conclude(
    run: RunView,
    failed: tuple[StateView, ...],
    *,
    as_json: bool,
    quiet: bool = False,
    traceback: bool = False,
    go_on: str | None = None,
) -> ExitCode:
    """Say how the run stands, and find the exit code.

    Args:
        run: as it was read last.
        failed: see `failed_states`.
        as_json: one JSON document on stdout, and nothing else.
        quiet: leave out the summary.
        traceback: show the nodes' tracebacks in full.
        go_on: for a run that was interrupted: how to go on with it.
    """
    if as_json:
        document = {**_fields(run), "failed_states": [_fields(state) for state in failed]}
        print_document(
            {**document, "interrupted": not run.ended, "go_on": go_on} if not run.ended else document
        )
    else:
        if not quiet:
            note(summary(run))
        for state in failed:
            note(_failure(state, traceback=traceback))
        if run.status == "FAILED" and not failed:
            note(f"error: {run.error}")
        if go_on:
            note(go_on)
        if run.status == "SUCCEEDED":
            print_document(run.result)
    return RUN_EXIT_CODES.get(run.status, ExitCode.INTERRUPTED)


def _fields(view: RunView | StateView) -> dict[str, object]:
    return {field.name: getattr(view, field.name) for field in dataclasses.fields(view)}


def _failure(state: StateView, *, traceback: bool) -> str:
    attempts = f" after {len(state.attempts)} attempts" if len(state.attempts) > 1 else ""
    text = f"error: {state.identifier} failed{attempts}: {state.error}"
    full = state.attempts[-1].traceback if state.attempts else None
    if traceback and full:
        return f"{text}\n{full.rstrip()}"
    place = failure_place(state)
    return f"{text}\n  {place}" if place else text
