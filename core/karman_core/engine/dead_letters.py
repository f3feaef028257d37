"""Dead letters: messages that were delivered too often. Each ends in a record, or stays for people to look at.

The walk is the same as a worker's. A failure is put only at the first state without an outcome; what follows is
followed, so the run ends although the message could not be worked on.
"""

from __future__ import annotations

from karman_core.domain.messages import Advance, Command, ForeignMessage, Range, decode
from karman_core.engine.advancing import Advancer
from karman_core.engine.commands import Commands
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.task import Task
from karman_core.ports.queue import Incoming


class DeadLetters:
    """Takes dead messages."""

    def __init__(
        self,
        services: Services,
        *,
        graphs: GraphStore,
        lifecycle: Lifecycle,
        advancer: Advancer,
        commands: Commands,
        sender: Sender,
    ) -> None:
        self._services = services
        self._graphs = graphs
        self._lifecycle = lifecycle
        self._advancer = advancer
        self._commands = commands
        self._sender = sender

    async def take(self, queue: str, message: Incoming) -> bool:
        """Make the run go on without this message.

        Args:
            queue: the task queue that the message died on.

        Returns:
            False for a foreign message: it says nothing about a run and is to be archived.
        """
        try:
            decoded = decode(message.body)
        except ForeignMessage:
            return False
        match decoded:
            case Advance():
                await self._fail(queue, decoded)
            case Range(parent):
                graph = await self._graphs.compiled(
                    parent.run.namespace, parent.run.graph, parent.run.version
                )
                await self._sender.expand(graph, decoded, again=True)
            case Command():
                await self._commands.apply(decoded, thorough=True)
        return True

    async def _fail(self, queue: str, message: Advance) -> None:
        position = await self._lifecycle.first(message)
        if position is None:
            return
        run = position.run
        graph = await self._graphs.compiled(run.namespace, run.graph, run.version)
        task = Task(
            queue=queue,
            redelivered=True,
            look=True,
            again=True,
            begun_ms=self._services.clock.now_ms(),
            stopping=lambda: False,
            dead=True,
        )
        await self._advancer.advance(task, graph, position)
