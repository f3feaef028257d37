"""What a run should come to, by the rules read word by word: no messages, no joins, no epochs, one recursion.

Random graphs of forks, choices and nested groups are evaluated here and run on the engine; both must tell the same
states, with the same inputs.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from karman_core.domain.branches import Branch, parse_state_id, state_id
from karman_core.domain.definition import NodeInstance
from karman_core.domain.outcome import Errored, Pruned, Succeeded
from karman_core.ports.executor import Execution
from tests.scenario.harness import node
from tests.scenario.nodes import Answer

MISSING = object()
MOST_STATES = 150


class TooLarge(Exception):
    """The run would have more states than a test has time for."""


Place = tuple[Branch, int]
Ending = str | list[Place]
"""How a branch ends: s or p, or the failed states that make it fail."""

Env = dict[str, Any]
"""What an identifier's field `v` is, as seen from somewhere in the run."""


@dataclass(slots=True)
class Plan:
    """A random graph, and what each state of it does."""

    seed: int
    nodes: dict[str, list[str]] = field(default_factory=dict)
    unites: dict[str, tuple[str, str]] = field(default_factory=dict)
    reads: dict[str, list[str]] = field(default_factory=dict)
    executions: int = 0

    @property
    def united_by(self) -> dict[str, str]:
        """The uniting node of each united one."""
        return {united: unite for unite, (united, _) in self.unites.items()}

    def definition(self) -> list[NodeInstance]:
        """The node instances."""
        return [
            node(
                name, *after, node_name="step",
                **({"unites": self.unites[name][0], "strategy": self.unites[name][1]} if name in self.unites else {}),
                inputs={read: f"${{{{ {read}.outputs.v }}}}" for read in self.reads.get(name, [])},
            )
            for name, after in self.nodes.items()
        ]  # fmt: skip

    def outcome(self, identifier: str, branch: Branch, number: int, *, healed: bool) -> Answer:
        """What a state does: a function of the seed and its place; what fails does not fail again once it is healed."""
        rng = random.Random(zlib.crc32(repr((self.seed, identifier, branch, number)).encode()))
        kind = rng.choices(["ok", "f", "p"], (12, 1, 1))[0]
        if kind == "f" and not healed:
            return Errored("Broken", state_id("r", branch, number), retry=False)
        if kind == "p":
            return Pruned({})
        if rng.random() < 0.05:
            return Succeeded(({},))
        width = rng.choices([0, 1, 2, 3, 5], (1, 8, 4, 2, 1) if len(branch) < 3 else (1, 8, 1, 0, 0))[0]
        after = self.nodes[identifier]
        chosen = rng.choice(after) if after and rng.random() < 0.2 else None
        outputs = tuple({"v": [identifier, state_id("r", branch, number), i]} for i in range(width))
        return Succeeded(outputs, chosen)

    def script(self, execution: Execution) -> Answer:
        """The outcome of an execution's state; no two executions give the same values."""
        self.executions += 1
        _, branch, number = parse_state_id(execution.state_id)
        answer = self.outcome(execution.identifier, branch, number, healed=execution.turn > 0)
        if isinstance(answer, Succeeded):
            outputs = tuple(
                {"v": [*output["v"], self.executions]} if output else {} for output in answer.outputs
            )
            return replace(answer, outputs=outputs)
        return answer


def random_plan(seed: int) -> Plan:
    """A graph of blocks in series and in parallel, with groups; most of them are valid."""
    rng, plan = random.Random(seed), Plan(seed)

    def fresh() -> str:
        name = f"n{len(plan.nodes)}"
        plan.nodes[name] = []
        before = [other for other in plan.nodes if other != name]
        plan.reads[name] = rng.sample(before, min(len(before), rng.choice([0, 1, 1, 2])))
        return name

    def link(start: str) -> str:
        after = fresh()
        plan.nodes[start].append(after)
        return after

    def block(start: str, depth: int) -> str:
        kind = rng.choice(["node", "nothing", *(["group", "series", "group"] if depth else [])])
        if kind == "series":
            return block(block(start, depth - 1), depth - 1)
        if kind != "group":
            return link(start) if kind == "node" else start
        opening = link(start)
        ends = [block(link(opening), depth - 1) for _ in range(rng.choice([1, 1, 2]))]
        closing = fresh()
        plan.unites[closing] = (opening, rng.choice(["ALL_SUCCESS", "ALL_DONE", "ALL_DONE", "ANY_SUCCESS"]))
        for end in dict.fromkeys(ends):
            plan.nodes[end].append(closing)
        return closing

    fresh()
    for _ in range(rng.randint(1, 3)):
        block(list(plan.nodes)[-1], 2)
    return plan


# --- the evaluation ---------------------------------------------------------------------------------------------------


