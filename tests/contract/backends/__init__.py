"""The backends that the contract suite runs over, and the shape in which each one offers its ports.

A module of this package is one backend (`embedded_file`, `embedded_memory`, `moto`, `dynamodb_local`, `ministack`) and
has these names:

    PORTS: frozenset[str]          the ports it provides, of PORT_NAMES
    GAPS: Mapping[str, str]        cases it cannot pass: the name of the test function (without parameters) -> why.
                                   For gaps of an emulator that are known and are not ours. They are counted as skipped.
    unavailable() -> str | None    why it cannot run here (no Java, package not installed), None if it can; cheap
    open_ports(tmp_path) -> AbstractAsyncContextManager[BackendPorts]

`open_ports` is entered once a test, in the test's own event loop, and gives an empty backend: what earlier tests left
is not visible (a fresh table, a prefix of queue names, or fresh state). A service process that takes long to start is
started once, at the first use, and stopped by `atexit`. The ports are the real adapters; nothing of theirs is replaced
but the transport below them, where `faults` injects.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from karman_core.ports.blobs import Blobs
from karman_core.ports.events import Event, Events
from karman_core.ports.queue import Queue
from karman_core.ports.secrets import Secrets
from karman_core.ports.table import Table
from karman_core.ports.timers import Schedules, Timers

BACKENDS = ("embedded_file", "embedded_memory", "moto", "dynamodb_local", "ministack")
"""Every backend, by the name of its module."""

PORT_NAMES = ("table", "queue", "timers", "schedules", "secrets", "blobs", "events")


class SuiteClock(Protocol):
    """The time that a backend lives in."""

    def now_ms(self) -> int:
        """Epoch milliseconds on this clock."""
        ...

    async def advance(self, seconds: float) -> None:
        """Let so much time pass: at once on a fake clock, by waiting on a real one."""
        ...


class Faults(Protocol):
    """What a backend can be told to do wrong. Each fault happens to the calls that follow, then is over.

    A fault is injected below the adapter (in the HTTP layer), so that the adapter's own retries see it.
    """

    def throttle_next(self, calls: int) -> None:
        """The next calls to the service are refused because of their rate, whatever they are."""
        ...

    def leave_unprocessed(self, entries: int) -> None:
        """The next batch get or batch write of the table leaves so many of its keys or writes undone."""
        ...

    def fail_batch_entries(self, entries: int) -> None:
        """So many entries of the next batch call of the queue (or of the events) fail for the service's own reasons."""
        ...

    def conflict_next(self, transactions: int) -> None:
        """The next transactions are cancelled because another writer was there."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A buried message as people would find it."""

    body: str
    reason: str


@dataclass
class BackendPorts:
    """The ports of one backend, ready to use; None where it provides none.

    Attributes:
        name: the name of the backend's module.
        clock: the time that the backend's ports see.
        faults: what can be injected; None if nothing can.
        throttling_surfaces: how many throttled calls in a row make the adapter give up with Throttled; None when it
            never gives up in the time of a test.
        dead_letters: reads a queue's dead letters, for the tests of `bury`.
        published: reads the events that arrived, for the tests of `publish`; may be None (emulators keep none).
        timer_slack_seconds: how late a timer may be.
    """

    name: str
    clock: SuiteClock
    table: Table | None = None
    queue: Queue | None = None
    timers: Timers | None = None
    schedules: Schedules | None = None
    secrets: Secrets | None = None
    blobs: Blobs | None = None
    events: Events | None = None
    faults: Faults | None = None
    throttling_surfaces: int | None = None
    dead_letters: Callable[[str], Awaitable[Sequence[DeadLetter]]] | None = None
    published: Callable[[], Awaitable[Sequence[Event]]] | None = None
    timer_slack_seconds: float = 0.0


class BackendModule(Protocol):
    """What a module of this package looks like from outside; see the package's docstring."""

    PORTS: frozenset[str]
    GAPS: Mapping[str, str]

    def unavailable(self) -> str | None:
        """Why the backend cannot run here, or None."""
        ...

    def open_ports(self, tmp_path: Path) -> AbstractAsyncContextManager[BackendPorts]:
        """An empty backend for one test."""
        ...


def load(name: str) -> BackendModule:
    """The module of a backend."""
    return cast("BackendModule", importlib.import_module(f"{__name__}.{name}"))
