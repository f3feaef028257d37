"""Draws the diagrams of docs/states.md from the tables in `karman_core.domain.transitions`.

Run it after changing the tables: `python -m tests.house.diagrams`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from karman_core.domain.transitions import (
    ENDED_STATES,
    FINAL_RUNS,
    OPEN_RUNS,
    RUN_TRANSITIONS,
    RUNNABLE_STATES,
    STATE_TRANSITIONS,
    RunStatus,
    StateStatus,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "states.md"
MARKED = re.compile(r"(<!-- (\w+), drawn by tests/house/diagrams\.py -->\n).*?(<!-- end -->)", re.DOTALL)


def diagram(
    transitions: Mapping[StrEnum, frozenset[StrEnum]],
    *,
    first: StrEnum,
    group: str,
    inside: frozenset[StrEnum],
    final: Iterable[StrEnum],
) -> str:
    """A Mermaid state diagram; what all statuses `inside` a group may become is drawn once, from the group."""
    shared = frozenset.intersection(*(transitions[status] for status in inside)) - inside
    lines = ["stateDiagram-v2", f"    [*] --> {first}", f"    state {group} {{"]
    lines += [f"        {status}" for status in transitions if status in inside]
    for source in transitions:
        lines += [
            f"        {source} --> {target}"
            for target in transitions
            if {source, target} <= inside and target in transitions[source]
        ]
    lines += ["    }", *(f"    {group} --> {target}" for target in transitions if target in shared)]
    for source, after in transitions.items():
        drawn = inside | shared if source in inside else frozenset[StrEnum]()
        lines += [f"    {source} --> {target}" for target in transitions if target in after - drawn]
    reached = frozenset[StrEnum]().union(*transitions.values())
    lines += [f"    {status} --> [*]" for status in transitions if status in reached.intersection(final)]
    return "\n".join(["```mermaid", *lines, "```", ""])


def diagrams() -> dict[str, str]:
    """The diagrams, by the name in their marker."""
    states: Mapping[StrEnum, frozenset[StrEnum]] = {
        status: STATE_TRANSITIONS[status] for status in StateStatus
    }
    runs: Mapping[StrEnum, frozenset[StrEnum]] = {status: RUN_TRANSITIONS[status] for status in RunStatus}
    return {
        "states": diagram(
            states,
            first=StateStatus.QUEUED,
            group="runnable",
            inside=frozenset(RUNNABLE_STATES),
            final=ENDED_STATES,
        ),
        "runs": diagram(
            runs, first=RunStatus.QUEUED, group="open", inside=frozenset(OPEN_RUNS), final=FINAL_RUNS
        ),
    }


def redrawn(page: str) -> str:
    """The page with its diagrams as the tables have them now."""
    found = diagrams()
    return MARKED.sub(lambda part: f"{part[1]}{found[part[2]]}{part[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
