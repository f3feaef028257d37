"""The port's conditions and actions as DynamoDB's expressions.

Every name and every value goes through a placeholder: attribute names may be reserved words, and nothing that a user
wrote becomes part of an expression's text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from karman_core.backends.aws.values import Attribute, to_attribute, to_attributes, to_key
from karman_core.backends.values import MAX_ALTERNATIVES, plain_name, plain_number
from karman_core.ports.table import (
    Absent,
    Action,
    Add,
    AllOf,
    AnyOf,
    Append,
    Check,
    Condition,
    Delete,
    Equals,
    Lacks,
    LessThan,
    OneOf,
    Present,
    Put,
    Remove,
    Set,
    SetOnce,
    Update,
    Value,
    Write,
)

_KEYS = frozenset({"pk", "sk"})
_CLAUSES = ("SET", "REMOVE", "ADD")


class Placeholders:
    """The names and values that the expressions of one request refer to."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Attribute] = {}

    def name(self, attribute: str) -> str:
        """The placeholder of an attribute; one attribute has one."""
        return self._names.setdefault(attribute, f"#{len(self._names)}")

    def value(self, value: Value) -> str:
        """A new placeholder for a value. Raises TypeError and ValueError for what the port does not take."""
        return self.attribute(to_attribute(value))

    def attribute(self, attribute: Attribute) -> str:
        """A new placeholder for a value in DynamoDB's form."""
        placeholder = f":{len(self._values)}"
        self._values[placeholder] = attribute
        return placeholder

    def arguments(self) -> dict[str, Any]:
        """The request's arguments; DynamoDB refuses empty ones."""
        names = {placeholder: attribute for attribute, placeholder in self._names.items()}
        arguments = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": self._values}
        return {name: argument for name, argument in arguments.items() if argument}


def condition_expression(condition: Condition, placeholders: Placeholders) -> str:
    """A condition's text. Raises TypeError and ValueError for one that the port does not take."""
    match condition:
        case AllOf():
            return _joined(" AND ", condition.conditions, placeholders)
        case AnyOf():
            return _joined(" OR ", condition.conditions, placeholders)
        case Absent():
            return f"attribute_not_exists({placeholders.name(condition.attribute)})"
        case Present():
            return f"attribute_exists({placeholders.name(condition.attribute)})"
        case Equals():
            return f"{placeholders.name(condition.attribute)} = {placeholders.value(condition.value)}"
        case OneOf():
            return _one_of(condition, placeholders)
        case LessThan():
            limit = placeholders.value(plain_number(condition.value))
            return f"{placeholders.name(condition.attribute)} < {limit}"
        case Lacks():
            return _lacks(condition, placeholders)
    assert_never(condition)


def update_expression(actions: Sequence[Action], placeholders: Placeholders) -> str:
    """The text of an update. Raises TypeError and ValueError as the port's actions are checked."""
    if not actions:
        raise ValueError("an update takes at least one action")
    touched: set[str] = set()
    clauses: dict[str, list[str]] = {clause: [] for clause in _CLAUSES}
    for action in actions:
        if action.attribute in touched or action.attribute in _KEYS:
            raise ValueError(f"an update cannot change {action.attribute!r} twice, nor a key at all")
        touched.add(plain_name(action.attribute))
        clause, text = _action(action, placeholders)
        clauses[clause].append(text)
    return " ".join(f"{clause} {', '.join(texts)}" for clause, texts in clauses.items() if texts)


def conditional(condition: Condition | None, placeholders: Placeholders) -> dict[str, Any]:
    """The arguments of a conditional write, its placeholders included; a lost condition returns the old item."""
    if condition is None:
        return placeholders.arguments()
    text = condition_expression(condition, placeholders)
    return {
        "ConditionExpression": text,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **placeholders.arguments(),
    }


def transaction_item(write: Write, table_name: str) -> dict[str, Any]:
    """One write of a transaction."""
    placeholders = Placeholders()
    arguments: dict[str, Any] = {"TableName": table_name}
    match write:
        case Put():
            arguments["Item"] = to_attributes(write.item)
        case Update():
            arguments["Key"] = to_key(write.key)
            arguments["UpdateExpression"] = update_expression(write.actions, placeholders)
        case Delete():
            arguments["Key"] = to_key(write.key)
        case Check():
            arguments["Key"] = to_key(write.key)
            return {"ConditionCheck": arguments | conditional(write.condition, placeholders)}
        case _:
            assert_never(write)
    return {type(write).__name__: arguments | conditional(write.condition, placeholders)}


def _joined(operator: str, conditions: Iterable[Condition], placeholders: Placeholders) -> str:
    texts = [condition_expression(condition, placeholders) for condition in conditions]
    if not texts:
        raise ValueError("AllOf and AnyOf take at least one condition")
    if len(texts) == 1:
        return texts[0]  # DynamoDB refuses redundant parentheses
    return operator.join(f"({text})" for text in texts)


def _one_of(condition: OneOf, placeholders: Placeholders) -> str:
    if not 1 <= len(condition.values) <= MAX_ALTERNATIVES:
        raise ValueError(f"OneOf takes 1 to {MAX_ALTERNATIVES} values")
    values = ", ".join(placeholders.value(value) for value in condition.values)
    return f"{placeholders.name(condition.attribute)} IN ({values})"


def _lacks(condition: Lacks, placeholders: Placeholders) -> str:
    # `contains` also finds parts of a text and elements of a list, so the type is asked for too.
    attribute = placeholders.name(condition.attribute)
    if isinstance(condition.member, str):
        kind, member = "SS", placeholders.value(condition.member)
    else:
        kind, member = "NS", placeholders.value(plain_number(condition.member))
    is_set = f"attribute_type({attribute}, {placeholders.value(kind)})"
    return f"NOT ({is_set} AND contains({attribute}, {member}))"


def _action(action: Action, placeholders: Placeholders) -> tuple[str, str]:
    """An action's clause and its text."""
    attribute = placeholders.name(action.attribute)
    match action:
        case Set():
            return "SET", f"{attribute} = {placeholders.value(action.value)}"
        case SetOnce():
            return "SET", f"{attribute} = if_not_exists({attribute}, {placeholders.value(action.value)})"
        case Append():
            values, empty = placeholders.value(list(action.values)), placeholders.value([])
            return "SET", f"{attribute} = list_append(if_not_exists({attribute}, {empty}), {values})"
        case Remove():
            return "REMOVE", attribute
        case Add():
            value = action.value
            added = value if isinstance(value, frozenset) else plain_number(value)
            return "ADD", f"{attribute} {placeholders.value(added)}"
    assert_never(action)
