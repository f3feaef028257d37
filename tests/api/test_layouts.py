"""What a later release of Karman wrote, an API that is behind leaves alone, and says so."""

from __future__ import annotations

import pytest

from karman_core.domain.layouts import ATTRIBUTE, LAYOUT
from karman_core.engine import keys
from karman_core.ports.table import Set
from tests.api.client import NS, Api
from tests.api.routes import prepare


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/runs/{run}", None),
        ("GET", "/runs/{run}/states", None),
        ("POST", "/runs/{run}/cancel", None),
        ("POST", "/runs/{run}/signals", {"name": "go", "payload": 1}),
    ],
)
async def test_a_run_of_a_later_release(api: Api, method: str, path: str, body: object) -> None:
    world = await prepare(api)
    await api.backend.table.update(keys.run(NS, world.run), [Set(ATTRIBUTE, LAYOUT + 1)])

    answer = await api.call(method, path.format(run=world.run), body)

    assert (answer.status, answer.code) == (503, "newer_layout")
    assert "upgrade this one" in answer.body["detail"]
    assert answer.headers["retry-after"] == "1"
    listed = (await api.call("GET", "/runs")).body
    assert world.run not in {run["run_id"] for run in listed["runs"]}
    assert world.failed in {run["run_id"] for run in listed["runs"]}
