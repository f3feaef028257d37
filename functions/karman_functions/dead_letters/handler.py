"""What SQS calls with the messages of dead-letter queues. What is not settled stays in its queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from karman_core.ports.observer import LetterDied
from karman_functions.composition import Process, process
from karman_functions.dead_letters.letters import Letter, fields, settle

logger = logging.getLogger(__name__)

MARGIN_MS = 5_000
"""Letters that take longer than what is left but this are left to the next delivery."""


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    """Lambda's entry."""
    current = process()
    return current.serve(_handle(current, event, context), context)


async def _handle(current: Process, event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401
    letters = [Letter.of(record) for record in event["Records"]]
    left_ms = current.ends_ms(context) - current.clock.now_ms()
    seconds = max(left_ms - MARGIN_MS, left_ms / 2) / 1000
    settled = await asyncio.gather(*(_settled(current, letter, seconds) for letter in letters))
    failed = [letter for letter, done in zip(letters, settled, strict=True) if not done]
    return {"batchItemFailures": [{"itemIdentifier": letter.message.id} for letter in failed]}


async def _settled(current: Process, letter: Letter, seconds: float) -> bool:
    """Whether the letter was settled. One that fails or takes too long does not harm the others."""
    try:
        async with asyncio.timeout(seconds):
            outcome = await settle(current.engine, current.backend.archive, letter)
    except Exception:
        logger.exception("dead letter not settled", extra=fields(letter))
        current.metrics.count("DeadLettersFailed")
        return False
    logger.error("message was dead", extra={**fields(letter), "outcome": outcome.value})
    current.metrics.observe(LetterDied(letter.queue, letter.message.id, outcome.value))
    return True
