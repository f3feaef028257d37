"""The hourly guard beside a local worker; on AWS a scheduled function does the same."""

from __future__ import annotations

import logging
from typing import Protocol

from karman_core.domain.errors import KarmanError
from karman_core.ports.system import Clock

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 3_600.0


class Sweeping(Protocol):
    """What the loop needs of the engine."""

    async def sweep(self) -> object:
        """End what is overdue and redrive what has stalled."""
        ...


async def sweep_forever(engine: Sweeping, clock: Clock, every_seconds: float = SWEEP_SECONDS) -> None:
    """Sweep now and then every hour, until cancelled. A sweep that fails is left to the next one."""
    while True:
        try:
            report = await engine.sweep()
        except KarmanError as error:
            logger.warning("sweep failed", extra={"error": str(error)})
        else:
            logger.debug("swept", extra={"report": report})
        await clock.sleep(every_seconds)
