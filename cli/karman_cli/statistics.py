"""Statistics of runs on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karman_cli.output import note
from karman_cli.run_texts import lasted
from karman_cli.tables import print_table

if TYPE_CHECKING:
    from karman_core.engine.summaries import Statistics


def print_statistics(found: Statistics) -> None:
    """Runs by status, their durations, their states, and what failed."""
    if not found.runs:
        note("no runs")
        return
    print_table(("STATUS", "RUNS"), [(status, f"{count:,}") for status, count in found.by_status.items()])
    print_table(("", ""), list(_totals(found)))
    if found.failures:
        print_table(
            ("FAILED MOST", "STATES"), [(each.identifier, f"{each.states:,}") for each in found.failures]
        )
    if not found.complete:
        note(f"only the newest {found.runs:,} runs are counted; --since and --until choose others")


def _totals(found: Statistics) -> list[tuple[str, str]]:
    totals, durations = found.totals, found.durations
    counts = ((totals.succeeded, "succeeded"), (totals.failed, "failed"), (totals.pruned, "pruned"))
    rows = [
        ("states", ", ".join(f"{count:,} {what}" for count, what in counts if count) or "none"),
        ("turns", f"{totals.turns:,}"),
        ("busy", lasted(0, totals.busy_ms)),
        ("write units", f"{totals.write_units:,}"),
    ]
    if durations is not None:
        shares = (("half", durations.p50_ms), ("95 %", durations.p95_ms), ("all", durations.max_ms))
        took = ", ".join(f"{share} within {lasted(0, ms)}" for share, ms in shares)
        rows.insert(0, ("took", took))
    return rows
