"""A deployment at one moment, as plain JSON: every item, message, timer, schedule and blob, and what time it is."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from karman_core.backends.embedded import items
from karman_core.ports.queue import Outgoing
from karman_core.ports.timers import Schedule, Timer
from tests.scenario.harness import World

Snapshot = dict[str, Any]


async def take(world: World) -> Snapshot:
    """All that the backend of a world holds, but for secrets, which have a key of their own."""
    with world.backend.database.read() as connection:
        kept = [
            {"pk": pk, "sk": sk, **json.loads(body)}
            for pk, sk, body in connection.execute("SELECT pk, sk, body FROM items ORDER BY pk, sk")
        ]
        messages = [
            {"queue": name, "body": body, "receives": receives, "due_ms": hidden}
            for name, body, receives, hidden in connection.execute(
                "SELECT name, body, receives, hidden_until FROM messages"
                " JOIN queues ON queues.id = messages.queue ORDER BY seq"
            )
        ]
        timers = [
            {"name": name, "queue": queue, "at_ms": at_ms, "body": body}
            for name, queue, at_ms, body in connection.execute(
                "SELECT name, queue, at_ms, body FROM timers ORDER BY name"
            )
        ]
        blobs = [name for (name,) in connection.execute("SELECT name FROM blobs ORDER BY name")]
    return {
        "now_ms": world.clock.now_ms(),
        "queues": sorted(world.backend.queue.queues()),
        "items": kept,
        "messages": messages,
        "timers": timers,
        "schedules": [
            [each.namespace, each.graph, each.trigger, each.cron, each.timezone, each.enabled]
            for each in await world.backend.schedules.list()
        ],
        "blobs": {
            name: base64.b64encode(await world.backend.blobs.get(name)).decode("ascii") for name in blobs
        },
    }


async def put_back(world: World, snapshot: Mapping[str, Any]) -> None:
    """Make an empty world's backend hold a snapshot. Messages that were in flight come back when their leases end."""
    world.clock.advance_to(snapshot["now_ms"])
    await put_items(world, snapshot)
    for queue in snapshot["queues"]:
        await world.backend.queue.create(queue)
    for message in snapshot["messages"]:
        await _send(world, message)
    for timer in snapshot["timers"]:
        await world.backend.timers.set(Timer(**timer))
    for schedule in snapshot["schedules"]:
        await world.backend.schedules.put(Schedule(*schedule))


async def put_items(world: World, snapshot: Mapping[str, Any]) -> None:
    """The table and the blobs alone, as a restored backup has them."""
    await world.backend.table.batch_write([item_of(kept) for kept in snapshot["items"]])
    for name, data in snapshot["blobs"].items():
        await world.backend.blobs.put(name, base64.b64decode(data))


def item_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The item, with its bytes and sets."""
    rest = {name: value for name, value in kept.items() if name not in {"pk", "sk"}}
    return items.decode(kept["pk"], kept["sk"], json.dumps(rest))


async def _send(world: World, message: Mapping[str, Any]) -> None:
    due, now = message["due_ms"], world.clock.now_ms()
    delay = 0 if due is None else max(0, due - now) / 1000
    await world.backend.queue.send(message["queue"], [Outgoing(message["body"], delay)])
    with world.backend.database.write() as connection:
        connection.execute(
            "UPDATE messages SET receives = ? WHERE seq = (SELECT max(seq) FROM messages)",
            (message["receives"],),
        )


def text(document: Mapping[str, Any]) -> str:
    """The JSON, one entry a line, so that changes can be read."""
    parts = []
    for name, value in document.items():
        if isinstance(value, list) and value:
            lines = ",\n".join(f"  {_line(each)}" for each in value)
            parts.append(f" {_line(name)}: [\n{lines}\n ]")
        elif isinstance(value, dict) and value:
            lines = ",\n".join(f"  {_line(key)}: {_line(each)}" for key, each in value.items())
            parts.append(f" {_line(name)}: {{\n{lines}\n }}")
        else:
            parts.append(f" {_line(name)}: {_line(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
