"""Time and chance as ports, so that tests and the simulator own both."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The wall clock."""

    def now_ms(self) -> int:
        """Epoch milliseconds, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""
        ...


class Entropy(Protocol):
    """Randomness."""

    def uniform(self) -> float:
        """A number in [0, 1)."""
        ...

    def token(self) -> str:
        """26 characters of [0-9a-z], unique with overwhelming probability; no order is promised."""
        ...
