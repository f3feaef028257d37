"""`karman triggers`: the cron triggers of graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_core.ports.timers import Schedule

OfGraph = Annotated[str | None, typer.Option("--graph", metavar="NAME", help="Those of this graph.")]


@operating
def list_triggers(
    session: Session,
    *,
    graph: OfGraph = None,
    count: Annotated[
        int, typer.Option("--next", metavar="N", min=1, max=100, help="So many of the next firings.")
    ] = 3,
) -> None:
    """List cron triggers with their next firings. A graph's definition says what they are."""
    from karman_cli.firings import next_of
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.tables import print_table

    found = [next_of(each, count) for each in session.run(lambda connection: connection.triggers(graph))]
    if session.as_json:
        print_document({"triggers": found})
    elif not found:
        note("no triggers")
    else:
        rows = [
            (
                each.graph,
                each.trigger,
                each.cron,
                each.timezone,
                ", ".join(map(when, each.next_ms)) or "disabled",
            )
            for each in found
        ]
        print_table(("GRAPH", "TRIGGER", "CRON", "ZONE", "NEXT (LOCAL TIME)"), rows)


@operating
def next_firings(
    session: Session,
    *,
    graph: OfGraph = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000)] = 10,
) -> None:
    """List the next firings of all triggers, soonest first."""
    from karman_cli.firings import next_of
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.tables import print_table

    found = session.run(lambda connection: connection.triggers(graph))
    moments = sorted((at, each.graph, each.trigger) for each in found for at in next_of(each, limit).next_ms)
    moments = moments[:limit]
    if session.as_json:
        print_document({"next": [{"at_ms": at, "graph": of, "trigger": name} for at, of, name in moments]})
    elif not moments:
        note("no triggers that are enabled")
    else:
        print_table(("TIME (LOCAL)", "GRAPH", "TRIGGER"), [(when(at), of, name) for at, of, name in moments])


@operating
def fire_trigger(session: Session, graph: options.GraphName, trigger: options.TriggerName) -> None:
    """Begin a run as the trigger would now, and print its id."""
    from karman_cli.output import print_document, print_text

    started = session.run(lambda connection: connection.fire(graph, trigger))
    if session.as_json:
        print_document(started)
    else:
        print_text(started.run_id)


@operating
def enable_trigger(session: Session, graph: options.GraphName, trigger: options.TriggerName) -> None:
    """Let a trigger fire again. Makes a new version of the graph."""
    _set(session, graph, trigger, enabled=True)


@operating
def disable_trigger(session: Session, graph: options.GraphName, trigger: options.TriggerName) -> None:
    """Keep a trigger from firing. Makes a new version of the graph."""
    _set(session, graph, trigger, enabled=False)


@operating
def reconcile_triggers(
    session: Session,
    *,
    dry_run: options.DryRun = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the other schedules again too, with target and role.")
    ] = False,
) -> None:
    """Compare schedules with the triggers of the graphs, and mend what is missing, orphaned or different."""
    from karman_cli.output import note, print_document
    from karman_cli.tables import print_table

    found = session.run(lambda connection: connection.reconcile(dry_run=dry_run, rewrite=rewrite))
    if session.as_json:
        print_document({"differences": found, "mended": not dry_run})
        return
    if found:
        rows = [
            (each.graph, each.trigger, each.drift.value, _cron(each.wanted), _cron(each.found))
            for each in found
        ]
        print_table(("GRAPH", "TRIGGER", "IS", "WANTED", "FOUND"), rows)
    done = "would be mended" if dry_run else "mended"
    note(f"{len(found):,} {done}" if found else "all schedules are as the graphs want them")


def _cron(schedule: Schedule | None) -> str:
    if schedule is None:
        return "none"
    return f"{schedule.cron} {schedule.timezone}{'' if schedule.enabled else ' (disabled)'}"


def _set(session: Session, graph: str, trigger: str, *, enabled: bool) -> None:
    from karman_cli.output import note, print_document

    changed = session.run(lambda connection: connection.set_trigger(graph, trigger, enabled=enabled))
    if session.as_json:
        print_document(changed)
    else:
        note(f"trigger '{trigger}' of graph '{graph}' is {'enabled' if changed.enabled else 'disabled'}")
