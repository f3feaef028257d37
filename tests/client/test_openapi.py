"""The client has every route that the server has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx

from karman import Client
from karman.errors import KarmanError
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.outcome import Awaiting, Errored, Pruned, Requeued, Succeeded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def overview_calls(client: Client) -> list[Callable[[], object]]:
    """The methods that look at much at once, or at a whole graph or namespace."""
    return [
        lambda: client.delete_graph("x"),
        lambda: list(client.runs()),
        client.runs_page,
        client.statistics,
        lambda: list(client.watch("x")),
        lambda: client.enable_trigger("x", "x"),
        lambda: client.disable_trigger("x", "x"),
        client.reconcile_triggers,
        lambda: list(client.namespaces()),
        client.describe_namespace,
        client.create_namespace,
        client.quotas,
        client.set_quotas,
    ]


def control_calls(client: Client) -> list[Callable[[], object]]:
    """The methods that operate states and many runs, and look at states and groups."""
    return [
        lambda: client.retry_state("x", "x"),
        lambda: client.rerun("x", "x"),
        lambda: client.skip("x", "x", None),
        lambda: client.redrive("x"),
        lambda: client.purge("x"),
        lambda: list(client.audit()),
        lambda: client.bulk("cancel"),
        lambda: client.state("x", "x"),
        lambda: list(client.groups("x")),
        lambda: client.group("x", "x"),
    ]


def use_all(client: Client) -> None:
    """Each method once; none gets what it asks for."""
    graph = {"name": "x"}
    calls: list[Callable[[], object]] = [
        client.health,
        lambda: list(client.nodes()),
        lambda: client.register_nodes("rt", [RegisteredNode(name="x", runtime="rt")]),
        lambda: client.node("x"),
        lambda: client.put_graph(graph),
        lambda: client.check_graph(graph),
        lambda: list(client.graphs()),
        lambda: client.graph("x"),
        lambda: list(client.versions("x")),
        lambda: client.trigger("x"),
        lambda: client.wait("x"),
        lambda: client.run("x"),
        *(partial(getattr(client, verb), "x") for verb in ("cancel", "pause", "resume", "retry")),
        lambda: list(client.states("x")),
        lambda: client.states_page("x"),
        lambda: client.store("x"),
        lambda: client.awaited("x"),
        lambda: client.signal("x", "go"),
        lambda: list(client.triggers()),
        lambda: list(client.triggers("x")),
        lambda: client.fire("x", "x"),
        lambda: list(client.keys()),
        lambda: client.issue_key("x", ["read"]),
        lambda: client.rotate_key("x"),
        lambda: client.revoke_key("x"),
        lambda: client.poll(["x"]),
        lambda: client.heartbeat("x", "x"),
        lambda: client.release("x", "x"),
        *(
            partial(client.report, "x", outcome)
            for outcome in (Succeeded(()), Errored("E", ""), Pruned({}), Requeued(1), Awaiting("x"))
        ),
    ]
    for call in (*calls, *control_calls(client), *overview_calls(client), *webhook_calls(client)):
        with suppress(KarmanError):
            call()


def webhook_calls(client: Client) -> list[Callable[[], object]]:
    return [
        lambda: list(client.webhooks()),
        lambda: client.create_webhook("https://example.com"),
        lambda: client.webhook("x"),
        lambda: client.update_webhook("x", enabled=False),
        lambda: client.delete_webhook("x"),
        lambda: client.rotate_webhook("x"),
        lambda: client.test_webhook("x"),
        lambda: list(client.deliveries("x")),
        lambda: client.retry_delivery("x", "x"),
    ]


def test_every_route() -> None:
    seen: set[tuple[str, str]] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.add((request.method, re.sub(r"/x(?=/|$)", "/{}", request.url.path)))
        return httpx.Response(404)

    use_all(Client("http://karman.test", namespace="x", transport=httpx.MockTransport(answer)))
    paths = json.loads(PAGE.read_text(encoding="utf-8"))["paths"]
    routes = {
        (method.upper(), re.sub(r"{\w+}", "{}", path))
        for path, methods in paths.items()
        if path.startswith("/v1/")
        for method in methods
    }
    assert seen == routes
