"""Observers for every backend: the log of a process, and several observers as one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from karman_core.ports.observer import Observation, Observer, RunBegan, RunEnded, StateCommitted

logger = logging.getLogger("karman")


class RunLog:
    """A log line when a run begins or ends, and when an attempt fails. States that go well are in the table."""

    def observe(self, observation: Observation) -> None:
        """Write a line, if it is worth one."""
        match observation:
            case RunBegan(_, run_id, graph):
                logger.info("run began", extra={"run_id": run_id, "graph": graph})
            case RunEnded(found=False):
                logger.info(
                    "run ended",
                    extra={
                        "run_id": observation.run_id,
                        "status": observation.status,
                        "graph": observation.graph,
                    },
                )
            case StateCommitted(found=False) if observation.error is not None:
                logger.warning(
                    "attempt failed",
                    extra={
                        "run_id": observation.run_id,
                        "state_id": observation.state_id,
                        "identifier": observation.identifier,
                        "attempt": observation.attempt,
                        "error": observation.error,
                    },
                )
            case _:
                pass


@dataclass(frozen=True, slots=True)
class Observers:
    """Several as one."""

    observers: Sequence[Observer]

    def observe(self, observation: Observation) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.observe(observation)
