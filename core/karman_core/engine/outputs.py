"""Outputs of states: written beside the record when they are large, and read again by the states that refer to them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from karman_core.domain.branches import Branch, state_id
from karman_core.domain.decide import Decision, Fork, GoOn, UniteAtOnce, decide
from karman_core.domain.definition import JSON
from karman_core.domain.errors import BackendError, NotFound
from karman_core.domain.graph import Graph
from karman_core.domain.messages import GroupRef, RunRef
from karman_core.domain.records import Record
from karman_core.domain.transitions import StateStatus
from karman_core.engine.payloads import dumps, pack, packed_size, unpack
from karman_core.engine.reusing import gone, key_of
from karman_core.engine.services import Services
from karman_core.engine.state_items import read_record
from karman_core.ports.table import Key

Outputs = Sequence[Mapping[str, JSON]]
Place = tuple[Branch, int]
"""Branch and number of a state."""

_ROUND = 1000
"""Records read at a time when walking a group: bounds memory, not the width."""


class OutputStore:
    """Reads and writes outputs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def put_aside(self, run: RunRef, place: Place, record: Record, per_chunk: int) -> Record:
        """The record as it fits the table: outputs over the limit go to blobs first, named by their content."""
        if (
            not record.outputs
            or packed_size(pack(record.outputs)) <= self._services.settings.inline_payload_bytes
        ):
            return record
        chunks = [
            record.outputs[start : start + per_chunk] for start in range(0, len(record.outputs), per_chunk)
        ]
        texts = [dumps(chunk) for chunk in chunks]
        digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:20]
        prefix = f"{run.namespace}/{run.run_id}/{state_id(run.run_id, *place)}/{digest}"
        for number, text in enumerate(texts):
            packed = pack(unpack(text))
            data = packed if isinstance(packed, bytes) else packed.encode()
            await self._services.backend.blobs.put(f"{prefix}/{number}", data)
        return replace(record, outputs=None, blobs=prefix, chunk=per_chunk)

    async def of_record(self, record: Record, first: int = 0, last: int | None = None) -> Outputs:
        """Outputs `first` to `last` (not included) of a record."""
        last = record.width if last is None else last
        if record.outputs is not None:
            return record.outputs[first:last]
        if record.blobs is None or first >= last:
            return ()
        found: list[Mapping[str, JSON]] = []
        begin = first // record.chunk
        for number in range(begin, -(-last // record.chunk)):
            name = f"{record.blobs}/{number}"
            found += _read_chunk(name, await self._services.backend.blobs.get(name))
        return found[first - begin * record.chunk : last - begin * record.chunk]

    async def records(self, run: RunRef, places: Iterable[Place]) -> dict[Place, Record]:
        """The records that exist among the places, read consistently."""
        wanted = {key_of(run, place): place for place in places}
        items = await self._services.backend.table.batch_get(wanted)
        return {wanted[Key(*key)]: read_record(item) for key, item in items.items()}

    async def record(self, run: RunRef, place: Place) -> Record:
        """One record that must exist. Raises NotFound."""
        found = await self.records(run, [place])
        if place not in found:
            raise NotFound(f"State {state_id(run.run_id, *place)} has no record.")
        return found[place]

    async def of_group(
        self, graph: Graph, run: RunRef, parent: Branch, group: GroupRef, wanted: frozenset[str]
    ) -> dict[str, list[Mapping[str, JSON]]]:
        """Outputs of the wanted identifiers over a group's branches that succeeded there, in branch order.

        A branch that forked without a unite counts with all its own branches. In a loop the last round counts.

        Raises:
            NotFound: the group is another run's that this one reuses, and its records are gone.
        """
        indexes = range(group.width) if group.only is None else [group.only]
        frontier: list[Place] = [((*parent, (group.number, index)), 0) for index in indexes]
        expected = set(frontier) if run.source(parent, group.number) else None
        found: dict[str, dict[Branch, Record]] = {name: {} for name in sorted(wanted)}
        while frontier:
            batch, frontier = frontier[:_ROUND], frontier[_ROUND:]
            records = await self.records(run, batch)
            for place in batch:
                record = records.get(place)
                if record is None:
                    if expected is not None and place in expected:
                        raise gone(run, place)
                    continue
                if record.identifier in wanted and record.status is StateStatus.SUCCEEDED:
                    found[record.identifier][place[0]] = record
                decision = decide(graph, record)
                if not _leads(graph, decision, wanted):
                    continue
                frontier += following(place, decision)
                if expected is not None and isinstance(decision, GoOn):
                    expected.add((place[0], place[1] + 1))
        return {name: await self._flatten(records) for name, records in found.items()}

    async def _flatten(self, records: Mapping[Branch, Record]) -> list[Mapping[str, JSON]]:
        outputs: list[Mapping[str, JSON]] = []
        for branch in sorted(records):
            outputs += await self.of_record(records[branch])
        return outputs


def following(place: Place, decision: Decision) -> list[Place]:
    """The places where states may stand that follow a record; not all of them need to exist."""
    branch, number = place
    match decision:
        case GoOn() | UniteAtOnce():
            return [(branch, number + 1)]
        case Fork(width, _, unite):
            children: list[Place] = [((*branch, (number, index)), 0) for index in range(width)]
            if unite is not None:
                children += [((*branch, (number, width)), 0), (branch, number + 1)]
            return children
        case _:
            return []


def _leads(graph: Graph, decision: Decision, wanted: frozenset[str]) -> bool:
    """Whether what follows can still come to a wanted node: saves reading the tail of every branch."""
    match decision:
        case GoOn(identifier):
            return graph.leads_to(identifier, wanted)
        case _:
            return True


def _read_chunk(name: str, data: bytes) -> list[Mapping[str, JSON]]:
    try:
        # Compressed chunks begin with zlib's 0x78; JSON lists with a bracket.
        chunk: list[Mapping[str, JSON]] = unpack(data if data[:1] == b"\x78" else data.decode())
    except (ValueError, zlib.error) as error:
        raise BackendError(f"the payload {name!r} is damaged; put it back from a backup") from error
    return chunk
