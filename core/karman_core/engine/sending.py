"""Sending work.

Each position goes to the queue of the runtime that runs its node, late ones through timers, wide forks as ranges that
workers expand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from karman_core.domain.branches import state_id
from karman_core.domain.decide import Fork
from karman_core.domain.definition import JSON
from karman_core.domain.graph import Graph
from karman_core.domain.message_bodies import encode
from karman_core.domain.messages import Advance, Command, Message, Position, Range
from karman_core.domain.positions import branch, carried
from karman_core.domain.records import Record
from karman_core.engine.outputs import Outputs, OutputStore, Place
from karman_core.engine.payloads import dumps
from karman_core.engine.registry import NodeRegistry, queue_name
from karman_core.engine.services import Services
from karman_core.ports.queue import MAX_DELAY_SECONDS, Outgoing
from karman_core.ports.timers import Timer

_RANGE_OUTPUT_BYTES = 49_152
"""Outputs of a shard up to this ride in its range message: with the rest it stays one 64 KB request."""

_CARRIED_BYTES = 32_768
"""All values that ride in one message; what is over it is read from the table by the states that need it."""


class Sender:
    """Sends messages. Returns only when all are durable."""

    def __init__(self, services: Services, registry: NodeRegistry, outputs: OutputStore) -> None:
        self._services = services
        self._registry = registry
        self._outputs = outputs

    async def queue_of(self, graph: Graph, namespace: str, identifier: str) -> str:
        """The task queue of the runtime that runs a node instance.

        What runs a node that nobody has registered (any more) goes where the graph begins, to fail there. Raises
        NotFound when nobody has registered the first node either.
        """
        instance = graph.instances[identifier]
        owner = instance.namespace or namespace
        node = await self._registry.find(owner, instance.node_name)
        if node is None and identifier != graph.root:
            return await self.queue_of(graph, namespace, graph.root)
        if node is None:
            node = await self._registry.get(owner, instance.node_name)
        return queue_name(owner, node.runtime)

    async def send_positions(
        self,
        graph: Graph,
        positions: Iterable[Position],
        *,
        again: bool,
        at_ms: int | None = None,
        paced: float | None = None,
    ) -> None:
        """Send messages that go on at positions, not before `at_ms`; `paced`: see Advance."""
        by_queue: dict[str, list[Position]] = {}
        queues: dict[str, str] = {}
        for position in positions:
            queue = queues.get(position.identifier)
            if queue is None:
                queue = await self.queue_of(graph, position.run.namespace, position.identifier)
                queues[position.identifier] = queue
            by_queue.setdefault(queue, []).append(self.light(position))
        for queue, some in by_queue.items():
            messages = [Advance(position, again=again, paced=paced) for position in some]
            await self.send(queue, messages, at_ms=at_ms)

    async def send(self, queue: str, messages: Sequence[Message], *, at_ms: int | None = None) -> None:
        """Send messages to a queue, not before `at_ms` (epoch ms)."""
        wait_ms = 0 if at_ms is None else max(0, at_ms - self._services.clock.now_ms())
        delay = wait_ms / 1000
        if delay > MAX_DELAY_SECONDS:
            for message in messages:
                body = encode(message)
                await self._services.backend.timers.set(Timer(_timer_name(body), at_ms or 0, queue, body))
            return
        outgoing = [Outgoing(encode(message), delay, _run_of(message)) for message in messages]
        await self._services.backend.queue.send(queue, outgoing)

    async def fork(
        self, graph: Graph, queue: str, parent: Position, record: Record, decision: Fork, *, again: bool
    ) -> None:
        """Send the branches of a fork; `parent` is what they share, `queue` the one that this worker reads."""
        settings, parent = self._services.settings, self.light(parent)
        if decision.width <= settings.direct_branches:
            outputs = await self._outputs.of_record(record)
            positions = self._branches(graph, parent, range(decision.width), decision.starts, 0, outputs)
            await self.send_positions(graph, positions, again=again)
            return
        ranges: list[Message] = []
        for first in range(0, decision.width, settings.shard_width):
            last = min(first + settings.shard_width, decision.width)
            ranges.append(_range(parent, record, decision.starts, first, last, again=again))
        await self.send(queue, ranges)

    async def expand(self, graph: Graph, message: Range, *, again: bool) -> None:
        """Send the branches of one shard."""
        outputs: Outputs | None = message.outputs
        first_output = message.first_output
        if outputs is None:
            starts = len(message.starts)
            place: Place = (message.parent.branch, message.parent.number)
            record = await self._outputs.record(message.parent.run, place)
            first_output = message.first // starts
            outputs = await self._outputs.of_record(record, first_output, (message.last - 1) // starts + 1)
        positions = self._branches(
            graph, message.parent, range(message.first, message.last), message.starts, first_output, outputs
        )
        await self.send_positions(graph, positions, again=again or message.again)

    async def command(self, queue: str, command: Command, *, at_ms: int | None = None) -> None:
        """Send a command of a run."""
        await self.send(queue, [command], at_ms=at_ms)

    async def forget(self, message: Message) -> None:
        """Cancel the timer that was to send a message much later; one that is on its queue still comes."""
        await self._services.backend.timers.cancel(_timer_name(encode(message)))

    def light(self, position: Position) -> Position:
        """The position without the values that are too much for one message or item, all together."""
        outputs = position.scope.outputs
        if len(outputs) * self._services.settings.carried_value_bytes <= _CARRIED_BYTES:
            return position
        room, light = _CARRIED_BYTES, {}
        for name, ref in outputs.items():
            room -= 0 if ref.values is None else len(dumps(ref.values))
            light[name] = ref if room >= 0 else ref.bare()
        return replace(position, scope=replace(position.scope, outputs=light))

    def carried(self, graph: Graph, identifier: str, output: Mapping[str, JSON]) -> Mapping[str, JSON] | None:
        """The fields of an output that ride in messages; None when they are too large."""
        values = carried(graph, identifier, output)
        fits = len(dumps(values)) <= self._services.settings.carried_value_bytes
        return values if fits else None

    def _branches(
        self,
        graph: Graph,
        parent: Position,
        indexes: range,
        starts: tuple[str, ...],
        first_output: int,
        outputs: Outputs,
    ) -> list[Position]:
        positions = []
        for index in indexes:
            number = index // len(starts) - first_output
            # A node that gave no output has branches all the same; they find nothing to read.
            output = outputs[number] if number < len(outputs) else {}
            values = self.carried(graph, parent.identifier, output)
            positions.append(branch(graph, parent, index, starts, values))
        return positions


def _timer_name(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:40]


def _range(
    parent: Position, record: Record, starts: tuple[str, ...], first: int, last: int, *, again: bool
) -> Range:
    first_output = first // len(starts)
    outputs = None
    if record.outputs is not None:
        some = tuple(record.outputs[first_output : (last - 1) // len(starts) + 1])
        outputs = some if len(dumps(some)) <= _RANGE_OUTPUT_BYTES else None
    return Range(parent, first, last, starts, first_output, outputs, again)


def _run_of(message: Message) -> str:
    match message:
        case Advance(position):
            return position.run.run_id
        case Range(parent):
            return parent.run.run_id
        case Command():
            return message.run_id


def id_of(position: Position) -> str:
    """The id of the state at a position."""
    return state_id(position.run.run_id, position.branch, position.number)
