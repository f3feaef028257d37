"""The text of expressions: what a request holds, word by word. What it means is the contract suite's to show."""

from typing import Any

import pytest

from karman_core.backends.aws.expressions import (
    Placeholders,
    condition_expression,
    conditional,
    transaction_item,
    update_expression,
)
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
    Key,
    Lacks,
    LessThan,
    OneOf,
    Present,
    Put,
    Remove,
    Set,
    SetOnce,
    Update,
    Write,
)

KEY = Key("p", "s")
KEY_FORM = {"pk": {"S": "p"}, "sk": {"S": "s"}}


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Absent(), "attribute_not_exists(#0)"),
        (Present("a"), "attribute_exists(#0)"),
        (Equals("a", 1), "#0 = :0"),
        (OneOf("a", (1, 2)), "#0 IN (:0, :1)"),
        (LessThan("a", 1), "#0 < :0"),
        (Lacks("a", 1), "NOT (attribute_type(#0, :1) AND contains(#0, :0))"),
        (AllOf((Present("a"), Equals("a", 1))), "(attribute_exists(#0)) AND (#0 = :0)"),
        (AnyOf((Present("a"), Absent("b"))), "(attribute_exists(#0)) OR (attribute_not_exists(#1))"),
        (AllOf((AnyOf((Present("a"),)),)), "attribute_exists(#0)"),
    ],
)
def test_conditions(condition: Condition, text: str) -> None:
    assert condition_expression(condition, Placeholders()) == text


@pytest.mark.parametrize(("member", "kind"), [(1, "NS"), ("x", "SS")])
def test_a_set_is_known_by_its_type(member: int | str, kind: str) -> None:
    placeholders = Placeholders()
    condition_expression(Lacks("a", member), placeholders)

    assert placeholders.arguments()["ExpressionAttributeValues"][":1"] == {"S": kind}


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        (AllOf(()), ValueError),
        (AnyOf(()), ValueError),
        (OneOf("a", ()), ValueError),
        (OneOf("a", tuple(range(101))), ValueError),
        (Equals("a", 1.5), TypeError),
        (LessThan("a", True), TypeError),
        (Lacks("a", True), TypeError),
    ],
)
def test_malformed_conditions(condition: Condition, error: type[Exception]) -> None:
    with pytest.raises(error):
        condition_expression(condition, Placeholders())


def test_actions_are_gathered_by_clause() -> None:
    placeholders = Placeholders()
    actions: list[Action] = [
        Add("count", 1),
        Set("status", "DONE"),
        Remove("size"),
        SetOnce("first", 1),
        Append("log", ("x",)),
        Add("members", frozenset({7})),
    ]

    assert update_expression(actions, placeholders) == (
        "SET #1 = :1, #3 = if_not_exists(#3, :2), #4 = list_append(if_not_exists(#4, :4), :3) "
        "REMOVE #2 "
        "ADD #0 :0, #5 :5"
    )
    arguments = placeholders.arguments()
    assert list(arguments["ExpressionAttributeNames"].values()) == [action.attribute for action in actions]
    assert arguments["ExpressionAttributeValues"] == {
        ":0": {"N": "1"},
        ":1": {"S": "DONE"},
        ":2": {"N": "1"},
        ":3": {"L": [{"S": "x"}]},
        ":4": {"L": []},
        ":5": {"NS": ["7"]},
    }


@pytest.mark.parametrize(
    ("actions", "error"),
    [
        ([], ValueError),
        ([Set("a", 1), Remove("a")], ValueError),
        ([Set("sk", "x")], ValueError),
        ([Add("a", frozenset())], ValueError),
        ([Add("a", True)], TypeError),
    ],
)
def test_malformed_updates(actions: list[Action], error: type[Exception]) -> None:
    with pytest.raises(error):
        update_expression(actions, Placeholders())


def test_nothing_of_a_user_is_in_the_text() -> None:
    placeholders = Placeholders()
    text = condition_expression(Equals("a = :0 OR #b", "c) OR (d"), placeholders)

    assert text == "#0 = :0"


def test_a_write_without_condition_has_no_empty_arguments() -> None:
    assert conditional(None, Placeholders()) == {}


def test_a_lost_condition_returns_the_old_item() -> None:
    assert conditional(Absent(), Placeholders()) == {
        "ConditionExpression": "attribute_not_exists(#0)",
        "ExpressionAttributeNames": {"#0": "pk"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


@pytest.mark.parametrize(
    ("write", "item"),
    [
        (Put({"pk": "p", "sk": "s"}), {"Put": {"Item": KEY_FORM}}),
        (Delete(KEY), {"Delete": {"Key": KEY_FORM}}),
        (
            Update(KEY, (Remove("a"),)),
            {
                "Update": {
                    "Key": KEY_FORM,
                    "UpdateExpression": "REMOVE #0",
                    "ExpressionAttributeNames": {"#0": "a"},
                }
            },
        ),
        (
            Check(KEY, Present()),
            {
                "ConditionCheck": {
                    "Key": KEY_FORM,
                    "ConditionExpression": "attribute_exists(#0)",
                    "ExpressionAttributeNames": {"#0": "pk"},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
        ),
    ],
)
def test_writes_of_a_transaction(write: Write, item: dict[str, Any]) -> None:
    ((kind, arguments),) = item.items()

    assert transaction_item(write, "table") == {kind: {"TableName": "table", **arguments}}
