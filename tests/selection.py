"""Parameters of a test of which the default suite takes some, and CI (`make test TESTS=all`) takes all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def with_slow(values: Iterable[Any], slow: Collection[Any]) -> list[Any]:
    """The values in their order; those among `slow` are marked so, and have to be among the values."""
    given = list(values)
    assert all(one in given for one in slow), "what is said to be slow is none of the values"
    return [pytest.param(one, marks=pytest.mark.slow) if one in slow else one for one in given]
