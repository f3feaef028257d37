"""What Lambda calls in a function that runs nodes: with batches of its task queue, and once at deploy to register.

The nodes' modules, the event loop and the clients of the two services that every batch needs are made while Lambda
initialises the instance, where that is not the first message's time, and live as long as the instance; what fails there
fails the instance. On any other machine it happens with the first event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from karman_core.backends.aws import AwsBackend
from karman_core.backends.aws.logs import log_as_json
from karman_core.backends.aws.metrics import CloudWatchMetrics
from karman_core.backends.aws.names import queue_name
from karman_core.backends.observers import Observers, RunLog
from karman_core.domain.errors import InvalidRequest
from karman_core.engine.registry import queue_name as task_queue
from karman_core.ports.observer import Observer
from karman_core.ports.queue import Incoming
from karman_runtime.batches import BatchWorker, Times
from karman_runtime.composition import Assembly, assembled
from karman_runtime.loading import load
from karman_runtime.logs import StateFields
from karman_runtime.settings import Settings, environment_variable, load_settings

logger = logging.getLogger(__name__)

WITHOUT_CONTEXT_MS = 60_000
"""Taken for the time that is left, where no context says it."""


@dataclass(slots=True)
class Instance:
    """One instance of the function."""

    settings: Settings
    assembly: Assembly
    worker: BatchWorker
    metrics: CloudWatchMetrics | None
    runtime: str
    source: str
    loop: asyncio.Runner = field(default_factory=asyncio.Runner)
    resources: ExitStack = field(default_factory=ExitStack)
    cold: bool = True

    def handle(self, event: Mapping[str, Any] | None, context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
        """Work on a batch, or register, which no event at all asks for too.

        Raises:
            InvalidRequest: it is neither, or a batch of another queue.
        """
        if self.metrics is not None and self.cold:
            self.metrics.count("ColdStarts")
        self.cold = False
        try:
            if event and "Records" in event:
                return self.loop.run(self._work(event["Records"], context))
            return self.loop.run(self._register(event or {}))
        finally:
            if self.metrics is not None:
                self.metrics.flush()

    def close(self) -> None:
        """For tests; Lambda just ends the process."""
        self.loop.close()
        self.resources.close()

    async def _work(self, records: list[Mapping[str, Any]], context: Any) -> dict[str, Any]:  # noqa: ANN401
        sources = {record["eventSourceARN"].rpartition(":")[2] for record in records}
        if sources - {self.source}:
            raise InvalidRequest(
                f"This function works on the queue {self.source}, and was given messages of "
                f"{', '.join(sorted(sources - {self.source}))}: KARMAN_NAMESPACE, KARMAN_RUNTIME and KARMAN_PREFIX "
                "have to name the queue that is its event source."
            )
        clock = self.assembly.clock
        left_ms = WITHOUT_CONTEXT_MS if context is None else context.get_remaining_time_in_millis()
        times = Times.within(clock.now_ms(), left_ms, self.settings.handover_seconds)
        again = await self.worker.work([incoming(record) for record in records], times)
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}

    async def _register(self, event: Mapping[str, Any]) -> dict[str, Any]:
        if event and event.get("karman") != "register":
            raise InvalidRequest('This function takes batches of SQS messages, and {"karman": "register"}.')
        nodes = self.assembly.executor.registered(self.runtime)
        registration = await self.assembly.engine.register_nodes(self.settings.namespace, nodes)
        for graph in registration.broken:
            logger.warning("graph does not fit these nodes any more", extra={"graph": graph})
        broken = {
            graph: [asdict(each) for each in problems] for graph, problems in registration.broken.items()
        }
        return {"registered": list(registration.registered), "broken": broken}


def compose(settings: Settings) -> Instance:
    """An instance, with the nodes of the modules that the settings name.

    Raises:
        InvalidRequest: a setting is missing.
        LoadError, InvalidNode: the nodes cannot be used.
    """
    runtime = settings.runtime
    if runtime is None or not settings.node_modules:
        raise InvalidRequest("A function that runs nodes needs KARMAN_RUNTIME and KARMAN_NODES.")
    settings = settings.model_copy(update={"backend": "aws"})
    nodes = {node: None for module in settings.node_modules for node in load(module).nodes}
    metrics = None if settings.metrics is False else CloudWatchMetrics(settings.stage, memory_mb=_memory_mb())
    observers: list[Observer] = [RunLog()] if metrics is None else [RunLog(), metrics]
    observer = Observers(observers)
    resources = ExitStack()
    assembly = resources.enter_context(assembled(settings, None, nodes=nodes, observer=observer))
    queue = task_queue(settings.namespace, runtime)
    worker = BatchWorker(
        assembly.engine,
        assembly.backend.queue,
        queue,
        assembly.clock,
        assembly.habits.lease_seconds,
        observer,
    )
    if isinstance(assembly.backend, AwsBackend):
        assembly.backend.clients.warm("dynamodb", "sqs")
    source = queue_name(settings.prefix, queue)
    return Instance(settings, assembly, worker, metrics, runtime, source, resources=resources)


@cache
def instance() -> Instance:
    """This process's."""
    settings = load_settings()
    level = settings.log_level if "log_level" in settings.model_fields_set else "info"
    log_as_json(level, settings.runtime or "karman", StateFields())
    return compose(settings)


def handler(event: Mapping[str, Any] | None, context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    """Lambda's entry."""
    return instance().handle(event, context)


def incoming(record: Mapping[str, Any]) -> Incoming:
    """The message of a record of Lambda's event."""
    attributes = record["attributes"]
    return Incoming(
        id=record["messageId"],
        body=record["body"],
        receipt=record["receiptHandle"],
        receive_count=int(attributes["ApproximateReceiveCount"]),
        sent_ms=int(attributes["SentTimestamp"]),
    )


def _memory_mb() -> int | None:
    text = environment_variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    return int(text) if text else None


if environment_variable("AWS_LAMBDA_INITIALIZATION_TYPE"):
    instance()
