"""Work over HTTP: states are leased to workers without a queue, reported, and taken over when a worker dies."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import Conflict, NotFound, Unavailable
from karman_core.domain.outcome import Effects, Errored, Outcome, Pruned, Requeued, StoreIncrement, Succeeded
from karman_core.engine.views import RunView, Work
from tests.scenario.faults import once
from tests.scenario.harness import HOME, NS, World, node, world
from tests.scenario.nodes import give, give_inputs

LEASE_SECONDS = 60
EVERY = ("a", "b", "u")


def gave(**output: Any) -> Outcome:
    return Succeeded((output,))


async def poll(w: World, *names: str, limit: int = 10) -> list[Work]:
    return await w.api().poll(NS, names or EVERY, limit=limit, lease_seconds=LEASE_SECONDS)


async def report(w: World, work: Work, outcome: Outcome, lease: str | None = None) -> str:
    return (await w.api().report(NS, work.state_id, outcome, lease=lease)).status


async def begin(w: World, **inputs: Any) -> str:
    return (await w.engine.trigger(NS, "g", inputs=inputs)).run_id


async def view(w: World, run_id: str) -> RunView:
    return await w.api().get_run(NS, run_id)


async def a_chain(w: World) -> str:
    await w.define(node("a", "b", k=1), node("b", n="${{ a.outputs.n }}"))
    return await begin(w, k=7)


SCRIPTS = {"a": give_inputs, "b": give_inputs, "u": give_inputs}


async def test_a_chain_is_worked_on_from_outside() -> None:
    async with world(SCRIPTS) as w:
        run_id = await a_chain(w)
        [first] = await poll(w)
        assert (first.node_name, first.inputs, first.attempt) == ("a", {"k": 7}, 1)
        assert (await w.states(run_id))[0].status == "RUNNING"
        assert await report(w, first, gave(n=2), first.lease) == "SUCCEEDED"
        [second] = await poll(w)
        assert second.inputs == {"n": 2}
        await report(w, second, gave(done=True))
        run = await view(w, run_id)
        assert (run.status, run.result, run.totals.succeeded) == ("SUCCEEDED", {"done": True}, 2)
        assert await poll(w) == []
        assert w.executor.executed == {}


async def test_a_fork_is_worked_on_in_parallel_and_united() -> None:
    async with world(SCRIPTS) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ b.outputs.y }}"),
        )
        run_id = await begin(w)
        [first] = await poll(w)
        await report(w, first, Succeeded(tuple({"x": number} for number in range(25))))
        branches = [work for _ in range(6) for work in await poll(w)]
        assert sorted(work.inputs["x"] for work in branches) == list(range(25))
        for work in branches:
            await report(w, work, gave(y=work.inputs["x"] * 2))
        [unite] = await poll(w)
        assert unite.inputs == {"xs": [number * 2 for number in range(25)]}
        await report(w, unite, gave(sum=600))
        assert (await view(w, run_id)).totals.succeeded == 27


async def test_the_same_report_again_is_none_and_another_is_refused() -> None:
    async with world(SCRIPTS) as w:
        await a_chain(w)
        [work] = await poll(w)
        api = w.api()
        assert not (await api.report(NS, work.state_id, gave(n=2))).repeated
        assert (await api.report(NS, work.state_id, gave(n=2))).repeated
        with pytest.raises(Conflict, match="reported before"):
            await api.report(NS, work.state_id, gave(n=3))
        [second] = await poll(w)
        assert second.inputs == {"n": 2}


async def test_a_dead_workers_state_is_leased_again_and_its_late_report_is_refused() -> None:
    async with world(SCRIPTS) as w:
        await a_chain(w)
        [lost] = await poll(w)
        assert await poll(w) == []
        w.clock.advance(LEASE_SECONDS + 1)
        [again] = await poll(w)
        assert (again.state_id, again.attempt) == (lost.state_id, 1)
        with pytest.raises(Conflict, match="taken over"):
            await report(w, lost, gave(n=1), lost.lease)
        await report(w, again, gave(n=2), again.lease)
        [second] = await poll(w)
        assert second.inputs == {"n": 2}


async def test_a_heartbeat_keeps_the_lease() -> None:
    async with world(SCRIPTS) as w:
        await a_chain(w)
        [work] = await poll(w)
        for _ in range(3):
            w.clock.advance(LEASE_SECONDS - 10)
            told = await w.api().heartbeat(NS, work.state_id, work.lease, LEASE_SECONDS)
            assert (told.until_ms, told.cancelled) == (w.clock.now_ms() + LEASE_SECONDS * 1000, False)
            assert await poll(w) == []
        w.clock.advance(LEASE_SECONDS + 1)
        with pytest.raises(Conflict, match="ended"):
            await w.api().heartbeat(NS, work.state_id, work.lease, LEASE_SECONDS)


async def test_errors_requeues_and_prunes_are_reported() -> None:
    async with world(SCRIPTS) as w:
        run_id = await a_chain(w)
        [first] = await poll(w)
        assert await report(w, first, Errored("ValueError", "no")) == "RETRYING"
        assert await poll(w) == []
        w.clock.advance(10)
        [second] = await poll(w)
        assert second.attempt == 2
        assert await report(w, second, Requeued(5_000)) == "QUEUED"
        w.clock.advance(10)
        [third] = await poll(w)
        assert (third.attempt, third.turn) == (2, 2)
        assert await report(w, third, Pruned({"why": "enough"})) == "PRUNED"
        run = await view(w, run_id)
        assert (run.status, run.totals.pruned, run.totals.turns) == ("SUCCEEDED", 1, 3)


async def test_effects_are_written_once_with_the_report() -> None:
    async with world(SCRIPTS) as w:
        run_id = await a_chain(w)
        [work] = await poll(w)
        counted = Succeeded(({"n": 1},), effects=Effects(store=(StoreIncrement("count"),)))
        for _ in range(2):
            await report(w, work, counted)
        assert await w.api().read_store(NS, run_id) == {"count": 1}


async def test_a_result_for_a_cancelled_run_is_refused() -> None:
    async with world(SCRIPTS) as w:
        run_id = await a_chain(w)
        [work] = await poll(w)
        await w.api().cancel(NS, run_id)
        with pytest.raises(Conflict, match="CANCELLED"):
            await report(w, work, gave(n=2))


async def test_a_node_that_was_not_asked_for_stays_for_others() -> None:
    async with world(SCRIPTS) as w:
        await a_chain(w)
        assert await poll(w, "b") == []
        w.clock.advance(2)
        [work] = await poll(w, "a")
        assert work.node_name == "a"


@pytest.mark.parametrize("state_id", ["", "x", "r1--0", "r1-0.0-x", "../etc-0-0"])
async def test_an_unknown_state_is_not_found(state_id: str) -> None:
    async with world(SCRIPTS) as w:
        with pytest.raises(NotFound):
            await w.api().report(NS, state_id, gave())


async def test_polls_begin_with_each_queue_in_turn() -> None:
    async with world(SCRIPTS, runtimes={"b": "other"}) as w:
        await w.define(node("a"))
        deep = [await begin(w) for _ in range(8)]
        await w.define(node("b"))
        late = await begin(w)
        api = w.api()
        polls = [(await api.poll(NS, ["a", "b"], limit=1, lease_seconds=LEASE_SECONDS))[0] for _ in range(3)]
        assert [work.node_name for work in polls].count("b") == 1
        assert {work.run_id for work in polls} < {*deep, late}


async def test_one_poll_fills_a_batch_beyond_what_a_queue_gives_at_once() -> None:
    async with world(SCRIPTS) as w:
        await w.define(node("a"))
        for _ in range(25):
            await begin(w)
        assert [len(await poll(w, "a", limit=20)) for _ in range(3)] == [20, 5, 0]


async def test_a_worker_is_told_the_trace_of_the_run() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await w.engine.trigger(NS, "g", trace_parent=trace)
        (work,) = await w.api().poll(NS, ["a"])
        assert work.trace_parent == trace


@pytest.mark.parametrize("of_graph", [False, True])
async def test_a_worker_that_does_not_mind_the_time_limit_is_not_waited_for(*, of_graph: bool) -> None:
    async with world(SCRIPTS) as w:
        policy = {"max_retries": 1, "strategy": "FIXED", "backoff_factor": 1000}
        limit: dict[str, Any] = {"timeout_seconds": 30} if of_graph else {}
        await w.define(node("a", retry_policy=policy, **limit))
        registered = RegisteredNode(name="a", runtime="rt", timeout_seconds=None if of_graph else 30)
        await w.engine.register_nodes(NS, [registered])
        run_id = await begin(w)
        for attempt in (1, 2):
            api = w.api()
            [work] = await api.poll(NS, ["a"], lease_seconds=LEASE_SECONDS)
            assert (work.attempt, work.timeout_seconds) == (attempt, 30)
            w.clock.advance(35)
            assert not (await api.heartbeat(NS, work.state_id, work.lease)).cancelled
            w.clock.advance(6)
            assert (await api.heartbeat(NS, work.state_id, work.lease)).cancelled
            with pytest.raises(Conflict):
                await api.report(NS, work.state_id, gave(), lease=work.lease)
            with pytest.raises(Conflict):
                await api.heartbeat(NS, work.state_id, work.lease)
            w.clock.advance(2)
        run = await view(w, run_id)
        assert (run.status, run.error) == (
            "FAILED",
            "a: timeout: The node did not end within its timeout of 30 s.",
        )


async def test_a_run_s_time_limit_ends_what_is_leased() -> None:
    async with world(SCRIPTS) as w:
        await w.define(node("a"))
        run_id = await w.start(timeout_ms=30_000)
        api = w.api()
        [work] = await api.poll(NS, ["a"], lease_seconds=LEASE_SECONDS)
        w.clock.advance(31)
        assert (await api.heartbeat(NS, work.state_id, work.lease)).cancelled
        await api.poll(NS, ["a"], lease_seconds=LEASE_SECONDS)
        assert (await view(w, run_id)).status == "TIMED_OUT"
        with pytest.raises(Conflict):
            await api.report(NS, work.state_id, gave(), lease=work.lease)


async def test_the_message_of_a_node_that_moved_to_another_runtime_follows_it() -> None:
    async with world(SCRIPTS) as w:
        run_id = await a_chain(w)
        [first] = await poll(w, "a")
        await report(w, first, gave(n=2), first.lease)
        await w.engine.register_nodes(NS, [RegisteredNode(name="b", runtime="new")])
        w.clock.advance(w.settings.node_cache_seconds + 1)
        assert await poll(w, "a") == []
        [second] = await poll(w, "b")
        assert second.inputs == {"n": 2}
        await report(w, second, gave(done=True))
        assert (await view(w, run_id)).status == "SUCCEEDED"


async def test_a_message_that_fails_keeps_no_other_from_being_told() -> None:
    async with world(SCRIPTS) as w:
        await w.define(node("a"))
        runs = [await begin(w, k=number) for number in range(3)]

        async def fail() -> None:
            raise Unavailable("no answer")

        once(w.faults.before, "table.get", fail, where=lambda call: runs[1] in call.arguments[0].pk)
        assert [work.run_id for work in await poll(w)] == [runs[0], runs[2]]
        assert await poll(w) == []
        w.clock.advance(LEASE_SECONDS + 1)
        assert runs[1] in [work.run_id for work in await poll(w)]


async def test_a_service_that_fails_is_told_where_there_is_no_work() -> None:
    async with world(SCRIPTS) as w:
        await w.define(node("a"))
        await begin(w)

        async def fail() -> None:
            raise Unavailable("no answer")

        once(w.faults.before, "table.get", fail)
        with pytest.raises(Unavailable):
            await poll(w)


@pytest.mark.parametrize("by", ["a poll", "the function of dead letters"])
async def test_what_is_under_way_of_a_run_that_was_purged_is_dropped(by: str) -> None:
    async with world(SCRIPTS) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run_id = await begin(w)
        [first] = await poll(w)
        # Outputs that are too large for the message that tells of the branches.
        await report(w, first, Succeeded(tuple({"x": str(number) * 3_000} for number in range(25))))
        await w.api().cancel(NS, run_id)
        assert (await w.api().operations.purge(NS, run_id, seconds=100)).complete
        if by == "a poll":
            for _ in range(5):
                assert await poll(w) == []
            assert w.messages_left() == 0
        else:
            letters = await w.backend.queue.receive(HOME, limit=10)
            assert (
                [await w.api().dead_letter(None, letter) for letter in letters] == [True] * len(letters) != []
            )
