"""Invariants that hold at every step: the monitor sees each write of the table and the blobs as it takes effect.

It keeps a copy of every item that it has seen, and compares what a write made of it with what may become of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from karman_core.backends.embedded import EmbeddedBackend, rows
from karman_core.domain.branches import Branch, parse_branch
from karman_core.domain.decide import EndBranch, Fork, GoOn, UniteAtOnce, decide
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.graph import Graph
from karman_core.domain.records import Record
from karman_core.domain.transitions import (
    ENDED_STATES,
    FINAL_RUNS,
    RUN_TRANSITIONS,
    STATE_TRANSITIONS,
    RunStatus,
    StateStatus,
)
from karman_core.engine.state_items import read_record
from karman_core.ports.table import Key
from tests.simulation.processes import Call

_FROZEN = ("i", "t", "o", "w", "ob", "oc", "ch", "d", "e", "b", "wu", "sg")
Item = Mapping[str, Any]


class Violation(AssertionError):
    """An invariant does not hold."""


class Monitor:
    """Watches writes.

    Attributes:
        failure: the first violation, for the scheduler to raise.
        commits: by run, branch path, number and turn: how often a turn was committed.
        counted: by run: commits whose outcome increments the store's `n`.
        calls: of the table, by method, as made.
    """

    def __init__(self, backend: EmbeddedBackend) -> None:
        self._backend = backend
        self._items: dict[Key, Item] = {}
        self._before: dict[Key, Item | None] = {}
        self._blobs: dict[str, bytes] = {}
        self.records: defaultdict[str, dict[Branch, dict[int, Record]]] = defaultdict(dict)
        self.headers: dict[str, Item] = {}
        self.graphs: dict[tuple[str, int], Graph] = {}
        self.failure: BaseException | None = None
        self.commits: Counter[tuple[str, Branch, int, int]] = Counter()
        self.counted: Counter[str] = Counter()
        self.counts_store: Any = lambda _run, _record, _path, _number: False
        self.calls: Counter[str] = Counter()
        self.sent = 0
        self.redelivered = 0

    def before(self, key: Key) -> Item | None:
        """An item as it was before the last write to it."""
        return self._before.get(Key(*key))

    def item(self, key: Key) -> Item | None:
        """An item as it is."""
        return self._items.get(key)

    def unused_signals(self, run_id: str) -> set[str]:
        """Names of the signals of a run that nobody has taken."""
        return {
            item["name"]
            for key, item in self._items.items()
            if f"#run#{run_id}#sig#" in key.pk and key.sk.startswith("s#") and "used" not in item
        }

    def called(self, call: Call, *, failed: bool) -> None:
        """A call has taken effect, or was refused."""
        if call.port == "table":
            self.calls[call.method] += 1
        if failed:
            return
        try:
            self._look(call)
        except Violation as violation:
            self.failure = self.failure or violation

    def _look(self, call: Call) -> None:
        match call.name:
            case "table.put":
                self._written([call.arguments[0]])
            case "table.update" | "table.delete":
                self._written([call.arguments[0]])
            case "table.transact":
                self._written([getattr(write, "item", None) or write.key for write in call.arguments[0]])
            case "blobs.put":
                name, data = call.arguments
                if self._blobs.setdefault(name, data) != data:
                    raise Violation(f"blob {name} was written with other bytes")
            case "queue.send":
                self.sent += len(call.arguments[1])

    def _written(self, where: Iterable[Any]) -> None:
        for place in where:
            key = Key(place["pk"], place["sk"]) if isinstance(place, Mapping) else Key(*place)
            with self._backend.database.read() as connection:
                new = rows.find(connection, key)
            old = self._items.get(key)
            self._before[key] = old
            if new is None:
                self._items.pop(key, None)
                continue
            self._items[key] = new
            if key.sk.startswith("s#") and "#b#" in key.pk:
                self._state(key, old, new)
            elif key.sk == "header":
                self._header(old, new)
            elif "#sig#" in key.pk and old is not None and old.get("used") not in {None, new.get("used")}:
                raise Violation(f"signal {key.sk} woke {old['used']} and {new.get('used')}")

    # --- states -------------------------------------------------------------------------------------------------------

    def _state(self, key: Key, old: Item | None, new: Item) -> None:
        run_id, _, text = key.pk.partition("#run#")[2].partition("#b#")
        path, number = parse_branch(text), int(key.sk[2:])
        before = StateStatus(old["st"]) if old else StateStatus.QUEUED
        after, turn = StateStatus(new["st"]), old["t"] if old else 0
        where = f"state {run_id} {text or '-'} {number}: {before.value} turn {turn} to {after.value} turn {new['t']}"
        if new["t"] not in {turn, turn + 1}:
            raise Violation(f"a turn was skipped or taken back: {where}")
        committed = new["t"] == turn + 1
        if before in ENDED_STATES and (committed or after is before):
            if any(old.get(name) != new.get(name) for name in _FROZEN) if old else False:
                raise Violation(f"an outcome was changed: {where}")
        elif before is not after and after not in STATE_TRANSITIONS[before]:
            raise Violation(f"no such transition: {where}")
        record = read_record(new)
        self.records[run_id].setdefault(path, {})[number] = record
        if committed:
            self._committed(run_id, path, number, record, where)

    def _committed(self, run_id: str, path: Branch, number: int, record: Record, where: str) -> None:
        self.commits[run_id, path, number, record.turn] += 1
        if self.commits[run_id, path, number, record.turn] > 1:
            raise Violation(f"committed twice: {where}")
        header = self.headers.get(run_id)
        if header is None:
            raise Violation(f"a state of a run without header: {where}")
        if header["status"] in {"SUCCEEDED", "FAILED"}:
            raise Violation(f"the run had ended {header['status']}: {where}")
        if self.counts_store(run_id, record, path, number):
            self.counted[run_id] += 1
        graph = self.graphs.get((header["graph"], header["version"]))
        if graph is not None and graph.instances[record.identifier].unites is not None:
            self._unite(graph, run_id, path, number, record, where)

    def _unite(
        self, graph: Graph, run_id: str, path: Branch, number: int, record: Record, where: str
    ) -> None:
        """A unite has committed a turn: its group must have ended, and ended well enough."""
        strategy = graph.strategy(record.identifier)
        if strategy is UniteStrategy.ANY_SUCCESS and number == 0 and path:
            (fork_number, index), parent = path[-1], path[:-1]
            if self._opened(graph, run_id, parent, fork_number) == index:
                endings = [self._ending(graph, run_id, (*parent, (fork_number, i)), 0) for i in range(index)]
                if "s" not in endings:
                    raise Violation(f"ANY_SUCCESS without a success: {where}")
                return
        if not number:
            return
        width = self._opened(graph, run_id, path, number - 1)
        endings = [self._ending(graph, run_id, (*path, (number - 1, i)), 0) for i in range(width or 0)]
        if None in endings:
            raise Violation(f"a unite before its branches have ended ({endings}): {where}")
        if "f" in endings and strategy is not UniteStrategy.ALL_DONE:
            raise Violation(f"a unite over a failed branch: {where}")

    def _opened(self, graph: Graph, run_id: str, path: Branch, number: int) -> int | None:
        """The width of the group that a state has opened."""
        record = self.records[run_id].get(path, {}).get(number)
        decision = None if record is None else decide(graph, record)
        return decision.width if isinstance(decision, Fork) else None

    def _ending(self, graph: Graph, run_id: str, path: Branch, number: int) -> str | None:
        """How a branch has ended: s, f or p; None if it has not."""
        records = self.records[run_id].get(path, {})
        while (record := records.get(number)) is not None:
            match decide(graph, record):
                case EndBranch(ending):
                    return ending.value
                case GoOn() | UniteAtOnce():
                    number += 1
                case Fork(width, _, unite):
                    after = self._group(graph, run_id, path, number, width, unite)
                    if after != "unite":
                        return after
                    number += 1
                case _:
                    return None
        return None

    def _group(
        self, graph: Graph, run_id: str, path: Branch, number: int, width: int, unite: str | None
    ) -> str | None:
        endings = [self._ending(graph, run_id, (*path, (number, index)), 0) for index in range(width)]
        if None in endings:
            return None
        strategy = None if unite is None else graph.strategy(unite)
        if strategy is UniteStrategy.ANY_SUCCESS and "s" in endings:
            return self._ending(graph, run_id, (*path, (number, width)), 0)
        if "f" in endings and strategy is not UniteStrategy.ALL_DONE:
            return "f"
        if unite is None:
            return "s" if "s" in endings else "p"
        return "unite"

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _header(self, old: Item | None, new: Item) -> None:
        run_id = new["run"]
        self.headers[run_id] = new
        if old is None:
            return
        before, after = RunStatus(old["status"]), RunStatus(new["status"])
        where = f"run {run_id}: {before.value} epoch {old['epoch']} to {after.value} epoch {new['epoch']}"
        if before is not after and after not in RUN_TRANSITIONS[before]:
            raise Violation(f"no such transition: {where}")
        reopened = before in FINAL_RUNS and after not in FINAL_RUNS
        if new["epoch"] != old["epoch"] + int(reopened):
            raise Violation(f"the epoch does not count retries: {where}")
        if before in FINAL_RUNS and not reopened:
            changed = [
                n for n in (*(f"n{i}" for i in range(7)), "ended", "request") if old.get(n) != new.get(n)
            ]
            if changed:
                raise Violation(f"a final status was touched ({changed}): {where}")
        if old["request"] != new["request"]:
            raise Violation(f"another request took the run over: {where}")
