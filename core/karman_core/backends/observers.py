"""Observers for every backend: the log of a process, and several observers as one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from karman_core.ports.observer import (
    MessagePassedOn,
    Observation,
    Observer,
    RunBegan,
    RunEnded,
    StateCommitted,
)

logger = logging.getLogger("karman")


class RunLog:
    """A log line when a run begins or ends, an attempt fails, or a message is left to others.

    States that go well are in the table.
    """

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
            case MessagePassedOn():
                logger.warning(
                    "message left to a later release",
                    extra={
                        "queue": observation.queue,
                        "message_id": observation.message_id,
                        "reason": observation.reason,
                        "delay_seconds": observation.delay_seconds,
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
