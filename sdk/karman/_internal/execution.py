"""Runs nodes: the executor that workers give to the engine."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from karman._internal.context import Context, current_context
from karman._internal.declaration import Declaration, Manner
from karman._internal.failures import describe_validation, errored
from karman._internal.functions import NodeLike, node_class
from karman._internal.journal import Journal
from karman._internal.node import Node, declaration_of, prepare
from karman._internal.outcomes import Cancelled, Signal
from karman._internal.results import INVALID_OUTPUT, NodeOutcome, outcome_of
from karman._internal.threads import Ended, Raised, Returned, Threads
from karman.errors import InvalidNode, NodeFailure, NotFound
from karman_core.backends.system import SystemClock
from karman_core.domain.definition import RegisteredNode
from karman_core.ports.executor import Execution
from karman_core.ports.system import Clock

DEFAULT_THREADS = 32
GRACE_SECONDS = 5.0
"""How long a cancelled async node may take to clean up before it is left behind."""

ModelT = TypeVar("ModelT", bound=BaseModel)
_log = logging.getLogger("karman.executor")


class NodeExecutor:
    """Runs Python nodes: `async def` ones on the caller's event loop, others in threads. Belongs to one event loop.

    Args:
        nodes: node classes, or functions made nodes by `@node`.
        default_timeout_seconds: of an attempt, where neither node nor graph says; None for no limit but the deadline.
        threads: how many nodes that are no `async def` run at a time; others wait, and waiting is not timed.
        clock: by which deadlines are meant.

    Raises:
        InvalidNode: if two nodes have the same name, or one is no node.
    """

    def __init__(
        self,
        nodes: Iterable[NodeLike],
        *,
        default_timeout_seconds: float | None = None,
        threads: int = DEFAULT_THREADS,
        clock: Clock | None = None,
    ) -> None:
        self._nodes = _by_name(nodes)
        self._default_timeout_seconds = default_timeout_seconds
        self._threads = Threads(threads)
        self._clock: Clock = clock or SystemClock()
        self._left_behind: set[asyncio.Task[Ended]] = set()
        self._waiting: set[str] = set()

    def runs(self, node_name: str) -> bool:
        """Whether this executor has the node."""
        return node_name in self._nodes

    def declared_secrets(self, node_name: str) -> tuple[str, ...]:
        """Names of the secrets that the node reads. Raises NotFound."""
        return declaration_of(self._node(node_name)).secret_names

    def registered(self, runtime: str) -> list[RegisteredNode]:
        """The nodes as a runtime registers them, with their JSON Schemas.

        Raises:
            InvalidNode: if a model has no JSON Schema.
        """
        return [declaration_of(cls).registered(runtime) for cls in self._nodes.values()]

    async def execute(self, execution: Execution) -> NodeOutcome:
        """Run the node once and say how it ended; whatever the node raises is an Errored outcome.

        Raises:
            NotFound: if there is no such node here.
            asyncio.CancelledError: if the caller was cancelled.
        """
        cls = self._node(execution.node_name)
        declaration = declaration_of(cls)
        secrets = tuple(execution.secrets.values())
        try:
            call = _prepare_call(cls, declaration, execution)
        except NodeFailure as failure:
            return errored(failure, secrets)
        async with AsyncExitStack() as stack:
            if declaration.manner is Manner.THREAD:
                self._waiting.add(execution.state_id)
                try:
                    await stack.enter_async_context(self._threads.place())
                finally:
                    self._waiting.discard(execution.state_id)
            ended = await self._perform(call, self._limit(declaration, execution), declaration)
        return _conclude(ended, call, declaration, secrets)

    def waits(self, state_id: str) -> bool:
        """Whether a state's node has not begun, because all threads are busy."""
        return state_id in self._waiting

    def now_ms(self) -> int:
        """The time by which deadlines are meant."""
        return self._clock.now_ms()

    def close(self) -> None:
        """Let idle threads end."""
        self._threads.close()

    def _node(self, name: str) -> type[Node]:
        cls = self._nodes.get(name)
        if cls is None:
            raise NotFound(
                f"This worker has no node '{name}'; it has {', '.join(sorted(self._nodes)) or 'none'}."
            )
        return cls

    def _limit(self, declaration: Declaration, execution: Execution) -> _Limit:
        timeouts = (execution.timeout_seconds, declaration.timeout_seconds, self._default_timeout_seconds)
        timeout = next((each for each in timeouts if each is not None), None)
        left = max(0.0, (execution.deadline_ms - self._clock.now_ms()) / 1000)
        if timeout is not None and timeout <= left:
            return _Limit(timeout, f"The node did not end within its timeout of {timeout:g} s.")
        told = "the run's deadline, or the end of the time that this worker has, was reached"
        return _Limit(left, f"The node was stopped after {left:g} s: {told}.")

    async def _perform(self, call: _Call, limit: _Limit, declaration: Declaration) -> Ended:
        """Run in a task of its own: only so can a cancellation from outside be told from one that the node made."""
        if limit.seconds <= 0:
            return limit.exceeded(declaration.manner)
        call.begin(limit.seconds)
        task = asyncio.create_task(
            self._call(call, declaration.manner), name=f"karman {call.execution.identifier}"
        )
        try:
            await asyncio.wait({task}, timeout=limit.seconds)
            if task.done():
                return task.result()
        except asyncio.CancelledError:
            await self._stop(call, task)
            raise
        await self._stop(call, task)
        return limit.exceeded(declaration.manner)

    async def _stop(self, call: _Call, task: asyncio.Task[Ended]) -> None:
        call.journal.stopped = True
        task.cancel()
        self._left_behind.add(task)
        task.add_done_callback(self._left_behind.discard)
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
        if not task.done():
            _log.warning(
                "node_ignores_cancellation",
                extra={"node": call.execution.node_name, "state_id": call.execution.state_id},
            )

    async def _call(self, call: _Call, manner: Manner) -> Ended:
        try:
            node = call.make()
            current_context.set(node.ctx)  # of this task alone, and of the thread that it hands over to
            if manner is Manner.THREAD:
                ended = await self._threads.run(lambda: _collected(node.execute()))
                if isinstance(ended, Raised):
                    return ended
                value = ended.value
            else:
                value = node.execute()
            return Returned(await _settled(value))
        except BaseException as error:  # noqa: BLE001 - the one place that catches all that a node on the loop raises
            return Raised(error)


