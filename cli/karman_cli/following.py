"""Follows a run that other processes work on: what `karman run` sees happen is read here, again and again."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from karman_cli.conclusions import conclude, first_failed
from karman_cli.displays import make_display
from karman_cli.exit_codes import ExitCode
from karman_cli.output import note
from karman_cli.progress import Progress
from karman_cli.run_texts import command_line
from karman_cli.watching import News
from karman_core.domain.errors import Unavailable

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.views import RunView, StateView

LOOK_SECONDS = 0.5
LONG_SECONDS = 20.0
"""Of a wait that shows nothing."""

CALM_SHARE, CALMEST_SECONDS = 0.05, 10.0
"""Where lines are printed, and not a live display, the pauses grow with the time that the run takes, up to this."""

PATIENCE_SECONDS = 2.0
NOBODY = (
    "no state has begun yet: is a worker running that has the graph's nodes, such as `karman dev MODULE`?"
)

READ_SHARE = 3
"""A look that took long is followed by a pause so many times as long: watching must not be the server's main work."""

READ_STATES = 1_000
"""States that a look reads. Of wider runs, groups tell how many branches have ended."""


async def follow_to_end(
    connection: Connection, run_id: str, *, as_json: bool, traceback: bool, after_ms: int = 0
) -> ExitCode:
    """Show the run's progress until it has ended, then its result or what failed; failures after `after_ms` alone."""
    try:
        run = await _until_ended(connection, run_id, after_ms, quiet=as_json)
    except (asyncio.CancelledError, Unavailable):
        where = connection.place.options
        note(f"the run goes on; to follow it:\n  {command_line('logs', run_id, '--follow', *where)}")
        raise
    code = conclude(run, await first_failed(connection, run), as_json=as_json, traceback=traceback)
    if code is ExitCode.FAILED and not as_json:
        where = connection.place.options
        note(f"to look closer:           {command_line('logs', run_id, *where)}")
        note(f"to try what failed again: {command_line('retry', run_id, '--wait', *where)}")
    return code


async def _until_ended(connection: Connection, run_id: str, after_ms: int, *, quiet: bool) -> RunView:
    run = await connection.run(run_id)
    if quiet:
        while not run.ended:
            run = await connection.wait(run_id, LONG_SECONDS)
        return run
    graph = await connection.graph(run.graph, run.graph_version)
    progress = Progress(graph.definition)
    news = News(run_id, connection.place.options)
    clock, terminal = asyncio.get_running_loop().time, sys.stderr.isatty()
    start, told = clock(), False
    with make_display(progress, quiet=False, terminal=terminal) as display:
        while not run.ended:
            began = clock()
            begun = await _look(connection, run_id, progress, after_ms)
            if not begun and run.status == "RUNNING" and clock() - start > PATIENCE_SECONDS and not told:
                told = True
                display.say(NOBODY)
            calm = 0.0 if terminal else min(CALMEST_SECONDS, CALM_SHARE * (clock() - start))
            pause = max(LOOK_SECONDS, calm, READ_SHARE * (clock() - began))
            display.refresh()
            news.tell(run, display)
            run = await connection.wait(run_id, pause)
        await _look(connection, run_id, progress, after_ms)
    return run


async def _look(connection: Connection, run_id: str, progress: Progress, after_ms: int) -> bool:
    """Take what is known now; whether any state has begun."""
    states: list[StateView] = []
    async for state in connection.states(run_id):
        states.append(state)
        if len(states) == READ_STATES:
            break
    progress.recount(states, after_ms)
    if len(states) == READ_STATES:
        progress.take_groups([group async for group in connection.groups(run_id)])
    return any(state.status != "QUEUED" for state in states)
