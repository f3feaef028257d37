"""Many runs together, a run as it changes, and namespaces."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import NotFound
from karman_core.domain.outcome import Awaiting
from karman_core.domain.statistics import Durations
from karman_core.engine import overview
from karman_core.engine.access import AccessKeys, Scope
from karman_core.engine.summaries import FailureCount
from karman_core.engine.views import TotalsView
from karman_core.ports.queue import Depth
from tests.scenario.clock import START_MS
from tests.scenario.harness import NS, World, node, world
from tests.scenario.nodes import count_to, fail, give

DAY_MS = 86_400_000


async def mixed(w: World) -> None:
    """Of `g` two runs that succeeded, a day apart, of `h` one that failed, one cancelled and one that waits."""
    await w.define(node("a"))
    await w.define(node("b", "c"), node("c", retry_policy={"max_retries": 0}), name="h")
    await w.define(node("w"), name="w")
    await w.finish()
    await w.finish("h")
    w.clock.advance_to(START_MS + DAY_MS)
    await w.finish(start_delay_ms=5_000)
    await w.engine.cancel(NS, await w.start("w", start_delay_ms=60_000))
    await w.start("w")
    await w.work()


SCRIPTS: dict[str, Any] = {
    "a": give(),
    "b": count_to(3),
    "c": fail,
    "w": lambda _: Awaiting("go"),
}


async def test_runs_together() -> None:
    async with world(SCRIPTS) as w:
        await mixed(w)
        every = await w.engine.overview.statistics(NS)
        assert (every.runs, every.complete, every.failed_runs) == (5, True, 1)
        assert every.by_status == {"CANCELLED": 1, "FAILED": 1, "SUCCEEDED": 2, "WAITING": 1}
        assert every.failures == (FailureCount("c", 3),)
        runs = (await w.engine.list_runs(NS)).runs
        sums = {
            name: sum(getattr(run.totals, name) for run in runs) for name in TotalsView.__dataclass_fields__
        }
        assert every.totals == TotalsView(**sums)
        assert (every.totals.succeeded, every.totals.failed) == (3, 3)
        ended = sorted(max(0, run.ended_ms - run.starts_ms) for run in runs if run.ended_ms is not None)
        assert every.durations == Durations(ended[1], ended[3], ended[3])


async def test_statistics_of_a_graph_and_of_a_time() -> None:
    async with world(SCRIPTS) as w:
        await mixed(w)
        of_h = await w.engine.overview.statistics(NS, graph="h")
        assert (of_h.runs, of_h.by_status) == (1, {"FAILED": 1})
        later = await w.engine.overview.statistics(NS, since_ms=START_MS + DAY_MS)
        assert later.by_status == {"CANCELLED": 1, "SUCCEEDED": 1, "WAITING": 1}
        earlier = await w.engine.overview.statistics(NS, until_ms=START_MS + DAY_MS, graph="g")
        assert earlier.by_status == {"SUCCEEDED": 1}
        none = await w.engine.overview.statistics("other")
        assert (none.runs, none.durations, none.failures, none.complete) == (0, None, (), True)


async def test_statistics_say_when_there_are_more_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MOST_RUNS", 4)
    monkeypatch.setattr(overview, "MOST_FAILED_RUNS", 2)
    monkeypatch.setattr(overview, "MOST_FAILURES", 2)
    async with world(SCRIPTS) as w:
        await w.define(node("b", "c"), node("c", retry_policy={"max_retries": 0}))
        for _ in range(3):
            await w.finish()
        statistics = await w.engine.overview.statistics(NS)
        assert (statistics.runs, statistics.complete) == (3, True)
        assert (statistics.failed_runs, statistics.failures) == (2, (FailureCount("c", 4),))
        await w.finish()
        assert (await w.engine.overview.statistics(NS)).complete
        await w.finish()
        statistics = await w.engine.overview.statistics(NS)
        assert (statistics.runs, statistics.complete) == (4, False)


async def test_a_digest_changes_when_anything_does_and_with_nothing_else() -> None:
    async with world({"a": lambda e: {} if e.resumed else Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        seen = [await w.engine.overview.progress(NS, run_id)]
        assert await w.api().overview.progress(NS, run_id) == seen[0]
        w.clock.advance(1)
        assert await w.engine.overview.progress(NS, run_id) == seen[0]
        await w.work()
        seen.append(await w.engine.overview.progress(NS, run_id))
        assert (seen[1].run.status, seen[1].run.awaiting) == ("WAITING", ("go",))
        await w.engine.signal(NS, run_id, "go")
        await w.drive()
        seen.append(await w.engine.overview.progress(NS, run_id))
        assert [each.ended for each in seen] == [False, False, True]
        assert len({each.digest for each in seen}) == 3
        with pytest.raises(NotFound):
            await w.engine.overview.progress("other", run_id)


async def test_progress_tells_how_far_groups_are() -> None:
    async with world({"a": count_to(3), "b": give(), "u": give()}) as w:
        await w.define(node("a", "b"), node("b", "u"), node("u", unites="a"))
        run_id = await w.start()
        seen = [await w.engine.overview.progress(NS, run_id)]
        while await w.work():
            seen.append(await w.engine.overview.progress(NS, run_id))
        assert seen[0].groups == ()
        assert [group.open for progress in seen for group in progress.groups][-1] == 0
        (last,) = seen[-1].groups
        assert (last.identifier, last.width, last.succeeded, last.ended, last.united_by) == (
            "a", 3, 3, True, ("u",),
        )  # fmt: skip
        assert [group.state_id for group in (await w.engine.list_groups(NS, run_id)).groups] == [
            last.state_id
        ]


async def test_a_branch_that_ends_makes_a_digest_change() -> None:
    async with world({"a": count_to(3), "b": give(), "u": give()}) as w:
        await w.define(node("a", "b"), node("b", "u"), node("u", unites="a"))
        run_id = await w.start()
        digests, succeeded = [], []
        w.order = random.Random(1)

        async def look() -> bool:
            progress = await w.engine.overview.progress(NS, run_id)
            digests.append(progress.digest)
            succeeded.append(sum(group.succeeded for group in progress.groups))
            return False

        await w.drive(until=look)
        assert succeeded[-1] == 3
        changes = list(zip(succeeded, digests, strict=True))
        assert all((one[0] == two[0]) or (one[1] != two[1]) for one, two in pairwise(changes))


async def test_a_namespace_comes_to_be_by_its_first_node_graph_or_key() -> None:
    async with world({"a": give()}) as w:
        assert await w.engine.overview.namespaces(10) == []
        await w.define(node("a"))
        await w.engine.put_graph("graphs", (await w.engine.get_graph(NS, "g")).definition)
        await AccessKeys(w.backend.table, w.clock, w.entropy).issue("keyed", "k", [Scope.READ])
        w.clock.advance(1)
        made = await w.engine.overview.create_namespace("made")
        assert (made.namespace, made.created_ms, made.nodes, made.graphs) == ("made", w.clock.now_ms(), 0, 0)
        w.clock.advance(1)
        assert await w.engine.overview.create_namespace("made") == made
        assert await w.api().overview.create_namespace("made") == made
        assert await w.engine.overview.namespaces(10) == ["graphs", "keyed", "made", NS]
        assert await w.engine.overview.namespaces(2) == ["graphs", "keyed"]
        assert await w.engine.overview.namespaces(2, "keyed") == ["made", NS]
        assert await w.engine.overview.namespaces(2, "key") == ["keyed", "made"]
        summary = await w.engine.overview.namespace(NS)
        assert (summary.created_ms, summary.nodes, summary.graphs) == (START_MS, 1, 1)
        with pytest.raises(NotFound):
            await w.engine.overview.namespace("other")


async def test_a_namespace_is_written_once_by_a_process() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        before = w.backend.table.consumed.calls["put"]
        await w.engine.register_nodes(NS, [])
        await w.engine.put_graph(NS, (await w.engine.get_graph(NS, "g")).definition)
        assert w.backend.table.consumed.calls["put"] == before


async def test_namespaces_are_no_runs() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        assert [run.run_id for run in (await w.engine.list_runs(NS)).runs] == [run_id]
        assert (await w.engine.sweep()).looked_at == 1


async def test_what_waits_is_told_by_queue() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await w.engine.register_nodes(NS, [RegisteredNode(name="other", runtime="away")])
        with w.backend.database.write() as connection:
            connection.execute("DELETE FROM queues WHERE name = 'ns/away'")
        assert await w.engine.overview.backlog(NS) == {"ns/away": None, "ns/rt": Depth(0, 0, 0)}
        await w.start()
        await w.start(start_delay_ms=60_000)
        await w.take()
        assert (await w.engine.overview.backlog(NS))["ns/rt"] == Depth(ready=0, delayed=1, in_flight=1)
