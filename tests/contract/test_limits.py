"""What limits write: the line of states a second, and the log of starts, by many workers at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from karman_core.backends.system import SystemEntropy
from karman_core.domain.definition import RateLimit
from karman_core.domain.graph import compile_graph
from karman_core.domain.messages import RunRef
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.domain.transitions import RunStatus
from karman_core.engine.pacing import Pacer
from karman_core.engine.quotas import Quotas
from karman_core.engine.run_items import Header
from karman_core.engine.services import Services
from karman_core.engine.settings import EngineSettings
from karman_core.engine.starts import StartLimits
from karman_core.ports.table import Table
from tests.contract.backends.clocks import ManualClock
from tests.domain.graphs import graph, node

NS, RATE, PROCESSES = "ns", 200.0, 6


@pytest.fixture
def clock() -> ManualClock:
    """On every backend: what is written depends on the time, and how long a service takes does not matter."""
    return ManualClock()


@dataclass(frozen=True)
class Time:
    """The clock as the engine sees it."""

    clock: ManualClock

    def now_ms(self) -> int:
        return self.clock.now_ms()

    async def sleep(self, seconds: float) -> None:
        await self.clock.advance(seconds)


def services(table: Table, clock: ManualClock) -> Services:
    """Of one process."""
    backend = cast("Any", SimpleNamespace(table=table))
    return Services(backend, Time(clock), SystemEntropy(), EngineSettings())


async def pacer(table: Table, clock: ManualClock, rate: float) -> Pacer:
    """Of one process, which knows its quota."""
    own = services(table, clock)
    quotas = Quotas(own)
    await quotas.set(NS, NamespaceQuotas(states_per_second=rate))
    return Pacer(own, quotas)


async def tokens(pacers: list[Pacer], each: int) -> list[int]:
    """When states may begin that ask at the same moment."""
    asked = [one.token(NS, f"r{number}", None) for one in pacers for number in range(each)]
    found = await asyncio.gather(*asked)
    assert all(token is not None and token.rate is not None for token in found)
    return sorted(token.at_ms for token in found if token is not None)


def most_in(times: list[int], window_ms: int) -> int:
    return max(sum(at <= other < at + window_ms for other in times) for at in times)


@pytest.mark.slow
async def test_processes_share_a_line(table: Table, clock: ManualClock) -> None:
    pacers = [await pacer(table, clock, RATE) for _ in range(PROCESSES)]

    times = await tokens(pacers, 100)

    for window_ms in (250, 500, 1000, 2000):
        # A quarter of a second begins together, in each of the pieces that the processes took.
        assert most_in(times, window_ms) <= RATE * (window_ms + 500) / 1000 + PROCESSES
    assert times[-1] - times[0] >= (PROCESSES * 100 / RATE - 0.5) * 1000


async def test_what_nobody_took_is_not_saved_up(table: Table, clock: ManualClock) -> None:
    pacers = [await pacer(table, clock, RATE) for _ in range(PROCESSES)]
    await tokens(pacers, 1)
    await clock.advance(1.6)
    before = clock.now_ms()

    times = await tokens(pacers, 50)

    assert times[0] >= before - 1000
    assert times[-1] - before >= (PROCESSES * 50 / RATE - 0.5) * 1000


async def test_a_line_has_an_end(table: Table, clock: ManualClock) -> None:
    first, second = [await pacer(table, clock, 1.0) for _ in range(2)]
    asked = await asyncio.gather(*(first.token(NS, "wide", None) for _ in range(200)))
    now = clock.now_ms()
    given = [token.at_ms for token in asked if token is not None and token.rate is not None]
    away = [token.at_ms for token in asked if token is not None and token.rate is None]

    assert 30 <= len(given) <= 33
    assert max(given) <= now + 33_000
    assert len(given) + len(away) == 200
    assert now + 30_000 <= min(away)
    assert max(away) <= now + 301_000
    again = await first.token(NS, "wide", None)
    assert again is not None
    assert again.rate is None
    small = await second.token(NS, "small", None)
    assert small is not None
    assert small.rate is not None
    assert small.at_ms <= now + 36_000


async def test_starts_that_are_reserved_at_once_keep_to_the_limit(table: Table, clock: ManualClock) -> None:
    compiled = compile_graph(graph(node("a"), rate_limit=RateLimit(starts=5, per_seconds=60)))
    now = clock.now_ms()
    headers = [
        Header(RunRef(NS, f"r{number}", "g", 1, 0, now + 10**9), RunStatus.RUNNING, now, now, "hash", "q")
        for number in range(24)
    ]
    limits = [StartLimits(services(table, clock), cast("Any", None)) for _ in range(4)]

    placed = await asyncio.gather(
        *(limits[place % 4].place(compiled, header) for place, header in enumerate(headers))
    )

    starts = sorted(header.starts_ms for header in placed)
    assert all(header.placed for header in placed)
    assert starts[4] < now + 30_000
    for place, at in enumerate(starts[5:]):
        assert at >= starts[place] + 60_000 - 30_000 * (place < 5)
    assert starts[-1] < now + 4 * 60_000 + 30_000
