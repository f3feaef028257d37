"""What operators do, on AWS's own semantics: indexes that lag in keys, batches, expiry."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import Conflict, NotFound
from karman_core.domain.outcome import Awaiting, Errored, Outcome, Succeeded
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
from tests.deployments import NAMESPACE, Deployment

BY = "key:k1"
NODES = [
    {"identifier": "a", "node_name": "a", "next_nodes": ["b"]},
    {"identifier": "b", "node_name": "b", "next_nodes": ["u"]},
    {"identifier": "u", "node_name": "b", "unites": {"identifier": "a"}},
]


def work(deployment: Deployment, node: str, outcome: Outcome) -> str:
    """Lease a state and report; the state's id."""
    (leased,) = deployment.run(deployment.engine.poll(NAMESPACE, [node], wait_seconds=5))
    deployment.run(deployment.engine.report(NAMESPACE, leased.state_id, outcome, lease=leased.lease))
    return leased.state_id


def gave(*outputs: dict[str, Any]) -> Succeeded:
    return Succeeded(outputs)


def failed_run(deployment: Deployment) -> tuple[str, str]:
    """A run of which one branch of two has failed, and that branch's state."""
    deployment.put(GraphDefinition.model_validate({"name": "g", "nodes": NODES}))
    run = deployment.run(deployment.engine.trigger(NAMESPACE, "g", tags={"t": "v"})).run_id
    work(deployment, "a", gave({"text": "x" * 20_000}, {"text": "y"}))
    work(deployment, "b", gave({}))
    state = work(deployment, "b", Errored("Broken", "no", retry=False))
    assert deployment.view(run).status == "FAILED"
    return run, state


def test_a_failed_branch_is_skipped_and_the_run_purged(deployment: Deployment) -> None:
    run, state = failed_run(deployment)
    operator = deployment.engine.operator(BY)
    skipped = deployment.run(operator.skip(NAMESPACE, run, state, None))
    assert (skipped.status, skipped.skipped_by) == ("SUCCEEDED", BY)
    for _ in range(20):  # Those who poll carry commands out, too.
        found = deployment.run(deployment.engine.poll(NAMESPACE, ["b"]))
        for each in found:
            deployment.run(deployment.engine.report(NAMESPACE, each.state_id, gave({}), lease=each.lease))
        if deployment.view(run).ended:
            break
    assert deployment.view(run).status == "SUCCEEDED"
    assert len(deployment.run(deployment.engine.list_runs(NAMESPACE, tags={"t": "v"})).runs) == 1
    assert deployment.run(operator.purge(NAMESPACE, run)).complete
    with pytest.raises(NotFound):
        deployment.view(run)
    assert deployment.run(deployment.engine.list_runs(NAMESPACE, tags={"t": "v"})).runs == ()
    assert deployment.run(deployment.engine.list_runs(NAMESPACE)).runs == ()
    entries = deployment.run(deployment.engine.audit.page(NAMESPACE)).entries
    assert [(each.action, each.result) for each in entries] == [("purge", "done"), ("skip", "done")]


def test_a_purge_that_was_cut_off_is_the_sweepers(deployment: Deployment) -> None:
    run, _ = failed_run(deployment)
    view = deployment.run(deployment.engine.operations.purge(NAMESPACE, run, seconds=0))
    assert not view.complete
    assert deployment.run(deployment.engine.sweep()).purged == 1
    assert deployment.run(deployment.engine.operations.purge(NAMESPACE, run)).complete
    assert deployment.run(deployment.engine.sweep()).looked_at == 0


def test_a_run_that_goes_on_is_redriven_and_not_purged(deployment: Deployment) -> None:
    deployment.put(
        GraphDefinition.model_validate({"name": "g", "nodes": [{"identifier": "a", "node_name": "a"}]})
    )
    run = deployment.trigger("g")
    work(deployment, "a", Awaiting("go"))
    assert deployment.run(deployment.engine.operations.redrive(NAMESPACE, run)).sent == 1
    with pytest.raises(Conflict):
        deployment.run(deployment.engine.operations.purge(NAMESPACE, run))
    many = deployment.engine.operations.bulk(NAMESPACE, Action.PURGE, RunFilter())
    assert deployment.run(many).matched == 0
