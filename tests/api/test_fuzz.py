"""Whatever is sent to `/v1`: what the description does not allow is refused, and what is refused changes nothing."""

import asyncio
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from karman_functions.api.openapi import document
from tests.api.client import ADMIN_KEY, Api, event
from tests.api.routes import CALLS, Call, World, prepare
from tests.api.test_bad_requests import everything

pytestmark = pytest.mark.slow  # processes, emulators or sheer numbers: seconds a test

EXAMPLES = int(os.environ.get("KARMAN_FUZZ_EXAMPLES", "25"))
"""Of each operation; `make fuzz` asks for more."""

DESCRIPTION = document()
OPERATIONS = {
    operation["operationId"]: operation
    for item in DESCRIPTION["paths"].values()
    for operation in item.values()
}
LIMIT = 4_194_304

# A definition may be spelled as Exosphere does too, with nulls for what is left out; tests/domain has what it may not.
SCHEMAS = {**DESCRIPTION["components"]["schemas"], "DefinitionToStore": {"type": "object"}}
COMPONENTS = {**DESCRIPTION["components"], "schemas": SCHEMAS}

HOSTILE = [
    *(
        "",
        " ",
        "\0",
        "\n",
        "..",
        ".",
        "/",
        "#",
        "%",
        "%00",
        "?",
        "&",
        "'",
        '"',
        ";--",
        "\\",
        "{}",
        "-",
        "--",
        "é",
    ),
    *(
        "\uff47",
        "\u0661",
        "\ud800",
        "\udfff\ud800",
        "\U0010ffff",
        "a\u0301",
        "\u202egnp",
        "\ufeff",
        "x" * 9_000,
    ),
    *(
        "g\n",
        "g ",
        " g",
        "g\0",
        "g#",
        "ns#run",
        "${{ store.a }}",
        "null",
        "NaN",
        "__proto__",
        "-1",
        "1e400",
        "0x10",
    ),
    *("0" * 5_000, "9" * 400),
]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    2**70,
    10**400,
    -0.0,
    [],
    {},
    [[]],
    [None],
    {"": None},
    *HOSTILE,
]
BROKEN: list[bytes] = [
    *(b"{", b"{}}", b"{} {}", b"[", b"'a'", b"{a: 1}", b"nul", b"\0", b"// x\n{}", b'{"a": 1,}', b"\xff"),
    *(b"\xed\xa0\x80", b'{"a": "\\ud800"}', b'{"a": "\\x"}', b"null", b"[]", b"7", b'"x"'),
    *(
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5_000 + b"}",
    ),
    *(
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a":' * 5_000,
        b"[" * 100_000,
        b"[" * 500 + b"]" * 500,
    ),
    *('{"a": "é"}'.encode("latin-1"), '{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-16-le")),
    *("{}".encode("utf-32"), gzip.compress(b"{}"), gzip.compress(b"[" * LIMIT * 4)),
    b'{"a": "' + b"x" * LIMIT + b'"}',
]
HEADERS: dict[str, list[str]] = {
    "content-type": [
        "",
        "x",
        "text/plain",
        "application/jsonx",
        "multipart/form-data",
        "application/xml",
        "\0",
    ],
    "content-encoding": ["gzip", "br", "x", "gzip, gzip"],
    "idempotency-key": ["", "x" * 300],
    "x-api-key": [
        *(
            "",
            " ",
            "\0",
            "é",
            "\ud800",
            "k" * 9_000,
            "karman",
            "karman...",
            "karman.ns.a.b",
            "karman.ns#graph.v.x",
        )
    ],
}
REFUSED_HEADERS = {"content-encoding", "content-type"}
"""Those of a body: operations without one read none."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; `wrong` once it is not as the description says."""

    path: str
    body: Any
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    wrong: bool = False


class Stage:
    """The application with a namespace to ask for; another one after each request that was done."""

    def __init__(self) -> None:
        self.api = Api()
        self.namespace = ""
        self.world = World("", "", "", "", "")
        self._numbers = count()

    async def renew(self) -> None:
        self.namespace = f"ns{next(self._numbers)}"
        self.world = await prepare(self.api, self.namespace)

    async def send(self, call: Call, request: Request) -> None:
        key = request.headers.get("x-api-key", ADMIN_KEY)
        headers = {name: value for name, value in request.headers.items() if name != "x-api-key"}
        path = f"/v1/namespaces/{self.namespace}{request.path}"
        before = await everything(self.api)
        answer = await self.api.send(
            event(call.method, path, request.body, query=request.query, headers=headers, key=key)
        )
        shown = (
            call.method,
            path[:200],
            request.query,
            request.headers,
            str(request.body)[:500],
            answer.text[:300],
        )
        assert answer.status < 500, shown
        assert answer.headers["x-request-id"], shown
        if answer.status < 400:
            assert not request.wrong, shown
            await self.renew()
            return
        assert answer.code, shown
        assert await everything(self.api) == before, shown


@contextmanager
def stage() -> Iterator[tuple[Stage, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        made = Stage()
        runner.run(made.renew())
        yield made, runner
        made.api.backend.close()


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_what_is_refused_changes_nothing(call: Call) -> None:
    with stage() as (made, runner):

        @settings(max_examples=EXAMPLES, database=None, derandomize=EXAMPLES < 100)
        @given(st.data())
        def attempt(data: st.DataObject) -> None:
            good = Request(made.world.path(call), made.world.body(call))
            how = data.draw(st.sampled_from(_ways(call)))
            runner.run(made.send(call, how(data, call, good)))

        attempt()


def _ways(call: Call) -> list[Any]:
    ways: list[Any] = [_unknown_parameter, _odd_header]
    ways += [_odd_path] if "{" in call.path else []
    ways += [_odd_parameter] if _parameters(call, "query") else []
    ways += [_odd_body, _odd_body, _broken_body] if "requestBody" in OPERATIONS[call.operation] else []
    return ways


def _odd_path(data: st.DataObject, call: Call, good: Request) -> Request:
    parts = good.path.split("/")
    at = data.draw(st.sampled_from([at for at, part in enumerate(call.path.split("/")) if part]))
    parts[at] = data.draw(_texts())
    return replace(good, path="/".join(parts))


def _unknown_parameter(data: st.DataObject, call: Call, good: Request) -> Request:
    known = {parameter["name"] for parameter in _parameters(call, "query")}
    name = data.draw(_texts().filter(lambda text: text not in known and text.isascii() and text != ""))
    return replace(good, query={name: data.draw(_texts(plain=True))}, wrong=True)


def _odd_parameter(data: st.DataObject, call: Call, good: Request) -> Request:
    parameter = data.draw(st.sampled_from(_parameters(call, "query")))
    return replace(good, query={parameter["name"]: data.draw(_texts(plain=True))})


def _odd_header(data: st.DataObject, call: Call, good: Request) -> Request:
    name = data.draw(st.sampled_from(sorted(HEADERS)))
    taken = name in {parameter["name"] for parameter in _parameters(call, "header")}
    wrong = name == "x-api-key" or taken or (name in REFUSED_HEADERS and good.body is not None)
    return replace(good, headers={name: data.draw(st.sampled_from(HEADERS[name]))}, wrong=wrong)


def _broken_body(data: st.DataObject, call: Call, good: Request) -> Request:
    return replace(good, body=data.draw(st.sampled_from(BROKEN)), wrong=True)


def _odd_body(data: st.DataObject, call: Call, good: Request) -> Request:
    """Something in the body replaced; wrong if the schema says so."""
    odd = _spoiled(data, good.body if good.body is not None else {})
    schema = OPERATIONS[call.operation]["requestBody"]["content"]["application/json"]["schema"]
    described = Draft202012Validator({**schema, "components": COMPONENTS})
    wrong = not described.is_valid(odd) and not described.is_valid(_trimmed(odd))
    return replace(good, body=json.dumps(odd), wrong=wrong)


def _trimmed(value: Any) -> Any:
    """Names may have white space around them, which the description does not show."""
    if isinstance(value, dict):
        return {key: _trimmed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_trimmed(item) for item in value]
    return value.strip() if isinstance(value, str) else value


def _spoiled(data: st.DataObject, value: Any) -> Any:
    if isinstance(value, dict) and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from([*value, "more"]))
        return {**value, key: _spoiled(data, value.get(key))}
    if isinstance(value, list) and value and data.draw(st.integers(0, 4)):
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], _spoiled(data, value[place]), *value[place + 1 :]]
    return data.draw(st.sampled_from(ODD) | st.text() | st.integers() | st.floats(allow_nan=False))


def _texts(*, plain: bool = False) -> st.SearchStrategy[str]:
    """Hostile texts; plain ones have no surrogates, which no query can hold."""
    found = st.sampled_from(HOSTILE) | st.text(max_size=20)
    return found.filter(lambda text: text.isprintable() or "\ud800" not in text) if plain else found


def _parameters(call: Call, place: str) -> list[Any]:
    return [each for each in OPERATIONS[call.operation].get("parameters", []) if each["in"] == place]
