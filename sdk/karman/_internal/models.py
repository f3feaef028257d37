"""The pydantic models of a node: what is asked of them, and their JSON Schemas."""

from __future__ import annotations

from functools import cache
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from karman.errors import InvalidNode
from karman_core.domain.definition import JSON

T = TypeVar("T")


class Empty(BaseModel):
    """No fields: the default of Inputs, Outputs and Secrets."""


class Result(BaseModel):
    """The base of outputs that are made from one value: the field `result`."""

    model_config = ConfigDict(arbitrary_types_allowed=False)

    @classmethod
    def wrap(cls, value: object) -> Self:
        """The output that holds the value. Raises ValidationError."""
        return cls.model_validate({"result": value})


class Rooted(RootModel[T], Generic[T]):
    """The base of outputs that are an object but no model: a TypedDict, a dataclass, a dict."""

    @classmethod
    def wrap(cls, value: object) -> Self:
        """The output that the value is. Raises ValidationError."""
        return cls.model_validate(value)


@cache
def schema_of(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, JSON]:
    """The model's JSON Schema, an object's; do not change it, it is shared.

    Raises:
        InvalidNode: if a type of the model has no JSON Schema, or the model is no object.
    """
    try:
        schema: dict[str, Any] = model.model_json_schema(mode=mode)
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise InvalidNode(
            f"{model.__qualname__} has no JSON Schema, so it cannot travel between nodes: {error}"
        ) from error
    schema = inline_root(schema)
    if schema.get("type", "object") != "object":
        raise InvalidNode(
            f"{model.__qualname__} is a JSON {schema['type']}, but inputs and outputs are objects: "
            "make it a field of a model."
        )
    return schema


def inline_root(schema: dict[str, JSON]) -> dict[str, JSON]:
    """A schema that is only a `$ref` to one of its own definitions, with that definition in its place."""
    reference = schema.get("$ref")
    definitions = schema.get("$defs", {})
    prefix = "#/$defs/"
    if not isinstance(reference, str) or not reference.startswith(prefix):
        return schema
    target = definitions.get(reference.removeprefix(prefix))
    if target is None:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**target, **rest}
