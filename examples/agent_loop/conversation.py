"""What an agent and its model say to each other, whichever model it is."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from pydantic import BaseModel


class ToolCall(BaseModel):
    """The model wants a tool to be used; the result names the same id."""

    id: str
    name: str
    arguments: dict[str, Any]


class ToolResult(BaseModel):
    """What came of a tool call; `failed` tells the model that it did not work."""

    id: str
    text: str
    failed: bool = False


class Message(BaseModel):
    """A turn of the conversation. Calls are the assistant's, results the user's: they answer the calls before."""

    role: Literal["user", "assistant"]
    text: str = ""
    calls: list[ToolCall] = []
    results: list[ToolResult] = []


class ToolSpec(BaseModel):
    """What a model is told of a tool; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


class Model(Protocol):
    """Anything that can go on with a conversation."""

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Message:
        """The assistant's next message: calls of tools, or the final text.

        Raises:
            NonRetryable: asking again would not help.
        """
        ...
