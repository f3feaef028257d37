"""The hourly guard, within the time that the function has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from karman_core.domain.definition import GraphDefinition
from karman_core.engine.sweeping import Sweeper
from karman_functions import composition
from karman_functions.sweeper.handler import handler
from tests.deployments import NAMESPACE, Deployment
from tests.functions.metrics import metrics_of
from tests.leaping import leap
from tests.runtime.lambda_events import LambdaContext

EVENT = {"source": "aws.scheduler", "detail-type": "Scheduled Event"}


def put_graph(deployment: Deployment) -> None:
    deployment.put(
        GraphDefinition.model_validate({"name": "g", "nodes": [{"identifier": "a", "node_name": "a"}]})
    )


def test_what_is_overdue_ends(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    put_graph(deployment)
    fresh = deployment.trigger("g")
    late = deployment.run(deployment.engine.trigger(NAMESPACE, "g", timeout_ms=1)).run_id

    report = handler(EVENT, LambdaContext())

    assert (report["looked_at"], report["expired"], report["failed"]) == (2, 1, 0)
    assert report["complete"]
    assert deployment.view(late).status == "TIMED_OUT"
    assert not deployment.view(fresh).ended
    metrics = metrics_of(capsys.readouterr().out)
    assert metrics["RunsExpired"] == 1
    assert metrics["RunsEnded.TIMED_OUT"] == 1
    assert "SweepsIncomplete" not in metrics


def test_without_time_nothing_is_begun_and_the_next_sweep_does_it(deployment: Deployment) -> None:
    put_graph(deployment)
    deployment.trigger("g")

    assert handler(EVENT, LambdaContext(0))["complete"] is False
    assert handler(EVENT, LambdaContext())["looked_at"] == 1


def test_a_run_that_takes_all_the_time_is_broken_off_and_passed_over(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_graph(deployment)
    deployment.trigger("g")
    look_at = Sweeper._look_at  # noqa: SLF001  put back below

    async def forever(*_: Any) -> Any:
        leap(300)
        await asyncio.Event().wait()

    monkeypatch.setattr(Sweeper, "_look_at", forever)
    assert handler(EVENT, LambdaContext(300)) == {"complete": False}
    assert metrics_of(capsys.readouterr().out)["SweepsIncomplete"] == 1

    monkeypatch.setattr(Sweeper, "_look_at", look_at)
    assert handler(EVENT, LambdaContext())["looked_at"] == 0  # it goes on behind that run ...
    assert handler(EVENT, LambdaContext())["looked_at"] == 1  # ... and then comes round again


def test_it_works_without_a_context(deployment: Deployment) -> None:
    assert handler(EVENT, None)["complete"]
    assert composition.process().cold is False
