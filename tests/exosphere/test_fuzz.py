"""Whatever is sent to `/v0`: an answer that says so, never a failure inside."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.exosphere.api import Api, furnished, graph, node
from tests.exosphere.test_routes import BAD, GOOD

REQUESTS = 1_500
TEXTS = [
    "",
    " ",
    "x",
    "ns",
    "g",
    "a#b",
    "a\x00b",
    "\ud800",
    "é",
    "x" * 300,
    "${{ a.outputs.text }}",
    "${{",
    "store",
]
ODD: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", [], {}, [[]], {"": None}, *TEXTS]
PATHS = [
    "%00",
    "%23",
    "..",
    ".",
    "%2F",
    "%FF",
    "x" * 5_000,
    "-",
    "--",
    "~",
    "r-0.0-0",
    "r--99999999999999999999",
    " ",
]
BODIES = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b'{"a":1,"a":2}',
    b"NaN",
    b"\xff\xfe",
    b"[" * 10_000,
    b"1" * 5_000,
]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with furnished() as made:
        yield made


def spoiled(chance: random.Random, value: Any) -> Any:
    """The value with something in it replaced by something odd."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        return {**value, key: spoiled(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], spoiled(chance, value[place]), *value[place + 1 :]]
    return chance.choice(ODD)


def request(chance: random.Random) -> tuple[str, str, Any]:
    method, path, body = chance.choice([case[0] for case in (*GOOD, *BAD)])
    if chance.random() < 0.1:
        method = chance.choice(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"])
    if chance.random() < 0.2:
        parts = path.split("/")
        parts[chance.randrange(1, len(parts))] = chance.choice(PATHS)
        path = "/".join(parts)
    if chance.random() < 0.1:
        return method, path, chance.choice(BODIES)
    if method == "PUT" and "graph" in path and chance.random() < 0.5:
        body = graph(node("a", "b"), node("b", unites={"identifier": "a"}), retry_policy={"max_retries": 1})
    odd = spoiled(chance, body) if chance.random() < 0.8 else body
    return method, path, odd if isinstance(odd, bytes) or odd is None else json.dumps(odd).encode()


@pytest.mark.parametrize("seed", range(4))
async def test_no_request_fails_inside(api: Api, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(REQUESTS // 4):
        method, path, body = request(chance)
        answer = await api.call(method, path, body)
        assert answer.status_code < 500, (method, path, body, answer.text)
        assert answer.headers.get("x-exosphere-request-id") or "/v0" not in str(answer.url)
