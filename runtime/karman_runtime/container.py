"""A worker as a process of its own: in a container on ECS, or wherever there are credentials for the deployment.

SIGTERM begins the end: nothing more is received, running nodes may finish within the grace, what then still runs is
given back to the queue. That fits into the stop time-out of the platform (ECS: 30 s unless set otherwise, up to 120 s
on Fargate). A spot interruption is a SIGTERM too, two minutes before the end. A second signal ends at once, and so does
SIGKILL: what was held is delivered to others when its lease ends.

`python -m karman_runtime.container [MODULE...]` is what the image runs; `karman worker` is the same with options.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from karman._internal.node import Node
from karman_core.backends.observers import Observers, RunLog
from karman_core.domain.errors import InvalidRequest
from karman_core.ports.observer import Observer
from karman_runtime.composition import Assembly, assembled
from karman_runtime.health import served
from karman_runtime.loading import load
from karman_runtime.logs import StateFields
from karman_runtime.settings import Settings, load_settings
from karman_runtime.shutdown import on_signals
from karman_runtime.worker import GIVE_BACK_SECONDS, Worker

logger = logging.getLogger("karman")

LAST_CALLS_SECONDS = 2.0
"""Of the stop time-out: deletes of what has finished, and the last metrics."""

FLUSH_SECONDS = 60.0
"""Metrics have no finer resolution."""


class Metrics(Observer, Protocol):
    """An observer that writes what it has counted."""

    def flush(self) -> None:
        """Write."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a worker does beside its settings.

    Attributes:
        modules: with the nodes; dotted names or files.
        database: of the embedded backend.
        registers: make the nodes known at the start.
        health: answer GET /health.
    """

    modules: Sequence[str]
    database: Path | None = None
    registers: bool = True
    health: bool = True


def run(request: Request, settings: Settings) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        InvalidRequest, LoadError, InvalidNode: nothing was begun.
        Conflict: the port of /health is taken.
        BackendError: a queue cannot be read.
    """
    loaded = [load(module) for module in request.modules]
    runtime = settings.runtime or (loaded[0].runtime if len(loaded) == 1 else None)
    nodes: list[type[Node]] = list(dict.fromkeys(node for each in loaded for node in each.nodes))
    if runtime is None:
        raise InvalidRequest("Several modules need one name: --runtime NAME, or KARMAN_RUNTIME.")
    if not nodes:
        raise InvalidRequest(f"There is no node in {', '.join(request.modules)}.")
    _configure_logs(settings, runtime)
    metrics = _metrics(settings)
    observers: list[Observer] = [RunLog()] if metrics is None else [RunLog(), metrics]
    with assembled(
        settings,
        request.database,
        nodes=nodes,
        observer=Observers(observers),
        concurrency=settings.concurrency,
    ) as assembly:
        asyncio.run(_serve(assembly, settings, request, runtime, metrics))


def grace_seconds(stop_seconds: float) -> float:
    """How long nodes may go on after SIGTERM, so that all is over when the platform kills."""
    return max(0.0, stop_seconds - GIVE_BACK_SECONDS - LAST_CALLS_SECONDS)


async def _serve(
    assembly: Assembly, settings: Settings, request: Request, runtime: str, metrics: Metrics | None
) -> None:
    if request.registers:
        nodes = assembly.executor.registered(runtime)
        registration = await assembly.engine.register_nodes(settings.namespace, nodes)
        for graph in registration.broken:
            logger.warning("graph does not fit these nodes any more", extra={"graph": graph})
    queue = f"{settings.namespace}/{runtime}"
    worker = assembly.worker(
        [queue], concurrency=settings.concurrency, grace_seconds=grace_seconds(settings.stop_seconds)
    )

    def stop() -> None:
        logger.warning("stopping", extra={"in_flight": worker.snapshot().in_flight})
        worker.stop()

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_health(worker, assembly, settings)) if request.health else None
        if metrics is not None:
            await stack.enter_async_context(_flushing(metrics, assembly))
        with on_signals(stop):
            logger.warning("ready", extra={"queue": queue, "health": url})
            await worker.run()
    logger.warning("stopped", extra={"finished": worker.snapshot().finished})


@asynccontextmanager
async def _health(worker: Worker, assembly: Assembly, settings: Settings) -> AsyncIterator[str]:
    async with served(
        worker.snapshot,
        assembly.clock,
        host=settings.health_host,
        port=settings.health_port,
        limit_seconds=settings.health_seconds,
    ) as url:
        yield url


@asynccontextmanager
async def _flushing(metrics: Metrics, assembly: Assembly) -> AsyncIterator[None]:
    """Write metrics every minute within the block, and what is left at its end."""

    async def flush_forever() -> None:
        while True:
            await assembly.clock.sleep(FLUSH_SECONDS)
            metrics.flush()

    flushing = asyncio.create_task(flush_forever())
    try:
        yield
    finally:
        flushing.cancel()
        metrics.flush()


def _configure_logs(settings: Settings, runtime: str) -> None:
    """As JSON where that is asked for; else whoever began this process has seen to it."""
    if settings.log_format == "json":
        from karman_core.backends.aws.logs import log_as_json  # noqa: PLC0415  a local worker needs no Powertools

        log_as_json(settings.log_level, runtime, StateFields())


def _metrics(settings: Settings) -> Metrics | None:
    if not settings.metrics:
        return None
    from karman_core.backends.aws.metrics import CloudWatchMetrics  # noqa: PLC0415  (as above)

    return CloudWatchMetrics(settings.stage)


def main(modules: Sequence[str]) -> int:
    """Run with the settings of the environment. Returns the exit code."""
    settings = load_settings()
    try:
        run(Request(modules or settings.node_modules), settings)
    except InvalidRequest as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
