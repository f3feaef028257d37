"""Random graphs and what their nodes do: the oracle's plans, with turns, waits, store writes, loops and whims."""

from __future__ import annotations

import functools
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from karman_core.domain.branches import Branch, parse_state_id
from karman_core.domain.definition import GraphDefinition, NodeInstance, RegisteredNode
from karman_core.domain.graph import Graph, compile_graph
from karman_core.domain.groups import analyse
from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Outcome,
    Pruned,
    Requeued,
    SentSignal,
    StoreIncrement,
    Succeeded,
)
from karman_core.domain.records import Record
from karman_core.domain.transitions import StateStatus
from karman_core.domain.validation import validate
from karman_core.ports.executor import Execution
from tests.scenario.harness import graph
from tests.scenario.nodes import as_outcome
from tests.scenario.oracle import Expected, Plan, TooLarge, random_plan

COUNT = Effects((StoreIncrement("n"),))
NODES = ("step", "other")
SECRETS = ("token",)
NIGHTLY = {"name": "nightly", "value": {"expression": "0 3 * * *"}}
_LEAST_STATES = 3


@dataclass(slots=True)
class Planned:
    """A plan that validation takes, as a graph, and what it should come to without faults."""

    plan: Plan
    definition: GraphDefinition
    compiled: Graph
    inside: dict[str, str | None]
    loops: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    behaviours: frozenset[str] = frozenset()

    def expected(self, healed: frozenset[Any] = frozenset()) -> Expected:
        """The oracle's evaluation, to be run."""
        return Expected(self.plan, dict(self.inside), healed)

    @property
    def determinate(self) -> bool:
        """Whether the plan says how each state ends, whatever happens."""
        return not self.behaviours & {"wild", "loops"} and not self.definition.fail_fast

    # --- what a state does --------------------------------------------------------------------------------------------

    def prelude(self, branch: Branch, number: int) -> tuple[str, ...]:
        """The turns of a state before the one that ends it."""
        rng = random.Random(zlib.crc32(repr((self.plan.seed, "prelude", branch, number)).encode()))
        kinds = sorted(self.behaviours & {"retry", "requeue", "wait"})
        if not kinds or rng.random() < 0.6:
            return ()
        return tuple(rng.choice(kinds) for _ in range(rng.choice([1, 1, 2])))

    def counts(self, record: Record, branch: Branch, number: int) -> bool:
        """Whether a committed record comes with an increment of the store."""
        del branch, number
        ended = record.status in {StateStatus.SUCCEEDED, StateStatus.PRUNED}
        requeued = record.status is StateStatus.QUEUED
        return "store" in self.behaviours and (ended or requeued) and record.skipped is None

    def outcome(self, execution: Execution, whims: random.Random) -> Outcome:
        """What an execution gives."""
        _, branch, number = parse_state_id(execution.state_id)
        turns = self.prelude(branch, number)
        effects = COUNT if "store" in self.behaviours else Effects()
        self._check_resumption(execution, turns)
        if execution.turn < len(turns):
            return self._turn(turns[execution.turn], execution, effects)
        self.plan.executions += 1
        identifier, healed = execution.identifier, execution.turn > len(turns)
        place = (branch, number)
        if "wild" in self.behaviours and whims.random() < 0.3:
            place = (branch, whims.randrange(1000))
        answer = as_outcome(self.plan.outcome(identifier, *place, healed=healed))
        if isinstance(answer, Succeeded):
            return self._succeeded(answer, execution, effects, branch, number)
        return replace(answer, effects=effects) if isinstance(answer, Pruned) else answer

    def _check_resumption(self, execution: Execution, turns: tuple[str, ...]) -> None:
        """Raises AssertionError when a turn after a wait does not know how that ended; a cancelled turn does not."""
        before = turns[execution.turn - 1] if 0 < execution.turn <= len(turns) else None
        if before is None or self.definition.fail_fast:
            return
        if (before == "wait") != (execution.resumed is not None):
            raise AssertionError(f"{execution.state_id} turn {execution.turn} resumed: {execution.resumed}")

    def _succeeded(
        self, answer: Succeeded, execution: Execution, effects: Effects, branch: Branch, number: int
    ) -> Succeeded:
        outputs = [{"v": [*o["v"][:1], execution.state_id.replace(execution.run_id, "r", 1), *o["v"][2:],
                          execution.inputs.get("given", 0), self.plan.executions]} if o else {}
                   for o in answer.outputs]  # fmt: skip
        loop = self.loops.get(execution.identifier)
        rng = random.Random(zlib.crc32(repr((self.plan.seed, "loop", branch, number)).encode()))
        if loop is not None and rng.random() < 0.6:
            one = outputs[:1] or [{"v": [execution.identifier, "r", 0, 0, self.plan.executions]}]
            return Succeeded(tuple(one), loop[0], effects)
        if "signals" in self.behaviours and rng.random() < 0.3:
            effects = replace(effects, signals=(SentSignal("go", "from a node"),))
        return Succeeded(tuple(outputs), answer.chosen, effects)

    def _turn(self, kind: str, execution: Execution, effects: Effects) -> Outcome:
        rng = random.Random(zlib.crc32(f"{execution.state_id[-9:]} {execution.turn}".encode()))
        match kind:
            case "retry":
                return Errored("Flaky", f"turn {execution.turn}")
            case "requeue":
                return Requeued(rng.choice([0, 300, 20_000]), effects)
        timeout = rng.choice([500, 20_000, 1_000_000, None])
        return Awaiting(rng.choice(["go", "go#on"]), timeout)


