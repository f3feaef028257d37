"""Groups in groups, groups after groups, and forks that nobody unites inside of groups."""

from __future__ import annotations

import random

import pytest

from karman_core.domain.outcome import Errored
from karman_core.engine import EngineSettings
from karman_core.engine.views import RunView
from karman_core.ports.executor import Execution
from tests.scenario.groups import DEEP, tell
from tests.scenario.harness import World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, choose, count_to, fail, give, give_inputs, prune


def nested(inner: str, outer: str) -> list[object]:
    """a opens the outer group, each of its branches b an inner one of branches c; v and u unite them."""
    return [
        node("a", "b"),
        node("b", "c", x="${{ a.outputs.x }}", o="${{ a.outputs.o }}"),
        node("c", "v", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}", o="${{ b.outputs.o }}"),
        node("v", "u", unites="b", strategy=inner, ys="${{ c.outputs.z }}"),
        node("u", unites="a", strategy=outer, lists="${{ v.outputs.ys }}"),
    ]


def open_inner(execution: Execution) -> Answer:
    """The outer output's text `o` tells how the inner branches end."""
    return [{"y": y, "o": ending} for y, ending in enumerate(execution.inputs["o"])]


def end(execution: Execution) -> Answer:
    told, x, y = (execution.inputs[name] for name in ("o", "x", "y"))
    if told == "f":
        return Errored("Broken", f"{x}.{y}", retry=False)
    return prune(execution) if told == "p" else {"z": f"{x}.{y}"}


def nested_scripts(endings: list[str]) -> dict[str, object]:
    return {
        "a": lambda _: [{"x": x, "o": ending} for x, ending in enumerate(endings)],
        "b": open_inner,
        "c": end,
        "v": give_inputs,
        "u": give_inputs,
    }


async def run_nested(w: World, inner: str, outer: str) -> RunView:
    await w.define(*nested(inner, outer))  # type: ignore[arg-type]
    run = await w.finish()
    return await check(w, run.run_id)


@pytest.mark.parametrize("settings", [EngineSettings(), DEEP], ids=["plain", "deep"])
async def test_lists_of_lists_in_order(settings: EngineSettings) -> None:
    endings = ["sss", "s", "ssps", "p", "s" * 13]
    async with world(nested_scripts(endings), settings=settings) as w:
        w.order = random.Random(1)
        run = await run_nested(w, "ALL_SUCCESS", "ALL_SUCCESS")
        assert run.result == {
            "lists": [[f"{x}.{y}" for y, o in enumerate(each) if o == "s"] for x, each in enumerate(endings)]
        }


@pytest.mark.parametrize(
    ("inner", "outer", "status", "result"),
    [
        ("ALL_SUCCESS", "ALL_SUCCESS", "FAILED", None),
        ("ALL_SUCCESS", "ALL_DONE", "SUCCEEDED", {"lists": [["0.0", "0.1"]]}),
        ("ALL_DONE", "ALL_SUCCESS", "SUCCEEDED", {"lists": [["0.0", "0.1"], ["1.0"], []]}),
        ("ANY_SUCCESS", "ALL_SUCCESS", "FAILED", None),
        ("ANY_SUCCESS", "ALL_DONE", "SUCCEEDED", {"lists": [["0.0"], ["1.0"]]}),
    ],
)
async def test_a_failure_inside_is_what_the_inner_strategy_makes_of_it(
    inner: str, outer: str, status: str, result: object
) -> None:
    async with world(nested_scripts(["ss", "sf", "ff"])) as w:
        run = await run_nested(w, inner, outer)
        assert (run.status, run.result) == (status, result)
        first = "1.1" if inner == "ALL_SUCCESS" else "2.0"
        assert run.error == (f"c: Broken: {first}" if status == "FAILED" else None)


async def test_any_success_of_groups() -> None:
    async with world(nested_scripts(["fs", "ff", "ps"])) as w:
        run = await run_nested(w, "ALL_SUCCESS", "ANY_SUCCESS")
        assert run.status == "SUCCEEDED"
        assert run.result == {"lists": [["2.1"]]}


async def test_a_failure_deep_inside_is_named_by_the_run() -> None:
    depth = 5
    opening = [node(f"n{i}", f"n{i + 1}", node_name="open") for i in range(depth)]
    closing = [
        node(f"u{i}", *([f"u{i - 1}"] if i else []), node_name="close", unites=f"n{i}")
        for i in reversed(range(depth))
    ]
    async with world({"open": count_to(2), "last": fail, "close": give()}) as w:
        await w.define(*opening, node(f"n{depth}", f"u{depth - 1}", node_name="last"), *closing)
        run = await w.finish()
        assert (run.status, run.error) == ("FAILED", f"n{depth}: Broken: it broke")
        assert run.totals.failed == 2**depth
        assert "close" not in {execution.node_name for execution in w.executor.log}
        await check(w, run.run_id)


