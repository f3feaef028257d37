"""Small texts that ask for much: work and memory stay bounded, and the answer is a refusal, not a timeout.

The child process may have a gigabyte of address space and seconds of processor time: a bomb that goes off ends it.
"""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.api.client import DEFINITION, Api
from tests.exosphere.api import furnished

PREAMBLE = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from karman_core.domain.errors import InvalidGraph
from karman_core.domain.parsing import load_text

def refused(text, format="yaml"):
    try:
        load_text(text, format)
    except InvalidGraph as error:
        return error.problems[0].code
    return "taken"
"""

TEXTS = """
lol = "a: &a [x,x,x,x,x,x,x,x,x]\\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [" + ",".join([f"*{chr(97 + n)}"] * 9) + "]\\n" for n in range(9)
)
found = {
    "billion laughs": refused(lol),
    "alias to itself": refused("a: &a [*a]"),
    "merge keys": refused("a: &a {x: 1}\\nb: {<<: *a}"),
    "object tag": refused("!!python/object/apply:os.system ['echo forged']"),
    "other tag": refused("a: !!python/name:os.system x"),
    "deep flow": refused("[" * 1_000_000),
    "deep blocks": refused("".join(" " * n + "a:\\n" for n in range(2_000))),
    "deep dashes": refused("- " * 100_000 + "x"),
    "many documents": refused("---\\na: 1\\n" * 100_000),
    "same key": refused("a: 1\\na: 2"),
    "large": refused("a: " + "x" * 6_000_000),
    "large json": refused('{"a": "' + "x" * 6_000_000 + '"}', "json"),
    "deep json": refused("[" * 2_000_000, "json"),
    "deep objects": refused('{"a":' * 500_000, "json"),
    "digits": refused("9" * 4_000_000, "json"),
    "yaml digits": refused("a: " + "9" * 4_000_000),
    "exponent": refused("1e999999999", "json"),
    "nan": refused("NaN", "json"),
    "infinity": refused('{"a": -Infinity}', "json"),
    "same key in json": refused('{"a": 1, "a": 1}', "json"),
    "same key, escaped": refused('{"a": 1, "\\\\u0061": 1}', "json"),
    "half a pair": refused('"\\\\ud800"', "json"),
    "many keys": refused("{" + ",".join(f'"k{n}":0' for n in range(300_000)) + "}", "json"),
    "float": refused("a: " + "1" * 300 + "." + "1" * 1_000_000),
}
print(json.dumps(found))
"""

SCHEMAS = """
from karman_core.domain.schema_values import check_schema, check_value
deep = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
schemas = {
    "doubling": ({"$defs": deep, "$ref": "#/$defs/d0"}, 1),
    "cycle": ({"$ref": "#"}, 1),
    "cycle of two": ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, 1),
    "dynamic cycle": ({"$dynamicAnchor": "x", "allOf": [{"$dynamicRef": "#x"}]}, 1),
    "backtracking": ({"pattern": "^(a|a)*$"}, "a" * 60 + "!"),
    "backtracking names": ({"patternProperties": {"^(a+)+$": {}}}, {"a" * 60 + "!": 1}),
    "wide repeat": ({"pattern": "((a{1,99}){1,99}){1,99}"}, "a" * 100_000),
    "large classes": ({"pattern": "[\\\\w]{1000}" * 50}, "a" * 100_000),
    "unique": ({"uniqueItems": True}, [{"a": n} for n in range(60_000)]),
    "messages": ({"anyOf": [{"minItems": 10**9}] * 5_000}, ["x" * 1000] * 4_000),
    "remote": ({"$ref": "http://192.0.2.1/schema.json"}, 1),
    "file": ({"$ref": "file:///etc/passwd"}, 1),
    "huge multiple": ({"multipleOf": 1e-300}, 10**300),
}
print(json.dumps({name: [problem.code for problem in [*check_schema(schema), *check_value(schema, value)]][:2]
                  for name, (schema, value) in schemas.items()}))
