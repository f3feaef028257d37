"""Random graphs, run in any order, twice, with crashes: the same states with the same inputs as by the plain rules."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress

import pytest

from karman_core.domain.branches import state_id
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import Conflict
from karman_core.domain.groups import analyse
from karman_core.engine import EngineSettings
from tests.scenario.harness import NS, World, graph
from tests.scenario.invariants import check
from tests.scenario.oracle import Expected, TooLarge, as_recorded, random_plan
from tests.selection import with_slow

SETTINGS = [
    EngineSettings(),
    EngineSettings(shard_width=2, direct_branches=1, inline_states=1),
    EngineSettings(
        shard_width=4, direct_branches=3, inline_states=3, inline_payload_bytes=20, carried_value_bytes=20
    ),
]


async def world_of_steps(seed: int) -> World:
    w = World({"step": lambda _: None}, settings=SETTINGS[seed % len(SETTINGS)])
    await w.engine.register_nodes(NS, [RegisteredNode(name="step", runtime="rt")])
    return w


async def valid_plan(w: World, rng: random.Random) -> Expected:
    """A plan that validation takes, with what it should come to, of a size that is quick to run."""
    while True:
        plan = random_plan(rng.randrange(10**9))
        for problem in await w.engine.check_graph(NS, graph(*plan.definition())):
            if problem.path.count(".") == 2 and problem.path.startswith(
                "nodes["
            ):  # what may not be read is not read
                index, name = int(problem.path[6 : problem.path.index("]")]), problem.path.rsplit(".", 1)[1]
                plan.reads[list(plan.nodes)[index]].remove(name)
        if await w.engine.check_graph(NS, graph(*plan.definition())):
            continue
        expected = Expected(plan, dict(analyse(graph(*plan.definition())).innermost))
        with suppress(TooLarge):
            expected.run()
            if len(expected.states) >= 4:
                return expected


async def compare(w: World, expected: Expected, run_id: str, ending: str) -> None:
    run = await check(w, run_id)
    assert run.status == ("FAILED" if ending == "f" else "SUCCEEDED"), expected.plan
    assert (run.error is not None) == (run.status == "FAILED")
    states = {state.state_id: state for state in await w.states(run_id)}
    wanted = {state_id(run_id, *place): found for place, found in expected.states.items()}
    assert {key: (state.identifier, state.status) for key, state in states.items()} == wanted, expected.plan
    recorded = {key.replace(run_id, "r", 1): state.outputs or () for key, state in states.items()}
    if not expected.uncertain:
        for place, inputs in expected.inputs.items():
            found = states[state_id(run_id, *place)]
            if found.status == "SUCCEEDED" and found.inputs is not None:
                wanted_inputs = {name: as_recorded(value, recorded) for name, value in inputs.items()}
                assert dict(found.inputs) == wanted_inputs, expected.plan
    paged = [state.state_id for state in await w.states(run_id, limit=7)]
    assert Counter(paged) == Counter(list(wanted))


def trouble(w: World, rng: random.Random) -> None:
    """Any order, some messages twice, two workers at a time, a crash."""
    w.order, w.repeats = rng, rng.choice([0.0, 0.1, 0.3])
    w.faults.yields = rng if rng.random() < 0.5 else None
    w.faults.crash_at = None
    if rng.random() < 0.6:
        w.faults.crash_at = (w.faults.count + rng.randrange(200), rng.random() < 0.5)


async def drive(w: World, rng: random.Random) -> None:
    await w.drive(at_once=rng.choice([1, 1, 4]), limit=2_000)
    w.faults.crash_at = None


@pytest.mark.parametrize("seed", with_slow(range(25), range(8, 25)))
async def test_a_random_run(seed: int) -> None:
    rng, w = random.Random(seed), await world_of_steps(seed)
    for _ in range(4):
        expected = await valid_plan(w, rng)
        w.executor.scripts["step"] = expected.plan.script
        await w.engine.put_graph(NS, graph(*expected.plan.definition()))
        run_id = await w.start()
        trouble(w, rng)
        await drive(w, rng)
        await compare(w, expected, run_id, Expected(expected.plan, expected.inside).run())
    w.backend.close()


@pytest.mark.parametrize("seed", with_slow(range(25), range(8, 25)))
async def test_a_random_run_that_is_retried_until_it_succeeds(seed: int) -> None:
    rng, w = random.Random(1000 + seed), await world_of_steps(seed)
    for _ in range(4):
        expected = await valid_plan(w, rng)
        w.executor.scripts["step"] = expected.plan.script
        await w.engine.put_graph(NS, graph(*expected.plan.definition()))
        run_id = await w.start()
        await w.drive()
        for _epoch in range(6):
            again = Expected(expected.plan, expected.inside, expected.healed)
            try:
                ending = again.run()
            except TooLarge:
                break
            await compare(w, again, run_id, ending)
            if ending != "f":
                break
            expected = Expected(expected.plan, expected.inside, expected.healed | again.causes)
            await w.engine.retry(NS, run_id)
            trouble(w, rng)
            await drive(w, rng)
    w.backend.close()


async def meddle(w: World, rng: random.Random, run_id: str) -> None:
    """Something that must make no difference in the end."""
    what = rng.choice(["pause", "resume", "sweep", "again", "restart", "skip"])
    with suppress(Conflict):
        if what == "pause":
            await w.engine.pause(NS, run_id)
        elif what == "resume":
            await w.api().resume(NS, run_id)
        elif what == "sweep":
            w.clock.advance(4_000)
            await w.engine.sweep()
        elif what == "again" and w.bodies:
            queue, body = rng.choice(w.bodies)
            await w.send_body(body, queue)
        elif what == "restart":
            w.restart()
        else:
            w.clock.advance(rng.choice([1, 30, 61]))


@pytest.mark.parametrize("seed", with_slow(range(25), range(8, 25)))
async def test_a_random_run_that_is_meddled_with(seed: int) -> None:
    rng, w = random.Random(2000 + seed), await world_of_steps(seed)
    for _ in range(3):
        expected = await valid_plan(w, rng)
        w.executor.scripts["step"] = expected.plan.script
        await w.engine.put_graph(NS, graph(*expected.plan.definition()))
        run_id = await w.start()
        w.bodies.clear()
        w.order, w.repeats, w.faults.yields = rng, rng.choice([0.0, 0.2]), rng
        for _step in range(30):
            if rng.random() < 0.4:
                await w.finish_all([meddle(w, rng, run_id)])
            await w.work(at_once=3)
        w.faults.yields = None
        while not (await w.view(run_id)).ended:
            with suppress(Conflict):
                await w.engine.resume(NS, run_id)
            await w.drive()
        await w.drive()
        await compare(w, expected, run_id, Expected(expected.plan, expected.inside).run())
    w.backend.close()
