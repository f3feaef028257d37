"""Methods that look at much at once, against the real application."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from karman import AsyncClient, Client
from karman._internal.http import watching
from karman.client import Backoff, RunProgress
from karman.errors import Forbidden, InvalidInput, InvalidRequest, NotFound, QuotaExceeded, StillRunning
from karman_core.domain.outcome import Errored, Succeeded
from karman_core.domain.quotas import NamespaceQuotas
from karman_functions.local import serving
from tests.api.client import ADMIN_KEY, NS, OTHER, Api
from tests.client.conftest import URL

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SHORTEST_ROUND_SECONDS", 0.01)


async def report(karman: AsyncClient, outcome: Any) -> None:
    (work,) = await karman.poll(["a"], wait_seconds=20)
    await karman.report(work.state_id, outcome, lease=work.lease)


async def test_runs_by_tag_and_time(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    odd = {"who": "Ada, B&C=1:ü", "cost center": "7"}
    first = (await karman.trigger("g", tags={**odd, "n": "1"})).run_id
    await asyncio.sleep(0.005)  # another millisecond: runs are listed by time
    second = (await karman.trigger("g", tags={**odd, "n": "2"})).run_id
    assert [run.run_id async for run in karman.runs(tags=odd, page_size=1)] == [second, first]
    assert [run.run_id async for run in karman.runs(tags={**odd, "n": "1"})] == [first]
    assert (await karman.runs_page(tags={"n": "2"}, graph="g")).items[0].tags == {**odd, "n": "2"}
    assert [run async for run in karman.runs(until=NOW - timedelta(days=1))] == []
    assert [run.run_id async for run in karman.runs(until=NOW + timedelta(days=1))] == [second, first]
    for tags in ({"": "x"}, {"a:b": "x"}):
        with pytest.raises(InvalidInput):
            karman.runs(tags=tags)
    with pytest.raises(InvalidInput, match="`until` has no time zone"):
        karman.runs(until=datetime(2999, 1, 1))  # noqa: DTZ001 - the point


async def test_statistics(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    run_id = await api.run()
    await report(karman, Errored("E", "failed", retry=False))
    found = await karman.statistics(graph="g", since=NOW - timedelta(days=1))
    assert (found.runs, dict(found.by_status), found.complete) == (1, {"FAILED": 1}, True)
    assert [(each.identifier, each.states) for each in found.failures] == [("a", 1)]
    run = await karman.run(run_id)
    assert found.durations is not None
    assert run.ended_ms is not None
    assert found.durations.max_ms == run.ended_ms - run.starts_ms
    assert (await karman.statistics(until=NOW - timedelta(days=1))).durations is None


async def test_watching_a_run(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    run_id = await api.run()
    seen: list[RunProgress] = []
    async for progress in karman.watch(run_id):
        seen.append(progress)
        if len(seen) == 1:
            await karman.pause(run_id)
        elif progress.run.status == "PAUSED":
            await karman.resume(run_id)
        elif len(seen) == 3:
            await report(karman, Succeeded(({"x": 1},)))
    assert [each.run.status for each in seen] == ["RUNNING", "PAUSED", "RUNNING", "SUCCEEDED"]
    assert (seen[-1].ended, seen[-1].run.result) == (True, {"x": 1})
    assert [each async for each in karman.watch(run_id)] == [seen[-1]]
    with pytest.raises(NotFound):
        await anext(karman.watch("r0"))


async def test_a_watch_is_over_when_its_time_is(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    run_id = await api.run()
    watch = karman.watch(run_id, timeout=0.1)
    first = await anext(watch)
    with pytest.raises(StillRunning) as caught:
        await anext(watch)
    assert caught.value.run == first.run


async def test_watching_with_the_blocking_client(api: Api, karman: AsyncClient) -> None:
    await api.graph()
    run_id = await api.run()

    def watch(url: str) -> list[str]:
        with Client(url, api_key=ADMIN_KEY, namespace=NS) as blocking:
            seen = []
            for progress in blocking.watch(run_id):
                seen.append(progress.run.status)
                if len(seen) == 1:
                    blocking.pause(run_id)
                elif len(seen) == 2:
                    blocking.cancel(run_id)
            return seen

    async with serving(api.app) as url:
        assert await asyncio.to_thread(watch, url) == ["RUNNING", "PAUSED", "CANCELLED"]


async def test_a_run_that_changes_all_the_time_is_asked_for_now_and_then() -> None:
    watch = watching.ChangeWatch(10)
    watch.begin(100.0)
    assert watch.seconds(100.0) == 0
    run: Any = type("Run", (), {"run_id": "r", "status": "RUNNING"})()
    assert watch.take(RunProgress(run, (), "a", ended=False))
    assert watch.pause(100.004) == pytest.approx(0.006)
    assert watch.seconds(100.01) == pytest.approx(9.99)
    assert not watch.take(RunProgress(run, (), "a", ended=False))
    assert watch.pause(105.0) == 0
    with pytest.raises(StillRunning):
        watch.pause(110.0)
    assert watching.ChangeWatch(None).seconds(1.0) == 0


async def test_deleting_a_graph_and_switching_its_trigger(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    (trigger,) = [each async for each in karman.triggers()]
    off = await karman.disable_trigger("g", trigger.trigger)
    assert (off.enabled, off.next_ms) == (False, ())
    assert (await karman.enable_trigger("g", trigger.trigger)).next_ms == trigger.next_ms
    assert (await karman.graph("g")).version == 3
    await karman.delete_graph("g")
    for call in (karman.graph("g"), karman.delete_graph("g"), karman.enable_trigger("g", trigger.trigger)):
        with pytest.raises(NotFound):
            await call


async def test_namespaces(karman: AsyncClient, api: Api, asgi: httpx.ASGITransport) -> None:
    with pytest.raises(NotFound):
        await karman.describe_namespace()
    made = await karman.create_namespace()
    assert made == await karman.describe_namespace() == await karman.create_namespace()
    await api.graph(OTHER)
    assert [name async for name in karman.namespaces(page_size=1)] == [NS, OTHER]
    key = await api.key("admin")
    quick = Backoff(first_seconds=0)
    async with AsyncClient(URL, api_key=key, namespace=NS, transport=asgi, backoff=quick) as own:
        assert (await own.describe_namespace()).namespace == NS
        with pytest.raises(Forbidden):
            await anext(own.namespaces())


async def test_quotas(karman: AsyncClient, api: Api) -> None:
    assert await karman.quotas() == NamespaceQuotas()
    assert await karman.set_quotas(states_per_second=2) == NamespaceQuotas(states_per_second=2.0)
    assert await karman.quotas() == NamespaceQuotas(states_per_second=2.0)

    with pytest.raises(InvalidRequest):
        await karman.set_quotas(payload_bytes=1)

    await api.graph()
    await karman.set_quotas(payload_bytes=1024)
    with pytest.raises(QuotaExceeded, match="1,024") as refused:
        await karman.trigger("g", {"text": "x" * 1024})
    assert refused.value.retry_after_seconds is None
