"""Queries: order, ranges, pages and cursors, of the table and of its indexes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from karman_core.domain.errors import InvalidRequest
from karman_core.ports.table import (
    BY_GRAPH,
    BY_TIME,
    INDEXES,
    UNFINISHED,
    Equals,
    Index,
    Item,
    Key,
    Put,
    Query,
    Remove,
    Set,
    Table,
)

SORT_KEYS = ["A", "a", "a#", "a#1", "a#10", "a#2", "a$", "ab", "b", "z", "ä", "中", "\uffff", "\U0001f600"]
"""In the order of their UTF-8 bytes. By UTF-16, as some languages sort, the last one would come before \\uffff."""


async def put_all(table: Table, sort_keys: Sequence[str], **attributes: Any) -> None:
    # In an order that is not the expected one.
    await table.batch_write(puts=[{"pk": "p", "sk": sk, **attributes} for sk in reversed(sort_keys)])
    await table.batch_write(puts=[{"pk": pk, "sk": "a#1"} for pk in ("o", "p ", "q")])


async def read(table: Table, query: Query) -> list[Item]:
    """All pages of a query."""
    items: list[Item] = []
    for _ in range(100):
        page = await table.query(query)
        assert query.limit is None or len(page.items) <= query.limit
        items += page.items
        if page.cursor is None:
            return items
        query = replace(query, cursor=page.cursor)
    raise AssertionError("the cursors of a query do not come to an end")


async def sort_keys_of(table: Table, query: Query) -> list[str]:
    return [item["sk"] for item in await read(table, query)]


async def test_a_query_returns_one_partition_in_order(table: Table) -> None:
    await put_all(table, SORT_KEYS, n=1)

    items = await read(table, Query("p"))

    assert items == [{"pk": "p", "sk": sk, "n": 1} for sk in SORT_KEYS]
    assert await sort_keys_of(table, Query("p", reverse=True)) == SORT_KEYS[::-1]
    assert await sort_keys_of(table, Query("p", consistent=False)) == SORT_KEYS


async def test_a_partition_without_items(table: Table) -> None:
    page = await table.query(Query("p"))

    assert list(page.items) == []
    assert page.cursor is None


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
async def test_a_prefix(table: Table, *, reverse: bool) -> None:
    await put_all(table, SORT_KEYS)

    for prefix in ["a", "a#", "a#1", "b", "c", "ä", "\uffff", "\U0001f600", "\U0010ffff"]:
        expected = sorted((sk for sk in SORT_KEYS if sk.startswith(prefix)), key=str.encode, reverse=reverse)
        assert await sort_keys_of(table, Query("p", prefix=prefix, reverse=reverse)) == expected, prefix


async def test_a_prefix_at_the_edges_of_unicode(table: Table) -> None:
    inside = ["x\ud7ff", "x\ud7ffa", "x\ud7ff\U0010ffff"]
    await put_all(
        table, [*inside, "x\ud7fe\U0010ffff", "x\ue000", "x\U0010ffff", "x\U0010ffff\U0010ffff", "y"]
    )

    assert await sort_keys_of(table, Query("p", prefix="x\ud7ff")) == inside
    assert await sort_keys_of(table, Query("p", prefix="x\U0010ffff")) == [
        "x\U0010ffff",
        "x\U0010ffff\U0010ffff",
    ]


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
async def test_a_range_includes_both_ends(table: Table, *, reverse: bool) -> None:
    await put_all(table, SORT_KEYS)
    ranges = [
        ("a#", "b"),
        ("a#1", "a#1"),
        ("a#0", "a#3"),
        ("b", "a"),
        (None, "a#"),
        ("z", None),
        ("zz", "中"),
    ]

    for first, last in ranges:
        expected = [
            sk
            for sk in SORT_KEYS
            if (first is None or sk.encode() >= first.encode())
            and (last is None or sk.encode() <= last.encode())
        ]
        query = Query("p", first=first, last=last, reverse=reverse)
        assert await sort_keys_of(table, query) == expected[:: -1 if reverse else 1], (first, last)


@pytest.mark.parametrize("limit", [1, 2, 7, 13, 14, 15])
async def test_pages_of_a_limit(table: Table, limit: int) -> None:
    await put_all(table, SORT_KEYS)

    assert len((await table.query(Query("p", limit=limit))).items) == min(limit, len(SORT_KEYS))
    for reverse in (False, True):
        keys = await sort_keys_of(table, Query("p", limit=limit, reverse=reverse))
        assert keys == SORT_KEYS[:: -1 if reverse else 1]
    assert await sort_keys_of(table, Query("p", prefix="a", limit=limit)) == SORT_KEYS[1:8]
    assert await sort_keys_of(table, Query("p", first="a#", last="b", limit=limit)) == SORT_KEYS[2:9]


async def test_a_cursor_stands_between_items_that_come_and_go(table: Table) -> None:
    await put_all(table, ["a", "b", "d", "e"])
    page = await table.query(Query("p", limit=2))

    await table.batch_write(
        puts=[{"pk": "p", "sk": sk} for sk in ("aa", "c")], deletes=[Key("p", "b"), Key("p", "d")]
    )

    assert await sort_keys_of(table, Query("p", cursor=page.cursor)) == ["c", "e"]


async def test_a_page_ends_at_one_megabyte(table: Table) -> None:
    text = "x" * 60_000
    expected = [f"{number:02}" for number in range(40)]
    for sk in expected:
        await table.put({"pk": "p", "sk": sk, "text": text, **index_keys(BY_TIME, "p", sk)})

    for query in (Query("p"), Query("p", index=BY_TIME, consistent=False)):
        first = await table.query(query)
        assert 0 < len(first.items) < 20
        assert first.cursor is not None
        assert await sort_keys_of(table, query) == expected
        assert await sort_keys_of(table, replace(query, reverse=True, limit=30)) == expected[::-1]


# --- indexes ----------------------------------------------------------------------------------------------------------


def index_keys(index: Index, pk: str, sk: str) -> dict[str, str]:
    return {index.pk: pk, index.sk: sk}


async def found(table: Table, index: Index, pk: str = "i") -> list[tuple[str, str]]:
    items = await read(table, Query(pk, index=index, consistent=False))
    return [(item["pk"], item["sk"]) for item in items]


async def test_an_index_returns_whole_items_in_its_own_order(table: Table) -> None:
    items = [
        {
            "pk": f"run-{number}",
            "sk": "header",
            "status": "RUNNING",
            "list": [number],
            **index_keys(BY_TIME, "i", time),
        }
        for number, time in enumerate(["2026-03", "2026-01", "2026-02"])
    ]
    await table.batch_write(puts=items)

    assert await read(table, Query("i", index=BY_TIME, consistent=False)) == [items[1], items[2], items[0]]
    assert await read(table, Query("i", index=BY_TIME, consistent=False, first="2026-02", reverse=True)) == [
        items[0],
        items[2],
    ]
    assert await read(table, Query("i", index=BY_TIME, consistent=False, prefix="2026-01")) == [items[1]]


async def test_indexes_are_sparse_and_independent(table: Table) -> None:
    await table.put({"pk": "none", "sk": "1"})
    await table.put({"pk": "half", "sk": "1", BY_TIME.pk: "i"})
    await table.put({"pk": "other_half", "sk": "1", BY_TIME.sk: "1"})
    for index in INDEXES:
        await table.put({"pk": index.name, "sk": "1", **index_keys(index, "i", "1")})
    await table.put({"pk": "elsewhere", "sk": "1", **index_keys(BY_TIME, "j", "1")})

    for index in INDEXES:
        assert await found(table, index) == [(index.name, "1")]


async def test_an_index_follows_every_write(table: Table) -> None:
    key = Key("run", "header")
    base = {"pk": key.pk, "sk": key.sk}

    await table.put({**base, **index_keys(UNFINISHED, "i", "1")})
    assert await found(table, UNFINISHED) == [key]
    await table.update(key, [Set(UNFINISHED.pk, "j"), Set(BY_GRAPH.pk, "i"), Set(BY_GRAPH.sk, "2")])
    assert [await found(table, UNFINISHED), await found(table, UNFINISHED, "j")] == [[], [key]]
    assert await found(table, BY_GRAPH) == [key]
    await table.update(key, [Remove(UNFINISHED.pk), Remove(UNFINISHED.sk)], Equals(BY_GRAPH.sk, "2"))
    assert [await found(table, UNFINISHED, "j"), await found(table, BY_GRAPH)] == [[], [key]]
    await table.transact([Put({**base, **index_keys(BY_TIME, "i", "1")})])
    assert [await found(table, BY_GRAPH), await found(table, BY_TIME)] == [[], [key]]
    await table.delete(key)
    assert await found(table, BY_TIME) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_items_of_one_index_key_are_all_paged_through(table: Table, limit: int) -> None:
    keys = {(f"run-{number}", sk) for number in range(3) for sk in ("a", "b")}
    await table.batch_write(
        puts=[{"pk": pk, "sk": sk, **index_keys(BY_TIME, "i", "same")} for pk, sk in keys]
    )

    for reverse in (False, True):
        query = Query("i", index=BY_TIME, consistent=False, limit=limit, reverse=reverse)
        items = await read(table, query)
        assert len(items) == len(keys)
        assert {(item["pk"], item["sk"]) for item in items} == keys


# --- refused ----------------------------------------------------------------------------------------------------------

REFUSED = {
    "consistent_index": Query("p", index=BY_TIME),
    "prefix_and_range": Query("p", prefix="a", first="b"),
    "no_room": Query("p", limit=0),
    "no_partition": Query(""),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_queries_that_contradict_themselves_are_refused(table: Table, case: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        await table.query(REFUSED[case])


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "%%%",
        "ä",
        "e30=",
        base64.b64encode(b'["p"]').decode(),
        base64.b64encode(b"[1, 2]").decode(),
        "A" * 5000,
    ],
    ids=range(8),
)
async def test_a_cursor_that_no_query_returned_is_refused(table: Table, cursor: str) -> None:
    await put_all(table, ["a", "b"])

    with pytest.raises(InvalidRequest):
        await table.query(Query("p", cursor=cursor))


async def test_a_cursor_of_another_query_is_refused(table: Table) -> None:
    await table.batch_write(puts=[{"pk": "p", "sk": sk, **index_keys(BY_TIME, "i", sk)} for sk in "abc"])
    of_table = (await table.query(Query("p", limit=1))).cursor
    of_index = (await table.query(Query("i", index=BY_TIME, consistent=False, limit=1))).cursor

    for query in (
        Query("q", cursor=of_table),
        Query("p", cursor=of_index),
        Query("i", index=BY_TIME, consistent=False, cursor=of_table),
        Query("j", index=BY_TIME, consistent=False, cursor=of_index),
        Query("i", index=BY_GRAPH, consistent=False, cursor=of_index),
    ):
        with pytest.raises(InvalidRequest):
            await table.query(query)
