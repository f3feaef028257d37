"""The oldest unfinished run, among those of all shards of the index."""

from __future__ import annotations

from karman_core.domain.outcome import Awaiting
from karman_core.engine.oldest import oldest_unfinished
from tests.scenario.harness import NS, node, world


async def test_it_is_the_first_that_began_and_has_not_ended() -> None:
    async with world({"a": lambda _: Awaiting("s", None)}) as w:
        await w.define(node("a"))
        assert await oldest_unfinished(w.backend.table) is None
        begun = []
        for _ in range(40):  # more than there are shards
            begun.append(await w.start())
            await w.work()
            w.clock.advance(1.0)
        for run_id in begun[:20]:
            header = await oldest_unfinished(w.backend.table)
            assert header is not None
            assert header.run.run_id == run_id
            await w.engine.operations.cancel(NS, run_id)
            await w.work()
