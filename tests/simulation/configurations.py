"""The small configurations that are explored, and how far."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from karman_core.domain.errors import Conflict
from karman_core.domain.outcome import Awaiting, Errored, Pruned, Requeued, Succeeded
from karman_core.engine import Engine, EngineSettings
from karman_core.engine.triggering import run_id_of
from karman_core.ports.executor import Execution
from tests.scenario.harness import NS, node
from tests.scenario.nodes import Answer
from tests.simulation.case import SETTINGS
from tests.simulation.plans import COUNT
from tests.simulation.search import Configuration
from tests.simulation.stage import Choice, Stage

_PLAIN = EngineSettings()
_SHARDED = replace(SETTINGS[1], inline_states=100)
_DEEP = replace(SETTINGS[1], shard_width=2, direct_branches=1)


def _give(*outputs: dict[str, Any]) -> Any:
    return lambda _: list(outputs)


def _counted(_: Execution) -> Answer:
    return Succeeded(({},), None, COUNT)


def _flaky(execution: Execution) -> Answer:
    if execution.turn == 0:
        return Errored("Flaky", "no")
    return Requeued(0, COUNT) if execution.turn == 1 else Succeeded(({},), None, COUNT)


def _waits(execution: Execution) -> Answer:
    return Awaiting("go", None) if execution.resumed is None else {"payload": execution.resumed.payload}


def _waits_or_not(execution: Execution) -> Answer:
    return Awaiting("go", 5000) if execution.resumed is None else {"late": execution.resumed.timed_out}


def _broken(execution: Execution) -> Answer:
    return Errored("Broken", "first", retry=False) if execution.turn == 0 else {}


def _broken_or_not(execution: Execution) -> Answer | Choice:
    if execution.turn == 0:
        return Errored("Broken", "first", retry=False)
    return Choice(({}, Errored("Broken", "again", retry=False)))


def _rounds(execution: Execution) -> Answer:
    return Succeeded(({},), "a" if execution.state_id.endswith("-1") else "z")


def _run_id() -> str:
    return run_id_of(NS, "g", "key")


async def _signal(stage: Stage, engine: Engine) -> None:
    await stage.when(lambda monitor: bool(monitor.headers))
    with suppress(Conflict):
        await engine.signal(NS, _run_id(), "go", "hello", signal_id="once")


async def _retry(stage: Stage, engine: Engine) -> None:
    await stage.when(lambda monitor: any(h["status"] == "FAILED" for h in monitor.headers.values()))
    with suppress(Conflict):
        await engine.retry(NS, _run_id())


async def _pause_and_resume(stage: Stage, engine: Engine) -> None:
    with suppress(Conflict):
        await engine.pause(NS, _run_id())
        await engine.resume(NS, _run_id())


async def _cancel(stage: Stage, engine: Engine) -> None:
    with suppress(Conflict):
        await engine.cancel(NS, _run_id())


async def _sweep(stage: Stage, engine: Engine) -> None:
    await stage.when(lambda monitor: bool(monitor.headers))
    await engine.sweep()


async def _rerun(stage: Stage, engine: Engine) -> None:
    await stage.when(lambda monitor: any(h["status"] == "SUCCEEDED" for h in monitor.headers.values()))
    await engine.operations.rerun(NS, _run_id(), "b", idempotency_key="again")


def _triggers(**options: Any) -> Any:
    async def trigger(stage: Stage, engine: Engine) -> None:
        with suppress(Conflict):
            await engine.trigger(NS, "g", idempotency_key="key", **options)

    return trigger


def _chain() -> Any:
    return [node("a", "b"), node("b", "c"), node("c")]


def _fork() -> Any:
    return [node("a", "b"), node("b", "u"), node("u", unites="a", strategy="ALL_DONE")]


def _any() -> Any:
    return [node("a", "b"), node("b", "u"), node("u", unites="a", strategy="ANY_SUCCESS")]


def _nested() -> Any:
    return [node("a", "b"), node("b", "c"), node("c", "v"), node("v", "u", unites="b"), node("u", unites="a")]


def _groups() -> Any:
    return [
        node("a", "b"), node("b", "u"), node("u", "c", unites="a"), node("c", "v"), node("v", "d", unites="u"),
        node("d", "w"), node("w", unites="v"),
    ]  # fmt: skip


def _looped() -> Any:
    return [node("r", "a"), node("a", "z", loops=[{"to": "a", "max_rounds": 2}]), node("z")]


_ENDINGS = Choice(({}, Errored("Broken", "it broke", retry=False), Pruned({})))
_TWO: Any = _give({"x": 0}, {"x": 1})
_THREE: Any = _give({"x": 0}, {"x": 1}, {"x": 2})
_SIMPLE: dict[str, Any] = {"a": _give({}), "b": _counted, "c": _give({})}
_FORKED: dict[str, Any] = {"a": _TWO, "b": _give({}), "u": _give({})}
_EITHER = frozenset({"SUCCEEDED", "FAILED"})

CONFIGURATIONS = (
    Configuration("a chain: 2 crashes, 1 duplicate", _chain, _SIMPLE, crashes=2, duplicates=1, limit=60_000),
    Configuration("a chain: 1 crash, 2 duplicates", _chain, _SIMPLE, crashes=1, duplicates=2, limit=60_000),
    Configuration(
        "a chain: 1 crash, 1 duplicate, 1 ambiguous",
        _chain,
        _SIMPLE,
        crashes=1,
        duplicates=1,
        ambiguous=1,
        limit=60_000,
    ),
    Configuration(
        "a retry and a requeue: 1 crash, 1 duplicate",
        lambda: [node("a", "b"), node("b")],
        {"a": _flaky, "b": _give({})},
        crashes=1,
        duplicates=1,
        limit=60_000,
    ),
    Configuration("a fork of 2: 1 crash", _fork, _FORKED, crashes=1, limit=10_000),
    Configuration("a fork of 2: 1 duplicate", _fork, _FORKED, duplicates=1, limit=30_000),
    Configuration(
        "a fork of 2, any endings: no fault", _fork, {**_FORKED, "b": lambda _: _ENDINGS}, limit=10_000
    ),
    Configuration(
        "a fork of 2, 1 or 2 outputs: 1 crash",
        _fork,
        {**_FORKED, "a": lambda _: Choice(([{}], [{}, {}]))},
        crashes=1,
        limit=20_000,
    ),
    Configuration(
        "a fork of 3, shards of 2, ranges: no fault",
        _fork,
        {**_FORKED, "a": _THREE},
        settings=_DEEP,
        limit=30_000,
    ),
    Configuration(
        "a fork of 3, shards of 2, ranges: 1 crash",
        _fork,
        {**_FORKED, "a": _THREE},
        settings=_DEEP,
        crashes=1,
        limit=60_000,
    ),
    Configuration("ANY_SUCCESS of 2: 1 ambiguous", _any, _FORKED, ambiguous=1, limit=20_000),
    Configuration("ANY_SUCCESS of 2: 1 crash", _any, _FORKED, crashes=1, limit=20_000),
    Configuration(
        "nested groups of 2 and 1: no fault",
        _nested,
        {"a": _TWO, "b": _give({}), "c": _give({}), "v": _give({}), "u": _give({})},
        limit=30_000,
    ),
    Configuration(
        "three groups of 2: 1 duplicate",
        _groups,
        {name: _give({}, {}) if name in "auv" else _give({}) for name in "abucvdw"},
        duplicates=1,
        most_sent=12,
        limit=60_000,
    ),
    Configuration(
        "a loop: 1 crash, 1 duplicate",
        _looped,
        {"r": _give({}), "a": _rounds, "z": _give({})},
        crashes=1,
        duplicates=1,
        limit=40_000,
    ),
    Configuration(
        "a wait and a signal: 1 crash",
        lambda: [node("a")],
        {"a": _waits},
        clients=(_signal,),
        crashes=1,
        limit=80_000,
    ),
    Configuration(
        "a wait, a signal and a time-out: no fault",
        lambda: [node("a")],
        {"a": _waits_or_not},
        clients=(_signal,),
        early=True,
        limit=20_000,
    ),
    Configuration(
        "a retry of 1 failed state: 1 duplicate",
        lambda: [node("a")],
        {"a": _broken_or_not},
        clients=(_retry,),
        duplicates=1,
        statuses=_EITHER,
        limit=40_000,
    ),
    Configuration(
        "a retry that succeeds: 1 duplicate",
        lambda: [node("a")],
        {"a": _broken},
        clients=(_retry,),
        duplicates=1,
        limit=40_000,
    ),
    Configuration(
        "a retry of 2 failed states: no fault",
        _fork_all_success := lambda: [node("a", "b"), node("b", "u"), node("u", unites="a")],
        {**_FORKED, "b": _broken},
        clients=(_retry,),
        limit=40_000,
    ),
    Configuration(
        "a retry, where some fail again: no fault",
        _fork_all_success,
        {**_FORKED, "b": _broken_or_not},
        clients=(_retry,),
        statuses=_EITHER,
        limit=40_000,
    ),
    Configuration(
        "a sweep redrives a chain: 1 crash",
        _chain,
        _SIMPLE,
        settings=replace(_PLAIN, stalled_seconds=0),
        clients=(_sweep,),
        crashes=1,
        limit=40_000,
    ),
    Configuration(
        "a sweep redrives a fork of 2: no fault",
        _fork,
        _FORKED,
        settings=replace(_PLAIN, stalled_seconds=0),
        clients=(_sweep,),
        limit=40_000,
    ),
    Configuration("a rerun from b: 1 crash", _chain, _SIMPLE, clients=(_rerun,), crashes=1, limit=40_000),
    Configuration(
        "pause and resume: no fault",
        lambda: [node("a", "b"), node("b")],
        {"a": _give({}), "b": _give({})},
        settings=replace(_PLAIN, control_cache_seconds=0.0),
        clients=(_pause_and_resume,),
        watches_control=True,
        workers=2,
        limit=60_000,
    ),
    Configuration(
        "pause and resume: 1 crash",
        _chain,
        _SIMPLE,
        settings=replace(_PLAIN, control_cache_seconds=0.0),
        clients=(_pause_and_resume,),
        watches_control=True,
        crashes=1,
        limit=40_000,
    ),
    Configuration(
        "cancel: 1 duplicate",
        _chain,
        _SIMPLE,
        clients=(_cancel,),
        watches_control=True,
        duplicates=1,
        statuses=frozenset({"SUCCEEDED", "CANCELLED"}),
        limit=20_000,
    ),
    *(
        Configuration(
            f"2 runs, 1 slot: {fault}",
            lambda: [node("a")],
            {"a": _give({})},
            runs=2,
            store={"concurrency": {"limit": 1}},
            slots=1,
            limit=40_000,
            crashes=int("crash" in fault),
            duplicates=int("duplicate" in fault),
        )
        for fault in ("no fault", "1 crash", "1 duplicate", "1 crash, 1 duplicate")
    ),
    Configuration(
        "two triggers of one key: 1 crash",
        _chain,
        _SIMPLE,
        clients=(_triggers(), _triggers(tags={"t": "x"})),
        crashes=1,
        limit=40_000,
    ),
)
