"""The run's store in a node: reads, buffered writes, and both kinds of nodes."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from karman import Context, node
from karman.testing import (
    Errored,
    StoreAppend,
    StoreDelete,
    StoreIncrement,
    StoreSet,
    Succeeded,
    aexecute,
    execute,
)
from karman_core.domain.store import ABSENT, apply_writes
from tests.sdk.executions import Control, execution, executor


@node
async def on_loop(ctx: Context) -> dict[str, Any]:
    store = ctx.store
    before = [await store.get("n"), await store.get("none"), await store.get("none", "default")]
    store.set("n", 5)
    store.increment("n", 2)
    store.increment("new")
    store.append("list", {"a": 1})
    store.append("list", "b")
    store.delete("gone")
    after = [await store.get(key, "absent") for key in ("n", "new", "list", "gone", "kept")]
    return {"before": before, "after": after}


@node
def in_thread(ctx: Context) -> dict[str, Any]:
    store = ctx.store
    before = [store.get_sync("n"), store.get_sync("none"), store.get_sync("none", "default")]
    store.set("n", 5)
    store.increment("n", 2)
    store.increment("new")
    store.append("list", {"a": 1})
    store.append("list", "b")
    store.delete("gone")
    after = [store.get_sync(key, "absent") for key in ("n", "new", "list", "gone", "kept")]
    return {"before": before, "after": after}


@pytest.mark.parametrize("where", [on_loop, in_thread])
async def test_writes_are_buffered_and_seen_by_own_reads(where: Any) -> None:
    outcome = await aexecute(where, store={"n": 1, "list": [0], "gone": "x", "kept": True})

    assert isinstance(outcome, Succeeded)
    (row,) = outcome.outputs
    assert row["before"] == [1, None, "default"]
    assert row["after"] == [7, 1, [0, {"a": 1}, "b"], "absent", True]
    assert outcome.effects.store == (
        StoreSet("n", 5),
        StoreIncrement("n", 2),
        StoreIncrement("new", 1),
        StoreAppend("list", {"a": 1}),
        StoreAppend("list", "b"),
        StoreDelete("gone"),
    )


async def test_a_key_that_was_set_is_not_read() -> None:
    control = Control({"k": 1})

    @node
    async def overwrite(ctx: Context) -> list[Any]:
        ctx.store.set("k", 2)
        return [await ctx.store.get("k")]

    await executor(overwrite).execute(execution("overwrite", control=control))

    assert control.reads == []


async def test_values_are_copied_as_json() -> None:
    class Model(BaseModel):
        x: int

    @node
    async def mutate(ctx: Context) -> None:
        value = {"inner": [1], "model": Model(x=1)}
        ctx.store.set("k", value)
        value["inner"] = "changed later"

    outcome = await aexecute(mutate)

    assert isinstance(outcome, Succeeded)
    assert outcome.effects.store == (StoreSet("k", {"inner": [1], "model": {"x": 1}}),)


@pytest.mark.parametrize("key", ["", "a.b", "a b", "x" * 129, 3, None, "line\nbreak"])
@pytest.mark.parametrize("method", ["get", "set", "delete", "increment", "append"])
async def test_keys_are_checked(method: str, key: Any) -> None:
    @node
    async def use(ctx: Context) -> None:
        answer = getattr(ctx.store, method)(*(key, 1) if method in {"set", "append"} else (key,))
        if asyncio.iscoroutine(answer):
            await answer

    outcome = await aexecute(use)

    assert isinstance(outcome, Errored)
    assert "is no store key: a key is 1 to 128 characters" in outcome.message


@pytest.mark.parametrize("amount", ["1", True, None, float("nan"), float("inf"), [1]])
async def test_amounts_are_checked(amount: Any) -> None:
    @node
    async def use(ctx: Context) -> None:
        ctx.store.increment("k", amount)

    outcome = await aexecute(use)

    assert isinstance(outcome, Errored)
    assert outcome.message.startswith("store.increment('k') takes a finite number, not")


async def test_values_that_are_no_json() -> None:
    @node
    async def use(ctx: Context) -> None:
        ctx.store.set("k", {"deep": float("inf")})

    outcome = await aexecute(use)

    assert isinstance(outcome, Errored)
    assert outcome.message.startswith("The value of store key 'k' cannot be written as JSON: deep:")


async def test_get_sync_in_an_async_node_says_what_to_do() -> None:
    @node
    async def use(ctx: Context) -> None:
        ctx.store.get_sync("k")

    outcome = await aexecute(use)

    assert isinstance(outcome, Errored)
    assert outcome.message == "store.get_sync was called in an async node; use `await store.get(...)`."


async def test_a_thread_left_behind_cannot_read_any_more() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    seen: list[str] = []

    @node(timeout=0.05)
    def work(ctx: Context) -> None:
        try:
            while True:
                ctx.store.get_sync("k")
        except BaseException as error:
            seen.append(type(error).__name__)
            loop.call_soon_threadsafe(ended.set)
            raise

    outcome = await aexecute(work)
    await asyncio.wait_for(ended.wait(), 90)

    assert isinstance(outcome, Errored)
    assert seen == ["Cancelled"]


VALUES = st.none() | st.integers(-5, 5) | st.text(max_size=2) | st.lists(st.integers(0, 3), max_size=2)
WRITES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), VALUES),
        st.tuples(st.just("append"), VALUES),
        st.tuples(st.just("increment"), st.integers(-3, 3)),
        st.tuples(st.just("delete"), st.none()),
    ),
    max_size=6,
)


@given(before=st.none() | st.integers(-5, 5) | st.lists(st.integers(0, 3), max_size=2), writes=WRITES)
def test_own_reads_agree_with_what_the_engine_will_write(before: Any, writes: list[tuple[str, Any]]) -> None:
    @node
    async def use(ctx: Context) -> dict[str, Any]:
        for method, value in writes:
            getattr(ctx.store, method)(*(("k",) if method == "delete" else ("k", value)))
        return {"seen": await ctx.store.get("k")}

    outcome = execute(use, store={} if before is None else {"k": before})

    if isinstance(outcome, Errored):
        assert outcome.kind == "InvalidInput"
        return
    assert isinstance(outcome, Succeeded)
    values = {} if before is None else {"k": before}
    expected = apply_writes(values, outcome.effects.store).get("k", values.get("k"))
    assert outcome.outputs[0]["seen"] == (None if expected is ABSENT else expected)
