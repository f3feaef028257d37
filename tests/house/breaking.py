"""What a change of the API's description (OpenAPI 3.1) takes away from the clients that are there.

Requests that were right must stay right, and what answers gave they must go on giving. More operations, optional
parameters, optional fields of requests, fields of answers, statuses and values in answers break nobody: clients ignore
what they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_EXACT = ("pattern", "const", "multipleOf", "uniqueItems")


@dataclass(frozen=True, slots=True)
class Break:
    """Something that is no more as it was; `operation` is the operation's id."""

    operation: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.where}: {self.what}"


def breaks(before: Json, after: Json) -> list[Break]:
    """What clients of the description before would run into."""
    here = _operations(after)
    found: list[Break] = []
    for place, old in _operations(before).items():
        name = old.get("operationId", " ".join(place))
        new = here.get(place)
        pairs = [("operation", "was removed")] if new is None else _of_operation(before, after, old, new)
        found += [Break(name, where, what) for where, what in dict.fromkeys(pairs)]
    return found


def _operations(document: Json) -> dict[tuple[str, str], Json]:
    """By method and path, in which parameters have no names: these are the server's own affair."""
    return {
        (method, re.sub(r"\{[^}]*\}", "{}", path)): item[method]
        for path, item in document.get("paths", {}).items()
        for method in METHODS
        if method in item
    }


Found: TypeAlias = Iterator[tuple[str, str]]


def _of_operation(before: Json, after: Json, old: Json, new: Json) -> Found:
    yield from _of_parameters(before, after, old, new)
    yield from _of_body(before, after, old.get("requestBody"), new.get("requestBody"))
    yield from _of_responses(before, after, old.get("responses", {}), new.get("responses", {}))
    for scope in old.get("x-karman-scopes", []):
        if new.get("x-karman-scopes") and scope not in new["x-karman-scopes"]:
            yield "scopes", f"'{scope}' does not allow it any more"
    if not old.get("security") and new.get("security"):
        yield "security", "it takes a key now"


def _of_parameters(before: Json, after: Json, old: Json, new: Json) -> Found:
    mine, theirs = (
        {(each["in"], each["name"]): each for each in operation.get("parameters", []) if each["in"] != "path"}
        for operation in (old, new)
    )
    for key in mine.keys() - theirs.keys():
        yield "/".join(key), "was removed"
    for key, parameter in theirs.items():
        if parameter.get("required") and not mine.get(key, {}).get("required"):
            yield "/".join(key), "is required now"
    paths = [
        [each for each in operation.get("parameters", []) if each["in"] == "path"] for operation in (old, new)
    ]
    pairs = [(mine[key], theirs[key]) for key in mine.keys() & theirs.keys()] + list(
        zip(*paths, strict=False)
    )
    for one, other in pairs:
        side = Side(before, after, f"{one['in']}/{one['name']}", sent=True)
        yield from _of_schema(side, one.get("schema", {}), other.get("schema", {}))


def _of_body(before: Json, after: Json, old: Json | None, new: Json | None) -> Found:
    if new is not None and new.get("required") and not (old or {}).get("required"):
        yield "body", "is required now"
    for media, content in (old or {}).get("content", {}).items():
        other = (new or {}).get("content", {}).get(media)
        if other is None:
            yield "body", f"'{media}' was removed"
        else:
            side = Side(before, after, "body", sent=True)
            yield from _of_schema(side, content.get("schema", {}), other.get("schema", {}))


def _of_responses(before: Json, after: Json, old: Json, new: Json) -> Found:
    for status, response in old.items():
        if status not in new:
            yield status, "was removed"
            continue
        one, other = _resolved(before, response), _resolved(after, new[status])
        for name in one.get("headers", {}).keys() - other.get("headers", {}).keys():
            yield f"{status} header {name}", "was removed"
        for media, content in one.get("content", {}).items():
            given = other.get("content", {}).get(media)
            if given is None:
                yield status, f"'{media}' was removed"
            else:
                side = Side(before, after, status, sent=False)
                yield from _of_schema(side, content.get("schema", {}), given.get("schema", {}))


