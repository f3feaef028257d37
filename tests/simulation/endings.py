"""What must hold when everything has come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from karman_core.backends.aws.values import from_attributes, to_attributes
from karman_core.domain.branches import Branch
from karman_core.domain.joins import climb
from karman_core.domain.messages import RunRef
from karman_core.domain.records import Record
from karman_core.domain.transitions import FINAL_RUNS, StateStatus
from karman_core.engine import keys
from karman_core.engine.outputs import OutputStore
from karman_core.engine.run_items import PURGED, Header, read_header
from karman_core.engine.services import Services
from karman_core.engine.views import RunView, StateView
from tests.scenario.invariants import check
from tests.scenario.oracle import TooLarge
from tests.scenario.reruns import exact
from tests.simulation.counters import check_calls, check_totals
from tests.simulation.deployment import NS, TrueClock
from tests.simulation.evaluation import Fired, evaluate
from tests.simulation.levers import check_levers
from tests.simulation.limits import check_limits, check_waiting
from tests.simulation.plans import Planned
from tests.simulation.violations import Violation

if TYPE_CHECKING:
    from tests.simulation.history import History

Records = Mapping[Branch, Mapping[int, Record]]
AllOutputs = Mapping[str, Mapping[tuple[Branch, int], tuple[Any, ...]]]

_UNPLANNED = {"worker_crashed", "undeliverable", "loop_limit"}


class Remains:
    """A simulation that has come to rest, as the scenarios' invariants look at a world."""

    def __init__(self, history: History) -> None:
        self.backend = history.simulation.backend
        self.engine = history.deployment.reader
        self._simulation = history.simulation

    async def view(self, run_id: str) -> RunView:
        """The run."""
        return await self.engine.get_run(NS, run_id)

    async def states(self, run_id: str) -> list[StateView]:
        """Its states."""
        found: list[StateView] = []
        cursor = None
        while True:
            page = await self.engine.list_states(NS, run_id, cursor=cursor)
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
    outputs = simulation.complete(_outputs(history))
    for run_id, header in headers.items():
        history.statuses[header["status"]] += 1
        if header["status"] not in FINAL_RUNS and header["status"] != PURGED:
            raise Violation(f"run {run_id} does not end: {header['status']}")
        if header["status"] in {"SUCCEEDED", "FAILED"}:
            _check_run(history, run_id, outputs)
    _check_layouts(history)
    check_levers(history, outputs)
    check_limits(history)
    _check_effort(history)


def _check_layouts(history: History) -> None:
    """What lies in the table means the same to both backends: as DynamoDB would hold it, it comes back."""
    for item in history.simulation.monitor.items():
        again = from_attributes(to_attributes(item))
        if again != item or {name: type(value) for name, value in again.items()} != {
            name: type(value) for name, value in item.items()
        }:
            raise Violation(f"DynamoDB would give {again} for {item}")


def check_rest(history: History) -> None:
    """All is at rest, before anybody helps: what goes on is paused or waits, and nobody waits for what is there."""
    monitor = history.simulation.monitor
    check_calls(monitor, history.simulation.backend.table.consumed.calls)
    check_waiting(history)
    if history.simulation.messages_left():
        raise Violation(f"{history.simulation.messages_left()} messages are left")
    for run_id, header in monitor.headers.items():
        if "purging" in header and run_id not in history.operators.lost:
            raise Violation(f"run {run_id} is still being purged")
        if header["status"] != "RUNNING" or monitor.limits.is_waiting(run_id, header):
            continue
        waits = {record.awaiting for some in monitor.records[run_id].values() for record in some.values()
                 if record.status is StateStatus.WAITING}  # fmt: skip
        if not waits:
            raise Violation(f"run {run_id} stands still, and waits for nothing")
        overlooked = waits & monitor.unused_signals(run_id)
        if overlooked:
            raise Violation(f"run {run_id} waits for signals that are there: {sorted(map(str, overlooked))}")


