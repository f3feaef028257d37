"""The port that webhooks leave by: requests to addresses that users name, with Karman's network around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from karman_core.domain.webhooks import Answer

WEBHOOKS: Final = "@webhooks"
"""The queue of timers for deliveries; no namespace can be called so. On AWS it is no queue but the function that
delivers, which Scheduler calls with the timer's body."""


class Poster(Protocol):
    """Sends requests to receivers, and to nobody else: what is not public is refused, whatever its name."""

    async def check(self, url: str) -> None:
        """Raise InvalidRequest for a URL that no request would be sent to, as far as can be told now."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request. What goes wrong on the way is an answer, never an error."""
        ...
