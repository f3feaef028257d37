"""Payloads at their limits, exactly and one over: kept exactly, or refused with a reason and without a change.

The limits of single items and messages are the contract suite's (400 KB, 1 MiB); here they are met by runs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from karman_core.domain.errors import PayloadTooLarge
from karman_core.domain.outcome import Awaiting, Effects, Errored, StoreSet, Succeeded
from karman_core.engine import EngineSettings
from karman_core.engine.payloads import dumps, pack, packed_size
from tests.api.client import NS as API_NS
from tests.api.client import Api, event
from tests.api.test_bad_requests import everything
from tests.scenario.harness import NS, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import give_inputs
from tests.scenario.test_waits import noise

SETTINGS = EngineSettings()
LIMIT = SETTINGS.max_inputs_bytes
FILLINGS = {
    "ascii": "x",
    "two bytes": "ü",
    "three bytes": "語",
    "emoji": "🚀",
    "quotes": '"',
    "backslashes": "\\",
    "nul": "\0",
}


def filled(size: int, filling: str) -> dict[str, Any]:
    """Inputs that take exactly so many bytes with an empty store, as JSON."""
    empty = len(dumps([{"text": ""}, {}]).encode())
    each = len(dumps(filling).encode()) - 2
    count, rest = divmod(size - empty, each)
    inputs = {"text": filling * count + "x" * rest}
    assert len(dumps([inputs, {}]).encode()) == size
    return inputs


@pytest.mark.parametrize(
    "filling", [pytest.param(text, id=name.replace(" ", "-")) for name, text in FILLINGS.items()]
)
async def test_inputs_of_a_run(filling: str) -> None:
    async with world({"a": give_inputs, "b": give_inputs}) as w:
        await w.define(node("a", "b", text="initial"), node("b", text="${{ a.outputs.text }}"))
        inputs = filled(LIMIT, filling)
        run = await w.finish(inputs=inputs)
        assert (run.status, run.inputs, run.result) == ("SUCCEEDED", inputs, inputs), run.error
        await check(w, run.run_id)
        with pytest.raises(PayloadTooLarge, match="262,145 bytes; the limit is 262,144"):
            await w.start(inputs=filled(LIMIT + 1, filling))
        assert w.messages_left() == 0


SIZES = [
    *(SETTINGS.carried_value_bytes - 20 + more for more in range(20)),
    *(600 - 20 + more for more in range(0, 20, 3)),
    *(1_024 - 300 + more for more in range(0, 300, 37)),
    *(SETTINGS.inline_payload_bytes - 30 + more for more in range(30)),
    409_600,
    1_048_576,
]


async def test_outputs_around_every_threshold() -> None:
    """Inline and carried, inline and read, in a blob: a run for each size, and both sides of each threshold are met."""
    texts = {size: noise(size) for size in SIZES}
    async with world({"a": lambda e: {"text": texts[e.inputs["size"]]}, "b": give_inputs}) as w:
        await w.define(node("a", "b", size="initial"), node("b", text="${{ a.outputs.text }}"))
        blobs = set()
        for size in SIZES:
            run = await w.finish(inputs={"size": size})
            assert (run.status, run.result) == ("SUCCEEDED", {"text": texts[size]}), (size, run.error)
            packed = packed_size(pack([{"text": texts[size]}]))
            blobs.add(packed > SETTINGS.inline_payload_bytes)
        assert blobs == {True, False}


async def test_an_output_that_fills_its_record_exactly() -> None:
    """The largest that lies in the record, and one byte more, which is a blob."""
    texts = {more: _of_packed_size(SETTINGS.inline_payload_bytes + more) for more in (0, 1)}
    async with world({"a": lambda e: {"text": texts[e.inputs["more"]]}}) as w:
        await w.define(node("a", more="initial"))
        for more, stored in ((0, 0), (1, 1)):
            run = await w.finish(inputs={"more": more})
            assert run.result == {"text": texts[more]}
            with w.backend.database.read() as connection:
                [count] = connection.execute(
                    "SELECT count(*) FROM blobs WHERE name LIKE ?", (f"%{run.run_id}%",)
                ).fetchone()
            assert count == stored


def _of_packed_size(size: int) -> str:
    """A text whose output takes exactly so many bytes as it is kept."""
    text = noise(2 * size)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        if packed_size(pack([{"text": text[:middle]}])) < size:
            low = middle + 1
        else:
            high = middle
    for length in range(max(0, low - 40), low + 40):
        for last in "abcdefgh":
            found = text[:length] + last
            if packed_size(pack([{"text": found}])) == size:
                return found
    raise AssertionError(f"no text of {size} bytes")


ATTEMPTS = 400


async def test_errors_of_many_attempts_fit_their_record() -> None:
    """Every attempt's error is kept, up to what a record can hold; a state that fails for ever comes to its end."""

    def fail(_: object) -> Errored:
        return Errored("ValueError", noise(20_000), "traceback " + noise(50_000))

    async with world({"a": fail}) as w:
        policy = {"max_retries": ATTEMPTS, "strategy": "FIXED", "backoff_factor": 1}
        await w.define(node("a", retry_policy=policy))
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.totals.turns == ATTEMPTS + 1
        state = await w.state(run.run_id, "a")
        assert state.attempts[-1].attempt == ATTEMPTS + 1
        await check(w, run.run_id)


