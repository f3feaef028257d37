"""Every call of AWS that is in the source is made here, on moto: one that is written without a test fails this one.

A place is a module and an operation: `queue.py sqs.send_message_batch`. The source says which there are, `Journey`
makes them through the adapters, and what boto3 sent says which were made, and for which module.
"""

from __future__ import annotations

import ast
import contextvars
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from moto import mock_aws

import karman_core.backends.aws
from karman_core.backends.aws.clients import _PATIENCE, AwsClients
from karman_core.backends.aws.dead_letters import DeadLetterQueues
from karman_core.backends.aws.inspection import Inspection
from karman_core.backends.aws.leftovers import find_leftovers, remove_queues, remove_secrets
from karman_core.backends.aws.redriving import send_back
from karman_core.backends.aws.schema import create_table
from karman_core.backends.checks import Check
from karman_core.domain.errors import KarmanError
from karman_core.ports.events import Event
from karman_core.ports.queue import Outgoing
from karman_core.ports.table import Delete, Key, Put, Query, Set
from karman_core.ports.timers import Schedule, Timer
from tests.contract.backends import PORT_NAMES
from tests.contract.backends.aws_ports import Opened, open_aws, session
from tests.contract.backends.moto import _one_at_a_time

ADAPTERS = Path(karman_core.backends.aws.__file__).parent
PACKAGES = [
    Path(__file__).parents[2] / layer for layer in ("core", "sdk", "runtime", "functions", "cli", "infra")
]
SERVICES = tuple(_PATIENCE)
QUEUE = "ns/rt"

Place = tuple[str, str]
_module: contextvars.ContextVar[str] = contextvars.ContextVar("module")


# --- what the source says ---------------------------------------------------------------------------------------------


