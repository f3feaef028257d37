"""One delivery of a message, as the loop works on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from karman_core.domain.messages import Position
from karman_core.engine.outputs import Outputs, Place

_LOCAL_STATES = 8


@dataclass(slots=True)
class Task:
    """What this worker knows of the message that it holds.

    Attributes:
        queue: where the message came from.
        redelivered: it was received before: a worker may have died (or be dying) on it.
        look: records may exist that this worker has not written: read before running.
        again: what is sent may have been sent before, and says so.
        moved: progress was found that a redelivery did not make itself.
        begun_ms: when the work on this delivery began.
        stopping: whether the worker wants to stop.
        until_ms: when this worker has to be done, or None.
        adoptions: how often somebody else's write was found.
        position: of the state that is being run.
        states: how many states were run.
        dead: the message was delivered too often: the first state without an outcome fails.
        paced: the rate under which the first state was given its token before; None if it was not.
        fresh: the message was sent a moment ago, by somebody who knew then that the run goes on.
        patient: whether a token that begins soon may be waited for here.
        local: outputs of the states that were run, as long as they may be read.
    """

    queue: str
    redelivered: bool
    look: bool
    again: bool
    begun_ms: int
    stopping: Callable[[], bool]
    until_ms: int | None = None
    moved: bool = False
    adoptions: int = 0
    dead: bool = False
    paced: float | None = None
    fresh: bool = False
    patient: bool = True
    position: Position | None = None
    states: int = 0
    local: dict[Place, Outputs] = field(default_factory=dict)

    def adopt(self) -> None:
        """Somebody else's write was found: from here on, whatever follows may exist already."""
        self.look = self.again = self.moved = True
        self.adoptions += 1

    def keep(self, place: Place, outputs: Outputs | None, position: Position) -> None:
        """Remember outputs for the states that come next, and forget those that nobody can read any more."""
        if outputs is not None:
            self.local[place] = outputs
        if len(self.local) > _LOCAL_STATES:
            read = {(position.branch[: ref.depth], ref.number) for ref in position.scope.outputs.values()}
            self.local = {kept: value for kept, value in self.local.items() if kept in read}
