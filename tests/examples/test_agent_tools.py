import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.agent_loop.calculator import calculate
from examples.agent_loop.conversation import Message, ToolCall, ToolResult
from examples.agent_loop.models import model_named
from examples.agent_loop.offline import OfflineModel
from examples.agent_loop.tools import TOOLS, Workspace, is_dangerous, use

SPECS = [tool.spec for tool in TOOLS.values()]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("17 * 23", 391), ("2 ** 10", 1024), ("-(3 + 4) / 2", -3.5), ("7 // 2 % 2", 1), ("sqrt(2) * sqrt(2)", 2.0),
        ("max(1, 2) + min(3, 4) + abs(-5)", 10), ("1e3", 1000.0), (" 1+1 ", 2), ("2 ** -1", 0.5),
    ],
)  # fmt: skip
def test_arithmetic(expression: str, value: float) -> None:
    assert calculate(expression) == pytest.approx(value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')", "().__class__", "open('x')", "x", "'a' * 9", "[1]", "1 if 1 else 2",
        "True + 1", "lambda: 1", "1; 2", "1 +", "", "1/0", "9 ** 9 ** 9", "9.0 ** 999", "(-8) ** 0.5", "1e999",
        "sqrt(-1)", "sqrt()", "max(1, key=2)", "1 < 2", "1j", "9" * 201, "(" * 199, "9**600*9**600", "f'{1}'",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    started = time.thread_time()

    with pytest.raises(ValueError):  # noqa: PT011 - many messages, all of them a ValueError
        calculate(expression)

    assert time.thread_time() - started < 1


NUMBERS = st.integers(-99, 99)


EXPRESSIONS = st.recursive(
    NUMBERS.map(str),
    lambda parts: st.tuples(parts, st.sampled_from("+-*"), parts).map("({0[0]}{0[1]}{0[2]})".format),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_it_calculates_as_python_does(expression: str) -> None:
    assert calculate(expression) == eval(expression)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.md").write_text(
        "# Forks\n\nA fork opens a group.\n\nA unite joins the\nbranches of a group.\n"
    )
    (documents / "b.txt").write_text("Nothing of interest, but a unite. Unite!\n")
    (documents / "c.py").write_text("unite")
    return Workspace(documents, tmp_path / "notes")


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


def test_search_gives_the_best_paragraphs_with_their_places(workspace: Workspace) -> None:
    result = use(call("search_documents", query="Unite group?"), workspace)

    assert result.text.splitlines() == [
        "a.md:5: A unite joins the branches of a group.",
        "b.txt:1: Nothing of interest, but a unite. Unite!",
        "a.md:3: A fork opens a group.",
    ]


def test_search_does_not_leave_the_folder(workspace: Workspace) -> None:
    secret = workspace.notes.parent / "secret.md"
    secret.write_text("a unite of secrets")
    (workspace.documents / "link.md").symlink_to(secret)

    assert "secret" not in use(call("search_documents", query="secrets unite"), workspace).text


def test_search_without_a_match_says_so(workspace: Workspace) -> None:
    assert "no document" in use(call("search_documents", query="zebra"), workspace).text
    assert use(call("search_documents", query="?!"), workspace).failed


def test_a_note_is_written_inside_its_folder_once(workspace: Workspace) -> None:
    for _ in range(2):
        result = use(call("write_note", title="../../etc/Größe: 1", text="391"), workspace)
        assert result.text == "wrote etc-größe-1.md"

    assert [path.name for path in workspace.notes.iterdir()] == ["etc-größe-1.md"]
    assert (workspace.notes / "etc-größe-1.md").read_text() == "# ../../etc/Größe: 1\n\n391\n"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (call("launch_rocket"), "no tool launch_rocket"),
        (call("calculate"), "wrong arguments"),
        (call("calculate", expression="import os"), "not an expression"),
        (call("write_note", title="", text="x"), "wrong arguments"),
    ],
)
def test_mistakes_of_the_model_are_results(workspace: Workspace, wrong: ToolCall, reason: str) -> None:
    result = use(wrong, workspace)

    assert result.failed
    assert reason in result.text


def test_only_writing_is_dangerous() -> None:
    assert [name for name in TOOLS if is_dangerous(call(name))] == ["write_note"]
    assert not is_dangerous(call("launch_rocket"))


def converse(task: str, results: dict[str, str]) -> tuple[list[str], str]:
    """The tools that the offline model asks for, and its last word."""
    messages = [Message(role="user", text=task)]
    used = []
    while (reply := OfflineModel().reply(messages, SPECS)).calls:
        (wanted,) = reply.calls
        used.append(f"{wanted.name} {json.dumps(wanted.arguments)}")
        answer = ToolResult(id=wanted.id, text=results[wanted.name])
        messages += [reply, Message(role="user", results=[answer])]
    return used, reply.text


def test_the_offline_model_plans_search_calculation_and_note() -> None:
    task = 'Search the documents for "unite", calculate 17 * (2 + 3) and write a note.'

    used, answer = converse(task, {"search_documents": "a.md", "calculate": "85", "write_note": "wrote it"})

    assert used[:2] == ['search_documents {"query": "unite"}', 'calculate {"expression": "17 * (2 + 3)"}']
    assert used[2].startswith("write_note")
    assert "calculate: 85" in used[2]
    assert answer == "search_documents: a.md\ncalculate: 85\nwrite_note: wrote it"


def test_the_offline_model_admits_what_it_cannot_do() -> None:
    assert converse("Sing a song", {}) == ([], "There is nothing in this that I know how to do.")


def test_models_go_by_name() -> None:
    assert isinstance(model_named("offline"), OfflineModel)
    with pytest.raises(ValueError, match="no model 'gpt'"):
        model_named("gpt")
