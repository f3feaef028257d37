"""The page about events says what the model does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from karman_core.domain.events import EventKind, EventTotals, RunEvent

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def first_column(heading: str) -> list[str]:
    """Of the table that begins so."""
    table = PAGE.partition(heading)[2].partition("\n\n")[0]
    return re.findall(r"(?m)^\| `([a-z_.]+)` \|", table)


def test_every_kind_and_every_field_is_there() -> None:
    assert first_column("| kind | when |") == [kind.value for kind in EventKind]
    assert first_column("| field | type |") == list(RunEvent.model_fields)
    row = next(line for line in PAGE.splitlines() if line.startswith("| `totals`"))
    assert set(re.findall(r"`([a-z_]+)`", row)) - {"totals"} == set(EventTotals.model_fields)


def test_the_example_is_an_event() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    example = json.loads(text)
    assert example["detail-type"] in set(EventKind)
    assert set(example["detail"]) == set(RunEvent.model_fields)
    RunEvent.model_validate(example["detail"])
