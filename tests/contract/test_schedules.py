"""Schedules: the list of cron triggers."""

from __future__ import annotations

import pytest

from karman_core.ports.timers import Schedule, Schedules

NIGHTLY = Schedule("default", "digest", "nightly", "0 2 * * *", "Europe/Berlin")
HOURLY = Schedule("default", "digest", "hourly", "0 * * * *", enabled=False)
OTHER_GRAPH = Schedule("default", "digest2", "nightly", "30 2 * * 1-5")
OTHER_NAMESPACE = Schedule("team", "digest", "nightly", "*/5 * * * *")


async def put_all(schedules: Schedules) -> None:
    for schedule in (OTHER_NAMESPACE, NIGHTLY, OTHER_GRAPH, HOURLY):
        await schedules.put(schedule)


async def test_schedules_are_listed_in_order(schedules: Schedules) -> None:
    await put_all(schedules)

    assert list(await schedules.list()) == [HOURLY, NIGHTLY, OTHER_GRAPH, OTHER_NAMESPACE]
    assert list(await schedules.list("default")) == [HOURLY, NIGHTLY, OTHER_GRAPH]
    assert list(await schedules.list("default", "digest")) == [HOURLY, NIGHTLY]
    assert list(await schedules.list("default", "dig")) == []
    assert list(await schedules.list("none")) == []


async def test_putting_again_replaces(schedules: Schedules) -> None:
    await put_all(schedules)
    changed = Schedule("default", "digest", "nightly", "0 3 * * *", "America/New_York", enabled=False)

    await schedules.put(changed)

    assert list(await schedules.list("default", "digest")) == [HOURLY, changed]


async def test_deleting(schedules: Schedules) -> None:
    await put_all(schedules)

    await schedules.delete("default", "digest", "nightly")
    await schedules.delete("default", "digest", "nightly")
    await schedules.delete("none", "none", "none")

    assert list(await schedules.list()) == [HOURLY, OTHER_GRAPH, OTHER_NAMESPACE]


async def test_names_that_look_alike_are_kept_apart(schedules: Schedules) -> None:
    alike = [
        Schedule(*names, "0 0 * * *") for names in [("a", "b-c", "d"), ("a-b", "c", "d"), ("a", "b", "c-d")]
    ]
    for schedule in alike:
        await schedules.put(schedule)

    assert sorted(await schedules.list(), key=str) == sorted(alike, key=str)
    await schedules.delete("a", "b-c", "d")
    assert sorted(await schedules.list(), key=str) == sorted(alike[1:], key=str)


async def test_a_graph_needs_its_namespace(schedules: Schedules) -> None:
    with pytest.raises(ValueError, match="namespace"):
        await schedules.list(graph="digest")
