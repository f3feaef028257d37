"""A round: all queues of dead letters are emptied, as far as the time goes.

A letter that is not settled is given back when the round ends, and so stays for the next one, without being tried again
in this. Letters that a process held which died come again when the round would have ended.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from karman_core.backends.aws.dead_letters import DeadLetterQueues, DeadMessage
from karman_core.ports.observer import LetterDied
from karman_functions.composition import Process
from karman_functions.dead_letters.letters import Letter, fields, settle
from karman_functions.webhooks.handler import deliveries_of

logger = logging.getLogger(__name__)

MARGIN_MS = 5_000
"""Letters that take longer than what is left but this are left to the next round."""

TAKERS = 4
"""Batches of one queue at a time, so that a queue with many letters does not take the round for itself."""

AWAKE_EVERY_MS = 3_600_000
"""How often task queues are looked at, so that they are not asleep when work comes: SQS's sleep after six hours."""

_BATCH = 10


async def settled(current: Process, letter: Letter, seconds: float) -> bool:
    """Whether the letter was settled. One that fails or takes too long does not harm the others."""
    try:
        async with asyncio.timeout(seconds):
            outcome = await settle(current.engine, deliveries_of(current), current.backend.archive, letter)
    except Exception:
        logger.exception("dead letter not settled", extra=fields(letter))
        current.metrics.count("DeadLettersFailed")
        return False
    logger.error("message was dead", extra={**fields(letter), "outcome": outcome.value})
    current.metrics.observe(LetterDied(letter.queue, letter.message.id, outcome.value))
    return True


def seconds_left(left_ms: int) -> float:
    """How long letters may take, of the time that an invocation has."""
    return max(left_ms - MARGIN_MS, left_ms / 2) / 1000


@dataclass(slots=True)
class Round:
    """One of them.

    Attributes:
        until_ms: when letters are left to the next one, epoch milliseconds.
        ends_ms: when this process may be ended.
        counts: of letters, `settled` and `failed`.
    """

    current: Process
    until_ms: int
    ends_ms: int
    counts: Counter[str] = field(default_factory=Counter)

    async def run(self) -> Counter[str]:
        """Empty all queues.

        Raises:
            KarmanError: a queue could not be read; the others have been emptied.
        """
        queues = DeadLetterQueues(self.current.backend.clients)
        waiting = await queues.waiting()
        takers = [
            self._take(queues, name)
            for name, count in waiting.items()
            for _ in range(min(TAKERS, math.ceil(count / _BATCH)))
        ]
        results = await asyncio.gather(*takers, self._keep_awake(queues), return_exceptions=True)
        if self.counts:
            logger.info("dead letters taken", extra={"queues": len(waiting), **self.counts})
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return self.counts

    async def _keep_awake(self, queues: DeadLetterQueues) -> None:
        """Once an hour, as long as this process lives; a new one begins anew."""
        now = self._now()
        if now - self.current.awake_ms >= AWAKE_EVERY_MS:
            await queues.keep_task_queues_awake()
            self.current.awake_ms = now

    async def _take(self, queues: DeadLetterQueues, name: str) -> None:
        """Take letters of one queue until it is empty, or time is up."""
        kept: list[str] = []
        try:
            while self._now() < self.until_ms:
                lease_seconds = max(1, math.ceil((self.ends_ms - self._now()) / 1000))
                messages = await queues.receive(name, lease_seconds)
                if not messages:
                    return
                kept += await self._settle(queues, name, messages)
        finally:
            for start in range(0, len(kept), _BATCH):
                await queues.give_back(name, kept[start : start + _BATCH])

    async def _settle(
        self, queues: DeadLetterQueues, name: str, messages: Sequence[DeadMessage]
    ) -> Sequence[str]:
        """Settle a batch. Returns the receipts of those that are to stay."""
        seconds = max(0.0, (self.until_ms - self._now()) / 1000)
        letters = [Letter(name, dead.message, dead.attributes) for dead in messages]
        done = await asyncio.gather(*(settled(self.current, letter, seconds) for letter in letters))
        receipts: dict[bool, list[str]] = {True: [], False: []}
        for letter, is_settled in zip(letters, done, strict=True):
            receipts[is_settled].append(letter.message.receipt)
        self.counts.update({"settled": len(receipts[True]), "failed": len(receipts[False])})
        if receipts[True]:
            await queues.delete(name, receipts[True])
        return receipts[False]

    def _now(self) -> int:
        return self.current.clock.now_ms()
