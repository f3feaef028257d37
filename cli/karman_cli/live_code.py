"""What `karman dev` runs: the modules as they were loaded last, and the workers of each load.

New code gets a worker of its own before the one of the code before is stopped, so that work is taken at any time. What
the old worker has begun it finishes with the old code, as far as its grace goes; the rest is given to the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from karman._internal.node import Node, declaration_of
from karman_cli.registering import check_secrets_used, put_valid, register
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import Conflict
from karman_runtime.composition import Assembly
from karman_runtime.loading import Loaded, load, split_target
from karman_runtime.settings import Settings
from karman_runtime.sources import without_bytecode
from karman_runtime.worker import Worker

GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Code:
    """All modules, as loaded at one time."""

    loaded: tuple[Loaded, ...]
    definitions: tuple[GraphDefinition, ...]

    @property
    def nodes(self) -> tuple[type[Node], ...]:
        """The node classes of all modules, each once."""
        return tuple(dict.fromkeys(node for each in self.loaded for node in each.nodes))

    @property
    def node_names(self) -> list[str]:
        """The names of its nodes, sorted."""
        return sorted({declaration_of(node).name for node in self.nodes})

    @property
    def graph_names(self) -> list[str]:
        """The names of its graphs, sorted."""
        return sorted(definition.name for definition in self.definitions)


def load_code(modules: Sequence[str], nodes_from: Sequence[str], secrets: Mapping[str, str]) -> Code:
    """Import what the user named.

    Raises:
        LoadError, InvalidGraph: a module or file cannot be used.
        Conflict: two graphs of one name.
        InvalidInput: a secret that no graph reads.
    """
    with contextlib.redirect_stdout(sys.stderr), without_bytecode():
        loaded = tuple(load(split_target(module)[0], nodes_from) for module in modules)
    code = Code(loaded, tuple(_definitions(loaded)))
    check_secrets_used(secrets, code.definitions)
    return code


class Workers:
    """Runs code: that of the last `take`, until stopped. Belongs to one event loop."""

    def __init__(
        self, assembly: Assembly, settings: Settings, secrets: Mapping[str, str], concurrency: int
    ) -> None:
        self._assembly = assembly
        self._settings = settings
        self._secrets = secrets
        self._concurrency = concurrency
        self._code: Code | None = None
        self._worker: Worker | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take(self, code: Code) -> None:
        """Make nodes and graphs known, and work with this code from now on.

        When that fails, the code before goes on, and its nodes are made known again.

        Raises:
            InvalidGraph, InvalidInput, InvalidNode: the code cannot be used.
        """
        made = self._assembly.with_nodes(code.nodes, concurrency=self._concurrency)
        try:
            queues = await self._make_known(code)
        except BaseException:
            made.executor.close()
            if self._code is not None:
                await self._make_known(self._code)
            raise
        if self._worker is not None:
            self._worker.stop()
        self._code, self._worker = code, None
        if queues:
            self._worker = made.worker(queues, concurrency=self._concurrency, grace_seconds=GRACE_SECONDS)
            self._begin(made, self._worker)
        else:
            made.executor.close()

    async def failed(self) -> None:
        """Raise what ends a worker before its time; returns never."""
        await self._failure

    async def end(self) -> None:
        """Stop, and wait for what is running as long as the grace goes."""
        if self._worker is not None:
            self._worker.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _make_known(self, code: Code) -> list[str]:
        """The task queues to work on. All nodes come first: a graph may use those of another module."""
        namespace = self._settings.namespace
        queues: list[str] = []
        for each in code.loaded:
            own = [graph.definition for graph in each.graphs]
            queues += await register(self._assembly, namespace, each, own, self._settings.runtime)
        for definition in code.definitions:
            await put_valid(self._assembly, namespace, definition, self._secrets)
        return list(dict.fromkeys(queues))

    def _begin(self, made: Assembly, worker: Worker) -> None:
        task = asyncio.create_task(self._work(made, worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, made: Assembly, worker: Worker) -> None:
        try:
            await worker.run()
        except Exception as error:  # noqa: BLE001  handed to whoever waits in `failed`
            if not self._failure.done():
                self._failure.set_exception(error)
        finally:
            made.executor.close()


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
