"""A release and the one before it at work on the same runs: neither fails them, whatever the later one has changed."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from karman_core.backends.observers import RunLog
from karman_core.domain.errors import KarmanError, NewerLayout
from karman_core.domain.outcome import Awaiting, StoreIncrement, Succeeded
from karman_core.engine.passing_on import MOST_PASSES
from karman_core.ports.executor import Execution
from karman_core.ports.observer import MessagePassedOn, Observation
from karman_core.ports.queue import MAX_DELAY_SECONDS
from tests.scenario.groups import DEEP
from tests.scenario.harness import HOME, NS, node
from tests.scenario.nodes import Answer, count_to, give, give_inputs, then
from tests.upgrade.releases import ITEMS, MESSAGES, TwoReleases


def count(execution: Execution) -> Answer:
    return then({"y": execution.inputs["x"]}, StoreIncrement("n", 1))


def ask(execution: Execution) -> Answer:
    return (
        Succeeded(({"said": execution.resumed.payload},)) if execution.resumed else Awaiting("go", 86_400_000)
    )


SCRIPTS = {"a": count_to(7), "b": count, "u": give_inputs, "ask": ask, "told": give_inputs, "one": give(x=1)}
WIDE = (
    node("a", "b"),
    node("b", "u", x="${{ a.outputs.x }}"),
    node("u", "ask", unites="a", ys="${{ b.outputs.y }}"),
    node("ask", "told"),
    node("told", said="${{ ask.outputs.said }}", ys="${{ u.outputs.ys }}"),
)


class Passes:
    """Keeps what was passed on."""

    def __init__(self) -> None:
        self.seen: list[MessagePassedOn] = []

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, MessagePassedOn):
            self.seen.append(observation)


def two(*kinds: str, seed: int = 0, observer: Any = None) -> TwoReleases:
    return TwoReleases(SCRIPTS, kinds=kinds, seed=seed, settings=DEEP, observer=observer)


@pytest.mark.parametrize(
    "kinds", [(kind,) for kind in (*ITEMS, MESSAGES)] + [(*ITEMS, MESSAGES)], ids="+".join
)
async def test_runs_end_as_ever(kinds: tuple[str, ...]) -> None:
    found = [await ends_as_ever(kinds, seed) for seed in range(6)]
    assert any(found)


async def ends_as_ever(kinds: tuple[str, ...], seed: int) -> bool:
    """Whether the later release has left its mark on a run that is right in all that counts."""
    w = two(*kinds, seed=seed)
    w.repeats, w.order = 0.1, random.Random(seed)
    await w.define(*WIDE, store_config={"default_values": {"n": 0}})
    engine = w.later if seed % 2 else w.engine
    run_id = (await engine.trigger(NS, "g")).run_id
    await w.drive(until=lambda: _status(w, run_id, "WAITING"))
    await w.later.signal(NS, run_id, "go", "yes")
    await w.drive()

    run = await w.later.get_run(NS, run_id)
    assert run.status == "SUCCEEDED"
    assert run.result == {"said": "yes", "ys": list(range(7))}
    assert (run.totals.succeeded, run.totals.failed) == (11, 0)
    assert await w.later.read_store(NS, run_id) == {"n": 7}
    assert w.backend.queue.dead_letters(HOME) == []
    marked = bool(w.later_items()) or '"karman": 2' in str(w.bodies)
    w.backend.close()
    return marked


async def test_a_worker_that_is_behind_passes_on_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    passes = Passes()
    w = two("states", observer=passes)
    await w.define(*WIDE)
    w.share = 1.0
    run_id = await w.start()
    for _ in range(3):
        await w.work()
    w.share = 0.0
    for _ in range(40):
        w.skip_time()
        await w.work()

    assert (await w.later.get_run(NS, run_id)).status == "RUNNING"
    assert await w.later.list_states(NS, run_id, status="FAILED") == await w.later.list_states(
        NS, run_id, status="RETRYING"
    )
    delays = [seen.delay_seconds for seen in passes.seen]
    assert delays[0] == 2
    assert max(delays) > 100
    assert (
        "by a later release of Karman (layout 2; this one knows 1): upgrade this one" in passes.seen[0].reason
    )
    RunLog().observe(passes.seen[0])
    assert "message left to a later release" in caplog.text

    w.share = 1.0
    await w.drive(until=lambda: _status(w, run_id, "WAITING"))
    w.backend.close()


async def _status(w: TwoReleases, run_id: str, status: str) -> bool:
    return bool((await w.later.list_states(NS, run_id, status=status)).states)


async def test_passing_on_counts_no_crash() -> None:
    w = two(MESSAGES)
    await w.define(node("one"))
    await w.later.trigger(NS, "g")
    w.share = 0.0
    for _ in range(50):
        w.skip_time()
        await w.work()
    w.share = 1.0
    await w.drive()

    (run,) = (await w.engine.list_runs(NS)).runs
    assert run.status == "SUCCEEDED"
    (state,) = await w.states(run.run_id)
    assert [attempt.error_kind for attempt in state.attempts] == [None]
    assert w.executor.executed["one"] == 1
    w.backend.close()


async def test_a_message_that_nobody_takes_is_buried_in_the_end() -> None:
    w = two()
    await w.define(node("one"))
    await w.send_body(
        json.dumps({"karman": 2, "k": "dance", "ns": NS, "id": "r1", "passed": MOST_PASSES - 1})
    )
    await w.process(await w.take())
    w.clock.advance(MAX_DELAY_SECONDS)
    assert w.backend.queue.dead_letters(HOME) == []
    message = await _last(w)
    assert json.loads(message.body)["passed"] == MOST_PASSES
    await w.process(message)
    (letter,) = w.backend.queue.dead_letters(HOME)
    assert "nobody took it" in letter.reason
    w.backend.close()


async def _last(w: TwoReleases) -> Any:
    *_, message = await w.backend.queue.receive(HOME, limit=10)
    return message


async def test_dead_letters_of_a_later_release_stay_where_they_are() -> None:
    w = two("states")
    await w.define(*WIDE)
    w.share = 1.0
    run_id = await w.start()
    await w.work()
    await w.work()
    (message, *_) = await w.backend.queue.receive(HOME, limit=10)
    await w.later.process(HOME, message)
    with pytest.raises(NewerLayout):
        await w.engine.dead_letter(HOME, message)
    assert (await w.later.get_run(NS, run_id)).status == "RUNNING"
    assert await w.later.dead_letter(HOME, message)
    w.backend.close()


async def test_an_api_that_is_behind_says_what_to_do_and_lists_the_rest() -> None:
    w = two("headers")
    await w.define(node("one"))
    w.share = 1.0
    theirs = (await w.later.trigger(NS, "g", tags={"who": "x"})).run_id
    await w.work()
    w.share = 0.0
    ours = await w.start(tags={"who": "x"})
    await w.drive()

    for call in (w.api().get_run(NS, theirs), w.api().retry(NS, theirs), w.api().signal(NS, theirs, "go")):
        with pytest.raises(NewerLayout, match="upgrade this one") as refused:
            await call
        error: KarmanError = refused.value
        assert (error.code, error.status) == ("newer_layout", 503)
    for found in (await w.api().list_runs(NS), await w.api().list_runs(NS, tags={"who": "x"})):
        assert [run.run_id for run in found.runs] == [ours]
    w.backend.close()


async def test_a_sweeper_that_is_behind_sweeps_the_rest() -> None:
    w = two("headers")
    await w.define(node("one", "ask"), node("ask"))
    w.share = 1.0
    await w.later.trigger(NS, "g")
    await w.work()
    w.share = 0.0
    ours = await w.start()
    await w.lose_messages()
    w.clock.advance(2 * 3600)
    report = await w.engine.sweep()
    assert (report.looked_at, report.failed) == (2, 1)
    w.share = 1.0
    await w.drive(until=lambda: _status(w, ours, "WAITING"))
    w.backend.close()


async def test_a_worker_over_http_gets_nothing_of_a_later_release_from_an_api_that_is_behind() -> None:
    w = two("states", MESSAGES)
    await w.define(node("one", "told"), node("told"))
    await w.later.trigger(NS, "g")
    assert await w.api().poll(NS, ["one", "told"]) == []
    w.clock.advance(2)
    (work,) = await w.later.poll(NS, ["one", "told"])
    assert work.attempt == 1
    with pytest.raises(NewerLayout):
        await w.api().report(NS, work.state_id, Succeeded(({},)), lease=work.lease)
    report = await w.later.report(NS, work.state_id, Succeeded(({},)), lease=work.lease)
    assert report.status == "SUCCEEDED"
    w.backend.close()


async def test_a_node_that_reads_what_a_later_release_wrote_has_not_failed() -> None:
    async def read(execution: Execution) -> Answer:
        try:
            return {"n": await execution.read_store("n")}
        except NewerLayout:
            return {"n": "hidden by the node"}

    w = TwoReleases({"r": read, "w": lambda _: then({}, StoreIncrement("n", 1))}, kinds=["store"], seed=0)
    await w.define(node("w", "r"), node("r"), name="g", store_config={"default_values": {"n": 0}})
    w.share = 1.0
    run_id = (await w.later.trigger(NS, "g", store={"n": 1})).run_id
    w.share = 0.0
    for _ in range(3):
        await w.work()
        w.clock.advance(10)
    assert (await w.view(run_id)).status == "RUNNING"
    w.share = 1.0
    await w.drive()
    assert (await w.view(run_id)).result == {"n": 2}
    w.backend.close()


def test_nobody_works_on_a_table_without_the_guard() -> None:
    layers = [Path(__file__).parents[2] / name for name in ("core", "functions", "runtime", "cli")]
    sources = {path: path.read_text(encoding="utf-8") for layer in layers for path in layer.rglob("*.py")}
    made = {
        path.name: re.findall(r"\bServices\(\s*(\w+)", text)
        for path, text in sources.items()
        if "karman_core.engine.services import Services" in text and re.search(r"\bServices\(\s*\w", text)
    }
    assert made == {
        "engine.py": ["guarded"],
        "inspecting.py": ["LayoutBackend"],
        "webhooks.py": ["LayoutBackend"],
    }
