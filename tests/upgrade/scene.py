"""A deployment in the midst of everything: runs at each kind of place where a release may find them.

`begin` brings a new world there, `go_on` does what people and workers do next, and `ends` tells how every run ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from karman_core.domain.definition import GraphDefinition, NodeInstance, RegisteredNode
from karman_core.domain.outcome import Awaiting, Requeued, SentSignal, StoreIncrement, Succeeded
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.engine import EngineSettings
from karman_core.engine.access import AccessKeys, Scope
from karman_core.ports.executor import Execution
from karman_core.ports.queue import Incoming
from karman_functions.exosphere.directory import Directory
from tests.scenario.epochs import broken_until
from tests.scenario.harness import HOME, NS, World, graph, node
from tests.scenario.nodes import Answer, Script, count_to, fail, give, give_inputs, one_by_one, then

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SETTINGS = EngineSettings(
    shard_width=4,
    direct_branches=3,
    inline_payload_bytes=300,
    carried_value_bytes=100,
    retention_seconds=400 * 86_400,
)
"""Join trees are deep, forks go by ranges, and outputs of a few hundred bytes are blobs."""

BY = "local:ann"
LEASED = "far"


def _ask(execution: Execution) -> Answer:
    return (
        Succeeded(({"said": execution.resumed.payload},))
        if execution.resumed
        else Awaiting("go", 30 * DAY_MS)
    )


def _count(execution: Execution) -> Answer:
    return then({"y": execution.inputs["x"]}, StoreIncrement("n", 1))


def _tell(execution: Execution) -> Answer:
    return then({}, signals=(SentSignal("later", {"from": execution.identifier}),))


SCRIPTS: Mapping[str, Script] = {
    "a": count_to(12),
    "b": _count,
    "u": give_inputs,
    "ask": _ask,
    "told": give_inputs,
    "slow": one_by_one(RuntimeError("not yet"), {"x": 1}),
    "late": one_by_one(Requeued(2 * HOUR_MS), {"x": 2}),
    "big": give(text="".join(hashlib.sha256(b"%d" % number).hexdigest() for number in range(20))),
    "size": lambda execution: {"characters": len(str(execution.inputs["text"]))},
    "five": count_to(5),
    "odd": broken_until(1, when=lambda inputs: inputs["x"] == 3),
    "twice": broken_until(2, when=lambda inputs: inputs["x"] == 3),
    "bad": fail,
    "tell": _tell,
    "end": give(done=True),
}


def _group(fork: str, branch: str) -> list[NodeInstance]:
    return [
        node(fork, branch),
        node(branch, "u", x=f"${{{{ {fork}.outputs.x }}}}"),
        node("u", unites=fork, ys=f"${{{{ {branch}.outputs.y }}}}"),
    ]


async def define(world: World) -> None:
    """All graphs, and a node whose worker has no queue."""
    await world.define(
        *_group("a", "b"),
        name="wide",
        store_config={"default_values": {"n": 0}},
        triggers=[{"type": "CRON", "value": {"expression": "0 * * * *"}}],
        tags={"ys": "${{ u.outputs.ys }}"},
    )
    await world.define(node("ask", "told"), node("told", said="${{ ask.outputs.said }}"), name="asks")
    retries = {"max_retries": 3, "strategy": "FIXED", "backoff_factor": 60_000}
    await world.define(node("slow", "end", retry_policy=retries), node("end"), name="retries")
    await world.define(node("late", "end"), node("end"), name="requeues")
    await world.define(node("big", "size"), node("size", text="${{ big.outputs.text }}"), name="blobs")
    await world.define(*_group("five", "odd"), name="breaks")
    await world.define(*_group("five", "twice"), name="breaks-twice")
    stopping = [node("five", "bad", "ask"), node("bad", "u"), node("ask", "u"), node("u", unites="five")]
    await world.define(*stopping, name="stops", fail_fast=True)
    await world.define(node("tell", "end"), node("end"), name="tells")
    ask = (node("ask", "told"), node("told", said="${{ ask.outputs.said }}"))
    await world.define(*ask, name="one-by-one", concurrency={"limit": 1})
    await world.define(node("end"), name="rated", rate_limit={"starts": 1, "per_seconds": 3_600})
    await world.engine.register_nodes(NS, [RegisteredNode(name=LEASED, runtime=LEASED)])
    view = await world.engine.put_graph(NS, _leased_graph())
    assert view.valid, view.problems


def _leased_graph() -> GraphDefinition:
    return graph(node(LEASED, "end", k=1), node("end"), name="leased")


async def settle(world: World) -> None:
    """Work on everything that is due now."""
    while await world.work():
        pass


async def begin(world: World) -> dict[str, Any]:
    """Bring the deployment there. Returns the runs' ids by what they are the example of, and the lease."""
    await define(world)
    await _begin_around(world)
    runs: dict[str, str] = {}
    for name in ("asks", "retries", "requeues", "blobs", "breaks-twice"):
        runs[name] = await world.start(name)
    for name in ("one-by-one", "rated"):
        runs[name] = await world.start(name)
        runs[f"{name}, the second"] = await world.start(name)
    runs["delayed"] = await world.start("wide", start_delay_ms=HOUR_MS, tags={"team": "red"})
    for name in ("failed", "skipped"):
        runs[name] = await world.start("breaks")
    runs["finished"] = await world.start("wide", store={"n": 100}, idempotency_key="k-1", timeout_ms=DAY_MS)
    runs["stopped"] = await world.start("stops")
    runs["told"] = await world.start("tells")
    for name in ("purged", "cancelled"):
        runs[name] = await world.start("wide" if name == "purged" else "asks")
    await settle(world)
    await world.engine.signal(NS, runs["asks"], "early", {"kept": True})
    await world.engine.operator(BY).cancel(NS, runs["cancelled"])
    await world.engine.operations.purge(NS, runs["purged"])
    await world.engine.retry(NS, runs["breaks-twice"])
    await settle(world)
    await world.engine.operations.retry_state(
        NS, runs["breaks-twice"], await _failed(world, runs["breaks-twice"])
    )
    state = await _failed(world, runs["skipped"])
    await world.engine.operator(BY).skip(NS, runs["skipped"], state, ({"y": "given"},))
    runs["paused"] = await world.start("wide")
    await world.engine.pause(NS, runs["paused"])
    await settle(world)
    runs["rerun"] = (await world.engine.operations.rerun(NS, runs["finished"], "u")).run_id
    return {"runs": runs, "lease": await _begin_in_flight(world, runs)}


