"""What is counted, and how CloudWatch is told."""

import json
from typing import Any

import pytest

from karman_core.backends.aws.metrics import CloudWatchMetrics
from karman_core.backends.aws.prices import run_microdollars
from karman_core.domain.totals import Totals
from karman_core.ports.observer import (
    GroupEnded,
    GroupOpened,
    LeaseLost,
    LetterDied,
    Observation,
    RunBegan,
    RunEnded,
    StateBegan,
    StateCommitted,
)

TOTALS = Totals(succeeded=3, turns=4, busy_ms=2_000, write_units=6)


def committed(status: str, *, found: bool = False) -> StateCommitted:
    return StateCommitted("ns", "r", "r--0", "a", status, 1, None, 1_000, 1_250, found)


def told(
    capsys: pytest.CaptureFixture[str], *observations: Observation
) -> dict[tuple[str, ...], dict[str, Any]]:
    """The lines that are written, by their dimensions' values."""
    metrics = CloudWatchMetrics("prod", memory_mb=1_024)
    for observation in observations:
        metrics.observe(observation)
    metrics.flush()
    metrics.flush()  # nothing is left
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in capsys.readouterr().out.splitlines():
        data = json.loads(line)
        (definition,) = data["_aws"]["CloudWatchMetrics"]
        assert definition["Namespace"] == "Karman"
        (dimensions,) = definition["Dimensions"]
        values = {metric["Name"]: data[metric["Name"]] for metric in definition["Metrics"]}
        found[tuple(data[name] for name in dimensions)] = values
    return found


def test_a_count_of_nothing_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """CloudWatch bills a metric for each hour in which it is."""
    metrics = CloudWatchMetrics("prod")
    metrics.count("RunsExpired", 0)
    metrics.flush()

    assert capsys.readouterr().out == ""


def test_everything_that_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(
        capsys,
        RunBegan("ns", "r", "g"),
        StateBegan("ns", "r", "r--0", "a", 1),
        committed("RETRYING"),
        committed("FAILED"),
        committed("SUCCEEDED"),
        committed("SUCCEEDED"),
        GroupOpened("ns", "r", "a", (("b", 2),)),
        GroupEnded("ns", "r", "a", 2),
        RunEnded("ns", "r", "SUCCEEDED", "g", 1_000, 4_000, TOTALS),
        RunEnded("ns", "r2", "CANCELLED", "g", 1_000, 2_000, Totals()),
        LeaseLost("ns/rt", "m"),
        LetterDied("q-dlq", "m", "archived"),
        LetterDied("q-dlq", "m2", "archived"),
    )

    assert lines == {
        ("prod",): {
            "RunsBegan": [1],
            "Executions": [4],
            "StateLatency": [250] * 4,
            "Retries": [1],
            "StatesFailed": [1],
            "GroupsJoined": [1],
            "RunDuration": [3_000, 1_000],
            "RunCost": [round(run_microdollars(TOTALS, 1_024), 3)],
            "LeasesLost": [1],
            "DeadLetters": [2],
        },
        ("prod", "SUCCEEDED"): {"RunsEnded": [1]},
        ("prod", "CANCELLED"): {"RunsEnded": [1]},
        ("prod", "archived"): {"DeadLetters": [2]},
    }


def test_what_is_only_found_again_is_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    again = RunEnded("ns", "r", "SUCCEEDED", "g", 1_000, 4_000, TOTALS, found=True)
    assert told(capsys, committed("SUCCEEDED", found=True), again) == {}


def test_any_number_of_values_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = CloudWatchMetrics("prod")
    for _ in range(250):
        metrics.observe(committed("SUCCEEDED"))
    metrics.flush()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(len(line.get("StateLatency", [])) for line in lines) == 250
    assert sum(sum(line.get("Executions", [])) for line in lines) == 250
    assert all(len(line.get("StateLatency", [])) <= 100 for line in lines)


def test_what_a_run_costs() -> None:
    assert run_microdollars(TOTALS, None) == pytest.approx(16 * 0.625)
    assert run_microdollars(TOTALS, 512) == pytest.approx(16 * 0.625 + 13.3334)
