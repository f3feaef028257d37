"""What a schedule calls hourly: ends what is overdue, redrives what has stalled.

Bounded by the time that the function has: a sweep that does not come round leaves a bookmark, where the next one goes
on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from karman_functions.composition import Process, process

logger = logging.getLogger(__name__)

LAST_RUN_MS = 30_000
"""No further run is looked at so long before the end (or in the last quarter), since a large one takes its time."""

BOOKMARK_MS = 5_000
"""One that takes longer than that is broken off so long before the end (or in the last tenth)."""


def handler(_event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    """Lambda's entry."""
    current = process()
    return current.serve(_handle(current, context), context, awaited=False)


async def _handle(current: Process, context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    now_ms, ends_ms = current.clock.now_ms(), current.ends_ms(context)
    left_ms = ends_ms - now_ms
    until_ms = int(ends_ms - min(LAST_RUN_MS, left_ms / 4))
    seconds = (left_ms - min(BOOKMARK_MS, left_ms / 10)) / 1000
    try:
        report = await asyncio.wait_for(current.engine.sweep(until_ms), seconds)
    except TimeoutError:
        logger.warning("sweep broken off: a run took longer than there was time")
        current.metrics.count("SweepsIncomplete")
        return {"complete": False}
    current.metrics.count("RunsExpired", report.expired)
    current.metrics.count("RunsRedriven", report.redriven)
    current.metrics.count("SweepFailures", report.failed)
    current.metrics.count("SweepsIncomplete", int(not report.complete))
    logger.info("swept", extra=asdict(report))
    return asdict(report)
