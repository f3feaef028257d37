"""One message, or one client, worked on by an engine that does not know that its past was played to it again.

What an actor does next follows from its message and from the answers to its calls so far. So an actor is its log: to
go on from some state, the log is played to a new engine, without the database, and the calls that then wait are what
the actor is about to do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.domain.errors import KarmanError
from karman_core.domain.outcome import Outcome
from karman_core.engine import Engine, EngineSettings
from karman_core.ports.executor import Execution
from karman_core.ports.queue import Incoming
from tests.scenario.clock import START_MS
from tests.scenario.nodes import Answer, as_outcome
from tests.simulation.loop import SimulationLoop
from tests.simulation.processes import Call, Dead, Process
from tests.simulation.violations import Violation

QUEUE = "ns/rt"
Client = Callable[["Stage", Engine], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a node may give: every one of the answers is tried."""

    answers: tuple[Answer, ...]


Behaviour = Callable[[Execution], Answer | Choice]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one call of an actor, by the call's number."""

    number: int
    result: Any
    error: BaseException | None
    digest: str

    @classmethod
    def to(cls, number: int, result: Any, error: BaseException | None) -> Reply:
        """With its digest, by which actors that know the same are the same."""
        told = repr(result) if error is None else f"{error!r} {getattr(error, 'old', '')}"
        return cls(number, result, error, hashlib.sha1(f"{number} {told}".encode()).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class Actor:
    """A delivery of a message (`seq` in the table of messages), or a client (`seq` 0, `body` its number)."""

    body: str
    count: int
    seq: int = 0
    log: tuple[Reply, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """What it knows; `seq` is no part of it."""
        return (self.body, self.count, self.seq == 0, *(reply.digest for reply in self.log))

    def told(self, reply: Reply) -> Actor:
        """The actor after one more answer."""
        return Actor(self.body, self.count, self.seq, (*self.log, reply))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an actor is about to do: calls that wait, or it has ended (`failed`: its message stays)."""

    calls: tuple[Call, ...]
    ended: bool
    failed: bool = False


@dataclass(slots=True)
class Stage:
    """Where one actor's log is played."""

    backend: EmbeddedBackend
    actor: Actor
    behaviours: Mapping[str, Behaviour]
    settings: EngineSettings
    loop: SimulationLoop = field(init=False)
    pending: dict[int, Call] = field(default_factory=dict)
    process: Process = field(init=False)
    _numbers: int = 0
    _tokens: int = 0

    def __post_init__(self) -> None:
        """Make the loop and the process."""
        self.loop = SimulationLoop(lambda: START_MS / 1000)
        self.loop.on_task = self._adopt
        self.process = Process(self, "actor")  # type: ignore[arg-type]  # all that it asks of a simulation is here

    def _adopt(self, task: asyncio.Task[Any], context: Any) -> None:
        del context
        self.process.tasks.append(task)

    # --- time and chance: none ----------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Time stands still; messages that are due later come when nothing else can happen."""
        return START_MS

    async def sleep(self, seconds: float) -> None:
        """Pauses before another try are over at once, longer ones never."""
        if seconds >= 1:
            await self.loop.create_future()
        await asyncio.sleep(0)

    def uniform(self) -> float:
        """Always the same."""
        return 0.5

    def token(self) -> str:
        """Of the actor alone, so that the order of actors leaves no trace in ids."""
        self._tokens += 1
        name = f"{self.actor.body} {self.actor.count} {self._tokens}"
        return hashlib.sha1(name.encode()).hexdigest()[:26]

    # --- calls --------------------------------------------------------------------------------------------------------

    async def enqueue(
        self, process: Process, port: str, method: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """A call waits for its answer."""
        if process.dead:
            raise Dead
        arguments = tuple(list(one) if hasattr(one, "__next__") else one for one in arguments)
        self._numbers += 1
        call = Call(process, port, method, arguments, options, self.loop.create_future(), self._numbers)
        self.pending[self._numbers] = call
        return await call.future

    async def when(self, holds: Callable[[Any], bool]) -> None:
        """A client waits until something holds of the monitor."""
        await self.enqueue(self.process, "client", "when", (holds,), {})

    def runs(self, node_name: str) -> bool:
        """Every node."""
        return node_name in self.behaviours

    def declared_secrets(self, node_name: str) -> tuple[str, ...]:
        """None."""
        del node_name
        return ()

    async def execute(self, execution: Execution) -> Outcome:
        """Run a node; which of its answers it gives is a choice like any other."""
        given = self.behaviours[execution.node_name](execution)
        answers = given.answers if isinstance(given, Choice) else (given,)
        place = await self.enqueue(self.process, "node", "end", (execution.state_id, answers), {})
        return as_outcome(answers[place])

    # --- playing ------------------------------------------------------------------------------------------------------

    def play(self, clients: tuple[Client, ...]) -> Waiting:
        """Play the log; what waits then."""
        engine = Engine(self.process.ports, clock=self, entropy=self, executor=self, settings=self.settings)
        if self.actor.seq:
            message = Incoming("m", self.actor.body, "r", self.actor.count, START_MS)
            work: Coroutine[Any, Any, Any] = engine.process(QUEUE, message)
        else:
            work = clients[int(self.actor.body)](self, engine)
        with self.loop.running():
            try:
                return self._played(self.process.start(work))
            finally:
                self.process.dead = True
                for task in self.process.tasks:
                    task.cancel()
                self.loop.run_ready()

    def _played(self, task: asyncio.Task[Any]) -> Waiting:
        self.loop.run_ready()
        for reply in self.actor.log:
            future = self.pending.pop(reply.number).future
            if future.cancelled():
                continue
            if reply.error is None:
                future.set_result(reply.result)
            else:
                future.set_exception(reply.error.with_traceback(None))
            self.loop.run_ready()
        calls = tuple(call for call in self.pending.values() if not call.future.cancelled())
        if not task.done():
            return Waiting(calls, ended=False)
        error = None if task.cancelled() else task.exception()
        if error is not None and not (isinstance(error, KarmanError) and error.retryable) and self.actor.seq:
            raise Violation(f"processing a message raised {type(error).__name__}: {error}") from error
        return Waiting((), ended=True, failed=error is not None)
