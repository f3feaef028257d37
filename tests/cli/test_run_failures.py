"""`karman run` of what does not work: the message says what to do, and no traceback hides it."""

import pytest

from tests.cli.command_line import GREETING, SUMS, karman, write

WRONG = """
from karman import Graph, node

@node
def wrong(x: int) -> int:
    return "no number"

graph = Graph("wrong")
graph.add(wrong)
"""


def test_a_node_that_raises() -> None:
    write("sums.py", SUMS)
    output = karman("run", "sums.py", "-i", "count=5", "-i", "wrong=3")

    assert output.code == 1
    assert output.out == ""
    assert "error: each failed: ValueError: a negative number\n" in output.err
    assert "sums.py, line 12, in double" in output.err
    assert "FAILED sums" in output.err
    assert "Traceback" not in output.err


def test_its_traceback_on_demand() -> None:
    write("sums.py", SUMS)
    arguments = ("run", "sums.py", "-i", "count=1", "-i", "wrong=0")

    assert 'raise ValueError("a negative number")' in karman(*arguments, "--traceback").err
    assert 'raise ValueError("a negative number")' in karman(*arguments, env={"KARMAN_DEBUG": "1"}).err


def test_with_json_the_failed_states_are_data() -> None:
    write("sums.py", SUMS)
    output = karman("run", "sums.py", "-i", "count=5", "-i", "wrong=3", "--json")

    assert output.code == 1
    assert output.document["status"] == "FAILED"
    assert "ValueError: a negative number" in output.document["error"]
    assert [state["identifier"] for state in output.document["failed_states"]] == ["each"]
    assert output.document["failed_states"][0]["attempts"][0]["error_kind"] == "ValueError"


def test_an_attempt_that_is_made_again() -> None:
    write("sums.py", SUMS.replace("Retry.exponential(0)", "Retry.exponential(1, first=0.001)"))
    output = karman("run", "sums.py", "-i", "count=1", "-i", "wrong=0")

    assert output.code == 1
    assert "each failed (attempt 1): ValueError: a negative number; it is tried again" in output.err
    assert "error: each failed after 2 attempts: ValueError" in output.err


def test_a_node_that_returns_the_wrong_type() -> None:
    write("wrong.py", WRONG)
    output = karman("run", "wrong.py", "-i", "x=1")

    assert output.code == 1
    assert "invalid_output" in output.err
    assert "Input should be a valid integer" in output.err
    assert "Traceback" not in output.err


def test_a_run_over_its_deadline() -> None:
    write(
        "slow.py",
        WRONG.replace("def wrong", "async def wrong").replace(
            "return", "import asyncio; await asyncio.sleep(60); return"
        ),
    )
    output = karman("run", "slow.py", "-i", "x=1", "--timeout", "0.5")

    assert output.code == 4
    assert "TIMED_OUT wrong" in output.err


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("number=many.outputs.result", "number='${{ nobody.outputs.x }}'", "nodes[1].inputs.number: "),
        ("number=many.outputs.result", "", "nodes[1].inputs.number: "),
        ("many >> each >> total", "many >> each", "nodes[2]"),
    ],
)
def test_a_malformed_graph_lists_its_problems_and_starts_nothing(old: str, new: str, problem: str) -> None:
    write("sums.py", SUMS.replace(old, new))
    output = karman("run", "sums.py", "-i", "count=5", "--db", "runs.db")

    assert output.code == 2
    assert output.err.startswith("error: Graph 'sums' is not valid.\n")
    assert f"\n  - {problem}" in output.err
    assert karman("runs", "--db", "runs.db", "--json").document == {"runs": []}


def test_with_json_the_problems_of_a_graph_are_data() -> None:
    write("sums.py", SUMS.replace("number=many.outputs.result", ""))
    output = karman("run", "sums.py", "-i", "count=5", "--json")

    assert output.code == 2
    assert output.document["error"]["code"] == "invalid_graph"
    assert output.document["error"]["problems"][0]["path"] == "nodes[1].inputs.number"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.py"], "error: There is no file nope.py."),
        (["no_module"], "error: There is no module 'no_module'"),
        (["greeting.py:nope"], "error: greeting.py has no graph 'nope'; there are graph."),
        (["empty.py"], "error: empty.py has no graph; "),
        (
            ["broken.py"],
            "broken.py cannot be imported: NameError: name 'nope' is not defined\n  broken.py, line 2\n    nope()\n",
        ),
        (["two.py"], "error: two.py has 2 graphs; name one of them: two.py:graph"),
        ([], "name a file or a module with a graph"),
    ],
)
def test_a_target_that_cannot_be_used(arguments: list[str], message: str) -> None:
    write("greeting.py", GREETING)
    write("empty.py", "")
    write("broken.py", "x = 1\nnope()\n")
    write("two.py", GREETING + "other = Graph('other')\n")
    output = karman("run", *arguments)

    assert output.code == 2
    assert message in output.err
    assert "Traceback" not in output.err


def test_the_traceback_of_an_import_on_demand() -> None:
    write("broken.py", "x = 1\nnope()\n")

    assert "Traceback" in karman("run", "broken.py", "--traceback").err


def test_a_database_that_is_none() -> None:
    write("greeting.py", GREETING)
    write("notes.db", "This is a text and no database of any kind. " * 50)
    output = karman("run", "greeting.py", "-i", "name=a", "--db", "notes.db")

    assert output.code == 70
    assert "error: notes.db" in output.err
