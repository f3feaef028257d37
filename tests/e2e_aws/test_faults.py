"""Faults in what is deployed: each ends as docs/configuration.md says, and none takes others along."""

import json
import subprocess
from typing import Any

import pytest

from karman import Client
from karman.client import Backoff
from karman.errors import KarmanError
from tests.e2e_aws.conftest import Deployed, Faults, LocalTransport
from tests.e2e_aws.deployment import SUCCEEDED, eventually
from tests.e2e_aws.nodes.flow import graph as greeting

pytestmark = pytest.mark.timeout(900)


def ended(client: Client, run_id: str) -> Any:
    eventually(lambda: client.run(run_id).ended_ms is not None)
    return client.run(run_id)


def archived(deployed: Deployed) -> dict[str, Any]:
    """Dead letters that were kept, by their message's id."""
    s3, bucket = deployed.boto("s3"), deployed.environment["KARMAN_BUCKET"]
    found = s3.list_objects_v2(Bucket=bucket, Prefix="dead-letters/").get("Contents", [])
    letters = [json.loads(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()) for each in found]
    return {letter["message_id"]: letter for letter in letters}


def test_a_node_that_hangs_is_stopped_before_its_function_is(client: Client, faults: Faults) -> None:
    run = ended(client, faults.hangs)

    assert run.status == "FAILED"
    assert "timeout" in str(run.error)


def test_a_node_that_exits_the_process_fails_after_so_many_crashes(client: Client, faults: Faults) -> None:
    run = ended(client, faults.exits)

    assert run.status == "FAILED"
    assert "worker_crashed" in str(run.error)
    assert "died 9 times" in str(run.error)


def test_neighbours_of_such_nodes_come_through(client: Client, faults: Faults) -> None:
    run = ended(client, faults.survives)

    assert run.status == SUCCEEDED
    assert run.result == {"survived": True}


def test_a_message_that_fails_each_time_is_kept_in_the_end(deployed: Deployed, faults: Faults) -> None:
    function = deployed.boto("lambda")

    def kept() -> Any:
        # It is tried up to ten times, once a round, and rounds are a minute apart.
        function.invoke(FunctionName="karman-e2e-dead_letters", Payload=b"{}")
        return archived(deployed).get(faults.poison_id)

    letter: Any = eventually(kept)

    assert letter["body"] == faults.poison
    assert letter["queue"] == "karman-e2e-default-faulty-dlq"


@pytest.mark.parametrize("queue", ["karman-e2e-default-greetings", "karman-e2e-default-greetings-dlq"])
def test_a_foreign_message_is_archived_by_the_clock(deployed: Deployed, queue: str) -> None:
    sqs = deployed.boto("sqs")
    body = f"none of Karman's, in {queue}"
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], MessageBody=body)

    def kept() -> list[Any]:
        return [letter for letter in archived(deployed).values() if letter["body"] == body]

    (letter,) = eventually(kept)
    assert letter["queue"] == "karman-e2e-default-greetings-dlq"


def test_a_function_without_its_table_goes_on_when_it_is_there_again(
    deployed: Deployed, client: Client, container: subprocess.Popen[bytes]
) -> None:
    assert container.poll() is None
    eventually(lambda: "Measure" in {node.name for node in client.nodes()})
    assert client.put_graph(greeting).valid
    who = "karman-e2e-default-greetings"
    with deployed.throttled_table(who):
        run_id = client.trigger("greeting", {"name": "Ada"}).run_id
        eventually(lambda: sum(call.refused for call in deployed.calls) >= 5)  # one call has four tries
        assert client.run(run_id).status not in {SUCCEEDED, "FAILED"}
    run = ended(client, run_id)

    assert run.status == SUCCEEDED
    assert [state.attempts for state in client.states(run_id) if len(state.attempts) > 1] == []


def test_an_api_without_its_table_says_that_it_is_busy(deployed: Deployed, client: Client, key: str) -> None:
    at_once = Client(
        deployed.output("ApiUrl"), api_key=key, transport=LocalTransport(), backoff=Backoff(retries=0)
    )
    with (
        deployed.throttled_table("karman-e2e-api"),
        at_once as impatient,
        pytest.raises(KarmanError) as refused,
    ):
        next(iter(impatient.runs()), None)

    assert refused.value.status == 503
    assert refused.value.retryable
    assert next(iter(client.runs())).run_id
