"""`karman dev` as a process, and its API as a client sees it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.cli.command_line import PATIENCE_SECONDS, start, wait_for_line, wait_until

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
def served(
    *arguments: str, before: str = "", **env: str
) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A development server that is ready, and a client with its admin key."""
    process = start("dev", *arguments, before=before, **{"KARMAN_API_KEY": KEY, **env})
    try:
        with client(url_of(wait_for_line(process, "ready: "))) as api:
            yield process, api
    finally:
        process.kill()
        process.communicate()


def client(url: str, key: str | None = KEY) -> httpx.Client:
    """A client of the default namespace."""
    headers = {} if key is None else {"x-api-key": key}
    return httpx.Client(base_url=f"{url}/v1/namespaces/default", headers=headers, timeout=PATIENCE_SECONDS)


def url_of(ready_line: str) -> str:
    """The URL in the ready line."""
    return ready_line.removeprefix("ready: ").split(", ")[0]


def ran(api: httpx.Client, graph: str, **inputs: Any) -> dict[str, Any]:
    """Trigger a run over HTTP, and wait for its end."""
    started = api.post(f"/graphs/{graph}/runs", json={"inputs": inputs})
    assert started.status_code == 201, started.text
    return ended(api, started.json()["run_id"])


def ended(api: httpx.Client, run_id: str) -> dict[str, Any]:
    """A run, once it has ended."""
    found: list[dict[str, Any]] = []

    def has_ended() -> bool:
        found.append(api.get(f"/runs/{run_id}", params={"wait_seconds": 20}).json())
        return found[-1]["ended_ms"] is not None

    wait_until(has_ended, "the run does not end")
    return found[-1]
