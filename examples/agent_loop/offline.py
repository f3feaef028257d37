"""A stand-in for a model: a few rules that know the tools. It needs no account, and says the same every time."""

import re
from collections.abc import Sequence

from .conversation import Message, ToolCall, ToolSpec

_SEARCH = re.compile(
    r"\b(?:search|find|look up)\b(?:\s+(?:in\s+)?(?:the\s+)?(?:documents|docs))?(?:\s+(?:for|about|on))?\s+"
    r"(?:\"(?P<quoted>[^\"]+)\"|'(?P<single>[^']+)'|(?P<plain>[^,.;:]+?)(?=\s+and\b|\s+then\b|[,.;:]|$))",
    re.IGNORECASE,
)
_EXPRESSION = re.compile(r"[\d(][\d\s().]*(?:(?:\*\*|//|[-+*/%])[\s(-]*[\d.][\d\s().]*)+")
_NOTE = re.compile(r"\b(?:note|write|save|remember)\b", re.IGNORECASE)


class OfflineModel:
    """Searches if the task says so, calculates if it holds an expression, and writes a note if it asks for one."""

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Message:
        task, found = messages[0].text, _findings(messages)
        used = {call.name for message in messages for call in message.calls}
        for name, arguments in _plan(task, found).items():
            if name not in used and name in {tool.name for tool in tools}:
                call = ToolCall(id=f"call-{len(messages)}", name=name, arguments=arguments)
                return Message(role="assistant", text=f"I use {name}.", calls=[call])
        return Message(
            role="assistant", text="\n".join(found) or "There is nothing in this that I know how to do."
        )


def _plan(task: str, found: Sequence[str]) -> dict[str, dict[str, str]]:
    """The tools that the task asks for, in the order in which they make sense, with their arguments."""
    plan: dict[str, dict[str, str]] = {}
    if search := _SEARCH.search(task):
        plan["search_documents"] = {"query": next(filter(None, search.groups()))}
    if expression := _EXPRESSION.search(task):
        plan["calculate"] = {"expression": expression[0].strip()}
    if _NOTE.search(task):
        plan["write_note"] = {"title": task[:60], "text": "\n".join(found) or task}
    return plan


def _findings(messages: Sequence[Message]) -> list[str]:
    """What each tool gave so far."""
    names = {call.id: call.name for message in messages for call in message.calls}
    return [
        f"{names[result.id]}{' did not work' if result.failed else ''}: {result.text}"
        for message in messages
        for result in message.results
    ]
