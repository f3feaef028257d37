"""How values travel: typed, by hops, forks and unites, small ones in messages and large ones beside the records."""

from __future__ import annotations

import random
from typing import Any

import pytest

from karman_core.domain.definition import NodeInstance
from karman_core.domain.outcome import Awaiting
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, give, give_inputs
from tests.selection import with_slow

TYPED = {
    "text": "${{ not.a.placeholder",
    "number": 1.5,
    "big": 2**70,
    "flag": False,
    "nothing": None,
    "items": [{"name": "é\ud800"}, [1]],
    "deep": {"a": {"b": [1, 2]}},
}


def typed(**options: Any) -> World:
    return World({"a": lambda _: dict(TYPED), "hop": give_inputs, "end": give_inputs}, **options)


EVERYTHING = {name: f"${{{{ a.outputs.{name} }}}}" for name in TYPED}


@pytest.mark.parametrize("carried", [0, 2048])
@pytest.mark.parametrize("inline", [0, 16_384])
@pytest.mark.parametrize("states", [1, 100])
async def test_every_type_survives_hops_and_distance(carried: int, inline: int, states: int) -> None:
    settings = EngineSettings(carried_value_bytes=carried, inline_payload_bytes=inline, inline_states=states)
    async with world({"a": lambda _: dict(TYPED), "hop": give_inputs}, settings=settings) as w:
        await w.define(
            node("a", "h1"),
            node("h1", "h2", node_name="hop", x="${{ a.outputs.deep.a.b[1] }}"),
            node("h2", "h3", node_name="hop"),
            node(
                "h3",
                node_name="hop",
                **EVERYTHING,
                mixed="x=${{ h1.outputs.x }} ${{ a.outputs.flag }} ${{ a.outputs.items }}",
            ),
        )
        run = await w.finish()
        assert run.status == "SUCCEEDED", run.error
        mixed = run.result.pop("mixed")
        assert run.result == TYPED
        assert mixed.startswith("x=2 false [")
        await check(w, run.run_id)


@pytest.mark.parametrize("carried", [0, 2048])
@pytest.mark.parametrize("inline", [0, 16_384])
@pytest.mark.parametrize("width", [1, 3, 12])
async def test_values_come_through_forks_and_unites(carried: int, inline: int, width: int) -> None:
    settings = EngineSettings(carried_value_bytes=carried, inline_payload_bytes=inline)
    async with world(
        {"r": give(k="root"), "a": count_to(width), "b": give_inputs, "u": give_inputs, "z": give_inputs},
        settings=settings,
    ) as w:
        await w.define(
            node("r", "a"),
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}", r="${{ r.outputs.k }}"),
            node("u", "z", unites="a", xs="${{ b.outputs.x }}", r="${{ r.outputs.k }}"),
            node(
                "z",
                xs="${{ b.outputs.x }}",
                rs="${{ b.outputs.r }}",
                u="${{ u.outputs.xs }}",
                r="${{ r.outputs.k }}",
            ),
        )
        run = await w.finish()
        numbers = list(range(width))
        assert run.result == {"xs": numbers, "rs": ["root"] * width, "u": numbers, "r": "root"}, run.error
        await check(w, run.run_id)


async def test_a_fork_of_5_mb_of_outputs() -> None:
    width, text = 1000, "".join(chr(33 + i * 7 % 90) for i in range(5_000))

    def wide(_: object) -> list[dict[str, Any]]:
        return [{"x": i, "text": f"{i}{text}"} for i in range(width)]

    async with world({"a": wide, "b": lambda e: {"n": len(e.inputs["text"])}, "u": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", text="${{ a.outputs.text }}", x="${{ a.outputs.x }}"),
            node("u", unites="a", ns="${{ b.outputs.n }}"),
        )
        run = await w.finish()
        assert run.status == "SUCCEEDED", run.error
        assert run.result == {"ns": [len(f"{i}{text}") for i in range(width)]}
        assert run.totals.succeeded == width + 2
        assert max(w.executor.by_state.values()) == 1
        await check(w, run.run_id)


async def test_a_value_over_what_a_message_holds_is_read_by_a_late_reader() -> None:
    text = "x" * 3_000_000
    async with world(
        {"a": lambda _: {"text": text}, "b": give(), "c": lambda e: {"n": len(e.inputs["t"])}}
    ) as w:
        await w.define(node("a", "b"), node("b", "c"), node("c", t="${{ a.outputs.text }}"))
        run = await w.finish()
        assert run.result == {"n": len(text)}, run.error
        (first,) = (await w.state(run.run_id, "a")).outputs or ()
        assert first == {"text": text}


async def test_outputs_after_the_unite_of_their_group_are_a_list() -> None:
    async with world({"a": count_to(3), "b": give(), "u": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", "u"), node("u", unites="a", xs="${{ a.outputs.x }}"))
        assert (await w.finish()).result == {"xs": [0, 1, 2]}


async def test_the_inputs_of_the_trigger_are_not_read_as_placeholders() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a", x="${{ store.k }}", y=1), store_config={"default_values": {"k": 7}})
        assert (await w.finish(inputs={"y": "${{ store.k }}"})).result == {"x": 7, "y": "${{ store.k }}"}


def wide_reader(count: int) -> list[NodeInstance]:
    """A chain whose last node reads what all others gave."""
    reads = {f"i{i}": f"${{{{ n{i}.outputs.x }}}}" for i in range(count)}
    return [
        *(node(f"n{i}", f"n{i + 1}", node_name="some") for i in range(count)),
        node(f"n{count}", node_name="last", **reads),
    ]


@pytest.mark.parametrize("count", with_slow([100, 600], [600]))
async def test_many_small_values_do_not_add_up_to_a_message_or_an_item_that_is_too_large(count: int) -> None:
    def last(execution: Execution) -> Answer:
        return {"n": len(set(execution.inputs.values()))} if execution.resumed else Awaiting("go", 5_000)

    rng = random.Random(0)
    async with world({"some": lambda _: {"x": rng.randbytes(950).hex()}, "last": last}) as w:
        await w.define(*wide_reader(count))
        run_id = await w.start()
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"n": count})
        assert max(len(body) for _, body in w.bodies) < 100_000


async def test_a_paused_position_that_reads_much_is_parked() -> None:
    rng = random.Random(0)

    async def pause(execution: Execution) -> Answer:
        if execution.identifier == "n249":
            await w.engine.pause(NS, execution.run_id)
        return {"x": rng.randbytes(950).hex()}

    async with world({"some": pause, "last": lambda e: {"n": len(set(e.inputs.values()))}}) as w:
        await w.define(*wide_reader(250))
        run_id = await w.start()
        await w.drive()
        await w.engine.resume(NS, run_id)
        await w.drive()
        assert (await check(w, run_id)).result == {"n": 250}
