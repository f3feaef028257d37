"""Dead letters: messages that were delivered too often. Each ends in a record, or stays for people to look at.

The walk is the same as a worker's. A failure is put only at the first state without an outcome; what follows is
followed, so the run ends although the message could not be worked on.
"""

from __future__ import annotations

from dataclasses import dataclass

from karman_core.domain.errors import NotFound
from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import Advance, Command, ForeignMessage, Message, Range
from karman_core.engine.commits import RecordGone
from karman_core.engine.lifecycle import RunPurged
from karman_core.engine.receiving import Receiver
from karman_core.engine.run_items import header_from_json
from karman_core.engine.task import Task
from karman_core.ports.queue import Incoming


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Takes dead messages."""

    receiver: Receiver

    async def take(self, queue: str | None, message: Incoming) -> bool:
        """Make the run go on without this message.

        Args:
            queue: the task queue that the message died on; None for that of the run's first state.

        Returns:
            False for a foreign message: it says nothing about a run, or about one that is none, and is to be archived.

        Raises:
            NewerLayout: a later release works on the run; it is to take the message.
        """
        receiver = self.receiver
        decoded: Message | None = None
        try:
            decoded = decode(message.body, receiver.services.layout)
            match decoded:
                case Advance():
                    await receiver.advance(self._task(queue or await self._home(decoded)), decoded)
                case Range(parent):
                    await receiver.sender.expand(await receiver.graphs.at(parent), decoded, again=True)
                case Command():
                    await receiver.commands.apply(decoded, thorough=True)
        except ForeignMessage:
            return False
        except (RecordGone, NotFound):
            if not await receiver.is_purged(decoded):
                raise
        return True

    async def _home(self, message: Advance) -> str:
        """Raises ForeignMessage if there is no such run."""
        if message.header is not None:
            return header_from_json(message.header).home
        run = message.position.run
        try:
            return (await self.receiver.lifecycle.header(run.namespace, run.run_id)).home
        except RunPurged:
            raise
        except NotFound as error:
            reason = f"there is no run '{run.run_id}'"
            raise ForeignMessage(reason) from error

    def _task(self, queue: str) -> Task:
        return Task(
            queue=queue,
            redelivered=True,
            look=True,
            again=True,
            begun_ms=self.receiver.services.clock.now_ms(),
            stopping=lambda: False,
            dead=True,
        )
