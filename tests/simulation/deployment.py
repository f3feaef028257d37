"""The processes of a case: workers with the real worker loop, API processes, and what they are made of."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from karman_core.domain.errors import BackendError, KarmanError
from karman_core.domain.outcome import Outcome
from karman_core.engine import Disposition, Engine
from karman_core.engine.operators import Operator
from karman_core.ports.executor import Execution
from karman_core.ports.queue import Incoming
from karman_runtime.worker import Worker
from tests.simulation.case import SETTINGS, Case
from tests.simulation.plans import NODES, Planned
from tests.simulation.processes import Process
from tests.simulation.simulation import Simulation
from tests.simulation.violations import Violation

NS = "ns"
QUEUES = ("ns/rt", "ns/rt2")
if TYPE_CHECKING:
    from tests.simulation.operators import Request

T = TypeVar("T")
_LONGEST_PAUSE_SECONDS = 4.0
_BLINDING = {"lost_reply", "lost_request", "throttled", "stale_read", "stalled", "expired"}
"""Faults with which a worker does not get to know that a run was cut off, or stands still between that and a node."""

_HEARD_OF_MS = 5_000


class Died(Exception):
    """The API process died before it answered."""


class SimulatedExecutor:
    """Runs the plan's nodes in one process. Running a node is a call of its own: the process may die at it."""

    def __init__(self, deployment: Deployment, process: Process, nodes: frozenset[str]) -> None:
        self._deployment = deployment
        self._process = process
        self._nodes = nodes

    def runs(self, node_name: str) -> bool:
        """Whether this worker's version has the node."""
        return node_name in self._nodes

    def declared_secrets(self, node_name: str) -> tuple[str, ...]:
        """None."""
        del node_name
        return ()

    async def execute(self, execution: Execution) -> Outcome:
        """Run a node."""
        deployment, simulation = self._deployment, self._deployment.simulation
        deployment.executions.append((self._process.name, execution))
        planned = deployment.plan_of(execution.graph_version)
        simulation.busy_nodes += 1
        try:
            await simulation.enqueue(self._process, "node", "begin", (execution.state_id, execution.turn), {})
            deployment.check_begins(execution)
            if "slow" in deployment.case.behaviours and deployment.whims.random() < 0.3:
                await self._process.sleep(deployment.whims.choice([0.7, 12, 100]))
            outcome = self._outcome(planned, execution)
            await simulation.enqueue(self._process, "node", "end", (execution.state_id, outcome), {})
        finally:
            simulation.busy_nodes -= 1
        return outcome

    def _outcome(self, planned: Planned, execution: Execution) -> Outcome:
        try:
            return planned.outcome(execution, self._deployment.whims)
        except AssertionError as error:
            self._deployment.simulation.monitor.failure = Violation(str(error))
            raise


