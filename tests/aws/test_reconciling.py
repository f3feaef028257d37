"""Schedules of EventBridge Scheduler are compared with the graphs' triggers, on moto."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from karman_core.domain.definition import GraphDefinition, RegisteredNode
from karman_core.engine.reconciling import Difference, Drift
from karman_core.ports.timers import Schedule
from tests.deployments import NAMESPACE, RUNTIME, Deployment, deployed


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with mock_aws(), deployed() as made:
        yield made


def define(deployment: Deployment, *crons: str) -> None:
    nodes = [RegisteredNode(name="A", runtime=RUNTIME)]
    deployment.run(deployment.engine.register_nodes(NAMESPACE, nodes))
    triggers = [{"name": f"t{at}", "value": {"expression": each}} for at, each in enumerate(crons)]
    given = {"name": "g", "nodes": [{"identifier": "a", "node_name": "A"}], "triggers": triggers}
    deployment.put(GraphDefinition.model_validate(given))


def schedules(deployment: Deployment) -> dict[str, str]:
    """Scheduler's own, by name: what each calls."""
    scheduler, group = deployment.backend.clients.scheduler, f"{deployment.name}-schedules"
    names = [each["Name"] for each in scheduler.list_schedules(GroupName=group)["Schedules"]]
    return {name: scheduler.get_schedule(Name=name, GroupName=group)["Target"]["Arn"] for name in names}


def mend(deployment: Deployment, *, rewrite: bool = False) -> list[Difference]:
    return deployment.run(deployment.engine.reconciler.reconcile(NAMESPACE, rewrite=rewrite))


def test_differences_are_mended(deployment: Deployment) -> None:
    define(deployment, "0 4 * * *", "0 5 * * *")
    right = schedules(deployment)
    backend = deployment.backend.schedules
    deployment.run(backend.delete(NAMESPACE, "g", "t0"))
    deployment.run(backend.put(Schedule(NAMESPACE, "g", "t1", "0 6 * * *")))
    deployment.run(backend.put(Schedule(NAMESPACE, "gone", "t0", "0 6 * * *")))

    assert [(each.graph, each.trigger, each.drift) for each in mend(deployment)] == [
        ("g", "t0", Drift.MISSING),
        ("g", "t1", Drift.DIFFERENT),
        ("gone", "t0", Drift.ORPHANED),
    ]
    assert schedules(deployment) == right
    assert mend(deployment) == []


def test_rewriting_brings_back_a_part_and_the_target(deployment: Deployment) -> None:
    """Cron's day of month or day of week are two schedules of Scheduler's; a list does not tell that one is gone."""
    define(deployment, "0 4 1 * 1")
    right = schedules(deployment)
    assert len(right) == 2
    scheduler, group = deployment.backend.clients.scheduler, f"{deployment.name}-schedules"
    first, second = sorted(right)
    scheduler.delete_schedule(Name=second, GroupName=group)
    kept = scheduler.get_schedule(Name=first, GroupName=group)
    target: Any = {**kept["Target"], "Arn": "arn:aws:lambda:us-east-1:000000000000:function:old"}
    scheduler.update_schedule(
        Name=first,
        GroupName=group,
        ScheduleExpression=kept["ScheduleExpression"],
        FlexibleTimeWindow=kept["FlexibleTimeWindow"],
        State="ENABLED",
        Target=target,
    )

    assert mend(deployment) == []
    assert schedules(deployment) != right
    assert mend(deployment, rewrite=True) == []
    assert schedules(deployment) == right
    again = scheduler.get_schedule(Name=second, GroupName=group)
    assert json.loads(again["Target"]["Input"])["trigger"] == "t0"
