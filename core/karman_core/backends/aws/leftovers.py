"""What a deployment leaves behind when its stacks are gone: what was made at run time, by names alone.

Secrets are set by the API and by commands, and with `create_queues` the API makes queues; no stack knows of either.
Schedules go with their groups, which are the stack's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from karman_core.backends.aws.backoff import chunks, each
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.redriving import queue_urls
from karman_core.domain.errors import NotFound

GOING_SECONDS: Final = 70
"""SQS lists a queue for up to a minute after it was deleted."""

_EVERY_SECONDS: Final = 5
_BATCH: Final = 10
_GOING: Final = "DELETING"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is left.

    Attributes:
        stands: the stack is still there, and so nothing is left.
        keeps_table: the table outlived its stack, as production's does; so should the secrets of its graphs.
        secrets: names of parameters.
        queues: names.
    """

    stands: bool
    keeps_table: bool
    secrets: tuple[str, ...]
    queues: tuple[str, ...]


async def find_leftovers(
    clients: AwsClients, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Leftovers:
    """Look. Waits for queues that are going, if there are any."""
    if await _stands(clients):
        return Leftovers(stands=True, keeps_table=True, secrets=(), queues=())
    queues = await queue_urls(clients)
    waited = 0
    while queues and waited < GOING_SECONDS:
        await sleep(_EVERY_SECONDS)
        waited += _EVERY_SECONDS
        queues = await queue_urls(clients)
    return Leftovers(
        stands=False,
        keeps_table=await _has_table(clients),
        secrets=tuple(await _secrets(clients)),
        queues=tuple(sorted(queues)),
    )


async def remove_secrets(clients: AwsClients, names: tuple[str, ...]) -> None:
    """Delete parameters; no error for those that are gone."""

    async def remove(batch: list[str]) -> None:
        await clients.call(clients.ssm.delete_parameters, Names=batch)

    await each(remove, chunks(names, _BATCH))


async def remove_queues(clients: AwsClients, names: tuple[str, ...]) -> None:
    """Delete queues, with what is in them; no error for those that are gone."""

    async def remove(name: str) -> None:
        try:
            url = (await clients.call(clients.sqs.get_queue_url, QueueName=name))["QueueUrl"]
            await clients.call(clients.sqs.delete_queue, QueueUrl=url)
        except NotFound:
            pass

    await each(remove, names)


async def _stands(clients: AwsClients) -> bool:
    """The control plane's stack is there while its group of schedules is."""
    try:
        group = await clients.call(clients.scheduler.get_schedule_group, Name=clients.settings.schedule_group)
    except NotFound:
        return False
    return group["State"] != _GOING


async def _has_table(clients: AwsClients) -> bool:
    try:
        answer = await clients.call(clients.dynamodb.describe_table, TableName=clients.settings.table_name)
    except NotFound:
        return False
    return answer["Table"]["TableStatus"] != _GOING


async def _secrets(clients: AwsClients) -> list[str]:
    """Names of all parameters of the deployment; their values are not decrypted."""
    found: list[str] = []
    arguments: dict[str, Any] = {
        "Path": f"/{clients.settings.prefix}/",
        "Recursive": True,
        "MaxResults": _BATCH,
    }
    while True:
        page = await clients.call(clients.ssm.get_parameters_by_path, **arguments)
        found += [parameter["Name"] for parameter in page["Parameters"]]
        if not page.get("NextToken"):
            return sorted(found)
        arguments["NextToken"] = page["NextToken"]
