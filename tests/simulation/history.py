"""One case from its beginning to its end: deploy, run, interfere, let things calm down, and look at what has become."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from karman_core.domain.definition import Concurrency, RateLimit, RegisteredNode, WhenFull, WhenOver
from karman_core.domain.errors import Conflict, KarmanError, NotFound, QuotaExceeded
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.engine import Engine
from karman_core.ports.queue import Outgoing
from karman_core.ports.timers import Schedule
from tests.scenario.harness import graph, node
from tests.simulation.case import Case
from tests.simulation.deployment import NS, QUEUES, Deployment, Died
from tests.simulation.endings import check_end, check_rest
from tests.simulation.limits import FORGOTTEN_SECONDS
from tests.simulation.operators import Operators
from tests.simulation.plans import NIGHTLY, NODES, SECRETS, Planned, planned
from tests.simulation.simulation import Simulation
from tests.simulation.violations import Violation

T = TypeVar("T")
_TRIES, _REFUSALS = 60, 6
_SETTLINGS, _RETRIES = 40, 4
TOKEN = {"token": "kept from everybody"}


@dataclass(slots=True)
class Outcome:
    """What a case came to. `failure` is None when all was well."""

    case: Case
    failure: BaseException | None = None
    trace: list[str] = field(default_factory=list)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    numbers: list[int] = field(default_factory=list)
    steps: int = 0
    executions: int = 0
    commits: int = 0
    effort: tuple[int, int] = (0, 0)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)


class History:
    """Plays a case."""

    def __init__(self, case: Case, *, trace: bool = False) -> None:
        self.case = case
        self.simulation = Simulation(case, trace=trace)
        mixed = "deploy" in case.operations
        plans = [
            planned(seed, case.most_states, frozenset(case.behaviours), fail_fast=case.fail_fast, mixed=mixed)
            for seed in case.plans
        ]
        for plan in plans:
            plan.plan.executions = 0
        self.deployment = Deployment(case, self.simulation, plans)
        self.simulation.monitor.counts_store = self._counts
        self.rng = random.Random(f"clients {case.seed}")
        self.runs: list[str] = []
        self.bodies: list[str] = []
        self.effort = (0, 0)
        self.operators = Operators(self)
        self.limits = _limits(case)
        self.simulation.monitor.limits.runs = case.room if "concurrency" in self.limits else None
        self.simulation.monitor.limits.quota = case.room + 1 if "quota" in case.limits else None
        self.acknowledged: dict[str, dict[str, str]] = {}
        self.acted: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

    def _counts(self, run_id: str, record: Any, path: Any, number: int) -> bool:
        header = self.simulation.monitor.headers[run_id]
        return self.deployment.plan_of(header["version"]).counts(record, path, number)

    # --- the course of things -----------------------------------------------------------------------------------------

    def play(self) -> None:
        """Raises Violation, or whatever else should not have been raised."""
        simulation = self.simulation
        for queue in QUEUES:
            simulation.complete(simulation.backend.queue.create(queue))
        for place in range(self.case.workers):
            self.deployment.start_worker(place)
        simulation.spawn(self._begin())
        simulation.run()
        simulation.faults.over = True
        self.deployment.renew()
        simulation.run()
        check_rest(self)
        for trial in range(_SETTLINGS):
            retry = trial < _RETRIES and "retry" in self.case.operations
            if not self._unsettled(retry=retry):
                break
            simulation.spawn(self._settle(retry=retry))
            simulation.run()
        if simulation.loop.failures:
            self._unexpected(simulation.loop.failures)
        check_end(self)

    def _unexpected(self, failures: list[dict[str, Any]]) -> None:
        for failure in failures:
            error = failure.get("exception")
            if isinstance(error, Exception) and not isinstance(error, KarmanError):
                raise Violation(f"nobody took care of {error!r}: {failure.get('message')}") from error

    async def _begin(self) -> None:
        runtime = "rt2" if self.case.seed % 2 else "rt"
        nodes = [
            RegisteredNode(name=NODES[0], runtime="rt"),
            RegisteredNode(name=NODES[1], runtime=runtime, secrets=SECRETS),
        ]
        await self.insist(lambda engine: engine.register_nodes(NS, nodes))
        await self._put(self.deployment.plans[0])
        if {"quota", "pace"} & set(self.case.limits):
            quotas = NamespaceQuotas(
                self.simulation.monitor.limits.quota, 20.0 if "pace" in self.case.limits else None
            )
            await self.insist(lambda engine: engine.quotas.set(NS, quotas))
        for number in range(self.case.runs):
            self.simulation.spawn(self._client(number))

    async def _put(self, plan: Planned) -> None:
        definition = plan.definition.model_copy(update=self.limits)
        view = await self.insist(lambda engine: engine.put_graph(NS, definition, secrets=TOKEN))
        if not view.valid:
            raise Violation(f"the graph is not valid: {view.problems}")
        # Another plan may have the same graph: then it is no new version.
        self.deployment.versions.setdefault(view.version, plan)
        self.simulation.monitor.graphs.setdefault(("g", view.version), plan.compiled)

    async def _client(self, number: int) -> None:
        rng = random.Random(f"client {self.case.seed} {number}")
        key = f"key{number}"
        await asyncio.sleep(rng.choice([0, 0.01, 1]))
        if "twice" in self.case.operations:
            self.simulation.spawn(self._trigger(key, number, rival=rng.random() < 0.5))
        await self._trigger(key, number)
        for _ in range(rng.choice([1, 2, 4]) if self.case.operations else 0):
            await asyncio.sleep(rng.choice([0.001, 0.02, 0.1, 1, 20]))
            await self._operate(rng.choice(self.case.operations), rng)

    async def _trigger(self, key: str, number: int, *, rival: bool = False) -> None:
        """Begin a run; a rival asks for something else under the same key, and only one of them may be told yes."""
        tags, inputs = {"n": str(number), **({"rival": "yes"} if rival else {})}, {"given": number % 2}
        timeout_ms = 3_000_000 if (number + self.case.seed) % 4 == 1 else None
        delay_ms = 1_500 if "starts" in self.case.limits and number % 2 else 0
        with suppress(Conflict, QuotaExceeded):
            started = await self.insist(
                lambda engine: engine.trigger(
                    NS, "g", inputs=inputs, idempotency_key=key, tags=tags, timeout_ms=timeout_ms,
                    start_delay_ms=delay_ms,
                )
            )  # fmt: skip
            if self.acknowledged.setdefault(started.run_id, tags) != tags:
                raise Violation(f"run {started.run_id} was promised to two requests")
            if started.run_id not in self.runs:
                self.runs.append(started.run_id)

    async def insist(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """What a client does: the same again, until there is an answer."""
        for trial in range(_TRIES):
            try:
                return await self.deployment.ask(work)
            except Died:
                pass
            except QuotaExceeded:
                if trial >= _REFUSALS:
                    raise
                await asyncio.sleep(5)
            except KarmanError as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(min(0.05 * 2**trial, 10))
        raise Violation("a client got no answer")

    # --- interference -------------------------------------------------------------------------------------------------

    async def _operate(self, what: str, rng: random.Random) -> None:
        self.acted[what] += 1
        self.simulation.note(f"--- {what}")
        alone = {
            "sweep": self._sweep, "deploy": self._deploy, "fire": self._fire, "foreign": self._foreign,
            "duplicate": self._duplicate,
            "define": self._define, "look": self._look,
        }  # fmt: skip
        if what == "restart":
            self.deployment.kill_worker()
        elif what in alone:
            await alone[what](rng)
        elif self.runs:
            await self.operators.act(what, rng.choice(self.runs), rng)

    async def _sweep(self, rng: random.Random) -> None:
        del rng
        await self.insist(lambda engine: engine.sweep())

    async def _deploy(self, rng: random.Random) -> None:
        """A new version of the graph, and a worker that makes room for another."""
        await self._put(rng.choice(self.deployment.plans))
        self.deployment.stop_worker()

    async def _define(self, rng: random.Random) -> None:
        """Another graph, with a trigger and secrets, that comes and goes."""
        definition = graph(node("a", node_name=NODES[0]), name="h", secrets=SECRETS, triggers=[NIGHTLY])
        with suppress(Conflict, NotFound):
            await self.insist(lambda engine: engine.put_graph(NS, definition, secrets=TOKEN))
            if rng.random() < 0.5:
                await self.insist(
                    lambda engine: engine.put_graph(NS, graph(node("a", node_name=NODES[0]), name="h"))
                )
            await self.insist(lambda engine: engine.delete_graph(NS, "h"))

    async def _look(self, rng: random.Random) -> None:
        """What people look at while runs go on; whatever it is, it does not break."""
        await self.insist(lambda engine: engine.overview.backlog(NS))
        await self.insist(lambda engine: engine.overview.statistics(NS))
        if self.runs:
            run_id = rng.choice(self.runs)
            with suppress(NotFound):
                await self.insist(lambda engine: engine.overview.progress(NS, run_id))

    async def _foreign(self, rng: random.Random) -> None:
        body = rng.choice(["{}", '{"karman":0}', "not ours", '{"karman":1,"k":"advance"}'])
        await self.simulation.backend.queue.send(QUEUES[0], [Outgoing(body)])

    async def _duplicate(self, rng: random.Random) -> None:
        """A message that was sent before comes once more."""
        with self.simulation.backend.database.read() as connection:
            bodies = [row[0] for row in connection.execute("SELECT body FROM messages ORDER BY seq")]
        self.bodies += [body for body in bodies if body not in self.bodies and '"karman"' in body]
        if self.bodies:
            await self.simulation.backend.queue.send(QUEUES[0], [Outgoing(rng.choice(self.bodies))])

    async def _fire(self, rng: random.Random) -> None:
        del rng
        with suppress(KarmanError):
            await self.insist(
                lambda engine: engine.fire(Schedule(NS, "g", "nightly", "* * * * *"), 1_800_000_000_000)
            )

    def _unsettled(self, *, retry: bool) -> bool:
        headers = self.simulation.monitor.headers.values()
        statuses = {header["status"] for header in headers if "purging" not in header}
        wanted = {"RUNNING", "PAUSED", *(("FAILED",) if retry else ())}
        return bool(statuses & wanted) or any("purging" in header for header in headers)

    async def _settle(self, *, retry: bool) -> None:
        """What an operator does in the end: goes on with what is paused, signals what waits, retries what failed."""
        for run_id in list(self.simulation.monitor.headers):
            header = self.simulation.monitor.headers[run_id]
            with suppress(Conflict, NotFound, QuotaExceeded):
                if "purging" in header:
                    await self._sweep(self.rng)
                elif header["status"] == "PAUSED":
                    await self.operators.plain("resume", run_id)
                elif header["status"] == "RUNNING" and "queued" in header:
                    await asyncio.sleep(FORGOTTEN_SECONDS)
                    await self._sweep(self.rng)
                elif header["status"] == "RUNNING":
                    for name in ("go", "go#on") * 4:
                        await self.operators.signal(run_id, name)
                elif header["status"] == "FAILED" and retry:
                    await self.operators.plain("retry", run_id)


def _limits(case: Case) -> dict[str, Any]:
    """The limits of the case's graph."""
    key = "${{ initial.inputs.given }}" if "keyed" in case.limits else None
    refuses = "refuse" if "refusing" in case.limits else "queue"
    found: dict[str, Any] = {}
    if "slots" in case.limits:
        found["concurrency"] = Concurrency(limit=case.room, key=key, when_full=WhenFull(refuses))
    if "starts" in case.limits:
        found["rate_limit"] = RateLimit(
            starts=case.room, per_seconds=2.0, key=key, when_over=WhenOver(refuses)
        )
    return found


def play(case: Case, *, trace: bool = False) -> Outcome:
    """Play a case to its end."""
    history = History(case, trace=trace)
    outcome = Outcome(case)
    logger = logging.getLogger("karman_runtime")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    with history.simulation.loop.running():
        try:
            history.play()
        except Exception as error:  # noqa: BLE001  whatever it is, it belongs to the case
            outcome.failure = error
        finally:
            logger.setLevel(level)
            history.simulation.end()
    simulation = history.simulation
    outcome.trace = simulation.trace or []
    outcome.faults, outcome.calls = simulation.faults.struck, simulation.calls
    outcome.numbers, outcome.steps = simulation.faults.numbers, simulation.steps
    outcome.executions, outcome.commits = len(history.deployment.executions), len(simulation.monitor.commits)
    outcome.statuses, outcome.effort = history.statuses, history.effort
    outcome.requests = Counter(
        (each.action, each.result or "no answer") for each in history.operators.requests
    )
    return outcome
