"""The world of a scenario: engines over one embedded backend in memory, scripted nodes, queues, and time.

A node instance runs the node of its own name unless told otherwise, so a scenario is a dict of scripts and a graph:

    world = World({"a": count_to(3), "b": give_inputs, "u": give_inputs})
    await world.define(node("a", "b"), node("b", "u", x="${{ a.outputs.x }}"), node("u", unites="a"))
    run = await world.finish()
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.domain.definition import GraphDefinition, NodeInstance, RegisteredNode
from karman_core.domain.message_bodies import encode
from karman_core.domain.messages import Command, CommandKind
from karman_core.engine import Disposition, Engine, EngineSettings
from karman_core.engine.views import GraphView, RunView, StateView
from karman_core.ports.queue import Incoming, Outgoing
from tests.scenario.clock import ManualClock, SeededEntropy
from tests.scenario.faults import Crashed, Faults, Process
from tests.scenario.nodes import Script, ScriptedExecutor

NS = "ns"
RUNTIME = "rt"
HOME = f"{NS}/{RUNTIME}"
_QUIET_TURNS = 20
"""Turns of the event loop without a port call or an execution, after which only the clock can help."""


def node(
    identifier: str, *next_nodes: str, unites: str | None = None, strategy: str | None = None, **more: Any
) -> NodeInstance:
    """A node instance that runs the node of its own name; what is no field of an instance is one of its inputs."""
    fields = {name: more.pop(name) for name in list(more) if name in NodeInstance.model_fields}
    if unites is not None:
        fields["unites"] = {"identifier": unites, **({"strategy": strategy} if strategy else {})}
    fields.setdefault("node_name", identifier)
    fields["inputs"] = {**fields.get("inputs", {}), **more}
    return NodeInstance.model_validate({"identifier": identifier, "next_nodes": next_nodes, **fields})


def graph(*nodes: NodeInstance, name: str = "g", **fields: Any) -> GraphDefinition:
    """A definition."""
    return GraphDefinition.model_validate({"name": name, "nodes": nodes, **fields})


@dataclass(slots=True)
class Worker:
    """One process that works on the queue of a runtime."""

    process: Process
    engine: Engine


class World:
    """See the module.

    Args:
        scripts: by node name.
        runtimes: of the nodes that run elsewhere than in RUNTIME.
        secrets: names of the secrets that nodes declare.
        settings: the engines'.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script] | None = None,
        *,
        runtimes: Mapping[str, str] | None = None,
        secrets: Mapping[str, tuple[str, ...]] | None = None,
        settings: EngineSettings | None = None,
        observer: Any = None,
    ) -> None:
        self.clock, self.entropy, self.faults = ManualClock(), SeededEntropy(), Faults()
        self.backend = EmbeddedBackend.open(":memory:", clock=self.clock, entropy=self.entropy)
        self.settings = settings or EngineSettings()
        self.observer = observer
        self.deliveries = 1
        self.repeats = 0.0
        """The chance that a message is delivered once more; who repeats all of them gets two to the power of hops."""
        self.order: random.Random | None = None
        self.bodies: list[tuple[str, str]] = []
        self.delivered = 0
        self._runtimes, self._secrets = runtimes or {}, secrets or {}
        self.executors: dict[str, ScriptedExecutor] = {}
        for name, script in (scripts or {}).items():
            runtime = self._runtimes.get(name, RUNTIME)
            self.executors.setdefault(runtime, ScriptedExecutor({})).scripts[name] = script
        self.executors.setdefault(RUNTIME, ScriptedExecutor({}))
        self._reader = Engine(self.backend, clock=self.clock, entropy=self.entropy, settings=self.settings)
        """What the test looks at is read past all faults."""
        self._workers: dict[str, Worker] = {runtime: self._worker(runtime) for runtime in self.executors}

    # --- set up -------------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """That of the first runtime's worker."""
        return self._workers[RUNTIME].engine

    @property
    def executor(self) -> ScriptedExecutor:
        """That of the first runtime's worker."""
        return self.executors[RUNTIME]

    def api(self) -> Engine:
        """An engine of a process of its own that runs no nodes."""
        process = Process(self.backend, self.faults)
        return Engine(process, clock=self.clock, entropy=self.entropy, settings=self.settings)

    def other_worker(self) -> Engine:
        """An engine of another process that runs the same nodes as the first runtime's worker."""
        return self._worker(RUNTIME).engine

    def restart(self, runtime: str = RUNTIME) -> None:
        """Give the runtime a new worker, which knows nothing."""
        self._workers[runtime] = self._worker(runtime)

    async def define(self, *nodes: NodeInstance, **fields: Any) -> GraphView:
        """Register every node that has a script, and store a graph of these instances, which must be valid."""
        registered = [
            RegisteredNode(name=name, runtime=runtime, secrets=self._secrets.get(name, ()))
            for runtime, executor in self.executors.items()
            for name in executor.scripts
        ]
        await self.engine.register_nodes(NS, registered)
        values = fields.pop("secret_values", None)
        view = await self.engine.put_graph(NS, graph(*nodes, **fields), secrets=values)
        assert view.valid, view.problems
        return view

    def _worker(self, runtime: str) -> Worker:
        process = Process(self.backend, self.faults)
        engine = Engine(
            process,
            clock=self.clock,
            entropy=self.entropy,
            executor=self.executors[runtime],
            settings=self.settings,
            observer=self.observer,
        )
        return Worker(process, engine)

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def start(self, name: str = "g", **options: Any) -> str:
        """Trigger a run; its id."""
        return (await self.engine.trigger(NS, name, **options)).run_id

    async def finish(self, name: str = "g", **options: Any) -> RunView:
        """Trigger a run and work until nothing is left to do."""
        run_id = await self.start(name, **options)
        await self.drive()
        return await self.view(run_id)

    async def view(self, run_id: str) -> RunView:
        """The run as it stands."""
        return await self._reader.get_run(NS, run_id)

    async def states(self, run_id: str, **options: Any) -> list[StateView]:
        """Every state of a run."""
        found: list[StateView] = []
        cursor = None
        while True:
            page = await self._reader.list_states(NS, run_id, cursor=cursor, **options)
            found += page.states
            cursor = page.cursor
            if cursor is None:
                return found

    async def state(self, run_id: str, identifier: str) -> StateView:
        """The one state of a node instance."""
        (found,) = await self.states(run_id, identifier=identifier)
        return found

    async def store(self, run_id: str) -> dict[str, Any]:
        """The run's store."""
        return await self._reader.read_store(NS, run_id)

    # --- work ---------------------------------------------------------------------------------------------------------

    async def drive(
        self, *, until: Callable[[], Awaitable[bool]] | None = None, at_once: int = 1, limit: int = 20_000
    ) -> None:
        """Work until nothing is left that could happen, or `until` holds; time passes when there is nothing to do."""
        for _ in range(limit):
            if until is not None and await until():
                return
            if not await self.work(at_once) and not self.skip_time():
                return
        raise AssertionError("The queues do not run empty.")

    async def work(self, at_once: int = 1) -> int:
        """Deliver what is ready now, so many messages at a time; how many there were."""
        messages = [
            (queue, message)
            for queue in self.backend.queue.queues()
            for message in await self._receive(queue)
        ]
        if self.order is not None:
            self.order.shuffle(messages)
        for start in range(0, len(messages), at_once):
            some = [self._deliver(queue, message) for queue, message in messages[start : start + at_once]]
            await self.finish_all(some)
        return len(messages)

    async def _receive(self, queue: str) -> list[Incoming]:
        found: list[Incoming] = []
        while some := await self.backend.queue.receive(queue, lease_seconds=self.settings.lease_seconds):
            found += some
            if self.order is None:
                break
        return found

    async def _deliver(self, queue: str, message: Incoming) -> None:
        self.bodies.append((queue, message.body))
        self.delivered += 1
        runtime = queue.partition("/")[2]
        worker = self._workers.get(runtime) or self._workers[RUNTIME]
        disposition = Disposition.KEEP
        try:
            once_more = self.order is not None and self.order.random() < self.repeats
            for _ in range(self.deliveries + int(once_more)):
                disposition = await worker.engine.process(queue, message)
            if disposition is Disposition.DONE:
                await worker.process.queue.delete(queue, [message.receipt])
        except Crashed:
            self.restart(runtime)

    async def finish_all(self, works: list[Coroutine[Any, Any, Any]]) -> None:
        """Let all of them end; where they wait for the clock alone, time passes."""
        tasks = [asyncio.ensure_future(work) for work in works]
        quiet, before = 0, self._activity()
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            quiet, before = (quiet + 1, before) if self._activity() == before else (0, self._activity())
            if quiet > _QUIET_TURNS:
                wake = self.clock.next_wake_ms()
                assert wake is not None, "The work waits for something that never comes."
                self.clock.advance_to(wake)
                quiet = 0
        for task in tasks:
            task.result()

    def _activity(self) -> int:
        return self.faults.count + sum(len(executor.log) for executor in self.executors.values())

    def skip_time(self) -> bool:
        """Make it the time when the next thing is due; False if nothing is."""
        due = self.next_due_ms()
        if due is None:
            return False
        self.clock.advance_to(due)
        return True

    def next_due_ms(self) -> int | None:
        """When the next hidden message or timer is due."""
        with self.backend.database.read() as connection:
            found = connection.execute(
                "SELECT min(due) FROM"
                " (SELECT min(hidden_until) AS due FROM messages UNION ALL SELECT min(at_ms) FROM timers)"
            ).fetchone()
        return None if found[0] is None else int(found[0])

    def messages_left(self) -> int:
        """Messages and timers that are still there."""
        with self.backend.database.read() as connection:
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM timers)"
            )
            return int(counts.fetchone()[0])

    async def lose_messages(self) -> None:
        """Purge every queue and forget every timer."""
        with self.backend.database.write() as connection:
            connection.execute("DELETE FROM messages")
            connection.execute("DELETE FROM timers")

    async def lose_messages_of_kind(self, *kinds: str) -> None:
        """Lose the commands of some kinds."""
        with self.backend.database.write() as connection:
            for kind in kinds:
                connection.execute("DELETE FROM messages WHERE body LIKE ?", (f'{{"karman":1,"k":"{kind}"%',))

    async def send_body(self, body: str, queue: str = HOME) -> None:
        """Put a message on a queue."""
        await self.backend.queue.send(queue, [Outgoing(body)])

    async def send_command(self, kind: CommandKind, run_id: str, **arguments: Any) -> None:
        """Put a command on the first runtime's queue."""
        await self.send_body(encode(Command(kind, NS, run_id, arguments)))

    async def take(self, queue: str = HOME) -> Incoming:
        """Receive the one message that is ready, and do nothing with it."""
        (message,) = await self.backend.queue.receive(queue, limit=10)
        return message

    async def process(self, message: Incoming, queue: str = HOME, *, again: bool = False) -> None:
        """Work on a message, as one that was received before if `again`."""
        count = message.receive_count + int(again)
        await self.finish_all([self.engine.process(queue, replace(message, receive_count=count))])


@asynccontextmanager
async def world(*arguments: Any, **options: Any) -> AsyncIterator[World]:
    """A world that is closed in the end."""
    made = World(*arguments, **options)
    try:
        yield made
    finally:
        made.backend.close()
