"""Workers of two releases side by side: this one, and one that is this one but for a later layout.

The later one knows layout 2, and writes it into the kinds of items and messages that a test names, with an attribute
that this release has never heard of.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from karman_core.domain.layouts import ATTRIBUTE, FIRST, LAYOUT
from karman_core.engine import Disposition, Engine
from karman_core.ports.backend import Backend
from karman_core.ports.queue import Incoming, Outgoing
from karman_core.ports.table import Action, Condition, Item, Key, Put, Set, Update, Write
from karman_core.ports.timers import Timer
from tests.scenario.faults import Crashed
from tests.scenario.harness import HOME, RUNTIME, World

NEXT = LAYOUT + 1
ADDED = "added_later"
MESSAGES = "messages"
ITEMS: Mapping[str, Callable[[Key], bool]] = {
    "headers": lambda key: key.sk == "header",
    "controls": lambda key: key.sk == "control",
    "states": lambda key: "#b#" in key.pk,
    "joins": lambda key: "#j#" in key.pk,
    "store": lambda key: key.pk.endswith("#store"),
    "signals": lambda key: "#sig#" in key.pk,
}


class LaterBackend:
    """A backend as the later release writes it."""

    def __init__(self, backend: Backend, kinds: Collection[str]) -> None:
        self._backend = backend
        self.table = cast("Any", LaterTable(backend.table, kinds))
        self.queue = cast("Any", LaterQueue(backend.queue, kinds))
        self.timers = cast("Any", LaterTimers(backend.timers, kinds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


class _Later:
    def __init__(self, port: Any, kinds: Collection[str]) -> None:
        self._port = port
        self._kinds = kinds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def _body(self, body: str) -> str:
        if MESSAGES not in self._kinds:
            return body
        return json.dumps({**json.loads(body), "karman": NEXT, ADDED: True})


class LaterQueue(_Later):
    """Its messages."""

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        await self._port.send(
            queue, [replace(message, body=self._body(message.body)) for message in messages]
        )


class LaterTimers(_Later):
    """Its timers."""

    async def set(self, timer: Timer) -> None:
        await self._port.set(replace(timer, body=self._body(timer.body)))


class LaterTable(_Later):
    """Its items."""

    async def put(self, item: Item, condition: Condition | None = None) -> None:
        await self._port.put(self._item(item), condition)

    async def update(self, key: Key, actions: Sequence[Action], condition: Condition | None = None) -> Item:
        return cast("Item", await self._port.update(key, self._actions(key, actions), condition))

    async def batch_write(self, puts: Iterable[Item] = (), deletes: Iterable[Key] = ()) -> None:
        await self._port.batch_write([self._item(item) for item in puts], deletes)

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._port.transact([self._write(write) for write in writes])

    def _write(self, write: Write) -> Write:
        if isinstance(write, Put):
            return replace(write, item=self._item(write.item))
        if isinstance(write, Update):
            return replace(write, actions=tuple(self._actions(write.key, write.actions)))
        return write

    def _item(self, item: Item) -> Item:
        return {**item, ATTRIBUTE: NEXT, ADDED: 1} if self._changed(Key(item["pk"], item["sk"])) else item

    def _actions(self, key: Key, actions: Sequence[Action]) -> Sequence[Action]:
        return [*actions, Set(ATTRIBUTE, NEXT), Set(ADDED, 1)] if self._changed(key) else actions

    def _changed(self, key: Key) -> bool:
        return any(ITEMS[kind](key) for kind in self._kinds if kind != MESSAGES)


class TwoReleases(World):
    """A world in which each message is delivered to a worker of this release or of the later one.

    Attributes:
        share: of the messages that the later release's worker gets.
        passed: how often the earlier release's worker changed nothing of what it was given.
    """

    def __init__(self, *arguments: Any, kinds: Collection[str], seed: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kinds = kinds
        self.share = 0.5
        self.chance = random.Random(f"releases {seed}")
        self.later = self.later_engine()

    def later_engine(self) -> Engine:
        """Of a process of the later release."""
        return Engine(
            cast("Backend", LaterBackend(self.backend, self.kinds)),
            clock=self.clock,
            entropy=self.entropy,
            executor=self.executors[RUNTIME],
            settings=self.settings,
            layout=NEXT,
        )

    async def _deliver(self, queue: str, message: Incoming) -> None:
        if self.chance.random() < self.share:
            self.bodies.append((queue, message.body))
            if self.chance.random() < 0.1:
                return
            assert await self.later.process(queue, message) is Disposition.DONE
            await self.backend.queue.delete(queue, [message.receipt])
            return
        before = self.later_items()
        try:
            await super()._deliver(queue, message)
        except Crashed:
            self.restart()
        after = self.later_items()
        assert {key: after.get(key) for key in before} == before, (
            "this release has changed what is a later one's"
        )

    def later_items(self) -> dict[Key, str]:
        """Items of the later layout, as they are."""
        with self.backend.database.read() as connection:
            rows = connection.execute(
                "SELECT pk, sk, body FROM items WHERE json_extract(body, '$.v') > ?", (FIRST,)
            ).fetchall()
        return {Key(pk, sk): body for pk, sk, body in rows}


__all__ = ["ADDED", "HOME", "ITEMS", "MESSAGES", "NEXT", "TwoReleases"]
