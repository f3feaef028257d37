"""Update actions on one item, with DynamoDB's meaning: each reads and changes one attribute, none the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from karman_core.backends.values import check_keys, plain, plain_name, plain_number
from karman_core.ports.table import Action, Add, Append, Item, Key, Remove, Set, SetOnce, Value

_KEYS = frozenset({"pk", "sk"})


def checked(actions: Sequence[Action]) -> list[Action]:
    """The actions with plain values.

    Raises:
        TypeError, ValueError: for a value that the table does not take, for no action at all, for two on one attribute,
            and for one on the key.
    """
    if not actions:
        raise ValueError("an update takes at least one action")
    touched: set[str] = set()
    for action in actions:
        if action.attribute in touched or action.attribute in _KEYS:
            raise ValueError(f"an update cannot change {action.attribute!r} twice, nor a key at all")
        touched.add(plain_name(action.attribute))
    return [_plain_action(action) for action in actions]


def applied(actions: Sequence[Action], old: Item | None, key: Key) -> dict[str, Value]:
    """The item after checked actions. Raises ValueError where an attribute's type does not fit its action."""
    # Sequence does not matter: no attribute is touched twice, and no action reads another attribute than its own.
    item: dict[str, Value] = {"pk": key.pk, "sk": key.sk} if old is None else dict(old)
    for action in actions:
        match action:
            case Set():
                item[action.attribute] = action.value
            case SetOnce():
                item.setdefault(action.attribute, action.value)
            case Remove():
                item.pop(action.attribute, None)
            case Add():
                item[action.attribute] = _sum(item, action)
            case Append():
                item[action.attribute] = _extended(item, action)
            case _:
                assert_never(action)
    check_keys(item)
    return item


def _plain_action(action: Action) -> Action:
    match action:
        case Set():
            return Set(action.attribute, plain(action.value))
        case SetOnce():
            return SetOnce(action.attribute, plain(action.value))
        case Add():
            value = action.value
            return Add(
                action.attribute, plain(value) if isinstance(value, frozenset) else plain_number(value)
            )
        case Append():
            return Append(action.attribute, tuple(plain(list(action.values))))
        case Remove():
            return action
    assert_never(action)


def _sum(item: Item, action: Add) -> Value:
    if action.attribute not in item:
        return action.value
    old = item[action.attribute]
    new = action.value
    if isinstance(new, frozenset):
        if isinstance(old, frozenset) and type(next(iter(old))) is type(next(iter(new))):
            return old | new
    elif type(old) is int:
        return plain_number(old + new)
    raise ValueError(f"cannot add to {action.attribute!r}: it is a {type(old).__name__} of another kind")


def _extended(item: Item, action: Append) -> list[Any]:
    old = item.get(action.attribute, [])
    if not isinstance(old, list):
        raise ValueError(f"cannot append to {action.attribute!r}: it is a {type(old).__name__}, not a list")  # noqa: TRY004 - as the service
    return [*old, *action.values]
