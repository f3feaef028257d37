"""Inputs are validated against the node's model before it runs."""

import datetime as dt
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from karman import Node, node
from karman.testing import Errored, Succeeded, aexecute


class Address(BaseModel):
    city: str
    zip: int


class Order(Node):
    class Inputs(BaseModel):
        id: int
        address: Address
        tags: set[str] = set()
        note: str = Field(default="", alias="remark")

    class Outputs(BaseModel):
        seen: str

    async def execute(self) -> Outputs:
        inputs = self.inputs
        return self.Outputs(seen=f"{inputs.id} {inputs.address.city} {sorted(inputs.tags)} {inputs.note}")


async def test_nested_models_defaults_and_aliases() -> None:
    outcome = await aexecute(Order, id=1, address={"city": "Rome", "zip": 5}, tags=["b", "a"], remark="x")

    assert outcome == Succeeded(({"seen": "1 Rome ['a', 'b'] x"},))


async def test_text_becomes_what_the_field_is() -> None:
    outcome = await aexecute(Order, id="12", address={"city": "Rome", "zip": "5"})

    assert outcome == Succeeded(({"seen": "12 Rome [] "},))


async def test_every_wrong_field_is_named_without_its_value() -> None:
    outcome = await aexecute(Order, id="private", address={"city": 3})

    assert isinstance(outcome, Errored)
    assert (outcome.kind, outcome.retry, outcome.traceback) == ("invalid_input", False, "")
    for field in ("id:", "address.city:", "address.zip: Field required"):
        assert field in outcome.message
    assert "private" not in outcome.message


async def test_many_wrong_fields_are_bounded() -> None:
    @node
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    outcome = await aexecute(total, numbers=["x"] * 1000)

    assert isinstance(outcome, Errored)
    assert "and 980 more" in outcome.message


async def test_strict_models_read_json() -> None:
    class Strict(Node):
        class Inputs(BaseModel):
            model_config = ConfigDict(strict=True)
            at: dt.datetime
            raw: bytes

        async def execute(self) -> None:
            assert self.inputs.at.tzinfo is not None
            assert self.inputs.raw == b"raw"

    assert await aexecute(Strict, at="2026-01-01T00:00:00Z", raw="raw") == Succeeded(({},))


async def test_unknown_fields_are_left_to_the_model() -> None:
    class Closed(Node):
        class Inputs(BaseModel):
            model_config = ConfigDict(extra="forbid")

        async def execute(self) -> None: ...

    class Open(Node):
        async def execute(self) -> None: ...

    assert isinstance(await aexecute(Closed, more=1), Errored)
    assert await aexecute(Open, more=1) == Succeeded(({},))


@pytest.mark.parametrize("error", [ValueError("no such city"), RuntimeError("no connection")])
async def test_a_validator_may_raise_anything(error: Exception) -> None:
    class Checked(Node):
        class Inputs(BaseModel):
            city: str

            @field_validator("city")
            @classmethod
            def check(cls, value: str) -> Any:
                raise error

        async def execute(self) -> None: ...

    outcome = await aexecute(Checked, city="Atlantis")

    assert isinstance(outcome, Errored)
    assert (outcome.kind, outcome.retry) == ("invalid_input", False)
    assert str(error) in outcome.message
