"""One generated request, sent through the ASGI application, and its answer as schemathesis takes it."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from schemathesis import Case, Response

from karman_functions.local.asgi import AsgiAdapter

HOST = "http://api.example.com"


async def send(adapter: AsgiAdapter, case: Case[Any], key: str) -> Response:
    """Answer a case as a server would, without a socket."""
    given = case.as_transport_kwargs(base_url=HOST, headers={"x-api-key": key})
    request = requests.Request(**given).prepare()
    started: dict[str, Any] = {}
    body = bytearray()
    sent = iter([{"type": "http.request", "body": _bytes(request.body), "more_body": False}])

    async def receive() -> dict[str, Any]:
        message = next(sent, None)
        return message if message is not None else await asyncio.get_running_loop().create_future()

    async def answer(message: Any) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            body.extend(message.get("body", b""))

    await adapter(_scope(request), receive, answer)
    headers: dict[str, list[str]] = {}
    for name, value in started["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    content = gzip.decompress(body) if headers.pop("content-encoding", None) == ["gzip"] else bytes(body)
    return Response(started["status"], headers, content, request, elapsed=0.0, verify=False)


def _scope(request: requests.PreparedRequest) -> dict[str, Any]:
    url = urlsplit(request.url or "")
    headers = [(_bytes(name).lower(), _bytes(value)) for name, value in request.headers.items()]
    return {
        "type": "http",
        "method": request.method,
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "http_version": "1.1",
    }


def _bytes(text: Any) -> bytes:
    if isinstance(text, bytes):
        return text
    return text.encode("latin-1", errors="replace") if isinstance(text, str) else b""
