"""What every use case works with: the ports, the clock and chance, and the settings."""

from __future__ import annotations

from dataclasses import dataclass

from karman_core.domain.layouts import LAYOUT
from karman_core.engine.settings import EngineSettings
from karman_core.ports.backend import Backend
from karman_core.ports.executor import Executor
from karman_core.ports.observer import Observation, Observer
from karman_core.ports.system import Clock, Entropy


@dataclass(frozen=True, slots=True)
class Services:
    """The ports of one engine.

    Attributes:
        executor: None where no nodes run (an API process).
        layout: the latest layout that the engine knows.
    """

    backend: Backend
    clock: Clock
    entropy: Entropy
    settings: EngineSettings
    executor: Executor | None = None
    observer: Observer | None = None
    layout: int = LAYOUT

    def observe(self, observation: Observation) -> None:
        """Tell the observer, if there is one."""
        if self.observer is not None:
            self.observer.observe(observation)

    def ttl(self) -> int:
        """When an item of a run written now may disappear, epoch seconds. The sweeper prolongs those of long runs."""
        return self.clock.now_ms() // 1000 + self.settings.retention_seconds
