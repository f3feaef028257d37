"""A process that writes to an embedded database until it is killed: `python embedded_writer.py PATH NAME [ROUNDS]`.

After each round it prints the round's number. What was printed was acknowledged by every port and must be there later.
"""

from __future__ import annotations

import asyncio
import sys

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.ports.queue import Outgoing
from karman_core.ports.table import Add, Append, Key, Put, Set, Update
from karman_core.ports.timers import Timer

QUEUE = "default/workers"
SHARED = Key("shared", "item")
FOREVER = 10**9


def pair(name: str) -> tuple[Key, Key]:
    """Two items that one transaction changes, so always alike."""
    return Key(name, "left"), Key(name, "right")


async def write_round(backend: EmbeddedBackend, name: str, number: int) -> None:
    await backend.table.put({"pk": name, "sk": f"{number:06}", "text": "x" * (number * 97 % 5000)})
    await backend.table.update(
        SHARED, [Add(name, 1), Add("total", 1), Add("members", frozenset({f"{name}-{number}"}))]
    )
    left, right = pair(name)
    await backend.table.transact(
        [
            Update(left, (Set("number", number), Append("list", (number,)))),
            Update(right, (Set("number", number), Append("list", (number,)))),
            Put({"pk": f"{name}-transactions", "sk": f"{number:06}"}),
        ]
    )
    await backend.queue.send(QUEUE, [Outgoing(f"{name}-{number}"), Outgoing(f"{name}-{number}-again")])
    await backend.timers.set(Timer(f"{name}-{number}", 0, QUEUE, f"{name}-{number}-timer"))
    await backend.blobs.put(f"{name}/{number}", f"{name}-{number}".encode() * 1000)


async def write(path: str, name: str, rounds: int) -> None:
    # Whoever holds the lock may stand still for long, on a machine that has much to do.
    backend = EmbeddedBackend.open(path, clock=SystemClock(), entropy=SystemEntropy(), busy_seconds=120)
    await backend.queue.create(QUEUE)
    for number in range(rounds):
        await write_round(backend, name, number)
        print(number, flush=True)  # noqa: T201 - how it tells the test
    backend.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else FOREVER))
