"""The API does not take away what clients use, unless the changelog says so."""

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.house.breaking import Break, breaks

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = "docs/openapi.json"


def git(*arguments: str) -> str | None:
    """What git says; None where it does not know, or is not there."""
    try:
        ended = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return ended.stdout.strip() or None if ended.returncode == 0 else None


def base() -> str | None:
    """What clients know: the last release; before there is one, where this work left the main branch."""
    released = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD")
    return released or git("merge-base", "HEAD", "origin/main") or git("merge-base", "HEAD", "main")


def declared(changelog: str) -> str:
    """What the section of the next release says under `### Breaking`."""
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    part = re.search(
        r"^### Breaking\n(.*?)(?=^### |\Z)", unreleased[1] if unreleased else "", re.DOTALL | re.MULTILINE
    )
    return part[1] if part else ""


def undeclared(found: list[Break], changelog: str) -> list[str]:
    """Those whose operation the changelog does not name."""
    said = declared(changelog)
    return [str(each) for each in found if f"`{each.operation}`" not in said]


def test_the_api_keeps_what_clients_use() -> None:
    known = base()
    text = known and git("show", f"{known}:{DESCRIPTION}")
    if not text:
        pytest.skip(f"no git history that has a {DESCRIPTION} to compare with")
    now = json.loads((ROOT / DESCRIPTION).read_text(encoding="utf-8"))

    found = undeclared(breaks(json.loads(text), now), (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))

    assert not found, (
        f"these break clients of {known}; keep them, or name the operations in backticks under '### Breaking' "
        "in the changelog:\n" + "\n".join(found)
    )


THING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "kind": {"$ref": "#/components/schemas/Kind"},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
    },
    "required": ["id", "kind"],
}
WANTED: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "size": {"type": "number", "minimum": 0},
        "kind": {"$ref": "#/components/schemas/Kind"},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name"],
}
BEFORE: dict[str, Any] = {
    "paths": {
        "/things/{id}": {
            "put": {
                "operationId": "put_thing",
                "x-karman-scopes": ["admin", "read"],
                "parameters": [
                    {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}},
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}},
                ],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Wanted"}}}
                },
                "responses": {
                    "200": {
                        "headers": {"etag": {}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
                    },
                    "404": {"$ref": "#/components/responses/Missing"},
                },
            }
        }
    },
    "components": {
        "responses": {"Missing": {"content": {"application/problem+json": {"schema": {}}}}},
        "schemas": {"Thing": THING, "Wanted": WANTED, "Kind": {"type": "string", "enum": ["a", "b"]}},
    },
}


def operation(document: Any) -> Any:
    return document["paths"]["/things/{id}"]["put"]


def wanted(document: Any) -> Any:
    return document["components"]["schemas"]["Wanted"]


def thing(document: Any) -> Any:
    return document["components"]["schemas"]["Thing"]


def changed(change: Callable[[Any], object]) -> list[str]:
    after = copy.deepcopy(BEFORE)
    change(after)
    return sorted({f"{each.where}: {each.what}" for each in breaks(BEFORE, after)})


