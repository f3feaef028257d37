"""The event port on an EventBridge bus.

A rule of the bus matches `source` = `karman`, `detail-type` = the event's kind, and in `detail` beside the event's own
values its `id`, `namespace` and `at_ms`. Delivery is at least once: whoever receives them goes by the id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from karman_core.backends.aws.backoff import Backoff, each
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.errors import entry_error
from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.errors import ItemTooLarge, Unavailable
from karman_core.ports.events import Event
from karman_core.ports.system import Clock, Entropy

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE: Final = "karman"
MAX_EVENT_BYTES = 256 * 1024
"""EventBridge: a request of up to ten entries together, so also one entry."""

_BATCH = 10
_FIXED_BYTES = 14
"""EventBridge counts the time of an entry so."""

_PASSING = frozenset({"InternalException", "InternalFailure", "ThrottlingException"})
"""Codes of entries that are worth sending again; all others say that the entry or the permissions are wrong."""


class EventBridgeEvents:
    """The events of a deployment."""

    def __init__(self, clients: AwsClients, settings: AwsSettings, clock: Clock, entropy: Entropy) -> None:
        self._clients = clients
        self._settings = settings
        self._backoff = Backoff(clock, entropy)

    async def publish(self, events: Sequence[Event]) -> None:
        """Durable on return; what the service leaves is sent again. Raises ItemTooLarge before it sends any."""
        entries = [self._entry(event) for event in events]
        await each(
            lambda batch: self._backoff.exhaust(batch, self._put_some, _unsent), list(_batches(entries))
        )

    async def _put_some(
        self, entries: Sequence[PutEventsRequestEntryTypeDef]
    ) -> Sequence[PutEventsRequestEntryTypeDef]:
        answer = await self._clients.call(self._clients.events.put_events, Entries=entries)
        left = []
        for entry, result in zip(entries, answer["Entries"], strict=True):
            code = result.get("ErrorCode")
            if code is None:
                continue
            if code not in _PASSING:
                raise entry_error("PutEvents", code, result.get("ErrorMessage", ""), our_fault=True)
            left.append(entry)
        return left

    def _entry(self, event: Event) -> PutEventsRequestEntryTypeDef:
        detail = {**event.detail, "id": event.id, "namespace": event.namespace, "at_ms": event.at_ms}
        return {
            "EventBusName": self._settings.event_bus,
            "Source": SOURCE,
            "DetailType": event.kind,
            "Detail": json.dumps(detail, allow_nan=False),
            "Time": datetime.fromtimestamp(event.at_ms / 1000, UTC),
        }


def _batches(entries: Sequence[PutEventsRequestEntryTypeDef]) -> Iterator[list[PutEventsRequestEntryTypeDef]]:
    """Pieces of at most ten entries and 256 KB."""
    batch: list[PutEventsRequestEntryTypeDef] = []
    room = MAX_EVENT_BYTES
    for entry in entries:
        size = _size(entry)
        if batch and (size > room or len(batch) == _BATCH):
            yield batch
            batch, room = [], MAX_EVENT_BYTES
        batch.append(entry)
        room -= size
    if batch:
        yield batch


def _size(entry: PutEventsRequestEntryTypeDef) -> int:
    """As EventBridge counts it: the time, the source, the type and the detail."""
    texts = (entry.get("Source", ""), entry.get("DetailType", ""), entry.get("Detail", ""))
    size = _FIXED_BYTES + sum(len(text.encode()) for text in texts)
    if size > MAX_EVENT_BYTES:
        raise ItemTooLarge(f"an event of {size} bytes; the bus takes {MAX_EVENT_BYTES}")
    return size


def _unsent(left: int) -> Exception:
    return Unavailable(f"EventBridge failed {left} events of a batch, again and again")
