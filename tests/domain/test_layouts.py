"""Which items a release may touch."""

from __future__ import annotations

import pytest

from karman_core.domain.errors import NewerLayout
from karman_core.domain.layouts import ATTRIBUTE, FIRST, LAYOUT, check_layout, layout_of


def test_an_item_that_says_nothing_is_of_the_first_layout() -> None:
    assert layout_of({"pk": "a", "sk": "b"}) == FIRST
    check_layout({"pk": "a", "sk": "b"})


@pytest.mark.parametrize(
    ("found", "known", "refused"), [(1, 1, False), (2, 3, False), (3, 3, False), (4, 3, True)]
)
def test_what_is_of_a_later_layout_is_refused(found: int, known: int, *, refused: bool) -> None:
    item = {"pk": "ns#run#r1", "sk": "header", ATTRIBUTE: found}
    if not refused:
        check_layout(item, known)
        return
    with pytest.raises(NewerLayout) as raised:
        check_layout(item, known)
    assert str(raised.value) == (
        "The item 'ns#run#r1 header' was written by a later release of Karman (layout 4; this one knows 3): "
        "upgrade this one."
    )
    assert (raised.value.code, raised.value.status, raised.value.retryable) == ("newer_layout", 503, True)


def test_a_release_knows_what_it_writes() -> None:
    assert LAYOUT >= FIRST
