"""Inputs as they are typed."""

import pytest

from tests.cli.command_line import GREETING, karman, write

ECHO = """
from typing import Any
from pydantic import BaseModel
from karman import Graph, Node

class Point(BaseModel):
    x: int

class Echo(Node):
    class Inputs(BaseModel):
        text: str = ""
        number: int = 0
        either: int | str = 0
        flag: bool = False
        point: Point | None = None
        points: list[Point] = []
        anything: Any = None

    class Outputs(BaseModel):
        value: Any

    async def execute(self) -> Outputs:
        given = self.inputs.model_dump(exclude_unset=True)
        return self.Outputs(value=given)

graph = Graph("echo")
graph.add(Echo)
"""


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("text=5", "5"),
        ("text=null", "null"),
        ("text=true", "true"),
        ("text={}", "{}"),
        ("text=plain words", "plain words"),
        ("text=a=b=c", "a=b=c"),
        ("text=", ""),
        ('text="quoted"', "quoted"),
        ("number=5", 5),
        ("either=5", 5),
        ("either=five", "five"),
        ("flag=true", True),
        ('point={"x": 1}', {"x": 1}),
        ('points=[{"x": 1}, {"x": 2}]', [{"x": 1}, {"x": 2}]),
        ("anything=[1, null]", [1, None]),
        ("anything=NaN", "NaN"),
    ],
)
def test_a_value_is_json_unless_only_text_fits(typed: str, value: object) -> None:
    write("echo.py", ECHO)
    key = typed.partition("=")[0]

    assert karman("run", "echo.py", "--input", typed, "-q").document == {"value": {key: value}}


def test_inputs_from_a_file_and_typed_ones_over_them() -> None:
    write("echo.py", ECHO)
    write("inputs.yaml", "text: '5'\nnumber: 1\n")
    output = karman("run", "echo.py", "--input-file", "inputs.yaml", "-i", "number=2", "-q")

    assert output.document == {"value": {"text": "5", "number": 2}}


def test_inputs_from_stdin() -> None:
    write("echo.py", ECHO)
    output = karman("run", "echo.py", "--input-file", "-", "-q", stdin='{"number": 3}')

    assert output.document == {"value": {"number": 3}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "name"], "--input takes key=value, not 'name'"),
        (["-i", "=x"], "--input takes key=value, not '=x'"),
        (["-i", "name=a", "-i", "name=b"], "--input name is given twice"),
        (["--store", "x"], "--store takes key=value, not 'x'"),
        (["--input-file", "nope.json"], "--input-file: there is no file nope.json"),
        (["--input-file", "list.json"], "--input-file: list.json holds no object"),
        (["--input-file", "broken.json"], "--input-file: broken.json: line 1"),
        (["--concurrency", "0"], "'--concurrency'"),
        (["--timeout", "0"], "'--timeout'"),
    ],
)
def test_what_cannot_be_understood_is_said(arguments: list[str], message: str) -> None:
    write("greeting.py", GREETING)
    write("list.json", "[1]")
    write("broken.json", "{")
    output = karman("run", "greeting.py", *arguments)

    assert output.code == 2
    assert message in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("arguments", "path", "code"),
    [
        ([], "inputs.name", "missing_input"),
        (["-i", "name=a", "-i", "colour=red"], "inputs.colour", "unknown_input"),
        (["-i", "name=a", "-i", "times=often"], "inputs.times", "wrong_type"),
    ],
)
def test_inputs_that_do_not_fit_start_nothing(arguments: list[str], path: str, code: str) -> None:
    write("greeting.py", GREETING)
    output = karman("run", "greeting.py", *arguments, "--db", "runs.db")

    assert output.code == 2
    assert f"- {path}: " in output.err
    assert f"[{code}]" in output.err
    assert "Traceback" not in output.err
    assert karman("runs", "--db", "runs.db", "--json").document == {"runs": []}


def test_with_json_the_problems_are_data() -> None:
    write("greeting.py", GREETING)
    output = karman("run", "greeting.py", "--json")

    assert output.code == 2
    assert output.document["error"]["code"] == "invalid_input"
    assert [problem["path"] for problem in output.document["error"]["problems"]] == ["inputs.name"]
