"""An agent: it thinks, acts with tools, and thinks again, until it has an answer or has had its turns.

    karman run examples/agent_loop/agent.py --input task='calculate 17 * 23 and write a note' --db agent.db
    karman signal RUN approval --payload '{"approved": true}' --db agent.db

    start > think > answer
            ^   v
             act        before a dangerous tool it waits for the signal `approval`

The conversation is kept in the run's store. A turn adds to it with its commit, once, however often it was attempted.
"""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ValidationError

from karman import Graph, Next, Node, Retry, WaitFor

from .conversation import Message, ToolCall, ToolResult
from .models import model_named
from .tools import TOOLS, Workspace, is_dangerous, use

MAX_ROUNDS = 8
APPROVAL = "approval"
APPROVAL_TIMEOUT = timedelta(days=1)


class Approval(BaseModel):
    """The payload of the signal."""

    approved: bool
    reason: str = ""


class Start(Node):
    """Opens the conversation."""

    class Inputs(BaseModel):
        """The task. `model` is `offline` or `bedrock:<id>`; the agent reads `documents` and writes `notes`."""

        task: str
        model: str = "offline"
        documents: Path = Path("docs")
        notes: Path = Path("notes")
        auto_approve: bool = False

    Outputs = Inputs

    def execute(self) -> Inputs:
        asked = self.inputs
        self.ctx.store.set("messages", [Message(role="user", text=asked.task)])
        folders = {"documents": asked.documents.absolute(), "notes": asked.notes.absolute()}
        return asked.model_copy(update=folders)


class Think(Node, timeout=timedelta(minutes=3)):
    """Asks the model what to do next, and chooses what follows."""

    class Inputs(BaseModel):
        """Which model."""

        model: str

    class Outputs(BaseModel):
        """What the model said, and the tools that it wants to be used."""

        text: str
        calls: list[ToolCall]

    def execute(self) -> Next[Outputs]:
        store = self.ctx.store
        messages = [Message.model_validate(message) for message in store.get_sync("messages")]
        reply = model_named(self.inputs.model).reply(messages, [tool.spec for tool in TOOLS.values()])
        store.append("messages", reply)
        store.increment("rounds")
        outputs = self.Outputs(text=reply.text, calls=reply.calls)
        if not reply.calls:
            return Next("answer", outputs)
        if store.get_sync("rounds") > MAX_ROUNDS:
            outputs.text = f"No answer within {MAX_ROUNDS} rounds. The last thought: {reply.text}"
            return Next("answer", outputs)
        return Next("act", outputs)


class Act(Node):
    """Uses the tools, if need be after a person has approved."""

    class Inputs(BaseModel):
        """What to do, and with what."""

        calls: list[ToolCall]
        documents: Path
        notes: Path
        auto_approve: bool

    def execute(self) -> Next[BaseModel]:
        asked = self.inputs
        refusal = self._refusal() if any(map(is_dangerous, asked.calls)) and not asked.auto_approve else None
        workspace = Workspace(asked.documents, asked.notes)
        results = [
            ToolResult(id=call.id, text=refusal, failed=True)
            if refusal and is_dangerous(call)
            else use(call, workspace)
            for call in asked.calls
        ]
        self.ctx.store.append("messages", Message(role="user", results=results))
        return Next("think")

    def _refusal(self) -> str | None:
        """Why a person does not want it; None if they approve. Ends the execution to wait for their word.

        Nothing has been done yet at this point: when the signal comes, `execute` begins anew.
        """
        resumed = self.ctx.resumed
        if resumed is None:
            for call in filter(is_dangerous, self.inputs.calls):
                self.ctx.logger.warning(
                    "approval needed", extra={"tool": call.name, "arguments": call.arguments}
                )
            raise WaitFor(APPROVAL, timeout=APPROVAL_TIMEOUT)
        if resumed.timed_out:
            return "nobody approved it in time"
        try:
            approval = Approval.model_validate(resumed.payload)
        except ValidationError:
            return "the answer to the request for approval made no sense"
        return None if approval.approved else f"a person refused it: {approval.reason or 'no reason given'}"


class Answer(Node):
    """Ends the run with what came of it."""

    class Inputs(BaseModel):
        """The model's last word."""

        text: str

    class Outputs(BaseModel):
        """The answer, and how it came about."""

        answer: str
        rounds: int
        tools: list[str]

    def execute(self) -> Outputs:
        store = self.ctx.store
        messages = [Message.model_validate(message) for message in store.get_sync("messages")]
        tools = [call.name for message in messages for call in message.calls]
        return self.Outputs(answer=self.inputs.text, rounds=store.get_sync("rounds"), tools=tools)


graph = Graph(
    "agent",
    description="An agent that thinks and acts in turns, and asks before it does something dangerous",
    retry=Retry.exponential(4, first=1, jitter="full", max_delay=30),
    store_defaults={"messages": [], "rounds": 0},
    timeout=timedelta(days=7),
)
start = graph.add(Start, "start")
think = graph.add(Think, "think", model=start.outputs.model)
act = graph.add(
    Act,
    "act",
    calls=think.outputs.calls,
    documents=start.outputs.documents,
    notes=start.outputs.notes,
    auto_approve=start.outputs.auto_approve,
)
answer = graph.add(Answer, "answer", text=think.outputs.text)

start >> think >> [act, answer]
graph.loop(act, think, max_rounds=MAX_ROUNDS)
