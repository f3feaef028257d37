"""What people look at: one dashboard a stage, and the questions one asks the logs, saved with the stack.

The dashboard searches metrics by the names of the stage's resources, so that runtimes of any stack and app show up by
themselves. In a search, what is quoted has to be the whole name; other terms are looked for part by part, and numbers
are parts: the dashboard of `dev` shows functions and queues of `dev2` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from karman_core.backends.aws.metrics import NAMESPACE
from karman_infra.alarms import metric
from karman_infra.deployment import Deployment

_HALF: Final = 12
_THIRD: Final = 8
_HEIGHT: Final = 6

# US East (N. Virginia), on demand, in dollars a million. What a bill says depends on region and discounts.
_WRITE_UNITS: Final = 0.625
_READ_UNITS: Final = 0.125
_QUEUE_REQUESTS: Final = 0.40
_INVOCATIONS: Final = 0.20
_API_REQUESTS: Final = 1.00
_GB_SECOND: Final = 0.0000133334

QUERIES: Final[Mapping[str, Sequence[str]]] = {
    "errors": (
        "fields @timestamp, service, level, message, error, errorType, errorMessage, run_id, state_id",
        'filter level = "ERROR" or level = "WARNING"',
        "sort @timestamp desc",
        "limit 200",
    ),
    "one-run": (
        "fields @timestamp, service, message, state_id, identifier, attempt, status, error",
        'filter run_id = "PUT THE RUN HERE"',
        "sort @timestamp asc",
        "limit 1000",
    ),
    "failing-nodes": (
        'filter message = "attempt failed"',
        "stats count(*) as attempts, count_distinct(run_id) as runs by identifier, error",
        "sort attempts desc",
        "limit 50",
    ),
    "runs-by-status": (
        'filter message = "run ended"',
        "stats count(*) as runs by graph, status, bin(1h)",
    ),
    "faults-of-functions": (
        # Where functions log JSON, Lambda does so too: it says a status, and no "Task timed out".
        r'filter @message like /"status": ?"timeout"|"errorType": ?"(Runtime|Sandbox)\.|Task timed out/',
        "fields @timestamp, @log, @message",
        "sort @timestamp desc",
        "limit 100",
    ),
}


class SavedQueries(Construct):
    """Logs Insights queries, under `karman-{stage}/`; the log groups are chosen when they are run."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        for name, lines in QUERIES.items():
            logs.CfnQueryDefinition(
                self, name, name=f"{deployment.prefix}/{name}", query_string="\n| ".join(lines)
            )


