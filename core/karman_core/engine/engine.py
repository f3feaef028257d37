"""The engine: every use case, over one backend. API, CLI, workers and tests all go through here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from karman_core.domain.cron import trigger_name
from karman_core.domain.definition import JSON, GraphDefinition, RegisteredNode
from karman_core.domain.errors import Conflict, Problem
from karman_core.domain.messages import Command, CommandKind
from karman_core.domain.outcome import Outcome
from karman_core.domain.registered import node_keys
from karman_core.domain.transitions import FINAL_RUNS, RunStatus
from karman_core.domain.validation import validate
from karman_core.engine.leasing import Leasing, Suspender
from karman_core.engine.parts import Parts
from karman_core.engine.secrets import scope
from karman_core.engine.services import Services
from karman_core.engine.settings import EngineSettings
from karman_core.engine.signals import check_signal
from karman_core.engine.sweeping import SweepReport
from karman_core.engine.triggering import Request
from karman_core.engine.views import (
    GraphView,
    Registration,
    Report,
    RunsPage,
    RunView,
    Started,
    StatesPage,
    Work,
)
from karman_core.ports.backend import Backend
from karman_core.ports.executor import Executor
from karman_core.ports.observer import Observer
from karman_core.ports.queue import Incoming
from karman_core.ports.system import Clock, Entropy
from karman_core.ports.timers import Schedule


class Disposition(StrEnum):
    """What the caller does with a message that was worked on."""

    DONE = "done"
    """Delete it: all that follows is durable."""

    KEEP = "keep"
    """Leave it: it is to be delivered again."""


def never() -> bool:
    """The `stopping` of a worker that does not want to stop."""
    return False


class Engine:
    """The use cases. Safe for concurrent use on one event loop; make one per loop."""

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Clock,
        entropy: Entropy,
        executor: Executor | None = None,
        observer: Observer | None = None,
        settings: EngineSettings | None = None,
    ) -> None:
        self.settings = settings or EngineSettings()
        self._services = Services(backend, clock, entropy, self.settings, executor, observer)
        self._parts = Parts.of(self._services)
        lent = replace(self._services, executor=Suspender())
        self._leasing = Leasing(lent, Parts.of(lent, self._parts))

    # --- definitions --------------------------------------------------------------------------------------------------

    async def register_nodes(self, namespace: str, nodes: Sequence[RegisteredNode]) -> Registration:
        """Make or replace nodes; tells which graphs (their current versions) no longer fit them."""
        await self._parts.registry.put(namespace, nodes)
        names = {node.name for node in nodes}
        broken = {}
        for graph in await self._parts.graphs.names(namespace):
            view = await self._parts.graphs.current(namespace, graph)
            if names.isdisjoint(instance.node_name for instance in view.definition.nodes):
                continue
            problems = await self.check_graph(namespace, view.definition)
            if problems:
                broken[graph] = problems
        return Registration(tuple(node.name for node in nodes), broken)

    async def list_nodes(self, namespace: str) -> list[RegisteredNode]:
        """The registered nodes of a namespace, by name."""
        return await self._parts.registry.list(namespace)

    async def check_graph(self, namespace: str, definition: GraphDefinition) -> tuple[Problem, ...]:
        """Everything that is wrong with a definition, given the nodes that are registered. Stores nothing."""
        nodes = {}
        for owner, name in node_keys(definition):
            found = await self._parts.registry.find(owner or namespace, name)
            if found is not None:
                nodes[owner, name] = found
        return validate(definition, nodes)

    async def put_graph(
        self, namespace: str, definition: GraphDefinition, *, secrets: Mapping[str, str] | None = None
    ) -> GraphView:
        """Store a definition as the graph's next version, with its schedules and secrets.

        A definition with problems is stored too, as one that cannot be triggered.
        """
        if secrets:
            known = dict.fromkeys((*definition.secrets, *sorted(secrets)))
            definition = definition.model_copy(update={"secrets": tuple(known)})
        problems = await self.check_graph(namespace, definition)
        if secrets:
            await self._services.backend.secrets.put(scope(namespace, definition.name), secrets)
        view = await self._parts.graphs.put(namespace, definition, problems)
        await self._put_schedules(namespace, view)
        return view

    async def _put_schedules(self, namespace: str, view: GraphView) -> None:
        schedules = self._services.backend.schedules
        wanted = {}
        if view.valid:
            for place, trigger in enumerate(view.definition.triggers):
                name, value = trigger_name(trigger, place), trigger.value
                wanted[name] = Schedule(
                    namespace, view.name, name, value.expression, value.timezone, enabled=value.enabled
                )
        before = {schedule.trigger: schedule for schedule in await schedules.list(namespace, view.name)}
        for name, schedule in wanted.items():
            if before.get(name) != schedule:
                await schedules.put(schedule)
        for name in before.keys() - wanted.keys():
            await schedules.delete(namespace, view.name, name)

    async def get_graph(self, namespace: str, name: str, version: int | None = None) -> GraphView:
        """A version of a graph, by default the current one. Raises NotFound."""
        if version is None:
            return await self._parts.graphs.current(namespace, name)
        return await self._parts.graphs.version(namespace, name, version)

    async def list_graphs(self, namespace: str) -> list[str]:
        """The names of a namespace's graphs, sorted."""
        return await self._parts.graphs.names(namespace)

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def trigger(
        self,
        namespace: str,
        graph: str,
        *,
        inputs: Mapping[str, JSON] | None = None,
        store: Mapping[str, JSON] | None = None,
        start_delay_ms: int = 0,
        idempotency_key: str | None = None,
        timeout_ms: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Started:
        """Begin a run of the graph's current version.

        Args:
            inputs: for the graph's first node; they replace what the definition says.
            store: the first values of the run's store.
            start_delay_ms: the run begins so much later.
            idempotency_key: the same key and request again finds the same run.
            timeout_ms: the run ends TIMED_OUT so long after its start; default the graph's, else one year.

        Raises:
            NotFound, InvalidGraph, InvalidInput, PayloadTooLarge, Conflict: nothing has begun.
        """
        request = Request(
            namespace,
            graph,
            inputs or {},
            store or {},
            start_delay_ms,
            idempotency_key,
            timeout_ms,
            tags or {},
        )
        return await self._parts.triggers.trigger(request)

    async def fire(self, schedule: Schedule, at_ms: int) -> Started | None:
        """One firing of a cron trigger: one run for one scheduled time. None when it is skipped or gone."""
        return await self._parts.triggers.fire(schedule, at_ms)

    async def signal(
        self, namespace: str, run_id: str, name: str, payload: JSON = None, *, signal_id: str | None = None
    ) -> None:
        """Send a signal to a run; one that nobody awaits yet is kept. The same id again is the same signal.

        Raises:
            NotFound: no such run.
            Conflict: the run has ended.
            InvalidInput, PayloadTooLarge: no signal can have this name, id or payload.
        """
        check_signal(name, payload, self.settings.max_inputs_bytes, signal_id)
        header = await self._parts.lifecycle.header(namespace, run_id)
        if header.status in FINAL_RUNS:
            raise Conflict(f"Run '{run_id}' has ended ({header.status.value}); nobody can take the signal.")
        own = f"{self._services.clock.now_ms():015d}-{self._services.entropy.token()[:16]}"
        arguments = {"name": name, "id": signal_id or own, "payload": payload}
        await self._parts.sender.command(
            header.home, Command(CommandKind.SIGNAL, namespace, run_id, arguments)
        )

    async def cancel(self, namespace: str, run_id: str) -> RunView:
        """End a run as CANCELLED; states in flight may finish. Again is no error. Raises NotFound, Conflict."""
        return await self._command(namespace, run_id, CommandKind.CANCEL, RunStatus.CANCELLED)

    async def pause(self, namespace: str, run_id: str) -> RunView:
        """Begin no further states. Raises NotFound, Conflict when the run has ended."""
        return await self._command(namespace, run_id, CommandKind.PAUSE, RunStatus.PAUSED)

    async def resume(self, namespace: str, run_id: str) -> RunView:
        """Go on with a paused run. Raises NotFound, Conflict when the run has ended."""
        return await self._command(namespace, run_id, CommandKind.RESUME, RunStatus.RUNNING)

    async def retry(self, namespace: str, run_id: str) -> RunView:
        """Run every failed state of a FAILED run again, and what follows from it, in a new epoch.

        Raises:
            NotFound: no such run.
            Conflict: it has not FAILED, or a unite above a failed state has committed with the failure.
        """
        header = await self._parts.lifecycle.header(namespace, run_id)
        if header.status is not RunStatus.FAILED:
            raise Conflict(f"Run '{run_id}' is {header.status.value}; only a FAILED run can be retried.")
        await self._parts.reopener.check(header)
        arguments = {"epoch": header.run.epoch + 1}
        command = Command(CommandKind.RETRY, namespace, run_id, arguments)
        await self._parts.sender.command(header.home, command)
        await self._parts.commands.apply(command, thorough=False)
        return await self.get_run(namespace, run_id)

    async def _command(self, namespace: str, run_id: str, kind: CommandKind, after: RunStatus) -> RunView:
        """Message first, so that it is done whatever happens to this process; then at once, so that it shows."""
        header = await self._parts.lifecycle.header(namespace, run_id)
        if header.status in FINAL_RUNS and header.status is not after:
            raise Conflict(f"Run '{run_id}' has ended: {header.status.value}.")
        command = Command(kind, namespace, run_id, {"control": header.control})
        await self._parts.sender.command(header.home, command)
        await self._parts.commands.apply(command, thorough=False)
        return await self.get_run(namespace, run_id)

    async def get_run(self, namespace: str, run_id: str) -> RunView:
        """A run. Raises NotFound."""
        return await self._parts.reader.get_run(namespace, run_id)

    async def list_runs(
        self,
        namespace: str,
        *,
        graph: str | None = None,
        status: str | None = None,
        since_ms: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunsPage:
        """Runs of a namespace, newest first."""
        return await self._parts.reader.list_runs(
            namespace, graph=graph, status=status, since_ms=since_ms, limit=limit, cursor=cursor
        )

    async def list_states(
        self,
        namespace: str,
        run_id: str,
        *,
        cursor: str | None = None,
        limit: int = 100,
        identifier: str | None = None,
        status: str | None = None,
    ) -> StatesPage:
        """States of a run in the order of their branches. Raises NotFound."""
        return await self._parts.reader.list_states(
            namespace, run_id, cursor=cursor, limit=limit, identifier=identifier, status=status
        )

    async def read_store(self, namespace: str, run_id: str) -> dict[str, JSON]:
        """The run's store, defaults included. Raises NotFound."""
        return await self._parts.reader.read_store(namespace, run_id)

    # --- work ---------------------------------------------------------------------------------------------------------

    async def process(
        self,
        queue: str,
        message: Incoming,
        *,
        stopping: Callable[[], bool] = never,
        until_ms: int | None = None,
    ) -> Disposition:
        """Work on a message.

        Args:
            queue: that it was received from.
            stopping: asked before each state; when true the branch is handed on.
            until_ms: when this worker must be done (a Lambda's remaining time).

        Raises:
            BackendError: a port failed; leave the message, it will be delivered again.
        """
        await self._parts.receiver.receive(queue, message, stopping=stopping, until_ms=until_ms)
        return Disposition.DONE

    async def dead_letter(self, queue: str, message: Incoming) -> bool:
        """A message that was delivered too often: fail the state it stands at, and follow.

        Returns:
            False for a foreign message, which is to be archived.
        """
        return await self._parts.dead_letters.take(queue, message)

    async def poll(
        self,
        namespace: str,
        nodes: Sequence[str],
        *,
        limit: int = 1,
        wait_seconds: float = 0.0,
        lease_seconds: int | None = None,
    ) -> list[Work]:
        """Lease up to `limit` states that run any of the nodes, for a worker that has no queue."""
        return await self._leasing.poll(
            namespace,
            nodes,
            limit=limit,
            wait_seconds=wait_seconds,
            lease_seconds=lease_seconds or self.settings.lease_seconds,
        )

    async def heartbeat(
        self, namespace: str, state_id: str, lease: str | None = None, lease_seconds: int | None = None
    ) -> int:
        """Make a lease end later; when, epoch milliseconds. Raises NotFound, Conflict when the lease was lost."""
        seconds = lease_seconds or self.settings.lease_seconds
        return await self._leasing.heartbeat(namespace, state_id, lease, seconds)

    async def report(
        self, namespace: str, state_id: str, outcome: Outcome, *, lease: str | None = None
    ) -> Report:
        """Take how a leased state's execution ended. The same report again changes nothing.

        Raises:
            NotFound: no such state.
            Conflict: reported before with another result, the lease was lost, or the run has ended.
        """
        return await self._leasing.report(namespace, state_id, outcome, lease=lease)

    async def sweep(self) -> SweepReport:
        """The hourly guard: ends what is overdue, redrives what has stalled."""
        return await self._parts.sweeper.sweep()
