"""What follows a committed record.

Pure, and a function of the graph version and the record alone: whoever decides again, after a crash or having lost the
commit, decides the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, assert_never

from karman_core.domain.graph import Graph
from karman_core.domain.records import Record
from karman_core.domain.transitions import StateStatus


class Ending(StrEnum):
    """How a branch (or a whole group) ended: the set of its group's join item that it enters."""

    SUCCEEDED = "s"
    FAILED = "f"
    PRUNED = "p"


@dataclass(frozen=True, slots=True)
class GoOn:
    """The branch goes on with one state; `looping` when it goes back along a loop edge."""

    identifier: str
    looping: bool = False


@dataclass(frozen=True, slots=True)
class Fork:
    """A group opens: for every output, in order, one branch for each of `starts`.

    Branch i begins at `starts[i % len(starts)]` with output `i // len(starts)`.
    """

    width: int
    starts: tuple[str, ...]
    unite: str | None


@dataclass(frozen=True, slots=True)
class UniteAtOnce:
    """A united group without branches: its unite runs next, in the same branch."""

    identifier: str


@dataclass(frozen=True, slots=True)
class EndBranch:
    """The branch ends."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class RunAgain:
    """The same state has another turn, not before `due_ms`."""

    due_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The state waits for a signal, until `timeout_ms` (epoch ms) if given."""

    signal: str
    timeout_ms: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """The record has no outcome for its turn: the node runs."""


Decision: TypeAlias = GoOn | Fork | UniteAtOnce | EndBranch | RunAgain | Wait | Run


def decide(graph: Graph, record: Record) -> Decision:
    """What follows `record`."""
    match record.status:
        case StateStatus.SUCCEEDED:
            return _after_success(graph, record)
        case StateStatus.PRUNED:
            return EndBranch(Ending.PRUNED)
        case StateStatus.FAILED | StateStatus.CANCELLED | StateStatus.TIMED_OUT:
            return EndBranch(Ending.FAILED)
        case StateStatus.RETRYING | StateStatus.QUEUED:
            return RunAgain(record.due_ms or 0)
        case StateStatus.WAITING | StateStatus.READY:
            return Wait(record.awaiting or "", record.timeout_ms)
        case StateStatus.RUNNING:
            return Run()
        case _:
            assert_never(record.status)


def _after_success(graph: Graph, record: Record) -> Decision:
    if record.chosen is not None and graph.loop_rounds(record.identifier, record.chosen) is not None:
        return GoOn(record.chosen, looping=True)
    starts = graph.starts(record.identifier, record.chosen)
    unite = graph.unite_of(record.identifier)
    if unite is not None:
        width = record.width * len(starts)
        return Fork(width, starts, unite) if width else UniteAtOnce(unite)
    # An empty list opens no group where nobody unites it: the branch goes on once, without outputs.
    width = max(1, record.width) * len(starts)
    if width > 1:
        return Fork(width, starts, None)
    return GoOn(starts[0]) if width else EndBranch(Ending.SUCCEEDED)