class Dashboard(Construct):
    """Traffic, latency, errors, backlog, cost."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment, api_id: str) -> None:
        super().__init__(scope, construct_id)
        self._deployment = deployment
        self._api = {"ApiId": api_id}
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=deployment.prefix,
            default_interval=Duration.hours(12),
            period_override=cloudwatch.PeriodOverride.INHERIT,  # dollars an hour are made of periods of five minutes
        )
        for row in (self._traffic(), self._latency(), self._errors(), self._backlog(), self._cost()):
            self.dashboard.add_widgets(*row)

    def _traffic(self) -> list[cloudwatch.IWidget]:
        ended = self._search('{Karman,Stage,Status} MetricName="RunsEnded"', "Sum", "")
        return [
            _graph("Runs", _THIRD, [self._own("RunsBegan", "begun")], [ended]),
            _graph(
                "Executions", _THIRD, [self._own("Executions", "executions"), self._own("Retries", "retries")]
            ),
            _graph("API requests", _THIRD, [metric("AWS/ApiGateway", "Count", self._api)]),
        ]

    def _latency(self) -> list[cloudwatch.IWidget]:
        return [
            _graph("Duration of states (ms)", _THIRD, self._percentiles("StateLatency")),
            _graph("Duration of runs (ms)", _THIRD, self._percentiles("RunDuration")),
            _graph(
                "API latency (ms)",
                _THIRD,
                [metric("AWS/ApiGateway", "Latency", self._api, each) for each in ("p50", "p95", "p99")],
            ),
        ]

    def _errors(self) -> list[cloudwatch.IWidget]:
        failing = [self._search(self._functions(name), "Sum", name) for name in ("Errors", "Throttles")]
        own = [self._own("StatesFailed", "states failed"), self._own("LeasesLost", "leases lost")]
        letters = self._search('{Karman,Stage,Outcome} MetricName="DeadLetters"', "Sum", "dead letters")
        statuses = [metric("AWS/ApiGateway", each, self._api) for each in ("4xx", "5xx")]
        return [
            _graph("Functions that failed or were throttled", _THIRD, [], failing),
            _graph("Failed states, lost leases, dead letters", _THIRD, own, [letters]),
            _graph("API errors", _THIRD, statuses),
        ]

    def _backlog(self) -> list[cloudwatch.IWidget]:
        waiting = [
            self._search(self._queues(name), "Maximum", label)
            for name, label in (
                ("ApproximateNumberOfMessagesVisible", "waiting"),
                ("ApproximateNumberOfMessagesNotVisible", "in work"),
            )
        ]
        age = self._search(self._queues("ApproximateAgeOfOldestMessage"), "Maximum", "")
        concurrent = self._search(self._functions("ConcurrentExecutions"), "Maximum", "")
        return [
            _graph("Messages", _THIRD, [], waiting),
            _graph("Age of the oldest message (s)", _THIRD, [], [age]),
            _graph("Functions at one time", _THIRD, [], [concurrent]),
        ]

    def _cost(self) -> list[cloudwatch.IWidget]:
        table = {"TableName": self._deployment.table_name}
        units = [
            metric("AWS/DynamoDB", name, table)
            for name in ("ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits")
        ]
        return [
            _graph("Dollars an hour, by list prices of us-east-1", _HALF, [], [self._dollars(units)]),
            _graph("Capacity units", _HALF // 2, units),
            _graph("Cost of a run (millionths of a dollar)", _HALF // 2, self._percentiles("RunCost")),
        ]

    def _dollars(self, units: Sequence[cloudwatch.IMetric]) -> cloudwatch.MathExpression:
        """What the services bill by use. Storage, logs and what nodes call themselves are not in it."""
        memory_gb = self._deployment.config.memory_mb / 1_024
        sent = f"SUM(SEARCH('{self._queues('NumberOfMessagesSent')}', 'Sum', 300))"
        invoked = f"SUM(SEARCH('{self._functions('Invocations')}', 'Sum', 300))"
        ran = f"SUM(SEARCH('{self._functions('Duration')}', 'Sum', 300))"
        millions = (
            f"(FILL(w,0)*{_WRITE_UNITS} + FILL(r,0)*{_READ_UNITS} + FILL(a,0)*{_API_REQUESTS}"
            f" + FILL({sent},0)*{3 * _QUEUE_REQUESTS} + FILL({invoked},0)*{_INVOCATIONS})/1000000"
        )
        return cloudwatch.MathExpression(
            expression=f"12*({millions} + FILL({ran},0)/1000*{memory_gb * _GB_SECOND:.10f})",
            using_metrics={"w": units[0], "r": units[1], "a": metric("AWS/ApiGateway", "Count", self._api)},
            label="dollars an hour",
            period=Duration.minutes(5),
        )

    def _own(self, name: str, label: str) -> cloudwatch.Metric:
        return metric(NAMESPACE, name, {"Stage": self._deployment.config.stage}).with_(label=label)

    def _percentiles(self, name: str) -> list[cloudwatch.IMetric]:
        stage = {"Stage": self._deployment.config.stage}
        return [metric(NAMESPACE, name, stage, each).with_(label=each) for each in ("p50", "p95", "p99")]

    def _functions(self, metric_name: str) -> str:
        """What finds a metric of all functions of the stage."""
        return f'{{AWS/Lambda,FunctionName}} {self._deployment.prefix} MetricName="{metric_name}"'

    def _queues(self, metric_name: str) -> str:
        """The same of its queues."""
        return f'{{AWS/SQS,QueueName}} {self._deployment.prefix} MetricName="{metric_name}"'

    def _search(self, what: str, statistic: str, label: str) -> cloudwatch.IMetric:
        if what.startswith("{Karman,"):
            what = f'{what} Stage="{self._deployment.config.stage}"'
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{what}', '{statistic}', 300)",
            using_metrics={},
            label=label,
            period=Duration.minutes(5),
        )


def _graph(
    title: str,
    width: int,
    left: Sequence[cloudwatch.IMetric],
    searches: Sequence[cloudwatch.IMetric] = (),
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title, width=width, height=_HEIGHT, left=[*left, *searches], region=Aws.REGION
    )
