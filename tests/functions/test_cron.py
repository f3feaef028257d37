"""A cron trigger that is due, as EventBridge Scheduler calls the function."""

from __future__ import annotations

import json
from typing import Any

import pytest

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import BackendError, Throttled
from karman_functions import composition
from karman_functions.cron.handler import handler
from tests.deployments import NAMESPACE, Deployment
from tests.functions.metrics import metrics_of
from tests.runtime.lambda_events import LambdaContext

DUE = "2026-03-01T06:30:00Z"


def put_graph(deployment: Deployment, expression: str = "30 6 * * *", **more: Any) -> None:
    trigger = {"type": "CRON", "value": {"expression": expression, "timezone": "Europe/Berlin", **more}}
    deployment.put(
        GraphDefinition.model_validate(
            {"name": "g", "nodes": [{"identifier": "a", "node_name": "a"}], "triggers": [trigger]}
        )
    )


def put_invalid(deployment: Deployment) -> None:
    nodes = [{"identifier": "a", "node_name": "unknown"}]
    trigger = {"type": "CRON", "value": {"expression": "30 6 * * *"}}
    graph = GraphDefinition.model_validate({"name": "g", "nodes": nodes, "triggers": [trigger]})
    assert not deployment.run(deployment.engine.put_graph(NAMESPACE, graph)).valid


def events(deployment: Deployment, due: str = DUE) -> list[dict[str, Any]]:
    """What Scheduler would call the function with: the inputs of all schedules, keywords replaced."""
    scheduler, group = deployment.backend.clients.scheduler, deployment.environment["KARMAN_SCHEDULE_GROUP"]
    names = [each["Name"] for each in scheduler.list_schedules(GroupName=group)["Schedules"]]
    targets = [scheduler.get_schedule(GroupName=group, Name=name)["Target"] for name in names]
    assert {target["Arn"] for target in targets} == {deployment.environment["KARMAN_CRON_TARGET_ARN"]}
    return [json.loads(target["Input"].replace("<aws.scheduler.scheduled-time>", due)) for target in targets]


def call(event: Any) -> str:
    return str(handler(event, LambdaContext())["outcome"])


def runs(deployment: Deployment) -> list[str]:
    return [run.run_id for run in deployment.run(deployment.engine.list_runs(NAMESPACE)).runs]


def test_one_firing_starts_one_run_however_often_it_is_told(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    put_graph(deployment)
    (event,) = events(deployment)

    assert [call(event), call(event)] == ["started", "known"]
    assert call(events(deployment, "2026-03-02T06:30:00Z")[0]) == "started"

    assert len(runs(deployment)) == 2
    assert deployment.left() >= 2
    metrics = metrics_of(capsys.readouterr().out)
    assert metrics["CronFirings.started"] == 2
    assert metrics["CronFirings.known"] == 1
    assert metrics["RunsBegan"] == 2


def test_a_trigger_of_two_schedules_that_are_due_at_once_starts_one_run(deployment: Deployment) -> None:
    put_graph(deployment, "30 6 1 * 0")  # on the first of the month, and on Sundays
    both = events(deployment)

    assert len(both) == 2
    assert sorted(map(call, both)) == ["known", "started"]
    assert len(runs(deployment)) == 1


def test_a_firing_while_the_previous_run_goes_on_may_be_skipped(deployment: Deployment) -> None:
    put_graph(deployment, overlap="skip")
    assert call(events(deployment)[0]) == "started"
    assert call(events(deployment, "2026-03-02T06:30:00Z")[0]) == "skipped"
    assert len(runs(deployment)) == 1


def test_a_firing_that_comes_after_its_trigger_is_gone_starts_nothing(deployment: Deployment) -> None:
    put_graph(deployment)
    (event,) = events(deployment)
    put_graph(deployment, enabled=False)
    assert call(event) == "skipped"
    assert call(event | {"graph": "never"}) == "skipped"
    assert runs(deployment) == []


def test_a_graph_that_cannot_be_triggered_is_no_reason_to_try_again(deployment: Deployment) -> None:
    put_graph(deployment)
    (event,) = events(deployment)
    put_invalid(deployment)
    assert call(event) == "refused"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "something.else"},
        {"kind": None},
        {"scheduled_time": "<aws.scheduler.scheduled-time>"},
        {"scheduled_time": "2026-03-01T06:30:00"},
        {"scheduled_time": None},
        {"namespace": 7},
        {"graph": None},
    ],
)
def test_a_bad_event_is_counted_and_is_over(
    deployment: Deployment,
    change: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    put_graph(deployment)
    (event,) = events(deployment)

    assert call({name: value for name, value in (event | change).items() if value is not None}) == "refused"

    assert metrics_of(capsys.readouterr().out)["CronFirings.refused"] == 1
    assert "not a firing" in caplog.text
    assert runs(deployment) == []


def test_an_empty_event_is_bad_too(deployment: Deployment) -> None:
    assert call({}) == "refused"


@pytest.mark.parametrize("error", [Throttled("slow down"), BackendError("the role may not do this")], ids=str)
def test_what_may_go_well_later_raises_so_that_lambda_tries_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, error: BackendError
) -> None:
    put_graph(deployment)
    (event,) = events(deployment)
    assert call({}) == "refused"

    async def fail(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(composition.process().engine, "fire", fail)
        with pytest.raises(type(error)):
            call(event)
    assert call(event) == "started"


def test_fields_that_a_later_version_adds_are_ignored(deployment: Deployment) -> None:
    put_graph(deployment)
    (event,) = events(deployment)
    assert call(event | {"later": 1}) == "started"
