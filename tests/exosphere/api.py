"""The application in this process, and a namespace in which there is one of everything."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from karman_core.backends.embedded import MEMORY, EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.engine import Engine
from karman_functions.api import Limits
from karman_functions.exosphere import ExosphereApplication, ExosphereSettings, exosphere_application
from karman_functions.local.asgi import AsgiAdapter
from tests.exosphere.server import KEY

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
ANY_NAMESPACE = "/v0/namespace/ns"


@dataclass
class Api:
    """A client, and the ids that paths are made with."""

    application: ExosphereApplication
    backend: EmbeddedBackend
    client: httpx.AsyncClient
    ids: dict[str, str] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = KEY, **headers: str
    ) -> httpx.Response:
        """The answer; the path may name ids in braces, and follows the namespace if it does not begin with /v0."""
        where = path.format(**self.ids)
        url = where if where.startswith(("/v0", "/v1", "/health")) else ANY_NAMESPACE + where
        sent = {"x-api-key": key, **headers} if key else headers
        content = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        return await self.client.request(method, url, headers=sent, **content)

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        """The body of an answer that is none of a failure."""
        answer = await self.call(method, path, body)
        assert answer.is_success, answer.text
        return answer.json()

    async def lease(self, *nodes: str) -> str:
        """The id of a state that was leased."""
        body = {"nodes": list(nodes) or ["Echo"], "batch_size": 1}
        [state] = (await self.ok("POST", "/states/enqueue", body))["states"]
        return str(state["state_id"])

    async def run(self, graph: str = "g", **body: Any) -> str:
        return str((await self.ok("POST", f"/graph/{graph}/trigger", body))["run_id"])


@asynccontextmanager
async def serving(
    settings: ExosphereSettings | None = None, answer_bytes: int | None = None
) -> AsyncIterator[Api]:
    """An empty database behind the application."""
    clock, entropy = SystemClock(), SystemEntropy()
    backend = EmbeddedBackend.open(MEMORY, clock=clock, entropy=entropy)
    app = exosphere_application(
        backend,
        Engine(backend, clock=clock, entropy=entropy),
        clock=clock,
        entropy=entropy,
        admin_key=KEY,
        limits=Limits(failures_per_second=None, answer_bytes=answer_bytes),
        settings=settings,
    )
    transport = httpx.ASGITransport(AsgiAdapter(app))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://karman") as client:
            yield Api(app, backend, client)
    finally:
        backend.close()


@asynccontextmanager
async def furnished() -> AsyncIterator[Api]:
    """Nodes, graphs and runs: leased, waiting, succeeded and failed states, whose ids paths may name."""
    async with serving() as api:
        await register(api, "Echo", "Other")
        await api.ok("PUT", "/graph/g", graph(node("a", "b"), node("b")))
        await api.ok("PUT", "/graph/invalid", graph(node("a", node_name="Unknown")))
        needy = graph(node("a"), store_config={"required_keys": ["k"]})
        await api.ok("PUT", "/graph/needy", needy)
        await api.ok(
            "PUT", "/graph/other", graph(node("a", node_name="Other"), retry_policy={"max_retries": 0})
        )
        for name in ("done", "failed"):
            await _one(api, name)
        api.ids["run"] = await api.run()
        api.ids["leased"] = await api.lease()
        api.ids["waiting"] = api.ids["leased"].removesuffix("0") + "1"
        api.ids["unknown"] = f"{api.ids['run']}-9.9-9"
        yield api


async def _one(api: Api, name: str) -> None:
    """A run of one state that ended so."""
    api.ids[f"run_{name}"] = await api.run("other")
    state_id = api.ids[name] = await api.lease("Other")
    if name == "done":
        await api.ok("POST", f"/state/{state_id}/executed", {"outputs": [{"text": "x"}]})
    else:
        await api.ok("POST", f"/state/{state_id}/errored", {"error": "bad"})


async def register(api: Api, *names: str, secrets: tuple[str, ...] = ()) -> None:
    nodes = [
        {"name": name, "inputs_schema": TEXT, "outputs_schema": TEXT, "secrets": list(secrets)}
        for name in names
    ]
    await api.ok("PUT", "/nodes/", {"runtime_name": "runtime", "nodes": nodes})


def node(identifier: str, *next_nodes: str, node_name: str = "Echo", **more: Any) -> dict[str, Any]:
    return {
        "node_name": node_name,
        "namespace": "ns",
        "identifier": identifier,
        "inputs": {"text": "x"},
        "next_nodes": list(next_nodes),
        "unites": None,
        **more,
    }


def graph(*nodes: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"secrets": {}, "nodes": list(nodes), **more}
