"""Events for the outside: status changes of runs, published at least once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        id: the same for every publication of the same happening.
        kind: past tense, for example `run.succeeded`.
        at_ms: epoch milliseconds.
        detail: JSON values.
    """

    id: str
    kind: str
    namespace: str
    at_ms: int
    detail: Mapping[str, Any]


class Events(Protocol):
    """Where events go (an EventBridge bus; a table of the SQLite file)."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Durable on return; what the service leaves is sent again."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """An event and its place among others: what is read with `after=position` came later."""

    position: int
    event: Event


class Feed(Protocol):
    """Events that can be read, where no service delivers them (a table of the SQLite file)."""

    def read(self, after: int = 0, limit: int = 1000) -> list[Published]:
        """Events in the order of their first publication."""
        ...
