"""Nodes as users write them. mypy checks this file: each ignored line must be an error, every other must be none."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import assert_type

from pydantic import BaseModel, SecretStr

from karman import (
    Context,
    FunctionNode,
    Next,
    Node,
    Prune,
    RequeueAfter,
    Resumption,
    Retry,
    Store,
    WaitFor,
    node,
)


class Summarize(
    Node, name="text.Summarize", timeout=timedelta(minutes=1), non_retryable=(ValueError, KeyError)
):
    class Inputs(BaseModel):
        text: str
        words: int = 100

    class Outputs(BaseModel):
        summary: str

    class Secrets(BaseModel):
        api_key: SecretStr

    async def execute(self) -> Outputs | Prune:
        assert_type(self.inputs, Summarize.Inputs)
        assert_type(self.inputs.text, str)
        assert_type(self.secrets.api_key, SecretStr)
        assert_type(self.ctx, Context)
        assert_type(self.ctx.store, Store)
        assert_type(self.ctx.resumed, Resumption | None)
        self.ctx.store.set("n", 1)
        await self.ctx.checkpoint()
        if not self.inputs.text:
            return Prune({"why": "empty"})
        _ = self.inputs.txt  # type: ignore[attr-defined]
        _ = self.secrets.password  # type: ignore[attr-defined]
        self.Outputs(summery="x")  # type: ignore[call-arg]
        self.Outputs(summary=3)  # type: ignore[arg-type]
        return self.Outputs(summary=self.inputs.text)


class Inherited(Summarize):
    async def execute(self) -> Summarize.Outputs:
        assert_type(self.inputs.words, int)
        return self.Outputs(summary="x")


class InThread(Node):
    Inputs = Summarize.Inputs
    Outputs = Summarize.Outputs

    def execute(self) -> list[Summarize.Outputs] | RequeueAfter | WaitFor:
        assert_type(self.inputs.words, int)
        assert_type(self.ctx.remaining(), float)
        if self.ctx.cancelled:
            return RequeueAfter(timedelta(seconds=5))
        if self.ctx.resumed is None:
            raise WaitFor("approval", timeout=60)
        return [self.Outputs(summary="x")]


class Yielding(Node):
    class Outputs(BaseModel):
        number: int

    async def execute(self) -> AsyncIterator[Outputs]:
        yield self.Outputs(number=1)


class Choosing(Node):
    class Outputs(BaseModel):
        number: int

    async def execute(self) -> Next[Outputs]:
        if self.ctx.attempt > 1:
            return Next("many", [self.Outputs(number=1), self.Outputs(number=2)])
        return Next("one", self.Outputs(number=1))


class Base(Node, abstract=True):
    pass


class WrongTimeout(Node, timeout="1 minute"):  # type: ignore[arg-type]
    async def execute(self) -> None: ...


class WrongOption(Node, non_retryable=[3]):  # type: ignore[list-item]
    async def execute(self) -> None: ...


@node
async def shorten(text: str, words: int = 3, *, ctx: Context) -> str:
    return text[:words]


@node(name="Numbers", timeout=5)
def numbers(count: int) -> Iterator[int]:
    yield from range(count)


async def use(ctx: Context) -> None:
    assert_type(await shorten("abc", ctx=ctx), str)
    assert_type(numbers(3), Iterator[int])
    await shorten(3, ctx=ctx)  # type: ignore[arg-type]
    await shorten("abc")  # type: ignore[call-arg]
    both: list[FunctionNode[..., object]] = [shorten, numbers]
    assert len(both) == 2


Retry.exponential(5, first=timedelta(seconds=1), jitter="full", non_retryable=[ValueError, "AuthError"])
Retry.exponential(jitter="half")  # type: ignore[arg-type]
RequeueAfter("soon")  # type: ignore[arg-type]
Prune("why")  # type: ignore[arg-type]
node(3)  # type: ignore[call-overload]
