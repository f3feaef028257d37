"""What a node knows of its execution, and the signals it sends."""

from typing import Any

import pytest

from karman import Context, Node, Resumption, node
from karman.testing import Errored, SentSignal, Succeeded, aexecute
from tests.sdk.executions import execution, executor


async def test_who_and_where_it_is() -> None:
    seen: list[Context] = []

    class Looking(Node):
        async def execute(self) -> None:
            seen.append(self.ctx)

    await executor(Looking).execute(execution("Looking"))

    (ctx,) = seen
    assert (ctx.namespace, ctx.run_id, ctx.state_id, ctx.graph) == ("team", "run-1", "run-1--0", "graph")
    assert (ctx.identifier, ctx.attempt, ctx.turn, ctx.resumed) == ("place", 2, 3, None)
    assert repr(ctx) == "Context(run_id='run-1', identifier='place', state_id='run-1--0', attempt=2)"


@pytest.mark.parametrize("resumed", [Resumption("go", {"a": 1}), Resumption("go", timed_out=True)])
async def test_what_it_was_resumed_by(resumed: Resumption) -> None:
    @node
    async def look(ctx: Context) -> Any:
        return [ctx.resumed.signal, ctx.resumed.payload, ctx.resumed.timed_out] if ctx.resumed else None

    outcome = await aexecute(look, resumed=resumed)

    assert isinstance(outcome, Succeeded)
    assert [row["result"] for row in outcome.outputs] == [resumed.signal, resumed.payload, resumed.timed_out]


async def test_log_records_have_the_fields(caplog: pytest.LogCaptureFixture) -> None:
    @node(name="Talk")
    async def talk(ctx: Context) -> None:
        ctx.logger.warning("page_read", extra={"page": 3})

    await executor(talk).execute(execution("Talk"))

    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("karman.nodes.Talk", "page_read")
    fields = ("run_id", "state_id", "identifier", "attempt", "page")
    assert [getattr(record, name) for name in fields] == ["run-1", "run-1--0", "place", 2, 3]


@pytest.mark.parametrize("threaded", [True, False])
async def test_signals_are_sent_in_order_with_the_outcome(*, threaded: bool) -> None:
    def tell(ctx: Context) -> None:
        ctx.signal("first", {"n": 1})
        ctx.signal("second", run_id="other")

    async def tell_async(ctx: Context) -> None:
        tell(ctx)

    outcome = await aexecute(node(tell) if threaded else node(tell_async))

    assert isinstance(outcome, Succeeded)
    assert outcome.effects.signals == (SentSignal("first", {"n": 1}), SentSignal("second", None, "other"))


@pytest.mark.parametrize(
    ("name", "payload", "message"),
    [
        ("", None, "A signal's name is a text of 1 to 128 characters"),
        ("x" * 129, None, "A signal's name is a text of 1 to 128 characters"),
        (3, None, "A signal's name is a text of 1 to 128 characters"),
        ("go", object(), "The payload of signal 'go' cannot be written as JSON"),
        ("go", {"x": float("nan")}, "The payload of signal 'go' cannot be written as JSON: x:"),
    ],
)
async def test_signals_that_cannot_be_sent(name: Any, payload: Any, message: str) -> None:
    @node
    async def tell(ctx: Context) -> None:
        ctx.signal(name, payload)

    outcome = await aexecute(tell)

    assert isinstance(outcome, Errored)
    assert outcome.kind == "InvalidInput"
    assert outcome.message.startswith(message)
