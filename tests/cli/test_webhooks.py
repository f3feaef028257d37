"""`karman webhooks`, and `karman dev` that delivers them."""

from __future__ import annotations

import json

import pytest

from tests.cli.command_line import GREETING, finish, karman, start, wait_for_line, wait_until, write
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.slow  # processes, emulators or sheer numbers: seconds a test

LOOPBACK = {"KARMAN_WEBHOOK_LOOPBACK": "true"}


def deliveries(webhook: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = karman(
        "webhooks", "deliveries", webhook, "--db", "runs.db", "--json"
    ).document["deliveries"]
    return found


def test_a_run_is_told_of_also_by_a_server_that_comes_later_and_a_receiver_that_fails_first() -> None:
    write("greeting.py", GREETING)
    with receiving(503) as receiver:
        process = start("dev", "greeting.py", "--db", "runs.db", "--no-server", **LOOPBACK)
        wait_for_line(process, "ready: ")
        made = karman("webhooks", "add", receiver.url, "--db", "runs.db", "--json", env=LOOPBACK).document
        tried = karman("webhooks", "test", made["id"], "--db", "runs.db", env=LOOPBACK)
        process.kill()
        finish(process)
        assert (tried.code, tried.err) == (1, "not delivered: The receiver answered with status 503.\n")

        run = karman("run", "greeting.py", "--input", "name=Ada", "--db", "runs.db", "--json")
        assert run.code == 0, run.err
        receiver.received.clear()
        receiver.answers = [500]
        process = start("dev", "greeting.py", "--db", "runs.db", "--no-server", **LOOPBACK)
        wait_until(lambda: deliveries(made["id"])[0]["status"] == "DELIVERED")
        process.terminate()
        output = finish(process)

    first, second = receiver.received
    assert first.id == second.id
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.is_signed_with(made["secret"])
    assert second.is_signed_with(made["secret"])
    told = json.loads(first.body)
    assert (told["type"], told["data"]["graph"], told["data"]["status"]) == (
        "run.succeeded",
        "greeting",
        "SUCCEEDED",
    )
    assert [(each["event"], each["status"], each["attempts"]) for each in deliveries(made["id"])] == [
        ("run.succeeded", "DELIVERED", 2),
        ("webhook.test", "FAILED", 1),
    ]
    for said in (output.out, output.err):
        assert made["secret"] not in said
        assert receiver.url not in said


@pytest.fixture
def database() -> str:
    write("greeting.py", GREETING)
    assert karman("run", "greeting.py", "--input", "name=Ada", "--db", "runs.db").code == 0
    return "runs.db"


def test_webhooks_are_made_listed_and_deleted(database: str) -> None:
    with receiving() as receiver:
        db = ("--db", database)
        made = karman(
            "webhooks", "add", receiver.url, "--event", "run.failed", "--graph", "g", *db, env=LOOPBACK
        )
        assert made.code == 0, made.err
        (listed,) = karman("webhooks", *db, "--json").document["webhooks"]
        tried = karman("webhooks", "test", listed["id"], *db, env=LOOPBACK)
        table = karman("webhooks", "deliveries", listed["id"], *db).out
    secret = made.out.strip()
    assert secret.startswith("whsec_")
    assert (listed["events"], listed["graphs"], listed["enabled"]) == (["run.failed"], ["g"], True)
    assert (tried.code, tried.err) == (0, "delivered: the receiver answered with status 200\n")
    assert receiver.received[0].is_signed_with(secret)
    assert receiver.received[0].payload["type"] == "webhook.test"
    assert "DELIVERED" in table

    rotated = karman("webhooks", "rotate", listed["id"], "--overlap", "1h", *db)
    assert rotated.out.startswith("whsec_")
    assert karman("webhooks", "disable", listed["id"], *db).err == f"webhook {listed['id']} is disabled\n"
    assert "disabled" in karman("webhooks", "list", *db).out
    assert karman("webhooks", "enable", listed["id"], *db).err == f"webhook {listed['id']} is enabled\n"
    assert karman("webhooks", "show", listed["id"], *db).document["url"] == receiver.url
    assert karman("webhooks", "delete", listed["id"], *db).code == 0
    assert karman("webhooks", *db).err == "no webhooks\n"
    for output in (table, karman("audit", *db).out):
        assert secret not in output
        assert rotated.out.strip() not in output


def test_addresses_that_are_not_public_are_refused(database: str) -> None:
    refused = karman("webhooks", "add", "http://127.0.0.1:8000/", "--db", database)
    assert refused.code == 2
    assert refused.err == (
        "error: The host '127.0.0.1' leads to an address that webhooks must not reach: it is loopback. "
        "For development, KARMAN_WEBHOOK_LOOPBACK=true lets it.\n"
    )
    inside = karman("webhooks", "add", "https://169.254.169.254/", "--db", database, env=LOOPBACK)
    assert "must not reach: it is link-local" in inside.err
