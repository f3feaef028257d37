"""The run's store: writes take effect once, with their state's commit."""

from __future__ import annotations

import random
from typing import Any

import pytest

from karman_core.domain.errors import InvalidInput
from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Pruned,
    Requeued,
    StoreAppend,
    StoreDelete,
    StoreIncrement,
    StoreSet,
    StoreWrite,
)
from karman_core.ports.executor import Execution
from tests.scenario.faults import once
from tests.scenario.harness import NS, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, give, give_inputs, then

DEFAULTS = {"n": 10, "list": [0], "gone": 1, "given": "default"}


def writes(*changes: StoreWrite) -> Any:
    return lambda _: then({}, *changes)


async def test_every_kind_of_write_and_the_defaults() -> None:
    changes = (
        StoreSet("text", None), StoreIncrement("n"), StoreIncrement("n", 0.5), StoreIncrement("new", 3),
        StoreAppend("list", {"a": 1}), StoreAppend("fresh", 1), StoreDelete("gone"), StoreDelete("absent"),
        StoreSet("twice", 1), StoreAppend("gone2", 1), StoreDelete("gone2"), StoreDelete("twice"),
        StoreIncrement("twice"),
    )  # fmt: skip
    async with world({"a": writes(*changes), "b": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", n="${{ store.n }}", first="${{ store.list[1].a }}"),
            store_config={"default_values": DEFAULTS},
        )
        run = await w.finish(store={"given": "by trigger"})
        assert run.result == {"n": 11.5, "first": 1}
        assert await w.store(run.run_id) == {
            "text": None,
            "n": 11.5,
            "new": 3,
            "list": [0, {"a": 1}],
            "fresh": [1],
            "given": "by trigger",
            "twice": 1,
        }
        await check(w, run.run_id)


async def test_a_deleted_key_comes_back_neither_by_default_nor_by_trigger() -> None:
    async with world({"a": writes(StoreDelete("n"), StoreDelete("given")), "b": give_inputs}) as w:
        await w.define(
            node("a", "b"), node("b", n="${{ store.n }}"), store_config={"default_values": DEFAULTS}
        )
        run = await w.finish(store={"given": 1})
        assert run.status == "FAILED"
        assert run.error is not None
        assert "store.n" in run.error
        assert set(await w.store(run.run_id)) == {"list", "gone"}


async def test_a_node_reads_the_store_while_it_runs() -> None:
    async def read(execution: Execution) -> Answer:
        return {name: await execution.read_store(name) for name in ("n", "set", "none")}

    async with world({"a": writes(StoreSet("set", [1])), "b": read}) as w:
        await w.define(node("a", "b"), node("b"), store_config={"default_values": DEFAULTS})
        assert (await w.finish()).result == {"n": 10, "set": [1], "none": None}


async def test_required_keys() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(
            node("a", k="${{ store.k }}"),
            store_config={"required_keys": ["k", "n"], "default_values": DEFAULTS},
        )
        with pytest.raises(InvalidInput, match="'k' is required"):
            await w.start()
        assert (await w.finish(store={"k": {"deep": 1}})).result == {"k": {"deep": 1}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (StoreIncrement("list"), "holds no number"),
        (StoreAppend("n", 1), "holds no list"),
        (StoreIncrement("b"), "no number"),
    ],
)
async def test_a_write_that_does_not_fit_fails_the_state_and_changes_nothing(
    change: StoreWrite, told: str
) -> None:
    async with world({"a": writes(StoreSet("other", 1), change)}) as w:
        await w.define(node("a"), store_config={"default_values": {**DEFAULTS, "b": True}})
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.startswith("a: invalid_store_write: ")
        assert told in run.error
        assert await w.store(run.run_id) == {**DEFAULTS, "b": True}
        await check(w, run.run_id)