async def test_a_group_after_a_group() -> None:
    async with world(
        {"a": count_to(7), "b": give_inputs, "u": count_to(6, "y"), "c": give_inputs, "v": give_inputs},
        settings=DEEP,
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "c", unites="a", xs="${{ b.outputs.x }}"),
            node("c", "v", y="${{ u.outputs.y }}", xs="${{ b.outputs.x }}"),
            node("v", unites="u", ys="${{ c.outputs.y }}", xs="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        assert run.result == {"ys": list(range(6)), "xs": list(range(7))}
        await check(w, run.run_id)


async def test_a_unite_that_forks_is_not_united_itself() -> None:
    async with world({"a": count_to(2), "b": give_inputs, "u": count_to(3, "y"), "c": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "c", unites="a"),
            node("c", y="${{ u.outputs.y }}", xs="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        found = [state.outputs for state in await w.states(run.run_id, identifier="c")]
        assert found == [({"y": y, "xs": [0, 1]},) for y in range(3)]
        await check(w, run.run_id)


@pytest.mark.parametrize("width", [1, 2, 5])
async def test_a_fork_inside_a_branch_that_nobody_unites_adds_its_states_to_the_list(width: int) -> None:
    async with world(
        {"a": count_to(3), "b": count_to(width, "y"), "c": give_inputs, "u": give_inputs}, settings=DEEP
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", x="${{ a.outputs.x }}"),
            node("c", "u", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}"),
            node("u", unites="a", xs="${{ c.outputs.x }}", ys="${{ c.outputs.y }}", bs="${{ b.outputs.y }}"),
        )
        run = await w.finish()
        pairs = [(x, y) for x in range(3) for y in range(width)]
        assert run.result == {
            "xs": [x for x, _ in pairs],
            "ys": [y for _, y in pairs],
            "bs": [y for _, y in pairs],
        }
        await check(w, run.run_id)


async def test_a_branch_that_chose_another_way_counts_and_is_not_in_the_list() -> None:
    def way(execution: Execution) -> Answer:
        x = execution.inputs["x"]
        return choose("c" if x % 2 else "d", {"x": x})

    async with world(
        {"a": count_to(5), "b": way, "c": give_inputs, "d": give_inputs, "u": give_inputs}, settings=DEEP
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", "d", x="${{ a.outputs.x }}"),
            node("c", "u", x="${{ b.outputs.x }}"),
            node("d", x="${{ b.outputs.x }}"),
            node("u", unites="a", cs="${{ c.outputs.x }}", bs="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        assert run.result == {"cs": [1, 3], "bs": [0, 1, 2, 3, 4]}
        assert w.executor.executed == {"a": 1, "b": 5, "c": 2, "d": 3, "u": 1}
        await check(w, run.run_id)


async def test_a_node_may_choose_the_unite_and_end_its_branch() -> None:
    async with world(
        {"a": count_to(3), "b": lambda e: choose("u", {"x": e.inputs["x"]}), "c": give(), "u": give_inputs}
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", "u", x="${{ a.outputs.x }}"),
            node("c", "u"),
            node("u", unites="a", xs="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        assert run.result == {"xs": [0, 1, 2]}
        assert w.executor.executed["c"] == 0
        await check(w, run.run_id)


async def test_the_united_node_may_choose_its_unite_so_that_no_branch_begins() -> None:
    async with world({"a": lambda _: choose("u", {"x": 4}), "b": give(y=1), "u": give_inputs}) as w:
        await w.define(
            node("a", "b", "u"),
            node("b", "u"),
            node("u", unites="a", x="${{ a.outputs.x }}", ys="${{ b.outputs.y }}"),
        )
        run = await w.finish()
        assert run.result == {"x": 4, "ys": []}
        await check(w, run.run_id)


@pytest.mark.parametrize("seed", range(3))
async def test_any_success_inside_any_success_on_deep_trees(seed: int) -> None:
    rng = random.Random(seed)
    endings = ["".join(rng.choices("sfp", (1, 4, 2), k=rng.randrange(1, 12))) for _ in range(9)]
    async with world(nested_scripts(endings), settings=DEEP) as w:
        w.order = rng
        run = await run_nested(w, "ANY_SUCCESS", "ANY_SUCCESS")
        fine = [any(o == "s" for o in each) or "f" not in each for each in endings]
        assert run.status == ("SUCCEEDED" if any(fine) else "FAILED")
        assert w.executor.executed["u"] == int(any(fine))
        assert w.executor.executed["v"] == sum(fine)


async def test_a_group_opened_by_the_branch_of_a_wide_fork() -> None:
    widths = [1, 4, 5, 17]
    async with world(
        {
            "a": lambda _: [{"n": n} for n in widths],
            "b": lambda e: tell("s" * e.inputs["n"])(e),
            "c": give_inputs,
            "v": give_inputs,
            "u": give_inputs,
        },
        settings=DEEP,
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", n="${{ a.outputs.n }}"),
            node("c", "v", x="${{ b.outputs.x }}"),
            node("v", "u", unites="b", xs="${{ c.outputs.x }}"),
            node("u", unites="a", lists="${{ v.outputs.xs }}"),
        )
        run = await w.finish()
        assert run.result == {"lists": [list(range(n)) for n in widths]}
        await check(w, run.run_id)