MORE = {"in": "query", "name": "more", "schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda d: d["paths"].clear(), "operation: was removed"),
        (lambda d: d["paths"]["/things/{id}"].pop("put"), "operation: was removed"),
        (lambda d: operation(d)["parameters"].pop(), "query/limit: was removed"),
        (lambda d: operation(d)["parameters"].append({**MORE, "required": True}), "query/more: is required now"),
        (lambda d: operation(d)["parameters"][1].update(required=True), "query/limit: is required now"),
        (lambda d: operation(d)["parameters"][1]["schema"].update(maximum=9), "query/limit: has a lower maximum"),
        (lambda d: operation(d)["parameters"][0]["schema"].update(pattern="^x"), "path/id: has another pattern"),
        (lambda d: operation(d)["x-karman-scopes"].pop(), "scopes: 'read' does not allow it any more"),
        (lambda d: operation(d).update(security=[{"key": []}]), "security: it takes a key now"),
        (lambda d: operation(d)["requestBody"].update(required=True), "body: is required now"),
        (lambda d: operation(d)["requestBody"]["content"].clear(), "body: 'application/json' was removed"),
        (lambda d: wanted(d)["required"].append("size"), "body.size: is required now"),
        (lambda d: wanted(d)["properties"].pop("size"), "body.size: was removed"),
        (lambda d: wanted(d)["properties"]["size"].update(type="integer"), "body.size: takes no number any more"),
        (lambda d: wanted(d)["properties"]["size"].update(minimum=1), "body.size: has a higher minimum"),
        (lambda d: wanted(d)["properties"]["name"].update(maxLength=9), "body.name: has a lower maxLength"),
        (lambda d: wanted(d)["properties"]["name"].update(enum=["x"]), "body.name: takes no 'any other' any more"),
        (lambda d: wanted(d)["properties"]["tags"].update(additionalProperties={"type": "integer"}),
         "body.tags.*: takes no string any more"),
        (lambda d: wanted(d)["properties"]["tags"].update(propertyNames={"maxLength": 3}),
         "body.tags: has other names of fields"),
        (lambda d: d["components"]["schemas"]["Kind"]["enum"].pop(), "body.kind: takes no 'b' any more"),
        (lambda d: operation(d)["responses"].pop("404"), "404: was removed"),
        (lambda d: operation(d)["responses"]["200"]["headers"].clear(), "200 header etag: was removed"),
        (lambda d: d["components"]["responses"]["Missing"]["content"].clear(),
         "404: 'application/problem+json' was removed"),
        (lambda d: thing(d)["properties"].pop("id"), "200.id: was removed"),
        (lambda d: thing(d)["required"].remove("id"), "200.id: may be missing now"),
        (lambda d: thing(d)["properties"].update(id={"type": ["string", "null"]}), "200.id: may be null now"),
        (lambda d: thing(d)["properties"]["size"]["anyOf"].append({"type": "string"}), "200.size: may be string now"),
        (lambda d: thing(d)["properties"].update(parts={"type": "object"}), "200.parts: may be object now"),
    ],
)  # fmt: skip
def test_each_kind_of_break_is_found(change: Callable[[Any], object], found: str) -> None:
    assert found in changed(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["paths"].update({"/more": {"get": {"operationId": "more", "responses": {}}}}),
        lambda d: d["paths"].update({"/things/{name}": d["paths"].pop("/things/{id}")}),
        lambda d: operation(d)["parameters"].append(MORE),
        lambda d: operation(d)["parameters"][1]["schema"].update(maximum=1_000),
        lambda d: operation(d)["x-karman-scopes"].append("worker"),
        lambda d: operation(d)["responses"].update({"409": {}}),
        lambda d: wanted(d)["properties"].update(more={"type": "string"}),
        lambda d: wanted(d)["required"].clear(),
        lambda d: wanted(d).pop("additionalProperties"),
        lambda d: wanted(d)["properties"].update(name={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        lambda d: wanted(d)["properties"]["name"].pop("maxLength"),
        lambda d: d["components"]["schemas"]["Kind"]["enum"].append("c"),
        lambda d: thing(d)["properties"].update(more={"type": "string"}),
        lambda d: thing(d)["required"].append("size"),
        lambda d: thing(d)["properties"]["size"]["anyOf"].pop(),
        lambda d: thing(d).update(description="said in other words"),
    ],
)
def test_what_breaks_nobody_is_let_through(change: Callable[[Any], object]) -> None:
    assert changed(change) == []


def test_a_break_that_the_changelog_names_is_let_through() -> None:
    found = breaks(BEFORE, {})
    below = "## [0.1.0]\n\n### Breaking\n\n- `put_thing` is gone.\n"

    assert undeclared(found, f"## [Unreleased]\n\n### Breaking\n\n- `put_thing` is gone.\n\n{below}") == []
    assert undeclared(found, f"## [Unreleased]\n\n### Added\n\n- `put_thing`.\n\n{below}")
    assert undeclared(found, "## [Unreleased]\n\n### Breaking\n\n- `put_another` is gone.\n")
    assert undeclared(found, "")
