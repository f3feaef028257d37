"""The observer port: what happens in this process, as it happens, for progress displays, logs and metrics.

Observations are not durable and not exact: a crash loses them, a redelivery repeats them. What counts is in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from karman_core.domain.totals import Totals


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The run's header was written."""

    namespace: str
    run_id: str
    graph: str


@dataclass(frozen=True, slots=True)
class StateBegan:
    """A node is about to be executed."""

    namespace: str
    run_id: str
    state_id: str
    identifier: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StateCommitted:
    """A turn of a state was committed; `status` is the state's status after it.

    `error` is `kind: message` when the attempt failed; `started_ms` and `ended_ms` are of the turn. `found` says that
    somebody else had committed it, or that this process had before: it is told once more.
    """

    namespace: str
    run_id: str
    state_id: str
    identifier: str
    status: str
    attempt: int
    error: str | None = None
    started_ms: int = 0
    ended_ms: int = 0
    found: bool = False


@dataclass(frozen=True, slots=True)
class GroupOpened:
    """A state forked: so many branches were sent, `branches` by the identifier that begins them."""

    namespace: str
    run_id: str
    identifier: str
    branches: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class GroupEnded:
    """All branches of a group have ended; the last arrival was this process's. `identifier` is of the fork."""

    namespace: str
    run_id: str
    identifier: str
    width: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run took its final status.

    `totals` are those of all its states for SUCCEEDED and FAILED, else what had arrived. `found` says that it had that
    status before: it is told once more.
    """

    namespace: str
    run_id: str
    status: str
    graph: str = ""
    starts_ms: int = 0
    ended_ms: int = 0
    totals: Totals = Totals()  # noqa: RUF009  a NamedTuple is immutable
    found: bool = False


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """A message was delivered elsewhere while this process was at work on it."""

    queue: str
    message_id: str


@dataclass(frozen=True, slots=True)
class MessagePassedOn:
    """A message of a later release, or of a run that one works on, was sent again for a worker of that release.

    `reason` says what was not understood.
    """

    queue: str
    message_id: str
    reason: str
    delay_seconds: int


@dataclass(frozen=True, slots=True)
class LetterDied:
    """A message that was delivered too often was taken care of.

    `outcome`: `recorded` in its run, `fired` (a cron firing that was made up for), `resumed` (a webhook's event
    or attempt that was), `archived` (a foreign one).
    """

    queue: str
    message_id: str
    outcome: str


Observation: TypeAlias = (
    RunBegan
    | StateBegan
    | StateCommitted
    | GroupOpened
    | GroupEnded
    | RunEnded
    | LeaseLost
    | MessagePassedOn
    | LetterDied
)


class Observer(Protocol):
    """Receives observations; must be quick and must not raise."""

    def observe(self, observation: Observation) -> None:
        """Take note."""
        ...
