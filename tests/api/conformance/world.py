"""A namespace in which most routes find what they ask for, and the way from its things into a generated request."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

from schemathesis import Case

from karman_functions.local.asgi import AsgiAdapter
from tests.api.client import ADMIN_KEY, DEFINITION, Api
from tests.api.routes import HOOK
from tests.scenario.clock import START_MS

WIDE: dict[str, Any] = {
    "nodes": [
        {"identifier": "a", "node_name": "a", "next_nodes": ["b"]},
        {"identifier": "b", "node_name": "a", "next_nodes": ["c"]},
        {"identifier": "c", "node_name": "a", "unites": {"identifier": "a"}},
    ]
}
REFUSED_BY_CHANCE = 0.1
"""So often a request keeps the parameters that were generated for it, which name nothing that is there."""

BY_ROUTE = {
    "DELETE ": "failed",
    "/work/": "working",
    "/retry": "failed",
    "/skip": "failed",
    "/resume": "paused",
    "/groups": "wide",
    "/signals": "waiting",
}
"""What a route is mostly tried with, by a part of its method and path."""

_LONG = {"wait_seconds": 5, "lease_seconds": 3_600}


class SkippingClock:
    """Who sleeps is woken at once, and finds that the time has passed."""

    def __init__(self) -> None:
        self._now_ms = START_MS

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now_ms += math.ceil(seconds * 1000)
        await asyncio.sleep(0)


class World:
    """The application with a namespace full of things; `renew` makes another one when some were used up."""

    def __init__(self) -> None:
        self.api = Api(clock=SkippingClock())
        self.adapter = AsgiAdapter(self.api.app)
        self.key = ADMIN_KEY
        self._numbers = itertools.count()
        self._named: dict[str, str] = {}
        self._runs: dict[str, dict[str, str]] = {}

    async def renew(self) -> None:
        """Begin a new namespace."""
        namespace = f"ns{next(self._numbers)}"
        await self.api.graph(namespace)
        await self._call("PUT", namespace, "/graphs/wide", {"definition": WIDE})
        self._runs = {
            kind: await self._run(namespace, kind)
            for kind in ("failed", "succeeded", "waiting", "paused", "wide", "working")
        }
        key = await self._call("POST", namespace, "/keys", {"name": "k", "scopes": ["read"]})
        self._named = {"namespace": namespace, "name": "g", "trigger": "cron-0", "key_id": key["id"]}
        webhook = (await self._call("POST", namespace, "/webhooks", {"url": HOOK}))["id"]
        delivery = (await self._call("POST", namespace, f"/webhooks/{webhook}/test", None))["id"]
        self._named |= {"webhook_id": webhook, "delivery_id": delivery}

    def bind(self, case: Case[Any], chance: random.Random) -> None:
        """Make the request name things that are there, unless it is to be refused for what it names."""
        wrong = negated(case)
        about = self._about(f"{case.method} {case.path}", chance)
        known = {**self._named, **about, **({"name": "a"} if "/nodes/" in case.path else {})}
        if "path_parameters" not in wrong:
            keep = "" if chance.random() >= REFUSED_BY_CHANCE else chance.choice([*case.path_parameters, ""])
            found = {
                name: known.get(name, value) for name, value in case.path_parameters.items() if name != keep
            }
            case.path_parameters = {**case.path_parameters, **found}
        if "query" not in wrong and chance.random() >= REFUSED_BY_CHANCE:
            case.query = {name: value for name, value in case.query.items() if name != "cursor"}
        if "body" not in wrong and isinstance(case.body, dict):
            body = {**case.body, **self._fields(case, case.body, about)}
            case.body = {name: value for name, value in body.items() if name != "cursor"}

    def _about(self, route: str, chance: random.Random) -> Mapping[str, str]:
        fitting = [kind for part, kind in BY_ROUTE.items() if part in route]
        return self._runs[
            fitting[0] if fitting and chance.random() < 0.85 else chance.choice(list(self._runs))
        ]

    def _fields(self, case: Case[Any], body: Mapping[str, Any], about: Mapping[str, str]) -> dict[str, Any]:
        """Fields of a body that must fit what is there."""
        real: dict[str, Any] = {"lease": about["lease"], "definition": DEFINITION, "from": "a"}
        real |= {"nodes": ["a"]} if case.path.endswith("/poll") else {}
        return {name: value for name, value in real.items() if name in body}

    async def _run(self, namespace: str, kind: str) -> dict[str, str]:
        """A run of this kind; its last state to be worked on, and the lease of it."""
        graph = "wide" if kind == "wide" else "g"
        started = await self._call("POST", namespace, f"/graphs/{graph}/runs", {})
        polled = await self._call("POST", namespace, "/work/poll", {"nodes": ["a"], **_LONG})
        (work,) = polled["work"]
        found = {"run_id": started["run_id"], "state_id": work["state_id"], "lease": work["lease"]}
        report = {
            "failed": ("error", {"kind": "Oops"}),
            "succeeded": ("outputs", {"outputs": [{"x": 1}]}),
            "waiting": ("wait", {"signal": "go"}),
            "wide": ("outputs", {"outputs": [{}, {}, {}]}),
        }.get(kind)
        if report is not None:
            await self._call("POST", namespace, f"/work/{work['state_id']}/{report[0]}", report[1])
        if kind == "paused":
            await self._call("POST", namespace, f"/runs/{started['run_id']}/pause", None)
        if kind == "wide":
            await self._call("POST", namespace, "/work/poll", {"nodes": ["a"], "limit": 10, **_LONG})
        return found

    async def _call(self, method: str, namespace: str, path: str, body: object) -> Any:
        answer = await self.api.call(method, f"/v1/namespaces/{namespace}{path}", body)
        assert answer.status < 300, (method, path, answer.text)
        return answer.body


def negated(case: Case[Any]) -> set[str]:
    """The parts of the request that were made wrong on purpose."""
    if case.meta is None:
        return set()
    parts = case.meta.components.items()
    return {place.container_name for place, part in parts if part.mode.is_negative}
