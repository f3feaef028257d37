"""What a schedule calls every few minutes: takes what is in the queues of dead letters. What is not settled stays.

Queues of dead letters are no event sources: Lambda would poll each of them all day, for a bill of its own. An event of
one is taken all the same, since a runtime's stack of an earlier release makes its queue one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from karman_functions.composition import Process, process
from karman_functions.dead_letters.letters import Letter
from karman_functions.dead_letters.rounds import Round, seconds_left, settled


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    """Lambda's entry."""
    current = process()
    batch = "Records" in event
    work = _handle_batch(current, event, context) if batch else _handle_round(current, context)
    return current.serve(work, context, awaited=batch)


async def _handle_round(current: Process, context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    now_ms, ends_ms = current.clock.now_ms(), current.ends_ms(context)
    until_ms = now_ms + int(seconds_left(ends_ms - now_ms) * 1000)
    return dict(await Round(current, until_ms, ends_ms).run())


async def _handle_batch(
    current: Process,
    event: Mapping[str, Any],
    context: Any,  # noqa: ANN401  Lambda's
) -> dict[str, Any]:
    letters = [Letter.of(record) for record in event["Records"]]
    seconds = seconds_left(current.ends_ms(context) - current.clock.now_ms())
    done = await asyncio.gather(*(settled(current, letter, seconds) for letter in letters))
    failed = [letter for letter, is_settled in zip(letters, done, strict=True) if not is_settled]
    return {"batchItemFailures": [{"itemIdentifier": letter.message.id} for letter in failed]}
