"""The engine: every use case, over one backend. API, CLI, workers and tests all go through here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from karman_core.domain.definition import JSON, CronTrigger, GraphDefinition, RegisteredNode
from karman_core.domain.errors import Conflict, Problem
from karman_core.domain.layouts import LAYOUT
from karman_core.domain.messages import Command, CommandKind
from karman_core.domain.outcome import Outcome
from karman_core.domain.tracing import trace_parent as valid_trace_parent
from karman_core.domain.transitions import FINAL_RUNS
from karman_core.engine.auditing import AuditLog
from karman_core.engine.definitions import Definitions
from karman_core.engine.layout_table import LayoutBackend
from karman_core.engine.leasing import Leasing, Suspender
from karman_core.engine.listing import RunFilter
from karman_core.engine.namespaces import Namespaces
from karman_core.engine.operations import Operations
from karman_core.engine.operators import Operator
from karman_core.engine.overview import Overview
from karman_core.engine.parts import Parts
from karman_core.engine.reconciling import Reconciler
from karman_core.engine.services import Services
from karman_core.engine.settings import EngineSettings
from karman_core.engine.signals import check_signal
from karman_core.engine.sweeping import SweepReport
from karman_core.engine.triggering import Request
from karman_core.engine.views import (
    GraphView,
    GroupsPage,
    GroupView,
    LeaseView,
    Registration,
    Released,
    Report,
    RunsPage,
    RunView,
    Started,
    StatesPage,
    StateView,
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
        layout: int = LAYOUT,
    ) -> None:
        self.settings = settings or EngineSettings()
        guarded = LayoutBackend(backend, layout)
        self._services = Services(guarded, clock, entropy, self.settings, executor, observer, layout)
        self._parts = Parts.of(self._services)
        self.operations = Operations(self._parts)
        self.audit = AuditLog(self._services)
        self.quotas = self._parts.quotas
        self.reconciler = Reconciler(self._services, self._parts.graphs)
        namespaces = Namespaces(guarded.table, clock)
        self._definitions = Definitions(self._services, self._parts.registry, self._parts.graphs, namespaces)
        self.overview = Overview.of(self._services, self._parts, namespaces)
        lent = replace(self._services, executor=Suspender())
        self._leasing = Leasing(lent, Parts.of(lent, self._parts))

    def operator(self, by: str) -> Operator:
        """The operations of somebody, each recorded: `by` is who, as the audit log has it."""
        return Operator(self, by)

    # --- definitions --------------------------------------------------------------------------------------------------

    async def register_nodes(self, namespace: str, nodes: Sequence[RegisteredNode]) -> Registration:
        """Make or replace nodes; tells which graphs (their current versions) no longer fit them."""
        return await self._definitions.register(namespace, nodes)

    async def list_nodes(self, namespace: str) -> list[RegisteredNode]:
        """The registered nodes of a namespace, by name."""
        return await self._parts.registry.list(namespace)

    async def check_graph(self, namespace: str, definition: GraphDefinition) -> tuple[Problem, ...]:
        """Everything that is wrong with a definition, given the nodes that are registered. Stores nothing."""
        return await self._definitions.check(namespace, definition)

    async def put_graph(
        self, namespace: str, definition: GraphDefinition, *, secrets: Mapping[str, str] | None = None
    ) -> GraphView:
        """Store a definition as the graph's next version, with its schedules and secrets.

        A definition with problems is stored too, as one that cannot be triggered.
        """
        return await self._definitions.put(namespace, definition, secrets=secrets)

    async def get_graph(self, namespace: str, name: str, version: int | None = None) -> GraphView:
        """A version of a graph, by default the current one. Raises NotFound."""
        if version is None:
            return await self._parts.graphs.current(namespace, name)
        return await self._parts.graphs.version(namespace, name, version)

    async def list_graphs(self, namespace: str) -> list[str]:
        """The names of a namespace's graphs, sorted."""
        return await self._parts.graphs.names(namespace)

    async def delete_graph(self, namespace: str, name: str) -> None:
        """End a graph, its schedules and its secrets; runs that go on keep their version. Raises NotFound.

        A graph that is stored later under this name goes on counting versions.
        """
        await self._definitions.delete(namespace, name)

    async def set_trigger(self, namespace: str, graph: str, trigger: str, *, enabled: bool) -> CronTrigger:
        """Enable or disable a cron trigger, which makes a new version of its graph. Raises NotFound."""
        return await self._definitions.set_trigger(namespace, graph, trigger, enabled=enabled)

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def trigger(  # noqa: PLR0913  what a trigger may say
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
        trace_parent: str | None = None,
    ) -> Started:
        """Begin a run of the graph's current version.

        Args:
            inputs: for the graph's first node; they replace what the definition says.
            store: the first values of the run's store.
            start_delay_ms: the run begins so much later.
            idempotency_key: the same key and request again finds the same run.
            timeout_ms: the run ends TIMED_OUT so long after its start; default the graph's, else one year.
            trace_parent: a W3C `traceparent`, which every node of the run is told; one that is not valid is ignored.

        Raises:
            NotFound, InvalidGraph, InvalidInput, PayloadTooLarge, QuotaExceeded, Conflict: nothing has begun.
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
            trace=valid_trace_parent(trace_parent),
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
            InvalidInput, PayloadTooLarge, QuotaExceeded: no signal can have this name, id or payload.
        """
        size = check_signal(name, payload, self.settings.max_inputs_bytes, signal_id)
        (await self.quotas.of(namespace)).check_payload(f"The payload of signal '{name}'", size)
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
        return await self.operations.cancel(namespace, run_id)

    async def pause(self, namespace: str, run_id: str) -> RunView:
        """Begin no further states. Raises NotFound, Conflict when the run has ended."""
        return await self.operations.pause(namespace, run_id)

    async def resume(self, namespace: str, run_id: str) -> RunView:
        """Go on with a paused run. Raises NotFound, Conflict when the run has ended."""
        return await self.operations.resume(namespace, run_id)

    async def retry(self, namespace: str, run_id: str) -> RunView:
        """Run every failed state of a FAILED run again, and what follows from it, in a new epoch.

        Raises:
            NotFound: no such run.
            Conflict: it has not FAILED, or a unite above a failed state has committed with the failure.
        """
        return await self.operations.retry(namespace, run_id)

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
        until_ms: int | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunsPage:
        """Runs of a namespace, newest first: created from `since_ms` on and before `until_ms`, with all of the tags.

        A page may hold fewer runs than the limit, or none, and have a cursor all the same. Raises InvalidRequest.
        """
        wanted = RunFilter(graph, status, since_ms, until_ms, tags or {})
        return await self._parts.lister.page(namespace, wanted, limit, cursor)

    async def list_states(
        self,
        namespace: str,
        run_id: str,
        *,
        cursor: str | None = None,
        limit: int = 100,
        identifier: str | None = None,
        status: str | None = None,
        branch: str | None = None,
    ) -> StatesPage:
        """States of a run in the order of their branches; with `branch`, of that one and those below it.

        Raises:
            NotFound: no such run.
            InvalidRequest: a limit, a cursor or a branch that cannot be.
        """
        return await self._parts.reader.list_states(
            namespace,
            run_id,
            cursor=cursor,
            limit=limit,
            identifier=identifier,
            status=status,
            branch=branch,
        )

    async def get_state(self, namespace: str, run_id: str, state_id: str) -> StateView:
        """One state of a run, with its attempts. Raises NotFound."""
        return await self._parts.reader.get_state(namespace, run_id, state_id)

    async def list_groups(
        self,
        namespace: str,
        run_id: str,
        *,
        parent: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> GroupsPage:
        """How far the groups are that states of the first branch opened, or states in the branches of another group.

        Raises:
            NotFound: no such run, or the state `parent` has opened no group.
            InvalidRequest: a limit or a cursor that cannot be.
        """
        return await self._parts.groups.list(namespace, run_id, parent=parent, limit=limit, cursor=cursor)

    async def get_group(self, namespace: str, run_id: str, state_id: str) -> GroupView:
        """How far the group is that a state opened. Raises NotFound."""
        return await self._parts.groups.get(namespace, run_id, state_id)

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

    async def dead_letter(self, queue: str | None, message: Incoming) -> bool:
        """A message that was delivered too often: fail the state it stands at, and follow.

        Args:
            queue: the task queue that it died on; None where that is not known: the run's own is taken.

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
    ) -> LeaseView:
        """Make a lease end later, and hear whether to stop. Raises NotFound, Conflict when the lease was lost."""
        seconds = lease_seconds or self.settings.lease_seconds
        return await self._leasing.heartbeat(namespace, state_id, lease, seconds)

    async def release(self, namespace: str, state_id: str, lease: str | None = None) -> Released:
        """Give a lease back: the next worker has the state at once. Raises NotFound, Conflict when it was lost."""
        return await self._leasing.release(namespace, state_id, lease)

    async def report(
        self, namespace: str, state_id: str, outcome: Outcome, *, lease: str | None = None
    ) -> Report:
        """Take how a leased state's execution ended. The same report again changes nothing.

        Raises:
            NotFound: no such state.
            Conflict: reported before with another result, the lease was lost, or the run has ended.
        """
        return await self._leasing.report(namespace, state_id, outcome, lease=lease)

    async def sweep(self, until_ms: int | None = None) -> SweepReport:
        """The hourly guard: ends what is overdue, redrives what has stalled.

        Args:
            until_ms: when to stop (epoch milliseconds); the next sweep goes on from there. None for no limit.
        """
        return await self._parts.sweeper.sweep(until_ms)
