"""Breaking a line that a promise rests on is noticed. Where its words are gone, the line was rewritten."""

from __future__ import annotations

import pytest

from tests.simulation.history import play
from tests.simulation.mutations import MUTATIONS, Mutation

pytestmark = pytest.mark.slow

MOST_SEEDS = 120


@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if not one.slow], ids=lambda one: one.name)
def test_it_is_noticed(mutation: Mutation) -> None:
    assert mutation.caught(range(MOST_SEEDS)), mutation.promise


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_it_is_the_mutation_that_is_noticed(mutation: Mutation) -> None:
    """The same cases, with nothing broken, are well."""
    if mutation.explored is None:
        assert [play(mutation.case(seed)).failure for seed in range(4)] == [None] * 4
