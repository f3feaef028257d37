"""The real application in process; nothing of this machine's environment or profiles gets in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from karman import AsyncClient
from karman.client import Backoff
from karman_functions.local.asgi import AsgiAdapter
from tests.api.client import ADMIN_KEY, NS, Api

URL = "http://karman.test"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KARMAN_URL", "KARMAN_API_KEY", "KARMAN_NAMESPACE", "KARMAN_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.backend.close()


@pytest.fixture
def asgi(api: Api) -> httpx.ASGITransport:
    return httpx.ASGITransport(AsgiAdapter(api.app))


@pytest.fixture
async def karman(asgi: httpx.ASGITransport) -> AsyncIterator[AsyncClient]:
    quick = Backoff(first_seconds=0)
    async with AsyncClient(URL, api_key=ADMIN_KEY, namespace=NS, transport=asgi, backoff=quick) as client:
        yield client
