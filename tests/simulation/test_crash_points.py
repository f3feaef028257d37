"""A share of all crash points; the whole is in make simulate."""

from __future__ import annotations

import pytest

from tests.simulation.crash_points import ALL, baseline, count

EVERY = 12


@pytest.mark.parametrize("name", ALL)
async def test_crash_points(name: str) -> None:
    counted = await count(name, every=EVERY, offset=len(name), pairs=3)
    assert counted.problems == ()
    assert counted.hit == counted.single > 0


async def test_a_retried_run_is_retried() -> None:
    """What the crash points of these runs are worth depends on it."""
    for name in ("retried", "a deep retry"):
        expected, _, _ = await baseline(ALL[name])
        assert expected["status"] == "SUCCEEDED"
