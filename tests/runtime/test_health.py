"""GET /health of a container worker."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from karman_core.domain.errors import Conflict
from karman_runtime import health
from karman_runtime.health import ask, report, served
from karman_runtime.worker import WorkerSnapshot
from tests.runtime.workers import MovedClock

FRESH = WorkerSnapshot(
    queues=("ns/rt",),
    stopping=False,
    in_flight=1,
    free_slots=3,
    received=2,
    finished=1,
    kept=0,
    failed=0,
    lost_leases=0,
    last_receive_ms=None,
    last_beat_ms=None,
)


@pytest.mark.parametrize(
    ("change", "now_s", "healthy"),
    [
        ({}, 100, True),  # it has just begun
        ({}, 130, False),
        ({"last_receive_ms": 190_000, "last_beat_ms": 190_000}, 300, True),
        ({"last_receive_ms": 100_000, "last_beat_ms": 290_000}, 300, False),
        ({"last_receive_ms": 100_000, "last_beat_ms": 290_000, "free_slots": 0}, 300, True),
        ({"last_receive_ms": 100_000, "last_beat_ms": 290_000, "stopping": True}, 300, True),
        ({"last_receive_ms": 290_000, "last_beat_ms": 100_000}, 300, False),
    ],
)
def test_what_is_healthy(change: dict[str, Any], now_s: int, *, healthy: bool) -> None:
    said = report(replace(FRESH, **change), 5_000, now_s * 1000, 120.0)
    assert said["healthy"] is healthy
    assert said["queues"] == ("ns/rt",)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks here is in the same process, and may stand still together with it."""
    monkeypatch.setattr(health, "_REQUEST_SECONDS", 60.0)


@asynccontextmanager
async def answering(clock: MovedClock) -> AsyncIterator[str]:
    async with served(lambda: FRESH, clock, host="127.0.0.1", port=0, limit_seconds=120) as url:
        yield url


async def exchange(url: str, request: bytes) -> tuple[int, str]:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(request)
    await writer.drain()
    answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split(" ")[1]), answer.partition("\r\n\r\n")[2]


async def test_it_is_answered_by_status_too() -> None:
    clock = MovedClock()
    async with answering(clock) as url:
        status, body = await exchange(url, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (status, json.loads(body)["in_flight"]) == (200, 1)
        assert await asyncio.to_thread(ask, url)
        clock.skip(121)
        assert (await exchange(url, b"GET /health?x HTTP/1.1\r\n\r\n"))[0] == 503
        assert await exchange(url, b"HEAD /health HTTP/1.1\r\n\r\n") == (503, "")
        assert not await asyncio.to_thread(ask, url)


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"POST /health HTTP/1.1", b"what"])
async def test_nothing_else_is_there(request_line: bytes) -> None:
    async with answering(MovedClock()) as url:
        assert (await exchange(url, request_line + b"\r\n\r\n"))[0] == 404


async def test_who_sends_no_request_or_an_endless_one_disturbs_nobody() -> None:
    async with answering(MovedClock()) as url:
        where = urlsplit(url)
        for sent in (b"", b"GET /health", b"x" * 20_000):
            _, writer = await asyncio.open_connection(where.hostname, where.port)
            writer.write(sent)
            writer.close()
        assert (await exchange(url, b"GET /health HTTP/1.1\r\n\r\n"))[0] == 200


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=str(port)):
            async with served(lambda: FRESH, MovedClock(), host="127.0.0.1", port=port, limit_seconds=1):
                pass


def test_nobody_there_is_not_healthy() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert not ask(f"http://127.0.0.1:{free.getsockname()[1]}/health")
