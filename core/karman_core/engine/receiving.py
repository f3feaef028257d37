"""What a worker does with a message: by its kind, and buried if it is foreign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import Advance, Command, ForeignMessage, Range
from karman_core.engine.advancing import Advancer
from karman_core.engine.commands import Commands
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.task import Task
from karman_core.ports.queue import Incoming


@dataclass(frozen=True, slots=True)
class Receiver:
    """Works on messages."""

    services: Services
    graphs: GraphStore
    lifecycle: Lifecycle
    advancer: Advancer
    sender: Sender
    commands: Commands

    async def receive(
        self, queue: str, message: Incoming, *, stopping: Callable[[], bool], until_ms: int | None
    ) -> None:
        """Work on a message; afterwards it may be deleted."""
        redelivered = message.receive_count > 1
        try:
            decoded = decode(message.body)
            match decoded:
                case Advance():
                    task = Task(
                        queue=queue,
                        redelivered=redelivered,
                        look=redelivered or is_late(decoded),
                        again=redelivered,
                        begun_ms=self.services.clock.now_ms(),
                        stopping=stopping,
                        until_ms=until_ms,
                    )
                    await self.advance(task, decoded)
                case Range(parent):
                    await self.sender.expand(await self.graphs.at(parent), decoded, again=redelivered)
                case Command():
                    await self.commands.apply(decoded, thorough=redelivered)
        except ForeignMessage as foreign:
            await self.services.backend.queue.bury(queue, message, str(foreign))

    async def advance(self, task: Task, message: Advance) -> None:
        """Go on with a branch, its run begun if this is the first message."""
        position = await self.lifecycle.first(message)
        if position is not None:
            await self.advancer.advance(task, await self.graphs.at(position), position)


def is_late(message: Advance) -> bool:
    """Whether to look before running, though the message is received for the first time.

    One that waited for its time (a retry, a requeue, a delayed start) may find that its state was skipped meanwhile.
    """
    header = message.header or {}
    delayed = header.get("starts") != header.get("created")
    return message.again or message.position.turn > 0 or delayed
