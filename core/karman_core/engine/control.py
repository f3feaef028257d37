"""A run's control flags: whether workers shall go on with it. One small item, written only when someone interferes.

Workers believe what they read for a second. The item follows the header: whoever changes the header's status writes the
flag after it, and does so again when the command is delivered again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from karman_core.domain.branches import Branch, branch_text
from karman_core.domain.errors import BackendError, ConditionFailed, NewerLayout
from karman_core.engine import keys
from karman_core.engine.services import Services
from karman_core.ports.table import Absent, Action, Add, AnyOf, Item, LessThan, Set

_CACHED_RUNS = 4096
FINAL_VERSION = 2**53
"""Of the flag of a run that was cut off: no later one exists."""


class Flag(StrEnum):
    """What workers do with a run's messages."""

    GO = "go"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Control:
    """The flags of a run; `stopped` names groups whose branches shall not begin further states (fail_fast)."""

    flag: Flag = Flag.GO
    stopped: frozenset[str] = frozenset()

    def stops(self, branch: Branch, epoch: int) -> bool:
        """Whether a group that the branch is in was stopped in this epoch."""
        return bool(self.stopped) and any(
            group_text(branch[:depth], number, epoch) in self.stopped
            for depth, (number, _) in enumerate(branch)
        )


_GO = Control()


def group_text(branch: Branch, number: int, epoch: int) -> str:
    """The name of the group that a state opened, in an epoch: a retried run begins with no group stopped."""
    return f"{epoch}#{branch_text(branch)}#{number}"


class Controls:
    """Reads flags through a short cache, and writes them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache: OrderedDict[tuple[str, str], tuple[int, Control]] = OrderedDict()
        self._refreshing: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._waiting: set[tuple[str, str]] = set()

    def peek(self, namespace: str, run_id: str) -> Control:
        """What was last known. When that is old, a fresh read is begun beside whatever the caller does next."""
        key = (namespace, run_id)
        if self._is_old(key):
            self._refresh(key)
        return self._known(key)

    async def current(self, namespace: str, run_id: str, *, fresh: bool = False) -> Control:
        """What was true a moment ago: what is known by then, or else read first; what was last known if that fails.

        Args:
            fresh: whoever asked for the work has looked a moment ago. Where nothing is known of the run yet, the read
                then goes on beside what the caller does next.
        """
        key = (namespace, run_id)
        if self._is_old(key) and not (fresh and key not in self._cache):
            await asyncio.shield(self._refresh(key))
            return self._known(key)
        return self.peek(namespace, run_id)

    def _is_old(self, key: tuple[str, str]) -> bool:
        read_ms, _ = self._cache.get(key, (None, _GO))
        kept_ms = self._services.settings.control_cache_seconds * 1000
        return read_ms is None or self._services.clock.now_ms() - read_ms >= kept_ms

    def _known(self, key: tuple[str, str]) -> Control:
        read_ms, control = self._cache.get(key, (None, _GO))
        # What is older than the retention may be of another run, which had this idempotency key before.
        kept_ms = self._services.settings.retention_seconds * 1000
        known = read_ms is not None and self._services.clock.now_ms() - read_ms < kept_ms
        return control if known else _GO

    async def read(self, namespace: str, run_id: str) -> Control:
        """A consistent read past the cache."""
        item = await self._services.backend.table.get(keys.control(namespace, run_id))
        return self._remember((namespace, run_id), item)

    async def set_flag(self, namespace: str, run_id: str, flag: Flag, version: int) -> None:
        """Write the flag that belongs to a version of the header, unless a later one was written; durable on return."""
        actions = [Set("flag", flag.value), Set("ver", version), Set("ttl", self._services.ttl())]
        earlier = AnyOf((Absent("ver"), LessThan("ver", version)))
        try:
            item = await self._services.backend.table.update(
                keys.control(namespace, run_id), actions, earlier
            )
        except ConditionFailed as lost:
            self._remember((namespace, run_id), lost.old)
        else:
            self._remember((namespace, run_id), item)

    async def note_waits(self, namespace: str, run_id: str) -> None:
        """Keep that a state of the run waits, or has waited; once a run and process."""
        if (namespace, run_id) in self._waiting:
            return
        actions: list[Action] = [Set("waits", 1), Set("ttl", self._services.ttl())]
        await self._services.backend.table.update(keys.control(namespace, run_id), actions)
        if len(self._waiting) >= _CACHED_RUNS:
            self._waiting.clear()
        self._waiting.add((namespace, run_id))

    async def has_waits(self, namespace: str, run_id: str) -> bool:
        """Whether a state of the run may wait: without, its eight partitions of signals need no look."""
        item = await self._services.backend.table.get(keys.control(namespace, run_id))
        return item is not None and "waits" in item

    async def stop_groups(self, namespace: str, run_id: str, groups: frozenset[str]) -> None:
        """Stop the branches of groups that have failed already."""
        actions: list[Action] = [Add("stopped", groups), Set("ttl", self._services.ttl())]
        item = await self._services.backend.table.update(keys.control(namespace, run_id), actions)
        self._remember((namespace, run_id), item)

    def _refresh(self, key: tuple[str, str]) -> asyncio.Task[None]:
        task = self._refreshing.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(key))
            self._refreshing[key] = task
            task.add_done_callback(lambda _: self._refreshing.pop(key, None))
        return task

    async def _fetch(self, key: tuple[str, str]) -> None:
        try:
            item = await self._services.backend.table.get(keys.control(*key), consistent=False)
        except (BackendError, NewerLayout):
            return  # The flags are advice: without a fresh answer the last one stands.
        self._remember(key, item)

    def _remember(self, key: tuple[str, str], item: Item | None) -> Control:
        control = Control(Flag(item.get("flag", Flag.GO)), item.get("stopped", frozenset())) if item else _GO
        self._cache[key] = (self._services.clock.now_ms(), control)
        self._cache.move_to_end(key)
        while len(self._cache) > _CACHED_RUNS:
            self._cache.popitem(last=False)
        return control
