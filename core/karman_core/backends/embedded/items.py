"""How an item is written in its row: one line of JSON that people can read in the file, exact for every type.

JSON has no bytes and no sets. They are written as an object with one member whose name begins with `$`; a user's own
object that looks like that gets a second `$`, so nothing is ambiguous. Keys are columns and not in the text.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from karman_core.backends.embedded.failures import Damaged
from karman_core.ports.table import Item, Value

_BYTES = "$b"
_NUMBERS = "$n"
_TEXTS = "$s"


def encode(item: Item) -> str:
    """The attributes of a plain item, without its key."""
    attributes = {name: value for name, value in item.items() if name not in {"pk", "sk"}}
    return _ENCODER.encode(_escaped(attributes))


def decode(pk: str, sk: str, body: str) -> dict[str, Any]:
    """The item of a row. Raises Damaged."""
    item: dict[str, Any] = {"pk": pk, "sk": sk}
    try:
        # Most items have neither bytes nor sets, and the parser is four times as fast without a hook.
        item.update(_TAGGED.decode(body) if "$" in body else _PLAIN.decode(body))
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"the item {pk} {sk} cannot be read") from error
    return item


def _escaped(value: Value) -> Value:
    """The value with `$` doubled in objects that would be read as bytes or sets."""
    if isinstance(value, dict):
        if len(value) == 1 and (name := next(iter(value))).startswith("$"):
            return {"$" + name: _escaped(value[name])}
        return {name: _escaped(element) for name, element in value.items()}
    if isinstance(value, list):
        return [_escaped(element) for element in value]
    return value


def _tagged(value: Value) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    members = sorted(value)  # so that equal items are equal texts
    return {_TEXTS if isinstance(members[0], str) else _NUMBERS: members}


def _untagged(value: dict[str, Any]) -> Value:
    if len(value) != 1:
        return value
    name, content = next(iter(value.items()))
    if name == _BYTES:
        return base64.b64decode(content)
    if name in {_NUMBERS, _TEXTS}:
        return frozenset(content)
    return {name[1:]: content} if name.startswith("$$") else value


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=_tagged
)
_TAGGED = json.JSONDecoder(object_hook=_untagged)
_PLAIN = json.JSONDecoder()
