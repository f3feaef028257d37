"""Many cases over several processes, and the report of what they have covered."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from karman_core.ports import blobs, events, queue, secrets, table, timers
from tests.simulation.case import FAULTS, Case
from tests.simulation.history import play

_CHUNK = 50
PROTOCOLS: dict[str, Any] = {
    "table": table.Table, "queue": queue.Queue, "timers": timers.Timers, "schedules": timers.Schedules,
    "secrets": secrets.Secrets, "blobs": blobs.Blobs, "events": events.Events,
}  # fmt: skip
PORT_CALLS = tuple(
    f"{port}.{method}"
    for port, protocol in PROTOCOLS.items()
    for method in sorted(vars(protocol))
    if not method.startswith("_") and callable(getattr(protocol, method))
)
"""Every method of every port."""

LEVERS = (
    "cancel",
    "pause",
    "resume",
    "retry",
    "retry_state",
    "rerun",
    "skip",
    "redrive",
    "purge",
    "bulk",
    "signal",
)
"""Every operation on runs that operators have."""


@dataclass(slots=True)
class Covered:
    """What some cases have done."""

    cases: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    steps: int = 0
    executions: int = 0

    def add(self, other: Covered) -> None:
        """Take in what others have done."""
        self.cases += other.cases
        self.failures |= other.failures
        self.faults += other.faults
        self.calls += other.calls
        self.statuses += other.statuses
        self.requests += other.requests
        self.steps += other.steps
        self.executions += other.executions

    @property
    def never_called(self) -> list[str]:
        """Port calls that nothing made."""
        return [name for name in PORT_CALLS if not self.calls[name]]

    @property
    def never_hit(self) -> list[str]:
        """Port calls that were made, and at which no fault ever struck."""
        hit = {name for _, name in self.faults}
        return [name for name in PORT_CALLS if self.calls[name] and name not in hit]

    @property
    def never_done(self) -> list[str]:
        """What operators ask for, and what never was carried out."""
        return [name for name in LEVERS if not self.requests[name, "done"]]

    @property
    def has_gaps(self) -> bool:
        """Whether there is anything that was never reached."""
        return bool(self.never_called or self.never_hit or self.never_done)

    def report(self) -> str:
        """For people: faults by kind and port, statuses, and what was never reached."""
        lines = [
            f"{self.cases} cases, {self.steps} port calls, {self.executions} executions, runs by status: "
            + ", ".join(f"{status} {count}" for status, count in sorted(self.statuses.items()))
        ]
        ports = [*PROTOCOLS, "node"]
        lines.append(f"{'faults':<14}" + "".join(f"{port:>11}" for port in ports))
        for kind in FAULTS:
            counts = [
                sum(n for (k, name), n in self.faults.items() if k == kind and name.startswith(port))
                for port in ports
            ]
            lines.append(f"{kind:<14}" + "".join(f"{count or '-':>11}" for count in counts))
        lines.append(f"port calls never made: {', '.join(self.never_called) or 'none'}")
        lines.append(f"port calls made but never hit: {', '.join(self.never_hit) or 'none'}")
        asked = Counter(dict.fromkeys(LEVERS, 0))
        for (name, _), times in self.requests.items():
            asked[name] += times
        told = (f"{name} {self.requests[name, 'done']} of {asked[name]}" for name in LEVERS)
        lines.append(f"operators' requests carried out: {', '.join(told)}")
        lines += [f"FAILED seed {seed}: {failure}" for seed, failure in sorted(self.failures.items())]
        return "\n".join(lines)


def cover(seeds: Iterable[int]) -> Covered:
    """Play the cases of some seeds."""
    covered = Covered()
    for seed in seeds:
        outcome = play(Case.of(seed))
        covered.cases += 1
        covered.faults += outcome.faults
        covered.calls += outcome.calls
        covered.statuses += outcome.statuses
        covered.requests += outcome.requests
        covered.steps += outcome.steps
        covered.executions += outcome.executions
        if outcome.failure is not None:
            covered.failures[seed] = f"{type(outcome.failure).__name__}: {outcome.failure}"[:300]
    return covered


def campaign(first: int, count: int, workers: int | None = None) -> Iterator[Covered]:
    """Play many seeds; what has been covered so far, again and again."""
    total = Covered()
    chunks = [
        range(start, min(start + _CHUNK, first + count)) for start in range(first, first + count, _CHUNK)
    ]
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        for some in pool.map(cover, chunks):
            total.add(some)
            yield total


def seconds(since: float) -> str:
    """How long it took."""
    return f"{time.perf_counter() - since:.1f} s"
