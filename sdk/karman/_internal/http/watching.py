"""Watching a run as it changes: what is known, how long to ask next, and when to stop."""

from __future__ import annotations

from karman._internal.http.exchange import LONGEST_WAIT_SECONDS
from karman.errors import StillRunning
from karman_core.engine.summaries import RunProgress

SHORTEST_ROUND_SECONDS = 0.25
"""So often at most is a run that changes all the time asked for."""


class ChangeWatch:
    """One watch. `seen` is the digest of what is known, `ended` whether there is nothing more to come."""

    def __init__(self, timeout_seconds: float | None) -> None:
        self._timeout_seconds = timeout_seconds
        self._until: float | None = None
        self._asked = 0.0
        self.seen: str | None = None
        self.ended = False

    def begin(self, now: float) -> None:
        """The time runs from now."""
        if self._timeout_seconds is not None:
            self._until = now + self._timeout_seconds

    def seconds(self, now: float) -> float:
        """How long the next poll may take; the first one is answered at once."""
        self._asked = now
        if self.seen is None:
            return 0.0
        left = LONGEST_WAIT_SECONDS if self._until is None else self._until - now
        return round(max(0.0, min(LONGEST_WAIT_SECONDS, left)), 3)

    def take(self, progress: RunProgress) -> bool:
        """Take an answer; whether it is news."""
        news = progress.digest != self.seen
        self.seen, self.ended, self._last = progress.digest, progress.ended, progress.run
        return news

    def pause(self, now: float) -> float:
        """Before the next poll. Raises StillRunning when the time is over."""
        if self.ended:
            return 0.0
        if self._until is not None and now >= self._until:
            run = self._last
            raise StillRunning(
                f"Run '{run.run_id}' is {run.status} after {self._timeout_seconds:g} s; it goes on.", run
            )
        return max(0.0, self._asked + SHORTEST_ROUND_SECONDS - now)
