"""The hourly guard of a local worker."""

import asyncio
import logging

import pytest

from karman._internal.testing.clock import SkippingClock
from karman_core.domain.errors import Unavailable
from karman_runtime.sweeper import sweep_forever


class SweptEngine:
    def __init__(self) -> None:
        self.began = asyncio.Queue[None]()
        self.faults: list[Exception] = []

    async def sweep(self) -> str:
        self.began.put_nowait(None)
        if self.faults:
            raise self.faults.pop(0)
        return "swept"


async def test_it_sweeps_at_once_and_every_hour_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock, engine = SkippingClock(), SweptEngine()
    engine.faults = [Unavailable("no answer")]
    sweeping = asyncio.create_task(sweep_forever(engine, clock))
    for _ in range(3):
        await asyncio.wait_for(engine.began.get(), 10)
        await asyncio.sleep(0.01)  # so that it sleeps when the clock is moved
        clock.skip(3_600)
    await asyncio.wait_for(engine.began.get(), 10)
    sweeping.cancel()

    assert [record.message for record in caplog.records][:2] == ["sweep failed", "swept"]
