"""`karman graph`: definitions are checked, drawn and printed without a database."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from karman_core.domain.parsing import parse_text
from tests.cli.command_line import GREETING, SUMS, karman, write

YAML = """
name: flow
nodes:
- identifier: first
  node_name: Split
  next_nodes: [second]
- identifier: second
  node_name: Work
  inputs: {x: "${{ first.outputs.item }}"}
"""


def test_a_valid_graph() -> None:
    write("sums.py", SUMS)
    output = karman("graph", "validate", "sums.py")

    assert (output.code, output.out) == (0, "graph 'sums' is valid: 3 nodes, 2 edges\n")
    assert karman("graph", "validate", "sums.py", "--json").document == {
        "graph": "sums",
        "valid": True,
        "nodes_checked": True,
    }


def test_every_problem_is_listed() -> None:
    broken = SUMS.replace("number=many.outputs.result", "").replace(
        "numbers=each.outputs.result", "numbers=1"
    )
    write("sums.py", broken)
    output = karman("graph", "validate", "sums.py")

    assert output.code == 2
    assert "error: Graph 'sums' has 2 problems." in output.err
    assert "  - nodes[1].inputs.number: " in output.err
    assert "  - nodes[2].inputs.numbers: " in output.err
    problems = karman("graph", "validate", "sums.py", "--json").document["error"]["problems"]
    assert [problem["path"] for problem in problems] == ["nodes[1].inputs.number", "nodes[2].inputs.numbers"]


def test_a_graph_file_is_checked_by_itself_or_with_its_nodes() -> None:
    write("flow.yaml", YAML)
    write("greeting.py", GREETING)
    alone = karman("graph", "validate", "flow.yaml")

    assert alone.code == 0
    assert "its nodes were not looked at" in alone.err
    with_nodes = karman("graph", "validate", "flow.yaml", "--nodes", "greeting.py")
    assert with_nodes.code == 2
    assert "nodes[0].node_name: " in with_nodes.err


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (YAML.replace("[second]", "[third]"), "nodes[0].next_nodes[0]"),
        (YAML.replace("next_nodes", "next_node"), "nodes[0].next_node"),
        (YAML.replace("[second]", "[second"), "line 7"),
        ("", ""),
    ],
)
def test_a_graph_file_with_a_fault(text: str, place: str) -> None:
    write("flow.yaml", text)
    output = karman("graph", "validate", "flow.yaml")

    assert output.code == 2
    assert f"  - {place}" in output.err


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_shown_can_be_read_again(form: str) -> None:
    write("sums.py", SUMS)
    karman("graph", "show", "sums.py", "--format", form, "--output", f"out/sums.{form}")
    shown = karman("graph", "show", "sums.py", "--format", form).out
    again = karman("graph", "show", f"out/sums.{form}", "--format", form).out

    assert Path("out", f"sums.{form}").read_text(encoding="utf-8") == shown == again
    assert parse_text(shown).name == "sums"  # JSON is YAML


def test_with_json_the_definition_is_the_document() -> None:
    write("sums.py", SUMS)

    assert karman("graph", "show", "sums.py", "--json").document["name"] == "sums"


def test_a_drawing_is_an_svg_picture() -> None:
    write("sums.py", SUMS)
    output = karman("graph", "draw", "sums.py", "--output", "sums.svg")
    root = ET.parse("sums.svg").getroot()

    assert output.err == "wrote sums.svg\n"
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:2] == ["many", "numbers"]
    assert "unites many, ALL_SUCCESS" in texts


def test_a_drawing_in_mermaid() -> None:
    write("sums.py", SUMS)

    assert karman("graph", "draw", "sums.py", "--format", "mermaid").out == (
        "flowchart TD\n"
        '    n0["many<br/>numbers"]\n'
        '    n1["each<br/>double"]\n'
        '    n2["total<br/>add_up<br/>unites many, ALL_SUCCESS"]\n'
        "    n0 --> n1\n"
        "    n1 --> n2\n"
        '    n0 -.->|"unites"| n2\n'
    )


def test_with_json_a_drawing_is_in_a_document() -> None:
    write("sums.py", SUMS)

    assert karman("graph", "draw", "sums.py", "--json").document["format"] == "svg"
    assert karman("graph", "draw", "sums.py", "--json", "-o", "a.svg").document == {
        "format": "svg",
        "file": "a.svg",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["draw", "sums.py", "--format", "png"], "--format is svg or mermaid, not 'png'"),
        (["show", "sums.py", "--format", "toml"], "--format is yaml or json, not 'toml'"),
        (["draw", "nope.py"], "There is no file nope.py."),
        (["show", "sums.py", "--output", "sums.py/x"], "--output: sums.py/x cannot be written"),
        (["draw"], "Missing argument"),
        (["paint", "sums.py"], "No such command 'paint'"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], message: str) -> None:
    write("sums.py", SUMS)
    output = karman("graph", *arguments)

    assert output.code == 2
    assert message in output.err
