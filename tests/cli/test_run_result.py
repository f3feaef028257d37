"""`karman run` of a graph that succeeds."""

from pathlib import Path

import pytest

from tests.cli.command_line import GREETING, SUMS, karman, write


def test_the_result_is_all_that_goes_to_stdout() -> None:
    write("greeting.py", "print('a module prints')\n" + GREETING)
    output = karman("run", "greeting.py", "--input", "name=World")

    assert output.code == 0
    assert output.document == {"result": "Hello, World!"}
    assert "a node prints" in output.err
    assert "a module prints" in output.err
    assert "SUCCEEDED greeting" in output.err


def test_a_fork_and_its_unite() -> None:
    write("sums.py", SUMS)
    output = karman("run", "sums.py", "-i", "count=30")

    assert output.code == 0
    assert output.document == {"result": 870}
    assert "each: 30 of 30 done" in output.err


def test_quiet_leaves_only_the_result_and_what_nodes_print() -> None:
    write("greeting.py", GREETING)
    output = karman("run", "greeting.py", "-i", "name=World", "--quiet")

    assert output.document == {"result": "Hello, World!"}
    assert output.err == "a node prints\n"


def test_json_is_one_document_about_the_run() -> None:
    write("sums.py", SUMS)
    output = karman("run", "sums.py", "-i", "count=3", "--json")
    run = output.document

    assert output.code == 0
    assert run["status"] == "SUCCEEDED"
    assert run["result"] == {"result": 6}
    assert run["inputs"] == {"count": 3}
    assert run["totals"]["succeeded"] == 5
    assert run["failed_states"] == []


def test_a_module_and_a_graph_by_name() -> None:
    write("flows/__init__.py", "")
    write("flows/greet.py", GREETING + "\nother = Graph('other')\nother.add(greet, name='you')\n")

    assert karman("run", "flows.greet:graph", "-i", "name=A", "-q").document == {"result": "Hello, A!"}
    assert karman("run", "flows.greet:other", "-q").document == {"result": "Hello, you!"}


def test_a_graph_file_with_its_nodes() -> None:
    write("greeting.py", GREETING)
    write("graph.yaml", "name: g\nnodes:\n- {identifier: hi, node_name: greet, inputs: {name: YAML}}\n")
    output = karman("run", "graph.yaml", "--nodes", "greeting.py", "-q")

    assert output.document == {"result": "Hello, YAML!"}


def test_without_a_database_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    write("work/greeting.py", GREETING)
    karman("run", "work/greeting.py", "-i", "name=World")

    assert list(temporary.iterdir()) == []
    assert not Path(".karman").exists()


@pytest.mark.parametrize("by", ["option", "environment"])
def test_with_a_database_the_run_stays(by: str) -> None:
    write("greeting.py", GREETING)
    named = {"option": (["--db", "new/runs.db"], {}), "environment": ([], {"KARMAN_DB": "new/runs.db"})}[by]
    karman("run", "greeting.py", "-i", "name=World", *named[0], env=named[1])
    runs = karman("runs", "--db", "new/runs.db", "--json").document["runs"]

    assert [run["status"] for run in runs] == ["SUCCEEDED"]


def test_values_of_the_store() -> None:
    write(
        "stored.py",
        """
from karman import Graph, node

@node
def show(value: int, text: str) -> str:
    return f"{value + 1} {text}"

graph = Graph("stored", store_required=["value", "text"])
graph.add(show, value=graph.store.value, text=graph.store.text)
""",
    )
    output = karman("run", "stored.py", "--store", "value=41", "--store", "text=a=b", "-q")

    assert output.document == {"result": "42 a=b"}
