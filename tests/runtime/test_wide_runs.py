"""A real worker process, a wide and a deep run: they end, in bounded memory."""

from __future__ import annotations

import pytest

from bench import local_runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(660)]  # sheer numbers: seconds a test

WORKER_MEMORY_MB = 250


@pytest.mark.parametrize(("case", "size", "states"), [("fork", 10_000, 10_002), ("chain", 2_000, 2_000)])
def test_a_large_run_ends_in_bounded_memory(case: str, size: int, states: int) -> None:
    succeeded, _, peak_mb = local_runs.measure(case, size)
    assert succeeded == states
    assert peak_mb < WORKER_MEMORY_MB
