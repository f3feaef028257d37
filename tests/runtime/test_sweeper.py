"""The hourly guard of a local worker."""

import asyncio
import logging

import pytest

from karman_core.domain.errors import Unavailable
from karman_runtime.sweeper import sweep_forever
from tests.runtime.workers import MovedClock, eventually


class SweptEngine:
    def __init__(self) -> None:
        self.sweeps = 0
        self.faults: list[Exception] = []

    async def sweep(self) -> str:
        self.sweeps += 1
        if self.faults:
            raise self.faults.pop(0)
        return "swept"


async def test_it_sweeps_at_once_and_every_hour_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock, engine = MovedClock(), SweptEngine()
    engine.faults = [Unavailable("no answer")]
    sweeping = asyncio.create_task(sweep_forever(engine, clock))

    async def swept(sweeps: int) -> None:
        await eventually(lambda: engine.sweeps == sweeps and clock.sleepers == 1)

    for sweeps in (1, 2, 3):
        await swept(sweeps)
        clock.skip(3_599)
        await asyncio.sleep(0)
        await swept(sweeps)
        clock.skip(1)
    await swept(4)
    sweeping.cancel()

    assert [record.message for record in caplog.records][:2] == ["sweep failed", "swept"]
