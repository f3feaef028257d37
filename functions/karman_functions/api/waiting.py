"""Long polls: the answer comes when there is something to say, or at the end of the wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from karman_core.engine import Engine
from karman_core.engine.summaries import RunProgress
from karman_core.engine.views import RunView
from karman_core.ports.system import Clock

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_GROWTH = 1.5

Seen = TypeVar("Seen")


async def ended_run(
    engine: Engine, clock: Clock, namespace: str, run_id: str, wait_seconds: float
) -> RunView:
    """The run, once it has ended; as it stands when the wait is over. Raises NotFound."""
    return await _looked(
        lambda: engine.get_run(namespace, run_id), lambda view: view.ended, clock, wait_seconds
    )


async def changed_run(
    engine: Engine, clock: Clock, namespace: str, run_id: str, after: str | None, wait_seconds: float
) -> RunProgress:
    """The run, once it is another than the digest `after` says; as it stands when the wait is over.

    Of a run that has ended nothing is waited for. Raises NotFound.
    """
    return await _looked(
        lambda: engine.overview.progress(namespace, run_id),
        lambda progress: progress.ended or progress.digest != after,
        clock,
        wait_seconds,
    )


async def _looked(
    look: Callable[[], Awaitable[Seen]], enough: Callable[[Seen], bool], clock: Clock, wait_seconds: float
) -> Seen:
    """What is seen once it is enough, or at the end of the wait; looked at less often the longer it takes."""
    until = clock.now_ms() + wait_seconds * 1000
    pause = _FIRST_PAUSE_SECONDS
    seen = await look()
    while not enough(seen) and (left := (until - clock.now_ms()) / 1000) > 0:
        await clock.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
        seen = await look()
    return seen