@cache
def operations() -> dict[str, set[str]]:
    """Operations by the names of clients' methods: `send_message` has `sqs.SendMessage`."""
    found: dict[str, set[str]] = {}
    made = botocore.session.get_session()
    for service in SERVICES:
        client = made.create_client(service, "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        for method, operation in client.meta.method_to_api_mapping.items():
            found.setdefault(method, set()).add(f"{service}.{operation}")
    return found


def places() -> dict[Place, set[str]]:
    """Every place, with the operations that it may be: of the services that the module names."""
    found: dict[Place, set[str]] = {}
    for path in sorted(ADAPTERS.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        services = {service for service in SERVICES if service in set(words(tree))}
        for word in words(tree):
            may_be = {each for each in operations().get(word, ()) if each.partition(".")[0] in services}
            if may_be:
                found[path.name, word] = may_be
    return found


def words(tree: ast.AST) -> Iterator[str]:
    """Names of attributes and parameters (a module may be handed a client), and the texts that calls are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Call):
            yield from (
                each.value for each in node.args if isinstance(each, ast.Constant) and type(each.value) is str
            )


# --- what is made -----------------------------------------------------------------------------------------------------


class Made:
    """Operations that were sent, by the module that asked for them."""

    def __init__(self) -> None:
        self.sent: set[tuple[str, str]] = set()

    def note(self, model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        self.sent.add((_module.get("nobody"), f"{service}.{model.name}"))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note what is sent meanwhile, by clients that are made meanwhile."""
        call = AwsClients.call

        def noted(clients: AwsClients, function: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            token = _module.set(Path(sys._getframe(1).f_code.co_filename).name)  # noqa: SLF001  who asks
            try:
                context = contextvars.copy_context()
            finally:
                _module.reset(token)
            return call(clients, lambda: context.run(function, *args, **kwargs))

        events = session().events
        events.register("before-call", self.note, unique_id="every-call")
        patch = pytest.MonkeyPatch()
        patch.setattr(AwsClients, "call", noted)
        try:
            yield
        finally:
            patch.undo()
            events.unregister("before-call", unique_id="every-call")


class Journey:
    """Through every method of every adapter."""

    def __init__(self, opened: Opened) -> None:
        self.backend = opened.backend
        self.settings = opened.settings

    async def go(self) -> None:
        """All of them."""
        for part in (self.table, self.queue, self.timers, self.schedules, self.secrets, self.blobs):
            await part()
        await self.backend.events.publish([Event("1", "run.succeeded", "ns", 1, {"run_id": "r"})])
        await self.operators()
        await self.leftovers()

    async def table(self) -> None:
        await create_table(self.backend.clients, f"{self.settings.table_name}-2")
        table, key = self.backend.table, Key("a", "b")
        await table.put({"pk": "a", "sk": "b"})
        assert await table.get(key)
        assert (await table.update(key, [Set("x", 1)]))["x"] == 1
        await table.batch_write([{"pk": "a", "sk": "c"}])
        assert len(await table.batch_get([key, Key("a", "c")])) == 2
        await table.transact([Put({"pk": "a", "sk": "d"}), Delete(Key("a", "c"))])
        await table.delete(key)
        assert [item["sk"] for item in (await table.query(Query("a"))).items] == ["d"]

    async def queue(self) -> None:
        queue = self.backend.queue
        await queue.create(QUEUE)
        await queue.send(QUEUE, [Outgoing("one"), Outgoing("two")])
        first, second = await queue.receive(QUEUE)
        assert await queue.extend(QUEUE, [first.receipt], 30) == []
        await queue.delete(QUEUE, [first.receipt])
        await queue.bury(QUEUE, second, "for the journey")
        await queue.depth(QUEUE)

    async def timers(self) -> None:
        timers, later = self.backend.timers, 4_102_444_800_000
        for at_ms in (later, later + 1_000):
            await timers.set(Timer("t", at_ms, QUEUE, "{}"))
        await timers.cancel("t")

    async def schedules(self) -> None:
        schedules = self.backend.schedules
        for cron in ("0 6 * * *", "0 7 * * *"):
            await schedules.put(Schedule("ns", "g", "cron-0", cron, "UTC"))
        assert [each.cron for each in await schedules.list("ns", "g")] == ["0 7 * * *"]
        await schedules.delete("ns", "g", "cron-0")

    async def secrets(self) -> None:
        secrets = self.backend.secrets
        await secrets.put("ns/g", {"token": "x"})
        assert await secrets.get("ns/g", ["token"]) == {"token": "x"}
        assert await secrets.names("ns/g") == ["token"]
        await secrets.delete("ns/g", ["token"])

    async def blobs(self) -> None:
        blobs = self.backend.blobs
        await blobs.put("ns/r/1", b"data")
        assert await blobs.get("ns/r/1") == b"data"
        await blobs.delete_prefix("ns/r/")

    async def operators(self) -> None:
        """What `karman doctor`, `karman redrive-dead-letters` and the function of dead letters do."""
        letters = DeadLetterQueues(self.backend.clients)
        (name,) = await letters.waiting()
        (dead,) = await letters.receive(name, 1)
        await letters.give_back(name, [dead.message.receipt])
        (dead,) = await letters.receive(name, 1)
        await letters.delete(name, [dead.message.receipt])
        await self.backend.queue.send(QUEUE, [Outgoing("three")])
        (message,) = await self.backend.queue.receive(QUEUE)
        await self.backend.queue.bury(QUEUE, message, "again")
        assert sum((await send_back(self.backend.clients, None)).values()) == 1
        await send_back(self.backend.clients, QUEUE)
        inspection = Inspection(self.backend.clients, self.backend.timers._clock)  # noqa: SLF001  the real one
        for look in (inspection.table, lambda: inspection.surroundings([QUEUE])):
            await _looked(look)

    async def leftovers(self) -> None:
        """What is left when the stacks are gone."""
        clients = self.backend.clients
        await self.backend.secrets.put("ns/g", {"token": "x"})
        await clients.call(clients.scheduler.delete_schedule_group, Name=self.settings.schedule_group)

        async def sleep(_: float) -> None:
            return

        left = await find_leftovers(clients, sleep=sleep)
        assert left.keeps_table
        await remove_secrets(clients, left.secrets)
        await remove_queues(clients, left.queues)
        assert not (await find_leftovers(clients, sleep=sleep)).secrets


async def _looked(look: Callable[[], Awaitable[list[Check]]]) -> None:
    """Moto has no account settings of Lambda; they were asked for, and that is what counts here."""
    try:
        assert await look()
    except (KarmanError, NotImplementedError) as error:
        if not re.search("get_?account_?settings", str(error), re.IGNORECASE):
            raise


async def test_every_call_in_the_source_is_made() -> None:
    made = Made()
    with mock_aws():
        _one_at_a_time()
        with made.listening():
            async with open_aws("every-call", None, frozenset(PORT_NAMES)) as opened:
                made.sent.clear()
                await Journey(opened).go()
    missing = {
        place: sorted(may_be)
        for place, may_be in places().items()
        if not any((place[0], operation) in made.sent for operation in may_be)
    }
    assert not missing, f"add these to Journey: {missing}"


def test_the_source_is_read() -> None:
    found = places()
    assert found["queue.py", "send_message_batch"] == {"sqs.SendMessageBatch"}
    assert found["blobs.py", "get_object"] == {"s3.GetObject"}
    assert found["redriving.py", "list_queues"] == {"sqs.ListQueues"}
    assert len(found) > 40


def test_nobody_else_calls_aws() -> None:
    """Clients are used in the adapters alone, so what is scanned is all there is."""
    wanted = {*SERVICES, "untyped"}
    elsewhere = (
        path for package in PACKAGES for path in package.rglob("*.py") if ADAPTERS not in path.parents
    )
    used = [
        f"{path.name}:{node.lineno}"
        for path in elsewhere
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in wanted and "clients" in words(node.value)
    ]
    assert used == []
