"""What `execute` may return, and what is made of it."""

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_serializer

from karman import Context, Next, Node, Prune, RequeueAfter, WaitFor, node
from karman.testing import Awaiting, Errored, Pruned, Requeued, Succeeded, aexecute


class Page(BaseModel):
    number: int


class Pages(Node):
    class Inputs(BaseModel):
        answer: Any = None

    Outputs = Page

    async def execute(self) -> Any:
        return ANSWERS[self.inputs.answer]()


class PagesInThread(Pages):
    def execute(self) -> Any:
        return ANSWERS[self.inputs.answer]()


def generate() -> Iterator[Page]:
    yield Page(number=1)
    yield Page(number=2)


async def generate_async() -> AsyncIterator[Page]:
    for page in generate():
        yield page


async def later() -> Page:
    return Page(number=7)


class Numbered(Page):
    title: str = "untitled"


ANSWERS: dict[str, Any] = {
    "one": lambda: Page(number=1),
    "subclass": lambda: Numbered(number=1),
    "list": lambda: [Page(number=1), Page(number=2)],
    "none": lambda: None,
    "empty": list,
    "iterator": generate,
    "async_iterator": generate_async,
    "awaitable": later,
    "next": lambda: Next("left", Page(number=1)),
    "next_list": lambda: Next("left", [Page(number=1), Page(number=2)]),
    "next_none": lambda: Next("left"),
    "prune": lambda: Prune({"why": "empty"}),
    "prune_model": lambda: Prune(Page(number=1)),
    "prune_nothing": Prune,
    "requeue": lambda: RequeueAfter(1.5),
    "requeue_delta": lambda: RequeueAfter(dt.timedelta(minutes=1)),
    "wait": lambda: WaitFor("approval"),
    "wait_for_some_time": lambda: WaitFor("approval", timeout=60),
    # Wrong ones.
    "dict": lambda: {"number": 1},
    "text": lambda: "one",
    "tuple": lambda: (Page(number=1),),
    "none_in_list": lambda: [Page(number=1), None],
    "error": lambda: ValueError("returned, not raised"),
    "signal_in_list": lambda: [Prune()],
    "next_nowhere": lambda: Next("", Page(number=1)),
    "next_wrong": lambda: Next("left", "one"),
    "prune_text": lambda: Prune("empty"),  # type: ignore[arg-type]
    "prune_unwritable": lambda: Prune({"why": object()}),
    "corrupted": lambda: Page.model_construct(number="one"),  # type: ignore[arg-type]
}
TWO = ({"number": 1}, {"number": 2})


@pytest.mark.parametrize("manner", [Pages, PagesInThread])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("one", Succeeded(({"number": 1},))),
        ("subclass", Succeeded(({"number": 1, "title": "untitled"},))),
        ("list", Succeeded(TWO)),
        ("none", Succeeded(({},))),
        ("empty", Succeeded(())),
        ("iterator", Succeeded(TWO)),
        ("async_iterator", Succeeded(TWO)),
        ("awaitable", Succeeded(({"number": 7},))),
        ("next", Succeeded(({"number": 1},), chosen="left")),
        ("next_list", Succeeded(TWO, chosen="left")),
        ("next_none", Succeeded(({},), chosen="left")),
        ("prune", Pruned({"why": "empty"})),
        ("prune_model", Pruned({"number": 1})),
        ("prune_nothing", Pruned({})),
        ("requeue", Requeued(1500)),
        ("requeue_delta", Requeued(60_000)),
        ("wait", Awaiting("approval")),
        ("wait_for_some_time", Awaiting("approval", 60_000)),
    ],
)
async def test_what_may_be_returned(manner: type[Node], answer: str, outcome: object) -> None:
    assert await aexecute(manner, answer=answer) == outcome


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("dict", "The output is of type dict; return Page(...), a list of them"),
        ("text", "The output is of type str"),
        ("tuple", "The output is of type tuple"),
        ("none_in_list", "Output 1 is of type NoneType"),
        ("error", "The output is of type ValueError"),
        ("signal_in_list", "Output 0 is of type Prune"),
        ("next_nowhere", "Next takes the identifier of a node instance"),
        ("next_wrong", "The output is of type str"),
        ("prune_text", "Prune takes a mapping or a model, not 'empty'"),
        ("prune_unwritable", "The data of Prune cannot be written as JSON"),
        ("corrupted", "The output cannot be written as JSON"),
    ],
)
async def test_what_may_not_be_returned(answer: str, message: str) -> None:
    outcome = await aexecute(Pages, answer=answer)

    assert isinstance(outcome, Errored)
    assert outcome.kind == "invalid_output"
    assert message in outcome.message
    assert not outcome.retry


