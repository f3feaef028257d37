"""What the AWS backends of the suite share: a session whose calls can fail, and fresh names for each test."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import botocore.endpoint
from boto3 import Session

from karman_core.backends.aws import AwsBackend, AwsSettings
from karman_core.backends.aws.clients import _PATIENCE
from karman_core.backends.aws.names import dead_letter_name
from karman_core.backends.aws.queue import REASON_ATTRIBUTE
from karman_core.backends.aws.schema import create_table
from karman_core.backends.system import SystemEntropy
from karman_core.ports.events import Event
from tests.contract.backends import BackendPorts, DeadLetter
from tests.contract.backends.aws_faults import InjectedFaults, install
from tests.contract.backends.clocks import RealClock
from tests.emulators import ACCESS_KEY, REGION, SECRET_KEY

SURFACES = 5
"""No adapter tries more often than this."""

_ROLE = "arn:aws:iam::000000000000:role/karman-scheduler"
_TARGET = "arn:aws:lambda:us-east-1:000000000000:function:karman-cron"
_RESERVED = frozenset({"id", "namespace", "at_ms"})


class _Current:
    """The faults of the test that is running; clients ask for them at each call."""

    faults: InjectedFaults | None = None


@contextmanager
def clean_environment() -> Iterator[None]:
    """No endpoint, profile or credential of the developer's reaches a client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nothing = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    with patch.dict(os.environ, {**kept, **nothing, "AWS_EC2_METADATA_DISABLED": "true"}, clear=True):
        yield


@contextmanager
def hasty_retries() -> Iterator[None]:
    """The SDK backs off for seconds when it is throttled; how often it tries is what the suite is about."""
    sleep = time.sleep
    hasty = SimpleNamespace(sleep=lambda seconds: sleep(min(seconds, 0.01)))
    with patch.object(botocore.endpoint, "time", hasty):
        yield


@contextmanager
def patient_reads() -> Iterator[None]:
    """The SDK repeats a call that was not answered in seconds. It may have been carried out, and is then so twice: an
    emulator that stands still together with its machine would be taken for one that lost it."""
    patient = {
        service: usual._replace(connect_seconds=60, read_seconds=100) for service, usual in _PATIENCE.items()
    }
    with patch.dict(_PATIENCE, patient):
        yield


@cache
def session() -> Session:
    """One for all tests: what takes long about a client is to read the service's model, which a session keeps."""
    made = Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION)
    install(made, lambda: _Current.faults)
    return made


@dataclass(frozen=True, slots=True)
class Opened:
    """A backend with names of its own."""

    backend: AwsBackend
    settings: AwsSettings
    ports: BackendPorts


@asynccontextmanager
async def open_aws(name: str, endpoint: str | None, ports: frozenset[str]) -> AsyncIterator[Opened]:
    """The ports of the AWS backend on an emulator, with the resources that they need."""
    unique = f"t{SystemEntropy().token()[:12]}"
    settings = AwsSettings(
        table_name=unique,
        prefix=unique,
        region=REGION,
        endpoint=endpoint,
        bucket=f"karman-{unique}",
        event_bus=unique,
        timer_group=f"{unique}-timers",
        schedule_group=f"{unique}-schedules",
        scheduler_role_arn=_ROLE,
        cron_target_arn=_TARGET,
    )
    clock = RealClock()
    faults = InjectedFaults()
    with clean_environment(), hasty_retries(), patient_reads():
        backend = AwsBackend.open(settings, clock=clock, entropy=SystemEntropy(), session=session())
        try:
            opened = Opened(backend, settings, BackendPorts(name=name, clock=clock))
            await _prepare(opened, ports)
            opened.ports.faults = _Current.faults = faults
            opened.ports.throttling_surfaces = SURFACES
            yield opened
        finally:
            _Current.faults = None
            backend.close()


async def _prepare(opened: Opened, ports: frozenset[str]) -> None:
    backend, settings = opened.backend, opened.settings
    clients = backend.clients
    for port in ports:
        setattr(opened.ports, port, getattr(backend, port))
    if "table" in ports:
        await create_table(clients, settings.table_name)
    if "queue" in ports:
        opened.ports.dead_letters = lambda queue: _dead_letters(opened, queue)
    if "timers" in ports:
        await clients.call(clients.scheduler.create_schedule_group, Name=settings.timer_group)
    if "schedules" in ports:
        await clients.call(clients.scheduler.create_schedule_group, Name=settings.schedule_group)
    if "blobs" in ports:
        await clients.call(clients.s3.create_bucket, Bucket=settings.bucket)
    if "events" in ports:
        opened.ports.published = await _listen(opened)


async def _dead_letters(opened: Opened, queue: str) -> Sequence[DeadLetter]:
    clients = opened.backend.clients
    name = dead_letter_name(opened.settings.prefix, queue)
    url = (await clients.call(clients.sqs.get_queue_url, QueueName=name))["QueueUrl"]
    return [
        DeadLetter(message["Body"], message["MessageAttributes"][REASON_ATTRIBUTE]["StringValue"])
        for message in await _drain(opened, url)
    ]


async def _listen(opened: Opened) -> Callable[[], Any]:
    """A bus with a rule that sends all of Karman's events to a queue, and what reads them there."""
    clients, bus = opened.backend.clients, opened.settings.event_bus
    await clients.call(clients.events.create_event_bus, Name=bus)
    url = (await clients.call(clients.sqs.create_queue, QueueName=f"{bus}-events"))["QueueUrl"]
    attributes = await clients.call(
        clients.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["QueueArn"]
    )
    pattern = json.dumps({"source": ["karman"]})
    await clients.call(clients.events.put_rule, Name="all", EventBusName=bus, EventPattern=pattern)
    await clients.call(
        clients.events.put_targets,
        Rule="all",
        EventBusName=bus,
        Targets=[{"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}],
    )
    arrived: list[Event] = []

    async def published() -> Sequence[Event]:
        arrived.extend(_event(json.loads(message["Body"])) for message in await _drain(opened, url))
        return list(arrived)

    return published


def _event(envelope: dict[str, Any]) -> Event:
    detail = envelope["detail"]
    return Event(
        id=detail["id"],
        kind=envelope["detail-type"],
        namespace=detail["namespace"],
        at_ms=detail["at_ms"],
        detail={name: value for name, value in detail.items() if name not in _RESERVED},
    )


async def _drain(opened: Opened, url: str) -> list[Any]:
    """What a queue holds; a little patience, since what is published arrives a moment later."""
    clients = opened.backend.clients
    messages: list[Any] = []
    for _ in range(3):
        while True:
            answer = await clients.call(
                clients.sqs.receive_message,
                QueueUrl=url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
            )
            if not answer.get("Messages"):
                break
            messages += answer["Messages"]
        await asyncio.sleep(0.02)
    return messages
