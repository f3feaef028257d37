"""Reruns whose messages are lost, whose records expire, that begin anywhere in any graph, with crashes."""

from __future__ import annotations

import random

import pytest

from karman_core.domain.branches import parse_state_id, state_id
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import NotFound
from tests.scenario.groups import DEEP
from tests.scenario.harness import HOME, NS, World, graph, world
from tests.scenario.nodes import give
from tests.scenario.oracle import Expected, as_recorded
from tests.scenario.reruns import GROUP, GROUP_SCRIPTS, exact, rerun
from tests.scenario.test_random_runs import SETTINGS, valid_plan


@pytest.mark.parametrize("start", ["u", "z"])
async def test_a_rerun_whose_messages_are_lost_is_redriven(start: str) -> None:
    async with world(GROUP_SCRIPTS, settings=DEEP) as w:
        await w.define(*GROUP)
        old = await w.finish()
        started = await w.engine.operations.rerun(NS, old.run_id, start)
        await w.lose_messages()
        w.clock.advance(2 * 3600)
        report = await w.engine.sweep()
        assert (report.sent, report.failed) == (1, 0)
        await w.drive()
        run = await exact(w, started.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", old.result)
        assert w.executor.executed["b"] == 6


async def test_a_rerun_that_is_begun_by_another_process() -> None:
    """The message carries all: the worker begins the run when the API could not."""
    async with world(GROUP_SCRIPTS, settings=DEEP) as w:
        await w.define(*GROUP)
        old = await w.finish()
        await w.engine.operations.rerun(NS, old.run_id, "u", idempotency_key="k")
        message = await w.take()
        with w.backend.database.write() as connection:
            connection.execute("DELETE FROM items WHERE pk LIKE '%#run#k%'")
        await w.process(message, HOME)
        await w.drive()
        again = await w.engine.operations.rerun(NS, old.run_id, "u", idempotency_key="k")
        assert not again.created
        assert (await exact(w, again.run_id)).status == "SUCCEEDED"


DAY = 86_400


async def test_what_is_reused_is_kept_while_the_new_run_goes_on() -> None:
    async with world(GROUP_SCRIPTS, settings=DEEP) as w:
        await w.define(*GROUP)
        old = await w.finish()
        w.clock.advance(29 * DAY)
        started = await w.engine.operations.rerun(NS, old.run_id, "u")
        await w.engine.pause(NS, started.run_id)
        await w.drive()
        for _ in range(50):
            await w.engine.sweep()
            w.backend.table.purge_expired(w.clock.now_ms())
            w.clock.advance(DAY)
        with pytest.raises(NotFound):
            await w.view(old.run_id)
        await w.engine.resume(NS, started.run_id)
        await w.drive()
        run = await exact(w, started.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", old.result)


async def test_what_is_reused_and_gone_is_a_clear_error() -> None:
    async with world(GROUP_SCRIPTS, settings=DEEP) as w:
        await w.define(*GROUP, outputs={"all": "${{ v.outputs.ys }}"}, tags={"v": "${{ v.outputs.ys }}"})
        old = await w.finish()
        run = await rerun(w, old.run_id, "z")
        w.clock.advance(29 * DAY)
        started = await w.engine.operations.rerun(NS, old.run_id, "y")
        w.clock.advance(2 * DAY)
        w.backend.table.purge_expired(w.clock.now_ms())
        await w.drive()
        failed = await w.view(started.run_id)
        assert failed.status == "FAILED"
        assert "whose records are gone: their retention is over" in (failed.error or "")
        with pytest.raises(NotFound, match="retention is over"):
            await w.states(started.run_id)
        assert (await w.engine.get_state(NS, failed.run_id, f"{failed.run_id}--3")).status == "FAILED"
        with pytest.raises(NotFound):
            await w.view(run.run_id)


async def begin_at(w: World, rng: random.Random, run_id: str) -> tuple[str, int]:
    """A rerun from any state of the first branch."""
    first = [state for state in await w.states(run_id) if not state.branch]
    chosen = rng.choice(first)
    return (await w.engine.operations.rerun(NS, run_id, chosen.state_id)).run_id, chosen.number


@pytest.mark.parametrize("seed", range(6))
async def test_random_runs_from_random_states(seed: int) -> None:
    """The same states end in the same way with the same inputs, and none runs again that lies before the first."""
    rng, w = random.Random(seed), World({"step": give()}, settings=SETTINGS[seed % len(SETTINGS)])
    await w.engine.register_nodes(NS, [RegisteredNode(name="step", runtime="rt")])
    for _ in range(4):
        expected = await valid_plan(w, rng)
        w.executor.scripts["step"] = expected.plan.script
        await w.engine.put_graph(NS, graph(*expected.plan.definition()))
        run_id = await w.start()
        await w.drive()
        for _again in range(3):
            run_id, number = await begin_at(w, rng, run_id)
            w.order, w.repeats = rng, 0.1
            w.faults.crash_at = (w.faults.count + rng.randrange(100), rng.random() < 0.5)
            await w.drive(limit=2_000)
            w.order, w.faults.crash_at = None, None
            await compare(w, expected, run_id, number)
    w.backend.close()


async def compare(w: World, expected: Expected, run_id: str, number: int) -> None:
    await exact(w, run_id)
    states = {state.state_id: state for state in await w.states(run_id)}
    wanted = {state_id(run_id, *place): found for place, found in expected.states.items()}
    assert {key: (state.identifier, state.status) for key, state in states.items()} == wanted
    for key, state in states.items():
        _, branch, own = parse_state_id(key)
        old = (branch[0][0] if branch else own) < number
        assert (state.reused_from is not None) == old
        assert not (old and w.executor.by_state[key])
    recorded = {key.replace(run_id, "r", 1): state.outputs or () for key, state in states.items()}
    for place, inputs in () if expected.uncertain else expected.inputs.items():
        found = states[state_id(run_id, *place)]
        if found.status == "SUCCEEDED" and found.inputs is not None and found.reused_from is None:
            assert dict(found.inputs) == {
                name: as_recorded(value, recorded) for name, value in inputs.items()
            }
