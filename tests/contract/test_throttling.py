"""A service that refuses because of its rate: adapters try again, and in the end say that a later call may succeed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from karman_core.domain.errors import Throttled
from karman_core.ports.queue import Outgoing, Queue
from karman_core.ports.table import Add, Key, Put, Query, Table
from tests.contract.backends import BackendPorts, Faults

KEY = Key("p", "s")
ITEM = {"pk": KEY.pk, "sk": KEY.sk}
NAME = "default/workers"

TABLE_CALLS: dict[str, Callable[[Table], Awaitable[object]]] = {
    "get": lambda table: table.get(KEY),
    "batch_get": lambda table: table.batch_get([KEY]),
    "put": lambda table: table.put(ITEM),
    "update": lambda table: table.update(KEY, [Add("n", 1)]),
    "delete": lambda table: table.delete(KEY),
    "batch_write": lambda table: table.batch_write(puts=[ITEM]),
    "transact": lambda table: table.transact([Put(ITEM)]),
    "query": lambda table: table.query(Query("p")),
}
QUEUE_CALLS: dict[str, Callable[[Queue], Awaitable[object]]] = {
    "send": lambda queue: queue.send(NAME, [Outgoing("a")]),
    "receive": lambda queue: queue.receive(NAME),
    "depth": lambda queue: queue.depth(NAME),
}


@pytest.mark.parametrize("call", TABLE_CALLS)
async def test_a_throttled_call_of_the_table_is_repeated(table: Table, faults: Faults, call: str) -> None:
    faults.throttle_next(1)

    await TABLE_CALLS[call](table)


@pytest.mark.parametrize("call", TABLE_CALLS)
async def test_throttling_of_the_table_that_lasts(
    table: Table, faults: Faults, ports: BackendPorts, call: str
) -> None:
    assert ports.throttling_surfaces is not None
    faults.throttle_next(ports.throttling_surfaces)

    with pytest.raises(Throttled) as throttled:
        await TABLE_CALLS[call](table)
    assert throttled.value.retryable


async def test_a_throttled_update_takes_effect_once(table: Table, faults: Faults) -> None:
    faults.throttle_next(2)

    assert await table.update(KEY, [Add("n", 1)]) == {**ITEM, "n": 1}


@pytest.mark.parametrize("call", QUEUE_CALLS)
async def test_a_throttled_call_of_the_queue_is_repeated(queue: Queue, faults: Faults, call: str) -> None:
    await queue.create(NAME)
    faults.throttle_next(1)

    await QUEUE_CALLS[call](queue)


@pytest.mark.parametrize("call", QUEUE_CALLS)
async def test_throttling_of_the_queue_that_lasts(
    queue: Queue, faults: Faults, ports: BackendPorts, call: str
) -> None:
    await queue.create(NAME)
    assert ports.throttling_surfaces is not None
    faults.throttle_next(ports.throttling_surfaces)

    with pytest.raises(Throttled) as throttled:
        await QUEUE_CALLS[call](queue)
    assert throttled.value.retryable
