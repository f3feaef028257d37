"""How fast the embedded backend's ports are on this machine: `python bench/embedded_ports.py`, under 20 seconds."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.ports.queue import Outgoing, Queue
from karman_core.ports.table import (
    Absent,
    Add,
    Check,
    Equals,
    Key,
    Lacks,
    Present,
    Put,
    Query,
    Set,
    Table,
    Update,
)

SECONDS_A_CASE = 1.0
DEEP = 100_000
BATCH = 10
QUEUE = "default/workers"
TEXT = "x" * 600
BODY = '{"branch": "0.1.2", "turn": 0, "inputs": "' + "x" * 700 + '"}'

Case = Callable[[int], Awaitable[int]]
"""Does one round, numbered from 0, and returns how many operations that were."""


class TableCases:
    """What the engine asks of the table most."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def by_name(self) -> dict[str, Case]:
        """The cases in an order in which the later ones find what they read."""
        return {
            "table: put if absent": self._put,
            "table: update on condition": self._commit,
            "table: arrive at a join of 200": self._arrive,
            "table: get": self._get,
            "table: items by query, 100 a page": self._query,
            "table: transaction of three": self._transact,
        }

    async def _put(self, round_: int) -> int:
        key = {"pk": f"run#{round_ // 100}", "sk": f"{round_:06}"}
        await self._table.put({**key, "turn": 1, "status": "SUCCEEDED", "outputs": TEXT}, Absent())
        return 1

    async def _commit(self, round_: int) -> int:
        actions = (Set("turn", round_ + 1), Set("status", "SUCCEEDED"), Set("outputs", TEXT))
        condition = Equals("turn", round_) if round_ else Absent()
        await self._table.update(Key("commit", "state"), actions, condition)
        return 1

    async def _arrive(self, round_: int) -> int:
        actions = (Add("succeeded", frozenset({round_ % 200})), Add("states", 3), Set("last", round_))
        await self._table.update(Key("join", str(round_ // 200)), actions, Lacks("succeeded", round_ % 200))
        return 1

    async def _get(self, round_: int) -> int:
        await self._table.get(Key("run#0", f"{round_ % 100:06}"))
        return 1

    async def _query(self, _: int) -> int:
        return len((await self._table.query(Query("run#0"))).items)

    async def _transact(self, round_: int) -> int:
        await self._table.transact(
            [
                Put({"pk": "transactions", "sk": str(round_), "text": TEXT}),
                Update(Key("transactions", "count"), (Add("count", 1),)),
                Check(Key("run#0", "000000"), Present()),
            ]
        )
        return 1


def queue_cases(queue: Queue) -> dict[str, Case]:

    async def cycle(round_: int) -> int:
        await queue.send(QUEUE, [Outgoing(BODY, fair_group=f"run-{round_ % 50}") for _ in range(BATCH)])
        received = await queue.receive(QUEUE)
        await queue.delete(QUEUE, [message.receipt for message in received])
        return len(received)

    async def single(_: int) -> int:
        await queue.send(QUEUE, [Outgoing(BODY)])
        received = await queue.receive(QUEUE, limit=1)
        await queue.delete(QUEUE, [message.receipt for message in received])
        return len(received)

    return {"queue: send, receive, delete by 10": cycle, "queue: send, receive, delete by 1": single}


async def measure(name: str, case: Case) -> None:
    operations = rounds = 0
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < SECONDS_A_CASE:
        operations += await case(rounds)
        rounds += 1
    print(f"{name:<52}{operations / took:>10,.0f} /s")


async def measure_all(backend: EmbeddedBackend) -> None:
    await backend.queue.create(QUEUE)
    for name, case in TableCases(backend.table).by_name().items():
        await measure(name, case)
    for name, case in queue_cases(backend.queue).items():
        await measure(name, case)
    for start in range(0, DEEP, 1000):
        await backend.queue.send(QUEUE, [Outgoing(BODY, fair_group=f"run-{start}") for _ in range(1000)])
    for name, case in queue_cases(backend.queue).items():
        await measure(f"{name}, {DEEP:,} deep", case)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        backend = EmbeddedBackend.open(
            Path(directory) / "bench.db", clock=SystemClock(), entropy=SystemEntropy()
        )
        try:
            asyncio.run(measure_all(backend))
        finally:
            backend.close()


if __name__ == "__main__":
    main()
