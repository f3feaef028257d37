"""The API's description (OpenAPI 3.1), made from the routes.

python -m karman_functions.api.openapi > docs/openapi.json
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

from aws_lambda_powertools.event_handler.openapi.models import APIKey, APIKeyIn

from karman_functions.api.resolver import ConcurrentResolver
from karman_functions.api.routes import RESOURCES

_VERSION = "1.0.0"
"""Of the API, not of the package: it changes when the API does."""

_DESCRIPTION = """\
Karman's API. Send a key in `x-api-key`; each operation's `x-karman-scopes` says which scopes allow it.

A body is JSON, and unknown fields and parameters are refused. What fails is answered as `application/problem+json`,
whose `code` is stable. Every answer has an `x-request-id`. Lists go on at `cursor`, until it is null."""

_PROBLEMS = {
    "400": "The body is not JSON in UTF-8.",
    "401": "The key is missing or not known.",
    "403": "The key has not the scope, or is another namespace's; the same whatever exists.",
    "404": "There is no such thing in this namespace.",
    "409": "The thing exists in another shape, or is past changing.",
    "413": "The body, or a value in it, is over a limit.",
    "415": "The body is not said to be JSON.",
    "422": "The request is not valid; `problems` lists why.",
    "429": "Too many requests of this key; `retry-after` says when to come again.",
    "503": "A service did not answer; send the request again.",
}
_OF_BODIES = frozenset({"415"})
_OF_CHANGES = frozenset({"409"})


def document() -> dict[str, Any]:
    """The description, as JSON data; the same for the same routes."""
    resolver = ConcurrentResolver()
    for resource in RESOURCES:
        resolver.include_router(resource.router)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Powertools' and pydantic's own, about how they read annotations
        text = resolver.get_openapi_json_schema(
            title="Karman",
            version=_VERSION,
            description=_DESCRIPTION,
            security_schemes={"api_key": APIKey(name="x-api-key", in_=APIKeyIn.header)},
        )
    found: dict[str, Any] = json.loads(text)
    for item in found["paths"].values():
        for method, operation in item.items():
            _complete(method, operation)
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ProblemAnswer"] = _problem_schema()
    found["components"]["responses"] = {f"Problem{code}": _problem(text) for code, text in _PROBLEMS.items()}
    return found


def text() -> str:
    """The file."""
    return json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Say how the operation can fail, which the handlers do not: it is one map for all."""
    responses = operation["responses"]
    responses.pop("422", None)
    if "204" in responses:
        responses["204"] = {"description": "Done."}
    if operation["operationId"] == "start_run":
        responses["200"] = {
            **responses["201"],
            "description": "The idempotency key had begun this run before.",
        }
    if operation["operationId"] == "get_graph":
        responses["304"] = {"description": "The version is the one that is known."}
    if "security" not in operation:
        return
    for code in _PROBLEMS:
        without_body = code in _OF_BODIES and "requestBody" not in operation
        if not (without_body or (code in _OF_CHANGES and method == "get")):
            responses[code] = {"$ref": f"#/components/responses/Problem{code}"}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemAnswer"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _problem_schema() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer"}
    one = {
        "type": "object",
        "properties": {"path": text, "code": text, "message": text},
        "required": ["path", "code", "message"],
    }
    properties = {
        "type": text,
        "title": text,
        "status": number,
        "detail": text,
        "code": text,
        "request_id": text,
        "problems": {"type": "array", "items": one},
    }
    return {
        "type": "object",
        "description": "What went wrong (RFC 9457); `code` is stable, `problems` lists every reason.",
        "properties": properties,
        "required": list(properties),
    }


if __name__ == "__main__":
    sys.stdout.write(text())
