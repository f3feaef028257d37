"""The embedded backend in memory, on a clock that tests move."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from karman_core.backends.embedded import MEMORY, EmbeddedBackend
from karman_core.ports.events import Event
from tests.contract.backends import PORT_NAMES, BackendPorts, DeadLetter
from tests.contract.backends.clocks import ManualClock

PORTS = frozenset(PORT_NAMES)
GAPS: Mapping[str, str] = {}

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class SeededEntropy:
    """Entropy that a test can repeat."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def uniform(self) -> float:
        return self._random.random()

    def token(self) -> str:
        return "".join(self._random.choices(_ALPHABET, k=26))


def unavailable() -> str | None:
    return None


@asynccontextmanager
async def open_ports(tmp_path: Path) -> AsyncIterator[BackendPorts]:
    async with open_embedded("embedded_memory", MEMORY) as ports:
        yield ports


@asynccontextmanager
async def open_embedded(name: str, path: str | Path) -> AsyncIterator[BackendPorts]:
    """The ports of an embedded backend, in memory or in a file."""
    clock = ManualClock()
    backend = EmbeddedBackend.open(path, clock=clock, entropy=SeededEntropy())

    async def dead_letters(queue: str) -> Sequence[DeadLetter]:
        return [DeadLetter(letter.body, letter.reason) for letter in backend.queue.dead_letters(queue)]

    async def published() -> Sequence[Event]:
        return [entry.event for entry in backend.events.read()]

    try:
        yield BackendPorts(
            name=name,
            clock=clock,
            table=backend.table,
            queue=backend.queue,
            timers=backend.timers,
            schedules=backend.schedules,
            secrets=backend.secrets,
            blobs=backend.blobs,
            events=backend.events,
            dead_letters=dead_letters,
            published=published,
        )
    finally:
        backend.close()