def as_recorded(expected: Any, recorded: Mapping[str, tuple[Mapping[str, Any], ...]]) -> Any:
    """An expected value, where each output is replaced by the one that was committed (by state id without the run)."""
    match expected:
        case [str(), str(place), int(index)]:
            return recorded[place][index]["v"]
        case list():
            return [as_recorded(each, recorded) for each in expected]
        case _:
            return expected


def _causes(endings: list[Ending]) -> list[Place]:
    return [place for ending in endings if isinstance(ending, list) for place in ending]


@dataclass(slots=True)
class Expected:
    """What the evaluation found: status and inputs by place, that is branch and number.

    Attributes:
        inside: for each identifier the united node whose group it is directly inside of.
        healed: failed states that were run again in a later epoch.
        uncertain: some lists depend on which of several successes was the first.
        causes: the failed states that made the run fail.
    """

    plan: Plan
    inside: dict[str, str | None]
    healed: frozenset[Place] = frozenset()
    states: dict[Place, tuple[str, str]] = field(default_factory=dict)
    inputs: dict[Place, Env] = field(default_factory=dict)
    outputs: dict[Place, tuple[str, tuple[Any, ...]]] = field(default_factory=dict)
    uncertain: bool = False
    causes: frozenset[Place] = frozenset()

    def run(self) -> str:
        """Evaluate the run: s, f or p."""
        ending = self.branch((), 0, next(iter(self.plan.nodes)), {})
        self.causes = frozenset(ending) if isinstance(ending, list) else frozenset()
        return "f" if isinstance(ending, list) else ending

    def branch(self, path: Branch, number: int, identifier: str, env: Env) -> Ending:
        """Evaluate a branch from a state on: how it ends."""
        outcome = self._state(path, number, identifier, env)
        if not isinstance(outcome, Succeeded):
            return "p" if isinstance(outcome, Pruned) else [(path, number)]
        values = [output.get("v", MISSING) for output in outcome.outputs]
        self.outputs[path, number] = (identifier, tuple(value for value in values if value is not MISSING))
        after = self.plan.nodes[identifier] if outcome.chosen is None else [outcome.chosen]
        starts = [name for name in after if name not in self.plan.unites]
        unite = self.plan.united_by.get(identifier)
        width = (len(values) if unite else max(1, len(values))) * len(starts)
        if unite is None and width <= 1:
            if not starts:
                return "s"
            return self.branch(
                path, number + 1, starts[0], {**env, identifier: values[0] if values else MISSING}
            )
        endings: list[Ending] = []
        for index in range(width):
            value = values[index // len(starts)] if values else MISSING
            endings.append(
                self.branch(
                    (*path, (number, index)), 0, starts[index % len(starts)], {**env, identifier: value}
                )
            )
        if unite is None:
            return _causes(endings) or ("s" if "s" in endings else "p")
        every = MISSING if not values else values[0] if len(values) == 1 else values
        return self._unite(path, number, width, unite, endings, {**env, identifier: every})

    def _unite(
        self, path: Branch, number: int, width: int, unite: str, endings: list[Ending], env: Env
    ) -> Ending:
        _, strategy = self.plan.unites[unite]
        if strategy == "ANY_SUCCESS" and "s" in endings:
            self.uncertain = self.uncertain or endings.count("s") > 1
            only = endings.index("s")
            lists = self._lists(path, number, [only])
            return self.branch((*path, (number, width)), 0, unite, {**env, **lists})
        if strategy != "ALL_DONE" and _causes(endings):
            return _causes(endings)
        return self.branch(path, number + 1, unite, {**env, **self._lists(path, number, range(width))})

    def _lists(self, path: Branch, number: int, indexes: Any) -> Env:
        """The lists of every identifier directly inside the group that a state has opened."""
        united = self.states[path, number][0]
        wanted = [name for name, group in self.inside.items() if group == united]
        heads = {(*path, (number, index)) for index in indexes}
        found: dict[str, list[Any]] = {name: [] for name in wanted}
        for (branch, _), (identifier, values) in sorted(self.outputs.items()):
            if branch[: len(path) + 1] in heads and identifier in found:
                found[identifier] += values
        return dict(found)

    def _state(self, path: Branch, number: int, identifier: str, env: Env) -> Answer:
        reads = {name: env.get(name, MISSING) for name in self.plan.reads.get(identifier, [])}
        missing = any(value is MISSING for value in reads.values())
        healed = (path, number) in self.healed
        outcome = (
            Errored("unresolved", "")
            if missing
            else self.plan.outcome(identifier, path, number, healed=healed)
        )
        status = {Succeeded: "SUCCEEDED", Pruned: "PRUNED", Errored: "FAILED"}[type(outcome)]
        self.states[path, number] = (identifier, status)
        if len(self.states) > MOST_STATES:
            raise TooLarge
        self.inputs[path, number] = reads
        return outcome
