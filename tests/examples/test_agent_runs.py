"""The agent as a whole: its loop, its bound, and the person who is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from examples.agent_loop import agent
from examples.agent_loop.agent import MAX_ROUNDS, graph
from examples.agent_loop.conversation import Message, ToolCall, ToolSpec
from karman.testing import Resumption, crash, execute, fail, run

TASK = 'Search the documents for "unite", calculate 17 * 23 and write a note'


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.md").write_text("A unite joins branches.\n")
    return {"task": TASK, "documents": str(documents), "notes": str(tmp_path / "notes")}


def notes(inputs: dict[str, Any]) -> list[str]:
    folder = Path(inputs["notes"])
    return [path.read_text() for path in folder.iterdir()] if folder.is_dir() else []


def test_without_approval_it_waits_and_nothing_is_written(inputs: dict[str, Any]) -> None:
    result = run(graph, inputs, within=3600)

    result.assert_status("WAITING")
    assert result.view.awaiting == ("approval",)
    assert notes(inputs) == []
    assert [state.status for state in result.states("act")] == ["SUCCEEDED", "SUCCEEDED", "WAITING"]


def test_with_approval_it_goes_on(inputs: dict[str, Any]) -> None:
    result = run(graph, inputs, signals={"approval": {"approved": True}}).assert_succeeded()

    assert result.outputs["tools"] == ["search_documents", "calculate", "write_note"]
    assert result.outputs["rounds"] == 4
    assert "17 * 23 = 391" in result.outputs["answer"]
    (note,) = notes(inputs)
    assert "a.md:1: A unite joins branches." in note
    assert len(result.signals) == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"approved": False, "reason": "not today"}, "a person refused it: not today"),
        ({"approved": False}, "a person refused it: no reason given"),
        ({}, "the answer to the request for approval made no sense"),
        (None, "the answer to the request for approval made no sense"),
        ("yes", "the answer to the request for approval made no sense"),
    ],
)
def test_anything_but_approval_is_a_refusal(inputs: dict[str, Any], payload: object, reason: str) -> None:
    result = run(graph, inputs, signals={"approval": payload}).assert_succeeded()

    assert notes(inputs) == []
    assert f"write_note did not work: {reason}" in result.outputs["answer"]


def test_nobody_answering_is_a_refusal_after_a_day(inputs: dict[str, Any]) -> None:
    result = run(graph, inputs).assert_succeeded()

    assert "nobody approved it in time" in result.outputs["answer"]
    assert result.elapsed == pytest.approx(86_400, abs=60)
    assert notes(inputs) == []


def test_approved_from_the_start_it_does_not_ask(inputs: dict[str, Any]) -> None:
    result = run(graph, {**inputs, "auto_approve": True}).assert_succeeded()

    assert len(notes(inputs)) == 1
    assert result.signals == ()
    assert result.elapsed == 0


def test_an_approval_survives_what_goes_wrong_after_it(inputs: dict[str, Any]) -> None:
    def writes(state: Any) -> bool:
        return bool(state["calls"][0]["name"] == "write_note")

    result = run(
        graph,
        inputs,
        signals={"approval": {"approved": True}},
        failures=[
            fail("act", where=writes, after=True),
            crash("think"),
            crash("act", where=writes, after=True),
        ],
        deliveries=2,
    ).assert_succeeded()

    assert len(result.signals) == 1
    assert len(notes(inputs)) == 1
    assert result.outputs["rounds"] == 4
    assert len(result.store["messages"]) == 8  # the task, four thoughts and three results, each once


class Restless:
    """A model that never comes to an end."""

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Message:
        call = ToolCall(id=f"c{len(messages)}", name="calculate", arguments={"expression": "1 + 1"})
        return Message(role="assistant", text="once more", calls=[call])


def test_the_loop_is_bounded(inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "model_named", lambda _: Restless())

    result = run(graph, inputs).assert_succeeded()

    assert result.outputs["answer"] == f"No answer within {MAX_ROUNDS} rounds. The last thought: once more"
    assert result.executions("act") == MAX_ROUNDS


class Careless:
    """A model that wants two tools at once, one of them dangerous, and reads what came of them."""

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Message:
        if len(messages) > 1:
            return Message(role="assistant", text=" | ".join(result.text for result in messages[-1].results))
        wanted = {"calculate": {"expression": "2 + 2"}, "write_note": {"title": "x", "text": "y"}}
        calls = [ToolCall(id=name, name=name, arguments=arguments) for name, arguments in wanted.items()]
        return Message(role="assistant", calls=calls)


def test_a_refusal_concerns_the_dangerous_tool_alone(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "model_named", lambda _: Careless())

    result = run(graph, inputs, signals={"approval": {"approved": False, "reason": "no"}}).assert_succeeded()

    assert result.outputs["answer"] == "2 + 2 = 4 | a person refused it: no"


def test_an_unknown_model_fails_and_says_which_there_are(inputs: dict[str, Any]) -> None:
    run(graph, {**inputs, "model": "gpt"}).assert_failed("there is no model 'gpt'")


def test_one_node_by_itself(inputs: dict[str, Any]) -> None:
    call = {"id": "1", "name": "write_note", "arguments": {"title": "t", "text": "x"}}
    folders = {key: inputs[key] for key in ("documents", "notes")}

    execute(
        agent.Act,
        {"calls": [call], **folders, "auto_approve": False},
        resumed=Resumption("approval", {"approved": True}),
    )

    assert notes(inputs) == ["# t\n\nx\n"]
