"""Time-outs, deadlines, and cancellation from outside."""

import asyncio
import threading
import time
from typing import Any

import pytest

from karman import Cancelled, Context, node
from karman._internal import execution as executing
from karman.testing import Errored, Succeeded, aexecute
from tests.sdk.executions import Control, execution, executor


@node(timeout=0.05)
async def sleep_long(seconds: float = 30) -> str:
    await asyncio.sleep(seconds)
    return "slept"


async def test_an_async_node_is_cancelled() -> None:
    seen: list[str] = []

    @node(timeout=0.05)
    async def clean_up() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            seen.append("cleaned up")

    outcome = await aexecute(clean_up)

    assert outcome == Errored("timeout", "The node did not end within its timeout of 0.05 s.")
    assert seen == ["cleaned up"]


async def test_a_node_in_time() -> None:
    @node(timeout=90)
    async def sleep(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "slept"

    assert await aexecute(sleep, seconds=0) == Succeeded(({"result": "slept"},))
    assert await aexecute(sleep_long, seconds=0.1, timeout=90) == Succeeded(({"result": "slept"},))


async def test_which_timeout_counts() -> None:
    @node
    async def unlimited() -> float:
        raise TimeoutError

    runner = executor(sleep_long, default_timeout_seconds=0.03)
    own = await runner.execute(execution("sleep_long"))
    given = await runner.execute(execution("sleep_long", timeout_seconds=0.02))
    default = await executor(patient, default_timeout_seconds=0.03).execute(execution("patient"))

    messages = [outcome.message for outcome in (own, given, default) if isinstance(outcome, Errored)]
    assert [message.rsplit(" of ")[-1] for message in messages] == ["0.05 s.", "0.02 s.", "0.03 s."]


@node
async def patient() -> None:
    await asyncio.sleep(30)


async def test_the_deadline() -> None:
    late = await executor(patient).execute(execution("patient", deadline_ms=0))
    cut = await executor(patient).execute(execution("patient", deadline_ms=40))

    assert isinstance(late, Errored)
    assert isinstance(cut, Errored)
    assert (late.kind, cut.kind) == ("timeout", "timeout")
    assert "The node was stopped after 0.04 s: the run's deadline" in cut.message


async def test_a_thread_is_left_behind_and_told() -> None:
    seen = threading.Event()

    @node(timeout=0.05)
    def work(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.005)
        seen.set()
        ctx.raise_if_cancelled()

    outcome = await aexecute(work)

    assert isinstance(outcome, Errored)
    assert outcome.kind == "timeout"
    assert outcome.message.startswith(
        "The node did not end within its timeout of 0.05 s. Its thread goes on by itself"
    )
    assert await asyncio.to_thread(seen.wait, 90)


async def test_a_node_that_ignores_cancellation_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(executing, "GRACE_SECONDS", 0.05)
    release = asyncio.Event()

    @node(timeout=0.05)
    async def stubborn() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    outcome = await aexecute(stubborn)
    release.set()
    await asyncio.sleep(0)

    assert isinstance(outcome, Errored)
    assert outcome.kind == "timeout"
    assert [record.getMessage() for record in caplog.records] == ["node_ignores_cancellation"]


async def test_a_result_after_the_timeout_does_not_count() -> None:
    @node(timeout=0.05)
    async def late() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "after all"
        return "never"

    outcome = await aexecute(late)

    assert isinstance(outcome, Errored)
    assert outcome.kind == "timeout"


@pytest.mark.parametrize("threaded", [True, False])
async def test_cancellation_from_outside_passes_through(*, threaded: bool) -> None:
    began, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @node
    async def on_loop() -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    @node(name="in_thread")
    def in_thread(ctx: Context) -> None:
        loop.call_soon_threadsafe(began.set)
        while not ctx.cancelled:
            time.sleep(0.005)
        ended.set()

    chosen: Any = in_thread if threaded else on_loop
    work = asyncio.ensure_future(executor(chosen).execute(execution(chosen.node.__name__)))
    await began.wait()
    work.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work
    assert await asyncio.to_thread(ended.wait, 90)


async def test_a_cancelled_run_is_seen_by_the_node() -> None:
    control = Control()

    @node
    async def count(ctx: Context) -> None:
        assert not ctx.cancelled
        await ctx.checkpoint()
        control.cancelled = True
        await ctx.checkpoint()

    outcome = await executor(count).execute(execution("count", control=control))

    assert isinstance(outcome, Errored)
    assert outcome == Errored(
        "cancelled",
        "The node stopped because its execution was cancelled.",
        outcome.traceback,
        retry=False,
    )


async def test_cancelled_may_be_returned_and_is_no_exception() -> None:
    @node
    async def give_up(ctx: Context) -> None:
        try:
            ctx.raise_if_cancelled()
        except Exception:  # noqa: BLE001
            pytest.fail("it was swallowed")

    outcome = await aexecute(give_up, cancelled=True)

    assert isinstance(outcome, Errored)
    assert outcome.kind == "cancelled"
    assert not issubclass(Cancelled, Exception)


async def test_remaining_time() -> None:
    @node(timeout=1_000)
    async def look(ctx: Context) -> float:
        return ctx.remaining()

    outcome = await aexecute(look)

    assert isinstance(outcome, Succeeded)
    assert 900 < outcome.outputs[0]["result"] <= 1_000
