"""One firing of a cron trigger: the event, and what it leads to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from karman_core.backends.aws.schedules import INPUT_KIND
from karman_core.domain.errors import KarmanError
from karman_core.engine import Engine
from karman_core.ports.timers import Schedule

logger = logging.getLogger(__name__)


class Firing(BaseModel):
    """The input that Karman writes into each schedule; fields that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    kind: Literal["karman.cron"] = INPUT_KIND
    namespace: str
    graph: str
    trigger: str
    cron: str
    timezone: str
    scheduled_time: AwareDatetime

    @property
    def schedule(self) -> Schedule:
        """The trigger, as the engine knows it."""
        return Schedule(self.namespace, self.graph, self.trigger, self.cron, self.timezone)

    @property
    def at_ms(self) -> int:
        """When it was due, epoch milliseconds."""
        return int(self.scheduled_time.timestamp()) * 1000


class Fired(StrEnum):
    """What became of a firing."""

    STARTED = "started"
    """A run."""

    KNOWN = "known"
    """Its run had been started before: Scheduler delivers at least once."""

    SKIPPED = "skipped"
    """By the overlap policy, or the trigger is gone or disabled."""

    REFUSED = "refused"
    """There can be no run: the graph is gone or invalid, or the event is none of Karman's."""


def read_firing(event: Mapping[str, Any] | str) -> Firing | None:
    """The firing of an event, or of its JSON; None if it is none. The times are text in both."""
    try:
        if isinstance(event, str):
            return Firing.model_validate_json(event)
        return Firing.model_validate(event, strict=False) if event.get("kind") == INPUT_KIND else None
    except ValidationError:
        return None


async def fire(engine: Engine, firing: Firing) -> Fired:
    """Start the run of a firing, once.

    Raises:
        KarmanError: one that trying again can mend, or whoever runs the deployment: the firing is to be kept.
    """
    fields: dict[str, object] = firing.model_dump(include={"namespace", "graph", "trigger"})
    fields["at_ms"] = firing.at_ms
    try:
        started = await engine.fire(firing.schedule, firing.at_ms)
    except KarmanError as error:
        if error.retryable or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        logger.exception("schedule not fired", extra={**fields, "code": error.code})
        return Fired.REFUSED
    if started is None:
        logger.info("firing skipped", extra=fields)
        return Fired.SKIPPED
    fired = Fired.STARTED if started.created else Fired.KNOWN
    logger.info("schedule fired", extra={**fields, "run_id": started.run_id, "outcome": fired.value})
    return fired
