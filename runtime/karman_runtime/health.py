"""GET /health of a container worker: whether it reaches its queue, and what it is doing.

Answered on the worker's own event loop, so that a loop which stands still does not answer. Run as a program, this
module asks and exits with 0 or 1: the image's health check.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from karman_core.domain.errors import Conflict
from karman_core.ports.system import Clock
from karman_runtime.settings import load_settings
from karman_runtime.worker import WorkerSnapshot

PATH = "/health"
_REQUEST_SECONDS = 5.0
_REQUEST_BYTES = 8_192


def report(snapshot: WorkerSnapshot, since_ms: int, now_ms: int, limit_seconds: float) -> dict[str, Any]:
    """What is answered; `healthy` decides between 200 and 503.

    A worker with free slots has to have heard of its queues a moment ago. One without any asks for nothing, and one
    that ends neither; those need a heartbeat alone.

    Args:
        since_ms: when the worker began: what it has not done yet is not late.
    """
    poll_age = (now_ms - (snapshot.last_receive_ms or since_ms)) / 1000
    beat_age = (now_ms - (snapshot.last_beat_ms or since_ms)) / 1000
    polls = snapshot.free_slots > 0 and not snapshot.stopping
    return {
        "healthy": beat_age <= limit_seconds and (not polls or poll_age <= limit_seconds),
        "last_poll_age_seconds": round(poll_age, 1),
        "last_beat_age_seconds": round(beat_age, 1),
        **asdict(snapshot),
    }


@asynccontextmanager
async def served(
    snapshot: Callable[[], WorkerSnapshot], clock: Clock, *, host: str, port: int, limit_seconds: float
) -> AsyncIterator[str]:
    """Answer within the block; gives the URL.

    Raises:
        Conflict: the port is taken.
    """
    since_ms = clock.now_ms()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                current = report(snapshot(), since_ms, clock.now_ms(), limit_seconds)
                writer.write(_response(head, current))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # whoever asks so gets no answer
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=_REQUEST_BYTES)
    except OSError as error:
        raise Conflict(f"Health cannot be served at {host}:{port}: {error.strerror or error}.") from error
    async with server:
        bound = server.sockets[0].getsockname()[1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}{PATH}"


def _response(head: bytes, current: Mapping[str, Any]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status = HTTPStatus.OK if current["healthy"] else HTTPStatus.SERVICE_UNAVAILABLE
    body: Mapping[str, Any] = current
    if method not in {b"GET", b"HEAD"} or path != PATH.encode():
        status, body = HTTPStatus.NOT_FOUND, {"error": f"There is GET {PATH} alone."}
    text = json.dumps(body).encode()
    headers = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: application/json",
        f"content-length: {len(text)}",
        "connection: close",
    ]
    return "\r\n".join(headers).encode() + b"\r\n\r\n" + (b"" if method == b"HEAD" else text)


def ask(url: str) -> bool:
    """Whether the worker there is healthy."""
    try:
        with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as response:  # noqa: S310  an URL made here
            return bool(response.status == HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False


def main() -> None:
    """Ask the worker of this machine."""
    sys.exit(not ask(f"http://127.0.0.1:{load_settings().health_port}{PATH}"))


if __name__ == "__main__":
    main()
