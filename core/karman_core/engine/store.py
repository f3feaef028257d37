"""The run's store: JSON values by key, read by inputs and nodes, written with the commits of states.

A write is read, computed and put under the condition that the item's version is still the one that was read, in one
transaction with the state's record. A deleted key leaves a tombstone, so that neither the graph's default nor the
trigger's value comes back. What the trigger gave is kept beside what was written over it, for a run that begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from karman_core.domain.definition import JSON, STORE_KEY_PATTERN
from karman_core.domain.errors import ConditionFailed, InvalidInput
from karman_core.domain.json_values import json_problems
from karman_core.domain.outcome import StoreWrite
from karman_core.domain.store import ABSENT, apply_writes
from karman_core.engine import keys
from karman_core.engine.paging import every
from karman_core.engine.payloads import pack, unpack
from karman_core.engine.services import Services
from karman_core.ports.table import Absent, Equals, Item, Key, Put, Query

_KEY = re.compile(STORE_KEY_PATTERN)


@dataclass(frozen=True, slots=True)
class RunStore:
    """The store of one run; `defaults` are the graph's."""

    services: Services
    namespace: str
    run_id: str
    defaults: Mapping[str, JSON]

    async def read(self, names: Iterable[str]) -> dict[str, JSON]:
        """The values that exist among the keys."""
        wanted = [self._key(name) for name in dict.fromkeys(names)]
        items = await self.services.backend.table.batch_get(wanted) if wanted else {}
        values = {key.sk: self._value(key.sk, items.get(key)) for key in wanted}
        return {name: value for name, value in values.items() if value is not ABSENT}

    async def read_one(self, name: str) -> JSON:
        """The value of a key, None when it has none."""
        return (await self.read([name])).get(name)

    async def everything(self) -> dict[str, JSON]:
        """Every key and value, defaults included."""
        values: dict[str, JSON] = dict(self.defaults)
        query = Query(keys.store(self.namespace, self.run_id))
        async for item in every(self.services.backend.table, query):
            values[item["sk"]] = self._value(item["sk"], item)
        return {name: value for name, value in sorted(values.items()) if value is not ABSENT}

    async def begin(self, values: Mapping[str, JSON]) -> None:
        """What a trigger gives, written before the run's header; a key that a node has written since is left alone."""
        for name, value in values.items():
            item = {**self._item(self._key(name), 1, value), "given": True}
            with suppress(ConditionFailed):
                await self.services.backend.table.put(item, Absent())

    async def begin_as(self, run_id: str, *, anew: bool) -> None:
        """Begin with another run's values instead: as they are now, or with `anew` as its trigger gave them."""
        async for item in every(self.services.backend.table, Query(keys.store(self.namespace, run_id))):
            copy = _given(item) if anew else item
            if copy is not None:
                key = self._key(item["sk"])
                own = {**copy, "pk": key.pk, "sk": key.sk, "ttl": self.services.ttl()}
                with suppress(ConditionFailed):
                    await self.services.backend.table.put(own, Absent())

    async def writes(self, changes: Iterable[StoreWrite]) -> list[Put]:
        """The conditional puts that make the changes, from the values as they are now.

        Raises:
            InvalidInput: a key that cannot be one, an increment of something that is no number, an append to something
                that is no list.
        """
        changes = list(changes)
        for change in changes:
            if not _KEY.fullmatch(change.key) or json_problems(change.key):
                raise InvalidInput(
                    f"{change.key[:64]!r} is no store key: those have 1 to 128 characters, no dot and no whitespace."
                )
        wanted = [self._key(change.key) for change in changes]
        items = await self.services.backend.table.batch_get(wanted)
        before = {key.sk: self._value(key.sk, items.get(key)) for key in wanted}
        after = apply_writes(before, changes)
        puts = []
        for name, value in after.items():
            key = self._key(name)
            old = items.get(key)
            version = old["ver"] if old else 0
            condition = Equals("ver", version) if old else Absent()
            puts.append(Put({**self._item(key, version + 1, value), **_kept(old)}, condition))
        return puts

    def _key(self, name: str) -> Key:
        return Key(keys.store(self.namespace, self.run_id), name)

    def _value(self, name: str, item: Item | None) -> JSON:
        if item is None:
            return self.defaults.get(name, ABSENT)
        return unpack(item["value"]) if "value" in item else ABSENT

    def _item(self, key: Key, version: int, value: JSON) -> dict[str, Any]:
        item: dict[str, Any] = {"pk": key.pk, "sk": key.sk, "ver": version, "ttl": self.services.ttl()}
        return item if value is ABSENT else {**item, "value": pack(value)}


def _kept(old: Item | None) -> dict[str, Any]:
    """What stays of an item that is written over: the value that the trigger gave."""
    if old is None:
        return {}
    if "first" in old:
        return {"first": old["first"]}
    return {"first": old["value"]} if "given" in old else {}


def _given(item: Item) -> dict[str, Any] | None:
    """An item as the trigger gave it, None if it gave none."""
    if "given" in item:
        return dict(item)
    return {"ver": 1, "value": item["first"], "given": True} if "first" in item else None
