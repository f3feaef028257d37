"""How many starts in a period: never more than the limit in any period, wherever one looks.

What is kept are the last starts, those reserved for later too, as pairs of time and count. One more may begin when the
start that lies `starts` back is a whole period ago. Of a high limit, starts that lie close together are kept as one
pair with the time of the last of them, so that there are about 100 pairs at most: the next ones wait a little longer
than they had to, never less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

_PAIRS = 100


class Starts(NamedTuple):
    """Runs that began, or will, at about the same time."""

    at_ms: int
    runs: int


@dataclass(frozen=True, slots=True)
class Window:
    """The limit: at most `starts` in any `period_ms`."""

    starts: int
    period_ms: int

    def reserve(self, log: Sequence[Starts], now_ms: int) -> int:
        """When one more may begin, now or later (epoch ms); no earlier than those before it."""
        last = log[-1].at_ms if log else now_ms
        room = self.starts
        for pair in reversed(log):
            room -= pair.runs
            if room <= 0:
                return max(now_ms, last, pair.at_ms + self.period_ms)
        return max(now_ms, last)

    def add(self, log: Sequence[Starts], at_ms: int, now_ms: int) -> tuple[Starts, ...]:
        """The log with one more start, without what constrains nobody any more."""
        last = log[-1] if log else Starts(at_ms, 0)
        together = last.at_ms == at_ms or last.runs < -(-self.starts // _PAIRS)
        head = log[:-1] if log and together else log
        kept = (*head, Starts(at_ms, last.runs + 1 if together else 1))
        return self._newest(tuple(pair for pair in kept if pair.at_ms > now_ms - self.period_ms))

    def _newest(self, log: tuple[Starts, ...]) -> tuple[Starts, ...]:
        """The last `starts` starts: no later one looks further back."""
        room = self.starts
        for place in range(len(log) - 1, -1, -1):
            room -= log[place].runs
            if room <= 0:
                return log[place:]
        return log


def log_text(log: Sequence[Starts]) -> str:
    """A log as it is kept: the first time, then what each is later than the one before, each with its count."""
    before, parts = 0, []
    for pair in log:
        parts.append(f"{pair.at_ms - before}" + (f"x{pair.runs}" if pair.runs > 1 else ""))
        before = pair.at_ms
    return " ".join(parts)


def read_log(text: str) -> tuple[Starts, ...]:
    """The reverse of `log_text`."""
    at_ms, log = 0, []
    for part in text.split():
        later, _, count = part.partition("x")
        at_ms += int(later)
        log.append(Starts(at_ms, int(count or 1)))
    return tuple(log)
