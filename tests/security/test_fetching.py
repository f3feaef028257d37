"""Karman goes to no address that stands in data; webhooks, which have to, are tried in tests/webhooks."""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from karman import AsyncClient, Client
from karman_core.domain.errors import KarmanError
from karman_core.domain.schema_values import check_schema, check_value
from tests.api.client import DEFINITION, Api
from tests.cli.command_line import karman, write

ROOT = Path(__file__).parents[2]
LAYERS = ("core", "sdk", "runtime", "cli", "functions", "infra")
INSIDE = "http://169.254.169.254/latest/meta-data/iam"
URLS = (
    INSIDE,
    "https://localhost:1/x",
    "file:///etc/passwd",
    "ftp://192.0.2.1/x",
    "//192.0.2.1/x",
    "gopher://x/",
)

NETWORK = {
    "aiohttp",
    "ftplib",
    "http.client",
    "httpx",
    "requests",
    "smtplib",
    "socket",
    "urllib.request",
    "urllib3",
}
USERS_ASK = {
    "sdk/karman/_internal/http": "the client, to the server that its user names",
    "cli/karman_cli/connections/servers.py": "(the same)",
    "cli/karman_cli/doctoring.py": "(the same)",
    "runtime/karman_runtime/health.py": "its own health, on loopback",
    "functions/karman_functions/local/server.py": "listens",
    "core/karman_core/backends/posting.py": "webhooks: to public addresses alone",
}
"""Modules that may open connections, and to where. boto3 is confined by import-linter."""


@pytest.fixture
def unplugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """No connection can be made, and each try is noted."""
    tried: list[object] = []

    def refuse(*arguments: object, **more: object) -> Any:
        tried.append(arguments)
        raise OSError("there is no network in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    yield tried
    assert tried == []


def test_only_these_modules_can_open_connections() -> None:
    found = set()
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if _imported(path) & NETWORK and not any(name.startswith(place) for place in USERS_ASK):
                found.add(name)
    assert found == set()


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("url", URLS)
def test_schemas_fetch_nothing(url: str, unplugged: list[object]) -> None:
    for schema in ({"$ref": url}, {"$schema": url}, {"$id": url, "$ref": "other"}, {"$dynamicRef": url}):
        check_schema(schema)
        check_value(schema, {"a": 1})
        check_value({"properties": {"a": schema}}, {"a": 1})


@pytest.mark.parametrize("url", URLS)
async def test_the_api_fetches_nothing(api: Api, url: str, unplugged: list[object]) -> None:
    node = {
        "name": "a",
        "inputs_schema": {"$id": url, "properties": {"x": {"$ref": url}}, "contentMediaType": url},
    }
    await api.call("PUT", "/nodes", {"runtime": "rt", "nodes": [node]})
    await api.call("PUT", "/graphs/g", {"definition": {**DEFINITION, "description": url}})
    await api.call("POST", "/graphs/g/runs", {"inputs": {"x": url}, "tags": {"t": url}})
    await api.call("GET", "/runs", query={"cursor": url})
    await api.call("GET", "/v1/openapi.json")


@pytest.mark.parametrize("url", URLS)
def test_commands_take_no_address_for_a_file(url: str, empty_folder: Path, unplugged: list[object]) -> None:
    for words in (("run", url), ("graph", "validate", url), ("apply", url)):
        assert karman(*words).code == 2, words
    write("g.yaml", f"name: g\nnodes:\n- {{identifier: a, node_name: a, $ref: '{url}'}}\n")
    assert karman("graph", "validate", "g.yaml").code == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_client_follows_no_server_elsewhere(status: int) -> None:
    """It would take the key along, or tell what is behind a wall."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers={"location": INSIDE, "refresh": f"0; url={INSIDE}"})

    options: dict[str, Any] = {"api_key": "k", "namespace": "n"}
    with (
        Client("http://karman.example", transport=httpx.MockTransport(answer), **options) as client,
        pytest.raises(KarmanError),
    ):
        client.run("r0")
    async with AsyncClient(
        "http://karman.example", transport=httpx.MockTransport(answer), **options
    ) as other:
        with pytest.raises(KarmanError):
            await other.run("r0")
    assert asked
    assert all(url.startswith("http://karman.example/") for url in asked)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x", "http://u:p@x", "javascript:1", "//x", "http://", "x"]
)
def test_a_server_is_reached_over_http_alone(url: str, empty_folder: Path, unplugged: list[object]) -> None:
    assert karman("runs", "--url", url).code == 2
    assert karman("login", url, "--api-key-stdin", stdin="k").code == 2
