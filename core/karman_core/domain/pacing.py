"""How many states a second: tokens are taken from a line in virtual time, some at a time.

The line of a namespace is one number, the time at which its next token begins. Whoever wants `count` tokens moves it on
by `count / rate` seconds, from now if it lies in the past: what nobody took is not saved up. The tokens that were taken
so begin where the line stood before. Workers take several at once, so that a token costs a fraction of a write; a
worker that does not use them in time loses them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

KEPT_US = 1_000_000
"""For so long after their beginning tokens may be used: what was taken and not used overshoots by this much at most."""

HORIZON_US = 30_000_000
"""Tokens are not taken further ahead: whoever finds the line longer comes again later.

A state of a run that was not sent away lately takes one up to twice as far ahead. So a run with a million branches
keeps no other run of its namespace waiting for much longer than this, for each state.
"""

_LATEST_US = 300_000_000
"""Who is sent away comes again by then, to find a quota that was changed."""

_CHUNKS_A_SECOND = 4


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that a worker has taken and not used.

    Attributes:
        start_us: when the first of those that were taken begins (epoch microseconds).
        count: how many there are still.
        used: how many were used before.
        rate: a second.
    """

    start_us: int
    count: int
    used: int
    rate: float

    def next(self) -> tuple[int, Tokens]:
        """When the next token begins (epoch microseconds), and what is left. There is one."""
        begins = self.start_us + cost_us(self.used - self.used % most(self.rate), self.rate)
        return begins, replace(self, count=self.count - 1, used=self.used + 1)

    def usable(self, now_us: int, rate: float) -> bool:
        """Whether there is a token that may still be used, under the rate that holds now."""
        ends = self.start_us + cost_us(self.used, self.rate) + KEPT_US
        return self.count > 0 and self.rate == rate and now_us < ends


def most(rate: float) -> int:
    """The most tokens that are taken at a time by one that wants one: those of a quarter of a second."""
    return max(1, int(rate / _CHUNKS_A_SECOND))


def most_within(span_us: int, rate: float) -> int:
    """The most tokens that begin in such a time, at least one."""
    return max(1, int(span_us * rate / 1_000_000))


def cost_us(count: int, rate: float) -> int:
    """By how much tokens move the line on."""
    return round(count / rate * 1_000_000)


def comes_again(now_us: int, last_us: int, rate: float, share: float) -> int:
    """When somebody who is sent away comes again: as many as there are tokens then, in the order in which they came.

    Args:
        last_us: when the one comes again who was sent away before.
        share: a number in [0, 1), drawn: those that would come too late are spread.
    """
    at = max(now_us + HORIZON_US, last_us) + cost_us(1, rate)
    return at if at <= now_us + _LATEST_US else now_us + round(_LATEST_US * (1 + share) / 2)


def next_size(size: int, rate: float, left: Tokens | None) -> int:
    """How many to take at a time from now on.

    Args:
        size: before.
        left: what was taken last and is over; None at first. Who used all of it takes twice as many, who did not
            takes as many as it used.
    """
    if left is None or left.rate != rate:
        return 1
    wanted = size * 2 if left.count == 0 else left.used
    return max(1, min(wanted, most(rate)))
