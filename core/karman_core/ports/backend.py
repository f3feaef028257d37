"""A backend: one implementation of every port, ready to use."""

from __future__ import annotations

from typing import Protocol

from karman_core.ports.blobs import Blobs
from karman_core.ports.events import Events
from karman_core.ports.queue import Queue
from karman_core.ports.secrets import Secrets
from karman_core.ports.table import Table
from karman_core.ports.timers import Schedules, Timers


class Backend(Protocol):
    """What a composition root hands to the engine."""

    @property
    def table(self) -> Table: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def timers(self) -> Timers: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def events(self) -> Events: ...

    def purge(self, now_ms: int) -> None:
        """Remove what has had its time, where no service does it by itself; called with every sweep."""
        ...

    def close(self) -> None:
        """Release files, connections and threads."""
        ...
