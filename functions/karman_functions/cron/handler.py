"""What EventBridge Scheduler calls for a cron trigger that is due. One firing starts one run.

Scheduler and Lambda try again what raises, so only that raises which may go well later. Anything else is logged and
counted, and is over.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from karman_functions.composition import Process, process
from karman_functions.cron.firings import Fired, fire, read_firing

logger = logging.getLogger(__name__)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    """Lambda's entry."""
    current = process()
    return current.serve(_handle(current, event), context)


async def _handle(current: Process, event: Mapping[str, Any]) -> dict[str, Any]:
    firing = read_firing(event)
    if firing is None:
        logger.error("not a firing", extra={"keys": sorted(map(str, event))[:20]})
    outcome = Fired.REFUSED if firing is None else await fire(current.engine, firing)
    current.metrics.count("CronFirings", Outcome=outcome.value)
    return {"outcome": outcome.value}
