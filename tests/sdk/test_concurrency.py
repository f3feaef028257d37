"""Limits of concurrent runs in the builder."""

from __future__ import annotations

from typing import Any

import pytest

from karman import Concurrency, Graph, InvalidGraph, load_graph, node
from karman.testing import run

CUSTOMER = "${{ initial.inputs.customer }}"


@node
def report(customer: str) -> str:
    return f"for {customer}"


def limited(concurrency: Concurrency | None) -> Graph:
    graph = Graph("reports", concurrency=concurrency)
    graph.add(report)
    return graph


def test_a_limit_is_read_back_unchanged() -> None:
    graph = limited(Concurrency(5, key=CUSTOMER, when_full="refuse"))

    again = load_graph(graph.to_yaml(), [report])

    assert graph.to_dict()["concurrency"] == {"limit": 5, "key": CUSTOMER, "when_full": "refuse"}
    assert again.build() == graph.build()
    assert limited(Concurrency(5)).to_dict()["concurrency"] == {"limit": 5}
    assert "concurrency" not in limited(None).to_dict()


@pytest.mark.parametrize(
    ("concurrency", "path"),
    [
        (Concurrency(0), "concurrency.limit"),
        (Concurrency(1, key="customer"), "concurrency.key"),
        (Concurrency(1, key="${{ initial.inputs.absent }}"), "concurrency.key"),
        (Concurrency(1, when_full="drop"), "concurrency.when_full"),  # type: ignore[arg-type]
    ],
)
def test_a_limit_that_cannot_be_is_told_with_its_path(concurrency: Concurrency, path: str) -> None:
    with pytest.raises(InvalidGraph) as caught:
        limited(concurrency).build()
    assert [problem.path for problem in caught.value.problems] == [path]


def test_a_run_in_a_test_has_its_slot() -> None:
    result = run(limited(Concurrency(1, key=CUSTOMER)), {"customer": "acme"}).assert_succeeded()
    assert result.outputs == {"result": "for acme"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"concurrency": 5}, r"concurrency is a int; give for example concurrency=Concurrency\(5\)"),
        ({"rate_limit": {"starts": 5}}, r"rate_limit is a dict; give for example rate_limit=RateLimit\("),
        ({"retry": 3}, r"retry is a int; give for example retry=Retry.exponential\(3\)"),
    ],
)
def test_what_is_no_limit_is_said(option: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        Graph("reports", **option)