async def _begin_around(world: World) -> None:
    """What is no run: a key, the audit's first entry, a firing, a bookmark, what Exosphere's API notes."""
    await world.engine.quotas.set(NS, NamespaceQuotas(concurrent_runs=100, states_per_second=1_000.0))
    keys = AccessKeys(world.backend.table, world.clock, world.entropy)
    await keys.issue(NS, "ann", [Scope.READ])
    await Directory(world.backend.table, world.clock).note_nodes(NS, "rt", ["a"])
    (schedule,) = await world.backend.schedules.list(NS)
    assert await world.engine.fire(schedule, world.clock.now_ms()) is not None
    await settle(world)
    await world.start("asks")
    await world.engine.sweep(until_ms=0)


async def _begin_in_flight(world: World, runs: dict[str, str]) -> dict[str, Any]:
    """Runs whose messages lie in the queue at every stage, and one that a worker over HTTP has."""
    runs["leased"] = await world.start("leased")
    (work,) = await world.api().poll(NS, [LEASED], lease_seconds=60)
    runs["joining"] = await world.start("wide")
    for _ in range(2):
        await world.work()
    for message in await world.backend.queue.receive(HOME, limit=7):
        await _work_on(world, message)
    runs["ranging"] = await world.start("wide")
    # The other branches are in the hands of a worker that dies.
    received = await world.backend.queue.receive(HOME, limit=10)
    (root,) = [message for message in received if runs["ranging"] in message.body]
    await _work_on(world, root)
    runs["begun"] = await world.start("wide")
    await world.engine.signal(NS, runs["asks"], "go", "yes")
    return {"state": work.state_id, "lease": work.lease}


async def _work_on(world: World, message: Incoming) -> None:
    await world.process(message)
    await world.backend.queue.delete(HOME, [message.receipt])


async def _failed(world: World, run_id: str) -> str:
    (state,) = await world.states(run_id, status="FAILED")
    return state.state_id


async def go_on(world: World, runs: Mapping[str, str], lease: Mapping[str, str]) -> None:
    """What is still to come, until nothing is left that could happen."""
    await world.api().report(NS, lease["state"], Succeeded(({"z": 3},)), lease=lease["lease"])
    for name in ("one-by-one", "one-by-one, the second"):
        await world.engine.signal(NS, runs[name], "go", name)
    await world.engine.resume(NS, runs["paused"])
    await world.engine.retry(NS, runs["failed"])
    await world.drive()


async def ends(world: World, runs: Mapping[str, str]) -> dict[str, Any]:
    """How each run ended: what may not depend on the release that worked on it."""
    found: dict[str, Any] = {}
    for name, run_id in runs.items():
        if name == "purged":
            continue
        view = await world.view(run_id)
        totals = view.totals
        found[name] = {
            "status": view.status,
            "epoch": view.epoch,
            "result": view.result,
            "states": [totals.succeeded, totals.failed, totals.pruned, totals.cancelled],
            "store": await world.store(run_id),
        }
    return found


def new_world() -> World:
    """An empty one, with the workers of the scene."""
    return World(SCRIPTS, settings=SETTINGS)
