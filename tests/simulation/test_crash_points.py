"""A share of all crash points; the whole is in make simulate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenario.slots import left, waiting
from tests.selection import with_slow
from tests.simulation.crash_points import ALL, _let_go, baseline, count, survive

EVERY = 12


@pytest.mark.parametrize("name", with_slow(ALL, {"a deep retry", "retried"}))
async def test_crash_points(name: str) -> None:
    counted = await count(name, every=EVERY, offset=len(name), pairs=3)
    assert counted.problems == ()
    assert counted.hit == counted.single > 0


async def test_a_retried_run_is_retried() -> None:
    """What the crash points of these runs are worth depends on it."""
    for name in ("retried", "a deep retry"):
        expected, _, _ = await baseline(ALL[name])
        assert expected["status"] == "SUCCEEDED"


async def test_a_run_that_waits_is_woken() -> None:
    """Its first state is begun by whoever ends the run that has the slot, and not before."""
    w = ALL["waits for its slot"].world()
    try:
        run_id = await survive(w, replace(ALL["waits for its slot"], steps=()))
        assert waiting(w) == [run_id]
        await _let_go(w, run_id)
        await w.drive()
        assert (waiting(w), left(w)) == ([], [])
    finally:
        w.backend.close()
