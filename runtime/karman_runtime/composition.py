"""The composition root of everything that runs outside of Lambda: the one place that knows which backend it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from karman._internal.execution import NodeExecutor
from karman._internal.functions import NodeLike
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import InvalidRequest
from karman_core.engine import Engine, EngineSettings
from karman_core.ports.backend import Backend
from karman_core.ports.observer import Observer
from karman_core.ports.system import Clock, Entropy
from karman_runtime.cron import CronLoop
from karman_runtime.settings import Settings
from karman_runtime.worker import Worker

MAX_RECEIVES = 30
"""More than the engine's crash limit, which ends the states that can be blamed."""

DEFAULT_THREADS = 32


@dataclass(frozen=True, slots=True)
class Assembly:
    """An engine on a backend, and what works beside it."""

    backend: Backend
    engine: Engine
    executor: NodeExecutor
    settings: EngineSettings
    clock: Clock

    def worker(self, queues: Sequence[str], *, concurrency: int = 16, grace_seconds: float = 30.0) -> Worker:
        """A worker on task queues that exist."""
        return Worker(
            self.engine,
            self.backend.queue,
            queues,
            clock=self.clock,
            concurrency=max(concurrency, len(queues)),
            lease_seconds=self.settings.lease_seconds,
            grace_seconds=grace_seconds,
            max_receives=MAX_RECEIVES,
        )

    def cron(self) -> CronLoop:
        """The loop that fires schedules; for backends that have no scheduler of their own."""
        return CronLoop(self.backend.schedules, self.engine, self.clock)


@contextmanager
def assembled(
    settings: Settings,
    database: Path | None,
    *,
    nodes: Iterable[NodeLike] = (),
    observer: Observer | None = None,
    concurrency: int = 16,
) -> Iterator[Assembly]:
    """Open the backend that the settings name, and build an engine on it; closed at the end.

    Args:
        settings: of this process.
        database: the file of the embedded backend.
        nodes: what the engine's executor runs; none for a process that runs no nodes.
        observer: is told what happens in this process.
        concurrency: of the worker, for the number of threads.

    Raises:
        BackendError: the backend cannot be opened.
    """
    clock, entropy = SystemClock(), SystemEntropy()
    backend = _open(settings, database, clock, entropy)
    executor = NodeExecutor(nodes, threads=max(DEFAULT_THREADS, concurrency), clock=clock)
    engine_settings = replace(EngineSettings(), lease_seconds=settings.lease_seconds)
    try:
        engine = Engine(
            backend,
            clock=clock,
            entropy=entropy,
            executor=executor,
            observer=observer,
            settings=engine_settings,
        )
        yield Assembly(backend, engine, executor, engine_settings, clock)
    finally:
        executor.close()
        backend.close()


def _open(settings: Settings, database: Path | None, clock: Clock, entropy: Entropy) -> Backend:
    if settings.backend == "aws":
        raise InvalidRequest("KARMAN_BACKEND=aws is not supported by this command yet; unset it.")
    if database is None:
        raise InvalidRequest("Name the database file: --db FILE, or KARMAN_DB.")
    from karman_core.backends.embedded import EmbeddedBackend  # noqa: PLC0415  a worker on AWS needs no SQLite

    return EmbeddedBackend.open(database, clock=clock, entropy=entropy)
