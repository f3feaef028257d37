"""Whatever workers do, crash at or repeat, and in whatever order: a run keeps the promises of the design."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import Phase, event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from karman_core.domain.decide import Ending
from karman_core.domain.definition import NodeInstance, Unites, UniteStrategy
from karman_core.domain.graph import Graph, compile_graph
from karman_core.domain.messages import Position
from karman_core.domain.outcome import Awaiting, Errored, Outcome, Pruned, Requeued, Succeeded
from karman_core.domain.positions import loop_edge
from tests.domain.flows import fans, flows
from tests.domain.graphs import graph, node
from tests.domain.interpreter import STEPS, Rules, Worker
from tests.domain.world import Options, Violation, World, place_of

ANY_SUCCESS = compile_graph(
    graph(
        node("n0", "n1"),
        node("n1", "n2"),
        NodeInstance(
            identifier="n2",
            node_name="Node",
            unites=Unites(identifier="n0", strategy=UniteStrategy.ANY_SUCCESS),
        ),
    )
)
MAX_RECORDS = 40
MAX_TURNS = 3
MAX_WORKERS = 6
MAX_DELIVERIES = 2_000

Ends: TypeAlias = list[tuple[str, int]]
"""How executions end, one after the other: a kind or a number of outputs, and what tells it from others of its kind."""

TAME: Ends = [("1", 0)]
KINDS = [
    "1",
    "1",
    "0",
    "2",
    "3",
    "3",
    "5",
    "next",
    "next",
    "error",
    "failure",
    "failure",
    "prune",
    "requeue",
    "wait",
]
picks = st.integers(0, 20)
stops = st.sampled_from([None, *STEPS])
options = st.builds(
    Options,
    arity=st.integers(2, 3),
    direct=st.integers(0, 3),
    remote=st.frozensets(st.sampled_from([f"n{number}" for number in range(7)]), max_size=3),
    carries=st.booleans(),
    marks=st.booleans(),
)
fates = st.sampled_from(["crash", "both crash", "go on"])
ends = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), min_size=1, max_size=4)


def outcome_of(world: World, here: Position, kind: str, salt: int) -> Outcome:
    """How a node ends; tame where the run has become large or the state has had its turns."""
    large = len(world.records) >= MAX_RECORDS
    if kind in {"error", "requeue", "wait"} and here.turn >= MAX_TURNS:
        kind = "failure"
    match kind:
        case "next":
            choices = [None] if large else choices_at(world.graph, here)
            return Succeeded(outputs(1, salt), choices[salt % len(choices)])
        case "error" | "failure":
            return Errored("Broken", "on purpose", retry=kind == "error")
        case "prune":
            return Pruned({})
        case "requeue":
            return Requeued(1)
        case "wait":
            return Awaiting("signal")
        case _:
            return Succeeded(outputs(1 if large else int(kind), salt))


def choices_at(graph: Graph, here: Position) -> list[str | None]:
    """The next nodes and loop targets that a node may name."""
    instance, rounds = graph.instances[here.identifier], here.scope.rounds
    loops = [
        loop.to
        for loop in instance.loops
        if rounds.get(loop_edge(here.identifier, loop.to), 0) < loop.max_rounds
    ]
    return [*instance.next_nodes, *loops, None]


def outputs(width: int, salt: int) -> tuple[dict[str, int], ...]:
    return tuple({"x": salt, "y": number} for number in range(width))


class Runs(RuleBasedStateMachine):
    """Runs of one graph, one after the other; a few workers at a time."""

    protocol = Rules()
    graphs = flows(max_nodes=7) | fans()

    @initialize(data=st.data())
    def trigger(self, data: st.DataObject) -> None:
        self.world = World(data.draw(self.graphs), data.draw(options))
        self.workers: list[Worker] = []

    @rule(pick=picks, ends=ends)
    def deliver(self, pick: int, ends: Ends) -> None:
        """A message that nothing happens to."""
        self._work(self._receive(pick), None, ends)

    @rule(pick=picks, until=stops, ends=ends)
    def begin(self, pick: int, until: str | None, ends: Ends) -> None:
        """The first steps on any message, also on one that another worker has."""
        self._work(self._receive(pick), until, ends)

    @rule(plans=st.lists(st.tuples(picks, stops, ends), min_size=2, max_size=5))
    def rush(self, plans: list[tuple[int, str | None, Ends]]) -> None:
        """Some steps on as many messages."""
        for pick, until, ends in plans:
            self._work(self._receive(pick), until, ends)

    @rule(pick=picks, until=stops, ends=ends)
    def go_on(self, pick: int, until: str | None, ends: Ends) -> None:
        """Some more steps of one worker."""
        if self.workers:
            self._work(self.workers.pop(pick % len(self.workers)), until, ends)

    @rule(
        pick=picks, order=st.lists(st.booleans(), min_size=1, max_size=16), ends=ends, others=ends, fate=fates
    )
    def race(self, pick: int, order: list[bool], ends: Ends, others: Ends, fate: str) -> None:
        """Two workers on one message, step by step; then one of them may crash."""
        one = self._receive(pick)
        two = Worker(self.world, one.number, self.protocol)
        nodes = {one: _Nodes(self.world, ends), two: _Nodes(self.world, others)}
        for first in order:
            worker = one if first else two
            if not worker.done:
                worker.step(nodes[worker])
        for worker in [two] if fate == "crash" else [one, two] if fate == "go on" else []:
            worker.run(nodes[worker])

    @rule(pick=picks)
    def crash(self, pick: int) -> None:
        """A worker is gone; its message is not."""
        if self.workers:
            del self.workers[pick % len(self.workers)]

    @rule(pick=picks)
    def signal(self, pick: int) -> None:
        """A signal for any wait, also for one that is over."""
        if self.world.waits:
            waits = sorted(self.world.waits)
            self.world.signal(self.world.waits[waits[pick % len(waits)]])

    def teardown(self) -> None:
        """Nothing goes wrong any more: the run ends."""
        if not hasattr(self, "world"):
            return
        for worker in self.workers:
            worker.run(_Nodes(self.world, TAME))
        for _ in range(MAX_DELIVERIES):
            if self.world.final is not None and not self.world.queue:
                break
            self._receive(0).run(_Nodes(self.world, TAME))
        else:
            raise Violation("the run never ends")
        event(f"{len(self.world.records) // 10}0 states")

    def _work(self, worker: Worker, until: str | None, ends: Ends) -> None:
        worker.run(_Nodes(self.world, ends), until)
        if not worker.done:
            self.workers = [*self.workers, worker][-MAX_WORKERS:]

    def _receive(self, pick: int) -> Worker:
        """A worker that has received a message; when there is none, a wait gets its signal, or a run begins anew."""
        while not self.world.queue:
            waiting = [then for then in self.world.waits.values() if self.world.waiting(then)]
            if waiting:
                self.world.signal(waiting[pick % len(waiting)])
            elif self.workers:
                self.workers.pop().run(_Nodes(self.world, TAME))
            elif self.world.final is None:
                raise Violation("the run never ends")
            else:
                self.world = World(self.world.graph, self.world.options)
        numbers = sorted(self.world.queue)
        return Worker(self.world, numbers[pick % len(numbers)], self.protocol)


class _Nodes:
    """The nodes of a world: how they end, one execution after the other."""

    def __init__(self, world: World, ends: Ends) -> None:
        self.world, self.ends, self.count = world, ends, 0

    def __call__(self, here: Position) -> Outcome:
        end, salt = self.ends[self.count % len(self.ends)]
        self.count += 1
        note(f"{place_of(here)} {here.identifier}, turn {here.turn}: {end} {salt}")
        return outcome_of(self.world, here, end, salt)


Runs.TestCase.settings = settings(max_examples=300, stateful_step_count=30)
TestRuns = Runs.TestCase

MUTANTS = ["conditional", "turns", "adopt", "keep", "membership", "last", "frozen", "durable"]


@pytest.mark.parametrize("rule_left_out", MUTANTS)
def test_stateful_catches_mutants(rule_left_out: str) -> None:
    class Mutant(Runs):
        protocol = replace(Rules(), **{rule_left_out: False})

    budget = settings(Runs.TestCase.settings, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(Violation):
        run_state_machine_as_test(Mutant, settings=budget)


def let_a_success_stop_before_it_tells(world: World, protocol: Rules) -> None:
    """ADR 6. Random runs rarely come to this: the first success stops where it would tell, and all others fail."""

    def well(here: Position) -> Outcome:
        return outcome_of(world, here, "3", 0)

    def badly(here: Position) -> Outcome:
        return outcome_of(world, here, "failure", 0)

    Worker(world, 0, protocol).run(well)
    first = Worker(world, 1, protocol)
    first.run(well, until="tell")
    for number in (2, 3):
        Worker(world, number, protocol).run(badly)
    first.run(well)
    while world.queue:
        Worker(world, min(world.queue), protocol).run(well)


def test_a_success_is_told_to_the_root_item_before_the_shard_goes_up() -> None:
    world = World(ANY_SUCCESS, Options())
    let_a_success_stop_before_it_tells(world, Rules())
    assert world.final is not None
    assert world.final[0] is Ending.SUCCEEDED
    with pytest.raises(Violation, match="ANY_SUCCESS does not hold"):
        let_a_success_stop_before_it_tells(World(ANY_SUCCESS, Options()), Rules(told=False))
