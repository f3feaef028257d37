"""Several runtimes, nodes that nobody runs any more, and secrets."""

from __future__ import annotations

import random

import pytest

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import InvalidInput
from karman_core.ports.executor import Execution
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, graph, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, give, give_inputs


@pytest.mark.parametrize("width", [1, 3, 21])
async def test_a_run_goes_back_and_forth_between_runtimes(width: int) -> None:
    scripts = {"a": count_to(width), "b": give_inputs, "c": give_inputs, "d": give_inputs, "u": give_inputs}
    async with world(scripts, runtimes={"b": "gpu", "d": "third", "u": "gpu"}, settings=DEEP) as w:
        w.order = random.Random(width)
        await w.define(
            node("a", "b", "c"),
            node("b", "d", x="${{ a.outputs.x }}"),
            node("c", "d", x="${{ a.outputs.x }}"),
            node("d", "u", b="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ d.outputs.b }}"),
        )
        run = await w.finish()
        assert run.result == {"xs": [x for x in range(width) for _ in "bc"]}
        assert w.executors["rt"].executed == {"a": 1, "c": width}
        assert w.executors["gpu"].executed == {"b": width, "u": 1}
        assert w.executors["third"].executed == {"d": 2 * width}
        assert {queue for queue, _ in w.bodies} == {"ns/rt", "ns/gpu", "ns/third"}
        await check(w, run.run_id)


async def test_a_node_that_moved_to_another_runtime_runs_there() -> None:
    async with world({"a": give(), "b": give(), "b2": give()}, runtimes={"b2": "new"}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        moved = w.executor.scripts.pop("b")
        w.executors["new"].scripts["b"] = moved
        await w.engine.register_nodes(NS, [RegisteredNode(name="b", runtime="new")])
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"
        assert w.executors["new"].executed == {"b": 1}


async def test_a_worker_without_a_registered_node_of_its_runtime_does_not_spin() -> None:
    async with world({"a": give(), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        script = w.executor.scripts.pop("b")  # an old worker, while the new version is being deployed
        for _ in range(30):
            await w.work()
        assert w.delivered <= 10
        w.executor.scripts["b"] = script
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_a_node_that_is_no_longer_registered_fails_its_state() -> None:
    async with world({"a": give(), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        with w.backend.database.write() as connection:
            connection.execute("DELETE FROM items WHERE pk = 'ns#nodes' AND sk = 'b'")
        w.restart()
        await w.drive()
        run = await check(w, run_id)
        assert run.error is not None
        assert run.error.startswith("b: not_found: Node 'b' is not registered")


async def test_a_hop_to_a_node_that_is_no_longer_registered_fails_its_state() -> None:
    async with world({"a": give(), "b": give()}, runtimes={"b": "other"}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        with w.backend.database.write() as connection:
            connection.execute("DELETE FROM items WHERE pk = 'ns#nodes' AND sk = 'b'")
        w.restart()
        await w.drive()
        run = await check(w, run_id)
        assert run.error is not None
        assert run.error.startswith("b: not_found: Node 'b' is not registered")


async def test_a_fork_into_a_node_that_is_no_longer_registered_fails_the_run() -> None:
    async with world({"a": count_to(3), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        with w.backend.database.write() as connection:
            connection.execute("DELETE FROM items WHERE pk = 'ns#nodes' AND sk = 'b'")
        w.restart()
        w.executor.scripts.pop("b")
        await w.drive()
        run = await check(w, run_id)
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.startswith("b: not_found: Node 'b' is not registered")


async def test_to_trigger_a_graph_whose_first_node_is_not_registered_is_refused() -> None:
    async with world({"a": give()}) as w:
        view = await w.engine.put_graph(NS, graph(node("a")))
        assert [problem.code for problem in view.problems] == ["unknown_node"]


# --- secrets ----------------------------------------------------------------------------------------------------------


def tell_secrets(execution: Execution) -> Answer:
    return {"got": dict(execution.secrets)}


async def test_a_node_gets_the_secrets_that_it_declares() -> None:
    async with world({"a": tell_secrets, "b": tell_secrets}, secrets={"b": ("key",)}) as w:
        await w.define(node("a", "b"), node("b"), secret_values={"key": "s3cret", "other": "x"})
        run = await w.finish()
        assert [s.outputs for s in await w.states(run.run_id)] == [
            ({"got": {}},),
            ({"got": {"key": "s3cret"}},),
        ]


async def test_a_secret_without_a_value_fails_the_state_with_its_name() -> None:
    async with world({"a": tell_secrets}, secrets={"a": ("key", "other")}) as w:
        await w.define(node("a"), secrets=["key", "other"])
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.startswith("a: not_found: Graph 'g' has no value for the secrets ['key', 'other']")
        assert w.executor.executed == {}
        await w.define(node("a"), secret_values={"key": "1", "other": "2"})
        await w.engine.retry(NS, run.run_id)
        await w.drive()
        assert (await check(w, run.run_id)).result == {"got": {"key": "1", "other": "2"}}


async def test_secrets_are_in_no_message_and_in_no_state() -> None:
    async with world({"a": give(), "b": give(x=1)}, secrets={"b": ("key",)}) as w:
        await w.define(node("a", "b"), node("b"), secret_values={"key": "s3cret-value"})
        await w.finish()
        with w.backend.database.read() as connection:
            rows = [str(row) for row in connection.execute("SELECT pk, sk, body FROM items")]
        assert not [row for row in rows if "s3cret-value" in row]
        assert not [body for _, body in w.bodies if "s3cret-value" in body]


async def test_the_root_s_inputs_are_checked_against_its_node_when_it_is_triggered() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    async with world({"a": give_inputs}) as w:
        await w.engine.register_nodes(NS, [RegisteredNode(name="a", runtime="rt", inputs_schema=schema)])
        await w.engine.put_graph(NS, graph(node("a")))
        for inputs, code in (
            ({}, "missing_input"),
            ({"n": "x"}, "wrong_type"),
            ({"n": 1, "m": 1}, "unknown_input"),
        ):
            with pytest.raises(InvalidInput) as refused:
                await w.start(inputs=inputs)
            assert [problem.code for problem in refused.value.problems] == [code]
        assert (await w.finish(inputs={"n": 1})).result == {"n": 1}
