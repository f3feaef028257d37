"""The simulation: processes whose every port call waits for one scheduler, which alone says who goes on and what fails.

Time passes only when the scheduler lets it: a little with each call, and up to the next timer when nobody can go on.
Everything is drawn from the case's seed, so that a seed is a whole history of a deployment, and the same one each time.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.embedded.items import decode
from karman_core.ports.table import Key
from tests.scenario.clock import START_MS, SeededEntropy
from tests.simulation.case import Case
from tests.simulation.faults import Faults
from tests.simulation.loop import SimulationLoop
from tests.simulation.monitor import Monitor
from tests.simulation.processes import CURRENT, Call, Dead, Process
from tests.simulation.violations import Violation

MOST_STEPS = 40_000
_TICKS_MS = (0, 0, 1, 3, 10)


class Simulation:
    """One history. `trace` keeps what happened, as lines to read."""

    def __init__(self, case: Case, *, trace: bool = False) -> None:
        self.case = case
        self.rng = random.Random(f"schedule {case.seed}")
        self._now_ms = START_MS
        self.loop = SimulationLoop(lambda: self._now_ms / 1000)
        self.loop.on_task = self._adopt
        self.entropy = SeededEntropy(case.seed)
        self.backend = EmbeddedBackend.open(":memory:", clock=self, entropy=self.entropy)
        self.monitor = Monitor(self.backend)
        self.monitor.now_ms = self.now_ms
        self.faults = Faults(case, self)
        self.calls: Counter[str] = Counter()
        self.trace: list[str] | None = [] if trace else None
        self.steps = 0
        self.waits = 0
        self._beats: list[tuple[int, int, asyncio.Future[None]]] = []
        self.busy_nodes = 0
        self.clients = 0
        self._blocked: list[Call] = []
        self._numbers = 0
        self._last: Process | None = None
        self._clients: list[asyncio.Task[Any]] = []
        self._processes: list[Process] = []
        self._unlucky: str | None = None
        self._ready: tuple[int, int, frozenset[str]] | None = None
        self._due: tuple[int, int | None] | None = None
        with self.backend.database.read() as connection:
            self._connection = connection  # of a database in memory, the only one

    # --- what processes see -------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The true time, epoch milliseconds: the backend's clock."""
        return self._now_ms

    async def enqueue(
        self, process: Process, port: str, method: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Wait until the scheduler lets a call happen, and give its result."""
        if process.dead:
            raise Dead
        arguments = tuple(list(one) if isinstance(one, Iterator) else one for one in arguments)
        options = {k: list(one) if isinstance(one, Iterator) else one for k, one in options.items()}
        future = self.loop.create_future()
        self._numbers += 1
        call = Call(process, port, method, arguments, options, future, self._numbers)
        self._blocked.append(call)
        return await future

    def _adopt(self, task: asyncio.Task[Any], context: contextvars.Context) -> None:
        process = context.get(CURRENT)
        if process is not None:
            if not process.tasks:
                self._processes.append(process)
            process.tasks.append(task)

    def kill(self, process: Process) -> None:
        """The process dies: nothing of it goes on, whatever it was about to do."""
        process.dead = True
        self._blocked = [call for call in self._blocked if call.process is not process]
        for task in process.tasks:
            task.cancel()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """A client: the simulation is not over before it is done."""
        self.clients += 1
        task = self.loop.create_task(work)
        task.add_done_callback(self._client_done)
        self._clients.append(task)

    def _client_done(self, task: asyncio.Task[Any]) -> None:
        self.clients -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            self.monitor.failure = self.monitor.failure or error

    def end(self) -> None:
        """Stop everything, so that nothing runs when it is collected as garbage."""
        for task in self._clients:
            task.cancel()
        for _ in range(10):
            for process in self._processes:
                self.kill(process)
            self.loop.run_ready()
            self._processes = [p for p in self._processes if not all(task.done() for task in p.tasks)]
        self.backend.close()

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self.trace is not None:
            self.trace.append(f"{self._now_ms - START_MS:>9} {text}")

    # --- the scheduler ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Go on until nothing is left that could happen. Raises Violation, or whatever a client raised."""
        while True:
            self.loop.run_ready()
            if self.monitor.failure is not None:
                raise self.monitor.failure
            call = self._next_call()
            if call is not None:
                self._step(call)
            elif not self._pass_time():
                return

    def _step(self, call: Call) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Violation(f"no end in sight after {MOST_STEPS} calls")
        self._last = call.process
        kind = self.faults.draw(call)
        if kind == "stalled":
            call.process.stalled_ms = self._now_ms + self.rng.choice([500, 20_000, 61_000, 190_000])
            self.note(f"{call.process.name} stalls at {call.name}")
            return
        self._blocked.remove(call)
        if kind == "expired":
            self.advance_to(self._now_ms + self.rng.choice([61_000, 125_000]))
        self._carry_out(call, kind)
        self.advance_to(self._now_ms + self.rng.choice(_TICKS_MS))

    def _carry_out(self, call: Call, kind: str | None) -> None:
        self.calls[call.name] += 1
        result, error = self.faults.perform(call, kind)
        self._tell(call, kind, result, error)
        if kind in {"crash_before", "crash_after"}:
            self.crash(call.process)
        elif call.future.cancelled():
            pass
        elif error is not None:
            call.future.set_exception(error)
        else:
            call.future.set_result(result)

    def crash(self, process: Process) -> None:
        """The process dies and is started anew; set by whoever knows what runs in it."""
        self.kill(process)

    def _tell(self, call: Call, kind: str | None, result: Any, error: BaseException | None) -> None:
        if self.trace is None:
            return
        shown = f"{type(error).__name__}" if error is not None else _short(result)
        fault = f"  *** {kind}" if kind else ""
        self.note(f"{call.process.name:<8} {call.name:<16} {_key(call)} -> {shown}{fault}")

    def _next_call(self) -> Call | None:
        self._blocked = [call for call in self._blocked if not call.future.cancelled()]
        ready = self._ready_queues() if any(call.waits for call in self._blocked) else frozenset()
        enabled = [
            call
            for call in self._blocked
            if call.process.stalled_ms <= self._now_ms and (not call.waits or call.arguments[0] in ready)
        ]
        if not enabled:
            return None
        if self.case.policy == "sticky" and self.rng.random() < 0.9:
            enabled = [call for call in enabled if call.process is self._last] or enabled
        elif self.case.policy == "unfair":
            if self._unlucky is None or self.rng.random() < 0.01:
                self._unlucky = self.rng.choice(enabled).process.name
            if self.rng.random() < 0.98:
                enabled = [call for call in enabled if call.process.name != self._unlucky] or enabled
        return enabled[self.rng.randrange(len(enabled))]

    def _ready_queues(self) -> frozenset[str]:
        """Queues that have something now. Asked for at each step, so asked of the database only after a change."""
        changes = self._connection.total_changes
        if self._ready is None or self._ready[:2] != (changes, self._now_ms):
            rows = self._connection.execute(_READY_QUEUES, {"now": self._now_ms})
            self._ready = changes, self._now_ms, frozenset(name for (name,) in rows)
        return self._ready[2]

    def _next_due(self) -> int | None:
        """When the next message or timer is due that is not yet."""
        changes = self._connection.total_changes
        if self._due is None or self._due[0] != changes or (self._due[1] or self._now_ms + 1) <= self._now_ms:
            (first,) = self._connection.execute(_NEXT_DUE, {"now": self._now_ms}).fetchone()
            self._due = changes, first
        return self._due[1]

    def _pass_time(self) -> bool:
        """Let time pass to the next thing that is due; False if nothing can happen any more."""
        due = [call.process.stalled_ms for call in self._blocked if call.process.stalled_ms > self._now_ms]
        first = self._next_due()
        if first is not None:
            due.append(first)
        if not due and not self.clients and not self.busy_nodes and not self.messages_left():
            return False
        timer = self.loop.next_timer()
        if timer is not None:
            due.append(-int(-timer * 1000 // 1))
        if self._beats and (self.busy_nodes or self._blocked):
            due.append(self._beats[0][0])
        if not due:
            return False
        self.waits += 1
        if self.waits > MOST_STEPS:
            raise Violation(f"no end in sight after {MOST_STEPS} times of waiting")
        self.advance_to(max(min(due), self._now_ms + 1))
        return True

    def advance_to(self, at_ms: int) -> None:
        """Make it this time."""
        self._now_ms = max(self._now_ms, at_ms)
        while self._beats and self._beats[0][0] <= self._now_ms:
            future = heapq.heappop(self._beats)[2]
            if not future.done():
                future.set_result(None)
        self.loop.fire_timers()

    async def beat(self, seconds: float) -> None:
        """A sleep between heartbeats: nobody has to wait for it who waits for nothing else."""
        future = self.loop.create_future()
        self._numbers += 1
        heapq.heappush(self._beats, (self._now_ms + round(seconds * 1000), self._numbers, future))
        await future

    async def sleep(self, seconds: float) -> None:
        """A clock needs it; the backend does not sleep."""
        await asyncio.sleep(seconds)

    def complete(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What something comes to that looks past all faults."""
        return self.loop.complete(work)

    def items_of(self, pk: str) -> list[dict[str, Any]]:
        """What a partition of the table has."""
        with self.backend.database.read() as connection:
            found = connection.execute("SELECT pk, sk, body FROM items WHERE pk = ? ORDER BY sk", (pk,))
            return [decode(*row) for row in found]

    def messages_left(self) -> int:
        """Messages and timers that are still there."""
        return int(self._connection.execute(_LEFT).fetchone()[0])


_READY_QUEUES = """
    SELECT q.name FROM messages m JOIN queues q ON q.id = m.queue WHERE m.hidden_until IS NULL OR m.hidden_until <= :now
    UNION SELECT queue FROM timers WHERE at_ms <= :now
"""
_NEXT_DUE = """
    SELECT min(due) FROM (SELECT min(hidden_until) AS due FROM messages WHERE hidden_until > :now
        UNION ALL SELECT min(at_ms) FROM timers WHERE at_ms > :now)
"""
_LEFT = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM timers)"


def _key(call: Call) -> str:
    first = call.arguments[0] if call.arguments else ""
    if call.method == "transact":
        return " + ".join(_place(getattr(write, "item", None) or write.key) for write in call.arguments[0])
    if call.port == "table":
        text = _place(first)
        return f"{text} {_status(call.arguments)}" if call.method in {"update", "put"} else text
    return _short(call.arguments)


def _place(key: Any) -> str:
    if isinstance(key, dict) and "pk" in key:
        return f"{key['pk']} {key['sk']}"
    if isinstance(key, Key):
        return " ".join(key)
    return _short(key)


def _status(arguments: tuple[Any, ...]) -> str:
    if len(arguments) < 2 or not isinstance(arguments[1], list | tuple):
        return ""
    shown = [
        a
        for a in arguments[1]
        if getattr(a, "attribute", "") in {"st", "t", "status", "s", "f", "p", "l", "flag"}
    ]
    return " ".join(f"{a.attribute}={_short(getattr(a, 'value', '-'))}" for a in shown)


def _short(value: Any) -> str:
    if isinstance(value, dict):  # sets have no order of their own
        value = {name: sorted(v) if isinstance(v, frozenset) else v for name, v in value.items()}
    text = repr(value)
    return text if len(text) <= 150 else f"{text[:110]}...{text[-35:]}"
