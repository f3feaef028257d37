"""Whatever workers do, crash at or repeat, and in whatever order: a run keeps the promises of the design."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase, event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from karman_core.domain.graph import Graph
from karman_core.domain.messages import Position
from karman_core.domain.outcome import Awaiting, Errored, Outcome, Pruned, Requeued, Succeeded
from karman_core.domain.positions import loop_edge
from karman_core.domain.transitions import StateStatus
from tests.domain.flows import flows
from tests.domain.interpreter import Rules, Worker
from tests.domain.world import Violation, World, place_of

MAX_RECORDS = 40
MAX_TURNS = 3
MAX_WORKERS = 4
MAX_DELIVERIES = 2_000

PLANS = ["1", "1", "1", "0", "2", "3", "next", "next", "error", "failure", "prune", "requeue", "wait"]


def outcome_of(world: World, here: Position, plan: str, pick: int) -> Outcome:
    """How a node ends, by a plan; tame where the run has become large or the state has had its turns."""
    large = len(world.records) >= MAX_RECORDS
    if plan in {"error", "requeue", "wait"} and here.turn >= MAX_TURNS:
        plan = "failure"
    match plan:
        case "next":
            choices = [None] if large else choices_at(world.graph, here)
            chosen = choices[pick % len(choices)]
            return Succeeded(outputs(here, 1), chosen)
        case "error" | "failure":
            return Errored("Broken", "on purpose", retry=plan == "error")
        case "prune":
            return Pruned({})
        case "requeue":
            return Requeued(1)
        case "wait":
            return Awaiting("signal")
        case _:
            return Succeeded(outputs(here, 1 if large else int(plan), pick))


def choices_at(graph: Graph, here: Position) -> list[str | None]:
    """The next nodes and loop targets that a node may name."""
    instance, rounds = graph.instances[here.identifier], here.scope.rounds
    loops = [
        loop.to
        for loop in instance.loops
        if rounds.get(loop_edge(here.identifier, loop.to), 0) < loop.max_rounds
    ]
    return [*instance.next_nodes, *loops, None]


def outputs(here: Position, width: int, salt: int = 0) -> tuple[dict[str, int], ...]:
    """Outputs that differ from those of every other execution with another salt."""
    return tuple({"x": salt, "y": number} for number in range(width))


class Runs(RuleBasedStateMachine):
    """One run, a few workers at a time."""

    protocol = Rules()

    @initialize(
        graph=flows(max_nodes=7),
        arity=st.integers(2, 3),
        direct=st.integers(0, 3),
        remote=st.frozensets(st.sampled_from([f"n{number}" for number in range(7)]), max_size=3),
        carries=st.booleans(),
        marks=st.booleans(),
    )
    def trigger(
        self, graph: Graph, arity: int, direct: int, remote: frozenset[str], *, carries: bool, marks: bool
    ) -> None:
        self.world = World(graph, arity=arity, direct=direct, remote=remote, carries=carries, marks=marks)
        self.workers: list[Worker] = []

    def _take(self, pick: int) -> Worker:
        number = sorted(self.world.queue)[pick % len(self.world.queue)]
        return Worker(self.world, number, self.protocol)

    @rule(pick=st.integers(0, 20))
    @precondition(lambda self: self.world.queue and len(self.workers) < MAX_WORKERS)
    def deliver(self, pick: int) -> None:
        """Any message, also one that another worker has."""
        self.workers.append(self._take(pick))

    @rule(pick=st.integers(0, 20), plans=st.lists(st.sampled_from(PLANS), min_size=1, max_size=4), salt=st.integers(0, 9))
    @precondition(lambda self: self.world.queue)
    def deliver_and_work(self, pick: int, plans: list[str], salt: int) -> None:
        """A message that nothing happens to."""
        self._take(pick).run(_Plans(self.world, plans, salt))

    @rule(
        pick=st.integers(0, 3), steps=st.integers(1, 12), plans=st.lists(st.sampled_from(PLANS), min_size=1, max_size=4), salt=st.integers(0, 9)
    )
    @precondition(lambda self: self.workers)
    def work(self, pick: int, steps: int, plans: list[str], salt: int) -> None:
        """Some steps of one worker, between those of others."""
        worker = self.workers[pick % len(self.workers)]
        choose = _Plans(self.world, plans, salt)
        for _ in range(steps):
            if not worker.done:
                worker.step(choose)
        if worker.done:
            self.workers.remove(worker)

    @rule(pick=st.integers(0, 3))
    @precondition(lambda self: self.workers)
    def crash(self, pick: int) -> None:
        """A worker is gone; its message is not."""
        del self.workers[pick % len(self.workers)]

    @rule(pick=st.integers(0, 3))
    @precondition(lambda self: self.world.waits)
    def signal(self, pick: int) -> None:
        waits = sorted(self.world.waits)
        self.world.signal(self.world.waits[waits[pick % len(waits)]])

    def teardown(self) -> None:
        """Nothing goes wrong any more: the run ends."""
        if not hasattr(self, "world"):
            return
        world, choose = self.world, _Plans(self.world, ["1"], 0)
        for worker in self.workers:
            worker.run(choose)
        for _ in range(MAX_DELIVERIES):
            if not world.queue:
                waiting = [then for then in world.waits.values() if world.records[place_of(then)].status is StateStatus.WAITING]
                if not waiting:
                    break
                world.signal(waiting[0])
            Worker(world, min(world.queue), self.protocol).run(choose)
        if world.queue or world.final is None:
            raise Violation("the run never ends")
        event(f"states: {len(world.records) // 10}0s, deliveries")


class _Plans:
    """How nodes end, one after the other."""

    def __init__(self, world: World, plans: list[str], salt: int) -> None:
        self.world, self.plans, self.salt, self.used = world, plans, salt, 0

    def __call__(self, here: Position) -> Outcome:
        plan = self.plans[self.used % len(self.plans)]
        self.used += 1
        note(f"{place_of(here)} {here.identifier} turn {here.turn}: {plan}")
        return outcome_of(self.world, here, plan, self.salt)


Runs.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestRuns = Runs.TestCase

MUTANTS = ["conditional", "turns", "adopt", "keep", "membership", "last", "frozen", "told", "durable"]


@pytest.mark.parametrize("rule_left_out", MUTANTS)
def test_stateful_catches_mutants(rule_left_out: str) -> None:
    class Mutant(Runs):
        protocol = replace(Rules(), **{rule_left_out: False})

    budget = settings(
        max_examples=300, stateful_step_count=40, phases=[Phase.generate], database=None, derandomize=True
    )
    with pytest.raises(Violation):
        run_state_machine_as_test(Mutant, settings=budget)
