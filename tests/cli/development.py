"""`karman dev` as a process, and its API as a client sees it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.cli.command_line import start, wait_for_line

KEY = "the-admin-key"


@contextmanager
def dev(*arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A development server that is ready."""
    process = start("dev", *arguments, **env)
    try:
        wait_for_line(process, "ready: ")
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def served(*arguments: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A development server that is ready, and a client with its admin key."""
    process = start("dev", *arguments, **{"KARMAN_API_KEY": KEY, **env})
    try:
        with client(url_of(wait_for_line(process, "ready: "))) as api:
            yield process, api
    finally:
        process.kill()
        process.communicate()


def client(url: str, key: str | None = KEY) -> httpx.Client:
    """A client of the default namespace."""
    headers = {} if key is None else {"x-api-key": key}
    return httpx.Client(base_url=f"{url}/v1/namespaces/default", headers=headers, timeout=30)


def url_of(ready_line: str) -> str:
    """The URL in the ready line."""
    return ready_line.removeprefix("ready: ").split(", ")[0]


def ran(api: httpx.Client, graph: str, **inputs: Any) -> dict[str, Any]:
    """Trigger a run over HTTP, and wait for its end."""
    started = api.post(f"/graphs/{graph}/runs", json={"inputs": inputs})
    assert started.status_code == 201, started.text
    run: dict[str, Any] = api.get(f"/runs/{started.json()['run_id']}", params={"wait_seconds": 20}).json()
    return run