"""


def ran(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREAMBLE + code)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "forged" not in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_texts_of_graphs_and_bodies() -> None:
    found = ran(TEXTS)
    taken = {name for name, code in found.items() if code == "taken"}
    assert taken == {"many keys", "float"}  # within the limits of a text and of a number
    assert {found[name] for name in ("billion laughs", "alias to itself", "object tag", "other tag")} == {
        "invalid_syntax"
    }
    assert {found[name] for name in ("deep flow", "deep json", "deep objects", "deep dashes")} == {"too_deep"}
    assert {found[name] for name in ("large", "large json")} == {"too_large"}
    assert {found[name] for name in ("same key", "same key in json", "same key, escaped")} == {
        "duplicate_key"
    }


@pytest.mark.slow
def test_schemas() -> None:
    found = ran(SCHEMAS)
    blamed = {"doubling", "cycle", "cycle of two", "dynamic cycle", "remote", "file"}
    assert {name for name, codes in found.items() if codes == ["invalid_schema"]} - {
        "messages",
        "huge multiple",
    } == blamed
    assert found["backtracking"] == ["invalid_value"]
    assert found["backtracking names"] == []
    assert found["unique"] == []


@pytest.mark.slow
async def test_a_schema_bomb_by_the_api_is_an_answer(api: Api) -> None:
    """Whoever may register nodes and begin runs cannot stop the process that serves everybody."""
    names = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    for schema, status in (
        ({"properties": {"x": {"pattern": "^(a|a)*$"}}}, 422),
        ({"$defs": names, "properties": {"x": {"$ref": "#/$defs/d0"}}}, 422),
        ({"properties": {"x": {"$ref": "http://192.0.2.1/"}}}, 422),
        ({"properties": {"x": {"pattern": "(?=a)b"}}}, 201),
    ):
        node = {"name": "a", "inputs_schema": {"type": "object", **schema}}
        assert (await api.call("PUT", "/nodes", {"runtime": "rt", "nodes": [node]})).status == 200
        stored = await api.call("PUT", "/graphs/g", {"definition": DEFINITION})
        assert stored.body["valid"], stored.text
        answer = await api.call("POST", "/graphs/g/runs", {"inputs": {"x": "a" * 60 + "!"}})
        assert answer.status == status, answer.text
    wide = {"anyOf": [{"type": "integer"} for _ in range(3_000)]}
    nodes = [
        {"name": "p", "outputs_schema": {"type": "object", "properties": {"x": wide}}},
        {
            "name": "c",
            "inputs_schema": {"type": "object", "properties": {"x": {"anyOf": [{"type": "string"}] * 3_000}}},
        },
    ]
    assert (await api.call("PUT", "/nodes", {"runtime": "rt", "nodes": nodes})).status == 200
    definition = {
        "nodes": [
            {"identifier": "p", "node_name": "p", "next_nodes": ["c"]},
            {"identifier": "c", "node_name": "c", "inputs": {"x": "${{ p.outputs.x }}"}},
        ]
    }
    assert (await api.call("PUT", "/graphs/w", {"definition": definition})).status == 200


@pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "gzip, gzip", "identity, gzip"]
)
async def test_a_compressed_body_is_not_unpacked(api: Api, encoding: str) -> None:
    bomb = gzip.compress(b'{"runtime": "' + b"x" * 50_000_000 + b'"}')
    headers = {"content-encoding": encoding}
    for body in (bomb, base64.b64encode(bomb).decode()):
        answer = await api.call("PUT", "/nodes", body, headers=headers)
        assert answer.status in {400, 415}, answer.text


async def test_bodies_for_exosphere() -> None:
    async with furnished() as old:
        for body in (
            b"[" * 500_000,
            b'{"a":' * 300_000,
            b"9" * 3_000_000,
            b'{"nodes": [], "batch_size": 1e400}',
            b'{"nodes": [], "batch_size": NaN}',
            b'{"nodes": [], "nodes": []}',
            gzip.compress(b'{"nodes": ["Echo"], "batch_size": 1}'),
        ):
            for method, path in (("POST", "/states/enqueue"), ("PUT", "/graph/g"), ("PUT", "/nodes/")):
                answer = await old.call(method, path, body)
                assert answer.status_code == 422, (path, body[:40], answer.text)
        large = b'{"nodes": ["' + b"x" * 5_000_000 + b'"], "batch_size": 1}'
        assert (await old.call("POST", "/states/enqueue", large)).status_code == 413