@dataclass(frozen=True, slots=True)
class Side:
    """Where two schemas are compared; `sent` for those of requests. `seen` ends the walk through recursive ones."""

    before: Json
    after: Json
    where: str
    sent: bool
    seen: frozenset[tuple[str, str]] = frozenset()

    def at(self, part: str) -> Side:
        """A part of the place."""
        return replace(self, where=f"{self.where}{part}")


def _of_schema(side: Side, old: Any, new: Any) -> Found:
    """What fits no more: old values in requests, new ones in answers."""
    pair = (_reference(old), _reference(new))
    if all(pair) and pair in side.seen:
        return
    side = replace(side, seen=side.seen | {pair})
    one, other = _resolved(side.before, old), _resolved(side.after, new)
    if _options(one) != [one] or _options(other) != [other]:
        yield from _of_options(side, _options(one), _options(other))
        return
    inner, outer = (one, other) if side.sent else (other, one)
    if lost := sorted(_types(inner) - _types(outer)):
        yield (
            side.where,
            f"{'takes no' if side.sent else 'may be'} {' or '.join(lost)} {'any more' if side.sent else 'now'}",
        )
        return
    if side.sent:
        yield from _narrowed(side.where, one, other)
    yield from _of_fields(side, one, other)
    for keyword, part in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(one.get(keyword), dict) and isinstance(other.get(keyword), dict):
            yield from _of_schema(side.at(part), one[keyword], other[keyword])


def _of_options(side: Side, old: list[Any], new: list[Any]) -> Found:
    """Each alternative that may come must fit one that is known."""
    coming, known = (old, new) if side.sent else (new, old)
    for option in coming:
        fits = [list(_of_schema(side, *((option, each) if side.sent else (each, option)))) for each in known]
        if fits and all(fits):
            yield from min(fits, key=len)


def _narrowed(where: str, old: Json, new: Json) -> Found:
    if "enum" in new and (
        gone := [each for each in old.get("enum", ["any other"]) if each not in new["enum"]]
    ):
        yield where, f"takes no {gone[0]!r} any more"
    for keyword in _UPPER:
        if keyword in new and new[keyword] < old.get(keyword, float("inf")):
            yield where, f"has a lower {keyword}"
    for keyword in _LOWER:
        if keyword in new and new[keyword] > old.get(keyword, float("-inf")):
            yield where, f"has a higher {keyword}"
    for keyword in _EXACT:
        if keyword in new and new[keyword] != old.get(keyword):
            yield where, f"has another {keyword}"
    if "propertyNames" in new and new["propertyNames"] != old.get("propertyNames"):
        yield where, "has other names of fields"


def _of_fields(side: Side, old: Json, new: Json) -> Found:
    mine, theirs = old.get("properties", {}), new.get("properties", {})
    closed = new.get("additionalProperties") is False
    for name in mine.keys() - theirs.keys():
        if closed or not side.sent:
            yield side.at(f".{name}").where, "was removed"
    was, now = set(old.get("required", [])), set(new.get("required", []))
    for name in sorted(now - was if side.sent else (was - now) & theirs.keys()):
        yield side.at(f".{name}").where, "is required now" if side.sent else "may be missing now"
    if side.sent and closed and old.get("additionalProperties", True) is not False:
        yield side.where, "takes no other fields any more"
    for name in mine.keys() & theirs.keys():
        yield from _of_schema(side.at(f".{name}"), mine[name], theirs[name])


def _options(schema: Json) -> list[Any]:
    return schema.get("anyOf") or schema.get("oneOf") or [schema]


def _types(schema: Json) -> frozenset[str]:
    """What values may be; a number may be an integer."""
    named = schema.get("type")
    found = _TYPES if named is None else frozenset([named] if isinstance(named, str) else named)
    return found | {"integer"} if "number" in found else found


def _reference(schema: Any) -> str:
    return schema.get("$ref", "") if isinstance(schema, dict) else ""


def _resolved(document: Json, part: Any) -> Json:
    """What a part says, through references and lists of one; a schema may also be true or false."""
    if not isinstance(part, dict):
        return {} if part else {"enum": []}
    if reference := _reference(part):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return _resolved(document, found)
    if len(part.get("allOf", [])) == 1:
        return {**_resolved(document, part["allOf"][0]), **{key: part[key] for key in part if key != "allOf"}}
    return part
