"""References to outputs and the store: how they are written, and how a wrong one is told."""

import copy
from typing import Any

import pytest
from pydantic import BaseModel, Field

from karman import Graph, InvalidGraph, PlacedNode, node
from karman.errors import UnknownReference


class Author(BaseModel):
    name: str
    born: int | None = None


class Book(BaseModel):
    title: str
    authors: list[Author]
    items: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")
    anything: Any = None
    next: "Book | None" = None
    path: str = Field(default="", serialization_alias="class")


@node
async def read() -> Book: ...  # type: ignore[empty-body]


@pytest.fixture
def book() -> PlacedNode:
    return Graph("library").add(read, "book")


def test_how_they_are_spelled(book: PlacedNode) -> None:
    outputs = book.outputs

    assert str(outputs.title) == "${{ book.outputs.title }}"
    assert str(outputs.authors[0].name) == "${{ book.outputs.authors[0].name }}"
    assert str(outputs["items"]["apples"]) == "${{ book.outputs.items.apples }}"
    assert str(outputs.items.apples) == "${{ book.outputs.items.apples }}"
    assert str(outputs["class"]) == "${{ book.outputs.class }}"
    assert str(outputs.anything[3].x) == "${{ book.outputs.anything[3].x }}"
    assert str(outputs.next.next.title) == "${{ book.outputs.next.next.title }}"
    assert f"By {outputs.authors[0].name}!" == "By ${{ book.outputs.authors[0].name }}!"
    assert repr(outputs.authors[0]) == "<reference to book.outputs.authors[0]>"


def test_the_store() -> None:
    store = Graph("library").store

    assert str(store.count) == "${{ store.count }}"
    assert str(store["count"]) == "${{ store.count }}"
    assert str(store.user.address[0]) == "${{ store.user.address[0] }}"


@pytest.mark.parametrize(
    ("lead", "message"),
    [
        (
            lambda o: o.titel,
            "book.outputs has no 'titel': did you mean 'title'? The fields are: anything, authors, class",
        ),
        (lambda o: o.path, "book.outputs has no 'path'"),
        (lambda o: o.authors.name, "book.outputs.authors has no 'name': its type has no such part"),
        (lambda o: o.authors[0].nmae, "book.outputs.authors[0] has no 'nmae': did you mean 'name'?"),
        (lambda o: o.title.upper, "book.outputs.title has no 'upper': its type has no such part"),
        (lambda o: o.title[0], "book.outputs.title has no item [0]"),
        (lambda o: o.pair[2], "book.outputs.pair has no item [2]"),
    ],
)
def test_a_wrong_name_fails_where_it_is_written(book: PlacedNode, lead: Any, message: str) -> None:
    with pytest.raises(UnknownReference) as raised:
        lead(book.outputs)

    assert message in str(raised.value)
    assert isinstance(raised.value, InvalidGraph)


@pytest.mark.parametrize("part", [-1, "", "a b", "a.b", 'a"b', "a[0]", True, None, 1.5])
def test_what_cannot_be_part_of_one(book: PlacedNode, part: Any) -> None:
    with pytest.raises(InvalidGraph, match="cannot be part of a reference"):
        book.outputs.anything[part]


def test_it_has_no_value_yet(book: PlacedNode) -> None:
    title = book.outputs.title

    with pytest.raises(InvalidGraph, match="decide in a node, with `Next`"):
        bool(title)
    with pytest.raises(InvalidGraph, match="fan out in a node, with a list of outputs"):
        list(title)
    with pytest.raises(InvalidGraph, match="cannot be formatted with '>10'"):
        f"{title:>10}"
    with pytest.raises(
        InvalidGraph, match=r"book\.outputs is no value; name a part of it, such as `book\.outputs\.title`"
    ):
        str(book.outputs)


def test_python_may_look_into_it(book: PlacedNode) -> None:
    assert not hasattr(book.outputs, "nothing")
    assert hasattr(book.outputs, "title")
    assert not hasattr(book.outputs.anything, "__wrapped__")
    assert str(copy.copy(book.outputs.title)) == str(book.outputs.title)
