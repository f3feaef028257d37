"""Timers and schedules: messages that are sent later, once or by cron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Timer:
    """A message sent once, at a time.

    Attributes:
        name: unique; setting the same name again replaces it. At most 64 characters of [A-Za-z0-9_.-] (Scheduler's
            limit), so the engine hashes what it is made of.
        at_ms: epoch milliseconds; a time in the past means now. AWS rounds it up to the next second and may be up to
            a minute late.
    """

    name: str
    at_ms: int
    queue: str
    body: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron trigger of a graph.

    Attributes:
        namespace, graph: whose trigger it is; with `trigger` they name the schedule.
        trigger: the trigger's own name within the graph.
        cron: five fields as croniter reads them.
        timezone: IANA name.
        enabled: a disabled schedule stays listed and does not fire.
    """

    namespace: str
    graph: str
    trigger: str
    cron: str
    timezone: str = "UTC"
    enabled: bool = True


class Timers(Protocol):
    """One-time delays longer than a queue allows."""

    async def set(self, timer: Timer) -> None:
        """Make or replace the timer; durable on return."""
        ...

    async def cancel(self, name: str) -> None:
        """Forget the timer; no error when it does not exist or has fired."""
        ...


class Schedules(Protocol):
    """Cron triggers. What a firing does (start one run, once) is a use case of the engine, not of this port."""

    async def put(self, schedule: Schedule) -> None:
        """Make or replace."""
        ...

    async def delete(self, namespace: str, graph: str, trigger: str) -> None:
        """Remove; no error when it does not exist."""
        ...

    async def list(self, namespace: str | None = None, graph: str | None = None) -> Sequence[Schedule]:
        """Every schedule, of a namespace, or of one of its graphs, sorted by namespace, graph and trigger."""
        ...
