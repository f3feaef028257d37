"""Nodes that are no `async def` run in threads, a bounded number at a time."""

import asyncio
import contextvars
import threading
import time

from karman import Context, node
from karman._internal.threads import Returned, Threads
from karman.testing import Errored, Succeeded, aexecute
from tests.leaping import leap
from tests.sdk.executions import execution, executor

REQUEST = contextvars.ContextVar("REQUEST", default="none")


async def test_context_variables_are_copied() -> None:
    @node
    def read() -> str:
        value = REQUEST.get()
        REQUEST.set("changed in the thread")
        return value

    REQUEST.set("from the caller")

    assert await aexecute(read) == Succeeded(({"result": "from the caller"},))
    assert REQUEST.get() == "from the caller"


async def test_no_more_threads_than_allowed() -> None:
    lock, both, now, most = threading.Lock(), threading.Barrier(2, timeout=90), 0, 0

    @node
    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()
        time.sleep(0.01)
        with lock:
            now -= 1

    runner = executor(work, threads=2)
    outcomes = await asyncio.gather(*(runner.execute(execution("work")) for _ in range(12)))

    assert outcomes == [Succeeded(({},))] * 12
    assert most == 2


async def test_waiting_for_a_thread_is_not_timed() -> None:
    began, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @node
    def hold() -> None:
        loop.call_soon_threadsafe(began.set)
        release.wait(90)

    @node(timeout=500)
    def work() -> None: ...

    runner = executor(hold, work, threads=1)
    holding = asyncio.create_task(runner.execute(execution("hold")))
    await began.wait()
    waiting = asyncio.create_task(runner.execute(execution("work")))
    await asyncio.sleep(0)
    assert runner.waits("run-1--0")
    leap(1_000)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    release.set()

    assert [await holding, await waiting] == [Succeeded(({},))] * 2


async def test_abandoned_threads_do_not_take_the_place_of_others() -> None:
    release = threading.Event()

    @node(timeout=0.02)
    def hang() -> None:
        release.wait(200)

    @node
    def quick() -> None: ...

    runner = executor(hang, quick, threads=1)
    outcomes = [await runner.execute(execution("hang")) for _ in range(3)]
    last = await asyncio.wait_for(runner.execute(execution("quick")), 90)
    release.set()

    assert [outcome.kind for outcome in outcomes if isinstance(outcome, Errored)] == ["timeout"] * 3
    assert last == Succeeded(({},))


async def test_threads_are_reused_and_end_when_closed() -> None:
    threads = Threads(4)

    names = {(await threads.run(threading.get_ident)) for _ in range(5)}
    before = threading.active_count()
    threads.close()
    for _ in range(9_000):
        if threading.active_count() < before:
            break
        await asyncio.sleep(0.01)

    assert len(names) == 1
    assert all(isinstance(each, Returned) for each in names)
    assert threading.active_count() < before


async def test_async_nodes_run_on_the_callers_loop() -> None:
    @node
    async def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    @node
    def elsewhere(ctx: Context) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await aexecute(where) == Succeeded(({"result": True},))
    assert await aexecute(elsewhere) == Succeeded(({"result": False},))
