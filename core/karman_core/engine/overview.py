"""Looking at much at once: many runs, a run as it changes, namespaces."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Self

from karman_core.domain.errors import NotFound
from karman_core.domain.statistics import RunFacts, most_frequent, summarize
from karman_core.domain.transitions import FINAL_RUNS, RunStatus
from karman_core.engine.failures import Failures
from karman_core.engine.graphs import GraphStore
from karman_core.engine.group_reading import GroupReader
from karman_core.engine.listing import RunFilter, RunLister
from karman_core.engine.namespaces import Namespaces
from karman_core.engine.parts import Parts
from karman_core.engine.payloads import dumps
from karman_core.engine.reading import Reader
from karman_core.engine.registry import NodeRegistry, queue_name
from karman_core.engine.run_items import Header
from karman_core.engine.services import Services
from karman_core.engine.summaries import FailureCount, NamespaceView, RunProgress, Statistics
from karman_core.engine.views import TotalsView
from karman_core.ports.queue import Depth

MOST_RUNS = 10_000
"""That statistics look through."""

MOST_FAILED_RUNS = 100
"""Into which statistics look for what failed: each takes some reads."""

MOST_FAILURES = 20
"""Of one run that are counted, and node instances that are named."""

MOST_GROUPS = 100
"""That the progress of a run has."""

_CHUNK = 500
_AT_ONCE = 10
_DIGEST_CHARACTERS = 32


class Overview:
    """The use cases."""

    def __init__(
        self,
        *,
        lister: RunLister,
        reader: Reader,
        groups: GroupReader,
        graphs: GraphStore,
        registry: NodeRegistry,
        failures: Failures,
        namespaces: Namespaces,
        services: Services,
    ) -> None:
        self._services = services
        self._lister = lister
        self._reader = reader
        self._groups = groups
        self._graphs = graphs
        self._registry = registry
        self._failures = failures
        self._namespaces = namespaces

    @classmethod
    def of(cls, services: Services, parts: Parts, namespaces: Namespaces) -> Self:
        """Make it of an engine's parts."""
        return cls(
            lister=parts.lister,
            reader=parts.reader,
            groups=parts.groups,
            graphs=parts.graphs,
            registry=parts.registry,
            failures=Failures(services, parts.base.walker),
            namespaces=namespaces,
            services=services,
        )

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def statistics(
        self,
        namespace: str,
        *,
        graph: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Statistics:
        """The runs created from `since_ms` on and before `until_ms` (epoch ms) together, the newest 10,000 of them."""
        wanted = RunFilter(graph=graph, since_ms=since_ms, until_ms=until_ms)
        facts: list[RunFacts] = []
        failed: list[Header] = []
        complete = True
        async with aclosing(self._lister.entries(namespace, wanted, _CHUNK)) as entries:
            async for _, header in entries:
                if header is None:
                    continue
                if len(facts) == MOST_RUNS:
                    complete = False
                    break
                facts.append(self._facts(header))
                if header.status is RunStatus.FAILED and len(failed) < MOST_FAILED_RUNS:
                    failed.append(header)
        summary = summarize(facts)
        return Statistics(
            runs=summary.runs,
            by_status=summary.by_status,
            durations=summary.durations,
            totals=TotalsView(**summary.totals._asdict()),
            failures=await self._count_failures(failed),
            failed_runs=len(failed),
            complete=complete,
        )

    async def progress(self, namespace: str, run_id: str) -> RunProgress:
        """How a run stands, with a digest by which a change is known. Raises NotFound."""
        run = await self._reader.get_run(namespace, run_id)
        page = await self._groups.list(namespace, run_id, parent=None, limit=MOST_GROUPS, cursor=None)
        text = dumps([asdict(run), *map(asdict, page.groups)])
        digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return RunProgress(run, page.groups, digest, run.ended)

    def _facts(self, header: Header) -> RunFacts:
        ended = header.ended_ms if header.status in FINAL_RUNS else None
        # A run that was cancelled before its delayed start took no time.
        duration = None if ended is None else max(0, ended - header.starts_ms)
        return RunFacts(self._lister.view(header).status, duration, header.totals)

    async def _count_failures(self, failed: Sequence[Header]) -> tuple[FailureCount, ...]:
        found: list[str] = []
        for start in range(0, len(failed), _AT_ONCE):
            some = failed[start : start + _AT_ONCE]
            for identifiers in await asyncio.gather(*map(self._failed_in, some)):
                found += identifiers
        return tuple(FailureCount(name, count) for name, count in most_frequent(found, MOST_FAILURES))

    async def _failed_in(self, header: Header) -> list[str]:
        """Identifiers of the states that made a run fail."""
        run = header.run
        graph = await self._graphs.compiled(run.namespace, run.graph, run.version)
        found: list[str] = []
        async for failure in self._failures.of_run(graph, run):
            found.append(failure.position.identifier)
            if len(found) == MOST_FAILURES:
                break
        return found

    # --- namespaces ---------------------------------------------------------------------------------------------------

    async def namespaces(self, limit: int, after: str | None = None) -> list[str]:
        """Names of namespaces in order, those after a name, at most so many."""
        return await self._namespaces.names(limit, after)

    async def namespace(self, namespace: str) -> NamespaceView:
        """What is in a namespace. Raises NotFound."""
        created = await self._namespaces.created_ms(namespace)
        if created is None:
            raise NotFound(f"There is no namespace '{namespace}'.")
        nodes = await self._registry.list(namespace)
        graphs = await self._graphs.names(namespace)
        return NamespaceView(namespace, created, len(nodes), len(graphs))

    async def backlog(self, namespace: str) -> dict[str, Depth | None]:
        """How much waits in the task queues of a namespace's runtimes, by queue; None where there is no queue yet."""
        nodes = await self._registry.list(namespace)
        found: dict[str, Depth | None] = {}
        for queue in sorted({queue_name(namespace, node.runtime) for node in nodes}):
            try:
                found[queue] = await self._services.backend.queue.depth(queue)
            except NotFound:
                found[queue] = None
        return found

    async def create_namespace(self, namespace: str) -> NamespaceView:
        """Make a namespace, unless it is there."""
        await self._namespaces.note(namespace)
        return await self.namespace(namespace)