def _check_run(history: History, run_id: str, outputs: AllOutputs) -> None:
    simulation, remains = history.simulation, Remains(history)
    header = read_header(simulation.monitor.headers[run_id])
    run, planned = header.run, history.deployment.plan_of(header.run.version)
    checked: Coroutine[Any, Any, RunView]
    if run.reused is None:
        checked = check(remains, run_id)  # type: ignore[arg-type]  # all that it looks at is there
    else:
        _check_sources(history, header)
        checked = exact(remains, run_id)  # type: ignore[arg-type]  # as above
    view = simulation.complete(checked)
    check_totals(simulation.monitor, view)
    records = _of_run(simulation.monitor.records, run)
    given = {place: outputs[_owner(run, *place)][place] for place in _succeeded(records)}

    def inputs(path: Branch, number: int, *, first: bool) -> Mapping[str, Any]:
        begun = read_header(simulation.monitor.headers[_owner(run, path, number)])
        changed = not path and begun.run.reused is not None and number == begun.run.reused.before
        return {**((begun.inputs or {}) if first else {}), **((begun.overrides or {}) if changed else {})}

    evaluation = evaluate(
        planned, records, given, fired=_fired(history, run), status=view.status, inputs=inputs
    )
    _check_store(history, planned, header)
    kinds = {error.kind for some in records.values() for record in some.values() for error in record.errors}
    odd = history.acted["retry_state"] or history.acted["skip"]
    if planned.determinate and not kinds & _UNPLANNED and not odd:
        with suppress(TooLarge):  # what is healed may go on into more than there is time for
            _check_plan(planned, run, records, evaluation.states)


def _succeeded(records: Records) -> list[tuple[Branch, int]]:
    return [
        (path, number)
        for path, some in records.items()
        for number, record in some.items()
        if record.status is StateStatus.SUCCEEDED
    ]


def _owner(run: RunRef, path: Branch, number: int) -> str:
    """The run in which the record of a place lies."""
    source = run.source(path, number)
    return run.run_id if source is None else source.run_id


def _of_run(every: Mapping[str, Mapping[Branch, Mapping[int, Record]]], run: RunRef) -> Records:
    """The records of a run, those that it reuses included."""
    if run.reused is None:
        return every[run.run_id]
    found: dict[Branch, dict[int, Record]] = {}
    for owner in (*(source.run_id for source in run.reused.sources), run.run_id):
        for path, some in every[owner].items():
            for number, record in some.items():
                if _owner(run, path, number) == owner:
                    found.setdefault(path, {})[number] = record
    return found


def _check_sources(history: History, header: Header) -> None:
    """What is reused is still there; and the inputs are those that were asked for."""
    reused, run_id = header.run.reused, header.run.run_id
    for source in () if reused is None else reused.sources:
        if source.before and history.simulation.monitor.is_purged(source.run_id):
            raise Violation(f"run {run_id} reuses states of {source.run_id}, which was purged")
    asked = history.operators.reruns.get(run_id)
    given = header.overrides if reused is not None and reused.before else header.inputs
    if asked is not None and given != asked:
        raise Violation(f"run {run_id} was to have the inputs {asked}, has {given}")


def _check_store(history: History, planned: Planned, header: Header) -> None:
    """The store is what it began with, and each increment that was committed."""
    if "store" not in planned.behaviours:
        return
    run_id, monitor = header.run.run_id, history.simulation.monitor
    store = history.simulation.complete(history.deployment.reader.read_store(NS, run_id))
    began = monitor.began_with.get(run_id, 0)
    if store["n"] != began + monitor.counted[run_id]:
        raise Violation(f"store: {store['n']}, should be {began} + {monitor.counted[run_id]}")
    if header.run.reused is None or history.case.skew_ms:
        return
    last = header.run.reused.sources[-1]
    source = monitor.headers[last.run_id]
    unchanged = source["status"] in {"SUCCEEDED", "FAILED"} and source["epoch"] == last.epoch
    if unchanged and source["ended"] < header.created_ms and last.before:
        there = history.simulation.complete(history.deployment.reader.read_store(NS, last.run_id))
        if began != there["n"]:
            raise Violation(f"run {run_id} began with {began}, the run that it reuses has {there['n']}")


