"""The blocking client against a real server, and that it is the async one's twin."""

from __future__ import annotations

import asyncio
import inspect
import re
from concurrent.futures import ThreadPoolExecutor

from karman import AsyncClient, Client
from karman.client import RunView
from karman_core.domain.outcome import Succeeded
from karman_functions.local import serving
from tests.api.client import ADMIN_KEY, DEFINITION, NS, Api


def use(url: str) -> tuple[RunView, list[str], list[str]]:
    """A run from its definition to its result."""
    seen: list[str] = []
    with Client(url, api_key=ADMIN_KEY, namespace=NS) as karman, ThreadPoolExecutor(1) as pool:
        assert karman.put_graph({"name": "g", **DEFINITION, "description": "größer ✓ " * 300}).valid
        waiting = pool.submit(
            lambda: karman.trigger("g", wait=True, on_progress=lambda run: seen.append(run.status))
        )
        (work,) = karman.poll(["a"])
        karman.report(work.state_id, Succeeded(({"x": 1},)), lease=work.lease)
        run = waiting.result()
        return run, seen, [each.run_id for each in karman.runs(page_size=1)]


async def test_a_run_from_its_definition_to_its_result(api: Api) -> None:
    await api.call("PUT", "/nodes", {"runtime": "rt", "nodes": [{"name": "a"}]})
    async with serving(api.app) as url:
        run, seen, listed = await asyncio.to_thread(use, url)
    assert (run.status, run.result, listed) == ("SUCCEEDED", {"x": 1}, [run.run_id])
    assert seen[-1] == "SUCCEEDED"


def test_both_clients_have_the_same_methods() -> None:
    def methods(cls: type) -> dict[str, tuple[str, str | None]]:
        found = {}
        for name, method in inspect.getmembers(cls):
            if name.startswith("_") or not callable(method):
                continue
            signature = re.sub(r"\bAsync(?=Iterator)", "", str(inspect.signature(method)))
            found[name] = (signature, method.__doc__)
        return found

    assert methods(AsyncClient) == methods(Client)
