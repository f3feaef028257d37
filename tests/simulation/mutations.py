"""The lines that the promises rest on, each with a way to break it. A simulation that does not notice is no proof.

A mutation replaces some words in the source of one function while the simulation runs. Words that are no longer there
are an error: a line that was rewritten wants its mutation rewritten.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from tests.simulation.case import FAULTS, Case
from tests.simulation.configurations import CONFIGURATIONS
from tests.simulation.explorer import Explorer
from tests.simulation.history import play

_ENGINE = "karman_core.engine."
_SEARCHES, _SHORT = 60, 200


@dataclass(frozen=True, slots=True)
class Mutation:
    """A way to break a line.

    Attributes:
        name: for reports.
        promise: what is no longer true.
        place: module and function, below karman_core.engine if no package is given.
        changes: words and what stands in their place.
        explored: the configuration of the explorer that notices, where no seed does.
        slow: noticed only after tens of thousands of states: for make simulate.
        cases: what the cases that look for it have in common, so that few are needed.
    """

    name: str
    promise: str
    place: str
    changes: tuple[tuple[str, str], ...]
    cases: Mapping[str, Any] = field(default_factory=dict)
    explored: str | None = None
    slow: bool = False

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Break it for a while."""
        module_name, _, path = self.place.partition(":")
        module = import_module(module_name if "." in module_name else _ENGINE + module_name)
        holder: Any = module
        *parents, name = path.split(".")
        for parent in parents:
            holder = getattr(holder, parent)
        original = getattr(holder, name, None)
        if original is None:
            raise LookupError(f"mutation '{self.name}': there is no {self.place} any more")
        broken = self._broken(original, module) if callable(original) else float(self.changes[0][1])
        holders = [holder] if parents else _importers(original, name)
        for one in holders:
            setattr(one, name, broken)
        try:
            yield
        finally:
            for one in holders:
                setattr(one, name, original)

    def _broken(self, original: Any, module: Any) -> Any:
        source = textwrap.dedent(inspect.getsource(original))
        for old, new in self.changes:
            if old not in source:
                raise LookupError(f"mutation '{self.name}': {self.place} has no {old!r} any more")
            source = source.replace(old, new)
        space: dict[str, Any] = dict(vars(module))
        exec(compile(source, f"<{self.name}>", "exec", dont_inherit=True, flags=_annotations()), space)
        return space[original.__name__]

    def case(self, seed: int) -> Case:
        """A case that might notice."""
        return Case.of(seed).but(**self.cases)

    def caught(self, seeds: range) -> str | None:
        """Where it was noticed first, and what was seen; None if it was not."""
        with self.applied():
            if self.explored is not None:
                return self._found()
            for seed in seeds:
                failure = play(self.case(seed)).failure
                if failure is not None:
                    return f"seed {seed}: {type(failure).__name__}: {failure}"
        return None

    def _found(self) -> str | None:
        """Many short searches, each in another order, find what one long search finds late; and at last that one."""
        configuration = next(one for one in CONFIGURATIONS if one.name == self.explored)
        short = [replace(configuration, shuffled=order, limit=_SHORT) for order in range(_SEARCHES)]
        for number, one in enumerate((*short, configuration)):
            found = Explorer(one).explore()
            if found.failure is not None:
                return f"{self.explored}, search {number}, state {found.states}: {found.failure}"
        return None


def _importers(original: Any, name: str) -> list[Any]:
    return [
        module
        for module_name, module in sorted(sys.modules.items())
        if module_name.startswith("karman_") and getattr(module, name, None) is original
    ]


def _annotations() -> int:
    import __future__  # noqa: PLC0415  the module, not the statement

    return __future__.annotations.compiler_flag


_ROUGH: Mapping[str, Any] = {"rate": 0.1, "budget": 14, "faults": FAULTS, "workers": 3}
_DELETES_FIRST = (
    "redelivered = message.receive_count > 1\n"
    "    await self.services.backend.queue.delete(queue, [message.receipt])"
)
_MATCH = "await self.match(run.namespace, run.run_id, name, thorough=task.look)\n"
_PUT = "await self._services.backend.table.put(item)\n"
_ALWAYS = "from karman_core.ports.table import Absent, AnyOf, Present; return AnyOf((Absent(), Present()))"

