"""One united group whose branches end as the test says, on settings that make join trees deep."""

from __future__ import annotations

from typing import Any

from karman_core.domain.definition import NodeInstance
from karman_core.domain.outcome import Errored, Pruned
from karman_core.engine import EngineSettings
from karman_core.engine.views import RunView
from karman_core.ports.executor import Execution
from tests.scenario.harness import World, node
from tests.scenario.nodes import Answer, Script, give_inputs

DEEP = EngineSettings(shard_width=4, direct_branches=3)
"""A group of 17 already has a join tree of three levels, and one of 5 is sent by ranges."""


def end_as_told(execution: Execution) -> Answer:
    """Succeeds, fails or is pruned: s, f or p in the input `o`."""
    told = execution.inputs["o"]
    if told == "f":
        return Errored("Broken", f"branch {execution.inputs['x']} broke", retry=False)
    return Pruned({"x": execution.inputs["x"]}) if told == "p" else {"y": execution.inputs["x"]}


def tell(endings: str) -> Script:
    """One output a branch."""
    return lambda _: [{"x": x, "o": ending} for x, ending in enumerate(endings)]


def group_scripts(endings: str) -> dict[str, Script]:
    """The nodes of `group_nodes`."""
    return {"a": tell(endings), "b": end_as_told, "u": give_inputs}


def group_nodes(strategy: str, *after: str, **more: Any) -> list[NodeInstance]:
    """a, its branches b, and u, which unites them."""
    return [
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}", o="${{ a.outputs.o }}"),
        node("u", *after, unites="a", strategy=strategy, ys="${{ b.outputs.y }}", **more),
    ]


async def run_group(world: World, strategy: str, **trigger: Any) -> RunView:
    """Define the group and run it."""
    await world.define(*group_nodes(strategy))
    return await world.finish(**trigger)
