"""The beginning of every exploration; the whole is in make simulate. And that it finds what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.selection import with_slow
from tests.simulation.configurations import CONFIGURATIONS
from tests.simulation.explorer import Explorer
from tests.simulation.mutations import MUTATIONS
from tests.simulation.search import Configuration

QUICK = 250


@pytest.mark.parametrize(
    "configuration", with_slow(CONFIGURATIONS, CONFIGURATIONS[1::2]), ids=lambda one: one.name
)
def test_the_first_states(configuration: Configuration) -> None:
    found = Explorer(replace(configuration, limit=QUICK)).explore()
    assert found.failure is None, "\n".join(found.path)
    assert found.states > QUICK or found.complete
    assert found.endings > 0


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("arrivals without their condition", "a fork of 2: 1 duplicate"),
        pytest.param("parking without a second look", "pause and resume: no fault", marks=pytest.mark.slow),
    ],
)
def test_what_is_broken_is_found(name: str, configuration: str) -> None:
    mutation = next(one for one in MUTATIONS if one.name == name)
    assert replace(mutation, explored=configuration).caught(range(0))


def test_the_way_to_a_violation_is_told() -> None:
    mutation = next(one for one in MUTATIONS if one.name == "whoever finds a group full acts for it")
    configuration = next(one for one in CONFIGURATIONS if one.name == mutation.explored)
    with mutation.applied():
        found = Explorer(replace(configuration, limit=2_000)).explore()
    assert found.failure is not None
    assert len(found.path) > 20
