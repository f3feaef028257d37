"""The run's store, as a node sees it."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from karman._internal.journal import Journal
from karman._internal.json_values import to_json
from karman._internal.loops import on_loop
from karman._internal.outcomes import Cancelled
from karman.errors import InvalidInput
from karman_core.domain.definition import JSON
from karman_core.domain.outcome import StoreAppend, StoreDelete, StoreIncrement, StoreSet, StoreWrite
from karman_core.domain.store import ABSENT, apply_writes

_KEY = re.compile(r"[^.\s]{1,128}")


class Store:
    """Key-value data of the run. Reading asks the backend; writing does not.

    Writes are buffered: the node sees them in its own later reads, everyone else with the state's commit. An attempt
    that fails writes nothing, and a state's writes take effect once, however often it was attempted. So writes are
    plain methods, in `async def` nodes and in threads alike; reading is `await store.get(...)` in the former and
    `store.get_sync(...)` in the latter.
    """

    def __init__(
        self, journal: Journal, read: Callable[[str], Awaitable[JSON]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._journal = journal
        self._read = read
        self._loop = loop

    async def get(self, key: str, default: JSON = None) -> JSON:
        """The key's value with this node's own writes; `default` when it has none (or null).

        Raises:
            InvalidInput: if the key is malformed, or holds something that this node's writes do not fit.
        """
        writes = self._writes_to(_checked(key))
        return _replay(key, writes, None if _overwrites(writes) else await self._read(key), default)

    def get_sync(self, key: str, default: JSON = None) -> JSON:
        """As `get`, for nodes that are no `async def` and so run in threads.

        Raises:
            InvalidInput: as `get`, and if called on the event loop, where it would wait for itself.
        """
        if on_loop():
            raise InvalidInput("store.get_sync was called in an async node; use `await store.get(...)`.")
        writes = self._writes_to(_checked(key))
        return _replay(key, writes, None if _overwrites(writes) else self._read_from_thread(key), default)

    def set(self, key: str, value: Any) -> None:  # noqa: ANN401 - whatever has a form in JSON
        """The key takes the value.

        Raises:
            InvalidInput: if the key is malformed or JSON cannot hold the value.
        """
        self._journal.writes.append(
            StoreSet(_checked(key), to_json(value, f"The value of store key '{key}'"))
        )

    def delete(self, key: str) -> None:
        """The key disappears, and its default with it; no error if it does not exist.

        Raises:
            InvalidInput: if the key is malformed.
        """
        self._journal.writes.append(StoreDelete(_checked(key)))

    def increment(self, key: str, amount: float = 1) -> None:
        """A number is added to the key's value, to 0 when it has none. Safe against other states doing so.

        Raises:
            InvalidInput: if the key is malformed or the amount no finite number.
        """
        self._journal.writes.append(StoreIncrement(_checked(key), _finite(key, amount)))

    def append(self, key: str, value: Any) -> None:  # noqa: ANN401 - whatever has a form in JSON
        """A value is appended to the key's list, to an empty one when it has none. Safe against other states doing so.

        Raises:
            InvalidInput: if the key is malformed or JSON cannot hold the value.
        """
        self._journal.writes.append(
            StoreAppend(_checked(key), to_json(value, f"The value for store key '{key}'"))
        )

    def _writes_to(self, key: str) -> list[StoreWrite]:
        return [write for write in self._journal.writes if write.key == key]

    def _read_from_thread(self, key: str) -> JSON:
        if self._journal.stopped or self._loop.is_closed():
            raise Cancelled
        return asyncio.run_coroutine_threadsafe(_awaited(self._read(key)), self._loop).result()


def _awaited(reading: Awaitable[JSON]) -> Coroutine[Any, Any, JSON]:
    async def read() -> JSON:
        return await reading

    return read()


def _checked(key: object) -> str:
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise InvalidInput(
            f"{key!r:.150} is no store key: a key is 1 to 128 characters without dots and white space."
        )
    return key


def _finite(key: str, amount: object) -> int | float:
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not math.isfinite(amount):
        raise InvalidInput(f"store.increment('{key}') takes a finite number, not {amount!r:.50}.")
    return amount


def _overwrites(writes: Iterable[StoreWrite]) -> bool:
    """Whether the key's value before these writes does not matter, so need not be read."""
    return isinstance(next(iter(writes), None), StoreSet | StoreDelete)


def _replay(key: str, writes: Iterable[StoreWrite], value: JSON, default: JSON) -> JSON:
    before = {} if value is None else {key: value}
    value = apply_writes(before, writes).get(key, value)
    return default if value is None or value is ABSENT else value
