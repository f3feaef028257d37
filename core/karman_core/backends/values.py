"""What the table port accepts as values, and how large DynamoDB counts an item. Every backend goes by these rules.

Sizes follow "DynamoDB item sizes and formats" of its Developer Guide, which calls them approximate for numbers; the
contract suite compares them with DynamoDB Local at the limit of 400 KB, byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from karman_core.domain.errors import ItemTooLarge
from karman_core.ports.table import INDEXES, Item, Value

MAX_ITEM_BYTES = 400 * 1024
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_TRANSACTION_WRITES = 100
MAX_PARTITION_KEY_BYTES = 2048
MAX_SORT_KEY_BYTES = 1024
MAX_NAME_BYTES = 65_535
MAX_DEPTH = 32
"""DynamoDB: how deep lists and maps nest."""

MAX_ALTERNATIVES = 100
"""DynamoDB: operands of IN."""

_NUMBER_LIMIT = 10**38
"""DynamoDB keeps 38 significant digits; an integer of more is refused rather than rounded."""

_KEY_LIMITS = {
    "pk": MAX_PARTITION_KEY_BYTES,
    "sk": MAX_SORT_KEY_BYTES,
    **{index.pk: MAX_PARTITION_KEY_BYTES for index in INDEXES},
    **{index.sk: MAX_SORT_KEY_BYTES for index in INDEXES},
}
"""Attributes that are keys of the table or of an index, with the most bytes that DynamoDB takes for each."""


# --- what is accepted -------------------------------------------------------------------------------------------------


def plain(value: Value, depth: int = 1) -> Value:
    """A copy of the value in exactly the port's types (an enum of str becomes str), sharing nothing that can change.

    Args:
        value: an attribute of an item, or what lies in one.
        depth: at which level of the item; 1 for an attribute.

    Raises:
        TypeError: a type that is none of the port's: float, tuple, set, bytearray and others.
        ValueError: an integer over 38 digits, an empty set, text that is not valid Unicode, nesting over 32 levels.
    """
    copy = _COPIES.get(type(value))
    if copy is None:
        base = next(
            (base for base in (str, int, bytes, frozenset, list, dict) if isinstance(value, base)), None
        )
        if base is None:
            raise TypeError(f"the table holds no {type(value).__name__}")
        copy = _COPIES[base]
    return copy(value, depth)


def plain_number(value: object) -> int:
    """The value if it is a number of at most 38 digits; raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"not a whole number: {type(value).__name__}")
    return _plain_int(value, 0)


def plain_name(name: object) -> str:
    """The name of an attribute; raises TypeError or ValueError for one that cannot be."""
    if not isinstance(name, str):
        raise TypeError(f"attributes are named by text, not by {type(name).__name__}")
    text = _plain_str(name, 0)
    if not text or len(text) > MAX_NAME_BYTES or _text_bytes(text) > MAX_NAME_BYTES:
        raise ValueError(f"the name of an attribute has 1 to {MAX_NAME_BYTES} bytes")
    return text


def plain_item(item: Item) -> dict[str, Value]:
    """A copy of the item, its keys and those of the indexes checked. Raises as `plain` does."""
    copy = _plain_map(item, 0)
    check_keys(copy)
    return copy


def check_keys(item: Item) -> None:
    """Raise ValueError unless `pk`, `sk` and the index keys that are there are text of a permitted length."""
    for name, limit in _KEY_LIMITS.items():
        if name in item:
            check_key(name, item[name], limit)
        elif name in {"pk", "sk"}:
            raise ValueError(f"the item has no {name}")


def check_key(name: str, value: object, limit: int) -> None:
    """Raise ValueError unless the value can be the key attribute `name`."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"the key attribute {name} must be text and not empty")
    if _text_bytes(value) > limit:
        raise ValueError(f"the key attribute {name} is over {limit} bytes")


def _plain_scalar(value: Value, _depth: int) -> Value:
    return value


def _plain_str(value: str, _depth: int) -> str:
    text = str.__str__(value)  # the text itself, also of an enum's member
    if not text.isascii():
        _text_bytes(text)  # lone surrogates have no UTF-8, and DynamoDB takes nothing else
    return text


def _plain_int(value: int, _depth: int) -> int:
    if not -_NUMBER_LIMIT < value < _NUMBER_LIMIT:
        raise ValueError("a number has more than 38 digits")
    return int(value)


def _plain_bytes(value: bytes, _depth: int) -> bytes:
    return bytes(value)


def _plain_set(value: frozenset[Any], depth: int) -> frozenset[Any]:
    if not value:
        raise ValueError("there is no empty set; remove the attribute instead")
    if all(isinstance(member, str) for member in value):
        return frozenset([_plain_str(member, depth) for member in value])
    if all(isinstance(member, int) and not isinstance(member, bool) for member in value):
        return frozenset([_plain_int(member, depth) for member in value])
    raise TypeError("a set holds whole numbers or texts, and not both")


def _plain_list(value: list[Any], depth: int) -> list[Any]:
    return [plain(element, _deeper(depth)) for element in value]


def _plain_map(value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    inside = _deeper(depth)
    copy = {}
    for name, element in value.items():
        copy[plain_name(name)] = plain(element, inside)
    return copy


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise ValueError(f"a value nests more than {MAX_DEPTH} levels deep")
    return depth + 1


_COPIES: dict[type, Callable[[Any, int], Any]] = {
    type(None): _plain_scalar,
    bool: _plain_scalar,
    int: _plain_int,
    str: _plain_str,
    bytes: _plain_bytes,
    frozenset: _plain_set,
    list: _plain_list,
    dict: _plain_map,
}


# --- comparing --------------------------------------------------------------------------------------------------------


def same(left: Value, right: Value) -> bool:
    """Whether two plain values are equal as DynamoDB compares them: same type and same value, at every level."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


# --- sizes ------------------------------------------------------------------------------------------------------------


def item_bytes(item: Item) -> int:
    """The size of a plain item as DynamoDB counts it: names and values."""
    return sum(_text_bytes(name) + _value_bytes(value) for name, value in item.items())


def check_size(item: Item) -> int:
    """The item's size; raises ItemTooLarge over 400 KB."""
    size = item_bytes(item)
    if size > MAX_ITEM_BYTES:
        raise ItemTooLarge(
            f"the item {item['pk']!r}, {item['sk']!r} would hold {size} bytes; the table takes {MAX_ITEM_BYTES}"
        )
    return size


def _value_bytes(value: Value) -> int:
    if isinstance(value, str):
        return _text_bytes(value)
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int):
        return _number_bytes(value)
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, frozenset):
        # Join items: hundreds of small numbers, measured again with every arrival.
        return sum(map(_number_bytes if isinstance(next(iter(value)), int) else _value_bytes, value))
    if isinstance(value, list):
        return 3 + sum(1 + _value_bytes(element) for element in value)
    return 3 + sum(1 + _text_bytes(name) + _value_bytes(element) for name, element in value.items())


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@lru_cache(maxsize=4096)
def _number_bytes(number: int) -> int:
    # Two digits a byte, counted from the point; only whole bytes of zeros at the end are left out.
    digits = str(abs(number)) if number else ""
    zeros = len(digits) - len(digits.rstrip("0"))
    pairs = (len(digits) - zeros // 2 * 2 + 1) // 2
    return pairs + (2 if number < 0 else 1)
