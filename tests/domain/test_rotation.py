"""The overlap of two secrets, where nobody says how long it is."""

from karman_core.domain.rotation import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS


def test_an_overlap_that_is_not_given_is_one_that_may_be_given() -> None:
    assert 0 < DEFAULT_OVERLAP_SECONDS <= MAX_OVERLAP_SECONDS
