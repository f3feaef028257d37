"""Messages that were delivered too often, and messages that are none of ours."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from karman_core.domain.errors import KarmanError
from karman_core.domain.message_bodies import decode, encode
from karman_core.domain.messages import Advance, Range
from karman_core.domain.outcome import Awaiting
from karman_core.engine import EngineSettings
from karman_core.ports.queue import Incoming
from tests.scenario.faults import Call, Crashed
from tests.scenario.groups import DEEP, group_nodes, group_scripts
from tests.scenario.harness import HOME, NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, give, give_inputs


async def bury_kind(w: World, kind: type, *, limit: int = 100) -> int:
    """Work, but hand every message of a kind to the dead-letter handler."""
    buried = 0
    for _ in range(limit):
        messages = await w.backend.queue.receive(HOME)
        if not messages and not w.skip_time():
            return buried
        for message in messages:
            if isinstance(decode(message.body), kind):
                assert await w.engine.dead_letter(HOME, replace(message, receive_count=9))
                buried += 1
            else:
                await w.process(message)
            await w.backend.queue.delete(HOME, [message.receipt])
    raise AssertionError("no end")


async def test_the_state_where_a_dead_message_stands_fails() -> None:
    async with world({"a": give(), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        message = await w.take()
        assert await w.engine.dead_letter(HOME, message)
        run = await w.view(run_id)
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.startswith("a: undeliverable: ")
        assert w.executor.executed == {}
        await w.backend.queue.delete(HOME, [message.receipt])
        await check(w, run_id)


async def test_states_that_have_an_outcome_keep_it() -> None:
    async with world({"a": give(), "b": give(), "c": give()}) as w:
        await w.define(node("a", "b"), node("b", "c"), node("c"))
        run_id = await w.start()
        message = await w.take()
        w.faults.crash_at = (10**9, False)

        async def die_at_c(call: Call) -> None:
            if call.name == "table.update" and call.arguments[0].sk.endswith("00002"):
                raise Crashed

        w.faults.before.append(die_at_c)
        with pytest.raises(Crashed):
            await w.process(message)
        w.faults.before.clear()
        w.restart()
        await w.engine.dead_letter(HOME, message)
        await w.backend.queue.delete(HOME, [message.receipt])
        await w.drive()
        run = await check(w, run_id)
        assert run.error is not None
        assert run.error.startswith("c: undeliverable")
        assert [s.status for s in await w.states(run_id)] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]


@pytest.mark.parametrize("width", [3, 20])
async def test_a_dead_branch_fails_and_its_group_goes_on(width: int) -> None:
    async with world(group_scripts("s" * width), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_DONE"))
        run_id = await w.start()
        await w.work()
        if width > 3:
            await w.work()
        message = (await w.backend.queue.receive(HOME, limit=1))[0]
        assert isinstance(decode(message.body), Advance)
        await w.engine.dead_letter(HOME, message)
        await w.backend.queue.delete(HOME, [message.receipt])
        await w.drive()
        run = await check(w, run_id)
        assert run.status == "SUCCEEDED"
        assert (len(run.result["ys"]), run.totals.failed) == (width - 1, 1)


async def test_what_follows_the_last_dead_branch_has_its_chance() -> None:
    async with world(group_scripts("sss"), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_DONE"))
        run_id = await w.start()
        await w.work()
        *others, last = await w.backend.queue.receive(HOME)
        for message in others:
            await w.process(message)
        await w.engine.dead_letter(HOME, last)
        await w.backend.queue.delete(HOME, [message.receipt for message in (*others, last)])
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.result, run.totals.failed) == ("SUCCEEDED", {"ys": [0, 1]}, 1)


async def test_a_dead_range_is_expanded() -> None:
    async with world(group_scripts("s" * 21), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_SUCCESS"))
        run_id = await w.start()
        assert await bury_kind(w, Range) == 6
        assert (await check(w, run_id)).result == {"ys": list(range(21))}


async def test_dead_commands_are_applied() -> None:
    async with world({"a": lambda e: {"p": e.resumed.payload} if e.resumed else Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.engine.signal(NS, run_id, "go", 3)
        message = await w.take()
        assert await w.engine.dead_letter(HOME, message)
        await w.backend.queue.delete(HOME, [message.receipt])
        await w.drive()
        assert (await check(w, run_id)).result == {"p": 3}


async def test_every_message_may_die_once_its_work_was_done() -> None:
    async with world(group_scripts("ssfps" * 4), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_DONE"))
        run_id = await w.start()
        await w.drive()
        before = await check(w, run_id), await w.states(run_id)
        for queue, body in list(w.bodies):
            assert await w.engine.dead_letter(queue, Incoming("dead", body, "none", 9, 0))
        await w.drive()
        assert (await check(w, run_id), await w.states(run_id)) == before


async def test_a_dead_wait_does_not_fail() -> None:
    async with world({"a": lambda e: {} if e.resumed else Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        message = await w.take()
        await w.process(message)
        await w.engine.dead_letter(HOME, message)
        assert (await w.view(run_id)).status == "WAITING"


async def test_a_state_that_kills_its_workers_fails_in_the_end() -> None:
    async with world(
        {"a": count_to(2), "b": give_inputs, "u": give_inputs}, settings=EngineSettings(crash_limit=3)
    ) as w:

        def deadly(execution: Any) -> Any:
            if execution.inputs["x"] == 1:
                raise Crashed
            return execution.inputs

        w.executor.scripts["b"] = deadly
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", strategy="ALL_DONE", xs="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        assert (run.status, run.result) == ("SUCCEEDED", {"xs": [0]})
        failed = [s for s in await w.states(run.run_id) if s.status == "FAILED"]
        assert [s.error for s in failed] == [
            "worker_crashed: Its worker died 4 times while running it (out of memory, killed, or the process exited)."
        ]
        assert w.executor.executed["b"] == 1 + 4
        await check(w, run.run_id)


# --- what is no message of ours ---------------------------------------------------------------------------------------

FOREIGN = [
    "null", "[]", "{}", "no json", '{"karman":0,"k":"advance"}', '{"karman":1}', '{"karman":1,"k":"nothing"}',
    '{"karman":1,"k":"advance"}', '{"karman":1,"k":"range","b":""}', "[" * 100_000, '{"karman":1,"k":["advance"]}',
    '{"karman":1,"k":"cancel"}', '{"karman":true,"k":"cancel"}',
]  # fmt: skip


@pytest.mark.parametrize("body", FOREIGN)
async def test_a_foreign_message_is_buried_and_left_for_people(body: str) -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await w.send_body(body)
        message = await w.take()
        assert not await w.engine.dead_letter(HOME, message)
        await w.process(message)
        assert [letter.body for letter in w.backend.queue.dead_letters(HOME)] == [body]
        assert w.messages_left() == 0


async def one_of_each_kind() -> dict[str, dict[str, Any]]:
    """A message of each kind that a run with a wide fork, a deadline and a signal sends."""
    kinds: dict[str, dict[str, Any]] = {}
    async with world(group_scripts("s" * 5), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_SUCCESS"))
        run_id = await w.start(timeout_ms=60_000)
        await w.engine.signal(NS, run_id, "go")
        await w.drive()
        for _, body in w.bodies:
            kinds.setdefault(json.loads(body)["k"], json.loads(body))
    return kinds


async def raises_something_strange(data: dict[str, Any]) -> str | None:
    """What working on a message raises, if it is no error that says what is wrong."""
    async with world(group_scripts("s" * 5), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_SUCCESS"))
        await w.send_body(json.dumps(data))
        message = await w.take()
        try:
            await w.process(message)
        except KarmanError:
            return None
        except Exception as error:  # noqa: BLE001  that is what is looked for
            return f"{type(error).__name__}: {error}"
    return None


OTHER_VALUES: list[Any] = [None, "x", -1, [], {}, [[[]]], {"x": 1}, True]
SUBTLE = {("advance", "header"), ("advance", "i"), ("range", "i"), ("range", "starts"), ("signal", "args")}
"""Parts whose insides are wrong although they decode."""


async def test_a_message_with_a_part_missing_or_of_another_type_is_buried_or_refused() -> None:
    kinds = await one_of_each_kind()
    assert kinds.keys() >= {"advance", "range", "signal", "deadline"}
    for kind, data in kinds.items():
        for name in data:
            assert await raises_something_strange({key: data[key] for key in data if key != name}) is None
            for value in OTHER_VALUES:
                if (kind, name) not in SUBTLE:
                    assert await raises_something_strange({**data, name: value}) is None, (kind, name, value)


@pytest.mark.parametrize(("kind", "name"), sorted(SUBTLE))
async def test_a_message_that_decodes_and_means_nothing_is_buried_or_refused(kind: str, name: str) -> None:
    data = (await one_of_each_kind())[kind]
    strange = [await raises_something_strange({**data, name: value}) for value in OTHER_VALUES]
    assert strange == [None] * len(OTHER_VALUES)


@pytest.mark.parametrize("first", [True, False])
async def test_where_the_queue_is_not_known_the_runs_own_is_taken(*, first: bool) -> None:
    async with world({"a": give(), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        message = await w.take()
        if not first:
            position = decode(message.body)
            assert isinstance(position, Advance)
            message = replace(message, body=encode(replace(position, header=None)))
        assert await w.engine.dead_letter(None, message)
        assert (await w.view(run_id)).status == "FAILED"


async def test_a_message_of_no_run_is_foreign_there() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await w.start()
        message = await w.take()
        position = decode(message.body)
        assert isinstance(position, Advance)
        gone = replace(position.position, run=replace(position.position.run, run_id="r0"))
        body = encode(replace(position, position=gone, header=None))
        assert not await w.engine.dead_letter(None, replace(message, body=body))
