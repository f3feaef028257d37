"""Nodes that choose, loop and talk to each other, as tests see them."""

from pydantic import BaseModel

from karman import Context, Graph, Next, Node, Prune, WaitFor, node
from karman.testing import run, stub


class Think(Node):
    class Inputs(BaseModel):
        question: str

    class Outputs(BaseModel):
        thought: str = ""

    async def execute(self) -> Next[Outputs]:
        rounds = await self.ctx.store.get("rounds", 0)
        if rounds < 3:
            return Next("act", self.Outputs(thought=f"try {rounds}"))
        return Next("answer", self.Outputs(thought=f"after {rounds} rounds"))


@node
async def ask(question: str) -> str:
    return question


@node
async def act(thought: str, *, ctx: Context) -> Next[str]:
    ctx.store.increment("rounds")
    return Next("think", thought)


@node
async def answer(thought: str) -> str:
    return f"42, {thought}"


def agent(rounds: int) -> Graph:
    graph = Graph("agent", store_defaults={"rounds": 0})
    asking = graph.add(ask)
    thinking = graph.add(Think, "think", question=asking.outputs.result)
    acting = graph.add(act, thought=thinking.outputs.thought)
    answering = graph.add(answer, thought=thinking.outputs.thought)
    asking >> thinking >> [acting, answering]
    graph.loop(acting, thinking, max_rounds=rounds)
    return graph


def test_an_agent_thinks_and_acts_in_turns() -> None:
    result = run(agent(5), {"question": "6 * 7?"}).assert_succeeded()

    assert result.outputs == {"result": "42, after 3 rounds"}
    assert [state.identifier for state in result.states()] == [
        "ask",
        *["think", "act"] * 3,
        "think",
        "answer",
    ]
    assert result.store == {"rounds": 3}


def test_a_loop_has_an_end() -> None:
    result = run(agent(2), {"question": "6 * 7?"})

    assert result.assert_failed().executions("act") == 3


def test_a_branch_tells_another() -> None:
    @node
    async def begin() -> list[str]:
        return ["asks", "answers"]

    @node
    async def talk(role: str, *, ctx: Context) -> str:
        if role == "answers":
            ctx.signal("reply", {"text": "yes"})
            return "told"
        if ctx.resumed is None:
            raise WaitFor("reply")
        return str(ctx.resumed.payload["text"])

    @node
    async def gather(words: list[str]) -> str:
        return " ".join(words)

    graph = Graph("dialogue")
    start = graph.add(begin)
    talking = graph.add(talk, role=start.outputs.result)
    end = graph.add(gather, unites=start, words=talking.outputs.result)
    start >> talking >> end

    result = run(graph).assert_succeeded()

    assert result.state("gather").outputs == ({"result": "yes told"},)
    assert [(signal.name, signal.payload) for signal in result.signals] == [("reply", {"text": "yes"})]


def test_a_stub_may_choose_and_prune() -> None:
    chosen = run(agent(5), {"question": "x"}, stubs=[stub("think", Next("answer", {"thought": "at once"}))])
    pruned = run(agent(5), {"question": "x"}, stubs=[stub("think", Prune({"why": "no"}))])

    assert chosen.assert_succeeded().outputs == {"result": "42, at once"}
    assert pruned.state("think").status == "PRUNED"
    assert pruned.executions("act") == 0