async def test_an_attempt_that_fails_writes_nothing_and_each_turn_writes_once() -> None:
    increment = Effects((StoreIncrement("n"), StoreAppend("list", "x")))

    def turns(execution: Execution) -> Answer:
        if execution.turn == 0:
            return Errored("Flaky", "no")
        if execution.turn == 1:
            return Requeued(1000, increment)
        return Awaiting("go", 1000, increment) if execution.turn == 2 else then({}, *increment.store)

    async with world({"a": turns}) as w:
        w.deliveries = 2
        await w.define(node("a"), store_config={"default_values": {"n": 0, "list": []}})
        run = await w.finish()
        assert await w.store(run.run_id) == {"n": 3, "list": ["x"] * 3}
        await check(w, run.run_id)


async def test_an_execution_that_lost_its_commit_writes_nothing() -> None:
    async with world({"a": writes(StoreIncrement("n")), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        message = await w.take()

        async def same_message_elsewhere() -> None:
            await w.engine.process("ns/rt", message)

        once(w.faults.before, "table.transact", same_message_elsewhere)
        await w.process(message)
        await w.drive()
        assert await w.store(run_id) == {"n": 1}
        assert w.executor.executed["a"] >= 2
        await check(w, run_id)


@pytest.mark.parametrize("seed", range(4))
async def test_branches_that_write_one_key_at_once_do_not_lose_a_write(seed: int) -> None:
    async with world(
        {
            "a": count_to(12),
            "b": lambda e: then({}, StoreIncrement("n"), StoreAppend("list", e.inputs["x"])),
            "u": give_inputs,
        }
    ) as w:
        w.faults.yields = random.Random(seed)
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", n="${{ store.n }}", list="${{ store.list }}"),
            store_config={"default_values": {"n": 0, "list": []}},
        )
        run_id = await w.start()
        await w.drive(at_once=10)
        run = await check(w, run_id)
        assert run.result["n"] == 12
        assert sorted(run.result["list"]) == list(range(12))
        assert w.executor.executed == {"a": 1, "b": 12, "u": 1}  # a conflict is no attempt
        conflicts = w.backend.table.consumed.calls["transact"] - 12
        assert conflicts > 0


async def test_more_keys_than_a_transaction_holds_fail_the_state() -> None:
    async with world({"a": writes(*(StoreSet(f"k{n}", n) for n in range(100)))}) as w:
        await w.define(node("a"))
        run = await w.finish()
        assert run.error is not None
        assert "the limit is 99" in run.error
        assert await w.store(run.run_id) == {}
        w.executor.scripts["a"] = writes(*(StoreSet(f"k{n}", n) for n in range(99)))
        run = await w.finish()
        assert run.status == "SUCCEEDED"
        assert len(await w.store(run.run_id)) == 99


@pytest.mark.parametrize("key", ["", "x" * 2000, "a.b"])
async def test_a_key_that_cannot_be_one_fails_the_state_with_its_reason(key: str) -> None:
    async with world({"a": writes(StoreSet(key, 1))}) as w:
        await w.define(node("a"))
        run = await w.finish()
        assert run.error is not None
        assert run.error.startswith("a: invalid_store_write")
        await check(w, run.run_id)


async def test_a_value_too_large_for_the_table_fails_the_state() -> None:
    text = random.Random(0).randbytes(500_000).hex()
    async with world({"a": writes(StoreSet("k", text))}) as w:
        await w.define(node("a"))
        run = await w.finish()
        assert run.status == "FAILED"
        assert await w.store(run.run_id) == {}
        await check(w, run.run_id)


async def test_the_trigger_s_values_do_not_replace_what_a_node_has_written() -> None:
    async with world({"a": writes(StoreSet("k", "written"))}) as w:
        await w.define(node("a"))
        run_id = await w.start(store={"k": "given"})
        message = await w.take()
        await w.process(message)
        await w.process(message, again=True)
        await w.drive()
        assert await w.engine.read_store(NS, run_id) == {"k": "written"}


async def test_store_writes_of_a_pruned_state_count() -> None:
    async with world({"a": lambda _: Pruned({}, Effects((StoreSet("k", 1),))), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        assert await w.store(run.run_id) == {"k": 1}
