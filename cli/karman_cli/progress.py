"""What is known of a run in progress, from observations: counts for each node instance, and failures.

Observations are neither durable nor exact (a redelivery repeats them), so these numbers are for looking at. Memory does
not grow with the number of states, but for those that wait.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.topology import Topology, build
from karman_core.engine.views import AttemptView, GroupView, StateView
from karman_core.ports.observer import GroupOpened, Observation, RunEnded, StateBegan, StateCommitted

KEPT_FAILURES = 1_000


@dataclass(slots=True)
class Counts:
    """States of one node instance, by what has become of them."""

    running: int = 0
    succeeded: int = 0
    failed: int = 0
    other: int = 0
    retries: int = 0
    branches: int = 0
    groups: int = 0
    waiting: set[str] = field(default_factory=set)

    @property
    def done(self) -> int:
        """States that have ended, whatever way."""
        return self.succeeded + self.failed + self.other


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed; `final` when no other follows."""

    identifier: str
    attempt: int
    error: str
    final: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One node instance as it is shown: its place in the tree, and its counts. `total` is what is expected so far."""

    identifier: str
    depth: int
    done: int
    running: int
    waiting: int
    failed: int
    retries: int
    total: int


class Progress:
    """Takes the observations of one run."""

    def __init__(self, definition: GraphDefinition) -> None:
        self.run_id: str | None = None
        self.status: str | None = None
        self.failures: deque[Failure] = deque(maxlen=KEPT_FAILURES)
        self.failure_count = 0
        self._definition = definition
        self._topology = build(definition)
        self._counts: defaultdict[str, Counts] = defaultdict(Counts)
        self._running: set[str] = set()
        self._told: set[tuple[str, int]] = set()

    def observe(self, observation: Observation) -> None:
        """Take note, if it is about this run."""
        if self.run_id is not None and getattr(observation, "run_id", None) != self.run_id:
            return
        match observation:
            case StateBegan():
                self._began(observation)
            case StateCommitted():
                self._committed(observation)
            case GroupOpened():
                self._counts[observation.identifier].groups += 1
                for identifier, branches in observation.branches:
                    self._counts[identifier].branches += branches
            case RunEnded():
                self.status = observation.status
            case _:
                pass

    def recall(self, state: StateView) -> None:
        """Count a state of an earlier process, when a run is resumed."""
        counts = self._counts[state.identifier]
        self._count(counts, state.status, state.state_id)
        following = self._following(self._topology, state.identifier)
        if state.width is not None and following:
            counts.groups += 1
            for each in following:
                self._counts[each].branches += state.width // len(following)

    def recount(self, states: Iterable[StateView], after_ms: int = 0) -> None:
        """Count anew, from a run's states as they were read. Each attempt that failed after that is told once."""
        self._counts.clear()
        for state in states:
            self.recall(state)
            if state.status == "RUNNING":
                self._counts[state.identifier].running += 1
            failed = [attempt for attempt in state.attempts if attempt.error_kind is not None]
            for place, attempt in enumerate(failed, start=1):
                final = state.status == "FAILED" and place == len(failed)
                if attempt.ended_ms > after_ms:
                    self._tell((state.state_id, attempt.ended_ms), state.identifier, attempt, final=final)

    def take_groups(self, groups: Iterable[GroupView]) -> None:
        """Count branches that have ended in the place of states: of groups that are too wide to be read."""
        ended: defaultdict[str, Counts] = defaultdict(Counts)
        for group in groups:
            counts = ended[group.identifier]
            counts.succeeded += group.succeeded
            counts.failed += group.failed
            counts.other += group.pruned
        for identifier, counts in ended.items():
            following = self._following(self._topology, identifier)
            if len(following) == 1:
                first = self._counts[following[0]]
                first.succeeded, first.failed, first.other = counts.succeeded, counts.failed, counts.other

    def rows(self) -> list[Row]:
        """Every node instance, in the order and depth in which it is shown."""
        totals = self._totals()
        return [self._row(identifier, depth, totals[identifier]) for identifier, depth in self._tree()]

    def _began(self, began: StateBegan) -> None:
        counts = self._counts[began.identifier]
        counts.waiting.discard(began.state_id)
        if began.state_id not in self._running:
            self._running.add(began.state_id)
            counts.running += 1

    def _committed(self, committed: StateCommitted) -> None:
        counts = self._counts[committed.identifier]
        if committed.state_id in self._running:
            self._running.discard(committed.state_id)
            counts.running -= 1
        self._count(counts, committed.status, committed.state_id)
        if committed.error is not None:
            final = committed.status != "RETRYING"
            self.failures.append(Failure(committed.identifier, committed.attempt, committed.error, final))
            self.failure_count += 1

    def _tell(self, once: tuple[str, int], identifier: str, attempt: AttemptView, *, final: bool) -> None:
        if once in self._told:
            return
        self._told.add(once)
        error = f"{attempt.error_kind}: {attempt.error_message}"
        self.failures.append(Failure(identifier, attempt.attempt, error, final))
        self.failure_count += 1

    @staticmethod
    def _count(counts: Counts, status: str, state_id: str) -> None:
        match status:
            case "SUCCEEDED":
                counts.succeeded += 1
            case "FAILED" | "TIMED_OUT":
                counts.failed += 1
            case "PRUNED" | "CANCELLED":
                counts.other += 1
            case "RETRYING":
                counts.retries += 1
            case "WAITING":
                counts.waiting.add(state_id)
            case _:
                pass

    def _row(self, identifier: str, depth: int, total: int) -> Row:
        counts = self._counts[identifier]
        waiting = len(counts.waiting)
        least = counts.done + counts.running + waiting
        return Row(
            identifier,
            depth,
            counts.done,
            counts.running,
            waiting,
            counts.failed,
            counts.retries,
            max(total, least),
        )

    def _totals(self) -> dict[str, int]:
        """How many states of each node instance are to be expected, from the groups that have been opened.

        A node instance runs once for each branch that begins with it, once for each state that it follows without a
        fork, and as a unite once for each group.
        """
        topology = self._topology
        totals: dict[str, int] = {}
        unites = {node.identifier: node.unites.identifier for node in self._definition.nodes if node.unites}
        for number in topology.order:
            identifier = topology.identifiers[number]
            if identifier in unites:
                united = unites[identifier]
                totals[identifier] = self._counts[united].groups or totals.get(united, 1)
            else:
                totals[identifier] = self._counts[identifier].branches + self._inherited(number, totals)
        return {identifier: totals.get(identifier, 0) for identifier in topology.identifiers}

    def _inherited(self, number: int, totals: dict[str, int]) -> int:
        before = [self._topology.identifiers[each] for each in self._topology.predecessors[number]]
        if not before:
            return 1
        return sum(self._goes_on(each, totals) for each in before if not self._counts[each].groups)

    def _goes_on(self, identifier: str, totals: dict[str, int]) -> int:
        """States of a node instance that are followed by others, as far as is known."""
        counts = self._counts[identifier]
        return max(0, totals.get(identifier, 0) - counts.failed - counts.other)

    def _tree(self) -> list[tuple[str, int]]:
        """Node instances and depths. What runs in a group is one deeper than what opens it; its unite is not."""
        topology = self._topology
        united_by = {
            node.unites.identifier: node.identifier for node in self._definition.nodes if node.unites
        }
        late = set(united_by.values())
        shown: dict[str, int] = {}
        waiting = [(topology.identifiers[number], 0) for number in reversed(topology.roots)]
        while waiting:
            identifier, depth = waiting.pop()
            if identifier in shown:
                continue
            shown[identifier] = depth
            following = self._following(topology, identifier)
            forks = len(following) > 1 or identifier in united_by or self._counts[identifier].groups > 0
            if identifier in united_by:
                waiting.append(
                    (united_by[identifier], depth)
                )  # after the branches: they are put on top of it
            waiting += [(each, depth + forks) for each in reversed(following) if each not in late]
        for identifier in topology.identifiers:
            shown.setdefault(identifier, 0)
        return list(shown.items())

    @staticmethod
    def _following(topology: Topology, identifier: str) -> list[str]:
        return [topology.identifiers[number] for number in topology.successors[topology.numbers[identifier]]]
