"""Slots as the table has them, and that no more are held than there are, whatever happens in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from karman_core.domain.outcome import Awaiting, Errored
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.ports.executor import Execution
from tests.scenario.faults import Call
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import items
from tests.scenario.nodes import Answer, Script, give

POOLS = f"{NS}#slots%"
CUSTOMER = "${{ initial.inputs.customer }}"
MENDED_SECONDS = 301
"""After which a slot that nobody came back for is given back."""

OPEN = {"QUEUED", "RUNNING", "WAITING", "PAUSED"}


def held(w: World) -> set[str]:
    """The runs that hold a slot, of whatever it is."""
    return {item["run"] for item in items(w, POOLS) if item["sk"].startswith("held#")}


def waiting(w: World) -> list[str]:
    """The runs that wait for a slot, the first one first."""
    found = [item["sk"] for item in items(w, POOLS) if item["sk"].startswith("wait#")]
    return [sk.rpartition("#")[2] for sk in sorted(found)]


def began(w: World) -> list[str]:
    """Every run that has a header."""
    return [item["run"] for item in items(w, f"{NS}#run#%") if item["sk"] == "header"]


def left(w: World) -> list[str]:
    """The sort keys of all that there is of slots, without counts that are zero."""
    return [item["sk"] for item in items(w, POOLS) if item.get("held") != 0]


def watch(w: World, limit: int) -> None:
    """After every call of a port: each count is the number of the items, and at most the limit."""

    async def look(_: Call) -> None:
        counts: Counter[str] = Counter()
        noted: dict[str, int] = {}
        for item in items(w, POOLS):
            if item["sk"] == "count":
                noted[item["pk"]] = item["held"]
            else:
                counts[item["pk"]] += item["sk"].startswith("held#")
        for pool in {*counts, *noted}:
            assert noted.get(pool, 0) == counts[pool], pool
            assert 0 <= counts[pool] <= limit, (pool, counts)

    w.faults.after.append(look)


def with_slot(w: Callable[[], World], answer: Script) -> Script:
    """A script that fails unless its run holds a slot."""

    def script(execution: Execution) -> Answer | Awaitable[Answer]:
        if execution.run_id not in held(w()):
            return Errored("NoSlot", execution.run_id, retry=False)
        return answer(execution)

    return script


async def limited(
    limit: int = 1,
    *,
    scripts: Mapping[str, Script] | None = None,
    nodes: tuple[Any, ...] = (node("a"),),
    key: str | None = None,
    when_full: str = "queue",
    **more: Any,
) -> World:
    """A world with a graph that limits how many of its runs go on, whose nodes fail without a slot."""
    worlds: list[World] = []
    given = scripts or {"a": give(x=1)}
    w = World({name: with_slot(lambda: worlds[0], script) for name, script in given.items()}, **more)
    worlds.append(w)
    await w.define(*nodes, concurrency={"limit": limit, "key": key, "when_full": when_full})
    watch(w, limit)
    return w


async def statuses(w: World, runs: list[str]) -> list[str]:
    """How runs stand."""
    return [(await w.view(run_id)).status for run_id in runs]


def wait(execution: Execution) -> Answer:
    """Wait for the signal, then give one output."""
    return Awaiting("go") if execution.resumed is None else {"x": 1}


def break_once(execution: Execution) -> Answer:
    """Fail at first; retried, wait."""
    return Errored("Broken", "", retry=False) if execution.turn == 0 else wait(execution)


WAITS = {"a": wait}


async def go(w: World, run_id: str) -> None:
    """Send the signal that a run waits for, and work until nothing is left to do."""
    await w.engine.signal(NS, run_id, "go", {"x": 1})
    await w.drive()


async def set_quota(w: World, runs: int | None) -> None:
    """Limit how many runs of the namespace go on."""
    await w.engine.quotas.set(NS, NamespaceQuotas(concurrent_runs=runs))
    w.clock.advance(w.settings.quota_cache_seconds + 1)
