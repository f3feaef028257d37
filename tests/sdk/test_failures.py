"""Whatever a node raises is an outcome: named, bounded, and without Karman's own frames."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from karman import Node, NonRetryable, node
from karman.testing import Errored, aexecute


class Rejected(NonRetryable):
    pass


class Throttling(ConnectionError):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


ERRORS: dict[str, BaseException | type[BaseException]] = {
    "value": ValueError("wrong"),
    "rejected": Rejected("malformed"),
    "throttling": Throttling("slow down"),
    "silent": ValueError(),
    "mute": Mute(),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "cancelled": asyncio.CancelledError(),
    "stop": StopIteration(3),
    "generator_exit": GeneratorExit(),
    "group": ExceptionGroup("several", [ValueError("one"), KeyError("two")]),
    "base": BaseException("odd"),
}


@node
async def on_loop(name: str) -> None:
    await asyncio.sleep(0)
    raise ERRORS[name]


@node
def in_thread(name: str) -> None:
    raise ERRORS[name]


@pytest.mark.parametrize("where", [on_loop, in_thread])
@pytest.mark.parametrize(
    ("name", "kind", "message", "retry"),
    [
        ("value", "ValueError", "wrong", True),
        ("rejected", "Rejected", "malformed", False),
        ("throttling", "Throttling", "slow down", True),
        ("silent", "ValueError", "ValueError was raised without a message.", True),
        ("mute", "Mute", "Mute was raised; its message is lost, as str() raised RuntimeError.", True),
        ("exit", "SystemExit", "3", True),
        ("interrupt", "KeyboardInterrupt", "KeyboardInterrupt was raised without a message.", True),
        ("cancelled", "CancelledError", "CancelledError was raised without a message.", True),
        ("generator_exit", "GeneratorExit", "GeneratorExit was raised without a message.", True),
        ("group", "ExceptionGroup", "several (2 sub-exceptions)", True),
        ("base", "BaseException", "odd", True),
    ],
)
async def test_what_is_raised_becomes_an_outcome(
    where: Any, name: str, kind: str, message: str, *, retry: bool
) -> None:
    outcome = await aexecute(where, name=name)

    assert isinstance(outcome, Errored)
    assert (outcome.kind, outcome.message, outcome.retry) == (kind, message, retry)
    assert "raise ERRORS[name]\n" in outcome.traceback


@pytest.mark.parametrize(("where", "kind"), [(on_loop, "RuntimeError"), (in_thread, "StopIteration")])
async def test_stop_iteration(where: Any, kind: str) -> None:
    outcome = await aexecute(where, name="stop")

    assert isinstance(outcome, Errored)
    assert outcome.kind == kind  # Python turns it into RuntimeError in a coroutine


async def test_tracebacks_hold_user_frames_only() -> None:
    def deeper() -> None:
        raise ValueError("wrong")

    @node
    async def fail() -> None:
        try:
            deeper()
        except ValueError as error:
            raise RuntimeError("so it failed") from error

    for outcome in (await aexecute(fail), await aexecute(in_thread, name="value")):
        assert isinstance(outcome, Errored)
        assert "_internal" not in outcome.traceback
        assert "threading.py" not in outcome.traceback
        assert outcome.traceback.startswith("Traceback (most recent call last):\n")
    first = await aexecute(fail)
    assert isinstance(first, Errored)
    assert "deeper()" in first.traceback
    assert "direct cause" in first.traceback


async def test_long_texts_are_bounded() -> None:
    @node
    async def recurse(depth: int) -> None:
        def down(left: int) -> None:
            if left == 0:
                raise ValueError("é" * 100_000)
            other(left - 1)

        def other(left: int) -> None:
            down(left)

        down(depth)

    outcome = await aexecute(recurse, depth=200)

    assert isinstance(outcome, Errored)
    assert len(outcome.message) == 2000
    assert len(outcome.traceback.encode()) <= 4096
    assert outcome.traceback.startswith("...\n")


async def test_classes_that_a_node_names_are_not_retried() -> None:
    class Calling(Node, non_retryable=(ConnectionError, KeyError)):
        class Inputs(BaseModel):
            name: str

        async def execute(self) -> None:
            raise ERRORS[self.inputs.name]

    throttled, wrong = await aexecute(Calling, name="throttling"), await aexecute(Calling, name="value")

    assert isinstance(throttled, Errored)
    assert isinstance(wrong, Errored)
    assert (throttled.retry, wrong.retry) == (False, True)


async def test_an_instance_that_cannot_be_made() -> None:
    class Broken(Node):
        def __init__(self) -> None:
            raise OSError("no disk")

        async def execute(self) -> None: ...

    outcome = await aexecute(Broken)

    assert isinstance(outcome, Errored)
    assert (outcome.kind, outcome.message, outcome.retry) == ("OSError", "no disk", True)
