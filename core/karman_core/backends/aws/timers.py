"""The timer port on one-time schedules of EventBridge Scheduler, which send to the queue by themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.queue import SQSQueue
from karman_core.backends.aws.scheduling import (
    check_size,
    delete_schedule,
    literal,
    put_schedule,
    target_of,
)
from karman_core.backends.aws.settings import AwsSettings
from karman_core.ports.queue import Outgoing
from karman_core.ports.system import Clock
from karman_core.ports.timers import Timer
from karman_core.ports.webhooks import WEBHOOKS

_SOON_MS = 2_000
_NAME = re.compile(r"[0-9a-zA-Z_.-]{1,64}")


class SchedulerTimers:
    """All timers of a deployment, in one group of schedules."""

    def __init__(self, clients: AwsClients, settings: AwsSettings, queue: SQSQueue, clock: Clock) -> None:
        self._clients = clients
        self._settings = settings
        self._queue = queue
        self._clock = clock

    async def set(self, timer: Timer) -> None:
        """Make or replace the timer. One whose time has come is sent at once.

        Raises ItemTooLarge for a body over Scheduler's 256 KB, also where the message would be sent at once: whether a
        timer can be set is not to depend on the clock. A body in which Scheduler would replace keywords arrives as the
        same JSON, not as the same text.
        """
        _check_name(timer.name)
        check_size(timer.body)
        if timer.queue == WEBHOOKS:
            # Calls a function, to which nothing can be sent instead: one whose time has come is due in a moment.
            soon_ms = self._clock.now_ms() + _SOON_MS
            await self._put(timer, max(timer.at_ms, soon_ms), self._settings.webhooks_target_arn)
            return
        if timer.at_ms <= self._clock.now_ms():
            # First the message: if this ends in between, the old timer fires as well, and nothing is lost.
            await self._queue.send(timer.queue, [Outgoing(timer.body)])
            await self.cancel(timer.name)
            return
        await self._put(timer, timer.at_ms, await self._queue.arn(timer.queue))

    async def _put(self, timer: Timer, at_ms: int, arn: str) -> None:
        await put_schedule(
            self._clients,
            {
                "Name": timer.name,
                "GroupName": self._settings.timer_group,
                "ScheduleExpression": f"at({_whole_second(at_ms)})",
                "ScheduleExpressionTimezone": "UTC",
                "ActionAfterCompletion": "DELETE",
                "Description": f"A timer of {timer.queue}"[:512],
                "State": "ENABLED",
                "Target": target_of(self._settings, arn, literal(timer.body)),
            },
        )

    async def cancel(self, name: str) -> None:
        """Forget the timer; no error when it does not exist or has fired."""
        _check_name(name)
        await delete_schedule(self._clients, self._settings.timer_group, name)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a timer's name has 1 to 64 characters of [0-9a-zA-Z_.-]: {name!r}")


def _whole_second(at_ms: int) -> str:
    """The time rounded up, so that no timer fires early."""
    return datetime.fromtimestamp(-(-at_ms // 1000), UTC).strftime("%Y-%m-%dT%H:%M:%S")
