"""A thousand clients trigger at once: with keys of their own, with one key, with none."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import KEY, Stage, stage

CLIENTS = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What one client was told."""

    status: int
    run_id: str


async def at_once(on: Stage, requests: list[tuple[dict[str, Any], dict[str, str]]]) -> list[Answer]:
    """Send all of them, each over a connection of its own, none waiting for another."""
    return await asyncio.gather(*(_send(on, body, headers) for body, headers in requests))


async def _send(on: Stage, body: dict[str, Any], headers: dict[str, str]) -> Answer:
    """A plain client: an HTTP library takes longer for a thousand connections than the server does."""
    async with asyncio.timeout(300):
        reader, writer = await asyncio.open_connection("127.0.0.1", on.port)
        content = json.dumps(body).encode()
        fields = {"host": "localhost", "x-api-key": KEY, "connection": "close", **headers}
        fields |= {"content-type": "application/json", "content-length": str(len(content))}
        lines = ["POST /v1/namespaces/default/graphs/large/runs HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        head, _, answered = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    return Answer(int(head.split()[1]), str(json.loads(answered).get("run_id")))


def listed(on: Stage) -> list[dict[str, Any]]:
    """Every run there is."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = on.api.get("/runs", params=query).json()
        found += page["runs"]
        cursor = page["cursor"]
        if cursor is None:
            return found


def check(on: Stage, answers: list[Answer]) -> set[str]:
    """Every answer is an acknowledgement, and every acknowledged run is there and ends right."""
    assert Counter(answer.status for answer in answers).keys() <= {200, 201}
    acknowledged = {answer.run_id for answer in answers}
    for run_id in acknowledged:
        run = on.ended(run_id)
        assert (run["status"], run["result"]) == ("SUCCEEDED", {"result": run["inputs"]["size"]}), run
        assert run["totals"]["succeeded"] == 2
    return acknowledged


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_thousand_at_once(tmp_path: Path, figures: Callable[[str], None]) -> None:
    with stage(tmp_path, lease_seconds=15) as on:
        on.server()
        own = [({"inputs": {"size": number}}, {"idempotency-key": f"k{number}"}) for number in range(CLIENTS)]
        answers = await at_once(on, own)
        runs = check(on, answers)
        assert len(runs) == CLIENTS
        assert {answer.status for answer in answers} == {201}
        again = await at_once(on, own)
        assert check(on, again) == runs
        assert {answer.status for answer in again} == {200}

        one = await at_once(on, [({"inputs": {"size": 7}}, {"idempotency-key": "the same"})] * CLIENTS)
        assert len(check(on, one)) == 1
        created = Counter(answer.status for answer in one)

        without = await at_once(on, [({"inputs": {"size": number}}, {}) for number in range(CLIENTS)])
        assert len(check(on, without)) == CLIENTS
        assert Counter(run["status"] for run in listed(on)) == {"SUCCEEDED": 2 * CLIENTS + 1}
    figures(
        f"4 times {CLIENTS} triggers at once: {2 * CLIENTS + 1} runs, all ended right; of one key {dict(created)}"
    )


async def test_one_key_from_many_clients_is_one_run(tmp_path: Path) -> None:
    with stage(tmp_path, lease_seconds=15) as on:
        on.server()
        same = [({"inputs": {"size": 7}}, {"idempotency-key": "the same"})] * 50
        other = [({"inputs": {"size": 8}}, {"idempotency-key": "the same"})] * 50
        answers = await at_once(on, [each for pair in zip(same, other, strict=True) for each in pair])
        kinds = Counter(answer.status for answer in answers)
        assert kinds[409] == 50  # whichever came first, the other request is refused
        assert kinds[200] + kinds[201] == 50
        [run] = listed(on)
        assert on.ended(run["run_id"])["status"] == "SUCCEEDED"
