"""Looks at the resources of a deployment: whether all are there, and as Karman needs them. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Final

from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.function_inspection import FunctionInspection
from karman_core.backends.aws.names import DEAD_LETTER_SUFFIX, dead_letter_name, queue_name
from karman_core.backends.aws.redriving import queue_urls
from karman_core.backends.aws.schema import TIME_TO_LIVE
from karman_core.backends.checks import Check, clock_check, ok, problem, warning
from karman_core.domain.errors import KarmanError, NotFound
from karman_core.ports.system import Clock
from karman_core.ports.table import INDEXES

MANY_IN_FLIGHT: Final = 100_000
"""SQS has at most 120,000 messages of a queue in flight, and then gives out none."""

_DEPLOY = "deploy the stack again, or check the region and the variables of the deployment"
_AGE_MINUTES = 10


class Inspection:
    """What `karman doctor` asks AWS."""

    def __init__(self, clients: AwsClients, clock: Clock) -> None:
        self._clients = clients
        self._settings = clients.settings
        self._clock = clock

    async def table(self) -> list[Check]:
        """Look at the table, and at the clock by its answer. A problem is the first of the checks."""
        return await _looked("table", self._table)

    async def surroundings(self, queues: Sequence[str]) -> list[Check]:
        """Look at all that is beside it.

        Args:
            queues: task queues (`namespace/runtime`) that registered nodes need; those that have the deployment's
                prefix are looked at too.
        """
        looks: list[tuple[str, Callable[[], Awaitable[list[Check]]]]] = [
            ("time to live", self._time_to_live),
            ("backups", self._backups),
            ("queues", lambda: self._queues(queues)),
            ("schedules", self._schedule_groups),
            ("bucket", self._bucket),
            ("event bus", self._bus),
            ("secrets", self._secrets),
            *FunctionInspection(self._clients).looks(),
        ]
        found = [check for name, look in looks for check in await _looked(name, look)]
        return [*found, self._cron(), ok("versions", f"boto3 {version('boto3')}, karman {version('karman')}")]

    async def _table(self) -> list[Check]:
        client, name = self._clients.dynamodb, self._settings.table_name
        asked = self._clock.now_ms()
        answer: Any = await self._clients.call(client.describe_table, TableName=name)
        date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        clocks = [] if date is None else [_clock(asked, self._clock.now_ms(), date)]
        table = answer["Table"]
        if table["TableStatus"] not in {"ACTIVE", "UPDATING"}:
            return [problem("table", f"{name} is {table['TableStatus']}", "wait until it is ACTIVE"), *clocks]
        indexes = table.get("GlobalSecondaryIndexes", [])
        states = {each["IndexName"]: each.get("IndexStatus", "ACTIVE") for each in indexes}
        bad = [index.name for index in INDEXES if states.get(index.name) not in {"ACTIVE", "UPDATING"}]
        if bad:
            return [problem("table", f"{name} lacks the indexes {', '.join(bad)}", _DEPLOY), *clocks]
        protected = "protected" if table.get("DeletionProtectionEnabled") else "not protected from deletion"
        text = f"{name} is active, about {table.get('ItemCount', 0):,} items, {protected}"
        return [ok("table", text), *clocks]

    async def _time_to_live(self) -> list[Check]:
        call = self._clients.dynamodb.describe_time_to_live
        answer = await self._clients.call(call, TableName=self._settings.table_name)
        told = answer["TimeToLiveDescription"]
        if (
            told.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
            and told.get("AttributeName") == TIME_TO_LIVE
        ):
            return [ok("time to live", f"by {TIME_TO_LIVE}")]
        advice = f"turn it on for the attribute {TIME_TO_LIVE}: without it nothing is ever deleted"
        return [problem("time to live", "off", advice)]

    async def _backups(self) -> list[Check]:
        call = self._clients.dynamodb.describe_continuous_backups
        answer: Any = await self._clients.call(call, TableName=self._settings.table_name)
        told = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        if told.get("PointInTimeRecoveryStatus") == "ENABLED":
            return [ok("backups", "point-in-time recovery is on")]
        return [warning("backups", "point-in-time recovery is off", "turn it on, or nothing can be restored")]

    # --- queues -------------------------------------------------------------------------------------------------------

    async def _queues(self, queues: Sequence[str]) -> list[Check]:
        urls = await queue_urls(self._clients)
        prefix = self._settings.prefix
        needed = {queue_name(prefix, queue): queue for queue in queues}
        needed_dead = {dead_letter_name(prefix, queue) for queue in queues}
        missing = [
            problem(
                f"queue {queue}", "nodes are registered, but there is no queue", "deploy the runtime again"
            )
            for name, queue in needed.items()
            if name not in urls
        ]
        missing += [
            problem(
                f"queue {name}", "is missing", "deploy the runtime again: dead messages have nowhere to go"
            )
            for name in sorted(needed_dead - urls.keys())
            if name.removesuffix(DEAD_LETTER_SUFFIX) in urls
        ]
        found = [await self._queue(name, url) for name, url in sorted(urls.items())]
        return [*missing, *found]

    async def _queue(self, name: str, url: str) -> Check:
        answer: Any = await self._clients.call(
            self._clients.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["All"]
        )
        told = answer["Attributes"]
        waiting, working = (
            int(told.get(f"ApproximateNumberOfMessages{what}", 0)) for what in ("", "NotVisible")
        )
        text = f"{waiting:,} waiting, {working:,} in work"
        if waiting:
            text += await self._age(name)
        dead = name.endswith((DEAD_LETTER_SUFFIX, "-undelivered"))
        if dead and waiting:
            advice = (
                "dead_letters takes them within minutes; if not, look at its log. `karman redrive-dead-letters` sends "
                "them back"
            )
            return warning(f"queue {name}", text, advice)
        if not dead and not json.loads(told.get("RedrivePolicy") or "{}").get("deadLetterTargetArn"):
            return problem(f"queue {name}", "has no dead-letter queue", "deploy the runtime again")
        if working > MANY_IN_FLIGHT:
            advice = (
                "SQS gives out no more than 120,000 of a queue: more workers that finish, or fewer that begin"
            )
            return warning(f"queue {name}", text, advice)
        return ok(f"queue {name}", text)

    async def _age(self, name: str) -> str:
        """Of the oldest message, as CloudWatch has it; nothing where it says nothing."""
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        try:
            answer = await self._clients.call(
                self._clients.untyped("cloudwatch").get_metric_statistics,
                Namespace="AWS/SQS",
                MetricName="ApproximateAgeOfOldestMessage",
                Dimensions=[{"Name": "QueueName", "Value": name}],
                StartTime=now - timedelta(minutes=_AGE_MINUTES),
                EndTime=now,
                Period=60,
                Statistics=["Maximum"],
            )
        except KarmanError:
            return ""
        points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
        return f", the oldest for {points[-1]['Maximum']:,.0f} s" if points else ""

    # --- the rest -----------------------------------------------------------------------------------------------------

    async def _schedule_groups(self) -> list[Check]:
        found = []
        for name in dict.fromkeys([self._settings.schedule_group, self._settings.timer_group]):
            try:
                await self._clients.call(self._clients.scheduler.get_schedule_group, Name=name)
            except NotFound:
                found.append(problem(f"schedules {name}", "there is no such group of schedules", _DEPLOY))
            else:
                found.append(ok(f"schedules {name}", "the group is there"))
        return found

    def _cron(self) -> Check:
        settings = self._settings
        if settings.scheduler_role_arn and settings.cron_target_arn:
            return ok("cron", "role and target are set")
        return warning(
            "cron",
            "role or target of schedules is not set",
            "set KARMAN_SCHEDULER_ROLE_ARN and KARMAN_CRON_TARGET_ARN, or this process cannot make schedules",
        )

    async def _bucket(self) -> list[Check]:
        name = self._settings.bucket
        if not name:
            return [problem("bucket", "none is set", "set KARMAN_BUCKET: large payloads need it")]
        try:
            await self._clients.call(self._clients.s3.head_bucket, Bucket=name)
        except KarmanError as error:
            return [problem("bucket", f"{name} cannot be reached: {error.message}", _DEPLOY)]
        return [ok("bucket", f"{name} is there")]

    async def _bus(self) -> list[Check]:
        name = self._settings.event_bus
        await self._clients.call(self._clients.events.describe_event_bus, Name=name)
        return [ok("event bus", f"{name} is there")]

    async def _secrets(self) -> list[Check]:
        path = f"/{self._settings.prefix}/"
        await self._clients.call(
            self._clients.ssm.get_parameters_by_path, Path=path, Recursive=True, MaxResults=1
        )
        return [ok("secrets", f"{path} can be read")]


async def _looked(name: str, look: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    try:
        return await look()
    except NotFound as error:
        return [problem(name, error.message, _DEPLOY)]
    except KarmanError as error:
        return [warning(name, f"cannot be looked at: {error.message}", "allow your role to read it")]


def _clock(asked_ms: int, answered_ms: int, date: str) -> Check:
    there_ms = round(parsedate_to_datetime(date).timestamp() * 1000)
    return clock_check((asked_ms + answered_ms) // 2, there_ms, "AWS")
