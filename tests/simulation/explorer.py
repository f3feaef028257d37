"""Every interleaving of a small configuration of the real engine on the embedded backend, faults included.

A state is the database and what each actor knows. From each state every actor may make any of the calls that it waits
with; a message may be delivered; and within their budgets a worker may die at any call, a message may be delivered to a
second worker while the first is at work, a delete may have no effect, and a write may be reported as lost to itself.
States that have been seen are not visited again; calls that nobody can notice are made at once, in any order.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.graph import compile_graph
from karman_core.engine import Engine
from karman_core.engine.views import RunView, StateView
from karman_core.ports.table import Key
from tests.scenario.clock import START_MS, ManualClock, SeededEntropy
from tests.scenario.harness import NS, graph
from tests.scenario.invariants import check
from tests.scenario.reruns import exact
from tests.simulation.loop import SimulationLoop
from tests.simulation.monitor import Monitor
from tests.simulation.processes import Call, perform
from tests.simulation.search import (
    Configuration,
    Found,
    State,
    about,
    copied,
    exchanged,
    name,
    outcome,
    path_of,
)
from tests.simulation.stage import QUEUE, Actor, Reply, Stage, Waiting
from tests.simulation.violations import Violation

MOST_DELIVERIES = 8


class Explorer:
    """Searches one configuration, depth first."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._entropy = SeededEntropy()
        self._backend = EmbeddedBackend.open(":memory:", clock=ManualClock(), entropy=self._entropy)
        self._connection = self._backend.database._writer  # noqa: SLF001  the search puts databases in its place
        self._waiting: dict[tuple[Any, ...], Waiting] = {}
        self._ended: set[bytes] = set()

    def explore(self) -> Found:
        """Search; stops at the first violation."""
        found, began = Found(self.configuration.name), time.perf_counter()
        first = self._first()
        seen, stack, current = {self._hash(first)}, [first], first
        shuffled = self.configuration.shuffled
        order = None if shuffled is None else random.Random(shuffled)
        try:
            while stack:
                current = stack.pop()
                found.states += 1
                if found.states > self.configuration.limit:
                    found.complete = False
                    break
                ended = True
                steps = list(self._steps(current))
                if order is not None:
                    order.shuffle(steps)
                for after in steps:
                    ended, found.transitions, current_after = False, found.transitions + 1, after
                    digest = self._hash(current_after)
                    if digest not in seen:
                        seen.add(digest)
                        stack.append(current_after)
                if ended:
                    found.endings += 1
                    self._check_end(current)
        except AssertionError as error:
            found.failure = f"{type(error).__name__}: {error}"[:300]
            found.path = [*path_of(current.path), f"then: {found.failure}"]
        finally:
            found.seconds = time.perf_counter() - began
            self._backend.close()
        return found

    # --- states -------------------------------------------------------------------------------------------------------

    def _first(self) -> State:
        configuration, connection = self.configuration, self._connection
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM")
        engine = Engine(
            self._backend, clock=ManualClock(), entropy=self._entropy, settings=configuration.settings
        )
        definition = graph(
            *configuration.nodes(), store_config={"default_values": {"n": 0}}, **configuration.store
        )
        nodes = [RegisteredNode(name=name, runtime="rt") for name in configuration.behaviours]
        for work in (
            self._backend.queue.create(QUEUE),
            engine.register_nodes(NS, nodes),
            engine.put_graph(NS, definition),
        ):
            _complete(work)
        if not any(client.__name__.startswith("trigger") for client in configuration.clients):
            for key in ("key", "another")[: configuration.runs]:
                _complete(engine.trigger(NS, "g", idempotency_key=key))
        monitor = Monitor(self._backend)
        monitor.graphs["g", 1], monitor.limits.runs = compile_graph(definition), configuration.slots
        for pk, sk in connection.execute("SELECT pk, sk FROM items ORDER BY pk, sk").fetchall():
            monitor._written([Key(pk, sk)])  # noqa: SLF001  it begins with what is there
        actors = tuple(Actor(str(number), 1) for number in range(len(configuration.clients)))
        monitor.sent = 0
        budget = (configuration.crashes, configuration.duplicates, configuration.ambiguous)
        return self._settled(State(b"", {}, monitor, actors, budget))

    def _restore(self, state: State) -> None:
        self._connection.deserialize(state.database)
        self._backend.blobs._store._blobs = dict(state.blobs)  # type: ignore[attr-defined]  # noqa: SLF001

    def _kept(self, state: State, **changes: Any) -> State:
        blobs = dict(self._backend.blobs._store._blobs)  # type: ignore[attr-defined]  # noqa: SLF001
        return replace(state, database=self._connection.serialize(), blobs=blobs, **changes)

    def _hash(self, state: State) -> bytes:
        self._restore(state)
        connection = self._connection
        busy = {actor.seq for actor in state.actors}
        items = connection.execute("SELECT pk, sk, body FROM items ORDER BY pk, sk").fetchall()
        rows = connection.execute("SELECT seq, body, receives, hidden_until IS NULL FROM messages").fetchall()
        messages = sorted((body, receives, ready, seq in busy) for seq, body, receives, ready in rows)
        timers = connection.execute("SELECT name FROM timers ORDER BY name").fetchall()
        actors = sorted(repr(actor.key) for actor in state.actors)
        return hashlib.sha1(repr((items, messages, timers, actors, state.budget)).encode()).digest()

    def _waits(self, actor: Actor) -> Waiting:
        found = self._waiting.get(actor.key)
        if found is None:
            configuration = self.configuration
            stage = Stage(self._backend, actor, configuration.behaviours, configuration.settings)
            found = self._waiting[actor.key] = stage.play(configuration.clients)
        return found

    # --- steps --------------------------------------------------------------------------------------------------------

    def _steps(self, state: State) -> Iterator[State]:
        """Every state that may come next."""
        plain = False
        for actor in state.actors:
            for after in self._of_actor(state, actor):
                plain = True
                yield after
        crashes, duplicates, ambiguous = state.budget
        yield from self._deliveries(state, late=not plain)
        if crashes:
            for actor in state.actors:
                if actor.seq and actor.log:
                    yield self._without(
                        state, actor, f"{name(actor)} dies", budget=(crashes - 1, duplicates, ambiguous)
                    )

    def _of_actor(self, state: State, actor: Actor) -> Iterator[State]:
        waiting, (crashes, duplicates, ambiguous) = self._waits(actor), state.budget
        if waiting.ended:
            if actor.seq and not waiting.failed:
                yield self._deleted(state, actor)
                if duplicates:
                    budget = (crashes, duplicates - 1, ambiguous)
                    yield self._without(state, actor, f"{name(actor)} deletes in vain", budget=budget)
            else:
                yield self._without(state, actor, f"{name(actor)} is done")
            return
        for call in waiting.calls:
            if call.port == "node":
                for place in range(len(call.arguments[1])):
                    yield self._settled(self._told(state, actor, call, place, None))
            elif call.port == "client":
                if call.arguments[0](state.monitor):
                    yield self._settled(self._told(state, actor, call, None, None))
            else:
                yield self._settled(self._made(state, actor, call))
                if ambiguous and call.name in {"table.update", "table.transact"}:
                    again = replace(state, budget=(crashes, duplicates, ambiguous - 1))
                    yield self._settled(self._made(again, actor, call, twice=True))

    def _made(self, state: State, actor: Actor, call: Call, *, twice: bool = False) -> State:
        self._restore(state)
        monitor, result, error = copied(state.monitor), None, None
        for _ in range(1 + int(twice)):
            result, error = perform(
                getattr(getattr(self._backend, call.port), call.method)(*call.arguments, **call.options)
            )
            monitor.called(call, failed=error is not None)
        if monitor.failure is not None:
            raise monitor.failure
        if self.configuration.most_sent is not None and monitor.sent > self.configuration.most_sent:
            raise Violation(f"messages multiply: {monitor.sent} were sent")
        after = self._told(state, actor, call, result, error, twice=twice)
        return self._kept(after, monitor=monitor)

    def _told(
        self,
        state: State,
        actor: Actor,
        call: Call,
        result: Any,
        error: BaseException | None,
        *,
        twice: bool = False,
    ) -> State:
        actors = exchanged(state.actors, actor, actor.told(Reply.to(call.number, result, error)))
        told = f"{name(actor)} {call.name} {about(call)}{' (reported as lost to itself)' if twice else ''}"
        return replace(state, actors=actors, path=(state.path, f"{told} -> {outcome(result, error)}"))

    def _settled(self, state: State) -> State:
        """Make the calls that nobody can notice."""
        if not state.database:
            state = self._kept(state)
        while True:
            for actor in state.actors:
                call = next((c for c in self._waits(actor).calls if self._unnoticed(c)), None)
                if call is not None:
                    break
            else:
                return state
            after = (
                self._told(state, actor, call, 0, None)
                if call.port == "node"
                else self._made(state, actor, call)
            )
            state = replace(after, path=state.path)

    def _unnoticed(self, call: Call) -> bool:
        if call.port in {"blobs", "events"}:
            return True
        if call.port == "node":
            return len(call.arguments[1]) == 1
        if call.name == "table.batch_write":
            return all(
                not one["pk"].endswith("#park")
                for one in (*call.arguments, *call.options.values())
                for one in one
                if isinstance(one, dict)
            )
        if call.name != "table.get":
            return False
        pk, sk = call.arguments[0]
        return (
            "#graph" in pk
            or pk.endswith(("#nodes", "#quotas"))
            or (sk == "control" and not self.configuration.watches_control)
        )

    # --- messages -----------------------------------------------------------------------------------------------------

    def _deliveries(self, state: State, *, late: bool) -> Iterator[State]:
        self._restore(state)
        rows = self._connection.execute(
            "SELECT seq, body, receives, hidden_until IS NULL FROM messages"
        ).fetchall()
        timers = self._connection.execute("SELECT name, body FROM timers").fetchall()
        busy = [actor.seq for actor in state.actors if actor.seq]
        if len(busy) >= self.configuration.workers:
            return
        crashes, duplicates, ambiguous = state.budget
        ready = [row for row in rows if row[3] and row[0] not in busy]
        for seq, body, receives, at_once in rows:
            if seq in busy:
                if duplicates:
                    yield self._delivered(state, seq, body, receives, (crashes, duplicates - 1, ambiguous))
            elif at_once or self.configuration.early or (late and not ready):
                yield self._delivered(state, seq, body, receives, state.budget)
        for timer, body in timers if self.configuration.early or (late and not rows) else ():
            self._restore(state)
            with self._backend.database.write() as connection:
                connection.execute("DELETE FROM timers WHERE name = ?", (timer,))
                connection.execute(_FROM_TIMER, (hashlib.sha1(timer.encode()).hexdigest()[:26], body))
            yield self._settled(self._kept(state, path=(state.path, "a timer fires")))

    def _delivered(
        self, state: State, seq: int, body: str, receives: int, budget: tuple[int, int, int]
    ) -> State:
        if receives >= MOST_DELIVERIES:
            raise Violation("a message comes back for ever")
        self._restore(state)
        with self._backend.database.write() as connection:
            connection.execute(
                "UPDATE messages SET receives = receives + 1, hidden_until = NULL WHERE seq = ?", (seq,)
            )
        actor = Actor(body, receives + 1, seq)
        path = (state.path, f"{name(actor)} begins: {body[:300]}")
        return self._settled(self._kept(state, actors=(*state.actors, actor), budget=budget, path=path))

    def _deleted(self, state: State, actor: Actor) -> State:
        self._restore(state)
        with self._backend.database.write() as connection:
            connection.execute(
                "DELETE FROM messages WHERE seq = ? AND receives = ?", (actor.seq, actor.count)
            )
        after = self._without(state, actor, f"{name(actor)} deletes its message")
        return self._kept(after)

    def _without(self, state: State, actor: Actor, told: str, **changes: Any) -> State:
        return replace(state, actors=exchanged(state.actors, actor), path=(state.path, told), **changes)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _check_end(self, state: State) -> None:
        digest = self._hash(state)
        if digest in self._ended:
            return
        self._ended.add(digest)
        self._restore(state)
        left = self._connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        if left:
            raise Violation(f"{left} messages are left")
        limits = state.monitor.limits
        if any(limits.held.values()) or any(limits.waiting.values()):
            raise Violation(f"slots are held, or waited for: {dict(limits.held)} {dict(limits.waiting)}")
        for run_id, header in state.monitor.headers.items():
            if header["status"] not in self.configuration.statuses:
                raise Violation(f"the run is {header['status']}")
            if header["status"] in {"SUCCEEDED", "FAILED"}:
                told = exact if "reused" in header else check
                _, error = perform(told(_Remains(self._backend), run_id))  # type: ignore[arg-type]  # what it looks at is there
                if error is not None:
                    raise Violation(str(error)) from error
        if not state.monitor.headers:
            raise Violation("there is no run")


