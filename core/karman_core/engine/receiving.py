"""What a worker does with a message: by its kind; buried if it is foreign, passed on if a later release's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from karman_core.domain.errors import NewerLayout, NotFound
from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import Advance, Command, ForeignMessage, Message, Range
from karman_core.engine.advancing import Advancer
from karman_core.engine.commands import Commands
from karman_core.engine.commits import RecordGone
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle, RunPurged
from karman_core.engine.passing_on import pass_on
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
        decoded: Message | None = None
        try:
            decoded = decode(message.body, self.services.layout)
            match decoded:
                case Advance():
                    now, look = self.services.clock.now_ms(), redelivered or is_late(decoded)
                    task = Task(
                        queue=queue,
                        redelivered=redelivered,
                        look=look,
                        again=redelivered,
                        begun_ms=now,
                        fresh=not look and is_fresh(self.services, message, now),
                        stopping=stopping,
                        until_ms=until_ms,
                        paced=decoded.paced,
                    )
                    await self.advance(task, decoded)
                case Range(parent):
                    await self.sender.expand(await self.graphs.at(parent), decoded, again=redelivered)
                case Command():
                    await self.commands.apply(decoded, thorough=redelivered or decoded.again)
        except (RecordGone, NotFound):
            if not await self.is_purged(decoded):
                raise  # else what it was about was deleted while it was worked on
        except NewerLayout as newer:
            await pass_on(self.services, queue, message, newer)
        except ForeignMessage as foreign:
            await self.services.backend.queue.bury(queue, message, str(foreign))

    async def is_purged(self, message: Message | None) -> bool:
        """Whether a message is about a run that was purged: then nothing is left to do."""
        if message is None:
            return False
        try:
            await self.lifecycle.header(*run_of(message))
        except RunPurged:
            return True
        except NotFound:
            pass
        return False

    async def advance(self, task: Task, message: Advance) -> None:
        """Go on with a branch, its run begun if this is the first message."""
        position = await self.lifecycle.first(message)
        if position is not None:
            await self.advancer.advance(task, await self.graphs.at(position), position)


def run_of(message: Message) -> tuple[str, str]:
    """Namespace and id of the run that a message is about."""
    if isinstance(message, Command):
        return message.namespace, message.run_id
    run = (message.parent if isinstance(message, Range) else message.position).run
    return run.namespace, run.run_id


def is_fresh(services: Services, message: Incoming, now: int) -> bool:
    """Whether a message was sent so lately that what its sender knew of the run is still believed."""
    return now - message.sent_ms < services.settings.control_cache_seconds * 1000


def is_late(message: Advance) -> bool:
    """Whether to look before running, though the message is received for the first time.

    One that waited for its time (a retry, a requeue, a delayed start) may find that its state was skipped meanwhile.
    """
    header = message.header or {}
    delayed = header.get("starts") != header.get("created")
    return message.again or message.position.turn > 0 or delayed
