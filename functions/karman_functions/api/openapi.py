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
Karman's API. Send a key in `x-api-key`, or sign requests with AWS credentials where the server takes those; each
operation's `x-karman-scopes` says which scopes allow it.

A body is JSON, and unknown fields and parameters are refused. What fails is answered as `application/problem+json`,
whose `code` is stable. Every answer has an `x-request-id`. Lists go on at `cursor`, until it is null."""

_PROBLEMS = {
    "400": "The body is not JSON in UTF-8.",
    "401": "The key is missing or not known.",
    "403": "The key has not the scope, or is another namespace's; the same whatever exists.",
    "404": "There is no such thing in this namespace.",
    "409": "The thing exists in another shape, or is past changing.",
    "413": "The body, or a value in it, is over a limit.",
    "415": "The body is not said to be JSON, or is compressed.",
    "422": "The request is not valid; `problems` lists why.",
    "429": "Too many requests of this key, or over a quota; `retry-after`, if it is there, says when to come again.",
    "503": "A service did not answer, or a later release works on this (`newer_layout`); send the request again.",
}
_OF_BODIES = frozenset({"415"})
_OF_CHANGES = frozenset({"409"})
_OF_ALL = ("400", "413", "422", "429", "503")
"""How a request can fail that needs no key."""

_REQUEST_ID = "x-request-id"
_HEADERS = {
    _REQUEST_ID: "Names the request in logs; tell it when you ask for help.",
    "etag": "Which version this is; send it back as `if-none-match`.",
    "retry-after": "In how many seconds to send the request again.",
    "www-authenticate": "How to say who asks.",
}
_NOT_ALWAYS = frozenset({"retry-after"})
"""Where it is not known when trying again helps, it is left out."""

_ALSO = {"401": "www-authenticate", "429": "retry-after", "503": "retry-after"}
"""The header that an answer has beside the request's id, by status."""


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
    found: dict[str, Any] = _with_names(json.loads(text))
    for item in found["paths"].values():
        for method, operation in item.items():
            _complete(method, operation)
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ProblemAnswer"] = _problem_schema()
    schemas["DefinitionToStore"] = _definition(schemas["GraphDefinition"])
    schemas["GraphToStore"]["properties"]["definition"] = {"$ref": "#/components/schemas/DefinitionToStore"}
    found["components"]["headers"] = {name: _header(name, text) for name, text in _HEADERS.items()}
    found["components"]["responses"] = {f"Problem{code}": _problem(code) for code in _PROBLEMS}
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
    if operation["operationId"] in {"start_run", "rerun_run"}:
        responses["200"] = {
            **responses["201"],
            "description": "The idempotency key had begun this run before.",
        }
    if operation["operationId"] == "get_graph":
        responses["304"] = {"description": "The version is the one that is known."}
    for response in responses.values():
        response["headers"] = _headers(
            _REQUEST_ID, *(["etag"] if operation["operationId"] == "get_graph" else [])
        )
    for code in _PROBLEMS if "security" in operation else _OF_ALL:
        without_body = code in _OF_BODIES and "requestBody" not in operation
        if not (without_body or (code in _OF_CHANGES and method == "get")):
            responses[code] = {"$ref": f"#/components/responses/Problem{code}"}


def _problem(code: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemAnswer"}
    return {
        "description": _PROBLEMS[code],
        "headers": _headers(_REQUEST_ID, *filter(None, [_ALSO.get(code)])),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str, description: str) -> dict[str, Any]:
    required = name not in _NOT_ALWAYS
    return {"description": description, "required": required, "schema": {"type": "string"}}


def _with_names(value: Any) -> Any:  # noqa: ANN401  JSON
    """The schemas of objects say what names may be.

    pydantic says only what the values under such names are, so that anything would be allowed under other names.
    """
    if isinstance(value, list):
        return [_with_names(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _with_names(item) for key, item in value.items()}
    patterns = found.get("patternProperties")
    if isinstance(patterns, dict) and len(patterns) == 1 and "additionalProperties" not in found:
        ((pattern, values),) = found.pop("patternProperties").items()
        found |= {"propertyNames": {"type": "string", "pattern": pattern}, "additionalProperties": values}
    return found


def _definition(whole: dict[str, Any]) -> dict[str, Any]:
    """The schema of a definition in a request, whose name the path says."""
    return {
        **whole,
        "title": "DefinitionToStore",
        "description": "A graph's definition. It may leave out its name, which is the one in the path.",
        "required": [name for name in whole["required"] if name != "name"],
    }


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
