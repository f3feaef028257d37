"""Messages of dead-letter queues: every one ends in a record, a run, or the archive."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import NotFound, Unavailable
from karman_core.domain.message_bodies import encode
from karman_core.domain.messages import Advance, Command, CommandKind, Position, RunRef
from karman_core.ports.queue import Incoming, Outgoing
from karman_functions import composition
from karman_functions.dead_letters.handler import handler
from karman_functions.dead_letters.letters import Letter, archive_name
from tests.deployments import HOME, NAMESPACE, Deployment
from tests.functions.metrics import metrics_of
from tests.functions.test_cron import put_invalid
from tests.runtime.lambda_events import LambdaContext, sqs_event, sqs_record

TRIGGER = {"type": "CRON", "value": {"expression": "30 6 * * *"}}
FIRING = {
    "kind": "karman.cron",
    "namespace": NAMESPACE,
    "graph": "g",
    "trigger": "cron-0",
    "cron": "30 6 * * *",
    "timezone": "UTC",
    "scheduled_time": "2026-03-01T06:30:00Z",
}


def put_graph(deployment: Deployment) -> None:
    nodes = [
        {"identifier": "a", "node_name": "a", "next_nodes": ["b"]},
        {"identifier": "b", "node_name": "b"},
    ]
    deployment.put(GraphDefinition.model_validate({"name": "g", "nodes": nodes, "triggers": [TRIGGER]}))


def letter(body: str, number: int = 1, receives: int = 1) -> Incoming:
    return Incoming(f"0000-{number}", body, f"r{number}", receives, 1_772_346_600_000)


def call(deployment: Deployment, *letters: Incoming, **attached: str) -> list[str]:
    """The ids of those that stay."""
    event = sqs_event(deployment.dead_letter_queue, letters, **attached)
    failures = handler(event, LambdaContext())["batchItemFailures"]
    return [failure["itemIdentifier"] for failure in failures]


def archived(deployment: Deployment, one: Incoming, **attached: str) -> Any:
    name = archive_name(Letter.of(sqs_record(deployment.dead_letter_queue, one, **attached)))
    return json.loads(deployment.run(deployment.backend.archive.get(name)))


def test_a_run_whose_message_died_ends(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    put_graph(deployment)
    run_id = deployment.trigger("g")
    dead = deployment.take()

    assert call(deployment, *dead) == []

    view = deployment.view(run_id)
    assert view.status == "FAILED"
    assert str(view.error).startswith("a: undeliverable")
    metrics = metrics_of(capsys.readouterr().out)
    assert metrics["DeadLetters.recorded"] == 1
    assert metrics["RunsEnded.FAILED"] == 1
    assert call(deployment, *dead) == []  # again is no harm
    assert deployment.view(run_id).totals == view.totals


def test_a_message_in_the_midst_of_a_run_is_recorded_by_the_runs_own_queue(deployment: Deployment) -> None:
    put_graph(deployment)
    run_id = deployment.trigger("g")
    deployment.take()
    view = deployment.view(run_id)
    run = RunRef(NAMESPACE, run_id, "g", view.graph_version, 0, view.deadline_ms)

    assert call(deployment, letter(encode(Advance(Position(run, (), 0, "a"), again=True)))) == []
    assert deployment.view(run_id).status == "FAILED"


def test_a_command_that_died_is_applied(deployment: Deployment) -> None:
    put_graph(deployment)
    run_id = deployment.trigger("g")

    assert call(deployment, letter(encode(Command(CommandKind.CANCEL, NAMESPACE, run_id)))) == []
    assert deployment.view(run_id).status == "CANCELLED"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_firing_that_never_arrived_is_made_up_for(
    deployment: Deployment, *, wrapped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    put_graph(deployment)
    body = {"version": "1.0", "requestPayload": FIRING} if wrapped else FIRING

    assert call(deployment, letter(json.dumps(body)), letter(json.dumps(body), 2)) == []

    assert len(deployment.run(deployment.engine.list_runs(NAMESPACE)).runs) == 1
    assert metrics_of(capsys.readouterr().out)["DeadLetters.fired"] == 2


def test_a_foreign_message_is_archived_with_all_that_is_known(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    put_invalid(deployment)  # so that the firing can start nothing
    bodies = ["no message of ours", json.dumps({"karman": 99}), json.dumps(FIRING), "[]", "{}"]
    letters = [letter(body, number) for number, body in enumerate(bodies)]

    assert call(deployment, *letters, karman_reason="it does not decode") == []

    for one in letters:
        kept = archived(deployment, one)
        assert kept["body"] == one.body
        assert kept["attributes"] == {"karman-reason": "it does not decode"}
        assert (kept["queue"], kept["sent_ms"]) == (deployment.dead_letter_queue, one.sent_ms)
    assert metrics_of(capsys.readouterr().out)["DeadLetters.archived"] == len(bodies)


def test_a_message_of_a_run_that_is_gone_is_archived(deployment: Deployment) -> None:
    put_graph(deployment)
    run = RunRef(NAMESPACE, "r1", "g", 1, 0, 10**15)
    one = letter(encode(Advance(Position(run, (), 0, "a"))))

    assert call(deployment, one) == []
    assert archived(deployment, one)["body"] == one.body


def test_what_was_buried_by_a_worker_is_what_arrives_here(deployment: Deployment) -> None:
    deployment.run(deployment.backend.queue.send(HOME, [Outgoing("who knows")]))
    (message,) = deployment.take()
    deployment.run(deployment.engine.process(HOME, message))
    clients = deployment.backend.clients
    url = clients.sqs.get_queue_url(QueueName=deployment.dead_letter_queue)["QueueUrl"]
    (buried,) = clients.sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    reason = buried["MessageAttributes"]["karman-reason"]["StringValue"]
    one = letter(buried["Body"])

    assert call(deployment, one, karman_reason=reason) == []
    assert archived(deployment, one)["attributes"]["karman-reason"] == reason


def test_one_that_cannot_be_settled_stays_and_harms_no_other(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_graph(deployment)
    run_id = deployment.trigger("g")
    (dead,) = deployment.take()
    call(deployment)
    blobs = composition.process().backend.archive

    async def unavailable(*_: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(type(blobs), "put", unavailable)
    foreign = letter("foreign", 2, receives=99)

    assert call(deployment, foreign, dead) == [foreign.id]
    assert deployment.view(run_id).status == "FAILED"
    assert metrics_of(capsys.readouterr().out)["DeadLettersFailed"] == 1


def test_a_letter_that_is_a_fault_of_ours_is_archived_in_the_end(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> bool:
        raise ZeroDivisionError

    async def busy(*_: Any) -> bool:
        raise Unavailable("no answer")

    call(deployment)
    engine = composition.process().engine
    # As it comes from its task queue: SQS counts what it was received there.
    one = letter("{}", receives=AwsSettings("").max_receives + 1)
    monkeypatch.setattr(engine, "dead_letter", broken)
    for number in range(9):
        assert call(deployment, replace(one, receive_count=one.receive_count + number)) == [one.id]
    assert call(deployment, replace(one, receive_count=one.receive_count + 9)) == []
    assert archived(deployment, one)["body"] == "{}"
    monkeypatch.setattr(engine, "dead_letter", busy)
    assert call(deployment, replace(one, receive_count=99)) == [one.id]


def test_without_a_bucket_nothing_is_lost(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARMAN_BUCKET", "")
    composition.process.cache_clear()
    one = letter("foreign", receives=99)
    assert call(deployment, one) == [one.id]
    with pytest.raises(NotFound):
        archived(deployment, one)


def test_a_name_of_any_queue_and_message_can_be_a_blobs() -> None:
    record = sqs_record("q", letter("x"))
    record["messageId"] = "a/b c"
    assert archive_name(Letter.of(record)).count("/") == 3


def test_a_letter_of_a_later_release_waits_for_it(deployment: Deployment) -> None:
    """Whatever happens, it is not archived, and its run has not failed."""
    later = letter('{"karman":2,"k":"advance","ns":"ns","id":"r1"}', receives=99)
    assert call(deployment, later) == [later.id]
    with pytest.raises(NotFound):
        archived(deployment, later)
