"""Quotas of namespaces: set by whoever operates the deployment, read by all that enforce them.

They are believed for some seconds, and read beside whatever the reader does next. When the table does not answer, what
was last known stands, and no limit where nothing is known: a quota holds back the many, it must not stop all.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict

from karman_core.domain.definition import JSON
from karman_core.domain.errors import BackendError, NewerLayout, QuotaExceeded
from karman_core.domain.outcome import Effects, Errored, Outcome, Pruned, Succeeded
from karman_core.domain.quotas import NAMES, UNLIMITED, NamespaceQuotas, quotas_of
from karman_core.engine import keys
from karman_core.engine.payloads import dumps
from karman_core.engine.services import Services
from karman_core.ports.table import Item

_CACHED = 1_000


class Quotas:
    """Reads quotas through a cache, and sets them. Safe for concurrent use on one event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache: OrderedDict[str, tuple[int, NamespaceQuotas]] = OrderedDict()
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def of(self, namespace: str) -> NamespaceQuotas:
        """The quotas of a namespace, as they were some seconds ago at most."""
        if self._is_old(namespace):
            await asyncio.shield(self._refresh(namespace))
        return self._known(namespace)

    def peek(self, namespace: str) -> NamespaceQuotas:
        """What was last known; no limit at first. When it is old, a read is begun beside what the caller does next."""
        if self._is_old(namespace):
            self._refresh(namespace)
        return self._known(namespace)

    async def read(self, namespace: str) -> NamespaceQuotas:
        """A consistent read past the cache."""
        return self._remember(namespace, await self._services.backend.table.get(keys.quotas(namespace)))

    async def set(self, namespace: str, quotas: NamespaceQuotas) -> NamespaceQuotas:
        """Replace the quotas of a namespace, and return them. Other processes follow within the time of their cache."""
        at = keys.quotas(namespace)
        # One text: the table takes no fractions.
        item: Item = {"pk": at.pk, "sk": at.sk, "quotas": dumps(quotas.as_json())}
        await self._services.backend.table.put(item)
        return self._remember(namespace, item)

    def _is_old(self, namespace: str) -> bool:
        read_ms, _ = self._cache.get(namespace, (None, UNLIMITED))
        kept_ms = self._services.settings.quota_cache_seconds * 1000
        return read_ms is None or self._services.clock.now_ms() - read_ms >= kept_ms

    def _known(self, namespace: str) -> NamespaceQuotas:
        return self._cache.get(namespace, (None, UNLIMITED))[1]

    def _refresh(self, namespace: str) -> asyncio.Task[None]:
        task = self._reading.get(namespace)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(namespace))
            self._reading[namespace] = task
            task.add_done_callback(lambda _: self._reading.pop(namespace, None))
        return task

    async def _fetch(self, namespace: str) -> None:
        try:
            item = await self._services.backend.table.get(keys.quotas(namespace), consistent=False)
        except (BackendError, NewerLayout):
            return  # Asked for again by whoever comes next.
        self._remember(namespace, item)

    def _remember(self, namespace: str, item: Item | None) -> NamespaceQuotas:
        kept = {} if item is None else json.loads(item["quotas"])
        # A later version may have written others beside those that this one knows.
        quotas = quotas_of({name: kept.get(name) for name in NAMES})
        self._cache[namespace] = (self._services.clock.now_ms(), quotas)
        self._cache.move_to_end(namespace)
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return quotas


def within(quotas: NamespaceQuotas, outcome: Outcome) -> Outcome:
    """The outcome, or an error, which no further attempt would mend, where it has a payload over the quota."""
    if quotas.payload_bytes is None:
        return outcome
    effects = getattr(outcome, "effects", None)
    try:
        if isinstance(outcome, Succeeded):
            quotas.check_payload("The outputs", _bytes([dict(output) for output in outcome.outputs]))
        if isinstance(outcome, Pruned):
            quotas.check_payload("The data of the pruned branch", _bytes(dict(outcome.data)))
        if isinstance(effects, Effects):
            for signal in effects.signals:
                quotas.check_payload(f"The payload of signal '{signal.name}'", _bytes(signal.payload))
    except QuotaExceeded as error:
        return Errored(error.code, error.message, retry=False)
    return outcome


def _bytes(payload: JSON) -> int:
    return len(dumps(payload).encode())
