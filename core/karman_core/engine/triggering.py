"""Triggers: a run begins as a message that carries the run's header.

The message is sent before the header is written, so an acknowledged run cannot be lost; whoever comes first, the API or
the worker, writes the header. The request's hash tells apart two requests under one idempotency key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from karman_core.domain.cron import trigger_name
from karman_core.domain.definition import JSON, Overlap
from karman_core.domain.errors import (
    Conflict,
    InvalidGraph,
    InvalidInput,
    ItemTooLarge,
    NotFound,
    PayloadTooLarge,
    Problem,
)
from karman_core.domain.graph import Graph
from karman_core.domain.json_values import json_problems
from karman_core.domain.messages import Advance, Command, CommandKind, Position, RunRef
from karman_core.domain.run_inputs import run_problems
from karman_core.domain.tags import given_tag_problems
from karman_core.domain.transitions import FINAL_RUNS, RunStatus
from karman_core.engine import keys
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle, RunPurged
from karman_core.engine.payloads import dumps
from karman_core.engine.quotas import Quotas
from karman_core.engine.registry import NodeRegistry
from karman_core.engine.run_items import Header, header_json, request_hash
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.slots import Slots
from karman_core.engine.starts import StartLimits
from karman_core.engine.views import Started
from karman_core.ports.table import Key
from karman_core.ports.timers import Schedule


@dataclass(frozen=True, slots=True)
class Request:
    """What a trigger asks for; see Engine.trigger."""

    namespace: str
    graph: str
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    store: Mapping[str, JSON] = field(default_factory=dict)
    start_delay_ms: int = 0
    key: str | None = None
    timeout_ms: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    trigger: str | None = None
    run_id: str | None = None
    trace: str | None = None


class _KeyPurged(Conflict):
    """The run that the key began was deleted."""


class Triggers:
    """Begins runs."""

    def __init__(
        self,
        services: Services,
        graphs: GraphStore,
        registry: NodeRegistry,
        lifecycle: Lifecycle,
        sender: Sender,
        starts: StartLimits,
        quotas: Quotas,
        slots: Slots,
    ) -> None:
        self._services = services
        self._starts = starts
        self._slots = slots
        self._quotas = quotas
        self._graphs = graphs
        self._registry = registry
        self._lifecycle = lifecycle
        self._sender = sender

    async def trigger(self, request: Request) -> Started:
        """Begin a run, or find the one that this idempotency key began.

        Raises:
            NotFound: no such graph, or its first node is not registered.
            InvalidGraph: the graph was stored with problems.
            InvalidInput: inputs, store or tags do not fit; every reason is listed.
            PayloadTooLarge: inputs and store values together are over the limit.
            QuotaExceeded: over a quota of the namespace, or a limit of the graph that refuses.
            Conflict: the idempotency key began a run for another request.
        """
        self._quotas.peek(request.namespace)  # Read beside the graph.
        view = await self._graphs.current(request.namespace, request.graph)
        if not view.valid:
            raise InvalidGraph(
                f"Graph '{request.graph}' has problems and cannot be triggered.", view.problems
            )
        graph = await self._graphs.compiled(request.namespace, request.graph, view.version)
        await self._check(request, graph)
        header = await self._header(request, graph, view.version)
        # Its inputs ride in the header.
        return await self.existing(header) or await self.begin(
            header, graph, Position(header.run, (), 0, graph.root)
        )

    async def begin(
        self,
        header: Header,
        graph: Graph,
        position: Position,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> Started:
        """Begin a run at a position. Raises QuotaExceeded, Conflict as trigger.

        Args:
            prepare: done before the run is sent, once no limit refuses it.
        """
        header = await self._slots.admit(header)
        try:
            header = await self._starts.place(graph, header)
            if prepare is not None:
                await prepare()
            await self._send(header, graph, replace(position, run=header.run))
        except Exception:
            await self._slots.abandon(header, header.run.epoch)
            raise
        if await self._lifecycle.begin(header):
            return Started(header.run.run_id, created=True)
        # Somebody was quicker; if the request was the same, that is this run.
        return await self.existing(header) or Started(header.run.run_id, created=True)

    async def fire(self, schedule: Schedule, at_ms: int) -> Started | None:
        """One firing of a cron trigger: one run, however often it is told. None when it is skipped or gone.

        Raises:
            InvalidGraph, InvalidInput, QuotaExceeded: as trigger; the next firing is the next try.
        """
        try:
            view = await self._graphs.current(schedule.namespace, schedule.graph)
        except NotFound:
            return None
        found = [
            trigger.value
            for place, trigger in enumerate(view.definition.triggers)
            if trigger_name(trigger, place) == schedule.trigger and trigger.value.enabled
        ]
        if not found:
            return None
        value, last = found[0], keys.cron(schedule.namespace, schedule.graph, schedule.trigger)
        key = f"cron:{schedule.trigger}:{at_ms}"
        run_id = run_id_of(schedule.namespace, schedule.graph, key)
        if value.overlap is Overlap.SKIP and await self._previous_goes_on(schedule.namespace, last, run_id):
            return None
        request = Request(
            schedule.namespace,
            schedule.graph,
            value.inputs,
            value.store,
            key=key,
            timeout_ms=None if value.timeout_seconds is None else round(value.timeout_seconds * 1000),
            trigger=schedule.trigger,
            run_id=run_id,
        )
        try:
            started = await self.trigger(request)
        except _KeyPurged:
            return None
        await self._services.backend.table.put({"pk": last.pk, "sk": last.sk, "run": run_id})
        return started

    async def _previous_goes_on(self, namespace: str, last: Key, run_id: str) -> bool:
        item = await self._services.backend.table.get(last)
        if item is None or item["run"] == run_id:
            return False
        try:
            header = await self._lifecycle.header(namespace, item["run"])
        except NotFound:
            return False
        return header.status not in FINAL_RUNS

    async def _header(self, request: Request, graph: Graph, version: int) -> Header:
        now = self._services.clock.now_ms()
        run_id = request.run_id or self.run_id(request.namespace, request.graph, request.key, now)
        starts = now + request.start_delay_ms
        timeout = self._timeout_ms(request, graph)
        run = RunRef(request.namespace, run_id, request.graph, version, 0, starts + timeout, request.trace)
        return Header(
            run=run,
            status=RunStatus.RUNNING,
            created_ms=now,
            starts_ms=starts,
            request=request_hash(
                request.graph,
                dict(request.inputs),
                dict(request.store),
                request.start_delay_ms,
                request.timeout_ms,
                dict(request.tags),
            ),
            home=await self._sender.queue_of(graph, request.namespace, graph.root),
            inputs=request.inputs,
            store=request.store,
            tags={**graph.tags.at_start(graph.instances[graph.root], request.inputs), **request.tags},
            key=request.key,
            trigger=request.trigger,
            timed=request.timeout_ms is not None or graph.definition.timeout_seconds is not None,
            slot=graph.slot(request.inputs),
        )

    def run_id(self, namespace: str, graph: str, key: str | None, now: int) -> str:
        """The id of a run that begins now."""
        if key is not None:
            return run_id_of(namespace, graph, key)
        return f"r{now:011x}{self._services.entropy.token()[:14]}"

    def _timeout_ms(self, request: Request, graph: Graph) -> int:
        if request.timeout_ms is not None:
            return request.timeout_ms
        seconds = graph.definition.timeout_seconds or self._services.settings.run_deadline_seconds
        return int(seconds * 1000)

    async def existing(self, header: Header) -> Started | None:
        """What was begun for this request before, if anything. Raises Conflict as trigger."""
        try:
            before = await self._lifecycle.header(header.run.namespace, header.run.run_id)
        except RunPurged as purged:
            raise _KeyPurged(
                f"Idempotency key '{header.key}' began run '{header.run.run_id}', which was purged; use another key."
            ) from purged
        except NotFound:
            return None
        if before.request != header.request:
            raise _other_request(header)
        return Started(header.run.run_id, created=False)

    async def _send(self, header: Header, graph: Graph, position: Position) -> None:
        run = header.run
        first = Advance(position, header=header_json(header))
        if header.timed:
            # Before the run itself: a run that began keeps its time limit whatever happens here.
            deadline = Command(CommandKind.DEADLINE, run.namespace, run.run_id)
            await self._sender.command(header.home, deadline, at_ms=run.deadline_ms)
        queue = await self._sender.queue_of(graph, run.namespace, position.identifier)
        try:
            await self._sender.send(queue, [first], at_ms=header.starts_ms)
        except ItemTooLarge as error:  # each is within its limit, but a message has to hold all of them
            raise PayloadTooLarge(
                f"Inputs, store values and tags together are too much for a run to begin with ({error.message}). "
                "Pass a reference instead."
            ) from error

    async def _check(self, request: Request, graph: Graph) -> None:
        await self.check_values(
            request,
            graph,
            [
                *given_tag_problems(request.tags),
                *json_problems({"tags": dict(request.tags), "idempotency_key": request.key}),
                *_time_problems(request),
            ],
        )

    async def check_values(
        self, request: Request, graph: Graph, others: Sequence[Problem] = (), start: str | None = None
    ) -> None:
        """Check the inputs and store values of a request; `start` is the instance that reads the inputs.

        Raises:
            InvalidInput, PayloadTooLarge, QuotaExceeded, NotFound: as trigger.
        """
        instance = graph.instances[start or graph.root]
        node = await self._registry.get(instance.namespace or request.namespace, instance.node_name)
        problems = [
            *run_problems(
                instance, node, graph.definition.store_config, inputs=request.inputs, store=request.store
            ),
            *others,
        ]
        if problems:
            raise InvalidInput(f"Graph '{request.graph}' cannot be triggered like this.", problems)
        size = len(dumps([dict(request.inputs), dict(request.store)]).encode())
        limit = self._services.settings.max_inputs_bytes
        if size > limit:
            raise PayloadTooLarge(
                f"Inputs and store values take {size:,} bytes; the limit is {limit:,}. Pass a reference instead."
            )
        (await self._quotas.of(request.namespace)).check_payload("Inputs and store values", size)


def run_id_of(namespace: str, graph: str, key: str) -> str:
    """The id of the run that an idempotency key names."""
    digest = hashlib.sha256(f"{namespace}\0{graph}\0{key}".encode()).hexdigest()
    return f"k{digest[:25]}"


def _other_request(header: Header) -> Conflict:
    return Conflict(
        f"Idempotency key '{header.key}' began run '{header.run.run_id}' for another request; "
        "send the same request, or use another key."
    )


def _time_problems(request: Request) -> list[Problem]:
    problems = []
    if request.start_delay_ms < 0:
        problems.append(Problem("start_delay_ms", "invalid_value", "The start delay is not negative."))
    if request.timeout_ms is not None and request.timeout_ms <= 0:
        problems.append(Problem("timeout_ms", "invalid_value", "The time-out is greater than 0."))
    return problems
