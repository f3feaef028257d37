"""The Converse client, against botocore's own model of the API: the stubber refuses what the service would."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from examples.agent_loop.bedrock import SYSTEM, BedrockModel, ModelFailed, ModelRefused, make_client
from examples.agent_loop.conversation import Message, ToolCall, ToolResult
from examples.agent_loop.tools import TOOLS

MODEL = "amazon.nova-lite-v1:0"
SPECS = [tool.spec for tool in TOOLS.values()]
CONVERSATION = [
    Message(role="user", text="What is 17 * 23?"),
    Message(
        role="assistant",
        text="I calculate.",
        calls=[ToolCall(id="tooluse_1", name="calculate", arguments={"expression": "17 * 23"})],
    ),
    Message(role="user", results=[ToolResult(id="tooluse_1", text="17 * 23 = 391")]),
]


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    client = boto3.client(
        "bedrock-runtime", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def model(stubber: Stubber) -> BedrockModel:
    client: Any = stubber.client
    return BedrockModel(MODEL, client)


def response(reason: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": reason,
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 5},
    }


def test_a_whole_conversation_is_sent_in_the_shapes_of_converse(
    stubber: Stubber, model: BedrockModel
) -> None:
    expected = {
        "modelId": MODEL,
        "system": [{"text": SYSTEM}],
        "messages": [
            {"role": "user", "content": [{"text": "What is 17 * 23?"}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "I calculate."},
                    {
                        "toolUse": {
                            "toolUseId": "tooluse_1",
                            "name": "calculate",
                            "input": {"expression": "17 * 23"},
                        }
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "tooluse_1",
                            "content": [{"text": "17 * 23 = 391"}],
                            "status": "success",
                        }
                    }
                ],
            },
        ],
        "toolConfig": ANY,
        "inferenceConfig": {"maxTokens": 2000},
    }
    stubber.add_response("converse", response("end_turn", {"text": "391"}), expected)

    assert model.reply(CONVERSATION, SPECS) == Message(role="assistant", text="391")


def test_tools_are_described_by_json_schema(stubber: Stubber, model: BedrockModel) -> None:
    sent: list[dict[str, Any]] = []
    stubber.client.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse", lambda params, **_: sent.append(params)
    )
    stubber.add_response("converse", response("end_turn", {"text": "ok"}))

    model.reply(CONVERSATION[:1], SPECS)

    tools = [tool["toolSpec"] for tool in sent[0]["toolConfig"]["tools"]]
    assert [tool["name"] for tool in tools] == ["calculate", "search_documents", "write_note"]
    assert tools[0]["inputSchema"]["json"]["properties"]["expression"]["type"] == "string"
    assert tools[0]["inputSchema"]["json"]["required"] == ["expression"]


def test_calls_of_tools_are_read_several_at_once(stubber: Stubber, model: BedrockModel) -> None:
    uses = [
        {"toolUse": {"toolUseId": f"t{n}", "name": "calculate", "input": {"expression": f"{n} + 1"}}}
        for n in (1, 2)
    ]
    stubber.add_response("converse", response("tool_use", {"text": "Let me see."}, *uses))

    reply = model.reply(CONVERSATION[:1], SPECS)

    assert reply.text == "Let me see."
    assert [(call.id, call.arguments["expression"]) for call in reply.calls] == [
        ("t1", "1 + 1"),
        ("t2", "2 + 1"),
    ]


def test_failed_tools_are_told_as_such(stubber: Stubber, model: BedrockModel) -> None:
    sent: list[dict[str, Any]] = []
    stubber.client.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse", lambda params, **_: sent.append(params)
    )
    stubber.add_response("converse", response("end_turn", {"text": "ok"}))
    failed = Message(role="user", results=[ToolResult(id="tooluse_1", text="", failed=True)])

    model.reply([*CONVERSATION[:2], failed], SPECS)

    (block,) = sent[0]["messages"][2]["content"]
    assert block["toolResult"]["status"] == "error"
    assert block["toolResult"]["content"] == [{"text": "(empty)"}]  # no text is no valid block


@pytest.mark.parametrize("reason", ["max_tokens", "malformed_tool_use", "malformed_model_output"])
def test_an_answer_of_no_use_is_worth_another_attempt(
    stubber: Stubber, model: BedrockModel, reason: str
) -> None:
    stubber.add_response("converse", response(reason, {"text": "half"}))

    with pytest.raises(ModelFailed, match=reason):
        model.reply(CONVERSATION, SPECS)


@pytest.mark.parametrize("reason", ["guardrail_intervened", "content_filtered"])
def test_a_stopped_answer_is_final(stubber: Stubber, model: BedrockModel, reason: str) -> None:
    stubber.add_response("converse", response(reason, {"text": "no"}))

    with pytest.raises(ModelRefused, match=reason):
        model.reply(CONVERSATION, SPECS)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", ModelRefused),
        ("ValidationException", ModelRefused),
        ("ResourceNotFoundException", ModelRefused),
        ("ThrottlingException", ClientError),
        ("ServiceUnavailableException", ClientError),
    ],
)
def test_errors_say_whether_another_attempt_can_help(
    stubber: Stubber, model: BedrockModel, code: str, error: type[Exception]
) -> None:
    stubber.add_client_error("converse", code, "as it says")

    with pytest.raises(error, match="as it says"):
        model.reply(CONVERSATION, SPECS)


def test_the_client_leaves_retrying_to_karman(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

    client: Any = make_client()

    assert client.meta.config.retries["total_max_attempts"] == 1
    assert client.meta.region_name == "eu-central-1"
