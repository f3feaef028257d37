"""The resources of a deployment on an emulator, and Lambda's poller of a queue, for tests of what runs in Lambda."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from unittest.mock import patch

from boto3 import Session

from karman_core.backends.aws import AwsBackend, AwsSettings
from karman_core.backends.aws.names import dead_letter_name, queue_name
from karman_core.backends.aws.schema import create_table
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.definition import GraphDefinition
from karman_core.engine import Engine
from karman_core.engine.views import RunView
from karman_core.ports.queue import Incoming
from karman_functions.settings import load_settings
from tests.contract.backends.aws_ports import patient_reads
from tests.contract.backends.moto import _one_at_a_time
from tests.emulators import ACCESS_KEY, REGION, SECRET_KEY
from tests.runtime.lambda_events import sqs_event

NAMESPACE = "ns"
RUNTIME = "rt"
HOME = f"{NAMESPACE}/{RUNTIME}"

T = TypeVar("T")


@dataclass(slots=True)
class Deployment:
    """Made of a table, a bucket, groups of schedules and queues; looked at through an engine that runs no nodes."""

    name: str
    environment: Mapping[str, str]
    backend: AwsBackend
    engine: Engine
    loop: asyncio.Runner = field(default_factory=asyncio.Runner)

    def run(self, work: Awaitable[T]) -> T:
        """Wait for something."""

        async def wait() -> T:
            return await work

        return self.loop.run(wait())

    @property
    def queue(self) -> str:
        """The SQS name of the task queue."""
        return queue_name(self.name, HOME)

    @property
    def dead_letter_queue(self) -> str:
        """The SQS name of its dead-letter queue."""
        return dead_letter_name(self.name, HOME)

    def put(self, graph: GraphDefinition) -> None:
        """Store a graph, whose nodes are registered."""
        view = self.run(self.engine.put_graph(NAMESPACE, graph))
        assert view.valid, view.problems

    def trigger(self, graph: str, trace_parent: str | None = None, **inputs: Any) -> str:
        """Begin a run."""
        started = self.run(self.engine.trigger(NAMESPACE, graph, inputs=inputs, trace_parent=trace_parent))
        return started.run_id

    def view(self, run_id: str) -> RunView:
        """A run."""
        return self.run(self.engine.get_run(NAMESPACE, run_id))

    def take(self, limit: int = 10, *, visibility: int = 900) -> list[Incoming]:
        """Messages as Lambda's poller receives them: hidden for as long as the queue says."""
        return self.run(self.backend.queue.receive(HOME, limit=limit, lease_seconds=visibility))

    def deliver(self, invoke: Callable[[dict[str, Any]], dict[str, Any]], limit: int = 10) -> int | None:
        """Lambda's poller, once: receive, invoke, delete what is not to be kept. How many were kept, None of none."""
        messages = self.take(limit)
        if not messages:
            return None
        failures = invoke(sqs_event(self.queue, messages))["batchItemFailures"]
        kept = {failure["itemIdentifier"] for failure in failures}
        done = [message.receipt for message in messages if message.id not in kept]
        self.run(self.backend.queue.delete(HOME, done))
        return len(kept)

    def left(self) -> int:
        """Messages in the task queue, hidden ones too."""
        depth = self.run(self.backend.queue.depth(HOME))
        return depth.ready + depth.delayed + depth.in_flight


@contextmanager
def deployed(endpoint: str | None = None, **more: str) -> Iterator[Deployment]:
    """The resources, on moto within `mock_aws` or on an emulator; their names are of this test alone. `more` variables.

    The process's environment has no credentials and endpoints but those.
    """
    if endpoint is None:
        _one_at_a_time()
    name = f"t{SystemEntropy().token()[:12]}"
    environment = environment_of(name, endpoint) | more
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "KARMAN_"))}
    clock, entropy = SystemClock(), SystemEntropy()
    session, settings = shared_session(), load_settings(environment).aws()
    boto = patch("boto3.Session", lambda: session)
    with patch.dict(os.environ, kept | environment, clear=True), boto, patient_reads():
        backend = AwsBackend.open(settings, clock=clock, entropy=entropy, session=session)
        made = Deployment(name, environment, backend, Engine(backend, clock=clock, entropy=entropy))
        try:
            made.run(_prepare(backend, settings))
            yield made
        finally:
            made.loop.close()
            backend.close()


def environment_of(name: str, endpoint: str | None) -> dict[str, str]:
    """What a stack tells its functions, those that run nodes too."""
    role = "arn:aws:iam::000000000000:role/karman-scheduler"
    return {
        "KARMAN_TABLE": name,
        "KARMAN_PREFIX": name,
        "KARMAN_BUCKET": f"karman-{name}",
        "KARMAN_TIMER_GROUP": f"{name}-timers",
        "KARMAN_SCHEDULE_GROUP": f"{name}-schedules",
        "KARMAN_SCHEDULER_ROLE_ARN": role,
        "KARMAN_CRON_TARGET_ARN": "arn:aws:lambda:us-east-1:000000000000:function:karman-cron",
        "KARMAN_REGION": REGION,
        "KARMAN_NAMESPACE": NAMESPACE,
        "KARMAN_RUNTIME": RUNTIME,
        "KARMAN_STAGE": "test",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **({"KARMAN_ENDPOINT": endpoint} if endpoint else {}),
    }


@cache
def shared_session() -> Session:
    """One for all tests: what takes long about a client is to read the service's model, which a session keeps."""
    return Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION)


async def _prepare(backend: AwsBackend, settings: AwsSettings) -> None:
    clients = backend.clients
    await create_table(clients, settings.table_name)
    await clients.call(clients.s3.create_bucket, Bucket=settings.bucket)
    for group in (settings.timer_group, settings.schedule_group):
        await clients.call(clients.scheduler.create_schedule_group, Name=group)
    await backend.queue.create(HOME)
