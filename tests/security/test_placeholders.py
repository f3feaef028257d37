"""What looks like a placeholder in data is data: wherever it comes from, and however far it goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from karman_core.domain.errors import KarmanError
from karman_core.domain.outcome import Awaiting, Pruned
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from tests.exosphere.api import Api, register, serving
from tests.exosphere.api import graph as old_graph
from tests.exosphere.api import node as old_node
from tests.scenario.harness import NS, node, world
from tests.scenario.nodes import count_to, give_inputs

SECRET = "the-value-of-the-secret"
TEXTS = (
    "${{ a.outputs.hidden }}",
    "${{ store.hidden }}",
    "${{ initial.hidden }}",
    "x ${{ a.outputs.hidden }} y ${{ store.hidden }}",
    "${{ ${{ store.hidden }} }}",
    "${{",
    "}} ${{ store.hidden",
    "$${{ store.hidden }}",
    "${{ secrets.key }}",
)
DATA: dict[str, Any] = {
    "text": TEXTS[3],
    "all": list(TEXTS),
    "deep": {"${{ store.hidden }}": {"x": TEXTS[4]}},
}
HIDDEN = "what a placeholder would have given"


def given(execution: Execution) -> Any:
    return {**DATA, "hidden": HIDDEN}


@pytest.mark.parametrize("inline", [0, 16_384])
async def test_outputs_and_inputs_of_two_hops(inline: int) -> None:
    settings = EngineSettings(inline_payload_bytes=inline)
    scripts = {"a": given, "b": give_inputs, "c": give_inputs}
    async with world(scripts, settings=settings, secrets={"b": ("key",)}) as w:
        await w.define(
            node("a", "b"),
            node(
                "b",
                "c",
                data="${{ a.outputs.all }}",
                deep="${{ a.outputs.deep }}",
                text="${{ a.outputs.text }}",
                mixed="<${{ a.outputs.text }}>",
            ),
            node(
                "c",
                data="${{ b.outputs.data }}",
                text="<<${{ b.outputs.mixed }}>>",
                keys="${{ b.outputs.deep }}",
            ),
            store_config={"default_values": {"hidden": HIDDEN}},
            secrets=["key"],
            secret_values={"key": SECRET},
        )
        run = await w.finish()
        assert run.result == {
            "data": DATA["all"],
            "text": f"<<<{DATA['text']}>>>",
            "keys": DATA["deep"],
        }
        assert SECRET not in str([execution.inputs for execution in w.executor.log])


async def test_what_a_trigger_gives() -> None:
    """Inputs, values of the store, tags, and changed inputs of a rerun: no reference in them is followed."""
    async with world({"a": give_inputs, "b": give_inputs}) as w:
        await w.define(
            node("a", "b", first="${{ store.first }}"),
            node(
                "b",
                text="${{ a.outputs.text }}",
                stored="${{ store.first }}",
                both="${{ store.first }}${{ a.outputs.text }}",
            ),
            store_config={
                "required_keys": ["first"],
                "default_values": {"hidden": HIDDEN, "second": TEXTS[1]},
            },
            tags={"seen": "${{ a.outputs.text }}", "first": "${{ initial.inputs.text }}"},
        )
        run = await w.finish(inputs={"text": TEXTS[1]}, store={"first": TEXTS[0]}, tags={"own": TEXTS[1]})
        assert run.status == "SUCCEEDED", run.error
        assert run.result == {"text": TEXTS[1], "stored": TEXTS[0], "both": TEXTS[0] + TEXTS[1]}
        assert dict(run.tags) == {"seen": TEXTS[1], "first": TEXTS[1], "own": TEXTS[1]}
        assert run.inputs == {"text": TEXTS[1]}
        assert (await w.store(run.run_id))["second"] == TEXTS[1]
        again = await w.engine.operations.rerun(NS, run.run_id, "a", inputs={"text": TEXTS[2]})
        await w.drive()
        assert (await w.view(again.run_id)).result == {
            **run.result,
            "text": TEXTS[2],
            "both": TEXTS[0] + TEXTS[2],
        }


async def test_lists_of_a_united_group() -> None:
    async with world({"f": count_to(3), "a": given, "u": give_inputs, "z": give_inputs}) as w:
        await w.define(
            node("f", "a"),
            node("a", "u"),
            node("u", "z", unites="f", texts="${{ a.outputs.text }}", told="${{ a.outputs.all }}"),
            node("z", texts="${{ u.outputs.texts }}", text="<${{ u.outputs.told }}>"),
            store_config={"default_values": {"hidden": HIDDEN}},
        )
        run = await w.finish()
        assert run.result["texts"] == [DATA["text"]] * 3
        assert HIDDEN not in run.result["text"]


async def test_payloads_of_signals_errors_and_pruned_data() -> None:
    def wait(execution: Execution) -> Any:
        if execution.resumed is None:
            return Awaiting("go")
        return {"payload": execution.resumed.payload}

    def fail(execution: Execution) -> Any:
        raise ValueError(TEXTS[3])

    async with world({"w": wait, "p": lambda _: Pruned(DATA), "x": give_inputs, "e": fail}) as w:
        config = {"default_values": {"hidden": HIDDEN}}
        await w.define(node("w", "x"), node("x", got="${{ w.outputs.payload }}"), store_config=config)
        run_id = await w.start()
        await w.drive()
        await w.engine.signal(NS, run_id, "go", DATA)
        await w.drive()
        assert (await w.view(run_id)).result == {"got": DATA}
        await w.define(node("p"), name="pruning", store_config=config)
        pruned = await w.finish("pruning")
        assert pruned.status == "SUCCEEDED"
        assert list((await w.state(pruned.run_id, "p")).outputs or ()) == [DATA]
        await w.define(node("e", retry_policy={"max_retries": 0}), name="failing", store_config=config)
        failed = await w.finish("failing")
        assert TEXTS[3] in str(failed.error)


async def test_outputs_by_hand() -> None:
    """Of an operator who skips a state."""

    def fail(execution: Execution) -> Any:
        raise ValueError("no")

    async with world({"a": fail, "b": give_inputs}) as w:
        await w.define(
            node("a", "b", retry_policy={"max_retries": 0}),
            node("b", got="${{ a.outputs.text }}"),
            store_config={"default_values": {"hidden": HIDDEN}},
        )
        run = await w.finish()
        await w.engine.operations.skip(NS, run.run_id, f"{run.run_id}--0", [{"text": TEXTS[3]}], by="test")
        await w.drive()
        assert (await w.view(run.run_id)).result == {"got": TEXTS[3]}


@pytest.fixture
async def old() -> AsyncIterator[Api]:
    async with serving() as made:
        await register(made, "Echo")
        yield made


@pytest.mark.parametrize("text", TEXTS)
async def test_by_the_routes_of_exosphere(old: Api, text: str) -> None:
    hidden = {"required_keys": ["hidden", "kept"], "default_values": {}}
    nodes = old_graph(
        old_node("a", "b", inputs={"text": "${{ store.kept }}"}),
        old_node("b", "c", inputs={"text": "${{ a.outputs.text }}"}),
        old_node("c", inputs={"text": "<${{ b.outputs.text }}>"}),
        store_config=hidden,
    )
    await old.ok("PUT", "/graph/g", nodes)
    await old.run(store={"hidden": HIDDEN, "kept": text})
    seen = []
    for _ in "abc":
        body = {"nodes": ["Echo"], "batch_size": 1}
        (state,) = (await old.ok("POST", "/states/enqueue", body))["states"]
        seen.append(state["inputs"]["text"])
        await old.ok("POST", f"/state/{state['state_id']}/executed", {"outputs": [{"text": text}]})
    assert seen == [text, text, f"<{text}>"]


async def test_a_definition_of_the_same_text_is_checked() -> None:
    """The other side: in a definition it is a placeholder, and one that leads nowhere is refused."""
    async with world({"a": given}) as w:
        with pytest.raises((KarmanError, AssertionError)):
            await w.define(node("a", text=TEXTS[0]))