def _fired(history: History, run: RunRef) -> Fired:
    def of_group(path: Branch, number: int, width: int) -> int | None:
        root = list(climb(width, 0, history.deployment.settings.shard_width))[-1]
        source = run.source(path, number)
        owner, latest = (run.run_id, run.epoch) if source is None else (source.run_id, source.epoch)
        for epoch in range(latest, -1, -1):
            item = history.simulation.monitor.item(
                keys.join(NS, owner, path, number, epoch, root.level, root.item)
            )
            if item is not None:
                return item.get("fi")
        return None

    return of_group


def _check_plan(
    planned: Planned, run: RunRef, records: Records, states: Mapping[tuple[Branch, int], Any]
) -> None:
    """The plan says how each state ends, epoch by epoch. What is reused was healed in its own run, if it was."""
    healed: frozenset[Any] = frozenset(
        (path, number)
        for path, some in records.items()
        for number, record in some.items()
        if run.source(path, number) is not None and record.status is not StateStatus.FAILED
    )
    expected = planned.expected(healed)
    for _ in range(run.epoch + 1):
        expected = planned.expected(healed)
        expected.run()
        healed |= expected.causes
    if states != expected.states:
        wrong = {p: (states.get(p), expected.states.get(p)) for p in {*states, *expected.states}
                 if states.get(p) != expected.states.get(p)}  # fmt: skip
        raise Violation(f"run {run.run_id} came to something else than planned: {wrong}")


async def _outputs(history: History) -> AllOutputs:
    """Of every state that succeeded, by run and place; a run that was purged has none."""
    services = Services(
        history.simulation.backend, TrueClock(history.simulation), history.simulation.entropy,
        history.deployment.settings,
    )  # fmt: skip
    store, monitor = OutputStore(services), history.simulation.monitor
    return {
        run_id: {
            (path, number): tuple(await store.of_record(record))
            for path, some in branches.items()
            for number, record in some.items()
            if record.status is StateStatus.SUCCEEDED
        }
        for run_id, branches in monitor.records.items()
        if not monitor.is_purged(run_id)
    }


def _check_effort(history: History) -> None:
    """Where nothing goes wrong nothing is done twice; else not more often than there were reasons."""
    simulation, case = history.simulation, history.case
    # What runs while its run is purged has nowhere to be committed.
    kept = [one for _, one in history.deployment.executions if not simulation.monitor.is_purged(one.run_id)]
    executions = len(kept)
    commits = sum(not simulation.monitor.is_purged(run_id) for run_id, *_ in simulation.monitor.commits)
    if case.calm and not {"restart", "deploy"} & set(case.operations) and simulation.monitor.redelivered:
        raise Violation("a message was delivered again, though nothing went wrong")
    reasons = simulation.faults.weight + simulation.monitor.redelivered + sum(history.acted.values())
    # A wait that begins while its signal comes is sent by both; a command is applied by who gave it
    # and by who got its message, and what both send may run at once.
    # So may a run that finds its slot while somebody wakes it.
    reasons += bool({"wait", "retry", "twice", "slots"} & {*case.behaviours, *case.operations, *case.limits})
    history.effort = (executions - commits, reasons)
    by_turn = Counter((one.state_id, one.turn) for _, one in history.deployment.executions)
    most, times = max(by_turn.items(), key=lambda one: one[1], default=(None, 0))
    # Whoever finds a wait that was answered sends it, and several may look at once: each with a signal of its own.
    lookers = case.workers * case.concurrency - 1 if "wait" in case.behaviours else 0
    if times > 1 + reasons + lookers:
        raise Violation(f"{most} was executed {times} times, with {reasons} reasons")
    # A first message that is there twice has the whole run done twice, at most; no duplicate makes more of them.
    if executions > max(1, commits) * (1 + reasons):
        raise Violation(f"{executions} executions for {commits} commits, with {reasons} reasons")
