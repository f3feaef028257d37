"""Invariants that hold at every step: the monitor sees each write of the table and the blobs as it takes effect.

It keeps a copy of every item that it has seen, and compares what a write made of it with what may become of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
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
from karman_core.engine.payloads import unpack
from karman_core.engine.run_items import PURGED
from karman_core.engine.state_items import read_record
from karman_core.ports.table import Key
from tests.simulation.counters import check_commit
from tests.simulation.limits import Limits
from tests.simulation.processes import Call
from tests.simulation.violations import Violation

_CHANGES = frozenset(
    {
        "table.put",
        "table.update",
        "table.delete",
        "table.transact",
        "table.batch_write",
        "queue.send",
        "timers.set",
    }
)
_FROZEN = ("i", "t", "o", "w", "ob", "oc", "ch", "d", "e", "b", "wu", "sg")
Item = Mapping[str, Any]


def run_of(key: Key) -> str:
    """The run that an item belongs to, from its partition key."""
    return key.pk.partition("#run#")[2].partition("#")[0]


class Monitor:
    """Watches writes.

    Attributes:
        failure: the first violation, for the scheduler to raise.
        commits: by run, branch path, number and turn: how often a turn was committed.
        counted: by run: commits whose outcome increments the store's `n`.
        calls: of the table, by method, as made.
        operators: processes that do what an operator asks for; `audited` are those that have recorded it.
        began_with: by run: the first value of the store's `n`, where it is not the default.
        purged: by run that was purged: its header before.
        late: by run: what was written while the run was being purged, or after that, and is still there.
        stopped_ms: by run that was cut off: when its workers could know; `now_ms` is the true time.
    """

    def __init__(self, backend: EmbeddedBackend) -> None:
        with backend.database.read() as connection:
            self._connection = connection  # of a database in memory, the only one
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
        self.limits = Limits()
        self.operators: set[str] = set()
        self.audited: set[str] = set()
        self.began_with: dict[str, Any] = {}
        self.purged: dict[str, Item] = {}
        self.late: defaultdict[str, set[str]] = defaultdict(set)
        self.stopped_ms: dict[str, int] = {}
        self.now_ms: Callable[[], int] = lambda: 0

    def before(self, key: Key) -> Item | None:
        """An item as it was before the last write to it."""
        return self._before.get(Key(*key))

    def item(self, key: Key) -> Item | None:
        """An item as it is."""
        return self._items.get(key)

    def items(self) -> Iterable[Item]:
        """All items as they are."""
        return self._items.values()

    def left_of(self, run_id: str) -> set[str]:
        """Keys and names of what there is of a run, but for the note that it was purged, and its control flag."""
        own = [key for key in self._items if run_id in key.pk or run_id in key.sk]
        items = {
            " ".join(key) for key in own if not (run_of(key) == run_id and key.sk in {"header", "control"})
        }
        return items | {name for name in self._blobs if name.split("/")[1] == run_id}

    def expires(self, name: str) -> bool:
        """Whether what was written late goes by itself; of blobs the service's own rules see to that."""
        pk, _, sk = name.partition(" ")
        item = self._items.get(Key(pk, sk))
        return item is None or "ttl" in item

    def audit(self) -> dict[str, list[Item]]:
        """The audit log, by who did it."""
        found: defaultdict[str, list[Item]] = defaultdict(list)
        for key, item in self._items.items():
            if "#audit#" in key.pk:
                found[item["by"]].append(item)
        return found

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
            if call.process.name in self.operators and call.name in _CHANGES:
                self._recorded(call)
            self._look(call)
        except Violation as violation:
            self.failure = self.failure or violation

    def _look(self, call: Call) -> None:
        match call.name:
            case "table.put":
                self._written([call.arguments[0]])
                self._begun(call.arguments[0])
            case "table.update" | "table.delete":
                self._written([call.arguments[0]])
            case "table.transact":
                places = [getattr(write, "item", None) or write.key for write in call.arguments[0]]
                self._written(places, transacted=True)
            case "table.batch_write":
                self._written([one for some in (*call.arguments, *call.options.values()) for one in some])
            case "blobs.put" | "blobs.delete_prefix":
                self._blob(*call.arguments)
            case "queue.send":
                self.sent += len(call.arguments[1])

    def _written(self, where: Iterable[Any], *, transacted: bool = False) -> None:
        for place in where:
            key = Key(place["pk"], place["sk"]) if isinstance(place, Mapping) else Key(*place)
            new = rows.find(self._connection, key)
            old = self._items.get(key)
            self._before[key] = old
            if "#run#" in key.pk:
                self._note_late(key, there=new is not None)
            if "#slots" in key.pk or "#starts#" in key.pk:
                self.limits.note(key, old, new)
            if new is None:
                if self._items.pop(key, None) is not None:
                    self._deleted(key)
                continue
            self._items[key] = new
            if key.sk.startswith("s#") and "#b#" in key.pk:
                self._state(key, old, new, transacted=transacted)
            elif key.sk == "header":
                self._header(key, old, new)
            elif key.sk == "control" and new.get("flag") == "stopped":
                self.stopped_ms.setdefault(run_of(key), self.now_ms())
            elif "#sig#" in key.pk and old is not None and old.get("used") not in {None, new.get("used")}:
                raise Violation(f"signal {key.sk} woke {old['used']} and {new.get('used')}")
        self.limits.check()

    # --- purges and operators -----------------------------------------------------------------------------------------

    def is_purged(self, run_id: str) -> bool:
        """Whether a run was purged, or is being purged."""
        header = self.headers.get(run_id)
        return header is not None and ("purging" in header or header["status"] == PURGED)

    def _note_late(self, key: Key, *, there: bool) -> None:
        run_id = run_of(key)
        if not there:
            self.late[run_id].discard(" ".join(key))
        elif key.sk not in {"header", "control"} and self.is_purged(run_id):
            self.late[run_id].add(" ".join(key))

    def _blob(self, name: str, data: bytes | None = None) -> None:
        """A blob was written; or those whose names begin so were deleted."""
        run_id = name.split("/")[1]
        if data is None:
            gone = {one for one in self._blobs if one.startswith(name)}
            self._blobs = {one: data for one, data in self._blobs.items() if one not in gone}
            self.late[run_id] -= gone
            return
        if self._blobs.setdefault(name, data) != data:
            raise Violation(f"blob {name} was written with other bytes")
        if self.is_purged(run_id):
            self.late[run_id].add(name)

    def _deleted(self, key: Key) -> None:
        if "#b#" not in key.pk or not key.sk.startswith("s#"):
            return
        run_id, _, text = key.pk.partition("#run#")[2].partition("#b#")
        if not self.is_purged(run_id):
            raise Violation(f"state {run_id} {text or '-'} {key.sk} was deleted")
        self.records[run_id].get(parse_branch(text), {}).pop(int(key.sk[2:]), None)

    def _begun(self, item: Item) -> None:
        """What a run's store begins with is put by itself; what a state writes goes with its commit."""
        if item["sk"] == "n" and item["pk"].endswith("#store"):
            self.began_with[run_of(Key(item["pk"], item["sk"]))] = unpack(item["value"])

    def _recorded(self, call: Call) -> None:
        """What an operator asks for is recorded before it is done."""
        where = call.arguments[0]["pk"] if call.name == "table.put" else ""
        if "#audit" in where:
            if "#audit#" in where:
                self.audited.add(call.process.name)
        elif call.process.name not in self.audited:
            raise Violation(f"{call.process.name} did {call.name} and has not recorded what for")

    # --- states -------------------------------------------------------------------------------------------------------

    def _state(self, key: Key, old: Item | None, new: Item, *, transacted: bool) -> None:
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
            check_commit(old, new, where, transacted=transacted)
            self._committed(run_id, path, number, record, where)

    def _committed(self, run_id: str, path: Branch, number: int, record: Record, where: str) -> None:
        if self.is_purged(run_id):
            return
        self.commits[run_id, path, number, record.turn] += 1
        if self.commits[run_id, path, number, record.turn] > 1:
            raise Violation(f"committed twice: {where}")
        header = self.headers.get(run_id)
        if header is None:
            raise Violation(f"a state of a run without header: {where}")
        if header["status"] in {"SUCCEEDED", "FAILED"}:
            raise Violation(f"the run had ended {header['status']}: {where}")
        if header["status"] in {"RUNNING", "PAUSED"}:
            self.limits.check_holds(run_id, header, where)
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

    def _header(self, key: Key, old: Item | None, new: Item) -> None:
        run_id = run_of(key)
        self.headers[run_id] = new
        if old is None:
            return
        if PURGED in {old["status"], new["status"]}:
            if old != new and (old["status"] == PURGED or "decided" not in old):
                raise Violation(
                    f"run {run_id}: {old['status']} to {new['status']}, as if purging were nothing"
                )
            self.purged.setdefault(run_id, old)
            return
        if "decided" in old and "purging" not in new:
            raise Violation(f"run {run_id}: the purge was decided, and is taken back")
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
