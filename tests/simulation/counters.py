"""What a run says that it took, against the calls that were made for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from karman_core.backends.values import item_bytes
from karman_core.engine.state_items import read_record
from tests.simulation.violations import Violation

if TYPE_CHECKING:
    from karman_core.engine.views import RunView
    from tests.simulation.monitor import Monitor

_UNIT_BYTES = 1024
_ESTIMATE_BYTES = 250
"""By which the engine's estimate of an item's size may be wrong: names of keys, and what other writes left in it."""

Item = Mapping[str, Any]


def check_commit(old: Item | None, new: Item, where: str, *, transacted: bool) -> None:
    """A commit counts itself: its write units by DynamoDB's rules, twice in a transaction, and its node's time."""
    before, after = None if old is None else read_record(old), read_record(new)
    units = after.write_units - (before.write_units if before else 0)
    size, times = item_bytes(dict(new)), 2 if transacted else 1
    # Of a state that a retry has opened again, the engine does not know how many errors the epochs before have left.
    unknown = item_bytes({"er": new["er"]}) if "rp" in new and "er" in new else 0
    least, most = (_units(size + by) * times for by in (-_ESTIMATE_BYTES - unknown, _ESTIMATE_BYTES))
    if not least <= units <= most:
        raise Violation(f"{units} write units are counted for {size} bytes, {times} times: {where}")
    busy_ms = after.busy_ms - (before.busy_ms if before else 0)
    if busy_ms != after.ended_ms - after.started_ms:
        raise Violation(f"{busy_ms} ms are counted, from {after.started_ms} to {after.ended_ms}: {where}")


def _units(size: int) -> int:
    return max(1, -(-size // _UNIT_BYTES))


def check_calls(monitor: Monitor, consumed: Mapping[str, int]) -> None:
    """The table's own counters are the calls that were made, those included that failed."""
    if dict(monitor.calls) != dict(consumed):
        raise Violation(f"the table counts {dict(consumed)} calls, made were {dict(monitor.calls)}")


def check_totals(monitor: Monitor, run: RunView) -> None:
    """Each commit is a turn, and no turn is counted that nobody committed."""
    commits = sum(run_id == run.run_id for run_id, *_ in monitor.commits)
    if run.totals.turns != commits:
        raise Violation(f"run {run.run_id} counts {run.totals.turns} turns, committed were {commits}")
