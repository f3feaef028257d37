"""The API, schedules, alarms, dashboard, containers: what of them others rely on."""

import json
import re

import pytest

from karman_core.backends.aws.metrics import CloudWatchMetrics
from karman_core.ports.observer import LetterDied
from karman_functions.settings import load_settings
from karman_infra.observability import QUERIES
from tests.infra.searches import Search, searches_in
from tests.infra.templates import Template, allowed, rendered


def test_the_api_is_throttled_and_logged(dev: Template) -> None:
    stage = dev.only("AWS::ApiGatewayV2::Stage")

    assert stage["StageName"] == "$default"
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 400, "ThrottlingRateLimit": 200}
    fields = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"requestId", "sourceIp", "status", "path"} <= set(fields)
    assert not [each for each in fields.values() if "header" in each.lower()]  # keys are in headers
    group = dev.named("AWS::Logs::LogGroup", "LogGroupName", "/aws/vendedlogs/apigateway/karman-dev")
    assert group["RetentionInDays"] == 30


def test_one_route_takes_all(dev: Template) -> None:
    (route,) = dev.all("AWS::ApiGatewayV2::Route").values()
    (integration,) = dev.all("AWS::ApiGatewayV2::Integration").values()

    assert route["RouteKey"] == "ANY /{proxy+}"
    assert route["AuthorizationType"] == "NONE"
    assert integration["PayloadFormatVersion"] == "2.0"


def test_iam_is_asked_first_where_that_is_configured(prod: Template) -> None:
    routes = {each["RouteKey"]: each for each in prod.all("AWS::ApiGatewayV2::Route").values()}

    assert routes["ANY /{proxy+}"]["AuthorizationType"] == "AWS_IAM"
    # Browsers ask without a signature; where no origin may call, nobody does.
    assert routes["OPTIONS /{proxy+}"]["AuthorizationType"] == "NONE"
    assert len(routes) == 2
    assert len({str(each["Target"]) for each in routes.values()}) == 1
    (caller,) = load_settings(prod.variables("karman-prod-api")).iam_callers
    assert (caller.namespace, caller.scopes) == ("team-a", ("trigger",))


def test_a_domain_of_ones_own_is_the_only_way_in(prod: Template) -> None:
    (domain,) = prod.all("AWS::ApiGatewayV2::DomainName").values()

    assert domain["DomainName"] == "karman.example.com"
    assert domain["DomainNameConfigurations"][0]["SecurityPolicy"] == "TLS_1_2"
    assert prod.only("AWS::ApiGatewayV2::Api")["DisableExecuteApiEndpoint"] is True
    urls = [each["Value"] for name, each in prod.raw["Outputs"].items() if "ApiUrl" in name]
    assert urls == ["https://karman.example.com"]


def test_a_firing_that_fails_is_tried_again_then_kept(dev: Template) -> None:
    by_function = {
        rendered(each["FunctionName"]): each for each in dev.all("AWS::Lambda::EventInvokeConfig").values()
    }
    (cron,) = [each for name, each in by_function.items() if "Cron" in name]

    assert cron["MaximumRetryAttempts"] == 2
    assert "Undelivered" in cron["DestinationConfig"]["OnFailure"]["Destination"]


@pytest.mark.parametrize(
    ("function", "rate", "window"),
    [("sweeper", "rate(1 hour)", "FLEXIBLE"), ("dead_letters", "rate(5 minutes)", "OFF")],
)
def test_guards_are_called_by_the_clock_and_not_twice(
    dev: Template, function: str, rate: str, window: str
) -> None:
    schedule = dev.named("AWS::Scheduler::Schedule", "Name", f"karman-dev-{function}")

    assert schedule["ScheduleExpression"] == rate
    assert schedule["FlexibleTimeWindow"]["Mode"] == window
    assert schedule["Target"]["Arn"].endswith(f":function:karman-dev-{function}")
    assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    role = schedule["Target"]["RoleArn"].split(".")[0].strip("<")
    assert allowed(dev.statements(role), "lambda:InvokeFunction") == {schedule["Target"]["Arn"]}
    retries = [
        each["MaximumRetryAttempts"]
        for each in dev.all("AWS::Lambda::EventInvokeConfig").values()
        if dev.all("AWS::Lambda::Function")[each["FunctionName"].strip("<>")]["FunctionName"]
        == f"karman-dev-{function}"
    ]
    assert retries == [0]