_CUT_OFF: Mapping[str, Any] = {
    "operations": ("cancel",), "behaviours": ("requeue", "slow"), "faults": (), "skew_ms": 0, "workers": 3,
}  # fmt: skip
_LIMITED: Mapping[str, Any] = {"limits": ("slots",), "runs": 3, "room": 1}
_MESSAGE = "    await self.sender.send(queue, [Advance(position, again=True)])\n"

MUTATIONS = (
    Mutation(
        "commit without its turn", "one result a turn counts", "state_items:turn_open",
        (('AllOf((Equals("t", turn), OneOf("st", _RUNNABLE)))', 'OneOf("st", _RUNNABLE)'),),
        {**_ROUGH, "behaviours": ("requeue", "retry"), "faults": ("expired", "stalled"), "concurrency": 4},
    ),
    Mutation(
        "a lost commit is not adopted", "what follows is decided from the record", "commits:Committer._write",
        (("Committed(winner(lost.old), mine=False)", "Committed(record, mine=True)"),),
        {**_ROUGH, "behaviours": ("wild",)},
    ),
    Mutation(
        "a lost transaction is not adopted", "what follows is decided from the record", "commits:Committer._transact",
        (("Committed(winner(lost.old[0]), mine=False)", "Committed(record, mine=True)"),),
        {**_ROUGH, "behaviours": ("wild", "store")},
    ),
    Mutation(
        "delete before follow", "nothing is lost by a crash", "receiving:Receiver.receive",
        (("redelivered = message.receive_count > 1", _DELETES_FIRST),),
        _ROUGH,
    ),
    Mutation(
        "arrivals without their condition", "totals are exact", "join_items:not_arrived",
        (("return AllOf(tuple(Lacks(name, member) for name in _SETS))", _ALWAYS),), _ROUGH,
    ),
    Mutation(
        "whoever finds a group full acts for it", "a unite is fired once", "joining:Joiner._climb",
        (("done = join.last == slot.member and join.full(slot)", "done = join.full(slot)"),),
        explored="three groups of 2: 1 duplicate",
    ),
    Mutation(
        "a final status of any epoch", "a retried run is not ended by its past", "run_items:open_in_epoch",
        (('AllOf((OneOf("status", OPEN), Equals("epoch", epoch)))', 'OneOf("status", OPEN)'),),
        explored="a retry of 1 failed state: 1 duplicate",
    ),
    Mutation(
        "an old epoch runs what was reopened", "a retried state is run by its own epoch", "advancing:Advancer.advance",
        ((" or record.reopened > position.run.epoch", ""), ("record.reopened > position.run.epoch", "False")),
        explored="a retry of 1 failed state: 1 duplicate", slow=True,
    ),
    Mutation(
        "join items without epoch", "a retried group fills again", "keys:join",
        (("#{epoch}#", "#0#"),), {"operations": ("retry",)},
    ),
    Mutation(
        "a wait looks first", "no signal is overlooked", "waiting:Waits.register",
        ((f"    {_MATCH}", ""), (f"    {_PUT}", f"    {_MATCH}    {_PUT}")),
        {"behaviours": ("wait", "signals"), "operations": ("signal",), "workers": 3},
    ),
    Mutation(
        "parking without a second look", "a resumed run goes on", "lifecycle:Lifecycle.park",
        (("return control.flag is Flag.PAUSED", "return True"),),
        {"operations": ("pause",), "workers": 3, "settings": 1, "concurrency": 4, "faults": (), "runs": 2},
    ),
    Mutation(
        "any request under one key", "one key is one request", "lifecycle:Lifecycle.begin",
        (("(begun.request, begun.run.reused) == (header.request, run.reused)", "True"),), {"operations": ("twice",)},
    ),
    Mutation(
        "heartbeats without margin", "a living worker keeps its message", "karman_runtime.leases:BEATS_PER_LEASE",
        (("3", "0.9"),), {"behaviours": ("slow",), "faults": (), "operations": (), "skew_ms": 0},
    ),
    Mutation(
        "a signal that was used", "a signal wakes one wait", "waiting:Waits._pair",
        ((', Absent("used"))', ")"),), {"behaviours": ("wait", "signals"), "operations": ("signal",), "workers": 3},
    ),
    Mutation(
        "any success fires", "ANY_SUCCESS fires once", "join_items:arrival",
        (('SetOnce("fi", member)', 'Set("fi", member)'),), _ROUGH,
    ),
    Mutation(
        "a fired unite is no member", "ANY_SUCCESS waits for its unite", "karman_core.domain.joins:Join.full",
        (("slot.size + int(slot.root and self.fired is not None)", "slot.size"),), {},
    ),
    Mutation(
        "blobs not named by content", "the committed record names its outputs", "outputs:OutputStore.put_aside",
        (('hashlib.sha256("\\n".join(texts).encode()).hexdigest()[:20]', '"same"'),),
        {**_ROUGH, "settings": 2},
    ),
    Mutation(
        "store writes without version", "an increment is counted once", "store:RunStore.writes",
        (('condition = Equals("ver", version) if old else Absent()', "condition = None"),),
        {"behaviours": ("store",), "workers": 3, "concurrency": 4},
    ),
    Mutation(
        "a header put again", "a run begins once", "lifecycle:Lifecycle.begin",
        (("put(item, Absent())", "put(item)"),), {**_ROUGH, "operations": ("twice",)},
    ),
    Mutation(
        "a pairing that nobody follows up", "whoever sees READY sends", "waiting:Waits._match_one",
        (("if _ready(state, then.turn):", "if False:"),), explored="a wait and a signal: 1 crash",
    ),
    Mutation(
        "no look before running", "a state resumes with its signal", "receiving:Receiver.receive",
        (("redelivered or is_late(decoded)", "False"),), {"behaviours": ("wait",), "operations": ("signal",)},
    ),
    Mutation(
        "retried states count again", "totals are exact over epochs", "reopening:Reopener._open_state",
        (("totals=Totals().minus(before)", "totals=Totals()"),), {"operations": ("retry",)},
    ),
    Mutation(
        "a late retry command reopens again", "a retry is done once", "reopening:Reopener.reopen",
        ((" if found.record.epoch < epoch", ""),), {**_ROUGH, "operations": ("retry",), "behaviours": ("wild",)},
    ),
    Mutation(
        "waiting for a slot without a second look", "a queued run gets its turn", "slots:Slots.enter",
        (("    await self.wake(pool)\n    return False", "    return False"),),
        explored="2 runs, 1 slot: no fault",
    ),
    Mutation(
        "a slot that is taken without its limit", "no more runs go on than the limit", "slot_pools:SlotPools.take",
        (('LessThan("held", limit)', 'LessThan("held", limit + 1)'),), _LIMITED,
    ),
    Mutation(
        "a slot that is given back twice", "no more runs go on than the limit", "slot_pools:SlotPools.give",
        (("[count, held]", "[count]"),), _LIMITED,
    ),
    Mutation(
        "nobody is woken by a release", "a queued run gets its turn", "slots:Slots.release",
        (("if not await self.wake(pool):", "if True:"),), _LIMITED,
    ),
    Mutation(
        "a slot is handed over before the message", "a queued run gets its turn", "slots:Slots._hand_over",
        ((_MESSAGE, ""), ("    return taken is not Taken.FULL", f"{_MESSAGE}    return taken is not Taken.FULL")),
        {
            **_LIMITED, "runs": 4, "rate": 0.05, "budget": 14, "faults": ("crash_after",), "operations": (),
            "behaviours": (), "most_states": 4,
        },
    ),
    Mutation(
        "starts are reserved unconditionally", "no more runs begin than the rate", "starts:StartLimits._write",
        (('Absent() if before is None else Equals("log", before["log"])', "None"),),
        {"limits": ("starts",), "runs": 4, "skew_ms": 0, "room": 1},
    ),
    Mutation(
        "a skip that nobody follows", "a skipped state's run goes on", "skipping:Skipper.apply",
        (("    if follow:\n", "    if False:\n"),), {"operations": ("skip",), "behaviours": ("wait", "slow")},
    ),
    Mutation(
        "a skip forgets who asked", "a skip is done once for a request", "skipping:Skipper._commit",
        (('arguments["id"]', '"same"'),), {"operations": ("skip",), "behaviours": ("wait", "retry")},
    ),
    Mutation(
        "a purge leaves no note", "a purged run does not come back", "purging:Purger.go_on",
        (("backend.table.put(stone, Present", "backend.table.delete(keys.run(namespace, run_id), Present"),),
        {"operations": ("purge",)},
    ),
    Mutation(
        "a purge forgets the joins", "a purge leaves nothing", "purging:Purger._delete_branch",
        (("if isinstance(decision, Fork):", "if False:"),), {"operations": ("purge",)},
    ),
    Mutation(
        "a purge under a worker is an error", "what is purged is dropped", "receiving:Receiver.is_purged",
        (("return True", "return False"),), {
            "operations": ("purge", "cancel", "duplicate"), "workers": 3, "settings": 2, "rate": 0.05, "budget": 8,
            "faults": ("stalled", "expired"),
        },
    ),
    Mutation(
        "a redrive overlooks what has not begun", "a run whose queue was lost goes on", "sweeping:Sweeper._due_ms",
        (("return header.starts_ms if header.starts_ms > now else 0", "return None"),),
        {"operations": ("redrive",), "workers": 3},
    ),
    Mutation(
        "an operation that is not recorded first", "who changed what is known", "auditing:AuditLog.recorded",
        (("    await self._services.backend.table.put(self._item(key, entry))\n", ""),), {"operations": ("pause",)},
    ),
    Mutation(
        "a refused trigger gives another's slot back", "a run that goes on has its slot", "slots:Slots.abandon",
        (("only_if=check", "only_if=None"),),
        {"limits": ("slots", "starts", "refusing"), "runs": 4, "operations": ("twice",), "room": 1, "workers": 3},
    ),
    Mutation(
        "a redriven run begins at once", "no more runs begin than the rate", "lifecycle:Lifecycle._first_again",
        (("if graph.rate_limit is not None:", "if False:"),),
        {"limits": ("starts",), "runs": 4, "operations": ("redrive",), "faults": (), "room": 1, "workers": 1},
    ),
    Mutation(
        "a rerun has the inputs of before", "a rerun ends as its inputs say", "rerunning:Reruns._with_inputs",
        (("return replace(header, inputs=inputs, tags=tags, slot=graph.slot(inputs))", "return header"),),
        {"operations": ("rerun",)},
    ),
    Mutation(
        "a rerun from a later state reads what it read", "a rerun ends as its inputs say",
        "inputs:InputResolver._given", (("changed = _begins_rerun(position)", "changed = False"),),
        {"operations": ("rerun",)},
    ),
    Mutation(
        "flags are believed however old they are", "nothing runs after a final status", "control:Controls.current",
        (("if self._is_old(key) and not (fresh and key not in self._cache):", "if False:"),), _CUT_OFF,
    ),
    Mutation(
        "a transaction costs what a write costs", "counters match the calls", "commits:Committer._transact",
        (("2 * write_units(record)", "write_units(record)"),), {"behaviours": ("store",)},
    ),
    Mutation(
        "earlier turns cost nothing", "counters match the calls", "karman_core.domain.positions:run_again",
        (("write_units=record.write_units", "write_units=0"),), {"behaviours": ("requeue",)},
    ),
    Mutation(
        "a rerun does not count what it reuses", "totals are exact", "rerunning:Reruns._totals",
        (("return outcomes(totals)", "return outcomes(Totals())"),), {"operations": ("rerun",)},
    ),
)  # fmt: skip
