"""Waits and signals: a state waits without compute, and goes on with the payload, whoever comes first."""

from __future__ import annotations

import random
from typing import Any

import pytest

from karman_core.domain.errors import Conflict, InvalidInput, NotFound, PayloadTooLarge
from karman_core.domain.outcome import Awaiting, Effects, Requeued, SentSignal
from karman_core.engine import keys
from karman_core.ports.executor import Execution
from tests.scenario.clock import START_MS
from tests.scenario.faults import once
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check, items
from tests.scenario.nodes import Answer, count_to, give, give_inputs, then

FAR = 30 * 86_400_000


def wait_for(name: str, timeout_ms: int | None = None) -> Any:
    """Waits once, and gives what came."""

    def script(execution: Execution) -> Answer:
        if execution.resumed is None:
            return Awaiting(name, timeout_ms)
        resumed = execution.resumed
        assert resumed.signal == name
        return {"timed_out": True} if resumed.timed_out else {"payload": resumed.payload}

    return script


async def waiting(w: World, **options: Any) -> str:
    """A run of one node that waits."""
    await w.define(node("a"))
    run_id = await w.start(**options)
    await w.work()
    return run_id


async def signal(w: World, run_id: str, name: str, payload: Any = None, **options: Any) -> None:
    await w.engine.signal(NS, run_id, name, payload, **options)


@pytest.mark.parametrize("payload", [None, {"ok": [1, 2.5, None]}, "text", False])
async def test_a_signal_resumes_the_state_that_waits(payload: Any) -> None:
    async with world({"a": wait_for("go")}) as w:
        run_id = await waiting(w)
        run = await w.view(run_id)
        assert (run.status, run.awaiting) == ("WAITING", ("go",))
        state = await w.state(run_id, "a")
        assert (state.status, state.awaiting) == ("WAITING", "go")
        assert w.messages_left() == 0
        await signal(w, run_id, "go", payload)
        await w.drive()
        run = await check(w, run_id)
        assert (run.result, run.awaiting) == ({"payload": payload}, ())
        assert w.executor.executed == {"a": 2}
        assert [e.attempt for e in w.executor.log] == [1, 1]


