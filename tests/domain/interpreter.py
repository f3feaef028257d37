"""Workers, as section 3 of the design describes them: the domain decides, what the engine does is spelled out here.

A worker stops before each step that others can see, so that a test may crash it there, or let another one go first.
`Rules` leave out single rules, to show that the tests notice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from karman_core.domain.decide import EndBranch, Ending, Fork, GoOn, Run, RunAgain, UniteAtOnce, Wait, decide
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.joins import Join, Slot, climb, end_group
from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import Advance, Message, Position, Range
from karman_core.domain.outcome import Errored, Outcome
from karman_core.domain.positions import (
    branch,
    carried,
    fork,
    go_on,
    loop_back,
    run_again,
    unite,
    unite_as_member,
    unite_at_once,
)
from karman_core.domain.records import Record, Turn, record_outcome
from karman_core.domain.totals import Totals
from tests.domain.reference import Place, enter
from tests.domain.world import JoinKey, World, is_open, place_of

Steps: TypeAlias = Generator[Position | str, Outcome | None, Any]
"""Yields what the next step is, one of STEPS, or the position of a node that is to run; then its outcome is sent."""

STEPS = ("begin", "look", "mark", "commit", "send", "enter", "tell", "wait", "finish", "delete")


@dataclass(frozen=True)
class Rules:
    """The rules of the protocol; a mutant leaves one out.

    Attributes:
        conditional: a commit needs its turn to be open (or, without `turns`, any turn).
        adopt: a lost commit is followed as the winner's; without `keep`, it ends the work and the message.
        membership: a branch enters a join item once.
        last: a full item is acted on by its last member alone.
        frozen: the first success of an ANY_SUCCESS group stays the one that fired its unite.
        told: it is told to the root item before the item that it arrived at goes up.
        durable: a message is deleted after all that follows is sent.
    """

    conditional: bool = True
    turns: bool = True
    adopt: bool = True
    keep: bool = True
    membership: bool = True
    last: bool = True
    frozen: bool = True
    told: bool = True
    durable: bool = True


class Worker:
    """A worker on one delivery of a message.

    Attributes:
        next: what the worker is about to do: one of STEPS, or to run the node at a position.
        done: whether the work has come to its end, the message's deletion included.
    """

    def __init__(self, world: World, number: int, rules: Rules) -> None:
        delivery = world.queue[number]
        delivery.received += 1
        self.world, self.graph, self.number, self.rules = world, world.graph, number, rules
        self.redelivered = delivery.received > 1
        self.again = self.moved = False
        self.done = False
        self._steps = self._work(decode(delivery.body))
        self.next = next(self._steps)

    def step(self, choose: Callable[[Position], Outcome]) -> None:
        """One step; `choose` says how a node ends."""
        outcome = choose(self.next) if isinstance(self.next, Position) else None
        try:
            self.next = self._steps.send(outcome)
        except StopIteration:
            self.done = True

    def run(self, choose: Callable[[Position], Outcome], until: str | None = None) -> None:
        """All steps, or those before the next one of a kind."""
        while not self.done:
            self.step(choose)
            if self.next == until:
                return

    def _work(self, message: Message) -> Steps:
        yield "begin"
        match message:
            case Advance(position, again):
                self.again = again or self.redelivered
                self.remote = position.identifier in self.world.options.remote
                yield from self._advance(position)
            case Range():
                self.again = message.again or self.redelivered
                yield from self._send(self._branches(message))
            case _:
                assert message.then is not None
                if self.world.wake(message.then):
                    yield from self._send([message.then], again=True)
        yield "delete"
        self.world.queue.pop(self.number, None)

    def _advance(self, start: Position) -> Steps:
        here: Position | None = start
        while here is not None:
            record = None
            if self.again:
                yield "look"
                record = self.world.records.get(place_of(here))
            if record is not None and record.turn > here.turn:
                self._adopt()
            else:
                here = here if record is None else run_again(here, record)
                fresh = self.redelivered and self.moved
                if fresh or (here.identifier in self.world.options.remote) != self.remote:
                    yield from self._send([here], again=fresh or self.again)
                    return
                record = yield from self._run(here)
            if record is None or record.turn > here.turn + 1:
                return
            here = yield from self._follow(here, record)

    def _adopt(self) -> None:
        self.again = self.moved = True

    # --- one state ----------------------------------------------------------------------------------------------------

    def _run(self, here: Position) -> Steps:
        """Run and commit a state; the record in the table, or None to stop."""
        if self.world.options.marks:
            yield "mark"
            self.world.mark(here)
        self.world.see(here)
        outcome = yield here
        assert outcome is not None
        record = self._record(here, outcome)
        yield "commit"
        place = place_of(here)
        old = self.world.records.get(place)
        if self._may_commit(here, old):
            self.world.write(place, record)
            return record
        self._adopt()
        if not self.rules.keep:
            return None
        return old if self.rules.adopt else record

    def _may_commit(self, here: Position, old: Record | None) -> bool:
        if not self.rules.conditional:
            return True
        if not self.rules.turns:
            return old is None or old.runnable
        return is_open(old, here.turn)

    def _record(self, here: Position, outcome: Outcome) -> Record:
        started, ended = next(self.world.clock), next(self.world.clock)
        turn = Turn(
            here.identifier,
            here.turn,
            here.attempts,
            here.first_ms,
            started,
            ended,
            busy_ms=here.busy_ms,
            write_units=here.write_units,
        )
        retry = isinstance(outcome, Errored) and outcome.retry
        record = record_outcome(turn, outcome, 1 if retry else None)
        return replace(record, write_units=record.write_units + 1)

    def _follow(self, here: Position, record: Record) -> Steps:
        """Make durable what follows a record; the position to go on with."""
        match decide(self.graph, record):
            case GoOn(identifier, looping):
                values = self._carried(here, record)
                if looping:
                    return loop_back(self.graph, here, record, values)
                return go_on(self.graph, here, record, identifier, values)
            case Fork() as decision:
                return (yield from self._fork(here, record, decision))
            case UniteAtOnce(identifier):
                return unite_at_once(self.graph, here, record, identifier)
            case EndBranch(ending):
                return (yield from self._arrive(here, ending, here.totals.plus(record.totals)))
            case RunAgain():
                yield from self._send([run_again(here, record)])
            case Wait():
                then = run_again(here, record)
                yield "wait"
                self.world.waits[place_of(then)] = then
                yield "look"
                if self.world.ready(then):
                    yield from self._send([then], again=True)
            case Run():
                pass
        return None

    def _fork(self, here: Position, record: Record, decision: Fork) -> Steps:
        world, parent = self.world, fork(self.graph, here, record, decision)
        if decision.width == 1:
            return branch(self.graph, parent, 0, decision.starts, self._carried(here, record))
        outputs = record.outputs if world.options.carries else None
        if decision.width <= world.options.direct:
            yield from self._send(
                self._branches(Range(parent, 0, decision.width, decision.starts, 0, outputs))
            )
            return None
        ranges = []
        for first in range(0, decision.width, world.options.arity):
            last = min(first + world.options.arity, decision.width)
            begin, each = first // len(decision.starts), len(decision.starts)
            some = None if outputs is None else tuple(outputs[begin : (last - 1) // each + 1])
            ranges.append(Range(parent, first, last, decision.starts, begin, some, self.again))
        yield from self._send(ranges)
        return None

    def _branches(self, shard: Range) -> list[Position]:
        outputs, first, parent = shard.outputs, shard.first_output, shard.parent
        if outputs is None:
            outputs, first = self.world.records[place_of(parent)].outputs or (), 0
        positions = []
        for index in range(shard.first, shard.last):
            number = index // len(shard.starts) - first
            output = outputs[number] if number < len(outputs) else {}
            values = carried(self.graph, parent.identifier, output) if self.world.options.carries else None
            positions.append(branch(self.graph, parent, index, shard.starts, values))
        return positions

    def _carried(self, here: Position, record: Record) -> dict[str, Any] | None:
        outputs = record.outputs or ({},)
        return carried(self.graph, here.identifier, outputs[0]) if self.world.options.carries else None

    def _send(self, work: Iterable[Position | Range], *, again: bool | None = None) -> Steps:
        for one in work:
            if not self.rules.durable:
                yield "delete"
                self.world.queue.pop(self.number, None)
            yield "send"
            flag = self.again if again is None else again
            self.world.send(one if isinstance(one, Range) else Advance(one, again=flag))

    # --- joins --------------------------------------------------------------------------------------------------------

    def _arrive(self, here: Position, ending: Ending, totals: Totals) -> Steps:
        """A branch has ended; the position of a unite that runs now."""
        while here.frames:
            root = yield from self._climb(here, ending, totals)
            if root is None:
                return None
            join, slot = root
            frame, group = here.frames[-1], group_of(here)
            name = self.graph.unite_of(frame.identifier)
            end = end_group(join, slot.size, self.graph.strategy(name) if name else None)
            totals = frame.totals.plus(join.totals)
            if end.unite and name is not None:
                self.world.fire(group, here.branch[-1][1], beside=False)
                return unite(self.graph, here, name, totals)
            ending = end.ending
            here = replace(here, branch=here.branch[:-1], frames=here.frames[:-1])
        yield "finish"
        self.world.finish(ending, totals)
        return None

    def _climb(self, here: Position, ending: Ending, totals: Totals) -> Steps:
        """Arrive at every level that this arrival fills; the root item, when the group is in and it is ours."""
        frame, index = here.frames[-1], here.branch[-1][1]
        name = self.graph.unite_of(frame.identifier)
        strategy = self.graph.strategy(name) if name else None
        any_success = strategy is UniteStrategy.ANY_SUCCESS and index != frame.width
        slots = list(climb(frame.width, index, self.world.options.arity))
        join, slot = Join(), slots[-1]
        for slot in slots:
            fires = any_success and slot.level == 0 and ending is Ending.SUCCEEDED
            join = yield from self._enter(here, slot, ending, totals, fires=fires)
            done = join.full(slot) and (join.last == slot.member or not self.rules.last)
            if any_success and slot.level == 0 and join.fired is not None and name is not None:
                yield from self._fire(here, slots, join.fired, name, up=done)
            if not done:
                return None
            ending, totals = join.ending(strategy), join.totals
        return join, slot

    def _enter(self, here: Position, slot: Slot, ending: Ending, totals: Totals, *, fires: bool) -> Steps:
        yield "enter"
        key = self._key(here, slot)
        join = self.world.joins.get(key, Join())
        if self.rules.membership and join.holds(slot.member):
            self._adopt()
            return join
        join = enter(join, slot.member, ending, totals, fires=fires)
        if fires and not self.rules.frozen:
            join = replace(join, fired=slot.member)
        self.world.joins[key] = join
        return join

    def _fire(self, here: Position, slots: list[Slot], member: int, name: str, *, up: bool) -> Steps:
        """Freeze the first success of an ANY_SUCCESS group in the root item; its branch sends the unite."""
        index, root = here.branch[-1][1], slots[-1]
        fired = index - slots[0].member + member
        if not root.level:
            first = fired
        elif fired == index or (up and self.rules.told):
            yield "tell"
            key = self._key(here, root)
            join = self.world.joins.get(key, Join())
            first = fired if join.fired is None or not self.rules.frozen else join.fired
            self.world.joins[key] = replace(join, fired=first)
        else:
            return
        if first == index:
            self.world.fire(group_of(here), index, beside=True)
            yield from self._send([unite_as_member(self.graph, here, name, index)], again=True)

    def _key(self, here: Position, slot: Slot) -> JoinKey:
        return group_of(here), slot.level, slot.item


def group_of(here: Position) -> Place:
    """The forking state of the innermost group that a position is in."""
    return here.branch[:-1], here.branch[-1][0]
