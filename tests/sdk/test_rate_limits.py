"""`rate_limit` in the graph builder: as it is written, defined, and read back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from karman import Graph, InvalidGraph, InvalidInput, RateLimit, load_graph, node

KEY = "${{ initial.inputs.customer }}"


@node
def report(customer: str) -> str:
    return customer


def limited(limit: RateLimit | None) -> Graph:
    graph = Graph("limited", rate_limit=limit)
    graph.add(report)
    return graph


def test_a_limit_is_in_the_definition() -> None:
    graph = limited(RateLimit(100, per=timedelta(minutes=1), key=KEY, when_over="refuse"))

    assert graph.to_dict()["rate_limit"] == {
        "starts": 100,
        "per_seconds": 60.0,
        "key": KEY,
        "when_over": "refuse",
    }
    assert "rate_limit" not in limited(None).to_dict()


def test_it_is_read_back_as_it_was_written() -> None:
    graph = limited(RateLimit(5, per=0.5))

    assert load_graph(graph.to_yaml(), [report]).build() == graph.build()


@pytest.mark.parametrize(
    ("limit", "path"),
    [
        (RateLimit(0, per=1), "rate_limit.starts"),
        (RateLimit(1, per=0.01), "rate_limit.per_seconds"),
        (RateLimit(1, per=1, when_over="later"), "rate_limit.when_over"),  # type: ignore[arg-type]
        (RateLimit(1, per=1, key="customer"), "rate_limit.key"),
        (RateLimit(1, per=1, key="${{ initial.inputs.name }}"), "rate_limit.key"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(limit: RateLimit, path: str) -> None:
    with pytest.raises(InvalidGraph) as refused:
        limited(limit).build()

    assert [problem.path for problem in refused.value.problems] == [path]


def test_a_time_that_is_none_is_refused_where_it_is_written() -> None:
    wrong: Any = "a minute"
    with pytest.raises(InvalidInput, match="The time of a rate limit is a str"):
        limited(RateLimit(1, per=wrong))
