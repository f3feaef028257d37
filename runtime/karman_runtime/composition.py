"""The composition root of everything that runs outside of Lambda: the one place that knows which backend it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from karman._internal.execution import NodeExecutor
from karman._internal.functions import NodeLike
from karman_core.backends.posting import HttpxPoster
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import InvalidRequest
from karman_core.engine import Engine, EngineSettings
from karman_core.engine.webhooks import Webhooks
from karman_core.ports.backend import Backend
from karman_core.ports.events import Feed
from karman_core.ports.observer import Observer
from karman_core.ports.system import Clock, Entropy
from karman_runtime.cron import CronLoop
from karman_runtime.settings import Settings
from karman_runtime.webhooks import WebhookLoop
from karman_runtime.worker import Worker

if TYPE_CHECKING:
    from karman_core.backends.aws import AwsSettings

DEFAULT_THREADS = 32


@dataclass(frozen=True, slots=True)
class Habits:
    """What a worker does differently on the two backends.

    Attributes:
        lease_seconds: on one machine it need not outlast a slow network, and work of a killed process is taken over
            sooner.
        wait_seconds: of one receive. A worker on SQS that stops waits for receives under way, so they are short; asking
            every five seconds costs 20 cents a month and queue.
        finishes_receives: SQS goes on with a receive whose caller was cancelled, and what it gets would be hidden until
            the lease ends.
        max_receives: more than the engine's crash limit, which ends the states that can be blamed. SQS moves dead
            messages by itself.
    """

    lease_seconds: int
    wait_seconds: float
    finishes_receives: bool
    max_receives: int | None


HABITS = {
    "embedded": Habits(lease_seconds=15, wait_seconds=20.0, finishes_receives=False, max_receives=30),
    "aws": Habits(
        lease_seconds=EngineSettings().lease_seconds,
        wait_seconds=5.0,
        finishes_receives=True,
        max_receives=None,
    ),
}


@dataclass(frozen=True, slots=True)
class Assembly:
    """An engine on a backend, and what works beside it."""

    backend: Backend
    engine: Engine
    executor: NodeExecutor
    clock: Clock
    entropy: Entropy
    habits: Habits
    observer: Observer | None = None
    webhook_loopback: bool = False

    def with_nodes(self, nodes: Iterable[NodeLike], *, concurrency: int = 16) -> Assembly:
        """Another engine on the same backend, which runs these nodes. Whoever asks for it closes its executor.

        Raises:
            InvalidNode: two nodes have the same name.
        """
        executor = NodeExecutor(nodes, threads=max(DEFAULT_THREADS, concurrency), clock=self.clock)
        engine = Engine(
            self.backend,
            clock=self.clock,
            entropy=self.entropy,
            executor=executor,
            observer=self.observer,
            settings=self.engine.settings,
        )
        return replace(self, engine=engine, executor=executor)

    def worker(self, queues: Sequence[str], *, concurrency: int = 16, grace_seconds: float = 30.0) -> Worker:
        """A worker on task queues that exist."""
        return Worker(
            self.engine,
            self.backend.queue,
            queues,
            clock=self.clock,
            concurrency=max(concurrency, len(queues)),
            lease_seconds=self.habits.lease_seconds,
            grace_seconds=grace_seconds,
            wait_seconds=self.habits.wait_seconds,
            max_receives=self.habits.max_receives,
            finishes_receives=self.habits.finishes_receives,
            observer=self.observer,
        )

    def cron(self) -> CronLoop:
        """The loop that fires schedules; for backends that have no scheduler of their own."""
        return CronLoop(self.backend.schedules, self.engine, self.clock)

    def webhooks(self) -> Webhooks:
        """The webhooks of the backend."""
        settings = self.engine.settings
        return Webhooks.over(self.backend, self.clock, self.entropy, settings, self.poster())

    def poster(self) -> HttpxPoster:
        """The network of webhooks: public addresses, and this machine if that is configured."""
        return HttpxPoster(loopback=self.webhook_loopback)

    def webhook_loop(self) -> WebhookLoop:
        """The loop that delivers webhooks; for backends whose events can be read."""
        backend, feed = self.backend, cast("Feed", self.backend.events)
        return WebhookLoop(feed, backend.queue, backend.table, self.webhooks().deliveries, self.clock)


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
    habits = HABITS[settings.backend]
    if settings.lease_seconds is not None:
        habits = replace(habits, lease_seconds=settings.lease_seconds)
    backend = _open(settings, database, clock, entropy)
    executor = NodeExecutor(nodes, threads=max(DEFAULT_THREADS, concurrency), clock=clock)
    try:
        engine = Engine(
            backend,
            clock=clock,
            entropy=entropy,
            executor=executor,
            observer=observer,
            settings=EngineSettings(
                lease_seconds=habits.lease_seconds,
                retention_seconds=settings.retention_days * 86_400,
                publish_started=settings.publish_started,
            ),
        )
        loopback = settings.webhook_loopback
        yield Assembly(backend, engine, executor, clock, entropy, habits, observer, loopback)
    finally:
        executor.close()
        backend.close()


def _open(settings: Settings, database: Path | None, clock: Clock, entropy: Entropy) -> Backend:
    # Each backend is imported where it is opened: a worker on AWS needs no SQLite, and one on SQLite no boto3.
    if settings.backend == "aws":
        from karman_core.backends.aws import AwsBackend  # noqa: PLC0415

        return AwsBackend.open(_aws_settings(settings), clock=clock, entropy=entropy)
    if database is None:
        raise InvalidRequest("Name the database file: --db FILE, or KARMAN_DB.")
    from karman_core.backends.embedded import EmbeddedBackend  # noqa: PLC0415

    return EmbeddedBackend.open(database, clock=clock, entropy=entropy)


def _aws_settings(settings: Settings) -> AwsSettings:
    from karman_core.backends.aws import AwsSettings  # noqa: PLC0415

    if settings.table is None:
        raise InvalidRequest(
            "KARMAN_BACKEND=aws needs the outputs of the deployment: KARMAN_TABLE is not set."
        )
    named = {field.name for field in fields(AwsSettings)}
    given = settings.model_dump(include=named)
    return AwsSettings(table_name=settings.table, **given)
