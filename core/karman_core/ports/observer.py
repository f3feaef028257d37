"""The observer port: what happens in this process, as it happens, for progress displays, logs and metrics.

Observations are not durable and not exact: a crash loses them, a redelivery repeats them. What counts is in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias


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

    `error` is `kind: message` when the attempt failed.
    """

    namespace: str
    run_id: str
    state_id: str
    identifier: str
    status: str
    attempt: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class GroupOpened:
    """A state forked: so many branches were sent, `branches` by the identifier that begins them."""

    namespace: str
    run_id: str
    identifier: str
    branches: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run took its final status."""

    namespace: str
    run_id: str
    status: str


Observation: TypeAlias = RunBegan | StateBegan | StateCommitted | GroupOpened | RunEnded


class Observer(Protocol):
    """Receives observations; must be quick and must not raise."""

    def observe(self, observation: Observation) -> None:
        """Take note."""
        ...
