"""Metrics for CloudWatch: an observer that counts, and writes what it counted to stdout in the embedded metric format.

Nothing is called: CloudWatch Logs takes the metrics out of the log. Counts are summed here, so that a batch of messages
is one line; a count of nothing is not written, since each metric costs by the hour in which it is. What was only found
(a redelivery tells everything once more) is not counted. docs/observability.md lists the metrics; no id is ever a
dimension.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final, TypeAlias

from karman_core.backends.aws.prices import run_microdollars
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import RunStatus, StateStatus
from karman_core.ports.observer import (
    GroupEnded,
    LeaseLost,
    LetterDied,
    MessagePassedOn,
    Observation,
    RunBegan,
    RunEnded,
    StateCommitted,
)

NAMESPACE: Final = "Karman"

_MOST_VALUES = 100
"""Of one metric in one line: the embedded metric format's limit."""

_Dimensions: TypeAlias = tuple[tuple[str, str], ...]

_EXACT = frozenset({RunStatus.SUCCEEDED.value, RunStatus.FAILED.value})


class CloudWatchMetrics:
    """Counts what it observes until it is flushed. Belongs to one event loop.

    Args:
        stage: a dimension of every metric.
        memory_mb: of this function, for what a run costs; None elsewhere.
    """

    def __init__(self, stage: str, *, memory_mb: int | None = None) -> None:
        self._stage = stage
        self._memory_mb = memory_mb
        self._counts: defaultdict[_Dimensions, Counter[str]] = defaultdict(Counter)
        self._values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def observe(self, observation: Observation) -> None:
        """Count."""
        match observation:
            case RunBegan():
                self.count("RunsBegan")
            case StateCommitted(found=False):
                self._state(observation)
            case GroupEnded():
                self.count("GroupsJoined")
            case RunEnded(found=False):
                self._run(observation)
            case LeaseLost():
                self.count("LeasesLost")
            case MessagePassedOn():
                self.count("MessagesPassedOn")
            case LetterDied(outcome=outcome):
                self.count("DeadLetters")  # for the alarm, which cannot look for all outcomes
                self.count("DeadLetters", Outcome=outcome)
            case _:
                pass

    def count(self, name: str, number: int = 1, **dimensions: str) -> None:
        """Add to a count."""
        if number:
            self._counts[tuple(sorted(dimensions.items()))][name] += number

    def value(self, name: str, unit: str, value: float) -> None:
        """Add a value to a distribution."""
        values = self._values[name, unit]
        values.append(value)
        if len(values) >= _MOST_VALUES:
            self.flush()

    def flush(self) -> None:
        """Write one line for each set of dimensions, and begin anew."""
        counts, values = dict(self._counts), dict(self._values)
        self._counts.clear()
        self._values.clear()
        if values:
            counts.setdefault((), Counter())
        for dimensions, of_names in counts.items():
            self._write(dimensions, of_names, {} if dimensions else values)

    def _state(self, state: StateCommitted) -> None:
        self.count("Executions")
        self.value("StateLatency", "Milliseconds", state.ended_ms - state.started_ms)
        if state.status == StateStatus.RETRYING.value:
            self.count("Retries")
        elif state.status == StateStatus.FAILED.value:
            self.count("StatesFailed")

    def _run(self, run: RunEnded) -> None:
        self.count("RunsEnded", Status=run.status)
        self.value("RunDuration", "Milliseconds", max(0, run.ended_ms - run.starts_ms))
        if run.status in _EXACT:
            self._cost(run.totals)

    def _cost(self, totals: Totals) -> None:
        self.value("RunCost", "None", round(run_microdollars(totals, self._memory_mb), 3))

    def _write(
        self, dimensions: _Dimensions, counts: Counter[str], values: dict[tuple[str, str], list[float]]
    ) -> None:
        # When there is something to write: an import of 18 ms beside boto3's and pydantic's.
        from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (  # noqa: PLC0415
            AmazonCloudWatchEMFProvider,
        )

        emitter = AmazonCloudWatchEMFProvider(namespace=NAMESPACE)
        for name, text in (("Stage", self._stage), *dimensions):
            emitter.add_dimension(name=name, value=text)
        for name, count in counts.items():
            emitter.add_metric(name=name, unit="Count", value=count)
        for (name, unit), numbers in values.items():
            for number in numbers:
                emitter.add_metric(name=name, unit=unit, value=number)
        if emitter.metric_set:  # one of a hundred values has been written by itself
            emitter.flush_metrics()
