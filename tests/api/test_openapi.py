"""The committed description is that of the routes."""

import json
from pathlib import Path

from karman_functions.api.openapi import document, text

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_committed_file_is_current() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == text(), (
        "run: python -m karman_functions.api.openapi > docs/openapi.json"
    )


def test_every_reference_leads_somewhere() -> None:
    description = document()

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [each for part in value.values() for each in references(part)]
        return [each for part in value for each in references(part)] if isinstance(value, list) else []

    found = references(description)
    assert found
    for reference in found:
        target: object = description
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(target, dict)
            target = target[part]


def test_every_operation_says_how_it_fails() -> None:
    description = document()
    assert description["openapi"].startswith("3.1")
    for item in description["paths"].values():
        for operation in item.values():
            if operation["operationId"] == "get_health":
                continue
            assert {"401", "403", "404", "422", "429", "503"} <= operation["responses"].keys()
            assert operation["security"] == [{"api_key": []}]
    assert "secret" not in json.dumps(description["components"]["schemas"]["KeyView"]["properties"])
