"""`karman.testing` runs graphs: what it gives, and what it says when a test is wrong."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from karman import (
    Context,
    Graph,
    InvalidInput,
    KarmanError,
    Next,
    Node,
    Prune,
    RequeueAfter,
    Retry,
    WaitFor,
    node,
)
from karman.testing import arun, crash, fail, run, stub


class Page(BaseModel):
    number: int
    text: str


@node
async def split(text: str) -> list[Page]:
    return [Page(number=number, text=word) for number, word in enumerate(text.split())]


@node
async def shout(number: int, text: str) -> str:
    return f"{number}{text.upper()}"


@node
def join(words: list[str]) -> str:
    return " ".join(words)


def digest(**options: Any) -> Graph:
    graph = Graph("digest", **options)
    pages = graph.add(split)
    words = graph.add(shout, number=pages.outputs.number, text=pages.outputs.text)
    joined = graph.add(join, unites=pages, words=words.outputs.result)
    pages >> words >> joined
    graph.outputs = {"text": joined.outputs.result}
    return graph


def single(step: Any, **options: Any) -> Graph:
    graph = Graph("single", **options)
    graph.add(step, "only")
    return graph


def test_a_run_and_what_it_tells() -> None:
    result = run(digest(), {"text": "a b c"})

    result.assert_succeeded()
    assert result.outputs == {"text": "0A 1B 2C"}
    assert result.elapsed == 0
    assert [state.identifier for state in result.states()] == ["split", "shout", "shout", "shout", "join"]
    assert [state.outputs for state in result.states("shout")] == [
        ({"result": f"{word}"},) for word in ("0A", "1B", "2C")
    ]
    assert result.state("join").inputs == {"words": ["0A", "1B", "2C"]}
    assert result.executions("shout") == 3


async def test_it_runs_in_async_tests_too() -> None:
    result = await arun(digest(), {"text": "a"})

    assert result.assert_succeeded().outputs == {"text": "0A"}
    with pytest.raises(KarmanError, match=r"in an async test write `await arun\(...\)`"):
        run(digest(), {"text": "a"})


def test_retries_take_no_time() -> None:
    graph = digest(retry=Retry.exponential(5, first=3600))

    result = run(graph, {"text": "a b"}, failures=[fail("shout", times=3, error=TimeoutError)])

    assert result.assert_succeeded().outputs == {"text": "0A 1B"}
    assert result.elapsed == 3600 + 7200 + 14400
    assert result.executions("shout") == 8
    first = result.states("shout")[0].attempts
    assert [attempt.error_kind for attempt in first if attempt.error_kind] == ["TimeoutError"] * 3


def test_a_failure_may_strike_some_states_only() -> None:
    failure = fail(
        "shout", times=None, error=ValueError("bad page"), where=lambda inputs: inputs["number"] == 1
    )

    result = run(digest(retry=Retry.fixed(1, delay=10)), {"text": "a b c"}, failures=[failure])

    result.assert_failed(match="ValueError: bad page")
    assert [state.status for state in result.states("shout")] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert result.executions("join") == 0
    assert result.outputs is None


def test_a_crash_is_taken_over_and_is_no_attempt() -> None:
    graph = digest(retry=Retry.never())

    result = run(graph, {"text": "a b"}, failures=[crash("shout", times=2), crash("join", after=True)])

    assert result.assert_succeeded().outputs == {"text": "0A 1B"}
    assert result.executions("shout") == 6
    assert result.executions("join") == 2
    assert result.elapsed >= 120


@pytest.mark.parametrize("deliveries", [2, 3])
def test_messages_may_be_delivered_more_than_once(deliveries: int) -> None:
    result = run(digest(), {"text": "a b c"}, deliveries=deliveries, failures=[fail("shout")])

    assert result.assert_succeeded().outputs == {"text": "0A 1B 2C"}
    assert len(result.states("shout")) == 3
    assert result.view.totals.succeeded == 5


@pytest.mark.parametrize(
    "outputs",
    [
        [{"number": 0, "text": "x"}],
        [Page(number=0, text="x")],
        lambda inputs: [Page(number=0, text=inputs["text"][0])],
        {"number": 0, "text": "x"},
    ],
)
def test_stubs_stand_for_nodes(outputs: Any) -> None:
    result = run(digest(), {"text": "xyz"}, stubs=[stub("split", outputs)])

    assert result.assert_succeeded().outputs == {"text": "0X"}
    assert result.executions("split") == 1


def test_stubs_may_do_all_that_nodes_do() -> None:
    def answer(inputs: Mapping[str, Any]) -> object:
        return [{"result": "zero"}, Prune({"why": "odd"}), ValueError("two")][inputs["number"]]

    result = run(digest(retry=Retry.never()), {"text": "a b c"}, stubs=[stub("shout", answer)])

    assert [state.status for state in result.states("shout")] == ["SUCCEEDED", "PRUNED", "FAILED"]
    assert run(digest(), {"text": "a"}, stubs=[stub("join", Next("nowhere"))]).status == "FAILED"


def test_nodes_of_others_are_stubbed() -> None:
    graph = Graph("mixed")
    theirs = graph.add("TheirNode", "theirs", namespace="shared", word="hello")
    ours = graph.add(shout, "ours", number=1, text=theirs.outputs.word)
    theirs >> ours

    assert run(graph, stubs=[stub("theirs", {"word": "hi"})]).assert_succeeded().outputs == {"result": "1HI"}
    with pytest.raises(InvalidInput, match=r"give stubs=\[stub\('theirs', outputs\)\]"):
        run(graph)


class Approve(Node):
    class Inputs(BaseModel):
        patience: float | None = None

    class Outputs(BaseModel):
        by: str

    async def execute(self) -> Outputs | WaitFor:
        if self.ctx.resumed is None:
            return WaitFor("approval", timeout=self.inputs.patience)
        if self.ctx.resumed.timed_out:
            return self.Outputs(by="nobody")
        return self.Outputs(by=self.ctx.resumed.payload["by"])


def test_signals_are_sent_when_awaited() -> None:
    result = run(single(Approve), signals={"approval": {"by": "Ada"}})

    assert result.assert_succeeded().outputs == {"by": "Ada"}
    assert [(signal.name, signal.payload) for signal in result.signals] == [("approval", {"by": "Ada"})]
    assert result.executions("only") == 2


def test_each_wait_is_answered() -> None:
    names = iter(["Ada", "Grace", "Joan"])
    graph = Graph("votes")
    pages = graph.add(split)
    votes = graph.add(Approve, "vote")
    counted = graph.add(join, unites=pages, words=votes.outputs.by)
    pages >> votes >> counted

    result = run(graph, {"text": "a b c"}, signals={"approval": lambda: {"by": next(names)}})

    result.assert_succeeded()
    assert sorted(result.state("join").inputs["words"]) == ["Ada", "Grace", "Joan"]  # type: ignore[index]


def test_an_unanswered_wait_times_out_or_stays() -> None:
    late = run(single(Approve), {"patience": 86_400})
    waiting = run(single(Approve))

    assert late.assert_succeeded().outputs == {"by": "nobody"}
    assert late.elapsed == 86_400
    assert waiting.status == "WAITING"
    with pytest.raises(AssertionError, match="it awaits 'approval', which nobody sends: give signals="):
        waiting.assert_succeeded()


def test_requeues_and_the_store() -> None:
    @node
    async def poll(ctx: Context) -> int:
        ctx.store.increment("polls")
        ctx.store.append("at", ctx.turn)
        if await ctx.store.get("polls") < 3:
            raise RequeueAfter(600)
        return int(await ctx.store.get("polls"))

    result = run(single(poll), store={"polls": 0})

    assert result.assert_succeeded().outputs == {"result": 3}
    assert result.store == {"polls": 3, "at": [0, 1, 2]}
    assert result.elapsed == 1200


def test_secrets() -> None:
    class Keys(BaseModel):
        api_key: str

    @node
    async def ask(secrets: Keys) -> str:
        return secrets.api_key[::-1]

    assert run(single(ask), secrets={"api_key": "abc"}).outputs == {"result": "cba"}
    assert run(single(ask), stubs=[stub("only", {"result": "x"})]).outputs == {"result": "x"}
    with pytest.raises(InvalidInput, match=r"'only' reads the secret 'api_key'; give secrets="):
        run(single(ask))


def test_a_failed_assertion_shows_the_tree() -> None:
    @node
    async def explode() -> None:
        raise RuntimeError("first line\nsecond line")

    result = run(single(explode, retry=Retry.fixed(1, delay=5)))

    with pytest.raises(AssertionError) as raised:
        result.assert_succeeded()
    told = str(raised.value)
    assert told.startswith("The run is FAILED, not SUCCEEDED.\nrun ")
    assert "only  FAILED  (2 turns)" in told
    assert "attempt 2: RuntimeError: first line" in told
    assert 'raise RuntimeError("first line\\nsecond line")' in told
    assert "_internal" not in told


def test_names_that_the_graph_does_not_have() -> None:
    result = run(digest(), {"text": "a"})

    for wrong in (
        lambda: run(digest(), {"text": "a"}, failures=[fail("shuot")]),
        lambda: run(digest(), {"text": "a"}, stubs=[stub("shuot")]),
        lambda: result.states("shuot"),
        lambda: result.executions("shuot"),
    ):
        with pytest.raises(InvalidInput, match="The graph has no 'shuot': did you mean 'shout'"):
            wrong()
    with pytest.raises(AssertionError, match="'shout' has 2 states, not one"):
        run(digest(), {"text": "a b"}).state("shout")
    with pytest.raises(InvalidInput, match="times is 0"):
        fail("shout", times=0)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            {"text": "no number"},
            "invalid_output: The stub's output does not fit Page: number: Field required.",
        ),
        ("text", "invalid_output: The output is of type str"),
        (KeyError, "invalid_output: The output is of type type"),
        (lambda inputs: inputs["nothing"], "KeyError: 'nothing'"),
    ],
)
def test_stubs_that_do_not_fit(outputs: Any, message: str) -> None:
    result = run(digest(retry=Retry.never()), {"text": "a"}, stubs=[stub("split", outputs)])

    result.assert_failed(match=message)
    with pytest.raises(AssertionError, match="which does not hold 'something else'"):
        result.assert_failed(match="something else")


def test_the_tree_of_a_wide_run_shows_what_failed() -> None:
    text = " ".join("abcdefghij" * 10)
    failure = fail("shout", times=None, where=lambda inputs: inputs["number"] == 57)

    failed = run(digest(retry=Retry.never()), {"text": text}, failures=[failure])
    good = run(digest(), {"text": text})

    assert "    [57] shout  FAILED\n" in failed.tree()
    assert failed.tree().endswith("... and 100 states more")
    assert good.tree().endswith("... and 42 states more")


def test_inputs_that_do_not_fit() -> None:
    with pytest.raises(InvalidInput, match="text"):
        run(digest())
    with pytest.raises(InvalidInput, match="inputs cannot be written as JSON"):
        run(digest(), {"text": object()})
