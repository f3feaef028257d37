"""Limits: no more runs go on, or begin, than a limit lets; none waits for ever; and nothing is held in the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from karman_core.domain.concurrency import slot_from_json
from karman_core.domain.transitions import FINAL_RUNS
from karman_core.domain.windows import read_log
from karman_core.engine import keys
from karman_core.ports.table import Key
from tests.simulation.violations import Violation

if TYPE_CHECKING:
    from tests.simulation.history import History

FORGOTTEN_SECONDS = 301
Item = Mapping[str, Any]


class Limits:
    """Watches the items of slots and starts.

    Attributes:
        runs: how many runs of a key go on at a time; `quota`: of the namespace; None for no limit.
        held: the runs that hold a slot, by pool; `waiting`: those that wait for one.
        began: times at which starts were reserved, by the item that has them.
    """

    def __init__(self) -> None:
        self.runs: int | None = None
        self.quota: int | None = None
        self.held: defaultdict[str, set[str]] = defaultdict(set)
        self.waiting: defaultdict[str, set[str]] = defaultdict(set)
        self.began: defaultdict[str, list[int]] = defaultdict(list)
        self._counts: dict[str, int] = {}

    def note(self, key: Key, old: Item | None, new: Item | None) -> None:
        """An item was written."""
        if "#starts#" in key.pk:
            before = [] if old is None else _times(old)
            self.began[key.pk] += [] if new is None else _added(before, _times(new))
        elif key.sk == "count":
            self._counts[key.pk] = 0 if new is None else new.get("held", 0)
        else:
            kind, _, name = key.sk.partition("#")
            runs = (self.held if kind == "held" else self.waiting)[key.pk]
            (runs.discard if new is None else runs.add)(name.rpartition("#")[2])

    def check(self) -> None:
        """After a whole call: counts are true, and no more slots are held than there are."""
        for pool, runs in self.held.items():
            count = self._counts.get(pool, 0)
            if count != len(runs):
                raise Violation(f"{pool} counts {count}, and {sorted(runs)} hold slots")
            limit = self.quota if pool.endswith("#slots") else self.runs
            if limit is not None and count > limit:
                raise Violation(f"{count} slots of {limit} are held in {pool}")

    def is_waiting(self, run_id: str, header: Item) -> bool:
        """Whether a run waits for its slot."""
        pool = pool_of(header)
        return pool is not None and run_id in self.waiting[pool]

    def check_holds(self, run_id: str, header: Item, where: str) -> None:
        """A run that goes on holds its slot."""
        pool = pool_of(header)
        if pool is not None and run_id not in self.held[pool]:
            raise Violation(f"a run goes on without its slot: {where}")


def pool_of(header: Item) -> str | None:
    """Where the slot of a run lies that needs one."""
    if "slot" not in header:
        return None
    return keys.slots_of(header["ns"], header["graph"], slot_from_json(json.loads(header["slot"])).scope)


def _times(item: Item) -> list[int]:
    return [pair.at_ms for pair in read_log(item["log"]) for _ in range(pair.runs)]


def _added(before: list[int], after: list[int]) -> list[int]:
    """What a longer log has more; what is over is dropped from its beginning."""
    common = next(n for n in range(len(before), -1, -1) if before[len(before) - n :] == after[:n])
    return after[common:]


# --- at rest ----------------------------------------------------------------------------------------------------------


def check_waiting(history: History) -> None:
    """Nobody waits for a slot that is free; or that is held by a run that has ended, unless its holder died."""
    monitor, case = history.simulation.monitor, history.case
    for run_id, header in monitor.headers.items():
        pool = pool_of(header)
        if header["status"] != "RUNNING" or pool is None or not monitor.limits.is_waiting(run_id, header):
            continue
        holders = monitor.limits.held[pool]
        if len(holders) < (monitor.limits.runs or 0):
            raise Violation(f"run {run_id} waits for a slot, and only {sorted(holders)} hold one")
        if case.calm and not all(_goes_on(monitor.headers.get(one)) for one in holders):
            raise Violation(f"run {run_id} waits for a slot of one that has ended: {sorted(holders)}")


def check_limits(history: History) -> None:
    """When all has ended: nothing is held, and what a process that died had taken is found after a while."""
    simulation, limits = history.simulation, history.simulation.monitor.limits
    leaked = {pool: sorted(runs) for pool, runs in limits.held.items() if runs or limits.waiting[pool]}
    if leaked and history.case.calm:
        raise Violation(f"slots are held, or waited for, when all has ended: {leaked}")
    simulation.advance_to(simulation.now_ms() + FORGOTTEN_SECONDS * 1000 + 2 * history.case.skew_ms)
    slots = history.deployment.reader.operations.parts.slots
    for pool in leaked:
        simulation.complete(slots.look_after(keys_namespace(pool), pool))
        left = simulation.items_of(pool)
        if any(item["sk"] != "count" or item.get("held") for item in left):
            raise Violation(f"slots stay held, or waited for: {left}")
    _check_starts(history)


def _check_starts(history: History) -> None:
    definition = history.limits.get("rate_limit")
    if definition is None:
        return
    most, period = definition.starts, round(definition.per_seconds * 1000)
    for name, began in history.simulation.monitor.limits.began.items():
        times = sorted(began)
        for first, after in zip(times, times[most:], strict=False):
            if after - first < period:
                raise Violation(f"{name} lets more than {most} begin in {period} ms: {times}")
    reserved = sum(map(len, history.simulation.monitor.limits.began.values()))
    begun = {execution.run_id for _, execution in history.deployment.executions}
    if len(begun) > reserved:
        raise Violation(f"{len(begun)} runs have begun, {reserved} starts were reserved")


def keys_namespace(pool: str) -> str:
    """The namespace of a pool."""
    return pool.partition("#")[0]


def _goes_on(header: Item | None) -> bool:
    return header is not None and header["status"] not in {*FINAL_RUNS, "PURGED"}
