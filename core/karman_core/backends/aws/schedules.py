"""The schedule port on cron schedules of EventBridge Scheduler.

A trigger is one schedule, or several where Scheduler's language needs them (see `domain.cron_translation`). Each
carries the whole trigger as the input of its target, from which lists are read: names are hashed where they are long,
and Scheduler's expression does not say what croniter's was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from karman_core.backends.aws.backoff import each
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.names import schedule_name, schedule_prefix
from karman_core.backends.aws.scheduling import delete_schedule, literal, put_schedule, target_of
from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.cron_translation import to_scheduler
from karman_core.domain.errors import NotFound
from karman_core.ports.timers import Schedule

if TYPE_CHECKING:
    from mypy_boto3_scheduler.type_defs import TargetTypeDef

INPUT_KIND: Final = "karman.cron"
"""`kind` in the JSON that the target is called with, beside `namespace`, `graph`, `trigger`, `cron`, `timezone` and
`scheduled_time` (RFC 3339, UTC: the time that was due, not when it fired)."""

_SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
_DESCRIPTION_CHARACTERS = 512


class SchedulerSchedules:
    """All cron triggers of a deployment, in one group of schedules."""

    def __init__(self, clients: AwsClients, settings: AwsSettings) -> None:
        self._clients = clients
        self._settings = settings

    async def put(self, schedule: Schedule) -> None:
        """Make or replace. If it ends half-way, put it again: until then some firings may be missing or doubled.

        Raises InvalidRequest for a cron expression that Scheduler cannot say.
        """
        expressions = to_scheduler(schedule.cron)
        names = [
            schedule_name(schedule.namespace, schedule.graph, schedule.trigger, number)
            for number in range(len(expressions))
        ]
        target = self._target(schedule)
        for name, expression in zip(names, expressions, strict=True):
            await put_schedule(
                self._clients,
                {
                    "Name": name,
                    "GroupName": self._settings.schedule_group,
                    "ScheduleExpression": expression,
                    "ScheduleExpressionTimezone": schedule.timezone,
                    "ActionAfterCompletion": "NONE",
                    "Description": _description(schedule),
                    "State": "ENABLED" if schedule.enabled else "DISABLED",
                    "Target": target,
                },
            )
        old = await self._names(schedule_prefix(schedule.namespace, schedule.graph, schedule.trigger))
        await self._delete([name for name in old if name not in names])

    async def delete(self, namespace: str, graph: str, trigger: str) -> None:
        """Remove; no error when it does not exist."""
        await self._delete(await self._names(schedule_prefix(namespace, graph, trigger)))

    async def list(self, namespace: str | None = None, graph: str | None = None) -> Sequence[Schedule]:
        """Every schedule, of a namespace, or of one of its graphs, sorted by namespace, graph and trigger."""
        if graph is not None and namespace is None:
            raise ValueError("a graph is named together with its namespace")
        prefix = "" if namespace is None else schedule_prefix(namespace, graph)
        read = await each(self._read, await self._names(prefix))
        found = {
            (schedule.namespace, schedule.graph, schedule.trigger): schedule
            for schedule in read
            if schedule is not None
            and namespace in {None, schedule.namespace}
            and graph in {None, schedule.graph}
        }
        return [found[key] for key in sorted(found)]

    async def _names(self, prefix: str) -> Sequence[str]:
        """Names of the group that begin so."""
        names = []
        arguments: dict[str, Any] = {"GroupName": self._settings.schedule_group, "MaxResults": 100}
        if prefix:
            arguments["NamePrefix"] = prefix
        while True:
            page = await self._clients.call(self._clients.scheduler.list_schedules, **arguments)
            names += [schedule["Name"] for schedule in page["Schedules"]]
            if not page.get("NextToken"):
                return names
            arguments["NextToken"] = page["NextToken"]

    async def _read(self, name: str) -> Schedule | None:
        """The trigger that a schedule belongs to; None if it has gone, or is not Karman's."""
        try:
            answer = await self._clients.call(
                self._clients.scheduler.get_schedule, Name=name, GroupName=self._settings.schedule_group
            )
            carried = json.loads(answer["Target"].get("Input", "{}"))
        except (NotFound, ValueError):
            return None
        if not isinstance(carried, dict) or carried.get("kind") != INPUT_KIND:
            return None
        return Schedule(
            namespace=carried["namespace"],
            graph=carried["graph"],
            trigger=carried["trigger"],
            cron=carried["cron"],
            timezone=carried["timezone"],
            enabled=answer["State"] == "ENABLED",
        )

    async def _delete(self, names: Sequence[str]) -> None:
        group = self._settings.schedule_group
        await each(lambda name: delete_schedule(self._clients, group, name), names)

    def _target(self, schedule: Schedule) -> TargetTypeDef:
        carried = {
            "kind": INPUT_KIND,
            "namespace": schedule.namespace,
            "graph": schedule.graph,
            "trigger": schedule.trigger,
            "cron": schedule.cron,
            "timezone": schedule.timezone,
        }
        # The one keyword that is ours goes in after all of the user's are made harmless.
        text = literal(json.dumps(carried))[:-1] + f', "scheduled_time": "{_SCHEDULED_TIME}"}}'
        return target_of(self._settings, self._settings.cron_target_arn, text)


def _description(schedule: Schedule) -> str:
    """What people see in the console."""
    text = f"{schedule.namespace}/{schedule.graph} {schedule.trigger}: {schedule.cron} ({schedule.timezone})"
    return text[:_DESCRIPTION_CHARACTERS]
