"""From one position to the next: going on, looping, forking, uniting. Pure; the engine only carries positions about.

A Range's parent position has the forking state's branch and number, but its branches' frames: one more than pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from karman_core.domain.branches import Branch
from karman_core.domain.decide import Fork
from karman_core.domain.definition import JSON
from karman_core.domain.graph import Graph
from karman_core.domain.messages import ALL_OUTPUTS, Frame, GroupRef, OutputRef, Position, Scope
from karman_core.domain.records import Record
from karman_core.domain.totals import Totals


def carried(graph: Graph, identifier: str, output: Mapping[str, JSON]) -> dict[str, JSON]:
    """The fields of an output that someone reads: all that needs to ride along in messages."""
    return {name: output[name] for name in sorted(graph.fields[identifier]) if name in output}


def go_on(
    graph: Graph, position: Position, record: Record, identifier: str, values: Mapping[str, JSON] | None
) -> Position:
    """The next state of the same branch; `values` are of the record at `position`, if they ride along."""
    own = OutputRef(len(position.branch), position.number, 0, values)
    scope = _reading(graph, position.scope, identifier, position.identifier, own)
    return _next_state(position, record, identifier, scope)


def loop_back(
    graph: Graph, position: Position, record: Record, values: Mapping[str, JSON] | None
) -> Position:
    """The state that a loop edge leads to; the round is counted."""
    target = record.chosen or ""
    edge = loop_edge(position.identifier, target)
    after = go_on(graph, position, record, target, values)
    rounds = {**after.scope.rounds, edge: after.scope.rounds.get(edge, 0) + 1}
    return replace(after, scope=replace(after.scope, rounds=rounds))


def loop_edge(source: str, target: str) -> str:
    """The name by which rounds of a loop edge are counted."""
    return f"{source}>{target}"


def fork(graph: Graph, position: Position, record: Record, decision: Fork) -> Position:
    """What the branches of a fork share: the parent's branch and number, with the group's frame on top."""
    totals = position.totals.plus(record.totals)
    frame = Frame(position.identifier, decision.width, totals, _parent_scope(graph, position, decision.unite))
    return replace(
        position,
        frames=(*position.frames, frame),
        turn=0,
        attempts=0,
        first_ms=0,
        busy_ms=0,
        write_units=0,
        totals=Totals(),
        trigger_inputs=None,
    )


def branch(
    graph: Graph, parent: Position, index: int, starts: tuple[str, ...], values: Mapping[str, JSON] | None
) -> Position:
    """The first position of branch `index`; `parent` as `fork` makes it, `values` of the branch's output."""
    identifier = starts[index % len(starts)]
    own = OutputRef(len(parent.branch), parent.number, index // len(starts), values)
    scope = _reading(graph, parent.scope, identifier, parent.identifier, own)
    path: Branch = (*parent.branch, (parent.number, index))
    return replace(parent, branch=path, number=0, identifier=identifier, scope=scope)


def unite_at_once(graph: Graph, position: Position, record: Record, unite: str) -> Position:
    """The unite of a group without branches."""
    group = GroupRef(len(position.branch), position.number, 0)
    scope = _united_scope(graph, _parent_scope(graph, position, unite), unite, position.identifier, group)
    return _next_state(position, record, unite, scope)


def unite(graph: Graph, member: Position, identifier: str, totals: Totals) -> Position:
    """The unite of a group that has ended, in the parent's branch; `member` is any position in the group."""
    frame, (number, _) = member.frames[-1], member.branch[-1]
    group = GroupRef(len(member.branch) - 1, number, frame.width)
    return replace(
        _blank(member),
        branch=member.branch[:-1],
        frames=member.frames[:-1],
        number=number + 1,
        identifier=identifier,
        scope=_united_scope(graph, frame.scope, identifier, frame.identifier, group),
        totals=totals,
    )


def unite_as_member(graph: Graph, member: Position, identifier: str, fired: int) -> Position:
    """The unite that the first success of an ANY_SUCCESS group fires: one more branch of the same group."""
    frame, (number, _) = member.frames[-1], member.branch[-1]
    group = GroupRef(len(member.branch) - 1, number, frame.width, only=fired)
    return replace(
        _blank(member),
        branch=(*member.branch[:-1], (number, frame.width)),
        number=0,
        identifier=identifier,
        scope=_united_scope(graph, frame.scope, identifier, frame.identifier, group),
        totals=Totals(),
    )


def _blank(position: Position) -> Position:
    return replace(position, turn=0, attempts=0, first_ms=0, busy_ms=0, write_units=0, trigger_inputs=None)


def run_again(position: Position, record: Record) -> Position:
    """The next turn of the same state."""
    return replace(
        position,
        turn=record.turn,
        attempts=record.attempts,
        first_ms=record.first_ms,
        busy_ms=record.busy_ms,
        write_units=record.write_units,
    )


def _next_state(position: Position, record: Record, identifier: str, scope: Scope) -> Position:
    return replace(
        _blank(position),
        number=position.number + 1,
        identifier=identifier,
        scope=scope,
        totals=position.totals.plus(record.totals),
    )


def _reading(graph: Graph, scope: Scope, reader: str, name: str, own: OutputRef) -> Scope:
    """What `reader` and those after it read of a scope to which the outputs of `name` were added."""
    outputs = {**scope.outputs, name: own}
    needed = graph.needs[reader]
    return Scope(
        {identifier: ref for identifier, ref in outputs.items() if identifier in needed.outputs},
        {united: ref for united, ref in scope.groups.items() if united in needed.groups},
        scope.rounds,
    )


def _parent_scope(graph: Graph, position: Position, unite: str | None) -> Scope:
    """What a unite begins with: kept in the frame of every branch, so without values, and only if there is a unite."""
    if unite is None:
        return Scope()
    own = OutputRef(len(position.branch), position.number, ALL_OUTPUTS)
    scope = _reading(graph, position.scope, unite, position.identifier, own)
    bare = {name: ref.bare() for name, ref in scope.outputs.items()}
    return Scope(bare, scope.groups, scope.rounds)


def _united_scope(graph: Graph, scope: Scope, unite: str, united: str, group: GroupRef) -> Scope:
    groups = {**scope.groups, united: group} if united in graph.needs[unite].groups else scope.groups
    return Scope(scope.outputs, groups, scope.rounds)
