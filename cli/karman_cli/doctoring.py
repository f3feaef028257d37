"""What `karman doctor` looks at: a server, a deployment's resources, or a database file."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import httpx

from karman.errors import Forbidden
from karman_cli.connections.local import EngineConnection
from karman_cli.connections.remote import HttpConnection
from karman_core.backends.checks import Check, Level, clock_check, ok, warning
from karman_core.backends.system import SystemClock
from karman_core.engine.oldest import oldest_unfinished
from karman_core.engine.registry import queue_name

if TYPE_CHECKING:
    from karman import AsyncClient
    from karman_cli.connections.connection import Connection
    from karman_core.ports.queue import Depth
    from karman_runtime.composition import Assembly

OLD_RUN_MS: Final = 30 * 86_400_000
OVERDUE_MS: Final = 2 * 3_600_000
"""A sweep comes within the hour."""

_WHOLE: Final = frozenset({"integrity", "rows"})
_SECONDS: Final = 15.0
_HOUR_MS: Final = 3_600_000


async def examine(connection: Connection) -> list[Check]:
    """Look at whatever the connection leads to. Raises what the connection raises when it leads nowhere."""
    match connection:
        case HttpConnection():
            return await _server(connection.client)
        case EngineConnection():
            return await _engine(connection.assembly, connection.place.namespace)
        case _:
            raise TypeError(f"nothing is known of {type(connection).__name__}")


def worst(checks: list[Check]) -> Level:
    """The level that matters most."""
    levels = {check.level for check in checks}
    return next((level for level in (Level.PROBLEM, Level.WARNING) if level in levels), Level.OK)


# --- a server ---------------------------------------------------------------------------------------------------------


async def _server(client: AsyncClient) -> list[Check]:
    health = await client.health()
    own = version("karman")
    checks = [ok("health", f"{client.url} says {health.status}")]
    if health.version == own:
        checks.append(ok("version", own))
    else:
        text = f"the server has {health.version}, this command is {own}"
        checks.append(warning("version", text, "upgrade the older one; within a minor version both work"))
    return [*checks, *await _clock(client.url), await _access(client)]


async def _clock(url: str) -> list[Check]:
    clock = SystemClock()
    async with httpx.AsyncClient(timeout=_SECONDS) as http:
        asked = clock.now_ms()
        try:
            answer = await http.get(f"{url.rstrip('/')}/v1/health")
        except httpx.HTTPError:
            return []  # that it answers has been looked at
    date = answer.headers.get("date")
    if date is None:
        return []
    there = round(parsedate_to_datetime(date).timestamp() * 1000)
    return [clock_check((asked + clock.now_ms()) // 2, there, "the server")]


async def _access(client: AsyncClient) -> Check:
    """What the key may do, by trying what changes nothing. Raises Unauthorized for none."""
    where = f"in namespace '{client.namespace}'"
    try:
        async for _ in client.keys(page_size=1):
            break
    except Forbidden:
        pass
    else:
        return ok("key", f"scope admin {where}")
    try:
        await client.runs_page(limit=1)
    except Forbidden:
        text = f"neither admin nor read {where}: it may trigger, or work, or belongs elsewhere"
        return warning("key", text, "`karman keys list` with an admin key says which scopes it has")
    return ok("key", f"scope read {where}")


# --- a table or a file ------------------------------------------------------------------------------------------------


async def _engine(assembly: Assembly, namespace: str) -> list[Check]:
    from karman_core.backends.embedded import EmbeddedBackend

    if isinstance(assembly.backend, EmbeddedBackend):
        from karman_core.backends.embedded.inspection import inspect

        checks = inspect(assembly.backend.database)
        if worst([check for check in checks if check.name in _WHOLE]) is Level.PROBLEM:
            return checks  # a damaged file is not to be read any further
        return [*checks, *await _queues(assembly, namespace), await _oldest(assembly)]
    return await _aws(assembly, namespace)


async def _aws(assembly: Assembly, namespace: str) -> list[Check]:
    from karman_core.backends.aws import AwsBackend
    from karman_core.backends.aws.inspection import Inspection

    backend = assembly.backend
    if not isinstance(backend, AwsBackend):
        raise TypeError(f"nothing is known of {type(backend).__name__}")
    inspection = Inspection(backend.clients, assembly.clock)
    table = await inspection.table()
    if worst(table) is Level.PROBLEM:
        return [*table, *await inspection.surroundings([])]
    nodes = await assembly.engine.list_nodes(namespace)
    queues = sorted({queue_name(namespace, node.runtime) for node in nodes})
    return [*table, *await inspection.surroundings(queues), await _oldest(assembly)]


async def _queues(assembly: Assembly, namespace: str) -> list[Check]:
    backlog = await assembly.engine.overview.backlog(namespace)
    return [_queue(f"queue {name}", depth) for name, depth in backlog.items()]


def _queue(name: str, depth: Depth | None) -> Check:
    if depth is None:
        return warning(name, "nodes are registered, but there is no queue", "start a worker for its runtime")
    return ok(name, f"{depth.ready:,} waiting, {depth.in_flight:,} in work, {depth.delayed:,} delayed")


async def _oldest(assembly: Assembly) -> Check:
    header = await oldest_unfinished(assembly.backend.table)
    if header is None:
        return ok("oldest run", "no run is unfinished")
    age = assembly.clock.now_ms() - header.created_ms
    run = header.run
    text = (
        f"{run.run_id} of {run.namespace}/{run.graph}, {header.status.value}, for {age / _HOUR_MS:,.1f} hours"
    )
    if assembly.clock.now_ms() > run.deadline_ms + OVERDUE_MS:
        advice = "it is over its deadline: does a sweeper run (on one machine: `karman dev`)? Look at its log"
        return warning("oldest run", text, advice)
    if age > OLD_RUN_MS:
        return warning("oldest run", text, f"is that meant? `karman show {run.run_id}`")
    return ok("oldest run", text)
