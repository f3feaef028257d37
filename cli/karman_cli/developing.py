"""`karman dev`: workers, cron and the hourly guard in one process, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from karman._internal.node import declaration_of
from karman_cli.databases import local_settings, new_database
from karman_cli.logs import log_to_stderr
from karman_cli.output import note, print_document
from karman_cli.registering import check_secrets_used, put_valid, register
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import Conflict
from karman_core.ports.observer import Observation, RunBegan, RunEnded, StateCommitted
from karman_runtime.composition import Assembly, assembled
from karman_runtime.loading import Loaded, load, split_target
from karman_runtime.settings import Settings
from karman_runtime.shutdown import on_signals
from karman_runtime.sweeper import sweep_forever

GRACE_SECONDS = 10.0

logger = logging.getLogger("karman")


@dataclass(frozen=True, slots=True)
class Request:
    """The options of the command."""

    modules: tuple[str, ...]
    nodes_from: tuple[str, ...]
    db: Path | None
    concurrency: int
    runtime: str | None
    namespace: str | None
    secrets: Mapping[str, str]
    as_json: bool


class RunLog:
    """The engine's observer: a log line when a run begins or ends, and when an attempt fails."""

    def observe(self, observation: Observation) -> None:
        """Write a line, if it is worth one."""
        match observation:
            case RunBegan(_, run_id, graph):
                logger.info("run began", extra={"run_id": run_id, "graph": graph})
            case RunEnded(_, run_id, status):
                logger.info("run ended", extra={"run_id": run_id, "status": status})
            case StateCommitted() if observation.error is not None:
                logger.warning(
                    "attempt failed",
                    extra={
                        "run_id": observation.run_id,
                        "state_id": observation.state_id,
                        "attempt": observation.attempt,
                        "error": observation.error,
                    },
                )
            case _:
                pass


def serve(request: Request) -> None:
    """Work until SIGINT or SIGTERM.

    Raises:
        LoadError, InvalidGraph, InvalidInput, InvalidNode: nothing was begun.
    """
    settings = local_settings()
    changes = {"namespace": request.namespace, "runtime": request.runtime}
    settings = settings.model_copy(update={key: value for key, value in changes.items() if value})
    # What a server does is of interest; a level that was set explicitly stands.
    log_to_stderr(settings.log_level if "log_level" in settings.model_fields_set else "info")
    with contextlib.redirect_stdout(sys.stderr):
        loaded = [load(split_target(module)[0], request.nodes_from) for module in request.modules]
    definitions = _definitions(loaded)
    check_secrets_used(request.secrets, definitions)
    database = new_database(request.db, settings)
    nodes = dict.fromkeys(node for each in loaded for node in each.nodes)
    with assembled(
        settings, database, nodes=nodes, observer=RunLog(), concurrency=request.concurrency
    ) as assembly:
        asyncio.run(_Server(request, settings, assembly, loaded, definitions).serve(database))


def _definitions(loaded: Sequence[Loaded]) -> list[GraphDefinition]:
    """The graphs of all modules. Raises Conflict for two of one name."""
    found: dict[str, tuple[str, GraphDefinition]] = {}
    for each in loaded:
        for graph in each.graphs:
            name = graph.definition.name
            other, definition = found.setdefault(name, (each.target, graph.definition))
            if definition != graph.definition:
                raise Conflict(
                    f"{other} and {each.target} both have a graph '{name}'; give one another name."
                )
    return [definition for _, definition in found.values()]


@dataclass(frozen=True, slots=True)
class _Server:
    """What `karman dev` is made of."""

    request: Request
    settings: Settings
    assembly: Assembly
    loaded: Sequence[Loaded]
    definitions: Sequence[GraphDefinition]

    async def serve(self, database: Path) -> None:
        """Make nodes and graphs known, then work until stopped."""
        queues = await self._prepare()
        worker = self.assembly.worker(
            queues, concurrency=self.request.concurrency, grace_seconds=GRACE_SECONDS
        )
        beside = [
            asyncio.create_task(self.assembly.cron().run()),
            asyncio.create_task(sweep_forever(self.assembly.engine, self.assembly.clock)),
        ]

        def stop() -> None:
            note("stopping: waiting for nodes that are running; press Ctrl-C again to exit at once")
            worker.stop()

        try:
            with on_signals(stop):
                self._say_ready(database)
                with contextlib.redirect_stdout(sys.stderr):
                    await worker.run_until(_first_failure(beside))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    async def _prepare(self) -> list[str]:
        """The task queues to work on. All nodes come first: a graph may use those of another module."""
        namespace = self.settings.namespace
        queues: list[str] = []
        for each in self.loaded:
            own = [graph.definition for graph in each.graphs]
            queues += await register(self.assembly, namespace, each, own, self.settings.runtime)
        for definition in self.definitions:
            await put_valid(self.assembly, namespace, definition, self.request.secrets)
        return list(dict.fromkeys(queues))

    def _say_ready(self, database: Path) -> None:
        nodes = sorted({declaration_of(node).name for each in self.loaded for node in each.nodes})
        graphs = sorted(definition.name for definition in self.definitions)
        if self.request.as_json:
            print_document({"ready": True, "database": str(database), "nodes": nodes, "graphs": graphs})
        else:
            names = ", ".join(graphs) or "none"
            note(f"ready: {len(nodes)} nodes, graphs {names}, database {database}; Ctrl-C stops")


async def _first_failure(tasks: list[asyncio.Task[None]]) -> None:
    """Raise what the first of the loops raised; they do not end otherwise."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
