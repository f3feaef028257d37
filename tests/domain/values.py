"""JSON values for the tests of the domain."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

LIMIT_SECONDS = 20
"""For tests of what takes tenths of a second alone, on a busy machine under coverage: only what grows faster than its
input breaks it."""

texts = st.text(max_size=8)
"""Never half of a surrogate pair."""

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts


def json_values(keys: st.SearchStrategy[str] = texts, *, min_items: int = 0) -> st.SearchStrategy[Any]:
    """Any JSON value; its lists have at least `min_items`."""
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, min_size=min_items, max_size=max(3, min_items))
            | st.dictionaries(keys, inner, max_size=3)
        ),
        max_leaves=8,
    )
