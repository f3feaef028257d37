"""A run as wide as they come keeps no other run waiting: how many messages are worked on before the other has ended."""

from __future__ import annotations

from tests.scenario.harness import NS, World, node, world
from tests.scenario.nodes import count_to, give_inputs

WIDTH = 100_000


async def test_a_run_beside_one_of_a_hundred_thousand_branches() -> None:
    async with world({"a": count_to(WIDTH), "b": give_inputs, "s": give_inputs}) as made:
        await made.define(node("a", "b"), node("b", "u"), node("u", node_name="b", unites="a"))
        await made.define(
            node("s", "f"),
            node("f", "t", node_name="s", x=1),
            node("t", "v", node_name="s"),
            node("v", node_name="s", unites="f"),
            name="small",
        )
        wide = await made.start()
        await made.drive(until=lambda: delivered(made, 60), at_once=8)
        assert made.messages_left() >= 10_000

        small, before = await made.start("small"), made.delivered
        await made.drive(until=lambda: ended(made, small), at_once=8)

        assert made.delivered - before <= 100
        assert (await made.view(wide)).status == "RUNNING"


async def delivered(made: World, messages: int) -> bool:
    return made.delivered >= messages


async def ended(made: World, run_id: str) -> bool:
    return (await made.engine.get_run(NS, run_id)).status == "SUCCEEDED"