async def test_execute_may_yield() -> None:
    class Yielding(Node):
        Outputs = Page

        async def execute(self) -> AsyncIterator[Page]:
            yield Page(number=1)
            yield Page(number=2)

    class YieldingInThread(Node):
        Outputs = Page

        def execute(self) -> Iterator[Page]:
            yield from generate()

    assert await aexecute(Yielding) == await aexecute(YieldingInThread) == Succeeded(TWO)


@pytest.mark.parametrize("signal", [Prune({"why": "deep"}), RequeueAfter(2), WaitFor("go")])
async def test_signals_may_be_raised_through_except_exception(signal: BaseException) -> None:
    @node
    async def deep() -> None:
        try:
            raise signal
        except Exception:  # noqa: BLE001
            pass

    assert isinstance(await aexecute(deep), Pruned | Requeued | Awaiting)


async def test_outputs_are_json() -> None:
    class Rich(BaseModel):
        model_config = ConfigDict(populate_by_name=True)

        when: dt.datetime
        id: UUID
        tags: set[str]
        raw: bytes
        parts: tuple[int, str]
        named: int = Field(serialization_alias="calledOtherwise")

    @node
    async def rich() -> Rich:
        return Rich(
            when=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
            id=UUID(int=1),
            tags={"a"},
            raw=b"raw",
            parts=(1, "x"),
            named=5,
        )

    outcome = await aexecute(rich)

    assert outcome == Succeeded(
        (
            {
                "when": "2026-01-02T00:00:00Z",
                "id": "00000000-0000-0000-0000-000000000001",
                "tags": ["a"],
                "raw": "raw",
                "parts": [1, "x"],
                "calledOtherwise": 5,
            },
        )
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "holds NaN or Infinity"),
        ([1, {"deep": float("-inf")}], "holds NaN or Infinity"),
        ("\ud800", "value: The text holds half of a surrogate pair"),
        (object(), "cannot be written as JSON"),
    ],
)
async def test_what_json_cannot_hold_is_refused(value: object, message: str) -> None:
    class Anything(BaseModel):
        value: Any

    @node
    async def give() -> Anything:
        return Anything(value=value)

    outcome = await aexecute(give)

    assert isinstance(outcome, Errored)
    assert (outcome.kind, outcome.retry) == ("invalid_output", False)
    assert message in outcome.message


async def test_a_serializer_may_raise_anything() -> None:
    class Odd(BaseModel):
        value: int

        @model_serializer
        def write(self) -> dict[str, Any]:
            raise OSError("no disk")

    @node
    async def give() -> Odd:
        return Odd(value=1)

    outcome = await aexecute(give)

    assert isinstance(outcome, Errored)
    assert (outcome.kind, outcome.retry) == ("invalid_output", False)
    assert "no disk" in outcome.message


async def test_an_async_iterator_that_is_no_generator() -> None:
    class Count:
        def __init__(self) -> None:
            self.number = 0

        def __aiter__(self) -> "Count":
            return self

        async def __anext__(self) -> int:
            self.number += 1
            if self.number > 2:
                raise StopAsyncIteration
            return self.number

    @node
    async def give() -> AsyncIterator[int]:
        return Count()

    assert await aexecute(give) == Succeeded(({"result": 1}, {"result": 2}))


async def test_where_nan_stands_in_typed_fields() -> None:
    class Measured(BaseModel):
        values: list[float]

    @node
    async def give() -> Measured:
        return Measured(values=[1.0, float("nan")])

    outcome = await aexecute(give)

    assert isinstance(outcome, Errored)
    assert "values[1]" in outcome.message


async def test_an_output_that_is_no_object() -> None:
    class Numbers(RootModel[list[int]]):
        pass

    class Giving(Node):
        Outputs = Numbers

        async def execute(self) -> Numbers:
            return Numbers([1])

    outcome = await aexecute(Giving)

    assert isinstance(outcome, Errored)
    assert "no JSON object; make" in outcome.message


async def test_effects_go_with_every_outcome_but_errors() -> None:
    @node
    async def act(how: str, *, ctx: Context) -> int:
        ctx.store.set("seen", how)
        ctx.signal("done", how)
        if how == "prune":
            raise Prune
        if how == "requeue":
            raise RequeueAfter(1)
        if how == "wait":
            raise WaitFor("go")
        if how == "raise":
            raise ValueError(how)
        return 1

    for how in ("return", "prune", "requeue", "wait"):
        outcome = await aexecute(act, how=how)
        assert not isinstance(outcome, Errored)
        assert [write.key for write in outcome.effects.store] == ["seen"]
        assert [signal.name for signal in outcome.effects.signals] == ["done"]
    assert isinstance(await aexecute(act, how="raise"), Errored)