async def test_a_signal_that_nobody_awaits_is_kept() -> None:
    async with world({"a": give(), "b": wait_for("go")}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        await signal(w, run_id, "go", 1)
        await signal(w, run_id, "other", 2)
        await w.drive()
        assert (await check(w, run_id)).result == {"payload": 1}


async def test_the_same_signal_twice_resumes_one_state() -> None:
    async with world({"a": count_to(2), "b": wait_for("go", 60_000), "u": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u"),
            node("u", unites="a", ys="${{ b.outputs.payload }}", ts="${{ b.outputs.timed_out }}"),
        )
        run_id = await w.start()
        await w.work()
        await w.work()
        for _ in range(3):
            await signal(w, run_id, "go", 7, signal_id="mine")
        await w.drive()
        assert (await check(w, run_id)).result == {"ys": [7], "ts": [True]}


async def test_two_waits_take_two_signals_in_the_order_of_sending() -> None:
    async with world({"a": count_to(2), "b": wait_for("go"), "u": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", "u"), node("u", unites="a", ys="${{ b.outputs.payload }}"))
        run_id = await w.start()
        await w.drive()
        run = await w.view(run_id)
        assert (run.status, run.awaiting) == ("RUNNING", ("go",))
        await signal(w, run_id, "go", "first")
        w.clock.advance(0.001)
        await signal(w, run_id, "go", "second")
        await w.drive()
        assert (await check(w, run_id)).result == {"ys": ["first", "second"]}


async def test_a_state_may_wait_again_and_again() -> None:
    def collect(execution: Execution) -> Answer:
        got = execution.resumed.payload if execution.resumed else None
        return {"last": got} if got == "end" else Awaiting("go")

    async with world({"a": collect}) as w:
        run_id = await waiting(w)
        for payload in ("one", "two", "end"):
            await signal(w, run_id, "go", payload)
            await w.drive()
        assert (await check(w, run_id)).result == {"last": "end"}
        assert w.executor.executed == {"a": 4}


@pytest.mark.parametrize("timeout_ms", [5_000, FAR])
async def test_a_wait_ends_with_its_time_out(timeout_ms: int) -> None:
    async with world({"a": wait_for("go", timeout_ms)}) as w:
        run_id = await waiting(w)
        w.clock.advance(timeout_ms / 1000 - 1)
        await w.work()
        assert (await w.view(run_id)).status == "WAITING"
        await w.drive()
        assert w.clock.now_ms() == START_MS + timeout_ms
        assert (await check(w, run_id)).result == {"timed_out": True}


async def test_a_signal_after_the_time_out_is_kept_for_the_next_wait() -> None:
    def twice(execution: Execution) -> Answer:
        if execution.turn == 0:
            return Awaiting("go", 5_000)
        if execution.turn == 1:
            assert execution.resumed is not None
            assert execution.resumed.timed_out
            return Requeued(60_000)
        return (
            Awaiting("go", 5_000)
            if execution.turn == 2
            else {"got": execution.resumed.payload if execution.resumed else 0}
        )

    async with world({"a": twice}) as w:
        run_id = await waiting(w)
        w.clock.advance(5)
        await w.work()
        await w.work()
        assert (await w.state(run_id, "a")).turns == 2
        await signal(w, run_id, "go", "late")
        await w.drive()
        assert (await check(w, run_id)).result == {"got": "late"}


async def test_a_time_out_after_the_signal_changes_nothing() -> None:
    async with world(
        {"a": wait_for("go", 5_000), "b": lambda e: Requeued(60_000) if e.turn == 0 else {"x": 1}}
    ) as w:
        await w.define(node("a", "b"), node("b", p="${{ a.outputs.payload }}"))
        run_id = await w.start()
        await w.work()
        await signal(w, run_id, "go", 1)
        await w.drive()
        run = await check(w, run_id)
        assert run.status == "SUCCEEDED"
        assert w.executor.executed == {"a": 2, "b": 2}


async def test_a_node_signals_another_one_of_its_run_with_its_commit() -> None:
    def sender(execution: Execution) -> Answer:
        outcome = then({"x": 1}, signals=(SentSignal("go", {"n": execution.attempt}),))
        if execution.attempt < 3:
            raise ValueError("not yet")
        return outcome

    async with world({"a": give(), "b": wait_for("go"), "c": sender}) as w:
        await w.define(node("a", "b", "c"), node("b"), node("c"))
        run = await w.finish()
        assert run.status == "SUCCEEDED"
        assert (await w.state(run.run_id, "b")).outputs == ({"payload": {"n": 3}},)
        await check(w, run.run_id)


async def test_a_node_signals_another_run() -> None:
    async with world({"a": wait_for("go"), "s": give()}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.drive()
        w.executor.scripts["s"] = lambda _: then({}, signals=(SentSignal("go", 5, run_id),))
        await w.define(node("s"), name="sender")
        sent = await w.finish("sender")
        assert sent.status == "SUCCEEDED"
        assert (await check(w, run_id)).result == {"payload": 5}


async def test_signals_go_with_a_wait_and_a_requeue_too() -> None:
    def ask(execution: Execution) -> Answer:
        if execution.turn == 0:
            return Requeued(1_000, Effects(signals=(SentSignal("one", 1),)))
        if execution.turn == 1:
            return Awaiting("answer", None, Effects(signals=(SentSignal("two", 2),)))
        return {"answer": execution.resumed.payload if execution.resumed else None}

    def answer(execution: Execution) -> Answer:
        if execution.resumed is None:
            return Awaiting("one")
        if execution.resumed.signal == "one":
            return Awaiting("two")
        return then({}, signals=(SentSignal("answer", execution.resumed.payload),))

    async with world({"a": give(), "b": ask, "c": answer}) as w:
        await w.define(node("a", "b", "c"), node("b"), node("c"))
        run = await w.finish()
        assert run.status == "SUCCEEDED", run
        assert (await w.state(run.run_id, "b")).outputs == ({"answer": 2},)
        await check(w, run.run_id)


async def test_a_signal_to_a_run_that_has_ended_is_refused() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run = await w.finish()
        with pytest.raises(Conflict, match="SUCCEEDED"):
            await signal(w, run.run_id, "go")
        with pytest.raises(NotFound):
            await signal(w, "rnone", "go")


async def test_no_wait_is_left_when_the_run_has_ended() -> None:
    async with world({"a": wait_for("go", 5_000)}) as w:
        run_id = await waiting(w)
        await signal(w, run_id, "go")
        await w.drive()
        await check(w, run_id)
        assert [item["sk"] for item in items(w, "%#sig#%") if item["sk"].startswith("w#")] == []


async def test_names_that_are_the_beginning_of_one_another_are_other_names() -> None:
    # Both are kept in one partition, where signals are looked up by how their keys begin.
    other = next(
        f"go#{n}" for n in range(100) if keys.signals(NS, "r", f"go#{n}") == keys.signals(NS, "r", "go")
    )
    async with world({"a": give(), "b": wait_for("go", 9_000), "c": wait_for(other, 9_000)}) as w:
        await w.define(node("a", "b", "c"), node("b"), node("c"))
        run_id = await w.start()
        await signal(w, run_id, other, 1)
        await w.drive()
        assert (await w.state(run_id, "b")).outputs == ({"timed_out": True},)
        assert (await w.state(run_id, "c")).outputs == ({"payload": 1},)


async def test_a_run_is_not_told_to_wait_after_its_signal_came_between() -> None:
    async with world({"a": wait_for("go"), "b": lambda e: Requeued(1000) if e.turn == 0 else {}}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()

        async def signal_and_go_on() -> None:
            await signal(w, run_id, "go", 1)
            for message in await w.backend.queue.receive("ns/rt"):
                await w.process(message)
                await w.backend.queue.delete("ns/rt", [message.receipt])

        once(
            w.faults.after,
            "table.put",
            signal_and_go_on,
            where=lambda call: call.arguments[0]["sk"][:2] == "w#",
        )
        await w.work()
        await w.work()
        assert (await w.state(run_id, "a")).status == "SUCCEEDED"
        run = await w.view(run_id)
        assert (run.status, run.awaiting) == ("RUNNING", ())
        await w.drive()
        await check(w, run_id)


def noise(size: int) -> str:
    """Text that does not compress to less than half."""
    return random.Random(0).randbytes(size // 2).hex()


@pytest.mark.parametrize("size", [260_000, 262_142])
async def test_a_payload_up_to_the_limit_is_taken(size: int) -> None:
    async with world({"a": wait_for("go")}) as w:
        run_id = await waiting(w)
        await signal(w, run_id, "go", noise(size))
        await w.drive()
        assert (await check(w, run_id)).result == {"payload": noise(size)}


async def test_a_signal_that_cannot_be_kept_is_refused_when_it_is_sent() -> None:
    async with world({"a": wait_for("go")}) as w:
        run_id = await waiting(w)
        with pytest.raises(PayloadTooLarge, match="the limit is 262,144"):
            await signal(w, run_id, "go", noise(262_144))
        for name in ("", "x" * 129):
            with pytest.raises(InvalidInput, match="1 to 128 characters"):
                await signal(w, run_id, name)
        with pytest.raises(InvalidInput, match="id has 1 to 128"):
            await signal(w, run_id, "go", signal_id="x" * 2000)
        assert w.messages_left() == 0


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Awaiting("x" * 2000), "invalid_input: A signal's name"),
        (Awaiting(""), "invalid_input: A signal's name"),
        (then({}, signals=(SentSignal("x" * 2000),)), "invalid_input: A signal's name"),
        (
            then({}, signals=(SentSignal("go", noise(800_000)),)),
            "payload_too_large: The payload of signal 'go'",
        ),
    ],
    ids=["long wait", "empty wait", "long name", "large payload"],
)
async def test_a_node_s_signal_that_cannot_be_kept_fails_the_state(answer: Answer, told: str) -> None:
    async with world({"a": lambda _: answer}) as w:
        await w.define(node("a"))
        run = await w.finish()
        assert run.error is not None
        assert run.error.startswith(f"a: {told}")
        await check(w, run.run_id)


async def test_a_time_out_between_the_signal_and_its_turn_does_not_take_the_payload_away() -> None:
    async with world({"a": wait_for("go", 5_000)}) as w:
        run_id = await waiting(w)
        await signal(w, run_id, "go", "in time")
        command = await w.take()
        await w.process(command)
        await w.backend.queue.delete("ns/rt", [command.receipt])
        (turn,) = await w.backend.queue.receive("ns/rt", lease_seconds=60)
        w.clock.advance(5)
        time_out = await w.take()
        assert '"k":"timeout"' in time_out.body
        await w.process(time_out)
        await w.backend.queue.delete("ns/rt", [time_out.receipt])
        await w.process(turn)
        await w.drive()
        assert (await check(w, run_id)).result == {"payload": "in time"}
        assert w.executor.executed == {"a": 2}