@functools.lru_cache(maxsize=2048)
def planned(seed: int, most: int, behaviours: frozenset[str], *, fail_fast: bool, mixed: bool) -> Planned:
    """The plan of a seed, of a size that is quick to run; the same for everybody."""
    rng = random.Random(f"plan {seed}")
    while True:
        plan = random_plan(rng.randrange(10**9))
        nodes: dict[tuple[str | None, str], RegisteredNode] = {
            (None, name): RegisteredNode(name=name, runtime="rt", secrets=SECRETS) for name in NODES
        }
        for problem in validate(_definition(plan, {}), nodes):
            if problem.path.count(".") == 2 and problem.path.startswith("nodes["):
                index, name = int(problem.path[6 : problem.path.index("]")]), problem.path.rsplit(".", 1)[1]
                plan.reads[list(plan.nodes)[index]].remove(name)
        loops = _loops(plan, rng) if "loops" in behaviours else {}
        if validate(_definition(plan, loops), nodes):
            continue
        definition = _definition(plan, loops, fail_fast=fail_fast, mixed=mixed, triggers=[NIGHTLY])
        found = Planned(
            plan,
            definition,
            compile_graph(definition),
            dict(analyse(definition).innermost),
            loops,
            behaviours,
        )
        expected = found.expected()
        try:
            expected.run()
        except TooLarge:
            continue
        if _LEAST_STATES <= len(expected.states) <= most:
            return found


def _definition(
    plan: Plan,
    loops: Mapping[str, tuple[str, int]],
    *,
    fail_fast: bool = False,
    mixed: bool = False,
    triggers: Sequence[Mapping[str, Any]] = (),
) -> GraphDefinition:
    def dressed(place: int, instance: NodeInstance) -> NodeInstance:
        values = instance.model_dump()
        values["node_name"] = NODES[place % 2 if mixed else 0]
        if instance.identifier in loops:
            target, rounds = loops[instance.identifier]
            values["loops"] = [{"to": target, "max_rounds": rounds}]
        return NodeInstance.model_validate(values)

    instances = [dressed(place, instance) for place, instance in enumerate(plan.definition())]
    return graph(
        *instances,
        fail_fast=fail_fast,
        secrets=SECRETS,
        triggers=triggers,
        store_config={"default_values": {"n": 0}},
        retry_policy={"max_retries": 3, "backoff_factor": 400},
    )


def _loops(plan: Plan, rng: random.Random) -> dict[str, tuple[str, int]]:
    """An edge back over a plain piece of the graph: from a node to one before it, no group begun or united between."""
    found = {}
    for start, following in plan.nodes.items():
        chain, after = [start], following
        while len(after) == 1 and after[0] not in plan.unites and chain[-1] not in plan.united_by:
            chain.append(after[0])
            after = plan.nodes[after[0]]
        if len(chain) > 1 and chain[-1] not in plan.united_by and rng.random() < 0.5:
            found[chain[-1]] = (start, rng.choice([1, 2, 3]))
    return dict(list(found.items())[:2])