def test_a_round_of_dead_letters_ends_before_the_next_begins(dev: Template) -> None:
    assert dev.function("karman-dev-dead_letters")["Timeout"] < 5 * 60


def test_alarms_go_to_the_addressees(prod: Template, dev: Template) -> None:
    subscription = prod.only("AWS::SNS::Subscription")

    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")
    alarms = [
        each
        for each in prod.all("AWS::CloudWatch::Alarm").values()
        if "scaling" not in each["AlarmDescription"]
    ]
    assert alarms
    for alarm in alarms:
        (topic,) = alarm["AlarmActions"]
        assert topic.endswith(":karman-prod-alarms")
        assert alarm["TreatMissingData"] == "notBreaching"
    assert dev.only("AWS::SNS::Topic")["TopicName"] == "karman-dev-alarms"  # for whoever subscribes by hand
    _, publishing = dev.only("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    assert publishing["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert publishing["Condition"] == {"StringEquals": {"aws:SourceAccount": "<AccountId>"}}


def test_alarms_that_nobody_hears_of_and_dashboards_are_for_production(
    dev: Template, examples: Template, prod: Template
) -> None:
    for template in (dev, examples):
        assert not template.all("AWS::CloudWatch::Alarm")
    assert not dev.all("AWS::CloudWatch::Dashboard")
    assert prod.only("AWS::CloudWatch::Dashboard")["DashboardName"] == "karman-prod"


def test_what_is_watched(prod: Template) -> None:
    def watched(template: Template) -> set[tuple[str, str]]:
        return {
            (each["MetricName"], str(each["Dimensions"][0]["Value"]))
            for each in template.all("AWS::CloudWatch::Alarm").values()
            if "MetricName" in each  # those that scale containers look at a sum
        }

    found = {(name, re.sub("<.*>", "api", of)) for name, of in watched(prod)}
    assert {each for each in found if not each[1].startswith(("karman-prod-team", "karman-prod-lonely"))} == {
        ("5xx", "api"),
        ("Errors", "karman-prod-api"),
        ("Errors", "karman-prod-cron"),
        ("Errors", "karman-prod-dead_letters"),
        ("Errors", "karman-prod-sweeper"),
        ("Errors", "karman-prod-webhooks"),
        ("DeadLetters", "prod"),
        ("ApproximateNumberOfMessagesVisible", "karman-prod-undelivered"),
        ("ReadThrottleEvents", "karman-prod"),
        ("WriteThrottleEvents", "karman-prod"),
    }
    assert {each for each in found if "functions" in each[1]} == {
        ("ApproximateAgeOfOldestMessage", "karman-prod-team--a-functions"),
        ("ApproximateNumberOfMessagesVisible", "karman-prod-team--a-functions-dlq"),
        ("Errors", "karman-prod-team--a-functions"),
        ("Throttles", "karman-prod-team--a-functions"),
    }


def test_the_alarm_of_dead_letters_looks_at_what_the_function_writes(
    prod: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    (alarm,) = [
        each
        for each in prod.all("AWS::CloudWatch::Alarm").values()
        if each.get("MetricName") == "DeadLetters"
    ]
    metrics = CloudWatchMetrics("prod")
    metrics.observe(LetterDied("q", "m", "archived"))
    metrics.flush()
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    (watched,) = [each for each in written if "Outcome" not in each]
    (definition,) = watched["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == alarm["Namespace"]
    assert definition["Dimensions"] == [[each["Name"] for each in alarm["Dimensions"]]]
    assert [watched[each["Name"]] for each in alarm["Dimensions"]] == ["prod"]
    assert watched["DeadLetters"] == [1]


def test_letters_may_wait_for_a_round_before_they_count_as_stuck(prod: Template) -> None:
    (alarm,) = [
        each
        for each in prod.all("AWS::CloudWatch::Alarm").values()
        if "undelivered" in str(each.get("Dimensions"))
    ]

    assert alarm["EvaluationPeriods"] * alarm["Period"] >= 3 * 5 * 60
    assert "15 minutes" in alarm["AlarmDescription"]


def test_the_dashboard_shows_the_five(prod: Template) -> None:
    body = json.loads(prod.only("AWS::CloudWatch::Dashboard")["DashboardBody"])
    titles = " ".join(widget["properties"]["title"] for widget in body["widgets"])

    for word in ("Runs", "latency", "errors", "Messages", "Dollars"):
        assert word in titles
    for widget in body["widgets"]:
        assert widget["properties"]["metrics"]


def test_the_dashboards_searches_find_what_is_of_the_stage(
    prod: Template, dev: Template, elsewhere: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """CloudWatch says nothing of a search that finds nothing: the graph is just empty."""
    of_functions, of_queues, own = searches_of(prod)

    def named(kind: str, attribute: str, *templates: Template) -> set[str]:
        found = [each.get(attribute, "") for template in templates for each in template.all(kind).values()]
        return {name for name in found if name.startswith("karman-")}

    for searches, kind, dimension in (
        (of_functions, "AWS::Lambda::Function", "FunctionName"),
        (of_queues, "AWS::SQS::Queue", "QueueName"),
    ):
        names = named(kind, dimension, prod)
        assert len(names) >= 6
        for search in searches:
            metric = dict(search.terms)["MetricName"].strip('"')
            assert all(search.finds(metric, {dimension: name}) for name in names)
            assert not search.finds("Other", {dimension: min(names)})
            others = named(kind, dimension, dev, elsewhere)
            assert others
            assert not [name for name in others if search.finds(metric, {dimension: name})]
    for stage in ("prod", "dev"):
        metrics = CloudWatchMetrics(stage)
        metrics.observe(LetterDied("q", "m", "archived"))
        metrics.count("RunsEnded", Status="FAILED")
        metrics.flush()
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {
        (name["Name"], line["Stage"])
        for line in written
        for definition in line["_aws"]["CloudWatchMetrics"]
        for name in definition["Metrics"]
        for search in own
        if search.finds(name["Name"], {each: line[each] for each in definition["Dimensions"][0]})
    }
    assert found == {("DeadLetters", "prod"), ("RunsEnded", "prod")}


def searches_of(template: Template) -> tuple[list[Search], list[Search], list[Search]]:
    """The dashboard's: of functions, of queues, of Karman's own metrics."""
    body = json.loads(template.only("AWS::CloudWatch::Dashboard")["DashboardBody"])
    expressions = [
        part["expression"]
        for widget in body["widgets"]
        for metric in widget["properties"]["metrics"]
        for part in metric
        if isinstance(part, dict) and "expression" in part
    ]
    found = [search for expression in expressions for search in searches_in(expression)]
    lists = [
        [each for each in found if each.schema[0] == name] for name in ("AWS/Lambda", "AWS/SQS", "Karman")
    ]
    assert [len(each) for each in lists] == [5, 4, 2]
    assert sum(map(len, lists)) == len(found)
    return lists[0], lists[1], lists[2]


def test_dollars_an_hour_are_made_of_the_periods_that_they_are_counted_in(prod: Template) -> None:
    body = json.loads(prod.only("AWS::CloudWatch::Dashboard")["DashboardBody"])

    assert body["periodOverride"] == "inherit"


@pytest.mark.parametrize(
    ("line", "is_fault"),
    [
        ('{"time":"2026-08-10T02:34:42.700Z","type":"platform.report","record":{"status":"timeout"}}', True),
        (
            '{"type":"platform.runtimeDone","record":{"status":"error","errorType":"Runtime.ExitError"}}',
            True,
        ),
        ('{"type":"platform.report","record":{"status":"error","errorType":"Runtime.OutOfMemory"}}', True),
        ('{"level": "ERROR", "errorMessage": "No module", "errorType": "Runtime.ImportModuleError"}', True),
        ('{"type":"platform.initReport","record":{"phase":"init","status":"timeout"}}', True),
        ('{"type":"platform.runtimeDone","record":{"status":"success"}}', False),
        ('{"level":"ERROR","message":"attempt failed","error":"ValueError: Runtime. timeout"}', False),
    ],
)
def test_faults_of_functions_are_found_as_lambda_reports_them(line: str, *, is_fault: bool) -> None:
    (pattern,) = re.findall(r"like /(.*)/$", QUERIES["faults-of-functions"][0])

    assert bool(re.search(pattern, line)) is is_fault


@pytest.mark.parametrize("name", QUERIES)
def test_queries_are_saved(dev: Template, name: str) -> None:
    query = dev.named("AWS::Logs::QueryDefinition", "Name", f"karman-dev/{name}")

    assert "|" in query["QueryString"]


def test_containers_are_confined(elsewhere: Template) -> None:
    task = elsewhere.only("AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]

    assert task["RuntimePlatform"] == {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"}
    assert container["ReadonlyRootFilesystem"] is True
    assert [each["ContainerPath"] for each in container["MountPoints"]] == ["/tmp"]
    assert "Privileged" not in container
    for group in elsewhere.all("AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group


def test_containers_scale_from_none_and_to_none(elsewhere: Template) -> None:
    target = elsewhere.only("AWS::ApplicationAutoScaling::ScalableTarget")
    policies = elsewhere.all("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    alarms = elsewhere.all("AWS::CloudWatch::Alarm").values()
    thresholds = {each["Threshold"] for each in alarms if "scaling" in each["AlarmDescription"]}
    (threshold,) = thresholds

    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 3)
    # A deployment would set it, whatever there is to do; a new service begins with one, who registers the nodes.
    assert "DesiredCount" not in elsewhere.only("AWS::ECS::Service")
    workers = {}
    for policy in policies:
        configuration = policy["StepScalingPolicyConfiguration"]
        assert configuration["AdjustmentType"] == "ExactCapacity"
        for step in configuration["StepAdjustments"]:
            lower = threshold + step.get("MetricIntervalLowerBound", float("-inf"))
            upper = threshold + step.get("MetricIntervalUpperBound", float("inf"))
            for backlog in (0, 1, 100, 101, 200, 201, 5_000):
                if lower < backlog < upper:
                    workers[backlog] = step["ScalingAdjustment"]
    assert workers == {0: 0, 1: 1, 100: 1, 101: 2, 200: 2, 201: 3, 5_000: 3}


def test_containers_are_started_by_a_sum_that_is_there_while_nothing_is_in_work(elsewhere: Template) -> None:
    alarms = [
        each
        for each in elsewhere.all("AWS::CloudWatch::Alarm").values()
        if "scaling" in each["AlarmDescription"]
    ]

    assert len(alarms) == 2
    for alarm in alarms:
        looked_at = {each["Id"]: each for each in alarm["Metrics"]}
        assert looked_at["expr_1"]["Expression"] == "waiting + FILL(working, 0)"
        names = {
            name: each["MetricStat"]["Metric"]["MetricName"]
            for name, each in looked_at.items()
            if name != "expr_1"
        }
        # As SQS's guide has it: the former is reported while a queue is active, the latter while anything is in flight.
        assert names == {
            "waiting": "ApproximateNumberOfMessagesVisible",
            "working": "ApproximateNumberOfMessagesNotVisible",
        }


def test_a_cluster_has_its_capacity_before_its_service_and_after_it(elsewhere: Template) -> None:
    """CloudFormation makes what depends on something later, and deletes it earlier."""
    resources = elsewhere.raw["Resources"]
    (capacity,) = [
        name
        for name, each in resources.items()
        if each["Type"] == "AWS::ECS::ClusterCapacityProviderAssociations"
    ]
    used = elsewhere.only("AWS::ECS::Service")["CapacityProviderStrategy"]

    assert capacity in elsewhere.resource("AWS::ECS::Service")["DependsOn"]
    assert {each["CapacityProvider"] for each in used} <= set(
        resources[capacity]["Properties"]["CapacityProviders"]
    )


def test_containers_without_a_network_get_one_that_costs_nothing(elsewhere: Template, prod: Template) -> None:
    assert not elsewhere.all("AWS::EC2::NatGateway")
    network = elsewhere.only("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "ENABLED"
    assert not prod.all("AWS::EC2::VPC")
    network = prod.only("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert network["Subnets"] == ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]
