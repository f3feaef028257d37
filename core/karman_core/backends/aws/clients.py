"""The only place that makes boto3 clients, and the threads that run their blocking calls.

A client is made when it is first used: importing boto3 and its service models takes longer than all of Karman, and a
function that only sends messages should not pay for S3.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from karman_core.backends.aws.errors import translate
from karman_core.backends.aws.logs import silence
from karman_core.backends.aws.settings import AwsSettings

if TYPE_CHECKING:
    from boto3 import Session as Session  # noqa: PLC0414 - exported, for the one other signature that names it
    from botocore.config import Config
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

P = ParamSpec("P")
T = TypeVar("T")

LONG_POLL_SECONDS = 20
"""SQS holds a receive for so long; the time-out for reading has to be longer."""


class _Patience(NamedTuple):
    """How long to wait for a service, and how often to try (the first time included).

    The tries are the SDK's `standard` mode: it backs off with jitter (throttled calls from one second on), and stops
    early when most calls of the process fail. Beyond that the engine's own redelivery is the retry.
    """

    attempts: int
    connect_seconds: float
    read_seconds: float


# DynamoDB answers in milliseconds, so a connection that is silent for seconds is broken and another one will do.
# Scheduler and Parameter Store allow few calls a second and are not on the path of a step: they may take their time.
_PATIENCE = {
    "dynamodb": _Patience(4, 2, 5),
    "sqs": _Patience(4, 2, LONG_POLL_SECONDS + 10),
    "s3": _Patience(4, 3, 60),
    "events": _Patience(4, 3, 10),
    "scheduler": _Patience(5, 3, 10),
    "ssm": _Patience(5, 3, 10),
    "cloudwatch": _Patience(4, 3, 10),
    "lambda": _Patience(4, 3, 10),
    "sts": _Patience(4, 3, 10),
}


class AwsClients:
    """Clients by service, shared by threads and event loops."""

    def __init__(self, settings: AwsSettings, session: Session | None = None) -> None:
        self._settings = settings
        self._session = session
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()
        # Threads are started as calls need them, so an idle pool costs nothing.
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="karman-aws")
        silence()

    @property
    def settings(self) -> AwsSettings:
        """Of the deployment that they are for."""
        return self._settings

    @property
    def dynamodb(self) -> DynamoDBClient:
        return cast("DynamoDBClient", self._client("dynamodb"))

    @property
    def sqs(self) -> SQSClient:
        return cast("SQSClient", self._client("sqs"))

    @property
    def s3(self) -> S3Client:
        return cast("S3Client", self._client("s3"))

    @property
    def scheduler(self) -> EventBridgeSchedulerClient:
        return cast("EventBridgeSchedulerClient", self._client("scheduler"))

    @property
    def ssm(self) -> SSMClient:
        return cast("SSMClient", self._client("ssm"))

    @property
    def events(self) -> EventBridgeClient:
        return cast("EventBridgeClient", self._client("events"))

    def untyped(self, service: str) -> Any:  # noqa: ANN401
        """The client of a service that only inspections ask, and that has no port."""
        return self._client(service)

    def warm(self, *services: str) -> None:
        """Make the clients of these services now, where that costs nobody's time."""
        for service in services:
            self._client(service)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in a thread, with the caller's context; AWS's errors become Karman's."""
        run = partial(contextvars.copy_context().run, function, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, run)
        except Exception as error:
            translated = translate(error)
            if translated is None:
                raise
            raise translated from error

    def close(self) -> None:
        """Close connections and stop the threads once their calls have returned."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def _client(self, service: str) -> Any:  # noqa: ANN401 - each property knows the type
        client = self._clients.get(service)
        if client is None:
            # Making clients of one session is not thread-safe; using them is.
            with self._making:
                client = self._clients.get(service)
                if client is None:
                    client = self._clients[service] = self._make(service)
        return client

    def _make(self, service: str) -> Any:  # noqa: ANN401
        if self._session is None:
            import boto3  # noqa: PLC0415 - see the module's docstring

            self._session = boto3.Session()
        settings = self._settings
        make = partial(
            self._session.client,
            cast("Any", service),
            region_name=settings.region,
            endpoint_url=settings.endpoints.get(service, settings.endpoint),
        )
        try:
            client = make(config=self._config(service))
            if service == "s3" and not _is_aws(client.meta.endpoint_url):
                # Emulators seldom resolve `bucket.localhost`.
                client = make(config=self._config(service, {"addressing_style": "path"}))
        except Exception as error:
            translated = translate(error)
            if translated is None:
                raise
            raise translated from error
        return client

    def _config(self, service: str, s3: dict[str, str] | None = None) -> Config:
        from botocore.config import Config  # noqa: PLC0415 - see the module's docstring

        patience = _PATIENCE[service]
        return Config(
            connect_timeout=patience.connect_seconds,
            read_timeout=patience.read_seconds,
            retries={"mode": "standard", "total_max_attempts": patience.attempts},
            max_pool_connections=self._settings.threads,
            user_agent_extra="karman",
            s3=cast("Any", s3),
        )


def _is_aws(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