@dataclass(frozen=True, slots=True)
class _Limit:
    """How long an execution may take, and what is said when it takes longer."""

    seconds: float
    message: str

    def exceeded(self, manner: Manner) -> Raised:
        goes_on = " Its thread goes on by itself; look at ctx.cancelled in long work." * (
            manner is Manner.THREAD
        )
        return Raised(NodeFailure("timeout", self.message + goes_on))


class _Call:
    """One execution, validated; the instance of the node is made where it runs."""

    def __init__(self, cls: type[Node], execution: Execution, inputs: BaseModel, secrets: BaseModel) -> None:
        self.execution = execution
        self.journal = Journal()
        self._cls = cls
        self._inputs = inputs
        self._secrets = secrets
        self._ends = 0.0

    def begin(self, seconds: float) -> None:
        """Time runs from now."""
        self._ends = time.monotonic() + seconds

    def make(self) -> Node:
        """The instance. Raises whatever the user's `__init__` does."""
        context = Context(self.execution, self.journal, ends=self._ends)
        return prepare(self._cls, self._inputs, self._secrets, context)


def _by_name(nodes: Iterable[NodeLike]) -> dict[str, type[Node]]:
    found: dict[str, type[Node]] = {}
    for cls in map(node_class, nodes):
        name = declaration_of(cls).name
        other = found.setdefault(name, cls)
        if other is not cls:
            raise InvalidNode(
                f"Two nodes are called '{name}': {_where(other)} and {_where(cls)}; give one of them another name: "
                "`class ...(Node, name=...)` or `@node(name=...)`."
            )
    return found


def _where(cls: type[Node]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _prepare_call(cls: type[Node], declaration: Declaration, execution: Execution) -> _Call:
    inputs = _validated(
        declaration.inputs, execution.inputs, "invalid_input", f"Inputs of node '{declaration.name}'"
    )
    secrets = _validated(
        declaration.secrets, execution.secrets, "invalid_secrets", f"Secrets of node '{declaration.name}'"
    )
    return _Call(cls, execution, inputs, secrets)


def _validated(model: type[ModelT], values: Mapping[str, Any], kind: str, what: str) -> ModelT:
    """Validated as JSON, so that datetimes, bytes and sets are read from what stands for them, in strict models too."""
    try:
        return model.model_validate_json(json.dumps(dict(values)))
    except ValidationError as error:
        raise NodeFailure(kind, f"{what} do not fit: {describe_validation(error)}.", retry=False) from error
    except Exception as error:  # a validator of the user's may raise anything
        raise NodeFailure(kind, f"{what} could not be validated: {error!r}.", retry=False) from error


def _collected(value: object) -> object:
    """An iterator's items, so that a generator runs where `execute` does."""
    return list(value) if isinstance(value, Iterator) else value


async def _settled(value: object) -> object:
    """What an awaitable gives, and what an async iterator yields."""
    while inspect.isawaitable(value):  # what an awaitable gives may be one again, if a decorator wrapped it
        value = await value
    if isinstance(value, AsyncIterator):
        if inspect.isasyncgen(value):
            async with aclosing(value):
                return [item async for item in value]
        return [item async for item in value]
    return _collected(value)


def _conclude(ended: Ended, call: _Call, declaration: Declaration, secrets: tuple[str, ...]) -> NodeOutcome:
    value = ended.error if isinstance(ended, Raised) else ended.value
    is_signal = isinstance(value, Signal) and not isinstance(value, Cancelled)
    if (
        isinstance(value, BaseException)
        and not is_signal
        and (isinstance(ended, Raised) or isinstance(value, Cancelled))
    ):
        return errored(value, secrets, declaration.non_retryable)
    try:
        return outcome_of(value, declaration.outputs, call.journal)
    except NodeFailure as failure:
        return errored(failure, secrets)
    except Exception as error:  # noqa: BLE001 - a serializer of the user's may raise anything
        told = f"The output could not be written: {error!r}."
        return errored(NodeFailure(INVALID_OUTPUT, told, retry=False), secrets)
