"""The picture of a graph: boxes apart from each other, arrows past them."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_cli.drawing.diagram import Kind, diagram
from karman_cli.drawing.layers import layers
from karman_cli.drawing.layout import Layout, PlacedBox, Point, layout
from karman_cli.drawing.mermaid import mermaid
from karman_cli.drawing.svg import svg
from karman_core.domain.definition import GraphDefinition


def graph(
    *edges: tuple[int, int], count: int = 0, loops: tuple[tuple[int, int], ...] = ()
) -> GraphDefinition:
    count = max([count, *(max(edge) + 1 for edge in (*edges, *loops))])
    nodes = [
        {
            "identifier": f"n{number}",
            "node_name": "Work",
            "next_nodes": [f"n{end}" for start, end in edges if start == number],
            "loops": [{"to": f"n{end}", "max_rounds": 3} for start, end in loops if start == number],
        }
        for number in range(count)
    ]
    return GraphDefinition.model_validate({"name": "g", "nodes": nodes})


def place(definition: GraphDefinition) -> Layout:
    return layout(diagram(definition))


def overlap(one: PlacedBox, other: PlacedBox) -> bool:
    across = abs(one.centre.x - other.centre.x) < (one.width + other.width) / 2
    down = abs(one.centre.y - other.centre.y) < (one.height + other.height) / 2
    return across and down


def inside(point: Point, box: PlacedBox) -> bool:
    return abs(point.x - box.centre.x) < box.width / 2 - 1 and box.top + 1 < point.y < box.bottom - 1


downward_graphs = st.integers(1, 12).flatmap(
    lambda count: st.sets(
        st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
            lambda edge: edge[0] < edge[1]
        ),
        max_size=24,
    ).map(lambda edges: graph(*sorted(edges), count=count))
)
any_graphs = st.integers(1, 8).flatmap(
    lambda count: st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=16).map(
        lambda edges: graph(*sorted(edges), count=count)
    )
)


@given(downward_graphs)
def test_boxes_do_not_overlap_and_are_in_the_picture(definition: GraphDefinition) -> None:
    placed = place(definition)

    assert not any(overlap(one, other) for one, other in combinations(placed.boxes, 2))
    assert all(box.centre.x - box.width / 2 >= 0 and box.right <= placed.width for box in placed.boxes)
    assert all(box.top >= 0 and box.bottom <= placed.height for box in placed.boxes)


@given(downward_graphs)
def test_arrows_go_down_and_past_boxes(definition: GraphDefinition) -> None:
    placed = place(definition)

    for arrow in placed.arrows:
        assert all(before.y < after.y for before, after in pairwise(arrow.points))
        assert not any(inside(point, box) for point in arrow.points for box in placed.boxes)
        assert all(0 <= point.x <= placed.width for point in arrow.points)


@given(any_graphs)
def test_a_graph_with_cycles_is_drawn_all_the_same(definition: GraphDefinition) -> None:
    placed = place(definition)

    assert not any(overlap(one, other) for one, other in combinations(placed.boxes, 2))
    assert len(placed.arrows) == sum(len(node.next_nodes) for node in definition.nodes)
    assert svg(placed).count("<path class=") == len(placed.arrows)


def test_rows_follow_the_longest_path() -> None:
    rows = layers(diagram(graph((0, 1), (1, 2), (0, 2), (2, 3)))).rows

    assert [[cell for cell in row if ">" not in cell] for row in rows] == [["n0"], ["n1"], ["n2"], ["n3"]]


def test_crossings_are_removed_by_ordering() -> None:
    # Both pairs cross in the order of the definition.
    rows = layers(diagram(graph((0, 1), (0, 2), (1, 4), (2, 3), count=5))).rows

    assert rows[1:] in ([["n1", "n2"], ["n4", "n3"]], [["n2", "n1"], ["n3", "n4"]])


def test_a_chain_is_a_straight_line() -> None:
    placed = place(graph(*pairwise(range(6))))

    assert len({round(box.centre.x) for box in placed.boxes}) == 1


def test_a_loop_goes_up_beside_the_arrow_that_it_follows_back() -> None:
    placed = place(graph((0, 1), loops=((1, 0), (1, 1))))
    by_kind = {arrow.arrow.target: arrow for arrow in placed.arrows if arrow.arrow.kind is Kind.LOOP}
    back, self_loop = by_kind["n0"], by_kind["n1"]

    assert back.points[0].y > back.points[-1].y
    assert back.points[0].x > placed.boxes[1].centre.x
    assert not self_loop.between_rows
    assert "at most 3x" in svg(placed)


def test_a_graph_without_nodes_is_an_empty_picture() -> None:
    assert svg(place(graph())).startswith("<svg")


def test_a_long_chain_takes_no_recursion() -> None:
    assert place(graph(*pairwise(range(3_000)))).height > 3_000


@pytest.mark.parametrize("name", ["end", "class"])
def test_words_of_mermaid_are_no_identifiers_there(name: str) -> None:
    definition = GraphDefinition.model_validate(
        {"name": "g", "nodes": [{"identifier": name, "node_name": "Work"}]}
    )

    assert f'n0["{name}<br/>Work"]' in mermaid(diagram(definition))
