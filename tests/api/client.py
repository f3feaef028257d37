"""Requests as API Gateway sends them (payload format 2.0), to the application over an embedded backend in memory."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.webhooks import Answer as Posted
from karman_core.domain.webhooks import parse_url
from karman_core.engine import Engine
from karman_core.ports.system import Clock
from karman_functions.api import Application, Limits, application
from karman_functions.api.callers import IamCaller

ADMIN_KEY = "the-admin-key"
NS = "ns"
OTHER = "other"
UNLIMITED = Limits(requests_per_second=None, failures_per_second=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, decoded."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The JSON in it."""
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """Of a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.body["status"] == self.status
        return str(self.body["code"])

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Path and code of each."""
        return [(each["path"], each["code"]) for each in self.body["problems"]]


def event(
    method: str,
    path: str,
    body: object = None,
    *,
    query: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = ADMIN_KEY,
) -> dict[str, Any]:
    """An event; a body that is no text is sent as JSON, bytes in base64."""
    sent = {"accept": "*/*", "host": "api.example.com", "user-agent": "tests", **(headers or {})}
    if key is not None:
        sent["x-api-key"] = key
    if body is not None:
        sent.setdefault("content-type", "application/json")
    encoded = isinstance(body, bytes)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urlencode(query or {}),
        "headers": sent,
        "queryStringParameters": {name: str(value) for name, value in query.items()} if query else None,
        "requestContext": _context(method, path),
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else _text(body),
        "isBase64Encoded": encoded,
    }


def _context(method: str, path: str) -> dict[str, Any]:
    return {
        "accountId": "123456789012",
        "apiId": "r3pmxmplak",
        "domainName": "api.example.com",
        "domainPrefix": "api",
        "http": {
            "method": method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": "tests",
        },
        "requestId": "request-1",
        "routeKey": "$default",
        "stage": "$default",
        "time": "12/Mar/2026:19:03:58 +0000",
        "timeEpoch": 1_773_342_238_000,
    }


def _text(body: object) -> str | None:
    return body if body is None or isinstance(body, str) else json.dumps(body)


class NoNetwork:
    """The network of webhooks: every receiver is there, and takes everything."""

    async def check(self, url: str) -> None:
        parse_url(url)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        return Posted(204)


@dataclass(slots=True)
class Api:
    """The application and what is under it."""

    clock: Clock = field(default_factory=SystemClock)
    limits: Limits = UNLIMITED
    cors_origins: tuple[str, ...] = ()
    callers: tuple[IamCaller, ...] = ()
    backend: EmbeddedBackend = field(init=False)
    engine: Engine = field(init=False)
    app: Application = field(init=False)

    def __post_init__(self) -> None:
        entropy = SystemEntropy()
        self.backend = EmbeddedBackend.open(":memory:", clock=self.clock, entropy=entropy)
        self.engine = Engine(self.backend, clock=self.clock, entropy=entropy)
        self.restart()

    def restart(self) -> None:
        """Another process of the same service: it remembers nothing."""
        self.app = application(
            self.backend,
            self.engine,
            clock=self.clock,
            entropy=SystemEntropy(),
            admin_key=ADMIN_KEY,
            limits=self.limits,
            cors_origins=self.cors_origins,
            callers=self.callers,
            poster=NoNetwork(),
        )

    async def send(self, sent: Mapping[str, Any]) -> Answer:
        """Answer an event."""
        result = await self.app.handle(sent)
        data = base64.b64decode(result["body"]) if result["isBase64Encoded"] else result["body"].encode()
        if result["headers"].get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        return Answer(result["statusCode"], result["headers"], data.decode())

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> Answer:
        """Send a request about NS, or of a full path."""
        whole = path if path.startswith("/v1") else f"/v1/namespaces/{NS}{path}"
        return await self.send(event(method, whole, body, **more))

    async def key(self, *scopes: str, namespace: str = NS) -> str:
        """A new key."""
        answer = await self.call(
            "POST", f"/v1/namespaces/{namespace}/keys", {"name": "a key", "scopes": scopes}
        )
        assert answer.status == 201
        return str(answer.body["key"])

    async def graph(self, namespace: str = NS) -> None:
        """Register a node and store a graph `g` of it."""
        base = f"/v1/namespaces/{namespace}"
        node = {"runtime": "rt", "nodes": [{"name": "a"}]}
        assert (await self.call("PUT", f"{base}/nodes", node)).status == 200
        stored = await self.call("PUT", f"{base}/graphs/g", {"definition": DEFINITION})
        assert stored.body["valid"]

    async def run(self, namespace: str = NS) -> str:
        """Begin a run of `g`."""
        started = await self.call("POST", f"/v1/namespaces/{namespace}/graphs/g/runs", {})
        assert started.status == 201
        return str(started.body["run_id"])

    async def work(self, namespace: str = NS) -> dict[str, Any]:
        """Lease a state of node `a`."""
        polled = await self.call(
            "POST", f"/v1/namespaces/{namespace}/work/poll", {"nodes": ["a"], "wait_seconds": 20}
        )
        (work,) = polled.body["work"]
        return dict(work)


DEFINITION: dict[str, Any] = {
    "nodes": [{"identifier": "a", "node_name": "a", "retry_policy": {"max_retries": 0}}],
    "triggers": [{"value": {"expression": "0 9 * * 1", "timezone": "Europe/Berlin"}}],
    "store_config": {"default_values": {"level": 1}},
}
