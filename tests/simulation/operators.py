"""What people do to runs while these go on: every lever, through the engine as operators have it.

Whoever gets no answer asks again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from karman_core.domain.branches import Branch, state_id
from karman_core.domain.decide import Fork, decide
from karman_core.domain.errors import Conflict, InvalidInput, KarmanError, NotFound, QuotaExceeded
from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import ForeignMessage
from karman_core.domain.transitions import StateStatus
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
from karman_core.engine.operators import Operator
from karman_core.engine.receiving import run_of
from karman_core.engine.skipping import Wanted
from tests.simulation.deployment import NS, Died
from tests.simulation.violations import Violation

if TYPE_CHECKING:
    from tests.simulation.history import History

T = TypeVar("T")
_TRIES = 60
_REDRIVES = 5

Given = tuple[list[Any], str | None]


@dataclass(slots=True)
class Request:
    """One request of an operator: `result` is done, the code of what refused it, or None if nobody was told."""

    by: str
    action: str
    run_id: str | None
    result: str | None = None
    retryable: bool = False
    runs: int = 0
    """Of a bulk operation: how many it worked on; each has an entry of its own."""


class Operators:
    """The operators of a history, and what they have asked for.

    Attributes:
        requests: each with its own name in the audit log.
        skips: what was given, by run, place and the request's id, and who gave it.
        reruns: runs that were begun by a rerun, with the inputs that it was asked for.
        purged: runs whose purge was acknowledged.
        lost: runs that had a queue lost.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.requests: list[Request] = []
        self.skips: dict[tuple[str, Branch, int], dict[str, tuple[Given, set[str]]]] = {}
        self.reruns: dict[str, Mapping[str, Any] | None] = {}
        self.purged: set[str] = set()
        self.lost: set[str] = set()

    # --- asking -------------------------------------------------------------------------------------------------------

    async def insist(
        self, action: str, run_id: str | None, work: Callable[[Operator], Coroutine[Any, Any, T]]
    ) -> T:
        """What an operator does: the same again, until there is an answer. Each time is a request of its own."""
        for trial in range(_TRIES):
            request = Request("", action, run_id)
            self.requests.append(request)
            try:
                found = await self._history.deployment.order(request, work)
            except Died:
                pass
            except KarmanError as error:
                request.result, request.retryable = error.code, error.retryable
                if not error.retryable:
                    raise
            else:
                request.result, request.runs = "done", getattr(found, "matched", 0)
                return found
            await asyncio.sleep(min(0.05 * 2**trial, 10))
        raise Violation("an operator got no answer")

    async def act(self, what: str, run_id: str, rng: random.Random) -> None:
        """Pull a lever; that it is refused is no error."""
        levers: Mapping[str, Callable[[str, random.Random], Coroutine[Any, Any, None]]] = {
            "pause": self._pause, "signal": self._signal, "retry_state": self._retry_state, "rerun": self._rerun,
            "skip": self._skip, "redrive": self._redrive, "purge": self._purge, "bulk": self._bulk,
        }  # fmt: skip
        with suppress(Conflict, NotFound, InvalidInput, QuotaExceeded):
            if what in levers:
                await levers[what](run_id, rng)
            elif what in {"cancel", "retry"}:
                await self.plain(what, run_id)

    async def plain(self, action: str, run_id: str) -> None:
        """Cancel, pause, resume or retry."""
        await self.insist(action, run_id, lambda one: getattr(one, action)(NS, run_id))

    async def signal(self, run_id: str, name: str, own: str | None = None) -> None:
        """Send a signal."""
        await self.insist("signal", run_id, lambda one: one.signal(NS, run_id, name, "hi", signal_id=own))

    def _some_state(self, run_id: str, rng: random.Random, wanted: Callable[[Branch, Any], bool]) -> str:
        records = self._history.simulation.monitor.records[run_id]
        places = [
            (path, number)
            for path, some in sorted(records.items())
            for number, record in sorted(some.items())
            if wanted(path, record)
        ]
        return state_id(run_id, *rng.choice(places)) if places else state_id(run_id, (), 0)

    async def _pause(self, run_id: str, rng: random.Random) -> None:
        await self.plain("pause", run_id)
        if rng.random() < 0.6:
            await asyncio.sleep(rng.choice([0.01, 0.1, 3]))
            await self.plain("resume", run_id)

    async def _signal(self, run_id: str, rng: random.Random) -> None:
        name, own = rng.choice(["go", "go#on"]), f"id{rng.randrange(1000)}"
        await self.signal(run_id, name, own)

    async def _retry_state(self, run_id: str, rng: random.Random) -> None:
        failed = self._some_state(run_id, rng, lambda _, record: record.status is StateStatus.FAILED)
        await self.insist("retry_state", run_id, lambda one: one.retry_state(NS, run_id, failed))

    # --- the levers ---------------------------------------------------------------------------------------------------

    async def _rerun(self, run_id: str, rng: random.Random) -> None:
        start, key = self._some_state(run_id, rng, lambda path, _: not path), f"again{rng.randrange(4)}"
        inputs = {"given": rng.randrange(100, 103)} if rng.random() < 0.5 else None
        started = await self.insist(
            "rerun", run_id, lambda one: one.rerun(NS, run_id, start, inputs=inputs, idempotency_key=key)
        )
        if self.reruns.setdefault(started.run_id, inputs) != inputs:
            raise Violation(f"run {started.run_id} was promised to two requests")

    async def _skip(self, run_id: str, rng: random.Random) -> None:
        place, identifier = self._place(run_id, rng)
        state = state_id(run_id, *place)
        tag = f"given {rng.randrange(2)}"
        value = {"v": [identifier or "?", "given", 0, tag]}
        outputs = rng.choice(
            [None, [], [value], [value], [value, {"v": [identifier or "?", "given", 1, tag]}]]
        )
        chosen = self._next(run_id, identifier, rng)
        wanted = Wanted(state, None if outputs is None else tuple(outputs), chosen, "")
        asked = self.skips.setdefault((run_id, *place), {})
        asked.setdefault(wanted.id, ((list(wanted.given), chosen), set()))
        view = await self.insist(
            "skip", run_id, lambda one: one.skip(NS, run_id, state, outputs, chosen=chosen)
        )
        given = tuple(wanted.given)
        if view.status != "SUCCEEDED" or tuple(view.outputs or ()) != given or view.skipped_by is None:
            raise Violation(f"{state} was given {given} and is told as {view.status} {view.outputs}")

    def _place(self, run_id: str, rng: random.Random) -> tuple[tuple[Branch, int], str | None]:
        """A state that has a record, or one that may come next; and its identifier, where that is known."""
        monitor = self._history.simulation.monitor
        header = monitor.headers.get(run_id, {})
        graph = monitor.graphs.get((header.get("graph", ""), header.get("version", 0)))
        found: list[tuple[tuple[Branch, int], str | None]] = []
        for path, some in sorted(monitor.records[run_id].items()):
            for number, record in sorted(some.items()):
                if record.status is not StateStatus.SUCCEEDED or not number:
                    found.append(((path, number), record.identifier))
                if graph is not None and isinstance(decision := decide(graph, record), Fork):
                    found += [
                        (((*path, (number, index)), 0), None) for index in range(min(decision.width, 3))
                    ]
            if some:
                found.append(((path, max(some) + 1), None))
        return rng.choice(found) if found else (((), 0), None)

    def _next(self, run_id: str, identifier: str | None, rng: random.Random) -> str | None:
        header = self._history.simulation.monitor.headers.get(run_id)
        if identifier is None or header is None or "version" not in header or rng.random() < 0.6:
            return None
        planned = self._history.deployment.plan_of(header["version"])
        names = [*planned.plan.nodes.get(identifier, ()), *planned.loops.get(identifier, ())[:1]]
        return rng.choice(names) if names else None

    async def _redrive(self, run_id: str, rng: random.Random) -> None:
        """Redrive a run, also because its messages are gone."""
        monitor = self._history.simulation.monitor
        if rng.random() < 0.5 and "purging" not in monitor.headers.get(run_id, {"purging": 0}):
            self._lose(run_id)
        for _ in range(_REDRIVES):
            try:
                cursor = None
                while True:
                    view = await self.insist(
                        "redrive",
                        run_id,
                        lambda one, at=cursor: one.redrive(NS, run_id, cursor=at),  # type: ignore[misc]
                    )
                    cursor = view.cursor
                    if cursor is None:
                        return
            except Conflict:
                if monitor.headers.get(run_id, {}).get("status") != "PAUSED":
                    return
                await self.plain("resume", run_id)

    def _lose(self, run_id: str) -> None:
        """The run's queue is lost with all its messages."""
        database = self._history.simulation.backend.database
        with database.read() as connection:
            rows = connection.execute("SELECT seq, body FROM messages").fetchall()
        own = [(seq,) for seq, body in rows if _run_of(body) == run_id]
        with database.write() as connection:
            connection.executemany("DELETE FROM messages WHERE seq = ?", own)
        self.lost.add(run_id)
        self._history.simulation.note(f"--- {len(own)} messages of {run_id} are lost")

    async def _purge(self, run_id: str, rng: random.Random) -> None:
        header = self._history.simulation.monitor.headers.get(run_id)
        if header is not None and header["status"] in {"RUNNING", "PAUSED"} and rng.random() < 0.4:
            await self.plain("cancel", run_id)
        await self.insist("purge", run_id, lambda one: one.purge(NS, run_id))
        self.purged.add(run_id)

    async def _bulk(self, run_id: str, rng: random.Random) -> None:
        del run_id
        action = rng.choice([Action.CANCEL, Action.PAUSE, Action.RESUME, Action.RETRY, Action.PURGE])
        await self.insist("bulk", None, lambda one: one.bulk(NS, action, RunFilter()))
        if action is Action.PAUSE:
            await self.insist("bulk", None, lambda one: one.bulk(NS, Action.RESUME, RunFilter()))


def _run_of(body: str) -> str | None:
    try:
        return run_of(decode(body))[1]
    except ForeignMessage:
        return None
