"""The composition root of the functions of the control plane: the one place that knows that their backend is AWS.

Everything is made with the first event and lives as long as the instance, so that connections and caches stay warm. One
invocation is served at a time, on an event loop that is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from karman_core.backends.aws import AwsBackend
from karman_core.backends.aws.logs import log_as_json
from karman_core.backends.aws.metrics import CloudWatchMetrics
from karman_core.backends.observers import Observers, RunLog
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.engine import Engine
from karman_core.ports.observer import Observer
from karman_core.ports.system import Clock, Entropy
from karman_functions.settings import Settings, load_settings

if TYPE_CHECKING:
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

T = TypeVar("T")

WITHOUT_CONTEXT_MS = 60_000
"""Taken for the time that is left, where no context says it."""


@dataclass(slots=True)
class Process:
    """What the functions work with.

    Attributes:
        cold: nothing has been served yet.
        awake_ms: when `dead_letters` last looked at all task queues, epoch milliseconds.
    """

    settings: Settings
    clock: Clock
    entropy: Entropy
    backend: AwsBackend
    engine: Engine
    metrics: CloudWatchMetrics
    logs: LambdaPowertoolsFormatter
    loop: asyncio.Runner = field(default_factory=asyncio.Runner)
    cold: bool = True
    awake_ms: int = 0

    def serve(self, work: Coroutine[Any, Any, T], context: Any, *, awaited: bool = True) -> T:  # noqa: ANN401
        """Do the work of one invocation to its end, and write its metrics.

        Args:
            work: of the invocation.
            context: Lambda's.
            awaited: somebody or something waits for it. What only the clock calls begins cold nearly each time, which
                nobody minds; a metric that says so would cost $0.30 a month where nothing runs.
        """
        self.logs.append_keys(request_id=getattr(context, "aws_request_id", None))
        if self.cold and awaited:
            self.metrics.count("ColdStarts")
        self.cold = False
        try:
            return self.loop.run(work)
        finally:
            if self.settings.metrics:
                self.metrics.flush()

    def ends_ms(self, context: Any) -> int:  # noqa: ANN401  Lambda's
        """When Lambda ends this invocation, epoch milliseconds."""
        left = WITHOUT_CONTEXT_MS if context is None else context.get_remaining_time_in_millis()
        return self.clock.now_ms() + int(left)

    def close(self) -> None:
        """For tests; Lambda just ends the process."""
        self.loop.close()
        self.backend.close()


def compose(settings: Settings) -> Process:
    """A process."""
    clock, entropy = SystemClock(), SystemEntropy()
    backend = AwsBackend.open(settings.aws(), clock=clock, entropy=entropy)
    metrics = CloudWatchMetrics(settings.stage)
    observers: list[Observer] = [RunLog(), metrics] if settings.metrics else [RunLog()]
    engine = Engine(
        backend, clock=clock, entropy=entropy, observer=Observers(observers), settings=settings.engine()
    )
    logs = log_as_json(settings.log_level, "karman")
    return Process(settings, clock, entropy, backend, engine, metrics, logs)


@cache
def process() -> Process:
    """This one; the environment is read here, with the first event."""
    return compose(load_settings())
