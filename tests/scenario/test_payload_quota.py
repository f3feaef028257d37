"""The quota of payloads: what is sent is refused, what nodes give fails their state at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from karman_core.domain.errors import QuotaExceeded
from karman_core.domain.outcome import Awaiting, Pruned, SentSignal
from karman_core.domain.quotas import NamespaceQuotas
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import fail, give, then

LARGE = {"text": "x" * 2_000}


async def limit(made: World) -> None:
    await made.engine.quotas.set(NS, NamespaceQuotas(payload_bytes=2_000))


@pytest.mark.parametrize(
    "answer",
    [
        LARGE,
        [{"text": "x" * 200}] * 10,
        Pruned(LARGE),
        then({}, signals=(SentSignal("go", LARGE),)),
    ],
)
async def test_a_node_that_gives_too_much_fails_and_is_not_tried_again(answer: Any) -> None:
    async with world({"a": lambda _: answer}) as made:
        await made.define(node("a"))
        await limit(made)

        run_id = await made.start()
        await made.drive()

        run = await check(made, run_id)
        state = await made.state(run_id, "a")
        assert (run.status, state.status) == ("FAILED", "FAILED")
        assert [attempt.error_kind for attempt in state.attempts] == ["quota_exceeded"]
        assert "2,000" in str(state.attempts[0].error_message)


@pytest.mark.parametrize("answer", [{"text": "x" * 1_980}, [{"text": "x" * 170}] * 10, None])
async def test_what_is_within_the_quota_goes_on(answer: Any) -> None:
    async with world({"a": lambda _: answer}) as made:
        await made.define(node("a"))
        await limit(made)

        assert (await made.finish()).status == "SUCCEEDED"


async def test_a_quota_counts_bytes_and_not_characters() -> None:
    async with world({"a": give(text="\N{GREEK SMALL LETTER ALPHA}" * 1_200)}) as made:
        await made.define(node("a"))
        await limit(made)

        assert (await made.finish()).status == "FAILED"


async def skipped(made: World, run: str) -> None:
    await made.engine.operations.skip(NS, run, f"{run}--0", [LARGE], by="me")


async def rerun(made: World, run: str) -> None:
    await made.engine.operations.rerun(NS, run, "a", inputs=LARGE)


async def triggered(made: World, _: str) -> None:
    await made.start(inputs=LARGE)


async def triggered_with_a_store(made: World, _: str) -> None:
    await made.start(store={"key": LARGE})


@pytest.mark.parametrize("ask", [skipped, rerun, triggered, triggered_with_a_store])
async def test_what_is_sent_is_refused_and_changes_nothing(
    ask: Callable[[World, str], Awaitable[None]],
) -> None:
    async with world({"a": fail}) as made:
        await made.define(node("a"))
        run = await made.finish()
        await limit(made)

        with pytest.raises(QuotaExceeded, match="2,000"):
            await ask(made, run.run_id)

        assert (await made.view(run.run_id)).status == "FAILED"
        assert len((await made.engine.list_runs(NS)).runs) == 1


async def test_a_signal_is_refused_too() -> None:
    async with world({"a": lambda execution: {} if execution.resumed else Awaiting("go")}) as made:
        await made.define(node("a"))
        run = await made.start()
        await limit(made)
        with pytest.raises(QuotaExceeded, match="signal 'go'"):
            await made.engine.signal(NS, run, "go", LARGE)
        await made.engine.signal(NS, run, "go", {})

        await made.drive()

        await check(made, run)