def _complete(work: Coroutine[Any, Any, Any]) -> None:
    loop = SimulationLoop(lambda: START_MS / 1000)
    with loop.running():
        loop.complete(work)


_FROM_TIMER = """
    INSERT INTO messages (queue, hidden_until, rank, receives, sent_ms, id, body) VALUES (1, NULL, 0, 0, 0, ?, ?)
"""


def report() -> tuple[list[str], bool]:
    """Every configuration, on all processors: lines to print, and whether anything was violated."""
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(_explored, range(len(_configurations()))))
    lines = ["exploration:"]
    for one in found:
        lines += [f"{one.line()}, {one.seconds:.0f} s", *one.path]
    return lines, any(one.failure is not None for one in found)


def _configurations() -> Sequence[Configuration]:
    from tests.simulation.configurations import CONFIGURATIONS  # noqa: PLC0415  made of what is above

    return CONFIGURATIONS


def _explored(place: int) -> Found:
    return Explorer(_configurations()[place]).explore()


class _Remains:
    """A state of the search, as the scenarios' invariants look at a world."""

    def __init__(self, backend: EmbeddedBackend) -> None:
        self.backend = backend
        self.engine = Engine(backend, clock=ManualClock(), entropy=SeededEntropy())

    async def view(self, run_id: str) -> RunView:
        return await self.engine.get_run(NS, run_id)

    async def states(self, run_id: str) -> list[StateView]:
        return list((await self.engine.list_states(NS, run_id)).states)

    def messages_left(self) -> int:
        return 0
