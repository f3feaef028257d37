"""`karman dev`: API, workers, cron and the hourly guard in one process on one event loop, until it is stopped.

They share a database and nothing else. The server, cron and the guard use an engine without nodes; the nodes belong to
a worker with an engine of its own, so that changed code takes a new worker and leaves all else alone (`reloading`).
Nothing is re-executed: connections, long polls and a key that was made for this start outlast a reload.

Calls to SQLite are short, so the server does not hold up the worker. A node does hold up everything if it computes in
an `async def`; one that is a plain `def` runs in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from karman_cli.databases import local_settings, new_database
from karman_cli.live_code import Code, Workers, load_code
from karman_cli.logs import log_to_stderr
from karman_cli.output import note, print_document
from karman_cli.reloading import reload_forever
from karman_cli.serving import Address, api
from karman_core.backends.observers import RunLog
from karman_runtime.composition import Assembly, assembled
from karman_runtime.settings import Settings
from karman_runtime.shutdown import on_signals
from karman_runtime.sources import Sources, Stamps
from karman_runtime.sweeper import sweep_forever


@dataclass(frozen=True, slots=True)
class Request:
    """The options of the command; None for what the environment or a default says."""

    modules: tuple[str, ...]
    nodes_from: tuple[str, ...]
    db: Path | None
    concurrency: int
    runtime: str | None
    namespace: str | None
    secrets: Mapping[str, str]
    as_json: bool
    host: str | None = None
    port: int | None = None
    server: bool = True
    reload: bool = True


def serve(request: Request) -> None:
    """Work until SIGINT or SIGTERM.

    Raises:
        LoadError, InvalidGraph, InvalidInput, InvalidNode: nothing was begun.
        Conflict: the port is taken.
    """
    settings = _settings(request)
    # What a server does is of interest; a level that was set explicitly stands.
    log_to_stderr(settings.log_level if "log_level" in settings.model_fields_set else "info")
    code = load_code(request.modules, request.nodes_from, request.secrets)
    # At once: what is edited while the server starts is a change as well.
    sources = Sources([*request.modules, *request.nodes_from])
    files = Files(sources, sources.stamps())
    database = new_database(request.db, settings)
    with assembled(settings, database, observer=RunLog()) as assembly:
        asyncio.run(_Development(request, settings, assembly, database, files).run(code))


def _settings(request: Request) -> Settings:
    options = {
        "namespace": request.namespace,
        "runtime": request.runtime,
        "host": request.host,
        "port": request.port,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return local_settings().model_copy(update=given)


@dataclass(frozen=True, slots=True)
class Files:
    """What the code is made of, and what that was like when it was loaded."""

    sources: Sources
    loaded: Stamps


@dataclass(frozen=True, slots=True)
class _Development:
    """What `karman dev` is made of."""

    request: Request
    settings: Settings
    assembly: Assembly
    database: Path
    files: Files

    async def run(self, code: Code) -> None:
        """Make nodes and graphs known, then work until stopped."""
        stopping = asyncio.Event()

        def stop() -> None:
            note("stopping: waiting for nodes that are running; press Ctrl-C again to exit at once")
            stopping.set()

        async with self._api(stopping) as address, self._workers(code) as workers:
            # What is there by now stays: collections need not go through it, which would take tens of milliseconds.
            gc.freeze()
            with on_signals(stop):
                self._say_ready(address, code)
                with contextlib.redirect_stdout(sys.stderr):
                    await _until_first([stopping.wait(), *self._loops(workers)])
                    stopping.set()
                    await workers.end()

    @asynccontextmanager
    async def _api(self, stopping: asyncio.Event) -> AsyncIterator[Address | None]:
        if not self.request.server:
            yield None
            return
        async with api(self.assembly, self.settings, stopping) as address:
            yield address

    @asynccontextmanager
    async def _workers(self, code: Code) -> AsyncIterator[Workers]:
        workers = Workers(self.assembly, self.settings, self.request.secrets, self.request.concurrency)
        try:
            await workers.take(code)
            yield workers
        finally:
            await workers.end()

    def _loops(self, workers: Workers) -> list[Coroutine[Any, Any, object]]:
        """What goes on beside the workers; none of it ends by itself."""
        request, assembly = self.request, self.assembly
        loops: list[Coroutine[Any, Any, object]] = [
            workers.failed(),
            assembly.cron().run(),
            sweep_forever(assembly.engine, assembly.clock),
            assembly.webhook_loop().run(),
        ]
        if request.reload and request.modules:
            load = partial(load_code, request.modules, request.nodes_from, request.secrets)
            files = self.files
            loops.append(reload_forever(files.sources, files.loaded, load, workers, assembly.clock))
        return loops

    def _say_ready(self, address: Address | None, code: Code) -> None:
        url, made_key = (address.url, address.made_key) if address is not None else (None, None)
        if self.request.as_json:
            document = {
                "ready": True,
                "url": url,
                "api_key": made_key,
                "database": str(self.database),
                "nodes": code.node_names,
                "graphs": code.graph_names,
            }
            print_document(document)
            return
        if made_key is not None:
            note(f"API key, made for this start and shown once: {made_key}")
        names = ", ".join(code.graph_names) or "none"
        where = "" if url is None else f"{url}, "
        what = f"{len(code.node_names)} nodes, graphs {names}, database {self.database}"
        note(f"ready: {where}{what}; Ctrl-C stops")


async def _until_first(works: Collection[Coroutine[Any, Any, object]]) -> None:
    """Wait for the first to end, and end the others; raises what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
