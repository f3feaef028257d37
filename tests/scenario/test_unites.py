"""Unites: when they fire, with what, and what a failed branch means, at widths on both sides of every limit."""

from __future__ import annotations

import itertools
import random

import pytest

from karman_core.engine import EngineSettings
from tests.scenario.groups import DEEP, group_nodes, group_scripts, run_group, tell
from tests.scenario.harness import World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, give, give_inputs, prune
from tests.selection import with_slow

STRATEGIES = ["ALL_SUCCESS", "ALL_DONE", "ANY_SUCCESS"]
SHORT = ["".join(endings) for width in (1, 2, 3) for endings in itertools.product("sfp", repeat=width)]


async def expect(w: World, strategy: str, endings: str) -> None:
    run = await run_group(w, strategy)
    await check(w, run.run_id)
    successes = [x for x, ending in enumerate(endings) if ending == "s"]
    fires = {
        "ALL_SUCCESS": "f" not in endings,
        "ALL_DONE": True,
        "ANY_SUCCESS": bool(successes) or "f" not in endings,
    }[strategy]
    assert w.executor.executed["b"] == len(endings)
    assert w.executor.executed["u"] == int(fires)
    if not fires:
        assert run.status == "FAILED"
        assert run.error == f"b: Broken: branch {endings.index('f')} broke"
        return
    assert (run.status, run.error) == ("SUCCEEDED", None)
    (united,) = (await w.state(run.run_id, "u")).outputs or ()
    if strategy == "ANY_SUCCESS" and successes:
        assert len(united["ys"]) == 1
        assert united["ys"][0] in successes
    else:
        assert united == {"ys": successes}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("settings", [EngineSettings(), DEEP], ids=["plain", "deep"])
async def test_small_groups(strategy: str, settings: EngineSettings) -> None:
    for endings in SHORT:
        async with world(group_scripts(endings), settings=settings) as w:
            await expect(w, strategy, endings)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("width", [10, 11, 200, 201, 250, 450])
async def test_wide_groups(strategy: str, width: int) -> None:
    mixed = "".join(random.Random(width).choices("sfp", k=width))
    for endings in ("s" * width, mixed):
        async with world(group_scripts(endings)) as w:
            await expect(w, strategy, endings)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("width", [4, 5, 16, 17, 21, 65])
@pytest.mark.parametrize("seed", with_slow(range(6), range(2, 6)))
async def test_deep_join_trees_in_any_order_of_delivery(strategy: str, width: int, seed: int) -> None:
    rng = random.Random(seed)
    weights = {0: (1, 0, 0), 1: (0, 1, 0), 2: (0, 0, 1), 3: (1, 1, 1), 4: (30, 1, 1), 5: (1, 30, 30)}[seed]
    endings = "".join(rng.choices("sfp", weights, k=width))
    async with world(group_scripts(endings), settings=DEEP) as w:
        w.order = rng
        await expect(w, strategy, endings)


@pytest.mark.parametrize("other", ["f", "p"])
@pytest.mark.parametrize("width", [1, 4, 5, 17, 21])
async def test_any_success_finds_the_only_success_wherever_it_is(other: str, width: int) -> None:
    for place in range(width):
        endings = other * place + "s" + other * (width - place - 1)
        async with world(group_scripts(endings), settings=DEEP) as w:
            w.order = random.Random(place)
            await expect(w, "ANY_SUCCESS", endings)


async def test_any_success_fires_before_the_others_have_ended() -> None:
    async with world(group_scripts("sss"), settings=DEEP) as w:
        await w.define(*group_nodes("ANY_SUCCESS"))
        run_id = await w.start()

        async def united() -> bool:
            return w.executor.executed["u"] == 1

        w.order = random.Random(0)
        messages = []
        await w.work()
        queue = "ns/rt"
        messages = await w.backend.queue.receive(queue)
        await w.process(messages[1])
        await w.backend.queue.delete(queue, [messages[1].receipt])
        (unite,) = await w.backend.queue.receive(queue)
        await w.process(unite)
        assert await united()
        assert (await w.view(run_id)).status == "RUNNING"
        await w.drive()
        run = await check(w, run_id)
        assert run.result == {"ys": [1]}
        assert w.executor.executed == {"a": 1, "b": 3, "u": 1}


async def test_any_success_waits_for_late_branches_and_fails_with_its_unite() -> None:
    async with world({**group_scripts("sf"), "u": tell("")}) as w:
        w.executor.scripts["u"] = lambda _: 1 / 0  # type: ignore[assignment,return-value]
        await w.define(*group_nodes("ANY_SUCCESS", retry_policy={"max_retries": 0}))
        run = await w.finish()
        assert (run.status, run.error) == ("FAILED", "u: ZeroDivisionError: division by zero")
        await check(w, run.run_id)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_the_direct_predecessor_can_be_united(strategy: str) -> None:
    async with world({"a": count_to(3), "u": give_inputs}) as w:
        await w.define(node("a", "u"), node("u", unites="a", strategy=strategy, xs="${{ a.outputs.x }}"))
        run = await w.finish()
        assert run.result == {"xs": [0, 1, 2]}
        assert w.executor.executed == {"a": 1, "u": 1}
        await check(w, run.run_id)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("width", [1, 5])
async def test_nodes_after_the_unite_read_the_group(strategy: str, width: int) -> None:
    async with world({**group_scripts("s" * width), "y": give(k=1), "z": give_inputs}, settings=DEEP) as w:
        await w.define(
            *group_nodes(strategy, "y"),
            node("y", "z"),
            node("z", ys="${{ b.outputs.y }}", u="${{ u.outputs.ys }}", k="${{ y.outputs.k }}"),
        )
        run = await w.finish()
        (z,) = (await w.state(run.run_id, "z")).outputs or ()
        assert z["ys"] == z["u"]
        assert len(z["ys"]) == (1 if strategy == "ANY_SUCCESS" else width)
        await check(w, run.run_id)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_the_result_of_a_run_is_that_of_the_last_state_after_its_unite(strategy: str) -> None:
    async with world({**group_scripts("ss"), "z": give_inputs}) as w:
        await w.define(*group_nodes(strategy, "z"), node("z", k=1, ys="${{ b.outputs.y }}"))
        run = await w.finish()
        assert run.result["k"] == 1
        assert await w.engine.read_store("ns", run.run_id) == {}


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_declared_outputs_read_the_unite_and_what_follows_it(strategy: str) -> None:
    outputs = {"k": "${{ z.outputs.k }}", "u": "${{ u.outputs.ys }}", "ys": "${{ b.outputs.y }}"}
    async with world({**group_scripts("ss"), "z": give_inputs}) as w:
        await w.define(*group_nodes(strategy, "z"), node("z", k=1), outputs=outputs)
        run = await w.finish()
        expected = run.result["u"]
        assert expected == ([0, 1] if strategy != "ANY_SUCCESS" else expected)
        assert run.result == {"k": 1, "u": expected, "ys": expected}


async def test_all_pruned_lists_are_empty_after_the_unite_too() -> None:
    async with world({"a": count_to(3), "b": prune, "u": give_inputs, "z": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u"),
            node("u", "z", unites="a", ys="${{ b.outputs.y }}"),
            node("z", ys="${{ b.outputs.y }}", text="ys=${{ b.outputs.y }}"),
        )
        run = await w.finish()
        assert run.result == {"ys": [], "text": "ys=[]"}
        await check(w, run.run_id)
