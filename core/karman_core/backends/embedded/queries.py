"""Queries: one partition of the table or of an index, in the order of the sort key, a page at a time.

Text is compared by its UTF-8 bytes (SQLite's BINARY), as DynamoDB does.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from typing import Any

from karman_core.backends.embedded.items import decode
from karman_core.domain.errors import InvalidRequest
from karman_core.ports.table import Item, Page, Query

PAGE_BYTES = 1024 * 1024
"""DynamoDB: a page ends when its items reach 1 MB."""

_LAST_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def read_page(connection: sqlite3.Connection, query: Query) -> Page:
    """The page of the query that begins after its cursor.

    Raises:
        ValueError: the query contradicts itself.
        InvalidRequest: the cursor is not of this query.
    """
    _check(query)
    statement, arguments = _statement(query)
    rows = connection.execute(statement, arguments)
    items: list[Item] = []
    room = PAGE_BYTES
    try:
        for pk, sk, body, size in rows:
            if room < size and items:
                return Page(items, _cursor(query, items[-1]))
            room -= size
            items.append(decode(pk, sk, body))
            # DynamoDB does not look further either: a page that ends at the limit has a cursor, and the next one may
            # turn out to be empty.
            if len(items) == query.limit:
                return Page(items, _cursor(query, items[-1]))
    finally:
        rows.close()  # a statement that was not read to its end would keep the log from being tidied up
    return Page(items)


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


def _statement(query: Query) -> tuple[str, list[str]]:
    pk, sk = ("pk", "sk") if query.index is None else (query.index.pk, query.index.sk)
    where = [f"{pk} = ?"]
    arguments = [query.pk]
    for test, bound in _bounds(query):
        where.append(f"{sk} {test} ?")
        arguments.append(bound)
    order = [sk] if query.index is None else [sk, "pk", "sk"]
    if query.cursor is not None:
        after = _position(query, query.cursor)
        where.append(
            f"({', '.join(order)}) {'<' if query.reverse else '>'} ({', '.join('?' for _ in after)})"
        )
        arguments += after
    direction = "DESC" if query.reverse else "ASC"
    sorting = ", ".join(f"{column} {direction}" for column in order)
    # Only names of columns are put into the text; every value is an argument.
    return f"SELECT pk, sk, body, size FROM items WHERE {' AND '.join(where)} ORDER BY {sorting}", arguments  # noqa: S608


def _bounds(query: Query) -> list[tuple[str, str]]:
    if query.prefix is not None:
        end = after_prefix(query.prefix)
        return [(">=", query.prefix)] + ([("<", end)] if end else [])
    bounds = [(">=", query.first), ("<=", query.last)]
    return [(test, bound) for test, bound in bounds if bound is not None]


def after_prefix(prefix: str) -> str:
    """The first text after all that begin with the prefix; empty if there is none."""
    kept = prefix.rstrip(chr(_LAST_CODE_POINT))
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    if following in _SURROGATES:  # no text holds these
        following = _SURROGATES.stop
    return kept[:-1] + chr(following)


def _cursor(query: Query, last: Item) -> str:
    position = [last["pk"], last["sk"]]
    if query.index is not None:
        position += [query.index.name, last[query.index.pk], last[query.index.sk]]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode("ascii")


def _position(query: Query, cursor: str) -> list[str]:
    """Where the cursor says that the page before ended, as values of the columns that the query is sorted by."""
    try:
        position: Any = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        pk, sk, *of_index = position
        texts = all(isinstance(part, str) for part in position)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidRequest("the cursor is none that a query returned") from error
    if query.index is None:
        fits = texts and not of_index and pk == query.pk
        order = [sk]
    else:
        fits = texts and of_index[:2] == [query.index.name, query.pk] and len(of_index) == 3  # noqa: PLR2004
        order = [*of_index[2:], pk, sk]
    if not fits:
        raise InvalidRequest("the cursor belongs to another query")
    return order
