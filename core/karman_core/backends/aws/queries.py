"""Queries of the table port as arguments of DynamoDB's, and the cursors between their pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from karman_core.backends.aws.expressions import Placeholders
from karman_core.domain.errors import InvalidRequest
from karman_core.ports.table import Query

_INDEX_PAGE = 500
"""Entries of an index are small, so that a page of 1 MB would have thousands of headers read one by one."""


def query_arguments(query: Query) -> dict[str, Any]:
    """The arguments of a query, but for the table.

    Raises:
        ValueError: the query contradicts itself.
        InvalidRequest: the cursor is not of this query.
    """
    _check(query)
    pk, sk = ("pk", "sk") if query.index is None else (query.index.pk, query.index.sk)
    placeholders = Placeholders()
    conditions = [f"{placeholders.name(pk)} = {placeholders.attribute({'S': query.pk})}"]
    bound = _bound(query, sk, placeholders)
    if bound:
        conditions.append(bound)
    arguments: dict[str, Any] = {
        "KeyConditionExpression": " AND ".join(conditions),
        "ScanIndexForward": not query.reverse,
        "ConsistentRead": query.consistent,
        **placeholders.arguments(),
    }
    limit = query.limit
    if query.index is not None:
        arguments["IndexName"] = query.index.name
        limit = limit or _INDEX_PAGE
    if limit is not None:
        arguments["Limit"] = limit
    if query.cursor is not None:
        arguments["ExclusiveStartKey"] = _start_key(query, query.cursor)
    return arguments


def is_empty(query: Query) -> bool:
    """Whether nothing can lie between the query's bounds; DynamoDB refuses to be asked."""
    return query.first is not None and query.last is not None and query.first.encode() > query.last.encode()


def cursor_after(query: Query, last_key: Mapping[str, Mapping[str, Any]] | None) -> str | None:
    """The cursor for the page after the key that DynamoDB stopped at."""
    if not last_key:
        return None
    position = [_source(query), *(last_key[name]["S"] for name in _position_names(query))]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode("ascii")


def _check(query: Query) -> None:
    if not query.pk:
        raise ValueError("a query names a partition")
    if query.index is not None and query.consistent:
        raise ValueError("an index cannot be read consistently")
    if query.limit is not None and query.limit < 1:
        raise ValueError("a page has room for at least one item")
    if query.prefix is not None and (query.first is not None or query.last is not None):
        raise ValueError("a query takes a prefix or a range, not both")
    if "" in {query.prefix, query.first, query.last}:
        raise ValueError("sort keys are not empty, so nothing begins with or is compared with an empty text")


def _bound(query: Query, sk: str, placeholders: Placeholders) -> str | None:
    def text(value: str) -> str:
        return placeholders.attribute({"S": value})

    if query.prefix is not None:
        return f"begins_with({placeholders.name(sk)}, {text(query.prefix)})"
    if query.first is not None and query.last is not None:
        return f"{placeholders.name(sk)} BETWEEN {text(query.first)} AND {text(query.last)}"
    if query.first is not None:
        return f"{placeholders.name(sk)} >= {text(query.first)}"
    if query.last is not None:
        return f"{placeholders.name(sk)} <= {text(query.last)}"
    return None


def _source(query: Query) -> str:
    """What is read. The indexes have keys alike, and DynamoDB would start one where another ended."""
    return "table" if query.index is None else query.index.name


def _position_names(query: Query) -> list[str]:
    """The attributes of a position in the order of the query; the first is the partition."""
    return ["pk", "sk"] if query.index is None else [query.index.pk, query.index.sk, "pk", "sk"]


def _start_key(query: Query, cursor: str) -> dict[str, Any]:
    """DynamoDB's key for a cursor. It came from outside, so it may say anything."""
    names = _position_names(query)
    try:
        position: Any = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("the cursor is none that a query returned") from error
    texts = isinstance(position, list) and all(isinstance(part, str) and part for part in position)
    if not texts or len(position) != 1 + len(names) or position[:2] != [_source(query), query.pk]:
        raise InvalidRequest("the cursor belongs to another query")
    return {name: {"S": part} for name, part in zip(names, position[1:], strict=True)}
