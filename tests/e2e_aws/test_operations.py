"""What people and other systems do to what is deployed, beside running graphs."""

import json
from typing import Any

import pytest

from karman import Client
from karman.errors import NotFound
from karman.webhooks import RunEvent
from tests.e2e_aws.conftest import LETTERS, Deployed
from tests.e2e_aws.deployment import SECONDS, SUCCEEDED, eventually
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.timeout(900)

CHARACTERS = 100_000


def blobs(deployed: Deployed, run_id: str) -> list[Any]:
    listed: dict[str, Any] = deployed.boto("s3").list_objects_v2(
        Bucket=deployed.environment["KARMAN_BUCKET"], Prefix=f"runs/default/{run_id}/"
    )
    return list(listed.get("Contents", []))


def schedules(deployed: Deployed, group: str) -> set[str]:
    """Names of a group."""
    found = deployed.boto("scheduler").list_schedules(GroupName=f"karman-e2e-{group}")["Schedules"]
    return {each["Name"] for each in found}


def secrets(deployed: Deployed) -> list[str]:
    """Names of parameters of the stage."""
    found = deployed.boto("ssm").describe_parameters()["Parameters"]
    return [each["Name"] for each in found if each["Name"].startswith("/karman-e2e/")]


def test_a_run_with_large_outputs_and_a_secret_and_its_purge(deployed: Deployed, client: Client) -> None:
    run = client.trigger("writes", {"characters": CHARACTERS}, wait=True, wait_timeout=SECONDS)

    assert run.status == SUCCEEDED
    assert run.result == {"characters": CHARACTERS}
    (written,) = [state for state in client.states(run.run_id) if state.identifier == "write"]
    (outputs,) = written.outputs or ()
    assert set(str(outputs["text"])) == set(LETTERS)
    assert blobs(deployed, run.run_id)
    again = client.rerun(run.run_id, "count")
    eventually(lambda: client.run(again.run_id).status == SUCCEEDED)
    client.purge(again.run_id)
    client.purge(run.run_id)
    eventually(lambda: not blobs(deployed, run.run_id))
    with pytest.raises(NotFound):
        client.run(run.run_id)


def test_a_run_of_tomorrow_waits_with_the_scheduler(deployed: Deployed, client: Client) -> None:
    before = schedules(deployed, "timers")
    run_id = client.trigger("survives", delay=86_400).run_id

    assert len(schedules(deployed, "timers") - before) == 1
    assert client.run(run_id).status == "QUEUED"
    assert client.cancel(run_id).status in {"QUEUED", "CANCELLED"}
    eventually(lambda: client.run(run_id).status == "CANCELLED")


def test_a_worker_without_credentials_polls_the_api(client: Client) -> None:
    assert client.poll(["Measure"], wait_seconds=0) == ()


def test_a_key_is_rotated_and_revoked(client: Client) -> None:
    issued = client.issue_key("guest", ["read"])
    assert client.rotate_key(issued.id).key != issued.key
    client.revoke_key(issued.id)

    assert all(each.id != issued.id for each in client.keys())  # noqa: SIM118  no mapping


def test_a_webhook_hears_of_a_run_and_its_receiver_is_asked_again(deployed: Deployed, client: Client) -> None:
    functions = deployed.boto("lambda")
    for name in ("karman-e2e-api", "karman-e2e-webhooks"):
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**variables, "KARMAN_WEBHOOK_LOOPBACK": "true"}}
        )
    with receiving(500) as receiver:
        webhook = client.create_webhook(receiver.url, graphs=["writes"])
        try:
            run = client.trigger("writes", {"characters": 10}, wait=True, wait_timeout=SECONDS)
            eventually(lambda: [each.status for each in client.deliveries(webhook.id)] == ["DELIVERED"])
        finally:
            client.delete_webhook(webhook.id)

    assert [each.is_signed_with(webhook.secret) for each in receiver.received] == [True, True]
    assert len({each.id for each in receiver.received}) == 1
    told = RunEvent.model_validate(receiver.received[0].payload["data"])
    assert (told.run_id, told.status, told.totals.succeeded) == (run.run_id, SUCCEEDED, 2)


def test_the_sweeper_goes_round(deployed: Deployed) -> None:
    answer = deployed.boto("lambda").invoke(FunctionName="karman-e2e-sweeper", Payload=b"{}")

    assert "FunctionError" not in answer
    swept = json.loads(answer["Payload"].read())
    assert swept["complete"] is True
    assert swept["failed"] == 0


def test_a_graph_goes_with_its_schedules_and_secrets(deployed: Deployed, client: Client) -> None:
    assert list(client.triggers("writes"))
    assert secrets(deployed)
    client.disable_trigger("writes", "nightly")
    client.delete_graph("writes")

    assert not [name for name in schedules(deployed, "cron") if "writes" in name]
    assert secrets(deployed) == []
