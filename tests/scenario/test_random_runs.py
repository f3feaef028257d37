"""Random graphs, run in any order, twice, with crashes: the same states with the same inputs as by the plain rules."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress

import pytest

from karman_core.domain.branches import state_id
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.groups import analyse
from karman_core.engine import EngineSettings
from tests.scenario.harness import NS, World, graph
from tests.scenario.invariants import check
from tests.scenario.oracle import Expected, Plan, TooLarge, random_plan

SETTINGS = [
    EngineSettings(),
    EngineSettings(shard_width=2, direct_branches=1, inline_states=1),
    EngineSettings(shard_width=4, direct_branches=3, inline_states=3, inline_payload_bytes=20, carried_value_bytes=20),
]
COUNT = 40


async def valid_plan(w: World, rng: random.Random) -> tuple[Plan, Expected]:
    """A plan that validation takes, with what it should come to, of a size that is quick to run."""
    while True:
        plan = random_plan(rng.randrange(10**9))
        problems = await w.engine.check_graph(NS, graph(*plan.definition()))
        for problem in problems:  # what may not be read is not read
            if problem.path.count(".") == 2 and problem.path.startswith("nodes["):
                index, name = int(problem.path[6 : problem.path.index("]")]), problem.path.rsplit(".", 1)[1]
                plan.reads[list(plan.nodes)[index]].remove(name)
        if await w.engine.check_graph(NS, graph(*plan.definition())):
            continue
        expected = Expected(plan, dict(analyse(graph(*plan.definition())).innermost))
        with suppress(TooLarge):
            expected.run()
            if len(expected.states) >= 4:
                return plan, expected


async def compare(w: World, expected: Expected, run_id: str) -> None:
    run = await check(w, run_id)
    states = {state.state_id: state for state in await w.states(run_id)}
    wanted = {state_id(run_id, *place): found for place, found in expected.states.items()}
    assert {key: (state.identifier, state.status) for key, state in states.items()} == wanted
    if not expected.uncertain:
        for (path, number), inputs in expected.inputs.items():
            found = states[state_id(run_id, path, number)]
            if expected.states[path, number][1] == "SUCCEEDED" and found.inputs is not None:
                assert dict(found.inputs) == inputs
    failed = [status for _, status in wanted.values()].count("FAILED")
    assert run.totals.failed == failed
    assert (run.error is not None) == (run.status == "FAILED")


@pytest.mark.parametrize("seed", range(COUNT))
async def test_a_random_run(seed: int) -> None:
    rng = random.Random(seed)
    w = World({"step": lambda _: None}, settings=SETTINGS[seed % len(SETTINGS)])
    await w.engine.register_nodes(NS, [RegisteredNode(name="step", runtime="rt")])
    for _ in range(4):
        plan, expected = await valid_plan(w, rng)
        w.executor.scripts["step"] = plan.script
        w.order, w.repeats = rng, rng.choice([0.0, 0.1, 0.3])
        w.faults.yields = rng if rng.random() < 0.5 else None
        await w.engine.put_graph(NS, graph(*plan.definition()))
        run_id = await w.start()
        if rng.random() < 0.6:
            w.faults.crash_at = (w.faults.count + rng.randrange(200), rng.random() < 0.5)
        await w.drive(at_once=rng.choice([1, 1, 4]))
        w.faults.crash_at = None
        ending = Expected(plan, expected.inside).run()
        run = await w.view(run_id)
        assert run.status == ("FAILED" if ending == "f" else "SUCCEEDED"), plan
        await compare(w, expected, run_id)
        assert Counter(state.state_id for state in await w.states(run_id, limit=7)) == Counter(
            state_id(run_id, *place) for place in expected.states
        )
    w.backend.close()
