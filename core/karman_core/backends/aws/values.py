"""The port's values as DynamoDB's attribute values (the low-level form, `{"S": "text"}`), and back.

boto3's own converter turns every number into a Decimal and takes floats; numbers here are exact integers or an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from karman_core.backends.values import plain, plain_item
from karman_core.domain.errors import BackendError
from karman_core.ports.table import Item, Key, Value

Attribute: TypeAlias = dict[str, Any]
"""One attribute value: its type's letters and the value in JSON's terms."""


def to_attribute(value: Value) -> Attribute:
    """Raises TypeError and ValueError for what the port does not take; see `karman_core.backends.values.plain`."""
    return _attribute(plain(value))


def to_attributes(item: Item) -> dict[str, Attribute]:
    """A whole item, its keys checked."""
    return {name: _attribute(value) for name, value in plain_item(item).items()}


def from_attribute(attribute: Mapping[str, Any]) -> Value:
    """Raises BackendError for what Karman did not write, such as a fraction."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return _integer(value)
        case "NULL":
            return None
        case "B":
            return bytes(value)
        case "NS":
            return frozenset(map(_integer, value))
        case "SS":
            return frozenset(value)
        case "L":
            return [from_attribute(element) for element in value]
        case "M":
            return from_attributes(value)
    raise BackendError(f"the table holds an attribute of type {kind}, which Karman does not write")


def from_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    """A whole item."""
    return {name: from_attribute(attribute) for name, attribute in attributes.items()}


def to_key(key: Key) -> dict[str, Attribute]:
    """The key as DynamoDB takes it."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def key_of(attributes: Mapping[str, Mapping[str, Any]]) -> Key:
    """The key of an item in DynamoDB's form."""
    return Key(attributes["pk"]["S"], attributes["sk"]["S"])


def _attribute(value: Value) -> Attribute:
    """Of a plain value."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):  # before int, of which it is one
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, frozenset):
        return _set(value)
    if isinstance(value, list):
        return {"L": [_attribute(element) for element in value]}
    return {"M": {name: _attribute(element) for name, element in value.items()}}


def _set(members: frozenset[Any]) -> Attribute:
    if isinstance(next(iter(members)), str):
        return {"SS": sorted(members)}
    return {"NS": [str(member) for member in sorted(members)]}


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        # The service writes large round numbers as it likes (`1E+20`).
        number = Decimal(text)
        if number != number.to_integral_value():
            raise BackendError(f"the table holds the fraction {text}, which Karman does not write") from None
        return int(number)
