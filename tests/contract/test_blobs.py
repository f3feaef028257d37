"""Blobs: immutable values by name."""

from __future__ import annotations

import pytest

from karman_core.domain.errors import NotFound
from karman_core.ports.blobs import Blobs


async def exists(blobs: Blobs, name: str) -> bool:
    try:
        await blobs.get(name)
    except NotFound:
        return False
    return True


@pytest.mark.parametrize(
    "data", [b"", b"\x00", bytes(range(256)), b"x" * 3_000_000], ids=["empty", "null", "every_byte", "large"]
)
async def test_data_comes_back(blobs: Blobs, data: bytes) -> None:
    await blobs.put("default/run/state.json", data)

    assert await blobs.get("default/run/state.json") == data


async def test_the_same_again_is_no_error(blobs: Blobs) -> None:
    await blobs.put("a", b"x")
    await blobs.put("a", b"x")

    assert await blobs.get("a") == b"x"


async def test_a_blob_that_does_not_exist(blobs: Blobs) -> None:
    await blobs.put("a/b", b"x")

    for name in ("a", "b", "a/c", "a/b/c", "a/bb"):
        with pytest.raises(NotFound):
            await blobs.get(name)


async def test_names_of_every_permitted_kind(blobs: Blobs) -> None:
    names = ["a", "a/b", "a/b/c", "A", "a/B", "..a", "a/.../b", ".a", "=_.-", "x" * 512, "y/" + "z" * 300]
    for name in names:
        await blobs.put(name, name.encode())

    assert [await blobs.get(name) for name in names] == [name.encode() for name in names]


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", "a b", "ä", "a\\b", "a\n", "x" * 513, "a\x00", "..", "a/../b", "./a"],
    ids=range(13),
)
async def test_names_that_are_not_permitted(blobs: Blobs, name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        await blobs.put(name, b"x")


async def test_deleting_by_prefix(blobs: Blobs) -> None:
    names = ["a/1/x", "a/1/y", "a/10", "a/1", "a/2", "b/1", "A/1"]
    for name in names:
        await blobs.put(name, b"x")

    await blobs.delete_prefix("a/1/")
    assert [name for name in names if await exists(blobs, name)] == ["a/10", "a/1", "a/2", "b/1", "A/1"]
    await blobs.delete_prefix("a/1")
    assert [name for name in names if await exists(blobs, name)] == ["a/2", "b/1", "A/1"]
    await blobs.delete_prefix("none")
    await blobs.delete_prefix("a")
    assert [name for name in names if await exists(blobs, name)] == ["b/1", "A/1"]


async def test_a_deleted_name_can_be_used_again(blobs: Blobs) -> None:
    await blobs.put("a/b", b"old")
    await blobs.delete_prefix("a/")

    await blobs.put("a/b", b"new")

    assert await blobs.get("a/b") == b"new"


async def test_an_empty_prefix_is_refused(blobs: Blobs) -> None:
    await blobs.put("a", b"x")

    with pytest.raises(ValueError, match="prefix"):
        await blobs.delete_prefix("")

    assert await exists(blobs, "a")
