"""The AWS backend: every port on the services of one account and region."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from karman_core.backends.aws.blobs import S3Blobs
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.events import EventBridgeEvents
from karman_core.backends.aws.queue import SQSQueue
from karman_core.backends.aws.schedules import SchedulerSchedules
from karman_core.backends.aws.secrets import ParameterStoreSecrets
from karman_core.backends.aws.settings import AwsSettings
from karman_core.backends.aws.table import DynamoDBTable
from karman_core.backends.aws.timers import SchedulerTimers
from karman_core.ports.system import Clock, Entropy

if TYPE_CHECKING:
    from karman_core.backends.aws.clients import Session


@dataclass(frozen=True, slots=True)
class AwsBackend:
    """Every port, ready to use from several threads and event loops. Nothing is connected before the first call.

    Attributes:
        archive: the same bucket for what is kept for good: names here are keys as they are, outside `blob_prefix`.
    """

    table: DynamoDBTable
    queue: SQSQueue
    timers: SchedulerTimers
    schedules: SchedulerSchedules
    secrets: ParameterStoreSecrets
    blobs: S3Blobs
    archive: S3Blobs
    events: EventBridgeEvents
    clients: AwsClients

    @classmethod
    def open(
        cls, settings: AwsSettings, *, clock: Clock, entropy: Entropy, session: Session | None = None
    ) -> Self:
        """Put the ports together.

        Args:
            settings: names of the deployment's resources.
            clock: which timers' times have come, and how to wait between tries.
            entropy: the jitter of those waits.
            session: with credentials of its own; None for what the SDK finds by itself.
        """
        clients = AwsClients(settings, session)
        queue = SQSQueue(clients, settings, clock, entropy)
        return cls(
            table=DynamoDBTable(clients, settings.table_name, clock, entropy),
            queue=queue,
            timers=SchedulerTimers(clients, settings, queue, clock),
            schedules=SchedulerSchedules(clients, settings),
            secrets=ParameterStoreSecrets(clients, settings),
            blobs=S3Blobs(clients, settings),
            archive=S3Blobs(clients, replace(settings, blob_prefix="")),
            events=EventBridgeEvents(clients, settings, clock, entropy),
            clients=clients,
        )

    def purge(self, now_ms: int) -> None:
        """Nothing: DynamoDB's time to live, S3's lifecycle rules and SQS's retention do it."""
        del now_ms

    def close(self) -> None:
        """Close connections and stop the threads; nothing of the backend can be used afterwards."""
        self.clients.close()
