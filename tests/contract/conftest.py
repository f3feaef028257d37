"""The contract suite: every case runs on every backend that provides the port, so that none of them drifts away.

A case asks for a port by its name (`table`, `queue`, ...) and gets it from each backend in turn. What the suite expects
of adapters beyond the ports' docstrings:

- What the service would refuse as malformed (wrong type of value: TypeError; a key that is empty or too long, an empty
  set, two actions on one attribute, no action at all, two writes on one item, an attribute whose type does not fit its
  action: ValueError) is refused with these Python errors, before or after asking the service.
- A cursor that no query returned raises InvalidRequest: it may come from a user.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from karman_core.ports.blobs import Blobs
from karman_core.ports.events import Events
from karman_core.ports.queue import Queue
from karman_core.ports.secrets import Secrets
from karman_core.ports.table import Table
from karman_core.ports.timers import Schedules, Timers
from tests.contract.backends import BACKENDS, PORT_NAMES, BackendPorts, Faults, SuiteClock, load
from tests.contract.summary import PROPERTY

WITHOUT_FAULTS = {"embedded_file", "embedded_memory"}
"""Nothing is between these adapters and their service that could fail; test_embedded_only.py makes the file fail."""

MARKERS = {"dynamodb_local": pytest.mark.java, "ministack": pytest.mark.slow}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "ports" not in metafunc.fixturenames:
        return
    needed = {name for name in PORT_NAMES if name in metafunc.fixturenames}
    names = [name for name in BACKENDS if needed <= load(name).PORTS]
    if "faults" in metafunc.fixturenames:
        names = [name for name in names if name not in WITHOUT_FAULTS]
    marked = [pytest.param(name, marks=[MARKERS[name]] if name in MARKERS else []) for name in names]
    metafunc.parametrize("ports", marked, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            backend = item.callspec.params.get("ports")
            if isinstance(backend, str):
                item.user_properties.append((PROPERTY, backend))
                reason = skip_reason(backend, item)
                if reason is not None:
                    item.add_marker(pytest.mark.skip(reason=reason))


def skip_reason(backend: str, item: pytest.Function) -> str | None:
    """Why the case does not run on the backend: it cannot run here, or it has a gap for the test or for this case."""
    module = load(backend)
    others = [part for part in item.callspec.id.split("-") if part != backend]
    for name in (item.originalname, f"{item.originalname}[{'-'.join(others)}]"):
        if name in module.GAPS:
            return f"known of {backend}: {module.GAPS[name]}"
    return module.unavailable()


@pytest.fixture
async def ports(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BackendPorts]:
    async with load(request.param).open_ports(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock(ports: BackendPorts) -> SuiteClock:
    return ports.clock


@pytest.fixture
def faults(ports: BackendPorts) -> Faults:
    assert ports.faults is not None
    return ports.faults


@pytest.fixture
def table(ports: BackendPorts) -> Table:
    assert ports.table is not None
    return ports.table


@pytest.fixture
def queue(ports: BackendPorts) -> Queue:
    assert ports.queue is not None
    return ports.queue


@pytest.fixture
def timers(ports: BackendPorts) -> Timers:
    assert ports.timers is not None
    return ports.timers


@pytest.fixture
def schedules(ports: BackendPorts) -> Schedules:
    assert ports.schedules is not None
    return ports.schedules


@pytest.fixture
def secrets(ports: BackendPorts) -> Secrets:
    assert ports.secrets is not None
    return ports.secrets


@pytest.fixture
def blobs(ports: BackendPorts) -> Blobs:
    assert ports.blobs is not None
    return ports.blobs


@pytest.fixture
def events(ports: BackendPorts) -> Events:
    assert ports.events is not None
    return ports.events
