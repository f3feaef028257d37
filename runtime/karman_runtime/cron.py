"""Cron on one machine: looks at the schedules once a minute and has the engine fire what is due.

On AWS EventBridge Scheduler does this. Both lead to the same use case, whose run id comes from the scheduled time, so
that a firing seen twice (two `karman dev` on one database, a clock set back) is still one run.
"""

from __future__ import annotations

import logging
from typing import Protocol

from karman_core.domain.cron import firings
from karman_core.domain.errors import KarmanError
from karman_core.ports.system import Clock
from karman_core.ports.timers import Schedule, Schedules

logger = logging.getLogger(__name__)

MINUTE_MS = 60_000

SLACK_MS = 20
"""Wake up this long after the full minute: sleeping is not exact, and waking before it would cost a minute."""


class Firing(Protocol):
    """What the loop needs of the engine."""

    async def fire(self, schedule: Schedule, at_ms: int) -> object:
        """Start the run of this firing, once."""
        ...


class CronLoop:
    """Fires schedules when they are due.

    A machine that slept or a loop that stood still has missed firings: of each schedule the last one is made up for,
    if it is not older than `catch_up_minutes`. Firings from before the start count as missed for one minute only, so
    that starting a development server does not start runs of last night.
    """

    def __init__(
        self, schedules: Schedules, engine: Firing, clock: Clock, *, catch_up_minutes: int = 60
    ) -> None:
        self._schedules = schedules
        self._engine = engine
        self._clock = clock
        self._catch_up_ms = catch_up_minutes * MINUTE_MS
        self._looked_ms = clock.now_ms() - MINUTE_MS
        self._owed: dict[tuple[str, str, str], int] = {}

    async def run(self) -> None:
        """Look now and after each full minute, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep((MINUTE_MS - self._clock.now_ms() % MINUTE_MS + SLACK_MS) / 1000)

    async def look(self) -> None:
        """Fire what became due since the last look."""
        now_ms = self._clock.now_ms()
        try:
            schedules = await self._schedules.list()
        except KarmanError as error:
            logger.warning("schedules not read", extra={"error": str(error)})
            return  # the next look begins where this one would have
        # A clock that was set back is followed: what then comes again is the same run.
        after_ms = min(now_ms, max(self._looked_ms, now_ms - self._catch_up_ms))
        self._looked_ms = now_ms
        for schedule in schedules:
            if schedule.enabled:
                await self._fire_due(schedule, after_ms, now_ms)

    async def _fire_due(self, schedule: Schedule, after_ms: int, now_ms: int) -> None:
        name = (schedule.namespace, schedule.graph, schedule.trigger)
        owed_ms = self._owed.pop(name, None)
        minutes = (now_ms - after_ms) // MINUTE_MS + 1
        fields: dict[str, object] = {"namespace": name[0], "graph": name[1], "trigger": name[2]}
        at_ms = owed_ms
        try:
            due = firings(schedule.cron, schedule.timezone, after_ms, now_ms, minutes)
            at_ms = due[-1] if due else owed_ms
            if at_ms is not None:
                await self._engine.fire(schedule, at_ms)
                logger.info("schedule fired", extra={**fields, "at_ms": at_ms})
        except KarmanError as error:
            logger.warning("schedule not fired", extra={**fields, "at_ms": at_ms, "error": str(error)})
            if error.retryable and at_ms is not None:
                self._owed[name] = at_ms
