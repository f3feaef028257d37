"""`karman apply`: the difference is shown, then the graph is stored."""

from pathlib import Path

import pytest

from tests.cli.command_line import GREETING, finish, karman, start, wait_for_line, write


@pytest.fixture(autouse=True)
def _database() -> None:
    """One that knows the node, and the graph in its first version."""
    write("greeting.py", GREETING)
    process = start("dev", "greeting.py", "--db", "runs.db", "--no-server")
    wait_for_line(process, "ready: ")
    process.terminate()
    assert finish(process).code == 0


def graph_file(identifier: str, name: str = "greeting") -> Path:
    return write("graph.yaml", f"name: {name}\nnodes:\n- identifier: {identifier}\n  node_name: greet\n")


def test_a_changed_graph_is_shown_and_stored_as_the_next_version() -> None:
    graph_file("hello")
    tried = karman("apply", "graph.yaml", "--db", "runs.db", "--dry-run")
    unasked = karman("apply", "graph.yaml", "--db", "runs.db")
    applied = karman("apply", "graph.yaml", "--db", "runs.db", "--yes")
    again = karman("apply", "graph.yaml", "--db", "runs.db")

    assert "-- identifier: greet\n" in tried.out
    assert "+- identifier: hello\n" in tried.out
    assert tried.err == "nothing was stored (--dry-run)\n"
    assert unasked.code == 2
    assert "there is nobody to ask: add --yes" in unasked.err
    assert applied.out == tried.out
    assert applied.err == "graph 'greeting' is version 2 now\n"
    assert (again.code, again.out) == (0, "")
    assert again.err == "graph 'greeting' is as stored, version 2\n"


def test_a_new_graph_is_shown_as_a_whole() -> None:
    graph_file("hello", name="another")
    output = karman("apply", "graph.yaml", "--db", "runs.db", "--yes", "--json").document

    assert (output["version"], output["changed"], output["stored"]) == (1, True, True)
    assert "+name: another" in output["difference"]


def test_a_graph_of_a_module() -> None:
    output = karman("apply", "greeting.py:graph", "--db", "runs.db", "--json").document

    assert (output["version"], output["changed"]) == (1, False)
    assert output["difference"] == []


def test_a_graph_whose_nodes_are_not_known_is_refused() -> None:
    write("graph.yaml", "name: greeting\nnodes:\n- identifier: a\n  node_name: unheard_of\n")
    output = karman("apply", "graph.yaml", "--db", "runs.db")

    assert output.code == 2
    assert "Graph 'greeting' is not valid here" in output.err
    assert "unheard_of" in output.err
    assert karman("apply", "greeting.py", "--db", "runs.db", "--json").document["version"] == 1
