"""How nodes are registered: names, JSON Schemas, secrets, time-outs."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field, RootModel, computed_field

from karman import InvalidNode, Node, node
from karman._internal.execution import NodeExecutor
from karman.errors import NotFound
from tests.sdk.executions import execution, executor


class Item(BaseModel):
    name: str
    inside: "list[Item]" = []


class Sort(Node, name="text.Sort", timeout=30):
    class Inputs(BaseModel):
        items: list[Item]
        at: dt.datetime
        limit: int = Field(default=10, alias="maximum")

    class Outputs(BaseModel):
        first: Item
        named: int = Field(serialization_alias="calledOtherwise")

        @computed_field  # type: ignore[prop-decorator]
        @property
        def twice(self) -> int:
            return 2 * self.named

    class Secrets(BaseModel):
        token: str

    async def execute(self) -> Outputs:
        return self.Outputs(first=self.inputs.items[0], named=1)


@node
async def count(text: str) -> int:
    return len(text)


def test_what_is_registered() -> None:
    sort, counting = NodeExecutor([Sort, count]).registered("workers")

    assert (sort.name, sort.runtime, sort.timeout_seconds, sort.secrets) == (
        "text.Sort",
        "workers",
        30,
        ("token",),
    )
    assert sort.inputs_schema["required"] == ["items", "at"]
    assert set(sort.inputs_schema["properties"]) == {"items", "at", "maximum"}
    assert set(sort.outputs_schema["properties"]) == {"first", "calledOtherwise", "twice"}
    assert set(sort.outputs_schema["required"]) == {"first", "calledOtherwise", "twice"}
    assert "Item" in sort.outputs_schema["$defs"]
    assert (counting.name, counting.timeout_seconds, counting.secrets) == ("count", None, ())
    assert counting.outputs_schema["properties"] == {"result": {"title": "Result", "type": "integer"}}


def test_schemas_are_made_once() -> None:
    first, again = NodeExecutor([Sort]).registered("a"), NodeExecutor([Sort]).registered("b")

    assert first[0].inputs_schema == again[0].inputs_schema
    assert Sort.__declaration__ is not None
    assert Sort.__declaration__.inputs_schema is Sort.__declaration__.inputs_schema


def test_a_type_without_a_schema() -> None:
    class Calling(Node):
        class Inputs(BaseModel):
            call: Callable[[int], int]

        async def execute(self) -> None: ...

    with pytest.raises(InvalidNode, match=r"Inputs has no JSON Schema, so it cannot travel between nodes"):
        NodeExecutor([Calling]).registered("default")


def test_inputs_that_are_no_object() -> None:
    class Numbers(RootModel[list[int]]):
        pass

    class Adding(Node):
        Inputs = Numbers

        async def execute(self) -> None: ...

    with pytest.raises(InvalidNode, match=r"Numbers is a JSON array, but inputs and outputs are objects"):
        NodeExecutor([Adding]).registered("default")


def test_two_nodes_of_one_name() -> None:
    @node(name="count")
    async def other() -> None: ...

    with pytest.raises(
        InvalidNode, match=r"Two nodes are called 'count': .*count and .*other; give one of them"
    ):
        NodeExecutor([count, other])
    assert len(NodeExecutor([count, count, count.node]).registered("default")) == 1


@pytest.mark.parametrize("thing", [str, "Sort", None, len])
def test_what_is_no_node(thing: Any) -> None:
    with pytest.raises(InvalidNode, match="is no node"):
        NodeExecutor([thing])


async def test_what_an_executor_has() -> None:
    runner = executor(Sort, count)

    assert runner.runs("text.Sort")
    assert not runner.runs("Sort")
    assert runner.declared_secrets("text.Sort") == ("token",)
    with pytest.raises(NotFound, match="This worker has no node 'Sort'; it has count, text"):
        await runner.execute(execution("Sort"))
