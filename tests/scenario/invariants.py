"""What holds for every run that has ended SUCCEEDED or FAILED, whatever happened on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from karman_core.backends.embedded.items import decode
from karman_core.domain.branches import parse_branch, state_id
from karman_core.domain.events import ENDS
from karman_core.domain.records import Record
from karman_core.engine.state_items import read_record
from karman_core.engine.views import RunView
from tests.scenario.harness import World

ENDED = {"SUCCEEDED", "FAILED", "PRUNED", "CANCELLED", "TIMED_OUT"}


def records(world: World, run_id: str) -> dict[str, Record]:
    """Every record of a run's states in the table, by state id."""
    found = {}
    for item in items(world, f"%#run#{run_id}#b#%"):
        path = item["pk"].partition("#b#")[2]
        found[state_id(run_id, parse_branch(path), int(item["sk"][2:]))] = read_record(item)
    return found


def items(world: World, pattern: str) -> list[dict[str, Any]]:
    """Every item whose partition key is like the pattern."""
    with world.backend.database.read() as connection:
        rows = connection.execute(
            "SELECT pk, sk, body FROM items WHERE pk LIKE ? ORDER BY pk, sk", (pattern,)
        )
        return [decode(*row) for row in rows]


async def check(world: World, run_id: str, *, empty: bool = True) -> RunView:
    """The run, which has ended SUCCEEDED or FAILED and is told exactly; `empty`: no message is left."""
    run = await world.view(run_id)
    assert run.status in {"SUCCEEDED", "FAILED"}, run
    states = await world.states(run_id)
    assert {state.status for state in states} <= ENDED, [s for s in states if s.status not in ENDED]
    written = records(world, run_id)
    assert Counter(state.state_id for state in states) == Counter(list(written))
    statuses = Counter(state.status for state in states)
    assert run.totals.succeeded == statuses["SUCCEEDED"], (run.totals, statuses)
    assert run.totals.failed == statuses["FAILED"] + statuses["TIMED_OUT"], (run.totals, statuses)
    assert run.totals.pruned == statuses["PRUNED"], (run.totals, statuses)
    assert run.totals.cancelled == statuses["CANCELLED"], (run.totals, statuses)
    assert run.totals.turns == sum(record.turn for record in written.values()), run.totals
    assert run.totals.busy_ms == sum(record.busy_ms for record in written.values()), run.totals
    assert run.totals.write_units == sum(record.write_units for record in written.values()), run.totals
    told = [
        published.event
        for published in world.backend.events.read()
        if published.event.detail["run_id"] == run_id and published.event.kind in ENDS.values()
    ]
    assert told[-1].kind == f"run.{run.status.lower()}"
    assert told[-1].id == f"{run_id}-{run.epoch}-{run.status}"
    assert told[-1].detail["totals"] == asdict(run.totals)
    if empty:
        assert world.messages_left() == 0
    return run


async def snapshot(world: World, run_id: str) -> tuple[Any, ...]:
    """Everything that is told of a run, to be compared with later."""
    return await world.view(run_id), await world.states(run_id), await world.store(run_id)
