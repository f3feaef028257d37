"""What a rule of the event bus calls with each event, and Scheduler when an attempt is due.

A receiver that does not answer is no error of this function: the delivery says so, and its timer is set. What raises is
a service that failed; Lambda then tries the whole event again, and what was delivered is not delivered twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from karman_core.backends.posting import HttpxPoster
from karman_core.domain.webhooks import DeliveryStatus
from karman_core.engine.deliveries import Deliveries
from karman_core.engine.webhook_items import Due, read_due
from karman_core.engine.webhooks import Webhooks
from karman_functions.composition import Process, process
from karman_functions.webhooks.events import read_event

logger = logging.getLogger(__name__)

OUTCOMES: Mapping[DeliveryStatus, str] = {
    DeliveryStatus.PENDING: "retried",
    DeliveryStatus.DELIVERED: "delivered",
    DeliveryStatus.FAILED: "failed",
    DeliveryStatus.DROPPED: "dropped",
}
"""Of an attempt, as the metric has them."""


@dataclass(slots=True)
class _Instance:
    """What outlasts an invocation: secrets that are remembered for some seconds, and whom TLS trusts."""

    process: Process
    deliveries: Deliveries


_instances: list[_Instance] = []


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    """Lambda's entry."""
    current = process()
    return current.serve(_handle(current, event), context)


async def _handle(current: Process, event: Mapping[str, Any]) -> dict[str, Any]:
    deliveries = deliveries_of(current)
    attempts = await _due(deliveries, event)
    done = await asyncio.gather(*map(deliveries.attempt, attempts), return_exceptions=True)
    counts = Counter(OUTCOMES[each] for each in done if isinstance(each, DeliveryStatus))
    for outcome, count in counts.items():
        current.metrics.count("WebhookDeliveries", count, Outcome=outcome)
    failed = next((each for each in done if isinstance(each, BaseException)), None)
    if failed is not None:
        raise failed
    return dict(counts)


async def _due(deliveries: Deliveries, event: Mapping[str, Any]) -> list[Due]:
    due = read_due(event)
    if due is not None:
        return [due]
    told = read_event(event)
    if told is None:
        logger.error("neither an event of a run nor a delivery", extra={"keys": sorted(map(str, event))[:20]})
        return []
    return await deliveries.take(told)


def deliveries_of(current: Process) -> Deliveries:
    """The deliveries of a process, with what they remember."""
    if not _instances or _instances[0].process is not current:
        poster = HttpxPoster(loopback=current.settings.webhook_loopback)
        webhooks = Webhooks.over(
            current.backend, current.clock, current.entropy, current.settings.engine(), poster
        )
        _instances[:] = [_Instance(current, webhooks.deliveries)]
    return _instances[0].deliveries
