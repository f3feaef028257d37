from __future__ import annotations

from hypothesis import given

from karman_core.domain.totals import Totals
from tests.domain.positions import totals


@given(totals, totals)
def test_sums_and_differences_are_taken_field_by_field(one: Totals, other: Totals) -> None:
    for name in Totals._fields:
        assert getattr(one.plus(other), name) == getattr(one, name) + getattr(other, name)
        assert getattr(one.minus(other), name) == getattr(one, name) - getattr(other, name)


@given(totals, totals, totals)
def test_the_order_of_arrivals_does_not_matter(one: Totals, other: Totals, third: Totals) -> None:
    assert one.plus(other).plus(third) == third.plus(one).plus(other)
    assert one.plus(Totals()) == one


@given(totals, totals)
def test_what_was_taken_off_comes_back(one: Totals, other: Totals) -> None:
    assert one.minus(other).plus(other) == one
