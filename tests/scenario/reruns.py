"""Runs made from states of others, and a graph with a group inside another one to make them of."""

from __future__ import annotations

from collections import Counter
from typing import Any

from karman_core.engine.views import RunView, StateView
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import records
from tests.scenario.nodes import count_to, give, give_inputs

GROUP = [
    node("r", "a"),
    node("a", "b", n="${{ r.outputs.n }}"),
    node("b", "c", x="${{ a.outputs.x }}"),
    node("c", "v", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}"),
    node("v", "u", unites="b", ys="${{ c.outputs.y }}"),
    node("u", "y", unites="a", lists="${{ v.outputs.ys }}"),
    node("y", "z", lists="${{ v.outputs.ys }}", n="${{ r.outputs.n }}"),
    node("z", lists="${{ y.outputs.lists }}", all="${{ v.outputs.ys }}"),
]
GROUP_SCRIPTS: dict[str, Any] = {
    "r": give(n=6),
    "a": count_to(6),
    "b": count_to(5, "y"),
    **dict.fromkeys("cvuyz", give_inputs),
}


async def rerun(w: World, run_id: str, start: str, **options: Any) -> RunView:
    """Begin a run at a state of another, and work until nothing is left to do."""
    started = await w.engine.operations.rerun(NS, run_id, start, **options)
    assert started.created
    await w.drive()
    return await exact(w, started.run_id)


async def exact(w: World, run_id: str) -> RunView:
    """The run, whose totals are those of its states; what reused ones took counts in their own run."""
    run, states = await w.view(run_id), await w.states(run_id)
    statuses = Counter(state.status for state in states)
    totals = run.totals
    assert statuses == +Counter(
        SUCCEEDED=totals.succeeded, FAILED=totals.failed, PRUNED=totals.pruned, CANCELLED=totals.cancelled
    )
    own = records(w, run_id)
    assert {state.state_id for state in states if state.reused_from is None} == set(own)
    assert totals.turns == sum(record.turn for record in own.values())
    assert totals.busy_ms == sum(record.busy_ms for record in own.values())
    assert totals.write_units == sum(record.write_units for record in own.values())
    paged: list[StateView] = []
    cursor = None
    while True:
        page = await w.engine.list_states(NS, run_id, limit=7, cursor=cursor)
        paged += page.states
        cursor = page.cursor
        if cursor is None:
            break
    assert paged == states
    return run
