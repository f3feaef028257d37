"""Metrics in what a function wrote to stdout."""

from __future__ import annotations

import json
from typing import Any


def metrics_of(text: str) -> dict[str, Any]:
    """Sums by name; with a dimension beside the stage, by name and its value (`CronFirings.started`)."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        data = json.loads(line) if '"_aws"' in line else {}
        for definition in data.get("_aws", {}).get("CloudWatchMetrics", []):
            assert definition["Namespace"] == "Karman"
            (dimensions,) = definition["Dimensions"]
            assert dimensions[0] == "Stage"
            suffix = "".join(f".{data[dimension]}" for dimension in dimensions[1:])
            for metric in definition["Metrics"]:
                name = metric["Name"] + suffix
                found[name] = found.get(name, 0) + sum(data[metric["Name"]])
    return found
