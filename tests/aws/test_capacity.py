"""What states cost in write units, as DynamoDB Local reports it: the budget of the design, measured."""

from __future__ import annotations

import pytest

from bench.write_units import chain_cost, fork_cost, whole_run_cost

pytestmark = pytest.mark.slow  # processes, emulators or sheer numbers: seconds a test

CHAIN, WIDTH = 20, 1000
HEADER_UNITS = 2
"""The end of a run: header, and its entry in the index of unfinished runs."""

RUN_UNITS = 6
"""The same, and what the trigger writes: the header, and its entries in three indexes."""


async def test_an_inline_chain_costs_one_write_unit_a_state(endpoint: str) -> None:
    cost = await chain_cost(endpoint, CHAIN)
    assert cost.states == CHAIN
    assert (cost.write_units - HEADER_UNITS) / CHAIN <= 1.1


async def test_a_branch_of_a_fork_costs_two_write_units(endpoint: str) -> None:
    cost = await fork_cost(endpoint, WIDTH)
    assert cost.states == WIDTH + 2
    # The forking state (its outputs) and the unite are states of their own, beside the branches.
    assert (cost.write_units - HEADER_UNITS) / WIDTH <= 2.1


@pytest.mark.parametrize(("given", "declared"), [(0, 0), (2, 0), (0, 2)])
async def test_a_run_pays_for_the_tags_that_it_has(endpoint: str, given: int, declared: int) -> None:
    cost = await whole_run_cost(endpoint, given=given, declared=declared)
    assert cost.write_units == RUN_UNITS + cost.states + given + declared