async def test_many_values_that_ride_in_messages() -> None:
    """Each is small enough to be carried, all together are more than a message takes."""
    names = [f"n{number}" for number in range(600)]
    text = noise(SETTINGS.carried_value_bytes - 40)
    async with world(
        {
            "step": lambda e: {"text": text},
            "all": lambda e: {"n": len(e.inputs), "same": len(set(e.inputs.values()))},
        }
    ) as w:
        chain = [
            node(name, after, node_name="step")
            for name, after in zip(names, [*names[1:], "last"], strict=True)
        ]
        references = {name: f"${{{{ {name}.outputs.text }}}}" for name in names}
        await w.define(*chain, node("last", node_name="all", **references))
        run = await w.finish()
        assert (run.status, run.result) == ("SUCCEEDED", {"n": len(names), "same": 1}), run.error


async def test_payload_of_a_signal() -> None:
    async with world({"a": lambda e: {"got": e.resumed.payload} if e.resumed else Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.drive()
        over = noise(LIMIT)[: LIMIT - 1]  # and two quotes
        with pytest.raises(PayloadTooLarge, match="limit"):
            await w.engine.signal(NS, run_id, "go", over)
        await w.engine.signal(NS, run_id, "go", over[:-1])
        await w.drive()
        run = await w.view(run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"got": over[:-1]})


@pytest.mark.parametrize("size", [380_000, 409_000, 450_000])
async def test_a_store_value_near_the_size_of_an_item(size: int) -> None:
    """As large as the table takes; more fails the state, and nothing else."""
    value = noise(size)

    def keep(_: object) -> Succeeded:
        return Succeeded(({"done": True},), effects=Effects(store=(StoreSet("k", value),)))

    async with world({"a": keep}) as w:
        await w.define(node("a"))
        run = await w.finish()
        if run.status == "SUCCEEDED":
            assert await w.store(run.run_id) == {"k": value}
        else:
            assert "outputs_too_large" in str(run.error)
            assert await w.store(run.run_id) == {}
        await check(w, run.run_id)


def everything_at_once(filling: str) -> dict[str, Any]:
    tags = {f"{number:02}{filling * 200}": filling * 256 for number in range(50)}
    return {"inputs": filled(LIMIT, filling), "tags": tags, "idempotency_key": filling * 256}


@pytest.mark.parametrize("filling", ["x", "ü"])
async def test_every_field_of_a_trigger_at_its_limit_at_once(filling: str) -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a", text="initial"))
        request = everything_at_once(filling)
        run = await w.finish(**request)
        assert (run.status, run.result, run.tags) == ("SUCCEEDED", request["inputs"], request["tags"]), (
            run.error
        )
        await check(w, run.run_id)


async def test_fields_that_a_message_does_not_hold_together() -> None:
    """As it writes them, in ASCII: each is within its limit, the message is not."""
    async with world({"a": give_inputs}) as w:
        await w.define(node("a", text="initial"))
        with pytest.raises(PayloadTooLarge, match="Pass a reference instead"):
            await w.start(**everything_at_once("🚀"))
        assert w.messages_left() == 0


async def test_the_body_of_a_request(api: Api) -> None:
    """Exactly at its limit it is read, though its inputs are too large; one byte more is not."""
    await api.graph()
    path = f"/v1/namespaces/{API_NS}/graphs/g/runs"
    limit = api.limits.body_bytes
    empty = len(json.dumps({"inputs": {"a": ""}}))
    before = await everything(api)
    for more, said in ((0, "Inputs and store values"), (1, "The body has more than 4,194,304 bytes")):
        body = json.dumps({"inputs": {"a": "x" * (limit - empty + more)}})
        answer = await api.send(event("POST", path, body))
        assert (answer.status, answer.code) == (413, "payload_too_large")
        assert said in answer.body["detail"]
    assert await everything(api) == before


@pytest.fixture
def api() -> Any:
    made = Api()
    yield made
    made.backend.close()
