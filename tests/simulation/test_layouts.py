"""What histories leave in the table means the same to both backends: as DynamoDB would hold it, it comes back."""

from __future__ import annotations

import pytest

from karman_core.backends.aws.values import from_attributes, to_attributes
from karman_core.backends.embedded.items import decode
from tests.simulation.case import Case
from tests.simulation.history import History

SEEDS = 30


def items_of(history: History) -> list[dict[str, object]]:
    with history.simulation.backend.database.read() as connection:
        return [decode(*row) for row in connection.execute("SELECT pk, sk, body FROM items")]


@pytest.mark.slow
def test_items_are_the_same_in_both_layouts() -> None:
    kinds = set()
    for seed in range(SEEDS):
        history = History(Case.of(seed))
        with history.simulation.loop.running():
            history.play()
            items = items_of(history)
            history.simulation.end()
        for item in items:
            assert from_attributes(to_attributes(item)) == item
            kinds.add(str(item["sk"])[:2] if "#run#" in str(item["pk"]) else str(item["pk"]).split("#")[1])
    assert {"s#", "he", "jo", "co", "graphs", "nodes", "days"} <= kinds
