"""The cron loop of a local worker: each firing once, the last missed one made up for, nothing of long ago."""

import asyncio
from collections.abc import Sequence

import pytest

from karman_core.domain.errors import InvalidInput, Throttled, Unavailable
from karman_core.ports.timers import Schedule
from karman_runtime.cron import CronLoop
from tests.runtime.workers import MovedClock, eventually

MINUTE = 60
HOUR = 3_600
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class FiringEngine:
    def __init__(self) -> None:
        self.fired: list[tuple[str, int]] = []
        self.faults: list[Exception] = []

    async def fire(self, schedule: Schedule, at_ms: int) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.fired.append((schedule.trigger, (at_ms - START) // 1000))


class ListedSchedules:
    def __init__(self, *schedules: Schedule) -> None:
        self.schedules = list(schedules)
        self.faults: list[Exception] = []

    async def put(self, schedule: Schedule) -> None:
        self.schedules.append(schedule)

    async def delete(self, namespace: str, graph: str, trigger: str) -> None:
        self.schedules = [each for each in self.schedules if each.trigger != trigger]

    async def list(self, namespace: str | None = None, graph: str | None = None) -> Sequence[Schedule]:
        if self.faults:
            raise self.faults.pop(0)
        return list(self.schedules)


def schedule(cron: str, trigger: str = "t", *, timezone: str = "UTC", enabled: bool = True) -> Schedule:
    return Schedule("default", "graph", trigger, cron, timezone, enabled=enabled)


class Setting:
    """A cron loop that began half a minute after midnight."""

    def __init__(self, *schedules: Schedule, catch_up_minutes: int = 60) -> None:
        self.clock = MovedClock(START + 30_000)
        self.engine = FiringEngine()
        self.schedules = ListedSchedules(*schedules)
        self.loop = CronLoop(self.schedules, self.engine, self.clock, catch_up_minutes=catch_up_minutes)

    async def look_after(self, seconds: float) -> list[tuple[str, int]]:
        """What is fired by a look so much later."""
        self.clock.skip(seconds)
        self.engine.fired.clear()
        await self.loop.look()
        return list(self.engine.fired)


async def test_a_firing_happens_once() -> None:
    setting = Setting(schedule("* * * * *"))

    assert await setting.look_after(0) == [("t", 0)]
    assert await setting.look_after(10) == []
    assert await setting.look_after(25) == [("t", 60)]
    assert await setting.look_after(60) == [("t", 120)]


async def test_on_start_it_looks_back_one_minute_only() -> None:
    assert await Setting(schedule("59 23 * * *")).look_after(0) == []
    assert await Setting(schedule("0 0 * * *")).look_after(0) == [("t", 0)]


async def test_of_missed_firings_the_last_one_is_made_up_for() -> None:
    setting = Setting(schedule("*/5 * * * *", "often"), schedule("20 0 * * *", "daily"))
    await setting.look_after(0)

    assert await setting.look_after(33 * MINUTE) == [("often", 30 * MINUTE), ("daily", 20 * MINUTE)]


async def test_what_was_missed_too_long_ago_is_not_made_up_for() -> None:
    setting = Setting(schedule("20 0 * * *", "old"), schedule("50 2 * * *", "recent"), catch_up_minutes=60)
    await setting.look_after(0)

    assert await setting.look_after(3 * HOUR) == [("recent", 2 * HOUR + 50 * MINUTE)]


async def test_a_disabled_schedule_does_not_fire() -> None:
    assert await Setting(schedule("* * * * *", enabled=False)).look_after(0) == []


async def test_a_schedule_that_is_put_later_fires_from_then_on() -> None:
    setting = Setting()
    assert await setting.look_after(0) == []
    await setting.schedules.put(schedule("* * * * *"))

    assert await setting.look_after(60) == [("t", 60)]


async def test_the_zone_counts() -> None:
    setting = Setting(schedule("5 1 * * *", timezone="Europe/Berlin"))

    assert await setting.look_after(5 * MINUTE) == [("t", 5 * MINUTE)]


@pytest.mark.parametrize("error", [Throttled("slow down"), Unavailable("no answer")])
async def test_a_firing_that_the_backend_refused_is_tried_again(error: Exception) -> None:
    setting = Setting(schedule("0 0 * * *"))
    setting.engine.faults = [error]

    assert await setting.look_after(0) == []
    assert await setting.look_after(60) == [("t", 0)]
    assert await setting.look_after(60) == []


async def test_a_firing_that_cannot_work_is_left_and_the_others_go_on() -> None:
    setting = Setting(schedule("* * * * *", "wrong"), schedule("* * * * *", "right"))
    setting.engine.faults = [InvalidInput("the inputs do not fit")]

    assert await setting.look_after(0) == [("right", 0)]
    assert await setting.look_after(10) == []


async def test_a_schedule_that_cannot_be_read_harms_no_other() -> None:
    setting = Setting(schedule("61 * * * *", "wrong"), schedule("* * * * *", "right"))

    assert await setting.look_after(0) == [("right", 0)]


async def test_schedules_that_cannot_be_listed_are_looked_at_the_next_time() -> None:
    setting = Setting(schedule("0 0 * * *"))
    setting.schedules.faults = [Unavailable("no answer")]

    assert await setting.look_after(0) == []
    assert await setting.look_after(60) == [("t", 0)]


async def test_a_clock_that_is_set_back_is_followed() -> None:
    setting = Setting(schedule("* * * * *"))
    await setting.look_after(10 * MINUTE)

    assert await setting.look_after(-5 * MINUTE) == []
    assert await setting.look_after(MINUTE) == [("t", 6 * MINUTE)]


async def test_it_looks_after_each_full_minute() -> None:
    setting = Setting(schedule("* * * * *"))
    running = asyncio.create_task(setting.loop.run())
    await eventually(lambda: setting.engine.fired == [("t", 0)])
    setting.clock.skip(30.1)
    await eventually(lambda: setting.engine.fired == [("t", 0), ("t", 60)])
    setting.clock.skip(60)
    await eventually(lambda: setting.engine.fired[-1] == ("t", 120))
    running.cancel()
