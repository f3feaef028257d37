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
    def table(self) -> Table: ...  # noqa: D102
    @property
    def queue(self) -> Queue: ...  # noqa: D102
    @property
    def timers(self) -> Timers: ...  # noqa: D102
    @property
    def schedules(self) -> Schedules: ...  # noqa: D102
    @property
    def secrets(self) -> Secrets: ...  # noqa: D102
    @property
    def blobs(self) -> Blobs: ...  # noqa: D102
    @property
    def events(self) -> Events: ...  # noqa: D102

    def close(self) -> None:
        """Release files, connections and threads."""
        ...
