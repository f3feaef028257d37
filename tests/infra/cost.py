"""What stacks cost in a month in which nothing runs, resource by resource, by the list prices of US East (N. Virginia).

A type of resource that is neither priced nor known to be free is an error: what is added to a stack is to be looked at.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.infra.templates import Template

HOURS: Final = 730
POLLS_A_MINUTE: Final = 5 * 3
"""Lambda keeps five pollers at each queue that is an event source, and each of them waits for up to 20 seconds."""

QUEUE_REQUEST: Final = 0.40e-6
FIRING: Final = 1.00e-6
INVOCATION: Final = 0.20e-6
GB_SECOND: Final = 0.0000133334
READ_UNIT: Final = 0.125e-6
ALARM_METRIC: Final = 0.10
DASHBOARD: Final = 3.00
KEY: Final = 1.00

SECONDS: Final = {"sweeper": 2.0, "dead_letters": 0.5}
"""Assumed, of one call that finds nothing: an hour later nearly each begins cold, minutes later few do."""

READ_UNITS: Final = {"sweeper": 10, "dead_letters": 0}
"""Of one call that finds nothing; a sweep looks at sixteen shards of an index."""

_MINUTES: Final = {"minute": 1, "minutes": 1, "hour": 60, "hours": 60}

FREE: Final = frozenset(
    {
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::ApiMapping",
        "AWS::ApiGatewayV2::DomainName",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CDK::Metadata",
        "AWS::DynamoDB::Table",  # on demand: by the request and the GB
        "AWS::EC2::InternetGateway",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ECS::Cluster",
        "AWS::ECS::ClusterCapacityProviderAssociations",
        "AWS::ECS::TaskDefinition",
        "AWS::Events::EventBus",
        "AWS::Events::Rule",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::KMS::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Function",  # by the call
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::LogGroup",  # by what is written, and at rest nothing is worth a cent
        "AWS::Logs::QueryDefinition",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::ScheduleGroup",
        "Custom::S3AutoDeleteObjects",
        "Custom::Trigger",
    }
)

Usage = Counter[str]
"""How much of what is billed: `polls` (requests of queues by Lambda itself), `queue_requests` (others), `firings`,
`invocations`, `gb_seconds`, `read_units`, `alarms`, `dashboards`, `keys`."""

UNIT_PRICES: Final[Mapping[str, float]] = {
    "polls": QUEUE_REQUEST,
    "queue_requests": QUEUE_REQUEST,
    "firings": FIRING,
    "invocations": INVOCATION,
    "gb_seconds": GB_SECOND,
    "read_units": READ_UNIT,
    "alarms": ALARM_METRIC,
    "dashboards": DASHBOARD,
    "keys": KEY,
}

ALLOWANCES: Final[Mapping[str, float]] = {
    "queue_requests": 1e6,
    "firings": 14e6,
    "invocations": 1e6,
    "gb_seconds": 400_000,
    "alarms": 10,
    "dashboards": 3,
}
"""What AWS gives each account every month, without an end."""


def usage(template: Template, begins: str = "", rounds: float = 0) -> Usage:
    """What a stack uses at rest.

    Args:
        begins: how the logical ids begin that are looked at.
        rounds: how often a month the function of dead letters looks at each of their queues; 0 to take it from this
            template, which has the schedule.
    """
    found: Usage = Counter()
    rounds = rounds or rounds_a_month(template)
    for logical, resource in template.raw["Resources"].items():
        kind = resource["Type"]
        if not logical.startswith(begins) or kind in FREE:
            continue
        assert kind in _BILLED, f"what does {kind} ({logical}) cost at rest? Add it to _BILLED or to FREE"
        found.update(_BILLED[kind](resource.get("Properties", {}), template, rounds))
    return found


def rounds_a_month(template: Template) -> float:
    """How often the function of dead letters is called."""
    return sum(
        _calls(each["ScheduleExpression"])
        for each in template.all("AWS::Scheduler::Schedule").values()
        if each["Name"].endswith("dead_letters")
    )


def items(used: Usage) -> dict[str, float]:
    """Dollars a month, by what is billed."""
    return {what: amount * UNIT_PRICES[what] for what, amount in used.items()}


def dollars(used: Usage, *, allowances: bool = False) -> float:
    """A month, by the list or with AWS's allowances, which nothing else uses."""
    free = ALLOWANCES if allowances else {}
    used = used.copy()
    used["queue_requests"] += used.pop("polls", 0)
    return sum(max(0.0, amount - free.get(what, 0)) * UNIT_PRICES[what] for what, amount in used.items())


def _event_source(_properties: Any, _template: Template, _rounds: float) -> Usage:
    return Counter({"polls": POLLS_A_MINUTE * 60 * HOURS})


def _queue(properties: Any, _template: Template, rounds: float) -> Usage:
    """One of dead letters is asked for its length each round, a task queue every hour."""
    return Counter({"queue_requests": HOURS if "RedrivePolicy" in properties else round(rounds)})


def _schedule(properties: Any, template: Template, _rounds: float) -> Usage:
    calls = round(_calls(properties["ScheduleExpression"]))
    name = str(properties["Name"])
    (what,) = [each for each in SECONDS if name.endswith(each)]
    memory_gb = template.function(name)["MemorySize"] / 1_024
    used = {
        "firings": calls,
        "invocations": calls,
        "gb_seconds": round(calls * SECONDS[what] * memory_gb),
        "read_units": calls * READ_UNITS[what],
        "queue_requests": calls if what == "dead_letters" else 0,  # the list of queues
    }
    return Counter(used)


def _alarm(properties: Any, _template: Template, _rounds: float) -> Usage:
    """Each metric that an alarm looks at is billed."""
    metrics = [each for each in properties.get("Metrics", [{"MetricStat": {}}]) if "MetricStat" in each]
    return Counter({"alarms": len(metrics)})


def _service(_properties: Any, template: Template, _rounds: float) -> Usage:
    least = [
        each["MinCapacity"] for each in template.all("AWS::ApplicationAutoScaling::ScalableTarget").values()
    ]
    assert least == [0], "workers that always run have a price of their own"
    return Counter()


_BILLED: Final[Mapping[str, Callable[[Any, Template, float], Usage]]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": lambda *_: Counter({"dashboards": 1}),
    "AWS::ECS::Service": _service,
    "AWS::KMS::Key": lambda *_: Counter({"keys": 1}),
    "AWS::Lambda::EventSourceMapping": _event_source,
    "AWS::SQS::Queue": _queue,
    "AWS::Scheduler::Schedule": _schedule,
}


def _calls(expression: str) -> float:
    """A month: of a rate."""
    number, unit = expression.removeprefix("rate(").removesuffix(")").split()
    return HOURS * 60 / (int(number) * _MINUTES[unit])
