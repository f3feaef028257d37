"""Long polls: the answer comes when there is something to say, or at the end of the wait."""

from __future__ import annotations

from karman_core.engine import Engine
from karman_core.engine.views import RunView
from karman_core.ports.system import Clock

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_GROWTH = 1.5


async def ended_run(
    engine: Engine, clock: Clock, namespace: str, run_id: str, wait_seconds: float
) -> RunView:
    """The run, once it has ended; as it stands when the wait is over. Raises NotFound."""
    until = clock.now_ms() + wait_seconds * 1000
    pause = _FIRST_PAUSE_SECONDS
    view = await engine.get_run(namespace, run_id)
    while not view.ended and (left := (until - clock.now_ms()) / 1000) > 0:
        await clock.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
        view = await engine.get_run(namespace, run_id)
    return view
