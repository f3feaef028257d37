"""What the overview tells: plain values, as in `views`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from karman_core.domain.statistics import Durations
from karman_core.engine.views import GroupView, RunView, TotalsView


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many states of a node instance made runs fail."""

    identifier: str
    states: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Runs together.

    `durations` are of runs that have ended, from start to end, None when none has; `totals` likewise. `failures` are
    those of the newest failed runs, `failed_runs` of them, the most frequent first. `complete` is False when there are
    more runs than were looked through.
    """

    runs: int
    by_status: Mapping[str, int]
    durations: Durations | None
    totals: TotalsView
    failures: tuple[FailureCount, ...]
    failed_runs: int
    complete: bool


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How a run stands, and the first 100 groups that states of its first branch opened.

    `digest` differs when anything else does; with `ended`, nothing more comes by itself.
    """

    run: RunView
    groups: tuple[GroupView, ...]
    digest: str
    ended: bool


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """A namespace, and how many registered nodes and graphs it has."""

    namespace: str
    created_ms: int
    nodes: int
    graphs: int
