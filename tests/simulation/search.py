"""What a search is made of: the configuration, its states, and what was found."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karman_core.domain.definition import NodeInstance
from karman_core.engine import EngineSettings
from tests.simulation.monitor import Monitor
from tests.simulation.processes import Call
from tests.simulation.stage import Actor, Behaviour, Client


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is explored.

    Attributes:
        crashes, duplicates, ambiguous: budgets of faults.
        early: delayed messages may come at any time; else only when nothing else can happen.
        runs: that have been triggered when the search begins, if no client does that.
        slots: how many runs go on at a time, by the graph in `store`.
        statuses: in which a run may end.
        most_sent: messages in all; more mean that a duplicate makes more duplicates.
        shuffled: a seed of the order in which ways are tried; some find a violation earlier than others.
        limit: of states; more than these are not visited, and the report says so.
    """

    name: str
    nodes: Callable[[], Sequence[NodeInstance]]
    behaviours: Mapping[str, Behaviour]
    settings: EngineSettings = EngineSettings()  # noqa: RUF009  frozen
    clients: tuple[Client, ...] = ()
    crashes: int = 0
    duplicates: int = 0
    ambiguous: int = 0
    workers: int = 2
    early: bool = False
    watches_control: bool = False
    statuses: frozenset[str] = frozenset({"SUCCEEDED"})
    limit: int = 3_000
    most_sent: int | None = None
    shuffled: int | None = None
    runs: int = 1
    slots: int | None = None
    store: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """A state of the search; `path` leads to it, for people to read."""

    database: bytes
    blobs: dict[str, bytes]
    monitor: Monitor
    actors: tuple[Actor, ...]
    budget: tuple[int, int, int]
    path: Any = None


@dataclass(slots=True)
class Found:
    """What a search came to."""

    name: str
    states: int = 0
    transitions: int = 0
    endings: int = 0
    complete: bool = True
    failure: str | None = None
    path: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def line(self) -> str:
        """For a report."""
        extent = "all" if self.complete else "the first"
        told = self.failure or "no violation"
        counts = f"{self.states} states, {self.transitions} steps, {self.endings} endings"
        return f"{self.name:<48} {extent} {counts}: {told}"


def copied(monitor: Monitor) -> Monitor:
    other = copy.copy(monitor)
    other._items, other._before = dict(monitor._items), dict(monitor._before)  # noqa: SLF001
    other._blobs, other.headers = dict(monitor._blobs), dict(monitor.headers)  # noqa: SLF001
    other.commits, other.counted = monitor.commits.copy(), monitor.counted.copy()
    other.calls, other.late = monitor.calls.copy(), copy.deepcopy(monitor.late)
    other.limits = copy.deepcopy(monitor.limits)
    other.records = copy.copy(monitor.records)
    for run_id, branches in monitor.records.items():
        other.records[run_id] = {path: dict(records) for path, records in branches.items()}
    return other


def exchanged(actors: tuple[Actor, ...], old: Actor, new: Actor | None = None) -> tuple[Actor, ...]:
    place = actors.index(old)
    return (*actors[:place], *((new,) if new is not None else ()), *actors[place + 1 :])


def name(actor: Actor) -> str:
    return f"message {actor.seq} (delivery {actor.count})" if actor.seq else f"client {actor.body}"


def about(call: Call) -> str:
    return repr(call.arguments[0])[:120] if call.arguments else ""


def outcome(result: Any, error: BaseException | None) -> str:
    return (type(error).__name__ if error is not None else repr(result))[:160]


def path_of(path: Any) -> list[str]:
    lines = []
    while path is not None:
        path, line = path
        lines.append(line)
    return lines[::-1]
