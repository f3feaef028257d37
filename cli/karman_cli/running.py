"""`karman run`: one run, from its start to its end, with a worker in this process."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from karman_cli.displays import Display, make_display
from karman_cli.progress import Progress
from karman_cli.registering import inputs_schema, put_valid, register
from karman_cli.values import fitted
from karman_cli.watching import Lookout, Watch
from karman_core.domain.definition import JSON, GraphDefinition

if TYPE_CHECKING:
    from karman_core.engine.views import RunView
    from karman_runtime.composition import Assembly
    from karman_runtime.loading import Loaded

PAGE = 500
RECALLED_PAGES = 20


@dataclass(frozen=True, slots=True)
class Start:
    """How a run is started.

    Attributes:
        typed: inputs as typed on the command line; they are fitted to the root node's fields.
        inputs: inputs as JSON; typed ones win.
        tags: of the run.
    """

    typed: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    store: Mapping[str, JSON] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is worked on and shown.

    Attributes:
        runtime: the name of the runtime, if it was given.
        grace_seconds: how long running nodes may go on after Ctrl-C.
        where: options that lead another terminal to the same database.
    """

    runtime: str | None
    concurrency: int
    grace_seconds: float
    quiet: bool
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The run as it stood when this process ended its work, and whether that was the user's wish."""

    run: RunView
    interrupted: bool


class Running:
    """One run in this process."""

    def __init__(
        self, assembly: Assembly, loaded: Loaded, watch: Watch, namespace: str, manner: Manner
    ) -> None:
        self._assembly = assembly
        self._loaded = loaded
        self._watch = watch
        self._namespace = namespace
        self._manner = manner

    async def start(self, definition: GraphDefinition, start: Start) -> Outcome:
        """Register the nodes, store the graph, trigger it, and work until the run ends or the user interrupts.

        Raises:
            InvalidGraph, InvalidInput: nothing was started; every reason is listed.
        """
        engine = self._assembly.engine
        queues = await self._register(definition)
        await put_valid(self._assembly, self._namespace, definition, start.secrets)
        schema = await inputs_schema(engine, self._namespace, definition)
        started = await engine.trigger(
            self._namespace,
            definition.name,
            inputs={**start.inputs, **fitted(start.typed, schema)},
            store=start.store,
            timeout_ms=None if start.timeout_seconds is None else round(start.timeout_seconds * 1000),
            tags=start.tags,
        )
        progress = self._watch.follow(definition, started.run_id)
        return await self._work(progress, started.run_id, queues)

    async def resume(self, run: RunView) -> Outcome:
        """Work on a run that an earlier process began. The graph stays that of the run; the code may be newer."""
        graph = await self._assembly.engine.get_graph(self._namespace, run.graph, run.graph_version)
        queues = await self._register(graph.definition)
        progress = self._watch.follow(graph.definition, run.run_id)
        await self._recall(progress, run)
        return await self._work(progress, run.run_id, queues)

    async def _register(self, definition: GraphDefinition) -> list[str]:
        return await register(
            self._assembly, self._namespace, self._loaded, [definition], self._manner.runtime
        )

    async def _recall(self, progress: Progress, run: RunView) -> None:
        """Count what is done already; of very wide runs the first part alone, as reading all would take a while."""
        cursor = None
        for _ in range(RECALLED_PAGES):
            page = await self._assembly.engine.list_states(
                run.namespace, run.run_id, cursor=cursor, limit=PAGE
            )
            for state in page.states:
                progress.recall(state)
            cursor = page.cursor
            if cursor is None:
                return

    async def _work(self, progress: Progress, run_id: str, queues: list[str]) -> Outcome:
        lookout = Lookout(
            self._assembly.engine, self._assembly.clock, self._namespace, run_id, where=self._manner.where
        )
        display = make_display(progress, quiet=self._manner.quiet, terminal=sys.stderr.isatty())
        # stdout is for the result alone; what nodes print goes beside the progress.
        with contextlib.redirect_stdout(sys.stderr), display:
            showing = asyncio.create_task(_keep_showing(display))
            try:
                interrupted = await self._until_ended(lookout, display, queues)
            finally:
                showing.cancel()
        run = await self._assembly.engine.get_run(self._namespace, run_id)
        return Outcome(run, interrupted and not run.ended)

    async def _until_ended(self, lookout: Lookout, display: Display, queues: list[str]) -> bool:
        """Work; True when the user interrupted it."""
        from karman_runtime.shutdown import on_signals

        interrupted = False
        worker = self._assembly.worker(
            queues, concurrency=self._manner.concurrency, grace_seconds=self._manner.grace_seconds
        )

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            if self._manner.grace_seconds and worker.snapshot().in_flight:
                display.say(
                    "stopping: waiting for nodes that are running; press Ctrl-C again to exit at once"
                )
            worker.stop()

        with on_signals(interrupt):
            await worker.run_until(lookout.until_ended(self._watch.noticed, display))
        return interrupted


async def _keep_showing(display: Display) -> None:
    while True:
        display.refresh()
        await asyncio.sleep(display.interval_seconds)
