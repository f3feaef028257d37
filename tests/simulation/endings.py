"""What must hold when everything has come to rest."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from karman_core.domain.branches import Branch
from karman_core.domain.joins import climb
from karman_core.domain.transitions import FINAL_RUNS, StateStatus
from karman_core.engine import keys
from karman_core.engine.outputs import OutputStore
from karman_core.engine.services import Services
from karman_core.engine.views import RunView, StateView
from tests.scenario.invariants import check
from tests.simulation.deployment import NS, TrueClock
from tests.simulation.evaluation import Fired, evaluate
from tests.simulation.monitor import Violation

if TYPE_CHECKING:
    from tests.simulation.history import History

_UNPLANNED = {"worker_crashed", "undeliverable", "loop_limit"}


class Remains:
    """A simulation that has come to rest, as the scenarios' invariants look at a world."""

    def __init__(self, history: History) -> None:
        self.backend = history.simulation.backend
        self._simulation = history.simulation
        self._reader = history.deployment.reader

    async def view(self, run_id: str) -> RunView:
        """The run."""
        return await self._reader.get_run(NS, run_id)

    async def states(self, run_id: str) -> list[StateView]:
        """Its states."""
        found: list[StateView] = []
        cursor = None
        while True:
            page = await self._reader.list_states(NS, run_id, cursor=cursor)
            found += page.states
            cursor = page.cursor
            if cursor is None:
                return found

    def messages_left(self) -> int:
        """Messages and timers."""
        return self._simulation.messages_left()


def check_end(history: History) -> None:
    """Raises Violation, or an AssertionError of the scenarios' invariants."""
    simulation = history.simulation
    if simulation.messages_left():
        raise Violation(f"{simulation.messages_left()} messages are left")
    headers = simulation.monitor.headers
    for run_id in history.runs:
        if run_id not in headers:
            raise Violation(f"run {run_id} was acknowledged and does not exist")
    for run_id, header in headers.items():
        history.statuses[header["status"]] += 1
        if header["status"] not in FINAL_RUNS:
            raise Violation(f"run {run_id} does not end: {header['status']}")
        if header["status"] in {"SUCCEEDED", "FAILED"} and "reused" not in header:
            _check_run(history, run_id)
    _check_effort(history)


def check_rest(history: History) -> None:
    """All is at rest, before anybody helps: what goes on is paused or waits, and nobody waits for what is there."""
    monitor = history.simulation.monitor
    if history.simulation.messages_left():
        raise Violation(f"{history.simulation.messages_left()} messages are left")
    for run_id, header in monitor.headers.items():
        if header["status"] != "RUNNING":
            continue
        waits = {record.awaiting for some in monitor.records[run_id].values() for record in some.values()
                 if record.status is StateStatus.WAITING}  # fmt: skip
        if not waits:
            raise Violation(f"run {run_id} stands still, and waits for nothing")
        overlooked = waits & monitor.unused_signals(run_id)
        if overlooked:
            raise Violation(f"run {run_id} waits for signals that are there: {sorted(map(str, overlooked))}")


def _check_run(history: History, run_id: str) -> None:
    simulation, remains = history.simulation, Remains(history)
    header = simulation.monitor.headers[run_id]
    planned = history.deployment.plan_of(header["version"])
    run: RunView = simulation.complete(_checked(remains, run_id))
    records = simulation.monitor.records[run_id]
    outputs = simulation.complete(_outputs(history, run_id))
    evaluation = evaluate(planned, records, outputs, _fired(history, run_id), run.status)
    if "store" in planned.behaviours:
        store = simulation.complete(history.deployment.reader.read_store(NS, run_id))
        if store["n"] != simulation.monitor.counted[run_id]:
            raise Violation(f"store: {store['n']}, should be {simulation.monitor.counted[run_id]}")
    kinds = {error.kind for some in records.values() for record in some.values() for error in record.errors}
    if planned.determinate and not kinds & _UNPLANNED and not history.acted["retry_state"]:
        _check_plan(history, planned, run_id, evaluation.states)


def _fired(history: History, run_id: str) -> Fired:
    def of_group(path: Branch, number: int, width: int) -> int | None:
        root = list(climb(width, 0, history.deployment.settings.shard_width))[-1]
        for epoch in range(history.simulation.monitor.headers[run_id]["epoch"], -1, -1):
            item = history.simulation.monitor.item(
                keys.join(NS, run_id, path, number, epoch, root.level, root.item)
            )
            if item is not None:
                return item.get("fi")
        return None

    return of_group


def _checked(remains: Remains, run_id: str) -> Coroutine[Any, Any, RunView]:
    return check(remains, run_id)  # type: ignore[arg-type]  # all that it looks at is there


def _check_plan(history: History, planned: Any, run_id: str, states: dict[tuple[Branch, int], Any]) -> None:
    """The plan says how each state ends, epoch by epoch."""
    healed: frozenset[Any] = frozenset()
    epoch = history.simulation.monitor.headers[run_id]["epoch"]
    expected = planned.expected(healed)
    for _ in range(epoch + 1):
        expected = planned.expected(healed)
        expected.run()
        healed |= expected.causes
    if states != expected.states:
        wrong = {p: (states.get(p), expected.states.get(p)) for p in {*states, *expected.states}
                 if states.get(p) != expected.states.get(p)}  # fmt: skip
        raise Violation(f"run {run_id} came to something else than planned: {wrong}")


async def _outputs(history: History, run_id: str) -> dict[tuple[Branch, int], tuple[Any, ...]]:
    services = Services(
        history.simulation.backend, TrueClock(history.simulation), history.simulation.entropy,
        history.deployment.settings,
    )  # fmt: skip
    store = OutputStore(services)
    return {
        (path, number): tuple(await store.of_record(record))
        for path, some in history.simulation.monitor.records[run_id].items()
        for number, record in some.items()
        if record.status == "SUCCEEDED"
    }


def _check_effort(history: History) -> None:
    """Where nothing goes wrong nothing is done twice; else not more often than there were reasons."""
    simulation, case = history.simulation, history.case
    executions, commits = len(history.deployment.executions), len(simulation.monitor.commits)
    if case.calm and not {"restart", "deploy"} & set(case.operations) and simulation.monitor.redelivered:
        raise Violation("a message was delivered again, though nothing went wrong")
    reasons = simulation.faults.weight + simulation.monitor.redelivered + sum(history.acted.values())
    # A wait that begins while its signal comes is sent by both; a command is applied by who gave it
    # and by who got its message, and what both send may run at once.
    reasons += bool({"wait", "retry", "twice"} & {*case.behaviours, *case.operations})
    history.effort = (executions - commits, reasons)
    # A first message that is there twice has the whole run done twice, at most; no duplicate makes more of them.
    if executions > max(1, commits) * (1 + reasons):
        raise Violation(f"{executions} executions for {commits} commits, with {reasons} reasons")
