"""What `karman run` does with its options: which code, which database, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from karman_cli.conclusions import conclude, failed_states
from karman_cli.databases import existing_database, local_settings, run_database
from karman_cli.exit_codes import ExitCode
from karman_cli.logs import log_to_stderr
from karman_cli.output import note
from karman_cli.registering import check_secrets_used
from karman_cli.run_texts import command_line
from karman_cli.running import Manner, Running, Start
from karman_cli.watching import Watch
from karman_core.domain.errors import NotFound
from karman_runtime.composition import assembled
from karman_runtime.loading import Loaded, load, split_target
from karman_runtime.modules import looks_like_path
from karman_runtime.settings import Settings

TARGET_TAG = "target"
"""The tag by which a run that is resumed finds its nodes again."""

LONGEST_TAG = 256

GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Manners:
    """How the end of the run is told."""

    quiet: bool
    as_json: bool
    traceback: bool


@dataclass(frozen=True, slots=True)
class Request:
    """The options of the command, but for what the run is given."""

    target: str | None
    nodes_from: tuple[str, ...]
    db: Path | None
    resume: str | None
    concurrency: int
    namespace: str | None
    manners: Manners

    def where(self, database: Path) -> tuple[str, ...]:
        """Options that lead another command to the same runs."""
        namespace = ("--namespace", self.namespace) if self.namespace else ()
        return ("--db", str(database), *namespace)


def execute(request: Request, start: Start) -> ExitCode:
    """Run a graph, or go on with a run, and say how it ended.

    Raises:
        InvalidRequest, NotFound: nothing was started.
    """
    settings = local_settings()
    if request.namespace is not None:
        settings = settings.model_copy(update={"namespace": request.namespace})
    log_to_stderr(settings.log_level)
    if request.resume is not None:
        database = existing_database(request.db, settings)
        return asyncio.run(_resume(request, request.resume, settings, database))
    loaded, name = _load(request.target or "", request.nodes_from)
    definition = loaded.graph(name)
    check_secrets_used(start.secrets, [definition])
    with run_database(request.db, settings) as (database, stays):
        return asyncio.run(_start(request, start, settings, _Place(loaded, name, database, stays)))


@dataclass(frozen=True, slots=True)
class _Place:
    """The code and the database of a run."""

    loaded: Loaded
    name: str | None
    database: Path
    stays: bool


async def _start(request: Request, start: Start, settings: Settings, place: _Place) -> ExitCode:
    watch = Watch()
    start = replace(start, tags=_target_tag(request)) if place.stays else start
    # Nothing can be resumed from a temporary database, so there is nothing to wait for either.
    manner = _manner(request, settings, place.database, GRACE_SECONDS if place.stays else 0.0)
    with assembled(
        settings,
        place.database,
        nodes=place.loaded.nodes,
        observer=watch,
        concurrency=request.concurrency,
    ) as assembly:
        running = Running(assembly, place.loaded, watch, settings.namespace, manner)
        outcome = await running.start(place.loaded.graph(place.name), start)
        failed = await failed_states(assembly.engine, outcome.run)
    go_on = None
    if outcome.interrupted:
        go_on = "interrupted; with --db FILE a run stays and can be resumed"
        if place.stays:
            go_on = _go_on(request, outcome.run.run_id, place.database)
    return conclude(
        outcome.run,
        failed,
        as_json=request.manners.as_json,
        quiet=request.manners.quiet,
        traceback=request.manners.traceback or settings.debug,
        go_on=go_on,
    )


async def _resume(request: Request, run_id: str, settings: Settings, database: Path) -> ExitCode:
    watch = Watch()
    target, nodes_from = await _target_of(request, run_id, settings, database)
    with contextlib.ExitStack() as stack:
        loaded, _ = _load(target, nodes_from)
        assembly = stack.enter_context(
            assembled(
                settings,
                database,
                nodes=loaded.nodes,
                observer=watch,
                concurrency=request.concurrency,
            )
        )
        run = await assembly.engine.get_run(settings.namespace, run_id)
        interrupted = False
        if not run.ended:
            if not request.manners.quiet:
                note(
                    f"going on with run {run_id}; work of a process that was killed is taken over after its lease"
                )
            manner = _manner(request, settings, database, GRACE_SECONDS)
            outcome = await Running(assembly, loaded, watch, settings.namespace, manner).resume(run)
            run, interrupted = outcome.run, outcome.interrupted
        failed = await failed_states(assembly.engine, run)
    return conclude(
        run,
        failed,
        as_json=request.manners.as_json,
        quiet=request.manners.quiet,
        traceback=request.manners.traceback or settings.debug,
        go_on=_go_on(request, run_id, database) if interrupted else None,
    )


async def _target_of(
    request: Request, run_id: str, settings: Settings, database: Path
) -> tuple[str, tuple[str, ...]]:
    """The code of a run that is resumed: what the user names now, or named when it was started."""
    if request.target is not None:
        return request.target, request.nodes_from
    with assembled(settings, database) as assembly:
        run = await assembly.engine.get_run(settings.namespace, run_id)
    target = run.tags.get(TARGET_TAG)
    if target is None:
        raise NotFound(
            f"Run '{run_id}' does not say which file its nodes are in; name it: "
            f"{command_line('run', 'FILE', *request.where(database), '--resume', run_id)}"
        )
    return target, request.nodes_from


def _load(target: str, nodes_from: tuple[str, ...]) -> tuple[Loaded, str | None]:
    """The code, and the name of the graph in it. What it prints when it is imported is no result."""
    place, name = split_target(target)
    with contextlib.redirect_stdout(sys.stderr):
        return load(place, nodes_from), name


def _target_tag(request: Request) -> dict[str, str]:
    place, name = split_target(request.target or "")
    whole = str(Path(place).resolve()) if looks_like_path(place) else place
    tag = f"{whole}:{name}" if name else whole
    return {TARGET_TAG: tag} if len(tag) <= LONGEST_TAG else {}


def _manner(request: Request, settings: Settings, database: Path, grace_seconds: float) -> Manner:
    return Manner(
        runtime=settings.runtime,
        concurrency=request.concurrency,
        grace_seconds=grace_seconds,
        quiet=request.manners.quiet,
        where=request.where(database),
    )


def _go_on(request: Request, run_id: str, database: Path) -> str:
    words = [word for word in (request.target,) if word]
    return f"interrupted; to go on:\n  {command_line('run', *words, *request.where(database), '--resume', run_id)}"
