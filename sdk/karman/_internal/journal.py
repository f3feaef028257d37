"""What a node does to the outside through its context, kept back until its outcome is known."""

from __future__ import annotations

from karman_core.domain.outcome import Effects, SentSignal, StoreWrite


class Journal:
    """The buffered effects of one execution, and whether it should stop.

    The context writes it; the executor takes the effects with a good outcome and drops them with a bad one. A thread
    that goes on after its timeout writes into a journal that nobody reads any more.
    """

    def __init__(self) -> None:
        self.writes: list[StoreWrite] = []
        self.signals: list[SentSignal] = []
        self.stopped = False

    def effects(self) -> Effects:
        """All so far, in order."""
        return Effects(tuple(self.writes), tuple(self.signals))
