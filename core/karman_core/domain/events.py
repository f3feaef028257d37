"""What a run's events are called, and what is in them: on the bus, in webhooks, and in the embedded backend's list."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from karman_core.domain.totals import Totals
from karman_core.domain.transitions import FINAL_RUNS, RunStatus


class EventKind(StrEnum):
    """What happened to a run. `run.started` is published only where that is configured: it doubles the events."""

    STARTED = "run.started"
    PAUSED = "run.paused"
    RESUMED = "run.resumed"
    RETRIED = "run.retried"
    SUCCEEDED = "run.succeeded"
    FAILED = "run.failed"
    CANCELLED = "run.cancelled"
    TIMED_OUT = "run.timed_out"


ENDS: dict[RunStatus, EventKind] = {status: EventKind(f"run.{status.value.lower()}") for status in FINAL_RUNS}
"""The kind that tells of each final status."""

FINAL_KINDS: tuple[EventKind, ...] = tuple(kind for kind in EventKind if kind in ENDS.values())


class EventTotals(BaseModel):
    """Counts of a run's states.

    Attributes:
        succeeded, failed, pruned, cancelled: states by how they ended.
        turns: committed executions: attempts, requeues and resumed waits.
        busy_ms: the time that these took, together.
        write_units: of the states' records, for estimates of cost.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    succeeded: int = Field(ge=0)
    failed: int = Field(ge=0)
    pruned: int = Field(ge=0)
    cancelled: int = Field(ge=0)
    turns: int = Field(ge=0)
    busy_ms: int = Field(ge=0)
    write_units: int = Field(ge=0)

    @classmethod
    def of(cls, totals: Totals) -> EventTotals:
        """The counts of a run."""
        return cls(**totals._asdict())


class RunEvent(BaseModel):
    """The detail of every event. Fields that a later version adds are ignored.

    Attributes:
        id: of the happening: an event that comes twice has the same.
        namespace: whose run it is.
        at_ms: when it happened, epoch milliseconds (as all times here).
        run_id: of the run.
        graph, version: of which graph's version it is a run.
        status: after it: `RUNNING`, `PAUSED`, or the final one.
        epoch: 0, and one more for each retry of the run after its end.
        created_ms: when it was asked for.
        starts_ms: when it began, or will.
        ended_ms: when it ended; None where it goes on.
        totals: exact for `run.succeeded` and `run.failed`; else what had been counted by then, mostly nothing.
        tags: of the run.
        trigger: the cron trigger that started it; None for other runs.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    namespace: str
    at_ms: int
    run_id: str
    graph: str
    version: int
    status: RunStatus
    epoch: int
    created_ms: int
    starts_ms: int
    ended_ms: int | None
    totals: EventTotals
    tags: dict[str, str]
    trigger: str | None = None
