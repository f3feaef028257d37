"""Values go to DynamoDB's form and come back the same, exactly."""

from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.backends.aws.values import (
    from_attribute,
    from_attributes,
    to_attribute,
    to_attributes,
)
from karman_core.domain.errors import BackendError

LIMIT = 10**38 - 1
numbers = st.integers(-LIMIT, LIMIT)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
scalars = st.none() | st.booleans() | numbers | texts | st.binary(max_size=20)
sets = st.frozensets(numbers, min_size=1, max_size=5) | st.frozensets(texts, min_size=1, max_size=5)
values = st.recursive(
    scalars | sets, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
)


class Colour(str, Enum):  # noqa: UP042 - the form whose str() is not its text
    RED = "red"


@given(values)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = from_attribute(to_attribute(value))

    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        ("text", {"S": "text"}),
        ("", {"S": ""}),
        (True, {"BOOL": True}),
        (0, {"N": "0"}),
        (-7, {"N": "-7"}),
        (LIMIT, {"N": "9" * 38}),
        (None, {"NULL": True}),
        (b"\x00", {"B": b"\x00"}),
        (frozenset({10, 9}), {"NS": ["9", "10"]}),
        (frozenset({"b", "a"}), {"SS": ["a", "b"]}),
        ([1, "x"], {"L": [{"N": "1"}, {"S": "x"}]}),
        ({"a": None}, {"M": {"a": {"NULL": True}}}),
        (Colour.RED, {"S": "red"}),
    ],
)
def test_the_form_of_a_value(value: Any, attribute: dict[str, Any]) -> None:
    assert to_attribute(value) == attribute


@pytest.mark.parametrize(
    "value", [1.0, [0.5], {"a": 1.5}, (1,), {1}, bytearray(b"x"), {1: "x"}, frozenset({1, "a"}), object()]
)
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        to_attribute(value)


@pytest.mark.parametrize("value", [frozenset(), 10**38, -(10**38), "\ud800"])
def test_values_without_a_form_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        to_attribute(value)


@pytest.mark.parametrize("text", ["1E+20", "100000000000000000000", "1.0E20"])
def test_large_numbers_come_back_however_they_are_written(text: str) -> None:
    assert from_attribute({"N": text}) == 10**20


@pytest.mark.parametrize("attribute", [{"N": "1.5"}, {"NS": ["0.1"]}, {"BS": [b"x"]}])
def test_what_karman_does_not_write_is_an_error(attribute: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match="Karman does not write"):
        from_attribute(attribute)


def test_items_are_maps_with_keys() -> None:
    item = {"pk": "p", "sk": "s", "n": 1}

    assert from_attributes(to_attributes(item)) == item
    with pytest.raises(ValueError, match="no sk"):
        to_attributes({"pk": "p"})
