"""Time in `karman.testing` jumps to what is due, and no further than it must."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from karman import Context, Graph, Node, RequeueAfter, WaitFor, node
from karman.testing import SkippingClock, run


class Wait(Node):
    class Inputs(BaseModel):
        hours: float

    class Outputs(BaseModel):
        late: bool

    async def execute(self) -> Outputs | WaitFor:
        if self.ctx.resumed is None:
            return WaitFor("go", timeout=timedelta(hours=self.inputs.hours))
        return self.Outputs(late=self.ctx.resumed.timed_out)


def waiting() -> Graph:
    graph = Graph("waiting")
    graph.add(Wait)
    return graph


@pytest.mark.parametrize("hours", [0.001, 1, 24 * 20])
def test_a_wait_takes_as_long_as_it_says(hours: float) -> None:
    result = run(waiting(), {"hours": hours})

    assert result.assert_succeeded().outputs == {"late": True}
    assert hours * 3600 <= result.elapsed <= hours * 3600 + 60


def test_a_run_that_has_ended_lets_no_more_time_pass() -> None:
    result = run(waiting(), {"hours": 24}, signals={"go": None})

    assert result.assert_succeeded().outputs == {"late": False}
    assert result.elapsed == 0


def test_time_does_not_jump_further_than_it_may() -> None:
    result = run(waiting(), {"hours": 48}, within=timedelta(hours=47))

    assert result.status == "WAITING"
    assert result.elapsed == 0


def test_what_is_due_at_different_times_happens_in_order() -> None:
    @node
    async def nap(seconds: float, ctx: Context) -> float:
        if ctx.turn == 0:
            raise RequeueAfter(seconds)
        ctx.store.append("woken", seconds)
        return seconds

    @node
    async def spread() -> list[float]:
        return [300.0, 20_000.0, 5.0]

    graph = Graph("naps")
    start = graph.add(spread)
    start >> graph.add(nap, seconds=start.outputs.result)

    result = run(graph).assert_succeeded()

    assert result.store["woken"] == [5.0, 300.0, 20_000.0]
    assert 20_000 <= result.elapsed <= 20_060


def test_a_run_has_its_own_timeout() -> None:
    graph = Graph("short", timeout=timedelta(hours=1))
    graph.add(Wait)

    result = run(graph, {"hours": 2})

    assert result.status == "TIMED_OUT"
    assert 3600 <= result.elapsed <= 3660


async def test_the_clock_by_itself() -> None:
    clock = SkippingClock(1000)

    await clock.sleep(0.01)
    assert clock.now_ms() == 1010
    clock.skip(5)
    clock.jump_to(0)
    assert clock.now_ms() == 6010
