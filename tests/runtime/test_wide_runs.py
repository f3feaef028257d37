"""A real worker process and a deep run: it ends, in bounded memory. A wide one is run by the command line's tests."""

from __future__ import annotations

import pytest

from bench import local_runs

WORKER_MEMORY_MB = 250


@pytest.mark.parametrize(("case", "size", "states"), [("chain", 2_000, 2_000)])
def test_a_large_run_ends_in_bounded_memory(case: str, size: int, states: int) -> None:
    succeeded, _, peak_mb = local_runs.measure(case, size)
    assert succeeded == states
    assert peak_mb < WORKER_MEMORY_MB
