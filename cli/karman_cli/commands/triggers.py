"""`karman triggers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from karman_cli import options

if TYPE_CHECKING:
    from karman_core.ports.timers import Schedule


def triggers(
    *,
    graph: Annotated[str | None, typer.Option("--graph", metavar="NAME", help="Those of this graph.")] = None,
    count: Annotated[
        int, typer.Option("--next", metavar="N", min=1, max=100, help="So many of the next firings.")
    ] = 3,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """List cron triggers with their next firings. A graph's definition says what they are."""
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.session import with_assembly
    from karman_cli.tables import print_table
    from karman_core.backends.system import SystemClock

    schedules = with_assembly(
        db, namespace, lambda assembly, name: assembly.backend.schedules.list(name, graph)
    )
    now_ms = SystemClock().now_ms()
    found = [_document(schedule, now_ms, count) for schedule in schedules]
    if as_json:
        print_document({"triggers": found})
    elif not found:
        note("no triggers")
    else:
        rows = [
            (
                each["graph"],
                each["trigger"],
                each["cron"],
                each["timezone"],
                ", ".join(map(when, each["next_ms"])) or "disabled",
            )
            for each in found
        ]
        print_table(("GRAPH", "TRIGGER", "CRON", "ZONE", "NEXT (LOCAL TIME)"), rows)


def _document(schedule: Schedule, now_ms: int, count: int) -> dict[str, Any]:
    from karman_core.domain.cron import next_firing

    firings: list[int] = []
    while schedule.enabled and len(firings) < count:
        after_ms = firings[-1] if firings else now_ms
        firings.append(next_firing(schedule.cron, schedule.timezone, after_ms))
    return {
        "graph": schedule.graph,
        "trigger": schedule.trigger,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
        "next_ms": firings,
    }
