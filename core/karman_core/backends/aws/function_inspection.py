"""Looks at what runs in a deployment: whose account it is, its functions, what calls them, and alarms that are on."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.checks import Check, ok, problem, warning
from karman_core.domain.errors import NotFound

FUNCTIONS: Final = ("api", "cron", "dead_letters", "sweeper", "webhooks")
"""Of the control plane."""

GUARDS: Final = ("dead_letters", "sweeper")
"""Those that a schedule calls."""

FEW_CONCURRENT: Final = 100
"""Accounts begin with 10 or 1,000; a control plane with one runtime of 50 batches does not fit into the former."""

_DEPLOY: Final = "deploy the stack again, or check the region and the variables of the deployment"
_RELEASE: Final = re.compile(r"Karman (\S+), stage ")


class FunctionInspection:
    """What `karman doctor` asks of Lambda, Scheduler, CloudWatch and STS."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._prefix = clients.settings.prefix

    def looks(self) -> list[tuple[str, Callable[[], Awaitable[list[Check]]]]]:
        """Each with its name."""
        return [
            ("account", self._account),
            ("functions", self._functions),
            ("guards", self._guards),
            ("event sources", self._sources),
            ("alarms", self._alarms),
        ]

    async def _account(self) -> list[Check]:
        told = await self._identity()
        region = self._clients.sqs.meta.region_name
        return [ok("account", f"{told['Account']} in {region}, as {told['Arn']}")]

    async def _identity(self) -> Mapping[str, str]:
        answer: Mapping[str, str] = await self._clients.call(self._clients.untyped("sts").get_caller_identity)
        return answer

    async def _functions(self) -> list[Check]:
        client = self._clients.untyped("lambda")
        found, releases = [], set()
        for name in FUNCTIONS:
            function = f"{self._prefix}-{name}"
            try:
                told = await self._clients.call(client.get_function_configuration, FunctionName=function)
            except NotFound:
                found.append(problem(f"function {function}", "is missing", _DEPLOY))
                continue
            found += _state(function, told)
            if (release := _RELEASE.match(told.get("Description", ""))) is not None:
                releases.add(release[1])
        if len(found) < len(FUNCTIONS):
            found.append(ok("functions", f"{len(FUNCTIONS) - len(found)} of the control plane are active"))
        return [*found, *_releases(releases)]

    async def _guards(self) -> list[Check]:
        found = []
        for name in GUARDS:
            schedule = f"{self._prefix}-{name}"
            try:
                told = await self._clients.call(self._clients.scheduler.get_schedule, Name=schedule)
            except NotFound:
                found.append(problem(f"guard {name}", "no schedule calls it", _DEPLOY))
                continue
            if told["State"] == "ENABLED":
                found.append(ok(f"guard {name}", f"is called by {told['ScheduleExpression']}"))
            else:
                advice = "enable it: without it dead letters, or runs that have stalled, wait for ever"
                found.append(problem(f"guard {name}", f"its schedule {schedule} is disabled", advice))
        return found

    async def _sources(self) -> list[Check]:
        """Whether functions get their batches, and whether the account has room for all that they may run at a time."""
        found, wanted, number = [], 0, 0
        for source in await self._mappings():
            function = source["FunctionArn"].rpartition(":function:")[2]
            if not function.startswith((f"{self._prefix}-", f"{self._prefix}_")):
                continue
            number += 1
            wanted += int((source.get("ScalingConfig") or {}).get("MaximumConcurrency", 0))
            if source["State"] not in {"Enabled", "Enabling", "Creating", "Updating"}:
                text = f"its event source is {source['State'].lower()}: {source.get('StateTransitionReason') or '?'}"
                advice = f"aws lambda update-event-source-mapping --uuid {source['UUID']} --enabled"
                found.append(problem(f"function {function}", text, advice))
        if number > len(found):
            found.append(ok("event sources", f"{number - len(found)} are enabled"))
        return [*found, await self._concurrency(wanted)]

    async def _mappings(self) -> list[Mapping[str, Any]]:
        pages = self._clients.untyped("lambda").get_paginator("list_event_source_mappings")

        def read() -> list[Mapping[str, Any]]:
            return [source for page in pages.paginate() for source in page["EventSourceMappings"]]

        return await self._clients.call(read)

    async def _concurrency(self, wanted: int) -> Check:
        answer = await self._clients.call(self._clients.untyped("lambda").get_account_settings)
        limits = answer["AccountLimit"]
        total, free = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
        text = (
            f"{total:,} functions at one time in this account, {free:,} of them not reserved; "
            f"runtimes take up to {wanted:,}"
        )
        if free < FEW_CONCURRENT:
            return warning("concurrency", text, "raise the quota of Lambda's concurrent executions")
        if wanted > free:
            advice = "raise the quota of Lambda's concurrent executions, or lower `concurrency` of runtimes"
            return warning("concurrency", text, advice)
        return ok("concurrency", text)

    async def _alarms(self) -> list[Check]:
        arn = (await self._identity())["Arn"]
        partition, account = arn.split(":")[1], arn.split(":")[4]
        topic = f"arn:{partition}:sns:{self._clients.sqs.meta.region_name}:{account}:{self._prefix}-alarms"
        pages = self._clients.untyped("cloudwatch").get_paginator("describe_alarms")

        def read() -> list[Mapping[str, Any]]:
            return [alarm for page in pages.paginate(ActionPrefix=topic) for alarm in page["MetricAlarms"]]

        alarms = await self._clients.call(read)
        alert = [
            each.get("AlarmDescription") or each["AlarmName"]
            for each in alarms
            if each["StateValue"] == "ALARM"
        ]
        if alert:
            return [warning("alarms", text, "see docs/operate.md for each alarm") for text in alert]
        return [ok("alarms", f"{len(alarms)}, none of them in alarm" if alarms else "there are none")]


def _state(function: str, told: Mapping[str, Any]) -> list[Check]:
    """What is wrong with a function, if anything. One that nobody called for weeks is inactive, which is no fault."""
    if told.get("State") == "Failed":
        text = f"cannot be called: {told.get('StateReason', 'no reason given')}"
        return [problem(f"function {function}", text, _DEPLOY)]
    if told.get("LastUpdateStatus") == "Failed":
        text = f"has its old code: {told.get('LastUpdateStatusReason', 'no reason given')}"
        return [problem(f"function {function}", text, _DEPLOY)]
    return []


def _releases(found: set[str]) -> list[Check]:
    """Whether what is deployed and this command are of one release."""
    own = version("karman")
    if not found:
        return []
    if found == {own}:
        return [ok("release", f"{own} is deployed")]
    text = f"{', '.join(sorted(found))} is deployed, this command is {own}"
    return [warning("release", text, "upgrade the older one; docs/operate.md says in which order")]
