"""Inputs of a node in a graph: literals, references, and texts with references in them."""

from __future__ import annotations

from collections.abc import Iterable

from karman._internal.json_values import to_json
from karman._internal.node import Node, declaration_of
from karman._internal.placed import PlacedNode
from karman._internal.references import Reference
from karman._internal.suggestions import suggest
from karman.errors import InvalidGraph
from karman_core.domain.definition import JSON
from karman_core.domain.schemas import fields


def check_fields(identifier: str, cls: type[Node] | None, given: Iterable[str]) -> None:
    """Check the names of inputs where they are given, so that a misspelled one is told at its line.

    Raises:
        InvalidGraph: if the node has no such input.
    """
    if cls is None:
        return
    known = fields(declaration_of(cls).inputs_schema)
    for name in given:
        if known.closed and name not in known.schemas:
            raise InvalidGraph(
                f"Node '{identifier}' has no input '{name}': {suggest(name, known.schemas, 'inputs')}"
            )


def input_value(value: object, owner: object, what: str) -> JSON:
    """A value of an input: JSON with placeholders where references were.

    Raises:
        InvalidGraph: for references of another graph and values that JSON cannot hold.
    """
    match value:
        case Reference():
            if value.__target__.owner is not owner:
                raise InvalidGraph(f"{what} refers to {value.__target__.spelled} of another graph.")
            return str(value)
        case PlacedNode():
            raise InvalidGraph(
                f"{what} is a node; name one of its outputs: {value.outputs.__target__.spelled}.field."
            )
        case dict():
            return {
                _input_key(key, what): input_value(item, owner, f"{what}.{key}")
                for key, item in value.items()
            }
        case list() | tuple():
            return [input_value(item, owner, f"{what}[{number}]") for number, item in enumerate(value)]
        case _:
            return to_json(value, what)


def _input_key(key: object, what: str) -> str:
    if isinstance(key, str):
        return key
    raise InvalidGraph(f"{what} has the key {key!r:.100}; keys of JSON objects are text.")