@dataclass(slots=True)
class WatchedEngine:
    """An engine whose errors are looked at: what is no fault of the backend is a bug."""

    engine: Engine
    simulation: Simulation

    async def process(
        self, queue: str, message: Incoming, *, stopping: Callable[[], bool], until_ms: int | None = None
    ) -> Disposition:
        """Work on a message."""
        if message.receive_count > 1:
            self.simulation.monitor.redelivered += 1
        return await self._watch(self.engine.process(queue, message, stopping=stopping, until_ms=until_ms))

    async def dead_letter(self, queue: str, message: Incoming) -> bool:
        """Take a dead letter."""
        return await self._watch(self.engine.dead_letter(queue, message))

    async def _watch(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except Exception as error:
            if not (isinstance(error, KarmanError) and error.retryable):
                violation = Violation(f"processing a message raised {type(error).__name__}: {error}")
                violation.__cause__ = error
                self.simulation.monitor.failure = self.simulation.monitor.failure or violation
            raise


class Deployment:
    """All processes, and the plans by graph version."""

    def __init__(self, case: Case, simulation: Simulation, plans: list[Planned]) -> None:
        self.case = case
        self.simulation = simulation
        self.plans = plans
        self.versions: dict[int, Planned] = {}
        self.whims = random.Random(f"whims {case.seed}")
        self.executions: list[tuple[str, Execution]] = []
        self.settings = replace(SETTINGS[case.settings], retention_seconds=30 * 86_400)
        self._workers: dict[Process, tuple[int, Worker]] = {}
        self._apis: list[Process] = []
        self._made = 0
        simulation.crash = self._crash  # type: ignore[method-assign]

    def plan_of(self, version: int) -> Planned:
        """The plan of a graph version."""
        return self.versions[version]

    def check_begins(self, execution: Execution) -> None:
        """No node begins when workers may have known for seconds that its run was cut off."""
        if self.case.skew_ms or (not self.case.calm and _BLINDING & set(self.case.faults)):
            return
        stopped_ms, now = self.simulation.monitor.stopped_ms.get(execution.run_id), self.simulation.now_ms()
        if stopped_ms is not None and now > stopped_ms + _HEARD_OF_MS:
            late = Violation(f"{execution.state_id} begins {now - stopped_ms} ms after its run was cut off")
            self.simulation.monitor.failure = self.simulation.monitor.failure or late

    # --- processes ----------------------------------------------------------------------------------------------------

    def _process(self, kind: str) -> Process:
        self._made += 1
        skew = self.whims.randint(-self.case.skew_ms, self.case.skew_ms)
        return Process(self.simulation, f"{kind}{self._made}", skew)

    def start_worker(self, place: int, *, whole: bool = False) -> None:
        """A worker process; the first one has every node, the others may be of an older version."""
        process = self._process("worker")
        lacks = not whole and place and "deploy" in self.case.operations and self.whims.random() < 0.5
        nodes = frozenset(NODES[:1] if lacks else NODES)
        executor = SimulatedExecutor(self, process, nodes)
        engine = Engine(
            process.ports, clock=process, entropy=self.simulation.entropy, executor=executor,
            settings=self.settings,
        )  # fmt: skip
        worker = Worker(
            WatchedEngine(engine, self.simulation), process.ports.queue, QUEUES, clock=WorkerClock(process),
            concurrency=max(2, self.case.concurrency), lease_seconds=self.settings.lease_seconds,
            max_receives=self.case.max_receives,
        )  # fmt: skip
        self._workers[process] = (place, worker)
        process.start(self._work(process, worker))

    async def _work(self, process: Process, worker: Worker) -> None:
        try:
            await worker.run()
        except BackendError as error:
            self.simulation.monitor.failure = Violation(f"a worker ended: {error}")
        if not process.dead:
            place, _ = self._workers.pop(process)
            self.start_worker(place)

    def _crash(self, process: Process) -> None:
        self.simulation.kill(process)
        found = self._workers.pop(process, None)
        if found is not None:
            self.start_worker(found[0])

    def stop_worker(self) -> None:
        """Ask a worker to end as a deployment does; another one takes its place."""
        if self._workers:
            self.whims.choice([worker for _, worker in self._workers.values()]).stop()

    def kill_worker(self) -> None:
        """Kill a worker from outside."""
        if self._workers:
            self._crash(self.whims.choice(list(self._workers)))

    def renew(self) -> None:
        """All trouble is over: every process is of the newest version, and goes on."""
        for process, (place, _) in list(self._workers.items()):
            process.stalled_ms = 0
            if "deploy" in self.case.operations:
                self.simulation.kill(process)
                self._workers.pop(process)
                self.start_worker(place, whole=True)

    async def ask(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Have an API process of its own do something. Raises Died when it died, or what the engine raised."""
        return await self._run(lambda engine, _: work(engine))

    async def order(self, request: Request, work: Callable[[Operator], Coroutine[Any, Any, T]]) -> T:
        """Have an API process do what an operator asks for; the process's name says who that is."""

        def as_operator(engine: Engine, process: Process) -> Coroutine[Any, Any, T]:
            request.by = f"local:{process.name}"
            self.simulation.monitor.operators.add(process.name)
            return work(engine.operator(request.by))

        return await self._run(as_operator)

    async def _run(self, work: Callable[[Engine, Process], Coroutine[Any, Any, T]]) -> T:
        process = self._process("api")
        engine = Engine(process.ports, clock=process, entropy=self.simulation.entropy, settings=self.settings)
        task = process.start(work(engine, process))
        await asyncio.wait([task])
        if process.dead or task.cancelled():
            raise Died
        found: T = task.result()
        return found

    @property
    def reader(self) -> Engine:
        """An engine that reads past all faults."""
        return Engine(
            self.simulation.backend, clock=TrueClock(self.simulation), entropy=self.simulation.entropy,
            settings=self.settings,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrueClock:
    """The simulation's time, as a clock."""

    simulation: Simulation

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self.simulation.now_ms()

    async def sleep(self, seconds: float) -> None:
        """Return after so much simulated time."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class WorkerClock:
    """The clock of a worker's loop: its long sleeps are those between heartbeats."""

    process: Process

    def now_ms(self) -> int:
        """Epoch milliseconds, as this process has it."""
        return self.process.now_ms()

    async def sleep(self, seconds: float) -> None:
        """Return after so much time."""
        if seconds > _LONGEST_PAUSE_SECONDS:
            await self.process.simulation.beat(seconds)
            seconds = 0
        await self.process.sleep(seconds)
