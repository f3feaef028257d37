"""Reference runs: small graphs that between them take every step of the protocol, for tests that break things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import unwrap
from typing import Any

from karman_core.domain.definition import NodeInstance
from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Requeued,
    SentSignal,
    StoreAppend,
    StoreIncrement,
)
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from karman_core.ports.table import Key, Set, Update
from tests.scenario.faults import Call
from tests.scenario.groups import DEEP, end_as_told, tell
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, Script, choose, count_to, give, give_inputs, then

COUNT = StoreIncrement("n")
STORE = {"default_values": {"n": 0, "list": []}}


@dataclass(frozen=True, slots=True)
class Reference:
    """A graph with its scripts, and what is asked of its run from outside between two times of work.

    Attributes:
        steps: told again when the process dies in them, as a client does.
        limits: what else the graph declares.
        before: what happens before the run is triggered, and `options` of its trigger.
    """

    nodes: Callable[[], list[NodeInstance]]
    scripts: Callable[[], Mapping[str, Script]]
    settings: EngineSettings = DEEP
    runtimes: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Callable[[World, str], Awaitable[Any]], ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[World], Awaitable[Any]] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def world(self) -> World:
        """A new world for it."""
        return World(self.scripts(), runtimes=self.runtimes, settings=self.settings)


# --- a chain with retries, a requeue, store writes and large outputs --------------------------------------------------


def _flaky(execution: Execution) -> Answer:
    if execution.turn == 0:
        return Errored("Flaky", "no")
    return (
        Requeued(1000, Effects((COUNT,)))
        if execution.turn == 1
        else then({"y": execution.inputs["x"]}, COUNT)
    )


CHAIN = Reference(
    lambda: [
        node("a", "b"),
        node("b", "c", x="${{ a.outputs.text }}"),
        node("c", "d", y="${{ b.outputs.y }}"),
        node("d", n="${{ store.n }}"),
    ],
    lambda: {
        "a": give(text="large" * 50),
        "b": _flaky,
        "c": lambda _: then({}, COUNT, COUNT),
        "d": give_inputs,
    },
    settings=replace(DEEP, inline_states=2, inline_payload_bytes=100, carried_value_bytes=50),
)

# --- a wide group with every ending, on a join tree of two levels -----------------------------------------------------


def _count(execution: Execution) -> Answer:
    answer = end_as_told(execution)
    return answer if isinstance(answer, Errored) else then(answer, COUNT)


GROUP = Reference(
    lambda: [
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}", o="${{ a.outputs.o }}"),
        node("u", "z", unites="a", strategy="ALL_DONE", ys="${{ b.outputs.y }}"),
        node("z", ys="${{ u.outputs.ys }}"),
    ],
    lambda: {"a": tell("ssfps"), "b": _count, "u": lambda e: then(e.inputs, COUNT), "z": give_inputs},
)

# --- any success inside all success, on two runtimes ------------------------------------------------------------------

NESTED = Reference(
    lambda: [
        node("a", "b"),
        node("b", "c", x="${{ a.outputs.x }}"),
        node("c", "v", x="${{ b.outputs.x }}", o="${{ b.outputs.o }}"),
        node("v", "u", unites="b", strategy="ANY_SUCCESS", ys="${{ c.outputs.y }}"),
        node("u", unites="a", n="${{ v.outputs.n }}"),
    ],
    lambda: {
        "a": count_to(2),
        "b": tell("fsfff"),
        "c": end_as_told,
        "v": lambda e: then({"n": len(e.inputs["ys"])}, COUNT),
        "u": give_inputs,
    },
    runtimes={"c": "other"},
)

# --- waits, signals from inside and outside, a time-out ---------------------------------------------------------------


def _wait(name: str, timeout_ms: int | None = None) -> Script:
    def script(execution: Execution) -> Answer:
        if execution.resumed is None:
            return Awaiting(name, timeout_ms, Effects((COUNT,)))
        return then({"p": "late" if execution.resumed.timed_out else execution.resumed.payload}, COUNT)

    return script


async def _signal(w: World, run_id: str) -> None:
    await w.engine.signal(NS, run_id, "outside", "out", signal_id="once")


WAITS = Reference(
    lambda: [
        node("a", "b", "c", "d", "s"),
        node("b", "u", node_name="inside"),
        node("c", "u", node_name="outside"),
        node("d", "u", node_name="never"),
        node("s", "u"),
        node("u", unites="a", b="${{ b.outputs.p }}", c="${{ c.outputs.p }}", d="${{ d.outputs.p }}"),
    ],
    lambda: {
        "a": give(),
        "inside": _wait("inside"),
        "outside": _wait("outside"),
        "never": _wait("never", 5000),
        "s": lambda _: then({}, COUNT, signals=(SentSignal("inside", "in"),)),
        "u": give_inputs,
    },
    steps=(_signal,),
)

# --- a loop around a group --------------------------------------------------------------------------------------------


def _again(execution: Execution) -> Answer:
    rounds = int(execution.state_id.rsplit("-", 1)[1]) // 2
    return then(
        choose("z" if rounds == 2 else "a", {"xs": execution.inputs["xs"]}), StoreAppend("list", rounds)
    )


LOOP = Reference(
    lambda: [
        node("r", "a"),
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}"),
        node("u", "z", unites="a", xs="${{ b.outputs.x }}", loops=[{"to": "a", "max_rounds": 5}]),
        node("z", xs="${{ u.outputs.xs }}", list="${{ store.list }}"),
    ],
    lambda: {"r": give(), "a": count_to(2), "b": give_inputs, "u": _again, "z": give_inputs},
)

# --- a failed run that was retried, paused and resumed ----------------------------------------------------------------


def _broken(execution: Execution) -> Answer:
    if execution.inputs["x"] in {1, 4} and execution.turn == 0:
        return Errored("Broken", "first", retry=False)
    return then({"x": execution.inputs["x"]}, COUNT)


async def _retry(w: World, run_id: str) -> None:
    if (await w.view(run_id)).status == "FAILED":
        await w.engine.retry(NS, run_id)


async def _pause(w: World, run_id: str) -> None:
    if not (await w.view(run_id)).ended:
        await w.engine.pause(NS, run_id)


async def _resume(w: World, run_id: str) -> None:
    if not (await w.view(run_id)).ended:
        await w.engine.resume(NS, run_id)


RETRIED = Reference(
    lambda: [
        node("a", "b"),
        node("b", "c", x="${{ a.outputs.x }}"),
        node("c", "u", x="${{ b.outputs.x }}"),
        node("u", unites="a", xs="${{ c.outputs.x }}", n="${{ store.n }}"),
    ],
    lambda: {"a": count_to(6), "b": _broken, "c": give_inputs, "u": give_inputs},
    steps=(_retry,),
)

PAUSED = Reference(
    lambda: [
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}"),
        node("u", unites="a", xs="${{ b.outputs.x }}"),
    ],
    lambda: {
        "a": count_to(4),
        "b": lambda e: Requeued(60_000) if e.turn < 2 else give_inputs(e),
        "u": give_inputs,
    },
    steps=(_pause, _resume),
)

REFERENCES = {
    "chain": CHAIN,
    "group": GROUP,
    "nested": NESTED,
    "waits": WAITS,
    "loop": LOOP,
    "retried": RETRIED,
    "paused": PAUSED,
}


class Journal:
    """Watches the writes of all processes: what each commit said, and what was written after the end."""

    def __init__(self, world: World) -> None:
        self.commits: Counter[tuple[Key, int]] = Counter()
        self.after_the_end: list[Key] = []
        self._ended: set[str] = set()
        world.faults.after.append(self._note)

    async def _note(self, call: Call) -> None:
        if call.name == "table.update":
            self._update(call.arguments[0], call.arguments[1])
        elif call.name == "table.transact":
            for write in call.arguments[0]:
                if isinstance(write, Update):
                    self._update(write.key, write.actions)

    def _update(self, key: Key, actions: Any) -> None:
        values = {action.attribute: action.value for action in actions if isinstance(action, Set)}
        run = key.pk.partition("#b#")[0]
        if key.sk == "header" and "status" in values:
            (self._ended.add if values["status"] in {"SUCCEEDED", "FAILED"} else self._ended.discard)(run)
        if key.sk.startswith("s#"):
            if run in self._ended:
                self.after_the_end.append(key)
            if "t" in values and values["st"] != "RUNNING":
                self.commits[key, values["t"]] += 1


async def run_through(
    w: World, reference: Reference, work: Callable[[], Awaitable[None]] | None = None
) -> str:
    """Define the graph, begin a run, work, and take the steps; the run's id."""
    await w.define(*reference.nodes(), store_config=STORE)
    run_id = await w.start()
    drive = work or w.drive
    for step in reference.steps:
        await w.work()
        if unwrap(step) is _retry:
            await drive()
        await step(w, run_id)
    await drive()
    return run_id


async def told(w: World, run_id: str) -> dict[str, Any]:
    """What must not depend on faults: everything but times, attempts at executing, and which branch was first."""
    run = await check(w, run_id)
    states = await w.states(run_id)
    return {
        "status": run.status,
        "error": run.error,
        "result": run.result,
        "store": await w.store(run_id),
        "counts": (
            run.totals.succeeded,
            run.totals.failed,
            run.totals.pruned,
            run.totals.cancelled,
            run.totals.turns,
        ),
        "states": [(s.state_id, s.identifier, s.status, s.turns, s.outputs) for s in states],
    }
